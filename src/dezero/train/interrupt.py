"""Ctrl-C, at the right moment."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

PATIENCE = 1.0  # seconds


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait for the end of a block, so that nothing is left half done.

    Another one, a second later or more, does not wait: the block may hang.

    >>> with uninterrupted():
    ...     total = sum(range(10))
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(
        handler
    ):
        yield  # signals come to the main thread; or nobody listens for this one
        return
    waiting: list[tuple[int, FrameType | None]] = []
    first = math.inf

    def note(*arrived: Any) -> None:
        nonlocal first
        first = min(first, time.monotonic())
        if time.monotonic() - first >= PATIENCE:
            handler(*arrived)
        waiting.append(arrived)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if waiting:
        handler(*waiting[-1])
