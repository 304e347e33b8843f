"""How an error reads: ``operation: expected ..., got ...``, and what to write."""

from __future__ import annotations

from collections.abc import Iterable


class DezeroError(Exception):
    """What this package raises where no built-in exception says it better."""


class GradientError(DezeroError, RuntimeError):
    """``backward`` was asked for what the recorded graph cannot give."""


class UsageError(DezeroError, ValueError):
    """What a user asked for on the command line, or in its file, cannot be."""


class DataError(DezeroError, ValueError):
    """A file is not what its name promises: truncated, damaged, of another kind."""


class DownloadError(DezeroError, OSError):
    """A file could not be fetched; the message has its address and its place."""


class WorkerError(DezeroError, RuntimeError):
    """A worker of a data loader ended, or raised: the message has its traceback."""


class MissingDependencyError(DezeroError, ImportError):
    """An optional library is absent; the message names the extra to install."""


def closest(word: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the nearest known word, or nothing."""
    import difflib  # only where something went wrong: the import takes its time

    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def missing(library: str, purpose: str, extra: str) -> MissingDependencyError:
    """The error for an optional library that is not installed."""
    return MissingDependencyError(
        f"{purpose}: expected the library '{library}', which is not installed; "
        f"write: pip install 'dezero[{extra}]'"
    )
