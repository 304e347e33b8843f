"""Losses of classification: one class of several, and what all losses share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dezero.backend import Array, as_array, get_array_module
from dezero.backend.tracing import kernel, require
from dezero.core import Function, Variable, as_input
from dezero.errors import closest
from dezero.functions.activation import SoftmaxGrad, log_softmax, softmax
from dezero.functions.elementwise import clip, log
from dezero.functions.indexing import get_item
from dezero.functions.reduction import as_floating, average, sum
from dezero.functions.shape import expand_dims

# -- from many losses to one --------------------------------------------------------

_REDUCTIONS = {"mean": average, "sum": sum, "none": lambda losses: losses}


def reduced(operation: str, losses: Variable, reduction: str) -> Variable:
    """The mean of losses, their sum, or all of them."""
    if reduction not in _REDUCTIONS:
        raise ValueError(
            f"{operation}: expected reduction 'mean', 'sum' or 'none', got "
            f"{reduction!r}" + closest(str(reduction), _REDUCTIONS)
        )
    return _REDUCTIONS[reduction](losses)


class _Masked(Function):
    def __init__(self, mask: Array) -> None:
        self.mask = mask

    def forward(self, x: Array) -> Array:
        return np.where(self.mask, x, 0)

    def backward(self, gy: Variable) -> Variable:
        return masked(gy, self.mask)


def masked(x: Variable, mask: Array) -> Variable:
    """``x`` where ``mask`` is true and 0 elsewhere, be it infinite there or NaN."""
    return _Masked(mask)(x)


# -- one class of several -----------------------------------------------------------


def _labels(
    operation: str, x: Variable, t: Any, ignore_index: int | None = None
) -> Variable:
    """``t`` as labels for ``x`` (N, C, ...): (N, ...) integers from 0 to C - 1.

    Those that are to be ignored become 0, which is a class like any other.
    """
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
    if ignore_index is not None:
        t = as_input(np.where(t.data == ignore_index, 0, t.data))
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


def _losses(x: Array, t: Array) -> tuple[Array, Array, Array]:
    """The loss of each label, the exponentials of the scores, and their sums."""
    exps = x - x.max(axis=1, keepdims=True)
    scores = exps[_at_labels(t)]
    np.exp(exps, out=exps)
    sums = exps.sum(axis=1, keepdims=True)
    return np.log(sums[:, 0]) - scores, exps, sums


@kernel
def _cross_entropy(x: Array, t: Array) -> tuple[Array, Array, Array]:
    losses, exps, sums = _losses(x, t)
    return losses.sum() / t.size, exps, sums


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


_cross_entropies = kernel(_losses)


@kernel
def _cross_entropies_grad(exps: Array, sums: Array, t: Array, gy: Array) -> Array:
    gx = exps * (gy.reshape(sums.shape) / sums)
    gx[_at_labels(t)] -= gy
    return gx


class SoftmaxCrossEntropies(Function):
    """The loss of each label by itself, to be weighed."""

    def forward(self, x: Array, t: Array) -> Array:
        losses, self.exps, self.sums = _cross_entropies(x, t)
        return losses

    def backward(self, gy: Variable) -> tuple[Variable, None]:
        x, t = self.inputs
        return SoftmaxCrossEntropiesGrad(self.exps, self.sums, t.data)(x, gy), None


class SoftmaxCrossEntropiesGrad(Function):
    """``(softmax(x) - one_hot(t)) * gy``, with a ``gy`` for each label."""

    def __init__(self, exps: Array, sums: Array, t: Array) -> None:
        self.exps = exps
        self.sums = sums
        self.t = t

    def forward(self, x: Array, gy: Array) -> Array:
        return _cross_entropies_grad(self.exps, self.sums, self.t, gy)

    def backward(self, ggx: Variable) -> tuple[Variable, Variable]:
        x, gy = self.inputs
        y = softmax(x)
        ggy = sum(ggx * y, axis=1) - get_item(ggx, _at_labels(self.t))
        return SoftmaxGrad()(y, ggx) * expand_dims(gy, 1), ggy


def softmax_cross_entropy(
    x: Any,
    t: Any,
    *,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    weight: Any = None,
    reduction: str = "mean",
) -> Variable:
    """The mean of ``-log(softmax(x))`` at the labels: the loss of classification.

    Its derivative, ``(softmax(x) - one_hot(t)) / N``, stays right however large the
    scores and however wrong the prediction. ``cross_entropy`` is the same function.

    Args:
        x: Scores (N, C), or (N, C, ...) with a label at each further place.
        t: Labels (N,), or (N, ...): integers from 0 to C - 1. Or the shares of all
            classes, of a floating type and the shape of x, as Mixup and CutMix give
            them: the loss is then ``-(t * log(softmax(x))).sum(axis=1)``.
        ignore_index: A label that marks places which do not count.
        label_smoothing: The share of each label, from 0 to 1, that is spread over all
            classes alike (Szegedy et al., "Rethinking the inception architecture",
            2016).
        weight: How much each class counts, (C,), a constant. The mean of the losses of
            labels is then the weighted one.
        reduction: "mean" over the labels that count, "sum", or "none" for one loss
            for each label, (N, ...).

    Raises:
        ValueError: The shape of ``t`` or ``weight`` does not match that of ``x``; a
            setting is out of range; or there is no label that counts to take the mean
            of.
        TypeError: ``t`` are labels and not of an integer type.
        IndexError: A label is not from 0 to C - 1.

    >>> softmax_cross_entropy(np.array([[1000.0, 0.0]]), np.array([1]))
    variable(1000.0)
    >>> x = np.array([[1000.0, 0.0], [0.0, 0.0]])
    >>> softmax_cross_entropy(x, np.array([1, -1]), ignore_index=-1)
    variable(1000.0)
    """
    x, t = as_floating(x), as_input(t)
    plain = ignore_index is None and weight is None and not label_smoothing
    if t.dtype.kind == "f" and t.shape == x.shape:
        if ignore_index is not None:
            raise ValueError(
                "softmax_cross_entropy: expected labels with ignore_index, got shares "
                f"t {t.shape}; write zeros for what does not count"
            )
        weights = _class_weights("softmax_cross_entropy", x, weight)
        _require_smoothing(label_smoothing)
        losses = _losses_by_shares(x, t, label_smoothing, weights)
        return reduced("softmax_cross_entropy", losses, reduction)
    if plain and reduction == "mean":
        return SoftmaxCrossEntropy()(x, _labels("softmax_cross_entropy", x, t))
    _require_smoothing(label_smoothing)
    labels = _labels("softmax_cross_entropy", x, t, ignore_index)
    counted = _counted(t, ignore_index)
    weights = _class_weights("softmax_cross_entropy", x, weight)
    spread = None
    if label_smoothing:
        log_p = log_softmax(x)
        losses = get_item(log_p, _at_labels(labels.data)) * (label_smoothing - 1)
        if weights is not None:
            log_p = log_p * weights.reshape(-1, *(1,) * (x.ndim - 2))
        spread = sum(log_p, axis=1) * (-label_smoothing / x.shape[1])
    else:
        losses = SoftmaxCrossEntropies()(x, labels)
    return _weighed(
        "softmax_cross_entropy", losses, spread, labels, counted, weights, reduction
    )


cross_entropy = softmax_cross_entropy


def _require_smoothing(label_smoothing: float) -> None:
    if not 0 <= label_smoothing <= 1:
        raise ValueError(
            "softmax_cross_entropy: expected label_smoothing from 0 to 1, got "
            f"{label_smoothing}"
        )


def _losses_by_shares(
    x: Variable, t: Variable, label_smoothing: float, weights: Array | None
) -> Variable:
    """The losses (N, ...) where every class has a share."""
    if label_smoothing:
        t = t * (1 - label_smoothing) + label_smoothing / x.shape[1]
    log_p = log_softmax(x)
    if weights is not None:
        log_p = log_p * weights.reshape(-1, *(1,) * (x.ndim - 2))
    return -sum(t * log_p, axis=1)


def nll_loss(
    log_p: Any,
    t: Any,
    *,
    ignore_index: int | None = None,
    weight: Any = None,
    reduction: str = "mean",
) -> Variable:
    """The mean of ``-log_p`` at the labels: the negative log-likelihood.

    Of ``log_softmax(x)``, the same as ``softmax_cross_entropy(x, t)``.

    Args:
        log_p: Logarithms of probabilities (N, C), or (N, C, ...).
        t: Labels (N,), or (N, ...): integers from 0 to C - 1.
        ignore_index: A label that marks places which do not count.
        weight: How much each class counts, (C,), a constant. The mean is then the
            weighted one.
        reduction: "mean" over the labels that count, "sum", or "none".

    Raises:
        ValueError: The shape of ``t`` or ``weight`` does not match that of ``log_p``;
            or there is no label that counts to take the mean of.
        TypeError: ``t`` is not of an integer type.
        IndexError: A label is not from 0 to C - 1.

    >>> nll_loss(np.log([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 0]), reduction='sum')
    variable(2.0794415416798357)
    """
    log_p = as_floating(log_p)
    labels = _labels("nll_loss", log_p, t, ignore_index)
    counted = _counted(t, ignore_index)
    weights = _class_weights("nll_loss", log_p, weight)
    losses = -get_item(log_p, _at_labels(labels.data))
    return _weighed("nll_loss", losses, None, labels, counted, weights, reduction)


def _counted(t: Any, ignore_index: int | None) -> Array | None:
    """Where a label counts; ``None`` if it does everywhere."""
    return None if ignore_index is None else as_input(t).data != ignore_index


def _weighed(
    operation: str,
    losses: Variable,
    spread: Variable | None,
    t: Variable,
    counted: Array | None,
    weights: Array | None,
    reduction: str,
) -> Variable:
    """The losses (N, ...) times the weights of their labels, those that count, as one.

    ``spread``, what is lost by smoothing, has its weights already.
    """
    each = None if weights is None else get_item(weights, t).data  # (N, ...)
    if each is not None:
        losses = losses * each
    if spread is not None:
        losses = losses + spread
    if counted is not None:
        losses = masked(losses, counted)
        each = counted.astype(losses.dtype) if each is None else each * counted
    if reduction != "mean" or each is None:
        return reduced(operation, losses, reduction)
    total = each.sum()
    require(
        total > 0,
        lambda low, high: ValueError(
            f"{operation}: expected labels that count, got none, so there is no mean; "
            "write reduction='sum'"
        ),
        t.data,
    )
    return sum(losses) / total


def _class_weights(operation: str, x: Variable, weight: Any) -> Array | None:
    if weight is None:
        return None
    weights = as_input(weight).data
    if weights.shape != (x.shape[1],):
        raise ValueError(
            f"{operation}: expected weight of shape ({x.shape[1]},) to match x "
            f"{x.shape}, got weight {weights.shape}"
        )
    return nonnegative(operation, "weights", weights, x.dtype)


def nonnegative(operation: str, name: str, factor: Array, dtype: Any) -> Array:
    """A constant factor in a type, if none of its numbers is below 0."""
    require(
        (factor >= 0).all(),
        lambda low, high: ValueError(
            f"{operation}: expected {name} of 0 or more, got from {low} to {high}"
        ),
        factor,
    )
    return factor.astype(dtype)


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
        t: Labels, as many as there are predictions; or the shares of all classes,
            of which the largest counts.

    Raises:
        ValueError: The number of labels differs, or is 0.

    >>> accuracy(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    variable(0.5)
    """
    y, t = as_input(y), as_input(t)
    if t.shape == y.shape and t.dtype.kind == "f" and t.ndim > 1:
        t = as_input(t.data.argmax(axis=1))
    if y.ndim < 2 or not t.size or t.size * y.shape[1] != y.size:
        raise ValueError(
            "accuracy: expected y of shape (N, C, ...) and a label for each of N, got "
            f"y {y.shape} and t {t.shape}"
        )
    hits = y.data.argmax(axis=1).reshape(t.shape) == t.data
    return Variable(as_array(hits.mean()), requires_grad=False)
