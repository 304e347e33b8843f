"""Spread, length, products, and running totals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dezero.backend import Array, get_array_module
from dezero.core import Function, Variable, as_input
from dezero.functions.arithmetic import absolute
from dezero.functions.arrangement import flip
from dezero.functions.indexing import get_item
from dezero.functions.joining import concat
from dezero.functions.reduction import as_floating, average, kept_shape, max, sum
from dezero.functions.selection import where
from dezero.functions.shape import Axis, moveaxis, normalize_axis, reshape


def var(x: Any, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Variable:
    """The variance of ``x`` along ``axis``: ``sum((x - mean(x)) ** 2) / (n - ddof)``.

    Args:
        x: Variable or array.
        axis: An axis, several, or ``None`` for all.
        ddof: What to take from the number ``n`` of elements; 1 for the estimate from a
            sample.
        keepdims: Keep the axes, with length 1.

    Raises:
        ValueError: ``axis`` is out of range, or there are no more than ``ddof``
            elements.

    >>> var(np.array([1.0, 2.0, 3.0, 4.0]))
    variable(1.25)
    """
    centered, count = _centered("var", x, axis, ddof)
    return sum(centered * centered, axis, keepdims) / count


def std(x: Any, axis: Axis = None, ddof: float = 0, keepdims: bool = False) -> Variable:
    """The standard deviation of ``x`` along ``axis``: the root of ``var``.

    Where all elements are equal its derivative is taken as 0.

    Raises:
        ValueError: As for ``var``.

    >>> std(np.array([1.0, 3.0]))
    variable(1.0)
    """
    centered, count = _centered("std", x, axis, ddof)
    return norm(centered, None, axis, keepdims) / math.sqrt(count)


def _centered(
    operation: str, x: Any, axis: Axis, ddof: float
) -> tuple[Variable, float]:
    x = as_floating(x)
    axes = normalize_axis(operation, axis, x.ndim)
    count = math.prod(x.shape[i] for i in axes)
    if count <= ddof:
        raise ValueError(
            f"{operation}: expected more than {ddof} elements along axis, got x "
            f"{x.shape}"
        )
    return x - average(x, axes, keepdims=True), count - ddof


class Norm(Function):
    """The root of the sum of squares. At 0 its derivatives are taken as 0."""

    def __init__(self, axis: tuple[int, ...], keepdims: bool) -> None:
        self.axis = axis
        self.keepdims = keepdims

    def forward(self, x: Array) -> Array:
        return np.sqrt((x * x).sum(axis=self.axis, keepdims=self.keepdims))

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        kept = kept_shape(x.shape, self.axis)
        y, gy = reshape(self.output(), kept), reshape(gy, kept)
        zero = y.data == 0
        return x * (where(zero, 0, gy) / where(zero, 1, y))


def norm(
    x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False
) -> Variable:
    """The length of the vectors in ``x`` along ``axis``.

    By ``ord``: 2 or ``None`` is the root of the sum of squares, 1 the sum of absolute
    values, ``np.inf`` the largest of them. At 0 the derivative is taken as 0.

    Args:
        x: Variable or array.
        ord: ``None``, 1, 2 or ``np.inf``; but for ``None``, the vectors have one axis.
        axis: Their axis; with ``ord=None``, several, or ``None`` for all.
        keepdims: Keep the axes, with length 1.

    Raises:
        ValueError: There is no such ``ord`` or ``axis``.

    >>> norm(np.array([3.0, 4.0]))
    variable(5.0)
    >>> norm(np.array([[3.0, -4.0]]), ord=1, axis=1)
    variable([7.])
    """
    x = as_floating(x)
    axes = normalize_axis("norm", axis, x.ndim)
    if ord not in (None, 1, 2, np.inf):
        raise ValueError(f"norm: expected ord None, 1, 2 or np.inf, got {ord!r}")
    if ord is not None and len(axes) != 1:
        raise ValueError(
            f"norm: expected one axis for ord {ord}, got axis {axis} of x {x.shape}; "
            "the norms of matrices follow from svd(x)"
        )
    if ord == 1:
        return sum(absolute(x), axes, keepdims)
    if ord == np.inf:
        return max(absolute(x), axes, keepdims)
    return Norm(axes, keepdims)(x)


# -- products: from halves, without a division, so that zeros are no exception ---------


def prod(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """The product of the elements of ``x`` along ``axis``.

    Its derivatives are right where elements are 0, too.

    Raises:
        ValueError: ``axis`` is out of range.

    >>> prod(np.array([[1, 2], [3, 4]]), axis=0)
    variable([3 8])
    """
    x = as_input(x)
    axes = normalize_axis("prod", axis, x.ndim)
    kept = kept_shape(x.shape, axes)
    x = moveaxis(x, axes, tuple(range(len(axes))))
    rest = x.shape[len(axes) :]
    y = reshape(x, (math.prod(x.shape[: len(axes)]), *rest))
    if not len(y):
        y = as_input(get_array_module(y).ones((1, *rest), y.dtype))
    while len(y) > 1:
        half = len(y) // 2
        product = y[:half] * y[half : 2 * half]
        y = concat([product, y[2 * half :]]) if len(y) % 2 else product
    return reshape(y, kept if keepdims else rest)


def cumprod(x: Any, axis: int | None = None) -> Variable:
    """The product of each element of ``x`` with all before it, along ``axis``.

    Its derivatives are right where elements are 0, too.

    Args:
        x: Variable or array.
        axis: An axis, or ``None`` for all elements in a row.

    Raises:
        ValueError: There is no such axis.

    >>> cumprod(np.array([1, 2, 3, 4]))
    variable([ 1  2  6 24])
    """
    x = as_input(x)
    if axis is None:
        return cumprod(reshape(x, -1), 0)
    (axis,) = normalize_axis("cumprod", axis, x.ndim)
    lead = (slice(None),) * axis
    step = 1
    while step < x.shape[axis]:  # every y is the product of the last step elements
        head = get_item(x, (*lead, slice(step)))
        longer = get_item(x, (*lead, slice(step, None)))
        x = concat([head, longer * get_item(x, (*lead, slice(-step)))], axis)
        step *= 2
    return x


class CumSum(Function):
    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        return np.cumsum(x, axis=self.axis)

    def backward(self, gy: Variable) -> Variable:
        return flip(cumsum(flip(gy, self.axis), self.axis), self.axis)


def cumsum(x: Any, axis: int | None = None) -> Variable:
    """The sum of each element of ``x`` and all before it, along ``axis``.

    Args:
        x: Variable or array.
        axis: An axis, or ``None`` for all elements in a row.

    Raises:
        ValueError: There is no such axis.

    >>> cumsum(np.array([1, 2, 3, 4]))
    variable([ 1  3  6 10])
    """
    x = as_input(x)
    if axis is None:
        return cumsum(reshape(x, -1), 0)
    (axis,) = normalize_axis("cumsum", axis, x.ndim)
    return CumSum(axis)(x)
