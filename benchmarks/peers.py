"""Peers: processes of their own, of which only one computes at a time."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.works import WORKS

ROOT = Path(__file__).resolve().parent.parent
Times = dict[str, list[float]]  # by the name of the peer, in every round


class Candidate(NamedTuple):
    name: str
    python: str = sys.executable
    path: str = ""


DEZERO = Candidate("dezero", path=str(ROOT / "src"))
TITLES = {"dezero": "DeZero", "dezero.compile": "DeZero compiled"}


class Peer:
    """A worker process that does what it is asked. Its caches on disk are empty."""

    def __init__(self, name: str, python: str, path: str) -> None:
        self.name = name
        self.folder = tempfile.TemporaryDirectory(
            prefix="benchmarks-", ignore_cleanup_errors=True
        )
        caches = Path(self.folder.name)
        environment = dict(
            os.environ,
            PYTHONPATH=path,
            BENCHMARK_FLOAT32="1" if "float32" in name else "",
            BENCHMARK_COMPILE="1" if "compile" in name else "",
            DEZERO_HOME=str(caches / "dezero"),
            TORCHINDUCTOR_CACHE_DIR=str(caches / "torch"),
        )
        self.errors = (caches / "errors").open("w+")
        self.process = subprocess.Popen(
            [python, "-m", "benchmarks.worker", name],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        try:
            self.version = self.ask("version")
        except RuntimeError:
            self.close()
            raise

    def ask(self, question: str, **arguments: Any) -> Any:
        """The answer of a method of Worker.

        Raises:
            RuntimeError: It failed, and the peer can be asked again, or the peer did.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            request = json.dumps({"ask": question, **arguments})
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.errors.seek(0)
            lines = self.errors.read().strip().splitlines() or ["nothing"]
            line = json.dumps({"error": lines[-1]})
        reply = json.loads(line)
        if "error" in reply:
            raise RuntimeError(f"{self.name}: expected an answer, got {reply['error']}")
        return reply["answer"]

    @property
    def title(self) -> str:
        return TITLES.get(self.name, f"{self.name} {self.version}")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.errors.close()
        self.folder.cleanup()


def start(candidates: Iterable[Candidate]) -> list[Peer]:
    """The candidates that can be started."""
    peers = []
    for candidate in candidates:
        try:
            peers.append(Peer(*candidate))
        except (OSError, RuntimeError) as error:
            left_out(error)
    return peers


def left_out(error: Exception) -> None:
    print(f"left out: {error}", file=sys.stderr)


def measure(peers: list[Peer], name: str, rounds: int) -> Times:
    """The seconds of one step in every round, for each peer that can do the work."""
    work = WORKS[name]
    request = {"work": name, "steps": work.steps, "warmup": work.warmup}
    times: Times = {peer.name: [] for peer in peers}
    for _ in range(min(rounds, work.rounds)):
        for peer in [peer for peer in peers if peer.name in times]:
            try:
                seconds = peer.ask("seconds", **request)
            except RuntimeError as error:
                left_out(error)
                seconds = None
            if seconds is None:
                del times[peer.name]
                continue
            times[peer.name].append(seconds)
            time.sleep(0.25)  # its BLAS threads spin on for a while
    return times


def machine() -> str:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    return f"{cpu}, {cores or os.cpu_count()} cores, Python {platform.python_version()}"


@contextlib.contextmanager
def noting_others() -> Iterator[None]:
    """Print at the end how busy other programs have kept the cores meanwhile."""
    before, begin = _seconds_of_others(), time.perf_counter()
    yield
    after, passed = _seconds_of_others(), time.perf_counter() - begin
    if before is not None and after is not None:
        share = max(0.0, after - before) / (passed * len(os.sched_getaffinity(0)))
        print(f"\nOther programs took {share:.0%} of the time of the cores.")


def _seconds_of_others() -> float | None:
    """That our cores have worked, or been lent out by their host, for none of us."""
    try:
        cores = {f"cpu{i}" for i in os.sched_getaffinity(0)}
        lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    except (OSError, AttributeError):
        return None
    # user, nice, system, (idle, iowait,) irq, softirq, steal
    counts = [line[i] for line in lines if line[0] in cores for i in (1, 2, 3, 6, 7, 8)]
    return sum(map(int, counts)) / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])


# -- tables ----------------------------------------------------------------------------


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(cells) + " |" for cells in rows])


def table_of_times(results: dict[str, Times], titles: dict[str, str]) -> str:
    """Medians, and the times divided by those of the first peer in the same round.

    ``titles`` are those of the columns, by the names of the peers.
    """
    ours, *others = titles
    head = ["work", titles[ours]]
    for peer in others:
        head += [titles[peer], "ratio"]
    rows = []
    for work, times in results.items():
        cells = [WORKS[work].text, milliseconds(times.get(ours))]
        for peer in others:
            theirs = times.get(peer)
            cells += [milliseconds(theirs), ratio(theirs, times.get(ours))]
        rows.append(cells)
    return table(head, rows)


def milliseconds(seconds: list[float] | None) -> str:
    return f"{statistics.median(seconds) * 1e3:.2f} ms" if seconds else ""


def ratio(theirs: list[float] | None, ours: list[float] | None) -> str:
    if not theirs or not ours:
        return ""
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    return f"**{statistics.median(ratios):.2f}**"
