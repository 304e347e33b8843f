"""The intermediate representation: a list of operations on arrays.

A Node is one operation and stands for its result; a Graph lists Nodes in an order in
which each comes after its inputs. Nothing is ever changed in place here: what a step
writes into becomes a new Node. The set of operations is closed, ``OPERATIONS`` is its
table: each has a kind, and says with NumPy what it means. That meaning is what the
tracer computes with, what the interpreter runs, what generated code is compared with,
and what is replayed where nothing better is known.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from dezero.backend.convolution import convolve, convolve_transposed, correlate

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Attributes = Mapping[str, Any]


class Node:
    """One operation, and its result.

    Attributes:
        op: A name of ``OPERATIONS``.
        inputs: The Nodes it takes.
        attrs: What else it needs to know.
        shape: Of its result.
        dtype: Of its result.
        order: The axes of its result from the slowest in memory to the fastest.
        place: The user's line that asked for it, ``file:line``.
    """

    __slots__ = ("attrs", "dtype", "inputs", "op", "order", "place", "shape")

    def __init__(
        self,
        op: str,
        inputs: Sequence[Node] = (),
        attrs: Attributes | None = None,
        shape: Shape = (),
        dtype: Any = np.float32,
        order: tuple[int, ...] | None = None,
        place: str = "",
    ) -> None:
        self.op = op
        self.inputs = tuple(inputs)
        self.attrs = attrs or {}
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.order = tuple(range(len(shape))) if order is None else order
        self.place = place

    @property
    def kind(self) -> str:
        """What sort of operation it is: see ``OPERATIONS``."""
        return OPERATIONS[self.op].kind

    @property
    def plain(self) -> bool:
        """Whether its axes lie in memory in their own order."""
        return self.order == tuple(range(len(self.shape)))

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """The bytes that its result takes."""
        return self.size * self.dtype.itemsize

    @property
    def name(self) -> str:
        """What it is called in text: of a ufunc, the name of that."""
        ufunc = self.attrs.get("ufunc")
        if ufunc is None:
            return self.op
        return (
            str(ufunc.__name__) if self.op == "map" else f"{self.op}.{ufunc.__name__}"
        )

    def with_inputs(self, inputs: Sequence[Node]) -> Node:
        """The same operation on other inputs."""
        return Node(
            self.op, inputs, self.attrs, self.shape, self.dtype, self.order, self.place
        )

    def __repr__(self) -> str:
        return f"<{self.name}: {type_text(self)}>"


@dataclass
class Graph:
    """Nodes in an order in which they can be computed, and which of them are wanted.

    Attributes:
        nodes: All of them, inputs included.
        outputs: The results that leave it.
    """

    nodes: list[Node]
    outputs: list[Node] = field(default_factory=list)

    def __str__(self) -> str:
        return text_of(self)

    def users(self) -> dict[Node, list[Node]]:
        """Who takes each Node, in order, as often as it does."""
        users: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for x in node.inputs:
                users[x].append(node)
        return users


# -- the closed set of operations -----------------------------------------------------


class Operation(NamedTuple):
    """``kind`` and meaning: ``run(attrs, *arrays)`` computes it with NumPy.

    Kinds: ``source`` has no inputs; ``map`` looks at each element alone, broadcasting;
    ``reduce`` makes one element of many; ``product`` adds up products; ``view`` sees
    the same memory otherwise; ``move`` puts elements elsewhere; ``call`` is any other
    function; ``effect`` is kept even if nobody takes its result.
    """

    kind: str
    run: Callable[..., Any]


def apply_views(x: Any, views: Iterable[tuple[str, Attributes]]) -> Any:
    """``x`` seen through one view after another."""
    for op, attrs in views:
        x = OPERATIONS[op].run(attrs, x)
    return x


def _full(attrs: Attributes) -> Array:
    x = np.full(attrs["shape"], attrs["value"], attrs["dtype"])
    return x if "order" not in attrs else laid_out(x, attrs["order"])


def _assemble(attrs: Attributes, *parts: Array) -> Array:
    y = laid_out(np.empty(attrs["shape"], parts[0].dtype), attrs["order"])
    for place, part in zip(attrs["places"], parts, strict=True):
        y[place] = part
    return y


def _put(attrs: Attributes, base: Array, value: Array) -> Array:
    y = base.copy("K")
    apply_views(y, attrs["views"])[...] = value
    return y


def mapped(structure: Any, each: Callable[[Any], Any]) -> Any:
    """A structure of tuples, lists and dicts with ``each(part)`` for its parts."""
    kind = type(structure)
    if kind is tuple or kind is list:
        return kind([mapped(part, each) for part in structure])
    if kind is dict:
        return {key: mapped(part, each) for key, part in structure.items()}
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return kind(*[mapped(part, each) for part in structure])
    return each(structure)


def fill_in(template: Any, arrays: Iterable[Any]) -> Any:
    """A structure in which each ``Hole`` is taken by the next of ``arrays``."""
    rest = iter(arrays)
    return mapped(template, lambda x: next(rest) if isinstance(x, Hole) else x)


class Hole:
    """Where an array stands in the arguments of a call or in an index."""

    def __repr__(self) -> str:
        return "_"


def _scatter(attrs: Attributes, base: Array, value: Array, *indices: Array) -> Array:
    y = base.copy("K")
    y[fill_in(attrs["index"], indices)] = value
    return y


def _scatter_add(attrs: Attributes, base: Array, value: Array, *at: Array) -> Array:
    y = base.copy("K")
    np.add.at(y, fill_in(attrs["index"], at), value)
    return y


def _call(attrs: Attributes, *arrays: Array) -> Any:
    args, kwargs = fill_in(attrs["arguments"], arrays)
    return attrs["function"](*args, **kwargs)


def _draw(attrs: Attributes) -> Any:
    args, kwargs = attrs["arguments"]
    return attrs["function"](*args, **kwargs)


def _windows(function: Callable[..., Any]) -> Callable[..., Any]:
    """A convolution or derivative of one, as NumPy computes it."""
    plain = inspect.unwrap(function)
    return lambda a, x, y, *b: plain(x, y, **a, **dict(zip(["b"], b, strict=False)))


def _unavailable(attrs: Attributes, *arrays: Array) -> Any:
    raise AssertionError("an input has no meaning of its own: it is given")


OPERATIONS: dict[str, Operation] = {
    "input": Operation("source", _unavailable),
    "constant": Operation("source", lambda a: a["value"]),
    "full": Operation("source", _full),
    "random": Operation("effect", _draw),
    "map": Operation("map", lambda a, *xs: a["ufunc"](*xs)),
    "where": Operation("map", lambda a, c, x, y: np.where(c, x, y)),
    "cast": Operation("map", lambda a, x: x.astype(a["dtype"])),
    "copy": Operation("map", lambda a, x: x.copy(a.get("order", "C"))),
    "reduce": Operation(
        "reduce",
        lambda a, x: a["ufunc"].reduce(x, axis=a["axes"], keepdims=a["keepdims"]),
    ),
    "matmul": Operation("product", lambda a, x, y: np.matmul(x, y)),
    "convolve": Operation("product", _windows(convolve)),
    "convolve_transposed": Operation("product", _windows(convolve_transposed)),
    "correlate": Operation("product", _windows(correlate)),
    "reshape": Operation("view", lambda a, x: x.reshape(a["shape"])),
    "transpose": Operation("view", lambda a, x: x.transpose(a["axes"])),
    "broadcast": Operation("view", lambda a, x: np.broadcast_to(x, a["shape"])),
    "slice": Operation("view", lambda a, x: x[a["index"]]),
    "put": Operation("move", _put),
    "gather": Operation("move", lambda a, x, *i: x[fill_in(a["index"], i)]),
    "scatter": Operation("move", _scatter),
    "scatter_add": Operation("move", _scatter_add),
    "concatenate": Operation("move", lambda a, *xs: np.concatenate(xs, a["axis"])),
    "assemble": Operation("move", _assemble),
    "call": Operation("call", _call),
    "item": Operation("call", lambda a, x: x[a["number"]]),
    "require": Operation("effect", lambda a, condition, x: condition),
}


def run(node: Node, arrays: Sequence[Any]) -> Any:
    """The result of one operation, computed with NumPy."""
    with np.errstate(all="ignore"):
        y = OPERATIONS[node.op].run(node.attrs, *arrays)
    return y if isinstance(y, (tuple, list, np.ndarray)) else np.asarray(y)


def memory_order(x: Any) -> tuple[int, ...]:
    """The axes of an array from the slowest in memory to the fastest."""
    if not isinstance(x, np.ndarray) or x.flags.c_contiguous:
        return tuple(range(getattr(x, "ndim", 0)))
    strides = x.strides
    return tuple(sorted(range(x.ndim), key=lambda i: (-abs(strides[i]), i)))


def interpret(graph: Graph, given: Mapping[Node, Any]) -> dict[Node, Any]:
    """Every result, computed one after the other with NumPy: the oracle.

    Args:
        given: The arrays of the inputs.
    """
    results = dict(given)
    for node in graph.nodes:
        if node not in results and node.op != "input":  # one that nobody takes
            results[node] = run(node, [results[x] for x in node.inputs])
    return results


def laid_out(x: Array, order: Sequence[int]) -> Array:
    """A copy of an array, its axes in memory in this order."""
    back = sorted(range(x.ndim), key=list(order).__getitem__)
    return np.ascontiguousarray(x.transpose(order)).transpose(back)


# -- memory -------------------------------------------------------------------------


def strides_of(x: Node) -> tuple[int, ...]:
    """The strides in bytes with which a program sees the memory of a result."""
    views = []
    while x.kind == "view":
        views.append(x)
        x = x.inputs[0]
    if x.op == "constant":
        strides: tuple[int, ...] = x.attrs["value"].strides
    else:
        strides = dense_strides(x.shape, x.order, x.dtype.itemsize)
    for view in reversed(views):
        found = seen_strides(view, x.shape, strides)
        assert found is not None, f"{view} cannot see the memory of {x}"
        x, strides = view, found
    return strides


def dense_strides(shape: Shape, order: tuple[int, ...], size: int) -> tuple[int, ...]:
    """The strides of memory without gaps."""
    strides = [0] * len(shape)
    for i in reversed(order):
        strides[i] = size
        size *= shape[i]
    return tuple(strides)


def seen_strides(
    view: Node, shape: Shape, strides: tuple[int, ...]
) -> tuple[int, ...] | None:
    """The strides of a view; ``None`` if no strides show that memory in that shape."""
    if view.op == "transpose":
        return tuple(strides[i] for i in view.attrs["axes"])
    if view.op == "broadcast":
        lead = len(view.shape) - len(shape)
        old = zip(shape, strides, view.shape[lead:], strict=True)
        return (0,) * lead + tuple(s if n == m else 0 for n, s, m in old)
    if view.op == "reshape":
        return _reshaped_strides(shape, strides, view.shape)
    seen, axis = [], 0
    for part in index_parts(view.attrs["index"], len(shape)):
        if part is None:
            seen.append(0)
            continue
        if isinstance(part, slice):
            seen.append(strides[axis] * part.indices(shape[axis])[2])
        axis += 1
    return tuple(seen)


def index_parts(index: Any, axes: int) -> list[Any]:
    """The parts of an index of an array of so many axes: one for each of them, and a
    ``None`` for each new one. More parts than axes are left to whoever asked."""
    parts = list(index) if isinstance(index, tuple) else [index]
    at = next((i for i, part in enumerate(parts) if part is Ellipsis), len(parts))
    taken = sum(part is not None and part is not Ellipsis for part in parts)
    parts[at : at + 1] = [slice(None)] * (axes - taken)
    return parts


def region_of(index: Any, shape: Shape) -> list[range] | None:
    """The places of each axis that an index takes, if it is a block."""
    parts = index_parts(index, len(shape))
    if any(part is None for part in parts):
        return None
    region = []
    for part, n in zip(parts, shape, strict=True):
        if isinstance(part, slice):
            region.append(range(n)[part])
        else:
            place = range(n)[part]
            region.append(range(place, place + 1))
    return region


def apart(a: list[range], b: list[range]) -> bool:
    """Whether two blocks have no element in common."""
    for x, y in zip(a, b, strict=True):
        if not len(x) or not len(y):
            return True
        if abs(x.step) == abs(y.step) and (x[0] - y[0]) % x.step:
            return True
        if max(x[0], x[-1]) < min(y[0], y[-1]) or max(y[0], y[-1]) < min(x[0], x[-1]):
            return True
    return False


def _reshaped_strides(
    shape: Shape, strides: tuple[int, ...], new: Shape
) -> tuple[int, ...] | None:
    if 0 in shape:
        return dense_strides(new, tuple(range(len(new))), 1)
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    found = [0] * len(new)
    i = j = 0
    while i < len(old):
        end, has = i + 1, old[i][0]
        while new[j] == 1:
            j += 1
        stop, wants = j + 1, new[j]
        while has != wants:
            if has < wants:
                has *= old[end][0]
                end += 1
            else:
                wants *= new[stop]
                stop += 1
        for k in range(i, end - 1):
            if old[k][1] != old[k + 1][1] * old[k + 1][0]:
                return None
        step = old[end - 1][1]
        for k in reversed(range(j, stop)):
            found[k] = step
            step *= new[k]
        i, j = end, stop
    return tuple(found)


# -- text ---------------------------------------------------------------------------


def type_text(node: Node) -> str:
    """Type and shape, such as ``f32[100,10]``."""
    kind = {"f": "f", "i": "i", "u": "u", "c": "c", "b": "bool"}.get(node.dtype.kind)
    size = "" if kind == "bool" else str(node.dtype.itemsize * 8)
    base = f"{kind}{size}" if kind else str(node.dtype)
    text = f"{base}[{','.join(map(str, node.shape))}]"
    if not node.plain:
        text += "{" + ",".join(map(str, node.order)) + "}"
    return text


def _value_text(value: Any) -> str:
    if isinstance(value, slice):
        parts = ["" if p is None else str(p) for p in (value.start, value.stop)]
        step = "" if value.step in (None, 1) else f":{value.step}"
        return ":".join(parts) + step
    if isinstance(value, np.ndarray):
        return f"<{value.dtype}{list(value.shape)}>"
    if isinstance(value, (tuple, list)):
        inner = ", ".join(map(_value_text, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner})"
    if isinstance(value, dict):
        return ", ".join(f"{k}={_value_text(v)}" for k, v in value.items())
    if callable(value):
        return str(getattr(value, "__name__", type(value).__name__))
    return str(value)


_UNSAID = {"ufunc", "dtype", "shape", "error", "fixed"}  # said elsewhere in a line


def line_of(node: Node, names: Mapping[Node, str]) -> str:
    """One line of text: ``%3: f32[2,3] = add %1, %2``."""
    said = [
        f"{key}={_value_text(value)}"
        for key, value in node.attrs.items()
        if key not in _UNSAID
    ]
    operands = ", ".join([*(names[x] for x in node.inputs), *said])
    return f"{names[node]}: {type_text(node)} = {node.name} {operands}".rstrip()


def text_of(graph: Graph) -> str:
    """The whole graph, one Node a line, numbered in order."""
    names = {node: f"%{i}" for i, node in enumerate(graph.nodes)}
    lines = [line_of(node, names) for node in graph.nodes]
    lines.append("return " + ", ".join(names[node] for node in graph.outputs))
    return "\n".join(lines)
