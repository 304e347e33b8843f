"""Workers of data loaders: the same bytes whoever makes them, and how workers end."""

import contextlib
import copy
import gc
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from loader_samples import (
    Draws,
    Failing,
    Nested,
    Noisy,
    Pixels,
    Switched,
    Unreadable,
    UnreadableError,
    Varied,
    gathered,
    worker_pid,
)

import dezero
from dezero import DataLoader, SeqDataLoader
from dezero.data.workers import in_order
from dezero.errors import WorkerError
from dezero.transforms import Compose, RandomHorizontalFlip, ToFloat

CREWS = [
    {},
    {"prefetch": 3},
    {"workers": 1},
    {"workers": 3, "prefetch": 1},
    {"workers": 2, "worker_kind": "process"},
]


@pytest.fixture(autouse=True)
def _no_process_stays():
    yield
    gc.collect()
    assert not multiprocessing.active_children()


def contents(value):
    """Everything in a batch, as something that can be compared."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return {key: contents(field) for key, field in value.items()}
    if isinstance(value, (tuple, list)):
        return [contents(field) for field in value]
    return value


def passes(loader, count=2):
    return [contents(batch) for _ in range(count) for batch in loader]


def flipped():
    return Pixels(transform=Compose([RandomHorizontalFlip(), ToFloat()]))


@pytest.mark.parametrize("crew", CREWS[1:], ids=str)
def test_the_same_bytes_whoever_makes_them(crew):
    for make in (
        lambda **crew: DataLoader(Noisy(), 3, seed=5, **crew),
        lambda **crew: DataLoader(flipped(), 7, seed=5, drop_last=True, **crew),
        lambda **crew: DataLoader(Noisy(), 6, seed=5, collate=gathered, **crew),
        lambda **crew: SeqDataLoader(Noisy(), 4, seed=5, **crew),
        lambda **crew: DataLoader(Nested(6), 2, seed=5, **crew),
    ):
        assert passes(make(**crew)) == passes(make())


def test_random_state_follows_from_seed_epoch_and_number():
    loader = DataLoader(Noisy(), 4, seed=5)
    for epoch in range(2):
        order = np.random.RandomState([5, epoch]).permutation(20)
        for number, (x, t) in enumerate(loader):
            assert t.tolist() == order[4 * number : 4 * number + 4].tolist()
            for value, row in zip(x[:, 0], t, strict=True):
                assert value == row + np.random.RandomState([5, epoch, row]).rand()
    shuffled = np.empty((20, 1))
    for x, t in DataLoader(Noisy(), 9, seed=5):
        shuffled[t] = x
    in_order = [x for x, _ in DataLoader(Noisy(), 2, shuffle=False, seed=5)]
    np.testing.assert_array_equal(shuffled, np.concatenate(in_order))


def test_passes_begun_at_once_keep_their_epochs():
    expected = contents(list(DataLoader(Noisy(), 3, seed=5)))
    loader = DataLoader(Noisy(), 3, seed=5)
    first, second = iter(loader), iter(loader)
    assert contents(list(second)) != contents(list(first)) == expected


def test_transforms_draw_for_each_example_with_a_seed():
    at_once = np.concatenate([x for x, _ in DataLoader(flipped(), 20, seed=1)])
    in_twos = np.concatenate([x for x, _ in DataLoader(flipped(), 2, seed=1)])
    np.testing.assert_array_equal(at_once, in_twos)
    assert 0 < (at_once[:, 0, 0, 0] % 2).sum() < 20


def test_no_draw_disturbs_the_global_generator():
    np.random.seed(1)
    passes(DataLoader(flipped(), 3, seed=4, workers=2))
    after = np.random.rand()
    np.random.seed(1)
    assert np.random.rand() == after


def test_a_seed_for_workers_comes_from_the_global_generator():
    def drawn(**crew):
        np.random.seed(3)
        return passes(DataLoader(Noisy(), 3, workers=2, **crew))

    assert drawn() == drawn()
    np.random.seed(4)
    assert passes(DataLoader(Noisy(), 3, workers=2)) != drawn()


def test_the_framework_s_seed_governs_the_order():
    dezero.random.seed(3)
    x, _ = next(iter(DataLoader(Pixels(), 20)))
    dezero.random.seed(None)
    order = np.random.RandomState(3).permutation(20)
    np.testing.assert_array_equal(x, Pixels().data[order])


def test_worker_processes_seed_the_global_generators():
    crew = {"seed": 8, "worker_kind": "process"}
    one, two = (
        np.concatenate([np.stack(batch) for batch in loader], axis=1)
        for loader in (
            DataLoader(Draws(), 4, workers=1, **crew),
            DataLoader(Draws(), 3, workers=2, **crew),
        )
    )
    np.testing.assert_array_equal(one, two)
    order = np.random.RandomState([8, 0]).permutation(20)
    expected = [np.random.RandomState([8, 0, row]).rand() for row in order]
    assert one[0].tolist() == expected
    assert len(set(one[1])) == 20


def test_switches_reach_the_workers():
    for kind in ("thread", "process"):
        loader = DataLoader(Switched(4), 4, workers=1, worker_kind=kind)
        with dezero.test_mode():
            assert not next(iter(loader))[0].any()
        assert next(iter(loader))[0].all()


def test_a_slow_example_keeps_its_place():
    for kind in ("thread", "process"):
        loader = DataLoader(
            Failing("sleep"), 1, shuffle=False, workers=2, worker_kind=kind
        )
        assert [t.tolist() for _, t in loader] == [[i] for i in range(20)]


def test_batches_of_any_size_travel():
    loaders = [
        DataLoader(Varied(12), 2, seed=0, shuffle=False, **crew)
        for crew in ({}, {"workers": 2, "worker_kind": "process"})
    ]
    expected, found = ([*loader, *loader] for loader in loaders)
    assert contents(found) == contents(expected)
    assert found[0][0].shape == (2, 0, 2)
    for x, _ in found:
        x[:] = 0  # they are the user's: nothing else changes
    assert contents(list(loaders[1])) == contents(expected[:6])


def test_batches_travel_where_there_is_no_shared_memory(monkeypatch):
    monkeypatch.setattr("dezero.data.processes._shared", lambda size: None)
    crew = {"workers": 1, "worker_kind": "process"}
    assert passes(DataLoader(Varied(8), 2, False, seed=0, **crew)) == passes(
        DataLoader(Varied(8), 2, False, seed=0)
    )


@pytest.mark.parametrize(
    ("crew", "ahead"),
    [
        ({"prefetch": 3}, 3),
        ({"workers": 2}, 4),
        ({"workers": 2, "prefetch": 1}, 1),
    ],
)
def test_so_many_batches_are_made_in_advance(crew, ahead):
    made = []

    class Noted(Noisy):
        def __getitem__(self, index):
            made.append(index)
            return index, index

    most = 0
    for used, _ in enumerate(DataLoader(Noted(), 1, **crew), 1):
        time.sleep(0.005)
        most = max(most, len(made) - used)
    assert most == ahead


def test_processes_keep_so_many_under_way():
    class Counting:
        under_way = most = 0

        def submit(self, job):
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            return self.receive

        def receive(self):
            self.under_way -= 1

    workers = Counting()
    for _ in in_order(workers, range(20), 4):
        assert workers.under_way <= 4
    assert (workers.most, workers.under_way) == (5, 0)


def test_processes_live_as_long_as_their_loader():
    loader = DataLoader(
        Noisy(), 5, collate=worker_pid, workers=2, worker_kind="process"
    )
    assert not multiprocessing.active_children()
    first = set(loader)
    assert len(first) == 2 and os.getpid() not in first
    assert set(loader) == first
    for _ in loader:
        break
    assert set(loader) == first
    batches = iter(loader)
    next(batches)
    assert not set(loader) & first  # a pass within a pass has others, for that time
    batches.close()
    assert len(multiprocessing.active_children()) == 2
    assert not set(copy.deepcopy(loader)) & first
    assert len(multiprocessing.active_children()) == 2
    del loader, batches
    gc.collect()
    assert not multiprocessing.active_children()


def test_after_a_break_nothing_old_is_given():
    loader = DataLoader(Noisy(), 2, shuffle=False, workers=2, worker_kind="process")
    for stop in (0, 1, 3):
        for number, (_, t) in enumerate(loader):
            assert t.tolist() == [2 * number, 2 * number + 1]
            if number == stop:
                break
    assert len(list(loader)) == 10


def test_threads_end_with_the_pass():
    def workers():
        return [t for t in threading.enumerate() if t.name.startswith("dezero-worker")]

    loader = DataLoader(Noisy(), 2, workers=2)
    for _ in loader:
        assert workers()
        break
    assert not workers()
    batches = iter(loader)
    next(batches)
    del batches
    assert not workers()


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_what_a_worker_raises(kind):
    loader = DataLoader(Failing("raise"), 4, shuffle=False, workers=2, worker_kind=kind)
    for _ in range(2):  # the loader still works afterwards
        batches = iter(loader)
        assert next(batches)[1].tolist() == [0, 1, 2, 3]
        with pytest.raises(KeyError, match=r"^'seven'$") as caught:
            next(batches)
    cause = caught.value.__cause__
    assert type(cause) is WorkerError
    assert re.match(
        rf"DataLoader: expected example 7 of batch 1 from a worker {kind}( \d+)?, got "
        r"KeyError:\n\nTraceback \(most recent call last\):\n",
        str(cause),
    )
    assert 'raise KeyError("seven")' in str(cause)
    assert str(cause).endswith("KeyError: 'seven'")


def test_what_cannot_be_sent_back_is_told():
    loader = DataLoader(Failing("refuse"), 10, workers=1, worker_kind="process")
    with pytest.raises(WorkerError, match=r"got UnreadableError:\n\n(.|\n)*refused 7$"):
        list(loader)
    with pytest.raises(UnreadableError, match=r"^refused 7$"):
        list(DataLoader(Failing("refuse"), 10, workers=1))


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
@pytest.mark.parametrize(
    ("how", "end"),
    [
        ("exit", "3"),
        ("kill", r"-9 \(SIGKILL\): perhaps the system was out of memory"),
    ],
)
def test_a_worker_that_ends_is_an_error(how, end):
    loader = DataLoader(
        Failing(how), 4, shuffle=False, workers=2, worker_kind="process"
    )
    batches = iter(loader)
    next(batches)
    start = time.perf_counter()
    with pytest.raises(
        WorkerError,
        match=rf"^DataLoader: expected batch 1 from worker process \d+, got its end "
        rf"with exit code {end}$",
    ):
        list(batches)
    assert time.perf_counter() - start < 5
    assert not multiprocessing.active_children()


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_a_worker_killed_between_two_passes():
    loader = DataLoader(
        Noisy(), 5, collate=worker_pid, workers=1, worker_kind="process"
    )
    os.kill(next(iter(loader)), signal.SIGKILL)
    with pytest.raises(WorkerError, match=r"exit code -9 \(SIGKILL\)"):
        list(loader)
    assert len(set(loader)) == 1  # another


def test_a_data_set_that_cannot_be_sent():
    loader = DataLoader([(lambda: 1, 2)], 1, workers=1, worker_kind="process")
    with pytest.raises(
        TypeError,
        match=r"^DataLoader: expected a dataset, transforms and a collate function "
        r"that can be sent to another process, got .*; write functions at the top of "
        r"a file, or worker_kind='thread'$",
    ):
        list(loader)
    loader = DataLoader(Unreadable(), 1, workers=1, worker_kind="process")
    with pytest.raises(OSError, match=r"^no such disk$"):
        list(loader)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_of_the_main_process_ends_no_workers(tmp_path):
    rest = (
        "(batches.close(), vars(loader).pop('_idle'), os._exit(0))"
        " if os.fork() == 0 else os.wait(); print(len(list(batches)))"
    )
    with program(tmp_path, rest) as (running, pids):
        out, errors = running.communicate(timeout=10)
        assert (running.returncode, out, errors) == (0, "98\n", "")
        assert not any_alive(pids)


# ------------------------------------------------------------------- main processes
PATH = [str(Path(__file__).parent), str(Path(dezero.__file__).parents[1])]
PROGRAM = """
    import os, signal, sys, time
    import numpy as np
    sys.path[:0] = {path!r}
    from loader_samples import Failing, Noisy, printing, worker_pid
    from dezero import DataLoader

    def main():
        loader = DataLoader(Noisy(100), 1, collate=worker_pid, workers=2,
                            worker_kind="process", seed=0)
        batches = iter(loader)
        print(next(batches), next(batches), flush=True)
        {rest}

    if __name__ == "__main__":
        main()
"""


@contextlib.contextmanager
def program(tmp_path, rest):
    """A program that says which processes work for it, then does what is asked."""
    file = tmp_path / "program.py"
    file.write_text(textwrap.dedent(PROGRAM.format(path=PATH, rest=rest)))
    with subprocess.Popen(
        [sys.executable, str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that a signal to the group reaches it alone
    ) as running:
        try:
            yield running, [int(pid) for pid in running.stdout.readline().split()]
        finally:
            running.kill()


def any_alive(pids):
    """Whether one of the processes is still there two seconds from now."""
    for _ in range(200):
        if not any(is_alive(pid) for pid in pids):
            return False
        time.sleep(0.01)
    return True


def is_alive(pid):
    """Whether it runs: children of the dead may stay as zombies, if nobody asks."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not os.path.exists("/proc/self")


HANGING = """
        batches = iter(
            DataLoader(Failing("hang"), 4, False, workers=2, worker_kind="process")
        )
        print(len(next(batches)), flush=True)
        next(batches)
"""
SHARING = """
        large = [(np.zeros(50_000), 0)] * 100
        batches = iter(DataLoader(large, 4, workers=2, worker_kind="process"))
        print(len([next(batches) for _ in range(9)]), flush=True)
        time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("rest", [HANGING, SHARING], ids=["hanging", "sharing"])
def test_the_main_process_killed_leaves_no_workers(tmp_path, rest):
    with program(tmp_path, rest) as (running, pids):
        assert running.stdout.readline()
        children = f"/proc/{running.pid}/task/{running.pid}/children"
        pids = [int(pid) for pid in Path(children).read_text().split()]
        assert len(pids) == 5  # two and two, and who looks after shared memory
        running.kill()
        assert running.wait() == -signal.SIGKILL
        assert not any_alive(pids)
        assert running.stderr.read() == ""


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_ctrl_c_leaves_no_workers_and_one_traceback(tmp_path):
    with program(tmp_path, HANGING) as (running, pids):
        assert running.stdout.readline()
        os.killpg(running.pid, signal.SIGINT)  # as the terminal does it
        _, errors = running.communicate(timeout=10)
        assert not any_alive(pids)
        assert errors.count("Traceback") == 1
        assert errors.rstrip().endswith("KeyboardInterrupt")


def test_a_program_that_ends_in_the_middle_of_a_pass(tmp_path):
    rest = (
        "loader = DataLoader(Noisy(6), 4, collate=printing, workers=1, "
        "worker_kind='process'); list(loader); sys.exit(7)"
    )
    with program(tmp_path, rest) as (running, pids):
        out, errors = running.communicate(timeout=10)
        assert (running.returncode, errors) == (7, "")
        assert out == "made 4\nmade 2\n"  # what workers print is seen
        assert not any_alive(pids)


def test_a_program_without_its_main_guard_is_told(tmp_path):
    file = tmp_path / "unguarded.py"
    file.write_text(
        f"import sys; sys.path[:0] = {PATH!r}\n"
        "from loader_samples import Noisy\n"
        "from dezero import DataLoader\n"
        "list(DataLoader(Noisy(), 4, workers=1, worker_kind='process'))\n"
    )
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True)
    assert done.returncode == 1
    assert re.search(
        r"WorkerError: DataLoader: expected .* from worker process \d+, got its end "
        r"with exit code 1, before it was ready; write the start of your program below "
        r"if __name__ == '__main__':$",
        done.stderr.rstrip(),
    )
