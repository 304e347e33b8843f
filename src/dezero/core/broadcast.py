"""SumTo and BroadcastTo: each the other's derivative, and all the engine needs."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from dezero.backend import Array, Shape, get_array_module
from dezero.core.function import Function
from dezero.core.variable import Variable, as_input


def broadcasts(small: Shape, large: Shape) -> bool:
    """Whether an array of shape ``small`` broadcasts to exactly ``large``."""
    if len(small) > len(large):
        return False
    return all(
        s in (1, n) for s, n in zip(reversed(small), reversed(large), strict=False)
    )


def as_shape(operation: str, shape: Any) -> Shape:
    """``shape`` as a tuple; a number is the length of one axis."""
    try:
        if isinstance(shape, (int, np.integer)):
            return (index(shape),)
        return tuple(map(index, shape))
    except TypeError:
        raise TypeError(
            f"{operation}: expected a shape, such as (2, 3), got {shape!r}"
        ) from None


def sum_to_array(x: Array, shape: Shape) -> Array:
    """Sum a bare array over its leading axes and those where ``shape`` has 1."""
    lead = x.ndim - len(shape)
    kept = tuple(i + lead for i, n in enumerate(shape) if n == 1)
    if not kept:
        return np.add.reduce(x, axis=tuple(range(lead))) if lead else x
    y = x.sum(axis=(*range(lead), *kept), keepdims=True)
    return y.reshape(y.shape[lead:])


def broadcast_array(x: Array, shape: Shape) -> Array:
    """A bare array repeated to ``shape``: a view, or of one number a small array."""
    if type(x) is np.ndarray and not x.ndim:
        y = np.empty(shape, x.dtype)
        if y.size <= 4096:  # filling it takes less time than making a view
            y.fill(x)
            return y
    if type(x) is not np.ndarray or not x.flags.forc:
        return get_array_module(x).broadcast_to(x, shape)
    # What np.broadcast_to does, several times faster.
    strides = (0,) * (len(shape) - x.ndim)
    if x.ndim:
        strides += tuple(
            0 if n == 1 else s for n, s in zip(x.shape, x.strides, strict=True)
        )
    view = np.ndarray(shape, x.dtype, x, 0, strides)
    view.setflags(write=False)  # an element of x stands in many places of it
    return view


class SumTo(Function):
    """``forward`` sums, ``backward`` repeats."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        return sum_to_array(x, self.shape)

    def backward(self, gy: Variable) -> Variable:
        return broadcast_to(gy, self.x_shape)


class BroadcastTo(Function):
    """``forward`` repeats, ``backward`` sums."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        return broadcast_array(x, self.shape)

    def backward(self, gy: Variable) -> Variable:
        return sum_to(gy, self.x_shape)


def sum_to(x: Any, shape: Shape) -> Variable:
    """Sum ``x`` over axes until it has ``shape``: the reverse of broadcasting.

    Axes that ``shape`` lacks at the front, and those where it has 1, are summed. As
    in the book, where there are axes to drop the lengths of the others are not
    looked at.

    Args:
        x: Variable or array.
        shape: A shape that broadcasts to that of ``x``.

    Raises:
        TypeError: ``shape`` is no shape.
        ValueError: ``shape`` has more axes than ``x``, or as many of other lengths.

    >>> import numpy as np
    >>> sum_to(np.array([[1, 2, 3], [4, 5, 6]]), (1, 3))
    variable([[5 7 9]])
    """
    x = as_input(x)
    shape = as_shape("sum_to", shape)
    if x.shape == shape:
        return x
    if len(shape) >= x.ndim and not broadcasts(shape, x.shape):
        raise ValueError(
            f"sum_to: expected a shape that broadcasts to {x.shape}, got {shape}"
        )
    return SumTo(shape)(x)


def broadcast_to(x: Any, shape: Shape) -> Variable:
    """Repeat ``x`` along axes of length one, and new leading ones, up to ``shape``.

    Args:
        x: Variable or array.
        shape: A shape to which that of ``x`` broadcasts.

    Raises:
        TypeError: ``shape`` is no shape.
        ValueError: The shape of ``x`` does not broadcast to ``shape``.

    >>> import numpy as np
    >>> broadcast_to(np.array([1, 2]), (2, 2))
    variable([[1 2]
              [1 2]])
    """
    x = as_input(x)
    shape = as_shape("broadcast_to", shape)
    if x.shape == shape:
        return x
    if not broadcasts(x.shape, shape):
        raise ValueError(
            f"broadcast_to: expected a shape to which {x.shape} broadcasts, got {shape}"
        )
    return BroadcastTo(shape)(x)
