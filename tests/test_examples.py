"""Every program of ``examples/``, run as a reader would, in its quick mode."""

from __future__ import annotations

import ast
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

import dezero

EXAMPLES = Path(__file__).parents[1] / "examples"
SOURCE = Path(dezero.__file__).parents[1]
HELPERS = {"pictures"}  # what examples import; not programs
PROGRAMS = sorted(
    path.stem for path in EXAMPLES.glob("*.py") if path.stem not in HELPERS
)
WAYS = {"eager": [], "compiled": ["--compile"]}
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_END = b"IEND\xaeB`\x82"


def run(
    program: str, folder: Path, home: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run it in ``folder``, with warnings as errors and no network to fall back on."""
    return subprocess.run(
        [sys.executable, EXAMPLES / f"{program}.py", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        env={
            **os.environ,
            "PYTHONPATH": str(SOURCE),
            "PYTHONWARNINGS": "error",
            "PYTHONIOENCODING": "utf-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "MPLBACKEND": "Agg",
            "DEZERO_HOME": str(home),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        },
    )


class Run(NamedTuple):
    """What became of a program in a folder of its own."""

    program: str
    folder: Path
    done: subprocess.CompletedProcess[str]


def numbers(output: str, name: str) -> list[float]:
    """The numbers that are printed after ``name``, in order."""
    return [
        float(n) for n in re.findall(rf"\b{name}:? *(-?[\d.]+(?:e[-+]\d+)?)", output)
    ]


def all_numbers(output: str) -> list[float]:
    """All that are printed but times, and shares, which jump from sample to sample."""
    output = re.sub(r"[\d,]+ samples/s.*|[\d.]+%", "", output)
    found = re.findall(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e[-+]\d+)?", output)
    return [float(n.replace(",", "")) for n in found]


# -- what each program promises --------------------------------------------------------


def falls(name: str) -> Callable[[str], None]:
    """The last number after ``name`` is smaller than the first, and all are finite."""

    def check(output: str) -> None:
        found = numbers(output, name)
        assert len(found) > 1 and all(map(math.isfinite, found))
        assert found[-1] < found[0]

    return check


def tanh(output: str) -> None:
    assert re.findall(r"order (\d): (\S+) at 0", output) == [
        ("0", "0"),
        ("1", "1"),
        ("2", "0"),
    ]


def newton(output: str) -> None:
    *_, (x, error) = re.findall(r"^ *\d+ +(\S+) +(\S+)$", output, re.MULTILINE)
    assert float(x) == pytest.approx(math.log(2), abs=1e-14)
    assert float(error) < 1e-14


def rosenbrock(output: str) -> None:
    slow, fast = (
        (float(a), float(b), int(steps.replace(",", "")))
        for a, b, steps in re.findall(r"\((\S+), (\S+)\) in ([\d,]+) steps", output)
    )
    assert fast == (1.0, 1.0, 5)
    assert slow[2] == 1000 and abs(slow[0] - 1) > 0.01  # on its way, not there


def cnn(output: str) -> None:
    falls("loss")(output)
    assert numbers(output, "test accuracy")[-1] == numbers(output, "copy")[-1] > 50


def characters(output: str) -> None:
    falls("loss")(output)
    written = output.split("per letter\n")[-1]
    assert len(written.strip("\n")) > 350 and written.startswith("T")


def gpt(output: str) -> None:
    falls("loss")(output)
    falls("validation")(output)
    assert len(output.split("validation")[-1]) > 450


CHECKS: dict[str, Callable[[str], None]] = {
    "tanh": tanh,
    "newton": newton,
    "rosenbrock": rosenbrock,
    "spiral": falls("loss"),
    "digits": falls("loss"),
    "cnn": cnn,
    "sine_lstm": falls("loss"),
    "characters": characters,
    "clothes": falls("loss"),
    "gpt": gpt,
    "resnet": falls("loss"),
    "gan": falls("distance"),
    "vae": falls("loss"),
    "grad_cam": falls("test loss"),
    "style_transfer": falls("loss"),
}
PICTURES = {
    "tanh": ["tanh.png", "tanh-graph.png"],
    "vae": ["vae.png", "vae-map.png"],
    **{
        name: [f"{name}.png"]
        for name in (
            "rosenbrock",
            "spiral",
            "clothes",
            "cnn",
            "resnet",
            "sine_lstm",
            "gan",
            "grad_cam",
            "style_transfer",
        )
    },
}
# How far the numbers of a compiled program may be from those of the eager one. Kernels
# round in another order; where much depends on the sign of a number close to 0, as
# behind batch normalization and ReLU, the last digit becomes the third in a few steps.
APART = dict.fromkeys(PROGRAMS, 1e-2) | {"gan": 5e-2, "grad_cam": 5e-2}


def require_picture(path: Path) -> None:
    """A whole PNG file with more than one color in it."""
    content = path.read_bytes()
    assert content.startswith(PNG_SIGNATURE) and content.endswith(PNG_END)
    with Image.open(path) as image:
        assert np.asarray(image.convert("RGB")).std() > 0


def test_every_example_is_checked() -> None:
    assert sorted(CHECKS) == PROGRAMS


@pytest.mark.parametrize("program", PROGRAMS)
def test_example_can_be_taught(program: str) -> None:
    text = (EXAMPLES / f"{program}.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 100
    about = ast.get_docstring(ast.parse(text)) or ""
    assert "Needs " in about
    assert re.search(r"[Tt]akes?\b|minutes?\b", about)
    table = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert f"[`{program}.py`]({program}.py)" in table
    assert re.search(r"dezero\.compile\(|compile=options\.compile", text)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs share what they compiled."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module", params=PROGRAMS)
def both(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    home: Path,
) -> dict[str, Run]:
    """A program run in both ways, side by side to save time."""
    folders = [tmp_path_factory.mktemp(way) for way in WAYS]
    with ThreadPoolExecutor() as pool:
        runs = pool.map(
            lambda folder, words: run(request.param, folder, home, "--quick", *words),
            folders,
            WAYS.values(),
        )
        return {
            way: Run(request.param, folder, done)
            for way, folder, done in zip(WAYS, folders, runs, strict=True)
        }


@pytest.mark.parametrize("way", WAYS)
def test_example(both: dict[str, Run], way: str, home: Path) -> None:
    program, folder, done = both[way]
    assert (done.returncode, done.stderr) == (0, "")
    CHECKS[program](done.stdout)
    pictures = PICTURES.get(program, [])
    for name in pictures:
        require_picture(folder / "runs" / name)
        assert f"runs/{name}" in done.stdout
    # It has written what it says, and nothing beside it but what it compiled.
    written = {path.name for path in folder.glob("**/*") if path.is_file()}
    assert written == {*pictures, *(["cnn.npz"] if program == "cnn" else [])}
    assert {path.name for path in home.iterdir()} <= {"cache"}


def test_compiled_example_follows_the_eager_one(both: dict[str, Run]) -> None:
    program = both["eager"].program
    wanted, found = (all_numbers(both[way].done.stdout) for way in WAYS)
    assert len(wanted) > 2
    assert found == pytest.approx(wanted, rel=APART[program], abs=1e-12)
