"""Weights for and from other frameworks: their files, their names, their layouts."""

from __future__ import annotations

import json
import os
import re
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import Layer, Parameter
from dezero.backend import files
from dezero.backend.files import save_arrays
from dezero.errors import DataError, MissingDependencyError
from dezero.io import load_published, load_tensors, save_tensors
from dezero.models import MLP, Model, Sequential

library = pytest.importorskip("safetensors.numpy")

# A network of PyTorch 2.13, with weights rounded to a digit, and what it gives:
#
#   net = nn.Sequential(nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2), nn.ReLU(),
#                       nn.ConvTranspose2d(2, 1, 2), nn.Flatten(), nn.Linear(9, 2))
#   net.state_dict(); net.eval()(torch.arange(9.0).reshape(1, 1, 3, 3) / 10)
TORCH = {
    "0.weight": [[[[0, 0.3], [-0.4, -0.4]]], [[[-0.2, 0.1], [0, 0.4]]]],
    "0.bias": [0, 0.1],
    "1.weight": [2.3, -0.9],
    "1.bias": [-0.2, 2.3],
    "1.running_mean": [0, 0],
    "1.running_var": [0.8, 0.8],
    "1.num_batches_tracked": 3,
    "3.weight": [[[[-0.2, -0.1], [-0.5, -0.3]]], [[[-0.2, 0], [0.2, 0.3]]]],
    "3.bias": [-0.3],
    "5.weight": [
        [-0.1, 0.1, 0.3, -0.1, 0.2, -0.1, 0, 0.3, -0.3],
        [-0.2, -0.1, -0.1, 0.3, -0.2, -0.2, -0.2, -0.3, -0.2],
    ],
    "5.bias": [0.3, 0.1],
}
TORCH_Y = [[0.39134129881858826, -0.13949793577194214]]
X = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3) / 10


def torch_arrays() -> dict[str, Any]:
    return {
        name: np.array(x, "i8" if name.endswith("tracked") else "f4")
        for name, x in TORCH.items()
    }


def same_network() -> Sequential:
    return Sequential(
        L.Conv2d(2, 2),
        L.BatchNorm(eps=1e-5),
        F.relu,
        L.Deconv2d(1, 2),
        F.flatten,
        L.Linear(2),
    )


def error(kind: Any, function: Any, *args: Any) -> str:
    with pytest.raises(kind) as caught:
        function(*args)
    return str(caught.value)


# -- PyTorch ------------------------------------------------------------------------


def test_weights_of_pytorch_give_its_numbers(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(library.save(torch_arrays()))
    model = same_network()
    model.load_weights(path)
    np.testing.assert_allclose(model.eval()(X).data, TORCH_Y, rtol=1e-5)
    assert model.l5.W.shape == (9, 2) and model.l5.W.data.flags.c_contiguous


def test_our_weights_have_the_names_and_layouts_of_pytorch(tmp_path: Path) -> None:
    model = same_network()
    model.load_state_dict(torch_arrays())
    model.save_weights(tmp_path / "m.safetensors")
    found = library.load_file(tmp_path / "m.safetensors")
    wanted = torch_arrays()
    del wanted["1.num_batches_tracked"]  # PyTorch starts it at 0 where it is absent
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == np.float32
    metadata = load_tensors(tmp_path / "m.safetensors").metadata
    assert metadata == {"format": "pt"}


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_either_names_in_either_file(tmp_path: Path, suffix: str) -> None:
    model = same_network()
    model.load_state_dict(torch_arrays())
    save = save_arrays if suffix == ".npz" else save_tensors
    for arrays in (torch_arrays(), model.state_dict()):
        save(tmp_path / f"m{suffix}", arrays)
        twin = same_network()
        twin.load_weights(tmp_path / f"m{suffix}")
        np.testing.assert_array_equal(twin.eval()(X).data, model.eval()(X).data)


def test_paths_with_dots() -> None:
    class Block(Layer):
        published = {"fc": "projection.0"}  # noqa: RUF012

        def __init__(self) -> None:
            super().__init__()
            self.fc = L.Linear(3, in_size=2)
            self.words = L.EmbedID(4, 2)

    model = Model()
    model.blocks = [Block(), {"a": Block()}]
    names = [
        f"blocks.{way}.{name}"
        for way in ("0", "1.a")
        for name in ("projection.0.weight", "projection.0.bias", "words.weight")
    ]
    state = {
        name: p.data.T if name.endswith("0.weight") else p.data
        for name, p in zip(names, model.params(), strict=True)
    }
    assert model.load_state_dict(state) == ([], [])
    del state["blocks.0.words.weight"]
    state["blocks.0.words.wait"] = np.ones(3)
    state["blocks.1.a.projection.0.weight"] = np.ones((2, 3))
    assert error(DataError, model.load_state_dict, state).splitlines()[1:] == [
        "  blocks.1.a.projection.0.weight: expected shape (3, 2), got shape (2, 3)",
        "  blocks.0.words.wait: expected no such entry, got shape (3,); did you mean "
        "'blocks.0.words.weight'?",
        "  blocks.0.words.weight: expected shape (4, 2), got no entry",
    ]


def test_tied_weights_are_stored_once(tmp_path: Path) -> None:
    model = Model()
    model.one, model.two = (L.Linear(3, in_size=3, nobias=True) for _ in range(2))
    model.two.W = model.one.W
    model.save_weights(tmp_path / "m.safetensors")
    arrays = load_tensors(tmp_path / "m.safetensors")
    assert list(arrays) == ["one.weight"]
    arrays["two.weight"] = arrays["one.weight"]
    model.load_state_dict(arrays)
    model.load_state_dict({"two.weight": arrays["one.weight"] + 1})
    np.testing.assert_array_equal(model.one.W.data, arrays["one.weight"].T + 1)
    arrays["two.weight"] = arrays["two.weight"] + 1
    assert error(DataError, model.load_state_dict, arrays).splitlines()[1:] == [
        "  two.weight: expected the numbers of one.weight, with which it is tied, got "
        "others"
    ]


def test_two_parameters_that_are_published_under_one_name(tmp_path: Path) -> None:
    class Scaled(L.Linear):
        def __init__(self) -> None:
            super().__init__(2, in_size=2)
            self.weight = Parameter(np.ones(1))

    path = tmp_path / "m.safetensors"
    assert error(ValueError, Scaled().save_weights, path) == (
        "Scaled: expected every parameter to have a name of its own, got two of the "
        "name 'weight'"
    )
    assert os.listdir(tmp_path) == []


# -- the file -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", ["f8", "f4", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?", ">f4"]
)
def test_arrays_there_and_back(tmp_path: Path, dtype: str) -> None:
    arrays = {
        "a": np.arange(6).reshape(2, 3).astype(dtype),
        "turned": np.arange(6).reshape(2, 3).astype(dtype).T,
        "scalar": np.array(1, dtype),
        "empty": np.zeros((0, 3), dtype),
    }
    save_tensors(tmp_path / "a.safetensors", arrays, {"by": "me"})
    found = load_tensors(tmp_path / "a.safetensors")
    assert found.metadata == {"by": "me"}
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found[name], array)


def written(path: Path, entries: dict[str, Any], data: bytes) -> Path:
    """A file with a header of one's own."""
    header = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return path


def entry(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def test_half_precision_comes_as_float32(tmp_path: Path) -> None:
    x = np.array([1, -2.5, 0.15625, 3e-5, np.inf], np.float32)
    halves = x.astype(np.float16).tobytes()
    upper = (x.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    entries = {"half": entry("F16", [5], 0, 10), "brain": entry("BF16", [5], 10, 20)}
    found = load_tensors(written(tmp_path / "a", entries, halves + upper))
    assert found["half"].dtype == found["brain"].dtype == np.float32
    np.testing.assert_array_equal(found["half"], x.astype(np.float16))
    np.testing.assert_array_equal(found["brain"][[0, 1, 2, 4]], x[[0, 1, 2, 4]])
    assert abs(found["brain"][3] / x[3] - 1) < 2**-7
    assert found.metadata == {}


@pytest.mark.parametrize(
    ("offsets", "reason"),
    [
        ((4, 12), "invalid offset for tensor `a`"),
        ((0, 12), "invalid shape, data type, or offset for tensor"),
        ((8, 0), "invalid offset for tensor `a`"),
        ((0, 2**60), "invalid shape, data type, or offset for tensor"),
    ],
)
def test_a_file_that_lies_about_its_offsets(
    tmp_path: Path, offsets: tuple[int, int], reason: str
) -> None:
    path = written(
        tmp_path / "a.safetensors", {"a": entry("F32", [2], *offsets)}, b"1" * 8
    )
    text = error(DataError, load_tensors, path)
    start = f"load: expected a .safetensors file, got '{path}', where "
    assert text.startswith(start) and reason.lower() in text.lower()


@pytest.mark.parametrize("where", [0, 4, 0.3, 0.9, 0.999])
def test_a_truncated_file(tmp_path: Path, where: float) -> None:
    path = tmp_path / "m.safetensors"
    model = same_network()
    model.load_state_dict(torch_arrays())
    model.save_weights(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(where if where > 1 else len(whole) * where)])
    before = model.state_dict()
    start = f"load: expected a .safetensors file, got '{path}', where "
    assert error(DataError, model.load_weights, path).startswith(start)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_types_that_numpy_has_not(tmp_path: Path) -> None:
    path = written(tmp_path / "a", {"a": entry("F8_E4M3", [2], 0, 2)}, b"12")
    assert error(DataError, load_tensors, path) == (
        "load: expected arrays of F64, F32, F16, I64, I32, I16, I8, U64, U32, U16, U8, "
        f"BOOL, BF16, got '{path}', where a is of F8_E4M3"
    )
    assert error(TypeError, save_tensors, path, {"a": np.array(["text"])}) == (
        "save_tensors: expected arrays of numbers, got a of type <U4"
    )


def test_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    assert error(FileNotFoundError, MLP((1,)).load_weights, path) == (
        f"load: expected a file '{path}', got none there"
    )


def test_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    model = L.Linear(1, in_size=1)
    text = error(MissingDependencyError, model.save_weights, tmp_path / "a.safetensors")
    assert text == (
        ".safetensors files: expected the library 'safetensors', which is not "
        "installed; write: pip install 'dezero[files]'"
    )
    assert os.listdir(tmp_path) == []


def test_a_failed_save_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.safetensors"
    model = L.Linear(1, in_size=1)
    model.save_weights(path)
    old = path.read_bytes()

    def full(_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        model.save_weights(path)
    assert os.listdir(tmp_path) == ["m.safetensors"] and path.read_bytes() == old


# -- load_published -----------------------------------------------------------------


def published(tmp_path: Path) -> Path:
    """The weights of PyTorch's network under the names of another's attributes."""
    names = {"0": "net.body.conv", "1": "net.body.norm", "3": "net.up", "5": "net.fc"}
    arrays = {
        f"{names[name[0]]}{name[1:]}": array for name, array in torch_arrays().items()
    }
    save_tensors(tmp_path / "m.safetensors", arrays | {"ema.step": np.ones(1)})
    return tmp_path / "m.safetensors"


RENAME = {
    "net.body.conv": "0",
    "net.body.norm": "1",
    "net.up": "3",
    "net.fc": "5",
    "net.fc.weight": "5.weight",  # longer, so it counts
    "ema": None,
}


def by_function(name: str) -> str | None:
    if name.startswith("ema"):
        return None
    return (
        re.sub(r"net\.(body\.)?", "", name)
        .replace("conv", "0")
        .replace("norm", "1")
        .replace("up", "3")
        .replace("fc", "5")
    )


@pytest.mark.parametrize("rename", [RENAME, by_function], ids=["names", "function"])
def test_published_weights_under_other_names(tmp_path: Path, rename: Any) -> None:
    model = same_network()
    load_published(model, published(tmp_path), rename)
    np.testing.assert_allclose(model.eval()(X).data, TORCH_Y, rtol=1e-5)


def test_a_beginning_that_is_dropped(tmp_path: Path) -> None:
    arrays = {f"backbone.{name}": array for name, array in torch_arrays().items()}
    save_tensors(tmp_path / "m.safetensors", arrays)
    model = same_network()
    load_published(model, tmp_path / "m.safetensors", {"backbone": ""})
    np.testing.assert_allclose(model.eval()(X).data, TORCH_Y, rtol=1e-5)


def test_published_weights_that_do_not_fit(tmp_path: Path) -> None:
    model = same_network()
    path = published(tmp_path)
    text = error(DataError, load_published, model, path, RENAME | {"net.up": "4"})
    assert text == (
        "load_published: expected the parameters of Sequential, got other entries in "
        f"'{path}'; nothing was loaded:\n"
        "  4.bias: expected no such entry, got shape (1,); did you mean '3.bias'?\n"
        "  4.weight: expected no such entry, got shape (2, 1, 2, 2); did you mean "
        "'3.weight'?\n"
        "  3.weight: expected shape (?, 1, 2, 2), got no entry\n"
        "  3.bias: expected shape (1,), got no entry"
    )
    assert model.l5.W.data is None
    text = error(ValueError, load_published, model, path, {"net.bodi": "0"})
    assert text == (
        "load_published: expected names in the file, or beginnings of them up to a "
        "dot, to rename, got 'net.bodi'; did you mean 'net.body'?"
    )
    text = error(DataError, load_published, model, path, lambda name: "W")
    assert text == (
        "load_published: expected a name for each entry, got W for "
        "net.body.norm.num_batches_tracked and for ema.step"
    )


def test_a_model_that_knows_how_it_is_published(tmp_path: Path) -> None:
    class Own(Model):
        def load_published(self, arrays: Any) -> None:
            self.names = sorted(arrays)

    model = Own()
    load_published(model, published(tmp_path), {"net": "", "ema": None})
    assert model.names[:2] == ["body.conv.bias", "body.conv.weight"]
    assert dezero.io.load_published is load_published
