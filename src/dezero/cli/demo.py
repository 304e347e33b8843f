"""``dezero demo``."""

from __future__ import annotations

import argparse
from pathlib import Path

from dezero import demo
from dezero.cli.words import (
    a_count,
    a_folder,
    a_name,
    a_rate,
    a_seed,
    any_of,
)
from dezero.errors import closest

HELP = "train a small convolutional network on images"
DESCRIPTION = (
    "Train a small convolutional network on images, and write its weights, its history "
    "and pictures of both into a folder."
)


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    defaults = demo.Options()
    add = parser.add_argument
    add(
        "--data",
        type=_data,
        default=defaults.data,
        metavar="NAME",
        help=f"{any_of(demo.JOBS)} (default: {defaults.data})",
    )
    add(
        "--data-dir",
        type=a_folder,
        metavar="FOLDER",
        help="where the files of the data set are; digits come with the package "
        "(default: where earlier downloads are, else download)",
    )
    own = "(default: the data set's own)"
    add("--epochs", type=a_count, metavar="N", help=f"passes over the data {own}")
    add("--batch-size", type=a_count, metavar="N", help=f"samples per step {own}")
    add("--lr", type=a_rate, metavar="RATE", help=f"learning rate at the start {own}")
    add(
        "--seed",
        type=a_seed,
        default=defaults.seed,
        metavar="N",
        help=f"equal seeds give equal trainings (default: {defaults.seed})",
    )
    add(
        "--out",
        type=Path,
        default=defaults.out,
        metavar="FOLDER",
        help=f"where the folder of the run goes (default: {defaults.out})",
    )
    add(
        "--name",
        type=a_name,
        help="the folder of the run; numbered if there is one of that name "
        "(default: demo- and the data set)",
    )
    add("--quick", action="store_true", help="one epoch on a part of the data")
    add("--compile", action="store_true", help="train with a compiled step")


def run(options: argparse.Namespace) -> bool:
    """Run it; whether it went to its end."""
    return demo.run(demo.Options(**vars(options)))


def _data(word: str) -> str:
    if word not in demo.JOBS:
        raise argparse.ArgumentTypeError(
            f"expected {any_of(demo.JOBS)}, got '{word}'{closest(word, demo.JOBS)}"
        )
    return word
