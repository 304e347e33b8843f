"""Rules that give every element a step size of its own.

They are written as a row of NumPy calls on one work array instead of as a formula:
that halves the time, as no call has to ask for memory.
"""

from __future__ import annotations

import numpy as np

from dezero.backend import Array
from dezero.backend.tracing import number
from dezero.optimizers.optimizer import ElementwiseOptimizer


class AdaGrad(ElementwiseOptimizer):
    """AdaGrad: ``h += gx**2; x -= lr * gx / (sqrt(h) + eps)``.

    Duchi et al., "Adaptive subgradient methods for online learning and stochastic
    optimization", 2011.

    Args:
        lr: The step size.
        eps: Keeps the quotient finite.

    >>> optimizer = dezero.optimizers.AdaGrad(lr=0.01)
    """

    moments = ("h",)

    def __init__(self, lr: float = 0.001, eps: float = 1e-8) -> None:
        super().__init__()
        self.lr = lr
        self.eps = eps

    def step(self, y: Array, x: Array, gx: Array, *moments: Array) -> None:
        (h,) = moments
        work = gx * gx
        h += work
        np.sqrt(h, out=work)
        work += number(self.eps)
        np.divide(gx, work, out=work)
        work *= number(self.lr)
        np.subtract(x, work, out=y)


class AdaDelta(ElementwiseOptimizer):
    """AdaDelta: steps in the ratio of the last steps' size to the gradients'.

    ``msg = rho * msg + (1 - rho) * gx**2``,
    ``dx = sqrt((msdx + eps) / (msg + eps)) * gx``,
    ``msdx = rho * msdx + (1 - rho) * dx**2``, ``x -= dx``.

    Zeiler, "ADADELTA: an adaptive learning rate method", 2012.

    Args:
        rho: How much of the mean squares is kept.
        eps: Gets the first steps going.

    >>> optimizer = dezero.optimizers.AdaDelta(rho=0.9)
    """

    moments = ("msg", "msdx")

    def __init__(self, rho: float = 0.95, eps: float = 1e-6) -> None:
        super().__init__()
        self.rho = rho
        self.eps = eps

    def step(self, y: Array, x: Array, gx: Array, *moments: Array) -> None:
        msg, msdx = moments
        rho, eps = number(self.rho), number(self.eps)
        work = gx * gx
        _blend(msg, work, rho)
        np.add(msg, eps, out=work)
        dx = msdx + eps
        dx /= work
        np.sqrt(dx, out=dx)
        dx *= gx
        np.multiply(dx, dx, out=work)
        _blend(msdx, work, rho)
        np.subtract(x, dx, out=y)


class Adam(ElementwiseOptimizer):
    """Adam: the mean gradient over the root of the mean squared one.

    ``m = beta1 * m + (1 - beta1) * gx``, ``v = beta2 * v + (1 - beta2) * gx**2``,
    ``x -= lr * m / (sqrt(v) + eps)``, where ``lr`` is ``alpha`` with the correction
    for the zeros that ``m`` and ``v`` start from.

    Kingma and Ba, "Adam: a method for stochastic optimization", 2015, in the order
    of computation given at the end of its section 2.

    Args:
        alpha: The step size.
        beta1: How much of the mean gradient is kept.
        beta2: How much of the mean squared gradient is kept.
        eps: Keeps the quotient finite.

    Attributes:
        t: The number of updates so far.

    >>> dezero.optimizers.Adam(alpha=0.001).lr        # of the first step
    0.000316...
    """

    moments = ("m", "v")

    def __init__(
        self,
        alpha: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
    ) -> None:
        super().__init__()
        self.t = 0
        self.alpha = alpha
        self.beta1 = beta1
        self.beta2 = beta2
        self.eps = eps

    @property
    def lr(self) -> float:
        """The step size of the last update, or of the first before there is one."""
        t = np.maximum(self.t, 1)
        mean = 1 - self.beta1**t
        square = 1 - self.beta2**t
        return number(self.alpha * square**0.5 / mean)

    def update(self) -> None:
        """Update every parameter that has a gradient, each once."""
        self.t += 1
        super().update()

    def step(self, y: Array, x: Array, gx: Array, *moments: Array) -> None:
        m, v = moments
        beta1, beta2 = number(self.beta1), number(self.beta2)
        work = gx * (1 - beta1)
        m *= beta1
        m += work
        np.multiply(gx, gx, out=work)
        _blend(v, work, beta2)
        np.sqrt(v, out=work)
        work += number(self.eps)
        np.divide(m, work, out=work)
        work *= self.lr
        np.subtract(x, work, out=y)


def _blend(mean: Array, work: Array, kept: float) -> None:
    """Move a running mean towards ``work``, which is overwritten."""
    mean *= kept
    work *= 1 - kept
    mean += work
