"""Which of two, which side, which step: what is piecewise, and questions.

A choice passes the gradient to what was chosen. A staircase has the derivative 0. A
question is answered with a plain array, which has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dezero.backend import Array, get_array_module
from dezero.core import Function, Variable, apply_binary, as_input
from dezero.functions.arithmetic import misfit


class Where(Function):
    takes_scalars = True

    def __init__(self, condition: Array) -> None:
        self.condition = condition

    def forward(self, x: Array, y: Array) -> Array:
        return np.where(self.condition, x, y)

    def backward(self, gz: Variable) -> tuple[Variable | None, Variable | None]:
        x, y = self.inputs
        return (
            Where(self.condition)(gz, 0) if x.requires_grad else None,
            Where(self.condition)(0, gz) if y.requires_grad else None,
        )


def where(condition: Any, x: Any, y: Any) -> Variable:
    """The elements of ``x`` where ``condition`` is true, elsewhere those of ``y``.

    What was not chosen gets the gradient 0, whatever it is, NaN and infinity included.

    Args:
        condition: Booleans.
        x: Variable, array or number.
        y: Likewise; all three broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    >>> where(np.array([True, False]), np.array([1.0, 2.0]), 0)
    variable([1. 0.])
    """
    condition = as_input(condition).data
    x, y = as_input(x), as_input(y)
    try:
        np.broadcast_shapes(condition.shape, x.shape, y.shape)
    except ValueError:
        raise ValueError(
            f"where: expected shapes that broadcast, got condition {condition.shape}, "
            f"x {x.shape} and y {y.shape}"
        ) from None
    return apply_binary(Where(condition), x, y)


class Maximum(Function):
    """The larger of two. Of equal ones the first gets the gradient, once."""

    takes_scalars = True
    forward: Callable[..., Array] = staticmethod(np.maximum)
    first: Callable[..., Array] = staticmethod(np.greater_equal)

    def backward(self, gy: Variable) -> tuple[Variable | None, Variable | None]:
        x0, x1 = self.inputs
        a0, a1 = x0._data, x1._data  # not data: a number stays weak
        chosen = np.logical_or(self.first(a0, a1), a0 != a0)  # NaN wins
        return (
            gy * chosen if x0.requires_grad else None,
            gy * np.logical_not(chosen) if x1.requires_grad else None,
        )


class Minimum(Maximum):
    """The smaller of two. Of equal ones the first gets the gradient, once."""

    forward = staticmethod(np.minimum)
    first = staticmethod(np.less_equal)


def maximum(x0: Any, x1: Any) -> Variable:
    """The larger of ``x0`` and ``x1``, elementwise. NaN wins.

    Where they are equal, ``x0`` gets the gradient, and ``x1`` none.

    Raises:
        ValueError: The shapes do not broadcast.

    >>> maximum(np.array([1.0, 5.0]), 3)
    variable([3. 5.])
    """
    try:
        return apply_binary(Maximum(), x0, x1)
    except ValueError as error:
        raise misfit("maximum", x0, x1, error) from None


def minimum(x0: Any, x1: Any) -> Variable:
    """The smaller of ``x0`` and ``x1``, elementwise. NaN wins.

    Where they are equal, ``x0`` gets the gradient, and ``x1`` none.

    Raises:
        ValueError: The shapes do not broadcast.

    >>> minimum(np.array([1.0, 5.0]), 3)
    variable([1. 3.])
    """
    try:
        return apply_binary(Minimum(), x0, x1)
    except ValueError as error:
        raise misfit("minimum", x0, x1, error) from None


# -- staircases ----------------------------------------------------------------------


class Staircase(Function):
    """Flat but for its jumps: the derivative is 0, taken so at the jumps, too.

    It is recorded all the same: a loss that goes through it alone has a gradient,
    namely zeros.
    """

    def __init__(self, function: Callable[[Array], Array]) -> None:
        self.function = function

    def forward(self, x: Array) -> Array:
        return self.function(x)

    def backward(self, gy: Variable) -> Variable:
        return Variable(get_array_module(gy).zeros_like(gy.data))


def sign(x: Any) -> Variable:
    """-1, 0 or 1, as ``x`` is negative, zero or positive; derivative 0.

    >>> sign(np.array([-2.5, 0.0, 7.0]))
    variable([-1.  0.  1.])
    """
    return Staircase(np.sign)(x)


def floor(x: Any) -> Variable:
    """The largest whole number up to ``x``; derivative 0.

    >>> floor(np.array([-2.5, 0.0, 7.9]))
    variable([-3.  0.  7.])
    """
    return Staircase(np.floor)(x)


def ceil(x: Any) -> Variable:
    """The smallest whole number from ``x`` on; derivative 0.

    >>> ceil(np.array([-2.5, 0.0, 7.1]))
    variable([-2.  0.  8.])
    """
    return Staircase(np.ceil)(x)


def round(x: Any, decimals: int = 0) -> Variable:
    """``x`` to ``decimals`` digits behind the point, halves to even; derivative 0.

    >>> round(np.array([0.5, 1.5, 2.75]))
    variable([0. 2. 3.])
    >>> round(np.array(0.1234), 2)
    variable(0.12)
    """
    return Staircase(lambda x: np.round(x, decimals))(x)


# -- questions -----------------------------------------------------------------------


def isnan(x: Any) -> Array:
    """Where ``x`` is not a number, as a plain array of booleans.

    >>> isnan(np.array([1.0, np.nan, np.inf]))
    array([False,  True, False])
    """
    return np.isnan(as_input(x).data)


def isinf(x: Any) -> Array:
    """Where ``x`` is infinite, of either sign, as a plain array of booleans.

    >>> isinf(np.array([1.0, np.nan, -np.inf]))
    array([False, False,  True])
    """
    return np.isinf(as_input(x).data)


def isfinite(x: Any) -> Array:
    """Where ``x`` is neither infinite nor NaN, as a plain array of booleans.

    >>> isfinite(np.array([1.0, np.nan, -np.inf]))
    array([ True, False, False])
    """
    return np.isfinite(as_input(x).data)


def logical_not(x: Any) -> Array:
    """Where ``x`` is zero or false, as a plain array of booleans.

    >>> logical_not(np.array([True, False]))
    array([False,  True])
    """
    return np.logical_not(as_input(x).data)


def _asked(question: Any, x0: Any, x1: Any) -> Array:
    try:
        answer: Array = question(as_input(x0).data, as_input(x1).data)
    except ValueError as error:
        raise misfit(question.__name__, x0, x1, error) from None
    return answer


def logical_and(x0: Any, x1: Any) -> Array:
    """Where neither ``x0`` nor ``x1`` is zero or false, as a plain array of booleans.

    Raises:
        ValueError: The shapes do not broadcast.

    >>> logical_and(np.array([True, False]), True)
    array([ True, False])
    """
    return _asked(np.logical_and, x0, x1)


def logical_or(x0: Any, x1: Any) -> Array:
    """Where ``x0`` and ``x1`` are not both zero, as a plain array of booleans.

    Raises:
        ValueError: The shapes do not broadcast.

    >>> logical_or(np.array([True, False]), False)
    array([ True, False])
    """
    return _asked(np.logical_or, x0, x1)


def logical_xor(x0: Any, x1: Any) -> Array:
    """Where one of ``x0`` and ``x1`` is zero, the other not, as a plain array.

    Raises:
        ValueError: The shapes do not broadcast.

    >>> logical_xor(np.array([True, False]), True)
    array([False,  True])
    """
    return _asked(np.logical_xor, x0, x1)
