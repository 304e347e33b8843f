"""Activations that let through a share of x, and x itself decides how large it is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dezero.backend import Array, special
from dezero.backend.tracing import kernel
from dezero.core import Function, Variable
from dezero.errors import closest
from dezero.functions.activation import sigmoid
from dezero.functions.elementwise import exp, tanh
from dezero.functions.rectified import softplus
from dezero.functions.reduction import as_floating, normalize_axis

# Each is x s(x). The first derivative is a Function of its own, hence one loop over
# memory; higher ones are made of Variables.

# -- s(x) = the logistic function -----------------------------------------------------


@kernel
def _silu(x: Array) -> Array:
    return x * special.sigmoid(x)


@kernel
def _silu_grad(x: Array, gy: Array) -> Array:
    s = special.sigmoid(x)
    gx = 1 - s
    gx *= x
    gx += 1
    gx *= s
    gx *= gy
    return gx


class SiLU(Function):
    takes_scalars = True
    forward = staticmethod(_silu)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        return SiLUGrad()(x, gy)


class SiLUGrad(Function):
    """``gy * s * (1 + x * (1 - s))`` with ``s = sigmoid(x)``."""

    takes_scalars = True
    forward = staticmethod(_silu_grad)

    def backward(self, ggx: Variable) -> tuple[Variable, Variable]:
        x, gy = self.inputs
        s = sigmoid(x)
        bend = s * (1 - s) * (2 + x * (1 - 2 * s))
        return ggx * gy * bend, ggx * (s * (1 + x * (1 - s)))


def silu(x: Any) -> Variable:
    """``x * sigmoid(x)``, elementwise; ``swish`` is the same function.

    Elfwing et al., "Sigmoid-weighted linear units for neural network function
    approximation in reinforcement learning", 2018; Ramachandran et al., "Searching for
    activation functions", 2017.

    >>> silu(np.array([-1000.0, 0.0, 1000.0]))
    variable([  -0.    0. 1000.])
    """
    return SiLU()(as_floating(x))


swish = silu


# -- s(x) = the normal distribution ---------------------------------------------------


@kernel
def _gelu(x: Array) -> Array:
    return x * special.normal_cdf(x)


@kernel
def _gelu_grad(x: Array, gy: Array) -> Array:
    gx = np.exp(-0.5 * (x * x))
    gx *= 1 / math.sqrt(2 * math.pi)
    gx *= x
    gx += special.normal_cdf(x)
    gx *= gy
    return gx


class _NormalCDF(Function):
    forward = staticmethod(special.normal_cdf)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        return gy * _normal_density(x)


def _normal_density(x: Variable) -> Variable:
    return exp(-0.5 * (x * x)) * (1 / math.sqrt(2 * math.pi))


class GELU(Function):
    forward = staticmethod(_gelu)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        return GELUGrad()(x, gy)


class GELUGrad(Function):
    """``gy * (P(x) + x * p(x))`` with the normal distribution P and its density p."""

    forward = staticmethod(_gelu_grad)

    def backward(self, ggx: Variable) -> tuple[Variable, Variable]:
        x, gy = self.inputs
        p = _normal_density(x)
        return ggx * gy * (p * (2 - x * x)), ggx * (_NormalCDF()(x) + x * p)


# -- s(x) = nearly that, by tanh ------------------------------------------------------

# (1 + tanh(u)) / 2 is sigmoid(2u): v = 2u = v1 x + v3 x³.
_V1 = 2 * math.sqrt(2 / math.pi)
_V3 = _V1 * 0.044715


@kernel
def _tanh_gelu(x: Array) -> Array:
    v = x * x
    v *= _V3
    v += _V1
    v *= x
    return x * special.sigmoid(v)


@kernel
def _tanh_gelu_grad(x: Array, gy: Array) -> Array:
    square = x * x
    s = special.sigmoid(x * (_V1 + _V3 * square))
    gx = square * (3 * _V3)
    gx += _V1
    gx *= x
    gx *= 1 - s
    gx += 1
    gx *= s
    gx *= gy
    return gx


class TanhGELU(Function):
    takes_scalars = True
    forward = staticmethod(_tanh_gelu)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        return TanhGELUGrad()(x, gy)


class TanhGELUGrad(Function):
    """``gy * s * (1 + x * v' * (1 - s))`` with ``s = sigmoid(v)``."""

    takes_scalars = True
    forward = staticmethod(_tanh_gelu_grad)

    def backward(self, ggx: Variable) -> tuple[Variable, Variable]:
        x, gy = self.inputs
        square = x * x
        s = sigmoid(x * (_V1 + _V3 * square))
        slope = _V1 + 3 * _V3 * square  # of v
        bend = 2 * slope + x * (6 * _V3 * x + slope * slope * (1 - 2 * s))
        rest = s * (1 - s)
        return ggx * gy * (rest * bend), ggx * (s + x * slope * rest)


_GELUS = {"none": GELU, "tanh": TanhGELU}


def gelu(x: Any, approximate: str = "none") -> Variable:
    """``x * P(x)`` where P(x) is the probability that a normal variable is below x.

    With ``approximate="tanh"``, as GPT-2 has it, ``x * (1 + tanh(u)) / 2`` where
    ``u = sqrt(2 / pi) * (x + 0.044715 * x**3)``; the two differ by at most 0.0005.

    Hendrycks and Gimpel, "Gaussian error linear units", 2016.

    Raises:
        ValueError: ``approximate`` is neither "none" nor "tanh".

    >>> gelu(np.array([-1.0, 0.0, 1.0]))
    variable([-0.15865525  0.          0.84134475])
    >>> gelu(np.array([-1.0, 0.0, 1.0]), approximate='tanh')
    variable([-0.15880801  0.          0.84119199])
    """
    if approximate not in _GELUS:
        raise ValueError(
            f"gelu: expected approximate 'none' or 'tanh', got {approximate!r}"
            + closest(str(approximate), _GELUS)
        )
    return _GELUS[approximate]()(as_floating(x))


# -- others ---------------------------------------------------------------------------


def mish(x: Any) -> Variable:
    """``x * tanh(softplus(x))``, elementwise.

    Misra, "Mish: a self regularized non-monotonic activation function", 2019.

    >>> mish(np.array([0.0, 1.0]))
    variable([0.         0.86509839])
    """
    x = as_floating(x)
    return x * tanh(softplus(x))


def glu(x: Any, axis: int = -1) -> Variable:
    """``a * sigmoid(b)``, where a and b are the two halves of ``x`` along ``axis``.

    Dauphin et al., "Language modeling with gated convolutional networks", 2017.

    Raises:
        ValueError: ``axis`` is out of range, or of odd length.

    >>> glu(np.array([[1.0, 2.0, 0.0, 1000.0]]))
    variable([[0.5 2. ]])
    """
    x = as_floating(x)
    (axis,) = normalize_axis("glu", axis, x.ndim)
    if x.shape[axis] % 2:
        raise ValueError(
            f"glu: expected an even length along axis {axis}, got x {x.shape}"
        )
    half = x.shape[axis] // 2
    lead = (slice(None),) * axis
    return x[(*lead, slice(half))] * sigmoid(x[(*lead, slice(half, None))])
