"""Arrays of many examples that pass for one: what ``vmap`` computes with.

A BatchedArray hides its first axis, along which the examples lie, and speaks NumPy's
protocols: what is written for one example computes all of them. Where vmap stands in
vmap, one BatchedArray holds another; the ``level`` of the inner vmap is the higher, and
stands outside. What has no rule here runs example by example.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from dezero.backend.trees import leaves, mapped

Array = Any


class Unbatchable(TypeError):  # noqa: N818  (as a rule it is caught: see Function)
    """What only a single example can do was asked of a batch."""


class Level(NamedTuple):
    """A vmap that is running: its number, and how many examples it has."""

    number: int
    size: int


active: ContextVar[tuple[Level, ...]] = ContextVar("dezero.vmap", default=())


class BatchedArray(NDArrayOperatorsMixin):
    """The arrays of all examples of a vmap, in the place of the array of one.

    Attributes:
        level: The number of the vmap.
        value: The arrays, along a first axis that ``shape`` and the like do not show.
    """

    __slots__ = ("level", "value")
    __array_priority__ = 150  # below Variable, which takes over where both meet
    ever = False  # whether there was one: if not, nobody need look for them

    def __init__(self, level: int, value: Array) -> None:
        self.level = level
        self.value = value
        BatchedArray.ever = True

    # -- what is known of it ----------------------------------------------------------

    @property
    def count(self) -> int:
        """How many examples there are."""
        count: int = self.value.shape[0]
        return count

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self.value.shape[1:]
        return shape

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self.value.dtype
        return dtype

    @property
    def base(self) -> Any:
        return self.value.base

    @property
    def T(self) -> BatchedArray:  # noqa: N802
        return self.transpose()

    @property
    def real(self) -> Any:
        return np.real(self)

    @property
    def imag(self) -> Any:
        return np.imag(self)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<{self.count} arrays of shape {self.shape} and type {self.dtype}>"

    __hash__ = object.__hash__

    # -- what only one example has ----------------------------------------------------

    def _read(self, how: str) -> Any:
        raise Unbatchable(
            f"vmap: expected a function that reads no values, got {how} of a batch of "
            f"{self.count}; to choose by values write np.where(condition, a, b), to "
            "index an array by them F.get_item(x, index)"
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return self._read("np.asarray(x)")

    def __bool__(self) -> bool:
        return bool(self._read("if x, while x, x and y"))

    def __float__(self) -> float:
        return float(self._read("float(x)"))

    def __int__(self) -> int:
        return int(self._read("int(x)"))

    def __complex__(self) -> complex:
        return complex(self._read("complex(x)"))

    def __index__(self) -> int:
        return int(self._read("an index or a length"))

    def item(self, *args: Any) -> Any:
        return self._read("x.item()")

    def tolist(self) -> Any:
        return self._read("x.tolist()")

    # -- elements ---------------------------------------------------------------------

    def __iter__(self) -> Iterator[BatchedArray]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> BatchedArray:
        y: BatchedArray = FUNCTIONS[operator.getitem](self, index)
        return y

    def __setitem__(self, index: Any, value: Any) -> None:
        FUNCTIONS[operator.setitem](self, index, value)

    # -- methods with a signature of their own ----------------------------------------

    def reshape(self, *shape: Any, **kwargs: Any) -> BatchedArray:
        y: Any = np.reshape(self, shape[0] if len(shape) == 1 else shape, **kwargs)
        return y

    def transpose(self, *axes: Any) -> BatchedArray:
        if len(axes) == 1 and not isinstance(axes[0], (int, np.integer)):
            axes = () if axes[0] is None else tuple(axes[0])
        y: Any = np.transpose(self, axes or None)
        return y

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> BatchedArray:
        return BatchedArray(self.level, self.value.astype(dtype, *args, **kwargs))

    def copy(self, order: str = "C") -> BatchedArray:
        return BatchedArray(self.level, self.value.copy(order))

    def __copy__(self) -> BatchedArray:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> BatchedArray:
        return self.copy()

    def flatten(self) -> BatchedArray:
        return self.reshape(-1).copy()

    def view(self, dtype: Any) -> BatchedArray:
        return BatchedArray(self.level, self.value.view(dtype))

    def fill(self, value: Any) -> None:
        self[...] = value

    def __pow__(self, other: Any) -> Any:
        if type(other) in (int, float):  # as ndarray has it: squares are exact
            return BatchedArray(self.level, self.value**other)
        return np.power(self, other)

    def __getattr__(self, name: str) -> Any:
        """Other methods of arrays, as the functions of the same names."""
        if name.startswith("__") or not hasattr(np.ndarray, name):
            raise AttributeError(f"a batched array has no attribute '{name}'")
        function = getattr(np, name, None)
        if function is None or not callable(getattr(np.ndarray, name)):
            raise Unbatchable(f"vmap: expected no use of x.{name}, which has no rule")
        return lambda *args, **kwargs: function(self, *args, **kwargs)

    # -- NumPy's protocols ------------------------------------------------------------

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any
    ) -> Any:
        if any(hasattr(type(x), "backward") for x in inputs):
            return NotImplemented  # a Variable knows better
        known = UFUNC_METHODS.get(method)
        y = known(ufunc, *inputs, **kwargs) if known else NotImplemented
        if y is NotImplemented:
            _require_batched_out(f"np.{ufunc.__name__}", inputs, kwargs)
            y = each(getattr(ufunc, method), inputs, kwargs)
        return y

    def __array_function__(
        self, function: Any, types: Any, args: Any, kwargs: Any
    ) -> Any:
        if any(hasattr(t, "backward") for t in types):
            return NotImplemented
        known = FUNCTIONS.get(function)
        y = known(*args, **kwargs) if known else NotImplemented
        if y is NotImplemented:
            name = f"np.{function.__name__}"
            _require_batched_out(name, (args, kwargs), kwargs)
            if function in WRITING:
                require_batched(name, args[0], level_of((args, kwargs)))
            y = each(function, args, kwargs)
        return y


# How a batch computes, filled in by ``rules`` and ``places``. A rule returns
# NotImplemented where it is at an end: then the examples run one by one.
UFUNC_METHODS: dict[str, Callable[..., Any]] = {}
FUNCTIONS: dict[Any, Callable[..., Any]] = {}
WRITING = {np.copyto, np.put, np.putmask, np.place, np.put_along_axis, np.fill_diagonal}


def rule(*functions: Any) -> Callable[[Any], Any]:
    """What is defined next is the rule of these functions."""

    def register(function: Any) -> Any:
        FUNCTIONS.update(dict.fromkeys(functions, function))
        return function

    return register


def _require_batched_out(name: str, inputs: Any, kwargs: Any) -> None:
    for out in leaves(kwargs.get("out")):
        require_batched(f"{name} with out", out, level_of(inputs))


def require_batched(name: str, target: Any, level: int) -> None:
    """Raise unless what is written into has room for every example."""
    if level_of(target) != level:
        raise Unbatchable(
            f"{name}: expected an array of each example to write into, got a single "
            "one; write y = ... for a new array"
        )


# -- levels ---------------------------------------------------------------------------


def level_of(tree: Any) -> int:
    """The highest level of the arrays in a structure; 0 where no example is hidden."""
    if isinstance(tree, BatchedArray):
        return tree.level
    if isinstance(tree, (list, tuple)):
        return max(map(level_of, tree), default=0)
    if isinstance(tree, dict):
        return max(map(level_of, tree.values()), default=0)
    return 0


def levels_of(x: Array) -> list[int]:
    """All levels of an array, the highest first."""
    found = []
    while type(x) is BatchedArray:
        found.append(x.level)
        x = x.value
    return found


def count_of(x: Array, level: int) -> int:
    """How many examples an array has at one of its levels."""
    while x.level != level:
        x = x.value
    count: int = x.count
    return count


def with_axis(x: Array, level: int) -> Array:
    """An array whose first axis is that of the examples at ``level``."""
    if x.level == level:
        return x.value
    return BatchedArray(x.level, np.swapaxes(with_axis(x.value, level), 0, 1))


def without_axis(x: Array, level: int) -> BatchedArray:
    """The reverse: the first axis becomes that of the examples at ``level``."""
    if not isinstance(x, BatchedArray) or x.level < level:
        return BatchedArray(level, x)
    return BatchedArray(x.level, without_axis(np.swapaxes(x.value, 0, 1), level))


def spread(x: Array, level: int, count: int) -> BatchedArray:
    """An array that is the same for every example, as one of each."""
    if isinstance(x, BatchedArray) and x.level > level:
        return BatchedArray(x.level, spread(x.value, level, count))
    return BatchedArray(level, np.broadcast_to(x, (count, *np.shape(x))))


def lifted(x: Any, level: int, count: int) -> BatchedArray:
    """``x`` with the examples of ``level``, whether it has them already or not."""
    if isinstance(x, BatchedArray) and x.level == level:
        return x
    return spread(x, level, count)


def aligned(level: int, xs: Sequence[Any], ndim: int | None = None) -> list[Any]:
    """Arrays that broadcast as those of one example do, the examples in front."""
    if ndim is None:
        ndim = max(map(np.ndim, xs))
    values = []
    for x in xs:
        if isinstance(x, BatchedArray) and x.level == level:
            missing = ndim - x.ndim
            x = x.value[(slice(None), *(None,) * missing)] if missing else x.value
        values.append(x)
    return values


def zeros_for(shape: tuple[int, ...], dtype: Any, *sources: Any) -> Any:
    """Zeros into which what is computed from ``sources`` can be written."""
    counts: dict[int, int] = {}
    bare: Any = None
    for x in leaves(list(sources)):
        while isinstance(x, BatchedArray):
            counts[x.level] = x.count
            bare = x = x.value
    levels = sorted(counts)
    y: Any = np.zeros_like(
        bare, dtype, shape=(*(counts[level] for level in levels), *shape)
    )
    for level in levels:
        y = without_axis(y, level)
    return y


# -- one by one -----------------------------------------------------------------------


def each(
    function: Callable[..., Any], args: Any, kwargs: dict[str, Any] | None = None
) -> Any:
    """``function`` of every example by itself, and the results as a batch again."""
    given = (tuple(args), kwargs or {})
    level = level_of(given)
    count = max(x.count for x in leaves(given) if level_of(x) == level)
    results = []
    for i in range(count):
        one_args, one_kwargs = example(given, level, i)
        results.append(function(*one_args, **one_kwargs))
    return joined(results, level)


def example(tree: Any, level: int, i: int) -> Any:
    """A structure with number ``i`` in the place of the examples of ``level``."""
    return mapped(
        tree, lambda x: x.value[i, ...] if level_of(x) == level and level else x
    )


def joined(results: list[Any], level: int) -> Any:
    """The structures of all examples as one, whose arrays are batches."""

    def stacked(*xs: Any) -> Any:
        if not _is_numeric(xs[0]) or all(_is_same(x, xs[0]) for x in xs):
            return xs[0]
        try:
            return without_axis(np.stack(xs), level)
        except ValueError:
            raise Unbatchable(
                "vmap: expected the same shape from every example, got "
                + ", ".join(sorted({str(np.shape(x)) for x in xs}))
            ) from None

    return mapped(results[0], stacked, *results[1:])


def _is_same(x: Any, y: Any) -> bool:
    plain = type(x) in (bool, int, float, complex)  # a length, a setting
    return x is y or (plain and type(x) is type(y) and bool(x == y))


def _is_numeric(x: Any) -> bool:
    return isinstance(x, (np.generic, bool, int, float, complex)) or hasattr(x, "dtype")
