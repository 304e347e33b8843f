"""Where random numbers come from: initial weights, shuffling, dropout.

By default NumPy's global generator, so that ``np.random.seed(0)`` makes a program
repeatable. ``dezero.random.seed(0)`` changes to a generator of our own, which no
other library's draws disturb; from the same seed it gives the same numbers. ``with
dezero.random.using(generator)`` changes to a given one for a block of a program.
"""

from __future__ import annotations

import contextlib
import functools
import random
import threading
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from dezero.backend import Array
from dezero.backend.batching import Level, active, joined, without_axis
from dezero.backend.tracing import watcher
from dezero.errors import DataError

_seed: int | None = None
_generators: dict[str, Any] = {}  # of our own, by the name of the array library
_lock = threading.Lock()
_given: ContextVar[Any] = ContextVar("dezero.random.given", default=None)


def seed(n: int | None) -> None:
    """Draw from a generator of our own, started with ``n``.

    Args:
        n: The seed, or ``None`` to return to NumPy's global generator.

    Raises:
        TypeError: ``n`` is not an integer.
        ValueError: ``n`` is not from 0 to 2**32 - 1.

    >>> dezero.random.seed(0)
    >>> x = dezero.random.generator().rand(2)
    >>> dezero.random.seed(0)
    >>> bool((x == dezero.random.generator().rand(2)).all())
    True
    >>> dezero.random.seed(None)
    """
    global _seed
    if n is not None and not isinstance(n, (int, np.integer)):
        raise TypeError(f"seed: expected an integer or None, got {type(n).__name__}")
    if n is not None and not 0 <= n < 2**32:
        raise ValueError(f"seed: expected a number from 0 to 2**32 - 1, got {n}")
    with _lock:
        _seed = n
        _generators.clear()


@contextlib.contextmanager
def using(source: Any) -> Iterator[None]:
    """Draw from ``source`` inside a ``with`` block, whatever the seed.

    Other threads and async tasks go on with what they have, so that each can have a
    generator of its own. CuPy's random numbers are not concerned.

    Args:
        source: ``np.random.RandomState(seed)``, or another that has its methods.

    Raises:
        TypeError: It has not.

    >>> def draw():
    ...     with dezero.random.using(np.random.RandomState(0)):
    ...         return dezero.random.generator().rand()
    >>> draw() == draw()
    True
    """
    wanted = ("rand", "randn", "permutation", "get_state", "set_state")
    if not all(hasattr(source, name) for name in wanted):
        raise TypeError(
            "using: expected a generator with the methods of np.random, got "
            f"{type(source).__name__}; write np.random.RandomState(seed)"
        )
    token = _given.set(source)
    try:
        yield
    finally:
        _given.reset(token)


def generator(xp: ModuleType | None = None) -> Any:
    """The current source of random numbers, with the methods of ``np.random``.

    ``rand(*shape)`` is uniform on [0, 1), ``randn(*shape)`` normal, and
    ``permutation(n)`` shuffles the numbers below n. Threads may share it.

    Args:
        xp: The library whose arrays are wanted, NumPy (the default) or CuPy.
    """
    xp = np if xp is None else xp
    seen_by = watcher()
    if seen_by is None:
        source = _current(xp)
    else:
        source = seen_by.source(functools.partial(_current, xp))
    return _OfEach(source) if active.get() else source


class _OfEach:
    """A generator within vmap: every example has numbers of its own."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def rand(self, *shape: int) -> Any:
        return self._drawn(self._source.rand, shape)

    def randn(self, *shape: int) -> Any:
        return self._drawn(self._source.randn, shape)

    def _drawn(self, draw: Any, shape: tuple[int, ...]) -> Any:
        levels = active.get()
        x = draw(*(level.size for level in levels), *shape)
        for level in levels:
            x = without_axis(x, level.number)
        return x

    def __getattr__(self, name: str) -> Any:
        draw = getattr(self._source, name)

        def drawn(*args: Any, **kwargs: Any) -> Any:
            return _each(active.get(), functools.partial(draw, *args, **kwargs))

        return drawn


def _each(levels: tuple[Level, ...], draw: Any) -> Any:
    """One draw for every example, in their order."""
    if not levels:
        return draw()
    (level, *inner) = levels
    return joined([_each(tuple(inner), draw) for _ in range(level.size)], level.number)


def _current(xp: ModuleType) -> Any:
    given = _given.get()
    if given is not None and xp.__name__ == "numpy":
        return given
    with _lock:
        if _seed is None:
            return xp.random
        if xp.__name__ not in _generators:
            _generators[xp.__name__] = xp.random.RandomState(_seed)
        return _generators[xp.__name__]


def states() -> list[tuple[Any, Any]]:
    """The generators in use with their states, for ``restore``."""
    current = _current(np)  # made now, if it was not drawn from yet
    with _lock:
        numpys = [g for name, g in _generators.items() if name == "numpy"]
    own = [] if current is np.random or current in numpys else [current]
    return [(g, g.get_state()) for g in (np.random, *numpys, *own)]


def restore(held: list[tuple[Any, Any]]) -> None:
    """Let the generators go on from what ``states`` gave."""
    for one, state in held:
        one.set_state(state)


class Moment(NamedTuple):
    """Where the generators stood, and which they were."""

    seed: int | None
    generators: dict[str, Any]
    given: Any
    states: list[tuple[Any, Any]]


def moment() -> Moment:
    """Now, for ``back_at``."""
    held = states()
    with _lock:
        return Moment(_seed, dict(_generators), _given.get(), held)


@contextlib.contextmanager
def back_at(then: Moment) -> Iterator[None]:
    """Draw in the block what was drawn after ``then``; go on afterwards as if not.

    >>> then = moment()
    >>> x = generator().rand()
    >>> with back_at(then):
    ...     generator().rand() == x
    True
    """
    now, token = moment(), _given.set(then.given)
    _go_to(then)
    try:
        yield
    finally:
        _given.reset(token)
        _go_to(now)


def _go_to(then: Moment) -> None:
    global _seed
    with _lock:
        _seed = then.seed
        _generators.clear()
        _generators.update(then.generators)
    restore(then.states)


# -- for checkpoints -------------------------------------------------------------------


def state_dict() -> dict[str, Array]:
    """All that the next random numbers of this process depend on.

    The states of NumPy's global generator, of our own if there is one, and of
    Python's ``random``. CuPy's generators are not in it: they keep theirs.

    Raises:
        TypeError: NumPy's global generator is not the Mersenne Twister it starts as.

    >>> state = dezero.random.state_dict()
    >>> x = dezero.random.generator().rand()
    >>> dezero.random.load_state_dict(state)
    >>> x == dezero.random.generator().rand()
    True
    """
    state = _numpy_state("numpy", np.random)
    with _lock:
        if _seed is not None:
            state["seed"] = np.array(_seed)
        if "numpy" in _generators:
            state |= _numpy_state("own", _generators["numpy"])
    _, words, gauss = random.getstate()
    state["python/words"] = np.array(words, np.int64)
    if gauss is not None:
        state["python/gauss"] = np.array(gauss)
    return state


def load_state_dict(state: Mapping[str, Array]) -> None:
    """Go back to what ``state_dict`` gave.

    Raises:
        DataError: It is no state of random numbers; nothing was changed.
    """
    global _seed
    try:
        own = None
        if "own/words" in state:
            own = np.random.RandomState()
            own.set_state(_for_numpy("own", state))
        seed_of_own = int(state["seed"]) if "seed" in state else None
        python = random.Random()
        gauss = state.get("python/gauss")
        words = tuple(state["python/words"].tolist())
        python.setstate((3, words, None if gauss is None else float(gauss)))
        np.random.RandomState().set_state(_for_numpy("numpy", state))
    except (LookupError, TypeError, ValueError) as error:
        raise DataError(
            "random.load_state_dict: expected what random.state_dict gave, got a "
            f"state where {error!r}"
        ) from error
    np.random.set_state(_for_numpy("numpy", state))
    random.setstate(python.getstate())
    with _lock:
        _seed = seed_of_own
        _generators.clear()
        if own is not None:
            _generators["numpy"] = own


def _numpy_state(name: str, source: Any) -> dict[str, Array]:
    state = source.get_state(legacy=False)
    if state["bit_generator"] != "MT19937":
        raise TypeError(
            "random.state_dict: expected the Mersenne Twister that np.random starts "
            f"as, got {state['bit_generator']}; write np.random.set_bit_generator("
            "np.random.MT19937())"
        )
    return {
        f"{name}/words": state["state"]["key"].copy(),
        f"{name}/position": np.array(state["state"]["pos"]),
        f"{name}/has_gauss": np.array(state["has_gauss"]),
        f"{name}/gauss": np.array(state["gauss"]),
    }


def _for_numpy(name: str, state: Mapping[str, Array]) -> tuple[Any, ...]:
    parts = ("words", "position", "has_gauss", "gauss")
    words, *numbers = (state[f"{name}/{part}"] for part in parts)
    return ("MT19937", words, *(number.item() for number in numbers))
