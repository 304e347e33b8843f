"""The data that every peer works on: the same numbers for all of them."""

from collections.abc import Callable
from typing import Any

import numpy as np

Step = Callable[[], Any]  # what is timed


def batch(*shape: int) -> tuple[Any, Any]:
    """Examples of this shape, and a class from 0 to 9 for each."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(np.float32)
    return x, rng.integers(0, 10, shape[0])


def sequences() -> tuple[Any, Any]:
    """30 time steps of a batch of 30, one feature each: inputs and targets."""
    rng = np.random.default_rng(0)
    xs = rng.standard_normal((30, 30, 1)).astype(np.float32)
    ts = rng.standard_normal((30, 30, 1)).astype(np.float32)
    return xs, ts
