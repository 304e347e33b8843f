"""The fully connected layer."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from dezero import functions as F
from dezero.backend import get_array_module
from dezero.core import Parameter, Variable, as_input
from dezero.init import Initializer, checked, draw, lecun_normal
from dezero.layers.layer import Layer, PartialShape


class Linear(Layer):
    """``y = x W + b``.

    ``W`` (in, out) is drawn from a normal distribution of variance ``1 / in`` (LeCun
    et al., "Efficient BackProp", 1998), or as ``init`` says: here if ``in_size`` is
    given, else at the first call. ``b`` (out,) starts at zero.

    Args:
        out_size: Features that come out.
        nobias: Leave out ``b``.
        dtype: The type of ``W`` and ``b``.
        in_size: Features that go in; by default those of the first ``x``.
        init: What gives the first ``W``: see ``dezero.init``.

    >>> import dezero.layers as L
    >>> L.Linear(3)(np.zeros((4, 2))).shape
    (4, 3)
    """

    def __init__(
        self,
        out_size: int,
        nobias: bool = False,
        dtype: Any = np.float32,
        in_size: int | None = None,
        init: Initializer | None = None,
    ) -> None:
        super().__init__()
        self.init = checked("Linear", init)
        self.out_size = out_size
        self.dtype = dtype
        self.W = Parameter(None, name="W")
        self.b = None if nobias else Parameter(np.zeros(out_size, dtype), name="b")
        if in_size is not None:
            self._draw(in_size)

    @property
    def in_size(self) -> int | None:
        """Features that go in, or ``None`` before they are known."""
        return None if self.W.data is None else self.W.shape[0]

    def _draw(self, in_size: int, xp: ModuleType = np) -> None:
        shape = (in_size, self.out_size)
        self.W.data = draw(self.init or lecun_normal, shape, self.dtype, xp)

    def _prepare(self, x: Variable) -> None:
        """Draw ``W`` to take ``x``, if it was not drawn before."""
        if self.W.data is None:
            if not x.ndim:
                raise ValueError("Linear: expected x of shape (N, in), got x ()")
            self._draw(x.shape[-1], get_array_module(x))

    def forward(self, x: Any) -> Variable:
        """Map ``x`` (N, in) to (N, out)."""
        x = as_input(x)
        self._prepare(x)
        return F.linear(x, self.W, self.b)

    def _expected_shape(self, name: str) -> PartialShape | None:
        return (None, self.out_size) if name == "W" else None
