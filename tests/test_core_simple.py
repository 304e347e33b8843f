"""The engine of the book's first half: gradients are arrays, operators are hung on."""

from __future__ import annotations

import subprocess
import sys
import weakref
from typing import Any

import numpy as np
import pytest

import dezero.core_simple as simple
from dezero.core_simple import Function, Variable
from dezero.errors import GradientError

simple.setup_variable()


def scalar(x: float) -> Variable:
    return Variable(np.array(x))


def test_operators_come_with_setup_variable() -> None:
    code = (
        "import numpy as np, dezero.core_simple as simple\n"
        "x = simple.Variable(np.array(3.0))\n"
        "try:\n    x + x\nexcept TypeError:\n    simple.setup_variable()\n"
        "print((x + x).data)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout == "6.0\n"


@pytest.mark.parametrize("other", [3, 3.0, np.float64(3), np.array(3.0), scalar(3.0)])
def test_operators_on_either_side(other: Any) -> None:
    x = scalar(2.0)
    assert [
        float(y.data)
        for y in (x + other, other + x, x - other, other - x, x * other, other * x)
    ] == [5, 5, -1, 1, 6, 6]
    assert float((other / x).data) == 1.5
    assert float((x / other).data) == 2 / 3
    assert float((-x).data) == -2
    assert float((x**3).data) == 8


def test_gradients_of_all_operators() -> None:
    a, b = scalar(3.0), scalar(2.0)
    y = (a / b - b) * -a + a**3 + 1 / b
    y.backward()
    assert a.grad == pytest.approx(-(2 * 3 / 2) + 2 + 27)
    assert b.grad == pytest.approx(9 / 4 + 3 - 1 / 4)


def test_the_functions_of_the_operators() -> None:
    x, y = scalar(6.0), scalar(2.0)
    values = {
        simple.add: 8,
        simple.sub: 4,
        simple.rsub: -4,
        simple.mul: 12,
        simple.div: 3,
        simple.rdiv: 1 / 3,
    }
    for function, value in values.items():
        assert float(function(x, y).data) == value
    assert float(simple.neg(x).data) == -6
    assert float(simple.pow(x, 2).data) == 36


def test_a_diamond_is_walked_by_generation() -> None:
    order = []

    class Square(Function):
        def forward(self, x: Any) -> Any:
            return x**2

        def backward(self, gy: Any) -> Any:
            order.append(self.generation)
            return 2 * self.inputs[0].data * gy

    x = scalar(2.0)
    a = Square()(x)
    y = Square()(a) + Square()(a)
    assert [v.generation for v in (x, a, y)] == [0, 1, 3]
    y.backward()
    assert order == [1, 1, 0]
    assert (y.data, x.grad) == (32, 64)


def test_gradients_are_plain_arrays_that_share_nothing() -> None:
    x, y = Variable(np.ones(3)), Variable(np.ones(3))
    z = x + y
    z.backward(retain_grad=True)
    x.grad *= 7
    assert type(x.grad) is type(y.grad) is type(z.grad) is np.ndarray
    assert y.grad.tolist() == z.grad.tolist() == [1, 1, 1]
    assert type(scalar(1.0).data) is np.ndarray


def test_gradients_add_up_until_they_are_cleared() -> None:
    x = scalar(3.0)
    (x * x).backward()
    (x + x).backward()
    assert type(x.grad) is np.ndarray and x.grad == 8
    x.cleargrad()
    (x + x + x).backward()
    assert x.grad == 3


def test_backward_again_over_kept_gradients() -> None:
    x = scalar(2.0)
    a = x * x
    y = a * a
    for times in (1, 2, 3):
        y.backward(retain_grad=True)
        assert (y.grad, a.grad, x.grad) == (1, 8, 32 * times)


def test_gradients_in_between_are_kept_if_asked() -> None:
    x = scalar(2.0)
    a = x * x
    y = a * a
    y.backward()
    assert (y.grad, a.grad) == (None, None)
    y.backward(retain_grad=True)
    assert (y.grad, a.grad) == (1, 8)


def test_a_seed() -> None:
    x = scalar(2.0)
    y = x * x
    y.grad = np.array(10.0)
    y.backward()
    assert x.grad == 40
    assert y.grad is None


def test_no_grad_records_nothing() -> None:
    x = scalar(2.0)
    with simple.no_grad():
        y = x * x
    assert y.creator is None
    with simple.using_config("enable_backprop", False):
        assert (x + x).creator is None
    assert (x + x).creator is not None
    message = (
        "^backward: expected a Variable that a Function made, got one without a "
        "creator; compute it from Variables while recording is on$"
    )
    for leaf in (x, y):
        with pytest.raises(GradientError, match=message):
            leaf.backward()
        assert leaf.grad is None


def test_gradient_descent_in_place() -> None:
    x0, x1 = scalar(0.0), scalar(2.0)
    for _ in range(50):
        y = 100 * (x1 - x0**2) ** 2 + (x0 - 1) ** 2
        x0.cleargrad()
        x1.cleargrad()
        y.backward()
        x0.data -= 0.001 * x0.grad
        x1.data -= 0.001 * x1.grad
    assert isinstance(x0.data, np.ndarray)
    assert y.data < 1  # from 401


def test_a_function_of_two_outputs() -> None:
    class Both(Function):
        def forward(self, x: Any) -> Any:
            return 2 * x, 3 * x

        def backward(self, gy0: Any, gy1: Any) -> Any:
            return 2 * gy0 + 3 * gy1

    x = Variable(np.ones(2))
    a, b = Both()(x)
    (a * b).backward()
    assert x.grad.tolist() == [12, 12]
    x.cleargrad()
    a.backward()  # b is not used
    assert x.grad.tolist() == [2, 2]
    x.cleargrad()
    Both()(x)[1].backward()  # the other is gone
    assert x.grad.tolist() == [3, 3]


def test_a_function_used_twice() -> None:
    mul = simple.Mul()
    x, y, z = scalar(2.0), scalar(3.0), scalar(5.0)
    mul(mul(x, y), z).backward()
    assert (x.grad, y.grad, z.grad) == (15, 10, 6)


def test_a_graph_goes_with_its_last_variable() -> None:
    x = scalar(2.0)
    y = x * x
    func = weakref.ref(y.creator)
    del y
    assert func() is None


@pytest.mark.parametrize("data", [1.0, [1.0], np.float64(1)])
def test_data_that_is_no_array(data: Any) -> None:
    message = (
        f"^Variable: expected an array or None, got {type(data).__name__}; "
        r"write Variable\(np.array\(x\)\)$"
    )
    with pytest.raises(TypeError, match=message):
        Variable(data)


def test_what_a_variable_tells_of_itself() -> None:
    x = Variable(np.arange(6.0).reshape(2, 3), name="x")
    assert (x.name, x.shape, x.ndim, x.size, x.dtype) == ("x", (2, 3), 2, 6, float)
    assert len(x) == 2
    assert repr(x) == "variable([[0. 1. 2.]\n          [3. 4. 5.]])"
    assert repr(Variable(None)) == "variable(None)"
