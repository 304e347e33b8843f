"""What ``using_config('debug', True)`` looks at, at a price no long run should pay."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from dezero.backend import Array, as_numpy
from dezero.backend.batching import BatchedArray
from dezero.config import using_config

if TYPE_CHECKING:
    from dezero.core.function import Function
    from dezero.core.variable import Variable


def _values(x: Any) -> np.ndarray[Any, Any]:
    """All numbers of an array; of a batch, those of all examples."""
    while isinstance(x, BatchedArray):
        x = x.value
    return as_numpy(x)


def _has_nan(x: Any) -> bool:
    x = _values(x)
    return x.dtype.kind in "fc" and bool(np.isnan(x).any())


def look(func: Function, xs: list[Array], ys: tuple[Array, ...]) -> None:
    """Warn of the first NaN; remember the data, to see later if it was written."""
    observer = _observer.get()
    if observer is not None:
        observer(func, xs, ys)
        return
    # The first NaN: it is in an output and in no input.
    if any(map(_has_nan, ys)) and not any(map(_has_nan, xs)):
        shapes = ", ".join(str(np.shape(x)) for x in xs)
        warnings.warn(
            f"{type(func).__name__}: expected finite numbers, got NaN from inputs of "
            f"shape {shapes}, which had none",
            RuntimeWarning,
            stacklevel=4,
        )
    func.fingerprints = fingerprints(func)


_observer: ContextVar[Callable[..., None] | None]
_observer = ContextVar("dezero.observer", default=None)


@contextlib.contextmanager
def seen_by(observer: Callable[..., None]) -> Iterator[None]:
    """Show every Function that runs in the block to ``observer(func, xs, ys)``.

    ``xs`` and ``ys`` are the arrays that go in and come out. It takes the place of
    what debug mode looks for.
    """
    token = _observer.set(observer)
    try:
        with using_config("debug", True):
            yield
    finally:
        _observer.reset(token)


def known(func: Function) -> list[Variable | None]:
    """The inputs and outputs of ``func``; ``None`` for an output that is gone."""
    return [*func.inputs, *(output() for output in func.outputs)]


def fingerprints(func: Function) -> tuple[int, ...]:
    """A fingerprint of the data of each input and output."""
    return tuple(
        0 if x is None else hash(_values(x.data).tobytes()) for x in known(func)
    )
