"""A worker process of a data loader, as it is from inside."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any

from dezero.config import switches
from dezero.data.batches import Batch, BatchMaker, Job
from dezero.data.workers import failure

ALIGNMENT = 64  # bytes, of each array in shared memory


def serve(channel: Connection) -> None:
    """What a worker process does, all its life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(AttributeError):
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        start = channel.recv_bytes()
    except (EOFError, OSError):
        return
    jobs: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
    newest = 0  # the round that the main process is at

    def read() -> None:
        nonlocal newest
        try:
            while True:
                newest, job = channel.recv()
                if job is not None:
                    slot, name, *rest = job
                    jobs.put((newest, (slot, name and _opened(name), *rest)))
        except (EOFError, OSError):  # the main process has gone
            os._exit(0)  # though the other thread is in the middle of a batch

    threading.Thread(target=read, daemon=True).start()
    make = _unpickled(start)
    slots: dict[int, SharedMemory] = {}
    _tell(channel, True)
    while True:
        round_, (slot, memory, switches_, job) = jobs.get()
        if memory is not None:
            if slot in slots:
                slots.pop(slot).close()
            slots[slot] = memory
        answer: tuple[str, Any] = "forgotten", None
        if round_ == newest:
            switches.set(switches_)
            try:
                answer = _packed(make(job), slots.get(slot))
            except Exception as error:
                answer = "raised", _packed_error(make, job, error)
        _tell(channel, answer)


def _opened(name: str) -> SharedMemory:
    """Shared memory whose name nobody needs any more: it ends with its two users."""
    memory = SharedMemory(name)
    memory.unlink()
    return memory


def _tell(channel: Connection, message: Any) -> None:
    try:
        channel.send(message)
    except OSError:  # the main process has gone
        os._exit(0)


def _unpickled(start: bytes) -> BatchMaker:
    try:
        make: BatchMaker = pickle.loads(start)
    except Exception as error:
        return _Refusal(error)
    make.owns_process = True
    return make


class _Refusal(BatchMaker):
    """Raises, instead of each batch, what went wrong at the start."""

    def __init__(self, error: Exception) -> None:
        super().__init__("DataLoader", None, None)
        self.error = error

    def __call__(self, job: Job) -> Batch:
        raise self.error


def _packed(batch: Batch, memory: SharedMemory | None) -> tuple[str, Any]:
    """An answer: the arrays in shared memory where there is room, else beside it."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(batch, protocol=5, buffer_callback=buffers.append)
    parts = [buffer.raw() for buffer in buffers]
    places, end = [], 0
    for part in parts:
        places.append((end, part.nbytes))
        end += -(-part.nbytes // ALIGNMENT) * ALIGNMENT
    if memory is None or memory.size < end:
        return "sent", (end, body, [bytearray(part) for part in parts])
    for part, (begin, size) in zip(parts, places, strict=True):
        memory.buf[begin : begin + size] = part  # type: ignore[index]
    return "shared", (end, body, places)


def _packed_error(make: BatchMaker, job: Job, error: Exception) -> tuple[bytes, str]:
    message = str(failure(make, job, error, f"process {os.getpid()}"))
    try:
        return pickle.dumps(error), message
    except Exception:
        return b"", message
