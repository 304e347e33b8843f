"""Dropout, normalization within examples, slopes, lists and dicts of layers."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import Layer
from dezero.models import Sequential


def names(layer: Layer) -> list[str]:
    return list(layer.named_params())


# -- dropout, slopes, embedding -----------------------------------------------------


def test_dropout_is_on_in_training_alone() -> None:
    layer = L.Dropout(0.25)
    x = np.ones((100, 100), np.float32)
    y = layer(x).data
    assert y.dtype == np.float32
    assert set(np.unique(y)) == {np.float32(0), np.float32(4 / 3)}
    assert abs((y == 0).mean() - 0.25) < 0.02
    with dezero.test_mode():
        np.testing.assert_array_equal(layer(x).data, x)
    assert names(layer) == []


def test_dropout_draws_anew_at_each_call_also_compiled() -> None:
    layer = L.Dropout()
    step = dezero.compile(lambda x: layer(x))
    x = np.ones(1000, np.float32)
    assert (step(x).data != step(x).data).any()


def test_prelu_learns_its_slopes() -> None:
    layer = L.PReLU(3, slope=0.5)
    F.sum(layer(np.array([[-1.0, 2.0, -4.0], [-1.0, -1.0, 1.0]]))).backward()
    np.testing.assert_array_equal(layer.W.data, [0.5] * 3)
    np.testing.assert_array_equal(layer.W.grad.data, [-2, -1, -4])
    assert L.PReLU().W.dtype == np.float32


def test_embedding_is_the_book_s_embed_id() -> None:
    assert L.Embedding is L.EmbedID
    np.random.seed(0)
    layer = L.Embedding(10, 3)
    np.random.seed(0)
    W = np.random.randn(10, 3).astype(np.float32)
    np.testing.assert_array_equal(layer(np.array([9, 1])).data, W[[9, 1]])


# -- normalization ------------------------------------------------------------------


NORMS: list[tuple[Any, tuple[int, ...], list[str]]] = [
    (L.LayerNorm, (4, 5, 8), ["gamma", "beta"]),
    (lambda size=None: L.LayerNorm(size, nobias=True), (4, 8), ["gamma"]),
    (L.RMSNorm, (4, 8), ["gamma"]),
    (lambda size=None: L.GroupNorm(2, size), (4, 8, 3, 3), ["gamma", "beta"]),
    (L.InstanceNorm, (4, 8, 3, 3), ["gamma", "beta"]),
]


@pytest.mark.parametrize(("make", "shape", "wanted"), NORMS)
def test_norms_take_their_size_here_or_at_the_first_call(
    make: Any, shape: tuple[int, ...], wanted: list[str], tmp_path: Path
) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    early, late = make(8), make()
    assert names(early) == names(late) == wanted
    assert all(p.shape == (8,) and p.dtype == np.float32 for p in early.params())
    assert all(p.data is None for p in late.params())
    y = early(x)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(late(x).data, y.data)
    F.sum(y).backward()
    assert all(p.grad is not None for p in early.params())
    early.gamma.data[:] = 2
    early.save_weights(tmp_path / "norm")
    fresh = make()
    fresh.load_weights(tmp_path / "norm.npz")
    np.testing.assert_array_equal(fresh(x).data, early(x).data)
    with dezero.test_mode():  # no statistics of the batch
        np.testing.assert_allclose(early(x[:1]).data, early(x).data[:1], atol=1e-6)


def test_layer_norm_over_several_axes() -> None:
    layer = L.LayerNorm((3, 4))
    y = layer(np.random.default_rng(0).normal(size=(5, 3, 4)))
    np.testing.assert_allclose(y.data.mean((1, 2)), 0, atol=1e-6)
    assert layer.gamma.shape == (3, 4)


# -- containers ---------------------------------------------------------------------


def linear(out_size: int = 2, in_size: int = 2) -> L.Linear:
    return L.Linear(out_size, in_size=in_size, nobias=True)


def test_module_list_is_a_list() -> None:
    a, b, c = linear(), linear(), linear()
    layers = L.ModuleList([a, b])
    layers.append(c)
    assert list(layers) == [a, b, c] and len(layers) == 3
    assert layers[0] is a and layers[-1] is c and b in layers
    assert list(reversed(layers)) == [c, b, a]
    assert isinstance(layers[1:], L.ModuleList) and list(layers[1:]) == [b, c]
    layers.insert(0, c)
    assert layers.pop() is c and layers.index(b) == 2
    layers[0] = a
    del layers[1]
    assert list(layers) == [a, b]
    layers[:] = (layer for layer in (b, c))
    layers += [a]
    assert list(layers) == [b, c, a]
    layers.extend(L.ModuleList([b]))
    assert list(layers) == [b, c, a, b]
    assert not L.ModuleList()


def test_names_of_parameters_in_containers(tmp_path: Path) -> None:
    model = dezero.Model()
    model.blocks = L.ModuleList([linear(), L.ModuleList([linear()])])
    model.heads = L.ModuleDict({"a": linear(), "b": L.Lambda(F.relu)})
    assert names(model) == ["blocks/0/W", "blocks/1/0/W", "heads/a/W"]
    model.blocks.scale = dezero.Parameter(np.ones(1))
    assert names(model.blocks) == ["0/W", "1/0/W", "scale"]
    model.save_weights(tmp_path / "model")
    other = copy.deepcopy(model)
    for p in other.params():
        p.data = p.data * 0
    other.load_weights(tmp_path / "model")
    for p, q in zip(model.params(), other.params(), strict=True):
        assert p is not q
        np.testing.assert_array_equal(p.data, q.data)


def test_module_dict_is_a_dict() -> None:
    a, b = linear(), linear()
    layers = L.ModuleDict({"a": a})
    layers["b"] = b
    assert layers["b"] is b and list(layers) == ["a", "b"] and len(layers) == 2
    assert dict(layers.items()) == {"a": a, "b": b} and "a" in layers
    assert layers.pop("a") is a and list(layers.values()) == [b]
    layers.update(c=a)
    del layers["b"]
    assert names(layers) == ["c/W"]
    assert L.ModuleDict() != L.ModuleDict()
    assert len({layers, layers}) == 1


def test_containers_compile_and_may_grow() -> None:
    layers = L.ModuleList([linear(2), linear(2)])
    seen: Any = L.ModuleDict({"last": linear(1)})

    def step(x: Any) -> Any:
        for layer in layers:
            x = F.tanh(layer(x))
        return seen["last"](x)

    compiled = dezero.compile(step)
    x = np.ones((3, 2))
    for _ in range(2):
        np.testing.assert_allclose(compiled(x).data, step(x).data, rtol=1e-6)
    layers.append(linear(2))
    np.testing.assert_allclose(compiled(x).data, step(x).data, rtol=1e-6)


def test_lambda_and_flatten_in_a_sequence() -> None:
    model = Sequential(L.Flatten(), linear(4, 6), L.Lambda(lambda x: x[:, :2]))
    x = np.random.default_rng(0).normal(size=(5, 2, 3))
    assert model(x).shape == (5, 2)
    assert names(model) == ["l1/W"]


# -- errors ---------------------------------------------------------------------------


def message(error: type[Exception], f: Any, *args: Any) -> str:
    with pytest.raises(error) as caught:
        f(*args)
    return str(caught.value)


def test_errors() -> None:
    assert message(ValueError, L.Dropout, 1.5) == (
        "Dropout: expected dropout_ratio from 0 to 1, got 1.5"
    )
    assert message(TypeError, L.ModuleList, [L.Linear]) == (
        "ModuleList: expected Layers, got the class Linear; write Linear(...)"
    )
    assert message(TypeError, L.ModuleList, [F.relu]) == (
        "ModuleList: expected Layers, got function; write Lambda(f)"
    )
    assert message(TypeError, L.ModuleDict, {"a": 3}) == (
        "ModuleDict: expected Layers, got int"
    )
    assert message(ValueError, L.ModuleDict, {"a/b": linear()}) == (
        "ModuleDict: expected a string without '/' as name, got 'a/b'"
    )
    assert message(TypeError, L.Lambda, 3) == "Lambda: expected a function, got int"
    assert message(ValueError, L.GroupNorm, 3, 8) == (
        "GroupNorm: expected groups that divide the 8 channels, got 3"
    )
    layers = L.ModuleList([linear()])
    with pytest.raises(TypeError):
        layers[:] = [linear(), 3]  # type: ignore[list-item]
    assert len(layers) == 1
    with pytest.raises(NotImplementedError) as caught:
        layers(np.ones(2))
    assert str(caught.value) == "ModuleList: expected a method forward"


@pytest.mark.parametrize(
    ("layer", "x", "wanted"),
    [
        (
            L.LayerNorm(),
            np.float32(1),
            "LayerNorm: expected x of shape (..., D) with elements, got x ()",
        ),
        (
            L.RMSNorm(),
            np.ones((2, 0)),
            "RMSNorm: expected x of shape (..., D) with elements, got x (2, 0)",
        ),
        (
            L.InstanceNorm(),
            np.ones(4),
            "InstanceNorm: expected x of shape (N, C, ...) with elements, got x (4,)",
        ),
        (
            L.GroupNorm(3),
            np.ones((2, 4)),
            "GroupNorm: expected groups that divide the 4 channels, got 3",
        ),
    ],
)
def test_what_does_not_fit_gives_no_shape(layer: Layer, x: Any, wanted: str) -> None:
    assert message(ValueError, layer, x) == wanted
    assert all(p.data is None for p in layer.params())
