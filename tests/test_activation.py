"""Activations where they are hard: far out, at the kinks, along any axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dezero.functions as F
from dezero import Variable
from dezero.gradcheck import check_derivatives

FAR = np.array([-np.inf, -1000.0, -50.0, -0.0, 0.0, 50.0, 1000.0, np.inf, np.nan])
X = np.array([[0.3, -0.8, 1.2], [0.5, 2.0, -0.1]])
ELEMENTWISE = [F.sigmoid, F.relu, F.leaky_relu]
ALONG_AXIS = [F.softmax, F.log_softmax, F.logsumexp]


def gradient(f: Any, x: np.ndarray) -> np.ndarray:
    v = Variable(x)
    f(v).backward()
    assert v.grad is not None
    return v.grad.data


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_is_right_however_far_out(dtype: Any) -> None:
    x = FAR.astype(dtype)
    y = F.sigmoid(x).data
    assert y.dtype == dtype
    small = dtype(np.exp(-50.0))  # not rounded to 0, as by way of tanh
    wanted = [0, 0, small, 0.5, 0.5, 1, 1, 1, np.nan]
    np.testing.assert_allclose(y, wanted, rtol=4 * np.finfo(dtype).eps)


def test_sigmoid_has_its_small_slope_far_below_zero() -> None:
    x = np.array([-50.0, -30.0, 0.0, np.inf, -np.inf])
    wanted = [np.exp(-50.0), np.exp(-30.0) / (1 + np.exp(-30.0)) ** 2, 0.25, 0, 0]
    np.testing.assert_allclose(gradient(F.sigmoid, x), wanted, rtol=1e-14)


def test_relu_values_and_slopes() -> None:
    wanted = [0, 0, 0, 0, 0, 50, 1000, np.inf, np.nan]
    np.testing.assert_array_equal(F.relu(FAR).data, wanted)
    np.testing.assert_array_equal(gradient(F.relu, FAR), [0] * 5 + [1] * 3 + [0])


@pytest.mark.parametrize("slope", [-1.5, 0, 0.01, 0.2, 1, 3.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_leaky_relu_with_any_slope(slope: float, dtype: Any) -> None:
    x = np.array([-np.inf, -2.0, 0.0, 3.0, np.inf, np.nan], dtype)[slope == 0 :]
    y = F.leaky_relu(x, slope).data
    assert y.dtype == dtype
    wanted = [v if v > 0 else v * dtype(slope) for v in x]
    np.testing.assert_array_equal(y, wanted)
    slopes = gradient(lambda v: F.leaky_relu(v, slope), x)
    np.testing.assert_array_equal(slopes, np.where(x > 0, 1, dtype(slope)))


def test_leaky_relu_of_slope_0_is_relu_at_infinity() -> None:
    x = np.array([-np.inf, np.inf])
    np.testing.assert_array_equal(F.leaky_relu(x, 0).data, [0, np.inf])


@pytest.mark.parametrize("f", [*ELEMENTWISE, F.sigmoid_simple])
@pytest.mark.parametrize("x", [X, np.array(0.7), np.array([])])
def test_derivatives_elementwise(f: Any, x: np.ndarray) -> None:
    check_derivatives(f, x)


@pytest.mark.parametrize("axis", [0, 1, -1, 2, (0, 2), (-1, 1)])
def test_softmax_and_its_relatives_along_any_axis(axis: Any) -> None:
    x = np.random.randn(2, 3, 4)
    sums = np.exp(x).sum(axis=axis, keepdims=True)
    np.testing.assert_allclose(F.softmax(x, axis).data, np.exp(x) / sums)
    np.testing.assert_allclose(F.softmax_simple(x, axis).data, np.exp(x) / sums)
    np.testing.assert_allclose(F.log_softmax(x, axis).data, x - np.log(sums))
    np.testing.assert_allclose(F.logsumexp(x, axis, keepdims=True).data, np.log(sums))
    np.testing.assert_allclose(
        F.logsumexp(x, axis).data, np.log(sums).squeeze(axis), rtol=1e-13
    )
    for f in (*ALONG_AXIS, F.softmax_simple):
        check_derivatives(f, x, axis=axis)


def test_logsumexp_of_everything() -> None:
    np.testing.assert_allclose(F.logsumexp(X).data, np.log(np.exp(X).sum()))
    assert F.logsumexp(X, keepdims=True).shape == (1, 1)
    assert float(F.logsumexp(np.array(2.5))) == 2.5
    check_derivatives(F.logsumexp, X)


def test_large_and_infinite_scores() -> None:
    x = np.array([[1000.0, 0.0, -np.inf], [-1e30, -1e30, -1e30]])
    third = np.log(3)
    np.testing.assert_allclose(F.softmax(x).data, [[1, 0, 0], [1 / 3] * 3])
    np.testing.assert_allclose(
        F.log_softmax(x).data, [[0, -1000, -np.inf], [-third] * 3]
    )
    np.testing.assert_allclose(F.logsumexp(x, axis=1).data, [1000, third - 1e30])
    np.testing.assert_allclose(
        gradient(lambda v: F.logsumexp(v, axis=1), x), [[1, 0, 0], [1 / 3] * 3]
    )


def test_logsumexp_of_nothing_but_minus_infinity() -> None:
    x = np.array([[-np.inf, -np.inf], [-np.inf, 2.0], [np.inf, 1000.0]])
    np.testing.assert_array_equal(F.logsumexp(x, axis=1).data, [-np.inf, 2, np.inf])
    v = Variable(x[:2])
    F.logsumexp(v, axis=1).backward(create_graph=True)
    gx = v.grad
    assert gx is not None
    np.testing.assert_array_equal(gx.data, [[0, 0], [0, 1]])
    v.cleargrad()
    gx.backward()
    assert v.grad is not None
    np.testing.assert_array_equal(v.grad.data, np.zeros((2, 2)))


@pytest.mark.parametrize("f", ALONG_AXIS)
def test_nan_is_passed_on_in_its_row_alone(f: Any) -> None:
    x = np.array([[np.nan, 1.0], [0.0, 1.0]])
    rows = np.isnan(f(x, axis=1).data).reshape(2, -1)
    np.testing.assert_array_equal(rows[0], True)
    np.testing.assert_array_equal(rows[1], False)


@pytest.mark.parametrize("f", [*ELEMENTWISE, *ALONG_AXIS, F.sigmoid_simple])
def test_types(f: Any) -> None:
    for dtype in (np.float16, np.float32, np.float64):
        x = X.astype(dtype)
        assert f(x).dtype == dtype
        assert gradient(f, x).dtype == dtype
    for dtype in (np.int64, np.uint8, np.bool_):
        x = np.array([[0, 1, 1], [1, 0, 0]], dtype)
        np.testing.assert_array_equal(f(x).data, f(x.astype(np.float64)).data)


@pytest.mark.parametrize("f", [F.sigmoid, F.relu, F.leaky_relu, F.softmax])
def test_inputs_and_gradients_are_not_written(f: Any) -> None:
    x, gy = X.copy(), np.ones_like(X)
    v = Variable(x)
    y = f(v)
    y.grad = Variable(gy)
    y.backward()
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(gy, 1)


@pytest.mark.parametrize(
    ("name", "axis", "allowed"),
    [
        ("softmax", 2, "from -2 to 1"),
        ("log_softmax", -3, "from -2 to 1"),
        ("logsumexp", (0, 0), "from -2 to 1"),
    ],
)
def test_wrong_axis(name: str, axis: Any, allowed: str) -> None:
    with pytest.raises(ValueError) as error:
        getattr(F, name)(X, axis=axis)
    assert str(error.value) == f"{name}: expected axis {allowed}, each once, got {axis}"
