"""How one batch is made, and what its random numbers follow from."""

from __future__ import annotations

import contextlib
import random as python_random
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from dezero import random
from dezero.backend import Array
from dezero.data.dataset import draws_nothing, is_plain, stack

Batch = tuple[Any, ...]
Collate = Callable[[list[Any]], Any]


class Job(NamedTuple):
    """One batch to make: all that it depends on besides the data set."""

    rows: Array  # the numbers of its examples
    number: int  # of the batch in its pass
    epoch: int
    seed: int | None


class BatchMaker:
    """Makes any batch of a data set, in whatever thread or process it is called.

    With a seed, example ``i`` draws from a generator started with ``[seed, epoch, i]``,
    and what makes a batch as a whole from ``[seed, epoch, number, 0]``.
    """

    def __init__(self, name: str, dataset: Any, collate: Collate | None) -> None:
        self.name = name  # of the loader, for its errors
        self.dataset = dataset
        self.collate = collate
        self.owns_process = False  # np.random and random are its own to seed

    def __call__(self, job: Job) -> Batch:
        if (
            self.collate is None
            and is_plain(self.dataset)
            and (job.seed is None or draws_nothing(self.dataset))
        ):
            with self._drawing(job.seed, job.epoch, job.number, 0):
                return self.dataset[job.rows]
        examples = list(self._examples(job))
        if self.collate is None:
            return _stacked(self.name, examples)
        with self._drawing(job.seed, job.epoch, job.number, 0):
            return self.collate(examples)

    def _examples(self, job: Job) -> Iterator[Any]:
        for row in job.rows.tolist():
            with self._drawing(job.seed, job.epoch, row):
                example = self.dataset[row]
            yield example

    def _drawing(
        self, seed: int | None, *numbers: int
    ) -> contextlib.AbstractContextManager[None]:
        """Where random numbers follow from the seed and the numbers alone."""
        if seed is None:
            return contextlib.nullcontext()
        start = [seed, *numbers]
        if self.owns_process:
            np.random.seed(start)
            python_random.seed(repr(start))
            return random.using(np.random)
        return random.using(_started(start))

    def failed_at(self, error: BaseException) -> int | None:
        """The number of the example that raised, if a single one did."""
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code is BatchMaker._examples.__code__:
                return frame.f_locals["row"]
        return None


_own = threading.local()


def _started(start: list[int]) -> np.random.RandomState:
    """This thread's generator, started anew: ten times faster than a new one."""
    if not hasattr(_own, "generator"):
        _own.generator = np.random.RandomState(0)
    elif random.generator() is _own.generator:
        return np.random.RandomState(start)  # within an example that has a loader
    _own.generator.seed(start)
    return _own.generator


def _stacked(name: str, examples: list[Any]) -> Batch:
    """The fields of the examples, each as one array."""
    for example in examples:
        if not isinstance(example, (tuple, list)):
            raise TypeError(
                f"{name}: expected examples that are tuples (x, t), "
                f"got {type(example).__name__}"
            )
        if len(example) != len(examples[0]):
            raise ValueError(
                f"{name}: expected examples with as many fields as the first "
                f"({len(examples[0])}), got {len(example)}"
            )
    return tuple(stack(name, field) for field in zip(*examples, strict=True))
