"""The verifier: whether a Graph is well formed, after the trace and after each pass.

A pass that goes wrong is found where it went wrong, not three passes later by a result
that is off. ``RULES`` has one line for each operation: how many inputs it takes, what
it must be told, and the function that says which shape and type follow from these.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from dezero.backend.convolution import Pair, out_size
from dezero.compiler.ir import (
    Array,
    Graph,
    Hole,
    Node,
    Shape,
    apart,
    apply_views,
    fill_in,
    index_parts,
    line_of,
    mapped,
    region_of,
    seen_strides,
    strides_of,
)

Follows = tuple[Shape | None, Any]  # ``None``: any, only a run can tell


class BrokenGraph(AssertionError):  # noqa: N818  (it says what is broken)
    """A Graph that a pass, or the tracer, should not have made."""


class _Wrong(Exception):  # noqa: N818
    """What was expected of a Node, and what it is; the line is added by ``verify``."""


def verify(graph: Graph, after: str) -> None:
    """Look at every Node of a Graph.

    Args:
        after: The pass that made it, or ``'trace'``.

    Raises:
        BrokenGraph: ``after simplify: expected ..., got ...`` and the Node.
    """
    seen: set[Node] = set()
    for node in graph.nodes:
        try:
            _place(node, seen, graph)
            _node(node)
        except _Wrong as wrong:
            raise _broken(graph, after, wrong, node) from None
        seen.add(node)
    for node in graph.outputs:
        if node not in seen:
            missing = _Wrong("every output among the Nodes", "one that is not")
            raise _broken(graph, after, missing, node)


def _broken(graph: Graph, after: str, wrong: _Wrong, node: Node) -> BrokenGraph:
    expected, got = wrong.args
    names = {x: f"%{i}" for i, x in reversed(list(enumerate(graph.nodes)))}
    for x in (node, *node.inputs):
        names.setdefault(x, "%?")
    return BrokenGraph(
        f"after {after}: expected {expected}, got {got}\n  {line_of(node, names)}"
        + (f"\n  in {node.place}" if node.place else "")
    )


def _place(node: Node, seen: set[Node], graph: Graph) -> None:
    if node in seen:
        raise _Wrong("every Node once", "one that is listed twice")
    for x in node.inputs:
        if x not in seen:
            how = "comes later" if x in graph.nodes else "is not listed"
            raise _Wrong("every input before the Node", f"{x!r}, which {how}")


def _node(node: Node) -> None:
    rule = RULES.get(node.op)
    if rule is None:
        raise _Wrong("an operation of the table", f"'{node.op}'")
    count, attrs, follows = rule
    given = len(node.inputs)
    if given != count and (count >= 0 or given < ~count):
        expected = f"{count} inputs" if count >= 0 else f"at least {~count} inputs"
        raise _Wrong(expected, given)
    for name in attrs:
        if name not in node.attrs:
            raise _Wrong(f"the attribute '{name}'", f"only {sorted(node.attrs)}")
    shape, dtype = follows(node)
    if shape is not None and node.shape != shape:
        raise _Wrong(f"the shape {shape}", node.shape)
    if dtype is not None and node.dtype != dtype:
        raise _Wrong(f"the type {np.dtype(dtype)}", node.dtype)
    order = node.order
    if len(order) != len(node.shape) or (
        order != _identity(len(order)) and sorted(order) != [*_identity(len(order))]
    ):
        expected = f"an order of the {len(node.shape)} axes in memory"
        raise _Wrong(expected, order)


@cache
def _identity(n: int) -> tuple[int, ...]:
    return tuple(range(n))


# -- shapes and types -----------------------------------------------------------------


def _broadcast(*shapes: Shape) -> Shape:
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        expected = "operands that broadcast together"
        raise _Wrong(expected, " and ".join(map(str, shapes))) from None


def _fits(shape: Shape, into: Shape) -> bool:
    """Whether an array of one shape can be broadcast to another."""
    if shape == into:
        return True
    if len(shape) > len(into):
        return False
    last = into[len(into) - len(shape) :]
    return all(n in (1, m) for n, m in zip(shape, last, strict=True))


def _require_type(node: Node, inputs: Sequence[Node], dtype: Any) -> None:
    for x in inputs:
        if x.dtype != dtype:
            raise _Wrong(f"operands of type {dtype}", f"{x.dtype} ({x!r})")


def _require_axes(axes: Any, ndim: int) -> None:
    inside = isinstance(axes, tuple) and all(
        isinstance(i, int) and 0 <= i < ndim for i in axes
    )
    if not inside or len(set(axes)) < len(axes):
        raise _Wrong(f"different axes from 0 to {ndim - 1}", axes)


def _stand_in(shape: Shape) -> Array:
    """An array of a shape, of one byte."""
    return np.ndarray(shape, np.int8, b"\0", strides=(0,) * len(shape))


@cache
def _loop(ufunc: Any, types: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The types of NumPy's loop for operands of these, that of its result last."""
    try:
        return tuple(ufunc.resolve_dtypes((*types, None)))
    except TypeError:
        return None


@cache
def _reduced_type(ufunc: Any, dtype: Any) -> Any:
    with np.errstate(all="ignore"):
        return ufunc.reduce(np.ones(1, dtype)).dtype


# -- sources --------------------------------------------------------------------------


def _given(node: Node) -> Follows:
    return None, None


def _constant(node: Node) -> Follows:
    value = node.attrs["value"]
    if not isinstance(value, np.ndarray):
        raise _Wrong("an array as 'value'", type(value).__name__)
    return value.shape, value.dtype


def _full(node: Node) -> Follows:
    value, shape, dtype = (node.attrs[name] for name in ("value", "shape", "dtype"))
    same = getattr(value, "dtype", None) == dtype
    if np.ndim(value) or not (same or _holds(dtype, value)):
        raise _Wrong(f"one number that {np.dtype(dtype)} can hold", value)
    alone = isinstance(shape, (int, np.integer))
    return ((shape,) if alone else tuple(shape)), dtype


def _holds(dtype: Any, value: Any) -> bool:
    """Whether a number is the same in another type."""
    with np.errstate(all="ignore"):
        kept = np.asarray(value).astype(dtype).item()
    return bool(kept == value or kept != kept)


# -- each element alone ---------------------------------------------------------------


def _map(node: Node) -> Follows:
    ufunc = node.attrs["ufunc"]
    if ufunc.nout != 1 or ufunc.signature is not None or ufunc.nin > 2:
        raise _Wrong("a ufunc of one or two operands and one result", ufunc.__name__)
    if len(node.inputs) != ufunc.nin:
        raise _Wrong(f"{ufunc.nin} inputs", len(node.inputs))
    types = tuple([x.dtype for x in node.inputs])
    loop = _loop(ufunc, types)
    if loop is None:
        expected = f"operands that {ufunc.__name__} takes"
        raise _Wrong(expected, ", ".join(map(str, types)))
    if loop[:-1] != types:
        expected = "operands of the loop's types " + ", ".join(map(str, loop[:-1]))
        raise _Wrong(expected, ", ".join(map(str, types)))
    return _broadcast(*[x.shape for x in node.inputs]), loop[-1]


def _where(node: Node) -> Follows:
    condition, x, y = node.inputs
    if condition.dtype != bool:
        raise _Wrong("a condition of type bool", condition.dtype)
    _require_type(node, [y], x.dtype)
    return _broadcast(condition.shape, x.shape, y.shape), x.dtype


def _cast(node: Node) -> Follows:
    return node.inputs[0].shape, node.attrs["dtype"]


def _copy(node: Node) -> Follows:
    order = node.attrs.get("order", "C")
    if order not in ("C", "F", "A", "K"):
        raise _Wrong("an order of C, F, A or K", order)
    if order == "C" and node.order != _identity(len(node.shape)):
        raise _Wrong("the axes in order, as a copy in order C has them", node.order)
    return node.inputs[0].shape, node.inputs[0].dtype


# -- fewer elements, products ---------------------------------------------------------


def _reduce(node: Node) -> Follows:
    (x,) = node.inputs
    axes, keepdims = node.attrs["axes"], node.attrs["keepdims"]
    _require_axes(axes, len(x.shape))
    shape = tuple(
        [
            1 if i in axes else n
            for i, n in enumerate(x.shape)
            if keepdims or i not in axes
        ]
    )
    return shape, _reduced_type(node.attrs["ufunc"], x.dtype)


def _matmul(node: Node) -> Follows:
    x, y = node.inputs
    _require_type(node, [y], x.dtype)
    if not (x.shape and y.shape):
        raise _Wrong("vectors, matrices or stacks of these", f"{x!r} and {y!r}")
    left = x.shape if len(x.shape) > 1 else (1, *x.shape)
    right = y.shape if len(y.shape) > 1 else (*y.shape, 1)
    if left[-1] != right[-2]:
        raise _Wrong("as many columns as rows", f"{x.shape} @ {y.shape}")
    stack = _broadcast(left[:-2], right[:-2])
    rows = left[-2:-1] if len(x.shape) > 1 else ()
    columns = right[-1:] if len(y.shape) > 1 else ()
    return (*stack, *rows, *columns), x.dtype


def _convolve(node: Node) -> Follows:
    (x, W), (stride, pad) = _images(node), _sizes(node, "stride", "pad")
    if x.shape[1] != W.shape[1]:
        raise _Wrong(f"weights of {x.shape[1]} channels", W.shape)
    size = out_size(x.shape, (W.shape[2], W.shape[3]), stride, pad)
    _require_biases(node, W.shape[0])
    return (x.shape[0], W.shape[0], *size), x.dtype


def _convolve_transposed(node: Node) -> Follows:
    (x, W), (outsize,) = _images(node), _sizes(node, "outsize")
    if x.shape[1] != W.shape[0]:
        raise _Wrong(f"weights of {x.shape[1]} channels", W.shape)
    size = out_size(
        (*x.shape[:2], *outsize),
        (W.shape[2], W.shape[3]),
        *_sizes(node, "stride", "pad"),
    )
    if size != x.shape[2:]:
        raise _Wrong(f"outsize of {x.shape[2:]} windows", f"{outsize}: {size}")
    _require_biases(node, W.shape[1])
    return (x.shape[0], W.shape[1], *outsize), x.dtype


def _correlate(node: Node) -> Follows:
    (x, gy), kernel_size = _images(node), node.attrs["kernel_size"]
    size = out_size(x.shape, kernel_size, *_sizes(node, "stride", "pad"))
    if gy.shape != (x.shape[0], gy.shape[1], *size):
        raise _Wrong(f"a gradient for {size} windows of {x.shape[0]} images", gy.shape)
    return (gy.shape[1], x.shape[1], *kernel_size), x.dtype


def _images(node: Node) -> Sequence[Node]:
    x, y, *_ = node.inputs
    _require_type(node, node.inputs[1:], x.dtype)
    if len(x.shape) != 4 or len(y.shape) != 4:
        raise _Wrong("four axes", f"{x!r} and {y!r}")
    return x, y


def _sizes(node: Node, *names: str) -> list[Pair]:
    """Attributes that are two integers."""
    found = []
    for name in names:
        height, width = node.attrs[name]
        if not (isinstance(height, int) and isinstance(width, int)):
            raise _Wrong(f"two integers as {name}", node.attrs[name])
        found.append((height, width))
    return found


def _require_biases(node: Node, outputs: int) -> None:
    for b in node.inputs[2:]:
        if b.shape != (outputs,):
            raise _Wrong(f"{outputs} biases", b.shape)


# -- views ----------------------------------------------------------------------------


def _reshape(node: Node) -> Follows:
    (x,), shape = node.inputs, node.attrs["shape"]
    if math.prod(shape) != math.prod(x.shape):
        raise _Wrong(f"a shape of {x.size} elements", shape)
    if node.shape == shape and seen_strides(node, x.shape, strides_of(x)) is None:
        expected = f"a shape in which the memory of {x!r} can be seen"
        raise _Wrong(expected, f"{shape}; copy it first")
    return shape, x.dtype


def _transpose(node: Node) -> Follows:
    (x,), axes = node.inputs, node.attrs["axes"]
    _require_axes(axes, len(x.shape))
    if len(axes) != len(x.shape):
        raise _Wrong(f"all {len(x.shape)} axes", axes)
    return tuple([x.shape[i] for i in axes]), x.dtype


def _broadcast_to(node: Node) -> Follows:
    (x,), shape = node.inputs, node.attrs["shape"]
    if not _fits(x.shape, shape):
        raise _Wrong(f"a shape that {x.shape} broadcasts to", shape)
    return shape, x.dtype


def _slice(node: Node) -> Follows:
    (x,), index = node.inputs, node.attrs["index"]
    _require_basic(index)
    return _sliced(_stand_in(x.shape), index).shape, x.dtype


def _require_basic(index: Any) -> None:
    for part in index if isinstance(index, tuple) else (index,):
        basic = part is None or part is Ellipsis or isinstance(part, (slice, int))
        if not (basic or isinstance(part, np.integer)) or isinstance(part, bool):
            raise _Wrong("an index of integers and slices", index)


def _sliced(x: Array, index: Any) -> Array:
    try:
        y = x[index]
    except IndexError as error:
        raise _Wrong(f"an index into the shape {x.shape}", error) from None
    if not isinstance(y, np.ndarray):
        raise _Wrong("an index that ends in '...', to give a view", index)
    return y


# -- elements elsewhere ---------------------------------------------------------------


def _put(node: Node) -> Follows:
    base, value = node.inputs
    _require_type(node, [value], base.dtype)
    views = node.attrs["views"]
    whole = _stand_in(base.shape)
    if any(op == "reshape" for op, _ in views):  # what is written must not be a copy
        turned = np.empty([base.shape[i] for i in base.order], np.int8)
        whole = turned.transpose(np.argsort(base.order))
    for op, attrs in views:
        if op == "slice":
            _require_basic(attrs["index"])
    try:
        place = apply_views(whole, views)
    except (IndexError, ValueError) as error:
        raise _Wrong(f"views of the shape {base.shape}", error) from None
    if place.size and not np.may_share_memory(place, whole):
        raise _Wrong(f"views that show the memory of {base!r}", "a copy")
    _require_fit(value.shape, place.shape)
    return base.shape, base.dtype


def _require_fit(shape: Shape, place: Shape) -> None:
    lead = len(shape) - len(place)
    short = shape[lead:] if lead > 0 and shape[:lead] == (1,) * lead else shape
    if not _fits(short, place):
        raise _Wrong(f"a value that fits into {place}", shape)


def _gather(node: Node) -> Follows:
    x, *indices = node.inputs
    return _indexed(x.shape, node.attrs["index"], indices), x.dtype


def _scatter(node: Node) -> Follows:
    base, value, *indices = node.inputs
    _require_type(node, [value], base.dtype)
    place = _indexed(base.shape, node.attrs["index"], indices)
    if place is not None and 0 not in place:  # where nothing is written, all fits
        _require_fit(value.shape, place)
    return base.shape, base.dtype


def _count_holes(template: Any) -> int:
    holes: list[Any] = []
    mapped(template, lambda x: holes.append(x) if isinstance(x, Hole) else None)
    return len(holes)


def _indexed(shape: Shape, template: Any, indices: Sequence[Node]) -> Shape | None:
    """The shape of ``x[index]``; ``None`` for a mask, which decides by its values."""
    holes = _count_holes(template)
    if holes != len(indices):
        raise _Wrong(f"{holes} arrays for the index", len(indices))
    for x in indices:
        if x.dtype.kind not in "iub":
            raise _Wrong("an index of integers", f"{x.dtype} ({x!r})")
    parts = index_parts(fill_in(template, indices), len(shape))
    if any(isinstance(part, Node) and part.dtype == bool for part in parts):
        return None
    if any(isinstance(part, (list, bool, np.bool)) for part in parts):
        return None
    if sum(part is not None for part in parts) > len(shape):
        raise _Wrong(f"an index of at most {len(shape)} parts", template)
    kept: list[int] = []  # lengths of the axes that are sliced
    chosen: list[Shape] = []  # shapes of what chooses
    places: list[int] = []
    axis = 0
    for i, part in enumerate(parts):
        if part is None:
            kept.append(1)
            continue
        if isinstance(part, slice):
            kept.append(len(range(*part.indices(shape[axis]))))
        else:
            if not chosen:
                before = len(kept)
            chosen.append(part.shape if isinstance(part, Node) else ())
            places.append(i)
        axis += 1
    together = places[-1] - places[0] == len(places) - 1
    before = before if together else 0
    return (*kept[:before], *_broadcast(*chosen), *kept[before:])


def _concatenate(node: Node) -> Follows:
    first, axis = node.inputs[0], node.attrs["axis"]
    shape = first.shape
    _require_axes((axis,), len(shape))
    _require_type(node, node.inputs[1:], first.dtype)
    total = 0
    for x in node.inputs:
        rest = x.shape[:axis], x.shape[axis + 1 :]
        if rest != (shape[:axis], shape[axis + 1 :]):
            raise _Wrong(f"parts like {shape} but for axis {axis}", x.shape)
        total += x.shape[axis]
    return (*shape[:axis], total, *shape[axis + 1 :]), first.dtype


def _assemble(node: Node) -> Follows:
    shape, places = node.attrs["shape"], node.attrs["places"]
    _require_type(node, node.inputs[1:], node.inputs[0].dtype)
    if len(places) != len(node.inputs):
        raise _Wrong(f"a place for each of {len(node.inputs)} parts", len(places))
    regions = []
    for part, place in zip(node.inputs, places, strict=True):
        _require_basic(place)
        _require_fit(part.shape, _sliced(_stand_in(shape), place).shape)
        regions.append(region_of(place, shape) or [])
    total = sum(math.prod(map(len, region)) for region in regions)
    alone = all(apart(a, b) for a, b in itertools.combinations(regions, 2))
    if total != math.prod(shape) or not alone:
        raise _Wrong("parts for every element, one for each", places)
    return shape, node.inputs[0].dtype


# -- calls ----------------------------------------------------------------------------


def _item(node: Node) -> Follows:
    (x,), number = node.inputs, node.attrs["number"]
    if x.op != "call":
        raise _Wrong("an item of a call", repr(x))
    if not (isinstance(number, int) and number >= 0):
        raise _Wrong("the number of an item", number)
    return None, None


def _require(node: Node) -> Follows:
    condition = node.inputs[0]
    if condition.shape or condition.dtype != bool:
        raise _Wrong("one bool as condition", repr(condition))
    return (), bool


def _call(node: Node) -> Follows:
    holes = _count_holes(node.attrs["arguments"])
    if holes != len(node.inputs):
        raise _Wrong(f"{holes} inputs", len(node.inputs))
    return None, None


class Rule(NamedTuple):
    """What an operation is made of, and what follows from that."""

    inputs: int  # how many; ``~n`` for n or more
    attrs: tuple[str, ...]  # that it must have
    follows: Callable[[Node], Follows]  # the shape and type of its result


RULES: dict[str, Rule] = {
    "input": Rule(0, (), _given),
    "constant": Rule(0, ("value", "fixed"), _constant),
    "full": Rule(0, ("value", "shape", "dtype"), _full),
    "random": Rule(0, ("function", "arguments"), _given),
    "map": Rule(~1, ("ufunc",), _map),
    "where": Rule(3, (), _where),
    "cast": Rule(1, ("dtype",), _cast),
    "copy": Rule(1, (), _copy),
    "reduce": Rule(1, ("ufunc", "axes", "keepdims"), _reduce),
    "matmul": Rule(2, (), _matmul),
    "convolve": Rule(~2, ("stride", "pad"), _convolve),
    "convolve_transposed": Rule(~2, ("stride", "pad", "outsize"), _convolve_transposed),
    "correlate": Rule(2, ("kernel_size", "stride", "pad"), _correlate),
    "reshape": Rule(1, ("shape",), _reshape),
    "transpose": Rule(1, ("axes",), _transpose),
    "broadcast": Rule(1, ("shape",), _broadcast_to),
    "slice": Rule(1, ("index",), _slice),
    "put": Rule(2, ("views",), _put),
    "gather": Rule(~1, ("index",), _gather),
    "scatter": Rule(~2, ("index",), _scatter),
    "scatter_add": Rule(~2, ("index",), _scatter),
    "concatenate": Rule(~1, ("axis",), _concatenate),
    "assemble": Rule(~1, ("places", "shape", "order"), _assemble),
    "call": Rule(~0, ("function", "arguments"), _call),
    "item": Rule(1, ("number",), _item),
    "require": Rule(2, ("error",), _require),
}
