"""The commands that train, look and measure: ``dezero train`` and its neighbours."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dezero
from dezero import cli
from dezero.cli import bench, doctor
from dezero.cli import config as configs
from dezero.cli import folder as folders
from dezero.cli import task as tasks
from dezero.cli import train as training
from dezero.cli.words import any_of
from dezero.errors import UsageError

SOURCE = Path(dezero.__file__).parents[1]
SMALL = "--data digits --model mlp --set data.limit=60 --set model.hidden=[8]"
LETTERS = "the quick brown fox jumps over the lazy dog. " * 40


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In a folder of its own, with Ctrl-C arriving."""
    monkeypatch.chdir(tmp_path)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def says(words: str, capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    """What a command prints; on the standard error if it fails."""
    assert cli.main(words.split()) == code
    out, err = capsys.readouterr()
    assert code == 0 or err.startswith(f"dezero {words.split()[0]}: ")
    return err if code else out


def toml(text: str, name: str = "run.toml") -> None:
    Path(name).write_text(text)


# -- training --------------------------------------------------------------------------


def test_train_eval_predict_on_images(capsys: pytest.CaptureFixture[str]) -> None:
    out = says(f"train {SMALL} --epochs 3 --lr 0.01 --name a", capsys)
    lines = out.splitlines()
    assert lines[:2] == [
        "60 images to train on, 60 to test on",
        "Sequential: 610 parameters; Adam, 6 steps",
    ]
    assert lines[5] == "Done. Written:"
    folder = Path("runs/a")
    files = {path.name for path in folder.iterdir()}
    assert files == {
        *("weights.npz", "best.npz", "metrics.csv", "curves.png"),
        *("config.toml", "about.json", "checkpoints", ".lock"),
    }
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert len(rows) == 4
    config = configs.load(folder / "config.toml")
    assert config["model"] == {"name": "mlp", "hidden": [8]}
    assert config["optimizer"] == {"name": "Adam", "lr": 0.01}
    assert config["train"]["epochs"] == 3

    out = says("eval runs/a --weights weights --confusion", capsys)
    loss, accuracy = rows[-1].split(",")[3:5]
    assert out.startswith(
        f"loss        {float(loss):.4f}\naccuracy    {float(accuracy):.2%}\n\n"
    )
    assert sum(map(int, re.findall(r"\d+", out.split("9\n", 1)[1]))) == 60 + 45

    images = dezero.datasets.Digits(train=False).data[:3, 0] / 16
    for i, image in enumerate(images):
        np.save(f"{i}.npy", image)
    out = says("predict runs/a 0.npy 1.npy 2.npy", capsys)
    assert re.fullmatch(r"(\d\.npy: \d \(\d+\.\d%\)\n){3}", out)


def test_pictures_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    image = pytest.importorskip("PIL.Image")
    says(f"train {SMALL} --epochs 1 --name a", capsys)
    image.new("RGB", (20, 30), "white").save("white.png")
    assert says("predict runs/a white.png", capsys).startswith("white.png: ")


def test_train_and_write_text(capsys: pytest.CaptureFixture[str]) -> None:
    Path("text.txt").write_text(LETTERS)
    toml(
        '[model]\nname = "lstm"\nwidth = 16\n[data]\nname = "text"\n'
        'file = "text.txt"\nlength = 8\nbatch_size = 16\n'
        '[optimizer]\nname = "adam"\nlr = 0.02\nclip = 1.0\nweight_decay = 1e-5\n'
        "[train]\nepochs = 3\ncompile = true\n"
    )
    out = says("train run.toml", capsys)
    assert "stretches of text to train on" in out and "  perplexity " in out
    head = Path("runs/run/metrics.csv").read_text().splitlines()[0]
    assert head.endswith(",test_perplexity")
    assert "perplexity " in says("eval runs/run", capsys)
    words = ["predict", "runs/run", "--prompt", "the ", "--length", "30"]
    written = []
    for _ in range(2):
        assert cli.main(words) == 0
        written.append(capsys.readouterr().out)
    assert written[0] == written[1]
    assert len(written[0]) == 4 + 30 + 1 and written[0].startswith("the ")
    assert set(written[0]) <= {*LETTERS, "\n"}


def test_a_resumed_run_is_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    words = f"train {SMALL} --set train.checkpoint_every=1"
    says(f"{words} --epochs 4 --name whole", capsys)
    says(f"{words} --epochs 2 --name parts", capsys)
    out = says(f"{words} --epochs 4 --name parts --resume", capsys)
    step = Path("runs/parts/checkpoints/step-00000004.npz")
    assert f"Going on from {step}\n" in out
    for name in ("weights.npz", "best.npz", "metrics.csv", "config.toml"):
        whole = Path("runs/whole", name).read_bytes()
        assert whole == Path("runs/parts", name).read_bytes(), name


def test_resume_remembers_what_was_said(capsys: pytest.CaptureFixture[str]) -> None:
    says(f"train {SMALL} --epochs 1 --lr 0.02 --name a --resume", capsys)
    says("train --epochs 2 --name a --resume", capsys)
    config = configs.load(Path("runs/a/config.toml"))
    assert config["model"] == {"name": "mlp", "hidden": [8]}
    assert config["optimizer"]["lr"] == 0.02
    assert config["train"]["epochs"] == 2


def test_stopping_early(capsys: pytest.CaptureFixture[str]) -> None:
    words = f"train {SMALL} --optimizer sgd --lr 1e-9 --epochs 50 --name a"
    out = says(f"{words} --set train.patience=2", capsys)
    assert "Stopped early: test_accuracy has not become better for 2 epochs" in out


def test_ctrl_c_and_resume() -> None:
    words = [sys.executable, "-m", "dezero", "train", *SMALL.split(), "--name", "a"]
    env = {**os.environ, "PYTHONPATH": str(SOURCE), "OPENBLAS_NUM_THREADS": "1"}
    command = [*words, "--epochs", "5000"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch    2/5000"):
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert re.search(r"Stopped after \d+\.\d\d epochs; write --resume to go on", out)
    assert list(Path("runs/a/checkpoints").iterdir())
    assert Path("runs/a/weights.npz").exists()


def test_a_loss_that_is_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    words = f"train {SMALL} --optimizer SGD --lr 1e30 --epochs 9 --name a"
    with np.errstate(all="ignore"):
        err = says(words, capsys, code=2)
    assert err.startswith("dezero train: fit: expected a finite loss, got another at ")


# -- mistakes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--model cmn",
            f"[model]: expected {any_of(tasks.all_models())} as name, got 'cmn'; did "
            "you mean 'cnn'?",
        ),
        (
            "--set model.hiden=[3] --model mlp",
            "[model]: expected hidden, got 'hiden'; did you mean 'hidden'?",
        ),
        (
            "--model lstm",
            "[model]: expected a model for images, such as mlp or cnn, got 'lstm'",
        ),
        (
            "--model cnn --set model.channels=[3]",
            "[model]: expected two numbers of channels, got [3]",
        ),
        (
            "--data digit",
            "[data]: expected digits, mnist, fashion-mnist or text as name, got "
            "'digit'; did you mean 'digits'?",
        ),
        (
            "--data text",
            "data.file: expected a text to learn from, got none; write --file FILE",
        ),
        (
            "--optimizer adm",
            f"[optimizer]: expected {any_of(tasks.all_optimizers())} as name, got "
            "'adm'; did you mean 'adam'?",
        ),
        (
            "--set optimizer.lrr=1",
            "[optimizer]: expected lr, alpha, beta1, beta2, eps, clip or "
            "weight_decay, got 'lrr'; did you mean 'lr'?",
        ),
        (
            "--set optimizer.clip=no",
            "optimizer.clip: expected a number above 0, got 'no'",
        ),
        (
            "--set trian.epochs=3",
            "expected [model], [data], [optimizer], [schedule] or [train], got "
            "'trian'; did you mean 'train'?",
        ),
        (
            "--set train.epoch=3",
            "[train]: expected epochs, seed, compile, metrics, patience, "
            "checkpoint_every or checkpoint_keep, got 'epoch'; did you mean 'epochs'?",
        ),
        (
            "--set train.epochs=many",
            'train.epochs: expected a whole number, got "many"',
        ),
        ("--set train.epochs=0", "train.epochs: expected at least 1, got 0"),
        ("--set train.compile=1", "train.compile: expected true or false, got 1"),
        (
            "--set epochs=3",
            "--set: expected SECTION.KEY=VALUE, such as optimizer.lr=0.01, got "
            "'epochs=3'",
        ),
        (
            '--set train.metrics=["recal"]',
            "train.metrics: expected accuracy, top_5, precision, recall, f1 or "
            "perplexity, got 'recal'; did you mean 'recall'?",
        ),
    ],
)
def test_mistakes(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert says(f"train {words}", capsys, code=2) == f"dezero train: {message}\n"
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[train\n",
            "run.toml: expected TOML, got a file where Expected ']' at the end of a "
            "table declaration (at line 1, column 7)",
        ),
        (
            "[optimiser]\n",
            "run.toml: expected [model], [data], [optimizer], [schedule] or [train], "
            "got 'optimiser'; did you mean 'optimizer'?",
        ),
        (
            "[data]\nbatchsize = 3\n",
            "run.toml: [data]: expected name, folder, file, length, batch_size or "
            "limit, got 'batchsize'; did you mean 'batch_size'?",
        ),
        ("train = 3\n", "run.toml: expected a section [train], got train = 3"),
    ],
)
def test_mistakes_in_a_file(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    toml(text)
    assert says("train run.toml", capsys, code=2) == f"dezero train: {message}\n"


def test_a_run_is_not_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    words = f"train {SMALL} --epochs 1 --name a"
    says(words, capsys)
    assert says(words, capsys, code=2) == (
        f"dezero train: expected a new folder, got '{Path('runs/a')}', where there is "
        "a training; write --resume to go on with it, or --name for another one\n"
    )


def test_one_training_in_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    """What another, killed one has left half written goes with the next."""
    words = f"train {SMALL} --epochs 1 --name a"
    says(words, capsys)
    partial = Path("runs/a/.best.npz.0123abcd.partial")
    partial.write_bytes(b"half")
    with folders.alone_in(Path("runs/a")):
        assert not partial.exists()
        assert says(words + " --resume", capsys, code=2) == (
            f"dezero train: expected a folder in which nobody trains, got "
            f"'{Path('runs/a')}', where another training is going on; wait for it, or "
            "write --name for another folder\n"
        )
    says(words + " --resume", capsys)


def test_mistakes_with_runs(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    assert says("eval empty", capsys, code=2) == (
        "dezero eval: expected the folder of a run, with a config.toml, got 'empty'\n"
    )
    says(f"train {SMALL} --epochs 1 --name a", capsys)
    assert says("predict runs/a", capsys, code=2) == (
        "dezero predict: expected FILES for a model of pictures, got none\n"
    )
    np.save("small.npy", np.zeros((2, 2)))
    assert says("predict runs/a small.npy", capsys, code=2) == (
        "dezero predict: small.npy: expected numbers of shape (8, 8), got float64 of "
        "shape (2, 2)\n"
    )
    Path("text").write_text("no picture")
    assert says("predict runs/a text", capsys, code=2) == (
        "dezero predict: text: expected a picture, got another file\n"
    )
    about = json.loads(Path("runs/a/about.json").read_text())
    Path("runs/a/about.json").write_text(json.dumps({**about, "names": ["cat"]}))
    assert says("eval runs/a", capsys, code=2) == (
        "dezero eval: expected data with the same 1 classes as in training, got 10 "
        "others\n"
    )


def test_texts_that_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bytes").write_bytes(b"\xff\xfe\xff")
    err = says("train --data text --file bytes", capsys, code=2)
    assert err.startswith("dezero train: bytes: expected text in UTF-8, got ")
    Path("short").write_text("abc" * 20)
    assert says("train --data text --file short", capsys, code=2) == (
        "dezero train: short: expected more letters than three stretches of 64, got "
        "60; write --set data.length=6\n"
    )


# -- the config ------------------------------------------------------------------------


def test_a_config_comes_back(tmp_path: Path) -> None:
    config = configs.merged(
        {"model": {"name": "mlp", "hidden": [3, 4], "text": 'a "b" \\ é'}},
        {"train": {"compile": True}, "optimizer": {"name": "SGD", "lr": 1e-9}},
    )
    configs.save(tmp_path / "config.toml", config)
    assert configs.load(tmp_path / "config.toml") == config


def test_a_new_name_begins_a_section_anew() -> None:
    first: configs.Config = {"optimizer": {"name": "Adam", "beta1": 0.5}}
    config = configs.merged(first, {"optimizer": {"lr": 0.1}})
    assert config["optimizer"] == {"name": "Adam", "beta1": 0.5, "lr": 0.1}
    config = configs.merged(first, {"optimizer": {"name": "SGD"}})
    assert config["optimizer"] == {"name": "SGD"}
    assert configs.DEFAULTS["optimizer"] == {"name": "Adam"}


def test_values_on_the_command_line() -> None:
    words = ["a.b", "model.x=1e-3", "model.y=[1,2]", "model.z=true", "model.w=a=b"]
    assert configs.override(words[1:]) == {
        "model": {"x": 1e-3, "y": [1, 2], "z": True, "w": "a=b"}
    }
    with pytest.raises(UsageError):
        configs.override(words)


def test_every_option_stands_for_a_key() -> None:
    for section, key in training.KEYS.values():
        assert key in configs.DEFAULTS[section] or (section, key) == ("optimizer", "lr")


# -- the others ------------------------------------------------------------------------


def test_summary_and_graph(capsys: pytest.CaptureFixture[str]) -> None:
    out = says("summary mlp --set model.hidden=[4] --shape 1,3,3", capsys)
    assert out == (
        "layer  kind        output   parameters  multiply-adds  memory\n"
        "l1     Linear      (1, 4)           40             36    16 B\n"
        "l3     Linear      (1, 10)          50             40    40 B\n"
        "total  Sequential  (1, 10)          90             76    72 B\n"
    )
    assert "LetterLSTM  (1, 64, 65)" in says("summary lstm", capsys)
    assert says("graph mlp --to a.svg", capsys) == "a.svg\n"
    assert "l1/W" in Path("a.svg").read_text()
    says(f"train {SMALL} --epochs 1 --name a", capsys)
    assert "Sequential  (1, 10)" in says("summary runs/a", capsys)
    err = says("summary cnn --shape 2", capsys, code=2)
    assert err.startswith(
        "dezero summary: [model]: expected a model for inputs of shape (2,), got "
        "ConvNet, where "
    )


def test_doctor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = says("doctor", capsys)
    found = dict(line.split(None, 1) for line in out.splitlines())
    assert found["DeZero"] == dezero.__version__
    assert found["NumPy"].startswith(np.__version__)
    assert found["self-test"].startswith("passed: ")
    monkeypatch.setattr(doctor, "AGREE", -1.0)
    with pytest.raises(SystemExit) as stop:
        cli.main(["doctor"])
    assert stop.value.code == 1
    assert "FAILED" in capsys.readouterr().out
    assert "self-test" not in says("doctor --no-test", capsys)
    monkeypatch.setattr(doctor, "LIBRARIES", {"no-such-library": "plot"})
    assert "no-such-library not installed; write: pip install 'dezero[plot]'" in says(
        "doctor --no-test", capsys
    )


def test_bench(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    work: dict[str, Any] = {"mlp": (lambda: tasks.mlp(3, (4,)), (5, 1, 4, 4), 3)}
    monkeypatch.setattr(bench, "WORK", work)
    lines = says("bench --seconds 0.01", capsys).splitlines()
    assert re.fullmatch(r"mlp, batch of 5 +\d+\.\d\d ms +\d+\.\d\d ms", lines[1])


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: dezero {command} ")
