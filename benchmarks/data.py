"""The data that every peer works on: the same numbers for all of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Program(NamedTuple):
    """A work as a peer has built it."""

    step: Callable[..., Any]  # what is timed; in training it gives the loss
    data: tuple[Any, ...] = ()  # its arguments


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


def points() -> tuple[Any]:
    """128 points of 64 features."""
    return (batch(128, 64)[0],)


def tokens() -> tuple[Any, Any]:
    """16 texts of 64 tokens, of 65 kinds; and, in a row, what follows each token."""
    ids = np.random.default_rng(0).integers(0, 65, (16, 65))
    return ids[:, :-1].copy(), ids[:, 1:].flatten()
