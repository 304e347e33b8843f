"""Passes: a Graph in, a better one out, with the same results.

Each is a function of a Graph. They never change a Node; they build another Graph.
After each of them the verifier looks at what it built (``check.py``).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dezero.compiler.ir import (
    Graph,
    Hole,
    Node,
    apart,
    region_of,
    run,
    seen_strides,
    strides_of,
)

Pass = Callable[[Graph], Graph]
SMALL = 64  # elements: so small a constant is computed now
SMALL_CONSTANT = 1 << 14  # bytes: so small a constant is compared by its content


def rebuilt(graph: Graph, better: Callable[[Node, Sequence[Node]], Node]) -> Graph:
    """The Graph with ``better(node, inputs)`` in place of each Node.

    ``inputs`` are those that stand for its inputs by now. What ``better`` returns may
    be one of them, or a new Node with new inputs of its own.
    """
    stands_for: dict[Node, Node] = {}
    nodes: list[Node] = []
    known: set[Node] = set()

    def add(node: Node) -> None:
        if node not in known:
            for x in node.inputs:
                add(x)
            known.add(node)
            nodes.append(node)

    for node in graph.nodes:
        inputs = [stands_for[x] for x in node.inputs]
        stands_for[node] = found = better(node, inputs)
        add(found)
    return Graph(nodes, [stands_for[node] for node in graph.outputs])


def same(node: Node, inputs: Sequence[Node]) -> Node:
    """The Node on these inputs: itself if they are its own."""
    if all(a is b for a, b in zip(node.inputs, inputs, strict=True)):
        return node
    return node.with_inputs(inputs)


def in_c_order(x: Node) -> Node:
    """A copy of ``x`` whose axes lie in memory in their own order."""
    return Node("copy", [x], {"order": "C"}, x.shape, x.dtype, None, x.place)


def reshaped(x: Node, shape: tuple[int, ...]) -> Node:
    """``x`` seen in another shape."""
    if x.shape == shape:
        return x
    return Node("reshape", [x], {"shape": shape}, shape, x.dtype, None, x.place)


def remove_dead(graph: Graph) -> Graph:
    """Leave out what nobody takes. Inputs stay, and so does what has an effect."""
    needed = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node in needed or node.kind == "effect" or node.op == "input":
            needed.add(node)
            needed.update(node.inputs)
    return Graph([node for node in graph.nodes if node in needed], graph.outputs)


def share_common(graph: Graph) -> Graph:
    """Compute what is written twice once."""
    known: dict[Any, Node] = {}

    def better(node: Node, inputs: Sequence[Node]) -> Node:
        if node.op in ("input", "random", "call", "require", "item"):
            return same(node, inputs)
        if node.op == "constant":
            x = node.attrs["value"]
            same_forever = node.attrs["fixed"] and x.nbytes <= SMALL_CONSTANT
            content = x.tobytes() if same_forever else id(x)
            key: Any = ("constant", content, x.shape, x.dtype.str)
        else:
            key = node.op, tuple(map(id, inputs)), _key(node.attrs), node.dtype.str
        return known.setdefault(key, same(node, inputs))

    return rebuilt(graph, better)


def _key(value: Any) -> Any:
    """Something equal and hashable for equal attributes."""
    if isinstance(value, dict):
        return tuple((k, _key(v)) for k, v in value.items())
    if isinstance(value, (tuple, list)):
        return tuple(map(_key, value))
    if isinstance(value, slice):
        return "slice", value.start, value.stop, value.step
    if isinstance(value, Hole):
        return "hole"
    if isinstance(value, (float, np.floating)):
        return type(value).__name__, float(value).hex()  # 0.0 is not -0.0
    if isinstance(value, np.ndarray):
        return id(value)
    return type(value).__name__, value


def _is_full(node: Node, value: float) -> bool:
    return node.op == "full" and bool(node.attrs["value"] == value)


def simplify(graph: Graph) -> Graph:
    """Leave out operations that give back what they take; compute small constants."""
    return rebuilt(graph, _simpler)


def _simpler(node: Node, inputs: Sequence[Node]) -> Node:
    op, ufunc = node.op, node.attrs.get("ufunc")
    if op == "copy" and inputs[0].order == node.order:
        return inputs[0]  # nothing is ever written: the original will do
    if op == "cast" and inputs[0].dtype == node.dtype:
        return inputs[0]
    if op in ("reshape", "broadcast") and inputs[0].shape == node.shape:
        return inputs[0]
    if op == "slice" and node.attrs["index"] is Ellipsis:
        return inputs[0]
    if op == "transpose":
        axes = node.attrs["axes"]
        if axes == tuple(range(len(axes))):
            return inputs[0]
        if inputs[0].op == "transpose":
            both = tuple(inputs[0].attrs["axes"][i] for i in axes)
            below = inputs[0].inputs[0]
            if both == tuple(range(len(both))):
                return below
            return Node(
                op, [below], {"axes": both}, node.shape, node.dtype, node.order,
                node.place,
            )  # fmt: skip
    if op == "reshape" and inputs[0].op == "reshape":
        inputs = inputs[0].inputs
        if inputs[0].shape == node.shape:
            return inputs[0]
    if op == "reshape":
        x = inputs[0]
        if seen_strides(node, x.shape, strides_of(x)) is None:
            inputs = [in_c_order(x)]
    if op == "reduce" and inputs[0].size == node.size and inputs[0].dtype == node.dtype:
        return reshaped(inputs[0], node.shape)  # of one element each
    if ufunc is np.positive:
        return inputs[0]
    if op == "map" and ufunc in (np.multiply, np.divide):
        for x, other in (inputs, inputs[::-1]):
            keeps = x.shape == node.shape and x.dtype == node.dtype
            if (
                keeps
                and _is_full(other, 1)
                and (ufunc is np.multiply or x is inputs[0])
            ):
                return x
    if op == "map" and ufunc is np.power and _is_full(inputs[1], -0.5):
        return _elementwise(np.reciprocal, node, _elementwise(np.sqrt, node, inputs[0]))
    if op == "map" and ufunc is np.add:
        joined = _joined_puts(node, inputs)
        if joined is not None:
            return joined
    if op == "put" and _region(node) == [range(n) for n in node.shape]:
        value = inputs[1]
        if (value.shape, value.order) == (node.shape, node.order):
            return value
    if (
        node.kind in ("map", "view")
        and inputs
        and all(x.op == "full" for x in inputs)
        and node.size <= SMALL
        and op not in ("reshape", "broadcast", "slice", "transpose")
    ):
        value = run(node, [run(x, []) for x in inputs])
        if value.size == 1:
            return _full(node, value.reshape(())[()])
    if op in ("reshape", "broadcast", "slice", "transpose") and inputs[0].op == "full":
        return _full(node, inputs[0].attrs["value"])
    return same(node, inputs)


def _elementwise(ufunc: np.ufunc, node: Node, x: Node) -> Node:
    """``ufunc(x)`` in place of an elementwise operation."""
    attrs = {"ufunc": ufunc}
    return Node("map", [x], attrs, node.shape, node.dtype, node.order, node.place)


def _full(node: Node, value: Any) -> Node:
    attrs = {"value": value, "shape": node.shape, "dtype": node.dtype}
    return Node("full", [], attrs, node.shape, node.dtype, None, node.place)


def _joined_puts(node: Node, inputs: Sequence[Node]) -> Node | None:
    """Two arrays that are zero but for separate places, added: one put into the other.

    That is what the derivative of ``x[:n]`` and ``x[n:]``, both used, looks like.
    """
    x, y = inputs
    if not (x.op == "put" and y.op == "put" and x.shape == y.shape):
        return None
    if not _is_full(y.inputs[0], 0):
        x, y = y, x
    if not _is_full(y.inputs[0], 0):
        return None
    base, taken = x, []
    while base.op == "put":
        taken.append(_region(base))
        base = base.inputs[0]
    mine = _region(y)
    if not _is_full(base, 0) or mine is None:
        return None
    if any(region is None or not apart(region, mine) for region in taken):
        return None
    return Node(
        "put", [x, y.inputs[1]], y.attrs, node.shape, node.dtype, x.order, node.place
    )


def _region(node: Node) -> list[range] | None:
    """The part of each axis that a put writes, if it is a block."""
    views = node.attrs["views"]
    if len(views) != 1 or views[0][0] != "slice":
        return None
    return region_of(views[0][1]["index"], node.shape)


def pick_by_comparing(graph: Graph) -> Graph:
    """``x[range(N), t]`` as a sum along rows in which only column ``t`` counts.

    It reads all of x instead of N elements, but fuses with what is before and after:
    the cross entropy of a softmax becomes one loop over the scores. Writing there,
    ``x[range(N), t] = y``, is a choice of each element in the same way.
    """

    checks: dict[Node, Node] = {}

    def better(node: Node, inputs: Sequence[Node]) -> Node:
        if node.op not in ("gather", "scatter"):
            return same(node, inputs)
        x, *rest = inputs
        value = rest.pop(0) if node.op == "scatter" else None
        index = node.attrs["index"]
        if (
            len(x.shape) != 2
            or not (isinstance(index, tuple) and len(index) == 2 and len(rest) == 2)
            or not all(isinstance(part, Hole) for part in index)
        ):
            return same(node, inputs)
        rows, column = rest
        N, C = x.shape
        if column.shape != (N,) or column.dtype.kind != "i" or not _is_range(rows, N):
            return same(node, inputs)
        if (
            value is None
            and x.dtype.kind != "f"
            and x.dtype.str[1:] not in ("i8", "u8")
        ):
            return same(node, inputs)  # NumPy adds smaller integers up in int64
        chosen, inside = _chosen(node, column, C)
        checks[column] = _in_bounds(node, inside, column, C)
        if value is None:
            zero = _number(node, 0, x.dtype)
            kept = Node(
                "where", [chosen, x, zero], {}, x.shape, x.dtype, x.order, node.place
            )
            attrs = {"ufunc": np.add, "axes": (1,), "keepdims": False}
            return Node("reduce", [kept], attrs, (N,), x.dtype, None, node.place)
        if value.shape not in ((), (N,), (1,)) or value.dtype != x.dtype:
            return same(node, inputs)
        if value.shape == (N,):
            value = reshaped(value, (N, 1))
        return Node(
            "where", [chosen, value, x], {}, x.shape, x.dtype, x.order, node.place
        )

    better_graph = rebuilt(graph, better)
    known = set(better_graph.nodes)
    for check in checks.values():
        better_graph.nodes += _missing(check, known)
    return better_graph


def _missing(node: Node, known: set[Node]) -> list[Node]:
    """A Node and what it needs, as far as it is not there yet, in order."""
    found = [new for x in node.inputs if x not in known for new in _missing(x, known)]
    known.update(found)
    known.add(node)
    return [*found, node]


def _is_range(x: Node, n: int) -> bool:
    while x.op == "reshape":
        x = x.inputs[0]
    if x.op != "constant" or not x.attrs.get("fixed", False):
        return False
    return np.array_equal(np.ravel(x.attrs["value"]), np.arange(n))


def _number(like: Node, value: Any, dtype: Any) -> Node:
    attrs = {"value": value, "shape": (), "dtype": np.dtype(dtype)}
    return Node("full", [], attrs, (), dtype, None, like.place)


def _assembled(node: Node, parts: list[tuple[list[range] | None, Node]]) -> Node:
    """What was put into every element once, as an array made of its parts."""
    regions = [region for region, _ in parts if region is not None]
    total = sum(math.prod(map(len, region)) for region in regions)
    if total != node.size or not all(
        apart(a, b) for a, b in itertools.combinations(regions, 2)
    ):
        return node
    places = tuple(tuple(map(_slice, region)) for region in regions)
    attrs = {"places": places, "shape": node.shape, "order": node.order}
    values = [value for _, value in parts]
    return Node(
        "assemble", values, attrs, node.shape, node.dtype, node.order, node.place
    )


def _slice(part: range) -> slice:
    """What gives these places of an axis."""
    stop = part[-1] + (1 if part.step > 0 else -1) if part else part.start
    return slice(part.start, None if stop < 0 else stop, part.step)


def _chosen(node: Node, column: Node, C: int) -> tuple[Node, Node]:
    """(N, C) booleans: true in column ``column[i]`` of row i; a negative one counts
    from the end. And (N,) booleans: whether there is such a column."""
    place, kind = node.place, column.dtype
    (N,) = column.shape

    def mapped(ufunc: Any, shape: Any, dtype: Any, *xs: Node) -> Node:
        return Node("map", xs, {"ufunc": ufunc}, shape, dtype, None, place)

    zero, count = _number(node, 0, kind), _number(node, C, kind)
    below = mapped(np.less, (N,), bool, column, zero)
    wrapped = mapped(np.add, (N,), kind, column, count)
    counted = Node("where", [below, wrapped, column], {}, (N,), kind, None, place)
    high = mapped(np.less, (N,), bool, counted, count)
    low = mapped(np.greater_equal, (N,), bool, counted, zero)
    inside = mapped(np.logical_and, (N,), bool, low, high)
    attrs = {"value": np.arange(C, dtype=kind), "fixed": True}
    columns = Node("constant", [], attrs, (C,), kind, None, place)
    chosen = mapped(np.equal, (N, C), bool, columns, reshaped(counted, (N, 1)))
    return chosen, inside


def _in_bounds(node: Node, inside: Node, column: Node, C: int) -> Node:
    """The check that NumPy's indexing would have made."""
    attrs = {"ufunc": np.logical_and, "axes": (0,), "keepdims": False}
    all_inside = Node("reduce", [inside], attrs, (), bool, None, node.place)
    error = lambda low, high: IndexError(  # noqa: E731
        f"x[rows, columns]: expected columns from {-C} to {C - 1}, got from {low} to "
        f"{high}\n  in {node.place}"
    )
    return Node(
        "require", [all_inside, column], {"error": error}, (), bool, None, node.place
    )


def join_reductions(graph: Graph) -> Graph:
    """A sum of sums, such as that of a bias over height and width and then over all
    images, is one; and so are the others."""
    users, outputs = graph.users(), set(graph.outputs)

    def better(node: Node, inputs: Sequence[Node]) -> Node:
        node = same(node, inputs)
        if node.op != "reduce" or node.attrs["keepdims"]:
            return node
        inner = node.inputs[0]
        if (
            inner.op != "reduce"
            or inner.attrs["keepdims"]
            or inner.attrs["ufunc"] is not node.attrs["ufunc"]
            or inner.dtype != node.dtype
            or inner in outputs
            or len(users.get(inner, ())) != 1
        ):
            return node
        x = inner.inputs[0]
        left = [i for i in range(len(x.shape)) if i not in inner.attrs["axes"]]
        axes = {*inner.attrs["axes"], *(left[i] for i in node.attrs["axes"])}
        attrs = {**node.attrs, "axes": tuple(sorted(axes))}
        return Node(
            "reduce", [x], attrs, node.shape, node.dtype, node.order, node.place
        )

    return rebuilt(graph, better)


def stack_puts(graph: Graph) -> Graph:
    """Parts put into zeros until nothing of these is left: the parts side by side."""

    def better(node: Node, inputs: Sequence[Node]) -> Node:
        node = same(node, inputs)
        if node.op != "put":
            return node
        parts = []
        below = node
        while below.op == "put":
            parts.append((_region(below), below.inputs[1]))
            below = below.inputs[0]
        if below.op != "full" or any(region is None for region, _ in parts):
            return node
        axes = {
            i
            for region, _ in parts
            for i, (part, n) in enumerate(zip(region or (), node.shape, strict=True))
            if part != range(n)
        }
        if len(axes) != 1:
            return _assembled(node, parts)
        (axis,) = axes
        parts.sort(key=lambda part: part[0][axis].start)  # type: ignore[index]
        at, values = 0, []
        for region, value in parts:
            assert region is not None
            shape = tuple(map(len, region))
            beside = region[axis].step == 1 and region[axis].start == at
            if not beside or value.size != math.prod(shape):
                return _assembled(node, parts)
            at = region[axis].stop
            values.append(reshaped(value, shape))
        if at != node.shape[axis]:
            return node
        return Node(
            "concatenate", values, {"axis": axis}, node.shape, node.dtype, None,
            node.place,
        )  # fmt: skip

    return rebuilt(graph, better)
