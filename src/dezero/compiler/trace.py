"""Tracing: run a step once with arrays that note what is done to them.

A ``Tracer`` speaks NumPy's protocols. Behind it stands a ``Storage``: the memory that
it and its views share. What is written into that memory becomes a new Node, so the
Graph has no writes, whatever the step did in place. Beside the Nodes real numbers flow
along: they give every shape, and run whatever NumPy function a step may call.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import sysconfig
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from dezero.backend.convolution import convolve, convolve_transposed, correlate
from dezero.backend.tracing import TracedArray
from dezero.compiler.errors import CompileError
from dezero.compiler.ir import (
    Array,
    Attributes,
    Graph,
    Hole,
    Node,
    mapped,
    memory_order,
    run,
)

PACKAGE = str(Path(__file__).resolve().parent.parent)
COMPILER = str(Path(__file__).resolve().parent)
LIBRARY = str(Path(np.__file__).resolve().parent)

LARGE_BYTES = 1 << 24  # of an array that is not looked at in full


def users_place() -> str:
    """The line of the user's program that is running: ``file:line``."""
    frame = sys._getframe(1)
    outermost = frame
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((PACKAGE, LIBRARY, "<")):
            return f"{file}:{frame.f_lineno}"
        outermost, frame = frame, frame.f_back  # type: ignore[assignment]
    return f"{outermost.f_code.co_filename}:{outermost.f_lineno}"


def fingerprint(x: Array) -> int:
    """A number that tells whether an array was written."""
    if x.dtype.hasobject:
        return 0
    if x.nbytes > LARGE_BYTES:  # a part of it, spread over all
        x = x.reshape(-1)[:: x.nbytes // LARGE_BYTES + 1]
    return zlib.crc32(np.ascontiguousarray(x).view(np.uint8).reshape(-1).data)


class Storage:
    """Memory that several Tracers may see: what it holds now, and how often written."""

    __slots__ = ("bare", "node", "number", "value", "version")

    def __init__(self, node: Node, value: Array, bare: bool = False) -> None:
        self.node = node
        self.value = value
        self.version = 0
        self.bare = bare  # an array of the program, which may not be written
        self.number = False  # what NumPy gives as a number: it has no memory to share

    def hold(self, node: Node, value: Array) -> None:
        self.node, self.value = node, value
        self.version += 1


class Tracer(NDArrayOperatorsMixin, TracedArray):
    """An array of a step that is being traced.

    It has shape and type but, unless it is made of constants alone, no values: what a
    program would read now would not be so at the next call.
    """

    __slots__ = ("_cache", "storage", "trace", "views", "weak")
    __array_priority__ = 100  # below Variable, which takes over where both meet

    def __init__(
        self,
        trace: Trace,
        storage: Storage,
        views: tuple[tuple[str, Attributes], ...] = (),
        weak: bool = False,
    ) -> None:
        self.trace = trace
        self.storage = storage
        self.views = views
        self.weak = weak  # it stands for a Python number: x * it keeps the type of x
        self._cache: tuple[int, Node, Array] | None = None

    def _now(self) -> tuple[int, Node, Array]:
        storage = self.storage
        if self._cache is None or self._cache[0] != storage.version:
            node, value = storage.node, storage.value
            for view in self.views:
                node, value = self.trace.note(view[0], [node], view[1], [value])
            self._cache = storage.version, node, value
        return self._cache

    @property
    def node(self) -> Node:
        """What it holds now."""
        self.trace.require_alive(self)
        return self._now()[1]

    @property
    def value(self) -> Array:
        """The numbers of this one run, which decide nothing but shapes."""
        return self._now()[2]

    # -- what is known of it ------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.value.dtype

    @property
    def ndim(self) -> int:
        return self.value.ndim

    @property
    def size(self) -> int:
        return self.value.size

    @property
    def itemsize(self) -> int:
        return self.value.itemsize

    @property
    def nbytes(self) -> int:
        return self.value.nbytes

    @property
    def strides(self) -> tuple[int, ...]:
        return self.value.strides

    @property
    def flags(self) -> Any:
        return self.value.flags

    @property
    def base(self) -> Any:
        return self if self.views else None

    def __len__(self) -> int:
        return len(self.value)

    def __repr__(self) -> str:
        return f"<traced array of shape {self.shape} and type {self.dtype}>"

    __hash__ = object.__hash__

    def as_number(self) -> Tracer:
        if self.weak:
            return self
        x = self.trace.cast(self, np.dtype(float if self.dtype.kind == "f" else int))
        y = Tracer(self.trace, Storage(x.node, x.value), weak=True)
        y.storage.number = True
        return y

    # -- what is not --------------------------------------------------------------

    def _read(self, how: str) -> Array:
        if self.trace.is_known(self.node):
            return self.value
        raise CompileError(
            f"{how}: expected numbers, got an array of a step that is being compiled, "
            "which has none until it runs",
            place=users_place(),
            write="return it from the step and read it there; to choose by its values "
            "write np.where(condition, a, b)",
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self._read("np.asarray(x)"), dtype=dtype)

    def __bool__(self) -> bool:
        return bool(self._read("if x, while x, x and y"))

    def __float__(self) -> float:
        return float(self._read("float(x)"))

    def __int__(self) -> int:
        return int(self._read("int(x)"))

    def __complex__(self) -> complex:
        return complex(self._read("complex(x)"))

    def __index__(self) -> int:
        return self._read("an index or a length").__index__()

    def item(self, *args: Any) -> Any:
        return self._read("x.item()").item(*args)

    def tolist(self) -> Any:
        return self._read("x.tolist()").tolist()

    def tobytes(self) -> bytes:
        return self._read("x.tobytes()").tobytes()

    def __format__(self, spec: str) -> str:
        return format(self._read("format(x)"), spec) if spec else repr(self)

    # -- elements -----------------------------------------------------------------

    def __iter__(self) -> Iterator[Tracer]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Tracer:
        trace = self.trace
        index = trace.plain_index(index)
        if _is_basic(index):
            y = self._view("slice", index=_as_view(index))
            parts = index if isinstance(index, tuple) else (index,)
            alone = len(parts) == self.ndim and all(
                isinstance(i, (int, np.integer)) for i in parts
            )
            if alone:  # an element is a number, not a view
                y = y.copy()
                y.storage.number = True
            return y
        template, arrays = trace.holes(index)
        return trace.emit("gather", [self, *arrays], {"index": template})

    def __setitem__(self, index: Any, value: Any) -> None:
        trace = self.trace
        if (
            isinstance(index, Tracer)
            and index.dtype == bool
            and index.shape
            and not trace.is_known(index.node)
        ):
            if np.shape(value):
                raise trace.data_dependent("x[mask] = values")
            mask = index
            while mask.ndim < self.ndim:
                mask = mask[..., None]
            self._write(trace.where(mask, trace.as_tracer(value, self), self))
            return
        index = trace.plain_index(index)
        if _is_basic(index):
            self._view("slice", index=_as_view(index))._write(value)
            return
        template, arrays = trace.holes(index)
        value = trace.cast(trace.as_tracer(value, self), self.dtype)
        y = trace.emit("scatter", [self, value, *arrays], {"index": template})
        self._write(y)

    def _view(self, op: str, **attrs: Any) -> Tracer:
        if self.storage.number:
            y = self.copy()
            y.storage.number = False
            return y._view(op, **attrs)
        return Tracer(self.trace, self.storage, (*self.views, (op, attrs)))

    def _write(self, value: Any) -> None:
        """Make ``value`` what this memory holds, in its type and shape."""
        trace = self.trace
        if self.storage.bare:
            raise CompileError(
                f"compile: expected the step to write into its own arrays, got a bare "
                f"array of shape {self.storage.value.shape} that it did not make",
                place=users_place(),
                write="np.zeros_like(x) for a new array, or keep state in a Variable "
                "or an attribute of a Layer",
            )
        x = trace.cast(trace.as_tracer(value, self), self.dtype)
        if x.ndim > self.ndim:
            x = x.reshape(x.shape[x.ndim - self.ndim :])
        if x.storage is self.storage and x.views == self.views:
            return
        if not self.views:
            if x.shape != self.shape:
                x = x._view("broadcast", shape=self.shape)
            if x.node.order == self.storage.node.order:
                if x.views or trace.is_shared(x.node):
                    x = trace.emit("copy", [x], {"order": "K"})
                self.storage.hold(x.node, x.value)
                return
        attrs = {"views": self.views}
        inputs = [self.storage.node, x.node]
        node, y = trace.note("put", inputs, attrs, [self.storage.value, x.value])
        self.storage.hold(node, y)

    # -- views --------------------------------------------------------------------

    def reshape(self, *shape: Any, order: str = "C", copy: Any = None) -> Tracer:
        if len(shape) == 1 and not isinstance(shape[0], (int, np.integer, Tracer)):
            shape = tuple(shape[0])
        shape = tuple(map(int, shape))
        if order == "F":
            return self.T.reshape(shape[::-1]).T
        y = self.value.reshape(shape)
        if y.size and not np.may_share_memory(y, self.value):
            return self.copy()._view("reshape", shape=y.shape)
        return self._view("reshape", shape=y.shape)

    def transpose(self, *axes: Any) -> Tracer:
        if len(axes) == 1 and (axes[0] is None or not isinstance(axes[0], int)):
            axes = tuple(axes[0]) if axes[0] is not None else ()
        if self.storage.number:
            return self
        order = tuple(int(i) % self.ndim for i in axes) or tuple(range(self.ndim))[::-1]
        return self._view("transpose", axes=order)

    @property
    def T(self) -> Tracer:  # noqa: N802
        return self.transpose()

    def swapaxes(self, a: int, b: int) -> Tracer:
        axes = list(range(self.ndim))
        axes[a], axes[b] = axes[b], axes[a]
        return self.transpose(axes)

    def squeeze(self, axis: Any = None) -> Tracer:
        y = self.value.squeeze(axis)
        return self if self.storage.number else self.reshape(y.shape)

    def ravel(self, order: str = "C") -> Tracer:
        x = self.T if order == "F" else self
        return (x if x.flags.c_contiguous else x.copy()).reshape(-1)

    def flatten(self, order: str = "C") -> Tracer:
        return (self.T if order == "F" else self).copy().reshape(-1)

    def view(self, *args: Any) -> Tracer:
        if not args or args[0] in (np.ndarray, self.dtype):
            return self._view("slice", index=...)
        dtype = np.dtype(args[0])
        if {dtype.kind, self.dtype.kind} <= {
            "i",
            "u",
        } and dtype.itemsize == self.itemsize:
            return self.astype(dtype)  # the same bits
        return self.trace.method("view", self, *args)

    # -- elementwise --------------------------------------------------------------

    def __pow__(self, other: Any) -> Any:
        # As ndarray has it: these are exact, and a hundred times faster than power.
        if type(other) in (int, float) and self.dtype.kind in "fc":
            easy = {2: np.square, 1: np.positive, 0.5: np.sqrt, -1: np.reciprocal}
            if other in easy:
                return easy[other](self)
        return np.power(self, other)

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Tracer:
        dtype = np.dtype(dtype)
        if dtype == self.dtype:
            return self if kwargs.get("copy") is False else self.copy("K")
        y = self.trace.emit("cast", [self], {"dtype": dtype})
        y.storage.number = self.storage.number
        return y

    def copy(self, order: str = "C") -> Tracer:
        y = self.trace.emit("copy", [self], {"order": order})
        y.storage.number = self.storage.number
        return y

    def __copy__(self) -> Tracer:
        return self.copy("K")

    def __deepcopy__(self, memo: Any) -> Tracer:
        return self.copy("K")

    def fill(self, value: Any) -> None:
        self._write(value)

    def clip(self, low: Any = None, high: Any = None, out: Any = None) -> Tracer:
        y: Any = self
        if low is not None and not (type(low) in (int, float) and low == -np.inf):
            y = np.maximum(y, low)
        if high is not None and not (type(high) in (int, float) and high == np.inf):
            y = np.minimum(y, high)
        y = y.copy("K") if y is self else y
        return self.trace.into(out, y)

    def round(self, decimals: int = 0, out: Any = None) -> Tracer:
        if decimals == 0:
            return self.trace.into(out, self.trace.map(np.rint, [self]))
        return self.trace.method("round", self, decimals)

    @property
    def real(self) -> Any:
        return self if self.dtype.kind != "c" else self.trace.call(np.real, (self,), {})

    @property
    def imag(self) -> Any:
        if self.dtype.kind != "c":
            return np.zeros_like(self)
        return self.trace.call(np.imag, (self,), {})

    # -- reductions ---------------------------------------------------------------

    def sum(
        self,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: Any = False,
    ) -> Tracer:
        return self.trace.into(
            out, self.trace.reduce(np.add, self, axis, dtype, keepdims)
        )

    def prod(
        self,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: Any = False,
    ) -> Tracer:
        y = self.trace.reduce(np.multiply, self, axis, dtype, keepdims)
        return self.trace.into(out, y)

    def max(self, axis: Any = None, out: Any = None, keepdims: Any = False) -> Tracer:
        y = self.trace.reduce(np.maximum, self, axis, None, keepdims)
        return self.trace.into(out, y)

    def min(self, axis: Any = None, out: Any = None, keepdims: Any = False) -> Tracer:
        y = self.trace.reduce(np.minimum, self, axis, None, keepdims)
        return self.trace.into(out, y)

    def any(self, axis: Any = None, out: Any = None, keepdims: Any = False) -> Tracer:
        y = self.trace.reduce(np.logical_or, self, axis, None, keepdims)
        return self.trace.into(out, y)

    def all(self, axis: Any = None, out: Any = None, keepdims: Any = False) -> Tracer:
        y = self.trace.reduce(np.logical_and, self, axis, None, keepdims)
        return self.trace.into(out, y)

    def mean(
        self,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: Any = False,
    ) -> Tracer:
        if dtype is None and self.dtype.kind in "iub":
            dtype = np.float64
        total = self.sum(axis, dtype, keepdims=keepdims)
        count = self.size // max(total.size, 1)
        return self.trace.into(out, total / count)

    def var(
        self,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        ddof: Any = 0,
        keepdims: Any = False,
    ) -> Tracer:
        centered = self - self.mean(axis, dtype, keepdims=True)
        total = (centered * centered).sum(axis, keepdims=keepdims)
        count = self.size // max(total.size, 1)
        return self.trace.into(out, total / (count - ddof))

    def std(self, *args: Any, **kwargs: Any) -> Tracer:
        return self.trace.map(np.sqrt, [self.var(*args, **kwargs)])

    def dot(self, other: Any) -> Any:
        return np.dot(self, other)

    def __getattr__(self, name: str) -> Any:
        """Any other method of arrays is noted as the call that it is."""
        method = None if name.startswith("__") else getattr(np.ndarray, name, None)
        if not callable(method):
            raise AttributeError(f"a traced array has no attribute '{name}'")
        return lambda *args, **kwargs: self.trace.method(name, self, *args, **kwargs)

    # -- NumPy's protocols ----------------------------------------------------------

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any
    ) -> Any:
        if not all(map(_is_operand, inputs)):
            return NotImplemented
        return self.trace.ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(
        self, function: Any, types: Any, args: Any, kwargs: Any
    ) -> Any:
        if not all(issubclass(t, (Tracer, np.ndarray)) for t in types):
            return NotImplemented
        return self.trace.function(function, args, kwargs)


def _is_operand(x: Any) -> bool:
    return isinstance(
        x, (Tracer, np.ndarray, np.generic, int, float, complex, list, tuple)
    )


def _is_basic(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        part is None
        or part is Ellipsis
        or isinstance(part, slice)
        or (isinstance(part, (int, np.integer)) and not isinstance(part, bool))
        for part in parts
    )


def _as_view(index: Any) -> Any:
    """A basic index that gives a view even of a single element."""
    index = index if isinstance(index, tuple) else (index,)
    return index if Ellipsis in index else (*index, Ellipsis)


_SHAPE_QUESTIONS = {
    np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.iscomplexobj,
    np.isrealobj, np.min_scalar_type, np.may_share_memory, np.shares_memory,
}  # fmt: skip
_READS = {np.array_equal, np.allclose, np.array_repr, np.array_str, np.array2string}
# Functions of the house that are operations of ours, and what of them is no array.
_OPERATIONS = {
    inspect.unwrap(function): function.__name__
    for function in (convolve, convolve_transposed, correlate)
}
_SIZES = ("kernel_size", "stride", "pad", "outsize")
_GROWS = {np.nonzero, np.flatnonzero, np.argwhere, np.unique, np.extract, np.compress}


class Trace:
    """One run of a step: the Nodes noted, and the arrays it found where it started.

    Attributes:
        graph: What was noted so far.
    """

    def __init__(self) -> None:
        self.graph = Graph([])
        self.thread = threading.get_ident()
        self.alive = True
        self._paused = 0
        self._known: dict[Node, bool] = {}
        self._constants: dict[int, Tracer] = {}  # by the id of a bare array
        self.bare: list[tuple[Array, int, str]] = []  # fingerprint, first met where

    # -- noting -----------------------------------------------------------------------

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Let NumPy's functions compute, not note."""
        self._paused += 1
        try:
            yield
        finally:
            self._paused -= 1

    @property
    def noting(self) -> bool:
        """Whether what runs now is the step itself, in its own thread."""
        return self.alive and not self._paused and threading.get_ident() == self.thread

    def note(
        self, op: str, nodes: Sequence[Node], attrs: Attributes, values: Sequence[Any]
    ) -> tuple[Node, Array]:
        """One more operation, and what it gives this time."""
        node = Node(op, nodes, attrs, place=users_place())
        with self.paused():
            value = run(node, values)
        if isinstance(value, np.ndarray):
            node.shape, node.dtype = value.shape, value.dtype
            node.order = memory_order(value)
        self.graph.nodes.append(node)
        pure = node.kind not in ("effect", "call")
        self._known[node] = (
            op != "input" and pure and all(self._known[x] for x in nodes)
        )
        return node, value

    def emit(self, op: str, inputs: Sequence[Tracer], attrs: Attributes) -> Tracer:
        """An operation whose result is memory of its own."""
        nodes, values = [x.node for x in inputs], [x.value for x in inputs]
        return Tracer(self, Storage(*self.note(op, nodes, attrs, values)))

    def given(self, value: Array, weak: bool = False) -> Tracer:
        """An input, whose numbers come anew at each call."""
        node = Node("input", (), {}, value.shape, value.dtype, memory_order(value))
        self.graph.nodes.append(node)
        self._known[node] = False
        x = Tracer(self, Storage(node, value), weak=weak)
        x.storage.number = weak
        return x

    def require_alive(self, x: Tracer) -> None:
        if not self.alive:
            raise CompileError(
                "compile: expected an array of this call, got one of a step that was "
                f"traced before and is finished ({x!r})",
                place=users_place(),
                write="return it from the step, or keep it as an attribute of a Layer",
            )

    def is_known(self, node: Node) -> bool:
        """Whether it is the same at every call, so that it may be read."""
        return self._known[node]

    def is_shared(self, node: Node) -> bool:
        """Whether it is memory that the step did not make itself."""
        return node.kind in ("source", "view")

    def data_dependent(self, what: str) -> CompileError:
        return CompileError(
            f"{what}: expected a result whose shape follows from shapes alone, got one "
            "that depends on the numbers",
            place=users_place(),
            write="np.where(mask, x, 0), which keeps the shape, or do it before the "
            "compiled step",
        )

    # -- operands ---------------------------------------------------------------------

    def as_tracer(self, x: Any, like: Tracer | None = None) -> Tracer:
        """``x`` as a Tracer; a Python number takes the type of ``like``."""
        if isinstance(x, Tracer):
            self.require_alive(x)
            return x
        if isinstance(x, (np.ndarray, np.generic)):
            return self.constant(np.asarray(x)) if np.ndim(x) else self.full(x)
        if isinstance(x, (list, tuple)):
            with self.paused():
                return self.stacked(x)
        return self.full(x, None if like is None else like.dtype)

    def stacked(self, xs: Sequence[Any], dtype: Any = None) -> Tracer:
        """A list of arrays and numbers as one array."""
        if not any(isinstance(x, (Tracer, list, tuple)) for x in xs):
            return self.constant(np.array(xs, dtype), mine=True)
        parts = [self.as_tracer(x) for x in xs]
        y = self.concatenate([x[None] for x in parts], 0)
        return y if dtype is None else self.cast(y, np.dtype(dtype))

    def full(
        self, value: Any, dtype: Any = None, shape: Any = (), order: Any = None
    ) -> Tracer:
        """A number, repeated."""
        if dtype is None:
            dtype = np.asarray(value).dtype
        with self.paused(), np.errstate(all="ignore"):
            value = np.asarray(value).astype(dtype)[()]  # as the type holds it
        attrs = {"value": value, "shape": shape, "dtype": np.dtype(dtype)}
        if order is not None:
            attrs["order"] = order
        return Tracer(self, Storage(*self.note("full", [], attrs, [])))

    def constant(self, x: Array, mine: bool = False) -> Tracer:
        """A bare array, by reference: what it holds when the step is called."""
        known = self._constants.get(id(x))
        if known is None:
            attrs = {"value": x, "fixed": mine}
            node, value = self.note("constant", [], attrs, [])
            self._known[node] = mine
            storage = Storage(node, value, bare=not mine)
            known = self._constants[id(x)] = Tracer(self, storage)
            if not mine:
                self.bare.append((x, fingerprint(x), node.place))
        return known

    def cast(self, x: Tracer, dtype: Any) -> Tracer:
        if x.dtype == dtype:
            return x
        if x.node.op == "full":
            with self.paused():
                value = np.asarray(x.node.attrs["value"]).astype(dtype)[()]
            return self.full(value, dtype, x.shape)
        return self.emit("cast", [x], {"dtype": np.dtype(dtype)})

    def into(self, out: Any, y: Tracer) -> Tracer:
        """``y``, or the array ``out`` after ``y`` was written there."""
        if isinstance(out, tuple):
            (out,) = out
        if out is None:
            return y
        target = self.as_tracer(out)
        if target.storage.number:  # t += 1 makes another number
            return self.cast(y, target.dtype)
        target._write(y)
        return target

    def plain_index(self, index: Any) -> Any:
        """An index in which what is known and has no axes is an integer."""
        if isinstance(index, tuple):
            return tuple(map(self.plain_index, index))
        if isinstance(index, Tracer):
            if index.dtype == bool and not self.is_known(index.node):
                raise self.data_dependent("x[mask]")
            if not index.shape and self.is_known(index.node):
                return int(index.value)
        return index

    def holes(self, structure: Any) -> tuple[Any, list[Tracer]]:
        """A structure with Holes for its arrays, and these."""
        arrays: list[Tracer] = []

        def emptied(part: Any) -> Any:
            if not isinstance(part, (Tracer, np.ndarray)):
                return part
            arrays.append(self.as_tracer(part))
            return Hole()

        return mapped(structure, emptied), arrays

    # -- NumPy's functions ------------------------------------------------------------

    def ufunc(self, ufunc: Any, method: str, inputs: Any, kwargs: Any) -> Any:
        out = kwargs.pop("out", None)
        dtype = kwargs.pop("dtype", None)
        where = kwargs.pop("where", True)
        kwargs.pop("casting", None)
        if method == "at":
            x, index, *values = inputs
            return self._at(ufunc, x, index, values)
        if method == "reduce" and where is True and "initial" not in kwargs:
            axis, keepdims = kwargs.get("axis", 0), kwargs.get("keepdims", False)
            x = self.as_tracer(inputs[0])
            return self.into(out, self.reduce(ufunc, x, axis, dtype, keepdims))
        if ufunc is np.matmul and not kwargs and method == "__call__":
            return self.into(out, self.matmul(*inputs))
        simple = method == "__call__" and ufunc.nout == 1 and ufunc.signature is None
        if not simple or kwargs or ufunc.nin > 2:
            if where is not True:
                kwargs["where"] = where
            if dtype is not None:
                kwargs["dtype"] = dtype
            function = ufunc if method == "__call__" else getattr(ufunc, method)
            y = self.call(function, inputs, kwargs)
            return y if isinstance(y, tuple) else self.into(out, y)
        y = self.map(ufunc, inputs, dtype)
        if where is not True:
            if out is None:
                raise ValueError(f"np.{ufunc.__name__}: expected out= with where=")
            target = self.as_tracer(out[0] if isinstance(out, tuple) else out)
            y = self.where(self.as_tracer(where), y, target)
        return self.into(out, y)

    def map(self, ufunc: Any, inputs: Sequence[Any], dtype: Any = None) -> Tracer:
        """A ufunc of each element, its operands in the types of NumPy's loop."""
        operands: list[Any] = []
        types: list[Any] = []
        weak = True
        for x in inputs:
            kind = type(x)
            if kind in (int, float, complex):
                types.append(kind)
            else:
                x = self.as_tracer(x)
                if x.weak:
                    types.append(float if x.dtype.kind == "f" else int)
                else:
                    types.append(x.dtype)
                    weak = False
            operands.append(x)
        if weak:  # numbers among themselves
            types = [np.result_type(t) if t in (int, float) else t for t in types]
        if dtype is None:
            loop = ufunc.resolve_dtypes((*types, None))
        else:
            signature = (None,) * len(inputs) + (np.dtype(dtype),)
            loop = ufunc.resolve_dtypes(
                (*types, None), signature=signature, casting="same_kind"
            )
        ready = [
            self.cast(x, to) if isinstance(x, Tracer) else self.full(x, to)
            for x, to in zip(operands, loop, strict=False)
        ]
        y = self.emit("map", ready, {"ufunc": ufunc})
        y.weak = weak
        y.storage.number = not y.shape
        return y

    def where(self, condition: Any, x: Any, y: Any) -> Tracer:
        c = self.cast(self.as_tracer(condition), np.dtype(bool))
        parts = [x, y]
        types = [
            float if isinstance(v, Tracer) and v.weak and v.dtype.kind == "f"
            else v if type(v) in (int, float, complex)
            else self.as_tracer(v).dtype
            for v in parts
        ]  # fmt: skip
        types = [0.0 if t is float else t for t in types]
        dtype = np.result_type(*types)
        both = [
            self.cast(self.as_tracer(v), dtype)
            if not isinstance(v, (int, float))
            else self.full(v, dtype)
            for v in parts
        ]
        return self.emit("where", [c, *both], {})

    def reduce(
        self, ufunc: Any, x: Tracer, axis: Any, dtype: Any, keepdims: Any
    ) -> Tracer:
        axes = range(x.ndim) if axis is None else axis
        axes = (axes,) if isinstance(axes, (int, np.integer)) else axes
        if not x.ndim and all(i in (0, -1) for i in axes):
            axes = ()  # as NumPy has it
        for i in axes:
            if not -x.ndim <= i < x.ndim:
                raise np.exceptions.AxisError(int(i), x.ndim)
        axes = tuple(int(i) % x.ndim for i in axes)
        if dtype is None and ufunc in (np.add, np.multiply) and x.dtype.kind in "iub":
            dtype = np.uint64 if x.dtype.kind == "u" else np.int64
            dtype = x.dtype if x.dtype.itemsize == 8 else dtype
        if dtype is not None:
            x = self.cast(x, np.dtype(dtype))
        attrs = {"ufunc": ufunc, "axes": axes, "keepdims": bool(keepdims)}
        y = self.emit("reduce", [x], attrs)
        y.storage.number = not y.shape
        return y

    def matmul(self, x: Any, y: Any) -> Tracer:
        x, y = self.as_tracer(x), self.as_tracer(y)
        dtype = np.result_type(x.dtype, y.dtype)
        z = self.emit("matmul", [self.cast(x, dtype), self.cast(y, dtype)], {})
        z.storage.number = not z.shape
        return z

    def concatenate(self, xs: Sequence[Any], axis: int | None) -> Tracer:
        parts = [self.as_tracer(x) for x in xs]
        if axis is None:
            parts, axis = [x.reshape(-1) for x in parts], 0
        dtype = np.result_type(*(x.dtype for x in parts))
        attrs = {"axis": int(axis) % parts[0].ndim}
        return self.emit("concatenate", [self.cast(x, dtype) for x in parts], attrs)

    def _at(self, ufunc: Any, x: Any, index: Any, values: Sequence[Any]) -> None:
        target = self.as_tracer(x)
        if ufunc is not np.add:
            raise CompileError(
                f"np.{ufunc.__name__}.at: expected np.add.at in a compiled step, the "
                "only one there is",
                place=users_place(),
            )
        value = self.cast(self.as_tracer(values[0], target), target.dtype)
        template, arrays = self.holes(self.plain_index(index))
        attrs = {"index": template}
        target._write(self.emit("scatter_add", [target, value, *arrays], attrs))

    def call(self, function: Any, args: Any, kwargs: Any) -> Any:
        """Any function of arrays: kept, and called again at each replay."""
        if function in _OPERATIONS:
            return self._operation(function, args, kwargs)
        out = kwargs.pop("out", None) if "out" in kwargs else None
        template, arrays = self.holes((tuple(args), dict(kwargs)))
        attrs = {"function": function, "arguments": template}
        nodes, values = [x.node for x in arrays], [x.value for x in arrays]
        node, result = self.note("call", nodes, attrs, values)
        if isinstance(result, np.ndarray):
            return self.into(out, Tracer(self, Storage(node, result)))
        parts = []
        for i in range(len(result)):
            part, value = self.note("item", [node], {"number": i}, [result])
            parts.append(Tracer(self, Storage(part, value)))
        if hasattr(result, "_fields"):
            return type(result)(*parts)
        return tuple(parts)

    def _operation(self, function: Any, args: Any, kwargs: Any) -> Tracer:
        """A function that is an operation of ours."""
        given = inspect.signature(function).bind(*args, **kwargs).arguments
        attrs = {name: x for name, x in given.items() if name in _SIZES}
        xs = [
            self.as_tracer(x)
            for name, x in given.items()
            if name not in _SIZES and x is not None
        ]
        dtype = np.result_type(*[x.dtype for x in xs])
        return self.emit(
            _OPERATIONS[function], [self.cast(x, dtype) for x in xs], attrs
        )

    def method(self, name: str, x: Tracer, *args: Any, **kwargs: Any) -> Any:
        """A method of arrays that is nothing to us but a call."""
        if name in ("nonzero",):
            raise self.data_dependent(f"x.{name}()")
        if name in ("sort", "partition", "put", "resize", "setfield", "byteswap"):
            return self._change(getattr(np.ndarray, name), (x, *args), kwargs)
        return self.call(getattr(np.ndarray, name), (x, *args), kwargs)

    def _change(self, function: Any, args: Any, kwargs: Any) -> None:
        """A function that writes into its first argument."""
        target = self.as_tracer(args[0])
        target._write(self.call(_Changed(function), (target, *args[1:]), kwargs))

    def function(self, function: Any, args: Any, kwargs: Any) -> Any:
        """A function of NumPy, called with a Tracer among its arguments."""
        if function in _SHAPE_QUESTIONS:
            with self.paused():
                return function(*_values(args), **_values(kwargs))
        known = getattr(self, f"_np_{function.__name__}", None)
        if known is not None and function.__module__ == "numpy":
            y = known(*args, **kwargs)
            if y is not NotImplemented:
                return y
        if function in _READS:
            for x in args:
                if isinstance(x, Tracer):
                    x._read(f"np.{function.__name__}")
        if function in _GROWS:
            raise self.data_dependent(f"np.{function.__name__}")
        if function.__name__ in ("put_along_axis", "fill_diagonal", "put", "putmask"):
            return self._change(function, args, kwargs)
        return self.call(function, args, kwargs)

    # Those that are operations of ours, or a few of them.

    def _np_reshape(self, x: Any, shape: Any, order: str = "C", **_: Any) -> Any:
        return self.as_tracer(x).reshape(shape, order=order)

    def _np_ravel(self, x: Any, order: str = "C") -> Any:
        return self.as_tracer(x).ravel(order)

    def _np_transpose(self, x: Any, axes: Any = None) -> Any:
        return self.as_tracer(x).transpose(axes)

    def _np_swapaxes(self, x: Any, a: int, b: int) -> Any:
        return self.as_tracer(x).swapaxes(a, b)

    def _np_moveaxis(self, x: Any, source: Any, destination: Any) -> Any:
        x = self.as_tracer(x)
        with self.paused():
            at = np.moveaxis(np.empty((1,) * x.ndim), source, destination)
            places = np.arange(x.ndim).reshape(-1)
            del at
            order = [n for n in places if n not in np.atleast_1d(source) % x.ndim]
            pairs = zip(
                np.atleast_1d(destination) % x.ndim,
                np.atleast_1d(source) % x.ndim,
                strict=True,
            )
            for to, which in sorted(pairs):
                order.insert(to, which)
        return x.transpose([int(i) for i in order])

    def _np_expand_dims(self, x: Any, axis: Any) -> Any:
        x = self.as_tracer(x)
        return x.reshape(np.expand_dims(x.value, axis).shape)

    def _np_squeeze(self, x: Any, axis: Any = None) -> Any:
        return self.as_tracer(x).squeeze(axis)

    def _np_broadcast_to(self, x: Any, shape: Any, **_: Any) -> Any:
        shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        return self.as_tracer(x)._view("broadcast", shape=shape)

    def _reduced(self, name: str, x: Any, axis: Any, kw: dict[str, Any]) -> Any:
        if kw.keys() & {"initial", "where", "mean", "correction"}:
            return NotImplemented
        return getattr(self.as_tracer(x), name)(axis, **kw)

    def _np_sum(self, x: Any, axis: Any = None, **kw: Any) -> Any:
        return self._reduced("sum", x, axis, kw)

    def _np_prod(self, x: Any, axis: Any = None, **kw: Any) -> Any:
        return self._reduced("prod", x, axis, kw)

    def _np_mean(self, x: Any, axis: Any = None, **kw: Any) -> Any:
        return self._reduced("mean", x, axis, kw)

    def _np_var(self, x: Any, axis: Any = None, **kw: Any) -> Any:
        return self._reduced("var", x, axis, kw)

    def _np_std(self, x: Any, axis: Any = None, **kw: Any) -> Any:
        return self._reduced("std", x, axis, kw)

    def _np_max(self, x: Any, axis: Any = None, **kw: Any) -> Any:
        return self._reduced("max", x, axis, kw)

    def _np_min(self, x: Any, axis: Any = None, **kw: Any) -> Any:
        return self._reduced("min", x, axis, kw)

    _np_amax, _np_amin = _np_max, _np_min

    def _np_any(self, x: Any, axis: Any = None, **kw: Any) -> Any:
        return self._reduced("any", x, axis, kw)

    def _np_all(self, x: Any, axis: Any = None, **kw: Any) -> Any:
        return self._reduced("all", x, axis, kw)

    def _np_clip(
        self, x: Any, a_min: Any = None, a_max: Any = None, out: Any = None, **kw: Any
    ) -> Any:
        return self.as_tracer(x).clip(
            kw.get("min", a_min), kw.get("max", a_max), out=out
        )

    def _np_where(self, condition: Any, *xs: Any) -> Any:
        if not xs:
            raise self.data_dependent("np.where(condition)")
        return self.where(condition, *xs)

    def _np_concatenate(
        self, xs: Any, axis: Any = 0, out: Any = None, dtype: Any = None, **_: Any
    ) -> Any:
        y = self.concatenate(xs, axis)
        return self.into(out, y if dtype is None else self.cast(y, np.dtype(dtype)))

    def _np_stack(self, xs: Any, axis: int = 0, out: Any = None, **_: Any) -> Any:
        xs = [self.as_tracer(x) for x in xs]
        axis = int(axis) % (xs[0].ndim + 1)
        place = (*(slice(None),) * axis, None)
        return self.into(out, self.concatenate([x[place] for x in xs], axis))

    def _np_split(
        self, x: Any, sections: Any, axis: int = 0, cut: Any = np.split
    ) -> Any:
        x = self.as_tracer(x)
        with self.paused():
            starts = cut(np.arange(x.shape[axis]), sections)
        lead = (slice(None),) * (axis % x.ndim)
        return [
            x[(*lead, slice(int(s[0]), int(s[-1]) + 1) if len(s) else slice(0, 0))]
            for s in starts
        ]

    def _np_array_split(self, x: Any, sections: Any, axis: int = 0) -> Any:
        return self._np_split(x, sections, axis, np.array_split)

    def _np_flip(self, m: Any, axis: Any = None) -> Any:
        x = self.as_tracer(m)
        axes = range(x.ndim) if axis is None else np.atleast_1d(axis)
        turned = {int(i) % x.ndim for i in axes}
        return x[
            tuple(slice(None, None, -1 if i in turned else 1) for i in range(x.ndim))
        ]

    def _np_flipud(self, m: Any) -> Any:
        return self._np_flip(m, 0)

    def _np_fliplr(self, m: Any) -> Any:
        return self._np_flip(m, 1)

    def _np_copy(self, x: Any, order: str = "K", **_: Any) -> Any:
        y = self.as_tracer(x).copy(order)
        y.storage.number = False
        return y

    def _np_astype(self, x: Any, dtype: Any, **kw: Any) -> Any:
        return self.as_tracer(x).astype(dtype)

    def _np_round(self, x: Any, decimals: int = 0, out: Any = None) -> Any:
        return self.as_tracer(x).round(decimals, out)

    def _np_real(self, x: Any) -> Any:
        return x.real

    def _np_copyto(
        self, dst: Any, src: Any, casting: Any = "", where: Any = True
    ) -> Any:
        dst = self.as_tracer(dst)
        src = self.cast(self.as_tracer(src, dst), dst.dtype)
        dst._write(src if where is True else self.where(where, src, dst))
        return None

    def _like(self, x: Any, value: Any, dtype: Any, shape: Any) -> Tracer:
        x = self.as_tracer(x)
        shape = x.shape if shape is None else shape
        shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        dtype = x.dtype if dtype is None else dtype
        axes = memory_order(x.value)
        if len(shape) != x.ndim or axes == tuple(range(x.ndim)):
            return self.full(value, dtype, shape)
        return self.full(value, dtype, shape, axes)  # it lies as x does

    def _np_zeros_like(
        self, x: Any, dtype: Any = None, order: Any = "K", subok: Any = True,
        shape: Any = None, **_: Any,
    ) -> Any:  # fmt: skip
        return self._like(x, 0, dtype, shape)

    _np_empty_like = _np_zeros_like

    def _np_ones_like(
        self, x: Any, dtype: Any = None, order: Any = "K", subok: Any = True,
        shape: Any = None, **_: Any,
    ) -> Any:  # fmt: skip
        return self._like(x, 1, dtype, shape)

    def _np_full_like(
        self, x: Any, fill_value: Any, dtype: Any = None, order: Any = "K",
        subok: Any = True, shape: Any = None, **_: Any,
    ) -> Any:  # fmt: skip
        if isinstance(fill_value, Tracer):
            y = self._like(x, 0, dtype, shape)
            y._write(fill_value)
            return y
        return self._like(x, fill_value, dtype, shape)

    def _np_dot(self, x: Any, y: Any, out: Any = None) -> Any:
        x, y = self.as_tracer(x), self.as_tracer(y)
        if not (x.ndim and y.ndim):
            return self.into(out, self.map(np.multiply, [x, y]))
        if y.ndim > 2:
            return NotImplemented
        return self.into(out, self.matmul(x, y))

    def _np_vdot(self, x: Any, y: Any) -> Any:
        return self.map(np.multiply, [x.reshape(-1), y.reshape(-1)]).sum()

    def _np_einsum(self, *operands: Any, out: Any = None, **kw: Any) -> Any:
        """Where all operands have the same axes, a product and a sum."""
        if kw or isinstance(operands[0], str):
            return NotImplemented
        *pairs, target = operands if len(operands) % 2 else (*operands, None)
        xs, axes = pairs[::2], [list(a) for a in pairs[1::2]]
        if target is None or any(a != axes[0] for a in axes):
            return NotImplemented
        if len(set(axes[0])) < len(axes[0]) or list(target) != sorted(target):
            return NotImplemented
        y = self.as_tracer(xs[0])
        for x in xs[1:]:
            y = self.map(np.multiply, [y, x])
        summed = tuple(i for i, a in enumerate(axes[0]) if a not in target)
        return self.into(out, y.sum(axis=summed) if summed else y)


class _Changed:
    """A function that writes into its first argument, as one that returns a copy."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__name__ = function.__name__

    def __call__(self, x: Array, *args: Any, **kwargs: Any) -> Array:
        y = x.copy("K")
        self.function(y, *args, **kwargs)
        return y


def _values(structure: Any) -> Any:
    return mapped(structure, lambda x: x.value if isinstance(x, Tracer) else x)


# -- NumPy's functions that make arrays of nothing -----------------------------------


class Proxy:
    """A module with other functions in place of some of its own."""

    def __init__(self, module: Any, others: dict[str, Any]) -> None:
        self.__dict__.update(others)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class Creation:
    """``np.zeros``, ``np.arange``, ``np.random.rand`` ... as a traced step calls them.

    What makes arrays of nothing never meets a Tracer, so no protocol tells of it. While
    a step is traced, the programs' own names for NumPy (``np``, or ``zeros`` that was
    imported alone) lead here, for the thread that traces. NumPy itself is not touched:
    compiled code of other libraries relies on what it makes.
    """

    names = ("zeros", "ones", "empty", "full", "arange", "eye", "identity", "linspace")
    conversions = ("array", "asarray", "asanyarray", "ascontiguousarray")
    kept = ("seed", "get_state", "set_state", "get_bit_generator", "set_bit_generator")

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    @cached_property
    def replacements(self) -> dict[int, Any]:
        """What stands in the place of an object of NumPy, by its id."""
        here = {name: self._creating(name) for name in self.names}
        here |= {name: self._converting(name) for name in self.conversions}
        draws = {}
        for name in dir(np.random):
            draw = getattr(np.random, name)
            owner = getattr(draw, "__self__", None)
            if isinstance(owner, np.random.RandomState) and name not in self.kept:
                draws[name] = (
                    self._shuffling(draw) if name == "shuffle" else self.drawing(draw)
                )
        random = Proxy(np.random, draws)
        numpy = Proxy(np, {**here, "random": random})
        found = {id(getattr(np, name)): one for name, one in here.items()}
        found |= {id(getattr(np.random, name)): one for name, one in draws.items()}
        # Bound methods of the generator are made anew when asked for; those that a
        # program imported by name are equal, not the same.
        self._draws = draws
        return {**found, id(np): numpy, id(np.random): random}

    def _creating(self, name: str) -> Any:
        plain = getattr(np, name)
        trace = self.trace

        def create(*args: Any, **kwargs: Any) -> Any:
            if not trace.noting:
                return plain(*args, **kwargs)
            fill = args[1] if name == "full" and len(args) > 1 else None
            if isinstance(fill, Tracer):
                y = trace.full(0, kwargs.get("dtype", fill.dtype), args[0])
                y._write(fill)
                return y
            y = plain(*_plain(args), **_plain(kwargs))
            if name in ("zeros", "ones", "empty", "full"):
                value = {"zeros": 0, "ones": 1, "empty": 0}.get(name)
                if value is None:
                    value = y.flat[0] if y.size else 0
                return trace.full(value, y.dtype, y.shape)
            return trace.constant(y, mine=True)

        return create

    def _converting(self, name: str) -> Any:
        plain = getattr(np, name)
        trace = self.trace

        def convert(x: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
            if not trace.noting or not _holds_tracer(x):
                return plain(x, dtype, *args, **kwargs)
            if not isinstance(x, Tracer):
                return trace.stacked(x, dtype)
            y = x if dtype is None else trace.cast(x, np.dtype(dtype))
            if name == "ascontiguousarray" and not y.ndim:
                y = y.reshape(1)
            if name == "ascontiguousarray" and not y.flags.c_contiguous:
                return y.copy("C")
            if y.storage.number or (name == "array" and y is x):
                y = y.copy("K")
                y.storage.number = False
            return y

        return convert

    def drawing(self, draw: Any) -> Any:
        """A draw of random numbers, noted: made again at each call."""
        trace = self.trace

        def drawn(*args: Any, **kwargs: Any) -> Any:
            if not trace.noting:
                return draw(*args, **kwargs)
            arguments = (_plain(args), _plain(kwargs))
            attrs = {"function": draw, "arguments": arguments}
            return Tracer(trace, Storage(*trace.note("random", [], attrs, [])))

        return drawn

    def _shuffling(self, shuffle: Any) -> Any:
        trace = self.trace

        def copy_shuffled(x: Array) -> Array:
            y = x.copy()
            shuffle(y)
            return y

        def shuffled(x: Any) -> Any:
            if not trace.noting:
                return shuffle(x)
            if isinstance(x, Tracer) and trace.is_known(x.node):
                return x._write(self.drawing(copy_shuffled)(x))
            raise CompileError(
                "np.random.shuffle: expected numbers that are known, such as "
                "np.arange(n), got others, which it would write into",
                place=users_place(),
                write="x[np.random.permutation(len(x))]",
            )

        return shuffled

    @contextlib.contextmanager
    def in_place(self, function: Any = None) -> Iterator[None]:
        """Have the programs' names for NumPy's functions lead here inside the block."""
        replacements = self.replacements
        draws = {getattr(np.random, n): one for n, one in self._draws.items()}
        changed: list[tuple[dict[str, Any], str, Any]] = []
        spaces = [vars(m) for m in list(sys.modules.values()) if _is_program(m)]
        own = getattr(inspect.unwrap(function), "__globals__", None)
        if own is not None and not _is_of_module(own):
            spaces.append(own)  # of exec, or of a doctest
        for names in spaces:
            for name, value in list(names.items()):
                ours = replacements.get(id(value))
                if ours is None and type(value) is _BUILTIN and value in draws:
                    ours = draws[value]
                if ours is not None:
                    changed.append((names, name, value))
                    names[name] = ours
        try:
            yield
        finally:
            for names, name, value in changed:
                names[name] = value


_BUILTIN = type(np.random.rand)
_LIBRARIES = tuple(
    str(Path(path).resolve())
    for name, path in sysconfig.get_paths().items()
    if name in ("stdlib", "platstdlib", "purelib", "platlib")
)


def _is_of_module(names: dict[str, Any]) -> bool:
    """Whether names are those of a module: they were looked at, or left alone."""
    module = sys.modules.get(str(names.get("__name__")))
    return module is not None and vars(module) is names


def _is_program(module: Any) -> bool:
    """Whether a module is a program's, or of this package: not of a library."""
    file = getattr(module, "__file__", None)
    if getattr(module, "__name__", "") == "__main__":
        return True
    if file is None:
        return False
    if file.startswith(PACKAGE):
        return not file.startswith(COMPILER)
    return file.endswith(".py") and not file.startswith(_LIBRARIES)


class Drawing:
    """The current generator of random numbers, whose draws are noted.

    Args:
        current: Gives the generator; asked at each draw, as a program may change it.
    """

    def __init__(self, creation: Creation, current: Callable[[], Any]) -> None:
        self._creation = creation
        self._current = current

    def __getattr__(self, name: str) -> Any:
        def draw(*args: Any, **kwargs: Any) -> Any:
            return getattr(self._current(), name)(*args, **kwargs)

        draw.__name__ = name
        return self._creation.drawing(draw)


def _holds_tracer(x: Any) -> bool:
    if isinstance(x, (list, tuple)):
        return any(map(_holds_tracer, x))
    return isinstance(x, Tracer)


def _plain(arguments: Any) -> Any:
    """Arguments of a draw, which must be known."""
    return mapped(
        arguments,
        lambda x: (
            x._read("the arguments of a random draw") if isinstance(x, Tracer) else x
        ),
    )
