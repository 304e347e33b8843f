"""The places in the rows, after Brandes and Köpf (2001): long lines are straight.

Points are joined with a neighbour above (or below) into upright blocks, the blocks
are packed to the left (or right), and each point takes the middle of the four
solutions that this gives.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import accumulate, pairwise

from dezero.viz.layers import Layers

_BETWEEN = 18.0  # neighbours in a row
_BESIDE = 10.0  # a line and its neighbour

# Of each point, those above and those below that it may be joined with.
Near = tuple[list[list[int]], list[list[int]]]


def place(layers: Layers) -> list[float]:
    """The x of every point: four extreme solutions, and between them the middle."""
    near = _neighbours_to_join(layers)
    solutions = []
    for upward in (False, True):
        for leftward in (False, True):
            xs = _place_extreme(layers, near, upward, leftward)
            solutions.append([-x for x in xs] if leftward else xs)
    extents = [extent(layers, xs) for xs in solutions]
    narrow_left, narrow_right = min(extents, key=lambda e: e[1] - e[0])
    shifted = []
    for i, (xs, (left, right)) in enumerate(zip(solutions, extents, strict=True)):
        shift = narrow_right - right if i % 2 else narrow_left - left
        shifted.append([x + shift for x in xs])
    placed = []
    for several in zip(*shifted, strict=True):
        _, a, b, _ = sorted(several)
        placed.append((a + b) / 2)
    _bring_leaves_near(layers, placed)
    return placed


def _bring_leaves_near(layers: Layers, xs: list[float]) -> None:
    """Move each leaf with one reader as far towards it as its neighbours allow."""
    for row in layers.rows:
        places = range(len(row))
        for i in (*places, *reversed(places)):
            point = row[i]
            if layers.above[point] or len(set(layers.below[point])) != 1:
                continue
            x = xs[layers.below[point][0]]
            if i > 0:
                x = max(x, xs[row[i - 1]] + _room(layers, row[i - 1], point))
            if i < len(row) - 1:
                x = min(x, xs[row[i + 1]] - _room(layers, point, row[i + 1]))
            xs[point] = x


def _room(layers: Layers, left: int, right: int) -> float:
    """How far apart two neighbours in a row must be."""
    beside = layers.is_bend(left) or layers.is_bend(right)
    room = (layers.sizes[left][0] + layers.sizes[right][0]) / 2
    return room + (_BESIDE if beside else _BETWEEN)


def extent(layers: Layers, xs: list[float]) -> tuple[float, float]:
    halves = [width / 2 for width, _ in layers.sizes]
    left = min(x - half for x, half in zip(xs, halves, strict=True))
    return left, max(x + half for x, half in zip(xs, halves, strict=True))


def _place_extreme(
    layers: Layers, near: Near, upward: bool, leftward: bool
) -> list[float]:
    """Points joined into upright blocks, and these packed to one side."""
    rows = [row[::-1] if leftward else row for row in layers.rows]
    position = [0] * len(layers.row_of)
    for row in rows:
        for i, point in enumerate(row):
            position[point] = i
    root = _align(rows[::-1] if upward else rows, near[upward], position)

    # A block pushes the next one in any row; sources first.
    after: dict[int, dict[int, float]] = defaultdict(dict)
    before: dict[int, dict[int, float]] = defaultdict(dict)
    for row in rows:
        for a, b in pairwise(row):
            i, j = root[a], root[b]
            room = max(after[i].get(j, 0.0), _room(layers, a, b))
            after[i][j] = before[j][i] = room
    blocks = [i for i, r in enumerate(root) if i == r]
    missing = {block: len(before[block]) for block in blocks}
    ready = [block for block in blocks if not missing[block]]
    order = []
    while ready:
        block = ready.pop()
        order.append(block)
        for other in after[block]:
            missing[other] -= 1
            if not missing[other]:
                ready.append(other)
    xs = dict.fromkeys(blocks, 0.0)
    for block in order:
        xs[block] = max((xs[i] + room for i, room in before[block].items()), default=0)
    for block in reversed(order):  # back towards what they hang on
        if after[block]:
            least = min(xs[i] - room for i, room in after[block].items())
            xs[block] = max(xs[block], least)
    return [xs[r] for r in root]


def _neighbours_to_join(layers: Layers) -> Near:
    """Of each point, the neighbours above and those below that it may stand under.

    A long line is to be straight: what crosses one does not count, and between two
    bends nothing else does. Where computed values come in, leaves do not count, so
    that the parameters of a network stand beside its main line.
    """
    position = layers.positions()
    above: list[list[int]] = [[] for _ in position]
    below: list[list[int]] = [[] for _ in position]
    for row in layers.rows:
        inner = [
            next((position[j] for j in layers.above[i] if layers.is_bend(j)), None)
            if layers.is_bend(i)
            else None
            for i in row
        ]
        leftmost = list(accumulate((-1 if p is None else p for p in inner), max))
        most = len(position)
        rightmost = list(
            accumulate((most if p is None else p for p in reversed(inner)), min)
        )[::-1]
        for i, point in enumerate(row):
            computed = [j for j in layers.above[point] if layers.above[j]]
            for other in computed or layers.above[point]:
                free = leftmost[i] <= position[other] <= rightmost[i]
                if free or (inner[i] is not None and layers.is_bend(other)):
                    above[point].append(other)
                    below[other].append(point)
    for point, bend in layers.onward.items():
        if layers.is_bend(point) and bend in below[point]:
            below[point] = [bend]
    return above, below


def _align(
    rows: list[list[int]], near: list[list[int]], position: list[int]
) -> list[int]:
    """Each point joined with the middle one of its neighbours, where that is free."""
    root = list(range(len(position)))
    for row in rows:
        taken = -1
        for point in row:
            others = sorted(set(near[point]), key=position.__getitem__)
            for m in ((len(others) - 1) // 2, len(others) // 2) if others else ():
                place = position[others[m]]
                if root[point] == point and place > taken:
                    root[point] = root[others[m]]
                    taken = place
    return root
