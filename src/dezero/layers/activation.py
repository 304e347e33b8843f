"""Layers of each element: the activations that keep a setting or learn a slope."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from dezero import functions as F
from dezero.core import Parameter, Variable
from dezero.layers.layer import Layer


class Dropout(Layer):
    """Set elements to 0 at random, in training; in ``test_mode`` do nothing.

    Srivastava et al., "Dropout: a simple way to prevent neural networks from
    overfitting", 2014.

    Args:
        dropout_ratio: The probability of 0. The others are divided by its complement.

    >>> import dezero.layers as L
    >>> np.random.seed(0)
    >>> L.Dropout()(np.ones(5))
    variable([2. 2. 2. 2. 0.])
    """

    def __init__(self, dropout_ratio: float = 0.5) -> None:
        super().__init__()
        if not 0 <= dropout_ratio <= 1:
            raise ValueError(
                f"Dropout: expected dropout_ratio from 0 to 1, got {dropout_ratio}"
            )
        self.dropout_ratio = dropout_ratio

    def forward(self, x: Any) -> Variable:
        """Drop elements of ``x``, of any shape."""
        return F.dropout(x, self.dropout_ratio)


class PReLU(Layer):
    """``x`` where it is positive, ``W * x`` elsewhere, with a slope that is learned.

    He et al., "Delving deep into rectifiers", 2015.

    Args:
        channels: One slope for each channel of x (N, C, ...); by default one for all.
        slope: Where ``W`` (channels,) starts.
        dtype: The type of ``W``.

    >>> import dezero.layers as L
    >>> L.PReLU()(np.array([-1.0, 2.0]))
    variable([-0.25  2.  ])
    """

    published: ClassVar = {"W": "weight"}

    def __init__(
        self, channels: int = 1, slope: float = 0.25, dtype: Any = np.float32
    ) -> None:
        super().__init__()
        self.W = Parameter(np.full(channels, slope, dtype), name="W")

    def forward(self, x: Any) -> Variable:
        """Map ``x`` of any shape, or (N, channels, ...)."""
        return F.prelu(x, self.W)
