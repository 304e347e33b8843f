"""Losses of a yes or no, or of several at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.backend.special import log1p
from dezero.backend.tracing import require
from dezero.core import Function, Variable, as_input
from dezero.functions.activation import relu, sigmoid
from dezero.functions.elementwise import log
from dezero.functions.loss import nonnegative, reduced
from dezero.functions.rectified import softplus
from dezero.functions.reduction import as_floating
from dezero.functions.shape import astype, reshape


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


def binary_cross_entropy_with_logits(
    x: Any,
    t: Any,
    *,
    weight: Any = None,
    pos_weight: Any = None,
    reduction: str = "mean",
) -> Variable:
    """``-mean(t log p + (1 - t) log(1 - p))`` with ``p = sigmoid(x)``.

    The mean is over all elements, not over the rows as in ``sigmoid_cross_entropy``.
    Right for any finite ``x``.

    Args:
        x: Scores (N, ...), also called logits.
        t: As ``x``: 0 or 1, or a probability between.
        weight: How much each element counts, a constant that broadcasts to ``x``.
        pos_weight: How much a yes counts against a no, likewise: above 1 where yes is
            rare.
        reduction: "mean" over the elements, "sum", or "none".

    Raises:
        ValueError: The shapes do not match, or there are no examples.

    >>> x = np.array([[1000.0, 0.0]])
    >>> binary_cross_entropy_with_logits(x, np.array([[0, 1]]), reduction='none')
    variable([[1.00000000e+03 6.93147181e-01]])
    """
    operation = "binary_cross_entropy_with_logits"
    x = as_floating(x)
    t = _targets(operation, x, t)
    yes = t * softplus(-x)
    if pos_weight is not None:
        yes = yes * _factor(operation, "pos_weight", pos_weight, x)
    losses = yes + (1 - t) * softplus(x)
    if weight is not None:
        losses = losses * _factor(operation, "weight", weight, x)
    return reduced(operation, losses, reduction)


def _factor(operation: str, name: str, factor: Any, x: Variable) -> Array:
    """A constant that broadcasts to ``x``, in its type."""
    factor = as_input(factor).data
    try:
        fits = np.broadcast_shapes(factor.shape, x.shape) == x.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{operation}: expected {name} that broadcasts to x {x.shape}, got {name} "
            f"{factor.shape}"
        )
    return nonnegative(operation, name, factor, x.dtype)


def hinge_loss(x: Any, t: Any, *, reduction: str = "mean") -> Variable:
    """``max(0, 1 - t * x)``: the loss of support vector machines.

    Cortes and Vapnik, "Support-vector networks", 1995.

    Args:
        x: Scores (N, ...).
        t: As ``x``: -1 or 1.
        reduction: "mean" over the elements, "sum", or "none".

    Raises:
        ValueError: The shapes do not match, there are no examples, or ``t`` has other
            numbers.

    >>> hinge_loss(np.array([2.0, 0.5, -1.0]), np.array([1, 1, 1]), reduction='none')
    variable([0.  0.5 2. ])
    """
    x = as_floating(x)
    t = _targets("hinge_loss", x, t)
    require_signs("hinge_loss", t)
    return reduced("hinge_loss", relu(1 - t * x), reduction)


def require_signs(operation: str, t: Variable) -> None:
    require(
        (abs(t.data) == 1).all(),
        lambda low, high: ValueError(
            f"{operation}: expected t of -1 and 1, got numbers from {low} to {high}; "
            "for t of 0 and 1 write 2 * t - 1"
        ),
        t.data,
    )
