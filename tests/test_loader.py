"""DataLoader and SeqDataLoader: which examples, in what order, and how they end."""

import gc
import pickle
import re
import threading

import numpy as np
import pytest

import dezero
from dezero import DataLoader, Dataset, SeqDataLoader
from dezero.data.transforms import Compose, Flatten, Normalize, ToFloat
from dezero.errors import MissingDependencyError


class Numbers(Dataset):
    """0 to 9 as images of two pixels, and their squares."""

    def prepare(self):
        numbers = np.arange(10)
        self.data = np.stack([numbers, numbers], axis=1).astype(np.uint8)[:, None]
        self.label = numbers**2


class OneByOne(Numbers):
    """The same, which only knows single examples."""

    def __getitem__(self, index):
        assert isinstance(index, int)
        return super().__getitem__(index)


def firsts(loader):
    """The first pixel of every example, batch by batch."""
    return [x[:, 0, 0].tolist() for x, _ in loader]


def everything(loader):
    """The first pixel of every example of a pass."""
    return [first for batch in firsts(loader) for first in batch]


def test_batches_in_order():
    loader = DataLoader(Numbers(), 4, shuffle=False)
    assert len(loader) == 3
    assert firsts(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    x, t = next(iter(loader))
    assert (x.dtype, t.dtype) == (np.uint8, np.int64)
    assert t.tolist() == [0, 1, 4, 9]


def test_drop_last():
    loader = DataLoader(Numbers(), 4, shuffle=False, drop_last=True)
    assert len(loader) == 2
    assert firsts(loader) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_order_follows_the_global_generator_as_in_the_book():
    np.random.seed(3)
    loader = DataLoader(Numbers(), 10)
    seen = [firsts(loader)[0] for _ in range(3)]
    after = np.random.rand()
    np.random.seed(3)
    # One draw when it is made, one when each pass ends.
    assert seen == [np.random.permutation(10).tolist() for _ in range(3)]
    np.random.permutation(10)
    assert after == np.random.rand()


def test_a_pass_left_by_break_is_followed_by_a_whole_one():
    loader = DataLoader(Numbers(), 3)
    for _ in loader:
        break
    assert sorted(everything(loader)) == list(range(10))


def test_nested_passes_end_and_are_whole():
    loader = DataLoader(Numbers(), 4)
    outer = []
    for x, _ in loader:
        outer += x[:, 0, 0].tolist()
        assert sorted(everything(loader)) == list(range(10))
    assert sorted(outer) == list(range(10))


def test_next_walks_a_pass_of_its_own():
    loader = DataLoader(Numbers(), 4, shuffle=False)
    assert loader.next()[1].tolist() == [0, 1, 4, 9]
    assert next(loader)[1].tolist() == [16, 25, 36, 49]
    loader.reset()
    assert loader.next()[1].tolist() == [0, 1, 4, 9]
    assert firsts(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    for _ in range(3):
        loader.next()
    with pytest.raises(StopIteration):
        loader.next()
    assert loader.next()[1].tolist() == [0, 1, 4, 9]


def test_subclass_in_the_manner_of_the_book():
    class Stepping(DataLoader):
        def __next__(self):
            if self.iteration >= self.max_iter:
                self.reset()
                raise StopIteration
            self.iteration += 1
            return self.dataset[self.iteration]

    loader = Stepping(Numbers(), 5, shuffle=False)
    assert [int(t) for _, t in loader] == [1, 4]
    assert [int(t) for _, t in loader] == [1, 4]
    assert loader.next()[1] == 1


@pytest.mark.parametrize(
    "transform",
    [
        None,
        Compose([Flatten(), ToFloat(), Normalize(0.0, 255.0)]),
        lambda x: x.astype(np.float32) / 3,
        Compose([ToFloat(), lambda x: x + np.random.rand(), Flatten()]),
    ],
)
@pytest.mark.parametrize("target_transform", [None, ToFloat(), lambda t: [t, -t]])
def test_whole_batches_equal_stacked_examples(transform, target_transform):
    results = []
    for dataset in (Numbers, OneByOne):
        np.random.seed(0)
        loader = DataLoader(dataset(True, transform, target_transform), 4)
        results.append([array for batch in loader for array in batch])
    for fast, slow in zip(*results, strict=True):
        assert fast.dtype == slow.dtype
        np.testing.assert_array_equal(fast, slow, strict=True)


def test_a_batch_is_the_user_s_to_write_into():
    dataset = Numbers()
    for x, _ in DataLoader(dataset, 10, shuffle=False):
        x[:] = 0
    assert dataset.data.any()


def test_any_sequence_of_tuples_and_a_third_field():
    examples = [(np.float32(i), i, f"name{i}") for i in range(5)]
    x, t, name = next(iter(DataLoader(examples, 3, shuffle=False)))
    assert x.dtype == np.float32
    assert t.tolist() == [0, 1, 2]
    assert name.tolist() == ["name0", "name1", "name2"]


def test_no_labels():
    class Unlabeled(Dataset):
        def prepare(self):
            self.data = np.arange(4)

    assert Unlabeled()[1] == (1, None)
    x, t = next(iter(DataLoader(Unlabeled(), 2, shuffle=False)))
    assert x.tolist() == [0, 1] and t is None
    x, t = next(iter(DataLoader([(1, None), (2, None)], 2, shuffle=False)))
    assert x.tolist() == [1, 2] and t is None


def test_sequences_run_side_by_side_without_repeats():
    loader = SeqDataLoader([(i, i + 1) for i in range(11)], 3)
    assert len(loader) == 3
    assert [x.tolist() for x, _ in loader] == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    assert next(iter(loader))[1].tolist() == [1, 4, 7]
    assert loader.next()[0].tolist() == [0, 3, 6]


@pytest.mark.parametrize("depth", [1, 2, 20])
def test_prefetch_gives_the_same_batches(depth):
    np.random.seed(5)
    plain = [firsts(loader) for loader in [DataLoader(Numbers(), 3)] for _ in range(3)]
    np.random.seed(5)
    loader = DataLoader(Numbers(), 3, prefetch=depth)
    assert [firsts(loader) for _ in range(3)] == plain
    assert firsts(SeqDataLoader(Numbers(), 5, prefetch=depth)) == [
        [0, 2, 4, 6, 8],
        [1, 3, 5, 7, 9],
    ]


def prefetchers():
    return [t for t in threading.enumerate() if t.name.startswith("dezero-worker")]


def test_prefetch_leaves_no_thread_behind():
    loader = DataLoader(Numbers(), 1, prefetch=2)
    for _ in loader:
        assert len(prefetchers()) == 1
        break
    gc.collect()
    assert not prefetchers()
    batches = iter(loader)
    next(batches)
    batches.close()
    assert not prefetchers()
    batches = iter(loader)
    next(batches)
    del batches
    gc.collect()
    assert not prefetchers()


def test_prefetch_raises_where_the_batch_is_asked_for():
    def refuse(x):
        if x.max() == 6:
            raise ArithmeticError("six")
        return x

    loader = DataLoader(Numbers(transform=refuse), 5, shuffle=False, prefetch=2)
    batches = iter(loader)
    assert next(batches)[0].max() == 4
    with pytest.raises(ArithmeticError, match=r"^six$"):
        next(batches)
    assert not prefetchers()


def test_prefetch_sees_the_switches_of_its_user():
    dataset = Numbers(transform=lambda x: np.float32(dezero.Config.train))
    loader = DataLoader(dataset, 10, prefetch=1)
    with dezero.test_mode():
        assert not next(iter(loader))[0].any()
    assert next(iter(loader))[0].all()


def test_pickled_in_the_middle_of_a_pass():
    loader = DataLoader(Numbers(), 4, shuffle=False)
    loader.next()
    copy = pickle.loads(pickle.dumps(loader))
    assert copy.next()[1].tolist() == loader.next()[1].tolist() == [16, 25, 36, 49]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: DataLoader([], 3),
            ValueError,
            "DataLoader: expected a dataset with at least one example, got an empty "
            "list",
        ),
        (
            lambda: DataLoader(None, 3),
            TypeError,
            "DataLoader: expected a dataset with a length and examples by number, got "
            "NoneType",
        ),
        (
            lambda: SeqDataLoader(iter([(1, 2)]), 1),
            TypeError,
            "SeqDataLoader: expected a dataset with a length and examples by number, "
            "got list_iterator",
        ),
        (
            lambda: DataLoader(Numbers(), 0),
            ValueError,
            "DataLoader: expected batch_size of at least 1, got 0",
        ),
        (
            lambda: SeqDataLoader(Numbers(), -1),
            ValueError,
            "SeqDataLoader: expected batch_size of at least 1, got -1",
        ),
        (
            lambda: DataLoader(Numbers(), 2.0),
            TypeError,
            "DataLoader: expected batch_size as an integer, got float",
        ),
        (
            lambda: DataLoader(Numbers(), 2, prefetch=-1),
            ValueError,
            "DataLoader: expected prefetch of at least 0, got -1",
        ),
        (
            lambda: DataLoader(Numbers(), 2, workers=1.5),
            TypeError,
            "DataLoader: expected workers as an integer, got float",
        ),
        (
            lambda: DataLoader(Numbers(), 2, worker_kind="threads"),
            ValueError,
            "DataLoader: expected worker_kind 'thread' or 'process', got 'threads'",
        ),
        (
            lambda: SeqDataLoader(Numbers(), 2, seed=2**32),
            ValueError,
            "SeqDataLoader: expected seed from 0 to 2**32 - 1, got 4294967296",
        ),
        (
            lambda: DataLoader(Numbers(), 11, drop_last=True),
            ValueError,
            "DataLoader: expected a batch_size from 1 to 10, the number of examples, "
            "with drop_last=True, got 11",
        ),
        (
            lambda: SeqDataLoader(Numbers(), 11),
            ValueError,
            "SeqDataLoader: expected a batch_size from 1 to 10, the number of "
            "examples, got 11",
        ),
        (
            lambda: next(DataLoader([np.zeros(2)], 1)),
            TypeError,
            "DataLoader: expected examples that are tuples (x, t), got ndarray",
        ),
        (
            lambda: next(DataLoader([(1, 2), (1, 2, 3)], 2, shuffle=False)),
            ValueError,
            "DataLoader: expected examples with as many fields as the first (2), got 3",
        ),
        (
            lambda: next(
                DataLoader([(np.zeros(2), 1), (np.zeros(3), 1)], 2, shuffle=False)
            ),
            ValueError,
            "DataLoader: expected examples of one shape, got (2,) and (3,); write a "
            "transform that makes them equal",
        ),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        make()


@pytest.mark.skipif(dezero.cuda.gpu_enable, reason="this machine has a GPU")
def test_no_gpu_where_one_is_asked_for():
    message = (
        "DataLoader: expected the library 'cupy, with a GPU it can use', which is not "
        "installed; write: pip install 'dezero[gpu]'"
    )
    with pytest.raises(MissingDependencyError, match=f"^{re.escape(message)}$"):
        DataLoader(Numbers(), 2, gpu=True)
    loader = DataLoader(Numbers(), 2, shuffle=False)
    with pytest.raises(MissingDependencyError, match=r"^DataLoader: "):
        loader.to_gpu()
    loader.to_cpu()
    assert type(loader.next()[0]) is np.ndarray


@pytest.mark.skipif(not dezero.cuda.gpu_enable, reason="needs a GPU")
def test_gpu_batches():
    x, t = next(iter(DataLoader(Numbers(), 2, shuffle=False, gpu=True)))
    assert isinstance(x, dezero.cuda.cupy.ndarray)
    assert t.get().tolist() == [0, 1]
