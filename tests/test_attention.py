"""Attention beyond the table of operations: blocks, masks, memory, errors."""

from __future__ import annotations

import re
import tracemalloc
from typing import Any

import numpy as np
import pytest
import references as R

import dezero
import dezero.functions as F
from dezero import Variable


def normal(*shape: int, dtype: Any = np.float64) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


# -- masks ----------------------------------------------------------------------------


def test_a_query_that_may_look_nowhere_finds_zero_and_moves_nothing() -> None:
    q, k, v = (Variable(normal(3, 2)) for _ in range(3))
    mask = np.array([[True, False, False], [False] * 3, [False, True, True]])
    y = F.scaled_dot_product_attention(q, k, v, mask)
    np.testing.assert_array_equal(y.data[1], [0, 0])
    np.testing.assert_array_equal(y.data[0], v.data[0])
    y.backward()
    np.testing.assert_array_equal(q.grad.data[1], [0, 0])
    added = F.scaled_dot_product_attention(q, k, v, np.where(mask, 0, -np.inf))
    np.testing.assert_array_equal(added.data, y.data)


@pytest.mark.parametrize("limit", [0, 1 << 40], ids=["blocks", "direct"])
def test_more_queries_than_keys(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last looks at all; the first, at none."""
    monkeypatch.setattr(F.attention, "DIRECT", limit)
    q, k, v = normal(4, 2), normal(2, 2), normal(2, 3)
    y = F.scaled_dot_product_attention(q, k, v, causal=True, scale=1)
    wanted = R.attend(q, k, v, causal=True, scale=1)
    np.testing.assert_allclose(y.data, wanted, atol=1e-14)
    np.testing.assert_array_equal(y.data[:2], 0)


def test_scores_beyond_what_exp_can_hold() -> None:
    q = np.array([[1e3, 0.0], [-1e3, 0.0]], np.float32)
    y = F.scaled_dot_product_attention(q, q, np.eye(2, dtype=np.float32))
    np.testing.assert_array_equal(y.data, np.eye(2))


# -- long sequences -------------------------------------------------------------------


def gradients(step: Any, *arrays: np.ndarray) -> list[np.ndarray]:
    xs = [Variable(x) for x in arrays]
    y = step(*xs)
    y.backward()
    return [y.data, *(x.grad.data for x in xs)]


@pytest.mark.parametrize("causal", [False, True])
def test_long_sequences_give_what_short_ones_do(
    causal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    q, k, v = normal(2, 300, 4), normal(2, 520, 4), normal(2, 520, 3)
    bias = normal(1, 1, 520)

    def step(q: Variable, k: Variable, v: Variable, bias: Variable) -> Variable:
        return F.scaled_dot_product_attention(q, k, v, bias, causal)

    in_blocks = gradients(step, q, k, v, bias)
    monkeypatch.setattr(F.attention, "DIRECT", 1 << 40)
    for a, b in zip(in_blocks, gradients(step, q, k, v, bias), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("causal", [False, True])
def test_memory_grows_as_the_sequences_do(causal: bool) -> None:
    """Forward and backward: four times the length, four times the memory."""

    def peak(T: int) -> int:
        q, k, v = (Variable(normal(T, 8, dtype=np.float32)) for _ in range(3))
        tracemalloc.start()
        y = F.scaled_dot_product_attention(q, k, v, causal=causal)
        y.backward()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(512)
    short, long = peak(512), peak(2048)
    assert long < 2048 * 2048 * 4 / 4  # far from one number for each pair
    assert long - short < 20 * (2048 - 512) * 8 * 4  # 20 arrays like q


def test_memory_of_second_derivatives() -> None:
    def peak(T: int) -> int:
        q, k, v = (Variable(normal(T, 4, dtype=np.float32)) for _ in range(3))
        y = F.scaled_dot_product_attention(q, k, v)
        y.backward(create_graph=True)
        slope = F.sum(q.grad * q.grad)
        q.cleargrad()
        tracemalloc.start()
        slope.backward()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(2048) < 3 * peak(1024)  # a block of queries at a time, with all keys


def test_no_weights_are_kept_for_the_backward_pass() -> None:
    q = Variable(normal(1024, 8))
    tracemalloc.start()
    y = F.scaled_dot_product_attention(q, q, q)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert y.shape == (1024, 8)
    assert kept < 1024 * 8 * 8 * 3


# -- dropout --------------------------------------------------------------------------


def test_dropout_leaves_out_weights_in_training_alone() -> None:
    q, v = normal(3, 2), np.eye(3)
    np.random.seed(0)
    y = F.scaled_dot_product_attention(q, q, v, dropout_ratio=0.6)
    whole = F.scaled_dot_product_attention(q, q, v)
    kept = np.random.RandomState(0).rand(3, 3) >= 0.6
    np.testing.assert_allclose(y.data, np.where(kept, whole.data / 0.4, 0))
    with dezero.test_mode():
        y = F.scaled_dot_product_attention(q, q, v, dropout_ratio=0.6)
    np.testing.assert_array_equal(y.data, whole.data)


def test_dropout_of_long_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(F.attention, "DIRECT", 0)
    np.random.seed(0)
    q = normal(3, 2)
    y = F.scaled_dot_product_attention(q, q, np.eye(3), dropout_ratio=0.6)
    assert (y.data == 0).any()


# -- rotary positions -----------------------------------------------------------------


def test_rotary_products_depend_on_the_distance_alone() -> None:
    q, k = normal(1, 8), normal(1, 8)[:, ::-1].copy()

    def product(m: int, n: int) -> Any:
        return (F.rotary(q, m) * F.rotary(k, n)).sum().data

    np.testing.assert_allclose(product(7, 4), product(103, 100))
    assert abs(product(7, 4) - product(7, 5)) > 0.01


# -- errors ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (
            [(3,), (4, 2), (4, 2)],
            "expected q (..., T, D), k (..., S, D) and v (..., S, E), got q (3,), "
            "k (4, 2) and v (4, 2)",
        ),
        (
            [(3, 1), (4, 2), (4, 2)],
            "expected q and k with as many features, got q (3, 1), k (4, 2) and "
            "v (4, 2)",
        ),
        (
            [(3, 2), (4, 2), (5, 2)],
            "expected a value for each key, got q (3, 2), k (4, 2) and v (5, 2)",
        ),
        (
            [(3, 2), (0, 2), (0, 2)],
            "expected at least one key and one feature, got q (3, 2), k (0, 2) and "
            "v (0, 2)",
        ),
        (
            [(2, 3, 2), (3, 4, 2), (4, 2)],
            "expected leading axes that broadcast, got q (2, 3, 2), k (3, 4, 2) and "
            "v (4, 2)",
        ),
    ],
)
def test_shapes_that_do_not_go_together(shapes: Any, message: str) -> None:
    message = f"scaled_dot_product_attention: {message}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        F.scaled_dot_product_attention(*map(np.ones, shapes))


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (
            np.ones((4, 3), bool),
            ValueError,
            "expected a mask that broadcasts to (..., T, S) = (2, 3, 4), got (4, 3)",
        ),
        (
            np.ones((5, 2, 3, 4), bool),
            ValueError,
            "expected a mask that broadcasts to (..., T, S) = (2, 3, 4), got "
            "(5, 2, 3, 4)",
        ),
        (
            np.ones((3, 4), np.int64),
            TypeError,
            "expected a mask of booleans, true where a query may look, or of floating "
            "type, got int64; write mask != 0",
        ),
    ],
)
def test_masks_that_do_not_fit(mask: Any, error: Any, message: str) -> None:
    message = f"scaled_dot_product_attention: {message}"
    x = np.ones((2, 4, 2))
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        F.scaled_dot_product_attention(x[:, :3], x, x, mask)


def test_dropout_out_of_range() -> None:
    x = np.ones((2, 2))
    message = "dropout: expected dropout_ratio from 0 to 1, got 1.5"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        F.scaled_dot_product_attention(x, x, x, dropout_ratio=1.5)


@pytest.mark.parametrize(
    ("shape", "positions", "message"),
    [
        ((2, 3), 0, "expected x (..., T, D) with an even number D, got (2, 3)"),
        ((4,), 0, "expected x (..., T, D) with an even number D, got (4,)"),
        (
            (2, 4),
            np.arange(3),
            "expected positions that broadcast to (..., T) = (2,), got (3,)",
        ),
    ],
)
def test_rotary_of_what_does_not_fit(shape: Any, positions: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape('rotary: ' + message)}$"):
        F.rotary(np.ones(shape), positions)
