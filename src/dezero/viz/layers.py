"""The graph in rows, and the order in each row.

The rows are the generations. The order in them follows Sugiyama, Tagawa and Toda
(1981): sweeps down and up put every point near the middle of its neighbours in the
row before, so that few lines cross; then neighbours are swapped where that helps.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from itertools import pairwise

from dezero.viz.graph import Graph
from dezero.viz.style import node_size

# What bounds the time for large graphs.
_MOST_BENDS = 30_000  # a line that would need more runs straight
_EFFORT = 500_000  # lines looked at in all sweeps
_SWEEPS = 24
_PATIENCE = 8  # sweeps that better nothing
_SWAPS = 20_000  # lines looked at while neighbours are swapped
_HUB = 1000  # pairs of lines; beyond, the middle of the neighbours will do


class Layers:
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
        best, fewest, idle = [list(row) for row in self.rows], self._crossings(), 0
        for sweep in range(min(_SWEEPS, _EFFORT // edges + 2)):
            if fewest == 0 or idle == _PATIENCE:
                break
            down = sweep % 2 == 0
            rows = range(1, len(self.rows)) if down else range(len(self.rows) - 1)
            position = self.positions()
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

    def positions(self) -> list[int]:
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
        position = self.positions()
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
