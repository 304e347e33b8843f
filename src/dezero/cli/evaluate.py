"""``dezero eval``."""

from __future__ import annotations

import argparse
from typing import Any

from dezero.cli import config as configs
from dezero.cli import folder as folders
from dezero.cli import task as tasks
from dezero.cli.words import a_file, a_folder
from dezero.data import DataLoader
from dezero.train import ConfusionMatrix, evaluate

HELP = "measure a trained model on its test data"
DESCRIPTION = "Measure the model of a run on its test data, or on others of its kind."


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    add = parser.add_argument
    add("run", type=a_folder, help="the folder of a run of dezero train")
    add_weights(parser)
    add(
        "--data-dir",
        type=a_folder,
        metavar="FOLDER",
        help="where the data are, if not where they were",
    )
    add("--file", type=a_file, metavar="FILE", help="another text; its end is tested")
    add(
        "--confusion",
        action="store_true",
        help="show which classes were taken for which",
    )


def add_weights(parser: argparse.ArgumentParser) -> None:
    """Add the choice of the weights."""
    parser.add_argument(
        "--weights",
        choices=("best", "weights"),
        default="best",
        help="those of the best epoch, or the last (default: best)",
    )


def run(options: argparse.Namespace) -> bool:
    """Measure, and print what was measured."""
    config = folders.read_config(options.run)
    places = {"folder": options.data_dir, "file": options.file}
    given = {key: str(path) for key, path in places.items() if path is not None}
    config = configs.merged(config, {"data": given})
    model, about = folders.read_model(options.run, options.weights)
    task = tasks.task(config)
    folders.require_same(about, task)
    matrix = ConfusionMatrix()
    metrics: list[Any] = tasks.metrics_for(config, task.text)
    scores = evaluate(
        model,
        DataLoader(task.test, 200, shuffle=False),
        task.loss,
        task.accuracy,
        [*metrics, *([matrix] if options.confusion else [])],
    )
    print(f"loss        {scores.loss:.4f}")
    print(f"accuracy    {scores.accuracy:.2%}")
    for metric in metrics:
        print(f"{metric.name:10}  {metric.value:.4f}")
    if options.confusion:
        _show(matrix.value, task.names)
    return True


def _show(counts: Any, names: Any) -> None:
    """A row for each class, a column for what it was taken for."""
    cells = [["", *map(str, names)]]
    cells += [
        [str(name), *map(str, row)]
        for name, row in zip(names, counts.tolist(), strict=True)
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print()
    for row in cells:
        line = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(line))
