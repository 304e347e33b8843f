"""What a step can reach by its names: what it may change where no tracer looks.

A step's own variables come and go. Those of its closure and of its module stay, and so
do the arrays and generators that hang on them. They are looked at before the trace and
after it; what was changed is put back and named. Names are guards as well: a step whose
``optimizer`` is another one now is another step.
"""

from __future__ import annotations

import functools
import random
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from dezero.backend.tracing import Stateful
from dezero.compiler.errors import CompileError
from dezero.compiler.ir import Array
from dezero.compiler.state import MISSING, NameGuard, is_same_constant, is_simple
from dezero.compiler.trace import fingerprint

DEEPEST = 4  # attributes of items of attributes ...
MOST = 5000  # objects that are looked at
MOST_BYTES = 1 << 26  # of arrays
MOST_KEPT = 1 << 22  # bytes of an array, so that it can be put back
MOST_ATTRIBUTES = 50  # of a plain object, which are guards each
_KNOWN = {"dezero", "numpy", *sys.stdlib_module_names}  # their objects are left alone

_Generator = (np.random.RandomState, np.random.Generator, random.Random)


class Name(NamedTuple):
    """A name outside of a function that it uses."""

    text: str
    read: Callable[[], Any]
    write: Callable[[Any], None]


def names_of(function: Any) -> Iterator[Name]:
    """The names of a function's closure and module, and of the functions it calls."""
    seen: set[int] = set()
    waiting = [function]
    while waiting:
        one = _bare(waiting.pop())
        if id(one) in seen or not isinstance(one, types.FunctionType):
            continue
        seen.add(id(one))
        for name in _names(one):
            yield name
            value = name.read()
            yield from _attributes(name.text, value)
            if isinstance(_bare(value), types.FunctionType) and _is_near(value, one):
                waiting.append(value)


def _bare(function: Any) -> Any:
    """A function without what is wrapped around it."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, types.MethodType):
            function = function.__func__
        else:
            return function


def _is_near(value: Any, function: types.FunctionType) -> bool:
    """Whether a function is of the same program: of its package."""
    there = str(getattr(_bare(value), "__module__", "")).split(".")[0]
    return there == str(function.__module__).split(".")[0]


def _names(function: types.FunctionType) -> Iterator[Name]:
    code = function.__code__
    cells = function.__closure__ or ()
    for text, cell in zip(code.co_freevars, cells, strict=True):
        yield Name(
            text,
            functools.partial(_read_cell, cell),
            functools.partial(setattr, cell, "cell_contents"),
        )
    space = function.__globals__
    for text in sorted(_global_names(code)):
        if text in space:
            yield Name(
                text,
                functools.partial(space.get, text, MISSING),
                functools.partial(space.__setitem__, text),
            )


def _attributes(text: str, value: Any) -> Iterator[Name]:
    """What a plain object of the program keeps, as names of their own."""
    own = getattr(value, "__dict__", None)
    plain = isinstance(value, types.SimpleNamespace) or (
        type(value).__module__.split(".")[0] not in _KNOWN
        and not isinstance(value, (Stateful, type, types.FunctionType))
    )
    if type(own) is dict and plain and len(own) <= MOST_ATTRIBUTES:
        for name in own:
            yield Name(
                f"{text}.{name}",
                functools.partial(own.get, name, MISSING),
                functools.partial(own.__setitem__, name),
            )


def _read_cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return MISSING


def _global_names(code: types.CodeType) -> set[str]:
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _global_names(constant)
    return found


def _hanging(value: Any) -> Iterator[Any]:
    """The arrays and generators that can be reached from a value."""
    seen: set[int] = set()
    waiting = [(value, 0)]
    while waiting and len(seen) < MOST:
        one, depth = waiting.pop()
        if id(one) in seen or is_simple(one):
            continue
        seen.add(id(one))
        if isinstance(one, (np.ndarray, *_Generator)):
            yield one
        elif depth > DEEPEST or isinstance(
            one, (types.ModuleType, types.FunctionType, type)
        ):
            continue
        elif isinstance(one, dict):
            waiting += [(part, depth + 1) for part in one.values()]
        elif isinstance(one, (list, tuple, set)):
            waiting += [(part, depth + 1) for part in one]
        else:
            waiting += [
                (part, depth + 1) for part in getattr(one, "__dict__", {}).values()
            ]


def _state(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return generator.get_state()
    return generator.bit_generator.state


def _set_state(generator: Any, state: Any) -> None:
    if isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.bit_generator.state = state


def _frozen(state: Any) -> Any:
    """A state as something to compare."""
    if isinstance(state, np.ndarray):
        return state.tobytes()
    if isinstance(state, dict):
        return tuple((key, _frozen(part)) for key, part in state.items())
    if isinstance(state, (tuple, list)):
        return tuple(map(_frozen, state))
    return state


class Surroundings:
    """All that a step can reach by its names, as it was before the step was traced."""

    def __init__(self, function: Any) -> None:
        self.names = [(name, name.read()) for name in names_of(function)]
        self.arrays: list[tuple[str, Array, int, Array | None]] = []
        self.generators: list[tuple[str, Any, Any]] = [
            ("random", random._inst, random.getstate())
        ]
        looked_at = 0
        own = getattr(function, "__self__", None)
        for text, value in [*((n.text, v) for n, v in self.names), ("self", own)]:
            for one in _hanging(value):
                if not isinstance(one, np.ndarray):
                    if one is not np.random.mtrand._rand:
                        self.generators.append((text, one, _state(one)))
                elif looked_at + one.nbytes <= MOST_BYTES:
                    looked_at += one.nbytes
                    kept = one.copy() if one.nbytes <= MOST_KEPT else None
                    self.arrays.append((text, one, fingerprint(one), kept))

    def restore(self) -> str:
        """Put names, generators and arrays back; what was changed, in words, or
        nothing."""
        changed = ""
        for text, generator, state in self.generators:
            if _frozen(_state(generator)) != _frozen(state):
                _set_state(generator, state)
                changed = f"numbers drawn from the generator '{text}'"
        for name, before in self.names:
            now = name.read()
            if now is not before and not is_same_constant(now, before):
                name.write(before)
                changed = f"the name '{name.text}' set anew"
        for text, array, mark, kept in self.arrays:
            if fingerprint(array) != mark:
                changed = f"a bare array of shape {array.shape} in '{text}' written"
                if kept is not None:
                    array[...] = kept
        return changed

    def check(self, changed: str) -> None:
        """Raise an error if anything was changed."""
        if not changed:
            return
        write = "np.random or dezero.random, or draw outside and pass the numbers"
        if not changed.startswith("numbers"):
            write = "state as a Variable, or as an attribute of a Layer or Optimizer"
        raise CompileError(
            "compile: expected a step that changes Variables and attributes of layers "
            f"and optimizers alone, got {changed}",
            write=write,
        )

    def guards(self) -> list[NameGuard]:
        """The names, as what must stay as it is."""
        return [
            NameGuard(name.text, name.read, value)
            for name, value in self.names
            if not isinstance(value, (types.ModuleType, type))
        ]
