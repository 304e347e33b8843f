"""The same elements in another shape, order or type."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

from dezero.backend import Array, Shape
from dezero.core import Function, Variable, as_input
from dezero.core.broadcast import as_shape

Axis = int | tuple[int, ...] | None


def normalize_axis(operation: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """``axis`` as a tuple of axes counted from the front; ``None`` is all of them.

    Raises:
        TypeError: An axis is not an integer.
        ValueError: An axis is out of range or named twice.
    """
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    try:
        counted = tuple(index(i) + ndim if i < 0 else index(i) for i in axes)
    except TypeError:
        raise TypeError(
            f"{operation}: expected integers as axis, or None, got {axis!r}"
        ) from None
    if len(set(counted)) < len(counted) or not all(0 <= i < ndim for i in counted):
        allowed = f"from {-ndim} to {ndim - 1}, each once" if ndim else "None"
        raise ValueError(f"{operation}: expected axis {allowed}, got {axis}")
    return counted


class Reshape(Function):
    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        return x.reshape(self.shape)

    def backward(self, gy: Variable) -> Variable:
        return reshape(gy, self.x_shape)


def reshape(x: Any, shape: int | Sequence[int]) -> Variable:
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


def squeeze(x: Any, axis: int | tuple[int, ...] | None = None) -> Variable:
    """``x`` without its axes of length 1: all of them, or those in ``axis``.

    Raises:
        ValueError: There is no such axis, or its length is not 1.

    >>> squeeze(np.zeros((1, 2, 1)), axis=0).shape
    (2, 1)
    """
    x = as_input(x)
    axes = normalize_axis("squeeze", axis, x.ndim)
    if axis is not None and any(x.shape[i] != 1 for i in axes):
        raise ValueError(
            f"squeeze: expected axes of length 1, got axis {axis} of x {x.shape}"
        )
    return reshape(x, [n for i, n in enumerate(x.shape) if n != 1 or i not in axes])


def swapaxes(x: Any, axis1: int, axis2: int) -> Variable:
    """``x`` with two of its axes exchanged.

    Raises:
        ValueError: There is no such axis.

    >>> swapaxes(np.zeros((2, 3, 4)), 0, -1).shape
    (4, 3, 2)
    """
    x = as_input(x)
    (i,) = normalize_axis("swapaxes", axis1, x.ndim)
    (j,) = normalize_axis("swapaxes", axis2, x.ndim)
    axes = list(range(x.ndim))
    axes[i], axes[j] = j, i
    return transpose(x, tuple(axes))


def moveaxis(x: Any, source: Any, destination: Any) -> Variable:
    """``x`` with axes ``source`` moved to the places ``destination``; the others stay
    in their order.

    Raises:
        ValueError: There is no such axis, or there are not as many places as axes.

    >>> moveaxis(np.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = as_input(x)
    sources = normalize_axis("moveaxis", source, x.ndim)
    places = normalize_axis("moveaxis", destination, x.ndim)
    if len(sources) != len(places):
        raise ValueError(
            f"moveaxis: expected as many places as axes, got source {source} and "
            f"destination {destination}"
        )
    axes = [i for i in range(x.ndim) if i not in sources]
    for place, i in sorted(zip(places, sources, strict=True)):
        axes.insert(place, i)
    return transpose(x, tuple(axes))
