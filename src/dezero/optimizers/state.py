"""What is common to all that is saved and loaded here: checked whole, then taken.

Whoever has a state gives for a loaded one what does not fit, line by line, and a
function that takes it over; so several can be checked before the first is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.backend.tracing import TracedArray
from dezero.errors import DataError

State = Mapping[str, Array]
Fit = tuple[list[str], Callable[[], None]]  # what does not fit, and how to take it


def take_over(operation: str, expected: str, fit: Fit) -> None:
    """Take a state over, or raise an error that lists all that does not fit."""
    misfits, take = fit
    if misfits:
        raise DataError(
            f"{operation}.load_state_dict: expected {expected}, got one where\n  "
            + "\n  ".join(misfits)
        )
    take()


def numbers_of(owner: Any) -> list[str]:
    """The names of the attributes that are numbers: what a state has of settings."""
    return [
        name
        for name, value in vars(owner).items()
        if isinstance(value, (int, float, np.number, TracedArray))
    ]


def fit_numbers(owner: Any, names: Iterable[str], state: State) -> Fit:
    """The fit of attributes that are single numbers."""
    names = list(names)
    misfits = []
    for name in names:
        if name not in state:
            misfits.append(f"{name}: missing")
        elif np.shape(state[name]) or np.asarray(state[name]).dtype.kind not in "fiub":
            misfits.append(f"{name}: expected one number, got {described(state[name])}")

    def take() -> None:
        for name in names:
            setattr(owner, name, np.asarray(state[name]).item())

    return misfits, take


def unknown(state: State, known: Iterable[str]) -> list[str]:
    """The entries that nobody asked for, as misfits."""
    known = set(known)
    return [f"{name}: unknown" for name in state if name not in known]


def described(x: Any) -> str:
    """An array in few words."""
    kind = np.asarray(x).dtype
    return f"shape {np.shape(x)}" + ("" if kind.kind in "fiub" else f" of type {kind}")
