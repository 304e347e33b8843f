"""Between one example and all: what the engine needs for ``vmap``.

What is the same for all examples gets the sum of their gradients; as with shapes that
broadcast, the engine sees to it, for every Function.
"""

from __future__ import annotations

import numpy as np

from dezero.backend import Array
from dezero.backend.batching import (
    Level,
    active,
    count_of,
    levels_of,
    spread,
    with_axis,
    without_axis,
)
from dezero.core.function import Function
from dezero.core.variable import Variable


class Hide(Function):
    """``forward`` hides an axis as that of the examples at ``level``."""

    def __init__(self, level: int, axis: int) -> None:
        self.level = level
        self.axis = axis

    def forward(self, x: Array) -> Array:
        self.count = x.shape[self.axis]
        return without_axis(np.moveaxis(x, self.axis, 0), self.level)

    def backward(self, gy: Variable) -> Variable:
        return Show(self.level, self.axis, self.count)(gy)


class Show(Function):
    """``forward`` shows the axis that was hidden, of as many examples as ``count``."""

    def __init__(self, level: int, axis: int, count: int) -> None:
        self.level = level
        self.axis = axis
        self.count = count

    def forward(self, x: Array) -> Array:
        if self.level not in levels_of(x):
            x = spread(x, self.level, self.count)
        return np.moveaxis(with_axis(x, self.level), 0, self.axis)

    def backward(self, gy: Variable) -> Variable:
        return Hide(self.level, self.axis)(gy)


class SumExamples(Function):
    """``forward`` sums over the examples, ``backward`` gives each the same."""

    def __init__(self, level: int) -> None:
        self.level = level

    def forward(self, x: Array) -> Array:
        self.count = count_of(x, self.level)
        return with_axis(x, self.level).sum(axis=0)

    def backward(self, gy: Variable) -> Variable:
        return SpreadExamples(self.level, self.count)(gy)


class SpreadExamples(Function):
    """``forward`` gives each example the same, ``backward`` sums over them."""

    def __init__(self, level: int, count: int) -> None:
        self.level = level
        self.count = count

    def forward(self, x: Array) -> Array:
        return spread(x, self.level, self.count)

    def backward(self, gy: Variable) -> Variable:
        return SumExamples(self.level)(gy)


def fitted_examples(
    gx: Variable, x: Variable, running: tuple[Level, ...] | None = None
) -> Variable:
    """``gx`` with the examples of ``x``: summed over those that ``x`` does not have.

    Within a vmap that is ``running`` each example has a gradient of its own, by
    whatever.
    """
    have, wanted = levels_of(gx._data), levels_of(x._data)
    if have == wanted:
        return gx
    levels = active.get() if running is None else running
    numbers = [level.number for level in levels]
    for level in have:
        if level not in wanted and level not in numbers:
            gx = SumExamples(level)(gx)
    for level in wanted:
        if level not in have:
            gx = SpreadExamples(level, count_of(x._data, level))(gx)
    return gx
