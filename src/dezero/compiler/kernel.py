"""Kernels: a Group as LLVM IR, in text.

A kernel is two functions. ``run(args, begin, end, share)`` goes through some rows of
the domain, or through some elements where there is but one row; several threads may run
it, each its own share. ``finish(args, shares)`` adds up what the shares have summed.
``args`` is an array of 64-bit integers: addresses, lengths and strides. So the text
depends on structure alone: one kernel serves all sizes, all layers that are alike, and
every batch, and is compiled once.

Columns are worked on in vectors, the last of them under a mask. A Group whose rows need
their own sums first (softmax) goes through the columns of a row several times, while
they are in the nearest cache; what is dear is kept from one pass to the next in a
``scratch`` row.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from dezero.compiler import mathematics
from dezero.compiler.fusion import Group, operand
from dezero.compiler.ir import Array, Node
from dezero.compiler.lines import Lines, iota, ones, vector, zeros

LANES = 16  # of every vector: a register of AVX-512 in float32, two of AVX2
ALIGN = 64  # bytes: where rows of scratch start


class CannotFuse(Exception):  # noqa: N818  (the Group is then run call by call)
    """The memory of a Group's operands lies so that no one loop goes through it."""


# -- what kernels know ----------------------------------------------------------------

_TYPES = {
    "f4": "float", "f8": "double", "b1": "i1",
    "i1": "i8", "i2": "i16", "i4": "i32", "i8": "i64",
    "u1": "i8", "u2": "i16", "u4": "i32", "u8": "i64",
}  # fmt: skip
_FLOAT = {"add": "fadd", "subtract": "fsub", "multiply": "fmul", "divide": "fdiv"}
_INTEGER = {"add": "add", "subtract": "sub", "multiply": "mul"}
_LOGICAL = {
    "bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "xor",
    "logical_and": "and", "logical_or": "or", "logical_xor": "xor",
}  # fmt: skip
_COMPARE = {
    "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge",
    "equal": "eq", "not_equal": "ne",
}  # fmt: skip
_LARGER = ("maximum", "minimum", "fmax", "fmin")
_ROUND = {"floor": "floor", "ceil": "ceil", "rint": "rint", "trunc": "trunc"}
_DEAR = {"exp", "log", "tanh", "sin", "cos", "log1p", "expm1", "power", "divide",
         "sqrt", "reciprocal", "erf"}  # fmt: skip
_MATHEMATICS = {"power": "pow"}  # NumPy's name and ours


def type_of(node: Node) -> str | None:
    """LLVM's type of its elements in a register."""
    return _TYPES.get(node.dtype.str[1:]) if node.dtype.isnative else None


def function_of(node: Node) -> str | None:
    """The function of ``mathematics`` that computes it."""
    ufunc = node.attrs["ufunc"].__name__
    name = _MATHEMATICS.get(ufunc, ufunc)
    dtype = {"f4": "f32", "f8": "f64"}.get(node.dtype.str[1:])
    return name if (name, dtype) in mathematics.ERROR_BOUNDS else None


def knows(node: Node) -> bool:
    """Whether kernels can compute a Node."""
    if type_of(node) is None or any(type_of(x) is None for x in node.inputs):
        return False
    kind = node.inputs[0].dtype.kind
    if node.op == "reduce":
        name = node.attrs["ufunc"].__name__
        if kind == "b":
            return name in ("logical_and", "logical_or")
        if kind in "iu" and name == "add":
            return node.dtype.itemsize == 8
        return name in ("add", "maximum", "minimum")
    if node.op in ("where", "copy"):
        return node.op == "where" or node.attrs.get("order") in ("K", "C")
    if node.op == "cast":
        target = node.dtype.kind
        return target in "fb" or (target in "iu" and kind in "iub")
    name = node.attrs["ufunc"].__name__
    if kind == "f":
        return (
            name in _FLOAT
            or name in _COMPARE
            or name in _ROUND
            or name in _UNARY
            or name in _LARGER
            or function_of(node) is not None
        )
    if kind == "b":
        return name in _LOGICAL or name in _COMPARE or name in ("logical_not", "invert")
    return (
        name in _INTEGER
        or name in _COMPARE
        or name in ("maximum", "minimum")
        or (name in _LOGICAL and "bit" in name)
    )


_UNARY = {"negative", "absolute", "sqrt", "square", "reciprocal", "sign", "isnan",
          "isfinite", "isinf", "positive", "fabs"}  # fmt: skip


# -- how arrays lie in the domain -----------------------------------------------------


class Port(NamedTuple):
    """An array as a kernel sees it.

    ``strides`` are in bytes, one for each axis of rows and one for the columns.
    """

    view: Node
    level: str
    strides: tuple[int, ...]
    out: bool = False

    @property
    def shape_of_columns(self) -> str:
        """``0`` for one element a row, ``1`` for neighbours, ``s`` for any stride."""
        stride = self.strides[-1]
        size = self.view.dtype.itemsize
        return "0" if stride == 0 else "1" if stride == size else "s"


class Layout:
    """The domain of a Group with the memory of its arrays: rows, columns, ports."""

    def __init__(self, group: Group, arrays: dict[Node, Array], outputs: set[Node]):
        self.group = group
        found: dict[tuple[Node, str, tuple[int, ...], bool], None] = {}
        self.uses: dict[tuple[Node, Node], tuple[Node, str, tuple[int, ...], bool]] = {}
        for node, level in group.levels.items():
            of = "full" if node.op == "reduce" else level
            for x in node.inputs:
                seen = operand(x)
                if seen.node in group.levels or literal(seen.node) is not None:
                    continue
                strides = self._strides(arrays[seen.view], node, of)
                key = seen.view, of, strides, False
                found[key] = None
                self.uses[node, x] = key
            if node in outputs:
                key = node, level, self._strides(arrays[node], node, level), True
                found[key] = None
                self.uses[node, node] = key
        keys = list(found)
        cut = self._cut([k[2] for k in keys if k[1] in ("full", "row", "column")])
        shape = group.shape
        self.columns = math.prod(shape[cut:])
        rows, kept = self._rows([k[2] for k in keys], shape[:cut])
        self.row_shape = rows
        self.rows = math.prod(rows)
        self.ports: list[Port] = []
        self.port_of: dict[tuple[Node, str, tuple[int, ...], bool], int] = {}
        for key in keys:
            view, level, strides, out = key
            column = _collapsed(strides[cut:], shape[cut:])
            if column is None:
                raise CannotFuse(repr(group))
            of_rows = tuple(strides[i] for i in kept)
            port = Port(view, level, (*of_rows, column), out)
            if port not in self.ports:
                self.ports.append(port)
            self.port_of[key] = self.ports.index(port)

    def _strides(self, x: Array, node: Node, level: str) -> tuple[int, ...]:
        """The strides of an operand along each axis of the domain, 0 where repeated."""
        group = self.group
        dims = len(group.shape)
        if level == "scalar":
            return (0,) * dims
        strides = [0 if n == 1 else s for n, s in zip(x.shape, x.strides, strict=True)]
        columns = group.columns or 0
        if level in ("row", "column") and len(node.shape) != dims:  # without the rest
            kept = columns if level == "column" else dims - columns
            strides = [0] * (kept - len(strides)) + strides
            others = [0] * (dims - kept)
            return tuple(others + strides if level == "column" else strides + others)
        strides = [0] * (dims - len(strides)) + strides
        return tuple(strides[i] for i in group.order)

    def _cut(self, strides: Sequence[tuple[int, ...]]) -> int:
        """Where rows end and columns begin."""
        shape, columns = self.group.shape, self.group.columns
        if columns is not None:
            return len(shape) - columns
        for cut in range(len(shape)):
            parts = [_collapsed(s[cut:], shape[cut:]) for s in strides]
            if all(part is not None for part in parts):
                return cut
        return len(shape)

    @staticmethod
    def _rows(
        strides: Sequence[tuple[int, ...]], shape: tuple[int, ...]
    ) -> tuple[list[int], list[int]]:
        """The axes of rows, those that lie one in the other for all ports as one."""
        lengths: list[int] = []
        kept: list[int] = []
        for i, n in enumerate(shape):
            if n == 1:
                continue
            if kept and all(s[kept[-1]] == s[i] * n for s in strides):
                lengths[-1] *= n
                kept[-1] = i
            else:
                lengths.append(n)
                kept.append(i)
        return lengths, kept


def _collapsed(strides: Sequence[int], shape: Sequence[int]) -> int | None:
    """The stride of several axes taken as one, if they can be."""
    pairs = [(s, n) for s, n in zip(strides, shape, strict=True) if n != 1]
    for (outer, _), (inner, n) in itertools.pairwise(pairs):
        if outer != inner * n:
            return None
    return pairs[-1][0] if pairs else 0


_LITERALS = (0.0, 1.0, -1.0, 2.0, 0.5, -0.5, math.inf, -math.inf)


def literal(node: Node) -> float | None:
    """The number of a constant that is worth a place in the text of a kernel.

    Others, such as a learning rate or 1 / N, come in ``args``: with another number the
    kernel stays the same.
    """
    if node.op != "full" or node.attrs["value"] is None:
        return None
    value = node.attrs["value"]
    if node.dtype.kind in "bui":
        return int(value) if -4 <= int(value) <= 4 else None
    if node.dtype.kind != "f":
        return None
    known = float(value) in _LITERALS and math.copysign(1, value) == math.copysign(
        1, float(value)
    )
    return float(value) if known else None


# -- the writer -----------------------------------------------------------------------


class Kernel(NamedTuple):
    """The text of a kernel, and where in ``args`` its parts stand."""

    name: str
    text: str
    needs: frozenset[str]  # lines that its module must have
    wanted: tuple[tuple[str, str, int], ...]  # functions of ``mathematics`` it calls
    layout: Layout
    slots: dict[str, int]
    scratch: int  # rows
    sums: list[Node]  # along the rows, one for each column
    totals: list[Node]
    finishes: bool

    @property
    def flat(self) -> bool:
        """Whether its threads share the elements of one row, not rows."""
        return not self.layout.row_shape


class Writer(Lines):
    """Writes the kernel of one Group."""

    def __init__(
        self, group: Group, arrays: dict[Node, Array], outputs: set[Node]
    ) -> None:
        super().__init__()
        self.group = group
        self.outputs = outputs
        self.layout = Layout(group, arrays, outputs)
        self.wanted: dict[tuple[str, str, int], None] = {}
        self.row_values: dict[Node, str] = {}
        self.pointers: dict[int, str] = {}
        self.firsts: dict[int, str] = {}  # the only element of a row, by port
        self.vectors: dict[str, str] = {}  # of numbers, in all lanes
        self._stages()

    # .. parts of the plan

    def _stages(self) -> None:
        """In which pass through the columns each Node can be computed."""
        levels = self.group.levels
        stage: dict[Node, int] = {}
        for node, level in levels.items():
            inside = [operand(x).node for x in node.inputs]
            at = max((stage[x] for x in inside if x in levels), default=0)
            stage[node] = at + 1 if node.op == "reduce" and level == "row" else at
        self.stage = stage
        reduces = [n for n in levels if n.op == "reduce"]
        self.sums = [n for n in reduces if levels[n] == "column"]
        self.totals = [n for n in reduces if levels[n] == "scalar"]
        roots = [n for n in self.outputs if levels.get(n) == "full"]
        for n in reduces:
            x = n.inputs[0]
            if levels.get(x, "full") == "full":
                roots.append(x)
        last = [stage[n] for n in roots if n in levels]
        last += [stage[n] - 1 for n in reduces if levels[n] == "row"]
        self.passes = 1 + max(last, default=0)
        self.kept: list[Node] = []  # in scratch
        for p in reversed(range(self.passes)):
            for node in self._roots(p):
                self._keep(node, p, set())

    def _roots(self, p: int) -> list[Node]:
        """The full Nodes for whose sake pass ``p`` is made, in order."""
        levels = self.group.levels
        found = []
        for node, level in levels.items():
            leaves = node in self.outputs or node in self.kept
            if level == "full" and leaves and self.stage[node] == p:
                found.append(node)
            if node.op == "reduce" and self._pass_of(node) == p:
                x = node.inputs[0]
                if x in levels and levels[x] == "full":
                    found.append(x)
        return found

    def _pass_of(self, reduce: Node) -> int | None:
        """The pass in which a reduction adds up; ``None`` for one of row values."""
        x = reduce.inputs[0]
        level = self.group.levels.get(x, "full")
        if level == "row":
            return None
        return self.stage.get(x, 0)

    def _keep(self, node: Node, p: int, seen: set[Node]) -> None:
        """Find out which dear values of earlier passes a pass needs."""
        if node in seen:
            return
        seen.add(node)
        if self.stage[node] < p:
            if node in self.outputs or node in self.kept:
                return
            if self._is_dear(node, 0):
                self.kept.append(node)
                return
        for x in node.inputs:
            x = operand(x).node
            if self.group.levels.get(x) == "full":
                self._keep(x, p, seen)

    def _is_dear(self, node: Node, depth: int) -> bool:
        ufunc = node.attrs.get("ufunc")
        if depth > 3 or (ufunc is not None and ufunc.__name__ in _DEAR):
            return True
        inside = [operand(x).node for x in node.inputs]
        return any(
            self._is_dear(x, depth + 1)
            for x in inside
            if self.group.levels.get(x) == "full" and x not in self.outputs
        )

    # .. memory

    def places(self, i: int, c: str, lanes: int) -> str:
        """The addresses of elements that are not neighbours."""
        stride = self.argument_of(f"p{i}.c")
        start = self.offset(self.pointers[i], self.value(f"mul i64 {c}, {stride}"))
        if lanes == 1:
            return start
        steps = self.value(
            f"mul <{lanes} x i64> {iota(lanes)}, {self.splat('i64', stride, lanes)}"
        )
        return self.value(f"getelementptr i8, ptr {start}, <{lanes} x i64> {steps}")

    def argument_of(self, name: str) -> str:
        return self.loaded[name]

    def read(self, i: int, c: str, lanes: int, mask: str | None) -> str:
        """Elements of a port, from column ``c`` on."""
        port = self.layout.ports[i]
        kind = str(type_of(port.view))
        where = port.shape_of_columns
        if port.level == "scalar" or where == "0":
            return self.vectors[self.firsts[i]] if lanes > 1 else self.firsts[i]
        if where == "1":
            size = port.view.dtype.itemsize
            at = self.offset(self.pointers[i], self.value(f"mul i64 {c}, {size}"))
            return self.load(kind, at, lanes, mask)
        at = self.places(i, c, lanes)
        if lanes == 1:
            return self.load(kind, at, 1, None)
        return self.gather(kind, at, lanes, mask)

    def put(self, i: int, x: str, c: str, lanes: int, mask: str | None) -> None:
        """Store elements into a port, from column ``c`` on."""
        port = self.layout.ports[i]
        kind = str(type_of(port.view))
        if port.shape_of_columns != "s" or lanes == 1:
            size = port.view.dtype.itemsize
            if port.shape_of_columns == "s":
                at = self.places(i, c, 1)
            else:
                at = self.offset(self.pointers[i], self.value(f"mul i64 {c}, {size}"))
            self.store(kind, x, at, lanes, mask)
            return
        self.scatter(kind, x, self.places(i, c, lanes), lanes, mask)

    # .. values

    def element(
        self,
        node: Node,
        p: int,
        c: str,
        lanes: int,
        mask: str | None,
        known: dict[Node, str],
    ) -> str:
        """A full Node at some columns, in pass ``p``."""
        if node in known:
            return known[node]
        if self.stage[node] < p and node in self.outputs:
            key = self.layout.uses[node, node]
            x = self.read(self.layout.port_of[key], c, lanes, mask)
        elif self.stage[node] < p and node in self.kept:
            x = self.load(str(type_of(node)), self.scratch_at(node, c), lanes, mask)
        else:
            xs = [self.input(node, x, p, c, lanes, mask, known) for x in node.inputs]
            x = self.compute(node, xs, lanes)
            if node in self.kept and self.stage[node] == p:
                at = self.scratch_at(node, c)
                self.store(str(type_of(node)), x, at, lanes, mask)
        known[node] = x
        return x

    def input(
        self, node: Node, x: Node, p: int, c: str, lanes: int, mask: str | None,
        known: dict[Node, str],
    ) -> str:  # fmt: skip
        seen = operand(x).node
        number = literal(seen)
        if number is not None:
            return self.number(seen, number, lanes)
        level = self.group.levels.get(seen)
        if level == "full":
            return self.element(seen, p, c, lanes, mask, known)
        if level is not None:
            alone = self.row_values[seen]
            return self.vectors[alone] if lanes > 1 else alone
        return self.read(self.layout.port_of[self.layout.uses[node, x]], c, lanes, mask)

    def number(self, node: Node, number: float, lanes: int) -> str:
        kind = str(type_of(node))
        if kind in ("float", "double"):
            text = f"0x{np.float64(number).view(np.uint64):016X}"
        elif kind == "i1":
            text = "true" if number else "false"
        else:
            text = str(int(number))
        return text if lanes == 1 else f"splat ({kind} {text})"

    def scratch_at(self, node: Node, c: str) -> str:
        row = self.kept.index(node)
        step = self.loaded["scratch.row"]
        start = self.offset(self.scratch, self.value(f"mul i64 {step}, {row}"))
        size = max(1, node.dtype.itemsize)
        return self.offset(start, self.value(f"mul i64 {c}, {size}"))

    def compute(self, node: Node, xs: Sequence[str], lanes: int) -> str:
        """One operation on registers."""
        source = str(type_of(node.inputs[0]))
        target = str(type_of(node))
        wide = vector(source, lanes)
        if node.op == "copy":
            return xs[0]
        if node.op == "where":
            kind = vector(target, lanes)
            condition = f"{vector('i1', lanes)} {xs[0]}"
            return self.value(f"select {condition}, {kind} {xs[1]}, {kind} {xs[2]}")
        if node.op == "cast":
            return self.cast(node, xs[0], lanes)
        name = node.attrs["ufunc"].__name__
        floating = source in ("float", "double")
        if name in _COMPARE:
            sign = "u" if node.inputs[0].dtype.kind in "ub" else "s"
            how = _COMPARE[name]
            if floating:
                test = f"fcmp {'u' if how == 'ne' else 'o'}{how}"
            else:
                test = f"icmp {how if how in ('eq', 'ne') else sign + how}"
            return self.value(f"{test} {wide} {xs[0]}, {xs[1]}")
        if name in _LOGICAL:
            return self.value(f"{_LOGICAL[name]} {wide} {xs[0]}, {xs[1]}")
        if name in ("logical_not", "invert"):
            return self.value(f"xor {wide} {xs[0]}, {ones(lanes)}")
        if name in ("maximum", "minimum") and not floating:
            return self.larger_integer(node, source, xs[0], xs[1], lanes)
        if not floating:
            return self.value(f"{_INTEGER[name]} {wide} {xs[0]}, {xs[1]}")
        if name in _FLOAT:
            return self.value(f"{_FLOAT[name]} {wide} {xs[0]}, {xs[1]}")
        if name in _LARGER:
            return self.larger(name, source, xs[0], xs[1], lanes)
        if name in _ROUND:
            return self.intrinsic(_ROUND[name], source, lanes, xs[0])
        if name == "negative":
            return self.value(f"fneg {wide} {xs[0]}")
        if name in ("absolute", "fabs"):
            return self.intrinsic("fabs", source, lanes, xs[0])
        if name == "sqrt":
            return self.intrinsic("sqrt", source, lanes, xs[0])
        if name == "square":
            return self.value(f"fmul {wide} {xs[0]}, {xs[0]}")
        if name == "reciprocal":
            one = self.number(node, 1.0, lanes)
            return self.value(f"fdiv {wide} {one}, {xs[0]}")
        if name == "isnan":
            return self.value(f"fcmp uno {wide} {xs[0]}, {xs[0]}")
        if name in ("isfinite", "isinf"):
            size = self.intrinsic("fabs", source, lanes, xs[0])
            inf = self.number(node.inputs[0], math.inf, lanes)
            test = "one" if name == "isfinite" else "oeq"
            return self.value(f"fcmp {test} {wide} {size}, {inf}")
        if name == "sign":
            return self.sign(node, xs[0], lanes)
        function = str(function_of(node))
        dtype = "f32" if source == "float" else "f64"
        self.wanted[function, dtype, lanes] = None
        symbol = mathematics.symbol(function, dtype, lanes)
        return self.value(
            f"call {wide} {symbol}({', '.join(f'{wide} {x}' for x in xs)})"
        )

    def larger(self, name: str, kind: str, x: str, y: str, lanes: int) -> str:
        """The larger, or smaller, of two; NaN if one of them is, or if both are."""
        wide, masks = vector(kind, lanes), vector("i1", lanes)
        test = "ogt" if name in ("maximum", "fmax") else "olt"
        first = self.value(f"fcmp {test} {wide} {x}, {y}")
        decides = y if name in ("fmax", "fmin") else x  # if it is NaN, x is the result
        nan = self.value(f"fcmp uno {wide} {decides}, {decides}")
        both = self.value(f"or {masks} {first}, {nan}")
        return self.value(f"select {masks} {both}, {wide} {x}, {wide} {y}")

    def larger_integer(self, node: Node, kind: str, x: str, y: str, lanes: int) -> str:
        sign = "u" if node.dtype.kind == "u" else "s"
        name = node.attrs["ufunc"].__name__
        wide = vector(kind, lanes)
        test = f"icmp {sign}{'gt' if name == 'maximum' else 'lt'}"
        first = self.value(f"{test} {wide} {x}, {y}")
        return self.value(
            f"select {vector('i1', lanes)} {first}, {wide} {x}, {wide} {y}"
        )

    def sign(self, node: Node, x: str, lanes: int) -> str:
        kind = str(type_of(node))
        wide, masks = vector(kind, lanes), vector("i1", lanes)
        zero = self.number(node, 0.0, lanes)
        above = self.value(f"fcmp ogt {wide} {x}, {zero}")
        below = self.value(f"fcmp olt {wide} {x}, {zero}")
        one, minus = self.number(node, 1.0, lanes), self.number(node, -1.0, lanes)
        y = self.value(f"select {masks} {above}, {wide} {one}, {wide} {x}")
        y = self.value(f"select {masks} {below}, {wide} {minus}, {wide} {y}")
        equal = self.value(f"fcmp oeq {wide} {x}, {zero}")
        return self.value(f"select {masks} {equal}, {wide} {zero}, {wide} {y}")

    def cast(self, node: Node, x: str, lanes: int) -> str:
        before, after = node.inputs[0].dtype, node.dtype
        source, target = str(type_of(node.inputs[0])), str(type_of(node))
        wide, to = vector(source, lanes), vector(target, lanes)
        if after.kind == "b":
            if before.kind == "f":
                zero = self.number(node.inputs[0], 0.0, lanes)
                return self.value(f"fcmp une {wide} {x}, {zero}")
            return self.value(f"icmp ne {wide} {x}, {zeros(lanes)}")
        if before.kind == "f":
            if before.itemsize == after.itemsize:
                return x
            how = "fpext" if before.itemsize < after.itemsize else "fptrunc"
        elif after.kind == "f":
            how = "sitofp" if before.kind == "i" else "uitofp"
        elif source == target:
            return x
        elif before.itemsize > after.itemsize and before.kind != "b":
            how = "trunc"
        else:
            how = "sext" if before.kind == "i" else "zext"
        return self.value(f"{how} {wide} {x} to {to}")

    # .. sums

    def start_of(self, node: Node, lanes: int) -> str:
        """What a reduction starts from."""
        name = node.attrs["ufunc"].__name__
        if node.dtype.kind == "f":
            start = {"add": 0.0, "maximum": -math.inf, "minimum": math.inf}[name]
            return self.number(node, start, lanes)
        if name in ("maximum", "minimum"):
            limits = np.iinfo(node.dtype)
            return self.number(
                node, limits.min if name == "maximum" else limits.max, lanes
            )
        return self.number(node, name == "logical_and", lanes)

    def combine(self, node: Node, kind: str, a: str, b: str, lanes: int) -> str:
        name = node.attrs["ufunc"].__name__
        if name in _LOGICAL:
            return self.value(f"{_LOGICAL[name]} {vector(kind, lanes)} {a}, {b}")
        if name == "add":
            how = "fadd" if kind in ("float", "double") else "add"
            return self.value(f"{how} {vector(kind, lanes)} {a}, {b}")
        if node.dtype.kind != "f":
            return self.larger_integer(node, kind, a, b, lanes)
        return self.larger(name, kind, a, b, lanes)

    def across(self, node: Node, kind: str, x: str) -> str:
        """One value of all lanes: halves are combined until one is left."""
        lanes = LANES
        while lanes > 1:
            half = lanes // 2
            wide = vector(kind, lanes)
            parts = []
            for start in (0, half):
                picks = ", ".join(f"i32 {start + i}" for i in range(half))
                parts.append(
                    self.value(
                        f"shufflevector {wide} {x}, {wide} poison, <{half} x i32> "
                        f"<{picks}>"
                    )
                    if half > 1
                    else self.value(f"extractelement {wide} {x}, i64 {start}")
                )
            x = self.combine(node, kind, parts[0], parts[1], half)
            lanes = half
        return x

    def total_kind(self, node: Node) -> str:
        """The type in which a sum over all rows is kept: float64 for floats."""
        kind = str(type_of(node))
        adds = node.attrs["ufunc"].__name__ == "add"
        return "double" if kind == "float" and adds else kind

    def widened(self, node: Node, x: str, lanes: int) -> str:
        kind, total = str(type_of(node)), self.total_kind(node)
        if kind == total:
            return x
        return self.value(f"fpext {vector(kind, lanes)} {x} to {vector(total, lanes)}")

    # .. functions

    def kernel(self) -> Kernel:
        """All of it."""
        run = self._function("run", "i64 %begin, i64 %end, i64 %share", self._run)
        finishes = bool(self.sums or self.totals)
        text = run
        if finishes:
            text += self._function("finish", "i64 %shares", self._finish)
        wanted = tuple(sorted(self.wanted))
        name = "k" + hashlib.sha256(f"{wanted}{text}".encode()).hexdigest()[:20]
        text = text.replace("@KERNEL", f"@{name}")
        return Kernel(
            name, text, frozenset(self.needs), wanted, self.layout,
            dict(self.slots), len(self.kept), self.sums, self.totals, finishes,
        )  # fmt: skip

    def _function(self, name: str, parameters: str, body: Callable[[], None]) -> str:
        self.pointers, self.firsts, self.row_values, self.vectors = {}, {}, {}, {}
        return self.function(f"KERNEL.{name}", parameters, body)

    def _load_arguments(self) -> None:
        layout = self.layout
        self.loaded = {"columns": self.argument("columns")}
        for d in range(len(layout.row_shape)):
            self.loaded[f"rows.{d}"] = self.argument(f"rows.{d}")
        for i, port in enumerate(layout.ports):
            self.loaded[f"p{i}"] = self.argument(f"p{i}", "ptr")
            for d in range(len(layout.row_shape)):
                if port.level in ("full", "row"):
                    self.loaded[f"p{i}.{d}"] = self.argument(f"p{i}.{d}")
            if port.shape_of_columns == "s":
                self.loaded[f"p{i}.c"] = self.argument(f"p{i}.c")
        for name in ("scratch", "sums", "totals"):
            self.loaded[name] = self.argument(name, "ptr")
            self.loaded[f"{name}.share"] = self.argument(f"{name}.share")
        self.loaded["scratch.row"] = self.argument("scratch.row")
        self.loaded["sums.row"] = self.argument("sums.row")

    def _share_of(self, name: str, share: str) -> str:
        step = self.loaded[f"{name}.share"]
        return self.offset(self.loaded[name], self.value(f"mul i64 {share}, {step}"))

    def _first(self, i: int) -> None:
        """Load the only element that a port has for a row, or at all."""
        port = self.layout.ports[i]
        if not port.out:
            kind = str(type_of(port.view))
            self.firsts[i] = self.alone(
                kind, self.load(kind, self.pointers[i], 1, None)
            )

    def alone(self, kind: str, x: str) -> str:
        """A number that all columns share; the vector of it is made outside their
        loop."""
        self.vectors[x] = self.splat(kind, x, LANES)
        return x

    def _run(self) -> None:
        layout, group = self.layout, self.group
        self._load_arguments()
        flat = not layout.row_shape
        self.scratch = self._share_of("scratch", "%share")
        sums, totals = (
            self._share_of("sums", "%share"),
            self._share_of("totals", "%share"),
        )
        for i, port in enumerate(layout.ports):
            if port.level == "scalar" or flat or port.level == "column":
                self.pointers[i] = self.loaded[f"p{i}"]
                if (port.level == "scalar" or port.shape_of_columns == "0") and (
                    not port.out
                ):
                    self._first(i)
        columns = self.loaded["columns"]
        for k, node in enumerate(self.sums):
            self._clear_sums(node, k, sums, columns)
        wide_totals = {
            node: self.variable(
                vector(self.total_kind(node), LANES),
                self._total_start(node, LANES),
            )
            for node in self.totals
            if self._pass_of(node) is not None
        }
        row_totals = {
            node: self.variable(self.total_kind(node), self._total_start(node, 1))
            for node in self.totals
            if self._pass_of(node) is None
        }
        if flat:
            self._row(sums, wide_totals, row_totals, "%begin", "%end")
        else:
            for r in self.loop("%begin", "%end", 1):
                self._point(r)
                self._row(sums, wide_totals, row_totals, "0", columns)
        for k, node in enumerate(self.totals):
            kind = self.total_kind(node)
            if node in wide_totals:
                wide = vector(kind, LANES)
                x = self.value(f"load {wide}, ptr {wide_totals[node]}")
                x = self.across(node, kind, x)
            else:
                x = self.value(f"load {kind}, ptr {row_totals[node]}")
            self.write(f"store {kind} {x}, ptr {self.offset(totals, str(8 * k))}")
        del group

    def _total_start(self, node: Node, lanes: int) -> str:
        kind = self.total_kind(node)
        return self.start_of(node, lanes).replace("float", kind)

    def _clear_sums(self, node: Node, k: int, sums: str, columns: str) -> None:
        kind = str(type_of(node))
        row = self.offset(sums, self.value(f"mul i64 {self.loaded['sums.row']}, {k}"))
        for c in self.loop("0", columns, LANES):  # rows of sums end on whole vectors
            at = self.offset(row, self.value(f"mul i64 {c}, {node.dtype.itemsize}"))
            self.write(
                f"store {vector(kind, LANES)} {self.start_of(node, LANES)}, ptr {at}, "
                "align 8"
            )

    def _point(self, r: str) -> None:
        """Find out where the arrays have row ``r``."""
        layout = self.layout
        digits, rest = [], r
        for d in reversed(range(len(layout.row_shape))):
            if d == 0:
                digits.append(rest)
                break
            n = self.loaded[f"rows.{d}"]
            digits.append(self.value(f"urem i64 {rest}, {n}"))
            rest = self.value(f"udiv i64 {rest}, {n}")
        digits.reverse()
        for i, port in enumerate(layout.ports):
            if port.level not in ("full", "row"):
                continue
            at = self.loaded[f"p{i}"]
            for d, digit in enumerate(digits):
                if port.strides[d]:
                    step = self.loaded[f"p{i}.{d}"]
                    at = self.offset(at, self.value(f"mul i64 {digit}, {step}"))
            self.pointers[i] = at
            if port.level == "row" or port.shape_of_columns == "0":
                self._first(i)

    def _row(
        self, sums: str, wide_totals: dict[Node, str], row_totals: dict[Node, str],
        start: str, stop: str,
    ) -> None:  # fmt: skip
        levels = self.group.levels
        self._row_maps(0)
        for p in range(self.passes):
            reduces = [n for n in levels if n.op == "reduce" and self._pass_of(n) == p]
            running = {
                n: self.variable(
                    vector(str(type_of(n)), LANES), self.start_of(n, LANES)
                )
                for n in reduces
                if levels[n] == "row"
            }
            whole = self.value(f"sub i64 {stop}, {LANES - 1}")
            last = self.variable("i64", start)
            for c in self.loop(start, whole, LANES):
                self._columns(p, c, None, reduces, running, sums, wide_totals)
                self.write(
                    f"store i64 {self.value(f'add i64 {c}, {LANES}')}, ptr {last}"
                )
            c = self.value(f"load i64, ptr {last}")
            rest = self.value(f"sub i64 {stop}, {c}")
            for _ in self.when(self.value(f"icmp sgt i64 {rest}, 0")):
                mask = self.value(
                    f"icmp ult <{LANES} x i64> {iota(LANES)}, "
                    f"{self.splat('i64', rest, LANES)}"
                )
                self._columns(p, c, mask, reduces, running, sums, wide_totals)
            for n, variable in running.items():
                kind = str(type_of(n))
                x = self.value(f"load {vector(kind, LANES)}, ptr {variable}")
                self.row_values[n] = self.alone(kind, self.across(n, kind, x))
                self._store_row(n)
            self._row_maps(p + 1)
        for node, variable in row_totals.items():
            kind = self.total_kind(node)
            x = self.widened(node, self.row_values[node.inputs[0]], 1)
            before = self.value(f"load {kind}, ptr {variable}")
            self.write(
                f"store {kind} {self.combine(node, kind, before, x, 1)}, ptr {variable}"
            )

    def _row_maps(self, stage: int) -> None:
        """Compute what is one for a row, as soon as it can be."""
        for node, level in self.group.levels.items():
            if level == "row" and node.op != "reduce" and self.stage[node] == stage:
                xs = [self._row_input(node, x) for x in node.inputs]
                x = self.compute(node, xs, 1)
                self.row_values[node] = self.alone(str(type_of(node)), x)
                self._store_row(node)

    def _row_input(self, node: Node, x: Node) -> str:
        seen = operand(x).node
        number = literal(seen)
        if number is not None:
            return self.number(seen, number, 1)
        if seen in self.group.levels:
            return self.row_values[seen]
        return self.firsts[self.layout.port_of[self.layout.uses[node, x]]]

    def _store_row(self, node: Node) -> None:
        if node in self.outputs:
            i = self.layout.port_of[self.layout.uses[node, node]]
            self.store(
                str(type_of(node)), self.row_values[node], self.pointers[i], 1, None
            )

    def _columns(
        self, p: int, c: str, mask: str | None, reduces: Sequence[Node],
        running: dict[Node, str], sums: str, wide_totals: dict[Node, str],
    ) -> None:  # fmt: skip
        """One vector of columns in one pass."""
        levels, layout = self.group.levels, self.layout
        known: dict[Node, str] = {}
        for node in self._roots(p):
            self.element(node, p, c, LANES, mask, known)
        for node, level in levels.items():
            if level == "full" and node in self.outputs and self.stage[node] == p:
                i = layout.port_of[layout.uses[node, node]]
                self.put(i, known[node], c, LANES, mask)
        for n in reduces:
            kind = str(type_of(n))
            wide = vector(kind, LANES)
            x = self.input(n, n.inputs[0], p, c, LANES, mask, known)
            if levels[n] == "column":
                k = self.sums.index(n)
                row = self.value(f"mul i64 {self.loaded['sums.row']}, {k}")
                at = self.offset(
                    self.offset(sums, row),
                    self.value(f"mul i64 {c}, {n.dtype.itemsize}"),
                )
                before = self.value(f"load {wide}, ptr {at}, align 8")
                after = self.combine(n, kind, before, x, LANES)
                self.write(f"store {wide} {after}, ptr {at}, align 8")
                continue
            if mask is not None:
                start = self.start_of(n, LANES)
                x = self.value(
                    f"select <{LANES} x i1> {mask}, {wide} {x}, {wide} {start}"
                )
            variable = running.get(n)
            if variable is None:
                variable, kind = wide_totals[n], self.total_kind(n)
                x, wide = self.widened(n, x, LANES), vector(kind, LANES)
            before = self.value(f"load {wide}, ptr {variable}")
            after = self.combine(n, kind, before, x, LANES)
            self.write(f"store {wide} {after}, ptr {variable}")

    def _finish(self) -> None:
        """Add up the shares; compute what follows from the sums."""
        layout, levels = self.layout, self.group.levels
        self._load_arguments()
        for i, port in enumerate(layout.ports):
            if port.level in ("scalar", "column"):
                self.pointers[i] = self.loaded[f"p{i}"]
                if port.level == "scalar" or port.shape_of_columns == "0":
                    self._first(i)
        columns = self.loaded["columns"]
        if self.sums:
            for c in self.loop("0", columns, LANES):
                rest = self.value(f"sub i64 {columns}, {c}")
                mask = self.value(
                    f"icmp ult <{LANES} x i64> {iota(LANES)}, "
                    f"{self.splat('i64', rest, LANES)}"
                )
                self._finish_columns(c, mask)
        for k, node in enumerate(self.totals):
            kind = self.total_kind(node)
            total = self.variable(kind, self._total_start(node, 1))
            for s in self.loop("0", "%shares", 1):
                at = self.offset(self._share_of("totals", s), str(8 * k))
                x = self.value(f"load {kind}, ptr {at}")
                before = self.value(f"load {kind}, ptr {total}")
                after = self.combine(node, kind, before, x, 1)
                self.write(f"store {kind} {after}, ptr {total}")
            x = self.value(f"load {kind}, ptr {total}")
            if kind != type_of(node):
                x = self.value(f"fptrunc {kind} {x} to {type_of(node)}")
            self.row_values[node] = x
        for node, level in levels.items():
            if level == "scalar":
                if node.op != "reduce":
                    xs = [self._row_input(node, x) for x in node.inputs]
                    self.row_values[node] = self.compute(node, xs, 1)
                self._store_row(node)

    def _finish_columns(self, c: str, mask: str) -> None:
        layout = self.layout
        known: dict[Node, str] = {}
        for k, node in enumerate(self.sums):
            kind = str(type_of(node))
            wide = vector(kind, LANES)
            total = self.variable(wide, self.start_of(node, LANES))
            row = self.value(f"mul i64 {self.loaded['sums.row']}, {k}")
            place = self.value(f"mul i64 {c}, {node.dtype.itemsize}")
            for s in self.loop("0", "%shares", 1):
                at = self.offset(self.offset(self._share_of("sums", s), row), place)
                x = self.value(f"load {wide}, ptr {at}, align 8")
                before = self.value(f"load {wide}, ptr {total}")
                after = self.combine(node, kind, before, x, LANES)
                self.write(f"store {wide} {after}, ptr {total}")
            known[node] = self.value(f"load {wide}, ptr {total}")
        for node, level in self.group.levels.items():
            if level != "column":
                continue
            if node.op != "reduce":
                xs = []
                for source in node.inputs:
                    seen = operand(source).node
                    number = literal(seen)
                    if number is not None:
                        xs.append(self.number(seen, number, LANES))
                    elif seen in known:
                        xs.append(known[seen])
                    else:
                        i = layout.port_of[layout.uses[node, source]]
                        xs.append(self.read(i, c, LANES, mask))
                known[node] = self.compute(node, xs, LANES)
            if node in self.outputs:
                i = layout.port_of[layout.uses[node, node]]
                self.put(i, known[node], c, LANES, mask)
