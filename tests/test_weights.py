"""Weights in files: whole or not there, checked before the first is taken over."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dezero.layers as L
from dezero import Layer, Parameter
from dezero.backend import files
from dezero.backend.files import load_arrays, save_arrays, write_atomically
from dezero.errors import DataError
from dezero.models import MLP, Sequential


def mlp() -> MLP:
    model = MLP((4, 3))
    model(np.ones((1, 2), np.float32))
    return model


def values(model: Layer) -> dict[str, Any]:
    return {k: None if p.data is None else p.data.copy() for k, p in named(model)}


def named(model: Layer) -> Any:
    return model.named_params().items()


def refused(model: Layer, path: Path) -> str:
    """The error of loading ``path``, which must change nothing."""
    before = values(model)
    with pytest.raises(DataError) as caught:
        model.load_weights(path)
    for name, p in named(model):
        if before[name] is None:
            assert p.data is None
        else:
            np.testing.assert_array_equal(p.data, before[name])
    return str(caught.value)


# -- there and back -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["model", "model.npz", "model.v2"])
def test_there_and_back(tmp_path: Path, name: str) -> None:
    model, twin = mlp(), mlp()
    model.save_weights(str(tmp_path / name))
    suffix = "" if name.endswith(".npz") else ".npz"
    assert os.listdir(tmp_path) == [name + suffix]
    twin.load_weights(tmp_path / name)
    for key, p in named(model):
        np.testing.assert_array_equal(p.data, twin.named_params()[key].data)


def test_numpy_reads_the_file(tmp_path: Path) -> None:
    model = mlp()
    model.save_weights(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz", allow_pickle=False) as archive:
        assert archive.files == ["l0/W", "l0/b", "l1/W", "l1/b"]
        np.testing.assert_array_equal(archive["l1/W"], model.l1.W.data)


def test_files_of_numpy_load(tmp_path: Path) -> None:
    arrays = {key: np.full(p.shape, 0.5) for key, p in named(mlp())}
    np.savez(tmp_path / "m.npz", **arrays)
    model = mlp()
    model.load_weights(tmp_path / "m.npz")
    for p in model.params():
        assert p.dtype == np.float32  # a parameter keeps its type
        assert (p.data == 0.5).all()


def test_layers_without_shape_get_it_from_the_file(tmp_path: Path) -> None:
    def make() -> Sequential:
        return Sequential(
            L.Conv2d(2, 3), L.Deconv2d(2, 2), L.BatchNorm(), L.Linear(4), L.RNN(3)
        )

    model, twin = make(), make()
    x = np.random.randn(2, 1, 5, 5).astype(np.float32)

    def run(model: Sequential) -> Any:
        *images, linear, rnn = model.layers
        y = Sequential(*images)(x)
        y = linear(y.reshape(2, -1))
        rnn.reset_state()
        rnn(y)
        return rnn(y)

    run(model)
    model.save_weights(tmp_path / "m")
    twin.load_weights(tmp_path / "m")
    assert all(p.data is not None for p in twin.params())
    assert [p.dtype for p in twin.params()] == [p.dtype for p in model.params()]
    np.testing.assert_array_equal(run(twin).data, run(model).data)


def test_tied_parameters_are_there_once(tmp_path: Path) -> None:
    model = Sequential(L.Linear(2, in_size=2), L.Linear(2, in_size=2))
    model.l1.W = model.l0.W
    model.save_weights(tmp_path / "m")
    arrays = load_arrays(tmp_path / "m")
    assert list(arrays) == ["l0/W", "l0/b", "l1/b"]
    arrays["l1/W"] = arrays["l0/W"] = np.ones((2, 2))  # as the original writes it
    save_arrays(tmp_path / "m", arrays)
    model.load_weights(tmp_path / "m")
    assert (model.l0.W.data == 1).all()
    arrays["l1/W"] = np.zeros((2, 2))
    save_arrays(tmp_path / "m", arrays)
    assert refused(model, tmp_path / "m") == (
        f"load_weights: expected the parameters of Sequential, got other entries in "
        f"'{tmp_path / 'm'}'; nothing was loaded:\n"
        "  l1/W: expected the numbers of l0/W, with which it is tied, got others"
    )


def test_a_parameter_of_any_name(tmp_path: Path) -> None:
    layer = Layer()
    for name in ("file", "self", "path"):
        setattr(layer, name, Parameter(np.ones(2)))
    layer.save_weights(tmp_path / "m")
    assert list(load_arrays(tmp_path / "m")) == ["file", "self", "path"]


# -- what is refused ----------------------------------------------------------------


def test_every_misfit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    save_arrays(
        path,
        {
            "l0/W": np.ones((4, 2)),
            "l0/bias": np.ones(4),
            "l1/W": np.array([["a", "b", "c"]] * 4),
            "other": np.ones(()),
            "l1/b": np.ones(3),
        },
    )
    assert refused(mlp(), path) == (
        f"load_weights: expected the parameters of MLP, got other entries in '{path}'; "
        "nothing was loaded:\n"
        "  l0/W: expected shape (2, 4), got shape (4, 2)\n"
        "  l0/bias: expected no such entry, got shape (4,); did you mean 'l0/b'?\n"
        "  l1/W: expected shape (4, 3), got shape (4, 3) of type <U1\n"
        "  other: expected no such entry, got shape ()\n"
        "  l0/b: expected shape (4,), got no entry"
    )


def test_what_is_known_of_a_shape_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    model = Sequential(L.Linear(4), L.Conv2d(2, (3, 5)), L.BatchNorm())
    names = list(model.named_params())
    save_arrays(path, dict.fromkeys(names, np.ones((2, 3))))
    assert refused(model, path) == (
        f"load_weights: expected the parameters of Sequential, got other entries in "
        f"'{path}'; nothing was loaded:\n"
        "  l0/W: expected shape (?, 4), got shape (2, 3)\n"
        "  l0/b: expected shape (4,), got shape (2, 3)\n"
        "  l1/W: expected shape (2, ?, 3, 5), got shape (2, 3)\n"
        "  l1/b: expected shape (2,), got shape (2, 3)\n"
        "  l2/avg_mean: expected shape (?,), got shape (2, 3)\n"
        "  l2/avg_var: expected shape (?,), got shape (2, 3)\n"
        "  l2/gamma: expected shape (?,), got shape (2, 3)\n"
        "  l2/beta: expected shape (?,), got shape (2, 3)"
    )


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        mlp().load_weights(tmp_path / "m")
    assert str(caught.value) == (
        f"load: expected a file '{tmp_path / 'm.npz'}', got none there"
    )


def test_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    path.write_bytes(b"something else")
    assert refused(mlp(), path) == (
        f"load: expected an .npz file of plain arrays, got '{path}', where File is not "
        "a zip file"
    )


@pytest.mark.parametrize("where", [0.3, 0.6, 0.9, 0.999])
def test_a_truncated_file(tmp_path: Path, where: float) -> None:
    path = tmp_path / "m.npz"
    model = mlp()
    model.save_weights(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * where)])
    assert refused(model, path).startswith(
        f"load: expected an .npz file of plain arrays, got '{path}', where "
    )


def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    model = mlp()
    model.save_weights(path)
    whole = bytearray(path.read_bytes())
    whole[120] ^= 0xFF
    path.write_bytes(whole)
    assert refused(model, path).startswith(
        f"load: expected an .npz file of plain arrays, got '{path}', where "
    )


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "sprung"),)

    np.savez(tmp_path / "m.npz", W=np.array([Trap()], dtype=object))
    model = Layer()
    model.W = Parameter(np.ones(1))
    assert refused(model, tmp_path / "m.npz") == (
        f"load: expected an .npz file of plain arrays, got '{tmp_path / 'm.npz'}', "
        "where Object arrays cannot be loaded when allow_pickle=False"
    )
    assert not (tmp_path / "sprung").exists()


def test_a_model_that_was_never_called(tmp_path: Path) -> None:
    with pytest.raises(ValueError) as caught:
        MLP((4, 3)).save_weights(tmp_path / "m")
    assert str(caught.value) == (
        "save_weights: expected data in every parameter, got none in l0/W, l1/W, whose "
        "shape is found at the first call; write model(x) first"
    )
    assert os.listdir(tmp_path) == []


# -- whole or not there -------------------------------------------------------------


def test_a_failed_save_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = mlp()
    model.save_weights(tmp_path / "m")
    old = (tmp_path / "m.npz").read_bytes()

    def broken(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.np.lib.format, "write_array", broken)
    with pytest.raises(KeyboardInterrupt):
        model.save_weights(tmp_path / "m")
    assert os.listdir(tmp_path) == ["m.npz"]
    assert (tmp_path / "m.npz").read_bytes() == old


def test_write_atomically(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with write_atomically(path, "w") as file:
        file.write("one")
        file.flush()
        assert not path.exists()
    assert path.read_text() == "one"
    with pytest.raises(TypeError), write_atomically(path) as file:
        file.write("text where bytes belong")
    assert path.read_text() == "one"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_written_file_has_the_usual_permissions(tmp_path: Path) -> None:
    with write_atomically(tmp_path / "a") as file:
        file.write(b"")
    (tmp_path / "b").touch()
    assert mode(tmp_path / "a") == mode(tmp_path / "b")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with write_atomically(link, "w") as file:
        file.write("new")
    assert link.is_symlink() and target.read_text() == "new"


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), write_atomically(tmp_path / "no" / "a"):
        pass


def test_the_file_is_compressed(tmp_path: Path) -> None:
    save_arrays(tmp_path / "m", {"zeros": np.zeros(100_000)})
    with zipfile.ZipFile(tmp_path / "m.npz") as archive:
        assert archive.infolist()[0].compress_type == zipfile.ZIP_DEFLATED


# -- state_dict ---------------------------------------------------------------------


def test_state_dict_there_and_back() -> None:
    model, twin = mlp(), MLP((4, 3))
    state = model.state_dict()
    assert list(state) == ["l0/W", "l0/b", "l1/W", "l1/b"]
    assert twin.load_state_dict(state) == ([], [])
    x = np.ones((1, 2), np.float32)
    np.testing.assert_array_equal(twin(x).data, model(x).data)


def test_state_dict_is_made_of_copies() -> None:
    model, twin = mlp(), mlp()
    state = model.state_dict()
    model.l0.b.data += 1
    assert not state["l0/b"].any()
    model.load_state_dict(state)
    twin.load_state_dict(state)
    model.l0.b.data += 1
    assert not state["l0/b"].any() and not twin.l0.b.data.any()


def test_state_dict_that_does_not_fit() -> None:
    model = mlp()
    before = values(model)
    state = model.state_dict() | {"l1/w": np.ones(2), "l0/W": np.ones((2, 5))}
    del state["l1/W"]
    with pytest.raises(DataError) as caught:
        model.load_state_dict(state)
    assert str(caught.value) == (
        "load_state_dict: expected the parameters of MLP, got other entries; nothing "
        "was loaded:\n"
        "  l0/W: expected shape (2, 4), got shape (2, 5)\n"
        "  l1/w: expected no such entry, got shape (2,); did you mean 'l1/W'?\n"
        "  l1/W: expected shape (4, 3), got no entry"
    )
    with pytest.raises(DataError) as caught:
        model.load_state_dict(state, strict=False)
    assert str(caught.value).splitlines()[1:] == [
        "  l0/W: expected shape (2, 4), got shape (2, 5)"
    ]
    for name, p in named(model):
        np.testing.assert_array_equal(p.data, before[name])
    del state["l0/W"]
    state["l0/b"] = np.full(4, 7)
    left = model.load_state_dict(state, strict=False)
    assert left.missing == ["l0/W", "l1/W"] and left.unexpected == ["l1/w"]
    assert (model.l0.b.data == 7).all() and model.l0.b.dtype == np.float32
    np.testing.assert_array_equal(model.l0.W.data, before["l0/W"])


def test_state_dict_before_the_first_call() -> None:
    with pytest.raises(ValueError) as caught:
        MLP((3,)).state_dict()
    assert str(caught.value) == (
        "state_dict: expected data in every parameter, got none in l0/W, whose shape "
        "is found at the first call; write model(x) first"
    )
