"""Batch normalization: its modes, its averages, its derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dezero.functions as F
from dezero import Variable, no_grad, test_mode, using_config
from dezero.gradcheck import check_derivatives

SHAPES = [(5, 3), (2, 3, 4), (2, 3, 2, 2), (2, 3, 1, 2, 2), (4, 1)]


def parameters(x: np.ndarray) -> list[np.ndarray]:
    """gamma, beta, mean and var for ``x``."""
    C = x.shape[1]
    return [*np.random.randn(3, C).astype(x.dtype), np.random.rand(C).astype(x.dtype)]


def normalized(x: np.ndarray, gamma: Any, beta: Any, mean: Any, var: Any) -> Any:
    """Channel by channel, in plain words."""
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        y[:, c] = gamma[c] * (x[:, c] - mean[c]) / np.sqrt(var[c] + 2e-5) + beta[c]
    return y


def channels(x: np.ndarray) -> list[np.ndarray]:
    return [x[:, c] for c in range(x.shape[1])]


@pytest.mark.parametrize("shape", SHAPES)
def test_in_training_the_batch_counts(shape: Any) -> None:
    x = np.random.randn(*shape)
    gamma, beta, mean, var = parameters(x)
    y = F.batch_norm(x, gamma, beta, mean, var)
    means = [c.mean() for c in channels(x)]
    variances = [c.var() for c in channels(x)]
    wanted = normalized(x, gamma, beta, means, variances)
    np.testing.assert_allclose(y.data, wanted, rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_in_test_mode_the_averages_count(shape: Any) -> None:
    x = np.random.randn(*shape)
    gamma, beta, mean, var = parameters(x)
    before = mean.copy(), var.copy()
    with test_mode():
        y = F.batch_norm(x, gamma, beta, mean, var)
    wanted = normalized(x, gamma, beta, mean, var)
    np.testing.assert_allclose(y.data, wanted, rtol=1e-12)
    np.testing.assert_array_equal((mean, var), before)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("train", [True, False])
def test_derivatives_to_the_third(shape: Any, train: bool) -> None:
    x = np.random.randn(*shape)
    gamma, beta, mean, var = parameters(x)

    def f(x: Variable, gamma: Variable, beta: Variable) -> Variable:
        return F.batch_norm(x, gamma, beta, mean, var)

    with using_config("train", train):
        check_derivatives(f, x, gamma, beta)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_averages_move_towards_the_batch(shape: Any) -> None:
    x = np.random.randn(*shape)
    gamma, beta, mean, var = parameters(x)
    old_mean, old_var = mean.copy(), var.copy()
    F.batch_norm(x, gamma, beta, mean, var, decay=0.8)
    for c, values in enumerate(channels(x)):
        np.testing.assert_allclose(mean[c], 0.8 * old_mean[c] + 0.2 * values.mean())
        np.testing.assert_allclose(var[c], 0.8 * old_var[c] + 0.2 * values.var(ddof=1))


def test_the_variance_of_a_single_example_is_0_not_nan() -> None:
    x = np.array([[3.0, 4.0]])
    mean, var = np.zeros(2), np.ones(2)
    y = F.batch_norm(x, np.ones(2), np.array([5.0, 6.0]), mean, var)
    np.testing.assert_array_equal(y.data, [[5, 6]])
    np.testing.assert_allclose(mean, [0.3, 0.4])
    np.testing.assert_allclose(var, [0.9, 0.9])


def test_the_averages_rest_under_no_grad_and_in_backward() -> None:
    x = Variable(np.random.randn(5, 3))
    gamma, beta, mean, var = parameters(x.data)
    before = mean.copy(), var.copy()
    with no_grad():
        y = F.batch_norm(x, gamma, beta, mean, var)
    np.testing.assert_array_equal((mean, var), before)
    np.testing.assert_allclose(y.data.mean(axis=0), beta)  # of the batch, all the same
    y = F.batch_norm(x, gamma, beta, mean, var)
    after = mean.copy(), var.copy()
    y.backward(create_graph=True)
    assert x.grad is not None
    x.grad.backward()
    np.testing.assert_array_equal((mean, var), after)


def test_backward_sees_its_own_batch_though_another_came_since() -> None:
    x, other = np.random.randn(2, 5, 3)
    gamma, beta, mean, var = parameters(x)
    grads = []
    for between in (False, True):
        v = Variable(x)
        y = F.batch_norm(v, gamma, beta, mean, var)
        if between:
            F.batch_norm(other, gamma, beta, mean, var)
        (y * y).backward()
        assert v.grad is not None
        grads.append(v.grad.data)
    np.testing.assert_array_equal(*grads)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_types(train: bool, dtype: Any) -> None:
    x = np.random.randn(5, 3).astype(dtype)
    gamma, beta, mean, var = parameters(x)
    vs = [Variable(a) for a in (x, gamma, beta)]
    mean = mean.astype(np.float64)  # averages of another type do not spread theirs
    with using_config("train", train):
        y = F.batch_norm(*vs, mean, var)
    y.backward()
    assert {a.dtype for a in (y, *(v.grad for v in vs), var)} == {np.dtype(dtype)}
    assert mean.dtype == np.float64


def test_float32_far_from_zero() -> None:
    """The mean is taken off first: nothing is lost to a large offset."""
    x = np.random.randn(64, 2, 8, 8)
    x32 = (x + 1000).astype(np.float32)
    gamma, beta, mean, var = parameters(x32)
    y = F.batch_norm(x32, gamma, beta, mean, var)
    exact = x32.astype(np.float64)
    axes = (0, 2, 3)
    wanted = normalized(exact, gamma, beta, exact.mean(axes), exact.var(axes))
    np.testing.assert_allclose(y.data, wanted, atol=1e-3)


def test_arrays_in_another_order_of_memory() -> None:
    x = np.random.randn(2, 4, 4, 3).transpose(0, 3, 1, 2)
    gamma, beta, mean, var = parameters(x)
    grads = []
    for a in (x, np.ascontiguousarray(x)):
        v = Variable(a)
        y = F.batch_norm(v, gamma, beta, mean.copy(), var.copy())
        (y * y * y).backward()
        assert v.grad is not None
        grads.append(v.grad.data)
    np.testing.assert_allclose(*grads, rtol=1e-10)


def test_nan_stays_in_its_channel() -> None:
    x = np.random.randn(4, 2)
    x[1, 0] = np.nan
    y = F.batch_norm(x, *parameters(x)).data
    assert np.isnan(y[:, 0]).all() and np.isfinite(y[:, 1]).all()


def test_averages_may_be_variables() -> None:
    x = np.random.randn(5, 3)
    gamma, beta, mean, var = parameters(x)
    running = Variable(mean.copy()), Variable(var.copy())
    F.batch_norm(x, gamma, beta, *running)
    F.batch_norm(x, gamma, beta, mean, var)
    np.testing.assert_array_equal([v.data for v in running], (mean, var))


def test_the_spelling_of_the_book() -> None:
    assert F.batch_nrom is F.batch_norm


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(
    ("shapes", "wanted"),
    [
        (
            [(8,), (1,), (1,), (1,), (1,)],
            "expected x of shape (N, C, ...) with elements, got (8,)",
        ),
        (
            [(0, 3), (3,), (3,), (3,), (3,)],
            "expected x of shape (N, C, ...) with elements, got (0, 3)",
        ),
        (
            [(8, 3), (4,), (3,), (3,), (3,)],
            "expected gamma of shape (3,) to match x (8, 3), got gamma (4,)",
        ),
        (
            [(8, 3), (3,), (1, 3), (3,), (3,)],
            "expected beta of shape (3,) to match x (8, 3), got beta (1, 3)",
        ),
        (
            [(8, 3, 2, 2), (3,), (3,), (2,), (3,)],
            "expected mean of shape (3,) to match x (8, 3, 2, 2), got mean (2,)",
        ),
        (
            [(8, 3), (3,), (3,), (3,), ()],
            "expected var of shape (3,) to match x (8, 3), got var ()",
        ),
    ],
)
def test_shapes_that_do_not_match(shapes: Any, wanted: str, train: bool) -> None:
    arrays = [np.zeros(shape) for shape in shapes]
    with using_config("train", train), pytest.raises(ValueError) as error:
        F.batch_norm(*arrays)
    assert str(error.value) == f"batch_norm: {wanted}"
