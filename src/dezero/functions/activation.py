"""Activations: what stands between the layers, and softmax at their end."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero.backend import Array, special
from dezero.backend.tracing import kernel
from dezero.core import Function, Variable
from dezero.functions.elementwise import exp
from dezero.functions.reduction import as_floating, sum
from dezero.functions.shape import normalize_axis


class Sigmoid(Function):
    takes_scalars = True
    forward = staticmethod(kernel(special.sigmoid))

    def backward(self, gy: Variable) -> Variable:
        y = self.output()
        return SigmoidGrad()(y, gy)


@kernel
def _sigmoid_grad(y: Array, gy: Array) -> Array:
    gx = 1 - y
    gx *= y
    gx *= gy
    return gx


class SigmoidGrad(Function):
    """``gy * y * (1 - y)`` with a single array of its own."""

    takes_scalars = True
    forward = staticmethod(_sigmoid_grad)

    def backward(self, ggx: Variable) -> tuple[Variable, Variable]:
        y, gy = self.inputs
        return ggx * gy * (1 - 2 * y), ggx * y * (1 - y)


def sigmoid(x: Any) -> Variable:
    """``1 / (1 + exp(-x))``, elementwise, from 0 at -inf to 1 at inf.

    >>> sigmoid(np.array([-np.inf, 0.0, np.inf]))
    variable([0.  0.5 1. ])
    """
    return Sigmoid()(as_floating(x))


def sigmoid_simple(x: Any) -> Variable:
    """``1 / (1 + exp(-x))`` from ``exp`` and ``/``; it overflows far below 0.

    >>> sigmoid_simple(np.array(0.0))
    variable(0.5)
    """
    return 1 / (1 + exp(-as_floating(x)))


class ReLU(Function):
    takes_scalars = True

    def forward(self, x: Array) -> Array:
        return np.clip(x, 0, np.inf)  # twice as fast as np.maximum(x, 0)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        return gy * (x.data > 0)


def relu(x: Any) -> Variable:
    """``max(x, 0)``, elementwise; its derivative at 0 is taken as 0.

    >>> relu(np.array([-1.0, 0.0, 2.0]))
    variable([0. 0. 2.])
    """
    return ReLU()(as_floating(x))


class LeakyReLU(Function):
    takes_scalars = True

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def forward(self, x: Array) -> Array:
        outer = np.maximum if self.slope <= 1 else np.minimum
        return outer(x, x * self.slope)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        slope = x.dtype.type(self.slope)
        mask = (x.data > 0).astype(x.dtype)
        mask *= 1 - slope  # twice a pass, yet far faster than np.where
        mask += slope
        return gy * mask


def leaky_relu(x: Any, slope: float = 0.2) -> Variable:
    """``x`` where it is positive, ``slope * x`` elsewhere.

    The derivative at 0 is taken as ``slope`` (Maas et al., Rectifier Nonlinearities
    Improve Neural Network Acoustic Models, 2013).

    >>> leaky_relu(np.array([-1.0, 0.0, 2.0]))
    variable([-0.2  0.   2. ])
    """
    if slope == 0:
        return relu(x)  # 0 * inf would be NaN
    return LeakyReLU(slope)(as_floating(x))


@kernel
def _softmax(x: Array, axis: int | tuple[int, ...]) -> Array:
    y = x - x.max(axis=axis, keepdims=True)  # exp of at most 0
    np.exp(y, out=y)
    y /= y.sum(axis=axis, keepdims=True)
    return y


@kernel
def _softmax_grad(y: Array, gy: Array, axis: int | tuple[int, ...]) -> Array:
    gx = gy - (y * gy).sum(axis=axis, keepdims=True)
    gx *= y
    return gx


@kernel
def _log_softmax(x: Array, axis: int | tuple[int, ...]) -> Array:
    y = x - x.max(axis=axis, keepdims=True)
    y -= np.log(np.exp(y).sum(axis=axis, keepdims=True))
    return y


@kernel
def _log_softmax_grad(y: Array, gy: Array, axis: int | tuple[int, ...]) -> Array:
    return gy - np.exp(y) * gy.sum(axis=axis, keepdims=True)


class Softmax(Function):
    def __init__(self, axis: int | tuple[int, ...] = 1) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        return _softmax(x, self.axis)

    def backward(self, gy: Variable) -> Variable:
        return SoftmaxGrad(self.axis)(self.output(), gy)


class SoftmaxGrad(Function):
    """``y * (gy - sum(y * gy))``."""

    def __init__(self, axis: int | tuple[int, ...] = 1) -> None:
        self.axis = axis

    def forward(self, y: Array, gy: Array) -> Array:
        return _softmax_grad(y, gy, self.axis)

    def backward(self, ggx: Variable) -> tuple[Variable, Variable]:
        y, gy = self.inputs
        mean = sum(y * gy, axis=self.axis, keepdims=True)
        ggmean = sum(y * ggx, axis=self.axis, keepdims=True)
        return ggx * (gy - mean) - gy * ggmean, y * (ggx - ggmean)


def softmax(x: Any, axis: int | tuple[int, ...] = 1) -> Variable:
    """``exp(x) / sum(exp(x))`` along ``axis``: scores as probabilities.

    Args:
        x: Variable or array; scores of any size, also -inf.
        axis: The axis, or axes, along which the probabilities sum to 1.

    Raises:
        ValueError: ``axis`` is out of range.

    >>> softmax(np.array([[0.0, 0.0], [1000.0, -np.inf]]))
    variable([[0.5 0.5]
              [1.  0. ]])
    """
    x = as_floating(x)
    return Softmax(normalize_axis("softmax", axis, x.ndim))(x)


def softmax_simple(x: Any, axis: int | tuple[int, ...] = 1) -> Variable:
    """``exp(x) / sum(exp(x))`` from ``exp``, ``sum`` and ``/``; large scores overflow.

    Raises:
        ValueError: ``axis`` is out of range.

    >>> softmax_simple(np.array([[0.0, 0.0]]))
    variable([[0.5 0.5]])
    """
    y = exp(as_floating(x))
    return y / sum(y, axis=axis, keepdims=True)


class LogSoftmax(Function):
    def __init__(self, axis: int | tuple[int, ...] = 1) -> None:
        self.axis = axis

    def forward(self, x: Array) -> Array:
        return _log_softmax(x, self.axis)

    def backward(self, gy: Variable) -> Variable:
        return LogSoftmaxGrad(self.axis)(self.output(), gy)


class LogSoftmaxGrad(Function):
    """``gy - exp(y) * sum(gy)``."""

    def __init__(self, axis: int | tuple[int, ...] = 1) -> None:
        self.axis = axis

    def forward(self, y: Array, gy: Array) -> Array:
        return _log_softmax_grad(y, gy, self.axis)

    def backward(self, ggx: Variable) -> tuple[Variable, Variable]:
        y, gy = self.inputs
        part = ggx * exp(y)
        gy_sum = sum(gy, axis=self.axis, keepdims=True)
        return -part * gy_sum, ggx - sum(part, axis=self.axis, keepdims=True)


def log_softmax(x: Any, axis: int | tuple[int, ...] = 1) -> Variable:
    """``log(softmax(x))`` along ``axis``, finite where softmax itself would be 0.

    Raises:
        ValueError: ``axis`` is out of range.

    >>> log_softmax(np.array([[1000.0, 0.0]]))
    variable([[    0. -1000.]])
    """
    x = as_floating(x)
    return LogSoftmax(normalize_axis("log_softmax", axis, x.ndim))(x)
