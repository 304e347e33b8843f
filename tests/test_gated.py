"""The newer activations where they are hard: far out, at the kinks, in error."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
from dezero import Variable
from dezero.backend import special

X = np.array([-1000.0, -40.0, -6.0, -1.5, -1e-8, 0.0, 1e-8, 0.5, 3.0, 40.0, 1000.0])
SMOOTH = [
    F.gelu,
    lambda x: F.gelu(x, "tanh"),
    F.silu,
    F.mish,
    F.elu,
    F.celu,
    F.selu,
    F.softplus,
    F.softsign,
]


def gradient(f: Any, x: np.ndarray) -> np.ndarray:
    v = Variable(x)
    f(v).backward()
    assert v.grad is not None
    return v.grad.data


# -- erf ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_erf_is_right_to_a_few_units_in_the_last_place(dtype: Any) -> None:
    x = np.concatenate([np.linspace(-7, 7, 4001), 10.0 ** np.arange(-30, 0)])
    x = x.astype(dtype)
    y = special.erf(x)
    assert y.dtype == dtype
    wanted = np.array([math.erf(v) for v in x])
    assert (abs(y - wanted) <= 3 * np.spacing(abs(wanted).astype(dtype))).all()


def test_erf_at_the_ends() -> None:
    ends = np.array([-np.inf, -30.0, 0.0, 30.0, np.inf, np.nan])
    np.testing.assert_array_equal(special.erf(ends), [-1, -1, 0, 1, 1, np.nan])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normal_cdf(dtype: Any) -> None:
    x = np.linspace(-12, 12, 2001).astype(dtype)
    p = special.normal_cdf(x)
    assert p.dtype == dtype
    wanted = [math.erfc(-float(v) * math.sqrt(0.5)) / 2 for v in x]
    np.testing.assert_allclose(p, wanted, rtol=0, atol=np.finfo(dtype).eps)
    assert (p > 0).all()
    near = abs(x) < 4
    rtol = {np.float32: 2e-4, np.float64: 1e-11}[dtype]
    np.testing.assert_allclose(p[near], np.array(wanted)[near], rtol=rtol)


# -- values and slopes ----------------------------------------------------------------


@pytest.mark.parametrize("f", SMOOTH)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_out_all_is_finite(f: Any, dtype: Any) -> None:
    x = X.astype(dtype)
    assert f(x).dtype == dtype
    assert np.isfinite(f(x).data).all()
    assert np.isfinite(gradient(f, x)).all()


@pytest.mark.parametrize("f", [F.gelu, lambda x: F.gelu(x, "tanh"), F.silu, F.mish])
def test_gates_are_open_above_and_closed_below(f: Any) -> None:
    x = np.array([-1000.0, 0.0, 1000.0])
    np.testing.assert_array_equal(f(x).data, [0, 0, 1000])
    wanted = 0.6 if f is F.mish else 0.5
    np.testing.assert_allclose(gradient(f, x), [0, wanted, 1], atol=1e-15)


def test_numbers_of_torch() -> None:
    """Of torch.nn.functional, with torch.tensor([-2, -0.5, 1.5], dtype=float64)."""
    x = np.array([-2.0, -0.5, 1.5])
    for f, wanted in [
        (F.gelu, [-0.04550026389635842, -0.15426876936299344, 1.399789198096713]),
        (F.silu, [-0.2384058440442351, -0.1887703343990727, 1.2263617142904655]),
        (F.mish, [-0.2525014826957089, -0.22074377465173, 1.4033782663958028]),
        (F.selu, [-1.5201664685956948, -0.6917581878028713, 1.5760514810332207]),
    ]:
        np.testing.assert_allclose(f(x).data, wanted, rtol=1e-13)
    wanted = [-0.04540230591222494, -0.15428599017485606, 1.3995715769802328]
    np.testing.assert_allclose(F.gelu(x, "tanh").data, wanted, rtol=1e-13)


def test_elus_are_exact_near_zero() -> None:
    x = np.array([-1e-10, 1e-10])
    np.testing.assert_allclose(F.elu(x, 2.0).data, [-2e-10, 1e-10], rtol=1e-9)
    np.testing.assert_allclose(F.celu(x, 2.0).data, x, rtol=1e-9)


def test_slopes_at_the_kink() -> None:
    zero = np.array([0.0])
    assert gradient(lambda x: F.elu(x, 0.3), zero) == 0.3
    assert gradient(lambda x: F.celu(x, 0.3), zero) == 1
    assert gradient(F.softsign, zero) == 1
    assert gradient(lambda x: F.prelu(x, np.array(0.3)), zero) == 0.3
    assert gradient(F.relu6, np.array([6.0])) == 1


def test_selu_keeps_mean_0_and_variance_1() -> None:
    x = np.random.default_rng(0).normal(size=400_000)
    y = F.selu(x).data
    assert abs(y.mean()) < 0.005
    assert abs(y.var() - 1) < 0.01


def test_softplus_is_log1p_of_exp() -> None:
    assert F.softplus(np.array(-50.0)).data == pytest.approx(np.exp(-50.0), rel=1e-14)
    assert F.softplus(np.array(3.0), beta=100).data == 3.0


def test_numbers_and_integers_are_taken() -> None:
    assert F.gelu(0.0).data == 0
    assert F.silu(np.array([0, 1])).dtype == np.float64


@pytest.mark.parametrize("f", [F.gelu, lambda x: F.gelu(x, "tanh"), F.silu])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_arrays_run_as_kernels_to_the_same_numbers(f: Any, dtype: Any) -> None:
    x = np.linspace(-9, 9, 40_000).astype(dtype)
    tol = 8 * np.finfo(dtype).eps
    y = np.concatenate([f(part).data for part in np.split(x, 4)])
    gx = np.concatenate([gradient(f, part) for part in np.split(x, 4)])
    for _ in range(3):  # the third call is that of a kernel
        np.testing.assert_allclose(f(x).data, y, rtol=tol, atol=tol)
        np.testing.assert_allclose(gradient(f, x), gx, rtol=tol, atol=tol)


def test_gelu_compiles_to_kernels_alone() -> None:
    def step(x: Variable) -> Variable:
        y = F.sum(F.gelu(x) + F.gelu(x, "tanh"))
        y.backward()
        return y

    compiled = dezero.compile(step)
    x, z = Variable(X / 100), Variable(X / 100)
    for _ in range(2):
        x.cleargrad()
        z.cleargrad()
        assert compiled(x).data == pytest.approx(step(z).data, rel=1e-14)
        np.testing.assert_allclose(x.grad.data, z.grad.data, rtol=1e-13)


# -- errors ---------------------------------------------------------------------------


def message(error: type[Exception], f: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(error) as caught:
        f(*args, **kwargs)
    return str(caught.value)


def test_errors() -> None:
    x = np.zeros((2, 3))
    assert message(ValueError, F.gelu, x, "tan") == (
        "gelu: expected approximate 'none' or 'tanh', got 'tan'; did you mean 'tanh'?"
    )
    assert message(ValueError, F.glu, x) == (
        "glu: expected an even length along axis 1, got x (2, 3)"
    )
    assert message(ValueError, F.glu, x, 2) == (
        "glu: expected axis from -2 to 1, each once, got 2"
    )
    assert message(ValueError, F.celu, x, 0) == (
        "celu: expected alpha other than 0, got 0; write relu(x)"
    )
    assert message(ValueError, F.softplus, x, beta=0) == (
        "softplus: expected beta above 0, got 0"
    )
    assert message(ValueError, F.prelu, x, np.zeros(2)) == (
        "prelu: expected W of shape (3,) or (1,) for x (2, 3), got W (2,)"
    )
    assert message(ValueError, F.prelu, np.zeros(2), np.zeros(2)) == (
        "prelu: expected W of shape () or (1,) for x (2,), got W (2,)"
    )
