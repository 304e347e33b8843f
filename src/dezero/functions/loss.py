"""Losses: how far predictions are from targets, as one number to make small."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dezero.backend import Array, Shape, as_array, get_array_module
from dezero.backend.special import log1p
from dezero.backend.tracing import kernel, require
from dezero.core import Function, Variable, as_input
from dezero.functions.activation import SoftmaxGrad, sigmoid, softmax
from dezero.functions.elementwise import clip, log
from dezero.functions.indexing import get_item
from dezero.functions.reduction import as_floating, sum
from dezero.functions.shape import astype, reshape

# -- real numbers -------------------------------------------------------------------


def _paired(operation: str, x0: Any, x1: Any) -> tuple[Variable, Variable]:
    """Both in one shape; data, which is constant, in the type of the prediction."""
    x0, x1 = as_floating(x0), as_floating(x1)
    if not (x0.ndim and x0.size):
        raise ValueError(
            f"{operation}: expected x0 of shape (N, ...) with N > 0, got {x0.shape}"
        )
    if x0.shape != x1.shape:
        same_size = x0.size == x1.size
        shape = _broadcast(x0.shape, x1.shape)
        if not same_size or math.prod(shape) != x0.size:
            hint = f"; write x1.reshape({x0.shape})" if same_size else ""
            raise ValueError(
                f"{operation}: expected x1 of shape {x0.shape} as x0 has, got "
                f"{x1.shape}{hint}"
            )
        x0, x1 = reshape(x0, shape), reshape(x1, shape)
    if not x1.requires_grad:
        x1 = x1 if x1.dtype == x0.dtype else astype(x1, x0.dtype)
    elif not x0.requires_grad:
        x0 = x0 if x0.dtype == x1.dtype else astype(x0, x1.dtype)
    return x0, x1


def _broadcast(shape0: Shape, shape1: Shape) -> Shape:
    try:
        return np.broadcast_shapes(shape0, shape1)
    except ValueError:
        return (0,)


class MeanSquaredError(Function):
    def forward(self, x0: Array, x1: Array) -> Array:
        diff = x0 - x1
        return (diff * diff).sum() / len(diff)

    def backward(self, gy: Variable) -> tuple[Variable, Variable | None]:
        x0, x1 = self.inputs
        gx0 = (x0 - x1) * (gy * (2 / len(x0)))
        return gx0, -gx0 if x1.requires_grad else None


def mean_squared_error(x0: Any, x1: Any) -> Variable:
    """``sum((x0 - x1) ** 2) / N``, where N is the number of rows, ``len(x0)``.

    The mean is over the examples, not over the elements of each.

    Args:
        x0: (N, ...).
        x1: As ``x0``; leading axes of length 1 may be missing from either.

    Raises:
        ValueError: The shapes differ, or there are no examples.

    >>> mean_squared_error(np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros((2, 2)))
    variable(15.0)
    """
    return MeanSquaredError()(*_paired("mean_squared_error", x0, x1))


def mean_squared_error_simple(x0: Any, x1: Any) -> Variable:
    """``mean_squared_error`` from ``-``, ``**``, ``sum`` and ``/``.

    Raises:
        ValueError: The shapes differ, or there are no examples.

    >>> mean_squared_error_simple(np.array([1.0, 2.0]), np.array([0.0, 0.0]))
    variable(2.5)
    """
    x0, x1 = _paired("mean_squared_error_simple", x0, x1)
    diff = x0 - x1
    return sum(diff**2) / len(diff)


# -- one class of several -----------------------------------------------------------


def _labels(operation: str, x: Variable, t: Any) -> Variable:
    """``t`` as labels for ``x`` (N, C, ...): (N, ...) integers from 0 to C - 1."""
    t = as_input(t)
    if x.ndim < 2:
        raise ValueError(
            f"{operation}: expected x of shape (N, C, ...), got {x.shape}; for one "
            "example write x.reshape(1, -1)"
        )
    expected = (x.shape[0], *x.shape[2:])
    if t.shape != expected:
        hint = ""
        if t.shape == x.shape:
            hint = "; for one-hot t write t.argmax(axis=1)"
        elif t.size == math.prod(expected):
            hint = f"; write t.reshape({expected})"
        raise ValueError(
            f"{operation}: expected t of shape {expected} to match x {x.shape}, got t "
            f"{t.shape}{hint}"
        )
    if not t.size:
        raise ValueError(f"{operation}: expected labels, got t {t.shape} without any")
    if t.dtype.kind not in "iu":
        raise TypeError(
            f"{operation}: expected integer labels, got {t.dtype}; write "
            "t.astype(np.int64)"
        )
    labels, shape, classes = t.data, x.shape, x.shape[1]
    # Seen as unsigned, a negative label is a large one: a single look finds both.
    unsigned = labels.dtype.str.replace("i", "u")
    require(
        labels.view(unsigned).max() < classes,
        lambda low, high: IndexError(
            f"{operation}: expected labels from 0 to {classes - 1} for x {shape}, "
            f"got from {low} to {high}"
        ),
        labels,
    )
    return t


def _at_labels(t: Array) -> tuple[Array, ...]:
    """The index that takes from (N, C, ...) the element of each label: (N, ...)."""
    xp = get_array_module(t)
    places = [
        xp.arange(n).reshape(-1, *(1,) * (t.ndim - 1 - i))
        for i, n in enumerate(t.shape)
    ]
    return (places[0], t, *places[1:])


@kernel
def _cross_entropy(x: Array, t: Array) -> tuple[Array, Array, Array]:
    """The loss, the exponentials of the scores, and their sums."""
    exps = x - x.max(axis=1, keepdims=True)
    scores = exps[_at_labels(t)]
    np.exp(exps, out=exps)
    sums = exps.sum(axis=1, keepdims=True)
    return (np.log(sums[:, 0]) - scores).sum() / t.size, exps, sums


@kernel
def _cross_entropy_grad(exps: Array, sums: Array, t: Array, gy: Array) -> Array:
    scale = gy / sums.size
    gx = exps * (scale / sums)
    gx[_at_labels(t)] -= scale
    return gx


class SoftmaxCrossEntropy(Function):
    """``forward`` keeps the exponentials, so that ``backward`` needs no second ones."""

    def forward(self, x: Array, t: Array) -> Array:
        loss, self.exps, self.sums = _cross_entropy(x, t)
        return loss

    def backward(self, gy: Variable) -> tuple[Variable, None]:
        x, t = self.inputs
        return SoftmaxCrossEntropyGrad(self.exps, self.sums, t.data)(x, gy), None


class SoftmaxCrossEntropyGrad(Function):
    """``(softmax(x) - one_hot(t)) * gy / N`` in one pass over memory."""

    def __init__(self, exps: Array, sums: Array, t: Array) -> None:
        self.exps = exps
        self.sums = sums
        self.t = t

    def forward(self, x: Array, gy: Array) -> Array:
        return _cross_entropy_grad(self.exps, self.sums, self.t, gy)

    def backward(self, ggx: Variable) -> tuple[Variable, Variable]:
        x, gy = self.inputs
        y = softmax(x)
        gx = SoftmaxGrad()(y, ggx) * (gy / self._count())
        ggy = (sum(ggx * y) - sum(get_item(ggx, _at_labels(self.t)))) / self._count()
        return gx, ggy

    def _count(self) -> int:
        return self.sums.size


def softmax_cross_entropy(x: Any, t: Any) -> Variable:
    """The mean of ``-log(softmax(x))`` at the labels: the loss of classification.

    Its derivative, ``(softmax(x) - one_hot(t)) / N``, stays right however large the
    scores and however wrong the prediction.

    Args:
        x: Scores (N, C), or (N, C, ...) with a label at each further place.
        t: Labels (N,), or (N, ...): integers from 0 to C - 1.

    Raises:
        ValueError: The shape of ``t`` does not match that of ``x``.
        TypeError: ``t`` is not of an integer type.
        IndexError: A label is not from 0 to C - 1.

    >>> softmax_cross_entropy(np.array([[1000.0, 0.0]]), np.array([1]))
    variable(1000.0)
    """
    x = as_floating(x)
    return SoftmaxCrossEntropy()(x, _labels("softmax_cross_entropy", x, t))


def softmax_cross_entropy_simple(x: Any, t: Any) -> Variable:
    """``softmax_cross_entropy`` from ``softmax``, ``clip``, ``log`` and indexing.

    A probability below 1e-15 counts as 1e-15 and has no gradient.

    Raises:
        ValueError: The shape of ``t`` does not match that of ``x``.
        TypeError: ``t`` is not of an integer type.
        IndexError: A label is not from 0 to C - 1.

    >>> softmax_cross_entropy_simple(np.array([[0.0, 0.0]]), np.array([1]))
    variable(0.6931471805599453)
    """
    x = as_floating(x)
    t = _labels("softmax_cross_entropy_simple", x, t)
    log_p = log(clip(softmax(x), 1e-15, 1.0))
    return -sum(get_item(log_p, _at_labels(t.data))) / t.size


def accuracy(y: Any, t: Any) -> Variable:
    """The share of rows of ``y`` whose largest score is at the label; no derivative.

    Args:
        y: Scores (N, C), or (N, C, ...).
        t: Labels, as many as there are predictions.

    Raises:
        ValueError: The number of labels differs, or is 0.

    >>> accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    variable(0.5)
    """
    y, t = as_input(y), as_input(t)
    if y.ndim < 2 or not t.size or t.size * y.shape[1] != y.size:
        raise ValueError(
            "accuracy: expected y of shape (N, C, ...) and a label for each of N, got "
            f"y {y.shape} and t {t.shape}"
        )
    hits = y.data.argmax(axis=1).reshape(t.shape) == t.data
    return Variable(as_array(hits.mean()), requires_grad=False)


# -- yes or no ----------------------------------------------------------------------


def _targets(operation: str, x: Variable, t: Any) -> Variable:
    """``t`` in the shape and type of ``x``; integers and arrays are constants."""
    t = as_input(t)
    if not (x.ndim and x.size):
        raise ValueError(
            f"{operation}: expected predictions of shape (N, ...) with N > 0, "
            f"got {x.shape}"
        )
    if t.shape != x.shape:
        if t.ndim == x.ndim or t.size != x.size:
            raise ValueError(
                f"{operation}: expected t of shape {x.shape} as the predictions have, "
                f"got {t.shape}"
            )
        t = reshape(t, x.shape)  # (N,) labels for (N, 1) predictions
    if t.dtype.kind != "f":
        return as_input(t.data.astype(x.dtype))
    return t if t.dtype == x.dtype or t.requires_grad else astype(t, x.dtype)


class SigmoidCrossEntropy(Function):
    def forward(self, x: Array, t: Array) -> Array:
        # log(1 + exp(x)) - x * t, where exp is taken of -|x| alone; the small term
        # comes last, or the large ones would swallow it.
        losses = np.clip(x, 0, np.inf)
        losses -= x * t
        losses += log1p(np.exp(-abs(x)))
        return losses.sum() / len(x)

    def backward(self, gy: Variable) -> tuple[Variable, Variable | None]:
        x, t = self.inputs
        gy = gy / len(x)
        return (sigmoid(x) - t) * gy, -x * gy if t.requires_grad else None


def sigmoid_cross_entropy(x: Any, t: Any) -> Variable:
    """``-sum(t log p + (1 - t) log(1 - p)) / N`` with ``p = sigmoid(x)``.

    Computed from the scores: right for any finite ``x``, also where ``p`` would
    round to 0 or 1.

    Args:
        x: Scores (N, ...).
        t: As ``x``: 0 or 1, or a probability between.

    Raises:
        ValueError: The shapes do not match, or there are no examples.

    >>> sigmoid_cross_entropy(np.array([1000.0]), np.array([0]))
    variable(1000.0)
    """
    x = as_floating(x)
    return SigmoidCrossEntropy()(x, _targets("sigmoid_cross_entropy", x, t))


class _Inside(Function):
    """Probabilities, with the nearest numbers inside in place of 0 and 1, at which
    the logarithm ends. The gradient passes there, too: it leads away from them."""

    def forward(self, p: Array) -> Array:
        limits = np.finfo(p.dtype)
        return np.clip(p, limits.tiny, 1 - limits.epsneg)

    def backward(self, gy: Variable) -> Variable:
        return gy


class BinaryCrossEntropy(Function):
    def forward(self, p: Array, t: Array) -> Array:
        yes = np.log(p)
        yes *= t
        no = log1p(-p)
        no *= 1 - t
        yes += no
        return yes.sum() / -len(p)

    def backward(self, gy: Variable) -> tuple[Variable, Variable | None]:
        p, t = self.inputs
        gy = gy / len(p)
        gt = (log(1 - p) - log(p)) * gy if t.requires_grad else None
        return (p - t) / (p * (1 - p)) * gy, gt


def binary_cross_entropy(p: Any, t: Any) -> Variable:
    """``-sum(t log p + (1 - t) log(1 - p)) / N``.

    Finite also at ``p`` of 0 and 1, which count as the nearest numbers inside, and
    with a gradient there. Still, of a score x ``sigmoid_cross_entropy(x, t)`` gives
    the same loss and loses nothing where ``p = sigmoid(x)`` rounds to 1.

    Args:
        p: Probabilities (N, ...), from 0 to 1.
        t: As ``p``: 0 or 1, or a probability between.

    Raises:
        ValueError: The shapes do not match, there are no examples, or ``p`` leaves
            the range from 0 to 1.

    >>> binary_cross_entropy(np.array([0.5]), np.array([1]))
    variable(0.6931471805599453)
    """
    p = as_floating(p)
    t = _targets("binary_cross_entropy", p, t)
    require(
        ~((p.data.min() < 0) | (p.data.max() > 1)),  # NaN passes
        lambda low, high: ValueError(
            f"binary_cross_entropy: expected p from 0 to 1, got from {low} to {high}; "
            "for scores x write sigmoid_cross_entropy(x, t)"
        ),
        p.data,
    )
    return BinaryCrossEntropy()(_Inside()(p), t)
