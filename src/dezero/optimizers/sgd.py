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
    With ``nesterov`` the step is already that which would follow, ``x += momentum * v
    - lr * gx``: Sutskever et al., "On the importance of initialization and momentum in
    deep learning", 2013, in terms of the point that is looked ahead to.

    Args:
        lr: The step size.
        momentum: How much of the last step is kept.
        nesterov: Whether to look ahead.

    >>> optimizer = dezero.optimizers.MomentumSGD(lr=0.1, momentum=0.9)
    """

    moments = ("v",)

    def __init__(
        self, lr: float = 0.01, momentum: float = 0.9, *, nesterov: bool = False
    ) -> None:
        super().__init__()
        self.lr = lr
        self.momentum = momentum
        self.nesterov = nesterov

    def step(self, y: Array, x: Array, gx: Array, *moments: Array) -> None:
        (v,) = moments
        momentum = number(self.momentum)
        work = gx * number(self.lr)
        v *= momentum
        v -= work
        if self.nesterov:
            np.subtract(v * momentum, work, out=work)
            np.add(x, work, out=y)
        else:
            np.add(x, v, out=y)
