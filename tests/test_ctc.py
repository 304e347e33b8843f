"""The CTC loss: against all alignments, where there is none, padding, errors.

That it is the sum over all alignments, and its derivatives, are in the table of cases.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
from dezero import Variable

X = np.sin(np.arange(48.0)).reshape(6, 2, 4)
T = np.array([[1, 1, 3], [2, 3, 9]])  # the 9 is padding
STEPS, COUNTS = np.array([6, 4]), np.array([3, 2])


def loss(
    x: Any, t: Any = T, steps: Any = STEPS, counts: Any = COUNTS, **kw: Any
) -> Any:
    return F.ctc_loss(F.log_softmax(x, axis=2), t, steps, counts, **kw)


def message(error: type[Exception], *args: Any, **kwargs: Any) -> str:
    with pytest.raises(error) as caught:
        F.ctc_loss(*args, **kwargs)
    return str(caught.value)


def test_numbers_of_torch() -> None:
    """Of torch.nn.functional.ctc_loss, in float64, with the arrays above."""
    each = loss(X, reduction="none").data
    np.testing.assert_allclose(
        each, [5.327057278255256, 3.1734432518328153], rtol=1e-13
    )
    assert loss(X, reduction="sum").data == pytest.approx(8.500500530088072, rel=1e-13)
    x = Variable(X)
    y = loss(x)
    y.backward()
    assert y.data == pytest.approx(1.6812036926674132, rel=1e-13)
    wanted = [
        [
            -0.00612399779896151,
            -0.05168052118921995,
            0.05928841062787,
            -0.00148389163969,
        ],
        [
            0.006450240339703882,
            0.04492031749647452,
            0.03247571106257,
            -0.08384626889874,
        ],
    ]
    np.testing.assert_allclose(x.grad.data[3], wanted, rtol=1e-10)


def test_steps_beyond_the_length_do_not_matter() -> None:
    x = Variable(X)
    loss(x).backward()
    np.testing.assert_array_equal(x.grad.data[4:, 1], 0)
    other = X.copy()
    other[4:, 1] = 100
    assert loss(other).data == loss(X).data


def test_float32_stays_and_lengths_may_be_small_integers() -> None:
    x = Variable(np.tile(X.astype(np.float32), (34, 1, 1)))  # 204 steps
    y = loss(x, T.astype(np.uint8), np.array([200, 200], np.uint8), COUNTS)
    y.backward()
    assert y.dtype == x.grad.dtype == np.float32
    assert y.data == pytest.approx(
        loss(x.data.astype(float), T, [200, 200]).data, rel=1e-5
    )


def test_no_labels_mean_blanks_alone() -> None:
    log_p = np.log(np.full((3, 2, 2), 0.5))
    for t in (np.zeros((2, 0), int), np.ones((2, 2), int)):
        y = F.ctc_loss(log_p, t, [3, 2], [0, 0], reduction="none")
        np.testing.assert_allclose(np.exp(-y.data), [1 / 8, 1 / 4])


def test_too_few_steps_cost_infinitely_much_or_nothing() -> None:
    x = Variable(X)
    y = loss(x, steps=np.array([3, 4]), reduction="none")  # 1, 1, 3 needs a blank
    assert y.data[0] == np.inf and np.isfinite(y.data[1])
    z = loss(x, steps=np.array([3, 4]), zero_infinity=True)
    assert z.data == pytest.approx(y.data[1] / 2 / 2)
    z.backward()
    assert np.isfinite(x.grad.data).all()
    np.testing.assert_array_equal(x.grad.data[:, 0], 0)
    assert x.grad.data[:, 1].any()


def test_a_probability_of_zero() -> None:
    log_p = np.log(np.full((3, 1, 2), 0.5))
    log_p[1, 0] = [-np.inf, 0]  # the label for certain
    x = Variable(log_p)
    y = F.ctc_loss(x, [[1]], [3], [1])
    y.backward()
    assert y.data == pytest.approx(0, abs=1e-15)
    assert np.isfinite(x.grad.data).all()


def test_compiled_for_other_labels_and_lengths() -> None:
    step = dezero.compile(loss)
    for steps, counts in ((STEPS, COUNTS), (np.array([4, 6]), np.array([2, 0]))):
        for _ in range(2):
            found = step(X, T, steps, counts)
            assert found.data == pytest.approx(
                loss(X, T, steps, counts).data, rel=1e-12
            )
    with pytest.raises(
        IndexError, match="expected labels from 0 to 3 but for the blank"
    ):
        step(X, T + 1, STEPS, COUNTS)


def test_errors() -> None:
    x = F.log_softmax(X, axis=2)
    assert message(ValueError, x[0], T, STEPS, COUNTS) == (
        "ctc_loss: expected log_p of shape (T, N, C) with elements, got (2, 4)"
    )
    assert message(ValueError, x, T[:1], STEPS, COUNTS) == (
        "ctc_loss: expected t of shape (2, S) to match log_p (6, 2, 4), got t (1, 3)"
    )
    assert message(ValueError, x, T, STEPS, COUNTS[:1]) == (
        "ctc_loss: expected target_lengths of shape (2,) to match log_p (6, 2, 4), got "
        "target_lengths (1,)"
    )
    assert message(ValueError, x, T, STEPS + 1, COUNTS) == (
        "ctc_loss: expected input_lengths from 1 to 6, got from 5 to 7"
    )
    assert message(ValueError, x, T, STEPS, COUNTS - 3) == (
        "ctc_loss: expected target_lengths from 0 to 3, got from -1 to 0"
    )
    assert message(ValueError, x, T, STEPS, COUNTS, blank=4) == (
        "ctc_loss: expected blank from 0 to 3, got 4"
    )
    assert message(IndexError, x, T, STEPS, np.array([3, 3])) == (
        "ctc_loss: expected labels from 0 to 3 but for the blank 0, got labels from 1 "
        "to 9"
    )
    assert message(IndexError, x, T, STEPS, COUNTS, blank=3) == (
        "ctc_loss: expected labels from 0 to 3 but for the blank 3, got labels from 1 "
        "to 3"
    )
    assert message(TypeError, x, T / 1, STEPS, COUNTS) == (
        "ctc_loss: expected integers as t, got float64; write t.astype(np.int64)"
    )
    assert message(ValueError, x, T, STEPS, COUNTS, reduction="max") == (
        "ctc_loss: expected reduction 'mean', 'sum' or 'none', got 'max'"
    )
