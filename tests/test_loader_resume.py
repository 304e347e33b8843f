"""Loaders that go on where another one was: the same batches to the bit."""

import re

import numpy as np
import pytest
from loader_samples import Noisy

from dezero import DataLoader, SeqDataLoader
from dezero.errors import DataError


def contents(batches):
    return [(x.tobytes(), t.tolist()) for x, t in batches]


def stopped(loader, count):
    """The state after so many batches, later passes included, inside of a ``for``."""
    if count == 0:
        return loader.state_dict()
    while True:
        for _ in loader:
            count -= 1
            if count == 0:
                return loader.state_dict()


MAKERS = {
    "seed": lambda **crew: DataLoader(Noisy(10), 3, seed=7, **crew),
    "no order": lambda **crew: DataLoader(Noisy(10), 3, False, seed=7, **crew),
    "drop": lambda **crew: DataLoader(Noisy(10), 3, drop_last=True, seed=7, **crew),
    "time": lambda **crew: SeqDataLoader(Noisy(10), 3, seed=7, **crew),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("crew", [{}, {"prefetch": 3}, {"workers": 2}], ids=str)
def test_resumed_anywhere(make, crew):
    loader = make()
    length = len(loader)
    expected = [contents(loader) for _ in range(4)]
    for count in range(3 * length):
        state = stopped(make(**crew), count)
        # After the last batch of a pass, nothing is left of it.
        epoch = max(count - 1, 0) // length
        resumed = make(**crew)
        resumed.load_state_dict(state)
        assert contents(resumed) == expected[epoch][count - epoch * length :]
        assert contents(resumed) == expected[epoch + 1]


def test_resumed_by_other_workers():
    plain = DataLoader(Noisy(10), 3, seed=7)
    expected = contents([*plain, *plain])
    first = DataLoader(Noisy(10), 3, seed=7, workers=1, worker_kind="process")
    state = stopped(first, 2)
    assert int(state["position"]) == 2  # though more have been prepared
    for crew in ({}, {"workers": 2, "worker_kind": "process"}):
        resumed = DataLoader(Noisy(10), 3, **crew)  # the seed is the state's
        resumed.load_state_dict(state)
        assert contents([*resumed, *resumed]) == expected[2:]


@pytest.mark.parametrize("crew", [{}, {"prefetch": 2}], ids=str)
def test_resumed_without_a_seed(crew):
    dataset = list(zip(range(10), range(10), strict=True))
    np.random.seed(2)
    loader = DataLoader(dataset, 3, **crew)
    whole = contents([*loader, *loader, *loader])
    for count in range(8):
        np.random.seed(2)
        state = stopped(DataLoader(dataset, 3, **crew), count)
        random_state = np.random.get_state()  # which a checkpoint keeps beside it
        resumed = DataLoader(dataset, 3, **crew)
        np.random.set_state(random_state)
        resumed.load_state_dict(state)
        left = range(3 - max(count - 1, 0) // 4)
        batches = [batch for _ in left for batch in contents(resumed)]
        assert batches == whole[count:]


def test_next_counts_as_well():
    loader = DataLoader(Noisy(10), 3, seed=7)
    expected = contents(DataLoader(Noisy(10), 3, seed=7))
    loader.next()
    state = loader.state_dict()
    for walk in (lambda loader: [loader.next() for _ in range(3)], list):
        loader.load_state_dict(state)
        assert contents(walk(loader)) == expected[1:]


def test_a_state_survives_a_file(tmp_path):
    loader = DataLoader(Noisy(10), 3)
    state = stopped(loader, 2)
    assert all(type(array) is np.ndarray for array in state.values())
    np.savez(tmp_path / "state.npz", **state)
    with np.load(tmp_path / "state.npz") as loaded:
        loader.load_state_dict(loaded)
    assert loader.position == 2
    state["order"][:] = 0  # it is a copy
    assert sorted(loader.index) == list(range(10))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"position": np.array(5)},
            "expected position from 0 to 4, got 5",
        ),
        (
            {"epoch": np.array(-1)},
            "expected epoch from 0 to 4294967295, got -1",
        ),
        (
            {"epoch": np.array([1])},
            "expected epoch as an integer, got int64 of shape (1,)",
        ),
        (
            {"position": np.array(1.0)},
            "expected position as an integer, got float64 of shape ()",
        ),
        (
            {"seed": np.array(2**32)},
            "expected seed from 0 to 4294967295, got 4294967296",
        ),
        (
            {"data_size": np.array(11)},
            "expected data_size 10, as this loader has, got 11",
        ),
        (
            {"batch_size": np.array(4)},
            "expected batch_size 3, as this loader has, got 4",
        ),
        (
            {"shuffle": np.array(0)},
            "expected shuffle 1, as this loader has, got 0",
        ),
        (
            {"more": np.array(0)},
            "expected a state of data_size, batch_size, max_iter, shuffle, epoch, "
            "position, seed, got data_size, batch_size, max_iter, shuffle, epoch, "
            "position, seed, more",
        ),
    ],
)
def test_a_wrong_state_changes_nothing(change, message):
    loader = DataLoader(Noisy(10), 3, seed=7)
    expected = contents(loader)
    loader = DataLoader(Noisy(10), 3, seed=7)
    state = {**stopped(DataLoader(Noisy(10), 3, seed=8), 2), **change}
    with pytest.raises(
        DataError, match=f"^{re.escape(f'DataLoader.load_state_dict: {message}')}$"
    ):
        loader.load_state_dict(state)
    assert contents(loader) == expected


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (np.arange(9), "expected order with each number below 10 once, got int64 of "),
        (np.zeros(10, int), "expected order with each number below 10 once, got int"),
        (np.arange(10.0), "expected order with each number below 10 once, got float"),
    ],
)
def test_a_wrong_order(order, message):
    loader = DataLoader(Noisy(10), 3)
    state = {**loader.state_dict(), "order": order}
    before = loader.index
    with pytest.raises(DataError, match=message):
        loader.load_state_dict(state)
    assert loader.index is before


def test_a_state_without_the_seed_that_is_needed():
    state = DataLoader(Noisy(10), 3).state_dict()
    with pytest.raises(
        DataError,
        match=r"^DataLoader.load_state_dict: expected a state with a seed, as this "
        r"loader has, got one without$",
    ):
        DataLoader(Noisy(10), 3, seed=1).load_state_dict(state)
    with pytest.raises(
        DataError,
        match=r"^DataLoader.load_state_dict: expected a state of data_size, "
        r"batch_size, max_iter, shuffle, epoch, position, got nothing$",
    ):
        DataLoader(Noisy(10), 3, shuffle=False).load_state_dict({})
