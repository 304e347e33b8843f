"""Windows that slide over images: the arithmetic of convolution on bare arrays.

Images are (N, C, H, W). A convolution is one matrix product per block of images: the
windows of a block are laid out as the columns of a matrix, in a buffer that stays in
cache, and the weights multiply it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dezero.backend import Array, Shape, get_array_module

Pair = tuple[int, int]
Windows = tuple[Pair, Pair, Pair]  # kernel size, stride, pad

# The columns of one block: small enough to stay in cache between copy and product.
BLOCK_BYTES = 1 << 20


def pair(x: Any) -> Pair:
    """``x`` for height and width: ``3`` and ``(3, 3)`` both mean (3, 3).

    Raises:
        ValueError: ``x`` has not two elements.

    >>> pair(3)
    (3, 3)
    """
    if isinstance(x, (int, np.integer)):
        return int(x), int(x)
    if isinstance(x, (tuple, list, np.ndarray)) and len(x) == 2:
        return int(x[0]), int(x[1])
    raise ValueError(f"pair: expected an integer or two of them, got {x!r}")


def get_conv_outsize(input_size: int, kernel_size: int, stride: int, pad: int) -> int:
    """How many windows fit along an axis: ``(input + 2 pad - kernel) // stride + 1``.

    >>> get_conv_outsize(4, 3, 1, 1)
    4
    """
    return (input_size + pad * 2 - kernel_size) // stride + 1


def get_deconv_outsize(size: int, k: int, s: int, p: int) -> int:
    """The length that ``size`` windows cover: ``stride (size - 1) + kernel - 2 pad``.

    >>> get_deconv_outsize(4, 3, 1, 1)
    4
    """
    return s * (size - 1) + k - 2 * p


def pad_images(x: Array, pad: Pair, value: float = 0) -> Array:
    """``x`` with ``value`` around every image; with negative ``pad``, cut off."""
    if pad == (0, 0):
        return x
    PH, PW = pad
    N, C, H, W = x.shape
    xp = get_array_module(x)
    padded = xp.full((N, C, H + 2 * PH, W + 2 * PW), value, x.dtype)
    inner(padded, pad)[...] = inner(x, (-PH, -PW))
    return padded


def inner(x: Array, pad: Pair) -> Array:
    """A view of ``x`` without the outermost ``pad`` rows and columns, if positive."""
    PH, PW = (max(p, 0) for p in pad)
    return x[:, :, PH : x.shape[2] - PH, PW : x.shape[3] - PW]


def window_views(
    x: Array, kernel_size: Pair, stride: Pair, out_size: Pair
) -> Iterator[Array]:
    """For each place in the window, in order: what all the windows have there.

    Views of (N, C, OH, OW), through which ``x`` can be written, too.
    """
    (KH, KW), (SH, SW), (OH, OW) = kernel_size, stride, out_size
    for h in range(KH):
        for w in range(KW):
            yield x[:, :, h : h + SH * OH : SH, w : w + SW * OW : SW]


def out_size(x_shape: Shape, kernel_size: Pair, stride: Pair, pad: Pair) -> Pair:
    """The number of windows along height and width."""
    OH, OW = map(get_conv_outsize, x_shape[2:], kernel_size, stride, pad)
    return OH, OW


def im2col_array(
    img: Array, kernel_size: Any, stride: Any, pad: Any, to_matrix: bool = True
) -> Array:
    """The windows of images, each a row of a matrix, as a bare array.

    Args:
        img: (N, C, H, W).
        to_matrix: (N * OH * OW, C * KH * KW) if true, else (N, C, KH, KW, OH, OW).

    >>> im2col_array(np.arange(9).reshape(1, 1, 3, 3), 2, 1, 0)
    array([[0, 1, 3, 4],
           [1, 2, 4, 5],
           [3, 4, 6, 7],
           [4, 5, 7, 8]])
    """
    kernel_size, stride, pad = pair(kernel_size), pair(stride), pair(pad)
    N, C = img.shape[:2]
    KH, KW = kernel_size
    OH, OW = out_size(img.shape, kernel_size, stride, pad)
    img = pad_images(img, pad)
    col = get_array_module(img).empty((N, C, KH, KW, OH, OW), img.dtype)
    views = window_views(img, kernel_size, stride, (OH, OW))
    for i, view in enumerate(views):
        col[:, :, i // KW, i % KW] = view
    if to_matrix:
        return col.transpose(0, 4, 5, 1, 2, 3).reshape(N * OH * OW, C * KH * KW)
    return col


def col2im_array(
    col: Array,
    img_shape: Shape,
    kernel_size: Any,
    stride: Any,
    pad: Any,
    to_matrix: bool = True,
) -> Array:
    """Images in which every window is added at its place: im2col's transpose.

    Args:
        col: (N * OH * OW, C * KH * KW) if ``to_matrix``, else (N, C, KH, KW, OH, OW).
        img_shape: (N, C, H, W).

    >>> col2im_array(np.ones((4, 4), int), (1, 1, 3, 3), 2, 1, 0)
    array([[[[1, 2, 1],
             [2, 4, 2],
             [1, 2, 1]]]])
    """
    kernel_size, stride, pad = pair(kernel_size), pair(stride), pair(pad)
    N, C, H, W = img_shape
    KH, KW = kernel_size
    OH, OW = out_size(img_shape, kernel_size, stride, pad)
    if to_matrix:
        col = col.reshape(N, OH, OW, C, KH, KW).transpose(0, 3, 4, 5, 1, 2)
    padded_shape = (N, C, H + 2 * pad[0], W + 2 * pad[1])
    img = get_array_module(col).zeros(padded_shape, col.dtype)
    views = window_views(img, kernel_size, stride, (OH, OW))
    for i, view in enumerate(views):
        view += col[:, :, i // KW, i % KW]
    return inner(img, pad)


def column_blocks(
    x: Array, kernel_size: Pair, stride: Pair, pad: Pair
) -> Iterator[tuple[slice, Array]]:
    """The windows of a few images at a time, as columns: (C * KH * KW, n * OH * wide).

    With stride 1 a row of windows goes on over the right edge to where the next row
    begins: ``wide`` is the padded width, and the last KW - 1 columns of each row hold
    what nobody asked for. In return one row of the matrix, all that the windows of a
    channel have at one place, is a single run of memory, which copies at full speed.

    Yields which images, and a matrix that the next step overwrites.
    """
    xp = get_array_module(x)
    (KH, KW), (SH, SW) = kernel_size, stride
    OH, OW = out_size(x.shape, kernel_size, stride, pad)
    N, C = x.shape[:2]
    wide = row_width(x.shape, kernel_size, stride, pad)
    if wide > OW:  # the last row of windows runs on over the end of the last image
        H, W = (n + 2 * p for n, p in zip(x.shape[2:], pad, strict=True))
        flat = xp.zeros(N * C * H * W + KW - 1, x.dtype)
        padded = flat[: N * C * H * W].reshape(N, C, H, W)
        inner(padded, pad)[...] = inner(x, (-pad[0], -pad[1]))
    else:
        padded = pad_images(x, pad)
    sn, sc, sh, sw = padded.strides
    windows = xp.lib.stride_tricks.as_strided(
        padded,
        (C, KH, KW, N, OH, wide),
        (sc, sh, sw, sn, sh * SH, sw * SW),
    )
    rows, size = C * KH * KW, OH * wide
    n = images_per_block(rows * size * x.itemsize, N)
    buffer = xp.empty(rows * n * size, x.dtype)
    for start in range(0, N, n):
        block = windows[:, :, :, start : start + n]
        col = buffer[: block.size]
        col.reshape(block.shape)[...] = block
        yield slice(start, start + n), col.reshape(rows, -1)


def row_width(x_shape: Shape, kernel_size: Pair, stride: Pair, pad: Pair) -> int:
    """The columns that ``column_blocks`` makes for one row of windows."""
    if stride == (1, 1):
        return int(x_shape[3] + 2 * pad[1])
    return out_size(x_shape, kernel_size, stride, pad)[1]


def images_per_block(bytes_per_image: int, images: int) -> int:
    return max(1, min(images, BLOCK_BYTES // max(1, bytes_per_image)))


def convolve(
    x: Array, W: Array, stride: Pair, pad: Pair, b: Array | None = None
) -> Array:
    """Every window of ``x`` times ``W``: (N, C, H, W) to (N, O, OH, OW).

    Args:
        x: (N, C, H, W).
        W: (O, C, KH, KW).
        b: (O,), added to every window's result.
    """
    xp = get_array_module(x)
    O, kernel_size = W.shape[0], W.shape[2:]  # noqa: E741
    OH, OW = out_size(x.shape, kernel_size, stride, pad)
    wide = row_width(x.shape, kernel_size, stride, pad)
    weights = W.reshape(O, -1)
    y = xp.empty((len(x), O, OH, OW), np.result_type(x, W))
    for images, col in column_blocks(x, kernel_size, stride, pad):
        product = np.matmul(weights, col).reshape(O, -1, OH, wide)
        product = product.transpose(1, 0, 2, 3)[..., :OW]
        if b is None:
            y[images] = product
        else:
            np.add(product, b[:, None, None], out=y[images])
    return y


def convolve_transposed(
    x: Array,
    W: Array,
    stride: Pair,
    pad: Pair,
    outsize: Pair,
    b: Array | None = None,
) -> Array:
    """Every element of ``x`` times ``W``, added up where the windows lie.

    The transpose of ``convolve``: (N, C, H, W) to (N, O, *outsize).

    Args:
        x: (N, C, H, W).
        W: (C, O, KH, KW).
        b: (O,), added to every element of the result.
    """
    xp = get_array_module(x)
    (N, C, H, width), (_, O, KH, KW) = x.shape, W.shape  # noqa: E741
    (PH, PW), (OH, OW) = pad, outsize
    if stride == (1, 1) and 2 * H * width >= OH * OW:
        # What an element adds to, seen from there: a convolution by W turned around.
        turned = W[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
        return convolve(x, turned, stride, (KH - 1 - PH, KW - 1 - PW), b)
    weights = W.reshape(C, -1).T
    y = xp.zeros((N, O, OH + 2 * PH, OW + 2 * PW), np.result_type(x, W))
    n = images_per_block(weights.shape[0] * H * width * y.itemsize, N)
    for start in range(0, N, n):
        block = x[start : start + n]
        col = np.matmul(weights, block.transpose(1, 0, 2, 3).reshape(C, -1))
        col = col.reshape(O, KH * KW, -1, H, width).transpose(1, 2, 0, 3, 4)
        views = window_views(y[start : start + n], (KH, KW), stride, (H, width))
        for view, part in zip(views, col, strict=True):
            view += part
    y = inner(y, pad)
    return y if b is None else y + b[:, None, None]


def correlate(x: Array, gy: Array, kernel_size: Pair, stride: Pair, pad: Pair) -> Array:
    """Every window of ``x`` times what ``gy`` has there, added up: (O, C, KH, KW).

    The derivative of ``convolve(x, W, ...)`` by ``W``, weighted with ``gy``.

    Args:
        x: (N, C, H, W).
        gy: (N, O, OH, OW).
    """
    xp = get_array_module(x)
    O, OH, OW = gy.shape[1:]  # noqa: E741
    C = x.shape[1]
    wide = row_width(x.shape, kernel_size, stride, pad)
    gW = xp.zeros((O, C * kernel_size[0] * kernel_size[1]), np.result_type(x, gy))
    for images, col in column_blocks(x, kernel_size, stride, pad):
        block = gy[images]
        weights = xp.zeros((O, len(block), OH, wide), gy.dtype)
        weights[..., :OW] = block.transpose(1, 0, 2, 3)
        gW += np.matmul(weights.reshape(O, -1), col.T)
    return gW.reshape(O, C, *kernel_size)
