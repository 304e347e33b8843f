"""``+ - * / % **``, negation and absolute value.

Shapes broadcast as in NumPy, else it is a ValueError; the engine sums the gradients
back. A Python number is weak: ``x * 2.0`` keeps the type of ``x``.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.core import Function, Variable, apply_binary, as_input


def misfit(operation: str, x0: Any, x1: Any, error: ValueError) -> ValueError:
    """What to raise in place of NumPy's ``error``, now that there is one."""
    shape0, shape1 = as_input(x0).shape, as_input(x1).shape
    try:
        np.broadcast_shapes(shape0, shape1)
    except ValueError:
        return ValueError(
            f"{operation}: expected shapes that broadcast, got {shape0} and {shape1}"
        )
    if operation == "pow":  # the only thing else that NumPy refuses
        return ValueError(
            "pow: expected a floating type for a negative power, got integers; "
            "write x.astype(float)"
        )
    return error


class Add(Function):
    takes_scalars = True
    forward = staticmethod(operator.add)

    def backward(self, gy: Variable) -> tuple[Variable, Variable]:
        return gy, gy


def add(x0: Any, x1: Any) -> Variable:
    """``x0 + x1``, elementwise.

    >>> add(np.array([1, 2]), 10)
    variable([11 12])
    """
    try:
        return apply_binary(Add(), x0, x1)
    except ValueError as error:
        raise misfit("add", x0, x1, error) from None


class Sub(Function):
    takes_scalars = True
    forward = staticmethod(operator.sub)

    def backward(self, gy: Variable) -> tuple[Variable, Variable | None]:
        return gy, -gy if self.inputs[1].requires_grad else None


def sub(x0: Any, x1: Any) -> Variable:
    """``x0 - x1``, elementwise.

    >>> sub(np.array([1, 2]), 10)
    variable([-9 -8])
    """
    try:
        return apply_binary(Sub(), x0, x1)
    except ValueError as error:
        raise misfit("sub", x0, x1, error) from None


def rsub(x0: Any, x1: Any) -> Variable:
    """``x1 - x0``: subtraction with its operands in reverse.

    >>> rsub(np.array([1, 2]), 10)
    variable([9 8])
    """
    return sub(x1, x0)


class Mul(Function):
    takes_scalars = True
    forward = staticmethod(operator.mul)

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
    try:
        return apply_binary(Mul(), x0, x1)
    except ValueError as error:
        raise misfit("mul", x0, x1, error) from None


class Div(Function):
    takes_scalars = True
    forward = staticmethod(operator.truediv)

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
    try:
        return apply_binary(Div(), x0, x1)
    except ValueError as error:
        raise misfit("div", x0, x1, error) from None


def rdiv(x0: Any, x1: Any) -> Variable:
    """``x1 / x0``: division with its operands in reverse.

    >>> rdiv(np.array([1.0, 2.0]), 10)
    variable([10.  5.])
    """
    return div(x1, x0)


class Neg(Function):
    takes_scalars = True
    forward = staticmethod(operator.neg)

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


class RPow(Function):
    """``c ** x`` for a constant ``c``."""

    takes_scalars = True

    def __init__(self, c: float) -> None:
        self.c = c

    def forward(self, x: Array) -> Array:
        return self.c**x

    def backward(self, gy: Variable) -> Variable:
        y = self.output()
        return gy * (y * float(np.log(self.c)))


class Power(Function):
    """``x0 ** x1`` where both may vary."""

    takes_scalars = True
    forward = staticmethod(operator.pow)

    def backward(self, gy: Variable) -> tuple[Variable | None, Variable | None]:
        x0, x1 = self.inputs
        y = self.output()
        gx0 = gx1 = None
        if x0.requires_grad:
            # To the power 0, the derivative is 0: at x0 = 0, too, not 0 * 0**-1.
            less = 1 if x1.requires_grad else (x1.data != 0).astype(x1.dtype)
            gx0 = gy * (x1 * x0 ** (x1 - less))
        if x1.requires_grad:
            gx1 = gy * (y * np.log(x0))
        return gx0, gx1


def pow(x: Any, c: Any) -> Variable:
    """``x ** c``, elementwise.

    Args:
        x: Variable or array.
        c: A number or array (all derivatives are right at ``x = 0``, too), or a
            Variable; for the gradient by ``c``, ``x`` must be positive.

    Raises:
        ValueError: The shapes do not broadcast, or integers meet a negative power.

    >>> pow(np.array([1.0, 2.0]), 3)
    variable([1. 8.])
    """
    number = _number(c)
    try:
        return Power()(x, c) if number is None else Pow(number)(x)
    except ValueError as error:
        raise misfit("pow", x, c, error) from None


def rpow(x: Any, c: Any) -> Variable:
    """``c ** x``: the power with its operands in reverse.

    >>> rpow(np.array([1.0, 2.0]), 3)
    variable([3. 9.])
    """
    number = _number(c)
    if number is None:
        return pow(c, x)
    try:
        return RPow(number)(x)
    except ValueError as error:
        raise misfit("pow", number, x, error) from None


def _number(c: Any) -> Any:
    """A number as Python has it, hence weak; ``None`` for all else."""
    if isinstance(c, np.generic):
        return c.item()
    return c if isinstance(c, (int, float)) else None


class Mod(Function):
    takes_scalars = True
    forward = staticmethod(operator.mod)

    def backward(self, gy: Variable) -> tuple[Variable, Variable | None]:
        x0, x1 = self.inputs
        if not x1.requires_grad:
            return gy, None
        return gy, -gy * (x0._data // x1._data)  # not data: a number stays weak


def mod(x0: Any, x1: Any) -> Variable:
    """``x0 % x1``, the remainder with the sign of ``x1``; derivative 1 by ``x0``.

    >>> mod(np.array([5.0, -5.0]), 3)
    variable([2. 1.])
    """
    try:
        return Mod()(x0, x1)
    except ValueError as error:
        raise misfit("mod", x0, x1, error) from None


def rmod(x0: Any, x1: Any) -> Variable:
    """``x1 % x0``: the remainder with its operands in reverse."""
    return mod(x1, x0)


class Abs(Function):
    takes_scalars = True
    forward = staticmethod(operator.abs)

    def backward(self, gy: Variable) -> Variable:
        (x,) = self.inputs
        return gy * np.sign(x.data)


def absolute(x: Any) -> Variable:
    """``|x|``, elementwise; its derivative at 0 is taken as 0. ``abs`` is the same.

    >>> absolute(np.array([1, -2]))
    variable([1 2])
    """
    return Abs()(x)


abs = absolute
