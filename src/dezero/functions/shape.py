"""The same elements in another shape, order or type."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from dezero.backend import Array, Shape, get_array_module
from dezero.core import Function, Variable, as_input
from dezero.core.broadcast import as_shape


class Reshape(Function):
    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        return x.reshape(self.shape)

    def backward(self, gy: Variable) -> Variable:
        return reshape(gy, self.x_shape)


def reshape(x: Any, shape: int | Shape) -> Variable:
    """The elements of ``x``, in order, in another shape; one length may be -1.

    Raises:
        TypeError: ``shape`` is no shape.
        ValueError: ``shape`` does not hold as many elements.

    >>> reshape(np.arange(6), (2, -1))
    variable([[0 1 2]
              [3 4 5]])
    """
    x = as_input(x)
    shape = as_shape("reshape", shape)
    if x.shape == shape:
        return x
    known = math.prod(n for n in shape if n != -1)
    fits = known == x.size if -1 not in shape else known and x.size % known == 0
    if not fits or shape.count(-1) > 1 or min(shape, default=0) < -1:
        raise ValueError(
            f"reshape: expected a shape of {x.size} elements for x {x.shape}, "
            f"got {shape}"
        )
    shape = tuple(x.size // known if n == -1 else n for n in shape)
    return x if x.shape == shape else Reshape(shape)(x)


def flatten(x: Any) -> Variable:
    """``x`` of shape (N, ...) as a matrix (N, product of the rest).

    Raises:
        ValueError: ``x`` has no axes.

    >>> flatten(np.zeros((2, 3, 4))).shape
    (2, 12)
    """
    x = as_input(x)
    if not x.ndim:
        raise ValueError("flatten: expected x with at least one axis, got x ()")
    return reshape(x, (len(x), math.prod(x.shape[1:])))


def expand_dims(x: Any, axis: int) -> Variable:
    """``x`` with a new axis of length 1, which becomes axis number ``axis``.

    Raises:
        ValueError: There is no such place for an axis.

    >>> expand_dims(np.zeros((2, 3)), -1).shape
    (2, 3, 1)
    """
    x = as_input(x)
    if not -x.ndim - 1 <= axis <= x.ndim:
        raise ValueError(
            f"expand_dims: expected axis from {-x.ndim - 1} to {x.ndim} for x "
            f"{x.shape}, got {axis}"
        )
    axis %= x.ndim + 1
    return reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


class Transpose(Function):
    def __init__(self, axes: tuple[int, ...] | None = None) -> None:
        self.axes = axes

    def forward(self, x: Array) -> Array:
        return x.transpose(self.axes)

    def backward(self, gy: Variable) -> Variable:
        if self.axes is None:
            return transpose(gy)
        return transpose(gy, tuple(int(i) for i in np.argsort(self.axes)))


def transpose(x: Any, axes: tuple[int, ...] | None = None) -> Variable:
    """``x`` with its axes reversed, or in the order ``axes``.

    Raises:
        ValueError: ``axes`` does not name every axis once.

    >>> transpose(np.zeros((2, 3, 4)), (1, 2, 0)).shape
    (3, 4, 2)
    """
    x = as_input(x)
    if axes is not None:
        named = tuple(i + x.ndim if i < 0 else i for i in axes)
        if sorted(named) != list(range(x.ndim)):
            raise ValueError(
                f"transpose: expected axes that name 0 to {x.ndim - 1} once each for x "
                f"{x.shape}, got {tuple(axes)}"
            )
        axes = named
    return Transpose(axes)(x)


class AsType(Function):
    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def forward(self, x: Array) -> Array:
        self.x_dtype = x.dtype
        return x.astype(self.dtype)

    def backward(self, gy: Variable) -> Variable:
        return astype(gy, self.x_dtype)


def astype(x: Any, dtype: Any) -> Variable:
    """``x`` with its elements as another type; integers and booleans are constants.

    >>> astype(np.array([1.5]), np.float32).dtype
    dtype('float32')
    """
    if np.dtype(dtype).kind not in "fc":
        return as_input(as_input(x).data.astype(dtype))
    return AsType(dtype)(x)


class Copy(Function):
    def forward(self, x: Array) -> Array:
        return x.copy("K")

    def backward(self, gy: Variable) -> Variable:
        return gy


def copy(x: Any) -> Variable:
    """A copy of ``x``, differentiable: the way to keep a value one will write over.

    >>> copy(np.array([1.0]))
    variable([1.])
    """
    return Copy()(x)


class Concat(Function):
    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, *xs: Array) -> Array:
        return get_array_module(xs[0]).concatenate(xs, axis=self.axis)

    def backward(self, gy: Variable) -> tuple[Variable | None, ...]:
        gxs = []
        start = 0
        for x in self.inputs:
            stop = start + x.shape[self.axis]
            place = (*(slice(None),) * self.axis, slice(start, stop))
            gxs.append(gy[place] if x.requires_grad else None)
            start = stop
        return tuple(gxs)


def concat(xs: Iterable[Any], axis: int = 0) -> Variable:
    """Several ``x`` one behind the other, along an axis that they have.

    Raises:
        ValueError: There is none; or they differ in an axis other than ``axis``.

    >>> concat([np.array([[1], [2]]), np.array([[3, 4], [5, 6]])], axis=1)
    variable([[1 3 4]
              [2 5 6]])
    """
    xs = [as_input(x) for x in xs]
    shapes = [x.shape for x in xs]
    if not xs:
        raise ValueError("concat: expected one array or more, got none")
    if not -xs[0].ndim <= axis < xs[0].ndim:
        raise ValueError(
            f"concat: expected axis from {-xs[0].ndim} to {xs[0].ndim - 1} for x "
            f"{shapes[0]}, got {axis}"
        )
    axis %= xs[0].ndim
    others = {(*shape[:axis], *shape[axis + 1 :], len(shape)) for shape in shapes}
    if len(others) > 1:
        raise ValueError(
            f"concat: expected shapes that are equal but for axis {axis}, got "
            + ", ".join(map(str, shapes))
        )
    return Concat(axis)(*xs)
