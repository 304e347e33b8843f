"""The book's ``dezero.utils``: pictures, helpers on bare arrays, checks, downloads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dezero.backend import Array, Shape, get_array_module
from dezero.backend.convolution import get_conv_outsize, get_deconv_outsize, pair
from dezero.backend.download import cache_dir, get_file
from dezero.core.broadcast import sum_to_array as sum_to
from dezero.functions.reduction import kept_shape
from dezero.functions.shape import normalize_axis
from dezero.gradcheck import array_allclose, array_equal, gradient_check, numerical_grad
from dezero.viz import get_dot_graph, plot_dot_graph

__all__ = [
    "array_allclose",
    "array_equal",
    "cache_dir",
    "get_conv_outsize",
    "get_deconv_outsize",
    "get_dot_graph",
    "get_file",
    "gradient_check",
    "logsumexp",
    "max_backward_shape",
    "numerical_grad",
    "pair",
    "plot_dot_graph",
    "reshape_sum_backward",
    "show_progress",
    "sum_to",
]


def reshape_sum_backward(
    gy: Any, x_shape: Shape, axis: int | Sequence[int] | None, keepdims: bool
) -> Any:
    """``gy``, the gradient of a sum, with the summed axes back at length 1.

    Args:
        gy: Array or Variable of the shape that the sum had.
        x_shape: The shape of what was summed.
        axis: The axes of the sum.
        keepdims: Whether the sum has kept them.

    >>> reshape_sum_backward(np.ones(3), (3, 4), 1, False).shape
    (3, 1)
    """
    if axis is None or keepdims:
        return gy
    axes = normalize_axis("reshape_sum_backward", axis, len(x_shape))
    return gy.reshape(kept_shape(x_shape, axes))


def logsumexp(x: Array, axis: int | tuple[int, ...] | None = 1) -> Array:
    """log Σ exp(x) of a bare array along ``axis``, which stays with length 1.

    The largest element is taken out before exp, so that nothing overflows; where
    it is infinite it is the answer.

    >>> logsumexp(np.array([[1000.0, 1000.0], [-np.inf, -np.inf]]))
    array([[1000.69314718],
           [        -inf]])
    """
    xp = get_array_module(x)
    m = x.max(axis=axis, keepdims=True)
    shift = xp.where(xp.isfinite(m), m, 0)
    with np.errstate(over="ignore", divide="ignore"):  # the infinities are the answer
        total = xp.exp(x - shift).sum(axis=axis, keepdims=True)
        return xp.log(total) + shift


def max_backward_shape(x: Array, axis: int | Sequence[int] | None) -> list[int]:
    """The shape of ``x`` with length 1 at the axes of a maximum.

    >>> max_backward_shape(np.ones((2, 3)), 1)
    [2, 1]
    """
    return list(kept_shape(x.shape, normalize_axis("max", axis, x.ndim)))


def show_progress(block_num: int, block_size: int, total_size: int) -> None:
    """Draw a bar of 30 letters for a download, over the last one.

    ``urllib.request.urlretrieve`` calls it so.

    Args:
        block_num: How many blocks are there.
        block_size: Bytes of a block.
        total_size: Bytes in all; nothing is known where it is not positive.

    >>> show_progress(3, 10, 60)
    [###############...............] 50.00%
    """
    done = block_num * block_size
    fraction = min(done / total_size, 1.0) if total_size > 0 else 0.0
    full = int(30 * fraction)
    print(f"\r[{'#' * full}{'.' * (30 - full)}] {100 * fraction:.2f}%", end="")
