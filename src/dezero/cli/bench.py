"""``dezero bench``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from dezero import functions as F
from dezero.cli import task as tasks
from dezero.cli.words import a_rate
from dezero.compiler import compile as compiled
from dezero.optimizers import Adam

HELP = "measure how fast this machine trains"
DESCRIPTION = (
    "Measure training steps of three small networks, step by step and compiled: the "
    "median over some seconds each. Other programs that run meanwhile disturb it."
)
WARM_UP = 3  # steps, in which kernels are made

# name: the model, a batch of inputs, the number of classes
Work = tuple[Callable[[], Any], tuple[int, ...], int]
WORK: dict[str, Work] = {
    "mlp": (lambda: tasks.mlp(10, (1000,)), (100, 1, 28, 28), 10),
    "cnn": (lambda: tasks.cnn(10), (64, 1, 28, 28), 10),
    "lstm": (lambda: tasks.LetterLSTM(65, 128), (32, 32), 65),
}


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument(
        "--seconds",
        type=a_rate,
        default=1.0,
        metavar="S",
        help="for each measurement (default: 1)",
    )


def run(options: argparse.Namespace) -> bool:
    """Measure, and print it."""
    print("one step, forward and backward and Adam   eager   compiled")
    for name, (model, shape, classes) in WORK.items():
        times = [
            measured(_step(model(), compile), *_batch(shape, classes), options.seconds)
            for compile in (False, True)
        ]
        what = f"{name}, batch of {shape[0]}"
        eager, fast = (f"{1000 * seconds:.2f} ms" for seconds in times)
        print(f"{what:34} {eager:>12} {fast:>10}", flush=True)
    return True


def _batch(shape: tuple[int, ...], classes: int) -> tuple[Any, Any]:
    draw = np.random.default_rng(0)
    if len(shape) == 2:  # texts
        return draw.integers(0, classes, shape), draw.integers(0, classes, shape)
    x = draw.random(shape, np.float32)
    return x, draw.integers(0, classes, shape[0])


def _step(model: Any, compile: bool) -> Callable[[Any, Any], Any]:
    optimizer = Adam().setup(model)

    def step(x: Any, t: Any) -> Any:
        y = model(x)
        loss = F.softmax_cross_entropy(y.reshape(-1, y.shape[-1]), t.reshape(-1))
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    return compiled(step) if compile else step


def measured(step: Callable[[Any, Any], Any], x: Any, t: Any, seconds: float) -> float:
    """The median time of a step, in seconds."""
    for _ in range(WARM_UP):
        step(x, t)
    times: list[float] = []
    while sum(times) < seconds or len(times) < WARM_UP:
        start = time.perf_counter()
        step(x, t)
        times.append(time.perf_counter() - start)
    return float(np.median(times))
