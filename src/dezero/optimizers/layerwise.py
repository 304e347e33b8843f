"""Rules that look at a parameter as a whole: at its norm, or at it as a matrix."""

from __future__ import annotations

import numpy as np

from dezero.backend import Array
from dezero.backend.tracing import number
from dezero.optimizers.adam import TwoMeans
from dezero.optimizers.optimizer import ArrayOptimizer


class LAMB(TwoMeans):
    """LAMB: AdamW whose step has the length of the parameter itself, times ``alpha``.

    ``u = M / (sqrt(V) + eps) + decay * x``, with the corrected means of AdamW, and
    ``x -= alpha * norm(x) / norm(u) * u``; where a norm is 0, ``x -= alpha * u``.

    You et al., "Large batch optimization for deep learning: training BERT in 76
    minutes", 2020.

    Args:
        alpha: The step size, relative to the size of the parameter.
        beta1: How much of the mean gradient is kept.
        beta2: How much of the mean squared gradient is kept.
        eps: Keeps the quotient finite.
        decay: The strength of the pull towards zero.

    Attributes:
        t: The number of updates so far.

    >>> optimizer = dezero.optimizers.LAMB(alpha=0.002, decay=0.01)
    """

    def __init__(
        self,
        alpha: float = 0.001,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-6,
        decay: float = 0.0,
    ) -> None:
        super().__init__(alpha, beta1, beta2, eps)
        self.decay = decay

    def step(self, y: Array, x: Array, gx: Array, *moments: Array) -> None:
        m, v = moments
        u = self._average(gx, m, v)
        np.divide(v, number(self._grown(self.beta2)), out=u)
        np.sqrt(u, out=u)
        u += number(self.eps)
        np.divide(m, u, out=u)
        u *= number(1 / self._grown(self.beta1))
        u += x * number(self.decay)
        size, length = _norm(x), _norm(u)
        usable = (size > 0) & (length > 0)
        ratio = np.where(usable, size / np.where(usable, length, 1), 1)
        u *= ratio * number(self.alpha)
        np.subtract(x, u, out=y)


class Muon(ArrayOptimizer):
    """Muon: gradient descent with momentum, whose steps turn but do not stretch.

    ``v = momentum * v + (1 - momentum) * gx``; the step ``u = momentum * v +
    (1 - momentum) * gx`` is, up to a factor near 1 for each, replaced by the ``U V^T``
    of its singular values ``U S V^T``; then ``x -= lr * (sqrt(max(1, outs / ins)) *
    U V^T + decay * x)``.

    Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024:
    five steps of a Newton-Schulz iteration ``X = a X + b X X^T X + c (X X^T)^2 X``
    bring the singular values to between about 0.7 and 1.2. They are done in the type
    of the parameter.

    It is meant for the matrices of hidden layers, ``(ins, outs)`` as in Linear, and
    for the filters ``(outs, ins, height, width)`` of convolutions. Biases, embeddings
    and the last layer go to another optimizer: see ``Groups``.

    Args:
        lr: The step size.
        momentum: How much of the mean gradient is kept.
        decay: The strength of the pull towards zero.
        nesterov: Whether to look ahead; otherwise the step is ``v``.

    Raises:
        ValueError: A parameter has fewer than two axes.

    >>> layer = dezero.layers.Linear(3, in_size=2)
    >>> optimizer = dezero.optimizers.Muon(lr=0.02).setup([layer.W])
    """

    moments = ("v",)

    def __init__(
        self,
        lr: float = 0.02,
        momentum: float = 0.95,
        decay: float = 0.0,
        *,
        nesterov: bool = True,
    ) -> None:
        super().__init__()
        self.lr = lr
        self.momentum = momentum
        self.decay = decay
        self.nesterov = nesterov

    def step(self, y: Array, x: Array, gx: Array, *moments: Array) -> None:
        if x.ndim < 2:
            raise ValueError(
                "Muon: expected parameters with two axes or more, got one of shape "
                f"{x.shape}; write Groups(Muon().setup(matrices), AdamW().setup(rest))"
            )
        (v,) = moments
        momentum = number(self.momentum)
        v *= momentum
        v += gx * (1 - momentum)
        u = v
        if self.nesterov:
            u = v * momentum
            u += gx * (1 - momentum)
        if x.ndim == 2:
            ins, outs = x.shape
        else:
            outs = x.shape[0]
            ins = x.size // max(outs, 1)
            u = u.reshape(outs, -1)
        rate = max(1, outs / max(ins, 1)) ** 0.5
        u = _orthogonal(u).reshape(x.shape) * number(rate * self.lr)
        u += x * number(self.lr * self.decay)
        np.subtract(x, u, out=y)


def _orthogonal(x: Array) -> Array:
    """``U V^T`` of the singular values ``U S V^T`` of a matrix, roughly."""
    a, b, c = 3.4445, -4.7750, 2.0315  # those of the paper: steepest at 0
    wide = x.T if x.shape[0] > x.shape[1] else x
    wide = wide / np.maximum(_norm(wide), 1e-7)
    for _ in range(5):
        square = wide @ wide.T
        wide = a * wide + (b * square + c * (square @ square)) @ wide
    return wide.T if x.shape[0] > x.shape[1] else wide


def _norm(x: Array) -> Array:
    return np.sqrt((x * x).sum())
