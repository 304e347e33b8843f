"""Attention and transformers as layers, against plain loops over heads and tokens."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import optimizers
from dezero.gradcheck import check_derivatives


def float64(layer: L.Layer) -> Any:
    rng = np.random.default_rng(1)
    for p in layer.params():
        p.data = rng.normal(size=p.shape) * 0.5
    return layer


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


def numbers(layer: L.Layer) -> dict[str, np.ndarray]:
    return {name: p.data for name, p in layer.named_params().items()}


# -- the same, token by token -------------------------------------------------------


def softmax(scores: Any) -> np.ndarray:
    e = np.exp(np.asarray(scores))
    return e / e.sum()


def attention(p: Any, heads: int, x: np.ndarray, memory: np.ndarray, looks: Any) -> Any:
    """``looks(t, s)``: whether token t may look at token s."""
    (N, T, C), S = x.shape, memory.shape[1]
    Wq, Wk, Wv = np.split(p["qkv/W"], 3, axis=1)
    bq, bk, bv = np.split(p["qkv/b"], 3)
    D = C // heads
    y = np.zeros((N, T, C))
    for n in range(N):
        q, k, v = x[n] @ Wq + bq, memory[n] @ Wk + bk, memory[n] @ Wv + bv
        for h in range(heads):
            part = slice(h * D, h * D + D)
            for t in range(T):
                seen = [s for s in range(S) if looks(t, s)]
                weights = softmax([q[t, part] @ k[s, part] / D**0.5 for s in seen])
                y[n, t, part] = sum(
                    w * v[s, part] for w, s in zip(weights, seen, strict=True)
                )
    return y @ p["project/W"] + p["project/b"]


def norm(p: Any, name: str, x: np.ndarray) -> np.ndarray:
    xc = x - x.mean(-1, keepdims=True)
    h = xc / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return h * p[f"{name}/gamma"] + p[f"{name}/beta"]


def under(p: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(name + "/"): v for k, v in p.items() if k.startswith(name)}


def network(p: Any, x: np.ndarray) -> np.ndarray:
    h = np.maximum(x @ p["widen/W"] + p["widen/b"], 0)
    return h @ p["narrow/W"] + p["narrow/b"]


# -- MultiHeadAttention -------------------------------------------------------------


@pytest.mark.parametrize("causal", [False, True])
def test_self_attention(causal: bool) -> None:
    layer, x = float64(L.MultiHeadAttention(6, 3)), normal(2, 4, 6)
    wanted = attention(numbers(layer), 3, x, x, lambda t, s: s <= t or not causal)
    np.testing.assert_allclose(layer(x, causal=causal).data, wanted, rtol=1e-12)


def test_attention_to_a_memory_with_a_mask() -> None:
    layer, x = float64(L.MultiHeadAttention(6, 2)), normal(2, 4, 6)
    memory = np.random.default_rng(5).normal(size=(2, 5, 6))
    mask = np.array([True, False, True, True, False])
    wanted = attention(numbers(layer), 2, x, memory, lambda t, s: mask[s])
    y = layer(x, memory, mask=mask)
    np.testing.assert_allclose(y.data, wanted, rtol=1e-12)
    y = layer(x, memory, mask=np.where(mask, 0, -np.inf)[None, None, None])
    np.testing.assert_allclose(y.data, wanted, rtol=1e-12)


def test_attention_without_biases() -> None:
    layer = L.MultiHeadAttention(4, 2, nobias=True)
    assert list(layer.named_params()) == ["qkv/W", "project/W"]
    x = normal(1, 3, 4).astype(np.float32)
    np.testing.assert_allclose(layer(x, x).data, layer(x).data, rtol=1e-5, atol=1e-6)


def test_rotary_attention_sees_distances_alone() -> None:
    """Three tokens, and the same with others before them at which none may look."""
    layer, x = float64(L.MultiHeadAttention(8, 2, rotary=True)), normal(1, 5, 8)
    seen = np.arange(5) >= 2
    later = layer(x, mask=seen, causal=True)
    np.testing.assert_allclose(
        later.data[:, 2:], layer(x[:, 2:], causal=True).data, rtol=1e-10
    )
    assert not np.allclose(layer(x[:, ::-1]).data[:, ::-1], layer(x).data)


def test_derivatives_of_attention() -> None:
    layer = float64(L.MultiHeadAttention(4, 2, rotary=True))
    check_derivatives(lambda x: layer(x, causal=True), normal(2, 3, 4))
    layer = float64(L.MultiHeadAttention(4, 2))
    check_derivatives(layer, normal(2, 3, 4), normal(2, 2, 4), order=2)


def test_dropout_of_weights_in_training_alone() -> None:
    layer, x = float64(L.MultiHeadAttention(4, 2, dropout_ratio=1.0)), normal(1, 3, 4)
    wanted = np.broadcast_to(layer.project.b.data, (1, 3, 4))
    np.testing.assert_allclose(layer(x).data, wanted)
    with dezero.test_mode():
        assert not np.allclose(layer(x).data, wanted)


# -- KeyValueCache ------------------------------------------------------------------


@pytest.mark.parametrize("rotary", [False, True])
def test_a_cache_gives_what_the_whole_gives(rotary: bool) -> None:
    layer, x = float64(L.MultiHeadAttention(8, 2, rotary=rotary)), normal(2, 9, 8)
    whole = layer(x, causal=True).data
    cache = L.KeyValueCache()
    parts = []
    with dezero.no_grad():
        for start, stop in ((0, 3), (3, 4), (4, 5), (5, 9)):
            parts.append(layer(x[:, start:stop], causal=True, cache=cache).data)
            assert cache.length == stop
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-10)


def test_a_cache_keeps_a_memory() -> None:
    layer, x = float64(L.MultiHeadAttention(4, 2)), normal(1, 3, 4)
    memory = normal(1, 5, 4)
    cache = L.KeyValueCache()
    with dezero.no_grad():
        wanted = layer(x, memory).data
        layer(x[:, :1], memory, cache=cache)
        y = layer(x, np.zeros_like(memory), cache=cache)
    assert cache.length == 5
    np.testing.assert_array_equal(y.data, wanted)


def test_a_cache_refuses_what_it_cannot_do() -> None:
    layer, x = L.MultiHeadAttention(4, 2), normal(2, 3, 4)
    message = (
        "KeyValueCache: expected to be used while no graph is recorded, as gradients "
        "do not lead through it; write with dezero.no_grad()"
    )
    cache = L.KeyValueCache()
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        layer(x, cache=cache)
    assert cache.length == 0
    message = (
        "KeyValueCache: expected keys of 2 sequences and 2 heads, as it has seen, got "
        "(1, 2, 3, 2); write KeyValueCache() for a new batch"
    )
    with dezero.no_grad():
        layer(x, cache=cache)
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            layer(x[:1], cache=cache)
    assert cache.length == 3


# -- positions ----------------------------------------------------------------------


def test_position_embedding() -> None:
    layer = L.PositionEmbedding(6, 2)
    W, x = layer.W.data, normal(3, 4, 2).astype(np.float32)
    np.testing.assert_array_equal(layer(x).data, x + W[:4])
    np.testing.assert_array_equal(layer(x, start=2).data, x + W[2:])
    assert abs(L.PositionEmbedding(1000, 10).W.data.std() - 0.02) < 0.001
    for shape, start, message in (
        ((1, 4, 2), 3, "expected at most 6 tokens, got 7"),
        ((1, 4, 3), 0, "expected x of shape (N, T, 2), got (1, 4, 3)"),
        ((4, 2), 0, "expected x of shape (N, T, 2), got (4, 2)"),
    ):
        message = f"PositionEmbedding: {message}"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            layer(np.ones(shape), start)


# -- layers of transformers -----------------------------------------------------------


@pytest.mark.parametrize("pre_norm", [False, True])
def test_encoder_layer(pre_norm: bool) -> None:
    layer = float64(
        L.TransformerEncoderLayer(6, 2, 5, pre_norm=pre_norm, activation=F.relu)
    )
    x, p = normal(2, 4, 6), numbers(layer)

    def attend(x: np.ndarray) -> np.ndarray:
        return attention(under(p, "attention"), 2, x, x, lambda t, s: s <= t)

    if pre_norm:
        h = x + attend(norm(p, "norm1", x))
        wanted = h + network(p, norm(p, "norm2", h))
    else:
        h = norm(p, "norm1", x + attend(x))
        wanted = norm(p, "norm2", h + network(p, h))
    np.testing.assert_allclose(layer(x, causal=True).data, wanted, rtol=1e-11)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_decoder_layer(pre_norm: bool) -> None:
    layer = float64(
        L.TransformerDecoderLayer(6, 2, 5, pre_norm=pre_norm, activation=F.relu)
    )
    x, p = normal(2, 4, 6), numbers(layer)
    memory = np.random.default_rng(5).normal(size=(2, 5, 6))
    seen = np.array([True, True, False, True, True])

    def attend(x: np.ndarray) -> np.ndarray:
        return attention(under(p, "attention"), 2, x, x, lambda t, s: s <= t)

    def look(x: np.ndarray) -> np.ndarray:
        return attention(under(p, "cross"), 2, x, memory, lambda t, s: seen[s])

    if pre_norm:
        h = x + attend(norm(p, "norm1", x))
        h = h + look(norm(p, "norm_cross", h))
        wanted = h + network(p, norm(p, "norm2", h))
    else:
        h = norm(p, "norm1", x + attend(x))
        h = norm(p, "norm_cross", h + look(h))
        wanted = norm(p, "norm2", h + network(p, h))
    y = layer(x, memory, memory_mask=seen)
    np.testing.assert_allclose(y.data, wanted, rtol=1e-11)
    caches = L.KeyValueCache(), L.KeyValueCache()
    with dezero.no_grad():
        parts = [
            layer(x[:, t : t + 1], memory, memory_mask=seen, caches=caches).data
            for t in range(4)
        ]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), wanted, rtol=1e-10)


def test_layers_train_compiled_as_eager() -> None:
    """With dropout in three places: the program keeps the order of the draws."""

    def make() -> Any:
        rng = np.random.RandomState(3)
        layer = L.TransformerDecoderLayer(8, 2, dropout_ratio=0.1)
        for p in layer.params():
            p.data = (rng.randn(*p.shape) * 0.3).astype(np.float32)
        optimizer = optimizers.SGD(0.1).setup(layer)

        def step(x: Any, memory: Any) -> Any:
            loss = F.mean(layer(x, memory) ** 2)
            layer.cleargrads()
            loss.backward()
            optimizer.update()
            return loss

        return layer, step

    (here, eager), (there, step) = make(), make()
    compiled = dezero.compile(step)
    x, memory = normal(2, 3, 8).astype("f"), normal(2, 4, 8).astype("f")
    for seed in range(2):
        np.random.seed(seed)
        loss = eager(x, memory)
        np.random.seed(seed)
        np.testing.assert_allclose(loss.data, compiled(x, memory).data, rtol=1e-5)
    for p, q in zip(here.params(), there.params(), strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-4, atol=1e-6)


def test_dropout_of_what_is_added() -> None:
    layer, x = (
        float64(L.TransformerEncoderLayer(4, 2, dropout_ratio=1.0)),
        normal(1, 3, 4),
    )
    np.testing.assert_array_equal(layer(x).data, x)
    with dezero.test_mode():
        assert not np.allclose(layer(x).data, x)


# -- errors -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"width": 6, "heads": 4},
            "expected a width that is a multiple of heads, got width 6 and heads 4",
        ),
        (
            {"width": 6, "heads": 0},
            "expected a width that is a multiple of heads, got width 6 and heads 0",
        ),
        (
            {"width": 6, "heads": 2, "dropout_ratio": -1},
            "expected dropout_ratio from 0 to 1, got -1",
        ),
    ],
)
def test_arguments_out_of_range(arguments: Any, message: str) -> None:
    message = f"MultiHeadAttention: {message}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        L.MultiHeadAttention(**arguments)


@pytest.mark.parametrize(
    ("x", "memory", "message"),
    [
        ((3, 4), None, "expected x of shape (N, T, 4), got (3, 4)"),
        ((2, 3, 5), None, "expected x of shape (N, T, 4), got (2, 3, 5)"),
        ((2, 3, 4), (2, 3, 5), "expected memory of shape (N, T, 4), got (2, 3, 5)"),
    ],
)
def test_shapes_that_do_not_fit(x: Any, memory: Any, message: str) -> None:
    layer = L.MultiHeadAttention(4, 2)
    message = f"MultiHeadAttention: {message}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        layer(np.ones(x), None if memory is None else np.ones(memory))


def test_rotary_attention_has_no_memory() -> None:
    layer, x = L.MultiHeadAttention(4, 2, rotary=True), np.ones((1, 3, 4))
    message = (
        "MultiHeadAttention: expected no memory, as its positions are not those of x, "
        "got one in a layer with rotary=True"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        layer(x, x)
