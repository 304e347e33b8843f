"""The command line: ``dezero``, which is ``python -m dezero``.

A mistake of the user's is one line on the standard error and exit code 2; Ctrl-C is
exit code 130.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from dezero import demo
from dezero.errors import DataError, MissingDependencyError, closest
from dezero.version import __version__

COMMANDS = ("demo",)
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells count


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: The words after ``dezero``; those of the process if ``None``.

    Raises:
        SystemExit: The words are wrong, or ask for help.
    """
    options = _parse(list(sys.argv[1:] if arguments is None else arguments))
    command = options.pop("command")
    try:
        completed = demo.run(demo.Options(**options))
    except (DataError, MissingDependencyError, OSError) as error:
        print(f"dezero {command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0 if completed else INTERRUPTED


def _parse(words: list[str]) -> dict[str, Any]:
    """The command and its options."""
    parser = _parser()
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        parser.error(
            f"expected {_any_of(COMMANDS)}, got '{words[0]}'"
            + closest(words[0], COMMANDS)
        )
    found, unknown = parser.parse_known_args(words or ["--help"])
    options = vars(found)
    if unknown:
        known = [f"--{name.replace('_', '-')}" for name in options]
        parser.error(
            f"expected the options that dezero {found.command} --help lists, "
            f"got '{unknown[0]}'{closest(unknown[0], known)}"
        )
    return options


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message.removeprefix('argument ')}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="dezero",
        description="DeZero, the deep-learning framework that can be read.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"dezero {__version__}")
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )
    _add_demo(
        commands.add_parser(
            "demo",
            help="train a small convolutional network on images",
            description="Train a small convolutional network on images, and write its "
            "weights, its history and pictures of both into a folder.",
            allow_abbrev=False,
        )
    )
    return parser


def _add_demo(parser: argparse.ArgumentParser) -> None:
    defaults = demo.Options()
    add = parser.add_argument
    add(
        "--data",
        type=_data,
        default=defaults.data,
        metavar="NAME",
        help=f"{_any_of(demo.JOBS)} (default: {defaults.data})",
    )
    add(
        "--data-dir",
        type=_folder,
        metavar="FOLDER",
        help="where the files of the data set are; digits come with the package "
        "(default: where earlier downloads are, else download)",
    )
    own = "(default: the data set's own)"
    add("--epochs", type=_count, metavar="N", help=f"passes over the data {own}")
    add("--batch-size", type=_count, metavar="N", help=f"samples per step {own}")
    add("--lr", type=_rate, metavar="RATE", help=f"learning rate at the start {own}")
    add(
        "--seed",
        type=_seed,
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
        type=_name,
        help="the folder of the run; numbered if there is one of that name "
        "(default: demo- and the data set)",
    )
    add("--quick", action="store_true", help="one epoch on a part of the data")
    add("--compile", action="store_true", help="train with a compiled step")


# What each option takes. argparse puts the option in front of the message.


def _data(word: str) -> str:
    if word not in demo.JOBS:
        raise argparse.ArgumentTypeError(
            f"expected {_any_of(demo.JOBS)}, got '{word}'{closest(word, demo.JOBS)}"
        )
    return word


def _folder(word: str) -> Path:
    if not Path(word).is_dir():
        raise argparse.ArgumentTypeError(f"expected a folder, got '{word}'")
    return Path(word)


def _count(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(
            f"expected a whole number of at least 1, got '{word}'"
        )
    return int(word)


def _seed(word: str) -> int:
    if not word.isdecimal() or int(word) >= 2**32:
        raise argparse.ArgumentTypeError(
            f"expected a whole number from 0 to 2**32 - 1, got '{word}'"
        )
    return int(word)


def _rate(word: str) -> float:
    try:
        rate = float(word)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got '{word}'")
    return rate


def _name(word: str) -> str:
    if word in ("", ".", "..") or Path(word).name != word:
        raise argparse.ArgumentTypeError(
            f"expected a name without folders, got '{word}'; write --out for those"
        )
    return word


def _any_of(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
