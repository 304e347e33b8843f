"""What cannot be compiled, and where and why it was asked for."""

from __future__ import annotations

from dezero.errors import DezeroError


class CompileError(DezeroError):
    """A step does what a compiled one cannot; says where, and what to write instead.

    Args:
        message: ``operation: expected ..., got ...``.
        place: The user's line, ``file:line``.
        write: What to write instead.
    """

    def __init__(self, message: str, place: str = "", write: str = "") -> None:
        text = message
        if place:
            text += f"\n  in {place}"
        if write:
            text += f"\n  write {write}"
        super().__init__(text)
        self.place = place


class NonFiniteError(DezeroError, FloatingPointError):
    """A loss became NaN or infinite; says which operation did it. Nothing changed."""


class MismatchError(DezeroError):
    """A compiled step and the eager one gave different results; names the first."""
