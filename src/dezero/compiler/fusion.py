"""Fusion: which operations run together in one loop over memory.

A Group has a domain: rows and columns, the axes of its largest arrays in the order of
memory, cut in two. Each of its Nodes has a level there:

``full``    one value for every row and column
``row``     one for every row: what a reduction along the columns gives (softmax's sum)
``column``  one for every column: what a reduction along the rows gives (a bias's sum)
``scalar``  one alone

Its kernel goes through the rows once. So nothing full may depend on a column or scalar
that the same loop is still adding up; all else may be together: elementwise chains,
the reductions that feed them and those that follow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from dezero.compiler.ir import Graph, Node, Shape

MOST_NODES = 64  # in one kernel
MOST_OPERANDS = 40


class Operand(NamedTuple):
    """A Node as another takes it: through views that only repeat or add axes of 1."""

    node: Node
    view: Node  # the last view before ``node`` is repeated: it has all its elements

    @property
    def shape(self) -> Shape:
        """Aligned, from the right, with the shape of whoever takes it."""
        return self.view.shape


def operand(x: Node) -> Operand:
    """What stands behind ``x``, if kernels can read it directly."""
    while x.op == "broadcast":
        x = x.inputs[0]
    view = x
    while x.op == "reshape" and _adds_ones(x):
        x = x.inputs[0]
    return Operand(x, view)


def _adds_ones(x: Node) -> bool:
    """Whether a reshape only adds or drops axes of length 1."""
    return [n for n in x.shape if n != 1] == [n for n in x.inputs[0].shape if n != 1]


class Group:
    """Nodes that one kernel computes."""

    def __init__(self, index: int, shape: Shape, order: tuple[int, ...]) -> None:
        self.index = index
        self.order = order  # of axes: how the domain lies in memory
        self.shape = shape  # in that order
        self.columns: int | None = None  # axes at the end that are columns, once cut
        self.levels: dict[Node, str] = {}
        self.operands: set[Node] = set()  # what it reads from outside
        self.first = self.last = index
        self.deep = index  # the largest ``last`` of it and of all that it needs
        self.closed = False  # a single operation that no kernel knows

    @property
    def nodes(self) -> list[Node]:
        return list(self.levels)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def sums(self) -> bool:
        """Whether it adds something up."""
        return any(node.op == "reduce" for node in self.levels)

    def aligns(self, level: str, shape: Shape) -> bool:
        """Whether what is of this level and seen in this shape is ready for all rows
        and columns: full, or one for each row. The others are only when all is over."""
        if level == "full" or self.size == 1:
            return len(shape) <= len(self.shape) and self.aligned(shape) == self.shape
        return (
            level == "row"
            and self.columns is not None
            and len(shape) == len(self.shape)
            and self.aligned(shape) == row_shape(self.shape, self.columns)
        )

    def has_form(self, level: str, shape: Shape) -> bool:
        """Whether ``shape`` is that of a level, with its axes of 1 or without."""
        if level == "scalar":
            return math.prod(shape) == 1
        if self.columns is None or len(shape) > len(self.shape):
            return False
        cut = len(self.shape) - self.columns
        kept = row_shape if level == "row" else column_shape
        if len(shape) == len(self.shape):
            return self.aligned(shape) == kept(self.shape, self.columns)
        own = slice(cut) if level == "row" else slice(cut, None)
        axes = self.order[own]
        return list(axes) == sorted(axes) and shape == self.shape[own]

    def aligned(self, shape: Shape) -> Shape:
        """A shape in the order of the domain, with leading axes of 1 where it lacks."""
        full = (1,) * (len(self.shape) - len(shape)) + tuple(shape)
        return tuple(full[i] for i in self.order)

    def __repr__(self) -> str:
        names = ", ".join(f"{n.name}:{level}" for n, level in self.levels.items())
        return f"<{self.shape} cut {self.columns}: {names}>"


class Fit(NamedTuple):
    """How a Node would be in a Group."""

    level: str
    columns: int | None
    upgrade: tuple[Shape, tuple[int, ...]] | None = None  # a larger domain


def row_shape(shape: Shape, columns: int) -> Shape:
    cut = len(shape) - columns
    return (*shape[:cut], *(1,) * columns)


def column_shape(shape: Shape, columns: int) -> Shape:
    cut = len(shape) - columns
    return (*(1,) * cut, *shape[cut:])


class Fusion:
    """Sorts the Nodes of a Graph into Groups.

    Args:
        graph: What to sort.
        knows: Whether a kernel can compute a Node.
    """

    def __init__(self, graph: Graph, knows: Callable[[Node], bool]) -> None:
        self.graph = graph
        self.groups: list[Group] = []
        self.group_of: dict[Node, Group] = {}
        self._merged: dict[Group, Group] = {}
        self._readers: dict[Node, list[Group]] = {}
        self._before: dict[Group, set[Group]] = {}
        self._after: dict[Group, set[Group]] = {}
        self._place = {node: i for i, node in enumerate(graph.nodes)}
        drawn: Group | None = None
        for node in graph.nodes:
            if node.kind in ("source", "view") and node.op != "random":
                continue
            if node.kind in ("map", "reduce") and node.size and knows(node):
                self._add(node)
                continue
            group = self._open(node, (), ())
            group.closed = True
            if node.op == "random":  # the generator gives its numbers in this order
                if drawn is not None:
                    self._order(drawn, group)
                drawn = group

    # -- growing ----------------------------------------------------------------------

    def _open(self, node: Node, shape: Shape, order: tuple[int, ...]) -> Group:
        group = Group(self._place[node], shape, order)
        self.groups.append(group)
        self._before[group], self._after[group] = set(), set()
        self._enter(node, group, "full")
        return group

    def _enter(self, node: Node, group: Group, level: str) -> None:
        group.levels[node] = level
        group.last = max(group.last, self._place[node])
        self._deepen(group, group.last)
        self.group_of[node] = group
        for x in _bases(node):
            producer = self.group_of.get(x)
            if producer is not group:
                group.operands.add(x)
                self._readers.setdefault(x, []).append(group)
                if producer is not None:
                    self._order(producer, group)

    def _add(self, node: Node) -> None:
        candidates: dict[Group, None] = {}
        for x in _bases(node):
            if x in self.group_of:
                candidates[self.group_of[x]] = None
        producers = [g for g in candidates if not g.closed]
        for x in _bases(node):
            for reader in self._readers.get(x, ())[-2:]:
                reader = self._current(reader)
                if not reader.closed:
                    candidates[reader] = None
        ordered = sorted(producers, key=lambda g: -g.last)
        ordered += [g for g in candidates if not g.closed and g not in producers]
        for group in ordered:
            fit = self._fit(node, group)
            if fit is not None and self._may_enter(node, group):
                self._change(group, fit)
                self._enter(node, group, fit.level)
                for other in producers:
                    if other is not group:
                        self._try_merge(group, other)
                return
        domain = node.inputs[0] if node.op == "reduce" else node
        order = domain.order
        group = self._open(node, tuple(domain.shape[i] for i in order), order)
        if node.op == "reduce":
            fit = self._fit_reduce(node, group, "full")
            if fit is None:
                group.closed = True
                return
            group.columns = fit.columns
            group.levels[node] = fit.level

    def _change(self, group: Group, fit: Fit) -> None:
        if fit.upgrade is not None:
            group.shape, group.order = fit.upgrade
            for member in group.levels:
                group.levels[member] = "row"
        if fit.columns is not None:
            group.columns = fit.columns

    # -- what fits --------------------------------------------------------------------

    def _fit(self, node: Node, group: Group) -> Fit | None:
        if len(group.levels) >= MOST_NODES or len(group.operands) >= MOST_OPERANDS:
            return None
        for x in node.inputs:
            if base(x) in group.levels and operand(x).node is not base(x):
                return None  # it sees its elements at other places
        if node.op == "reduce":
            x = node.inputs[0]
            level = group.levels.get(x)
            if level is None:
                if operand(x).node in group.levels:
                    return None
                if group.aligned(x.shape) != group.shape or x.order != group.order:
                    return None
                level = "full"
            return self._fit_reduce(node, group, level)
        if group.size < node.size or len(node.shape) > len(group.shape):
            return self._fit_larger(node, group)
        if group.aligned(node.shape) == group.shape and node.order == group.order:
            return self._fit_full(node, group)
        return self._fit_smaller(node, group)

    def _fit_full(self, node: Node, group: Group) -> Fit | None:
        for x in map(operand, node.inputs):
            level = group.levels.get(x.node)
            if level is not None and not group.aligns(level, x.shape):
                return None
        return Fit("full", group.columns)

    def _fit_larger(self, node: Node, group: Group) -> Fit | None:
        """A Group of few elements, taken into the rows of a larger domain."""
        if group.columns is not None or group.size == 1 or group.sums:
            return None
        trial = Group(0, tuple(node.shape[i] for i in node.order), node.order)
        inside = [x for x in map(operand, node.inputs) if x.node in group.levels]
        for columns in range(1, len(trial.shape)):
            trial.columns = columns
            rows = row_shape(trial.shape, columns)
            if (
                all(
                    len(x.shape) == len(trial.shape) and trial.aligned(x.shape) == rows
                    for x in inside
                )
                and inside
                and math.prod(rows) == group.size
                and all(trial.has_form("row", m.shape) for m in group.levels)
            ):
                if math.prod(trial.shape) == group.size:
                    return None
                return Fit("full", columns, (trial.shape, trial.order))
        return None

    def _fit_smaller(self, node: Node, group: Group) -> Fit | None:
        """A row, column or scalar made of rows, columns or scalars of the Group."""
        inside = [x for x in map(operand, node.inputs) if x.node in group.levels]
        levels = {group.levels[x.node] for x in inside}
        if len(levels) != 1:
            return None
        (level,) = levels
        if level == "full" or not group.has_form(level, node.shape):
            return None
        if any(x.shape != node.shape for x in inside):
            return None
        return Fit(level, group.columns)

    def _fit_reduce(self, node: Node, group: Group, level: str) -> Fit | None:
        x = node.inputs[0]
        if level == "row" and node.size == 1:
            return Fit("scalar", group.columns)
        if level != "full" or len(x.shape) != len(group.shape):
            return None
        if node.size == 1:
            return Fit("scalar", group.columns)
        axes = {group.order.index(i) for i in node.attrs["axes"]}
        shape = group.shape
        reduced = [i for i in axes if shape[i] != 1]
        kept = [i for i in range(len(shape)) if i not in axes and shape[i] != 1]
        if not reduced or not kept:
            return None
        if kept[-1] < min(reduced):
            kind, columns = "row", len(shape) - kept[-1] - 1
        elif kept[0] > max(reduced):
            kind, columns = "column", len(shape) - kept[0]
        else:
            return None
        if group.columns not in (None, columns):
            return None
        return (
            Fit(kind, columns) if self._has_form(node, group, kind, columns) else None
        )

    def _has_form(self, node: Node, group: Group, level: str, columns: int) -> bool:
        trial = Group(0, group.shape, group.order)
        trial.columns = columns
        return trial.has_form(level, node.shape)

    # -- no circles -------------------------------------------------------------------

    def _may_enter(self, node: Node, group: Group) -> bool:
        """Whether nothing between the Group and the Node lies outside."""
        producers = {self.group_of[x] for x in _bases(node) if x in self.group_of}
        return not any(p is not group and self.reaches(p, group) for p in producers)

    def reaches(self, late: Group, early: Group) -> bool:
        """Whether ``late`` needs, directly or not, something of ``early``."""
        seen = {late}
        waiting = [late]
        while waiting:
            for before in self._before[waiting.pop()]:
                if before is early:
                    return True
                if before not in seen and before.deep >= early.deep:
                    seen.add(before)
                    waiting.append(before)
        return False

    def _order(self, early: Group, late: Group) -> None:
        """Have one Group run before another."""
        self._before[late].add(early)
        self._after[early].add(late)
        self._deepen(late, early.deep)

    def _deepen(self, group: Group, deep: int) -> None:
        """Keep ``deep`` right in a Group, and in all that need it."""
        waiting = [group]
        while waiting:
            one = waiting.pop()
            if one.deep < deep:
                one.deep = deep
                waiting += self._after[one]

    def _current(self, group: Group) -> Group:
        while group in self._merged:
            group = self._merged[group]
        return group

    def _try_merge(self, group: Group, other: Group) -> None:
        """Take all of ``other`` into ``group``, if it is of the same domain."""
        group, other = self._current(group), self._current(other)
        if group is other or group.closed or other.closed:
            return
        if (group.shape, group.order) != (other.shape, other.order):
            return
        if len(group.levels) + len(other.levels) > MOST_NODES:
            return
        if len(group.operands | other.operands) > MOST_OPERANDS:
            return
        cuts = {c for c in (group.columns, other.columns) if c is not None}
        if len(cuts) > 1:
            return
        for a, b in ((group, other), (other, group)):
            for node, level in a.levels.items():
                for x in node.inputs:
                    if base(x) not in b.levels:
                        continue
                    seen = operand(x)
                    if seen.node is not base(x) or level != "full":
                        return
                    columns = next(iter(cuts), None)
                    trial = Group(0, group.shape, group.order)
                    trial.shape, trial.columns = group.shape, columns
                    if not trial.aligns(b.levels[seen.node], seen.shape):
                        return
            between = {p for p in self._before[a] if p is not b and p is not a}
            if any(self.reaches(p, b) for p in between):
                return
        both = {**group.levels, **other.levels}
        group.levels = dict(sorted(both.items(), key=lambda item: self._place[item[0]]))
        group.columns = next(iter(cuts), None)
        group.first, group.last = (
            min(group.first, other.first),
            max(group.last, other.last),
        )
        group.operands = (group.operands | other.operands) - set(both)
        for node in other.levels:
            self.group_of[node] = group
        self._merged[other] = group
        self.groups.remove(other)
        early, late = self._before.pop(other), self._after.pop(other)
        for one in early:
            self._after[one].discard(other)
        for one in late:
            self._before[one].discard(other)
        self._before[group].discard(other)
        self._after[group].discard(other)
        self._deepen(group, max(group.last, other.deep))
        for one in early - {group}:
            self._order(one, group)
        for one in late - {group}:
            self._order(group, one)

    def require_before(self, late: Group, early: Iterable[Group]) -> None:
        """Have ``late`` run after each of ``early``."""
        for one in early:
            self._order(one, late)

    # -- order ------------------------------------------------------------------------

    def ordered(self) -> list[Group]:
        """The Groups in an order in which they can run."""
        done: set[Group] = set()
        order: list[Group] = []

        def visit(group: Group) -> Iterator[Group]:
            yield from sorted(self._before[group], key=lambda g: g.last)

        for group in sorted(self.groups, key=lambda g: g.last):
            if group in done:
                continue
            path = [(group, visit(group))]
            on_path = {group}
            while path:
                here, rest = path[-1]
                following = next(rest, None)
                if following is None:
                    path.pop()
                    if here not in done:
                        done.add(here)
                        order.append(here)
                    on_path.discard(here)
                elif following not in done:
                    assert following not in on_path, "fusion made a circle"
                    path.append((following, visit(following)))
                    on_path.add(following)
        return order


def base(x: Node) -> Node:
    """What has the memory behind all views."""
    while x.kind == "view" and x.inputs:
        x = x.inputs[0]
    return x


def _bases(node: Node) -> list[Node]:
    return [base(x) for x in node.inputs]
