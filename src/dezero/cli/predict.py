"""``dezero predict``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from dezero import functions as F
from dezero.backend import Array
from dezero.cli import folder as folders
from dezero.cli.evaluate import add_weights
from dezero.cli.words import a_count, a_file, a_folder, a_rate, a_seed
from dezero.core import no_grad, test_mode
from dezero.errors import DataError, UsageError, missing

HELP = "say what pictures show, or go on with a text"
DESCRIPTION = (
    "Say what pictures show (.npy arrays of H x W numbers from 0 to 1, or pictures, "
    "white on black), or go on with a text, with the model of a run."
)


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    add = parser.add_argument
    add("run", type=a_folder, help="the folder of a run of dezero train")
    add("files", nargs="*", type=a_file, metavar="FILE", help="pictures")
    add_weights(parser)
    add("--prompt", help="the beginning of a text")
    add(
        "--length",
        type=a_count,
        default=200,
        metavar="N",
        help="letters to add (default: 200)",
    )
    add(
        "--temperature",
        type=a_rate,
        default=0.8,
        metavar="T",
        help="the smaller, the safer the guesses (default: 0.8)",
    )
    add("--seed", type=a_seed, default=0, metavar="N", help="of the guesses")


def run(options: argparse.Namespace) -> bool:
    """Predict, and print it."""
    model, about = folders.read_model(options.run, options.weights)
    if about["text"]:
        if options.files or not options.prompt:
            raise UsageError("expected --prompt TEXT for a model of texts, got none")
        np.random.seed(options.seed)
        print(_written(model, about, options))
        return True
    if not options.files or options.prompt:
        raise UsageError("expected FILES for a model of pictures, got none")
    _, height, width = about["shape"]
    images = [_image(path, height, width) for path in options.files]
    with no_grad(), test_mode():
        shares = F.softmax(model(np.stack(images)[:, None])).data
    for path, row in zip(options.files, shares, strict=True):
        best = int(row.argmax())
        print(f"{path}: {about['names'][best]} ({row[best]:.1%})")
    return True


def _image(path: Path, height: int, width: int) -> Array:
    """A picture as float32 from 0 to 1, (H, W)."""
    if path.suffix == ".npy":
        try:
            image = np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise DataError(f"{path}: expected an array, got {error}") from error
        if image.shape != (height, width) or image.dtype.kind not in "fiub":
            raise DataError(
                f"{path}: expected numbers of shape ({height}, {width}), got "
                f"{image.dtype} of shape {image.shape}"
            )
        return image.astype(np.float32)
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise missing("pillow", "reading a picture", "plot") from None
    try:
        with Image.open(path) as picture:
            small = picture.convert("L").resize((width, height))
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: expected a picture, got another file") from error
    return np.asarray(small, np.float32) / 255


def _written(model: Any, about: dict[str, Any], options: argparse.Namespace) -> str:
    """The prompt, and what the model adds, letter by letter."""
    number = {letter: i for i, letter in enumerate(about["names"])}
    for letter in options.prompt:
        if letter not in number:
            raise UsageError(
                f"--prompt: expected letters of the text that was learned, got "
                f"{letter!r}"
            )
    ids = [number[letter] for letter in options.prompt]
    length = about["known"]["length"]
    with no_grad(), test_mode():
        for _ in range(options.length):
            scores = model(np.array([ids[-length:]]))[:, -1]
            shares = F.softmax(scores / options.temperature).data[0].astype(float)
            ids.append(int(np.random.choice(len(shares), p=shares / shares.sum())))
    return "".join(about["names"][i] for i in ids)
