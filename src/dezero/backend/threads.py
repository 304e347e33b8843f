"""Work in equal shares, one thread each: what BLAS does for its products, for the
copies around them as well.

NumPy works on one core, except in products of matrices. A loop of copies and products
is faster, and far less disturbed by other programs, when each core has its own share
of the loop and BLAS leaves the cores alone meanwhile.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Any, TypeVar

Result = TypeVar("Result")

_lock = threading.Lock()
_regions = 0  # running now, in whatever threads
_usual = 1  # the threads of BLAS when no region is running
_lent = threading.local()  # all: this thread was lent all of them already


@functools.cache
def _blas_switches() -> tuple[Callable[[], int], Callable[[int], Any]] | None:
    """How to ask and tell the BLAS that NumPy came with how many threads it uses.

    ``None`` if it is not OpenBLAS, or cannot be found.
    """
    try:
        module = importlib.import_module("numpy._core._multiarray_umath")
        library = ctypes.CDLL(str(module.__file__))
    except (ImportError, OSError, AttributeError):
        return None
    for name in ("scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}"):
        with contextlib.suppress(AttributeError):
            return (
                library[name.format("get_num_threads")],
                library[name.format("set_num_threads")],
            )
    return None


def blas_threads() -> int | None:
    """How many threads BLAS uses; ``None`` where that cannot be asked."""
    switches = _blas_switches()
    return None if switches is None else switches[0]()


def set_blas_threads(n: int) -> None:
    """Have BLAS, and what is worked on in shares, use so many threads from now on."""
    global _usual
    switches = _blas_switches()
    if switches is None:
        return
    with _lock:
        _usual = n
        if not _regions:
            switches[1](n)


@contextlib.contextmanager
def blas_on_one_core() -> Iterator[None]:
    """Leave the other cores to the block, whose own threads work there."""
    with _borrowed_threads():
        before, _lent.all = getattr(_lent, "all", False), True
        try:
            yield
        finally:
            _lent.all = before


@contextlib.contextmanager
def _borrowed_threads() -> Iterator[int]:
    """How many threads the block may use: all that BLAS has, which keeps one."""
    global _regions, _usual
    switches = _blas_switches()
    if switches is None:
        yield 1
        return
    get, set_ = switches
    with _lock:
        if not _regions:
            _usual = get()
            set_(1)
        _regions += 1
        share = _usual if _regions == 1 or getattr(_lent, "all", False) else 1
    try:
        yield share
    finally:
        with _lock:
            _regions -= 1
            if not _regions:
                set_(_usual)


def in_shares(work: Callable[[int, int], Result], count: int) -> list[Result]:
    """``work(start, stop)`` for equal shares of ``range(count)``, all at once.

    ``work`` must use NumPy alone, which lets other threads run meanwhile. The results
    come in the order of the shares; an error in one of them is raised here.

    >>> sum(in_shares(lambda start, stop: stop - start, 10))
    10
    """
    with _borrowed_threads() as threads:
        n = max(1, min(threads, count))
        bounds = [count * i // n for i in range(n + 1)]
        results: list[Any] = [None] * n
        errors: list[BaseException] = []

        def run(i: int) -> None:
            try:
                results[i] = work(bounds[i], bounds[i + 1])
            except BaseException as error:
                errors.append(error)

        others = [
            threading.Thread(target=copy_context().run, args=(run, i), daemon=True)
            for i in range(1, n)
        ]
        for thread in others:
            thread.start()
        try:
            run(0)
        finally:
            for thread in others:
                thread.join()
        if errors:
            raise errors[0]
        return results
