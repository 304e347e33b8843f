"""Normalization within each example: hard numbers, large arrays, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dezero.functions as F
from dezero import Variable

ONE, ZERO = np.ones(3), np.zeros(3)

LAYER = [
    0.08969145644964757,
    0.6702724946161163,
    1.02685137989412,
    0.25695766851175533,
    -1.2801289612716102,
    -1.981950731576175,
]
RMS = [
    0.0,
    0.5903878892710318,
    0.9569638137892873,
    0.19802356871852572,
    -1.3274582126616685,
    -2.0183843128650656,
]
GROUP = [
    -0.2527498054789888,
    0.41175221138980594,
    0.6906210993522576,
    1.4929607361419048,
    -0.5063808814766461,
    -1.261784046440882,
]


def test_numbers_of_torch() -> None:
    """Of torch.nn.functional.layer_norm, rms_norm and group_norm, in float64.

    x = torch.arange(6.0).reshape(1, 6).sin(), weight = arange(1, 7) / 4, bias = 0.1.
    """
    x = np.sin(np.arange(6.0)).reshape(1, 6)
    gamma, beta = np.arange(1.0, 7.0) / 4, np.full(6, 0.1)
    for found, wanted in [
        (F.layer_norm(x, gamma, beta), LAYER),
        (F.rms_norm(x, gamma, eps=1e-5), RMS),
        (F.group_norm(x, 2, gamma, beta), GROUP),
    ]:
        np.testing.assert_allclose(found.data[0], wanted, rtol=1e-12)


def test_rows_far_from_zero_keep_their_digits() -> None:
    x = np.array([[1e4, 1e4 + 1, 1e4 + 2]], np.float32)
    y = F.layer_norm(x, ONE.astype(np.float32), ZERO.astype(np.float32)).data
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, [[-1.224736, 0, 1.224736]], atol=1e-5)


def test_a_constant_row_becomes_the_shift() -> None:
    x = Variable(np.full((2, 3), 5.0))
    y = F.layer_norm(x, ONE, np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(y.data, [[1, 2, 3]] * 2)
    y.backward()
    assert np.isfinite(x.grad.data).all()


def test_zeros_have_a_root_mean_square_norm() -> None:
    x = Variable(np.zeros((2, 3)))
    y = F.rms_norm(x, ONE)
    y.backward()
    np.testing.assert_array_equal(y.data, 0)
    np.testing.assert_allclose(x.grad.data, 1e3)


def test_instance_norm_is_group_norm_of_single_channels() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    y = F.instance_norm(x, ONE, ZERO)
    np.testing.assert_array_equal(y.data, F.group_norm(x, 3, ONE, ZERO).data)
    np.testing.assert_allclose(y.data.mean((2, 3)), 0, atol=1e-12)


def test_a_group_of_all_channels_is_layer_norm() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3))
    a, b = F.group_norm(x, 1, ONE, ZERO), F.layer_norm(x, ONE, ZERO)
    np.testing.assert_allclose(a.data, b.data, rtol=1e-14)


@pytest.mark.parametrize("f", [F.layer_norm, F.rms_norm])
def test_large_arrays_run_as_kernels_to_the_same_numbers(f: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 100)).astype(np.float32)
    gamma = rng.normal(size=100).astype(np.float32)
    seed = rng.normal(size=(400, 100)).astype(np.float32)

    def run(rows: slice) -> list[np.ndarray]:
        xs = Variable(x[rows]), Variable(gamma)
        y = f(*xs)
        F.sum(y * seed[rows]).backward()
        return [y.data, *(x.grad.data for x in xs)]

    parts = [run(slice(i, i + 100)) for i in range(0, 400, 100)]
    ys, gxs, ggammas = zip(*parts, strict=True)
    for _ in range(3):  # the third call is that of a kernel
        y, gx, ggamma = run(slice(None))
        np.testing.assert_allclose(y, np.concatenate(ys), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(gx, np.concatenate(gxs), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(ggamma, sum(ggammas), rtol=1e-4, atol=1e-4)


# -- errors ---------------------------------------------------------------------------


def message(f: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(ValueError) as caught:
        f(*args, **kwargs)
    return str(caught.value)


def test_errors() -> None:
    x = np.zeros((2, 4))
    assert message(F.layer_norm, x, ONE) == (
        "layer_norm: expected gamma of the shape of the last axes of x, got x (2, 4) "
        "and gamma (3,)"
    )
    assert message(F.rms_norm, x, 1.0) == (
        "rms_norm: expected gamma of the shape of the last axes of x, got x (2, 4) and "
        "gamma ()"
    )
    assert message(F.layer_norm, x[0], np.ones((1, 4))) == (
        "layer_norm: expected gamma of the shape of the last axes of x, got x (4,) and "
        "gamma (1, 4)"
    )
    assert message(F.layer_norm, x[:, :3], ONE, np.ones(1)) == (
        "layer_norm: expected beta of shape (3,), as gamma has, got beta (1,)"
    )
    assert message(F.rms_norm, np.zeros((2, 0)), np.zeros(0)) == (
        "rms_norm: expected elements, got x (2, 0)"
    )
    assert message(F.group_norm, x, 3, np.ones(4), np.ones(4)) == (
        "group_norm: expected groups that divide the 4 channels of x (2, 4), got 3"
    )
    assert message(F.group_norm, x, 2, np.ones(4), np.ones(2)) == (
        "group_norm: expected beta of shape (4,) to match x (2, 4), got beta (2,)"
    )
    assert message(F.instance_norm, np.zeros(4), ONE, ZERO) == (
        "instance_norm: expected x of shape (N, C, ...) with elements, got (4,)"
    )
