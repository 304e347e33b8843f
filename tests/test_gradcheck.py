"""The checkers are checked: a wrong derivative, planted, must be found."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import dezero.functions as F
from dezero import Function, Parameter, Variable, no_grad
from dezero.errors import GradientError
from dezero.gradcheck import (
    array_allclose,
    array_equal,
    check_derivatives,
    gradient_check,
    numerical_grad,
)

X = np.array([[0.3, -0.8, 1.2], [0.5, 2.0, -0.1]])


class WrongFactor(Function):
    """The sine, its derivative too large by a thousandth."""

    def forward(self, x: Any) -> Any:
        return np.sin(x)

    def backward(self, gy: Any) -> Any:
        return gy * F.cos(self.inputs[0]) * 1.001


class OneWrongElement(WrongFactor):
    def backward(self, gy: Any) -> Any:
        factor = np.ones(gy.shape)
        factor.flat[-1] = 1.01
        return gy * F.cos(self.inputs[0]) * factor


class ZeroGradient(WrongFactor):
    """Centering, whose gradient sums to zero: ones as the weights would not tell."""

    def forward(self, x: Any) -> Any:
        return x - x.mean()

    def backward(self, gy: Any) -> Any:
        return gy * 0


class ConstantSecond(WrongFactor):
    """The first derivative is right, the second takes the cosine for a constant."""

    def backward(self, gy: Any) -> Any:
        return gy * np.cos(self.inputs[0].data)


class ConstantThird(WrongFactor):
    class Slope(Function):
        def forward(self, x: Any) -> Any:
            return np.cos(x)

        def backward(self, gy: Any) -> Any:
            return gy * -np.sin(self.inputs[0].data)

    def backward(self, gy: Any) -> Any:
        return gy * self.Slope()(self.inputs[0])


class GradientOfGradientLost(WrongFactor):
    """Right by the input, but backward is a constant in the gradient it gets."""

    def backward(self, gy: Any) -> Any:
        return Variable(gy.data) * F.cos(self.inputs[0])


class NotUnbroadcast(Function):
    """The product with its second factor's gradient taken for the first's."""

    def forward(self, x0: Any, x1: Any) -> Any:
        return x0 * x1

    def backward(self, gy: Any) -> Any:
        x0, x1 = self.inputs
        return gy * x0, gy * x1


@pytest.mark.parametrize(
    ("wrong", "order"),
    [
        (WrongFactor, 1),
        (OneWrongElement, 1),
        (ZeroGradient, 1),
        (ConstantSecond, 2),
        (GradientOfGradientLost, 2),
        (ConstantThird, 3),
    ],
)
def test_a_planted_error_is_found(wrong: type[Function], order: int) -> None:
    with pytest.raises(GradientError, match=rf"for derivative {order}, as finite"):
        check_derivatives(wrong(), X)
    if order > 1:
        check_derivatives(wrong(), X, order=order - 1)


def test_a_planted_error_in_one_of_two_inputs_is_found() -> None:
    with pytest.raises(GradientError, match="for derivative 1"):
        check_derivatives(NotUnbroadcast(), X, X[::-1].copy())


@pytest.mark.parametrize("wrong", [WrongFactor, OneWrongElement, ZeroGradient])
def test_gradient_check_says_no_and_where(
    wrong: type[Function], capsys: pytest.CaptureFixture[str]
) -> None:
    assert not gradient_check(wrong(), X)
    line = capsys.readouterr().out
    number = r"-?\d+\.\d+(e-\d+)?"
    assert re.fullmatch(
        rf"gradient_check: expected {number} at \(\d, \d\), got {number}\n", line
    )


def test_of_many_elements_some_are_looked_at_and_all_along_a_direction(
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls = 0

    def sin(x: Variable) -> Variable:
        nonlocal calls
        calls += 1
        return F.sin(x)

    x = np.linspace(-1, 1, 20_000)
    assert gradient_check(sin, x[:2000])
    assert calls == 1 + 2 * 1001

    class LastElementWrong(WrongFactor):
        def backward(self, gy: Any) -> Any:
            factor = np.ones(gy.shape)
            factor[-1] = 2.0
            return gy * F.cos(self.inputs[0]) * factor

    assert not gradient_check(LastElementWrong(), x)
    assert "along a random direction" in capsys.readouterr().out


def test_what_is_right_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert gradient_check(F.sin, X)
    assert gradient_check(F.matmul, X, np.ones((3, 2)))
    assert gradient_check(F.sum, X, axis=1, keepdims=True)
    assert gradient_check(F.tanh, np.array(0.5))
    assert capsys.readouterr().out == ""
    check_derivatives(F.sin, X)
    check_derivatives(lambda x: (F.sin(x), F.cos(x)), X)


def test_a_function_that_does_not_depend_on_x_or_is_x() -> None:
    assert gradient_check(lambda x: Variable(np.ones(3)), X)
    assert gradient_check(lambda x: x, X)
    check_derivatives(lambda x: x, X)
    check_derivatives(lambda x: Variable(np.ones(3)), X)


def test_the_callers_data_types_and_grads_stay() -> None:
    x = Variable(X.astype(np.float32))
    W = Parameter(np.ones((3, 2), np.float32))
    F.sum(F.matmul(x, W)).backward()
    data, x_grad, W_grad = x.data, x.grad, W.grad
    values, numbers = data.copy(), W_grad.data.copy()
    for _ in range(2):  # it works as often as one likes
        assert gradient_check(F.matmul, x, W)
        check_derivatives(F.matmul, x, W)
    assert x.data is data and data.dtype == np.float32
    np.testing.assert_array_equal(data, values)
    assert x.grad is x_grad and W.grad is W_grad
    np.testing.assert_array_equal(W_grad.data, numbers)


def test_the_global_generator_and_the_switches_stay() -> None:
    np.random.seed(0)
    wanted = np.random.rand()
    np.random.seed(0)
    with no_grad():
        assert gradient_check(F.sin, X)
        check_derivatives(F.sin, X)
    assert np.random.rand() == wanted


def test_integers_are_passed_on_and_not_differentiated() -> None:
    check_derivatives(F.embed_id, np.array([1, 0, 1]), X)


def test_numerical_grad() -> None:
    x = Variable(X.astype(np.float32))
    gx = numerical_grad(lambda x, power, scale: scale * x**power, x, 3, scale=2)
    assert gx.dtype == np.float64
    np.testing.assert_allclose(gx, 6 * x.data.astype(np.float64) ** 2, rtol=1e-8)


def test_numerical_grad_of_a_view() -> None:
    """The output shares its array with the input, which moves up and down."""
    np.testing.assert_allclose(numerical_grad(F.transpose, X), np.ones(X.shape))


def test_array_comparisons() -> None:
    assert array_equal(Variable(X), X)
    assert not array_equal(X, X[:1])
    assert not array_equal(X, X + 1e-9)
    assert array_allclose(X, Variable(X + 1e-9))
    assert not array_allclose(X, X + 1e-3)
    assert array_allclose(X, X + 1e-3, atol=1e-2)
