"""``dezero doctor``."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import numpy as np

from dezero.backend import find_cupy
from dezero.backend.download import home
from dezero.backend.threads import blas_threads
from dezero.cli import task as tasks
from dezero.cli.config import DEFAULTS
from dezero.compiler.llvm import find_llvm, reason_without
from dezero.compiler.pool import default_threads
from dezero.data import DataLoader
from dezero.optimizers import Adam
from dezero.train import History, Progress, fit
from dezero.version import __version__

HELP = "say what is installed, and whether it works"
DESCRIPTION = (
    "Say what is installed, which BLAS and how many threads are used, and train a "
    "little, step by step and compiled, to see that both work and agree."
)
LIBRARIES = {  # and the extra that installs them
    "llvmlite": "jit",
    "matplotlib": "plot",
    "pillow": "plot",
    "safetensors": "files",
    "tokenizers": "text",
    "tensorboardX": "train",
    "cupy-cuda12x": "gpu",
}
AGREE = 1e-3  # how far apart eager and compiled losses may be, as a share


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument(
        "--no-test", action="store_true", help="only say what is installed"
    )


def run(options: argparse.Namespace) -> bool:
    """Print it all.

    Raises:
        SystemExit: The self-test failed.
    """
    for name, value in findings():
        print(f"{name:13} {value}")
    if not options.no_test and not self_test():
        raise SystemExit(1)
    return True


def findings() -> Iterator[tuple[str, str]]:
    """What there is, by name."""
    yield "DeZero", __version__
    yield "Python", f"{platform.python_version()} ({sys.executable})"
    yield "system", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    yield "NumPy", f"{np.__version__}, {_blas()}"
    threads = blas_threads()
    yield "threads", f"{default_threads()} for kernels, {threads or 'unknown'} for BLAS"
    for library, extra in LIBRARIES.items():
        yield library, _version(library, extra)
    native = find_llvm()
    yield "kernels", reason_without() if native is None else "compiled by LLVM"
    yield "GPU", _gpu()
    yield "downloads", _downloads()


def _version(library: str, extra: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return f"not installed; write: pip install 'dezero[{extra}]'"


def _blas() -> str:
    config: Any = np.show_config(mode="dicts")
    blas = config.get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', 'unknown BLAS')} {blas.get('version', '')}".strip()


def _gpu() -> str:
    cupy = find_cupy()
    if cupy is None:
        return "none that CuPy can use"
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"]
    return str(name.decode() if isinstance(name, bytes) else name)


def _downloads() -> str:
    folder = home()
    if not folder.exists():
        return f"{folder} (not there yet)"
    try:
        with tempfile.TemporaryFile(dir=folder):
            return f"{folder}"
    except OSError as error:
        return f"{folder} (cannot be written to: {error.strerror})"


def self_test() -> bool:
    """Train on digits, eagerly and compiled; whether both learn, and the same."""
    before = np.random.get_state()
    started = time.perf_counter()
    try:
        eager, fast = (_trained(compile) for compile in (False, True))
    finally:
        np.random.set_state(before)
    seconds = time.perf_counter() - started
    pairs = [(a.loss, b.loss) for a, b in zip(eager, fast, strict=True)]
    agree = all(abs(a - b) <= AGREE * abs(a) for a, b in pairs)
    right = min(float(h[-1].test_accuracy or 0) for h in (eager, fast))
    passed = agree and right > 0.8
    print(
        f"{'self-test':13} {'passed' if passed else 'FAILED'}: {right:.1%} of digits "
        f"read, eager and compiled {'agree' if agree else 'DISAGREE'}, "
        f"{seconds:.1f} seconds"
    )
    return passed


def _trained(compile: bool) -> History:
    np.random.seed(0)
    task = tasks.task({**DEFAULTS, "data": {**DEFAULTS["data"], "name": "digits"}})
    model = tasks.shaped(tasks.mlp(10, (64,)), task.sample())
    with open(os.devnull, "w") as nowhere:
        return fit(
            model,
            Adam(0.01).setup(model),
            DataLoader(task.train, 50),
            DataLoader(task.test, 200, shuffle=False),
            epochs=2,
            progress=Progress(nowhere),
            compile=compile,
        )
