"""Metrics, against their definitions written out sample by sample."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import dezero.functions as F
from dezero import Variable
from dezero.train import (
    F1,
    Accuracy,
    ConfusionMatrix,
    MeanLoss,
    Perplexity,
    Precision,
    Recall,
    TopK,
)

C = 5


def samples() -> tuple[Any, Any]:
    """Scores of five classes; class 3 is never a label, class 4 never the largest."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(40, C))
    y[:, 4] -= 10
    return y, rng.choice([0, 1, 2, 4], size=40)


def guesses(y: Any) -> list[int]:
    return [max(range(C), key=lambda c: row[c]) for row in y]


def rates(y: Any, t: Any) -> list[tuple[float, float, float]]:
    """Precision, recall and F1 of every class that occurs."""
    found = []
    pairs = list(zip(guesses(y), t.tolist(), strict=True))
    for c in range(C):
        right = sum(g == c and label == c for g, label in pairs)
        guessed = sum(g == c for g, _ in pairs)
        labelled = sum(label == c for _, label in pairs)
        if guessed or labelled:
            p = right / guessed if guessed else 0
            r = right / labelled if labelled else 0
            found.append((p, r, 2 * p * r / (p + r) if p + r else 0))
    return found


def log_likelihoods(y: Any, t: Any) -> list[float]:
    return [
        row[c] - math.log(sum(math.exp(x) for x in row))
        for row, c in zip(y, t, strict=True)
    ]


def mean(numbers: list[Any]) -> float:
    return sum(numbers) / len(numbers)


REFERENCES = [
    (
        Accuracy(),
        lambda y, t: mean([g == c for g, c in zip(guesses(y), t, strict=True)]),
    ),
    (
        TopK(2),
        lambda y, t: mean(
            [c in sorted(range(C), key=lambda k: -r[k])[:2] for r, c in zip(y, t)]  # noqa: B905
        ),
    ),
    (Precision(), lambda y, t: mean([p for p, _, _ in rates(y, t)])),
    (Recall(), lambda y, t: mean([r for _, r, _ in rates(y, t)])),
    (F1(), lambda y, t: mean([f for _, _, f in rates(y, t)])),
    (
        F1("micro"),
        lambda y, t: mean([g == c for g, c in zip(guesses(y), t, strict=True)]),
    ),
    (Perplexity(), lambda y, t: math.exp(-mean(log_likelihoods(y, t)))),
    (MeanLoss(F.softmax_cross_entropy), lambda y, t: -mean(log_likelihoods(y, t))),
]


@pytest.mark.parametrize(
    ("metric", "reference"), REFERENCES, ids=lambda x: type(x).__name__
)
def test_values(metric: Any, reference: Any) -> None:
    y, t = samples()
    assert math.isnan(metric.value)
    for _ in range(2):  # after a reset, too
        for rows in (slice(0, 7), slice(7, 40)):
            metric.update(y[rows], t[rows])
        assert metric.value == pytest.approx(reference(y, t))
        metric.reset()
        assert math.isnan(metric.value)


def test_variables_and_further_axes() -> None:
    y, t = samples()
    for metric in (Accuracy(), TopK(3), F1(), Perplexity()):
        metric.update(y, t)
        wanted = metric.value
        metric.reset()
        metric.update(Variable(y.reshape(5, 8, C)), t.reshape(5, 8))
        assert metric.value == pytest.approx(wanted)


def test_confusion_matrix() -> None:
    y, t = samples()
    metric = ConfusionMatrix()
    assert metric.value.shape == (0, 0)
    metric.update(y[:9], t[:9])
    metric.update(y[9:], t[9:])
    wanted = np.zeros((C, C), int)
    for c, g in zip(t, guesses(y), strict=True):
        wanted[c, g] += 1
    np.testing.assert_array_equal(metric.value, wanted)


def test_equal_scores_count_in_the_order_of_the_classes() -> None:
    metric = TopK(2)
    metric.update(np.zeros((3, 3)), np.array([0, 1, 2]))
    assert metric.value == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("y", "t", "message"),
    [
        (
            np.zeros((2, 3)),
            np.array([0, 3]),
            "Accuracy: expected labels from 0 to 2, got 0 to 3",
        ),
        (
            np.zeros((2, 3)),
            np.array([0, 1, 2]),
            "Accuracy: expected scores (..., C) and integer labels (...), got y (2, 3) "
            "and t (3,) of type int64",
        ),
        (
            np.zeros((2, 3)),
            np.zeros(2),
            "Accuracy: expected scores (..., C) and integer labels (...), got y (2, 3) "
            "and t (2,) of type float64",
        ),
    ],
)
def test_wrong_samples(y: Any, t: Any, message: str) -> None:
    with pytest.raises(ValueError) as error:
        Accuracy().update(y, t)
    assert str(error.value) == message


def test_wrong_settings() -> None:
    with pytest.raises(ValueError) as error:
        TopK(0)
    assert str(error.value) == "TopK: expected k of at least 1, got 0"
    with pytest.raises(ValueError) as error:
        F1("mean")  # type: ignore[arg-type]
    assert str(error.value) == "F1: expected average 'macro' or 'micro', got 'mean'"
    metric = ConfusionMatrix()
    metric.update(np.zeros((1, 3)), np.array([0]))
    with pytest.raises(ValueError) as error:
        metric.update(np.zeros((1, 4)), np.array([0]))
    assert str(error.value) == (
        "ConfusionMatrix: expected scores of 3 classes, as before, got 4"
    )
