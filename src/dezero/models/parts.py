"""What the networks for images share."""

from __future__ import annotations

from dezero import functions as F
from dezero.core import Variable

PUBLISHED = "https://github.com/koki0702/dezero-models/releases/download/v0.1/"


def halve(x: Variable) -> Variable:
    """The largest of every 3×3 window, two apart, counted from the first pixel.

    The last windows may reach one pixel over the edge, so 112 pixels become 56 and
    none is left out, as in the networks that the published weights come from.
    """
    H, W = x.shape[2:]
    y = F.pooling(x, kernel_size=3, stride=2, pad=2)
    return y[:, :, 1 : 1 + H // 2, 1 : 1 + W // 2]


def average_over_image(x: Variable) -> Variable:
    """The mean over all pixels: (N, C, H, W) to (N, C)."""
    return F.average(x, axis=(2, 3))
