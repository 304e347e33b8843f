"""The convolution of sequences, as one of images that are one element high."""

from __future__ import annotations

from operator import index
from typing import Any

from dezero.core import Variable, as_input
from dezero.functions.convolution import conv2d
from dezero.functions.reduction import as_floating
from dezero.functions.shape import expand_dims, reshape


def conv1d(x: Any, W: Any, b: Any = None, stride: int = 1, pad: int = 0) -> Variable:
    """Slide the filters ``W`` along the sequences ``x``.

    ``y[n, o, i] = b[o] + sum over c, k of W[o, c, k] * x[n, c, i * stride + k - pad]``,
    with zeros before and after the sequences.

    Args:
        x: Sequences (N, C, L).
        W: Filters (O, C, K).
        b: (O,), or ``None``.
        stride: The step from window to window.
        pad: How many zeros are put at either end.

    Returns:
        (N, O, OL), where ``OL = (L + 2 pad - K) // stride + 1``.

    Raises:
        TypeError: ``stride`` or ``pad`` is not an integer.
        ValueError: The shapes do not go together, or no window fits.

    >>> conv1d(np.array([[[1.0, 2.0, 4.0]]]), np.array([[[-1.0, 1.0]]]))
    variable([[[1. 2.]]])
    """
    x, W = as_floating(x), as_input(W)
    if x.ndim != 3 or W.ndim != 3 or x.shape[1] != W.shape[1]:
        raise ValueError(
            "conv1d: expected x of shape (N, C, L) and W of shape (O, C, K), got x "
            f"{x.shape} and W {W.shape}"
        )
    if b is not None and as_input(b).shape != (len(W),):
        raise ValueError(
            f"conv1d: expected b of shape ({len(W)},) to match W {W.shape}, got b "
            f"{as_input(b).shape}"
        )
    try:
        stride, pad = index(stride), index(pad)
    except TypeError:
        raise TypeError(
            f"conv1d: expected integers as stride and pad, got {stride!r} and {pad!r}"
        ) from None
    length = x.shape[2] + 2 * pad
    if stride < 1 or pad < 0 or not 1 <= W.shape[2] <= length:
        raise ValueError(
            f"conv1d: expected windows of W {W.shape} that fit into x {x.shape}, got "
            f"stride {stride} and pad {pad}"
        )
    y = conv2d(expand_dims(x, 2), expand_dims(W, 2), b, (1, stride), (0, pad))
    return reshape(y, (*y.shape[:2], y.shape[3]))
