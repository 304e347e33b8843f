"""Convolution, its transpose, and its derivative by the weights.

The three are products of two of x, W and gy, and each one's derivatives are the other
two: a closed set, so that derivatives of any order come out. The arithmetic is in
``backend/convolution.py``.
"""

from __future__ import annotations

from typing import Any

from dezero.backend import Array, Shape
from dezero.backend.convolution import (
    Pair,
    Windows,
    col2im_array,
    convolve,
    convolve_transposed,
    correlate,
    get_deconv_outsize,
    im2col_array,
    out_size,
    pair,
)
from dezero.core import Function, Variable, as_input
from dezero.functions.linalg import linear
from dezero.functions.reduction import sum
from dezero.functions.shape import reshape, transpose


class Conv2d(Function):
    """``x`` (N, C, H, W), ``W`` (O, C, KH, KW), ``b`` (O,) to (N, O, OH, OW)."""

    def __init__(self, stride: Any = 1, pad: Any = 0) -> None:
        self.stride = pair(stride)
        self.pad = pair(pad)

    def forward(self, x: Array, W: Array, b: Array | None = None) -> Array:
        return convolve(x, W, self.stride, self.pad, b)

    def multiply_adds(self, xs: list[Array], ys: tuple[Array, ...]) -> int:
        return ys[0].size * xs[1][0].size

    def backward(self, gy: Variable) -> tuple[Variable | None, ...]:
        x, W, *b = self.inputs
        gx = gW = None
        if x.requires_grad:
            gx = Deconv2d(self.stride, self.pad, x.shape[2:])(gy, W)
        if W.requires_grad:
            gW = Conv2DGradW(W.shape[2:], self.stride, self.pad)(x, gy)
        return gx, gW, *(sum(sum(gy, axis=(2, 3)), axis=0) for _ in b)


class Deconv2d(Function):
    """``x`` (N, C, H, W), ``W`` (C, O, KH, KW), ``b`` (O,) to (N, O, *outsize)."""

    def __init__(self, stride: Any = 1, pad: Any = 0, outsize: Any = None) -> None:
        self.stride = pair(stride)
        self.pad = pair(pad)
        self.outsize = None if outsize is None else pair(outsize)

    def forward(self, x: Array, W: Array, b: Array | None = None) -> Array:
        outsize = self.outsize
        if outsize is None:
            outsize = _deconv_size(x.shape, W.shape[2:], self.stride, self.pad)
        return convolve_transposed(x, W, self.stride, self.pad, outsize, b)

    def multiply_adds(self, xs: list[Array], ys: tuple[Array, ...]) -> int:
        return xs[0].size * xs[1][0].size

    def backward(self, gy: Variable) -> tuple[Variable | None, ...]:
        x, W, *b = self.inputs
        gx = gW = None
        if x.requires_grad:
            gx = Conv2d(self.stride, self.pad)(gy, W)
        if W.requires_grad:
            gW = Conv2DGradW(W.shape[2:], self.stride, self.pad)(gy, x)
        return gx, gW, *(sum(sum(gy, axis=(2, 3)), axis=0) for _ in b)


class Conv2DGradW(Function):
    """``x`` (N, C, H, W), ``gy`` (N, O, OH, OW) to the gradient (O, C, KH, KW)."""

    def __init__(self, kernel_size: Any, stride: Any = 1, pad: Any = 0) -> None:
        self.kernel_size = pair(kernel_size)
        self.stride = pair(stride)
        self.pad = pair(pad)

    def forward(self, x: Array, gy: Array) -> Array:
        return correlate(x, gy, self.kernel_size, self.stride, self.pad)

    def backward(self, ggW: Variable) -> tuple[Variable | None, Variable | None]:
        x, gy = self.inputs
        gx = ggy = None
        if x.requires_grad:
            gx = Deconv2d(self.stride, self.pad, x.shape[2:])(gy, ggW)
        if gy.requires_grad:
            ggy = Conv2d(self.stride, self.pad)(x, ggW)
        return gx, ggy


def conv2d(x: Any, W: Any, b: Any = None, stride: Any = 1, pad: Any = 0) -> Variable:
    """Slide the filters ``W`` over the images ``x``: the convolutional layer.

    ``y[n, o, i, j] = b[o] + sum over c, h, w of
    W[o, c, h, w] * x[n, c, i * stride + h - pad, j * stride + w - pad]``,
    with zeros around the images. As is the custom, the filters are not flipped.

    Args:
        x: Images (N, C, H, W).
        W: Filters (O, C, KH, KW).
        b: (O,), or ``None``.
        stride: The step from window to window; an integer, or one for height and one
            for width.
        pad: The width of the border of zeros; likewise.

    Returns:
        (N, O, OH, OW), where ``OH = (H + 2 pad - KH) // stride + 1``.

    Raises:
        ValueError: The shapes do not go together, or no window fits.

    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d(x, np.ones((1, 1, 2, 2)))
    variable([[[[ 8. 12.]
                [20. 24.]]]])
    """
    x, W, *bias = _checked_filters("conv2d", x, W, b, x_axis=1)
    _, stride, pad = checked_windows("conv2d", x.shape, W.shape[2:], stride, pad)
    return Conv2d(stride, pad)(x, W, *bias)


def conv2d_simple(
    x: Any, W: Any, b: Any = None, stride: Any = 1, pad: Any = 0
) -> Variable:
    """``conv2d`` as one product of the matrix of all windows, as the book writes it.

    >>> conv2d_simple(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)))
    variable([[[[4. 4.]
                [4. 4.]]]])
    """
    x, W, *bias = _checked_filters("conv2d_simple", x, W, b, x_axis=1)
    windows = checked_windows("conv2d_simple", x.shape, W.shape[2:], stride, pad)
    OH, OW = out_size(x.shape, *windows)
    col = im2col(x, *windows)  # (N * OH * OW, C * KH * KW)
    y = linear(col, transpose(reshape(W, (len(W), -1))), *bias)
    return transpose(reshape(y, (len(x), OH, OW, len(W))), (0, 3, 1, 2))


def deconv2d(
    x: Any, W: Any, b: Any = None, stride: Any = 1, pad: Any = 0, outsize: Any = None
) -> Variable:
    """The transposed convolution: what ``conv2d`` gathers, this spreads out.

    Each element of ``x`` lays ``W`` times itself over a window of the result; where
    windows overlap they add up. By ``x`` it is the derivative of ``conv2d`` with the
    same ``W``, ``stride`` and ``pad``.

    Args:
        x: Images (N, C, H, W).
        W: Filters (C, O, KH, KW).
        b: (O,), or ``None``.
        stride: The step from window to window; an integer, or one for height and one
            for width.
        pad: The width of the border that is cut off the result; likewise.
        outsize: Height and width of the result. Several sizes fit where the stride is
            above 1; the default is the smallest, ``stride (H - 1) + KH - 2 pad``.

    Returns:
        (N, O, *outsize).

    Raises:
        ValueError: The shapes do not go together, or ``outsize`` does not fit.

    >>> deconv2d(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)))
    variable([[[[1. 2. 1.]
                [2. 4. 2.]
                [1. 2. 1.]]]])
    """
    x, W, *bias = _checked_filters("deconv2d", x, W, b, x_axis=0)
    stride = checked_pair("deconv2d", "stride", stride, least=1)
    pad = checked_pair("deconv2d", "pad", pad, least=0)
    least = _deconv_size(x.shape, W.shape[2:], stride, pad)
    most = tuple(n + s - 1 for n, s in zip(least, stride, strict=True))
    if outsize is None:
        outsize = least
    outsize = checked_pair("deconv2d", "outsize", outsize)
    if not all(a <= n <= z for a, n, z in zip(least, outsize, most, strict=True)):
        raise ValueError(
            f"deconv2d: expected outsize from {least} to {most}, which conv2d takes "
            f"back to x {x.shape}, got {outsize}"
        )
    if min(outsize) < 1:
        raise ValueError(
            f"deconv2d: expected pad to leave some of the result of x {x.shape} and W "
            f"{W.shape}, got pad {pad}, which leaves {outsize}"
        )
    return Deconv2d(stride, pad, outsize)(x, W, *bias)


class Im2col(Function):
    def __init__(
        self, kernel_size: Any, stride: Any, pad: Any, to_matrix: bool = True
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = stride
        self.pad = pad
        self.to_matrix = to_matrix

    def forward(self, x: Array) -> Array:
        self.x_shape = x.shape
        return im2col_array(x, self.kernel_size, self.stride, self.pad, self.to_matrix)

    def backward(self, gy: Variable) -> Variable:
        return Col2im(
            self.x_shape, self.kernel_size, self.stride, self.pad, self.to_matrix
        )(gy)


class Col2im(Function):
    def __init__(
        self,
        input_shape: Shape,
        kernel_size: Any,
        stride: Any,
        pad: Any,
        to_matrix: bool = True,
    ) -> None:
        self.input_shape = input_shape
        self.kernel_size = kernel_size
        self.stride = stride
        self.pad = pad
        self.to_matrix = to_matrix

    def forward(self, x: Array) -> Array:
        return col2im_array(
            x, self.input_shape, self.kernel_size, self.stride, self.pad, self.to_matrix
        )

    def backward(self, gy: Variable) -> Variable:
        return Im2col(self.kernel_size, self.stride, self.pad, self.to_matrix)(gy)


def im2col(
    x: Any, kernel_size: Any, stride: Any = 1, pad: Any = 0, to_matrix: bool = True
) -> Variable:
    """The windows that a convolution of images ``x`` looks through.

    Args:
        x: Images (N, C, H, W).
        kernel_size: Height and width of the window, or one integer for both.
        stride: The step from window to window; likewise.
        pad: The width of the border of zeros; likewise.
        to_matrix: Whether each window is a row of a matrix.

    Returns:
        (N * OH * OW, C * KH * KW) if ``to_matrix``, else (N, C, KH, KW, OH, OW).

    Raises:
        ValueError: ``x`` has not four axes, or no window fits.

    >>> im2col(np.zeros((1, 3, 7, 7)), kernel_size=5).shape
    (9, 75)
    """
    x = checked_image("im2col", as_input(x))
    windows = checked_windows("im2col", x.shape, kernel_size, stride, pad)
    return Im2col(*windows, to_matrix)(x)


def col2im(
    x: Any,
    input_shape: Shape,
    kernel_size: Any,
    stride: Any = 1,
    pad: Any = 0,
    to_matrix: bool = True,
) -> Variable:
    """Images of ``input_shape`` in which every window of ``x`` is added at its place.

    The transpose of ``im2col``, whose arguments and result it takes.

    Raises:
        ValueError: ``x`` is not of the shape that ``im2col`` gives for such images.

    >>> col2im(np.ones((4, 4)), (1, 1, 3, 3), kernel_size=2)
    variable([[[[1. 2. 1.]
                [2. 4. 2.]
                [1. 2. 1.]]]])
    """
    x, input_shape = as_input(x), tuple(input_shape)
    if len(input_shape) != 4:
        raise ValueError(
            f"col2im: expected input_shape as (N, C, H, W), got {input_shape}"
        )
    windows = checked_windows("col2im", input_shape, kernel_size, stride, pad)
    (N, C, *_), (KH, KW) = input_shape, windows[0]
    OH, OW = out_size(input_shape, *windows)
    expected = (N * OH * OW, C * KH * KW) if to_matrix else (N, C, KH, KW, OH, OW)
    if x.shape != expected:
        raise ValueError(
            f"col2im: expected x of shape {expected} for images {input_shape}, "
            f"got {x.shape}"
        )
    return Col2im(input_shape, *windows, to_matrix)(x)


# -- checks ---------------------------------------------------------------------------


def checked_pair(operation: str, name: str, x: Any, least: int | None = None) -> Pair:
    """``x`` as a pair of integers, neither of them below ``least``.

    Raises:
        TypeError: ``x`` is neither an integer nor two of them.
        ValueError: One is below ``least``.
    """
    try:
        checked = pair(x)
    except TypeError:
        raise TypeError(
            f"{operation}: expected {name} as an integer or two of them, got {x!r}"
        ) from None
    if least is not None and min(checked) < least:
        raise ValueError(f"{operation}: expected {name} of at least {least}, got {x}")
    return checked


def checked_image(operation: str, x: Variable) -> Variable:
    """``x``, if it has the four axes of a batch of images.

    Raises:
        ValueError: It has not.
    """
    if x.ndim != 4:
        hint = "; write x[np.newaxis] for a batch of one" if x.ndim == 3 else ""
        raise ValueError(
            f"{operation}: expected x of shape (N, C, H, W), got x {x.shape}{hint}"
        )
    return x


def checked_windows(
    operation: str, x_shape: Shape, kernel_size: Any, stride: Any, pad: Any
) -> Windows:
    """Kernel size, stride and pad as pairs, if such a window fits into the images.

    Raises:
        TypeError: One of them is neither an integer nor two of them.
        ValueError: One of them is too small, or the window too large.
    """
    kernel_size = checked_pair(operation, "kernel_size", kernel_size, least=1)
    stride = checked_pair(operation, "stride", stride, least=1)
    pad = checked_pair(operation, "pad", pad, least=0)
    padded = tuple(n + 2 * p for n, p in zip(x_shape[2:], pad, strict=True))
    if kernel_size[0] > padded[0] or kernel_size[1] > padded[1]:
        raise ValueError(
            f"{operation}: expected a kernel no larger than the padded images "
            f"{padded}, got {kernel_size}"
        )
    return kernel_size, stride, pad


def _checked_filters(
    operation: str, x: Any, W: Any, b: Any, x_axis: int
) -> tuple[Variable, ...]:
    """x, W and, if given, b; ``x_axis`` of W are the channels of x."""
    x, W = checked_image(operation, as_input(x)), as_input(W)
    axes = "(in, out, KH, KW)" if x_axis == 0 else "(out, in, KH, KW)"
    if W.ndim != 4:
        raise ValueError(f"{operation}: expected W of shape {axes}, got W {W.shape}")
    if x.shape[1] != W.shape[x_axis]:
        raise ValueError(
            f"{operation}: expected x with {W.shape[x_axis]} channels to match W "
            f"{W.shape}, got x {x.shape}"
        )
    if b is None:
        return x, W
    b, channels = as_input(b), W.shape[1 - x_axis]
    if b.shape != (channels,):
        raise ValueError(
            f"{operation}: expected b of shape ({channels},) to match W {W.shape}, "
            f"got b {b.shape}"
        )
    return x, W, b


def _deconv_size(x_shape: Shape, kernel_size: Pair, stride: Pair, pad: Pair) -> Pair:
    H, W = map(get_deconv_outsize, x_shape[2:], kernel_size, stride, pad)
    return H, W
