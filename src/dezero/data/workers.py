"""Workers of a data loader: how their batches come in order; and threads as workers.

Workers are told which batch to make by ``submit``, which returns a function that waits
for it. Batches come in the order of their submission whoever makes them, and what
raises in a worker raises where its batch is waited for.
"""

from __future__ import annotations

import contextvars
import functools
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from dezero.data.batches import Batch, BatchMaker, Job
from dezero.errors import WorkerError

Promise = Callable[[], Batch]


class Workers(Protocol):
    """Who makes batches."""

    @property
    def lasting(self) -> bool: ...  # whether they may work for another pass
    def submit(self, job: Job) -> Promise: ...
    def close(self) -> None: ...


def in_order(workers: Workers, jobs: Iterable[Job], depth: int) -> Iterator[Batch]:
    """The batches of the jobs, up to ``depth`` of them under way while one is used."""
    promises: deque[Promise] = deque()
    for job in jobs:
        promises.append(workers.submit(job))
        if len(promises) > depth:
            yield promises.popleft()()
    while promises:
        yield promises.popleft()()


def failure(make: BatchMaker, job: Job, error: BaseException, who: str) -> WorkerError:
    """What a worker's exception has as its cause: where it happened, and its story."""
    row = make.failed_at(error)
    example = "" if row is None else f"example {row} of "
    story = "".join(traceback.format_exception(error)).rstrip()
    return WorkerError(
        f"{make.name}: expected {example}batch {job.number} from a worker {who}, got "
        f"{type(error).__name__}:\n\n{story}"
    )


class Threads:
    """Workers that share the memory of this process, until they are closed."""

    lasting = False

    def __init__(self, make: BatchMaker, count: int) -> None:
        self._make = make
        self._executor = ThreadPoolExecutor(count, "dezero-worker")

    def submit(self, job: Job) -> Promise:
        context = contextvars.copy_context()  # the switches of who iterates
        future = self._executor.submit(context.run, self._make, job)
        return functools.partial(self._result, future, job)

    def _result(self, future: Future[Batch], job: Job) -> Batch:
        try:
            return future.result()
        except Exception as error:
            raise error from failure(self._make, job, error, "thread")
        finally:
            del future  # which holds the error, whose traceback holds this frame

    def close(self) -> None:
        """Wait for the batches begun, forget the others."""
        self._executor.shutdown(cancel_futures=True)
