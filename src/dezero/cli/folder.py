"""The folder of a run: what ``train`` leaves there, and how the others find it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dezero.backend.files import write_atomically
from dezero.cli import config as configs
from dezero.cli.config import Config
from dezero.cli.task import Task, model_for
from dezero.errors import DataError, UsageError

try:
    import fcntl
except ImportError:  # Windows has no such thing
    fcntl = None  # type: ignore[assignment]

CONFIG = "config.toml"
ABOUT = "about.json"  # what the model must know of the data, once they are gone
CHECKPOINTS = "checkpoints"
LOCK = ".lock"  # held by the process that trains
FILES = {
    "weights.npz": "what was learned, for model.load_weights",
    "best.npz": "the same after the best epoch",
    "metrics.csv": "the scores of every epoch",
    "curves.png": "the same, drawn",
    CONFIG: "what was trained, for dezero train",
    CHECKPOINTS: "from where dezero train --resume goes on",
}


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """A block in which no other process may be for this folder: two trainings would
    take each other's checkpoints away. However a process ends, its hold ends with it.

    Raises:
        UsageError: Another process is in such a block.
    """
    with open(folder / LOCK, "wb") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"expected a folder in which nobody trains, got '{folder}', where "
                "another training is going on; wait for it, or write --name for "
                "another folder"
            ) from None
        for partial in folder.glob(".*.partial"):
            partial.unlink(missing_ok=True)  # of a training that was killed
        yield


def read_config(folder: Path) -> Config:
    """The config of a run.

    Raises:
        UsageError: There is no run in the folder.
    """
    if not (folder / CONFIG).exists():
        raise UsageError(
            f"expected the folder of a run, with a {CONFIG}, got '{folder}'"
        )
    return configs.merged(configs.load(folder / CONFIG))


def write_about(folder: Path, task: Task) -> None:
    """Keep what models must know of the data."""
    about = {
        "known": task.known,
        "names": list(task.names),
        "text": task.text,
        "shape": list(task.sample().shape[1:]),
    }
    with write_atomically(folder / ABOUT, "w") as file:
        file.write(json.dumps(about))


def read_about(folder: Path) -> dict[str, Any]:
    """What ``write_about`` wrote.

    Raises:
        DataError: It is not there, or not that.
    """
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_text("utf-8"))
        about["known"], about["names"], about["text"], about["shape"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"expected the folder of a run, with an {ABOUT}, got '{folder}', where "
            f"{error!r}"
        ) from error
    return about


def read_model(folder: Path, weights: str) -> tuple[Any, dict[str, Any]]:
    """The model of a run with its weights, and what is known of its data."""
    about = read_about(folder)
    model = model_for(read_config(folder), about["known"], about["text"])
    model.load_weights(folder / f"{weights}.npz")
    return model, about


def require_same(about: dict[str, Any], task: Task) -> None:
    """Raise an error where data are not those that a model was trained for."""
    if about["known"] != task.known or about["names"] != list(task.names):
        kind = "letters" if task.text else "classes"
        raise DataError(
            f"expected data with the same {len(about['names'])} {kind} as in training, "
            f"got {len(task.names)} others"
        )
