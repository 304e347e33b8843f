"""``dezero graph``."""

from __future__ import annotations

import argparse
from pathlib import Path

from dezero.cli.summary import add_model, model_and_input

HELP = "draw the graph of a model"
DESCRIPTION = "Draw the graph of what a model computes."


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    add_model(parser)
    parser.add_argument(
        "--to",
        type=Path,
        default=Path("model.svg"),
        metavar="FILE",
        help="the picture: .svg, .png or .dot (default: model.svg)",
    )


def run(options: argparse.Namespace) -> bool:
    """Draw it."""
    model, x = model_and_input(options)
    model.plot(x, to_file=options.to)
    print(options.to)
    return True
