"""A training that is killed at random instants, for ``test_checkpoint.py``.

``python night.py FOLDER KILLS WAY`` trains in FOLDER/undisturbed, then in FOLDER/1,
FOLDER/2, ... in children that it ends with ``kill -9``, so many in all, and starts
again until each training is finished. It prints what became of them.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import DataLoader
from dezero.models import Sequential
from dezero.optimizers import Adam, ClipGrad
from dezero.train import Checkpoint

STEPS = 150  # fifteen epochs: kills fall in all parts of one
LONGEST = 0.4  # seconds of a life


def train(folder: Path, compile: bool) -> None:
    """Train a small model; what it ends with goes to ``weights.npz``."""
    np.random.seed(0)
    random.seed(0)
    x = np.random.default_rng(0).normal(size=(5000, 8)).astype(np.float32)
    data = [(row, int(row[0] > row[1])) for row in x[:4800]]
    model = Sequential(
        L.Linear(64), F.sigmoid, L.BatchNorm(), F.dropout, L.Linear(2), half_the_noise
    )
    optimizer = Adam(0.01).setup(model)
    optimizer.add_hook(ClipGrad(1.0))
    loader = DataLoader(data, 512, prefetch=2)
    checkpoint = Checkpoint(
        folder, every=3, keep=2, model=model, optimizer=optimizer, loader=loader
    )

    def step(x: Any, t: Any) -> Any:
        loss = F.softmax_cross_entropy(model(x), t)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    if compile:
        step = dezero.compile(step)
    checkpoint.resume()
    while checkpoint.steps < STEPS:
        for x, t in loader:
            step(x, t)
            optimizer.alpha *= 0.5 + random.random()  # a schedule, as it were
            checkpoint.step()
    checkpoint.wait()
    model.save_weights(folder / "weights.npz")


def half_the_noise(x: Any) -> Any:
    return x + 0.1 * dezero.random.generator().randn(*x.shape).astype(np.float32)


def life(folder: Path, compile: bool, seconds: float) -> bool:
    """Train in a child that lives so long at most; whether it was killed."""
    child = os.fork()
    if child == 0:
        try:
            train(folder, compile)
            os._exit(0)
        except BaseException as error:
            print(f"error: {error!r}", file=sys.stderr, flush=True)
            os._exit(1)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            return False
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def main(folder: Path, kills: int, compile: bool) -> None:
    life(folder / "undisturbed", compile, seconds=60)
    wanted = (folder / "undisturbed" / "weights.npz").read_bytes()
    draw = random.Random(1)
    done, trainings, lost = 0, 0, 0
    while done < kills:
        trainings += 1
        own = folder / str(trainings)
        newest = 0
        while not (own / "weights.npz").exists():
            seconds = draw.uniform(0, LONGEST) if done < kills else 60
            done += life(own, compile, seconds)
            steps = [int(p.name[5:13]) for p in own.glob("step-????????.npz")]
            lost += max([0, *steps]) < newest
            newest = max([newest, *steps])
        if (own / "weights.npz").read_bytes() != wanted:
            print(f"training {trainings} ended with other weights")
    print(f"{done} kills, {lost} checkpoints lost, {trainings} trainings")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "compiled")
