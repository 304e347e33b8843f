"""Programs: a Graph as a flat list of bound calls, and its replay.

Everything that does not change from call to call is settled here: which operations run
in one kernel, where each result lies in memory and when that memory serves another, and
the calls themselves with their arguments. What is left at each call: to fetch the
inputs, to go through the list, to hand out what the step leaves behind.
"""

from __future__ import annotations

import itertools
import math
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from dezero.backend.threads import blas_on_one_core
from dezero.compiler import blas, llvm, loops
from dezero.compiler.errors import CompileError, NonFiniteError
from dezero.compiler.fusion import Fusion, Group, base
from dezero.compiler.ir import (
    OPERATIONS,
    Array,
    Attributes,
    Graph,
    Hole,
    Node,
    apply_views,
    fill_in,
    interpret,
    line_of,
    mapped,
)
from dezero.compiler.kernel import ALIGN, LANES, CannotFuse, Kernel, Writer, knows
from dezero.compiler.state import (
    Cell,
    Effect,
    Given,
    Guard,
    Input,
    Leaf,
    NameGuard,
    Place,
    SharedGuard,
)

# What is returned is computed into an array of its own from this size on; below it, a
# copy takes less time than making the array known to the kernel.
FRESH_BYTES = 1 << 14
# So many bytes a kernel must move before a second thread pays for itself.
PARALLEL_BYTES = 256 * 1024
# Products of up to so many rows by a matrix of so many elements: of several by the same
# one, each would take most of its time to fetch and arrange it.
FEW_ROWS, PACKED_SIZE = 64, 1 << 12
PARALLEL_DEAR = 16  # a value of exp or tanh counts as so many bytes more

# Operations whose results come as they are made; and those that change a part of what
# there was: neither are computed into a place inside another array.
_ELSEWHERE = {"call", "random", "require", "item"}
_CHANGES = {"put", "scatter", "scatter_add"}
# NumPy 2.4 writes wrong values if the place for these has gaps.
_NO_GAPS = {"isfinite", "isnan", "isinf", "signbit"}

_homes: weakref.WeakValueDictionary[int, Array] = weakref.WeakValueDictionary()


class Misfit(Exception):  # noqa: N818  (another program is needed, that is all)
    """An input is not of the shape and type for which a program was made."""


class Step(NamedTuple):
    """One call of the list."""

    nodes: list[Node]  # what it computes
    call: Callable[[], Any] | None = None  # of NumPy; None: an entry of the table
    entry: int = -1  # its number there
    kernel: Kernel | None = None  # None: a product, or a call of NumPy
    entries: int = 1  # of the table, one after the other


Views = list[tuple[str, Attributes]]
Patch = tuple[Array, int, Views]  # arguments, the slot among them, what is seen there


class Span(NamedTuple):
    """A block of the arena for as long as a result is needed."""

    first: int
    last: int
    size: int


def dense(node: Node, buffer: Any = None, offset: int = 0) -> Array:
    """An array for a Node, without gaps, in its order of axes."""
    order = node.order
    shape = tuple(node.shape[i] for i in order)
    if buffer is None:
        x: Array = np.empty(shape, node.dtype)
    else:
        x = np.ndarray(shape, node.dtype, buffer, offset)
    back = [0] * len(order)
    for i, axis in enumerate(order):
        back[axis] = i
    return x.transpose(back)


def densely(x: Array, node: Node) -> Array:
    """A copy of an array, laid in memory as ``dense`` lays it."""
    copy = dense(node)
    np.copyto(copy, x)
    return copy


def _address(x: Array) -> int:
    address: int = x.__array_interface__["data"][0]
    return address


def is_dense(x: Array, node: Node) -> bool:
    """Whether an array lies in memory as ``dense`` would lay it."""
    if not x.flags.aligned or x.dtype != node.dtype:
        return False
    return x.flags.c_contiguous if node.plain else x.strides == dense(node).strides


class Program:
    """A compiled step for one signature.

    Args:
        graph: What the step computes, after the passes; its outputs are the Leaves of
            ``effects`` and ``returned``, in order.
        traced: The same before the passes, for messages.
        inputs: Where it starts from.
        effects: What it leaves behind.
        guards: What must be as it was when it was traced.
        returned: What it returns.
        variable: Makes a Variable of an array.
        profile: Whether to measure the time of every step.
        finite: Whether to raise where a number that is returned is not.
    """

    def __init__(
        self,
        graph: Graph,
        traced: Graph,
        inputs: Sequence[Cell],
        effects: Sequence[Effect],
        guards: Sequence[Guard | SharedGuard | NameGuard],
        returned: Any,
        variable: Callable[..., Any],
        profile: bool = False,
        finite: bool = True,
    ) -> None:
        self.profile = profile
        self.graph = graph
        self.traced = traced
        self.guards = guards
        self.effects = list(effects)
        self.returned = returned
        self._variable = variable
        used = {x for node in graph.nodes for x in node.inputs} | set(graph.outputs)
        cells = [cell for cell in inputs if cell.node in used]
        # Not the cells themselves: they hold every number of the traced run.
        self.inputs = [Input(cell.node, cell.place) for cell in cells]
        self.native = llvm.native()
        # Gradients that the step clears before it makes new ones: their memory is free.
        read = {cell.place.key for cell in self.inputs}
        read |= {
            ("attribute", id(g.owner.object), g.name, ())
            for g in guards
            if isinstance(g, Guard)
        }
        self.forgotten = [
            effect.place
            for effect in effects
            if effect.place.kind == "attribute"
            and effect.place.name == "grad"
            and effect.place.key not in read
        ]
        self.losses = [
            leaf.node
            for leaf in leaves_of(returned)
            if finite and leaf.node.size == 1 and leaf.node.dtype.kind == "f"
        ]
        self._plan(cells)

    def admits(self, leaves: list[Any]) -> bool:
        """Whether all that decided something while tracing is still the same."""
        return all(guard.holds(leaves) for guard in self.guards)

    # -- the plan ---------------------------------------------------------------------

    def _plan(self, cells: Sequence[Cell]) -> None:
        self.homes: dict[Node, Array] = {}
        self.why_numpy: dict[Node, str] = {}
        self.loops: dict[Node, list[loops.Call]] = {}
        self.fusion = Fusion(self.graph, self._kernel_knows)
        self.repeated = self._find_repeated()
        self.packed: set[tuple[Node, int]] = set()  # by a call that came before
        self._find_homes()
        self.wanted = self._materialized()
        self._find_fresh()
        self._find_containers()
        self.kernels: list[Kernel] = []
        groups = self._written_kernels()
        if self.native is not None:
            own = (call.loop for call in itertools.chain(*self.loops.values()))
            self.native.compile([*self.kernels, *own])
        self._assign_memory(groups)
        self._bind(groups, cells)
        self._probes.clear()

    def _kernel_knows(self, node: Node) -> bool:
        if self.native is None:
            self.why_numpy[node] = llvm.reason_without()
            return False
        if knows(node):
            return True
        self.why_numpy[node] = f"kernels do not know {node.name} of {node.dtype}"
        return False

    def _find_homes(self) -> None:
        """Which state can be written where it is, as soon as nobody needs the old."""
        self.in_place: dict[Node, Node] = {}  # new state: old state
        self.state: dict[Node, list[Place]] = {}  # old state: where it is kept
        given = {cell.node for cell in self.inputs}
        readers: dict[Node, list[Group]] = {}
        fusion = self.fusion
        for group in fusion.groups:
            for node in group.levels:
                for x in node.inputs:
                    readers.setdefault(base(x), []).append(group)
        outputs = {base(node) for node in self.graph.outputs}
        checks = [
            fusion.group_of[base(node)]
            for node in self.losses
            if base(node) in fusion.group_of
        ]
        checks += [fusion.group_of[n] for n in self.graph.nodes if n.op == "require"]
        for effect in self.effects:
            old, value = effect.before, effect.value
            if not isinstance(value, Leaf) or old is None or value.kind != "array":
                continue
            new = value.node
            if (new.shape, new.dtype) != (old.shape, old.dtype):
                continue
            self.state.setdefault(old, []).append(effect.place)
            writer = fusion.group_of.get(new)
            if (
                old not in given
                or new in self.in_place
                or old in self.in_place.values()
                or old in outputs
                or writer is None
                or writer.closed
                or writer.levels[new] != "full"
                or any(level == "row" for level in writer.levels.values())
                or new.order != old.order
            ):
                continue
            if self._reads_elsewhere(writer, old):
                continue
            earlier = {g for g in (*readers.get(old, ()), *checks) if g is not writer}
            if writer in checks or any(fusion.reaches(g, writer) for g in earlier):
                continue
            fusion.require_before(writer, earlier)
            self.in_place[new] = old

    @staticmethod
    def _reads_elsewhere(writer: Group, old: Node) -> bool:
        """Whether a kernel reads the old state at other places than it writes."""
        return any(
            base(x) is old
            and (x is not old or node.op == "reduce" or node.shape != old.shape)
            for node in writer.levels
            for x in node.inputs
        )

    def _written_kernels(self) -> list[tuple[Group, Kernel | None]]:
        """Each Group in order, with its kernel; without one it is run call by call."""
        groups: list[tuple[Group, Kernel | None]] = []
        arrays = self._probes = _Probes(self.inside)
        for group in self.fusion.ordered():
            if group.closed:
                groups.append((group, None))
                for node in group.levels:
                    self._write_loops(node)
                continue
            outputs = {node for node in group.levels if node in self.wanted}
            try:
                kernel = Writer(group, arrays, outputs).kernel()
            except CannotFuse:
                for node in group.levels:
                    self.why_numpy[node] = "its operands lie crosswise in memory"
                groups.append((group, None))
                self.wanted.update(group.levels)
                for node in group.levels:
                    self.fresh.pop(node, None)
                    self.wanted.update(base(x) for x in node.inputs)
                continue
            groups.append((group, kernel))
            self.kernels.append(kernel)
        return groups

    def _write_loops(self, node: Node) -> None:
        """What adds up products natively, as calls of loops."""
        windows = node.op in loops.CONVOLUTIONS and self._has_place(node)
        if self.native is None or not (windows or node in self.repeated):
            return
        arrays = [self._probes[x] for x in (*node.inputs, node)]
        registers, threads = self.native.registers, self.native.pool.threads
        if windows:
            self.loops[node] = loops.of_windows(
                node.op, node.attrs, arrays, registers, threads
            )
            return
        calls = loops.of_product(arrays, registers)
        if calls:
            matrix = node.inputs[1], calls[0].packed_vectors
            self.loops[node] = calls[1:] if matrix in self.packed else calls
            self.packed.add(matrix)

    def _find_repeated(self) -> set[Node]:
        """Products of few rows by one matrix, such as those of the steps of a sequence,
        each of which needs the one before: the matrix is packed once for all."""
        by_right: dict[Node, list[Node]] = {}
        for node in self.graph.nodes:
            if node.op == "matmul" and all(len(x.shape) == 2 for x in node.inputs):
                x, W = node.inputs
                if x.shape[0] <= FEW_ROWS and W.size >= PACKED_SIZE:
                    by_right.setdefault(W, []).append(node)
        many = [nodes for nodes in by_right.values() if len(nodes) >= loops.REPEATED]
        return set(itertools.chain(*many))

    def _has_place(self, node: Node) -> bool:
        """Whether it is computed into memory that is given to it."""
        if node.op in _ELSEWHERE:
            return False
        if node.op not in loops.CONVOLUTIONS:
            return True
        return self.native is not None and loops.knows(node)

    def _materialized(self) -> set[Node]:
        """Results that must be in memory: who reads them is not in their kernel."""
        wanted = {base(node) for node in self.graph.outputs}
        for group in self.fusion.groups:
            for node in group.levels:
                if group.closed:
                    wanted.add(node)
                for x in node.inputs:
                    if self.fusion.group_of.get(base(x)) is not group:
                        wanted.add(base(x))
        return wanted

    def _find_fresh(self) -> None:
        """Results that leave the step: each call has new arrays for them.

        What is returned, and gradients: whoever holds those of an earlier call keeps
        them. Small ones are copied, which takes less time.
        """
        leaving = [
            leaf.node
            for value in (
                self.returned,
                *(e.value for e in self.effects if not e.before),
            )
            for leaf in leaves_of(value)
        ]
        kept = {
            leaf.node for e in self.effects if e.before for leaf in leaves_of(e.value)
        }
        self.fresh: dict[Node, None] = {  # an ordered set
            node: None
            for node, times in Counter(leaving).items()
            if node.nbytes >= FRESH_BYTES
            and times == 1
            and node not in kept
            and node in self.fusion.group_of
            and self._has_place(node)
            and (node.kind == "product" or not self.fusion.group_of[node].closed)
        }

    def _find_containers(self) -> None:
        """Results that can be computed right where a concatenation would put them."""
        self.inside: dict[Node, tuple[Node, Views]] = {}
        self.there: set[tuple[Node, int]] = set()  # parts that need no copy
        users = self.graph.users()
        for node in self.graph.nodes:
            joins = node.op == "concatenate" and node.plain
            if not joins and node.op != "assemble":
                continue
            for number, (part, index) in enumerate(_parts(node)):
                if self._place_inside(node, part, index, users):
                    self.there.add((node, number))

    def _place_inside(
        self, whole: Node, part: Node, index: Any, users: dict[Node, list[Node]]
    ) -> bool:
        inner = base(part)
        group = self.fusion.group_of.get(inner)
        if (
            group is None
            or inner.op in _CHANGES
            or not self._has_place(inner)
            or inner in self.in_place
            or inner in self.fresh
            or inner in self.inside
            or inner.dtype != whole.dtype
            or inner.order != whole.order
        ):
            return False
        views: Views = [("slice", {"index": index})]
        if whole.op == "assemble":
            place = np.broadcast_to(np.empty((), whole.dtype), whole.shape)[index]
            alike = part is inner and part.shape == place.shape
            if not alike or not self._takes_gaps(inner, users):
                return False
            self.inside[inner] = whole, views
            return True
        lead = math.prod(whole.shape[: whole.attrs["axis"]])
        if part is not inner:
            if lead != 1 or inner.size != part.size:
                return False
            if any(op != "reshape" for op, _ in _views(part)):
                return False
            views.append(("reshape", {"shape": inner.shape}))
        if lead != 1 and not self._takes_gaps(inner, users):
            return False
        self.inside[inner] = whole, views
        return True

    @staticmethod
    def _takes_gaps(node: Node, users: dict[Node, list[Node]]) -> bool:
        """Whether all who read a result can do so if its rows are not neighbours."""
        if getattr(node.attrs.get("ufunc"), "__name__", "") in _NO_GAPS:
            return False
        waiting = [node]
        while waiting:
            for user in users[waiting.pop()]:
                if user.op == "reshape":
                    return False
                if user.kind == "view":
                    waiting.append(user)
        return node.kind in ("map", "reduce") or len(node.shape) == 2

    def _assign_memory(self, groups: list[tuple[Group, Kernel | None]]) -> None:
        """A place for every result: its home, or a span of the arena."""
        spans: dict[Node, Span] = {}
        self.alias: dict[Node, Node] = {}
        first: dict[Node, int] = {}
        last_use: dict[Node, int] = {}
        for i, (group, _) in enumerate(groups):
            for node in group.levels:
                first[node] = i
                for x in node.inputs:
                    last_use[base(x)] = i
        for node in self.graph.outputs:
            last_use[base(node)] = len(groups)
        for node, (whole, _) in self.inside.items():
            while True:  # a container may lie in another
                first[whole] = min(first[whole], first[node])
                last_use[whole] = max(last_use.get(whole, 0), last_use.get(node, 0))
                if whole not in self.inside:
                    break
                whole = self.inside[whole][0]
        self.slots: dict[Node, Any] = {}  # of what comes anew at each call
        for i, (group, _) in enumerate(groups):
            for node in group.levels:
                if node not in self.wanted and not group.closed:
                    continue
                if not self._has_place(node):
                    continue
                if node in self.in_place or node in self.inside or node in self.fresh:
                    continue
                last = max(i, last_use.get(node, i))
                if node.op in ("put", "scatter", "scatter_add"):
                    below = base(node.inputs[0])
                    root = self._root(below)
                    if (
                        node.inputs[0] is below
                        and last_use.get(below) == i
                        and root in spans
                        and spans[root].last <= i
                        and below.order == node.order
                    ):
                        self.alias[node] = root
                        spans[root] = spans[root]._replace(last=last)
                        continue
                spans[node] = Span(first[node], last, node.nbytes)
        offsets, total = _packed(spans)
        self.arena = np.empty(total + ALIGN, np.uint8)
        start = -self.arena.ctypes.data % ALIGN
        self.arrays: dict[Node, Array] = {}
        for node, offset in offsets.items():
            self.arrays[node] = dense(node, self.arena.data, start + offset)
        for node in self.inside:
            self._array_inside(node)
        for node, root in self.alias.items():
            self.arrays[node] = self.arrays[root]

    def _array_inside(self, node: Node) -> Array:
        if node not in self.arrays:
            whole, views = self.inside[node]
            self.arrays[node] = apply_views(self._array_inside(whole), views)
        return self.arrays[node]

    def _root(self, node: Node) -> Node:
        return self.alias.get(node, node)

    # -- calls ------------------------------------------------------------------------

    def _bind(
        self, groups: list[tuple[Group, Kernel | None]], cells: Sequence[Cell]
    ) -> None:
        self.patches: dict[Node, list[Patch]] = {}
        for cell in cells:
            if cell.node in self.state:
                self._settle(cell)
        for new, old in self.in_place.items():
            self.arrays[new] = self.homes[old]
        self.steps: list[Step] = []
        self.args: list[Array] = []
        self._keep: list[Any] = []
        self._shared: dict[Any, int] = {}  # addresses
        table: list[list[int]] = []
        for group, kernel in groups:
            if kernel is not None:
                self.steps.append(Step(group.nodes, None, len(table), kernel))
                table.append(self._entry(group, kernel))
                continue
            for node in group.levels:
                if node in self.loops:
                    entries = self._loop_entries(node)
                    step = Step([node], None, len(table), None, len(entries))
                    self.steps.append(step)
                    table += entries
                    continue
                product = self._product(node)
                if product is not None:
                    self.steps.append(Step([node], None, len(table)))
                    table.append(product)
                elif not self._is_there(node):
                    self.steps.append(Step([node], self._numpy_call(node)))
        self.table = np.array(table, np.int64).reshape(-1, 5)
        self._checks()
        self._place_forgetting()
        self.seconds = [0.0] * len(self.steps)  # of each step, if they are measured
        self.calls = self._timed() if self.profile else self._batched()
        for one in self.inputs:
            self.slots.setdefault(one.node, None)

    def _is_there(self, node: Node) -> bool:
        """Whether all parts of an array were computed in their places."""
        return node.op in ("concatenate", "assemble") and all(
            (node, number) in self.there for number in range(len(node.inputs))
        )

    def _settle(self, cell: Cell) -> None:
        """An array of our own for state that the step writes."""
        if _homes.get(id(cell.array)) is cell.array and is_dense(cell.array, cell.node):
            home = cell.array  # another program of this step made it
        else:
            home = densely(cell.array, cell.node)
            _homes[id(home)] = home
        self.homes[cell.node] = home
        self.arrays[cell.node] = home

    def _product(self, node: Node) -> list[int] | None:
        """A matrix product as an entry of the table, if BLAS can be called natively."""
        if node.op != "matmul" or self.native is None:
            return None
        operands = (*node.inputs, node)
        probes = [self._probes[x] for x in operands]
        found = blas.product(probes[0], probes[1], probes[2])
        if found is None:
            return None
        args = np.array(found.args, np.int64)
        for slot, x in zip((blas.A, blas.B, blas.C), operands, strict=True):
            self._point(args, slot, x)
        self.args.append(args)
        threads = self.native.pool.threads if found.parallel else 1
        run = self.native.address(found.run)
        return [run, 0, args.ctypes.data, found.parts, threads]

    def _loop_entries(self, node: Node) -> list[list[int]]:
        """The calls of its loops as entries of the table."""
        native, entries = self.native, []
        assert native is not None
        for call in self.loops[node]:
            loop = call.loop
            args = np.zeros(max(len(loop.slots), 1), np.int64)
            for name, slot in loop.slots.items():
                if name == "scratch.share":
                    args[slot] = loop.scratch
                elif name == "scratch":
                    args[slot] = self._common("scratch")
                elif name == "packed":
                    matrix = node.inputs[1], call.packed_vectors
                    whose = matrix if node in self.repeated else "packed"
                    args[slot] = self._common(whose, call.packed_bytes)
                else:
                    operand = (*node.inputs, node)[call.places[name]]
                    self._point(args, slot, operand)
            self.args.append(args)
            run = native.address(f"{loop.name}.run")
            finish = native.address(f"{loop.name}.finish") if loop.finishes else 0
            threads = native.pool.threads if call.parallel else 1
            entries.append([run, finish, args.ctypes.data, call.parts, threads])
        return entries

    def _common(self, whose: tuple[Node, int] | str, size: int = 0) -> int:
        """The address of memory that several calls have, one after the other."""
        if whose not in self._shared:
            assert self.native is not None
            calls = list(itertools.chain(*self.loops.values()))
            if whose == "packed":
                size = max(call.packed_bytes for call in calls)
            elif whose == "scratch":
                size = max(call.loop.scratch for call in calls)
                size *= self.native.pool.threads
            memory = np.zeros(size + ALIGN, np.uint8)
            self._keep.append(memory)
            self._shared[whose] = _address(memory) + -_address(memory) % ALIGN
        return self._shared[whose]

    def _point(self, args: Array, slot: int, x: Node) -> None:
        """Have a slot of the arguments hold the address of a result at every call."""
        array, dynamic = self._static(x)
        if dynamic is not None:
            self.patches.setdefault(dynamic, []).append((args, slot, _views(x)))
        else:
            assert array is not None
            self._keep.append(array)
            args[slot] = _address(array)

    def _entry(self, group: Group, kernel: Kernel) -> list[int]:
        """A kernel with its arguments: an entry of the table of calls."""
        layout, native = kernel.layout, self.native
        assert native is not None
        threads = native.pool.threads
        args = np.zeros(max(len(kernel.slots), 1), np.int64)
        values = {"columns": layout.columns}
        for d, n in enumerate(layout.row_shape):
            values[f"rows.{d}"] = n
        for i, port in enumerate(layout.ports):
            for d, stride in enumerate(port.strides[:-1]):
                values[f"p{i}.{d}"] = stride
            values[f"p{i}.c"] = port.strides[-1]
            if f"p{i}" in kernel.slots:
                self._point(args, kernel.slots[f"p{i}"], port.view)
        wide = max([8, *(n.dtype.itemsize for n in group.levels)])
        row = -(-layout.columns // LANES) * LANES * wide + ALIGN
        for name, rows in (
            ("scratch", kernel.scratch),
            ("sums", len(kernel.sums)),
            ("totals", 1 if kernel.totals else 0),
        ):
            size = row * rows if name != "totals" else 8 * len(kernel.totals) + ALIGN
            if not rows:
                size = 0
            memory = np.zeros(size * threads + ALIGN, np.uint8)
            self._keep.append(memory)
            values[name] = memory.ctypes.data + -memory.ctypes.data % ALIGN
            values[f"{name}.share"] = size
            values[f"{name}.row"] = row
        for name, slot in kernel.slots.items():
            if name in values:
                args[slot] = values[name]
        self.args.append(args)
        rows = layout.columns if kernel.flat else layout.rows
        finish = native.address(f"{kernel.name}.finish") if kernel.finishes else 0
        return [
            native.address(f"{kernel.name}.run"),
            finish,
            args.ctypes.data,
            rows,
            threads if self._work(group, kernel) >= PARALLEL_BYTES else 1,
        ]

    @staticmethod
    def _work(group: Group, kernel: Kernel) -> int:
        """What a kernel has to do, in bytes moved or as good as moved."""
        moved = sum(
            port.view.nbytes if port.strides[-1] else 0 for port in kernel.layout.ports
        )
        return moved + len(kernel.wanted) * group.size * PARALLEL_DEAR

    def _static(self, node: Node) -> tuple[Array | None, Node | None]:
        """The array that a Node always is; or the Node it is a view of, if that comes
        anew at each call."""
        root = base(node)
        if root in self.arrays:
            pass
        elif root.op == "full":
            self.arrays[root] = OPERATIONS["full"].run(root.attrs)
        elif root.op == "constant":
            self.arrays[root] = np.require(root.attrs["value"], requirements="A")
        else:
            return None, root
        return _seen(self.arrays[root], node), None

    def _reader(self, node: Node) -> Callable[[], Array]:
        """A function that gives the array of a Node at the time."""
        array, dynamic = self._static(node)
        if dynamic is None:
            return lambda: array  # type: ignore[return-value]
        slots, views = self.slots, _views(node)
        if not views:
            return lambda: slots[dynamic]
        return lambda: apply_views(slots[dynamic], views)

    def _numpy_call(self, node: Node) -> Callable[[], Any]:
        """An operation as a call of NumPy, into its place where that is planned."""
        inputs = [self._static(x) for x in node.inputs]
        fixed = all(dynamic is None for _, dynamic in inputs)
        attrs, slots = node.attrs, self.slots
        readers = [self._reader(x) for x in node.inputs]
        if node.op == "require":
            error, (condition, x) = attrs["error"], readers

            def check() -> None:
                if not condition():
                    raise error(x().min(), x().max())

            return check
        if node.op == "item":
            number, (parts,) = attrs["number"], readers

            def pick() -> None:
                self._deliver(node, self._fresh(parts()[number], node))

            return pick
        if not self._has_place(node):
            run = OPERATIONS[node.op].run

            def call() -> None:
                operands = [r() for r in readers]
                result = run(attrs, *operands)
                self._deliver(node, self._fresh(result, node, operands))

            return call
        arrays = [array for array, _ in inputs]
        if node in self.fresh:
            x, y = readers
            return lambda: np.matmul(x(), y(), slots[node])
        out = self.arrays[node]
        if node.op == "matmul":
            if fixed:
                return _bound(np.matmul, *arrays, out)
            x, y = readers
            return lambda: np.matmul(x(), y(), out)
        if node.op == "map":
            ufunc = attrs["ufunc"]
            if fixed:
                return lambda: ufunc(*arrays, out=out)
            return lambda: ufunc(*[r() for r in readers], out=out)
        if node.op == "reduce":
            reduce, axes, kept = attrs["ufunc"].reduce, attrs["axes"], attrs["keepdims"]
            (x,) = readers
            return lambda: reduce(x(), axes, None, out, kept)
        if node.op in ("cast", "copy"):
            (x,) = readers
            return lambda: np.copyto(out, x(), "unsafe")
        if node.op == "where":
            c, x, y = readers

            def choose() -> None:
                if np.shares_memory(out, x()):
                    np.copyto(out, np.where(c(), x(), y()))
                    return
                np.copyto(out, y())
                np.copyto(out, x(), where=c())

            return choose
        if node.op in ("concatenate", "assemble"):
            return self._concatenation(node, readers, out)
        if node.op == "gather":
            x, *indices = readers

            def gather() -> None:
                np.copyto(out, x()[fill_in(attrs["index"], [r() for r in indices])])

            return gather
        return self._write_call(node, readers, out)

    def _concatenation(
        self, node: Node, readers: Sequence[Callable[[], Array]], out: Array
    ) -> Callable[[], Any]:
        """Copies of the parts that are not there already."""
        copies = [
            (out[index], reader)
            for number, ((_, index), reader) in enumerate(
                zip(_parts(node), readers, strict=True)
            )
            if (node, number) not in self.there
        ]

        def copy() -> None:
            for place, reader in copies:
                np.copyto(place, reader())

        return copy

    def _write_call(
        self, node: Node, readers: Sequence[Callable[[], Array]], out: Array
    ) -> Callable[[], Any]:
        """An operation that changes a part of what there was."""
        below, value, *indices = readers
        attrs, start = node.attrs, node.inputs[0]
        if node in self.alias:
            prepare: Callable[[], Any] = lambda: None  # noqa: E731
        elif start.op == "full":
            prepare = _bound(out.fill, start.attrs["value"])
        else:
            prepare = lambda: np.copyto(out, below())  # noqa: E731
        if node.op == "put":
            part = apply_views(out, attrs["views"])

            def put() -> None:
                prepare()
                np.copyto(part, value())

            return put
        adds = node.op == "scatter_add"
        if adds and self._adds_rows(node):
            return self._add_rows_call(prepare, readers, out)

        def scatter() -> None:
            prepare()
            index = fill_in(attrs["index"], [r() for r in indices])
            if adds:
                np.add.at(out, index, value())
            else:
                out[index] = value()

        return scatter

    def _adds_rows(self, node: Node) -> bool:
        """Whether whole rows are added where one array of indices says: embeddings."""
        x, value, *indices = node.inputs
        return (
            self.native is not None
            and x.dtype.str[1:] in self.native.add_rows
            and isinstance(node.attrs["index"], Hole)
            and indices[0].dtype == np.int64
            and bool(x.shape)
            and value.shape == indices[0].shape + x.shape[1:]
            and node.plain
        )

    def _add_rows_call(
        self,
        prepare: Callable[[], Any],
        readers: Sequence[Callable[[], Array]],
        out: Array,
    ) -> Callable[[], Any]:
        assert self.native is not None
        add_rows = self.native.add_rows[out.dtype.str[1:]]
        _, value, index = readers
        n, width = len(out), math.prod(out.shape[1:])
        address = out.ctypes.data

        def add() -> None:
            prepare()
            rows, at = map(np.ascontiguousarray, (value(), index()))
            bad = add_rows(address, _address(rows), _address(at), at.size, width, n)
            if bad >= 0:
                raise IndexError(
                    f"index {at.reshape(-1)[bad]} is out of bounds for axis 0 with "
                    f"size {n}"
                )

        return add

    def _fresh(self, result: Any, node: Node, operands: Sequence[Any] = ()) -> Any:
        """What a call returned, as its users expect it in memory: its own memory, as
        that of its operands may serve others before it is read."""
        if isinstance(result, (tuple, list)):
            return [_own(np.asarray(part), operands) for part in result]
        result = _own(np.asarray(result), operands)
        if result.shape != node.shape or result.dtype != node.dtype:
            raise CompileError(
                f"compile: expected {node.name} to give {node.dtype} of shape "
                f"{node.shape}, as when it was traced, got {result.dtype} of shape "
                f"{result.shape}",
                place=node.place,
            )
        return result if is_dense(result, node) else densely(result, node)

    def _deliver(self, node: Node, array: Any) -> None:
        """Put what comes anew where all that read it will look."""
        self.slots[node] = array
        for args, slot, views in self.patches.get(node, ()):
            args[slot] = _address(apply_views(array, views))

    def _checks(self) -> None:
        """A look at the loss as soon as it is known, before any state is written."""
        for node in dict.fromkeys(self.losses):
            read = self._reader(node)
            root = base(node)
            places = [i for i, step in enumerate(self.steps) if root in step.nodes]
            if not places:
                continue

            def check(read: Callable[[], Array] = read, node: Node = node) -> None:
                if not math.isfinite(read().item()):
                    raise self._not_finite(node)

            self.steps.insert(places[0] + 1, Step([], check))

    def _place_forgetting(self) -> None:
        """After the last check, if no new gradient is needed before."""
        returned = {leaf.node for leaf in leaves_of(self.returned)}
        late = {node for node in self.fresh if node not in returned}
        checks = [
            i
            for i, step in enumerate(self.steps)
            if not step.nodes or step.nodes[0].op == "require"
        ]
        at = max(checks, default=-1) + 1
        if any(node in late for step in self.steps[:at] for node in step.nodes):
            late.clear()
        else:
            self.steps.insert(at, Step([], self._forget))
        self.renewed_first = [node for node in self.fresh if node not in late]
        self.renewed_late = [node for node in self.fresh if node in late]

    def _timed(self) -> list[Callable[[], Any]]:
        """The list of calls, each of which measures itself."""

        def timed(i: int, call: Callable[[], Any]) -> Callable[[], None]:
            def run() -> None:
                start = time.perf_counter()
                call()
                self.seconds[i] += time.perf_counter() - start

            return run

        return [
            timed(i, step.call or self._kernel_call(step.entry, step.entries))
            for i, step in enumerate(self.steps)
        ]

    def _kernel_call(self, first: int, count: int) -> Callable[[], Any]:
        """Some kernels in a row as one native call."""
        native = self.native
        assert native is not None
        at = self.table.ctypes.data + first * 5 * 8
        return _bound(native.run_table, native.pool.address, at, count)

    def _batched(self) -> list[Callable[[], Any]]:
        """The list of calls; kernels in a row are one call."""
        calls: list[Callable[[], Any]] = []
        first = count = 0

        def flush() -> None:
            nonlocal count
            if count:
                calls.append(self._kernel_call(first, count))
                count = 0

        for step in self.steps:
            if step.call is None:
                if not count:
                    first = step.entry
                count += step.entries
            else:
                flush()
                calls.append(step.call)
        flush()
        return calls

    # -- replay -----------------------------------------------------------------------

    def __call__(self, leaves: list[Any]) -> Any:
        """Run it on the arguments and the state as they are now."""
        slots, homes = self.slots, self.homes
        self._leaves = leaves
        moved: list[tuple[Input, Array, Array]] = []
        for cell in self.inputs:
            node = cell.node
            value = cell.place.get(leaves)
            home = homes.get(node)
            if home is not None and value is home:
                continue
            if type(value) is not np.ndarray:
                value = np.asarray(value, None if home is not None else node.dtype)
            if value.shape != node.shape or value.dtype != node.dtype:
                raise Misfit(
                    f"{cell.place} was {node.dtype}{list(node.shape)} and is "
                    f"{value.dtype}{list(value.shape)}"
                )
            if home is not None:
                moved.append((cell, home, value))
                continue
            if slots[node] is value:
                continue
            self._deliver(
                node, value if is_dense(value, node) else densely(value, node)
            )
        for cell, home, value in moved:  # state that was replaced from outside
            np.copyto(home, value)
            for place in self.state[cell.node]:
                place.set(leaves, home)
        self._renew(self.renewed_first)
        with np.errstate(all="ignore"), blas_on_one_core():
            for call in self.calls:
                call()
        return self._hand_out(leaves)

    def _renew(self, nodes: Sequence[Node]) -> None:
        """New arrays for results that leave the step."""
        for node in nodes:
            self._deliver(node, dense(node))

    def _forget(self) -> None:
        """Let go of the gradients of the last call, and make place for new ones.

        All checks are over by now: an error leaves the old gradients where they are.
        """
        for place in self.forgotten:
            place.set(self._leaves, None)
        self._renew(self.renewed_late)

    def _value(self, node: Node) -> Array:
        array, dynamic = self._static(node)
        if dynamic is None:
            assert array is not None
            return array
        return _seen(self.slots[dynamic], node)

    def _hand_out(self, leaves: list[Any]) -> Any:
        """Copy what leaves the program before any state is written over."""
        returned = self._made(self.returned)
        values: list[Any] = []
        for effect in self.effects:
            value = effect.value
            if not self._has_home(effect):
                values.append(self._made(value))
            elif self.in_place.get(value.node) is effect.before:
                values.append(None)
            else:
                array = self._value(value.node)
                values.append(array.copy() if base(value.node) in self.homes else array)
        for effect, value in zip(self.effects, values, strict=True):
            if not self._has_home(effect):
                effect.place.set(leaves, value)
                continue
            assert effect.before is not None
            home = self.homes[effect.before]
            if value is not None:
                np.copyto(home, value)
            if effect.place.kind != "item":
                effect.place.set(leaves, home)
        return returned

    def _has_home(self, effect: Effect) -> bool:
        return isinstance(effect.value, Leaf) and effect.before in self.homes

    def _made(self, value: Any) -> Any:
        """A structure with arrays, numbers and Variables in place of its Leaves."""
        return mapped(value, self._made_of)

    def _made_of(self, leaf: Any) -> Any:
        if isinstance(leaf, Given):
            return self._leaves[leaf.argument]
        if not isinstance(leaf, Leaf):
            return leaf
        array = self._value(leaf.node)
        if leaf.kind == "number":
            return array.item()
        if leaf.node in self.fresh:
            del self.slots[leaf.node]  # it is the caller's now
        else:
            array = array.copy()
        if leaf.kind == "array":
            return array
        variable = self._variable(array, leaf.name, leaf.requires_grad)
        if leaf.grad is not None:
            variable.grad = self._made_of(leaf.grad)
        return variable

    def _not_finite(self, node: Node) -> NonFiniteError:
        """Find the operation whose result is the first that is not finite."""
        given = {}
        for cell in self.inputs:
            home = self.homes.get(cell.node)
            given[cell.node] = self.slots[cell.node] if home is None else home
        for other, value in self.slots.items():
            if value is not None:
                given.setdefault(other, value)
        for cell in self.inputs:
            x = given[cell.node]
            if x.dtype.kind == "f" and not np.isfinite(x).all():
                return NonFiniteError(
                    f"compile: expected a finite loss, got one that is not, as "
                    f"{cell.place} is not: {_statistics(x)}\n  nothing was updated"
                )
        results = interpret(self.graph, given)
        names = {n: f"%{i}" for i, n in enumerate(self.graph.nodes)}
        first = node
        while True:  # to where it came from: infinity that led to nothing is no fault
            bad = [x for x in first.inputs if _is_bad(x, results[x])]
            if not bad:
                break
            first = next((x for x in bad if np.isnan(results[x]).any()), bad[0])
        operands = "".join(
            f"\n    {names[x]} {_statistics(results[x])}" for x in first.inputs
        )
        return NonFiniteError(
            f"compile: expected a finite loss, got {results[node].item()}; the first "
            f"NaN or infinity is the result of\n  {line_of(first, names)}\n"
            f"  {_statistics(results[first])}\n  in {first.place}\n  from{operands}\n"
            "  nothing was updated"
        )


def _is_bad(node: Node, x: Any) -> bool:
    """Whether a result has NaN or infinity that nobody wrote down as a constant."""
    return (
        node.op not in ("full", "constant")
        and isinstance(x, np.ndarray)
        and x.dtype.kind == "f"
        and not np.isfinite(x).all()
    )


def _own(x: Array, operands: Sequence[Any]) -> Array:
    """``x``, or a copy if it sees memory of the operands."""
    return x.copy("K") if any(np.may_share_memory(x, y) for y in operands) else x


class _Probes(dict):  # type: ignore[type-arg]
    """Arrays as kernels will find them, made when asked for, in memory nobody uses."""

    def __init__(self, inside: dict[Node, tuple[Node, Views]]) -> None:
        self._inside = inside

    def __missing__(self, node: Node) -> Array:
        if node.kind == "view" and node.inputs:
            found = _seen(self[base(node)], node)
        elif node in self._inside:
            whole, views = self._inside[node]
            found = apply_views(self[whole], views)
        else:
            found = dense(node)
        self[node] = found
        return found


def _parts(node: Node) -> Iterator[tuple[Node, tuple[Any, ...]]]:
    """The parts that make an array, each with the index of its place there."""
    if node.op == "assemble":
        yield from zip(node.inputs, node.attrs["places"], strict=True)
        return
    axis, start = node.attrs["axis"], 0
    for part in node.inputs:
        stop = start + part.shape[axis]
        yield part, (*(slice(None),) * axis, slice(start, stop), ...)
        start = stop


def _views(node: Node) -> Views:
    """The views that lead from the memory behind a Node to it."""
    views = []
    while node.kind == "view" and node.inputs:
        views.append((node.op, node.attrs))
        node = node.inputs[0]
    return views[::-1]


def _seen(array: Array, node: Node) -> Array:
    seen: Array = apply_views(array, _views(node))
    return seen


def _bound(function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    return lambda: function(*args)


def _statistics(x: Any) -> str:
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f" or not x.size:
        return f"{getattr(x, 'dtype', type(x).__name__)}{list(np.shape(x))}"
    finite = x[np.isfinite(x)]
    low, high = (finite.min(), finite.max()) if finite.size else (np.nan, np.nan)
    return (
        f"{x.dtype}{list(x.shape)}: from {low:.6g} to {high:.6g}, "
        f"{int(np.isnan(x).sum())} NaN, {int(np.isinf(x).sum())} infinite"
    )


def _packed(spans: dict[Node, Span]) -> tuple[dict[Node, int], int]:
    """Offsets in one block of memory; what does not live together may share bytes."""
    offsets: dict[Node, int] = {}
    first, last, start, stop = np.zeros((4, len(spans)), np.int64)
    for n, node in enumerate(sorted(spans, key=lambda node: -spans[node].size)):
        span = spans[node]
        size = -(-span.size // ALIGN) * ALIGN
        there = (first[:n] <= span.last) & (span.first <= last[:n])
        order = np.argsort(start[:n][there], kind="stable")
        begins, ends = start[:n][there][order], stop[:n][there][order]
        taken = np.maximum.accumulate([0, *ends])  # up to the end of each
        fits = np.flatnonzero(begins - taken[:-1] >= size)
        at = int(taken[fits[0]] if fits.size else taken[-1])
        offsets[node] = at
        first[n], last[n], start[n], stop[n] = span.first, span.last, at, at + size
    return offsets, int(stop.max(initial=0))


def leaves_of(value: Any) -> list[Leaf]:
    """The Leaves of a structure, in order; the gradient of one comes after it."""
    found: list[Leaf] = []

    def look(x: Any) -> None:
        while isinstance(x, Leaf):
            found.append(x)
            x = x.grad

    mapped(value, look)
    return found


def with_nodes(value: Any, nodes: Iterator[Node]) -> Any:
    """A structure whose Leaves stand for the next of ``nodes``."""

    def renewed(x: Any) -> Any:
        if not isinstance(x, Leaf):
            return x
        node = next(nodes)
        return replace(x, node=node, grad=None if x.grad is None else renewed(x.grad))

    return mapped(value, renewed)
