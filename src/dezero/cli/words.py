"""What the words of a command line may be, and how wrong ones are told."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message.removeprefix('argument ')}\n")


# What each option takes. argparse puts the option in front of the message.


def a_folder(word: str) -> Path:
    if not Path(word).is_dir():
        raise argparse.ArgumentTypeError(f"expected a folder, got '{word}'")
    return Path(word)


def a_file(word: str) -> Path:
    if not Path(word).is_file():
        raise argparse.ArgumentTypeError(f"expected a file, got '{word}'")
    return Path(word)


def a_count(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(
            f"expected a whole number of at least 1, got '{word}'"
        )
    return int(word)


def a_seed(word: str) -> int:
    if not word.isdecimal() or int(word) >= 2**32:
        raise argparse.ArgumentTypeError(
            f"expected a whole number from 0 to 2**32 - 1, got '{word}'"
        )
    return int(word)


def a_rate(word: str) -> float:
    try:
        rate = float(word)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got '{word}'")
    return rate


def a_name(word: str) -> str:
    if word in ("", ".", "..") or Path(word).name != word:
        raise argparse.ArgumentTypeError(
            f"expected a name without folders, got '{word}'; write --out for those"
        )
    return word


def a_shape(word: str) -> tuple[int, ...]:
    parts = word.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(
            f"expected lengths with commas, such as 1,28,28, got '{word}'"
        )
    return tuple(map(int, parts))


def any_of(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
