"""Stochastic gradient descent, plain and with momentum."""

from __future__ import annotations

import numpy as np

from dezero.backend import Array
from dezero.backend.tracing import number
from dezero.optimizers.optimizer import ElementwiseOptimizer


class SGD(ElementwiseOptimizer):
    """Stochastic gradient descent: ``x -= lr * gx``.

    Args:
        lr: The step size.

    >>> optimizer = dezero.optimizers.SGD(lr=0.1)
    """

    def __init__(self, lr: float = 0.01) -> None:
        super().__init__()
        self.lr = lr

    def step(self, y: Array, x: Array, gx: Array, *moments: Array) -> None:
        work = np.multiply(gx, number(self.lr))
        np.subtract(x, work, out=y)


class MomentumSGD(ElementwiseOptimizer):
    """Gradient descent with momentum: ``v = momentum * v - lr * gx; x += v``.

    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.

    Args:
        lr: The step size.
        momentum: How much of the last step is kept.

    >>> optimizer = dezero.optimizers.MomentumSGD(lr=0.1, momentum=0.9)
    """

    moments = ("v",)

    def __init__(self, lr: float = 0.01, momentum: float = 0.9) -> None:
        super().__init__()
        self.lr = lr
        self.momentum = momentum

    def step(self, y: Array, x: Array, gx: Array, *moments: Array) -> None:
        (v,) = moments
        v *= number(self.momentum)
        v -= gx * number(self.lr)
        np.add(x, v, out=y)
