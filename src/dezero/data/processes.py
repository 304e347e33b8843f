"""Processes as workers of a data loader, seen from the main process.

They are started by ``spawn``: a ``fork`` would copy locks in whatever state the
threads of BLAS or of the program left them. Each gets the data set once, and lives
as long as its loader. The main process holds one end of a channel to it, and nobody
else does: when that end closes, by will or because the main process was killed, the
worker ends at once. Batches come back through shared memory, which the main process
makes, and whose name is gone as soon as the worker has opened it: it ends with them.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import pickle
import signal
import sys
import weakref
from collections import deque
from collections.abc import Iterator
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.config import switches
from dezero.data.batches import Batch, BatchMaker, Job
from dezero.data.worker_process import serve
from dezero.data.workers import Promise
from dezero.errors import WorkerError

SMALL = 1 << 15  # bytes of a batch that travels in the message about it
PATIENCE = 2.0  # seconds that a worker is given to end


class Processes:
    """Workers with a memory of their own, until they are closed or forgotten.

    Args:
        make: What makes a batch. It is sent to each worker now, as pickle does it.
        count: How many processes.

    Raises:
        TypeError: ``make`` cannot be sent.
    """

    def __init__(self, make: BatchMaker, count: int) -> None:
        self._make = make
        self._round = 0
        self._turn = 0
        self._largest = 0  # bytes of a batch
        self._workers: list[_Worker] = []
        self._end = weakref.finalize(self, _end, self._workers, os.getpid())
        start = _pickled(make)
        if os.name == "posix":  # its own start would let Ctrl-C through
            resource_tracker.ensure_running()
        try:
            with _interrupts_later():
                for _ in range(count):
                    self._workers.append(_Worker(make.name))
            for worker in self._workers:
                worker.begin(start)
        except BaseException:
            self.close()
            raise

    @property
    def lasting(self) -> bool:
        """Whether it has not been closed."""
        return self._end.alive

    def close(self) -> None:
        """End the workers, whatever they are at."""
        self._end()

    def renew(self) -> None:
        """Forget the batches under way, for the sake of another pass."""
        self._round += 1
        with self._closed_if_left():
            for worker in self._workers:
                if worker.under_way:
                    worker.send((self._round, None))
            for worker in self._workers:
                while worker.under_way:
                    worker.receive()

    def submit(self, job: Job) -> Promise:
        worker = self._workers[self._turn % len(self._workers)]
        self._turn += 1
        with self._closed_if_left():
            worker.submit(self._round, job, self._largest)
        return functools.partial(self._result, worker)

    def _result(self, worker: _Worker) -> Batch:
        with self._closed_if_left():
            answer, content = worker.receive()
        if answer == "raised":
            packed, message = content
            try:
                error = pickle.loads(packed)
            except Exception:  # it is none that can be sent
                raise WorkerError(message) from None
            raise error from WorkerError(message)
        size, body, parts = content
        self._largest = max(self._largest, size)
        return pickle.loads(body, buffers=parts)

    @contextlib.contextmanager
    def _closed_if_left(self) -> Iterator[None]:
        """A message that was read by half is followed by none that can be read."""
        try:
            yield
        except BaseException:
            self.close()
            raise


class _Worker:
    """The main process's view of one worker process."""

    def __init__(self, name: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.name = name
        self.ready = False
        self.slots: list[SharedMemory | None] = []  # one for each batch under way
        self.free: list[int] = []
        self.under_way: deque[tuple[Job, int, str | None]] = deque()
        self.channel, theirs = context.Pipe()
        self.process = context.Process(
            target=serve, args=(theirs,), name="dezero-worker", daemon=True
        )
        try:
            self.process.start()
        except BaseException:
            self.channel.close()
            raise
        finally:
            theirs.close()  # so that its end is the end of the channel

    def begin(self, start: bytes) -> None:
        try:
            self.channel.send_bytes(start)
        except OSError:
            raise self._death() from None

    def send(self, message: tuple[Any, ...]) -> None:
        try:
            self.channel.send(message)
        except OSError:
            raise self._death() from None

    def submit(self, round_: int, job: Job, size: int) -> None:
        """Ask for a batch, which may have about so many bytes."""
        if not self.free:
            self.free.append(len(self.slots))
            self.slots.append(None)
        slot = self.free.pop()
        memory, name = self.slots[slot], None
        if size > SMALL and (memory is None or memory.size < size):
            larger = _shared(size)
            if larger is not None:
                if memory is not None:
                    memory.close()
                self.slots[slot] = larger
                name = larger.name
        self.under_way.append((job, slot, name))
        self.send((round_, (slot, name, switches.get(), job)))

    def receive(self) -> tuple[str, Any]:
        """The kind of the answer to the oldest job under way, and the answer."""
        try:
            if not self.ready:
                self.ready = self.channel.recv()
            answer, content = self.channel.recv()
        except (EOFError, OSError):
            raise self._death() from None
        _, slot, _ = self.under_way.popleft()
        self.free.append(slot)
        memory = self.slots[slot]
        if answer == "shared" and memory is not None:
            size, body, places = content
            content = size, body, [_copied(memory, *place) for place in places]
        return answer, content

    def _death(self) -> WorkerError:
        self.process.join(PATIENCE)
        code = self.process.exitcode
        waited = (
            f"batch {self.under_way[0][0].number}" if self.under_way else "an answer"
        )
        reason = ""
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                reason = f" ({signal.Signals(-code).name})"
            if code == -getattr(signal, "SIGKILL", 0):
                reason += ": perhaps the system was out of memory"
        elif not self.ready:
            reason = (
                ", before it was ready; write the start of your program below "
                "if __name__ == '__main__':"
            )
        return WorkerError(
            f"{self.name}: expected {waited} from worker process {self.process.pid}, "
            f"got its end with exit code {code}{reason}"
        )

    def end(self) -> None:
        self.channel.close()

    def bury(self) -> None:
        self.process.join(PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()
        unopened = {slot for _, slot, name in self.under_way if name is not None}
        for slot, memory in enumerate(self.slots):
            if memory is not None:
                memory.close()
                if slot in unopened:
                    with contextlib.suppress(FileNotFoundError):  # it was opened
                        memory.unlink()


def _end(workers: list[_Worker], owner: int) -> None:
    if os.getpid() != owner:
        return  # a fork of the main process, whose workers these are not
    with _interrupts_later():  # or the others would not be buried
        for worker in workers:
            worker.end()
        for worker in workers:
            worker.bury()


def _pickled(make: BatchMaker) -> bytes:
    try:
        return pickle.dumps(make, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise TypeError(
            f"{make.name}: expected a dataset, transforms and a collate function that "
            f"can be sent to another process, got {type(error).__name__}: {error}; "
            "write functions at the top of a file, or worker_kind='thread'"
        ) from error


@contextlib.contextmanager
def _interrupts_later() -> Iterator[None]:
    """Ctrl-C waits for the end of the block; processes started in it never see it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _shared(size: int) -> SharedMemory | None:
    """New shared memory, or ``None`` where the system has not enough of it."""
    try:
        memory = SharedMemory(create=True, size=size)
    except OSError:
        return None
    if sys.platform == "linux":
        try:  # else a worker that writes where nothing is left is killed
            with open(f"/dev/shm/{memory.name}", "r+b") as file:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError:
            memory.close()
            memory.unlink()
            return None
    return memory


def _copied(memory: SharedMemory, begin: int, size: int) -> Array:
    """Some bytes of it, which are the user's from now on."""
    return np.ndarray(size, np.uint8, memory.buf, begin).copy()
