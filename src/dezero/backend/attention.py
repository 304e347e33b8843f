"""Attention on bare arrays, block by block: never are there the scores of all pairs.

The softmax goes along: it keeps the largest score and the total so far, and when a
larger score comes, what was summed up is scaled down to it (Milakov and Gimelshein,
"Online normalizer calculation for softmax", 2018). The gradient computes each block
of scores again from the logarithm of the total (Rabe and Staats, "Self-attention does
not need O(n²) memory", 2021; Dao et al., "FlashAttention", NeurIPS 2022).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dezero.backend import Array, get_array_module
from dezero.backend.tracing import one_operation

# Queries, and keys, of which all pairs are scored at once.
BLOCK = 256


class Pairs:
    """The pairs of queries and keys, in blocks, and what is known of them beforehand.

    Args:
        q: (..., T, D).
        k: (..., S, D), with the same leading axes.
        mask: Booleans or numbers that broadcast to (..., T, S), of as many axes.
        offset: Query ``i`` may look at the keys up to ``i + offset``; ``None``: at all.
        scale: What the products are multiplied with.
        block: How many queries, and how many keys, make a block.
    """

    def __init__(
        self,
        q: Array,
        k: Array,
        mask: Array | None,
        offset: int | None,
        scale: float,
        block: int,
    ) -> None:
        self.q, self.k, self.mask, self.offset = q, k, mask, offset
        self.scale, self.block = scale, block

    def row_blocks(self) -> Iterator[slice]:
        """The blocks of queries."""
        return _blocks(self.q.shape[-2], self.block)

    def column_blocks(self, rows: slice) -> Iterator[slice]:
        """The blocks of keys at which some of these queries may look."""
        seen = self.k.shape[-2]
        if self.offset is not None:
            seen = min(seen, rows.stop + self.offset)
        return _blocks(seen, self.block)

    def scores(self, q: Array, rows: slice, columns: slice) -> Array:
        """The scores of a block, -inf where a query may not look; ``q`` is scaled."""
        scores = np.matmul(q, self.k[..., columns, :].swapaxes(-1, -2))
        if self.offset is not None:
            reach = rows.start + self.offset - columns.start
            if reach < columns.stop - columns.start - 1:  # not all may look at all
                xp = get_array_module(scores)
                seen = xp.tri(*scores.shape[-2:], reach, dtype=bool)
                scores = np.where(seen, scores, -np.inf)
        if self.mask is not None:
            mask = self.mask[self.place_in_mask(rows, columns)]
            if mask.dtype == bool:
                scores = np.where(mask, scores, -np.inf)
            else:
                scores += mask
        return scores

    def place_in_mask(self, rows: slice, columns: slice) -> tuple[object, ...]:
        """The part of the mask that is about a block."""
        T, S = self.mask.shape[-2:]  # type: ignore[union-attr]
        whole = slice(None)
        return ..., whole if T == 1 else rows, whole if S == 1 else columns


def _blocks(length: int, block: int) -> Iterator[slice]:
    return (slice(i, min(i + block, length)) for i in range(0, length, block))


@one_operation
def attend(
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None,
    offset: int | None,
    scale: float,
    block: int,
) -> tuple[Array, Array]:
    """What every query finds, and the logarithm of the total of its exponentials.

    Both are 0 for a query that may look nowhere. The arguments are those of ``Pairs``,
    and the values ``v`` (..., S, E).
    """
    pairs = Pairs(q, k, mask, offset, scale, block)
    xp = get_array_module(q)
    y = xp.zeros((*q.shape[:-1], v.shape[-1]), q.dtype)
    log_total = xp.zeros((*q.shape[:-1], 1), q.dtype)
    for rows in pairs.row_blocks():
        q_rows = q[..., rows, :] * scale
        largest = xp.full((*q_rows.shape[:-1], 1), -np.inf, q.dtype)
        total = xp.zeros_like(largest)
        found = y[..., rows, :]
        for columns in pairs.column_blocks(rows):
            scores = pairs.scores(q_rows, rows, columns)
            before = largest
            largest = np.maximum(before, scores.max(axis=-1, keepdims=True))
            finite = np.where(largest == -np.inf, 0, largest)
            scores -= finite
            weights = np.exp(scores, out=scores)
            shrink = np.exp(before - finite)
            total = total * shrink + weights.sum(axis=-1, keepdims=True)
            found *= shrink
            found += np.matmul(weights, v[..., columns, :])
        nothing = total == 0
        total[nothing] = 1
        found /= total
        log_total[..., rows, :] = np.where(nothing, 0, largest + np.log(total))
    return y, log_total


@one_operation
def attend_grad(
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None,
    offset: int | None,
    scale: float,
    block: int,
    y: Array,
    log_total: Array,
    gy: Array,
    mask_too: bool,
) -> tuple[Array, ...]:
    """The gradients by ``q``, ``k`` and ``v``, and by the mask if that is wanted.

    With the weights ``P``: ``gv = Pᵀ gy`` and, of the scores,
    ``gs = P * (gy vᵀ - sum(gy * y))``.
    """
    pairs = Pairs(q, k, mask, offset, scale, block)
    xp = get_array_module(q)
    gq, gk, gv = xp.zeros_like(q), xp.zeros_like(k), xp.zeros_like(v)
    if mask_too:
        assert mask is not None
        gmask = xp.zeros_like(mask)
        repeated = tuple(i for i, n in enumerate(mask.shape) if n == 1)
    for rows in pairs.row_blocks():
        q_rows, gy_rows = q[..., rows, :] * scale, gy[..., rows, :]
        mean = (gy_rows * y[..., rows, :]).sum(axis=-1, keepdims=True)
        for columns in pairs.column_blocks(rows):
            weights = pairs.scores(q_rows, rows, columns)
            weights -= log_total[..., rows, :]
            np.exp(weights, out=weights)
            gv[..., columns, :] += np.matmul(weights.swapaxes(-1, -2), gy_rows)
            gs = np.matmul(gy_rows, v[..., columns, :].swapaxes(-1, -2))
            gs -= mean
            gs *= weights
            gq[..., rows, :] += np.matmul(gs, k[..., columns, :])
            gk[..., columns, :] += np.matmul(gs.swapaxes(-1, -2), q_rows)
            if mask_too:
                place = pairs.place_in_mask(rows, columns)
                gmask[place] += gs.sum(axis=repeated, keepdims=True)
    gq *= scale
    return (gq, gk, gv, gmask) if mask_too else (gq, gk, gv)
