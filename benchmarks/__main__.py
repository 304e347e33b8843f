"""``python -m benchmarks``: every work, every peer, in turn; a table of medians.

Each peer lives in a process of its own, and only one computes at a time. A round
times each peer once; a cell of the table is the median over the rounds. A ratio is the
peer's time divided by ours in the same round, and again the median: above 1 we are
faster. With ``--compiled``, ours is the step that ``dezero.compile`` has compiled.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from datetime import date

from benchmarks.compiled import compare_compiled
from benchmarks.peers import (
    DEZERO,
    ROOT,
    Candidate,
    Times,
    machine,
    measure,
    noting_others,
    start,
    table_of_times,
)
from benchmarks.verify import verify
from benchmarks.works import TRAINING, WORKS


def import_seconds(module: str, rounds: int) -> float:
    """The median of wall time to start Python and import, less starting Python."""
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="")
    times: Times = {"pass": [], f"import {module}": []}
    for _ in range(rounds):
        for code, measured in times.items():
            begin = time.perf_counter()
            command = [sys.executable, "-c", code]
            subprocess.run(command, check=True, cwd=ROOT, env=environment)
            measured.append(time.perf_counter() - begin)
    bare, loaded = (statistics.median(measured) for measured in times.values())
    return loaded - bare


def compare_eager(works: list[str], candidates: list[Candidate], rounds: int) -> None:
    peers = start(candidates)
    results: dict[str, Times] = {}
    for work in works or WORKS:
        results[work] = measure(peers, work, rounds)
        print(work, file=sys.stderr)
    print(table_of_times(results, {peer.name: peer.title for peer in peers}))
    for peer in peers:
        peer.close()
    if not works:
        numpy, ours = (import_seconds(m, rounds) for m in ("numpy", "dezero"))
        print(
            f"\n`import numpy` {numpy * 1e3:.0f} ms, `import dezero` {ours * 1e3:.0f} "
            f"ms: {ours / numpy:.2f} times"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("works", nargs="*", help=f"of {', '.join(WORKS)}; all if none")
    parser.add_argument("--rounds", type=int, default=15)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--compiled",
        action="store_true",
        help="measure compiled steps: their time, first call and memory",
    )
    mode.add_argument(
        "--verify",
        action="store_true",
        help="measure nothing: check that all peers compute the same losses",
    )
    for option, text in {
        "--torch": "torch==2.13.0; by default, this one",
        "--jax": "jax, for --compiled and --verify; by default, this one",
        "--original": "dezero==0.0.13, for neither; by default, none",
    }.items():
        text = f"the interpreter of an environment with {text}"
        parser.add_argument(option, metavar="PYTHON", help=text)
    options = parser.parse_args()
    unknown = set(options.works) - set(WORKS)
    if unknown:
        parser.error(f"expected works of {', '.join(WORKS)}, got {', '.join(unknown)}")
    torch = options.torch or sys.executable
    if options.compiled or options.verify:
        works = options.works or TRAINING
        candidates = [
            DEZERO._replace(name="dezero.compile"),
            DEZERO,
            Candidate("torch", torch),
            Candidate("torch.compile", torch),
            Candidate("jax", options.jax or sys.executable),
        ]
        if options.verify:
            sys.exit(verify(works, candidates))
    else:
        candidates = [DEZERO, Candidate("torch", torch)]
        if options.original:
            names = ("original", "original in float32")
            candidates += [Candidate(name, options.original) for name in names]
    print(f"{date.today()}, {machine()}; medians of {options.rounds} rounds\n")
    with noting_others():
        if options.compiled:
            compare_compiled(works, candidates, options.rounds)
        else:
            compare_eager(options.works, candidates, options.rounds)


if __name__ == "__main__":
    main()
