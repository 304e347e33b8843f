"""Data sets: examples by their number, each through a transform; parts of them."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.data.transforms import Compose, Transform, batched, draws
from dezero.random import generator


class Dataset:
    """Examples and their labels. Subclass it and set both in ``prepare``.

    ``dataset[3]`` is one example ``(x, t)``; ``dataset[3:10]`` and
    ``dataset[[4, 1, 4]]`` are arrays of several. Both transforms are applied, to
    many examples at once where they can be (see :mod:`dezero.data.transforms`).
    A subclass may override ``__getitem__`` and ``__len__`` instead, where the data
    do not fit into memory.

    Args:
        train: Whether it is the data to learn from, or those to test with.
        transform: A callable on each example.
        target_transform: A callable on each label.

    Attributes:
        data: The examples: an array or a list.
        label: The labels, as many; or ``None``, and so is each ``t``.

    >>> class Squares(dezero.Dataset):
    ...     def prepare(self):
    ...         self.data = np.arange(5)
    ...         self.label = self.data**2
    >>> Squares()[3]
    (np.int64(3), np.int64(9))
    >>> Squares()[1:3]
    (array([1, 2]), array([1, 4]))
    """

    data: Any
    label: Any

    def __init__(
        self,
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
    ) -> None:
        self.train = train
        self.transform = self._callable("transform", transform)
        self.target_transform = self._callable("target_transform", target_transform)
        self.data = None
        self.label = None
        self.prepare()
        if self.data is not None and self.label is not None:
            self._require_as_many_labels()

    def prepare(self) -> None:
        """Set ``self.data`` and ``self.label``."""

    def _callable(self, name: str, transform: Transform | None) -> Transform:
        if transform is not None and not callable(transform):
            raise TypeError(
                f"{type(self).__name__}: expected a callable {name}, "
                f"got {type(transform).__name__}"
            )
        return Compose() if transform is None else transform

    def _require_as_many_labels(self) -> None:
        if len(self.data) != len(self.label):
            raise ValueError(
                f"{type(self).__name__}: expected as many labels as examples "
                f"({len(self.data)}), got {len(self.label)}"
            )

    def __len__(self) -> int:
        if self.data is None:
            raise TypeError(
                f"{type(self).__name__}: expected self.data, set in prepare(), got None"
            )
        return len(self.data)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        """One example by an integer; several by a slice or an array, stacked.

        Raises:
            IndexError: An index is out of range.
            TypeError: It is no index.
        """
        if (
            isinstance(index, np.ndarray)
            and index.ndim == 1
            and index.dtype.kind in "iu"
        ):
            select = _several  # the way of a data loader, kept short
        else:
            index = self._index(index)
            select = _one if isinstance(index, int) else _several
        try:
            x = select(self.data, index, self.transform)
        except IndexError:
            self._require_in_range(index)
            raise
        except TypeError:
            len(self)  # which says so where there are no data
            raise
        if self.label is None:
            return x, None
        return x, select(self.label, index, self.target_transform)

    def _index(self, index: Any) -> Any:
        """Any index as an integer or as an array of integers."""
        if not isinstance(index, (slice, list, np.ndarray)):
            try:
                return operator.index(index)
            except TypeError:
                raise TypeError(
                    f"{type(self).__name__}: expected an integer, a slice or an array "
                    f"of integers as index, got {type(index).__name__}"
                ) from None
        if isinstance(index, list) and not index:
            return np.arange(0)
        try:
            return np.arange(len(self))[index].reshape(-1)
        except IndexError as error:
            raise IndexError(
                f"{type(self).__name__}: expected integers from {-len(self)} to "
                f"{len(self) - 1}, got an index where {error}"
            ) from None

    def _require_in_range(self, index: Any) -> None:
        outside = [i for i in np.atleast_1d(index) if not -len(self) <= i < len(self)]
        if outside:
            raise IndexError(
                f"{type(self).__name__}: expected an index from {-len(self)} to "
                f"{len(self) - 1}, got {outside[0]}"
            ) from None


def _one(source: Any, index: int, transform: Transform) -> Any:
    return transform(source[index])


def _several(source: Any, index: Array, transform: Transform) -> Any:
    if isinstance(source, np.ndarray):
        batch = batched(transform)
        if batch is not None:
            return batch(source.take(index, axis=0))
    return stack("Dataset", [transform(source[i]) for i in index.tolist()])


class Subset:
    """Some examples of a data set, as a data set.

    Args:
        dataset: All of them.
        rows: The numbers of those wanted, in the order wanted.

    Raises:
        IndexError: A number is not from 0 to ``len(dataset) - 1``.
        TypeError: They are no integers.

    >>> Subset(['a', 'b', 'c', 'd'], [3, 1])[0]
    'd'
    """

    def __init__(self, dataset: Any, rows: Any) -> None:
        rows = np.array(rows)
        if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
            raise TypeError(
                f"Subset: expected rows as a list of integers, got {rows.dtype} of "
                f"shape {rows.shape}"
            )
        if rows.size and not 0 <= rows.min() <= rows.max() < len(dataset):
            raise IndexError(
                f"Subset: expected rows from 0 to {len(dataset) - 1}, got rows from "
                f"{rows.min()} to {rows.max()}"
            )
        self.dataset = dataset
        self.rows = rows.astype(np.intp)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        """One example; several by a slice or an array where the data set knows how."""
        rows = self.rows[index]
        return self.dataset[rows if isinstance(rows, np.ndarray) else int(rows)]


def split(
    dataset: Any, fractions: Sequence[float], seed: int | None = None
) -> list[Subset]:
    """Disjoint parts of a data set, of random examples: to train, to validate.

    Args:
        dataset: The examples.
        fractions: The share of each part; their sum is 1.
        seed: The same seed makes the same parts. ``None`` draws them from
            ``dezero.random.generator()``.

    Raises:
        ValueError: The sum is not 1, or a part would be empty.

    >>> train, valid = split(list(range(10)), [0.8, 0.2], seed=0)
    >>> len(train), len(valid), sorted([*train.rows, *valid.rows]) == list(range(10))
    (8, 2, True)
    """
    shares = np.asarray(fractions, dtype=float)
    if shares.ndim != 1 or not shares.size or abs(shares.sum() - 1) > 1e-6:
        raise ValueError(f"split: expected fractions whose sum is 1, got {fractions}")
    bounds = np.rint(np.cumsum([0, *shares]) * len(dataset)).astype(int)
    if (np.diff(bounds) < 1).any():
        raise ValueError(
            f"split: expected fractions that give each part an example of "
            f"{len(dataset)}, got {fractions}"
        )
    source = generator() if seed is None else np.random.RandomState(seed)
    order = source.permutation(len(dataset))
    return [
        Subset(dataset, np.sort(order[begin:end]))
        for begin, end in itertools.pairwise(bounds)
    ]


def is_plain(dataset: Any) -> bool:
    """Whether many examples may be asked for at once: ``dataset[rows]``."""
    if type(dataset) is Subset:
        return is_plain(dataset.dataset)
    return getattr(type(dataset), "__getitem__", None) is Dataset.__getitem__


def draws_nothing(dataset: Any) -> bool:
    """Whether the transforms of a plain one take whole batches and never draw."""
    if type(dataset) is Subset:
        return draws_nothing(dataset.dataset)
    return all(
        batched(transform) is not None and not draws(transform)
        for transform in (dataset.transform, dataset.target_transform)
    )


def stack(operation: str, values: Iterable[Any]) -> Any:
    """Values of one shape along a new first axis; ``None`` if all are ``None``.

    Raises:
        ValueError: Their shapes differ.
    """
    values = list(values)
    if values and all(value is None for value in values):
        return None
    try:
        return np.array(values)
    except ValueError:
        shapes = list(dict.fromkeys(np.shape(value) for value in values))
        if len(shapes) < 2:
            raise
        raise ValueError(
            f"{operation}: expected examples of one shape, got {shapes[0]} and "
            f"{shapes[1]}; write a transform that makes them equal"
        ) from None
