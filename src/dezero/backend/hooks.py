"""Hooks: functions of a program that are called when something happens to an object."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakSet

_numbers = itertools.count(1)


class Hooks:
    """The functions hung on one object, in the order they came.

    A deep copy of the object has them as well; in a file they are left out.
    """

    def __init__(self) -> None:
        self._functions: dict[int, Callable[..., Any]] = {}

    def add(self, operation: str, function: Callable[..., Any]) -> Handle:
        """Hang ``function`` on it, last."""
        if not callable(function):
            raise TypeError(
                f"{operation}: expected a function, got {type(function).__name__}"
            )
        number = next(_numbers)
        self._functions[number] = function
        _in_use.add(self)
        return Handle(self, number)

    def remove(self, number: int) -> None:
        """Take a function away; nothing if it is gone."""
        self._functions.pop(number, None)
        if not self._functions:
            _in_use.discard(self)

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        return iter(list(self._functions.values()))

    def __deepcopy__(self, memo: dict[int, Any]) -> Hooks:
        copy = Hooks()
        for function in self:
            copy.add("deepcopy", function)
        return copy

    def __reduce__(self) -> Any:
        return Hooks, ()


class Handle:
    """Takes a hook away: by ``remove()``, or at the end of a ``with`` block."""

    def __init__(self, hooks: Hooks, number: int) -> None:
        self._hooks = hooks
        self._number = number

    def remove(self) -> None:
        """Take the hook away."""
        self._hooks.remove(self._number)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *_: Any) -> None:
        self.remove()


_in_use: WeakSet[Hooks] = WeakSet()


def hooks_in_use() -> tuple[int, ...]:
    """The numbers of all hooks there are: by them one knows that none came or went."""
    if not _in_use:  # as nearly always: every walk asks, and every compiled step
        return ()
    return tuple(sorted(n for hooks in list(_in_use) for n in hooks._functions))
