"""What the floors above keep ready for ``compile``: its arrays, and its eyes.

``dezero.compile`` runs a step once with arrays of its own, which note every operation.
Here is all that the rest of the house knows of that: the mark on such arrays, the
functions that they see as one operation, and the base of everything that keeps
something from one call to the next, whose attributes are watched meanwhile.
"""

from __future__ import annotations

import ast
import contextlib
import functools
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

import numpy as np

from dezero.backend.batching import BatchedArray, each, level_of
from dezero.errors import DezeroError

F = TypeVar("F", bound=Callable[..., Any])


class TracedArray:
    """The mark on the arrays with which a step is traced: they have no values yet."""

    __slots__ = ()

    def as_number(self) -> TracedArray:
        """What ``float(x)`` is of an array with values: see ``number``."""
        raise NotImplementedError


class Stateful:
    """The base of what keeps something from call to call: layers, optimizers, hooks.

    A compiled step reads its attributes anew at each call and writes them at its end.
    """

    # Whether its numbers are settings that a program changes between calls, such as a
    # learning rate. If not they are part of its structure, such as a number of units,
    # and another number means another program.
    numbers_vary = False


class Watcher(Protocol):
    """Who is told of what a step reads and writes, and may answer in its place."""

    def read(self, owner: Any, name: str, value: Any) -> Any: ...
    def read_default(self, owner: Any, name: str, value: Any) -> None: ...
    def write(self, owner: Any, name: str, value: Any) -> None: ...
    def call(self, function: Any, args: tuple[Any, ...], kwargs: Any) -> Any: ...
    def require(self, condition: Any, error: Any, x: Any) -> None: ...
    def source(self, current: Callable[[], Any]) -> Any: ...


_watcher: ContextVar[Watcher | None] = ContextVar("dezero.watcher", default=None)


def watcher() -> Watcher | None:
    """Who watches this thread; ``None`` unless a step is being traced."""
    return _watcher.get()


def is_traced(x: Any) -> bool:
    """Whether ``x`` is an array of a step that is being traced."""
    return isinstance(x, TracedArray)


def number(x: Any) -> Any:
    """``x`` as a Python number, which keeps the type of the arrays it meets."""
    return x.as_number() if isinstance(x, TracedArray) else float(x)


def one_operation(function: F) -> F:
    """A function of bare arrays that a tracer sees as a single operation.

    For what is written with views, buffers and threads, of which a tracer could only
    make a long list of small steps. Of a batch it computes example by example. Called
    with plain arrays it is as it was.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if BatchedArray.ever and level_of((args, kwargs)):
            return each(call, args, kwargs)
        seen_by = _watcher.get()
        if seen_by is None or not any(map(is_traced, args)):
            return function(*args, **kwargs)
        return seen_by.call(function, args, kwargs)

    return call  # type: ignore[return-value]


# -- native kernels for eager computations --------------------------------------------

LARGE = 1 << 15  # elements from which on a native kernel pays for finding it
TRIALS = 2  # large calls of one kind until it is worth compiling; or see `settle`
SHAPES = 64  # for which a function is compiled; what is called with more stays NumPy's

# Compiles a function of arrays, or says that there is no way to: the front door of the
# package puts it here, as no floor below the compiler may import it.
provide: Callable[[Callable[..., Any]], Callable[..., Any] | None] | None = None
_natives: dict[str, Native] = {}  # of functions, by their names
_settled = False  # whether kernels are used from the first call on


class Native:
    """What is known of the native form of one function or method.

    A copy of it knows nothing: it belongs to what was copied.
    """

    def __init__(self) -> None:
        self.trials: Counter[Any] = Counter()
        self.shapes: set[Any] = set()
        self.compiled: Callable[..., Any] | None = None
        self.hopeless = False

    def ready(self, function: Callable[..., Any], key: Any) -> bool:
        """Whether there is one, for arguments of this kind."""
        if self.hopeless or provide is None:
            return False
        if key not in self.shapes:
            if len(self.shapes) >= SHAPES or len(self.trials) > 16 * SHAPES:
                return False
            self.trials[key] += 1
            if self.trials[key] <= TRIALS and not _settled:
                return False
            self.shapes.add(key)
        if self.compiled is None:
            self.compiled = provide(function)
            self.hopeless = self.compiled is None
        return not self.hopeless

    def run(
        self, function: Callable[..., Any], args: tuple[Any, ...], key: Any
    ) -> tuple[bool, Any]:
        """Run the native form, if there is one: whether it ran, and its result."""
        if _watcher.get() is not None or not self.ready(function, key):
            return False, None
        try:
            return True, self.compiled(*args)  # type: ignore[misc]
        except DezeroError:  # it does what no kernel can
            self.hopeless = True
            return False, None

    def __reduce__(self) -> Any:
        return Native, ()


def kernel(function: F) -> F:
    """A function of bare arrays that runs as a native kernel where that pays.

    The kernel is what ``compile`` makes of the function itself, so there is one text
    and one meaning: results differ from NumPy's in the last digit or not at all. It is
    used for large arrays, and where llvmlite is installed.
    """
    native = _natives[f"{function.__module__}.{function.__name__}"] = Native()

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        x = args[0]
        if type(x) is not np.ndarray or x.size < LARGE:
            return function(*args)
        if BatchedArray.ever and level_of(args):
            return function(*args)
        key = tuple([getattr(a, "shape", a) for a in args])
        ran, result = native.run(function, args, key)
        return result if ran else function(*args)

    return call  # type: ignore[return-value]


def settle(shapes: str | None = None) -> str:
    """Use kernels from the first call on, for the shapes that an earlier process did.

    A kernel and NumPy may differ in the last digit. When a training that was cut off
    goes on in another process, both must take the same of the two for every call.

    Args:
        shapes: What this function gave in that process.

    Returns:
        The shapes that kernels are used for, as text.
    """
    global _settled
    _settled = True
    for name, known in (ast.literal_eval(shapes) if shapes else {}).items():
        if name in _natives:
            _natives[name].shapes = set(known)
    found = {name: sorted(n.shapes, key=repr) for name, n in _natives.items()}
    return repr({name: known for name, known in found.items() if known})


def require(condition: Any, error: Callable[[Any, Any], Exception], x: Any) -> None:
    """Raise an error about the numbers in ``x`` unless they meet a condition.

    In a step that is being traced, it becomes a check that the step makes at every
    call, before it changes anything.

    Args:
        condition: One boolean.
        error: Makes the error from the smallest and the largest number.
        x: The array that it is about.

    >>> x = np.array([1, 2])
    >>> require(x.max() < 3, lambda low, high: ValueError(f'up to {high}'), x)
    """
    if isinstance(condition, BatchedArray):  # of all examples at once
        x = x.value if level_of(x) == condition.level else x
        require(condition.value.all(), error, x)
    elif is_traced(condition):
        seen_by = _watcher.get()
        if seen_by is not None:
            seen_by.require(condition, error, x)
    elif not condition:
        raise error(x.min(), x.max())


@contextlib.contextmanager
def watched_by(one: Watcher) -> Iterator[None]:
    """Let ``one`` see every attribute of a Stateful that the block reads or writes."""
    token = _watcher.set(one)
    plain_get, plain_set = object.__getattribute__, object.__setattr__

    def read(self: Any, name: str) -> Any:
        value = plain_get(self, name)
        seen_by = _watcher.get()
        if seen_by is None or name.startswith("__"):
            return value
        if name in _own(self):
            return seen_by.read(self, name, value)
        if getattr(type(self), name, None) is value:  # an attribute of its class
            seen_by.read_default(self, name, value)
        return value

    def write(self: Any, name: str, value: Any) -> None:
        seen_by = _watcher.get()
        if seen_by is not None:
            seen_by.write(self, name, value)
        plain_set(self, name, value)

    Stateful.__getattribute__ = read  # type: ignore[method-assign]
    Stateful.__setattr__ = write  # type: ignore[method-assign]
    try:
        yield
    finally:
        del Stateful.__getattribute__, Stateful.__setattr__
        _watcher.reset(token)


def _own(owner: Any) -> dict[str, Any]:
    """The attributes of the object itself, unseen."""
    own: dict[str, Any] = object.__getattribute__(owner, "__dict__")
    return own
