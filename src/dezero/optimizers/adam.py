"""Adam and its relatives: a mean of the gradients over the root of that of squares."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.backend.tracing import number
from dezero.optimizers.adaptive import blend
from dezero.optimizers.optimizer import ArrayOptimizer, ElementwiseOptimizer


class TwoMeans(ArrayOptimizer):
    """What all of them keep: two running means, and the number of updates."""

    moments = ("m", "v")
    rate_name = "alpha"

    def __init__(self, alpha: float, beta1: float, beta2: float, eps: float) -> None:
        super().__init__()
        self.t = 0
        self.alpha = alpha
        self.beta1 = beta1
        self.beta2 = beta2
        self.eps = eps

    def update(self) -> None:
        """Update every parameter that has a gradient, each once."""
        self.t += 1
        super().update()

    def _grown(self, beta: float) -> Any:
        """How much of a running mean is not yet of the zero that it started from."""
        return 1 - beta ** np.maximum(self.t, 1)

    def _average(self, gx: Array, m: Array, v: Array) -> Array:
        """Move the means on; gives an array to go on working with."""
        beta1, beta2 = number(self.beta1), number(self.beta2)
        work = gx * (1 - beta1)
        m *= beta1
        m += work
        np.multiply(gx, gx, out=work)
        blend(v, work, beta2)
        return work


class Adam(TwoMeans, ElementwiseOptimizer):
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

    def __init__(
        self,
        alpha: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(alpha, beta1, beta2, eps)

    @property
    def lr(self) -> float:
        """The step size of the last update, or of the first before there is one."""
        mean, square = self._grown(self.beta1), self._grown(self.beta2)
        return number(self.alpha * square**0.5 / mean)

    def step(self, y: Array, x: Array, gx: Array, *moments: Array) -> None:
        m, v = moments
        work = self._average(gx, m, v)
        np.sqrt(v, out=work)
        work += number(self.eps)
        np.divide(m, work, out=work)
        work *= self.lr
        np.subtract(x, work, out=y)


class AdamW(Adam):
    """AdamW: Adam, and a pull towards zero that is not divided by anything.

    With ``m`` and ``v`` as in Adam, and corrected, ``M = m / (1 - beta1**t)`` and
    ``V = v / (1 - beta2**t)``: ``x -= alpha * (M / (sqrt(V) + eps) + decay * x)``.

    Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.

    Args:
        alpha: The step size.
        beta1: How much of the mean gradient is kept.
        beta2: How much of the mean squared gradient is kept.
        eps: Keeps the quotient finite.
        decay: The strength of the pull towards zero.

    Attributes:
        t: The number of updates so far.

    >>> optimizer = dezero.optimizers.AdamW(alpha=3e-4, decay=0.1)
    """

    def __init__(
        self,
        alpha: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        decay: float = 0.01,
    ) -> None:
        super().__init__(alpha, beta1, beta2, eps)
        self.decay = decay

    def step(self, y: Array, x: Array, gx: Array, *moments: Array) -> None:
        m, v = moments
        work = self._average(gx, m, v)
        np.sqrt(v, out=work)
        work += number(self.eps * self._grown(self.beta2) ** 0.5)
        np.divide(m, work, out=work)
        work *= self.lr
        work += x * number(self.alpha * self.decay)
        np.subtract(x, work, out=y)


class NAdam(TwoMeans, ElementwiseOptimizer):
    """NAdam: Adam that looks ahead as Nesterov's momentum does.

    ``mu(t) = beta1 * (1 - 0.96**(psi * t) / 2)``, and ``P`` is the product of all so
    far. With ``m``, ``v`` and ``V`` as in AdamW: ``x -= alpha * (mu(t + 1) * m /
    (1 - P * mu(t + 1)) + (1 - mu(t)) * gx / (1 - P)) / (sqrt(V) + eps)``.

    Dozat, "Incorporating Nesterov momentum into Adam", 2016.

    Args:
        alpha: The step size.
        beta1: How much of the mean gradient is kept.
        beta2: How much of the mean squared gradient is kept.
        eps: Keeps the quotient finite.
        psi: How fast the momentum grows from half of ``beta1`` to all of it.

    Attributes:
        t: The number of updates so far.
        product: The product ``P``.

    >>> optimizer = dezero.optimizers.NAdam(alpha=0.002)
    """

    def __init__(
        self,
        alpha: float = 0.002,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        psi: float = 0.004,
    ) -> None:
        super().__init__(alpha, beta1, beta2, eps)
        self.psi = psi
        self.product = 1.0

    def update(self) -> None:
        """Update every parameter that has a gradient, each once."""
        self.product *= self._mu(self.t + 1)
        super().update()

    def _mu(self, t: int) -> float:
        return self.beta1 * (1 - 0.5 * 0.96 ** (self.psi * t))

    def step(self, y: Array, x: Array, gx: Array, *moments: Array) -> None:
        m, v = moments
        mu, following = self._mu(self.t), self._mu(self.t + 1)
        root = self._grown(self.beta2) ** 0.5
        alpha = self.alpha * root
        work = self._average(gx, m, v)
        np.sqrt(v, out=work)
        work += number(self.eps * root)
        ahead = m * number(alpha * following / (1 - self.product * following))
        ahead += gx * number(alpha * (1 - mu) / (1 - self.product))
        np.divide(ahead, work, out=work)
        np.subtract(x, work, out=y)


class RAdam(TwoMeans, ElementwiseOptimizer):
    """RAdam: Adam that waits with its quotient until it has seen enough.

    A mean of squares over few steps varies much; its length is ``r(t) = R - 2 * t *
    beta2**t / (1 - beta2**t)`` of at most ``R = 2 / (1 - beta2) - 1``. With ``m``,
    ``M`` and ``v`` as in AdamW: ``x -= alpha * M`` up to a length of 5, and then
    ``x -= alpha * c * M * sqrt(1 - beta2**t) / (sqrt(v) + eps)``, where
    ``c**2 = (r - 4) * (r - 2) * R / ((R - 4) * (R - 2) * r)``.

    Liu et al., "On the variance of the adaptive learning rate and beyond", 2020.

    Args:
        alpha: The step size.
        beta1: How much of the mean gradient is kept.
        beta2: How much of the mean squared gradient is kept.
        eps: Keeps the quotient finite.

    Attributes:
        t: The number of updates so far.

    >>> optimizer = dezero.optimizers.RAdam(alpha=0.001)
    """

    def __init__(
        self,
        alpha: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(alpha, beta1, beta2, eps)

    def _rates(self) -> tuple[float, float]:
        """What the quotient and the mean alone are multiplied with; one is 0."""
        grown = self._grown(self.beta2)
        longest = 2 / (1 - self.beta2) - 1
        length = longest - 2 * self.t * (1 - grown) / grown
        enough = length > 5
        r, R = np.maximum(length, 5), np.maximum(longest, 5)
        c = np.sqrt((r - 4) * (r - 2) * R / ((R - 4) * (R - 2) * r))
        alpha = self.alpha / self._grown(self.beta1)
        return (
            number(np.where(enough, alpha * c * grown**0.5, 0.0)),
            number(np.where(enough, 0.0, alpha)),
        )

    def step(self, y: Array, x: Array, gx: Array, *moments: Array) -> None:
        m, v = moments
        quotient, alone = self._rates()
        work = self._average(gx, m, v)
        np.sqrt(v, out=work)
        work += number(self.eps)
        np.divide(quotient, work, out=work)
        work += alone
        work *= m
        np.subtract(x, work, out=y)
