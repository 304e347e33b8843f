"""Functions that draw random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero.backend import Array, get_array_module
from dezero.config import Config
from dezero.core import Function, Variable, as_input
from dezero.random import generator


class Dropout(Function):
    """The mask is drawn in ``forward``: a new one at every call."""

    def __init__(self, dropout_ratio: float = 0.5) -> None:
        self.dropout_ratio = dropout_ratio

    def forward(self, x: Array) -> Array:
        ratio = self.dropout_ratio
        kept = generator(get_array_module(x)).rand(*x.shape) >= ratio
        scale = 1 / (1 - ratio) if ratio < 1 else 0.0
        self.mask = np.multiply(kept, scale, dtype=np.result_type(x.dtype, 1.0))
        return x * self.mask

    def backward(self, gy: Variable) -> Variable:
        return gy * self.mask


def dropout(x: Any, dropout_ratio: float = 0.5) -> Variable:
    """Set each element to 0 with probability ``dropout_ratio``, in training.

    The others are divided by ``1 - dropout_ratio``, so that the expectation stays;
    in test mode ``x`` passes as it is (Srivastava et al., Dropout: A Simple Way to
    Prevent Neural Networks from Overfitting, JMLR 2014).

    Args:
        x: Variable or array of any shape.
        dropout_ratio: From 0, where all pass, to 1, where none does.

    Raises:
        ValueError: ``dropout_ratio`` is not from 0 to 1.

    >>> x = np.ones(5)
    >>> np.random.seed(0)
    >>> dropout(x)
    variable([2. 2. 2. 2. 0.])
    >>> with dezero.test_mode():
    ...     dropout(x)
    variable([1. 1. 1. 1. 1.])
    """
    if not 0 <= dropout_ratio <= 1:
        raise ValueError(
            f"dropout: expected dropout_ratio from 0 to 1, got {dropout_ratio}"
        )
    x = as_input(x)
    return Dropout(dropout_ratio)(x) if Config.train else x
