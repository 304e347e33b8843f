"""``dezero train``."""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

import numpy as np

from dezero.cli import config as configs
from dezero.cli import folder as folders
from dezero.cli import task as tasks
from dezero.cli.config import Config
from dezero.cli.words import a_count, a_file, a_folder, a_name, a_rate, a_seed, any_of
from dezero.data import DataLoader
from dezero.errors import MissingDependencyError, UsageError
from dezero.train import Checkpoint, CSVLog, EarlyStopping, History, KeepBest, fit

HELP = "train a model by name or from a TOML file; it can be stopped and resumed"
DESCRIPTION = (
    "Train a model and write config.toml, checkpoints, weights, metrics and curves "
    "into a folder. After a kill or Ctrl-C, the same words and --resume go on as if "
    "nothing had happened."
)
EPILOG = (
    "Example: dezero train --model cnn --data digits --set optimizer.lr=0.01. The keys "
    "of a TOML file are explained in docs/training.md."
)
TEST_BATCH = 200

# Options that stand for a key of the config.
KEYS = {
    "model": ("model", "name"),
    "data": ("data", "name"),
    "data_dir": ("data", "folder"),
    "file": ("data", "file"),
    "batch_size": ("data", "batch_size"),
    "optimizer": ("optimizer", "name"),
    "lr": ("optimizer", "lr"),
    "schedule": ("schedule", "name"),
    "epochs": ("train", "epochs"),
    "seed": ("train", "seed"),
    "compile": ("train", "compile"),
}


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    add = parser.add_argument
    add("config", nargs="?", type=a_file, help="a TOML file that says all of these")
    add(
        "--model",
        metavar="NAME",
        help=f"{any_of(tasks.READY)}, or a class of "
        "dezero.models (default: cnn, or lstm for text)",
    )
    add("--data", metavar="NAME", help=f"{any_of(tasks.DATA)} (default: digits)")
    add(
        "--data-dir",
        type=a_folder,
        metavar="FOLDER",
        help="where its files are "
        "(default: where earlier downloads are, else download)",
    )
    add("--file", type=a_file, metavar="FILE", help="the text, with --data text")
    add("--batch-size", type=a_count, metavar="N", help="samples per step")
    add(
        "--optimizer",
        metavar="NAME",
        help="a class of dezero.optimizers (default: Adam)",
    )
    add("--lr", type=a_rate, metavar="RATE", help="the step size")
    add("--schedule", metavar="NAME", help="how the step size changes (default: none)")
    add("--epochs", type=a_count, metavar="N", help="passes over the data (default: 5)")
    add(
        "--seed",
        type=a_seed,
        metavar="N",
        help="equal seeds give equal trainings (default: 0)",
    )
    add(
        "--compile",
        action="store_true",
        default=None,
        help="train with a compiled step",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="any key of the TOML file; may come several times",
    )
    add(
        "--out",
        type=Path,
        default=Path("runs"),
        metavar="FOLDER",
        help="where the folder of the run goes (default: runs)",
    )
    add(
        "--name",
        type=a_name,
        help="the folder of the run (default: the name of the "
        "TOML file, or of model and data)",
    )
    add(
        "--resume",
        action="store_true",
        help="go on with the run in that folder, if there is one",
    )


def run(options: argparse.Namespace) -> bool:
    """Train; whether it went to its end."""
    words = _said(options)
    own = configs.load(options.config) if options.config else {}
    folder = options.out / (options.name or _usual_name(options, own, words))
    started = any((folder / folders.CHECKPOINTS).glob("step-*.npz"))
    earlier: Config = {}
    if started:
        if not options.resume:
            raise UsageError(
                f"expected a new folder, got '{folder}', where there is a training; "
                "write --resume to go on with it, or --name for another one"
            )
        earlier = folders.read_config(folder)
    config = configs.merged(earlier, own, words)
    history = train(config, folder)
    return history.stopped != "interrupted"


def _said(options: argparse.Namespace) -> Config:
    """What the options say, as a config."""
    said: Config = {}
    for option, (section, key) in KEYS.items():
        value = getattr(options, option)
        if value is not None:
            value = str(value) if isinstance(value, Path) else value
            said.setdefault(section, {})[key] = value
    for section, keys in configs.override(options.set).items():
        said.setdefault(section, {}).update(keys)
    return said


def _usual_name(options: argparse.Namespace, *said: Config) -> str:
    if options.config:
        return str(options.config.stem)
    config = configs.merged(*said)
    data = config["data"]["name"]
    return f"{config['model']['name'] or tasks.usual_model(data == 'text')}-{data}"


def train(config: Config, folder: Path) -> History:
    """Train what a config says in a folder, or go on with it there."""
    settings = config["train"]
    np.random.seed(settings["seed"])
    random.seed(settings["seed"])
    task = tasks.task(config)
    config["model"]["name"] = config["model"]["name"] or tasks.usual_model(task.text)
    model = tasks.model_for(config, task.known, task.text)
    tasks.shaped(model, task.sample(2))
    optimizer = tasks.optimizer_for(config, model)
    loader = DataLoader(task.train, config["data"]["batch_size"] or 32)
    steps = settings["epochs"] * len(loader)
    schedule = tasks.schedule_for(config, optimizer, steps)
    metrics = tasks.metrics_for(config, task.text)
    checkpoint = Checkpoint(
        folder / folders.CHECKPOINTS,
        every=settings["checkpoint_every"],
        keep=settings["checkpoint_keep"],
    )
    with folders.alone_in(folder):
        configs.save(folder / folders.CONFIG, config)
        folders.write_about(folder, task)
        callbacks: list[Any] = [
            KeepBest(folder / "best.npz", model, task.best),
            CSVLog(folder / "metrics.csv"),
        ]
        if settings["patience"]:
            callbacks.append(EarlyStopping(task.best, settings["patience"]))
        _introduce(task, model, optimizer, steps, checkpoint)
        history = fit(
            model,
            optimizer,
            loader,
            DataLoader(task.test, TEST_BATCH, shuffle=False),
            epochs=settings["epochs"],
            loss=task.loss,
            accuracy=task.accuracy,
            metrics=metrics,
            schedule=schedule,
            checkpoint=checkpoint,
            callbacks=callbacks,
            compile=settings["compile"],
        )
        _keep(folder, model, history)
        return history


def _introduce(
    task: tasks.Task, model: Any, optimizer: Any, steps: int, checkpoint: Checkpoint
) -> None:
    kind = "stretches of text" if task.text else "images"
    parameters = sum(param.size for param in model.params())
    print(
        f"{len(task.train):,} {kind} to train on, {len(task.test):,} to test on\n"
        f"{type(model).__name__}: {parameters:,} parameters; "
        f"{type(optimizer).__name__}, {steps:,} steps",
        flush=True,
    )
    found = checkpoint.files()
    if found:
        print(f"Going on from {found[0]}", flush=True)


def _keep(folder: Path, model: Any, history: History) -> None:
    """Write the results, and say what they are."""
    model.save_weights(folder / "weights.npz")
    undrawn = ""
    if history:
        try:
            history.plot(folder / "curves.png")
        except MissingDependencyError as error:
            undrawn = f"Not drawn: curves.png; {error}"
    if history.stopped == "interrupted":
        done = history[-1].epoch if history else 0
        print(f"Stopped after {done:.2f} epochs; write --resume to go on. Kept:")
    elif history.stopped:
        print(f"Stopped early: {history.stopped}. Written:")
    else:
        print("Done. Written:")
    for name, content in folders.FILES.items():
        if (folder / name).exists():
            print(f"  {folder / name}  {content}")
    if undrawn:
        print(undrawn)
