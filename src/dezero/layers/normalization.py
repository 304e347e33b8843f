"""Batch normalization."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from dezero import functions as F
from dezero.backend import get_array_module
from dezero.core import Parameter, Variable, as_input
from dezero.layers.layer import Layer, PartialShape


class BatchNorm(Layer):
    """Give every feature mean ``beta`` and standard deviation ``gamma`` in a batch.

    In training, the statistics are those of the batch, and their running averages are
    kept in ``avg_mean`` and ``avg_var``; in ``test_mode``, they are these averages.
    The averages are Parameters so that they are in the file of the weights; they never
    get a gradient, so no optimizer touches them. All four have shape (C,), found at
    the first call.

    Ioffe and Szegedy, "Batch normalization", 2015.

    Args:
        eps: Keeps the root of a variance of 0 off 0. In the weights that PyTorch
            publishes it is 1e-5.

    >>> import dezero.layers as L
    >>> L.BatchNorm()(np.random.randn(8, 3)).shape
    (8, 3)
    """

    published: ClassVar = {
        "avg_mean": "running_mean",
        "avg_var": "running_var",
        "gamma": "weight",
        "beta": "bias",
    }

    def __init__(self, eps: float = 2e-5) -> None:
        super().__init__()
        self.eps = eps
        self.avg_mean = Parameter(None, "avg_mean", requires_grad=False)
        self.avg_var = Parameter(None, "avg_var", requires_grad=False)
        self.gamma = Parameter(None, name="gamma")
        self.beta = Parameter(None, name="beta")

    def forward(self, x: Any) -> Variable:
        """Normalize ``x`` (N, C) or (N, C, H, W) for each of the C features."""
        x = as_input(x)
        if self.gamma.data is None:
            if x.ndim < 2:
                raise ValueError(
                    f"BatchNorm: expected x of shape (N, C, ...), got x {x.shape}"
                )
            xp = get_array_module(x)
            dtype = x.dtype if x.dtype.kind == "f" else np.float32
            for zero in (self.avg_mean, self.beta):
                zero.data = xp.zeros(x.shape[1], dtype)
            for one in (self.avg_var, self.gamma):
                one.data = xp.ones(x.shape[1], dtype)
        mean, var = self.avg_mean.data, self.avg_var.data
        return F.batch_norm(x, self.gamma, self.beta, mean, var, eps=self.eps)

    def _expected_shape(self, name: str) -> PartialShape | None:
        return (None,)
