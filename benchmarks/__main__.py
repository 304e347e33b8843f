"""``python -m benchmarks``: every work, every peer, in turn; a table of medians.

Each peer lives in a process of its own, and only one computes at a time. A round
times each peer once; a cell of the table is the median over the rounds. A ratio is the
peer's time divided by ours in the same round, and again the median: above 1 we are
faster.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import NamedTuple


class Work(NamedTuple):
    text: str
    steps: int  # of one measurement
    warmup: int = 3
    rounds: int = 1000  # at most


WORKS = {
    "chain": Work("chain of 1,000 times `y = y * 0.999 + x`, forward + backward", 20),
    "branches": Work("sum of 500 branches `(x * 2).sum()`, 8 elements", 20),
    "mlp_sgd": Work("MLP 784-1000-10, sigmoid, batch 100, SGD, one step", 100),
    "mlp_adam": Work("MLP 784-512-512-10, ReLU, batch 128, Adam, one step", 80),
    "lstm": Work("LSTM, batch 30, hidden 100, BPTT over 30 steps, Adam", 20),
    "cnn": Work("CNN 32-32-pool-64-64-pool-256-10 on 64×3×32×32, momentum", 5),
    "loader": Work("DataLoader, one pass over 60,000×784, batches of 100", 1),
    "negate_1000": Work("chain of 1,000 Functions, forward + backward + freed", 20),
    "negate_1000000": Work("the same of 1,000,000 Functions", 1, warmup=0, rounds=3),
}
ROOT = Path(__file__).resolve().parent.parent


class Peer:
    """A worker process that times what it is asked to."""

    def __init__(self, name: str, python: str, path: str | None) -> None:
        self.name = name
        environment = dict(os.environ, PYTHONPATH=path or "")
        environment["BENCHMARK_FLOAT32"] = "1" if "float32" in name else ""
        self.process = subprocess.Popen(
            [python, "-m", "benchmarks.worker", name],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.version = json.loads(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr is not None
            raise RuntimeError(
                f"{self.name}: expected an answer, got "
                + (self.process.stderr.read().strip().splitlines() or ["nothing"])[-1]
            )
        return line

    def seconds(self, name: str, work: Work) -> float | None:
        assert self.process.stdin is not None
        request = {"work": name, "steps": work.steps, "warmup": work.warmup}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        seconds: float | None = json.loads(self._answer())
        return seconds

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def start(name: str, python: str, path: str | None = None) -> Peer | None:
    try:
        return Peer(name, python, path)
    except (OSError, RuntimeError) as error:
        print(f"left out: {error}", file=sys.stderr)
        return None


def measure(peers: list[Peer], name: str, rounds: int) -> dict[str, list[float]]:
    """The seconds of one step in every round, for each peer that has the work."""
    work = WORKS[name]
    times: dict[str, list[float]] = {}
    for _ in range(min(rounds, work.rounds)):
        for peer in peers:
            seconds = peer.seconds(name, work)
            if seconds is not None:
                times.setdefault(peer.name, []).append(seconds)
            time.sleep(0.25)  # its BLAS threads spin on for a while
    return times


def import_seconds(module: str, rounds: int) -> float:
    """The median of wall time to start Python and import, less starting Python."""
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="")
    times: dict[str, list[float]] = {"pass": [], f"import {module}": []}
    for _ in range(rounds):
        for code, measured in times.items():
            begin = time.perf_counter()
            command = [sys.executable, "-c", code]
            subprocess.run(command, check=True, cwd=ROOT, env=environment)
            measured.append(time.perf_counter() - begin)
    bare, loaded = (statistics.median(measured) for measured in times.values())
    return loaded - bare


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


def table(results: dict[str, dict[str, list[float]]], peers: list[Peer]) -> str:
    others = [peer for peer in peers if peer.name != "dezero"]
    head = ["work", "DeZero"]
    for peer in others:
        head += [f"{peer.name} {peer.version}", "ratio"]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    for work, times in results.items():
        ours = times["dezero"]
        cells = [WORKS[work].text, f"{statistics.median(ours) * 1e3:.2f} ms"]
        for peer in others:
            theirs = times.get(peer.name)
            if theirs is None:
                cells += ["", ""]
                continue
            ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
            cells.append(f"{statistics.median(theirs) * 1e3:.2f} ms")
            cells.append(f"**{statistics.median(ratios):.2f}**")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("works", nargs="*", help=f"of {', '.join(WORKS)}; all if none")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--original",
        metavar="PYTHON",
        help="the interpreter of an environment with dezero==0.0.13",
    )
    options = parser.parse_args()
    unknown = set(options.works) - set(WORKS)
    if unknown:
        parser.error(f"expected works of {', '.join(WORKS)}, got {', '.join(unknown)}")
    candidates = [
        start("dezero", sys.executable, str(ROOT / "src")),
        start("torch", sys.executable),
    ]
    if options.original:
        names = ("original", "original in float32")
        candidates += [start(name, options.original) for name in names]
    peers = [peer for peer in candidates if peer is not None]
    results: dict[str, dict[str, list[float]]] = {}
    for work in options.works or WORKS:
        results[work] = measure(peers, work, options.rounds)
        print(work, file=sys.stderr)
    print(f"{date.today()}, {machine()}; medians of {options.rounds} rounds\n")
    print(table(results, peers))
    for peer in peers:
        peer.close()
    if not options.works:
        numpy, ours = (import_seconds(m, options.rounds) for m in ("numpy", "dezero"))
        print(
            f"\n`import numpy` {numpy * 1e3:.0f} ms, `import dezero` {ours * 1e3:.0f} "
            f"ms: {ours / numpy:.2f} times"
        )


if __name__ == "__main__":
    main()
