"""Elements along an axis: taken by their places, added to places, sorted."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero.backend import Array, Shape, get_array_module
from dezero.backend.tracing import require
from dezero.core import Variable, as_input, broadcast_to
from dezero.core.broadcast import broadcasts
from dezero.functions.indexing import GetItemGrad, get_item
from dezero.functions.shape import normalize_axis, reshape


def gather(x: Any, index: Any, axis: int) -> Variable:
    """``y[i, j, k] = x[i, index[i, j, k], k]`` for ``axis`` 1: elements along an axis.

    An element taken twice gets both gradients.

    Args:
        x: Variable or array.
        index: Integers, with the axes of ``x``; along the others it may be shorter.
        axis: The axis along which they count.

    Returns:
        The shape of ``index``.

    Raises:
        IndexError: An integer does not fit the axis.
        TypeError: ``index`` is not of an integer type.
        ValueError: The shapes do not go together, or there is no such axis.

    >>> gather(np.array([[1, 2], [3, 4]]), np.array([[0, 0], [1, 0]]), 1)
    variable([[1 1]
              [4 3]])
    """
    x = as_input(x)
    return get_item(x, _places("gather", x.shape, index, axis))


def scatter_add(x: Any, index: Any, values: Any, axis: int) -> Variable:
    """``x`` with every element of ``values`` added at its place along an axis.

    For ``axis`` 1, ``values[i, j, k]`` goes to the place ``[i, index[i, j, k], k]``. It
    is what the derivative of ``gather`` does; ``x`` itself stays as it is.

    Args:
        x: Variable or array.
        index: Integers, with the axes of ``x``; along the others it may be shorter.
        values: Variable, array or number that broadcasts to ``index``.
        axis: The axis along which the integers count.

    Raises:
        IndexError: An integer does not fit the axis.
        TypeError: ``index`` is not of an integer type.
        ValueError: The shapes do not go together, or there is no such axis.

    >>> scatter_add(np.zeros(3), np.array([0, 2, 2]), np.array([1.0, 2.0, 3.0]), 0)
    variable([1. 0. 5.])
    """
    x, values = as_input(x), as_input(values)
    places = _places("scatter_add", x.shape, index, axis)
    shape = as_input(index).shape
    if not broadcasts(values.shape, shape):
        raise ValueError(
            f"scatter_add: expected values that broadcast to index {shape}, got "
            f"{values.shape}"
        )
    return x + GetItemGrad(places, x.shape)(broadcast_to(values, shape))


def take_along_axis(x: Any, indices: Any, axis: int | None = -1) -> Variable:
    """Elements of ``x`` along ``axis``, as ``np.argsort`` and its like name them.

    As ``gather``, but as in NumPy the other axes broadcast.

    Args:
        x: Variable or array.
        indices: Integers, with the axes of ``x``.
        axis: The axis along which they count, or ``None`` for all elements in a row.

    Raises:
        IndexError: An integer does not fit the axis.
        TypeError: ``indices`` is not of an integer type.
        ValueError: The shapes do not go together, or there is no such axis.

    >>> take_along_axis(np.array([[3, 1], [2, 4]]), np.array([[1], [0]]), axis=1)
    variable([[1]
              [2]])
    """
    x = as_input(x)
    if axis is None:
        x, axis = reshape(x, -1), 0
    return get_item(x, _places("take_along_axis", x.shape, indices, axis, stretch=True))


def _places(
    operation: str, shape: Shape, index: Any, axis: Any, stretch: bool = False
) -> tuple[Array, ...]:
    """The index of arrays that takes from each axis but one what stands in line."""
    (axis,) = normalize_axis(operation, axis, len(shape))
    index = as_input(index).data
    xp = get_array_module(index)
    if index.dtype.kind not in "iu":
        raise TypeError(
            f"{operation}: expected integers, got {index.dtype}; write "
            "index.astype(np.int64)"
        )
    fits = index.ndim == len(shape) and all(
        i == axis or (n == m or 1 in (n, m) if stretch else n <= m)
        for i, (n, m) in enumerate(zip(index.shape, shape, strict=True))
    )
    if not fits:
        raise ValueError(
            f"{operation}: expected an index with the axes of x {shape}, "
            + ("that broadcasts" if stretch else "not longer")
            + f" but for axis {axis}, got {index.shape}"
        )
    length = shape[axis]
    if index.size:
        require(
            (index.min() >= -length) & (index.max() < length),
            lambda low, high: IndexError(
                f"{operation}: expected integers from {-length} to {length - 1} for "
                f"axis {axis} of x {shape}, got from {low} to {high}"
            ),
            index,
        )
    lengths = shape if stretch else index.shape
    return tuple(
        index
        if i == axis
        else xp.arange(n).reshape([-1 if i == j else 1 for j in range(len(shape))])
        for i, n in enumerate(lengths)
    )


def sort(x: Any, axis: int | None = -1) -> Variable:
    """``x`` in ascending order along ``axis``, NaN last.

    Each gradient goes back to where its element came from; equal ones keep their order.

    Args:
        x: Variable or array.
        axis: An axis, or ``None`` for all elements in a row.

    Raises:
        ValueError: There is no such axis.

    >>> sort(np.array([3.0, 1.0, 2.0]))
    variable([1. 2. 3.])
    """
    x = as_input(x)
    if axis is None:
        return sort(reshape(x, -1), 0)
    (axis,) = normalize_axis("sort", axis, x.ndim)
    return take_along_axis(x, np.argsort(x.data, axis, kind="stable"), axis)


def topk(
    x: Any, k: int, axis: int = -1, largest: bool = True
) -> tuple[Variable, Array]:
    """The ``k`` largest elements of ``x`` along ``axis``, and their places.

    Of equal ones the first come first. NaN counts as larger than all else.

    Args:
        x: Variable or array.
        k: How many.
        axis: The axis.
        largest: Whether the largest, in descending order; else the smallest, ascending.

    Returns:
        The elements, differentiable, and a plain array of integers.

    Raises:
        ValueError: There is no such axis, or there are fewer than ``k`` elements.

    >>> topk(np.array([3.0, 1.0, 2.0]), 2)
    (variable([3. 2.]), array([0, 2]))
    """
    x = as_input(x)
    (axis,) = normalize_axis("topk", axis, x.ndim)
    length = x.shape[axis]
    if not 0 <= k <= length:
        raise ValueError(
            f"topk: expected k from 0 to {length} for axis {axis} of x {x.shape}, "
            f"got {k}"
        )
    data = x.data
    if largest:  # from behind, so that of equal ones the first is the last
        data = np.flip(data, axis)
    order = np.argsort(data, axis, kind="stable")
    if largest:
        order = length - 1 - np.flip(order, axis)
    indices = order[(*(slice(None),) * axis, slice(k))]
    return take_along_axis(x, indices, axis), indices
