"""Batches of a data set, in random order or in the order of time."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from dezero import random
from dezero.backend import Array, require_cupy
from dezero.data.batches import Batch, BatchMaker, Collate, Job
from dezero.data.loader_state import checked, setting_of
from dezero.data.workers import Threads, Workers, in_order

if TYPE_CHECKING:
    from dezero.data.processes import Processes


class DataLoader:
    """Iterate over batches ``(x, t)`` of a data set; every pass has a new order.

    Each ``for`` starts a pass of its own from the first batch, whatever became of
    the one before. The last batch may be smaller. A :class:`Dataset` that keeps its
    examples in arrays is asked for a whole batch at once; any other sequence of
    tuples ``(x, t, ...)`` for one example at a time.

    **Random numbers.** Without a seed, the order is drawn from the global
    ``np.random``: when the loader is made, and whenever a pass ends; and transforms
    draw in turn. With a seed, the order of a pass follows from (seed, epoch) alone,
    and what ``dezero.random.generator()`` gives while an example is made follows from
    (seed, epoch, number of the example) alone. So every batch is the same to the bit
    whatever the number and kind of workers, and after a resumption. Transforms of
    one's own should draw from that generator. In worker processes, ``np.random`` and
    ``random`` are seeded for each example as well; threads share these, so that what
    is drawn from them there follows from no seed.

    **Workers.** Threads help where transforms spend their time in NumPy or Pillow,
    which let other threads run. Processes help always, but the data set, its
    transforms and ``collate`` are sent to each of them, once: they must be functions
    and classes of a file, whose program starts below ``if __name__ == '__main__':``.
    They start with the first pass and end with the loader.

    Args:
        dataset: The examples.
        batch_size: How many of them make a batch.
        shuffle: Whether their order is random.
        gpu: Whether the batches are arrays of CuPy.
        drop_last: Whether a smaller last batch is left out.
        prefetch: How many batches are prepared while one is used. 0: two for each
            worker. Without workers, a thread prepares them, or with 0 none does.
        workers: How many threads or processes make the batches.
        worker_kind: ``'thread'`` or ``'process'``.
        seed: From 0 to 2**32 - 1. Workers need one: without it, it is drawn from the
            global ``np.random`` when the loader is made.
        collate: Makes a batch of a list of examples, instead of stacking each field.
            What it draws follows from seed, epoch and the number of the batch.

    Raises:
        ValueError: The data set is empty, or ``batch_size`` is below 1.
        WorkerError: While iterating: a worker process has ended. What an example
            raises in a worker is raised here, with a ``WorkerError`` as its cause
            that has the traceback and the number of the example.
        MissingDependencyError: There is no GPU.

    >>> loader = DataLoader([(1, 10), (2, 20), (3, 30)], 2, shuffle=False)
    >>> for x, t in loader:
    ...     print(x, t)
    [1 2] [10 20]
    [3] [30]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        shuffle: bool = True,
        gpu: bool = False,
        *,
        drop_last: bool = False,
        prefetch: int = 0,
        workers: int = 0,
        worker_kind: str = "thread",
        seed: int | None = None,
        collate: Collate | None = None,
    ) -> None:
        self.dataset = dataset
        self.batch_size = self._at_least(1, "batch_size", batch_size)
        self.prefetch = self._at_least(0, "prefetch", prefetch)
        self.workers = self._at_least(0, "workers", workers)
        if worker_kind not in ("thread", "process"):
            raise ValueError(
                f"{type(self).__name__}: expected worker_kind 'thread' or 'process', "
                f"got {worker_kind!r}"
            )
        self.worker_kind = worker_kind
        self.collate = collate
        self.shuffle = shuffle
        self.drop_last = drop_last
        if not hasattr(dataset, "__len__"):
            raise TypeError(
                f"{type(self).__name__}: expected a dataset with a length and examples "
                f"by number, got {type(dataset).__name__}"
            )
        self.data_size = len(dataset)
        if self.data_size == 0:
            raise ValueError(
                f"{type(self).__name__}: expected a dataset with at least one example, "
                f"got an empty {type(dataset).__name__}"
            )
        self.max_iter = self._count()
        self.gpu = False
        if gpu:
            self.to_gpu()
        self.seed = self._seed(seed)
        self._idle: Processes | None = None  # between two passes
        self.epoch = -1
        self.reset()

    def _at_least(self, smallest: int, name: str, value: int) -> int:
        try:
            number = operator.index(value)
        except TypeError:
            raise TypeError(
                f"{type(self).__name__}: expected {name} as an integer, "
                f"got {type(value).__name__}"
            ) from None
        if number < smallest:
            raise ValueError(
                f"{type(self).__name__}: expected {name} of at least {smallest}, "
                f"got {number}"
            )
        return number

    def _seed(self, seed: int | None) -> int | None:
        if seed is None:
            return int(random.generator().randint(2**32)) if self.workers else None
        seed = self._at_least(0, "seed", seed)
        if seed >= 2**32:
            raise ValueError(
                f"{type(self).__name__}: expected seed from 0 to 2**32 - 1, got {seed}"
            )
        return seed

    def _count(self) -> int:
        """How many batches make a pass."""
        if not self.drop_last:
            return math.ceil(self.data_size / self.batch_size)
        if self.data_size < self.batch_size:
            raise ValueError(
                f"{type(self).__name__}: expected a batch_size from 1 to "
                f"{self.data_size}, the number of examples, with drop_last=True, "
                f"got {self.batch_size}"
            )
        return self.data_size // self.batch_size

    def __len__(self) -> int:
        """How many batches make a pass."""
        return self.max_iter

    def reset(self) -> None:
        """Draw a new order and go back to its first batch."""
        self.epoch += 1
        self._start(self._order(self.seed, self.epoch), position=0)

    def _order(self, seed: int | None, epoch: int) -> Array:
        if not self.shuffle:
            return np.arange(self.data_size)
        if seed is None:
            return random.generator().permutation(self.data_size)
        return np.random.RandomState([seed, epoch]).permutation(self.data_size)

    def _start(self, index: Array, position: int) -> None:
        self.index = index
        self.iteration = position  # of ``next``
        self.position = position  # how many batches were handed out, by whom ever
        self.fresh = True  # no pass has used this order yet

    # ------------------------------------------------------------------- passes
    def __iter__(self) -> Iterator[Batch]:
        if not self.fresh:
            self.reset()
        self.fresh = False
        if type(self).__next__ is not DataLoader.__next__:
            return self  # a subclass in the book's manner, which steps by itself
        return self._batches(self.index, self.position, self.epoch, self.seed)

    def _batches(
        self, index: Array, start: int, epoch: int, seed: int | None
    ) -> Iterator[Batch]:
        jobs = (
            Job(self._rows(number, index), number, epoch, seed)
            for number in range(start, len(self))
        )
        for position, batch in enumerate(self._made(jobs), start + 1):
            if self.index is index:  # no other pass has drawn an order since
                self.position = position
            yield self._placed(batch)
        if self.index is index:
            self.reset()

    def _made(self, jobs: Iterator[Job]) -> Iterator[Batch]:
        if not self.workers and not self.prefetch:
            yield from map(self._maker(), jobs)
            return
        depth = self.prefetch or 2 * self.workers
        workers = self._hired()
        try:
            yield from in_order(workers, jobs, depth)
        finally:
            self._dismiss(workers)

    def _maker(self) -> BatchMaker:
        return BatchMaker(type(self).__name__, self.dataset, self.collate)

    def _hired(self) -> Workers:
        if not self.workers or self.worker_kind == "thread":
            return Threads(self._maker(), self.workers or 1)
        processes, self._idle = self._idle, None
        if processes is None:
            from dezero.data.processes import Processes  # few programs need it

            return Processes(self._maker(), self.workers)
        processes.renew()
        return processes

    def _dismiss(self, workers: Workers) -> None:
        if workers.lasting and self._idle is None:
            self._idle = cast("Processes", workers)
        else:
            workers.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_idle": None}  # a copy has workers of its own

    def __next__(self) -> Batch:
        """The next batch of a pass that the loader itself keeps, without workers."""
        if self.iteration >= self.max_iter:
            self.reset()
            raise StopIteration
        self.fresh = False
        number = self.iteration
        self.iteration = self.position = number + 1
        job = Job(self._rows(number, self.index), number, self.epoch, self.seed)
        return self._placed(self._maker()(job))

    def next(self) -> Batch:
        """``next(loader)``, as the book writes it."""
        return self.__next__()

    def _rows(self, i: int, index: Array) -> Array:
        """Which examples make batch ``i`` where ``index`` is the order."""
        return index[i * self.batch_size : (i + 1) * self.batch_size]

    def _placed(self, batch: Batch) -> Batch:
        """The batch where it is wanted."""
        if not self.gpu:
            return batch
        cupy = require_cupy(type(self).__name__)
        return tuple(None if field is None else cupy.asarray(field) for field in batch)

    def to_cpu(self) -> None:
        """Give arrays of NumPy from now on."""
        self.gpu = False

    def to_gpu(self) -> None:
        """Give arrays of CuPy from now on.

        Raises:
            MissingDependencyError: There is no GPU.
        """
        require_cupy(type(self).__name__)
        self.gpu = True

    # --------------------------------------------------------------- resumption
    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """Where the loader is: after the last batch that it has handed out.

        Batches that workers have prepared but nobody has taken do not count. Without
        a seed, the state of the global ``np.random``, from which later orders come,
        is not part of it.

        >>> loader = DataLoader([(i, i) for i in range(6)], 2, seed=1)
        >>> for x, t in loader:
        ...     state = loader.state_dict()
        ...     break
        >>> other = DataLoader([(i, i) for i in range(6)], 2, seed=1)
        >>> other.load_state_dict(state)
        >>> len(list(other)), len(list(other))
        (2, 3)
        """
        state = {
            **setting_of(self),
            "epoch": np.array(self.epoch),
            "position": np.array(self.position),
        }
        if self.seed is not None:
            state["seed"] = np.array(self.seed)
        elif self.shuffle:
            state["order"] = self.index.copy()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another loader of the same data was.

        The next ``for`` gives the batches that were left of its pass, none if it had
        handed out the last one; later ones are whole passes. The seed becomes that
        of the state. The number and kind of workers may differ.

        Args:
            state: What ``state_dict`` has returned.

        Raises:
            DataError: It is not the state of a loader with such data, ``batch_size``
                and ``shuffle``; the loader is as before.
        """
        seed, order, self.epoch, position = checked(self, state)
        self.seed = seed
        index = self._order(seed, self.epoch) if order is None else order
        self._start(index, position)


class SeqDataLoader(DataLoader):
    """Batches for data whose order is time: several stretches of it side by side.

    Element ``i`` of a batch starts at ``i * (len(dataset) // batch_size)``, and each
    batch is one step later than the one before. A pass has ``len(dataset) //
    batch_size`` batches, and no example comes twice.

    Args:
        dataset: The examples, in the order of time.
        batch_size: How many stretches run side by side.
        gpu: Whether the batches are arrays of CuPy.
        prefetch: This and the others: as in :class:`DataLoader`.

    Raises:
        ValueError: ``batch_size`` is below 1 or above the number of examples.

    >>> loader = SeqDataLoader([(i, i + 1) for i in range(6)], 2)
    >>> for x, t in loader:
    ...     print(x, t)
    [0 3] [1 4]
    [1 4] [2 5]
    [2 5] [3 6]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        gpu: bool = False,
        *,
        prefetch: int = 0,
        workers: int = 0,
        worker_kind: str = "thread",
        seed: int | None = None,
        collate: Collate | None = None,
    ) -> None:
        super().__init__(
            dataset,
            batch_size,
            shuffle=False,
            gpu=gpu,
            prefetch=prefetch,
            workers=workers,
            worker_kind=worker_kind,
            seed=seed,
            collate=collate,
        )

    def _count(self) -> int:
        if self.data_size < self.batch_size:
            raise ValueError(
                f"SeqDataLoader: expected a batch_size from 1 to {self.data_size}, "
                f"the number of examples, got {self.batch_size}"
            )
        return self.data_size // self.batch_size

    def _rows(self, i: int, index: Array) -> Array:
        return index[i : i + self.max_iter * self.batch_size : self.max_iter]
