"""One peer in a process of its own: builds works, times steps, answers in JSON.

A request is a line ``{"work": name, "steps": n, "warmup": n}``; the answer is the
seconds of one step, the mean of ``steps``, or ``null`` where the peer has no such work.
"""

import importlib
import json
import sys
import time
import warnings

MODULES = {
    "dezero": "book",
    "original": "book",
    "original in float32": "book",
    "torch": "pytorch",
}


def version(peer: str) -> str:
    package = importlib.import_module("torch" if peer == "torch" else "dezero")
    version: str = package.__version__
    return version


def main() -> None:
    peer = sys.argv[1]
    warnings.simplefilter("ignore")
    works = importlib.import_module(f"benchmarks.{MODULES[peer]}")
    steps = {}
    print(json.dumps(version(peer)), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        name = request["work"]
        if not hasattr(works, name):
            print("null", flush=True)
            continue
        if name not in steps:
            steps.clear()  # one work at a time: its memory goes with it
            steps[name] = getattr(works, name)()
            for _ in range(request["warmup"]):
                steps[name]()
        for _ in range(request["steps"] // 4):  # the pause has let the processor cool
            steps[name]()
        start = time.perf_counter()
        for _ in range(request["steps"]):
            steps[name]()
        print((time.perf_counter() - start) / request["steps"], flush=True)


if __name__ == "__main__":
    main()
