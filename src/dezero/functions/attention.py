"""Attention: every query looks at the keys and takes from their values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dezero.backend import Array, Shape, get_array_module
from dezero.backend.attention import BLOCK, attend, attend_grad
from dezero.config import Config
from dezero.core import Function, Variable, as_input, broadcast_to, sum_to
from dezero.core.broadcast import broadcasts
from dezero.functions.activation import softmax
from dezero.functions.elementwise import clip
from dezero.functions.joining import concat
from dezero.functions.linalg import matmul
from dezero.functions.random import dropout
from dezero.functions.reduction import as_floating, sum
from dezero.functions.shape import astype, reshape, transpose

# Pairs of a query and a key up to which all scores are computed at once: as many as one
# block has. From there on blocks are faster, and much so where half are not needed.
DIRECT = BLOCK * BLOCK


def scaled_dot_product_attention(
    q: Any,
    k: Any,
    v: Any,
    mask: Any = None,
    causal: bool = False,
    dropout_ratio: float = 0.0,
    scale: float | None = None,
) -> Variable:
    """``softmax(scale * q kᵀ + mask) v``: a mean of the values for every query.

    The values whose keys are most like the query weigh most (Vaswani et al.,
    Attention Is All You Need, NeurIPS 2017). Long sequences are worked through in
    blocks, forward and backward, in memory that grows as the sequences do and not as
    the number of pairs (see ``backend/attention.py``); third derivatives, and
    ``dropout_ratio`` in training, keep numbers for each pair.

    Args:
        q: The queries (..., T, D).
        k: The keys (..., S, D).
        v: The values (..., S, E). The leading axes of all three broadcast.
        mask: Booleans, true where a query may look; or numbers, which are added to
            the scores. It broadcasts to (..., T, S).
        causal: Whether the last query may look at all keys, the one before at all but
            the last, and so on: query ``i`` at the keys up to ``i + S - T``. Both this
            and the mask must allow it.
        dropout_ratio: With what probability a weight is set to 0, in training.
        scale: What the products are multiplied with; by default ``1 / sqrt(D)``.

    Returns:
        (..., T, E). For a query that may look nowhere it is 0.

    Raises:
        TypeError: The mask is of integers.
        ValueError: The shapes do not go together.

    >>> q = k = np.array([[8.0, 0.0], [0.0, 8.0]])
    >>> v = np.array([[1.0], [2.0]])
    >>> scaled_dot_product_attention(q, k, v, scale=1)
    variable([[1.]
              [2.]])
    >>> scaled_dot_product_attention(q, k, v, mask=[[False, True], [False, False]])
    variable([[2.]
              [0.]])
    """
    q, k, v = map(as_floating, (q, k, v))
    lead = _require_sequences(q, k, v)
    dtype = np.result_type(q.dtype, k.dtype, v.dtype)
    q, k, v = (
        broadcast_to(x if x.dtype == dtype else astype(x, dtype), lead + x.shape[-2:])
        for x in (q, k, v)
    )
    (T, D), S = q.shape[-2:], k.shape[-2]
    if mask is not None:
        mask = _fitted_mask(mask, (*lead, T, S), dtype)
    offset = S - T if causal else None
    if scale is None:
        scale = 1 / math.sqrt(D)
    if (Config.train and dropout_ratio) or T * S <= DIRECT:
        weights = _weights(q, k, mask, offset, scale)
        return matmul(dropout(weights, dropout_ratio) if dropout_ratio else weights, v)
    masks = () if mask is None else (mask,)
    return Attention(offset, scale, BLOCK)(q, k, v, *masks)


def _require_sequences(q: Variable, k: Variable, v: Variable) -> Shape:
    """The leading axes that the three have together."""
    shapes = f"q {q.shape}, k {k.shape} and v {v.shape}"
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise ValueError(
            "scaled_dot_product_attention: expected q (..., T, D), k (..., S, D) and "
            f"v (..., S, E), got {shapes}"
        )
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(
            "scaled_dot_product_attention: expected q and k with as many features, got "
            + shapes
        )
    if not k.shape[-1] * k.shape[-2]:
        raise ValueError(
            "scaled_dot_product_attention: expected at least one key and one feature, "
            "got " + shapes
        )
    if k.shape[-2] != v.shape[-2]:
        raise ValueError(
            "scaled_dot_product_attention: expected a value for each key, got " + shapes
        )
    try:
        return np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    except ValueError:
        raise ValueError(
            "scaled_dot_product_attention: expected leading axes that broadcast, got "
            + shapes
        ) from None


def _fitted_mask(mask: Any, pairs: Shape, dtype: Any) -> Variable:
    """The mask with as many axes as there are, of booleans or of type ``dtype``."""
    mask = as_input(mask)
    if mask.dtype.kind not in "bf":
        raise TypeError(
            "scaled_dot_product_attention: expected a mask of booleans, true where a "
            f"query may look, or of floating type, got {mask.dtype}; write mask != 0"
        )
    if not broadcasts(mask.shape, pairs):
        raise ValueError(
            "scaled_dot_product_attention: expected a mask that broadcasts to "
            f"(..., T, S) = {pairs}, got {mask.shape}"
        )
    if mask.dtype != bool and mask.dtype != dtype:
        mask = astype(mask, dtype)
    return reshape(mask, (1,) * (len(pairs) - mask.ndim) + mask.shape)


def _weights(
    q: Variable, k: Variable, mask: Variable | None, offset: int | None, scale: float
) -> Variable:
    """How much of every value goes to every query: (..., T, S), from 0 to 1."""
    scores = matmul(q, _swap(k)) * scale
    seen: Any = True
    if offset is not None:
        T, S = scores.shape[-2:]
        seen = get_array_module(q).tri(T, S, offset, bool)
        if mask is None and offset >= 0:  # every query may look somewhere
            return softmax(scores + np.where(seen, 0, -np.inf).astype(q.dtype), -1)
    if mask is None and seen is True:
        return softmax(scores, -1)
    # Not -inf, as rows of nothing else would be NaN: they are set to 0 afterwards.
    low = float(np.finfo(q.dtype).min) / 4
    if mask is not None and mask.dtype == bool:
        seen = mask.data & seen
    elif mask is not None:
        scores = scores + clip(mask, low, None)
        seen = (mask.data > low) & seen
    hidden = np.where(seen, 0, low).astype(q.dtype)
    return softmax(scores + hidden, -1) * seen.astype(q.dtype)


def _swap(x: Variable) -> Variable:
    return transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


class Attention(Function):
    """Attention in blocks of pairs. The arguments are those of ``attend``."""

    def __init__(self, offset: int | None, scale: float, block: int) -> None:
        self.how = offset, scale, block

    def forward(self, q: Array, k: Array, v: Array, mask: Array | None = None) -> Array:
        y, self.log_total = attend(q, k, v, mask, *self.how)
        return y

    def multiply_adds(self, xs: list[Array], ys: tuple[Array, ...]) -> int:
        return (xs[0].size + ys[0].size) * xs[1].shape[-2]  # scores, then values

    def backward(self, gy: Variable) -> tuple[Variable | None, ...]:
        q, k, v, *masks = self.inputs
        y = self.output().data
        mask_too = any(mask.requires_grad for mask in masks)
        grad: Any = AttentionGrad(self.how, y, self.log_total, mask_too)
        gxs = grad(q, k, v, gy, *masks)
        return gxs if mask_too or not masks else (*gxs, None)


class AttentionGrad(Function):
    """The gradients of attention, in the same blocks.

    Its own derivative works on one block of queries at a time, with all keys.
    """

    def __init__(
        self,
        how: tuple[int | None, float, int],
        y: Array,
        log_total: Array,
        mask_too: bool,
    ) -> None:
        self.how = how
        self.y = y
        self.log_total = log_total
        self.mask_too = mask_too

    def forward(
        self, q: Array, k: Array, v: Array, gy: Array, mask: Array | None = None
    ) -> tuple[Array, ...]:
        found = self.y, self.log_total
        return attend_grad(q, k, v, mask, *self.how, *found, gy, self.mask_too)

    def backward(
        self,
        ggq: Variable,
        ggk: Variable,
        ggv: Variable,
        ggmask: Variable | None = None,
    ) -> tuple[Variable | None, ...]:
        q, k, v, gy, *masks = self.inputs
        offset, scale, block = self.how
        T = q.shape[-2]
        by_rows: list[tuple[Variable, Variable]] = []
        sums: Any = 0, 0  # of the gradients by k and v
        by_mask = []
        for start in range(0, T, block):
            rows = (..., slice(start, start + block), slice(None))

            def part(x: Variable, rows: Any = rows) -> Variable:
                return x if x.shape[-2] == 1 < T else x[rows]

            mask = part(masks[0]) if masks else None
            reach = None if offset is None else offset + start
            gq, gk, gv, ggy, gmask = _second(
                *(part(q), k, v, part(gy), mask, reach, scale),
                *(part(ggq), ggk, ggv, None if ggmask is None else part(ggmask)),
            )
            by_rows.append((gq, ggy))
            sums = sums[0] + gk, sums[1] + gv
            if self.mask_too:
                by_mask.append(gmask)
        gq, ggy = (concat(parts, axis=-2) for parts in zip(*by_rows, strict=True))
        if not masks:
            return gq, *sums, ggy
        if not self.mask_too:
            return gq, *sums, ggy, None
        return gq, *sums, ggy, sum_to(concat(by_mask, axis=-2), masks[0].shape)


def _second(
    q: Variable,
    k: Variable,
    v: Variable,
    gy: Variable,
    mask: Variable | None,
    offset: int | None,
    scale: float,
    ggq: Variable,
    ggk: Variable,
    ggv: Variable,
    ggmask: Variable | None,
) -> tuple[Variable, ...]:
    """The gradients by q, k, v, gy and the scores of the gradients of attention.

    These are, with the weights ``P``, ``A = gy vᵀ`` and ``G = P * (A - sum(P * A))``:
    ``gv = Pᵀ gy``, ``gq = scale G k``, ``gk = scale Gᵀ q`` and, of the scores, ``G``.
    """
    P = _weights(q, k, mask, offset, scale)
    A = matmul(gy, _swap(v))
    mean = sum(P * A, axis=-1, keepdims=True)
    G = P * (A - mean)
    H = scale * (matmul(ggq, _swap(k)) + matmul(q, _swap(ggk)))  # by G
    if ggmask is not None:
        H = H + ggmask
    mean_H = sum(P * H, axis=-1, keepdims=True)
    by_A = P * (H - mean_H)
    by_P = H * (A - mean) - A * mean_H + matmul(gy, _swap(ggv))
    W = P * (by_P - sum(P * by_P, axis=-1, keepdims=True))  # by the scores
    gq = scale * (matmul(G, ggk) + matmul(W, k))
    gk = scale * (matmul(_swap(G), ggq) + matmul(_swap(W), q))
    gv = matmul(_swap(by_A), gy)
    ggy = matmul(by_A, v) + matmul(P, ggv)
    return gq, gk, gv, ggy, W


def causal_mask(length: int, keys: int | None = None) -> np.ndarray[Any, Any]:
    """Where a query may look if not into the future: booleans (length, keys).

    Args:
        length: How many queries there are.
        keys: How many keys; as many by default. The last query may look at all.

    >>> causal_mask(2, 3)
    array([[ True,  True, False],
           [ True,  True,  True]])
    """
    keys = length if keys is None else keys
    return np.tri(length, keys, keys - length, dtype=bool)


def rotary(x: Any, positions: Any = 0, base: float = 10000.0) -> Variable:
    """Turn every vector by angles that say where in the sequence it stands.

    Of D features, number ``i`` of the first half and number ``i`` of the second are a
    point of the plane (the convention of GPT-NeoX and LLaMA, not that of neighbouring
    pairs), which is turned by ``position * base ** (-2 i / D)``. The product of a
    query and a key so depends on how far they are apart (Su et al., RoFormer, 2021).

    Args:
        x: (..., T, D), D even: the queries, or the keys.
        positions: The position of the first vector, whose successors stand next to
            it; or integers that broadcast to (..., T), one for each.
        base: How slowly the last pairs turn.

    Raises:
        ValueError: D is odd, or the positions do not fit.

    >>> rotary(np.array([[1.0, 0.0], [1.0, 0.0]])).data.round(3)
    array([[1.   , 0.   ],
           [0.54 , 0.841]])
    """
    x = as_floating(x)
    if x.ndim < 2 or x.shape[-1] % 2:
        raise ValueError(
            f"rotary: expected x (..., T, D) with an even number D, got {x.shape}"
        )
    xp = get_array_module(x)
    T, D = x.shape[-2:]
    if isinstance(positions, (int, np.integer)):
        at = positions + xp.arange(T)
    else:
        at = as_input(positions).data
        if not broadcasts(at.shape, x.shape[:-1]):
            raise ValueError(
                "rotary: expected positions that broadcast to "
                f"(..., T) = {x.shape[:-1]}, got {at.shape}"
            )
    angles = at[..., None] * base ** (xp.arange(0, D, 2) / -D)
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)
    x0, x1 = x[..., : D // 2], x[..., D // 2 :]
    return concat([x0 * cos - x1 * sin, x1 * cos + x0 * sin], axis=-1)
