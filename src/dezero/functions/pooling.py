"""Pooling: of every window of an image, the largest element or the mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero.backend import Array, Shape, get_array_module
from dezero.backend.convolution import (
    Pair,
    Windows,
    im2col_array,
    inner,
    out_size,
    pad_images,
    pair,
    window_views,
)
from dezero.core import Function, Variable, as_input, broadcast_to
from dezero.functions.convolution import (
    checked_image,
    checked_windows,
    col2im,
    im2col,
)
from dezero.functions.reduction import max
from dezero.functions.shape import reshape


class Pooling(Function):
    """The largest element of each window. Of equal ones the first gets the gradient."""

    def __init__(self, kernel_size: Any, stride: Any = 1, pad: Any = 0) -> None:
        self.kernel_size = pair(kernel_size)
        self.stride = pair(stride)
        self.pad = pair(pad)

    def forward(self, x: Array) -> Array:
        x = pad_images(x, self.pad, lowest(x.dtype))
        return reduce_windows(np.maximum, x, self.kernel_size, self.stride)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        windows = self.kernel_size, self.stride, self.pad
        indexes = indexes_of_first(x.data, self.output().data, *windows)
        return Pooling2DGrad(indexes, x.shape, *windows)(gy)


class Pooling2DGrad(Function):
    """Each element of ``gy`` added to the one its window chose; zero elsewhere."""

    def __init__(
        self,
        indexes: Array,
        x_shape: Shape,
        kernel_size: Any,
        stride: Any = 1,
        pad: Any = 0,
    ) -> None:
        self.indexes = indexes
        self.x_shape = x_shape
        self.windows = pair(kernel_size), pair(stride), pair(pad)

    def forward(self, gy: Array) -> Array:
        (KH, KW), (SH, SW), (PH, PW) = self.windows
        N, C, H, W = self.x_shape
        gx = get_array_module(gy).zeros_like(  # in memory laid out as x was
            self.indexes, gy.dtype, shape=(N, C, H + 2 * PH, W + 2 * PW)
        )
        views = window_views(gx, (KH, KW), (SH, SW), gy.shape[2:])
        for i, view in enumerate(views):
            if KH <= SH and KW <= SW:  # no windows overlap
                np.multiply(gy, self.indexes == i, out=view)
            else:
                view += gy * (self.indexes == i)
        return inner(gx, (PH, PW))

    def backward(self, ggx: Variable) -> Variable:
        return Pooling2DWithIndexes(self.indexes, *self.windows)(ggx)


class Pooling2DWithIndexes(Function):
    """Of each window the element at its index, however large."""

    def __init__(
        self, indexes: Array, kernel_size: Any, stride: Any = 1, pad: Any = 0
    ) -> None:
        self.indexes = indexes
        self.windows = pair(kernel_size), pair(stride), pair(pad)

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        kernel_size, stride, pad = self.windows
        xp = get_array_module(x)
        y = xp.zeros(self.indexes.shape, x.dtype)
        x = pad_images(x, pad)
        for i, view in enumerate(window_views(x, kernel_size, stride, y.shape[2:])):
            xp.copyto(y, view, where=self.indexes == i)
        return y

    def backward(self, gy: Variable) -> Variable:
        return Pooling2DGrad(self.indexes, self.x_shape, *self.windows)(gy)


def reduce_windows(ufunc: np.ufunc, x: Array, kernel_size: Pair, stride: Pair) -> Array:
    """``ufunc.reduce`` of each window: down its columns first, then along the row."""
    (KH, KW), (SH, SW) = kernel_size, stride
    OH, OW = out_size(x.shape, kernel_size, stride, (0, 0))
    rows = window_views(x, (KH, 1), (SH, 1), (OH, x.shape[3]))
    y = _reduce(ufunc, list(rows))
    return _reduce(ufunc, list(window_views(y, (1, KW), (1, SW), (OH, OW))))


def _reduce(ufunc: np.ufunc, views: list[Array]) -> Array:
    if len(views) == 1:
        return views[0].copy("K")
    y = ufunc(views[0], views[1])
    for view in views[2:]:
        ufunc(y, view, out=y)
    return y


def indexes_of_first(
    x: Array, y: Array, kernel_size: Pair, stride: Pair, pad: Pair
) -> Array:
    """Which element of its window each maximum in ``y`` is, as an integer.

    Of equal ones the first, where NaN counts as infinity.
    """
    xp = get_array_module(x)
    x = pad_images(x, pad, lowest(x.dtype))
    views = list(window_views(x, kernel_size, stride, y.shape[2:]))
    indexes = xp.zeros_like(y, np.min_scalar_type(len(views)))
    free = xp.ones_like(y, bool)  # windows whose maximum is still to be found
    bound = np.fmin(y, np.inf) if y.dtype.kind == "f" else y
    for i, view in enumerate(views):
        found = free > (view < bound)
        free ^= found
        indexes += found * indexes.dtype.type(i)
    return indexes


def lowest(dtype: np.dtype[Any]) -> Any:
    """The value of a type that is larger than no other."""
    if dtype.kind == "f":
        return -np.inf
    return False if dtype.kind == "b" else np.iinfo(dtype).min


def pooling(x: Any, kernel_size: Any, stride: Any = 1, pad: Any = 0) -> Variable:
    """The largest element of every window of the images ``x``: max pooling.

    The border is lower than any element. Of equal largest elements the first one of
    the window, row by row, gets the gradient. NaN wins.

    Args:
        x: Images (N, C, H, W).
        kernel_size: Height and width of the window, or one integer for both.
        stride: The step from window to window; likewise.
        pad: The width of the border; likewise, and smaller than the window.

    Returns:
        (N, C, OH, OW), where ``OH = (H + 2 pad - KH) // stride + 1``.

    Raises:
        ValueError: ``x`` has not four axes, no window fits, or one could lie outside
            the image.

    >>> pooling(np.arange(16.0).reshape(1, 1, 4, 4), kernel_size=2, stride=2)
    variable([[[[ 5.  7.]
                [13. 15.]]]])
    """
    x, windows = _checked_max("pooling", x, kernel_size, stride, pad)
    return Pooling(*windows)(x)


def pooling_simple(x: Any, kernel_size: Any, stride: Any = 1, pad: Any = 0) -> Variable:
    """``pooling`` as the largest element of each row of ``im2col``.

    >>> pooling_simple(np.arange(16.0).reshape(1, 1, 4, 4), kernel_size=2, stride=2)
    variable([[[[ 5.  7.]
                [13. 15.]]]])
    """
    x, windows = _checked_max("pooling_simple", x, kernel_size, stride, pad)
    col = im2col(x, *windows, to_matrix=False)  # (N, C, KH, KW, OH, OW)
    inside = im2col_array(get_array_module(x).ones_like(x.data), *windows, False)
    border = np.where(inside, 0, lowest(x.dtype)).astype(x.dtype)
    return max(col + border, axis=(2, 3))


class AveragePooling(Function):
    """The mean of each window, the border of zeros included."""

    def __init__(self, kernel_size: Any, stride: Any = 1, pad: Any = 0) -> None:
        self.kernel_size = pair(kernel_size)
        self.stride = pair(stride)
        self.pad = pair(pad)

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        KH, KW = self.kernel_size
        x = pad_images(x, self.pad)
        return reduce_windows(np.add, x, (KH, KW), self.stride) / (KH * KW)

    def backward(self, gy: Variable) -> Variable:
        KH, KW = self.kernel_size
        N, C, OH, OW = gy.shape
        parts = reshape(gy / (KH * KW), (N, C, 1, 1, OH, OW))
        col = broadcast_to(parts, (N, C, KH, KW, OH, OW))
        return col2im(col, self.x_shape, (KH, KW), self.stride, self.pad, False)


def average_pooling(
    x: Any, kernel_size: Any, stride: Any = 1, pad: Any = 0
) -> Variable:
    """The mean of every window of the images ``x``; zeros of the border count.

    Args:
        x: Images (N, C, H, W).
        kernel_size: Height and width of the window, or one integer for both.
        stride: The step from window to window; likewise.
        pad: The width of the border of zeros; likewise.

    Returns:
        (N, C, OH, OW), where ``OH = (H + 2 pad - KH) // stride + 1``.

    Raises:
        ValueError: ``x`` has not four axes, or no window fits.

    >>> average_pooling(np.arange(16.0).reshape(1, 1, 4, 4), kernel_size=2, stride=2)
    variable([[[[ 2.5  4.5]
                [10.5 12.5]]]])
    """
    x, windows = _checked("average_pooling", x, kernel_size, stride, pad)
    return AveragePooling(*windows)(x)


def _checked(
    operation: str, x: Any, kernel_size: Any, stride: Any, pad: Any
) -> tuple[Variable, Windows]:
    x = checked_image(operation, as_input(x))
    return x, checked_windows(operation, x.shape, kernel_size, stride, pad)


def _checked_max(
    operation: str, x: Any, kernel_size: Any, stride: Any, pad: Any
) -> tuple[Variable, Windows]:
    x, windows = _checked(operation, x, kernel_size, stride, pad)
    (KH, KW), _, (PH, PW) = windows
    if PH >= KH or PW >= KW:
        raise ValueError(
            f"{operation}: expected pad smaller than the kernel {KH, KW}, so that no "
            f"window lies outside the images, got {PH, PW}"
        )
    return x, windows
