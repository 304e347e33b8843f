"""Batches of a data set, in random order or in the order of time."""

from __future__ import annotations

import contextvars
import math
import operator
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from dezero.backend import Array, require_cupy
from dezero.data.dataset import Dataset, stack
from dezero.errors import DataError

Batch = tuple[Any, ...]


class DataLoader:
    """Iterate over batches ``(x, t)`` of a data set; every pass has a new order.

    Each ``for`` starts a pass of its own from the first batch, whatever became of
    the one before. The order is drawn from the global ``np.random``: when the loader
    is made, and whenever a pass ends. The last batch may be smaller.

    A :class:`Dataset` that keeps its examples in arrays is asked for a whole batch
    at once; any other sequence of tuples ``(x, t, ...)`` for one example at a time.

    Args:
        dataset: The examples.
        batch_size: How many of them make a batch.
        shuffle: Whether their order is random.
        gpu: Whether the batches are arrays of CuPy.
        drop_last: Whether a smaller last batch is left out.
        prefetch: How many batches a thread prepares in advance; 0 for no thread.
            Transforms that draw random numbers then draw them in that thread, so
            that a seed no longer makes a program repeatable that draws, too.

    Raises:
        ValueError: The data set is empty, or ``batch_size`` is below 1.
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
    ) -> None:
        self.dataset = dataset
        self.batch_size = self._at_least(1, "batch_size", batch_size)
        self.prefetch = self._at_least(0, "prefetch", prefetch)
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
        self.iteration = 0
        self.position = 0  # batches of the running pass that were handed out
        self.index = (
            np.random.permutation(self.data_size)
            if self.shuffle
            else np.arange(self.data_size)
        )
        self.fresh = True  # no pass has used this order yet

    def __iter__(self) -> Iterator[Batch]:
        if not self.fresh:
            self.reset()
        self.fresh = False
        if type(self).__next__ is not DataLoader.__next__:
            return self  # a subclass in the book's manner, which steps by itself
        return self._batches(self.index, self.position)

    def _batches(self, index: Array, start: int) -> Iterator[Batch]:
        numbers = range(start, len(self))
        batches: Iterator[Batch]
        batches = map(self._batch, (self._rows(i, index) for i in numbers))
        if self.prefetch:
            batches = in_advance(batches, self.prefetch)
        for position, batch in enumerate(batches, start + 1):
            if self.index is index:  # no other pass has drawn an order since
                self.position = position
            yield batch
        if self.index is index:
            self.reset()

    def __next__(self) -> Batch:
        """The next batch of a pass that the loader itself keeps."""
        if self.iteration >= self.max_iter:
            self.reset()
            raise StopIteration
        self.fresh = False
        rows = self._rows(self.iteration, self.index)
        self.iteration += 1
        return self._batch(rows)

    def state_dict(self) -> dict[str, Array]:
        """Where it is: the order of the running pass, and how much was handed out."""
        return {"position": np.array(self.position), "order": self.index.copy()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Let the next pass be the rest of the one that ``state_dict`` was taken in.

        Raises:
            DataError: It is of another number of examples; nothing was changed.
        """
        if sorted(state) != ["order", "position"] or (
            state["order"].shape != self.index.shape
        ):
            raise DataError(
                f"{type(self).__name__}.load_state_dict: expected the state of a "
                f"loader of {self.data_size} examples, got another"
            )
        self.position = int(state["position"])
        self.index = state["order"].copy()
        self.fresh = True

    def next(self) -> Batch:
        """``next(loader)``, as the book writes it."""
        return self.__next__()

    def _rows(self, i: int, index: Array) -> Array:
        """Which examples make batch ``i`` where ``index`` is the order."""
        return index[i * self.batch_size : (i + 1) * self.batch_size]

    def _batch(self, rows: Array) -> Batch:
        dataset = self.dataset
        if getattr(type(dataset), "__getitem__", None) is Dataset.__getitem__:
            fields = dataset[rows]
        else:
            fields = self._stacked([dataset[i] for i in rows.tolist()])
        if self.gpu:
            cupy = require_cupy(type(self).__name__)
            fields = tuple(None if f is None else cupy.asarray(f) for f in fields)
        return fields

    def _stacked(self, examples: list[Any]) -> Batch:
        """The fields of the examples, each as one array."""
        name = type(self).__name__
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


class SeqDataLoader(DataLoader):
    """Batches for data whose order is time: several stretches of it side by side.

    Element ``i`` of a batch starts at ``i * (len(dataset) // batch_size)``, and each
    batch is one step later than the one before. A pass has ``len(dataset) //
    batch_size`` batches, and no example comes twice.

    Args:
        dataset: The examples, in the order of time.
        batch_size: How many stretches run side by side.
        gpu: Whether the batches are arrays of CuPy.
        prefetch: As in :class:`DataLoader`.

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
        self, dataset: Any, batch_size: int, gpu: bool = False, *, prefetch: int = 0
    ) -> None:
        super().__init__(dataset, batch_size, shuffle=False, gpu=gpu, prefetch=prefetch)

    def _count(self) -> int:
        if self.data_size < self.batch_size:
            raise ValueError(
                f"SeqDataLoader: expected a batch_size from 1 to {self.data_size}, "
                f"the number of examples, got {self.batch_size}"
            )
        return self.data_size // self.batch_size

    def _rows(self, i: int, index: Array) -> Array:
        return index[i : i + self.max_iter * self.batch_size : self.max_iter]


def in_advance(batches: Iterator[Batch], depth: int) -> Iterator[Batch]:
    """The same batches, up to ``depth`` of them made by a thread before their time.

    What is raised while making one is raised here. The thread ends with the
    iteration: at its end, when it is closed, or when it is forgotten.
    """
    ready: deque[tuple[Batch | None, BaseException | None]] = deque()
    filled, room = threading.Semaphore(0), threading.Semaphore(depth)
    stopped = threading.Event()

    def work() -> None:
        try:
            while room.acquire() and not stopped.is_set():
                batch = next(batches, None)
                ready.append((batch, None))
                filled.release()
                if batch is None:
                    return
        except BaseException as error:
            ready.append((None, error))
            filled.release()

    context = contextvars.copy_context()  # the switches of the thread that iterates
    thread = threading.Thread(
        target=context.run, args=(work,), name="dezero-prefetch", daemon=True
    )
    thread.start()
    try:
        while True:
            filled.acquire()
            batch, error = ready.popleft()
            room.release()
            if error is not None:
                raise error
            if batch is None:
                return
            yield batch
    finally:
        stopped.set()
        room.release()
        thread.join()
