"""Connectionist temporal classification: labels whose places are not known."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero.backend import Array, get_array_module
from dezero.backend.tracing import require
from dezero.core import Variable, as_input
from dezero.functions.indexing import get_item
from dezero.functions.loss import masked, reduced
from dezero.functions.reduction import as_floating, logsumexp
from dezero.functions.shape import concat, expand_dims


def ctc_loss(
    log_p: Any,
    t: Any,
    input_lengths: Any,
    target_lengths: Any,
    *,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Variable:
    """``-log`` of the probability of the labels ``t``, wherever they stand.

    The sum over all alignments: sequences of T labels and blanks that become ``t`` when
    first repeats are made one, then blanks left out (Graves et al., "Connectionist
    temporal classification", 2006).

    Args:
        log_p: Logarithms of probabilities (T, N, C), as of ``log_softmax(x, axis=2)``.
        t: Labels (N, S), padded at the end with whatever.
        input_lengths: How many of the T steps count, (N,), from 1 to T.
        target_lengths: How many of the S labels count, (N,), from 0 to S.
        blank: Which of the C classes means none.
        reduction: "mean" over the examples of the loss for each label, "sum" of their
            losses, or "none".
        zero_infinity: Give the loss 0, not infinity, to labels for which there are too
            few steps.

    Raises:
        ValueError: The shapes do not go together, ``blank`` is no class, or a length
            is out of range.
        TypeError: Labels or lengths are not of an integer type.
        IndexError: A label is not from 0 to C - 1, or is the blank.

    >>> log_p = np.log(np.full((2, 1, 2), 0.5))  # 2 steps; a blank and one label
    >>> loss = ctc_loss(log_p, np.array([[1]]), np.array([2]), np.array([1]))
    >>> F.exp(-loss)  # of the sequences 00, 01, 10, 11 all but the first mean it
    variable(0.75)
    """
    log_p = as_floating(log_p)
    labels, steps, counts = _checked(log_p, t, input_lengths, target_lengths, blank)
    T, N, _ = log_p.shape
    xp = get_array_module(log_p)
    rows = xp.arange(N)

    # The states of an alignment are the labels with a blank before, between and after.
    S = labels.shape[1]
    pairs = np.stack([xp.full_like(labels, blank), labels], axis=2)
    end = xp.full((N, 1), blank, labels.dtype)
    states = np.concatenate([pairs.reshape(N, 2 * S), end], axis=1)
    seen = get_item(log_p, (xp.arange(T)[:, None, None], rows[:, None], states))

    # To a label also leads the label before the blank, unless they are the same.
    start, leap = _masks(states, blank, log_p.dtype)
    never = xp.full((N, 2), -np.inf, log_p.dtype)
    alpha = seen[0] + start  # (N, 2 S + 1): log of the probability of being there
    alphas = [alpha]
    for step in range(1, T):
        before = concat([never, alpha], axis=1)
        ways = [before[:, 2:], before[:, 1:-1], before[:, :-2] + leap]
        alpha = logsumexp(_stack(ways), axis=0) + seen[step]
        alphas.append(alpha)

    # It ends in the last label or the blank after it.
    last = _stack(alphas)
    after = get_item(last, (steps - 1, rows, 2 * counts))
    at = get_item(last, (steps - 1, rows, np.maximum(2 * counts - 1, 0)))
    none = np.where(counts == 0, -np.inf, 0).astype(log_p.dtype)
    losses = -logsumexp(_stack([after, at + none]), axis=0)
    if zero_infinity:
        losses = masked(losses, np.isfinite(losses.data))
    if reduction == "mean":
        losses = losses / np.maximum(counts, 1).astype(log_p.dtype)
    return reduced("ctc_loss", losses, reduction)


def _stack(xs: list[Variable]) -> Variable:
    return concat([expand_dims(x, 0) for x in xs])


def _masks(states: Array, blank: int, dtype: Any) -> tuple[Array, Array]:
    """Where an alignment may begin, and to which states it may leap over one: 0 there,
    -inf elsewhere, in the shape of ``states``."""
    xp = get_array_module(states)
    place = xp.arange(states.shape[1])
    start = np.where(place < 2, 0, -np.inf).astype(dtype)
    two_before = np.concatenate([states[:, :2], states[:, :-2]], axis=1)
    new = (states != blank) & (states != two_before)
    return start, np.where(new, 0, -np.inf).astype(dtype)


def _checked(
    log_p: Variable, t: Any, input_lengths: Any, target_lengths: Any, blank: int
) -> tuple[Array, Array, Array]:
    """Labels with blanks in place of the padding, and both lengths, as arrays."""
    t, steps, counts = map(as_input, (t, input_lengths, target_lengths))
    if log_p.ndim != 3 or not log_p.size:
        raise ValueError(
            "ctc_loss: expected log_p of shape (T, N, C) with elements, got "
            f"{log_p.shape}"
        )
    T, N, C = log_p.shape
    if t.ndim != 2 or len(t) != N:
        raise ValueError(
            f"ctc_loss: expected t of shape ({N}, S) to match log_p {log_p.shape}, got "
            f"t {t.shape}"
        )
    if not 0 <= blank < C:
        raise ValueError(f"ctc_loss: expected blank from 0 to {C - 1}, got {blank}")
    S = t.shape[1]
    for name, x, least, most in (
        ("input_lengths", steps, 1, T),
        ("target_lengths", counts, 0, S),
    ):
        if x.shape != (N,):
            raise ValueError(
                f"ctc_loss: expected {name} of shape ({N},) to match log_p "
                f"{log_p.shape}, got {name} {x.shape}"
            )
        _require_integers(name, x)
        _require_between(name, x.data, least, most)
    _require_integers("t", t)
    xp = get_array_module(log_p)
    lengths = counts.data.astype(np.int64)
    counted = xp.arange(S) < lengths[:, None]
    labels = np.where(counted, t.data, blank).astype(np.int64)
    if S:
        wrong = (labels < 0) | (labels >= C) | (labels == blank)
        require(
            ~(counted & wrong).any(),
            lambda low, high: IndexError(
                f"ctc_loss: expected labels from 0 to {C - 1} but for the blank "
                f"{blank}, got labels from {low} to {high}"
            ),
            labels,
        )
    return labels, steps.data.astype(np.int64), lengths


def _require_integers(name: str, x: Variable) -> None:
    if x.dtype.kind not in "iu":
        raise TypeError(
            f"ctc_loss: expected integers as {name}, got {x.dtype}; write "
            f"{name}.astype(np.int64)"
        )


def _require_between(name: str, x: Array, least: int, most: int) -> None:
    require(
        ((x >= least) & (x <= most)).all(),
        lambda low, high: ValueError(
            f"ctc_loss: expected {name} from {least} to {most}, got from {low} to "
            f"{high}"
        ),
        x,
    )
