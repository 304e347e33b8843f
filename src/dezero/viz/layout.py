"""Where everything stands: a layered drawing whose rows are the generations.

A Function stands in the row of its generation, between the Variables it reads and
those it makes; a leaf stands right above the first Function that reads it. A value
read further down runs there as one line, with a bend point in each row it crosses
and a branch to each reader. Then, after Sugiyama, Tagawa and Toda (1981), the rows
are ordered so that few lines cross, and after Brandes and Köpf (2001) the places in
the rows are chosen so that long lines are straight.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from dataclasses import dataclass
from itertools import accumulate, pairwise

from dezero.viz.graph import Graph
from dezero.viz.style import NUMBER, node_size, text_width

Point = tuple[float, float]
_Near = tuple[list[list[int]], list[list[int]]]

_MARGIN = 20.0
_BETWEEN = 18.0  # neighbours in a row
_BESIDE = 10.0  # a line and its neighbour
_GAP = 20.0  # rows, at least
_STEEP = 0.09  # rows step apart where lines run far to the side ...
_MOST_GAP = 110.0  # ... up to here
_PORT = 14.0  # ends of lines at one node
_CORNER = 8.0  # where no line ends
# What bounds the time for large graphs.
_MOST_BENDS = 30_000  # a line that would need more runs straight
_EFFORT = 500_000  # lines looked at in all sweeps
_SWEEPS = 24
_PATIENCE = 8  # sweeps that better nothing
_SWAPS = 20_000  # lines looked at while neighbours are swapped
_HUB = 1000  # pairs of lines; beyond, the barycentre will do


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
    layers = _Layers(graph)
    layers.order_rows()
    xs = _place(layers)
    return _draw(layers, xs)


class _Layers:
    """The graph with a bend point in each row that a line crosses.

    Indices below ``len(graph.nodes)`` are nodes, those above are bend points.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.generations = sorted(
            {node.generation for node in graph.nodes if node.generation is not None}
        )
        self.row_of = self._rows_of_nodes()
        self.sizes = [node_size(node) for node in graph.nodes]
        count = len(graph.nodes)
        self.above: list[list[int]] = [[] for _ in range(count)]
        self.below: list[list[int]] = [[] for _ in range(count)]
        self.source_of = list(range(count))  # the node whose value a point carries
        self.onward: dict[int, int] = {}  # from a point to the next bend of its line
        self.flights: list[tuple[int, int]] = []  # lines too long to have bends
        self._run_lines()
        self.rows: list[list[int]] = [[] for _ in range(max(self.row_of) + 1)]
        for i, row in enumerate(self.row_of):
            self.rows[row].append(i)

    def _rows_of_nodes(self) -> list[int]:
        rank = {generation: i for i, generation in enumerate(self.generations)}
        rows = [
            -1 if node.generation is None else 2 * rank[node.generation] + 1
            for node in self.graph.nodes
        ]
        for start, end in self.graph.edges:  # sorted by generation: the first is least
            if rows[end] < 0:
                rows[end] = rows[start] + 1
            elif rows[start] < 0:
                rows[start] = rows[end] - 1
        return [max(row, 0) for row in rows]

    def _run_lines(self) -> None:
        readers: dict[int, list[int]] = defaultdict(list)
        for start, end in self.graph.edges:
            readers[start].append(end)
        # The rows right above a reader, where a line must have a bend.
        stops = {
            start: sorted({self.row_of[end] - 1 for end in ends} | {self.row_of[start]})
            for start, ends in readers.items()
        }
        longest = _longest_with_bends(list(stops.values()))
        for start, rows in stops.items():
            point_in = {rows[0]: start}
            point = start
            for before, after in pairwise(rows):
                bent = after - before <= longest
                for row in range(before + 1, after) if bent else ():
                    point = self._bend(point, row)
                if bent:
                    point = self._bend(point, after)
                else:
                    last, point = point, self._new_point(start, after)
                    self.flights.append((last, point))
                point_in[after] = point
            for end in readers[start]:
                self._join(point_in[self.row_of[end] - 1], end)

    def _bend(self, point: int, row: int) -> int:
        bend = self._new_point(self.source_of[point], row)
        self._join(point, bend)
        self.onward[point] = bend
        return bend

    def _new_point(self, source: int, row: int) -> int:
        self.row_of.append(row)
        self.sizes.append((0.0, 0.0))
        self.above.append([])
        self.below.append([])
        self.source_of.append(source)
        return len(self.row_of) - 1

    def _join(self, upper: int, lower: int) -> None:
        self.below[upper].append(lower)
        self.above[lower].append(upper)

    def is_bend(self, point: int) -> bool:
        return point >= len(self.graph.nodes)

    # -- the order in the rows ---------------------------------------------------

    def order_rows(self) -> None:
        """Order each row so that few lines cross: sweeps of barycentres and swaps."""
        self._first_order()
        edges = sum(map(len, self.below)) + 1
        best, fewest = self.rows, self._crossings()
        idle = 0
        for sweep in range(min(_SWEEPS, _EFFORT // edges + 2)):
            if fewest == 0 or idle == _PATIENCE:
                break
            down = sweep % 2 == 0
            rows = range(1, len(self.rows)) if down else range(len(self.rows) - 1)
            position = self._positions()
            for row in rows if down else reversed(rows):
                self._sort_row(row, self.above if down else self.below, position, sweep)
            self._swap_neighbours(position, _SWAPS // edges)
            crossings = self._crossings()
            idle += 1
            if crossings < fewest:
                best, fewest, idle = [list(row) for row in self.rows], crossings, 0
        self.rows = best

    def _first_order(self) -> None:
        """From the results up, first argument first, as one reads a formula."""
        rows: list[list[int]] = [[] for _ in self.rows]
        seen: set[int] = set()
        ends = [i for i, below in enumerate(self.below) if not below]
        waiting = ends[::-1]
        while waiting:
            point = waiting.pop()
            if point not in seen:
                seen.add(point)
                rows[self.row_of[point]].append(point)
                waiting.extend(reversed(self.above[point]))
        for i in range(len(self.row_of)):  # what ends only in a flight
            if i not in seen:
                rows[self.row_of[i]].append(i)
        self.rows = rows

    def _positions(self) -> list[int]:
        position = [0] * len(self.row_of)
        for row in self.rows:
            for i, point in enumerate(row):
                position[point] = i
        return position

    def _sort_row(
        self, row: int, neighbours: list[list[int]], position: list[int], sweep: int
    ) -> None:
        def barycentre(point: int) -> float:
            near = neighbours[point]
            if len(near) == 1:
                return position[near[0]]
            if not near:
                return position[point]
            return sum([position[i] for i in near]) / len(near)

        points = self.rows[row]
        if sweep % 4 > 1:  # every other time, ties change their order
            points = points[::-1]
        self.rows[row] = sorted(points, key=barycentre)
        for i, point in enumerate(self.rows[row]):
            position[point] = i

    def _swap_neighbours(self, position: list[int], rounds: int) -> None:
        """Swap neighbours as long as that takes crossings away."""
        for _ in range(rounds):
            better = False
            for row in self.rows:
                for i in range(len(row) - 1):
                    left, right = row[i], row[i + 1]
                    if self._gain(left, right, position) > 0:
                        row[i], row[i + 1] = right, left
                        position[left], position[right] = i + 1, i
                        better = True
            if not better:
                return

    def _gain(self, left: int, right: int, position: list[int]) -> int:
        """How many crossings go if ``left`` and ``right`` change places."""
        gain = 0
        for neighbours in (self.above, self.below):
            if len(neighbours[left]) * len(neighbours[right]) > _HUB:
                continue
            ends = sorted(position[i] for i in neighbours[right])
            for i in neighbours[left]:
                x = position[i]
                gain += bisect_left(ends, x) + bisect_right(ends, x) - len(ends)
        return gain

    def _crossings(self) -> int:
        position = self._positions()
        crossings = 0
        for row in self.rows:
            ends: list[int] = []
            for point in row:
                targets = [position[i] for i in self.below[point]]
                for target in targets:
                    if ends and target < ends[-1]:
                        crossings += len(ends) - bisect_right(ends, target)
                for target in targets:
                    insort(ends, target)
        return crossings


def _longest_with_bends(stops: list[list[int]]) -> int:
    """The length of line up to which all lines together have few enough bends."""
    lengths = sorted(
        after - before for rows in stops for before, after in pairwise(rows)
    )
    total = 0
    for length in lengths:
        total += length
        if total > _MOST_BENDS:
            return length - 1
    return lengths[-1] if lengths else 0


# -- places in the rows -------------------------------------------------------------


def _place(layers: _Layers) -> list[float]:
    """The x of every point: four extreme solutions, and between them the middle."""
    near = _neighbours_to_join(layers)
    solutions = []
    for upward in (False, True):
        for leftward in (False, True):
            xs = _place_extreme(layers, near, upward, leftward)
            solutions.append([-x for x in xs] if leftward else xs)
    extents = [_extent(layers, xs) for xs in solutions]
    narrow_left, narrow_right = min(extents, key=lambda e: e[1] - e[0])
    shifted = []
    for i, (xs, (left, right)) in enumerate(zip(solutions, extents, strict=True)):
        shift = narrow_right - right if i % 2 else narrow_left - left
        shifted.append([x + shift for x in xs])
    placed = []
    for several in zip(*shifted, strict=True):
        _, a, b, _ = sorted(several)
        placed.append((a + b) / 2)
    return placed


def _extent(layers: _Layers, xs: list[float]) -> tuple[float, float]:
    halves = [width / 2 for width, _ in layers.sizes]
    left = min(x - half for x, half in zip(xs, halves, strict=True))
    return left, max(x + half for x, half in zip(xs, halves, strict=True))


def _place_extreme(
    layers: _Layers, near: _Near, upward: bool, leftward: bool
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
            room = (layers.sizes[a][0] + layers.sizes[b][0]) / 2
            beside = layers.is_bend(a) or layers.is_bend(b)
            room += _BESIDE if beside else _BETWEEN
            i, j = root[a], root[b]
            after[i][j] = before[j][i] = max(after[i].get(j, 0.0), room)
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


def _neighbours_to_join(layers: _Layers) -> _Near:
    """Of each point, the neighbours above and those below that it may stand under.

    A long line is to be straight: what crosses one does not count, and between two
    bends nothing else does. Where computed values come in, leaves do not count, so
    that the parameters of a network stand beside its main line.
    """
    position = layers._positions()
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


# -- the drawing --------------------------------------------------------------------


def _draw(layers: _Layers, xs: list[float]) -> Drawing:
    graph, sizes = layers.graph, layers.sizes
    numbers = [str(generation) for generation in layers.generations]
    gutter = max((text_width(text, NUMBER) for text in numbers), default=0.0)
    left, right = _extent(layers, xs)
    shift = _MARGIN + (gutter + _BETWEEN if numbers else 0.0) - left
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
            y += min(_GAP + _STEEP * reach, _MOST_GAP)
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
    layers: _Layers,
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
    layers: _Layers, xs: list[float], joints: list[tuple[int, int]], end: int
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
    """``wanted``, in order, moved into the range and apart."""
    apart = min(_PORT, (high - low) / max(len(wanted) - 1, 1))
    inside = [min(max(x, low), high) for x in wanted]

    def pushed_right(xs: list[float], high: float) -> list[float]:
        pushed = list(accumulate(xs, lambda before, x: max(x, before + apart)))
        over = [high - apart * i for i in reversed(range(len(xs)))]
        return [min(x, most) for x, most in zip(pushed, over, strict=True)]

    right = pushed_right(inside, high)
    left = [-x for x in pushed_right([-x for x in reversed(inside)], -low)][::-1]
    return [(a + b) / 2 for a, b in zip(right, left, strict=True)]
