"""``compile``: a step as a program; the one file of this tower that knows Variables."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any, overload

import numpy as np

from dezero import random
from dezero.backend.tracing import watched_by
from dezero.compile.ir import Graph
from dezero.compile.passes import PASSES
from dezero.compile.program import Program, leaves_of, with_nodes
from dezero.compile.state import (
    Cell,
    Effect,
    Guard,
    Owner,
    Place,
    Recorder,
    Unsettled,
)
from dezero.compile.trace import Trace
from dezero.config import switches
from dezero.core.function import _nothing
from dezero.core.variable import Variable, data_slot, variables_watched_by

_tracing = threading.RLock()  # NumPy's names lead elsewhere meanwhile
MANY = 8  # programs of one step: so many draw a warning


class CompiledStep:
    """A step that is compiled when it is first called; see ``compile``."""

    def __init__(self, function: Callable[..., Any], check: int) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._check = check
        self._programs: dict[Any, list[Program]] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves: list[Any] = []
        signature = _signature((args, kwargs), leaves), switches.get()
        for program in self._programs.get(signature, ()):
            if program.admits(leaves):
                return program(leaves)
        return self._first_call(args, kwargs, leaves, signature)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method: compiled for each instance by itself."""
        if instance is None:
            return self
        name = f"_compiled_{self._function.__name__}"
        bound = instance.__dict__.get(name)
        if bound is None:
            bound = CompiledStep(self._function.__get__(instance, owner), self._check)
            instance.__dict__[name] = bound
        return bound

    def _first_call(
        self, args: Any, kwargs: Any, leaves: list[Any], signature: Any
    ) -> Any:
        """Trace and compile; where things begin to be, let them, eagerly, before."""
        try:
            program = self._traced(args, kwargs, leaves, final=False)
        except Unsettled:
            result = self._function(*args, **kwargs)
            leaves.clear()
            signature = _signature((args, kwargs), leaves), switches.get()
            program = self._traced(args, kwargs, leaves, final=True)
            self._keep(signature, program)
            return result
        self._keep(signature, program)
        return program(leaves)

    def _keep(self, signature: Any, program: Program) -> None:
        programs = self._programs.setdefault(signature, [])
        programs.append(program)
        total = sum(map(len, self._programs.values()))
        if total == MANY:
            warnings.warn(
                f"compile: expected a step with few signatures, got {total} of "
                f"'{self.__name__}'; {self._what_changes()}",
                RuntimeWarning,
                stacklevel=4,
            )

    def _what_changes(self) -> str:
        return "step.explain() tells what changes"

    def _traced(
        self, args: Any, kwargs: Any, leaves: list[Any], final: bool
    ) -> Program:
        with _tracing:
            trace = Trace()
            recorder = Recorder(trace, data_slot, _nothing)
            states = random.states()
            given: list[Any] = []
            try:
                for i, leaf in enumerate(leaves):
                    if isinstance(leaf, Variable):
                        recorder.arguments[id(leaf)] = i
                        given.append(leaf)
                    elif isinstance(leaf, np.ndarray):
                        place = Place("argument", Owner(leaf, i))
                        given.append(recorder.lift(leaf, place))
                    else:
                        given.append(leaf)
                call_args, call_kwargs = _rebuilt((args, kwargs), iter(given))
                with (
                    variables_watched_by(recorder),
                    watched_by(recorder),
                    recorder.creation.in_place(),
                ):
                    result = self._function(*call_args, **call_kwargs)
                returned = recorder.result(result)
                effects = recorder.effects(final)
                guards, inputs = recorder.guards(), recorder.inputs()
            finally:
                recorder.restore()
                for generator, state in states:
                    generator.set_state(state)
            recorder.check_untouched()
            return _program(trace.graph, inputs, effects, guards, returned)


def _program(
    graph: Graph,
    inputs: list[Cell],
    effects: list[Effect],
    guards: list[Guard],
    returned: Any,
) -> Program:
    """What was traced, through all passes, as a program."""
    structure = [[effect.value for effect in effects], returned]
    graph.outputs = [leaf.node for leaf in leaves_of(structure)]
    traced = graph
    for one in PASSES:
        graph = one(graph)
    values, returned = with_nodes(structure, iter(graph.outputs))
    effects = [
        effect._replace(value=value)
        for effect, value in zip(effects, values, strict=True)
    ]
    return Program(graph, traced, inputs, effects, guards, returned, Variable)


def _signature(structure: Any, leaves: list[Any]) -> Any:
    """What of the arguments makes a program: all but the numbers in arrays.

    The arrays, and everything else that has no parts, are added to ``leaves``.
    """
    kind = type(structure)
    if kind is tuple or kind is list:
        return kind, tuple([_signature(part, leaves) for part in structure])
    if kind is dict:
        return kind, tuple(
            [(key, _signature(part, leaves)) for key, part in structure.items()]
        )
    leaves.append(structure)
    if kind is np.ndarray:
        return structure.shape, structure.dtype
    if isinstance(structure, Variable):
        data = structure.data
        shape = None if data is None else (data.shape, data.dtype)
        return kind, shape, structure.requires_grad
    if isinstance(structure, np.ndarray):
        raise TypeError(
            f"compile: expected plain arrays as arguments, got {kind.__name__}"
        )
    try:
        hash(structure)
    except TypeError:
        return kind, id(structure)
    return kind, structure


def _rebuilt(structure: Any, leaves: Any) -> Any:
    """The arguments again, with other leaves."""
    kind = type(structure)
    if kind is tuple or kind is list:
        return kind([_rebuilt(part, leaves) for part in structure])
    if kind is dict:
        return {key: _rebuilt(part, leaves) for key, part in structure.items()}
    return next(leaves)


@overload
def compile(function: Callable[..., Any], *, check: bool | int = ...) -> CompiledStep: ...
@overload
def compile(
    function: None = ..., *, check: bool | int = ...
) -> Callable[[Callable[..., Any]], CompiledStep]: ...
def compile(function: Any = None, *, check: bool | int = False) -> Any:
    """A step as a native program, traced at its first call and replayed at the next.
    """
    if function is None:
        return functools.partial(compile, check=check)
    return CompiledStep(function, int(check))


__all__ = ["CompiledStep", "compile"]
