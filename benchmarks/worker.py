"""One peer in a process of its own: builds works, runs them, answers in JSON.

A request is a line ``{"ask": question, ...}``: a method of Worker and its arguments.
The answer is a line, too: ``{"answer": ...}``, which is ``null`` where the peer has no
such work, or ``{"error": text}``.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import sys
import time
import warnings
from typing import Any

from benchmarks.data import Program

# For each peer: the package that is measured, and the modules that have the works.
PEERS = {
    "dezero": ("dezero", "book", "gpt", "resnet"),
    "dezero.compile": ("dezero", "book", "gpt", "resnet"),
    "original": ("dezero", "book"),
    "original in float32": ("dezero", "book"),
    "torch": ("torch", "pytorch"),
    "torch.compile": ("torch", "pytorch"),  # which see
    "jax": ("jax", "jax_peer"),
}


class Worker:
    def __init__(self, peer: str) -> None:
        package, *modules = PEERS[peer]
        self.modules = [importlib.import_module(f"benchmarks.{m}") for m in modules]
        self.package = importlib.import_module(package)
        self.compile = self.package.compile if peer == "dezero.compile" else None
        self.work = ""  # what was built last
        self.program: Program | None = None

    def _build(self, work: str) -> Program | None:
        self.work, self.program = work, None  # one at a time: its memory goes with it
        for module in self.modules:
            if hasattr(module, work):
                program = getattr(module, work)()
                if self.compile is not None:
                    program = program._replace(step=self.compile(program.step))
                self.program = program
        return self.program

    def seconds(self, work: str, steps: int, warmup: int) -> float | None:
        """Of one step: the mean of ``steps``."""
        if self.work != work:
            program = self._build(work)
            if program is not None:
                _repeat(program, warmup)
        if self.program is None:
            return None
        _repeat(self.program, steps // 4)  # the pause has let the processor cool
        return _repeat(self.program, steps) / steps

    def first(self, work: str) -> float | None:
        """Seconds of the very first step of a work."""
        program = self._build(work)
        return None if program is None else _repeat(program, 1)

    def losses(self, work: str, steps: int) -> list[float] | None:
        """Of the first steps of a work."""
        program = self._build(work)
        if program is None:
            return None
        return [float(program.step(*program.data)) for _ in range(steps)]

    def version(self) -> str:
        """Of the package."""
        return self.package.__version__

    def memory(self) -> dict[str, int] | None:
        """Bytes of the process now, and the most since this was last asked.

        What was freed and not given back is given back first.
        """
        gc.collect()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
        with contextlib.suppress(OSError):
            with open("/proc/self/status") as file:
                lines = dict(line.split(":", 1) for line in file)
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")  # the peak begins anew
            now, peak = (lines[name].split()[0] for name in ("VmRSS", "VmHWM"))
            return {"now": int(now) * 1024, "peak": int(peak) * 1024}
        return None


def _repeat(program: Program, steps: int) -> float:
    step, data = program
    start = time.perf_counter()
    for _ in range(steps):
        step(*data)
    return time.perf_counter() - start


def main() -> None:
    warnings.simplefilter("ignore")
    worker = Worker(sys.argv[1])
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        try:
            answer = {"answer": getattr(worker, request.pop("ask"))(**request)}
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            answer = {"error": text.splitlines()[0]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
