"""Native kernels on all cores: each row once, whoever calls, whatever threads do."""

from __future__ import annotations

import ctypes
import os
import random
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from dezero.compiler.pool import Pool, default_threads, pool_ir

llvm = pytest.importorskip("llvmlite.binding")

# Adds 1 to each row, and notes the share of each row and the bounds of each share.
MARK = """
define void @mark(ptr %args, i64 %begin, i64 %end, i64 %share) {
entry:
  %owners.at = getelementptr ptr, ptr %args, i64 1
  %bounds.at = getelementptr ptr, ptr %args, i64 2
  %counts = load ptr, ptr %args
  %owners = load ptr, ptr %owners.at
  %bounds = load ptr, ptr %bounds.at
  %pair = mul i64 %share, 2
  %first = getelementptr i64, ptr %bounds, i64 %pair
  %second = getelementptr i64, ptr %first, i64 1
  store i64 %begin, ptr %first
  store i64 %end, ptr %second
  br label %look
look:
  %row = phi i64 [ %begin, %entry ], [ %next, %work ]
  %more = icmp slt i64 %row, %end
  br i1 %more, label %work, label %done
work:
  %count.at = getelementptr i64, ptr %counts, i64 %row
  %owner.at = getelementptr i64, ptr %owners, i64 %row
  %count = load i64, ptr %count.at
  %plus = add i64 %count, 1
  store i64 %plus, ptr %count.at
  store i64 %share, ptr %owner.at
  %next = add i64 %row, 1
  br label %look
done:
  ret void
}
"""

# Each row runs the kernel above through the same pool: a kernel within a kernel.
NESTED = """
declare i64 @dezero_parallel(ptr, ptr, ptr, i64, i64)

define void @nested(ptr %args, i64 %begin, i64 %end, i64 %share) {
entry:
  br label %look
look:
  %row = phi i64 [ %begin, %entry ], [ %next, %work ]
  %more = icmp slt i64 %row, %end
  br i1 %more, label %work, label %done
work:
  %pool.at = getelementptr [3 x ptr], ptr %args, i64 %row
  %kernel.at = getelementptr ptr, ptr %pool.at, i64 1
  %inner.at = getelementptr ptr, ptr %pool.at, i64 2
  %pool = load ptr, ptr %pool.at
  %kernel = load ptr, ptr %kernel.at
  %inner = load ptr, ptr %inner.at
  call i64 @dezero_parallel(ptr %pool, ptr %kernel, ptr %inner, i64 100, i64 0)
  %next = add i64 %row, 1
  br label %look
done:
  ret void
}
"""

# Each share waits until all have begun, so that none can wait its turn: those that have
# met count 1 in the second number, those that gave up do not.
MEET = """
declare i32 @sched_yield()

define void @meet(ptr %args, i64 %begin, i64 %end, i64 %share) {
entry:
  %met = getelementptr i64, ptr %args, i64 1
  %before = atomicrmw add ptr %args, i64 1 seq_cst
  br label %look
look:
  %looks = phi i64 [ 0, %entry ], [ %more, %wait ]
  %begun = load atomic i64, ptr %args seq_cst, align 8
  %all = icmp sge i64 %begun, 3
  br i1 %all, label %meet, label %check
check:
  %patient = icmp ult i64 %looks, 10000000
  br i1 %patient, label %wait, label %done
wait:
  call i32 @sched_yield()
  %more = add i64 %looks, 1
  br label %look
meet:
  atomicrmw add ptr %met, i64 1 seq_cst
  br label %done
done:
  ret void
}
"""


def compiled(text: str) -> Callable[[str], int]:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(text)
    module.verify()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    address_of: Callable[[str], int] = engine.get_function_address
    return address_of


_native = compiled(pool_ir() + MARK + NESTED.split("\n\n", 1)[1])


class Rows:
    """What ``mark`` writes."""

    def __init__(self, rows: int, shares: int = 8) -> None:
        self.counts = np.zeros(rows, np.int64)
        self.owners = np.full(rows, -1, np.int64)
        self.bounds = np.full((shares, 2), -1, np.int64)
        self._pointers = (ctypes.c_void_p * 3)(
            self.counts.ctypes.data, self.owners.ctypes.data, self.bounds.ctypes.data
        )
        self.args = ctypes.addressof(self._pointers)


def workers(pool: Pool) -> int:
    return pool._memory[136]


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(_native, threads=3)
    yield pool
    pool.close()


def test_each_row_once_in_ten_thousand_calls(pool: Pool) -> None:
    kernel, draw = _native("mark"), random.Random(0)
    rows = Rows(300)
    expected = np.zeros(300, np.int64)
    for _ in range(10_000):
        count, most = draw.randrange(301), draw.randrange(5)
        shares = pool.run(kernel, rows.args, count, most)
        expected[:count] += 1
        assert shares == pool.shares(count, most)
        assert rows.bounds[shares - 1, 1] == count
    assert np.array_equal(rows.counts, expected)


@pytest.mark.parametrize("spin", [0, 5, 1000])
def test_each_row_once_awake_or_asleep(spin: int) -> None:
    pool, rows = Pool(_native, threads=4, spin=spin), Rows(50_000)
    pause = threading.Event()
    for i in range(1000):
        pool.run(_native("mark"), rows.args, 50_000)
        if i % 10 == 0:
            pause.wait(0.0002)
    assert np.all(rows.counts == 1000)
    pool.close()


def test_shares_follow_from_rows_and_threads(pool: Pool) -> None:
    rows = Rows(10)
    assert pool.run(_native("mark"), rows.args, 10) == 3
    assert rows.bounds[:4].tolist() == [[0, 3], [3, 6], [6, 10], [-1, -1]]
    assert rows.owners.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]


def test_many_short_rows_are_cut_between_lines_of_the_cache(pool: Pool) -> None:
    rows = Rows(20_000)
    pool.run(_native("mark"), rows.args, 20_000)
    assert rows.bounds[:3].tolist() == [[0, 6656], [6656, 13312], [13312, 20_000]]
    assert np.all(rows.counts == 1)


@pytest.mark.skipif(pool_ir() == pool_ir(threads=False), reason="no POSIX threads")
@pytest.mark.parametrize("spin", [0, 1000])
def test_each_share_has_its_thread(spin: int) -> None:
    meet = compiled(MEET)
    pool, pause = Pool(_native, threads=3, spin=spin), threading.Event()
    for i in range(50):
        numbers = (ctypes.c_int64 * 2)()
        pool.run(meet("meet"), ctypes.addressof(numbers), 3)
        assert list(numbers) == [3, 3]
        pause.wait(0.0002 * (i % 3))
    pool.close()


def test_few_rows_are_one_share(pool: Pool) -> None:
    rows = Rows(2)
    assert pool.run(_native("mark"), rows.args, 2) == 1
    assert rows.bounds[:2].tolist() == [[0, 2], [-1, -1]]
    assert pool.run(_native("mark"), rows.args, 0) == 1
    assert rows.bounds[0].tolist() == [0, 0]
    assert workers(pool) == 0


def test_no_more_shares_than_allowed(pool: Pool) -> None:
    assert [pool.shares(10, most) for most in range(5)] == [3, 1, 2, 3, 3]
    rows = Rows(10)
    assert pool.run(_native("mark"), rows.args, 10, 2) == 2
    assert rows.bounds[:3].tolist() == [[0, 5], [5, 10], [-1, -1]]
    assert workers(pool) == 1
    assert pool.run(_native("mark"), rows.args, 10, 1) == 1


def test_python_sees_no_threads(pool: Pool) -> None:
    before, rows = threading.enumerate(), Rows(10)
    pool.run(_native("mark"), rows.args, 10)
    if pool_ir() != pool_ir(threads=False):
        assert workers(pool) == 2
    assert threading.enumerate() == before


def test_callers_at_once_each_have_their_rows(pool: Pool) -> None:
    together, results = threading.Barrier(3), []

    def call() -> None:
        rows = Rows(3000)
        together.wait(30)
        for _ in range(2000):
            pool.run(_native("mark"), rows.args, 3000)
        results.append(rows)

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(results) == 3
    for rows in results:
        assert np.all(rows.counts == 2000)
        assert rows.bounds[:3].tolist() == [[0, 1000], [1000, 2000], [2000, 3000]]


def test_a_kernel_within_a_kernel_is_cut_the_same(pool: Pool) -> None:
    inner = [Rows(100) for _ in range(30)]
    table = (ctypes.c_void_p * 90)()
    for i, rows in enumerate(inner):
        table[3 * i : 3 * i + 3] = [pool.address, _native("mark"), rows.args]
    assert pool.run(_native("nested"), ctypes.addressof(table), 30) == 3
    for rows in inner:
        assert np.all(rows.counts == 1)
        assert rows.bounds[:3].tolist() == [[0, 33], [33, 66], [66, 100]]


def test_resize_between_calls(pool: Pool) -> None:
    rows = Rows(100, shares=16)
    for done, threads in enumerate([1, 4, 2, 16, 3, 1], start=1):
        pool.resize(threads)
        assert pool.threads == threads
        assert workers(pool) == 0
        assert pool.run(_native("mark"), rows.args, 100) == threads
        assert np.all(rows.counts == done)
        assert rows.owners.max() == threads - 1


def test_resize_while_others_call(pool: Pool) -> None:
    rows, stop = Rows(64, shares=16), threading.Event()
    calls = 0

    def call() -> None:
        nonlocal calls
        while not stop.is_set():
            pool.run(_native("mark"), rows.args, 64)
            calls += 1

    caller = threading.Thread(target=call)
    caller.start()
    for i in range(200):
        pool.resize(1 + i * 7 % 16)
    stop.set()
    caller.join()
    assert np.all(rows.counts == calls)


def test_resize_to_nothing(pool: Pool) -> None:
    with pytest.raises(ValueError, match=r"^threads: expected at least 1, got 0$"):
        pool.resize(0)
    assert pool.threads == 3


def test_a_closed_pool_works_alone(pool: Pool) -> None:
    rows = Rows(10)
    pool.run(_native("mark"), rows.args, 10)
    pool.close()
    assert workers(pool) == 0
    assert pool.run(_native("mark"), rows.args, 10) == 3
    pool.resize(2)
    pool.close()
    assert pool.run(_native("mark"), rows.args, 10) == 2
    assert workers(pool) == 0
    assert np.all(rows.counts == 3)


def test_without_threads_the_shares_are_the_same() -> None:
    native = compiled(pool_ir(threads=False) + MARK)
    pool, rows = Pool(native, threads=3), Rows(10)
    assert pool.run(native("mark"), rows.args, 10) == 3
    assert rows.bounds[:3].tolist() == [[0, 3], [3, 6], [6, 10]]
    assert np.all(rows.counts == 1)
    assert workers(pool) == 0
    pool.close()


@pytest.mark.parametrize(
    ("wanted", "threads"), [("3", 3), ("5,2", 5), ("0", None), ("", None), ("x", None)]
)
def test_default_threads(
    monkeypatch: pytest.MonkeyPatch, wanted: str, threads: int | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    cores = os.cpu_count() or 1
    if sys.platform == "linux":
        cores = len(os.sched_getaffinity(0))
    assert default_threads() == (threads or cores)


def python(program: str) -> str:
    """What a program prints that has this file as ``test_pool``."""
    folders = [str(Path(__file__).parent), *filter(None, sys.path)]
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    return ended.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_after_a_fork_parent_and_child_work_on() -> None:
    printed = python("""
        import os
        from test_pool import Pool, Rows, _native, workers

        pool, rows = Pool(_native, threads=3, spin=10_000), Rows(1000)
        for generation in range(3):
            pool.run(_native("mark"), rows.args, 1000)
            assert workers(pool) == 2
            child = os.fork()
            assert workers(pool) == 0
            if not child:
                for _ in range(100):
                    pool.run(_native("mark"), rows.args, 1000)
                assert workers(pool) == 2
                grandchild = os.fork()
                pool.run(_native("mark"), rows.args, 1000)
                if grandchild:
                    assert os.waitpid(grandchild, 0)[1] == 0
                assert set(rows.counts) == {generation + 102}
                raise SystemExit  # through the exit of Python, as the parent
            assert os.waitpid(child, 0)[1] == 0
        print(set(rows.counts.tolist()))
    """)
    assert printed == "{3}\n"


@pytest.mark.skipif(sys.platform != "linux", reason="forks behind Python's back")
def test_after_a_fork_of_another_library_the_child_works_alone() -> None:
    printed = python("""
        import ctypes, os
        from test_pool import Pool, Rows, _native

        pool, rows = Pool(_native, threads=3, spin=10_000), Rows(1000)
        pool.run(_native("mark"), rows.args, 1000)
        child = ctypes.CDLL(None).fork()
        pool.run(_native("mark"), rows.args, 1000)
        if not child:
            os._exit(0 if set(rows.counts) == {2} else 1)
        print(os.waitpid(child, 0)[1])
    """)
    assert printed == "0\n"


def test_the_process_ends_while_workers_watch_and_threads_call() -> None:
    printed = python("""
        import threading
        from test_pool import Pool, Rows, _native

        watching = Pool(_native, threads=3, spin=10_000_000)
        asleep = Pool(_native, threads=3, spin=0)
        rows = Rows(1000)
        for pool in watching, asleep:
            pool.run(_native("mark"), rows.args, 1000)

        def call():
            others = Rows(1000)
            while True:
                pool.run(_native("mark"), others.args, 1000)

        for _ in range(2):
            threading.Thread(target=call, daemon=True).start()
        print(set(rows.counts.tolist()))
    """)
    assert printed == "{2}\n"
