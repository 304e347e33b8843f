"""Arithmetic at its edges: zeros, infinities, weak numbers, shapes that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dezero.functions as F
from dezero import Variable
from dezero.core import propagate


def derivatives(f: Callable[[Any], Any], at: float, order: int) -> list[float]:
    """The value and the derivatives of a function of one number."""
    x = Variable(np.array(at))
    y = f(x)
    values = [float(y)]
    for _ in range(order):
        grads = propagate(y, Variable(np.array(1.0)), create_graph=True)
        y = grads.get(x, Variable(np.array(0.0)))  # x is gone: it was a constant
        values.append(float(y))
    return values


@pytest.mark.parametrize(
    ("c", "wanted"),
    [
        (0, [1, 0, 0, 0]),
        (1, [0, 1, 0, 0]),
        (2, [0, 0, 2, 0]),
        (2.0, [0, 0, 2, 0]),
        (3, [0, 0, 0, 6]),
        (np.float32(2), [0, 0, 2, 0]),
        (np.int64(2), [0, 0, 2, 0]),
        (np.array(2.0), [0, 0, 2, 0]),
    ],
    ids=repr,
)
def test_powers_at_zero(c: Any, wanted: list[float]) -> None:
    assert derivatives(lambda x: x**c, 0.0, 3) == wanted


def test_a_power_of_each_element_at_zero() -> None:
    x = Variable(np.zeros(3))
    y = x ** np.array([0.0, 1.0, 2.0])
    y.backward()
    np.testing.assert_array_equal(x.grad.data, [0.0, 1.0, 0.0])


def test_power_where_both_vary() -> None:
    x, c = Variable(np.array(2.0)), Variable(np.array(3.0))
    (x**c).backward()
    np.testing.assert_allclose(float(x.grad), 12.0)
    np.testing.assert_allclose(float(c.grad), 8 * np.log(2))


def test_division_whose_square_underflows_or_overflows() -> None:
    for tiny in (1e-200, 1e200):
        x0, x1 = Variable(np.array(tiny)), Variable(np.array(tiny))
        (x0 / x1).backward()
        np.testing.assert_allclose(float(x0.grad), 1 / tiny)
        np.testing.assert_allclose(float(x1.grad), -1 / tiny)


def test_remainder_has_the_sign_of_the_divisor() -> None:
    x = Variable(np.array([5.5, -5.5]))
    y = x % -3
    np.testing.assert_array_equal(y.data, np.mod([5.5, -5.5], -3))
    y.backward()
    np.testing.assert_array_equal(x.grad.data, [1.0, 1.0])


def test_the_derivative_of_the_absolute_value_at_zero_is_zero() -> None:
    x = Variable(np.array([-2.0, 0.0, 2.0]))
    abs(x).backward()
    np.testing.assert_array_equal(x.grad.data, [-1.0, 0.0, 1.0])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_numbers_are_weak_forward_and_backward(dtype: Any) -> None:
    x = Variable(np.array([0.5, 1.5], dtype))
    y = 1 - (2 * x + 0.5) / 3.0 ** (x % 7) - np.float64(2) * x**2 + np.int64(3) / x
    assert y.dtype == dtype
    grads = propagate(y, Variable(np.ones(2, dtype)), False, retain_grad=True)
    assert {gx.dtype for gx in grads.values()} == {np.dtype(dtype)}


def test_an_operand_twice_gets_both_gradients() -> None:
    for f, wanted in (
        (lambda x: x + x, 2.0),
        (lambda x: x - x, 0.0),
        (lambda x: x * x, 6.0),
        (lambda x: x / x, 0.0),
        (lambda x: x**x, 27 * (np.log(3) + 1)),
    ):
        x = Variable(np.array(3.0))
        f(x).backward()
        np.testing.assert_allclose(float(x.grad), wanted, atol=1e-15)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (F.add, "add"),
        (F.sub, "sub"),
        (F.mul, "mul"),
        (F.div, "div"),
        (F.mod, "mod"),
        (F.pow, "pow"),
    ],
)
def test_shapes_that_do_not_broadcast(function: Any, name: str) -> None:
    with pytest.raises(ValueError) as error:
        function(Variable(np.ones((2, 3))), np.ones(4))
    assert str(error.value) == (
        f"{name}: expected shapes that broadcast, got (2, 3) and (4,)"
    )


@pytest.mark.parametrize(
    ("function", "name"),
    [(F.rsub, "sub"), (F.rdiv, "div"), (F.rmod, "mod"), (F.rpow, "pow")],
)
def test_shapes_that_do_not_broadcast_in_reverse(function: Any, name: str) -> None:
    with pytest.raises(ValueError) as error:
        function(Variable(np.ones((2, 3))), np.ones(4))
    assert str(error.value) == (
        f"{name}: expected shapes that broadcast, got (4,) and (2, 3)"
    )


@pytest.mark.parametrize(
    "f", [lambda x: x**-1, lambda x: 2**-x, lambda x: x ** -np.ones(2, int)]
)
def test_integers_to_a_negative_power(f: Any) -> None:
    with pytest.raises(ValueError) as error:
        f(Variable(np.array([1, 2])))
    assert str(error.value) == (
        "pow: expected a floating type for a negative power, got integers; "
        "write x.astype(float)"
    )


@pytest.mark.parametrize("other", ["2", object()])
def test_operands_that_are_no_numbers(other: Any) -> None:
    kind = type(other).__name__
    with pytest.raises(TypeError, match=rf"expected an array .* got {kind}"):
        Variable(np.ones(2)) * other
