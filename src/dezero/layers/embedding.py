"""Vectors for words, characters and other things that have a number."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero import functions as F
from dezero.core import Parameter, Variable
from dezero.init import Initializer, checked, draw, normal
from dezero.layers.layer import Layer


class EmbedID(Layer):
    """A trained vector for each of ``in_size`` ids; ``Embedding`` is the same class.

    ``W`` (in, out) is drawn from the standard normal distribution, or as ``init`` says.

    Args:
        in_size: How many ids there are: 0 to ``in_size - 1``.
        out_size: The length of a vector.
        dtype: The type of ``W``.
        init: What gives the first ``W``: see ``dezero.init``.

    >>> import dezero.layers as L
    >>> L.EmbedID(10, 3)(np.array([[1, 2], [3, 1]])).shape
    (2, 2, 3)
    """

    def __init__(
        self,
        in_size: int,
        out_size: int,
        dtype: Any = np.float32,
        init: Initializer | None = None,
    ) -> None:
        super().__init__()
        init = checked("EmbedID", init) or normal
        self.W = Parameter(draw(init, (in_size, out_size), dtype), name="W")

    def forward(self, x: Any) -> Variable:
        """Map integers ``x`` of any shape to vectors along a new last axis."""
        return F.embed_id(x, self.W)


Embedding = EmbedID
