"""How the products of NumPy compute a batch of examples at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero.backend.batching.arrays import (
    BatchedArray,
    aligned,
    level_of,
    rule,
)


def matmul(x: Any, W: Any) -> Any:
    """Matrices as they are; vectors as a row on the left, a column on the right."""
    level = level_of((x, W))
    x_ndim, W_ndim = np.ndim(x), np.ndim(W)
    if level_of(W) < level and W_ndim == 2:
        value = x.value  # one large product is faster than many small ones
        y = np.matmul(value.reshape(-1, value.shape[-1]), W)
        return BatchedArray(level, y.reshape((*value.shape[:-1], y.shape[-1])))
    if level_of(x) < level and x_ndim == 2 and W_ndim == 1:
        return BatchedArray(level, np.matmul(W.value, np.transpose(x)))
    x = np.expand_dims(x, 0) if x_ndim == 1 else x
    W = np.expand_dims(W, 1) if W_ndim == 1 else W
    y = np.matmul(*aligned(level, [x, W]))
    axes = [axis for axis, n in ((-2, x_ndim), (-1, W_ndim)) if n == 1]
    return BatchedArray(level, np.squeeze(y, tuple(axes)) if axes else y)


@rule(np.dot)
def _dot(x: Any, y: Any, out: Any = None) -> Any:
    if out is not None or np.ndim(y) > 2:
        return NotImplemented
    return np.multiply(x, y) if not (np.ndim(x) and np.ndim(y)) else matmul(x, y)


@rule(np.einsum)
def _einsum(*operands: Any, **kwargs: Any) -> Any:
    """With one more letter, for the examples, in front of those who have them."""
    if kwargs.get("out") is not None:
        return NotImplemented
    if isinstance(operands[0], str):
        text, *xs = operands
        letters, arrow, target = text.replace(" ", "").partition("->")
        free = next(c for c in "zyxwvutsrqponmlkjihgfedcba" if c not in text)
        if not arrow or "." in text:
            return NotImplemented
        level = level_of(xs)
        words = [
            free + word if level_of(x) == level else word
            for word, x in zip(letters.split(","), xs, strict=True)
        ]
        text = ",".join(words) + "->" + free + target
        return BatchedArray(
            level,
            np.einsum(text, *(_value(x, level) for x in xs), **kwargs),
        )
    if len(operands) % 2 == 0:
        return NotImplemented
    *pairs, target = operands
    xs, labels = pairs[::2], [list(a) for a in pairs[1::2]]
    level = level_of(xs)
    free_label = max(n for a in labels for n in a) + 1
    given: list[Any] = []
    for x, a in zip(xs, labels, strict=True):
        given += [_value(x, level), [free_label, *a] if level_of(x) == level else a]
    return BatchedArray(level, np.einsum(*given, [free_label, *target], **kwargs))


def _value(x: Any, level: int) -> Any:
    return x.value if level_of(x) == level else x
