"""What the networks share: those for images, and transformers."""

from __future__ import annotations

import math
from typing import Any

from dezero import functions as F
from dezero import init
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


def gelu_tanh(x: Any) -> Variable:
    """GELU as GPT-2 computes it."""
    return F.gelu(x, approximate="tanh")


def begin_small(model: Any) -> None:
    """Give a transformer, with its layers in ``blocks``, the weights GPT-2 begins with.

    They are normal, of standard deviation 0.02. In the layers whose results are added
    to the stream, two for each block, it is divided by the root of their number, so
    that the sum stays as large.

    Radford et al., "Language models are unsupervised multitask learners", 2019.
    """
    added = [W for b in model.blocks for W in (b.attention.project.W, b.narrow.W)]
    for name, param in model.named_params().items():
        if name.endswith("/W"):
            std = 0.02
            if any(param is W for W in added):
                std /= math.sqrt(len(added))
            param.data = init.normal(param.shape, param.dtype, std=std)
