"""``compile``: a step as a program; the one file of this tower that knows Variables."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, overload

import numpy as np

from dezero import random
from dezero.backend.hooks import hooks_in_use
from dezero.backend.threads import set_blas_threads
from dezero.backend.tracing import watched_by, watcher
from dezero.compiler import llvm
from dezero.compiler.check import verify
from dezero.compiler.errors import CompileError, MismatchError, NonFiniteError
from dezero.compiler.ir import Graph, mapped
from dezero.compiler.products import PASSES
from dezero.compiler.program import Misfit, Program, leaves_of, with_nodes
from dezero.compiler.reach import Surroundings
from dezero.compiler.report import explained, lowered
from dezero.compiler.state import (
    Cell,
    Effect,
    Guard,
    NameGuard,
    Recorder,
    SharedGuard,
    Unsettled,
)
from dezero.compiler.trace import Trace
from dezero.config import switches
from dezero.core.function import _nothing
from dezero.core.variable import Variable, data_slot, variables_watched_by

# Whether a step runs eagerly: the compiled functions it calls are parts of it.
_within: ContextVar[bool] = ContextVar("dezero.within_step", default=False)
_tracing = threading.RLock()  # NumPy's names lead elsewhere meanwhile
MANY = 8  # programs of one step: so many draw a warning
# How far the compiled step may be from the eager one, relative to the largest element.
TOLERANCES = {"f4": 1e-4, "f8": 1e-9, "f2": 1e-2}


class CompiledStep:
    """A step that is compiled when it is first called; see ``compile``.

    What is called with arguments of other shapes or types, or in another mode, is
    compiled again; all these programs share the state.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        check: int = 0,
        profile: bool = False,
        quiet: bool = False,
    ) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._check = check
        self._profile = profile
        self._quiet = quiet  # many programs are as it should be, and so are NaN
        self._programs: dict[Any, list[Program]] = {}
        self._reasons: list[str] = []  # why each program was compiled
        self._running = threading.RLock()  # a program has one set of memory
        self._name = getattr(function, "__name__", type(function).__name__)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the step. Another thread that calls it waits."""
        if watcher() is not None or _within.get():
            # A part of a larger step, which is traced, or runs eagerly this once.
            return self._function(*args, **kwargs)
        with self._running:
            leaves: list[Any] = []
            signature = _signature((args, kwargs), leaves), switches.get()
            reason = ""
            for program in self._programs.get(signature, ()):
                if program.admits(leaves):
                    try:
                        return self._run(program, args, kwargs, leaves)
                    except Misfit as misfit:
                        reason = str(misfit)
            reason = reason or self._reason(signature, leaves)
            return self._first_call(args, kwargs, leaves, signature, reason)

    def _run(self, program: Program, args: Any, kwargs: Any, leaves: list[Any]) -> Any:
        if self._check > 0:
            return self._checked_call(program, args, kwargs, leaves)
        return program(leaves)

    def __reduce__(self) -> Any:
        """A copy has no programs; that of a method is the method of the copy."""
        owner = getattr(self._function, "__self__", None)
        if owner is not None:
            return getattr, (owner, self._name)
        options = self._check, self._profile, self._quiet
        return CompiledStep, (self._function, *options)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As a method: compiled for each instance by itself."""
        if instance is None:
            return self
        name = f"_compiled_{self._name}"
        bound = instance.__dict__.get(name)
        if bound is None:
            function = self._function.__get__(instance, owner)
            bound = CompiledStep(function, self._check, self._profile)
            instance.__dict__[name] = bound
        return bound

    def explain(self) -> str:
        """What was compiled: operations, kernels, memory, calls, and why so often.

        With ``compile(profile=True)`` every call has its share of the time.
        """
        programs = [p for found in self._programs.values() for p in found]
        if not programs:
            return f"{self._name}: not compiled yet; call it first"
        parts = [
            f"{self._name}, program {i + 1} of {len(programs)}: {reason}\n"
            + explained(program)
            for i, (program, reason) in enumerate(
                zip(programs, self._reasons, strict=True)
            )
        ]
        return "\n\n".join(parts)

    def lower(self, *args: Any, stage: str = "optimized", **kwargs: Any) -> str:
        """The text of the step on its way to machine code, compiled for ``args``.

        Nothing runs, and no state changes.

        Args:
            stage: ``'traced'`` (the operations as they came), ``'optimized'`` (after
                the passes), ``'fused'`` (what runs together), ``'program'`` (the list
                of calls), ``'llvm'`` or ``'assembly'``.
        """
        leaves: list[Any] = []
        signature = _signature((args, kwargs), leaves), switches.get()
        for program in self._programs.get(signature, ()):
            if program.admits(leaves):
                return lowered(program, stage)
        program = self._traced(args, kwargs, leaves, final=True, loose=True)
        return lowered(program, stage)

    # -- compiling --------------------------------------------------------------------

    def _first_call(
        self,
        args: Any,
        kwargs: Any,
        leaves: list[Any],
        signature: Any,
        reason: str,
    ) -> Any:
        """Trace and compile; where things begin to be, let them, eagerly, before."""
        try:
            # What is new at a second time will be again: a state that is reset.
            again = signature in self._programs
            program = self._traced(args, kwargs, leaves, final=False, again=again)
            self._keep(signature, program, reason)
            return self._run(program, args, kwargs, leaves)
        except Unsettled as event:
            news = str(event)
        # Here, not above: an exception keeps all that was traced alive.
        result = mapped(self._eagerly(*args, **kwargs), _without_graph)
        _require_finite(result)
        leaves.clear()
        signature = _signature((args, kwargs), leaves), switches.get()
        program = self._traced(args, kwargs, leaves, final=True)
        self._keep(signature, program, f"{reason}; ran eagerly once, as {news}")
        return result

    def _eagerly(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function itself, and compiled functions in it as they are, too."""
        token = _within.set(True)
        try:
            return self._function(*args, **kwargs)
        finally:
            _within.reset(token)

    def _reason(self, signature: Any, leaves: list[Any]) -> str:
        if not self._programs:
            return "the first call"
        same = self._programs.get(signature)
        if same:
            broken = next(g for g in same[-1].guards if not g.holds(leaves))
            return f"{broken}, and is no more"
        last = next(reversed(self._programs))
        if last[1] != signature[1]:
            return f"the switches were {last[1]} and are {signature[1]}"
        return f"called with {_described(signature[0])}"

    def _keep(self, signature: Any, program: Program, reason: str) -> None:
        self._programs.setdefault(signature, []).append(program)
        self._reasons.append(reason)
        if len(self._reasons) == MANY and not self._quiet:
            warnings.warn(
                f"compile: expected few programs of '{self._name}', got {MANY}; the "
                f"last because: {reason}; pass what changes as an array, or keep it in "
                "a Variable",
                RuntimeWarning,
                stacklevel=4,
            )

    def _traced(
        self,
        args: Any,
        kwargs: Any,
        leaves: list[Any],
        final: bool,
        again: bool = False,
        loose: bool = False,
    ) -> Program:
        with _tracing:
            trace = Trace()
            recorder = Recorder(trace, data_slot, _nothing)
            states = random.states()
            surroundings = Surroundings(self._function)
            hooks = NameGuard("hooks in use", hooks_in_use, hooks_in_use())
            changed = ""
            try:
                given = _lifted(leaves, recorder)
                call_args, call_kwargs = _rebuilt((args, kwargs), iter(given))
                with (
                    variables_watched_by(recorder),
                    watched_by(recorder),
                    recorder.creation.in_place(self._function),
                ):
                    result = self._function(*call_args, **call_kwargs)
                returned = recorder.result(result)
                del result  # and with it the graph behind it
                effects = recorder.effects(final, again, loose)
                guards: list[Guard | SharedGuard | NameGuard] = [
                    hooks,
                    *surroundings.guards(),
                    *recorder.guards(),
                ]
                inputs = recorder.inputs()
                recorder.check_names()
            except Exception as error:
                raise _cause(error) from None
            finally:
                changed = surroundings.restore()
                recorder.restore()
                random.restore(states)
            surroundings.check(changed)
            recorder.check_untouched()
            return _program(
                trace.graph,
                inputs,
                effects,
                guards,
                returned,
                profile=self._profile,
                finite=not self._quiet,
            )

    # -- checking ---------------------------------------------------------------------

    def _checked_call(
        self, program: Program, args: Any, kwargs: Any, leaves: list[Any]
    ) -> Any:
        """Run it eagerly and compiled from the same state, and compare."""
        places = {e.place.key: e.place for e in program.effects}.values()
        before = [_copied(place.get(leaves)) for place in places]
        states = random.states()
        result = self._eagerly(*args, **kwargs)
        wanted = [_copied(place.get(leaves)) for place in places]
        for place, value in zip(places, before, strict=True):
            place.set(leaves, value)
        random.restore(states)
        found = program(leaves)
        _compare("what the step returns", result, found)
        for place, value in zip(places, wanted, strict=True):
            _compare(str(place), value, place.get(leaves))
        self._check -= 1
        return found


def _lifted(leaves: list[Any], recorder: Recorder) -> list[Any]:
    """The arguments as the step gets them while it is traced."""
    given: list[Any] = []
    known: dict[int, Any] = {}  # one array twice is one Tracer
    for i, leaf in enumerate(leaves):
        if isinstance(leaf, Variable):
            recorder.arguments.setdefault(id(leaf), i)
        elif isinstance(leaf, np.ndarray):
            if id(leaf) not in known:
                known[id(leaf)] = recorder.argument(leaf, i)
            leaf = known[id(leaf)]
        given.append(leaf)
    return given


def _cause(error: Exception) -> Exception:
    """The error of ours behind one that NumPy made of it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, CompileError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return error


def _without_graph(x: Any) -> Any:
    """What an eager first call returned, as the later ones return it: a leaf."""
    if not isinstance(x, Variable) or x.creator is None:
        return x
    y = Variable(x.data, x.name, x.requires_grad)
    y.grad = x.grad
    return y


def _require_finite(result: Any) -> None:
    """Raise where a number that an eager first call returned is not finite."""
    if isinstance(result, (tuple, list)):
        for part in result:
            _require_finite(part)
        return
    x = result.data if isinstance(result, Variable) else result
    scalar = isinstance(x, np.ndarray) and x.size == 1 and x.dtype.kind == "f"
    if scalar and not np.isfinite(x).all():
        raise NonFiniteError(
            f"compile: expected a finite loss, got {x.item()} at the first call, which "
            "ran eagerly and has updated what it updates"
        )


def _copied(value: Any) -> Any:
    """State as it is now, whatever happens to its arrays."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, Variable):
        data = None if value.data is None else value.data.copy()
        return Variable(data, value.name, value.requires_grad)
    if isinstance(value, (tuple, list)):
        return type(value)(map(_copied, value))
    return value


def _compare(what: str, wanted: Any, found: Any) -> None:
    """Raise MismatchError at the first array of two structures that differs."""
    if isinstance(wanted, (tuple, list)) and isinstance(found, (tuple, list)):
        for i, (a, b) in enumerate(zip(wanted, found, strict=True)):
            _compare(f"{what}[{i}]", a, b)
        return
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key in wanted:
            _compare(f"{what}[{key!r}]", wanted[key], found.get(key))
        return
    a, b = (x.data if isinstance(x, Variable) else x for x in (wanted, found))
    if a is None or b is None or not isinstance(a, (np.ndarray, int, float)):
        return
    a, b = np.asarray(a), np.asarray(b)
    tolerance = TOLERANCES.get(a.dtype.str[1:], 0.0)
    scale = float(np.max(np.abs(a), initial=0.0)) if a.dtype.kind in "fc" else 0.0
    if a.shape != b.shape or not np.allclose(
        a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True
    ):
        gap = np.max(np.abs(a - b)) if a.shape == b.shape else "another shape"
        raise MismatchError(
            f"compile: expected the compiled step to give what the eager one gives, "
            f"got another {what}: {a.dtype} of shape {a.shape}, off by up to {gap}"
        )


def _program(
    graph: Graph,
    inputs: list[Cell],
    effects: list[Effect],
    guards: list[Guard | SharedGuard | NameGuard],
    returned: Any,
    **options: bool,
) -> Program:
    """What was traced, through all passes, as a program."""
    structure = [[effect.value for effect in effects], returned]
    graph.outputs = [leaf.node for leaf in leaves_of(structure)]
    traced = graph
    verify(graph, "the trace")
    for one in PASSES:
        graph = one(graph)
        verify(graph, one.__name__)
    values, returned = with_nodes(structure, iter(graph.outputs))
    effects = [
        effect._replace(value=value)
        for effect, value in zip(effects, values, strict=True)
    ]
    return Program(
        graph, traced, inputs, effects, guards, returned, Variable, **options
    )


def _described(signature: Any) -> str:
    """The shapes and values of a signature, for people."""
    if isinstance(signature, tuple) and len(signature) == 2:
        kind, parts = signature
        if kind in (tuple, list):
            return "(" + ", ".join(map(_described, parts)) + ")"
        if kind is dict:
            return ", ".join(f"{k}={_described(v)}" for k, v in parts)
        return repr(parts)
    if isinstance(signature, tuple) and len(signature) == 3:
        shape, dtype, _ = signature
        return f"{dtype}{list(shape)}"
    if isinstance(signature, tuple) and len(signature) == 4:
        _, shape, _, _ = signature
        return f"Variable {shape[1]}{list(shape[0])}" if shape else "Variable(None)"
    return repr(signature)


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
        return structure.shape, structure.dtype, _first_place(structure, leaves)
    if isinstance(structure, Variable):
        data = structure.data
        shape = None if data is None else (data.shape, data.dtype)
        place = _first_place(structure, leaves)
        return kind, shape, structure.requires_grad, place
    if isinstance(structure, np.ndarray):
        raise TypeError(
            f"compile: expected plain arrays as arguments, got {kind.__name__}"
        )
    if kind is float:
        return kind, structure.hex()  # 0.0 is not -0.0, NaN is NaN
    try:
        hash(structure)
    except TypeError:
        return kind, id(structure)
    return kind, structure


def _first_place(x: Any, leaves: list[Any]) -> int:
    """Where among the arguments an object stands first: one given twice is another
    thing than two."""
    return next(i for i, leaf in enumerate(leaves) if leaf is x)


def _rebuilt(structure: Any, leaves: Any) -> Any:
    """The arguments again, with other leaves."""
    kind = type(structure)
    if kind is tuple or kind is list:
        return kind([_rebuilt(part, leaves) for part in structure])
    if kind is dict:
        return {key: _rebuilt(part, leaves) for key, part in structure.items()}
    return next(leaves)


@overload
def compile(
    function: Callable[..., Any], *, check: bool | int = ..., profile: bool = ...
) -> CompiledStep: ...
@overload
def compile(
    function: None = ..., *, check: bool | int = ..., profile: bool = ...
) -> Callable[[Callable[..., Any]], CompiledStep]: ...
def compile(
    function: Any = None, *, check: bool | int = False, profile: bool = False
) -> Any:
    """Make a step a native program: traced at its first call, replayed at the next.

    A step is any function of arrays and Variables, in lists, tuples and dicts as you
    like, that computes, calls ``backward()`` (of any order) and updates. It runs once
    with arrays that note every operation; the operations become a few kernels and
    matrix products, in memory that is planned, and that is what runs from then on.

    What Variables hold is state: parameters, moments of optimizers, running averages,
    the hidden state of a recurrent layer. It is read anew at each call and written at
    its end; so are the numbers of optimizers, ``lr`` above all. Random numbers are
    drawn anew at each call. Shapes, types, other arguments, and the switches of
    ``Config`` make a *signature*; for another signature the step is compiled again.

    Args:
        function: The step. It may also be a method.
        check: At the first call, or the first ``check`` calls, run the step eagerly as
            well, and compare what it returns, all gradients and all state.
        profile: Measure the time of every call for ``explain()``.

    Raises:
        CompileError: The step reads a value that is not known before it runs
            (``float(loss)``, ``if loss < 1``), asks for a shape that depends on data,
            or changes a bare array behind the tracer. The message has the line and
            what to write instead; model, optimizer and random state are as before.
        NonFiniteError: A loss that the step returns became NaN or infinite; the message
            names the operation. Nothing was updated.
        MismatchError: With ``check``, the first result that differs.

    >>> import dezero.layers as L
    >>> model = L.Linear(1, in_size=2)
    >>> optimizer = dezero.optimizers.SGD(0.1).setup(model)
    >>> @dezero.compile
    ... def step(x, t):
    ...     loss = F.mean_squared_error(model(x), t)
    ...     model.cleargrads()
    ...     loss.backward()
    ...     optimizer.update()
    ...     return loss
    >>> x, t = np.ones((4, 2), np.float32), np.ones((4, 1), np.float32)
    >>> first, second = step(x, t), step(x, t)
    >>> bool(second.data < first.data)
    True
    """
    if function is None:
        return functools.partial(compile, check=check, profile=profile)
    if not callable(function):
        raise TypeError(f"compile: expected a function, got {type(function).__name__}")
    return CompiledStep(function, int(check), profile)


def native_form(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """A function of arrays for eager use, compiled; ``None`` without llvmlite."""
    return None if llvm.find_llvm() is None else CompiledStep(function, quiet=True)


def set_num_threads(n: int) -> None:
    """Compute with so many threads: kernels of compiled steps, and BLAS.

    The default is ``OMP_NUM_THREADS``, or the number of cores. Steps that are compiled
    already keep to as many as there were then, or fewer.

    Raises:
        ValueError: ``n`` is less than 1.
    """
    if n < 1:
        raise ValueError(f"set_num_threads: expected at least 1, got {n}")
    set_blas_threads(n)
    native = llvm.native()
    if native is not None:
        native.pool.resize(n)


__all__ = ["CompiledStep", "compile", "native_form", "set_num_threads"]
