"""A drawing: a place for every node, a way for every edge.

A Function stands in the row of its generation, between the Variables it reads and
those it makes; a leaf stands right above the first Function that reads it. A value
read further down runs there as one line, with a branch to each reader.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import accumulate

from dezero.viz.graph import Graph
from dezero.viz.layers import Layers
from dezero.viz.places import extent, place
from dezero.viz.style import NUMBER, text_width

Point = tuple[float, float]

_MARGIN = 20.0
_GUTTER = 18.0  # beside the numbers of the generations
_GAP = 20.0  # rows, at least
_STEEP = 0.09  # rows step apart where lines run far to the side ...
_MOST_GAP = 110.0  # ... up to here
_PORT = 14.0  # ends of lines at one node
_LEAST_PORT = 6.0
_CORNER = 8.0  # where no line ends


@dataclass(frozen=True, slots=True)
class Box:
    """The place of a node: its centre and its size."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Line:
    """A line through ``points``: upright where two share x, else a curve.

    ``source`` and ``target`` are indices of nodes. A stretch that leads on to
    several readers has no target of its own, and no arrow.
    """

    source: int
    target: int | None
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of Functions: the generation, and the band it takes."""

    generation: int
    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """A graph with a place for everything, in pixels from the top left corner.

    ``boxes`` are in the order of the graph's nodes.
    """

    graph: Graph
    width: float
    height: float
    boxes: list[Box]
    lines: list[Line]
    rows: list[Row]


def lay_out(graph: Graph) -> Drawing:
    """Give every node and edge of ``graph`` its place.

    The work grows with the number of nodes; the same graph gives the same drawing.
    """
    layers = Layers(graph)
    layers.order_rows()
    xs = place(layers)
    return _draw(layers, xs)


def _draw(layers: Layers, xs: list[float]) -> Drawing:
    graph, sizes = layers.graph, layers.sizes
    numbers = [str(generation) for generation in layers.generations]
    gutter = max((text_width(text, NUMBER) for text in numbers), default=0.0)
    left, right = extent(layers, xs)
    shift = _MARGIN + (gutter + _GUTTER if numbers else 0.0) - left
    xs = [x + shift for x in xs]
    width = right + shift + _MARGIN

    tops: list[float] = []
    bottoms: list[float] = []
    y = _MARGIN
    for row in layers.rows:
        if tops:
            reach = max(
                (abs(xs[i] - xs[j]) for i in row for j in layers.above[i]), default=0.0
            )
            y += round(min(_GAP + _STEEP * reach, _MOST_GAP))
        tops.append(y)
        y += max(sizes[i][1] for i in row)
        bottoms.append(y)
    boxes = [
        Box(xs[i], (tops[r] + bottoms[r]) / 2, *sizes[i])
        for i, r in enumerate(layers.row_of[: len(graph.nodes)])
    ]
    rows = [
        Row(generation, tops[2 * i + 1], bottoms[2 * i + 1])
        for i, generation in enumerate(layers.generations)
    ]
    lines = _lines(layers, xs, boxes, tops, bottoms)
    return Drawing(graph, width, y + _MARGIN, boxes, lines, rows)


def _lines(
    layers: Layers,
    xs: list[float],
    boxes: list[Box],
    tops: list[float],
    bottoms: list[float],
) -> list[Line]:
    joints = [(i, j) for i, below in enumerate(layers.below) for j in below]
    joints += layers.flights
    leaving = _ports(layers, xs, joints, 0)
    arriving = _ports(layers, xs, joints, 1)
    lines = []
    for k, (upper, lower) in enumerate(joints):
        start = bottoms[layers.row_of[upper]]
        end = tops[layers.row_of[lower]]
        points = [(leaving[k], start), (arriving[k], end)]
        if layers.is_bend(lower):
            target = None
            points.append((arriving[k], bottoms[layers.row_of[lower]]))
        else:
            target = lower
            points.append((arriving[k], boxes[lower].y - boxes[lower].height / 2))
        if not layers.is_bend(upper):
            points.insert(0, (leaving[k], boxes[upper].y + boxes[upper].height / 2))
        lines.append(Line(layers.source_of[upper], target, tuple(points)))
    return lines


def _ports(
    layers: Layers, xs: list[float], joints: list[tuple[int, int]], end: int
) -> list[float]:
    """The x of one end of every joint: spread over the edge of a Function.

    A Variable has one value, and its lines leave from one point.
    """
    at: dict[int, list[int]] = defaultdict(list)
    for k, joint in enumerate(joints):
        at[joint[end]].append(k)
    ports = [0.0] * len(joints)
    for point, ends in at.items():
        if layers.is_bend(point) or layers.graph.nodes[point].generation is None:
            for k in ends:
                ports[k] = xs[point]
            continue
        ends.sort(key=lambda k: xs[joints[k][1 - end]])
        half = max(layers.sizes[point][0] / 2 - _CORNER, 0.0)
        wanted = [xs[joints[k][1 - end]] for k in ends]
        spread = _spread(wanted, xs[point] - half, xs[point] + half)
        for k, x in zip(ends, spread, strict=True):
            ports[k] = x
    return ports


def _spread(wanted: list[float], low: float, high: float) -> list[float]:
    """``wanted``, in order, moved into the range and apart.

    The one that is in the range already stays, so that its line is straight.
    """
    last = len(wanted) - 1
    inside = [min(max(x, low), high) for x in wanted]
    straight = [i for i, x in enumerate(wanted) if low <= x <= high]
    if len(straight) == 1:
        i = straight[0]
        room = min((inside[i] - low) / max(i, 1), (high - inside[i]) / max(last - i, 1))
        if room >= _LEAST_PORT:
            apart = min(_PORT, room)
            right = _pushed(inside[i:], apart, high)
            left = _pushed([-x for x in inside[i::-1]], apart, -low)
            return [-x for x in left[:0:-1]] + right
    apart = min(_PORT, (high - low) / max(last, 1))
    right = _pushed(inside, apart, high)
    left = [-x for x in _pushed([-x for x in inside[::-1]], apart, -low)][::-1]
    return [(a + b) / 2 for a, b in zip(right, left, strict=True)]


def _pushed(xs: list[float], apart: float, high: float) -> list[float]:
    """``xs`` moved up until they are ``apart``, but not so far that some pass high."""
    pushed = accumulate(xs, lambda before, x: max(x, before + apart))
    return [min(x, high - apart * (len(xs) - 1 - i)) for i, x in enumerate(pushed)]
