"""Functions of each element alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dezero.backend import Array, special
from dezero.backend.tracing import kernel
from dezero.core import Function, Variable, as_input


class Sin(Function):
    takes_scalars = True
    forward = staticmethod(np.sin)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        return gy * cos(x)


def sin(x: Any) -> Variable:
    """The sine of ``x``, in radians.

    >>> sin(np.array([0.0, np.pi / 2]))
    variable([0. 1.])
    """
    return Sin()(x)


class Cos(Function):
    takes_scalars = True
    forward = staticmethod(np.cos)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        return gy * -sin(x)


def cos(x: Any) -> Variable:
    """The cosine of ``x``, in radians.

    >>> cos(np.array([0.0, np.pi]))
    variable([ 1. -1.])
    """
    return Cos()(x)


class Tanh(Function):
    takes_scalars = True
    forward = staticmethod(np.tanh)

    def backward(self, gy: Variable) -> Variable:
        y = self.output()
        return gy * (1 - y * y)


def tanh(x: Any) -> Variable:
    """The hyperbolic tangent of ``x``.

    >>> tanh(np.array(0.0))
    variable(0.0)
    """
    return Tanh()(x)


class Exp(Function):
    takes_scalars = True
    forward = staticmethod(np.exp)

    def backward(self, gy: Variable) -> Variable:
        y = self.output()
        return gy * y


def exp(x: Any) -> Variable:
    """``e ** x``, elementwise.

    >>> exp(np.array(0.0))
    variable(1.0)
    """
    return Exp()(x)


class Log(Function):
    takes_scalars = True
    forward = staticmethod(np.log)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        return gy / x


def log(x: Any) -> Variable:
    """The natural logarithm of ``x``.

    >>> log(np.array(1.0))
    variable(0.0)
    """
    return Log()(x)


class Sqrt(Function):
    takes_scalars = True
    forward = staticmethod(np.sqrt)

    def backward(self, gy: Variable) -> Variable:
        y = self.output()
        return gy / (2 * y)


def sqrt(x: Any) -> Variable:
    """The square root of ``x``.

    >>> sqrt(np.array(9.0))
    variable(3.0)
    """
    return Sqrt()(x)


def square(x: Any) -> Variable:
    """``x ** 2``, elementwise.

    >>> square(np.array([1.0, -3.0]))
    variable([1. 9.])
    """
    x = as_input(x)
    return x * x


class Log1p(Function):
    takes_scalars = True
    forward = staticmethod(np.log1p)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        return gy / (1 + x)


def log1p(x: Any) -> Variable:
    """``log(1 + x)``, exact for small ``x``, too.

    >>> log1p(np.array([0.0, 1e-20]))
    variable([0.e+00 1.e-20])
    """
    return Log1p()(x)


class Expm1(Function):
    takes_scalars = True
    forward = staticmethod(np.expm1)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        return gy * exp(x)


def expm1(x: Any) -> Variable:
    """``exp(x) - 1``, exact for small ``x``, too.

    >>> expm1(np.array([0.0, 1e-20]))
    variable([0.e+00 1.e-20])
    """
    return Expm1()(x)


class Erf(Function):
    forward = staticmethod(kernel(special.erf))

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        return gy * (exp(-(x * x)) * (2 / math.sqrt(math.pi)))


def erf(x: Any) -> Variable:
    """The error function, ``2 / sqrt(pi)`` times the integral of ``exp(-t**2)`` from
    0 to ``x``: exact but for the last digit.

    >>> erf(np.array([0.0, 0.5, -10.0]))
    variable([ 0.          0.52049988 -1.        ])
    """
    return Erf()(x)


class Clip(Function):
    takes_scalars = True

    def __init__(self, x_min: Any, x_max: Any) -> None:
        self.x_min = x_min
        self.x_max = x_max

    def forward(self, x: Array) -> Array:
        return np.clip(x, self.x_min, self.x_max)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        above = True if self.x_min is None else x.data >= self.x_min
        below = True if self.x_max is None else x.data <= self.x_max
        return gy * (above & below)


def clip(x: Any, x_min: Any, x_max: Any) -> Variable:
    """``x`` limited to ``x_min <= x <= x_max``; a bound of ``None`` is no bound.

    The gradient passes where ``x`` is inside the bounds or on one of them.

    Args:
        x: Variable or array.
        x_min: The lower bound: a number, an array that broadcasts, or ``None``.
        x_max: The upper bound, likewise.

    Raises:
        TypeError: A bound is a Variable: there is no derivative by the bounds.
        ValueError: Both bounds are ``None``, or do not broadcast.

    >>> clip(np.array([-2.0, 0.5, 2.0]), -1, None)
    variable([-1.   0.5  2. ])
    """
    if x_min is None and x_max is None:
        raise ValueError("clip: expected x_min, x_max or both, got None for both")
    bounds = []
    for bound in (x_min, x_max):
        if isinstance(bound, Variable):
            raise TypeError(
                "clip: expected numbers or arrays as bounds, got a Variable, for which "
                "it has no derivative; write bound.data"
            )
        # NumPy's scalars become weak numbers: x keeps its type.
        bounds.append(bound.item() if isinstance(bound, np.generic) else bound)
    try:
        return Clip(*bounds)(x)
    except ValueError:
        shapes = " and ".join(str(np.shape(b)) for b in bounds if b is not None)
        raise ValueError(
            f"clip: expected bounds that broadcast to x {as_input(x).shape}, "
            f"got {shapes}"
        ) from None
