"""Recurrent layers over whole sequences: lengths, layers, directions."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from references import sigmoid

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import Variable, optimizers
from dezero.gradcheck import check_derivatives, gradient_check

KINDS = [L.RNN, L.LSTM, L.GRU]
every_kind = pytest.mark.parametrize("kind", KINDS)


def float64(layer: L.Layer) -> Any:
    rng = np.random.default_rng(1)
    for p in layer.params():
        p.data = rng.normal(size=p.shape)
    return layer


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


# -- the same, sequence by sequence, step by step, gate by gate ----------------------


def plain_step(layer: Any, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> Any:
    """One step of one sequence: x (in,), h and c (H,)."""
    p = {name: param.data for name, param in layer.named_params().items()}
    if isinstance(layer, L.RNN):
        return np.tanh(x @ p["x2h/W"] + p["x2h/b"] + h @ p["h2h/W"]), c
    if isinstance(layer, L.LSTM):
        a = {g: x @ p[f"x2{g}/W"] + p[f"x2{g}/b"] + h @ p[f"h2{g}/W"] for g in "fiou"}
        c = sigmoid(a["f"]) * c + sigmoid(a["i"]) * np.tanh(a["u"])
        return sigmoid(a["o"]) * np.tanh(c), c
    a, s = x @ p["x2h/W"] + p["x2h/b"], h @ p["h2h/W"] + p["h2h/b"]
    (ar, az, an), (sr, sz, sn) = np.split(a, 3), np.split(s, 3)
    r, z = sigmoid(ar + sr), sigmoid(az + sz)
    return (1 - z) * np.tanh(an + r * sn) + z * h, c


def plain_run(layer: Any, x: np.ndarray) -> np.ndarray:
    """One sequence (T, in), one direction: (T, H)."""
    h = c = np.zeros(layer.hidden_size)
    hs = []
    for one in x:
        h, c = plain_step(layer, one, h, c)
        hs.append(h)
    return np.array(hs)


def plain(layer: Any, xs: np.ndarray, lengths: Any = None) -> np.ndarray:
    """All of it: (N, T, H * directions)."""
    N, T, _ = xs.shape
    ys = []
    for x, n in zip(xs, [T] * N if lengths is None else lengths, strict=True):
        y = x[:n]
        for one in (layer, *layer.above):
            forth = plain_run(one, y)
            both = [forth] + ([plain_run(one.back, y[::-1])[::-1]] if one.back else [])
            y = np.concatenate(both, axis=1)
        ys.append(np.pad(y, ((0, T - n), (0, 0))))
    return np.array(ys)


@every_kind
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [None, np.array([4, 1, 3])])
def test_whole_sequences(
    kind: Any, num_layers: int, bidirectional: bool, lengths: Any
) -> None:
    layer = float64(kind(3, 2, num_layers=num_layers, bidirectional=bidirectional))
    x = normal(3, 4, 2)
    y = layer(x, lengths=lengths)
    assert y.shape == (3, 4, 6 if bidirectional else 3)
    np.testing.assert_allclose(y.data, plain(layer, x, lengths), rtol=1e-12, atol=1e-13)
    last = layer.above[-1] if num_layers > 1 else layer
    ends = np.full(3, 4) if lengths is None else lengths
    np.testing.assert_array_equal(last.h.data, y.data[[0, 1, 2], ends - 1, :3])
    if bidirectional:
        np.testing.assert_array_equal(last.back.h.data, y.data[:, 0, 3:])


@every_kind
def test_what_is_padded_does_not_matter(kind: Any) -> None:
    layer = float64(kind(3, 2, num_layers=2, bidirectional=True))
    x = normal(2, 5, 2)
    y = layer(x, lengths=[3, 5])
    x[0, 3:] = 100.0
    np.testing.assert_array_equal(layer(x, lengths=[3, 5]).data, y.data)
    short = layer(x[:1, :3])
    np.testing.assert_allclose(short.data, y.data[:1, :3], rtol=1e-12)


@every_kind
def test_a_whole_sequence_is_its_steps(kind: Any) -> None:
    layer = float64(kind(3, 2, num_layers=2))
    x = normal(2, 5, 2)
    y = layer(x)
    layers = [layer, *layer.above]
    states = [(one.h.data, getattr(one, "c", one.h).data) for one in layers]
    layer.reset_state()
    for t in range(5):
        np.testing.assert_allclose(layer(x[:, t]).data, y.data[:, t], rtol=1e-12)
    for one, (h, c) in zip(layers, states, strict=True):
        np.testing.assert_allclose(one.h.data, h, rtol=1e-12)
        np.testing.assert_allclose(getattr(one, "c", one.h).data, c, rtol=1e-12)
    np.testing.assert_array_equal(layer(x).data, y.data)  # it begins anew


@every_kind
def test_steps_go_on_from_the_end_of_a_sequence(kind: Any) -> None:
    layer = float64(kind(3, 2))
    x = normal(2, 5, 2)
    y = layer(x)
    layer(x[:, :4])
    np.testing.assert_allclose(layer(x[:, 4]).data, y.data[:, 4], rtol=1e-12)


@every_kind
def test_one_step_and_no_sequence(kind: Any) -> None:
    layer = float64(kind(3, 2))
    x = normal(2, 1, 2)
    np.testing.assert_allclose(layer(x).data, plain(layer, x), rtol=1e-12)
    empty = layer(x, lengths=[0, 1])
    np.testing.assert_array_equal(empty.data[0], 0)
    np.testing.assert_array_equal(layer.h.data[0], 0)


@every_kind
def test_gradients_of_whole_sequences(kind: Any) -> None:
    layer = float64(kind(2, 2, num_layers=2, bidirectional=True))
    x, lengths, weights = normal(2, 3, 2), np.array([3, 2]), normal(2, 3, 4)
    check_derivatives(lambda x: layer(x, lengths=lengths), x)

    def value() -> Variable:
        return F.sum(layer(x, lengths=lengths) * weights)

    value().backward()
    for p in layer.params():
        before, direction = p.data, normal(*p.shape)
        around = []
        for e in (1e-6, -1e-6):
            p.data = before + e * direction
            around.append(value().item())
        wanted = (around[0] - around[1]) / 2e-6
        found = (p.grad.data * direction).sum()
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-8)
        p.data = before


@every_kind
def test_gradient_check(kind: Any) -> None:
    layer = float64(kind(2, 2))
    assert gradient_check(layer, normal(2, 4, 2))


@every_kind
def test_compiled(kind: Any) -> None:
    def make() -> Any:
        rng = np.random.RandomState(3)
        layer = kind(4, 3, num_layers=2, bidirectional=True)
        for p in layer.params():
            p.data = rng.randn(*p.shape).astype(np.float32)
        optimizer = optimizers.SGD(0.1).setup(layer)

        def step(x: Any, lengths: Any) -> Any:
            loss = F.mean(layer(x, lengths=lengths) ** 2)
            layer.cleargrads()
            loss.backward()
            optimizer.update()
            return loss

        return layer, step

    (here, eager), (there, step) = make(), make()
    compiled = dezero.compile(step)
    for lengths in (np.array([5, 2]), np.array([1, 4])):
        x = normal(2, 5, 3).astype(np.float32)
        losses = eager(x, lengths), compiled(x, lengths)
        np.testing.assert_allclose(*(float(loss) for loss in losses), rtol=1e-5)
    for p, q in zip(here.params(), there.params(), strict=True):
        np.testing.assert_allclose(p.data, q.data, rtol=1e-4, atol=1e-6)


def test_dropout_is_between_the_layers_alone() -> None:
    x = normal(2, 4, 3)
    one = float64(L.LSTM(3, 3, dropout_ratio=1.0))
    assert (one(x).data != 0).all()
    two = float64(L.LSTM(3, 3, num_layers=2, dropout_ratio=1.0))
    y = two(x).data
    np.testing.assert_allclose(y, np.broadcast_to(y[:1], y.shape))  # nothing of x
    with dezero.test_mode():
        assert not np.allclose(two(x).data, y)


@every_kind
def test_types_stay_and_names_are_those_of_the_book(kind: Any) -> None:
    layer = kind(3, num_layers=2, bidirectional=True)
    y = layer(np.ones((2, 4, 5), np.float32), lengths=[2, 3])
    assert y.dtype == np.float32
    y.backward()
    assert all(p.grad.dtype == np.float32 for p in layer.params())
    names = list(layer.named_params())
    first = "x2f/W" if kind is L.LSTM else "x2h/W"
    assert names[0] == first
    assert {f"back/{first}", f"above/0/{first}", f"above/0/back/{first}"} <= {*names}


# -- errors ---------------------------------------------------------------------------


@every_kind
@pytest.mark.parametrize(
    ("arguments", "shape", "lengths", "message"),
    [
        (
            {},
            (3,),
            None,
            "expected x (N, in), one step, or (N, T, in), whole sequences, got (3,)",
        ),
        (
            {"bidirectional": True},
            (2, 3),
            None,
            "expected whole sequences (N, T, in) to run over in both directions, got "
            "one step (2, 3)",
        ),
        (
            {},
            (2, 3),
            [1, 1],
            "expected whole sequences (N, T, in) to run over with lengths, got one "
            "step (2, 3)",
        ),
        ({}, (2, 0, 3), None, "expected at least one step, got x (2, 0, 3)"),
        (
            {},
            (2, 4, 3),
            [1, 1, 1],
            "expected lengths as 2 integers (N,) to match x (2, 4, 3), got shape (3,) "
            "of int64",
        ),
        (
            {},
            (2, 4, 3),
            [1.0, 2.0],
            "expected lengths as 2 integers (N,) to match x (2, 4, 3), got shape (2,) "
            "of float64",
        ),
        (
            {},
            (2, 4, 3),
            [1, 5],
            "expected lengths from 0 to 4, the steps of x, got from 1 to 5",
        ),
    ],
)
def test_what_does_not_fit(
    kind: Any, arguments: Any, shape: Any, lengths: Any, message: str
) -> None:
    layer = kind(3, **arguments)
    with pytest.raises(
        ValueError, match=f"^{re.escape(f'{kind.__name__}: {message}')}$"
    ):
        layer(np.ones(shape), lengths=lengths)
    assert layer.h is None


@every_kind
def test_arguments_out_of_range(kind: Any) -> None:
    name = kind.__name__
    message = f"{name}: expected num_layers of 1 or more, got 0"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kind(3, num_layers=0)
    message = f"{name}: expected dropout_ratio from 0 to 1, got 2"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kind(3, dropout_ratio=2)


def test_gru_cell_names_what_does_not_fit() -> None:
    x, h, W, U = np.ones((2, 3)), np.ones((2, 1)), np.ones((3, 3)), np.ones((1, 3))
    with pytest.raises(ValueError) as caught:
        F.gru_cell(x, h, W, U, np.ones(3), np.ones(2))
    assert str(caught.value) == (
        "gru_cell: expected c (3,) to match x (2, 3) and h (2, 1), got c (2,)"
    )
    with pytest.raises(ValueError) as caught:
        F.gru_cell(x[0], h, W, U, np.ones(3), np.ones(3))
    assert str(caught.value) == (
        "gru_cell: expected x (N, in) and h (N, H), got x (3,) and h (2, 1)"
    )


def test_gru_with_another_batch_size() -> None:
    layer = L.GRU(3)
    layer(np.ones((4, 2)))
    with pytest.raises(ValueError) as caught:
        layer(np.ones((1, 2)))
    assert str(caught.value) == (
        "GRU: expected x with 4 rows, as its state has, got x (1, 2); write "
        "reset_state() before a new batch of sequences"
    )
