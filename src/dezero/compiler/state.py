"""What a step finds when it starts, and what it leaves behind.

Between two calls a program's state lives in Variables, and in the attributes of its
layers and optimizers. While a step is traced, the Recorder sees each of them when it
is first read or written: what is read first is an input of the compiled step, found
again at every call by its Place; what is different at the end is an output.

Nothing here knows of Variables but by their attributes; ``api.py`` brings the two
together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from dezero.compiler.errors import CompileError
from dezero.compiler.ir import Array, Node, mapped
from dezero.compiler.trace import (
    Creation,
    Drawing,
    Trace,
    Tracer,
    fingerprint,
)

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "nothing"})()
_OF_ENGINE = {"grad", "_retained", "output_index"}  # attributes of Variables
_IN_GRAPH = ("creator", "generation", "created", "_written", "requires_grad")
DEEPEST = 3  # lists in dicts in lists: where arrays are looked for


class Unsettled(Exception):  # noqa: N818  (it is no error: the step runs eagerly once)
    """The step makes something for the first time: weights, moments, a hidden state.

    Its next call will do something else, and that is what is worth compiling.
    """


# -- places ---------------------------------------------------------------------------


class Owner(NamedTuple):
    """An object of the program: itself, or whatever is given or held at the time.

    ``argument``: the number of the argument that it is. ``held``: the place where there
    is another one at each call, such as the hidden state of a recurrent layer.
    """

    object: Any
    argument: int | None = None
    held: Place | None = None

    def now(self, leaves: list[Any]) -> Any:
        if self.held is not None:
            return self.held.get(leaves)
        return self.object if self.argument is None else leaves[self.argument]


@dataclass(frozen=True, eq=False)
class Place:
    """Where an array or number is found at each call, and put back.

    ``kind``: ``argument`` (an array that is an argument), ``data`` (of a Variable),
    ``attribute``, ``item`` (of a list or dict).
    ``path`` leads on from an attribute that holds lists or tuples.
    """

    kind: str
    owner: Owner
    name: Any = None
    path: tuple[Any, ...] = ()

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for equal places: objects count as themselves, not by their values."""
        name = id(self.name) if self.kind == "item" else self.name
        return self.kind, id(self.owner.object), name, self.path

    def get(self, leaves: list[Any]) -> Any:
        owner = self.owner.now(leaves)
        if self.kind == "data":
            return owner.data
        if self.kind == "attribute":
            value = owner.__dict__.get(self.name)
            for key in self.path:
                value = value[key]
            return value
        if self.kind == "item":
            return owner[self.name]
        return owner

    def set(self, leaves: list[Any], value: Any) -> None:
        owner = self.owner.now(leaves)
        if self.kind == "data":
            owner.data = value
        elif self.kind == "attribute":
            setattr(owner, self.name, value)
        elif self.kind == "item":
            owner[self.name] = value
        else:
            np.copyto(owner, value)

    def __str__(self) -> str:
        name = getattr(self.owner.object, "name", None)
        kind = type(self.owner.object).__name__
        if self.kind == "argument":
            return f"argument {self.owner.argument}"
        if self.kind == "item":
            return f"[{self.name!r}] of a {kind}"
        who = f"{kind} {name}" if name else kind
        return who if self.kind == "data" else f"{who}.{self.name}"


class Input(NamedTuple):
    """An input of a program: its Node, and where it is found at each call."""

    node: Node
    place: Place


class Cell(NamedTuple):
    """An input of a step while it is traced: with what was found there then."""

    node: Node
    place: Place
    tracer: Tracer
    array: Array


class Guard(NamedTuple):
    """An attribute that decided something while the step was traced.

    The compiled step is right only for a program in which it is still the same.
    """

    owner: Owner
    name: str
    value: Any
    like: bool  # a Variable of the same shape will do
    parts: Any = None  # of a list or dict: what was in it

    def holds(self, leaves: list[Any]) -> bool:
        now = getattr(self.owner.now(leaves), self.name, MISSING)
        if now is self.value:
            return self.parts is None or _same_parts(now, self.parts)
        if self.like:
            return _similar(now, self.value)
        return is_same_constant(now, self.value)

    def __str__(self) -> str:
        who = f"{type(self.owner.object).__name__}.{self.name}"
        if _is_variable(self.value):
            kind = type(self.value).__name__
            same = "one like it" if self.like else "this one"
            return f"{who} was a {kind} of shape {self.value.shape}, {same}"
        if is_simple(self.value):
            return f"{who} was {self.value!r}"
        return f"{who} was this {type(self.value).__name__}"


class NameGuard(NamedTuple):
    """A name outside of the step's function that it uses: of a closure or a module."""

    name: str
    read: Callable[[], Any]
    value: Any

    def holds(self, leaves: list[Any]) -> bool:
        now = self.read()
        return now is self.value or is_same_constant(now, self.value)

    def __str__(self) -> str:
        if is_simple(self.value):
            return f"{self.name} was {self.value!r}"
        return f"{self.name} was this {type(self.value).__name__}"


class SharedGuard(NamedTuple):
    """Two places in which there was one array while the step was traced."""

    first: Place
    second: Place

    def holds(self, leaves: list[Any]) -> bool:
        return self.first.get(leaves) is self.second.get(leaves)

    def __str__(self) -> str:
        return f"{self.first} and {self.second} were one array"


def is_equal(a: Any, b: Any) -> bool:
    """Equal as constants of a program: 0.0 is not -0.0, and NaN is NaN."""
    return repr(a) == repr(b) if isinstance(a, float) else bool(a == b)


def is_same_constant(now: Any, before: Any) -> bool:
    """Whether both are constants, of one type and equal."""
    return type(now) is type(before) and is_simple(now) and is_equal(now, before)


def _parts(value: Any, depth: int = 0) -> Any:
    """What is in a list or dict, and in the lists and dicts in it."""
    if depth > DEEPEST or not isinstance(value, (list, dict, tuple)):
        return None
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {key: (part, _parts(part, depth + 1)) for key, part in items}


def _same_parts(container: Any, parts: Any) -> bool:
    """Whether a list or dict holds what it did; arrays may be others."""
    if len(container) != len(parts):
        return False
    for key, (before, inner) in parts.items():
        try:
            now = container[key]
        except (KeyError, IndexError):
            return False
        if now is before:
            if inner is not None and not _same_parts(now, inner):
                return False
        elif type(now) is not type(before) or not (
            isinstance(before, np.ndarray) or is_same_constant(now, before)
        ):
            return False
    return True


class Effect(NamedTuple):
    """What the step leaves in a place: an array, a number, a Variable, or a structure.

    ``value`` has a Leaf for each of its arrays.
    """

    place: Place
    value: Any
    before: Node | None = None  # the input that was there, if an array


@dataclass(frozen=True, eq=False)
class Leaf:
    """An output of the step, as it is handed to the program."""

    node: Node
    kind: str  # 'array', 'number', 'variable'
    name: str | None = None
    requires_grad: bool = False
    grad: Leaf | None = None


@dataclass(frozen=True)
class Given:
    """In what a step returns: the argument itself, whichever it is at a call."""

    argument: int


def is_simple(x: Any) -> bool:
    """Whether it is a constant, equal to its copies."""
    if isinstance(x, tuple):
        return all(map(is_simple, x))
    return x is None or isinstance(x, (bool, int, float, str, np.dtype, type))


def _is_variable(x: Any) -> bool:
    return hasattr(x, "creator") and hasattr(type(x), "backward")


def _similar(a: Any, b: Any) -> bool:
    """Whether two structures hold Variables of the same shapes at the same places."""
    if type(a) is not type(b):
        return False
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(_similar, a, b))
    if _is_variable(a):
        x, y = a.data, b.data
        if x is None or y is None:
            return x is y
        return (
            x.shape == y.shape
            and x.dtype == y.dtype
            and a.requires_grad == b.requires_grad
        )
    return a is b or (is_simple(a) and bool(a == b))


# -- the recorder ---------------------------------------------------------------------


class _Attribute:
    """An attribute that the step touched."""

    def __init__(
        self,
        owner: Any,
        name: str,
        before: Any,
        read_first: bool,
        default: Any = MISSING,  # that of its class, if it had none of its own
    ) -> None:
        self.owner = owner
        self.name = name
        self.before = before
        self.read_first = read_first
        self.default = default
        self.parts = _parts(before)
        self.lifted = False  # stood for by a Tracer

    def now(self) -> Any:
        return self.owner.__dict__.get(self.name, self.default)


class Recorder:
    """Sees what a step reads and writes, and puts all back as it was.

    Args:
        trace: Where its operations are noted.
        data_slot: The slot behind ``data`` of Variables, unwatched.
        ignored: The array with which a Variable is made before it gets its own.
    """

    def __init__(self, trace: Trace, data_slot: Any, ignored: Array) -> None:
        self.trace = trace
        self.creation = Creation(trace)
        self.data_slot = data_slot
        self.ignored = ignored
        self.cells: dict[int, Cell] = {}  # by the id of the array, which they hold
        self.numbers: list[Cell] = []
        self.given: list[Cell] = []  # arrays that are arguments
        self.variables: dict[int, tuple[Any, Any]] = {}  # with the data they had
        self.attributes: dict[tuple[int, str], _Attribute] = {}
        self.containers: dict[int, tuple[Any, Any]] = {}  # with a copy
        self.places: list[Place] = []  # that hold a Tracer meanwhile
        self.shared: list[tuple[Place, Place]] = []  # that held one array
        self.arguments: dict[int, int] = {}  # ids of Variables given as arguments
        self._marks: dict[int, int] = {}
        self._names: dict[int, tuple[Any, dict[str, Any]]] = {}  # of Variables
        self._graphs: dict[int, list[Any]] = {}  # and their places in the graph

    def owner(self, x: Any) -> Owner:
        return Owner(x, self.arguments.get(id(x)))

    # -- inputs -----------------------------------------------------------------------

    def lift(self, array: Array, place: Place) -> Tracer:
        """The Tracer that stands for an array of the program, found at ``place``."""
        cell = self.cells.get(id(array))
        if cell is None:
            tracer = self.trace.given(array)
            cell = Cell(tracer.node, place, tracer, array)
            self.cells[id(array)] = cell
            self._marks[id(array)] = fingerprint(array)
        elif cell.place.key != place.key:
            self.shared.append((cell.place, place))
        self.places.append(place)
        return cell.tracer

    def argument(self, array: Array, i: int) -> Tracer:
        """The Tracer of an array that is an argument: never one with the state's."""
        tracer = self.trace.given(array)
        place = Place("argument", Owner(array, i))
        self.given.append(Cell(tracer.node, place, tracer, array))
        self._marks[id(array)] = fingerprint(array)
        return tracer

    def read_data(self, x: Any, data: Any) -> Any:
        if not self.trace.noting or data is self.ignored:
            return data
        if isinstance(data, np.generic):
            data = np.asarray(data)
        if isinstance(data, np.ndarray):
            if id(x) not in self.variables:
                self.variables[id(x)] = x, data
                self._names[id(x)] = x, dict(x.__dict__)
                self._graphs[id(x)] = [getattr(x, name) for name in _IN_GRAPH]
            tracer = self.lift(data, Place("data", self.owner(x)))
            self.data_slot.__set__(x, tracer)
            return tracer
        return data

    def write_data(self, x: Any, before: Any, data: Any) -> None:
        if not self.trace.noting or before is self.ignored:
            return
        if before is None and data is not None:
            self.variables.setdefault(id(x), (x, None))
            raise Unsettled(f"{type(x).__name__} gets its first data")
        if isinstance(before, np.ndarray):
            self.variables.setdefault(id(x), (x, before))
            self.lift(before, Place("data", self.owner(x)))

    def _is_new(self, x: Any) -> bool:
        """Whether a Variable was made by the step itself."""
        return id(x) not in self.variables and not isinstance(
            self.data_slot.__get__(x), np.ndarray
        )

    def read_grad(self, x: Any, grad: Any) -> Any:
        if not self.trace.noting or self._is_new(x):
            return grad
        return self.read(x, "grad", grad)

    def write_grad(self, x: Any, grad: Any) -> None:
        if self.trace.noting and not self._is_new(x):
            self.write(x, "grad", grad)

    def read(self, owner: Any, name: str, value: Any) -> Any:
        """An attribute of something that keeps state is read."""
        key = id(owner), name
        if key in self.attributes or not self.trace.noting:
            return value
        seen = self.attributes[key] = _Attribute(owner, name, value, True)
        lifted = self._lifted(owner, name, value)
        if lifted is not value:
            seen.lifted = True
            owner.__dict__[name] = lifted
        return lifted

    def read_default(self, owner: Any, name: str, value: Any) -> None:
        """An attribute is read that its class has: it may get one of its own."""
        key = id(owner), name
        if key not in self.attributes and self.trace.noting and is_simple(value):
            self.attributes[key] = _Attribute(owner, name, value, True, value)

    def write(self, owner: Any, name: str, value: Any) -> None:
        """An attribute of something that keeps state is set."""
        key = id(owner), name
        if key not in self.attributes and self.trace.noting:
            before = owner.__dict__.get(name, MISSING)
            self.attributes[key] = _Attribute(owner, name, before, False)

    def _lifted(self, owner: Any, name: str, value: Any) -> Any:
        place = Place("attribute", self.owner(owner), name)
        varies = getattr(type(owner), "numbers_vary", False)
        if varies and isinstance(value, (int, float)) and not isinstance(value, bool):
            array = np.asarray(value, np.int64 if isinstance(value, int) else float)
            tracer = self.trace.given(array, weak=True)
            self.numbers.append(Cell(tracer.node, place, tracer, array))
            return tracer
        if isinstance(value, np.ndarray):
            return self.lift(value, place)
        if isinstance(value, (dict, list)):
            self._lift_items(value, 1)
        return value

    def _lift_items(self, container: Any, depth: int) -> None:
        if id(container) in self.containers or depth > DEEPEST:
            return
        items = list(
            container.items() if isinstance(container, dict) else enumerate(container)
        )
        self.containers[id(container)] = container, container.copy()
        for key, value in items:
            if isinstance(value, np.ndarray):
                place = Place("item", Owner(container), key)
                container[key] = self.lift(value, place)
            elif isinstance(value, (dict, list)):
                self._lift_items(value, depth + 1)

    # -- what the floors below ask of whoever watches ---------------------------------

    def call(self, function: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
        return self.trace.call(function, args, kwargs)

    def source(self, current: Callable[[], Any]) -> Any:
        return Drawing(self.creation, current)

    def require(self, condition: Any, error: Any, x: Any) -> None:
        """A check of numbers, to be made at every call."""
        if not condition.value:
            raise error(x.value.min(), x.value.max())
        self.trace.emit("require", [condition, x], {"error": error})

    # -- the end ----------------------------------------------------------------------

    def restore(self) -> None:
        """Put every Variable, attribute and container back as it was."""
        self.trace.alive = False
        for x, data in self.variables.values():
            self.data_slot.__set__(x, data)
        for x, names in self._names.values():
            if x._earlier is not names.get("_earlier", ()):  # x[i] = value, refused
                for name, value in zip(_IN_GRAPH, self._graphs[id(x)], strict=True):
                    setattr(x, name, value)
            for name in x.__dict__.keys() - names.keys() - _OF_ENGINE:
                del x.__dict__[name]
            for name, value in names.items():
                if name not in _OF_ENGINE:
                    x.__dict__[name] = value
        for seen in self.attributes.values():
            if seen.before is MISSING or seen.default is not MISSING:
                seen.owner.__dict__.pop(seen.name, None)
            else:
                seen.owner.__dict__[seen.name] = seen.before
        for container, copy in self.containers.values():
            container.clear()
            container.update(copy) if isinstance(container, dict) else container.extend(
                copy
            )

    def check_names(self) -> None:
        """See that no attribute was hung on a Variable: nobody would set it again."""
        for x, names in self._names.values():
            if x._earlier is not names.get("_earlier", ()):
                raise CompileError(
                    "x[i] = value: expected an x that the step made, got one from "
                    f"outside, of shape {x.shape}, which would keep the graph",
                    write="x = x.copy() in the step before it",
                )
            for name, value in x.__dict__.items():
                if name not in _OF_ENGINE and names.get(name, MISSING) is not value:
                    raise CompileError(
                        "compile: expected state in Variables and in attributes of "
                        f"layers and optimizers, got '{name}' set on a "
                        f"{type(x).__name__}",
                        write="a dict of the optimizer with the parameters as keys",
                    )

    def check_untouched(self) -> None:
        """See that no bare array was written where the trace could not hear of it."""
        arrays: list[tuple[Array, int, Any, str]] = [
            (c.array, self._marks[id(c.array)], c.place, c.node.place)
            for c in (*self.cells.values(), *self.given)
        ]
        arrays += [(x, mark, "a bare array", at) for x, mark, at in self.trace.bare]
        for array, mark, place, at in arrays:
            if fingerprint(array) != mark:
                raise CompileError(
                    "compile: expected the step to write arrays with traced ones, got "
                    f"{place} of shape {array.shape} written by Python or NumPy alone",
                    place=at and f"the step; it was first used at {at}",
                    write="xp = dezero.cuda.get_array_module(x) and xp.zeros_like(x) "
                    "for arrays of the step's own, or keep state in a Variable",
                )

    def effects(
        self, final: bool, again: bool = False, loose: bool = False
    ) -> list[Effect]:
        """What is different at the end from the beginning, found before ``restore``.

        Args:
            final: Take things that are there for the first time as they are.
            again: Take attributes so, which will be set back, such as a hidden state.
            loose: Do not mind lists and dicts that grow.

        Raises:
            Unsettled: Something is there for the first time.
        """
        held = self._held()
        found = [
            effect._replace(place=self._at_each_call(effect.place, held))
            for effect in (
                *self._written(final, loose),
                *self._attributes_set(final or again, held),
            )
        ]
        # Those of what is held at the start come first, while it is still there.
        found.sort(key=lambda effect: effect.place.owner.held is None)
        found = _parted(found)
        for cell in self.given:
            if cell.tracer.storage.version:
                found.append(Effect(cell.place, Leaf(cell.tracer.node, "array")))
        return found

    def _written(self, final: bool, loose: bool) -> Iterator[Effect]:
        """Arrays that were written or replaced, in Variables and containers."""
        for container, copy in self.containers.values():
            grown = len(container) != len(copy) or (
                isinstance(container, dict) and container.keys() != copy.keys()
            )
            if grown and not final:
                raise Unsettled("a container of state grows")
            if grown and not loose:
                raise CompileError(
                    f"compile: expected lists and dicts of state to keep their size "
                    f"from call to call, got a {type(container).__name__} that grew "
                    f"from {len(copy)} to {len(container)}",
                    write="return from the step what is to be collected",
                )
        for place in {place.key: place for place in self.places}.values():
            if place.kind == "data":
                now = self.data_slot.__get__(place.owner.object)
            elif place.kind == "item":
                now = place.owner.object[place.name]
            else:
                continue  # attributes are looked at one by one
            before = self._cell_at(place)
            if isinstance(now, Tracer) and now.node is not before:
                yield Effect(place, Leaf(now.node, "array"), before)
            elif isinstance(now, np.ndarray) and place.kind == "data":
                yield Effect(place, Leaf(self.trace.constant(now).node, "array"))

    def _cell_at(self, place: Place) -> Node | None:
        """The input that was at a place, which others may share with it."""
        if place.kind == "data":
            before = self.variables[id(place.owner.object)][1]
        else:
            before = self.containers[id(place.owner.object)][1][place.name]
        cell = self.cells.get(id(before))
        return cell.node if cell else None

    def _attributes_set(self, final: bool, held: dict[int, Place]) -> Iterator[Effect]:
        for seen in self.attributes.values():
            now, place = (
                seen.now(),
                Place("attribute", self.owner(seen.owner), seen.name),
            )
            if now is seen.before or now is MISSING:
                continue
            value = self._leaves(now)
            if seen.lifted:
                before = self._input_of(place)
                if isinstance(value, Leaf) and value.node is before:
                    continue
            elif (
                seen.read_first
                and not final
                and id(seen.owner) not in held
                and not _same_kind(seen.before, now)
            ):
                raise Unsettled(f"{type(seen.owner).__name__}.{seen.name} is new")
            yield Effect(place, value, self._input_of(place))

    def _input_of(self, place: Place) -> Node | None:
        cells = [*self.numbers, *self.cells.values()]
        return next((c.node for c in cells if c.place.key == place.key), None)

    def _leaves(self, value: Any) -> Any:
        """A structure with Leaves for its arrays."""
        return mapped(value, self._leaf)

    def _leaf(self, value: Any) -> Any:
        if isinstance(value, Tracer):
            return Leaf(value.node, "number" if value.weak else "array")
        if not _is_variable(value) or id(value) in self.variables:
            return value
        data = self.data_slot.__get__(value)
        if not isinstance(data, Tracer):
            return value
        grad = value.__dict__.get("grad")
        return Leaf(
            data.node,
            "variable",
            value.name,
            value.requires_grad,
            None if grad is None else self._leaf(grad),
        )

    def result(self, value: Any) -> Any:
        """What the step returns, with Leaves for its arrays."""
        return mapped(
            value,
            lambda x: (
                Given(self.arguments[id(x)])
                if id(x) in self.arguments
                else self._leaf(x)
            ),
        )

    def guards(self) -> list[Guard | SharedGuard]:
        """The attributes that decided something, and the places that shared."""
        found: list[Guard | SharedGuard] = []
        held = self._held()
        for seen in self.attributes.values():
            if seen.lifted or not seen.read_first:
                continue
            like = seen.now() is not seen.before or self._is_plain_variable(seen.before)
            owner = self._now(self.owner(seen.owner), held)
            found.append(Guard(owner, seen.name, seen.before, like, seen.parts))
        for first, second in self.shared:
            places = (self._at_each_call(place, held) for place in (first, second))
            found.append(SharedGuard(*places))
        return found

    @staticmethod
    def _is_plain_variable(x: Any) -> bool:
        """Whether it is a Variable that another may take the place of: no Parameter."""
        return _is_variable(x) and type(x).__name__ == "Variable"

    def inputs(self) -> list[Cell]:
        """The inputs, each with the place where a next call finds it."""
        held = self._held()
        return [
            cell._replace(place=self._at_each_call(cell.place, held))
            for cell in (*self.numbers, *self.given, *self.cells.values())
        ]

    def _held(self) -> dict[int, Place]:
        """Variables for which others may stand at the next call, by their ids."""
        return {
            id(x): Place("attribute", self.owner(seen.owner), seen.name, path)
            for seen in self.attributes.values()
            if seen.read_first
            and not seen.lifted
            and (seen.now() is not seen.before or self._is_plain_variable(seen.before))
            for x, path in _variables_in(seen.before)
        }

    def _now(self, owner: Owner, held: dict[int, Place]) -> Owner:
        """How an owner is found at each call."""
        place = held.get(id(owner.object))
        if place is None or owner.argument is not None:
            return owner
        return owner._replace(held=self._at_each_call(place, held))

    def _at_each_call(self, place: Place, held: dict[int, Place]) -> Place:
        return replace(place, owner=self._now(place.owner, held))


def _parted(effects: list[Effect]) -> list[Effect]:
    """Of places that shared an array and no longer do, the first goes on with it."""
    heirs: dict[Node, Any] = {}
    found = []
    for effect in effects:
        value = getattr(effect.value, "node", effect.value)
        before = effect.before
        if before is not None and heirs.setdefault(before, value) is not value:
            effect = effect._replace(before=None)
        found.append(effect)
    return found


def _variables_in(
    value: Any, path: tuple[Any, ...] = ()
) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    if _is_variable(value):
        yield value, path
    elif isinstance(value, (tuple, list)):
        for i, part in enumerate(value):
            yield from _variables_in(part, (*path, i))


def _same_kind(before: Any, now: Any) -> bool:
    """Whether the next call finds what this one found, as far as kinds go."""
    if type(before) is not type(now):
        return False
    if isinstance(now, (tuple, list)):
        return len(before) == len(now) and all(map(_same_kind, before, now))
    return not is_simple(now) or bool(before == now)


__all__ = [
    "Cell",
    "Effect",
    "Guard",
    "Leaf",
    "Owner",
    "Place",
    "Recorder",
    "Unsettled",
]
