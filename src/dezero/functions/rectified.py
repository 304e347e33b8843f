"""Activations that are x, or nearly, above 0, and small or bounded below."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.backend.special import log1p
from dezero.backend.tracing import kernel
from dezero.core import Function, Variable, as_input
from dezero.functions.activation import relu, sigmoid
from dezero.functions.arithmetic import absolute
from dezero.functions.elementwise import clip, exp
from dezero.functions.reduction import as_floating
from dezero.functions.shape import reshape


@kernel
def _elu(x: Array, alpha: float, width: float) -> Array:
    below = np.expm1(np.minimum(x, 0) * (1 / width))
    return np.where(x > 0, x, alpha * below)


class ELU(Function):
    """``x`` where it is positive, ``alpha * (exp(x / width) - 1)`` elsewhere."""

    takes_scalars = True

    def __init__(self, alpha: float, width: float) -> None:
        self.alpha = alpha
        self.width = width

    def forward(self, x: Array) -> Array:
        return _elu(x, self.alpha, self.width)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        above = (x.data > 0).astype(x.dtype)
        below = exp(clip(x, None, 0) * (1 / self.width)) * (1 - above)
        return gy * (above + below * (self.alpha / self.width))


def elu(x: Any, alpha: float = 1.0) -> Variable:
    """``x`` where it is positive, ``alpha * (exp(x) - 1)`` elsewhere.

    The derivative at 0 is taken as ``alpha`` (Clevert et al., "Fast and accurate deep
    network learning by exponential linear units", 2016).

    >>> elu(np.array([-np.inf, 0.0, 2.0]))
    variable([-1.  0.  2.])
    """
    return ELU(alpha, 1.0)(as_floating(x))


def celu(x: Any, alpha: float = 1.0) -> Variable:
    """``x`` where it is positive, ``alpha * (exp(x / alpha) - 1)`` elsewhere.

    An ELU that is smooth at 0 for every ``alpha`` (Barron, "Continuously
    differentiable exponential linear units", 2017).

    Raises:
        ValueError: ``alpha`` is 0.

    >>> celu(np.array([-np.inf, 0.0, 2.0]), alpha=0.5)
    variable([-0.5  0.   2. ])
    """
    if alpha == 0:
        raise ValueError("celu: expected alpha other than 0, got 0; write relu(x)")
    return ELU(alpha, alpha)(as_floating(x))


# Of which mean 0 and variance 1 are a fixed point: the two equations, solved.
_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


def selu(x: Any) -> Variable:
    """``1.0507 * elu(x, 1.6733)``: it keeps mean 0 and variance 1 from layer to layer.

    For weights of variance 1 / in (Klambauer et al., "Self-normalizing neural
    networks", 2017).

    >>> selu(np.array([-np.inf, 0.0, 1.0]))
    variable([-1.75809934  0.          1.05070099])
    """
    return _SELU_SCALE * elu(x, _SELU_ALPHA)


@kernel
def _softplus(x: Array) -> Array:
    return np.maximum(x, 0) + log1p(np.exp(-abs(x)))


class Softplus(Function):
    takes_scalars = True
    forward = staticmethod(_softplus)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        return gy * sigmoid(x)


def softplus(x: Any, beta: float = 1.0) -> Variable:
    """``log(1 + exp(beta * x)) / beta``: a smooth relu, the sharper the larger beta.

    Right for every ``x``: exp is taken of ``-abs(beta * x)`` alone (Dugas et al.,
    "Incorporating second-order functional knowledge for better option pricing", 2001).

    Raises:
        ValueError: ``beta`` is not positive.

    >>> softplus(np.array([-1000.0, 0.0, 10.0]))
    variable([ 0.          0.69314718 10.0000454 ])
    """
    if not beta > 0:
        raise ValueError(f"softplus: expected beta above 0, got {beta}")
    x = as_floating(x)
    return Softplus()(x) if beta == 1 else Softplus()(x * beta) * (1 / beta)


class Softsign(Function):
    takes_scalars = True

    def forward(self, x: Array) -> Array:
        return x / (1 + abs(x))

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        return gy / (1 + absolute(x)) ** 2


def softsign(x: Any) -> Variable:
    """``x / (1 + abs(x))``, elementwise: from -1 to 1, more slowly than ``tanh``.

    Bergstra et al., "Quadratic polynomials learn better image features", 2009.

    >>> softsign(np.array([-1.0, 0.0, 3.0]))
    variable([-0.5   0.    0.75])
    """
    return Softsign()(as_floating(x))


def hardtanh(x: Any, x_min: float = -1.0, x_max: float = 1.0) -> Variable:
    """``x`` limited to ``x_min <= x <= x_max``: ``clip`` by the name of an activation.

    >>> hardtanh(np.array([-2.0, 0.5, 2.0]))
    variable([-1.   0.5  1. ])
    """
    return clip(as_floating(x), x_min, x_max)


def relu6(x: Any) -> Variable:
    """``min(max(x, 0), 6)``, elementwise: what few bits can hold.

    Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010.

    >>> relu6(np.array([-1.0, 2.0, 7.0]))
    variable([0. 2. 6.])
    """
    return clip(as_floating(x), 0, 6)


def prelu(x: Any, W: Any) -> Variable:
    """``x`` where it is positive, ``W * x`` elsewhere, with a slope that is learned.

    The derivative at 0 is taken as ``W`` (He et al., "Delving deep into rectifiers",
    2015).

    Args:
        x: (N, C, ...); with a single slope, of any shape.
        W: One slope for each of the C channels, (C,), or a single one, () or (1,).

    Raises:
        ValueError: The number of slopes is neither 1 nor C.

    >>> prelu(np.array([[-1.0, -1.0], [2.0, 2.0]]), np.array([0.5, 0.25]))
    variable([[-0.5  -0.25]
              [ 2.    2.  ]])
    """
    x, W = as_floating(x), as_input(W)
    if W.size == 1:
        W = reshape(W, ())
    elif x.ndim > 1 and W.shape == (x.shape[1],):
        W = reshape(W, (-1, *(1,) * (x.ndim - 2)))
    else:
        channels = f"({x.shape[1]},)" if x.ndim > 1 else "()"
        raise ValueError(
            f"prelu: expected W of shape {channels} or (1,) for x {x.shape}, "
            f"got W {W.shape}"
        )
    return relu(x) + W * clip(x, None, 0)
