"""How the functions of NumPy compute a batch of examples at once.

Each rule takes what the function takes. Of all levels of its arguments it looks at the
highest: it adds the axis of the examples, and calls the function again, which may find
another level in what it gets.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dezero.backend.batching.arrays import (
    FUNCTIONS,
    UFUNC_METHODS,
    BatchedArray,
    aligned,
    level_of,
    lifted,
    require_batched,
    rule,
)
from dezero.backend.batching.places import place_of
from dezero.backend.batching.products import matmul
from dezero.backend.trees import leaves, mapped

Array = Any


def _count(level: int, xs: Any) -> int:
    return max(x.count for x in leaves(xs) if level_of(x) == level)


def _lifted(xs: Any) -> tuple[int, list[Array]]:
    """The highest level, and all arrays with an axis for its examples."""
    level = level_of(xs)
    count = _count(level, xs)
    return level, [lifted(x, level, count).value for x in xs]


def _axis(axis: int, ndim: int) -> int:
    """An axis of one example as one of all."""
    if not -ndim <= axis < ndim:
        raise np.exceptions.AxisError(axis, ndim)
    return axis % ndim + 1


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(1, ndim + 1))
    several = axis if isinstance(axis, (tuple, list)) else (axis,)
    return tuple(_axis(int(i), ndim) for i in several)


# -- elementwise ----------------------------------------------------------------------


def _call(ufunc: np.ufunc, *xs: Any, out: Any = None, **kwargs: Any) -> Any:
    if "where" in kwargs:
        return NotImplemented
    if ufunc is np.matmul:
        y = matmul(*xs)
    elif ufunc.signature is not None:
        return NotImplemented
    elif level := level_of(xs):
        y = mapped(
            ufunc(*aligned(level, xs), **kwargs), lambda v: BatchedArray(level, v)
        )
    else:  # the target alone is batched
        y = ufunc(*xs, **kwargs)
    if out is None:
        return y
    if len(out) > 1:
        return NotImplemented
    require_batched(f"np.{ufunc.__name__} with out", out[0], level_of((y, out)))
    out[0][...] = y
    return out[0]


def _reduce(ufunc: np.ufunc, x: Any, axis: Any = 0, **kwargs: Any) -> Any:
    if kwargs.get("out") is not None or "where" in kwargs or level_of(kwargs):
        return NotImplemented
    kwargs.pop("out", None)
    value, axes = _reduced_axes(x, axis, kwargs)
    return BatchedArray(x.level, ufunc.reduce(value, axis=axes, **kwargs))


def _reduced_axes(x: Any, axis: Any, kwargs: dict[str, Any]) -> Any:
    """What to reduce along which axes; where there are none, along one of length 1."""
    axes = _axes(axis, x.ndim)
    if axes:
        return x.value, axes
    kwargs.pop("keepdims", None)
    return x.value[..., None], (x.ndim + 1,)


def _accumulate(ufunc: np.ufunc, x: Any, axis: int = 0, **kwargs: Any) -> Any:
    if kwargs.get("out") is not None:
        return NotImplemented
    return BatchedArray(x.level, ufunc.accumulate(x.value, _axis(axis, x.ndim)))


def _at(ufunc: np.ufunc, x: Any, index: Any, *values: Any) -> None:
    require_batched(f"np.{ufunc.__name__}.at", x, level_of((x, index, values)))
    place = place_of(x, index)
    ufunc.at(x.value, place.index, *map(place.arranged, values))


UFUNC_METHODS.update(
    {"__call__": _call, "reduce": _reduce, "accumulate": _accumulate, "at": _at}
)


@rule(np.where)
def _where(*xs: Any) -> Any:
    if len(xs) == 1:  # the shape would depend on the values
        return NotImplemented
    level = level_of(xs)
    return BatchedArray(level, np.where(*aligned(level, xs)))


@rule(np.clip)
def _clip(
    x: Any, a_min: Any = None, a_max: Any = None, out: Any = None, **kw: Any
) -> Any:
    low, high = kw.pop("min", a_min), kw.pop("max", a_max)
    if out is not None or kw:
        return NotImplemented
    given = [a for a in (x, low, high) if a is not None]
    level = level_of(given)
    values = iter(aligned(level, given))
    args = [None if a is None else next(values) for a in (x, low, high)]
    return BatchedArray(level, np.clip(*args))  # type: ignore[type-var]


@rule(np.copyto)
def _copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> None:
    level = level_of((dst, src, where))
    require_batched("np.copyto", dst, level)
    source, mask = aligned(level, [src, where], dst.ndim)
    np.copyto(dst.value, source, casting, mask)


def _of_values(function: Any) -> None:
    """A rule for what treats every number, or the last two axes, by itself."""

    def one_rule(x: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("out") is not None or level_of((args, kwargs)):
            return NotImplemented
        y = function(x.value, *args, **kwargs)
        return mapped(y, lambda v: BatchedArray(x.level, v))

    FUNCTIONS[function] = one_rule


_one: Any
for _one in (np.real, np.imag, np.copy, np.nan_to_num, np.round, np.around):
    _of_values(_one)
for _one in (np.linalg.inv, np.linalg.det, np.linalg.slogdet, np.linalg.cholesky):
    _of_values(_one)
for _one in (np.linalg.eigh, np.linalg.svd, np.linalg.qr, np.linalg.pinv):
    _of_values(_one)


@rule(np.tril)
def _tril(x: Any, k: int = 0) -> Any:
    return BatchedArray(x.level, np.tril(x.value, k)) if x.ndim > 1 else NotImplemented


@rule(np.triu)
def _triu(x: Any, k: int = 0) -> Any:
    return BatchedArray(x.level, np.triu(x.value, k)) if x.ndim > 1 else NotImplemented


# -- along axes -----------------------------------------------------------------------


def _reducing(function: Any) -> None:
    def one_rule(x: Any, axis: Any = None, *args: Any, **kwargs: Any) -> Any:
        if level_of((args, kwargs)) or args or kwargs.get("out") is not None:
            return NotImplemented
        value, axes = _reduced_axes(x, axis, kwargs)
        return BatchedArray(x.level, function(value, axes, **kwargs))

    FUNCTIONS[function] = one_rule


def _along_one(function: Any, default: int | None) -> None:
    """A rule for what works along one axis; along all, where it is ``None``."""

    def one_rule(x: Any, axis: Any = default, *args: Any, **kwargs: Any) -> Any:
        if level_of((args, kwargs)) or kwargs.get("out") is not None or not x.ndim:
            return NotImplemented
        if axis is None:
            if kwargs.get("keepdims"):
                return NotImplemented
            x, axis = x.reshape(-1), 0
        value = function(x.value, _axis(axis, x.ndim), *args, **kwargs)
        return BatchedArray(x.level, value)

    FUNCTIONS[function] = one_rule


for _one in (np.sum, np.prod, np.mean, np.var, np.std, np.max, np.min, np.any, np.all):
    _reducing(_one)
for _one in (np.argmax, np.argmin, np.cumsum, np.cumprod):
    _along_one(_one, None)
for _one in (np.sort, np.argsort):
    _along_one(_one, -1)


@rule(np.flip)
def _flip(m: Any, axis: Any = None) -> Any:
    return BatchedArray(m.level, np.flip(m.value, _axes(axis, m.ndim)))


@rule(np.roll)
def _roll(x: Any, shift: Any, axis: Any = None) -> Any:
    if axis is None:
        return _roll(x.reshape(-1), shift, 0).reshape(x.shape)
    axes = _axes(axis, x.ndim)
    return BatchedArray(
        x.level, np.roll(x.value, shift, axes if len(axes) > 1 else axes[0])
    )


@rule(np.repeat)
def _repeat(x: Any, repeats: Any, axis: Any = None) -> Any:
    if level_of(repeats):
        return NotImplemented
    if axis is None:
        x, axis = x.reshape(-1), 0
    return BatchedArray(x.level, np.repeat(x.value, repeats, _axis(axis, x.ndim)))


@rule(np.pad)
def _pad(x: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    if level_of(kwargs) or isinstance(pad_width, dict):
        return NotImplemented
    widths = np.broadcast_to(pad_width, (x.ndim, 2)).tolist()
    return BatchedArray(x.level, np.pad(x.value, [(0, 0), *widths], mode, **kwargs))


@rule(np.take_along_axis)
def _take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    if axis is None:
        return NotImplemented
    level, (x, places) = _lifted([arr, indices])
    return BatchedArray(
        level, np.take_along_axis(x, places, _axis(axis, np.ndim(x) - 1))
    )


# -- shapes ---------------------------------------------------------------------------


@rule(np.reshape)
def _reshape(x: Any, shape: Any, order: str = "C", **kwargs: Any) -> Any:
    if order != "C":
        return NotImplemented
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    known = math.prod(n for n in shape if n != -1)
    lengths = [x.size // known if n == -1 and known else n for n in shape]
    return BatchedArray(x.level, x.value.reshape((x.count, *lengths)))


@rule(np.ravel)
def _ravel(x: Any, order: str = "C") -> Any:
    return _reshape(x, -1, order)


@rule(np.transpose)
def _transpose(x: Any, axes: Any = None) -> Any:
    order = _axes(axes, x.ndim) if axes is not None else _axes(None, x.ndim)[::-1]
    return BatchedArray(x.level, x.value.transpose((0, *order)))


@rule(np.swapaxes)
def _swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    a, b = _axis(axis1, x.ndim), _axis(axis2, x.ndim)
    return BatchedArray(x.level, np.swapaxes(x.value, a, b))


@rule(np.moveaxis)
def _moveaxis(x: Any, source: Any, destination: Any) -> Any:
    a, b = _axes(source, x.ndim), _axes(destination, x.ndim)
    return BatchedArray(x.level, np.moveaxis(x.value, a, b))


@rule(np.expand_dims)
def _expand_dims(x: Any, axis: Any) -> Any:
    several = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = _axes(several, x.ndim + len(several))
    return BatchedArray(x.level, np.expand_dims(x.value, axes))


@rule(np.squeeze)
def _squeeze(x: Any, axis: Any = None) -> Any:
    ones = tuple(i + 1 for i, n in enumerate(x.shape) if n == 1)
    axes = ones if axis is None else _axes(axis, x.ndim)
    return BatchedArray(x.level, x.value.squeeze(axes)) if axes else x


@rule(np.broadcast_to)
def _broadcast_to(x: Any, shape: Any, **kwargs: Any) -> Any:
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    (value,) = aligned(x.level, [x], len(shape))
    return BatchedArray(x.level, np.broadcast_to(value, (x.count, *shape)))


@rule(np.concatenate)
def _concatenate(xs: Any, axis: Any = 0, **kwargs: Any) -> Any:
    if axis is None or kwargs.get("out") is not None:
        return NotImplemented
    level, values = _lifted(list(xs))
    y = np.concatenate(values, _axis(axis, np.ndim(values[0]) - 1), **kwargs)
    return BatchedArray(level, y)


@rule(np.stack)
def _stack(xs: Any, axis: int = 0, **kwargs: Any) -> Any:
    if kwargs.get("out") is not None:
        return NotImplemented
    level, values = _lifted(list(xs))
    return BatchedArray(
        level, np.stack(values, _axis(axis, np.ndim(values[0])), **kwargs)
    )


def _splitting(function: Any) -> None:
    def one_rule(x: Any, sections: Any, axis: int = 0) -> Any:
        parts = function(x.value, sections, _axis(axis, x.ndim))
        return [BatchedArray(x.level, part) for part in parts]

    FUNCTIONS[function] = one_rule


_splitting(np.split)
_splitting(np.array_split)


def _creating(function: Any) -> None:
    def one_rule(x: Any, *args: Any, shape: Any = None, **kwargs: Any) -> Any:
        if level_of((args, kwargs)):
            return NotImplemented
        if shape is not None:
            shape = (shape,) if isinstance(shape, (int, np.integer)) else shape
            kwargs["shape"] = (x.count, *shape)
        return BatchedArray(x.level, function(x.value, *args, **kwargs))

    FUNCTIONS[function] = one_rule


for _one in (np.zeros_like, np.ones_like, np.empty_like, np.full_like):
    _creating(_one)

FUNCTIONS[np.shape] = lambda x: x.shape
FUNCTIONS[np.ndim] = lambda x: x.ndim
FUNCTIONS[np.size] = lambda x, axis=None: x.size if axis is None else x.shape[axis]
FUNCTIONS[np.result_type] = lambda *xs: np.result_type(
    *(x.dtype if isinstance(x, BatchedArray) else x for x in xs)
)
