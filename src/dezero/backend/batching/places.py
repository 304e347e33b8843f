"""Elements of a batch: where an index, written for one example, leads in all."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dezero.backend.batching.arrays import (
    FUNCTIONS,
    BatchedArray,
    aligned,
    level_of,
    lifted,
)
from dezero.backend.trees import leaves

Array = Any


def indexed(x: Array, index: Any) -> Array:
    """``x[index]``, where either may be batched."""
    level = level_of((x, index)) if BatchedArray.ever else 0
    if not level:
        return x[index]
    count = max(a.count for a in leaves([x, index]) if level_of(a) == level)
    place = place_of(lifted(x, level, count), index)
    y = indexed(place.target.value, place.index)
    return BatchedArray(level, y.transpose(place.order) if place.order else y)


@dataclass(frozen=True)
class Place:
    """Where in the arrays of all examples an index leads.

    Attributes:
        index: The index into ``target.value``.
        shape: What it leads to, of one example.
        order: The axes of what ``index`` gives, in the order in which the index of one
            example gives them; empty if they come so.
    """

    target: BatchedArray
    index: tuple[Any, ...]
    shape: tuple[int, ...]
    order: tuple[int, ...]

    def arranged(self, value: Any) -> Any:
        """``value``, as it is to be written there."""
        level, count = self.target.level, self.target.count
        (value,) = aligned(level, [value], len(self.shape))
        value = np.broadcast_to(value, (count, *self.shape))
        return value.transpose(np.argsort(self.order)) if self.order else value


def place_of(x: BatchedArray, index: Any) -> Place:
    """Where ``index``, written for one example, leads in all of them."""
    parts = _parts(index, x.ndim)
    one = [np.broadcast_to(0, p.shape) if hasattr(p, "shape") else p for p in parts]
    shape = np.broadcast_to(np.int8(0), x.shape)[tuple(one)].shape
    chosen = [i for i, p in enumerate(parts) if not (p is None or isinstance(p, slice))]
    if not any(np.ndim(parts[i]) or level_of(parts[i]) for i in chosen):
        return Place(x, (slice(None), *parts), shape, ())
    # The number of each example goes along with the indices: their axes come first.
    ndim = max(np.ndim(parts[i]) for i in chosen)
    for i, part in zip(
        chosen, aligned(x.level, [parts[i] for i in chosen], ndim), strict=True
    ):
        parts[i] = part
    numbers = np.arange(x.count).reshape(-1, *(1,) * ndim)
    together = chosen[-1] - chosen[0] == len(chosen) - 1
    before = chosen[0] if together else 0
    axes, rest = list(range(1, ndim + 1)), list(range(ndim + 1, len(shape) + 1))
    order = (0, *rest[:before], *axes, *rest[before:])
    return Place(x, (numbers, *parts), shape, order if before and ndim else ())


def _parts(index: Any, ndim: int) -> list[Any]:
    """An index without ``...`` and without masks, with arrays for lists."""
    parts: list[Any] = []
    for part in index if isinstance(index, tuple) else (index,):
        if isinstance(part, list):
            part = np.asarray(part)
        if hasattr(part, "dtype") and part.dtype.kind == "b" and part.ndim:
            if isinstance(part, BatchedArray):
                part._read("x[mask], whose shape depends on the values,")
            parts.extend(np.nonzero(part))
        else:
            parts.append(part)
    if any(part is Ellipsis for part in parts):
        i = next(i for i, part in enumerate(parts) if part is Ellipsis)
        used = sum(part is not None for part in parts) - 1
        parts[i : i + 1] = [slice(None)] * (ndim - used)
    return parts


def _write(x: BatchedArray, index: Any, value: Any) -> None:
    place = place_of(x, index)
    x.value[place.index] = place.arranged(value)


FUNCTIONS[operator.getitem] = indexed
FUNCTIONS[operator.setitem] = _write
