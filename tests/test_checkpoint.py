"""Checkpoints: nothing is lost, nothing is changed, and nothing damaged is believed."""

from __future__ import annotations

import os
import random as python_random
import resource
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import DataLoader, random
from dezero.errors import DataError
from dezero.models import MLP, Sequential
from dezero.optimizers import SGD, Adam
from dezero.train import Checkpoint
from dezero.train.archive import read, write

NIGHT = Path(__file__).parent / "night.py"
SOURCE = Path(dezero.__file__).parents[1]


def toy() -> tuple[Any, Any, DataLoader]:
    """A model with dropout and a memory, its optimizer, and its data."""
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    data = [(row, int(row[0] > row[1])) for row in x]
    model = Sequential(L.Linear(4), L.BatchNorm(), F.dropout, L.LSTM(4), L.Linear(2))
    return model, Adam(0.1).setup(model), DataLoader(data, 4)


def trained(folder: Path, every: int) -> tuple[int, Any, dict[str, Any]]:
    """Three epochs: from which step, the next random numbers, and all else."""
    model, optimizer, loader = toy()
    checkpoint = Checkpoint(
        folder, every=every, keep=99, model=model, optimizer=optimizer, loader=loader
    )
    checkpoint.resume()
    resumed_at = checkpoint.steps
    while checkpoint.steps < 15:
        for x, t in loader:
            loss = F.softmax_cross_entropy(model(x), t)
            model.cleargrads()
            loss.backward()
            loss.unchain_backward()
            optimizer.update()
            checkpoint.step()
    checkpoint.save()
    last = read(checkpoint.files()[0])
    return resumed_at, (np.random.rand(), python_random.random()), last


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def saved(folder: Path, steps: int = 3, every: int = 1, **options: Any) -> Checkpoint:
    """A folder with the checkpoints of a short training of a linear layer."""
    layer = L.Linear(2, in_size=2)
    checkpoint = Checkpoint(folder, every=every, layer=layer, **options)
    for _ in range(steps):
        layer.W.data = layer.W.data + 1
        checkpoint.step()
    checkpoint.wait()
    return checkpoint


# -- kill -9 ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("way", "kills"), [("eager", 20), ("compiled", 15), ("fit", 15)]
)
def test_killed_trainings_end_as_if_they_had_not_been(
    way: str, kills: int, tmp_path: Path
) -> None:
    ran = subprocess.run(
        [sys.executable, NIGHT, tmp_path, str(kills), way],
        capture_output=True,
        text=True,
        timeout=250,
        env={
            **os.environ,
            "PYTHONPATH": str(SOURCE),
            "OPENBLAS_NUM_THREADS": "1",
            "DEZERO_HOME": str(tmp_path / "home"),
        },
    )
    assert ran.stdout.startswith(f"{kills} kills, 0 checkpoints lost, "), ran
    assert ran.returncode == 0 and "error" not in ran.stderr


# -- taking up -------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 4, 5, 7])
@pytest.mark.parametrize("seed", [None, 3])
def test_all_that_matters_comes_back(
    steps: int, seed: int | None, tmp_path: Path
) -> None:
    random.seed(seed)
    _, numbers, wanted = trained(tmp_path / "a", every=steps)
    (tmp_path / "b").mkdir()
    shutil.copy(tmp_path / "a" / f"step-{steps:08}.npz", tmp_path / "b")
    np.random.seed(99)
    python_random.seed(99)
    random.seed(None)
    resumed_at, numbers_again, found = trained(tmp_path / "b", every=100)
    random.seed(None)
    assert resumed_at == steps
    assert numbers_again == numbers
    assert list(found) == list(wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    for name in ("model/l3/h2f/W", "optimizer/t", "checkpoint/memory/model/l3/c"):
        assert name in found
    assert ("checkpoint/random/own/words" in found) == (seed is not None)


def test_the_file_is_plain_npz(tmp_path: Path) -> None:
    checkpoint = saved(tmp_path)
    with np.load(checkpoint.files()[0], allow_pickle=False) as file:
        assert file["layer/W"].shape == (2, 2)
        assert file["checkpoint/steps"] == 3


def test_the_last_ones_are_kept(tmp_path: Path) -> None:
    saved(tmp_path, steps=11, every=2, keep=2)
    assert names(tmp_path) == ["step-00000008.npz", "step-00000010.npz"]


def test_nothing_to_resume(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "a" / "b", layer=L.Linear(2))
    assert not checkpoint.resume()
    assert checkpoint.steps == 0


def test_leftovers_of_a_killed_process_go(tmp_path: Path) -> None:
    partial = tmp_path / ".step-00000001.npz.0123abcd.partial"
    partial.write_bytes(b"half")
    Checkpoint(tmp_path).resume()
    assert not partial.exists()


def test_a_checkpoint_is_not_overwritten_by_accident(tmp_path: Path) -> None:
    saved(tmp_path)
    before = names(tmp_path)
    again = Checkpoint(tmp_path, layer=L.Linear(2, in_size=2))
    with pytest.raises(FileExistsError) as error:
        again.step()
    assert str(error.value) == (
        f"Checkpoint: expected no checkpoints in '{tmp_path}', got "
        "'step-00000003.npz'; write checkpoint.resume() to go on from there, or name "
        "another folder"
    )
    assert names(tmp_path) == before


# -- damage ----------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    """One bit of a weight, and the checksum of the zip as if nothing had been."""
    arrays = read(path)
    arrays["layer/W"].view(np.uint32)[0, 0] ^= 1
    digest = path.read_bytes()[-64:]
    write(path, arrays)
    path.write_bytes(path.read_bytes()[:-64] + digest)


def without_digest(path: Path) -> None:
    np.savez(path, **read(path))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut, "File is not a zip file"),
        (emptied, "File is not a zip file"),
        (flipped, "expected the SHA-256 "),
        (without_digest, "expected the SHA-256 in its comment, got "),
    ],
)
def test_a_damaged_checkpoint_is_passed_over(
    damage: Any, reason: str, tmp_path: Path
) -> None:
    newest, before, _ = saved(tmp_path).files()
    wanted = read(before)["layer/W"]
    damage(newest)
    layer = L.Linear(2, in_size=2)
    checkpoint = Checkpoint(tmp_path, every=1, layer=layer)
    with pytest.warns(RuntimeWarning) as warned:
        assert checkpoint.resume()
    (message,) = (str(warning.message) for warning in warned)
    assert message.startswith(
        f"Checkpoint: expected whole files, got a damaged '{newest}'"
    )
    assert reason in message
    assert message.endswith("; going on from 'step-00000002.npz'")
    np.testing.assert_array_equal(layer.W.data, wanted)
    assert "step-00000003.damaged" in names(tmp_path)
    checkpoint.save()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Checkpoint(tmp_path, layer=layer).resume()


def test_one_bit_anywhere_is_found(tmp_path: Path) -> None:
    write(tmp_path / "a.npz", {"x": np.arange(3.0), "y": np.array("text")})
    whole = (tmp_path / "a.npz").read_bytes()
    wanted = read(tmp_path / "a.npz")
    for place in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[place] ^= 16
        (tmp_path / "b.npz").write_bytes(broken)
        try:
            found = read(tmp_path / "b.npz")
        except (DataError, OSError):
            continue
        # What is left are bits that say nothing, such as the date of a member.
        assert list(found) == list(wanted)
        for name, array in wanted.items():
            assert found[name].tobytes() == array.tobytes()
            assert found[name].dtype == array.dtype


def test_only_damaged_ones(tmp_path: Path) -> None:
    files = saved(tmp_path, steps=2).files()
    for path in files:
        emptied(path)
    with pytest.raises(DataError) as error:
        Checkpoint(tmp_path, layer=L.Linear(2, in_size=2)).resume()
    reasons = [
        f"  {path.name}: load: expected an .npz file of plain arrays, got '{path}', "
        "where File is not a zip file"
        for path in files
    ]
    assert str(error.value).split("\n") == [
        f"Checkpoint: expected a whole file in '{tmp_path}', got damaged ones only:",
        *reasons,
    ]
    assert names(tmp_path) == ["step-00000001.npz", "step-00000002.npz"]


# -- what does not fit -----------------------------------------------------------------


def test_another_model_is_an_error_that_changes_nothing(tmp_path: Path) -> None:
    model = MLP((3, 2))
    optimizer = Adam().setup(model)
    model(np.ones((1, 2), np.float32))
    Checkpoint(tmp_path, model=model, optimizer=optimizer).save()
    (path,) = tmp_path.iterdir()
    other = MLP((3, 2))
    with pytest.raises(DataError) as error:
        Checkpoint(tmp_path, optimizer=SGD().setup(other), model=other).resume()
    assert str(error.value).startswith(
        f"Checkpoint: expected '{path}' to fit, got another state of 'optimizer': SGD."
    )
    assert all(param.data is None for param in (other.l0.W, other.l1.W))
    with pytest.raises(DataError) as error:
        Checkpoint(tmp_path, modl=other).resume()
    assert str(error.value) == (
        f"Checkpoint: expected the parts modl in '{path}', got 'model' as well; did "
        "you mean 'modl'?"
    )


def test_parts_that_cannot_be_kept(tmp_path: Path) -> None:
    with pytest.raises(TypeError) as error:
        Checkpoint(tmp_path, loader=[1, 2])  # type: ignore[arg-type]
    assert str(error.value) == (
        "Checkpoint: expected parts with state_dict() and load_state_dict(), got "
        "loader=[1, 2]"
    )
    checkpoint = Checkpoint(tmp_path, layer=L.Linear(2))
    for name in ("layer", "checkpoint"):
        with pytest.raises(ValueError) as wrong:
            checkpoint.add(**{name: L.Linear(3)})
        assert str(wrong.value) == (
            f"Checkpoint: expected a new name for a part, got '{name}', which is taken"
        )
    for name in ("every", "keep"):
        with pytest.raises(ValueError) as wrong:
            Checkpoint(tmp_path, **{name: 0})  # type: ignore[arg-type]
        assert str(wrong.value) == f"Checkpoint: expected {name} of at least 1, got 0"


# -- disks -----------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as error:
        Checkpoint(tmp_path / "file" / "run")
    assert str(error.value) == (
        "Checkpoint: expected a folder that can be written to, got "
        f"'{tmp_path / 'file' / 'run'}' (Not a directory)"
    )


def test_a_disk_with_too_little_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nearly_full(_: Path) -> Any:
        return shutil._ntuple_diskusage(10**9, 10**9 - 2_000_000, 2_000_000)

    monkeypatch.setattr(shutil, "disk_usage", nearly_full)
    message = (
        f"Checkpoint: expected 4.0 MB free in '{tmp_path}' for 4 checkpoints of "
        "1.0 MB, got 2.0 MB"
    )
    layer = L.Linear(500, in_size=500)
    with pytest.raises(OSError) as error:
        Checkpoint(tmp_path, layer=layer).resume()
    assert str(error.value) == message
    with pytest.raises(OSError) as error:
        Checkpoint(tmp_path, layer=layer).step()
    assert str(error.value) == message
    assert names(tmp_path) == []


@pytest.fixture
def small_files() -> Iterator[None]:
    """The system lets no file grow over 20,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_writing_that_fails_loses_nothing(tmp_path: Path, small_files: None) -> None:
    layer = L.Linear(2, in_size=2)
    checkpoint = Checkpoint(tmp_path, every=2, layer=layer)
    checkpoint.resume()
    for _ in range(2):
        checkpoint.step()
    checkpoint.wait()
    layer.W.data = np.zeros((100, 100), np.float32)
    checkpoint.step()
    checkpoint.step()  # begins to write
    assert checkpoint._writer is not None
    checkpoint._writer.join()
    with pytest.raises(OSError) as error:
        checkpoint.step()
    assert str(error.value) == (
        f"Checkpoint: expected to write to '{tmp_path}', got File too large; "
        "'step-00000002.npz' is there"
    )
    assert names(tmp_path) == ["step-00000002.npz"]
    assert read(checkpoint.files()[0])["layer/W"].shape == (2, 2)


def test_the_training_may_go_on_while_it_is_written(tmp_path: Path) -> None:
    """What is written is what was there when the saving began."""
    layer = L.Linear(300, in_size=300)
    checkpoint = Checkpoint(tmp_path, every=1, layer=layer)
    wanted = layer.W.data.copy()
    checkpoint.step()
    layer.W.data[...] = 0
    checkpoint.wait()
    np.testing.assert_array_equal(read(checkpoint.files()[0])["layer/W"], wanted)


# -- random numbers and files ----------------------------------------------------------


def test_a_state_of_random_numbers_is_checked() -> None:
    def draw() -> tuple[float, float]:
        return np.random.randn(), python_random.gauss(0, 1)

    state = random.state_dict()
    wanted = draw()
    for broken in (
        {},
        {**state, "numpy/words": np.zeros(3, np.uint32)},
        {**state, "python/words": np.zeros(3, np.int64)},
    ):
        random.load_state_dict(state)
        with pytest.raises(DataError, match=r"random\.load_state_dict: expected"):
            random.load_state_dict(broken)
        assert draw() == wanted


def test_parameters_that_get_their_data_late(tmp_path: Path) -> None:
    """The second step of a sequence shapes what joins it to the first."""
    x = np.ones((2, 3), np.float32)
    rnn = L.RNN(4)
    rnn(x)
    Checkpoint(tmp_path, rnn=rnn).save()
    again = L.RNN(4)
    assert Checkpoint(tmp_path, rnn=again).resume()
    np.testing.assert_array_equal(again.x2h.W.data, rnn.x2h.W.data)
    assert again.h2h.W.data is None
    shaped = L.RNN(4, in_size=3)
    with pytest.raises(DataError, match="h2h/W"):
        Checkpoint(tmp_path, rnn=shaped).resume()
