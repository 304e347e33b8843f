"""What a picture shows: the nodes and edges behind a Variable, numbered.

The numbers follow generation and, within one, creation: the same program gives the
same picture in every run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from dezero.core import Function, Parameter, Variable, inputs_of
from dezero.core.variable import Number


class Kind(Enum):
    """What a node stands for; each has its own colour."""

    FUNCTION = "function"
    VARIABLE = "variable"
    PARAMETER = "parameter"
    CONSTANT = "constant"  # a Variable that asks for no gradient


@dataclass(frozen=True, slots=True)
class Node:
    """One node: ``title`` is its name, ``detail`` its shape and type; both may be ''.

    ``generation`` is that of a Function, and ``None`` for a Variable.
    """

    id: str
    kind: Kind
    title: str
    detail: str = ""
    generation: int | None = None


@dataclass(slots=True)
class Graph:
    """Nodes, and edges as pairs of indices into them, from what is read to who reads.

    An edge stands in the list once per use: ``x * x`` has two.
    """

    nodes: list[Node] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)


def record(
    outputs: Any, verbose: bool = True, names: Mapping[Any, str] | None = None
) -> Graph:
    """The graph behind one Variable or several.

    Args:
        outputs: A Variable, or a tuple or list of them.
        verbose: Show shape and type beside the name.
        names: Names for Variables that have none of their own.

    Raises:
        TypeError: ``outputs`` is something else, or empty.
    """
    roots = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    if not roots:
        raise TypeError("get_dot_graph: expected at least one Variable, got none")
    for y in roots:
        if not isinstance(y, Variable):
            raise TypeError(
                "get_dot_graph: expected a Variable or a tuple of them, got "
                f"{type(y).__name__}; write get_dot_graph(y) with y = f(x)"
            )
    return _Recorder(verbose, names or {}).run(roots)


class _Recorder:
    def __init__(self, verbose: bool, names: Mapping[Any, str]) -> None:
        self.verbose = verbose
        self.names = names
        self.graph = Graph()
        self.indices: dict[int, int] = {}  # id of a Variable or Function to its node
        self.counts = {"f": 0, "v": 0}

    def run(self, roots: list[Variable]) -> Graph:
        for created, func in _functions_behind(roots):
            inputs = [self.variable(x) for x in inputs_of(func, created)]
            index = self.add(
                func, "f", Kind.FUNCTION, type(func).__name__, "", func.generation
            )
            self.graph.edges += [(i, index) for i in inputs]
            for output in func.outputs:
                y = output()
                if y is not None and y.creator is func:
                    self.variable(y)
        for y in roots:
            self.variable(y)
        return self.graph

    def variable(self, x: Variable) -> int:
        if isinstance(x, Number):  # one object serves all its uses: show each apart
            return self.add(x, "v", Kind.CONSTANT, _digits(x._data))
        if id(x) in self.indices:
            return self.indices[id(x)]
        kind = Kind.PARAMETER if isinstance(x, Parameter) else Kind.VARIABLE
        if not x.requires_grad:
            kind = Kind.CONSTANT
        detail = ""
        if self.verbose and x.data is not None:
            detail = f"{x.shape} {x.dtype}"
        name = self.names.get(x, x.name)
        index = self.add(x, "v", kind, "" if name is None else str(name), detail)
        if x.creator is not None:
            self.graph.edges.append((self.indices[id(x.creator)], index))
        return index

    def add(self, thing: object, letter: str, *what: Any) -> int:
        index = self.indices[id(thing)] = len(self.graph.nodes)
        self.graph.nodes.append(Node(f"{letter}{self.counts[letter]}", *what))
        self.counts[letter] += 1
        return index


def _functions_behind(roots: Iterable[Variable]) -> list[tuple[int, Function]]:
    """Every Function that backward from ``roots`` would reach, and when it was created:
    the first first."""
    found: dict[int, tuple[int, int, Function]] = {}
    waiting = list(roots)
    while waiting:
        y = waiting.pop()
        func = y.creator
        if func is not None and id(func) not in found:
            found[id(func)] = (func.generation, y.created, func)
            waiting.extend(inputs_of(func, y.created))
    return [entry[1:] for entry in sorted(found.values(), key=lambda entry: entry[:2])]


def _digits(number: complex) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)
