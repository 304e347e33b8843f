"""``dezero demo``, and the command line around it."""

from __future__ import annotations

import csv
import gzip
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import dezero
from dezero import cli, demo
from dezero.data import DataLoader, Digits
from dezero.errors import DownloadError
from dezero.train import History, evaluate, fit

PNG = b"\x89PNG\r\n\x1a\n"
SOURCE = Path(dezero.__file__).parents[1]


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """``python -m dezero`` with these arguments, with its output in pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", "dezero", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "OPENBLAS_NUM_THREADS": "1"},
        **options,
    )


def load(folder: Path) -> demo.ConvNet:
    """The network of a run on digits, from its file."""
    job = demo.JOBS["digits"]
    model = demo.ConvNet(job.channels, job.hidden, classes=10)
    model.load_weights(folder / "weights.npz")
    return model


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(autouse=True)
def _listening() -> Iterator[None]:
    """Ctrl-C arrives, even where the tests run in the background, deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def no_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)


# -- a whole run -----------------------------------------------------------------------


def test_quick_demo(tmp_path: Path) -> None:
    with start("demo", "--quick", cwd=tmp_path) as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    folder = tmp_path / "runs" / "demo-digits"
    assert {path.name for path in folder.iterdir()} == {
        "weights.npz",
        "history.csv",
        "curves.png",
        "mistakes.png",
        "model.svg",
    }
    (row,) = rows(folder)
    assert row["epoch"] == "1"
    assert float(row["test_accuracy"]) > 0.5

    test = demo._images(demo.JOBS["digits"], demo.Options(), train=False)
    scores = evaluate(load(folder), DataLoader(test, 100, shuffle=False))
    assert scores.loss == pytest.approx(float(row["test_loss"]), rel=1e-4)
    assert scores.accuracy == pytest.approx(float(row["test_accuracy"]), rel=1e-4)

    for name in ("curves.png", "mistakes.png"):
        assert (folder / name).read_bytes().startswith(PNG)
    svg = ElementTree.parse(folder / "model.svg")
    assert svg.getroot().tag == "{http://www.w3.org/2000/svg}svg"
    text = "".join(svg.getroot().itertext())
    for name in ("conv1/W", "norm2/gamma", "linear2/b", "BatchNorm", "Dropout"):
        assert name in text

    lines = out.splitlines()
    assert lines[:2] == [
        "Digits: 1,000 images of 8 x 8 to train on, 355 to test on",
        "ConvNet: 36,202 parameters; Adam, learning rate 0.003 going down to 0, "
        "batches of 32, seed 0",
    ]
    assert lines[2].startswith("epoch 1/1  loss ")
    assert lines[3] == f"Test accuracy {float(row['test_accuracy']):.2%}. Written:"
    assert [line.split()[0] for line in lines[4:]] == [
        os.path.join("runs", "demo-digits", name) for name in demo.FILES
    ]


def test_digits_are_read_98_times_of_100(no_matplotlib: None, tmp_path: Path) -> None:
    assert cli.main(["demo", "--out", str(tmp_path)]) == 0
    accuracies = [float(row["test_accuracy"]) for row in rows(tmp_path / "demo-digits")]
    assert accuracies[-1] >= 0.98
    test = demo._images(demo.JOBS["digits"], demo.Options(), train=False)
    np.testing.assert_array_equal(test.label, Digits(train=False).label)


def test_equal_seeds_give_equal_runs(no_matplotlib: None, tmp_path: Path) -> None:
    for seed, name in ((3, "a"), (3, "b"), (4, "c")):
        words = ["demo", "--quick", "--seed", seed, "--out", tmp_path, "--name", name]
        assert cli.main([str(word) for word in words]) == 0
    a, b, c = (tmp_path / name for name in "abc")
    assert (a / "history.csv").read_bytes() == (b / "history.csv").read_bytes()
    assert (a / "history.csv").read_bytes() != (c / "history.csv").read_bytes()
    for p, q in zip(load(a).params(), load(b).params(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)


def test_a_compiled_demo_is_the_demo(
    no_matplotlib: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = []

    def seen(*args: Any, compile: bool, **kwargs: Any) -> History:
        compiled.append(compile)
        return fit(*args, compile=compile, **kwargs)

    monkeypatch.setattr(demo, "fit", seen)
    for name, words in (("eager", []), ("compiled", ["--compile"])):
        words = ["demo", "--quick", "--out", str(tmp_path), "--name", name, *words]
        assert cli.main(words) == 0
    assert compiled == [False, True]
    ((wanted,), (found,)) = (rows(tmp_path / name) for name in ("eager", "compiled"))
    for column in ("loss", "test_loss"):
        assert float(found[column]) == pytest.approx(float(wanted[column]), rel=1e-2)


def test_runs_are_numbered_not_overwritten(
    no_matplotlib: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "demo-digits").mkdir()
    (tmp_path / "demo-digits-2").write_text("a file")
    for _ in range(2):
        assert cli.main(["demo", "--quick", "--out", str(tmp_path)]) == 0
    assert not any((tmp_path / "demo-digits").iterdir())
    for number in (3, 4):
        assert (tmp_path / f"demo-digits-{number}" / "weights.npz").exists()


def test_demo_without_matplotlib(
    no_matplotlib: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["demo", "--quick", "--out", str(tmp_path)]) == 0
    assert {path.name for path in (tmp_path / "demo-digits").iterdir()} == {
        "weights.npz",
        "history.csv",
        "model.svg",
    }
    assert capsys.readouterr().out.endswith(
        "Not drawn, as matplotlib is not installed: curves.png, mistakes.png; "
        "write: pip install 'dezero[plot]'\n"
    )


def write_idx(path: Path, array: np.ndarray[Any, Any]) -> None:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


def test_demo_on_files_of_fashion_mnist(
    no_matplotlib: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part, count in (("train", 70), ("t10k", 30)):
        labels = np.arange(count) % 10
        images = np.random.randint(0, 256, (count, 28, 28))
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", labels)
    words = ["--data", "fashion-mnist", "--data-dir", str(tmp_path), "--epochs", "2"]
    options = ["--batch-size", "20", "--lr", "0.01", "--name", "clothes"]
    code = cli.main(["demo", *words, *options, "--out", str(tmp_path)])
    assert code == 0
    assert [row["epoch"] for row in rows(tmp_path / "clothes")] == ["1", "2"]
    out = capsys.readouterr().out
    assert out.startswith(
        "FashionMNIST: 70 images of 28 x 28 to train on, 30 to test on\n"
    )
    assert "learning rate 0.01 going down to 0, batches of 20, seed 0\n" in out


# -- Ctrl-C ----------------------------------------------------------------------------


def test_ctrl_c_keeps_what_was_learned(tmp_path: Path) -> None:
    with start("demo", "--epochs", 1000, "--out", tmp_path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch    2/1000"):
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (cli.INTERRUPTED, "")
    assert process.returncode == 130
    folder = tmp_path / "demo-digits"
    assert {path.name for path in folder.iterdir()} == {"weights.npz", "history.csv"}
    epochs = [float(row["epoch"]) for row in rows(folder)]
    assert epochs[:2] == [1, 2]
    assert f"Stopped after {epochs[-1]:.2f} of 1000 epochs. Kept:\n" in out
    test = demo._images(demo.JOBS["digits"], demo.Options(), train=False)
    accuracy = evaluate(load(folder), DataLoader(test, 100, shuffle=False)).accuracy
    assert accuracy is not None and accuracy > 0.9


def test_ctrl_c_before_the_first_step_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "fit", interrupted)
    assert cli.main(["demo", "--out", str(tmp_path)]) == 130
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr().out.endswith(
        "Stopped before the first step; there is nothing to keep.\n"
    )
    monkeypatch.setattr(demo, "_images", interrupted)
    assert cli.main(["demo", "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "interrupted\n"


# -- mistakes of the user's ------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "demo --data fashion-mnits",
            "dezero demo: --data: expected digits, mnist or fashion-mnist, got "
            "'fashion-mnits'; did you mean 'fashion-mnist'?",
        ),
        (
            "demo --data cats",
            "dezero demo: --data: expected digits, mnist or fashion-mnist, got 'cats'",
        ),
        (
            "demo --epochs 0",
            "dezero demo: --epochs: expected a whole number of at least 1, got '0'",
        ),
        (
            "demo --batch-size 1.5",
            "dezero demo: --batch-size: expected a whole number of at least 1, "
            "got '1.5'",
        ),
        (
            "demo --batch-size=-3",
            "dezero demo: --batch-size: expected a whole number of at least 1, "
            "got '-3'",
        ),
        ("demo --lr 0", "dezero demo: --lr: expected a number above 0, got '0'"),
        ("demo --lr fast", "dezero demo: --lr: expected a number above 0, got 'fast'"),
        ("demo --lr nan", "dezero demo: --lr: expected a number above 0, got 'nan'"),
        (
            "demo --seed x",
            "dezero demo: --seed: expected a whole number from 0 to 2**32 - 1, got 'x'",
        ),
        (
            "demo --seed 4294967296",
            "dezero demo: --seed: expected a whole number from 0 to 2**32 - 1, "
            "got '4294967296'",
        ),
        (
            "demo --data-dir nowhere",
            "dezero demo: --data-dir: expected a folder, got 'nowhere'",
        ),
        (
            "demo --name a/b",
            "dezero demo: --name: expected a name without folders, got 'a/b'; "
            "write --out for those",
        ),
        ("demo --epochs", "dezero demo: --epochs: expected one argument"),
        (
            "demo --epoch 3",
            "dezero: expected the options that dezero demo --help lists, "
            "got '--epoch'; did you mean '--epochs'?",
        ),
        (
            "demo digits",
            "dezero: expected the options that dezero demo --help lists, got 'digits'",
        ),
        (
            "dmeo --quick",
            "dezero: expected demo, train, eval, predict, summary, graph, bench or "
            "doctor, got 'dmeo'; did you mean 'demo'?",
        ),
    ],
)
def test_wrong_options(
    words: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(words.split())
    assert stop.value.code == 2
    assert capsys.readouterr() == ("", message + "\n")


def test_a_folder_that_cannot_be_written_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "runs"
    assert cli.main(["demo", "--out", str(out)]) == 2
    assert capsys.readouterr() == (
        "",
        "dezero demo: --out: expected a folder that can be written to, "
        f"got '{out}' (Not a directory)\n",
    )


def test_data_that_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["demo", "--data", "mnist", "--out", str(tmp_path)]
    assert cli.main([*words, "--data-dir", str(tmp_path)]) == 2
    assert capsys.readouterr() == (
        "",
        f"dezero demo: MNIST: expected train-images-idx3-ubyte.gz in {tmp_path}, "
        "got no file\n",
    )

    def offline(*_: Any, **__: Any) -> None:
        raise DownloadError("MNIST: expected a network, got none")

    monkeypatch.setattr(demo, "_images", offline)
    assert cli.main(words) == 2
    assert capsys.readouterr() == (
        "",
        "dezero demo: MNIST: expected a network, got none\n",
    )
    assert not list(tmp_path.iterdir())


# -- the command line ------------------------------------------------------------------


def test_version_and_help(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")

    def says(*words: str) -> str:
        with pytest.raises(SystemExit) as stop:
            cli.main(words)
        assert stop.value.code == 0
        return capsys.readouterr().out

    assert says("--version") == f"dezero {dezero.__version__}\n"
    assert "train a small convolutional network on images" in says()
    text = says("demo", "--help")
    for option in (
        "--data-dir FOLDER",
        "--quick",
        "--compile",
        "digits, mnist or fashion-mnist",
    ):
        assert option in text
