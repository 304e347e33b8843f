"""``model.summary(x)``: what it counts, and that it changes nothing."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import Function, Layer
from dezero.models import Model, ResNet50, Sequential


def row(summary: Any, name: str) -> Any:
    return next(r for r in summary.rows if r.name == name)


def test_what_each_layer_gives_holds_and_does() -> None:
    model = Sequential(
        L.Conv2d(6, (3, 5), stride=2, pad=1),
        L.BatchNorm(),
        F.relu,
        L.Deconv2d(2, 4, stride=2, nobias=True),
        F.flatten,
        L.Linear(7),
    )
    summary = model.summary((10, 3, 9, 9))
    # (10, 3, 9, 9) -> (10, 6, 5, 4) -> (10, 2, 12, 10) -> (10, 240) -> (10, 7)
    assert [tuple(r) for r in summary.rows] == [
        ("l0", "Conv2d", (10, 6, 5, 4), 6 * 45 + 6, 10 * 6 * 20 * 45, 4 * 1200),
        ("l1", "BatchNorm", (10, 6, 5, 4), 12, 0, row(summary, "l1").memory),
        ("l3", "Deconv2d", (10, 2, 12, 10), 6 * 32, 10 * 6 * 20 * 32, 4 * 2400),
        ("l5", "Linear", (10, 7), 240 * 7 + 7, 10 * 240 * 7, 4 * 70),
    ]
    assert summary.total[:5] == (
        "total",
        "Sequential",
        (10, 7),
        sum(r.parameters for r in summary.rows),
        sum(r.multiply_adds for r in summary.rows),
    )
    assert summary.total.memory >= sum(r.memory for r in summary.rows) + 4 * 1200


def test_products_in_no_layer_of_their_own() -> None:
    class Attention(Model):
        def __init__(self) -> None:
            super().__init__()
            self.qkv = L.Linear(12, nobias=True)

        def forward(self, x: Any) -> Any:  # (N, T, 4)
            qkv = self.qkv(x)
            q, k, v = qkv[:, :, :4], qkv[:, :, 4:8], qkv[:, :, 8:]
            weights = F.softmax(F.matmul(q, k.transpose(0, 2, 1)), axis=2)
            return F.matmul(weights, v), weights

    summary = Attention().summary(np.zeros((2, 5, 4), np.float32))
    linear = 2 * 5 * 4 * 12
    assert row(summary, "qkv").multiply_adds == linear
    assert summary.total.multiply_adds == linear + 2 * (2 * 5 * 5 * 4)
    assert summary.total.output == [(2, 5, 4), (2, 5, 5)]


def test_blocks_contain_their_layers() -> None:
    class Block(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.one = self.two = L.Linear(3, in_size=3)

        def forward(self, x: Any) -> Any:
            return self.two(self.one(x)) + x

    model = Model()
    model.blocks = [Block(), Block()]
    model.head = L.EmbedID(4, 3)
    model.forward = lambda ids: model.blocks[1](model.blocks[0](model.head(ids)))
    summary = model.summary(np.array([[0, 3]]))
    assert [r.name for r in summary.rows] == [
        "blocks/0",
        "blocks/0/one",
        "blocks/1",
        "blocks/1/one",
        "head",
    ]
    one = row(summary, "blocks/0/one")
    assert one.parameters == 12 and one.multiply_adds == 2 * (2 * 9)  # called twice
    block = row(summary, "blocks/0")
    assert block.multiply_adds == one.multiply_adds
    assert block.memory == one.memory + 4 * 6  # and the sum
    assert summary.total.parameters == 2 * 12 + 12
    assert summary.total.multiply_adds == 4 * (2 * 9)


def test_a_recurrent_layer() -> None:
    summary = L.LSTM(5).summary((4, 3))
    assert summary.total.parameters == 4 * (3 * 5 + 5 * 5 + 5)
    assert summary.total.multiply_adds == 4 * (3 + 5) * 20
    assert row(summary, "x2f").output is None  # the LSTM joins its parameters
    assert summary.total.output == (4, 5)


def test_several_inputs_and_a_function_of_ones_own() -> None:
    class Dot(Function):
        def forward(self, x: Any, y: Any) -> Any:
            return (x * y).sum()

        def multiply_adds(self, xs: Any, ys: Any) -> int:
            return xs[0].size

    class Pair(Model):
        def forward(self, x: Any, y: Any) -> Any:
            return Dot()(x, y)

    summary = Pair().summary((6,), dezero.Variable(np.ones(6)))
    assert summary.rows == [] and summary.total.multiply_adds == 6


def test_resnet50() -> None:
    total = ResNet50().summary((1, 3, 64, 64)).total
    assert total.parameters == 25_557_032 + 64
    # Each layer by hand; 3.8 billion at 224 × 224, as He et al. say in their Table 1.
    size = 32
    wanted = 64 * 3 * 49 * size**2
    width, size = 64, 16
    for blocks, mid in zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True):
        size = size if mid == 64 else size // 2
        for i in range(blocks):
            per_pixel = mid * width + 9 * mid * mid + 4 * mid * mid
            per_pixel += 4 * mid * width if i == 0 else 0
            wanted += per_pixel * size**2
            width = 4 * mid
    assert total.multiply_adds == wanted + 2048 * 1000


# -- nothing changes ----------------------------------------------------------------


def test_a_model_without_shapes_stays_one() -> None:
    model = Sequential(L.Linear(3), L.BatchNorm(), F.dropout)
    state = np.random.get_state()[1].copy()
    before = copy.deepcopy(vars(model))
    assert model.summary((2, 5)).total.parameters == 5 * 3 + 3 + 6
    assert model.l0.W.data is None and model.l1.gamma.data is None
    assert model.l0.in_size is None
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    assert vars(model).keys() == before.keys()
    assert "forward" not in vars(model.l0)
    assert model(np.ones((2, 7))).shape == (2, 3)


def test_states_and_graphs_stay() -> None:
    class Net(Model):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.bn = L.RNN(3, in_size=2), L.BatchNorm()

        def forward(self, x: Any) -> Any:
            return self.bn(self.rnn(x))

    model = Net()
    x = dezero.Variable(np.random.randn(4, 2).astype(np.float32))
    y = model(x)
    h, state = model.rnn.h, model.state_dict()
    model.summary((4, 2))
    assert model.rnn.h is h and model.inputs[0]() is x and model.outputs[0]() is y
    assert model.training and dezero.Config.train and not dezero.Config.debug
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, state[name])
    F.sum(y).backward()
    assert model.rnn.x2h.W.grad is not None


def test_all_is_as_it_was_after_an_error() -> None:
    model = Sequential(L.Linear(3), L.Linear(2, in_size=4))
    with pytest.raises(ValueError, match="linear: expected W with 3 rows"):
        model.summary((2, 5))
    assert model.l0.W.data is None and "forward" not in vars(model.l0)
    assert not dezero.Config.debug


def test_a_compiled_step_does_not_mind() -> None:
    model = Sequential(L.Linear(3, in_size=2))
    step = dezero.compile(model)
    x = dezero.Variable(np.ones((4, 2), np.float32))
    wanted = step(x).data
    model.summary((4, 2))
    np.testing.assert_array_equal(step(x).data, wanted)
    assert "program 1 of 1" in step.explain()


# -- the table ----------------------------------------------------------------------


def test_the_table() -> None:
    model = Sequential(L.Linear(1000), F.relu, L.Linear(2, nobias=True))
    assert str(model.summary((500, 784))) == repr(model.summary((500, 784)))
    assert str(model.summary((500, 784))).splitlines() == [
        "layer  kind        output       parameters  multiply-adds   memory",
        "l0     Linear      (500, 1000)     785,000    392,000,000  1.9 MiB",
        "l2     Linear      (500, 2)          2,000      1,000,000  3.9 KiB",
        "total  Sequential  (500, 2)        787,000    393,000,000  3.8 MiB",
    ]
    assert str(Sequential(F.relu).summary((3,))).splitlines()[1] == (
        "total  Sequential  (3,)             0              0    12 B"
    )


def test_no_input() -> None:
    with pytest.raises(TypeError) as caught:
        Sequential(F.relu).summary()
    assert str(caught.value) == (
        "summary: expected what the model is called with, or its shape, got nothing; "
        "write model.summary((1, 3, 224, 224))"
    )
