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
        blend(msg, work, rho)
        np.add(msg, eps, out=work)
        dx = msdx + eps
        dx /= work
        np.sqrt(dx, out=dx)
        dx *= gx
        np.multiply(dx, dx, out=work)
        blend(msdx, work, rho)
        np.subtract(x, dx, out=y)


class RMSprop(ElementwiseOptimizer):
    """RMSprop: the gradient over the root of its mean square.

    ``v = rho * v + (1 - rho) * gx**2``, ``x -= lr * gx / (sqrt(v) + eps)``. Centered,
    the variance stands in the place of ``v``: ``v - mean**2``, where ``mean`` is that
    of the gradients. With momentum the quotients are added up:
    ``b = momentum * b + gx / (sqrt(v) + eps)``, ``x -= lr * b``.

    Tieleman and Hinton, "Lecture 6.5: RMSProp", 2012; centered: Graves, "Generating
    sequences with recurrent neural networks", 2013.

    Args:
        lr: The step size.
        rho: How much of the means is kept.
        eps: Keeps the quotient finite.
        momentum: How much of the last step is kept.
        centered: Whether to divide by the standard deviation.

    >>> optimizer = dezero.optimizers.RMSprop(lr=0.01, momentum=0.9)
    """

    def __init__(
        self,
        lr: float = 0.01,
        rho: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        *,
        centered: bool = False,
    ) -> None:
        super().__init__()
        self.lr = lr
        self.rho = rho
        self.eps = eps
        self.momentum = momentum
        self.centered = centered
        self.moments = ("v", "b", "mean") if centered else ("v", "b")

    def step(self, y: Array, x: Array, gx: Array, *moments: Array) -> None:
        v, b = moments[:2]
        rho = number(self.rho)
        work = gx * gx
        blend(v, work, rho)
        if self.centered:
            (mean,) = moments[2:]
            mean *= rho
            mean += gx * (1 - rho)
            np.multiply(mean, mean, out=work)
            np.subtract(v, work, out=work)
            np.maximum(work, 0, out=work)  # what rounding may leave below
            np.sqrt(work, out=work)
        else:
            np.sqrt(v, out=work)
        work += number(self.eps)
        np.divide(gx, work, out=work)
        b *= number(self.momentum)
        b += work
        np.multiply(b, number(self.lr), out=work)
        np.subtract(x, work, out=y)


class Lion(ElementwiseOptimizer):
    """Lion: every element moves by ``alpha``, in the direction of two means.

    ``x -= alpha * (sign(beta1 * m + (1 - beta1) * gx) + decay * x)``,
    ``m = beta2 * m + (1 - beta2) * gx``.

    Chen et al., "Symbolic discovery of optimization algorithms", 2023. Its ``alpha``
    is 3 to 10 times smaller than Adam's, and its ``decay`` as much larger.

    Args:
        alpha: The step size.
        beta1: How much of the mean gradient goes into the step.
        beta2: How much of the mean gradient is kept.
        decay: The strength of the pull towards zero.

    >>> optimizer = dezero.optimizers.Lion(alpha=1e-4, decay=0.1)
    """

    moments = ("m",)
    rate_name = "alpha"

    def __init__(
        self,
        alpha: float = 1e-4,
        beta1: float = 0.9,
        beta2: float = 0.99,
        decay: float = 0.0,
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.beta1 = beta1
        self.beta2 = beta2
        self.decay = decay

    def step(self, y: Array, x: Array, gx: Array, *moments: Array) -> None:
        (m,) = moments
        beta1, beta2 = number(self.beta1), number(self.beta2)
        work = gx * (1 - beta1)
        work += m * beta1
        np.sign(work, out=work)
        work += x * number(self.decay)
        work *= number(self.alpha)
        np.subtract(x, work, out=y)
        m *= beta2
        m += gx * (1 - beta2)


def blend(mean: Array, work: Array, kept: float) -> None:
    """Move a running mean towards ``work``, which is overwritten."""
    mean *= kept
    work *= 1 - kept
    mean += work
