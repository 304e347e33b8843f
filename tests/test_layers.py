"""Layers: which parameters they have, how these come to be, and what a call leaves."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import re
import weakref
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import Layer, Parameter, Variable
from dezero.core import propagate


def parameter(*shape: int) -> Parameter:
    return Parameter(np.ones(shape, np.float32))


def data_of(layer: Layer) -> list[np.ndarray]:
    return [p.data for p in layer.params()]


# -- which parameters ---------------------------------------------------------------


def test_parameters_come_in_the_order_of_definition() -> None:
    layer = Layer()
    layer.z, layer.a = parameter(1), parameter(2)
    layer.parts = [parameter(3), (parameter(4), {"m": parameter(5), "b": parameter(6)})]
    layer.last = L.Linear(8, in_size=7)
    assert [p.size for p in layer.params()] == [1, 2, 3, 4, 5, 6, 56, 8]
    assert list(layer.named_params()) == [
        "z",
        "a",
        "parts/0",
        "parts/1/0",
        "parts/1/1/m",
        "parts/1/1/b",
        "last/W",
        "last/b",
    ]


def test_what_is_no_parameter_is_not_found() -> None:
    layer = Layer()
    layer.x = Variable(np.ones(2))
    layer.h = [Variable(np.ones(2)), "text", 3, None, np.ones(2)]
    assert list(layer.params()) == []


def test_a_parameter_reached_twice_comes_once() -> None:
    layer = Layer()
    layer.l1 = L.Linear(3, in_size=3, nobias=True)
    layer.l2 = L.Linear(3, in_size=3)
    layer.l2.W = layer.l1.W
    layer.again = layer.l1
    assert list(layer.named_params()) == ["l1/W", "l2/b"]
    assert len(list(layer.params())) == 2


def test_a_direct_way_names_a_parameter_before_one_through_a_list() -> None:
    layer = Layer()
    layer.layers = [L.Linear(2), L.Linear(2, nobias=True)]
    layer.l1 = layer.layers[1]
    assert list(layer.named_params()) == ["layers/0/W", "layers/0/b", "l1/W"]


def test_parameters_set_anew_or_deleted() -> None:
    layer = Layer()
    layer.a, layer.b = parameter(1), parameter(2)
    layer.a = new = parameter(3)
    del layer.b
    assert list(layer.named_params().items()) == [("a", new)]
    layer.a = None
    assert list(layer.params()) == []


def test_layers_that_reach_each_other() -> None:
    one, two = Layer(), Layer()
    one.two, two.one, two.W = two, one, parameter(1)
    assert list(one.named_params()) == ["two/W"]
    assert list(two.named_params()) == ["W"]


def test_two_parameters_of_one_name() -> None:
    layer = Layer()
    layer.parts = {1: parameter(1), "1": parameter(2)}
    assert len(list(layer.params())) == 2
    with pytest.raises(ValueError) as caught:
        layer.named_params()
    assert str(caught.value) == (
        "Layer: expected every parameter to have a name of its own, got two of the "
        "name 'parts/1'"
    )


def test_cleargrads() -> None:
    layer = L.Linear(2, in_size=3)
    F.sum(layer(np.ones((4, 3)))).backward()
    assert all(p.grad is not None for p in layer.params())
    layer.cleargrads()
    assert all(p.grad is None for p in layer.params())


# -- a call -------------------------------------------------------------------------


class Scale(Layer):
    def forward(self, x: Any, factor: Any = 1.0, shift: Any = 0.0) -> Any:
        return x * factor + shift


def test_arguments_of_any_kind() -> None:
    assert float(Scale()(Variable(np.array(2.0)), factor=3.0, shift=1)) == 7.0
    assert Scale()(2.0, 4) == 8.0
    np.testing.assert_array_equal(L.Linear(1)([[0.0, 0.0]]).data, [[0.0]])


def test_inputs_and_outputs_are_weak() -> None:
    layer = Scale()
    assert layer.inputs == [] and layer.outputs == []
    x = Variable(np.ones(2))
    y = layer(x, 2.0)
    assert layer.inputs[0]() is x
    assert layer.inputs[1]() is None  # a number has no weak reference
    assert layer.outputs[0]() is y
    seen = weakref.ref(y)
    gc.disable()
    try:
        del y
        assert seen() is None
    finally:
        gc.enable()
    assert layer.outputs[0]() is None


def test_several_outputs() -> None:
    class Both(Layer):
        def forward(self, x: Any) -> Any:
            return x * 1, x * 2

    layer = Both()
    y0, y1 = layer(Variable(np.ones(2)))
    assert [ref() is y for ref, y in zip(layer.outputs, (y0, y1), strict=True)] == [
        True,
        True,
    ]


def test_attributes_of_a_user_called_inputs_and_outputs_stay() -> None:
    layer = Scale()
    layer.inputs = L.Linear(2, in_size=1)
    layer(np.ones(2))
    assert isinstance(layer.inputs, L.Linear)
    assert list(layer.named_params()) == ["inputs/W", "inputs/b"]


def test_an_unknown_attribute() -> None:
    layer = L.Linear(2)
    with pytest.raises(AttributeError) as caught:
        _ = layer.out_sise
    assert str(caught.value) == (
        "Linear: expected the name of an attribute, got 'out_sise'; did you mean "
        "'out_size'?"
    )


def test_no_forward() -> None:
    with pytest.raises(NotImplementedError) as caught:
        Layer()(1)
    assert str(caught.value) == "Layer: expected a method forward"


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))],
    ids=["deepcopy", "pickle"],
)
@pytest.mark.parametrize("kind", [L.LSTM, L.RNN])
def test_copies_after_a_call(kind: Any, copied: Any) -> None:
    layer = kind(3)
    x = np.ones((2, 4), np.float32)
    layer(x)
    layer(x)
    twin = copied(layer)
    assert twin.outputs == []
    for p, q in zip(layer.params(), twin.params(), strict=True):
        assert p is not q
        np.testing.assert_array_equal(p.data, q.data)
    np.testing.assert_array_equal(layer(x).data, twin(x).data)
    F.sum(twin.h).backward()
    assert all(p.grad is None for p in layer.params())


def test_a_copy_keeps_ties() -> None:
    layer = Layer()
    layer.l1, layer.l2 = L.Linear(3, in_size=3), L.Linear(3, in_size=3)
    layer.l2.W = layer.l1.W
    twin = copy.deepcopy(layer)
    assert twin.l1.W is twin.l2.W


# -- Linear, Conv2d, Deconv2d -------------------------------------------------------


def test_linear_draws_what_the_book_draws() -> None:
    np.random.seed(0)
    early, late = L.Linear(3, in_size=4), L.Linear(5)
    late(np.ones((2, 6), np.float32))
    np.random.seed(0)
    W0 = np.random.randn(4, 3).astype(np.float32) * np.float32(math.sqrt(1 / 4))
    W1 = np.random.randn(6, 5).astype(np.float32) * np.float32(math.sqrt(1 / 6))
    np.testing.assert_array_equal(early.W.data, W0)
    np.testing.assert_array_equal(late.W.data, W1)
    assert early.W.dtype == late.W.dtype == late.b.dtype == np.float32
    assert not late.b.data.any()


def test_linear_knows_its_size() -> None:
    layer = L.Linear(3)
    assert layer.in_size is None
    layer(np.ones((2, 5)))
    assert layer.in_size == 5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_types_stay(dtype: Any) -> None:
    x = np.ones((2, 3, 5, 5), dtype)
    for layer in (
        L.Conv2d(4, 3, dtype=dtype),
        L.Deconv2d(4, 3, dtype=dtype),
        L.Linear(2, dtype=dtype),
        L.BatchNorm(),
    ):
        y = layer(x)
        F.sum(y).backward()
        assert y.dtype == dtype
        for p in layer.params():
            assert p.dtype == dtype and (p.grad is None or p.grad.dtype == dtype)


@pytest.mark.parametrize("nobias", [True, False])
@pytest.mark.parametrize(
    ("kind", "shape", "y_shape"),
    [
        (L.Conv2d, (4, 2, 3, 2), (1, 4, 4, 3)),
        (L.Deconv2d, (2, 4, 3, 2), (1, 4, 13, 14)),
    ],
)
def test_convolution(kind: Any, shape: Any, y_shape: Any, nobias: bool) -> None:
    np.random.seed(0)
    layer = kind(4, (3, 2), stride=2, pad=(1, 0), nobias=nobias)
    x = np.random.randn(1, 2, 7, 7).astype(np.float32)
    np.random.seed(1)
    y = layer(x)
    np.random.seed(1)
    W = np.random.randn(*shape).astype(np.float32) * np.float32(math.sqrt(1 / 12))
    np.testing.assert_array_equal(layer.W.data, W)
    assert (layer.b is None) == nobias
    assert layer.in_channels == 2
    function = F.conv2d if kind is L.Conv2d else F.deconv2d
    np.testing.assert_array_equal(
        y.data, function(x, W, None if nobias else np.zeros(4, "f"), 2, (1, 0)).data
    )
    assert y.shape == y_shape


def test_in_channels_given_draws_at_once() -> None:
    assert L.Conv2d(4, 3, in_channels=2).W.shape == (4, 2, 3, 3)
    assert L.Deconv2d(4, 3, in_channels=2).W.shape == (2, 4, 3, 3)


# -- EmbedID, BatchNorm -------------------------------------------------------------


def test_embed_id() -> None:
    np.random.seed(0)
    layer = L.EmbedID(10, 3)
    np.random.seed(0)
    W = np.random.randn(10, 3).astype(np.float32)
    ids = np.array([[1, 9], [1, 0]])
    y = layer(ids)
    np.testing.assert_array_equal(y.data, W[ids])
    assert layer.outputs[0]() is y
    F.sum(y).backward()
    assert layer.W.grad is not None
    np.testing.assert_array_equal(layer.W.grad.data[:3, 0], [1, 2, 0])


def test_batch_norm_keeps_running_averages() -> None:
    layer = L.BatchNorm()
    x = np.random.randn(64, 3) * 2 + 5
    y = layer(x)
    np.testing.assert_allclose(y.data.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(y.data.std(0), 1, atol=1e-4)
    assert list(layer.named_params()) == ["avg_mean", "avg_var", "gamma", "beta"]
    np.testing.assert_allclose(layer.avg_mean.data, 0.1 * x.mean(0))
    before = [p.copy() for p in data_of(layer)]
    with dezero.test_mode():
        layer(x)
    for old, new in zip(before, data_of(layer), strict=True):
        np.testing.assert_array_equal(old, new)
    F.sum(y * y).backward()
    assert [p.grad is None for p in layer.params()] == [True, True, False, False]


# -- recurrence ---------------------------------------------------------------------


def test_rnn_with_another_in_size() -> None:
    rnn = L.RNN(3, in_size=5)
    assert rnn.x2h.W.shape == (5, 3) and rnn.h2h.W.shape == (3, 3)
    x = np.random.randn(2, 5).astype(np.float32)
    h = rnn(x)
    np.testing.assert_allclose(h.data, np.tanh(x @ rnn.x2h.W.data), rtol=1e-6)
    again = rnn(x)
    a = x @ rnn.x2h.W.data + h.data @ rnn.h2h.W.data
    np.testing.assert_allclose(again.data, np.tanh(a), rtol=1e-5)


def test_rnn_draws_its_second_matrix_at_the_second_step() -> None:
    rnn = L.RNN(3)
    x = np.ones((2, 5), np.float32)
    rnn(x)
    assert rnn.h2h.W.data is None
    rnn(x)
    assert rnn.h2h.W.shape == (3, 3)


def plain_lstm(layer: L.LSTM, xs: Any) -> list[Variable]:
    """An LSTM gate by gate, as the book writes it."""
    h = c = None
    hs = []
    for x in xs:
        gates = {}
        for gate in "fiou":
            a = getattr(layer, f"x2{gate}")(x)
            if h is not None:
                a = a + getattr(layer, f"h2{gate}")(h)
            gates[gate] = F.tanh(a) if gate == "u" else F.sigmoid(a)
        new = gates["i"] * gates["u"]
        c = new if c is None else gates["f"] * c + new
        h = gates["o"] * F.tanh(c)
        hs.append(h)
    return hs


def lstm64(hidden_size: int, in_size: int) -> L.LSTM:
    layer = L.LSTM(hidden_size, in_size=in_size)
    for p in layer.params():
        p.data = np.random.randn(*p.shape)
    return layer


def test_lstm_is_that_of_the_book() -> None:
    layer = lstm64(4, 3)
    xs = np.random.randn(5, 2, 3)
    hs = [layer(x) for x in xs]
    F.sum(hs[-1] * hs[-2]).backward()
    grads = [p.grad.data for p in layer.params() if p.grad is not None]
    layer.cleargrads()
    plain = plain_lstm(layer, xs)
    F.sum(plain[-1] * plain[-2]).backward()
    for h, wanted in zip(hs, plain, strict=True):
        np.testing.assert_allclose(h.data, wanted.data, rtol=1e-12, atol=1e-14)
    for grad, p in zip(grads, layer.params(), strict=True):
        assert p.grad is not None
        np.testing.assert_allclose(grad, p.grad.data, rtol=1e-10, atol=1e-13)


def test_lstm_has_second_derivatives() -> None:
    layer = lstm64(3, 2)
    x = Variable(np.random.randn(2, 2))

    def second(run: Any) -> np.ndarray:
        y = F.sum(run()[-1])
        gx = propagate(y, Variable(np.ones(())), create_graph=True)[x]
        z = F.sum(gx * gx)
        return propagate(z, Variable(np.ones(())), create_graph=False)[x].data

    def cells() -> list[Variable]:
        layer.reset_state()
        return [layer(x), layer(x), layer(x)]

    np.testing.assert_allclose(
        second(cells), second(lambda: plain_lstm(layer, [x, x, x])), rtol=1e-9
    )


def test_lstm_draws_what_the_book_draws() -> None:
    np.random.seed(0)
    layer = L.LSTM(3)
    layer(np.ones((1, 2), np.float32))
    np.random.seed(0)
    h2 = [np.random.randn(3, 3).astype("f") * np.float32(3**-0.5) for _ in "fiou"]
    x2 = [np.random.randn(2, 3).astype("f") * np.float32(2**-0.5) for _ in "fiou"]
    for gate, W_h, W_x in zip("fiou", h2, x2, strict=True):
        np.testing.assert_array_equal(getattr(layer, f"h2{gate}").W.data, W_h)
        np.testing.assert_array_equal(getattr(layer, f"x2{gate}").W.data, W_x)
    assert [name for name in layer.named_params() if name.startswith("x2f")] == [
        "x2f/W",
        "x2f/b",
    ]


def test_lstm_sees_parameters_written_between_steps() -> None:
    layer = lstm64(3, 2)
    x = np.random.randn(2, 2)
    layer(x)
    layer.h2u.W.data = layer.h2u.W.data * 2
    layer.x2f = L.Linear(3, in_size=2, dtype=np.float64)
    h, c = layer.h, layer.c
    y = layer(x)
    W = [getattr(layer, f"x2{g}").W.data for g in "fiou"]
    U = [getattr(layer, f"h2{g}").W.data for g in "fiou"]
    wanted, _ = F.lstm_cell(
        x,
        h,
        c,
        np.vstack([np.hstack(W), np.hstack(U)]),
        np.hstack([getattr(layer, f"x2{g}").b.data for g in "fiou"]),
    )
    np.testing.assert_allclose(y.data, wanted.data, rtol=1e-12)


def test_lstm_joins_its_weights_once_for_a_sequence() -> None:
    layer = lstm64(3, 2)
    x = np.random.randn(2, 2)
    layer(x)
    first = layer.h.creator.inputs[3]
    layer(x)
    assert layer.h.creator.inputs[3] is first
    F.sum(layer.h).backward()
    F.sum(layer.h).unchain_backward()
    layer(x)
    assert layer.h.creator.inputs[3] is not first


def test_truncated_backpropagation_through_time() -> None:
    layer = L.LSTM(3)
    optimizer = dezero.optimizers.Adam().setup(layer)
    xs = np.random.randn(3, 4, 2, 2).astype(np.float32)
    for stretch in xs:
        before = layer.h, layer.c
        loss: Any = 0
        for x in stretch:
            loss += F.sum(layer(x) ** 2)
        layer.cleargrads()
        loss.backward()
        loss.unchain_backward()
        optimizer.update()
        for state in (*before, layer.h, layer.c):
            assert state is None or state.creator is None


@pytest.mark.parametrize("kind", [L.RNN, L.LSTM])
def test_another_batch_size(kind: Any) -> None:
    layer = kind(3)
    layer(np.ones((4, 2)))
    with pytest.raises(ValueError) as caught:
        layer(np.ones((1, 2)))
    assert str(caught.value) == (
        f"{kind.__name__}: expected x with 4 rows, as its state has, got x (1, 2); "
        "write reset_state() before a new batch of sequences"
    )
    layer.reset_state()
    assert layer(np.ones((1, 2))).shape == (1, 3)


def test_lstm_cell_names_what_does_not_fit() -> None:
    x, h, W, b = np.ones((2, 3)), np.ones((2, 1)), np.ones((4, 4)), np.ones(4)
    with pytest.raises(ValueError) as caught:
        F.lstm_cell(x, h, h, np.ones((3, 4)), b)
    assert str(caught.value) == (
        "lstm_cell: expected W (4, 4) to match x (2, 3) and h (2, 1), got W (3, 4)"
    )
    with pytest.raises(ValueError) as caught:
        F.lstm_cell(x[0], h, h, W, b)
    assert str(caught.value) == (
        "lstm_cell: expected x (N, in) and h (N, H), got x (3,) and h (2, 1)"
    )


def test_concat_names_what_does_not_fit() -> None:
    with pytest.raises(ValueError) as caught:
        F.concat([np.ones((2, 3)), np.ones((3, 3))], axis=1)
    assert str(caught.value) == (
        "concat: expected shapes that are equal but for axis 1, got (2, 3), (3, 3)"
    )
    with pytest.raises(ValueError) as caught:
        F.concat([np.ones(3)], axis=1)
    assert str(caught.value) == ("concat: expected axis from -1 to 0 for x (3,), got 1")
    with pytest.raises(ValueError) as caught:
        F.concat([])
    assert str(caught.value) == "concat: expected one array or more, got none"


# -- what does not fit --------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "x", "message", "right"),
    [
        (
            L.Conv2d(2, 3),
            np.ones((5, 5)),
            "Conv2d: expected x of shape (N, C, H, W), got x (5, 5)",
            np.ones((1, 3, 5, 5)),
        ),
        (
            L.Deconv2d(2, 3),
            np.ones((3, 5, 5)),
            "Deconv2d: expected x of shape (N, C, H, W), got x (3, 5, 5)",
            np.ones((1, 2, 5, 5)),
        ),
        (
            L.Linear(2),
            np.float32(1),
            "Linear: expected x of shape (N, in), got x ()",
            np.ones((1, 3)),
        ),
        (
            L.BatchNorm(),
            np.ones(4),
            "BatchNorm: expected x of shape (N, C, ...), got x (4,)",
            np.ones((4, 3)),
        ),
    ],
)
def test_what_does_not_fit_gives_no_shape_to_parameters(
    layer: Layer, x: Any, message: str, right: Any
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        layer(x)
    assert next(layer.params()).data is None
    layer(right)
