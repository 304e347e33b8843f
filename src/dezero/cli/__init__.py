"""The command line: ``dezero``, which is ``python -m dezero``.

A mistake of the user's is one line on the standard error and exit code 2; Ctrl-C is
exit code 130. Every command is a module here, with ``add`` for its options and ``run``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from dezero.cli import bench, demo, doctor, evaluate, graph, predict, summary, train
from dezero.cli.words import Parser, any_of
from dezero.compiler import CompileError, NonFiniteError
from dezero.errors import DataError, MissingDependencyError, UsageError, closest
from dezero.version import __version__

COMMANDS: dict[str, Any] = {
    "demo": demo,
    "train": train,
    "eval": evaluate,
    "predict": predict,
    "summary": summary,
    "graph": graph,
    "bench": bench,
    "doctor": doctor,
}
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells count
MISTAKES = (
    UsageError,
    DataError,
    MissingDependencyError,
    CompileError,
    NonFiniteError,
    OSError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: The words after ``dezero``; those of the process if ``None``.

    Raises:
        SystemExit: The words are wrong, or ask for help.
    """
    options = _parse(list(sys.argv[1:] if arguments is None else arguments))
    command = vars(options).pop("command")
    try:
        completed = COMMANDS[command].run(options)
    except BrokenPipeError:  # the reader of the output has seen enough
        return 0
    except MISTAKES as error:
        print(f"dezero {command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0 if completed else INTERRUPTED


def _parse(words: list[str]) -> argparse.Namespace:
    """The command and its options."""
    parser = _parser()
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        parser.error(
            f"expected {any_of(COMMANDS)}, got '{words[0]}'"
            + closest(words[0], COMMANDS)
        )
    options, unknown = parser.parse_known_args(words or ["--help"])
    if unknown:
        known = [f"--{name.replace('_', '-')}" for name in vars(options)]
        parser.error(
            f"expected the options that dezero {options.command} --help lists, "
            f"got '{unknown[0]}'{closest(unknown[0], known)}"
        )
    return options


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="dezero",
        description="DeZero, the deep-learning framework that can be read.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"dezero {__version__}")
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )
    for name, command in COMMANDS.items():
        command.add(
            commands.add_parser(
                name,
                help=command.HELP,
                description=command.DESCRIPTION,
                epilog=getattr(command, "EPILOG", None),
                allow_abbrev=False,
            )
        )
    return parser
