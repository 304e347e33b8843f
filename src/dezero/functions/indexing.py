"""Elements by their place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dezero.backend import Array, Shape, get_array_module
from dezero.backend.batching import BatchedArray, indexed, level_of, zeros_for
from dezero.backend.tracing import is_traced, kernel, require
from dezero.core import Function, Variable, as_input, sum_to
from dezero.functions.reduction import sum
from dezero.functions.selection import where
from dezero.functions.shape import astype, reshape


def _bare(index: Any) -> Any:
    """An index in which Variables are replaced by their arrays."""
    if isinstance(index, tuple):
        return tuple(_bare(i) for i in index)
    return index.data if isinstance(index, Variable) else index


def _repeats(index: Any) -> bool:
    """Whether an index can name one element twice: only arrays of integers can."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(
        isinstance(i, list) or (hasattr(i, "dtype") and i.ndim and i.dtype.kind != "b")
        for i in parts
    )


@kernel
def _rows_added(rows: Array, index: Array, count: int) -> Array:
    """(count, ...) zeros, to which each row is added at the place that ``index`` says:
    the gradient of an embedding."""
    y = np.zeros((count, *rows.shape[index.ndim :]), rows.dtype)
    if is_traced(rows):  # as one operation, for which there is native code
        np.add.at(y, index, rows)
        return y
    places = index.reshape(-1, 1) % count
    width = math.prod(y.shape[1:])
    # By one flat index, add.at is ten times faster than row by row.
    places = places * width + np.arange(width)
    np.add.at(y.reshape(-1), places.reshape(-1), rows.reshape(-1))
    return y


class GetItem(Function):
    def __init__(self, slices: Any) -> None:
        self.slices = slices

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        return indexed(x, self.slices)

    def backward(self, gy: Variable) -> Variable:
        return GetItemGrad(self.slices, self.x_shape)(gy)


class GetItemGrad(Function):
    """Zeros, to which each element is added at its place: the reverse of GetItem."""

    def __init__(self, slices: Any, shape: Shape) -> None:
        self.slices = slices
        self.shape = shape

    def forward(self, gy: Array) -> Array:
        xp = get_array_module(gy)
        if BatchedArray.ever and level_of((gy, self.slices)):
            gx = zeros_for(self.shape, gy.dtype, gy, self.slices)
        elif hasattr(self.slices, "dtype") and _repeats(self.slices) and xp is np:
            return _rows_added(gy, self.slices.astype(np.int64), self.shape[0])
        else:
            gx = xp.zeros(self.shape, dtype=gy.dtype)
        if _repeats(self.slices):
            xp.add.at(gx, self.slices, gy)
        else:
            gx[self.slices] = gy
        return gx

    def backward(self, ggx: Variable) -> Variable:
        return get_item(ggx, self.slices)


def get_item(x: Any, slices: Any) -> Variable:
    """``x[slices]``: NumPy's indexing, by slices, integers, booleans or arrays.

    An element taken twice gets both gradients.

    Raises:
        IndexError: An index is out of range.

    >>> get_item(np.array([[1, 2, 3], [4, 5, 6]]), (slice(None), [0, 2]))
    variable([[1 3]
              [4 6]])
    """
    x = as_input(x)
    slices = _bare(slices)
    try:
        y: Variable = GetItem(slices)(x)
    except IndexError as error:
        raise IndexError(
            f"get_item: expected an index that fits x {x.shape}, got one where {error}"
        ) from None
    return y


class SetItem(Function):
    def __init__(self, slices: Any) -> None:
        self.slices = slices

    def forward(self, x: Array, value: Array) -> Array:
        y = x.copy()
        y[self.slices] = value
        return y

    def backward(self, gy: Variable) -> tuple[Variable | None, Variable | None]:
        x, value = self.inputs
        gx = SetItem(self.slices)(gy, 0) if x.requires_grad else None
        return gx, self._arrived(gy, value) if value.requires_grad else None

    def _arrived(self, gy: Variable, value: Variable) -> Variable:
        """The gradient at the places that ``value`` was written to."""
        xp = get_array_module(gy)
        shape = value.shape
        if value.size == 1:  # without x[mask], the length of which nobody knows
            written = xp.zeros(gy.shape, bool)
            written[self.slices] = True
            return reshape(sum(where(written, gy, 0)), shape)
        g = get_item(gy, self.slices)
        if _repeats(self.slices):  # the last that was written to a place is there
            numbers = xp.arange(g.size).reshape(g.shape)
            places = xp.zeros(gy.shape, int)
            places[self.slices] = numbers
            g = where(places[self.slices] == numbers, g, 0)
        # As NumPy has it, value may have more axes, of length 1, at its front.
        return reshape(sum_to(g, shape[max(len(shape) - g.ndim, 0) :]), shape)


def set_item(x: Any, slices: Any, value: Any) -> Variable:
    """``x`` with ``value`` in the place of ``x[slices]``; ``x`` itself stays as it is.

    This is what ``x[slices] = value`` makes of a Variable. Written twice to one place,
    the last one is there, and it gets the gradient.

    Args:
        x: Variable or array.
        slices: As NumPy indexes: slices, integers, booleans or arrays.
        value: Variable, array or number that broadcasts to ``x[slices]``.

    Raises:
        IndexError: An index is out of range.
        TypeError: ``x`` is of integers, and a gradient is asked of ``value``.
        ValueError: ``value`` does not broadcast to ``x[slices]``.

    >>> set_item(np.array([1.0, 2.0, 3.0]), slice(1), 0)
    variable([0. 2. 3.])
    """
    x, value, slices = as_input(x), as_input(value), _bare(slices)
    if value.requires_grad and value.dtype.kind in "fc":
        if x.dtype.kind not in "fc":
            raise TypeError(
                "set_item: expected x of a floating type, as value has a gradient, "
                f"got {x.dtype}; write x.astype({value.dtype})"
            )
        if value.dtype != x.dtype:
            value = astype(value, x.dtype)
    try:
        return SetItem(slices)(x, value)
    except IndexError as error:
        raise IndexError(
            f"set_item: expected an index that fits x {x.shape}, got one where {error}"
        ) from None
    except ValueError:
        raise ValueError(
            f"set_item: expected a value that broadcasts to x[slices] "
            f"{x.data[slices].shape}, got {value.shape}"
        ) from None


def embed_id(x: Any, W: Any) -> Variable:
    """The rows of ``W`` (vocabulary, features) that the integers in ``x`` name.

    Args:
        x: Integers of any shape.
        W: The embedding matrix.

    Raises:
        TypeError: ``x`` is not of an integer type.
        IndexError: An integer is not from 0 to the number of rows less one.

    >>> embed_id(np.array([1, 0]), np.array([[0.0, 0.5], [1.0, 1.5]]))
    variable([[1.  1.5]
              [0.  0.5]])
    """
    ids, W = as_input(x).data, as_input(W)
    if ids.dtype.kind not in "iu":
        raise TypeError(
            f"embed_id: expected integers, got {ids.dtype}; write x.astype(np.int64)"
        )
    if ids.size:
        shape = W.shape
        require(
            (ids.min() >= 0) & (ids.max() < shape[0]),
            lambda low, high: IndexError(
                f"embed_id: expected ids from 0 to {shape[0] - 1} for W {shape}, got "
                f"from {low} to {high}"
            ),
            ids,
        )
    return get_item(W, ids)
