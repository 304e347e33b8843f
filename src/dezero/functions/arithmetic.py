"""``+ - * / % **``, negation and absolute value.

Shapes broadcast as in NumPy; the engine sums the gradients back. A Python number
is weak: ``x * 2.0`` keeps the type of ``x``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.core import Function, Variable, as_input


class Add(Function):
    takes_scalars = True

    def forward(self, x0: Array, x1: Array) -> Array:
        return x0 + x1

    def backward(self, gy: Variable) -> tuple[Variable, Variable]:
        return gy, gy


def add(x0: Any, x1: Any) -> Variable:
    """``x0 + x1``, elementwise.

    >>> add(np.array([1, 2]), 10)
    variable([11 12])
    """
    return Add()(x0, x1)


class Sub(Function):
    takes_scalars = True

    def forward(self, x0: Array, x1: Array) -> Array:
        return x0 - x1

    def backward(self, gy: Variable) -> tuple[Variable, Variable | None]:
        return gy, -gy if self.inputs[1].requires_grad else None


def sub(x0: Any, x1: Any) -> Variable:
    """``x0 - x1``, elementwise.

    >>> sub(np.array([1, 2]), 10)
    variable([-9 -8])
    """
    return Sub()(x0, x1)


def rsub(x0: Any, x1: Any) -> Variable:
    """``x1 - x0``: subtraction with its operands in reverse.

    >>> rsub(np.array([1, 2]), 10)
    variable([9 8])
    """
    return sub(x1, x0)


class Mul(Function):
    takes_scalars = True

    def forward(self, x0: Array, x1: Array) -> Array:
        return x0 * x1

    def backward(self, gy: Variable) -> tuple[Variable | None, Variable | None]:
        x0, x1 = self.inputs
        gx0 = gy * x1 if x0.requires_grad else None
        gx1 = gy * x0 if x1.requires_grad else None
        return gx0, gx1


def mul(x0: Any, x1: Any) -> Variable:
    """``x0 * x1``, elementwise.

    >>> mul(np.array([1, 2]), 10)
    variable([10 20])
    """
    return Mul()(x0, x1)


class Div(Function):
    takes_scalars = True

    def forward(self, x0: Array, x1: Array) -> Array:
        return x0 / x1

    def backward(self, gy: Variable) -> tuple[Variable | None, Variable | None]:
        _, x1 = self.inputs
        y = self.output()
        gx0 = gy / x1
        # y / x1, not x0 / x1**2: the square may be 0 or infinite where x1 is neither.
        gx1 = -gx0 * y if x1.requires_grad else None
        return gx0, gx1


def div(x0: Any, x1: Any) -> Variable:
    """``x0 / x1``, elementwise.

    >>> div(np.array([1.0, 2.0]), 10)
    variable([0.1 0.2])
    """
    return Div()(x0, x1)


def rdiv(x0: Any, x1: Any) -> Variable:
    """``x1 / x0``: division with its operands in reverse.

    >>> rdiv(np.array([1.0, 2.0]), 10)
    variable([10.  5.])
    """
    return div(x1, x0)


class Neg(Function):
    takes_scalars = True

    def forward(self, x: Array) -> Array:
        return -x

    def backward(self, gy: Variable) -> Variable:
        return -gy


def neg(x: Any) -> Variable:
    """``-x``, elementwise.

    >>> neg(np.array([1, -2]))
    variable([-1  2])
    """
    return Neg()(x)


class Pow(Function):
    """``x ** c`` for a constant ``c``, as the book has it."""

    takes_scalars = True

    def __init__(self, c: float) -> None:
        self.c = c

    def forward(self, x: Array) -> Array:
        return x**self.c

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        if self.c == 0:  # not 0 * x**-1, which is NaN at 0
            return gy * 0
        return gy * (self.c * x ** (self.c - 1))


class Power(Function):
    """``x0 ** x1`` where both may vary."""

    takes_scalars = True

    def forward(self, x0: Array, x1: Array) -> Array:
        return x0**x1

    def backward(self, gy: Variable) -> tuple[Variable | None, Variable | None]:
        x0, x1 = self.inputs
        y = self.output()
        gx0 = gy * x1 * x0 ** (x1 - 1) if x0.requires_grad else None
        gx1 = gy * y * np.log(x0) if x1.requires_grad else None
        return gx0, gx1


def pow(x: Any, c: Any) -> Variable:
    """``x ** c``, elementwise.

    Args:
        x: Variable or array.
        c: A number (all derivatives are right at ``x = 0``, too), or a Variable or
            array; for the gradient by ``c``, ``x`` must be positive.

    >>> pow(np.array([1.0, 2.0]), 3)
    variable([1. 8.])
    """
    number = isinstance(c, (int, float, np.generic))
    return Pow(c)(x) if number else Power()(x, c)


def rpow(x: Any, c: Any) -> Variable:
    """``c ** x``: the power with its operands in reverse.

    >>> rpow(np.array([1.0, 2.0]), 3)
    variable([3. 9.])
    """
    return pow(as_input(c), x)


class Mod(Function):
    takes_scalars = True

    def forward(self, x0: Array, x1: Array) -> Array:
        return x0 % x1

    def backward(self, gy: Variable) -> tuple[Variable, Variable | None]:
        x0, x1 = self.inputs
        return gy, -gy * (x0.data // x1.data) if x1.requires_grad else None


def mod(x0: Any, x1: Any) -> Variable:
    """``x0 % x1``, the remainder with the sign of ``x1``; derivative 1 by ``x0``.

    >>> mod(np.array([5.0, -5.0]), 3)
    variable([2. 1.])
    """
    return Mod()(x0, x1)


def rmod(x0: Any, x1: Any) -> Variable:
    """``x1 % x0``: the remainder with its operands in reverse."""
    return mod(x1, x0)


class Abs(Function):
    takes_scalars = True

    def forward(self, x: Array) -> Array:
        return abs(x)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        return gy * np.sign(x.data)


def absolute(x: Any) -> Variable:
    """``|x|``, elementwise; its derivative at 0 is taken as 0.

    >>> absolute(np.array([1, -2]))
    variable([1 2])
    """
    return Abs()(x)
