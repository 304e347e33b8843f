"""Losses of distance where they are hard: at 0, at the corners, in error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dezero.functions as F
from dezero import Variable
from dezero.gradcheck import check_derivatives

ELEMENTWISE = [F.mse_loss, F.l1_loss, F.huber_loss, F.smooth_l1_loss]
ONES = np.ones((2, 3))


def gradient(f: Any, x: Any) -> np.ndarray:
    v = Variable(np.asarray(x))
    f(v).backward()
    assert v.grad is not None
    return v.grad.data


def message(f: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(ValueError) as caught:
        f(*args, **kwargs)
    return str(caught.value)


@pytest.mark.parametrize("f", ELEMENTWISE)
def test_equal_numbers_have_no_distance_and_no_pull(f: Any) -> None:
    np.testing.assert_array_equal(f(ONES, ONES).data, 0)
    np.testing.assert_array_equal(gradient(lambda x: f(x, ONES), ONES), 0)


def test_huber_is_a_parabola_at_zero_to_the_second_derivative() -> None:
    check_derivatives(F.huber_loss, np.zeros(3), np.zeros(3), order=2)


def test_huber_pulls_no_harder_than_delta() -> None:
    x = np.array([-1e6, -0.25, 0.25, 1e6])
    slopes = gradient(lambda v: F.huber_loss(v, 0 * x, 0.5, reduction="sum"), x)
    np.testing.assert_array_equal(slopes, [-0.5, -0.25, 0.25, 0.5])


@pytest.mark.parametrize("f", ELEMENTWISE)
def test_data_takes_the_type_of_the_prediction(f: Any) -> None:
    loss = f(Variable(ONES.astype(np.float32)), ONES * 2)
    assert loss.dtype == np.float32


def test_divergence_of_equal_distributions_is_nothing() -> None:
    p = np.array([[0.25, 0.75, 0.0], [0.0, 0.0, 1.0]])
    with np.errstate(divide="ignore"):
        log_q = np.log(p)
    log_q[p == 0] = -30
    np.testing.assert_allclose(F.kl_div(log_q, p, reduction="none").data, 0, atol=1e-15)


def test_divergence_along_another_axis() -> None:
    q, p = np.log(np.full((4, 2), 0.25)), np.full((4, 2), 0.25)
    assert F.kl_div(q, p, axis=0, reduction="none").shape == (2,)


def test_vectors_of_zeros_have_a_cosine_and_a_distance() -> None:
    x = Variable(np.zeros((1, 3)))
    y = F.cosine_similarity(x, ONES[:1]) + F.triplet_margin_loss(x, x, x)
    y.backward()
    assert y.data == pytest.approx(1)
    assert np.isfinite(x.grad.data).all()


def test_cosine_embedding() -> None:
    x0, x1 = np.array([[1.0, 0], [1, 0], [1, 0]]), np.array([[0.0, 2], [3, 0], [-1, 0]])
    for t, margin, wanted in [(1, 0, [1, 0, 2]), (-1, 0.25, [0, 0.75, 0])]:
        found = F.cosine_embedding_loss(
            x0, x1, np.full(3, t), margin=margin, reduction="none"
        )
        np.testing.assert_allclose(found.data, wanted, atol=1e-15)


# -- errors ---------------------------------------------------------------------------


@pytest.mark.parametrize("f", ELEMENTWISE)
def test_shapes_that_differ(f: Any) -> None:
    name = f.__name__
    assert message(f, np.ones((4, 1)), np.ones(4)) == (
        f"{name}: expected x1 of shape (4, 1) as x0 has, got (4,); write "
        "x1.reshape((4, 1))"
    )
    assert message(f, np.ones((0, 2)), np.ones((0, 2))) == (
        f"{name}: expected x0 of shape (N, ...) with N > 0, got (0, 2)"
    )
    assert message(f, ONES, ONES, reduction="all") == (
        f"{name}: expected reduction 'mean', 'sum' or 'none', got 'all'"
    )


def test_errors() -> None:
    assert message(F.huber_loss, ONES, ONES, 0) == (
        "huber_loss: expected delta above 0, got 0"
    )
    assert message(F.smooth_l1_loss, ONES, ONES, 0) == (
        "smooth_l1_loss: expected beta above 0, got 0; for 0 write l1_loss(x0, x1)"
    )
    assert message(F.kl_div, ONES, ONES[0]) == (
        "kl_div: expected p of shape (2, 3) as log_q has, got (3,)"
    )
    assert message(F.kl_div, ONES, ONES, 2) == (
        "kl_div: expected axis from -2 to 1, each once, got 2"
    )
    assert message(F.cosine_similarity, ONES, ONES.T) == (
        "cosine_similarity: expected x1 of shape (2, 3) as x0 has, got (3, 2)"
    )
    assert message(F.cosine_similarity, ONES[:0], ONES[:0]) == (
        "cosine_similarity: expected x0 with elements, got (0, 3)"
    )
    assert message(F.cosine_embedding_loss, ONES, ONES, np.ones(3)) == (
        "cosine_embedding_loss: expected t of shape (2,) to match x0 (2, 3), got t (3,)"
    )
    assert message(F.cosine_embedding_loss, ONES, ONES, np.array([1, 0])) == (
        "cosine_embedding_loss: expected t of -1 and 1, got numbers from 0 to 1; for t "
        "of 0 and 1 write 2 * t - 1"
    )
    assert message(F.triplet_margin_loss, ONES[0], ONES[0], ONES[0]) == (
        "triplet_margin_loss: expected anchor of shape (N, D), got (3,)"
    )
    assert message(F.triplet_margin_loss, ONES, ONES, ONES[:1]) == (
        "triplet_margin_loss: expected negative of shape (2, 3) as anchor has, got "
        "(1, 3)"
    )
