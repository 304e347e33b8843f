"""A training that is killed at random instants, for ``test_checkpoint.py``.

``python night.py FOLDER KILLS WAY``, where WAY is eager, compiled or fit, trains in
FOLDER/undisturbed, then in FOLDER/1, FOLDER/2, ... in children that it ends with
``kill -9``, so many in all, and starts again until each training is finished. It prints
what became of them.
"""

from __future__ import annotations

import io
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
from dezero.train import F1, Checkpoint, CSVLog, KeepBest, Progress, fit

STEPS = 150  # fifteen epochs: kills fall in all parts of one
LONGEST = 0.4  # seconds of a life


def train(folder: Path, way: str) -> None:
    """Train a small model; what it ends with goes to ``weights.npz``."""
    np.random.seed(0)
    random.seed(0)
    x = np.random.default_rng(0).normal(size=(5000, 8)).astype(np.float32)
    data = [(row, int(row[0] > row[1])) for row in x]
    model = Sequential(
        L.Linear(64), F.sigmoid, L.BatchNorm(), F.dropout, L.Linear(2), noisy
    )
    optimizer = Adam(0.01).setup(model)
    optimizer.add_hook(ClipGrad(1.0))
    loader = DataLoader(data[:4800], 512, prefetch=2)
    checkpoint = Checkpoint(folder, every=3, keep=2)
    if way == "fit":
        fit(
            model,
            optimizer,
            loader,
            DataLoader(data[4800:], 512, shuffle=False),
            epochs=STEPS // len(loader),
            metrics=[F1()],
            callbacks=[
                KeepBest(folder / "best.npz", model, "test_f1"),
                CSVLog(folder / "metrics.csv"),
            ],
            checkpoint=checkpoint,
            progress=Progress(io.StringIO()),
            on_batch=lambda _: jolt(optimizer),
            compile=True,
        )
    else:
        checkpoint.add(model=model, optimizer=optimizer, loader=loader)
        by_hand(model, optimizer, loader, checkpoint, compile=way == "compiled")
    model.save_weights(folder / "weights.npz")


def by_hand(
    model: Any, optimizer: Any, loader: Any, checkpoint: Checkpoint, compile: bool
) -> None:
    def step(x: Any, t: Any) -> None:
        loss = F.softmax_cross_entropy(model(x), t)
        model.cleargrads()
        loss.backward()
        optimizer.update()

    if compile:
        step = dezero.compile(step)
    checkpoint.resume()
    while checkpoint.steps < STEPS:
        for x, t in loader:
            step(x, t)
            jolt(optimizer)
            checkpoint.step()
    checkpoint.wait()


def noisy(x: Any) -> Any:
    return x + 0.1 * dezero.random.generator().randn(*x.shape).astype(np.float32)


def jolt(optimizer: Adam) -> None:
    """A schedule that depends on all that came before, and on luck."""
    optimizer.alpha = (optimizer.alpha + 0.02 * random.random()) / 2


def results(folder: Path) -> dict[str, bytes]:
    """All that a training leaves behind but checkpoints, and files half written."""
    paths = [p for p in folder.iterdir() if not p.name.startswith(("step-", "."))]
    return {path.name: path.read_bytes() for path in sorted(paths)}


def life(folder: Path, way: str, seconds: float) -> bool:
    """Train in a child that lives so long at most; whether it was killed."""
    child = os.fork()
    if child == 0:
        try:
            train(folder, way)
            os._exit(0)
        except BaseException as error:
            print(f"error: {error!r}", file=sys.stderr, flush=True)
            os._exit(1)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            if status:
                raise SystemExit("a training ended with an error")
            return False
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def main(folder: Path, kills: int, way: str) -> None:
    life(folder / "undisturbed", way, seconds=60)
    wanted = results(folder / "undisturbed")
    draw = random.Random(1)
    done, trainings, lost = 0, 0, 0
    while done < kills:
        trainings += 1
        own = folder / str(trainings)
        newest = 0
        while not (own / "weights.npz").exists():
            seconds = draw.uniform(0, LONGEST) if done < kills else 60
            done += life(own, way, seconds)
            steps = [int(p.name[5:13]) for p in own.glob("step-????????.npz")]
            lost += max([0, *steps]) < newest
            newest = max([newest, *steps])
        if results(own) != wanted:
            print(f"training {trainings} ended with other results")
    print(f"{done} kills, {lost} checkpoints lost, {trainings} trainings")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
