"""``dezero summary``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.cli import config as configs
from dezero.cli import folder as folders
from dezero.cli import task as tasks
from dezero.cli.words import a_shape

HELP = "list the layers of a model"
DESCRIPTION = (
    "List the layers of a model, or of that of a run: shapes, parameters, operations, "
    "memory."
)
CLASSES, VOCABULARY = 10, 65  # where there are no data that know better


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    add_model(parser)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the choice of a model."""
    add = parser.add_argument
    add("model", help="the folder of a run of dezero train, or the name of a model")
    add(
        "--shape",
        type=a_shape,
        metavar="N,N,N",
        help="of one input (default: what "
        "the run was trained on; 1,28,28; 3,224,224 for the classes of dezero.models)",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="model.KEY=VALUE",
        help="arguments of the model, such as model.hidden=[64,64]",
    )


def model_and_input(options: argparse.Namespace) -> tuple[Any, Array]:
    """The model that was chosen, and zeros that it can be called with."""
    folder = Path(options.model)
    if folder.is_dir():
        config = folders.read_config(folder)
        about = folders.read_about(folder)
        known, text, usual = about["known"], about["text"], tuple(about["shape"])
    else:
        config = {"model": {"name": options.model}}
        kind = configs.named("model", options.model, tasks.all_models())
        text = "vocabulary" in configs.arguments(kind)
        known = (
            {"vocabulary": VOCABULARY, "length": 64} if text else {"classes": CLASSES}
        )
        ready = kind in tasks.READY.values()
        usual = (64,) if text else (1, 28, 28) if ready else (3, 224, 224)
    config = configs.merged(config, configs.override(options.set))
    model = tasks.model_for(config, known, text)
    shape = (1, *(options.shape or usual))
    x = np.zeros(shape, np.int64 if text else np.float32)
    return tasks.shaped(model, x), x


def run(options: argparse.Namespace) -> bool:
    """Print it."""
    model, x = model_and_input(options)
    print(model.summary(x))
    return True
