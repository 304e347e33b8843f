"""Hyperbolic functions, and angles from sines, cosines and tangents."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero.core import Function, Variable, apply_binary
from dezero.functions.arithmetic import misfit
from dezero.functions.elementwise import sqrt


class Tan(Function):
    takes_scalars = True
    forward = staticmethod(np.tan)

    def backward(self, gy: Variable) -> Variable:
        y = self.output()
        return gy * (1 + y * y)


def tan(x: Any) -> Variable:
    """The tangent of ``x``, in radians: ``sin(x) / cos(x)``.

    >>> tan(np.array([0.0, np.pi / 4])).data.round(12)
    array([0., 1.])
    """
    return Tan()(x)


class Sinh(Function):
    takes_scalars = True
    forward = staticmethod(np.sinh)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        return gy * cosh(x)


def sinh(x: Any) -> Variable:
    """The hyperbolic sine of ``x``: ``(exp(x) - exp(-x)) / 2``.

    >>> sinh(np.array(0.0))
    variable(0.0)
    """
    return Sinh()(x)


class Cosh(Function):
    takes_scalars = True
    forward = staticmethod(np.cosh)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        return gy * sinh(x)


def cosh(x: Any) -> Variable:
    """The hyperbolic cosine of ``x``: ``(exp(x) + exp(-x)) / 2``.

    >>> cosh(np.array(0.0))
    variable(1.0)
    """
    return Cosh()(x)


class Asin(Function):
    takes_scalars = True
    forward = staticmethod(np.arcsin)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        return gy / sqrt((1 - x) * (1 + x))  # 1 - x * x cancels where x is near 1


def asin(x: Any) -> Variable:
    """The angle from ``-pi / 2`` to ``pi / 2`` whose sine is ``x``; NaN if none is.

    >>> asin(np.array([0.0, 1.0]))
    variable([0.         1.57079633])
    """
    return Asin()(x)


class Acos(Function):
    takes_scalars = True
    forward = staticmethod(np.arccos)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        return -gy / sqrt((1 - x) * (1 + x))


def acos(x: Any) -> Variable:
    """The angle from 0 to ``pi`` whose cosine is ``x``; NaN if none is.

    >>> acos(np.array([1.0, 0.0]))
    variable([0.         1.57079633])
    """
    return Acos()(x)


class Atan(Function):
    takes_scalars = True
    forward = staticmethod(np.arctan)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        return gy / (1 + x * x)


def atan(x: Any) -> Variable:
    """The angle from ``-pi / 2`` to ``pi / 2`` whose tangent is ``x``.

    >>> atan(np.array([0.0, 1.0]))
    variable([0.         0.78539816])
    """
    return Atan()(x)


class Atan2(Function):
    takes_scalars = True
    forward = staticmethod(np.arctan2)

    def backward(self, gy: Variable) -> tuple[Variable | None, Variable | None]:
        y, x = self.inputs
        g = gy / (x * x + y * y)
        return (
            g * x if y.requires_grad else None,
            -g * y if x.requires_grad else None,
        )


def atan2(y: Any, x: Any) -> Variable:
    """The angle from ``-pi`` to ``pi`` of the point ``(x, y)``, seen from the origin.

    At the origin itself there is no derivative: it is NaN.

    Raises:
        ValueError: The shapes do not broadcast.

    >>> atan2(np.array([0.0, 1.0]), np.array([-1.0, 0.0]))
    variable([3.14159265 1.57079633])
    """
    try:
        return apply_binary(Atan2(), y, x)
    except ValueError as error:
        raise misfit("atan2", y, x, error) from None
