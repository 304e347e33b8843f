"""Many elements into one: sums, means, extremes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dezero.backend import Array, Shape
from dezero.core import BroadcastTo, Function, Variable, as_input, broadcast_to
from dezero.functions.elementwise import clip, exp
from dezero.functions.shape import Axis, astype, normalize_axis, reshape


def _filled_axes(operation: str, axis: Any, shape: Shape) -> tuple[int, ...]:
    """``axis`` as ``normalize_axis`` gives it, of something: there are elements."""
    axes = normalize_axis(operation, axis, len(shape))
    if not all(shape[i] for i in axes):
        raise ValueError(f"{operation}: expected elements along axis, got x {shape}")
    return axes


def kept_shape(shape: Shape, axes: tuple[int, ...]) -> Shape:
    """``shape`` with length 1 at the reduced axes, as ``keepdims=True`` leaves it."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def as_floating(x: Any) -> Variable:
    """``x`` as a Variable of floating type: integers, which cannot hold what
    exponentials and means give, become float64."""
    x = as_input(x)
    return astype(x, np.float64) if x.dtype.kind in "iub" else x


class Sum(Function):
    def __init__(self, axis: Axis = None, keepdims: bool = False) -> None:
        self.axis = axis
        self.keepdims = keepdims

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        return np.add.reduce(x, axis=self.axis, keepdims=self.keepdims)  # type: ignore[call-overload]

    def backward(self, gy: Variable) -> Variable:
        if self.axis is not None and not self.keepdims:
            axes = normalize_axis("sum", self.axis, len(self.x_shape))
            gy = reshape(gy, kept_shape(self.x_shape, axes))
        return BroadcastTo(self.x_shape)(gy)


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """The sum of the elements of ``x`` along ``axis``.

    Args:
        x: Variable or array.
        axis: An axis, several, or ``None`` for all.
        keepdims: Keep the summed axes, with length 1.

    Raises:
        ValueError: ``axis`` is out of range.

    >>> sum(np.array([[1, 2], [3, 4]]), axis=0)
    variable([4 6])
    """
    x = as_input(x)
    if axis is not None:
        axis = normalize_axis("sum", axis, x.ndim)
    return Sum(axis, keepdims)(x)


def average(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """The mean of the elements of ``x`` along ``axis``; ``mean`` is the same function.

    Raises:
        ValueError: ``axis`` is out of range, or there are no elements.

    >>> average(np.array([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    variable([2. 3.])
    """
    x = as_input(x)
    axes = _filled_axes("average", axis, x.shape)
    return sum(x, axis, keepdims) / math.prod(x.shape[i] for i in axes)


mean = average


class Max(Function):
    """The largest element. Of equal ones the first counts: it gets the gradient."""

    def __init__(self, axis: Axis = None, keepdims: bool = False) -> None:
        self.axis = axis
        self.keepdims = keepdims

    def forward(self, x: Array) -> Array:
        return x.max(axis=self.axis, keepdims=self.keepdims)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        y = self.output()
        axes = normalize_axis("max", self.axis, x.ndim)
        kept = kept_shape(x.shape, axes)
        chosen = first_equal(x.data, y.data.reshape(kept), axes)
        return broadcast_to(reshape(gy, kept), x.shape) * chosen


class Min(Max):
    """The smallest element. Of equal ones the first counts: it gets the gradient."""

    def forward(self, x: Array) -> Array:
        return x.min(axis=self.axis, keepdims=self.keepdims)


def first_equal(x: Array, y: Array, axes: tuple[int, ...]) -> Array:
    """Where along ``axes`` ``x`` equals ``y`` for the first time, as booleans.

    NaN equals NaN: it is what max and min give wherever there is one.
    """
    equal = (x == y) | ((x != x) & (y != y))
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    order = (*rest, *axes)
    rows = equal.transpose(order).reshape(*(x.shape[i] for i in rest), -1)
    first = rows & (rows.cumsum(axis=-1) == 1)
    back = np.argsort(order)
    return first.reshape([x.shape[i] for i in order]).transpose([int(i) for i in back])


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """The largest element of ``x`` along ``axis``.

    Of equal largest elements the first one gets the gradient, once. NaN wins.

    Raises:
        ValueError: ``axis`` is out of range, or there are no elements.

    >>> max(np.array([[1, 5], [3, 4]]), axis=1)
    variable([5 4])
    """
    x = as_input(x)
    return Max(_filled_axes("max", axis, x.shape), keepdims)(x)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """The smallest element of ``x`` along ``axis``.

    Of equal smallest elements the first one gets the gradient, once. NaN wins.

    Raises:
        ValueError: ``axis`` is out of range, or there are no elements.

    >>> min(np.array([[1, 5], [3, 4]]), axis=1)
    variable([1 3])
    """
    x = as_input(x)
    return Min(_filled_axes("min", axis, x.shape), keepdims)(x)


class LogSumExp(Function):
    def __init__(self, axis: Axis = None, keepdims: bool = False) -> None:
        self.axis = axis
        self.keepdims = keepdims

    def forward(self, x: Array) -> Array:
        largest = x.max(axis=self.axis, keepdims=True)
        total = np.exp(x - _finite(largest)).sum(axis=self.axis, keepdims=True)
        # The total is at least 1, but for elements that are all -inf.
        y = largest + np.log(np.maximum(total, 1))
        return y if self.keepdims else y.squeeze(self.axis)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        axes = normalize_axis("logsumexp", self.axis, x.ndim)
        # Not exp(x - y): where y is large, its last digits are missing.
        largest = x.data.max(axis=axes, keepdims=True)  # cancels: a constant
        e = exp(x - _finite(largest))
        total = clip(sum(e, axis=axes, keepdims=True), 1, None)
        return reshape(gy, kept_shape(x.shape, axes)) / total * e


def _finite(x: Array) -> Array:
    """``x`` with the largest numbers in place of inf, from which inf can be taken."""
    big = np.finfo(x.dtype).max
    return np.clip(x, -big, big)


def logsumexp(x: Any, axis: Axis = None, keepdims: bool = False) -> Variable:
    """``log(sum(exp(x)))`` along ``axis``, without overflow; -inf where all are.

    Raises:
        ValueError: ``axis`` is out of range.

    >>> logsumexp(np.array([[1000.0, 1000.0], [-np.inf, -np.inf]]), axis=1)
    variable([1000.69314718          -inf])
    """
    x = as_floating(x)
    return LogSumExp(normalize_axis("logsumexp", axis, x.ndim), keepdims)(x)
