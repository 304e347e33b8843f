"""Threads for native kernels: one call forks into shares and joins them again.

A kernel is ``void kernel(ptr args, i64 begin, i64 end, i64 share)`` and does the rows
``begin <= row < end`` of its outer loop. ``dezero_parallel`` cuts the rows into shares,
posts all but the first to worker threads, runs the first itself, and waits. A share
that no worker has taken by then it takes back and runs itself. So it never waits for a
thread that the system has not yet woken, or that a ``fork`` left behind.

Which rows make which share depends on the numbers of rows and threads alone; which
thread runs a share changes nothing in the result. That holds as well where there is one
thread only: while another caller has the workers, in a kernel within a kernel, at the
exit of Python, on a system without POSIX threads.

The workers are native threads, which Python does not see. Between two calls they watch
their slot for some microseconds, then sleep until it is filled: while BLAS multiplies,
the cores are its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["Pool", "default_threads", "pool_ir"]

# The memory of a pool, which only native code touches while threads run:
#     0 lock        bit 0: a caller has the workers; bit 1: they are held, and no more
#   128 threads     into how many shares rows are cut, at most
#   136 started     how many workers there are
#   144 spin        how often a worker looks at its slot before it sleeps
#   152 slots       ptr to one slot for each worker
# A slot, 512 bytes, its job in one line of the cache:
#     0 state       IDLE 0, ASLEEP 1, POSTED 2, TAKEN 3, QUIT 4
#     8 kernel   16 args   24 rows   32 shares   40 share
#    64 pool     72 thread
#   128 mutex   256 condition
_LOCK, _THREADS, _STARTED, _SPIN, _SLOTS = 0, 128, 136, 144, 152
_POOL_BYTES, _SLOT_BYTES = 256, 512

# For how many microseconds a worker watches its slot. Most gaps between two kernels are
# shorter, and to wake a sleeper takes the caller 5 and the sleeper 15 microseconds.
SPIN = 50

_POSIX = """
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(i64, ptr)
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_mutex_destroy(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_signal(ptr)
declare i32 @pthread_cond_destroy(ptr)
declare i32 @sched_yield()

define internal void @sleep(ptr %slot) {  ; until the state is not ASLEEP
  %mutex = getelementptr i8, ptr %slot, i64 128
  %condition = getelementptr i8, ptr %slot, i64 256
  call i32 @pthread_mutex_lock(ptr %mutex)
  br label %look
look:
  %state = load atomic i64, ptr %slot acquire, align 8
  %asleep = icmp eq i64 %state, 1
  br i1 %asleep, label %wait, label %awake
wait:
  call i32 @pthread_cond_wait(ptr %condition, ptr %mutex)
  br label %look
awake:
  call i32 @pthread_mutex_unlock(ptr %mutex)
  ret void
}

define internal void @tell(ptr %slot, i64 %state) {  ; set the state, wake the worker
  %before = atomicrmw xchg ptr %slot, i64 %state acq_rel, align 8
  %asleep = icmp eq i64 %before, 1
  br i1 %asleep, label %wake, label %done
wake:
  %mutex = getelementptr i8, ptr %slot, i64 128
  %condition = getelementptr i8, ptr %slot, i64 256
  call i32 @pthread_mutex_lock(ptr %mutex)
  call i32 @pthread_mutex_unlock(ptr %mutex)
  call i32 @pthread_cond_signal(ptr %condition)
  br label %done
done:
  ret void
}

define internal void @yield() {
  call i32 @sched_yield()
  ret void
}

define internal ptr @worker(ptr %slot) {
entry:
  %pool.at = getelementptr i8, ptr %slot, i64 64
  %pool = load ptr, ptr %pool.at, align 8
  %spin.at = getelementptr i8, ptr %pool, i64 144
  %spin = load i64, ptr %spin.at, align 8
  br label %look
look:
  %looks = phi i64 [ 0, %entry ], [ %more, %wait ], [ 0, %tired ], [ 0, %sleep ],
                   [ 0, %posted ], [ 0, %taken ]
  %state = load atomic i64, ptr %slot acquire, align 8
  switch i64 %state, label %idle [ i64 2, label %posted
                                   i64 4, label %quit ]
idle:
  %enough = icmp uge i64 %looks, %spin
  br i1 %enough, label %tired, label %wait
wait:
  call void @wait(i64 %looks)
  %more = add i64 %looks, 1
  br label %look
tired:
  %falling = cmpxchg ptr %slot, i64 0, i64 1 acq_rel acquire, align 8
  %asleep = extractvalue { i64, i1 } %falling, 1
  br i1 %asleep, label %sleep, label %look
sleep:
  call void @sleep(ptr %slot)
  br label %look
posted:
  %taking = cmpxchg ptr %slot, i64 2, i64 3 acq_rel acquire, align 8
  %mine = extractvalue { i64, i1 } %taking, 1
  br i1 %mine, label %taken, label %look
taken:
  call void @run(ptr %slot)
  store atomic i64 0, ptr %slot release, align 8
  br label %look
quit:
  ret ptr null
}

define internal i1 @start(ptr %pool, ptr %slot) {
  %pool.at = getelementptr i8, ptr %slot, i64 64
  %thread = getelementptr i8, ptr %slot, i64 72
  %mutex = getelementptr i8, ptr %slot, i64 128
  %condition = getelementptr i8, ptr %slot, i64 256
  store ptr %pool, ptr %pool.at, align 8
  store atomic i64 0, ptr %slot release, align 8
  call i32 @pthread_mutex_init(ptr %mutex, ptr null)
  call i32 @pthread_cond_init(ptr %condition, ptr null)
  %error = call i32 @pthread_create(ptr %thread, ptr null, ptr @worker, ptr %slot)
  %started = icmp eq i32 %error, 0
  ret i1 %started
}

define internal void @stop(ptr %slot) {
  %thread.at = getelementptr i8, ptr %slot, i64 72
  %thread = load i64, ptr %thread.at, align 8
  %mutex = getelementptr i8, ptr %slot, i64 128
  %condition = getelementptr i8, ptr %slot, i64 256
  call void @tell(ptr %slot, i64 4)
  call i32 @pthread_join(i64 %thread, ptr null)
  call i32 @pthread_mutex_destroy(ptr %mutex)
  call i32 @pthread_cond_destroy(ptr %condition)
  ret void
}
"""

_SERIAL = """
define internal void @tell(ptr %slot, i64 %state) {
  ret void
}

define internal void @yield() {
  ret void
}

define internal i1 @start(ptr %pool, ptr %slot) {
  ret i1 false
}

define internal void @stop(ptr %slot) {
  ret void
}
"""

_COMMON = """
; After so many looks in vain. Now and then let pass who waits for this core: where
; other programs have the rest, that may be the very thread that is waited for.
define internal void @wait(i64 %looks) {
  %phase = and i64 %looks, 63
  %pass = icmp eq i64 %phase, 63
  br i1 %pass, label %yield, label %pause
yield:
  call void @yield()
  ret void
pause:
  call void @pause()
  ret void
}

define void @dezero_wait(i64 %count) {
entry:
  br label %look
look:
  %looks = phi i64 [ 0, %entry ], [ %more, %look ]
  call void @wait(i64 %looks)
  %more = add i64 %looks, 1
  %again = icmp ult i64 %more, %count
  br i1 %again, label %look, label %done
done:
  ret void
}

define internal i64 @bound(i64 %rows, i64 %shares, i64 %share) {
  %product = mul i64 %rows, %share
  %bound = udiv i64 %product, %shares
  ; Many short rows: no two shares write into the same line of the cache.
  %each = udiv i64 %rows, %shares
  %long = icmp uge i64 %each, 4096
  %last = icmp eq i64 %share, %shares
  %whole = and i64 %bound, -64
  %not.last = xor i1 %last, true
  %round = and i1 %long, %not.last
  %begin = select i1 %round, i64 %whole, i64 %bound
  ret i64 %begin
}

define internal void @call(ptr %kernel, ptr %args, i64 %rows, i64 %shares, i64 %share) {
  %next = add i64 %share, 1
  %begin = call i64 @bound(i64 %rows, i64 %shares, i64 %share)
  %end = call i64 @bound(i64 %rows, i64 %shares, i64 %next)
  call void %kernel(ptr %args, i64 %begin, i64 %end, i64 %share)
  ret void
}

define internal void @run(ptr %slot) {
  %kernel.at = getelementptr i8, ptr %slot, i64 8
  %args.at = getelementptr i8, ptr %slot, i64 16
  %rows.at = getelementptr i8, ptr %slot, i64 24
  %shares.at = getelementptr i8, ptr %slot, i64 32
  %share.at = getelementptr i8, ptr %slot, i64 40
  %kernel = load ptr, ptr %kernel.at, align 8
  %args = load ptr, ptr %args.at, align 8
  %rows = load i64, ptr %rows.at, align 8
  %shares = load i64, ptr %shares.at, align 8
  %share = load i64, ptr %share.at, align 8
  call void @call(ptr %kernel, ptr %args, i64 %rows, i64 %shares, i64 %share)
  ret void
}

define internal void @post(ptr %slot, ptr %kernel, ptr %args, i64 %rows, i64 %shares,
                           i64 %share) {
  %kernel.at = getelementptr i8, ptr %slot, i64 8
  %args.at = getelementptr i8, ptr %slot, i64 16
  %rows.at = getelementptr i8, ptr %slot, i64 24
  %shares.at = getelementptr i8, ptr %slot, i64 32
  %share.at = getelementptr i8, ptr %slot, i64 40
  store ptr %kernel, ptr %kernel.at, align 8
  store ptr %args, ptr %args.at, align 8
  store i64 %rows, ptr %rows.at, align 8
  store i64 %shares, ptr %shares.at, align 8
  store i64 %share, ptr %share.at, align 8
  call void @tell(ptr %slot, i64 2)
  ret void
}

define internal void @finish(ptr %slot) {  ; run the share, or wait for who runs it
entry:
  %taking = cmpxchg ptr %slot, i64 2, i64 0 acq_rel acquire, align 8
  %mine = extractvalue { i64, i1 } %taking, 1
  br i1 %mine, label %run, label %look
run:
  call void @run(ptr %slot)
  ret void
look:
  %looks = phi i64 [ 0, %entry ], [ %more, %wait ]
  %state = load atomic i64, ptr %slot acquire, align 8
  %taken = icmp eq i64 %state, 3
  br i1 %taken, label %wait, label %done
wait:
  call void @wait(i64 %looks)
  %more = add i64 %looks, 1
  br label %look
done:
  ret void
}

define internal ptr @slot(ptr %pool, i64 %share) {  ; of the worker of this share
  %slots.at = getelementptr i8, ptr %pool, i64 152
  %slots = load ptr, ptr %slots.at, align 8
  %index = sub i64 %share, 1
  %offset = mul i64 %index, 512
  %slot = getelementptr i8, ptr %slots, i64 %offset
  ret ptr %slot
}

define i64 @dezero_shares(ptr %pool, i64 %rows, i64 %most) {
  %threads.at = getelementptr i8, ptr %pool, i64 128
  %threads = load atomic i64, ptr %threads.at acquire, align 8
  %most.wanted = icmp sgt i64 %most, 0
  %fewer = icmp slt i64 %most, %threads
  %capped = and i1 %most.wanted, %fewer
  %shares = select i1 %capped, i64 %most, i64 %threads
  %short = icmp slt i64 %rows, %shares
  %result = select i1 %short, i64 1, i64 %shares
  ret i64 %result
}

define i64 @dezero_parallel(ptr %pool, ptr %kernel, ptr %args, i64 %rows, i64 %most) {
entry:
  %shares = call i64 @dezero_shares(ptr %pool, i64 %rows, i64 %most)
  %one = icmp ule i64 %shares, 1
  br i1 %one, label %whole, label %enter
whole:
  call void %kernel(ptr %args, i64 0, i64 %rows, i64 0)
  ret i64 1
enter:
  %entering = cmpxchg ptr %pool, i64 0, i64 1 acquire monotonic, align 8
  %entered = extractvalue { i64, i1 } %entering, 1
  br i1 %entered, label %ready, label %alone
alone:
  %alone.share = phi i64 [ 0, %enter ], [ %alone.next, %alone ]
  call void @call(ptr %kernel, ptr %args, i64 %rows, i64 %shares, i64 %alone.share)
  %alone.next = add i64 %alone.share, 1
  %alone.more = icmp ult i64 %alone.next, %shares
  br i1 %alone.more, label %alone, label %done
ready:
  ; There are slots for so many, which may by now be fewer than the shares.
  %threads.at = getelementptr i8, ptr %pool, i64 128
  %started.at = getelementptr i8, ptr %pool, i64 136
  %threads = load atomic i64, ptr %threads.at acquire, align 8
  %places = call i64 @llvm.umin.i64(i64 %threads, i64 %shares)
  br label %hire
hire:
  %started = load i64, ptr %started.at, align 8
  %wanted = add i64 %started, 1
  %staffed = icmp uge i64 %wanted, %places
  br i1 %staffed, label %posts, label %start
start:
  %new = call ptr @slot(ptr %pool, i64 %wanted)
  %ok = call i1 @start(ptr %pool, ptr %new)
  br i1 %ok, label %more, label %posts
more:
  store i64 %wanted, ptr %started.at, align 8
  br label %hire
posts:
  ; Shares 1 <= share < helped have a worker. This thread does the others.
  %helped = call i64 @llvm.umin.i64(i64 %wanted, i64 %places)
  br label %post.look
post.look:
  %post.share = phi i64 [ 1, %posts ], [ %post.next, %post ]
  %post.more = icmp ult i64 %post.share, %helped
  br i1 %post.more, label %post, label %first
post:
  %post.slot = call ptr @slot(ptr %pool, i64 %post.share)
  call void @post(ptr %post.slot, ptr %kernel, ptr %args, i64 %rows, i64 %shares,
                  i64 %post.share)
  %post.next = add i64 %post.share, 1
  br label %post.look
first:
  call void @call(ptr %kernel, ptr %args, i64 %rows, i64 %shares, i64 0)
  br label %rest.look
rest.look:
  %rest.share = phi i64 [ %helped, %first ], [ %rest.next, %rest ]
  %rest.more = icmp ult i64 %rest.share, %shares
  br i1 %rest.more, label %rest, label %finish.look
rest:
  call void @call(ptr %kernel, ptr %args, i64 %rows, i64 %shares, i64 %rest.share)
  %rest.next = add i64 %rest.share, 1
  br label %rest.look
finish.look:
  %finish.share = phi i64 [ 1, %rest.look ], [ %finish.next, %finish ]
  %finish.more = icmp ult i64 %finish.share, %helped
  br i1 %finish.more, label %finish, label %leave
finish:
  %finish.slot = call ptr @slot(ptr %pool, i64 %finish.share)
  call void @finish(ptr %finish.slot)
  %finish.next = add i64 %finish.share, 1
  br label %finish.look
leave:
  atomicrmw sub ptr %pool, i64 1 release, align 8
  br label %done
done:
  ret i64 %shares
}

define void @dezero_hold(ptr %pool) {  ; no caller enters; then stop the workers
  br label %ask
ask:
  %before = atomicrmw or ptr %pool, i64 2 acquire, align 8
  %held = and i64 %before, 2
  %free = icmp eq i64 %held, 0
  br i1 %free, label %drain, label %wait
wait:
  call void @yield()
  br label %ask
drain:
  %lock = load atomic i64, ptr %pool acquire, align 8
  %entered = and i64 %lock, 1
  %empty = icmp eq i64 %entered, 0
  br i1 %empty, label %stops, label %pass
pass:
  call void @yield()
  br label %drain
stops:
  %started.at = getelementptr i8, ptr %pool, i64 136
  %started = load i64, ptr %started.at, align 8
  br label %look
look:
  %share = phi i64 [ %started, %stops ], [ %next, %stop ]
  %more = icmp ugt i64 %share, 0
  br i1 %more, label %stop, label %done
stop:
  %slot = call ptr @slot(ptr %pool, i64 %share)
  call void @stop(ptr %slot)
  %next = sub i64 %share, 1
  br label %look
done:
  store i64 0, ptr %started.at, align 8
  ret void
}

define void @dezero_release(ptr %pool) {
  atomicrmw and ptr %pool, i64 -3 release, align 8
  ret void
}

declare i64 @llvm.umin.i64(i64, i64)
"""

_PAUSES = {  # what tells the core that a loop waits; without inline assembly
    "x86_64": ("@llvm.x86.sse2.pause()", ""),
    "amd64": ("@llvm.x86.sse2.pause()", ""),
    "aarch64": ("@llvm.aarch64.hint(i32)", "i32 1"),
    "arm64": ("@llvm.aarch64.hint(i32)", "i32 1"),
}


def _have_threads() -> bool:
    """Whether this process has the functions that the native code calls."""
    if sys.maxsize < 2**32:
        return False
    try:
        process = ctypes.CDLL(None)
    except (OSError, TypeError):  # TypeError: Windows
        return False
    names = ("pthread_create", "pthread_cond_wait", "pthread_mutex_lock", "sched_yield")
    return all(hasattr(process, name) for name in names)


def pool_ir(threads: bool | None = None) -> str:
    """The module of LLVM IR that a ``Pool`` runs on, for this machine.

    It defines ``i64 dezero_parallel(ptr pool, ptr kernel, ptr args, i64 rows, i64
    most)``, which returns the number of shares, and what ``Pool`` needs besides.

    Args:
        threads: Whether there are POSIX threads; ``None`` asks the process. Without
            them the shares run one after another.
    """
    machine = platform.machine().lower()
    pause = "define internal void @pause() alwaysinline {\n"
    if machine in _PAUSES:
        declared, argument = _PAUSES[machine]
        name = declared.partition("(")[0]
        pause = f"declare void {declared}\n{pause}  call void {name}({argument})\n"
    pause += "  ret void\n}\n"
    if threads is None:
        threads = _have_threads()
    return pause + (_POSIX if threads else _SERIAL) + _COMMON


def default_threads() -> int:
    """``OMP_NUM_THREADS``, or the number of cores that this process may use."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Memory:
    """Zeros that native code uses, at an address that is a multiple of 128."""

    more: _Memory  # that this memory points to

    def __init__(self, count: int) -> None:
        self._buffer = ctypes.create_string_buffer(count + 128)
        self.address = (ctypes.addressof(self._buffer) + 127) // 128 * 128

    def __getitem__(self, offset: int) -> int:
        return ctypes.c_int64.from_address(self.address + offset).value

    def __setitem__(self, offset: int, value: int) -> None:
        ctypes.c_int64.from_address(self.address + offset).value = value


class Pool:
    """Threads that share the rows of a native kernel.

    The workers start with the first kernel that has a share for them. They end with
    the pool or the process; and for a ``fork``, so that parent and child start their
    own anew, as OpenBLAS does it. Any thread may call, at any time.

    Args:
        address_of: The address of a function of ``pool_ir()``, compiled. It is kept,
            and with it the code that it leads to, if it holds that.
        threads: How many threads work, the calling one among them; ``None``:
            ``default_threads()``.
        spin: For how many microseconds a worker looks for its next share before it
            sleeps.

    Attributes:
        address: The ``ptr pool`` of ``dezero_parallel``, the same for life.
        parallel: The address of ``dezero_parallel``, to be called with or without the
            lock of the interpreter.
    """

    def __init__(
        self,
        address_of: Callable[[str], int],
        threads: int | None = None,
        spin: int = SPIN,
    ) -> None:
        def function(name: str, *arguments: Any) -> Callable[..., int]:
            prototype = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, *arguments)
            return prototype(address_of(name))

        self._memory = _Memory(_POOL_BYTES)
        self.address = self._memory.address
        self.parallel = address_of("dezero_parallel")
        self._parallel = function(
            "dezero_parallel",
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_int64,
            ctypes.c_int64,
        )
        self._shares = function("dezero_shares", ctypes.c_int64, ctypes.c_int64)
        self._hold = function("dezero_hold")
        self._release = function("dezero_release")
        self._memory[_SPIN] = spin * _looks(function("dezero_wait")) // 1000
        # Held for good, the pool goes on in one thread: those who still call at exit.
        self._end = weakref.finalize(self, _end, self._hold, self._memory, address_of)
        self.resize(default_threads() if threads is None else threads)
        _pools.add(self)

    @property
    def threads(self) -> int:
        """Into how many shares rows are cut at most."""
        return self._memory[_THREADS]

    def resize(self, threads: int) -> None:
        """Work with so many threads from the next call on.

        Raises:
            ValueError: ``threads`` is less than 1.
        """
        if threads < 1:
            raise ValueError(f"threads: expected at least 1, got {threads}")
        with self._held():
            self._memory.more = _Memory((threads - 1) * _SLOT_BYTES)
            self._memory[_SLOTS] = self._memory.more.address
            self._memory[_THREADS] = threads

    def shares(self, rows: int, most: int = 0) -> int:
        """Into how many shares ``run`` would cut so many rows."""
        return self._shares(self.address, rows, most)

    def run(self, kernel: int, args: int | None, rows: int, most: int = 0) -> int:
        """Run the kernel at an address over all rows; the number of shares.

        The bounds of the shares depend on ``rows`` and their number alone. Fewer rows
        than threads are one share.

        Args:
            kernel: The address of ``void kernel(ptr args, i64 begin, i64 end, i64
                share)``.
            args: The address of its arguments.
            rows: The length of its outer loop.
            most: No more shares than that; 0: as many as threads.
        """
        return self._parallel(self.address, kernel, args, rows, most)

    def close(self) -> None:
        """End the workers. What is run from now on is run by its caller alone."""
        self._end()

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """No worker lives and none starts."""
        if not self._end.alive:
            yield
            return
        self._hold(self.address)
        try:
            yield
        finally:
            self._release(self.address)

    def _lose_workers(self) -> None:
        """In the child of a fork, where this thread is the only one."""
        if self._end.alive:
            self._memory[_STARTED] = self._memory[_LOCK] = 0


def _looks(wait: Callable[[int], int]) -> int:
    """How many looks fit into a millisecond: cores pause for very different times."""
    count, best = 1024, 1.0
    for _ in range(3):
        start = time.perf_counter()
        wait(count)
        best = min(best, time.perf_counter() - start)
    return int(count / best / 1000)


def _end(hold: Callable[..., int], memory: _Memory, *_alive: object) -> None:
    hold(memory.address)


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


def _before_fork() -> None:
    for pool in list(_pools):
        with pool._held():
            pass


def _in_child() -> None:
    for pool in list(_pools):
        pool._lose_workers()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_in_child)
