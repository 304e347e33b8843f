"""Losses of distance: between numbers, between vectors, between distributions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dezero.backend import Array, Shape
from dezero.core import Function, Variable, as_input
from dezero.functions.activation import relu
from dezero.functions.arithmetic import absolute
from dezero.functions.binary_loss import require_signs
from dezero.functions.elementwise import clip, log, sqrt
from dezero.functions.loss import reduced
from dezero.functions.reduction import as_floating, normalize_axis, sum
from dezero.functions.shape import astype, reshape

# -- between numbers ----------------------------------------------------------------


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


def mse_loss(x0: Any, x1: Any, *, reduction: str = "mean") -> Variable:
    """``mean((x0 - x1) ** 2)``, over all elements.

    In ``mean_squared_error`` the mean is over the rows; of vectors they are the same.

    Args:
        x0: (N, ...).
        x1: As ``x0``; leading axes of length 1 may be missing from either.
        reduction: "mean" over the elements, "sum", or "none".

    Raises:
        ValueError: The shapes differ, or there are no examples.

    >>> mse_loss(np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros((2, 2)))
    variable(7.5)
    """
    x0, x1 = _paired("mse_loss", x0, x1)
    return reduced("mse_loss", (x0 - x1) ** 2, reduction)


def l1_loss(x0: Any, x1: Any, *, reduction: str = "mean") -> Variable:
    """``mean(abs(x0 - x1))``, over all elements; its derivative at 0 is taken as 0.

    Args:
        x0: (N, ...).
        x1: As ``x0``; leading axes of length 1 may be missing from either.
        reduction: "mean" over the elements, "sum", or "none".

    Raises:
        ValueError: The shapes differ, or there are no examples.

    >>> l1_loss(np.array([1.0, -3.0]), np.zeros(2))
    variable(2.0)
    """
    x0, x1 = _paired("l1_loss", x0, x1)
    return reduced("l1_loss", absolute(x0 - x1), reduction)


def huber_loss(
    x0: Any, x1: Any, delta: float = 1.0, *, reduction: str = "mean"
) -> Variable:
    """``d**2 / 2`` for a distance up to ``delta``, then on as a straight line.

    ``d = abs(x0 - x1)``; beyond, it is ``delta * (d - delta / 2)``: outliers pull no
    harder the farther out they are (Huber, "Robust estimation of a location
    parameter", 1964).

    Args:
        x0: (N, ...).
        x1: As ``x0``; leading axes of length 1 may be missing from either.
        delta: Where the straight line begins.
        reduction: "mean" over the elements, "sum", or "none".

    Raises:
        ValueError: ``delta`` is not positive, the shapes differ, or there are no
            examples.

    >>> huber_loss(np.array([0.5, -3.0]), np.zeros(2), reduction='none')
    variable([0.125 2.5  ])
    """
    if not delta > 0:
        raise ValueError(f"huber_loss: expected delta above 0, got {delta}")
    return reduced(
        "huber_loss", _huber(*_paired("huber_loss", x0, x1), delta), reduction
    )


def _huber(x0: Variable, x1: Variable, delta: float) -> Variable:
    difference = x0 - x1
    near = clip(difference, -delta, delta)
    return near * (difference - near / 2)


def smooth_l1_loss(
    x0: Any, x1: Any, beta: float = 1.0, *, reduction: str = "mean"
) -> Variable:
    """``huber_loss / beta``: the absolute distance, but round within ``beta`` of 0.

    Girshick, "Fast R-CNN", 2015.

    Args:
        x0: (N, ...).
        x1: As ``x0``; leading axes of length 1 may be missing from either.
        beta: Where the straight line begins.
        reduction: "mean" over the elements, "sum", or "none".

    Raises:
        ValueError: ``beta`` is not positive, the shapes differ, or there are no
            examples.

    >>> smooth_l1_loss(np.array([0.5, -3.0]), np.zeros(2), 0.5, reduction='none')
    variable([0.25 2.75])
    """
    if not beta > 0:
        raise ValueError(
            f"smooth_l1_loss: expected beta above 0, got {beta}; for 0 write "
            "l1_loss(x0, x1)"
        )
    losses = _huber(*_paired("smooth_l1_loss", x0, x1), beta) / beta
    return reduced("smooth_l1_loss", losses, reduction)


# -- between distributions ----------------------------------------------------------


def kl_div(log_q: Any, p: Any, axis: int = 1, *, reduction: str = "mean") -> Variable:
    """``sum(p * (log(p) - log_q))`` along ``axis``: how much q falls short of p.

    The Kullback-Leibler divergence KL(p || q) of a prediction q, given by its
    logarithms, from the true distribution p, given by its probabilities, of which some
    may be 0 (Kullback and Leibler, "On information and sufficiency", 1951).

    Args:
        log_q: Logarithms of probabilities (N, C, ...), as of ``log_softmax``.
        p: Probabilities, in the same shape.
        axis: The axis along which the probabilities sum to 1.
        reduction: "mean" over the distributions, "sum", or "none" for the divergence
            of each.

    Raises:
        ValueError: The shapes differ, or ``axis`` is out of range.

    >>> p = np.array([[0.5, 0.5], [1.0, 0.0]])
    >>> kl_div(np.log([[0.5, 0.5], [0.25, 0.75]]), p, reduction='none')
    variable([0.         1.38629436])
    """
    log_q, p = _alike("kl_div", log_q=log_q, p=p)
    axes = normalize_axis("kl_div", axis, log_q.ndim)
    log_p = log(clip(p, np.finfo(p.dtype).tiny, None))  # 0 log 0 is 0
    return reduced("kl_div", sum(p * (log_p - log_q), axes), reduction)


# -- between vectors ----------------------------------------------------------------


def _alike(operation: str, **arrays: Any) -> list[Variable]:
    """Variables of one shape, which is not empty; constants take the first's type."""
    xs = [as_floating(x) for x in arrays.values()]
    first, *names = arrays
    shape = xs[0].shape
    if not xs[0].size:
        raise ValueError(f"{operation}: expected {first} with elements, got {shape}")
    for name, x in zip(names, xs[1:], strict=True):
        if x.shape != shape:
            raise ValueError(
                f"{operation}: expected {name} of shape {shape} as {first} has, got "
                f"{x.shape}"
            )
    dtype = xs[0].dtype
    return [x if x.dtype == dtype or x.requires_grad else astype(x, dtype) for x in xs]


def cosine_similarity(x0: Any, x1: Any, axis: int = 1, eps: float = 1e-8) -> Variable:
    """``sum(x0 * x1) / (norm(x0) * norm(x1))`` along ``axis``: the cosine of the angle.

    Args:
        x0: (N, D, ...).
        x1: As ``x0``.
        axis: The axis of the vectors.
        eps: What a norm counts as at least, so that 0 has a cosine, 0, too.

    Raises:
        ValueError: The shapes differ, or ``axis`` is out of range.

    >>> cosine_similarity(np.array([[1.0, 0.0]]), np.array([[3.0, 4.0]]))
    variable([0.6])
    """
    x0, x1 = _alike("cosine_similarity", x0=x0, x1=x1)
    axes = normalize_axis("cosine_similarity", axis, x0.ndim)
    return sum(x0 * x1, axes) / (_norm(x0, axes, eps) * _norm(x1, axes, eps))


def _norm(x: Variable, axes: tuple[int, ...], least: float) -> Variable:
    """The norm along ``axes``, with a derivative also where it is 0."""
    return sqrt(clip(sum(x * x, axes), least**2, None))


def cosine_embedding_loss(
    x0: Any, x1: Any, t: Any, margin: float = 0.0, *, reduction: str = "mean"
) -> Variable:
    """``1 - cos`` for pairs that belong together, ``max(0, cos - margin)`` for others.

    Args:
        x0: Vectors (N, D).
        x1: As ``x0``.
        t: (N,): 1 for a pair that belongs together, -1 for one that does not.
        margin: The cosine from which on a pair of strangers costs nothing.
        reduction: "mean" over the pairs, "sum", or "none".

    Raises:
        ValueError: The shapes do not match, or ``t`` has other numbers.

    >>> x = np.array([[1.0, 0.0], [1.0, 0.0]])
    >>> cosine_embedding_loss(x, x, np.array([1, -1]), reduction='none')
    variable([0. 1.])
    """
    cos = cosine_similarity(x0, x1)
    t = as_input(t)
    if t.shape != cos.shape:
        raise ValueError(
            f"cosine_embedding_loss: expected t of shape {cos.shape} to match x0 "
            f"{as_input(x0).shape}, got t {t.shape}"
        )
    require_signs("cosine_embedding_loss", t)
    same = (t.data == 1).astype(cos.dtype)
    losses = same * (1 - cos) + (1 - same) * relu(cos - margin)
    return reduced("cosine_embedding_loss", losses, reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    *,
    reduction: str = "mean",
) -> Variable:
    """``max(0, d(anchor, positive) - d(anchor, negative) + margin)``.

    d is the Euclidean distance. An anchor shall be nearer to what is like it than to
    what is not, by ``margin`` (Schroff et al., "FaceNet", 2015).

    Args:
        anchor: Vectors (N, D).
        positive: As ``anchor``: of the same kind, each.
        negative: As ``anchor``: of another kind, each.
        margin: How much nearer.
        reduction: "mean" over the triplets, "sum", or "none".

    Raises:
        ValueError: The shapes differ.

    >>> p = np.array([[3.0, 4.0]])
    >>> triplet_margin_loss(np.zeros((1, 2)), p, 2 * p, margin=6)
    variable(1.0)
    """
    a, p, n = _alike(
        "triplet_margin_loss", anchor=anchor, positive=positive, negative=negative
    )
    if a.ndim < 2:
        raise ValueError(
            f"triplet_margin_loss: expected anchor of shape (N, D), got {a.shape}"
        )
    losses = relu(_norm(a - p, (1,), 1e-6) - _norm(a - n, (1,), 1e-6) + margin)
    return reduced("triplet_margin_loss", losses, reduction)
