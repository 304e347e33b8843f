"""What the transforms are given: functions, numbers of arguments, structures."""

from __future__ import annotations

from collections.abc import Iterable
from operator import index
from typing import Any

from dezero.backend import as_array, get_array_module
from dezero.backend.trees import leaves, structure
from dezero.core import Variable
from dezero.functions import astype

Argnums = int | tuple[int, ...] | list[int]


def require_function(operation: str, f: Any) -> None:
    if not callable(f):
        raise TypeError(f"{operation}: expected a function, got {type(f).__name__}")


def counted(operation: str, argnums: Argnums, count: int) -> tuple[int, ...]:
    """``argnums`` counted from the front."""
    several = argnums if isinstance(argnums, (tuple, list)) else (argnums,)
    try:
        numbers = tuple(index(i) for i in several)
    except TypeError:
        raise TypeError(
            f"{operation}: expected argnums as an integer or several, got {argnums!r}"
        ) from None
    if not count:
        raise ValueError(
            f"{operation}: expected an argument to differentiate by, got none"
        )
    if not all(-count <= i < count for i in numbers):
        raise ValueError(
            f"{operation}: expected argnums from {-count} to {count - 1} for {count} "
            f"arguments, got {argnums}"
        )
    return tuple(i % count for i in numbers)


def picked(arguments: dict[int, Any], argnums: Argnums, chosen: Iterable[int]) -> Any:
    picked = tuple(arguments[i] for i in chosen)
    return picked if isinstance(argnums, (tuple, list)) else picked[0]


def alone_or_tuple(xs: list[Any]) -> Any:
    return xs[0] if len(xs) == 1 else tuple(xs)


def as_tuples(xs: Any, others: Any) -> tuple[tuple[Any, ...], list[Any]]:
    if isinstance(xs, tuple):
        return xs, list(others) if isinstance(others, tuple) else [others]
    return (xs,), [others]


def is_layer(x: Any) -> bool:
    return hasattr(x, "named_params")


def variables_of(operation: str, wrt: Any) -> Any:
    """``wrt`` as a structure of Variables, which have their gradients to give."""
    by = wrt.named_params() if is_layer(wrt) else wrt
    for x in leaves(by):
        if not isinstance(x, Variable):
            raise TypeError(
                f"{operation}: expected Variables in wrt, got {type(x).__name__}"
            )
        if not x.requires_grad:
            raise ValueError(
                f"{operation}: expected Variables in wrt that require a gradient, got "
                f"{x.name or x!r}, which does not; write x.requires_grad = True"
            )
    return by


def like(
    operation: str,
    what: str,
    whose: str,
    ys: Iterable[Variable],
    tree: Any,
    given: Any,
) -> list[Variable]:
    """The leaves of ``given`` as Variables, if they are as those of ``tree``."""
    if structure(given) != structure(tree):
        raise ValueError(
            f"{operation}: expected {what} for each of {whose}, got another structure"
        )
    return [
        one_like(operation, what, y, x) for y, x in zip(ys, leaves(given), strict=True)
    ]


def one_like(operation: str, what: str, y: Variable, x: Any) -> Variable:
    if not isinstance(x, Variable):
        x = Variable(as_array(x), requires_grad=False)
    if x.shape != y.shape:
        raise ValueError(
            f"{operation}: expected {what} of shape {y.shape}, got {x.shape}"
        )
    return x if x.dtype == y.dtype or y.dtype.kind not in "fc" else astype(x, y.dtype)


def ones_like(y: Variable) -> Any:
    return get_array_module(y.data).ones_like(y.data)


def zeros_like(y: Variable) -> Any:
    return get_array_module(y.data).zeros_like(y.data)
