"""Metrics: how good predictions are, gathered batch by batch.

A metric takes bare arrays: ``y``, the scores of C classes on the last axis, and ``t``,
the labels, of the same shape without that axis. What it gathers does not depend on how
the samples are cut into batches.

>>> metric = Accuracy()
>>> metric.update(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
>>> metric.value
0.5
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np

from dezero import functions as F
from dezero.backend import Array, as_numpy
from dezero.core import Variable, no_grad

Average = Literal["macro", "micro"]


class Metric(Protocol):
    """What gathers predictions and gives a number, or an array, for all so far.

    Attributes:
        name: Its column in a History, after ``test_``.
    """

    name: str

    def update(self, y: Any, t: Any) -> None: ...
    def reset(self) -> None: ...
    @property
    def value(self) -> Any: ...


class Mean:
    """The base of metrics that are means over the samples. Write ``score``."""

    name = "mean"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all samples."""
        self.total = 0.0
        self.samples = 0

    def update(self, y: Any, t: Any) -> None:
        """Take in a batch: scores (..., C) and labels (...)."""
        y, t = checked(type(self).__name__, y, t)
        self.total += self.score(y, t)
        self.samples += len(t)

    def score(self, y: Array, t: Array) -> float:
        """The sum over the samples of ``y`` (N, C) and ``t`` (N,)."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method score")

    @property
    def value(self) -> float:
        """The mean so far; NaN before the first sample."""
        return self.total / self.samples if self.samples else math.nan


class Accuracy(Mean):
    """The share of samples whose label has the largest score.

    >>> metric = Accuracy()
    >>> metric.update(np.eye(4), np.array([0, 1, 2, 0]))
    >>> metric.value
    0.75
    """

    name = "accuracy"

    def score(self, y: Array, t: Array) -> float:
        return float((y.argmax(axis=1) == t).sum())


class TopK(Mean):
    """The share of samples whose label is among the k largest scores.

    Of equal scores, those of the first classes count as larger.

    Args:
        k: How many guesses there are.

    >>> metric = TopK(2)
    >>> metric.update(np.array([[3, 2, 1], [3, 2, 1]]), np.array([1, 2]))
    >>> metric.value
    0.5
    """

    def __init__(self, k: int = 5) -> None:
        if k < 1:
            raise ValueError(f"TopK: expected k of at least 1, got {k}")
        self.k = k
        self.name = f"top_{k}"
        super().__init__()

    def score(self, y: Array, t: Array) -> float:
        own = np.take_along_axis(y, t[:, None], axis=1)  # (N, 1)
        before = np.arange(y.shape[1]) < t[:, None]
        larger = (y > own) | ((y == own) & before)
        return float((larger.sum(axis=1) < self.k).sum())


class MeanLoss(Mean):
    """The mean of a loss that is a mean over the samples of a batch.

    Args:
        loss: A function of scores and labels.

    >>> metric = MeanLoss(F.softmax_cross_entropy)
    >>> metric.update(np.zeros((3, 2)), np.array([0, 1, 0]))
    >>> round(metric.value, 4)
    0.6931
    """

    name = "mean_loss"

    def __init__(self, loss: Callable[[Any, Any], Variable]) -> None:
        self.loss = loss
        super().__init__()

    def update(self, y: Any, t: Any) -> None:
        """Take in a batch; ``y`` and ``t`` are what the loss takes."""
        with no_grad():
            self.total += float(self.loss(y, t)) * len(t)
        self.samples += len(t)


class Perplexity(Mean):
    """``exp`` of the mean cross entropy: between how many equal choices the model is.

    >>> metric = Perplexity()
    >>> metric.update(np.zeros((1, 7, 10)), np.zeros((1, 7), int))
    >>> round(metric.value, 4)
    10.0
    """

    name = "perplexity"

    def score(self, y: Array, t: Array) -> float:
        with no_grad():
            return float(F.softmax_cross_entropy(y, t)) * len(t)

    @property
    def value(self) -> float:
        """The perplexity so far; NaN before the first sample."""
        return float(np.exp(super().value))


class ConfusionMatrix:
    """How often each class (the row) was taken for each class (the column), (C, C).

    >>> metric = ConfusionMatrix()
    >>> metric.update(np.array([[1, 0], [1, 0], [0, 1]]), np.array([0, 1, 1]))
    >>> metric.value
    array([[1, 0],
           [1, 1]])
    """

    name = "confusion_matrix"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all samples."""
        self.counts = np.zeros((0, 0), np.int64)

    def update(self, y: Any, t: Any) -> None:
        """Take in a batch: scores (..., C) and labels (...)."""
        y, t = checked(type(self).__name__, y, t)
        C = y.shape[1]
        if self.counts.size == 0:
            self.counts = np.zeros((C, C), np.int64)
        elif len(self.counts) != C:
            raise ValueError(
                f"{type(self).__name__}: expected scores of {len(self.counts)} "
                f"classes, as before, got {C}"
            )
        pairs = np.bincount(t * C + y.argmax(axis=1), minlength=C * C)
        self.counts = self.counts + pairs.reshape(C, C)

    @property
    def value(self) -> Any:
        """The counts so far; of shape (0, 0) before the first sample."""
        return self.counts


class _Rates(ConfusionMatrix):
    """The base of what is computed for each class and averaged.

    Args:
        average: ``'macro'``, the mean over the classes that occur, as labels or as
            predictions; or ``'micro'``, over all samples, which is the accuracy where
            every sample has one label.
    """

    def __init__(self, average: Average = "macro") -> None:
        if average not in ("macro", "micro"):
            raise ValueError(
                f"{type(self).__name__}: expected average 'macro' or 'micro', got "
                f"'{average}'"
            )
        self.average = average
        self.name = type(self).__name__.lower()
        super().__init__()

    @property
    def value(self) -> float:
        """The average so far; NaN before the first sample."""
        right = self.counts.diagonal()
        predicted, labelled = self.counts.sum(axis=0), self.counts.sum(axis=1)
        occurs = (predicted + labelled) > 0
        if not occurs.any():
            return math.nan
        if self.average == "micro":
            right, predicted, labelled = (
                x.sum(keepdims=True) for x in (right, predicted, labelled)
            )
            occurs = np.array([True])
        wanted = np.maximum(self.of_classes(predicted, labelled), 1)
        return float((right / wanted)[occurs].mean())

    def of_classes(self, predicted: Array, labelled: Array) -> Array:
        """What the right ones are a part of, for each class (C,)."""
        raise NotImplementedError


class Precision(_Rates):
    """How many of those taken for a class are of it; 0 for a class never guessed.

    >>> metric = Precision()
    >>> metric.update(np.array([[1, 0], [1, 0], [0, 1]]), np.array([0, 1, 1]))
    >>> metric.value                           # the mean of 1 / 2 and 1 / 1
    0.75
    """

    def of_classes(self, predicted: Array, labelled: Array) -> Array:
        return predicted


class Recall(_Rates):
    """How many of those of a class are taken for it; 0 for a class that never occurs.

    >>> metric = Recall()
    >>> metric.update(np.array([[1, 0], [1, 0], [0, 1]]), np.array([0, 1, 1]))
    >>> metric.value                           # the mean of 1 / 1 and 1 / 2
    0.75
    """

    def of_classes(self, predicted: Array, labelled: Array) -> Array:
        return labelled


class F1(_Rates):
    """The harmonic mean of precision and recall of each class, averaged.

    >>> metric = F1()
    >>> metric.update(np.array([[1, 0], [1, 0], [0, 1]]), np.array([0, 1, 1]))
    >>> round(metric.value, 4)                 # the mean of 2 / 3 and 2 / 3
    0.6667
    """

    def of_classes(self, predicted: Array, labelled: Array) -> Array:
        return (predicted + labelled) / 2


def checked(operation: str, y: Any, t: Any) -> tuple[Array, Array]:
    """Scores (N, C) and labels (N,) of all samples, whatever axes they came with."""
    y, t = (as_numpy(x.data if isinstance(x, Variable) else x) for x in (y, t))
    y, t = np.asarray(y), np.asarray(t)
    if y.ndim < 2 or y.shape[:-1] != t.shape or t.dtype.kind not in "iu":
        raise ValueError(
            f"{operation}: expected scores (..., C) and integer labels (...), got y "
            f"{y.shape} and t {t.shape} of type {t.dtype}"
        )
    y, t = y.reshape(-1, y.shape[-1]), t.reshape(-1)
    if t.size and not 0 <= int(t.min()) <= int(t.max()) < y.shape[1]:
        raise ValueError(
            f"{operation}: expected labels from 0 to {y.shape[1] - 1}, got "
            f"{t.min()} to {t.max()}"
        )
    return y, t.astype(np.int64, copy=False)
