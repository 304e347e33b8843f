"""Choices, staircases, questions, and the error function: edges, ties and errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
from dezero import Variable


def gradients(y: Variable, *xs: Variable) -> list[Any]:
    y.backward()
    return [None if x.grad is None else x.grad.data.tolist() for x in xs]


def refused(call: Any, error: type[Exception]) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def test_where_passes_the_gradient_to_what_was_chosen() -> None:
    x, y = Variable(np.array([1.0, np.nan, 3.0])), Variable(np.array(5.0))
    z = F.where([True, False, True], x, y)
    assert z.data.tolist() == [1, 5, 3]
    assert gradients(z, x, y) == [[1, 0, 1], 1]


def test_where_keeps_infinite_gradients_from_what_was_not_chosen() -> None:
    x = Variable(np.array([0.0, 4.0]))
    y = F.where(x.data > 0, F.sqrt(F.where(x.data > 0, x, 1)), 0)
    assert gradients(y, x) == [[0, 0.25]]


def test_where_takes_a_variable_as_condition_and_numbers() -> None:
    x = Variable(np.array([1.5, -1.5], np.float32))
    y = F.where(Variable(np.array([1, 0])), x, 2)
    assert y.dtype == np.float32 and y.data.tolist() == [1.5, 2]
    assert F.where(x > 0, 1, 2).data.tolist() == [1, 2]


def test_where_refuses() -> None:
    x = Variable(np.ones((2, 3)))
    assert refused(lambda: F.where(x > 0, x, np.ones(2)), ValueError) == (
        "where: expected shapes that broadcast, got condition (2, 3), x (2, 3) and y "
        "(2,)"
    )


def test_ties_of_maximum_and_minimum_go_to_the_first() -> None:
    for function in (F.maximum, F.minimum):
        x0, x1 = Variable(np.array([1.0, 2.0])), Variable(np.array([1.0, 2.0]))
        assert gradients(function(x0, x1), x0, x1) == [[1, 1], [0, 0]]


def test_nan_wins_and_takes_the_gradient() -> None:
    for function in (F.maximum, F.minimum):
        x0, x1 = Variable(np.array([np.nan, 2.0])), Variable(np.array([1.0, np.nan]))
        y = function(x0, x1)
        assert np.isnan(y.data).all()
        assert gradients(y, x0, x1) == [[1, 0], [0, 1]]


def test_maximum_of_a_number_keeps_the_type() -> None:
    x = Variable(np.array([-1.0, 1.0], np.float32))
    for y in (F.maximum(x, 0.5), F.maximum(0.5, x), F.maximum(np.float64(0.5), x)):
        assert y.dtype == np.float32 and y.data.tolist() == [0.5, 1]


def test_maximum_refuses() -> None:
    for name in ("maximum", "minimum", "atan2"):
        call = getattr(F, name)
        assert refused(lambda f=call: f(np.ones(2), np.ones(3)), ValueError) == (
            f"{name}: expected shapes that broadcast, got (2,) and (3,)"
        )


@pytest.mark.parametrize("function", [F.sign, F.floor, F.ceil, F.round])
def test_staircases_have_zeros_as_gradient_of_every_order(function: Any) -> None:
    x = Variable(np.array([-1.5, 0.0, 2.25]))
    y = function(x) * x
    y.backward(create_graph=True)
    gx = x.grad
    np.testing.assert_array_equal(gx.data, function(x).data)
    x.cleargrad()
    gx.backward()
    assert x.grad.data.tolist() == [0, 0, 0]
    assert gradients(function(y), x) == [[0, 0, 0]]


def test_round_to_digits() -> None:
    x = Variable(np.array([0.125, 15.0, -0.5]))
    assert F.round(x, 2).data.tolist() == [0.12, 15, -0.5]
    assert F.round(x, -1).data.tolist() == [0, 20, 0]


def test_questions_are_plain_arrays() -> None:
    x = Variable(np.array([0.0, np.nan, np.inf]))
    for function in (F.isnan, F.isinf, F.isfinite, F.logical_not):
        answer = function(x)
        assert type(answer) is np.ndarray and answer.dtype == bool
    assert F.logical_and(x > 0, x > 1).tolist() == [False, False, True]
    assert F.logical_or(x, 0).tolist() == [False, True, True]
    assert F.logical_xor(x, x).tolist() == [False, False, False]


def test_erf_is_exact_but_for_the_last_digits() -> None:
    xs = np.concatenate(
        [np.linspace(-7, 7, 20_001), 10.0 ** np.arange(-300, 2), [0.0, -0.0]]
    )
    wanted = np.array([math.erf(x) for x in xs])
    found = F.erf(xs).data
    np.testing.assert_allclose(found, wanted, rtol=6e-16)
    assert np.signbit(found[-1]) and not np.signbit(found[-2])
    assert F.erf(np.array([np.inf, -np.inf])).data.tolist() == [1, -1]
    assert np.isnan(F.erf(np.array(np.nan)).data)
    single = F.erf(xs.astype(np.float32))
    assert single.dtype == np.float32
    wanted = np.array([math.erf(x) for x in xs.astype(np.float32)])
    np.testing.assert_allclose(single.data, wanted, rtol=4e-7, atol=1e-44)
    assert F.erf(np.array([1])).dtype == np.float64


def test_erf_of_a_large_array_is_the_same_from_a_kernel() -> None:
    x = np.linspace(-7, 7, 40_000)
    first = F.erf(x).data
    for _ in range(4):  # after a few of them, in native code
        np.testing.assert_allclose(F.erf(x).data, first, rtol=4e-16)


def test_a_compiled_step_chooses_by_values() -> None:
    @dezero.compile
    def step(x: Variable) -> Any:
        y = F.sum(F.where(x > 0, x * x, F.maximum(x, -1)))
        y.backward()
        return y

    for numbers in ([1.0, -0.5, -3.0], [-3.0, 2.0, 0.0]):
        x = Variable(np.array(numbers))
        y = step(x)
        assert float(y) == sum(v * v if v > 0 else max(v, -1) for v in numbers)
        assert x.grad.data.tolist() == [
            2 * v if v > 0 else float(v >= -1) for v in numbers
        ]
