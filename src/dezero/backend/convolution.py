"""Windows that slide over images: the arithmetic of convolution on bare arrays.

Images are (N, C, H, W). A convolution is one matrix product per block of images: the
windows of a block are laid out as the columns of a matrix, in a buffer that stays in
cache, and the weights multiply it. That is NumPy's way, which runs everywhere; the
compiler has another, native one for the same three functions.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from dezero.backend import Array, Shape, get_array_module
from dezero.backend.batching import BatchedArray, level_of
from dezero.backend.threads import in_shares
from dezero.backend.tracing import kernel, one_operation

Result = TypeVar("Result")
F = TypeVar("F", bound=Callable[..., Any])
Pair = tuple[int, int]
Windows = tuple[Pair, Pair, Pair]  # kernel size, stride, pad


def of_images(function: F) -> F:
    """A function of images (N, ...), for which those of a batch are more images.

    It does so where all else is the same for all examples. A shape among the arguments
    is that of the images.
    """

    @functools.wraps(function)
    def call(x: Array, *args: Any, **kwargs: Any) -> Array:
        if type(x) is not BatchedArray or level_of((args, kwargs)) >= x.level:
            return function(x, *args, **kwargs)
        count = x.count
        given = [
            (count * a[0], *a[1:]) if isinstance(a, tuple) and len(a) == 4 else a
            for a in args
        ]
        y = call(x.value.reshape(count * len(x), *x.shape[1:]), *given, **kwargs)
        y = y.reshape(count, len(y) // count, *y.shape[1:])
        return BatchedArray(x.level, y)

    return call  # type: ignore[return-value]


def pair(x: Any) -> Pair:
    """``x`` for height and width: ``3`` and ``(3, 3)`` both mean (3, 3).

    Raises:
        TypeError: ``x`` is neither an integer nor two of them.

    >>> pair(3)
    (3, 3)
    """
    if isinstance(x, (int, np.integer)):
        return int(x), int(x)
    if isinstance(x, (tuple, list)) and len(x) == 2:
        height, width = x
        if isinstance(height, (int, np.integer)) and isinstance(
            width, (int, np.integer)
        ):
            return int(height), int(width)
    raise TypeError(f"pair: expected an integer or two of them, got {x!r}")


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
    padded = xp.full_like(x, value, shape=(N, C, H + 2 * PH, W + 2 * PW))
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


@of_images
@one_operation
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


@of_images
@one_operation
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
    img = get_array_module(col).zeros_like(col[:, :, 0, 0], shape=padded_shape)
    views = window_views(img, kernel_size, stride, (OH, OW))
    for i, view in enumerate(views):
        view += col[:, :, i // KW, i % KW]
    return inner(img, pad)


# -- convolution ----------------------------------------------------------------------

# Inside, images are (N, H, W, C), "channels last". There a window is KH runs of memory,
# each KW * C long, which copy at full speed, and one product of a matrix of windows by
# the weights gives the result in the same layout. It is returned as a view of shape
# (N, C, H, W). NumPy's elementwise functions keep the layout: from layer to layer
# nothing is transposed.

Block = tuple[slice, slice]  # some images; some rows of their windows

# The windows of one block stay in cache between copy and product, but are enough to
# be worth the time that BLAS needs to prepare the weights.
BLOCK_BYTES = 1 << 19
BLOCK_WINDOWS = 512


def channels_last(x: Array) -> Array:
    """(N, C, H, W) as a view (N, H, W, C)."""
    return x.transpose(0, 2, 3, 1)


def channels_first(x: Array) -> Array:
    """(N, H, W, C) as a view (N, C, H, W)."""
    return x.transpose(0, 3, 1, 2)


def blocks_of(images: int, size: Pair, bytes_per_window: int) -> list[Block]:
    """All windows, ``size`` of them in each image, in blocks of about one size."""
    OH, OW = size
    windows = max(BLOCK_WINDOWS, BLOCK_BYTES // bytes_per_window)
    n, rows = _even(images, windows // (OH * OW)), _even(OH, windows // OW)
    return [
        (slice(i, min(i + n, images)), slice(row, min(row + rows, OH)))
        for i in range(0, images, n)
        for row in range(0, OH, rows)
    ]


def _even(total: int, most: int) -> int:
    """The step, up to ``most`` but at least 1, that cuts ``total`` most evenly."""
    steps = max(1, -(-total // max(1, most)))
    return max(1, -(-total // steps))


def windows_of_blocks(
    x: Array, kernel_size: Pair, stride: Pair, pad: Pair, blocks: list[Block]
) -> Iterator[tuple[Block, Array]]:
    """Each block with its windows as the rows of a matrix, (n, KH * KW * C).

    ``x`` is (N, H, W, C). The next step overwrites the matrix.
    """
    (KH, KW), (SH, SW), (PH, PW) = kernel_size, stride, pad
    H, W, C = x.shape[1:]
    if (KH, KW, SH, SW, PH, PW) == (1, 1, 1, 1, 0, 0):
        for block in blocks:
            yield block, x[block].reshape(-1, C)
        return
    xp = get_array_module(x)
    OW = get_conv_outsize(W, KW, SW, PW)
    n = max((images.stop - images.start for images, _ in blocks), default=0)
    n_rows = max((rows.stop - rows.start for _, rows in blocks), default=1)
    padded = xp.empty((n, (n_rows - 1) * SH + KH, W + 2 * PW, C), x.dtype)
    sn, sh, sw, sc = padded.strides
    windows = xp.lib.stride_tricks.as_strided(
        padded,
        (n, n_rows, OW, KH, KW, C),
        (sn, sh * SH, sw * SW, sh, sw, sc),
    )
    buffer = xp.empty(windows.size, x.dtype)
    for images, rows in blocks:
        top, bottom = rows.start * SH - PH, (rows.stop - 1) * SH - PH + KH
        first, last = (min(max(row, 0), H) for row in (top, bottom))  # inside x
        part = x[images, first:last]
        padded[...] = 0
        padded[: len(part), first - top : last - top, PW : PW + W] = part
        block = windows[: len(part), : rows.stop - rows.start]
        matrix = buffer[: block.size]
        matrix.reshape(block.shape)[...] = block
        yield (images, rows), matrix.reshape(-1, KH * KW * C)


@kernel
@of_images
@one_operation
def convolve(
    x: Array, W: Array, stride: Pair, pad: Pair, b: Array | None = None
) -> Array:
    """Every window of ``x`` times ``W``: (N, C, H, W) to (N, O, OH, OW).

    Args:
        x: (N, C, H, W).
        W: (O, C, KH, KW).
        pad: The width of the border of zeros; if negative, of what is cut off.
        b: (O,), added to every window's result.
    """
    return _convolved(x, W, stride, pad, b)


def _convolved(x: Array, W: Array, stride: Pair, pad: Pair, b: Array | None) -> Array:
    xp = get_array_module(x)
    O, _, KH, KW = W.shape  # noqa: E741
    size = out_size(x.shape, (KH, KW), stride, pad)
    operands = (x, W) if b is None else (x, W, b)
    y = xp.empty((len(x), *size, O), np.result_type(*operands))
    weights = W.transpose(2, 3, 1, 0).reshape(-1, O)  # (KH * KW * C, O)
    images = channels_last(inner(x, (-pad[0], -pad[1])))
    border = max(pad[0], 0), max(pad[1], 0)
    blocks = blocks_of(len(x), size, len(weights) * x.itemsize)

    def work(start: int, stop: int) -> None:
        for block, windows in windows_of_blocks(
            images, (KH, KW), stride, border, blocks[start:stop]
        ):
            product = np.matmul(windows, weights, out=y[block].reshape(-1, O))
            if b is not None:
                product += b

    _in_shares(x, work, len(blocks))
    return channels_first(y)


@kernel
@one_operation
def correlate(x: Array, gy: Array, kernel_size: Pair, stride: Pair, pad: Pair) -> Array:
    """Every window of ``x`` times what ``gy`` has there, added up: (O, C, KH, KW).

    The derivative of ``convolve(x, W, ...)`` by ``W``, weighted with ``gy``.

    Args:
        x: (N, C, H, W).
        gy: (N, O, OH, OW).
    """
    xp = get_array_module(x)
    (KH, KW), C, O = kernel_size, x.shape[1], gy.shape[1]  # noqa: E741
    x, gy = channels_last(x), channels_last(gy)
    blocks = blocks_of(len(x), gy.shape[1:3], KH * KW * C * x.itemsize)

    def work(start: int, stop: int) -> Array:
        gW = xp.zeros((KH * KW * C, O), np.result_type(x, gy))
        for block, windows in windows_of_blocks(
            x, kernel_size, stride, pad, blocks[start:stop]
        ):
            gW += np.matmul(windows.T, gy[block].reshape(-1, O))
        return gW

    gW = sum(_in_shares(x, work, len(blocks)))
    return xp.ascontiguousarray(gW.reshape(KH, KW, C, O).transpose(3, 2, 0, 1))


@kernel
@of_images
@one_operation
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
    (N, C, OH, OW), (_, O, KH, KW), (PH, PW) = x.shape, W.shape, pad  # noqa: E741
    if stride == (1, 1) and math.prod(outsize) <= 2 * OH * OW:
        # What adds to an element, seen from there: convolution by W turned around.
        turned = W[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
        return _convolved(x, turned, stride, (KH - 1 - PH, KW - 1 - PW), b)
    y = xp.zeros((N, outsize[0] + 2 * PH, outsize[1] + 2 * PW, O), np.result_type(x, W))
    weights = W.transpose(0, 2, 3, 1).reshape(C, -1)  # (C, KH * KW * O)
    images = channels_last(x)
    n = max(1, BLOCK_BYTES // (OH * OW * weights.shape[1] * y.itemsize))

    def work(start: int, stop: int) -> None:
        for i in range(start * n, min(stop * n, N), n):
            windows = np.matmul(images[i : i + n].reshape(-1, C), weights)
            windows = windows.reshape(-1, OH, OW, KH * KW, O)
            target = channels_first(y[i : i + n])
            for j, view in enumerate(window_views(target, (KH, KW), stride, (OH, OW))):
                view += channels_first(windows[..., j, :])

    _in_shares(x, work, -(-N // n))
    y = inner(channels_first(y), pad)
    return y if b is None else y + b[:, None, None]


def _in_shares(
    x: Array, work: Callable[[int, int], Result], blocks: int
) -> list[Result]:
    if blocks > 1 and isinstance(x, np.ndarray):
        return in_shares(work, blocks)
    return [work(0, blocks)]
