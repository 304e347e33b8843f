"""What every test starts from, and what it must leave behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import settings

from dezero import random
from dezero.config import switches

collect_ignore = ["optimizer_paths.py"]  # a program that needs torch

settings.register_profile("dezero", deadline=None)
settings.load_profile("dezero")


@pytest.fixture(autouse=True)
def _nothing_leaks() -> Iterator[None]:
    """Seed NumPy; fail a test that leaves a switch, a seed or a thread behind."""
    switches_before = switches.get()
    threads_before = set(threading.enumerate())
    np.random.seed(0)
    yield
    switches_after = switches.get()
    switches.set(switches_before)
    seeded = random.generator() is not np.random
    random.seed(None)
    started = [t for t in threading.enumerate() if t not in threads_before]
    assert switches_after == switches_before, "the test leaks a switch"
    assert not seeded, "the test leaks a seed: it ends without random.seed(None)"
    assert not started, f"the test leaks threads: {started}"
