"""``train()`` and ``eval()``: which layers do what, eagerly and compiled."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import Config, Layer
from dezero.models import MLP, Model, Sequential


class Mode(Layer):
    """Gives the switch as it finds it."""

    def forward(self, x: Any = 0) -> bool:
        return Config.train


class Block(Layer):
    def __init__(self) -> None:
        super().__init__()
        self.parts = [Mode(), {"a": Mode()}]
        self.direct = Mode()

    def forward(self) -> list[bool]:
        return [self.parts[0](), self.parts[1]["a"](), self.direct()]


def test_every_layer_is_reached() -> None:
    block = Block()
    assert block() == [True, True, True]
    assert block.eval() is block
    assert not any(layer.training for _, layer in block.named_layers())
    assert block() == [False, False, False] and Config.train
    assert block.parts[1]["a"]() is False  # called by itself
    assert block.train().training
    assert block() == [True, True, True]
    block.train(False)
    assert block() == [False, False, False]


def test_one_layer_evaluates_in_a_model_that_trains() -> None:
    block = Block()
    block.direct.eval()
    assert block() == [True, True, False]
    block.eval()
    block.direct.train()  # what evaluates around it wins
    assert block() == [False, False, False]
    with dezero.test_mode():
        assert block.train()() == [False, False, False]


def test_the_switch_is_restored_after_an_error() -> None:
    class Broken(Layer):
        def forward(self) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Broken().eval()()
    assert Config.train


def test_layers_that_reach_each_other() -> None:
    one, two = Layer(), Layer()
    one.two, two.one = two, one
    one.eval()
    assert not one.training and not two.training
    assert [name for name, _ in one.named_layers()] == ["", "two"]


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_copy_is_in_the_same_mode(copied: Any) -> None:
    model = MLP((2, 1)).eval()
    assert not copied(model).training and not copied(model).l0.training


def test_named_layers() -> None:
    model = Model()
    model.blocks = [L.Linear(2), Sequential(L.BatchNorm(), F.relu, L.Conv2d(1, 1))]
    model.last = model.blocks[0]
    model.parameter = dezero.Parameter(np.ones(1))
    named = list(model.named_layers())
    assert [name for name, _ in named] == [
        "",
        "last",  # the way through no list
        "blocks/1",
        "blocks/1/l0",
        "blocks/1/l2",
    ]
    assert named[1][1] is model.blocks[0] and named[0][1] is model


def test_parameters_of_both_names() -> None:
    model = MLP((3, 2))
    model(np.ones((1, 4)))
    assert list(model.parameters()) == list(model.params())
    assert list(model.named_parameters()) == list(model.named_params().items())


# -- what follows the mode ----------------------------------------------------------


def test_dropout_and_batch_normalization_follow() -> None:
    model = Sequential(L.BatchNorm(), F.dropout)
    x = np.random.randn(8, 3).astype(np.float32)
    model(x)
    averages = model.l0.avg_mean.data.copy()
    np.random.seed(0)
    state = np.random.get_state()[1].copy()
    with dezero.test_mode():
        wanted = model(x).data
    np.testing.assert_array_equal(model.eval()(x).data, wanted)
    np.testing.assert_array_equal(model.l0.avg_mean.data, averages)
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    assert (model.train()(x).data == 0).any()
    assert (model.l0.avg_mean.data != averages).any()


def test_a_frozen_batch_normalization_in_a_model_that_trains() -> None:
    model = Sequential(L.Linear(3, in_size=2), L.BatchNorm(), L.BatchNorm())
    x = np.random.randn(8, 2).astype(np.float32)
    model(x)
    model.l1.eval()
    frozen, other = model.l1.avg_mean.data.copy(), model.l2.avg_mean.data.copy()
    F.sum(model(x) ** 2).backward()
    np.testing.assert_array_equal(model.l1.avg_mean.data, frozen)
    assert (model.l2.avg_mean.data != other).any()
    assert model.l1.gamma.grad is not None  # it still learns


# -- compiled -----------------------------------------------------------------------


def test_another_mode_is_another_program() -> None:
    model = Sequential(L.Linear(3, in_size=4), L.BatchNorm(), F.dropout)
    model(np.ones((5, 4), np.float32))
    step = dezero.compile(model)
    x = np.random.randn(5, 4).astype(np.float32)

    def averages() -> Any:
        return model.l1.avg_var.data.copy()

    assert (step(x).data == 0).any()
    before = averages()
    model.eval()
    np.testing.assert_allclose(step(x).data, model(x).data, rtol=1e-6)
    np.testing.assert_array_equal(averages(), before)
    model.train()
    assert (step(x).data == 0).any()
    assert (averages() != before).any()
    before = averages()
    model.l1.eval()
    assert (step(x).data == 0).any()
    np.testing.assert_array_equal(averages(), before)
    assert step.explain().count("program") >= 3
    assert "Sequential.training was True, and is no more" in step.explain()


def test_a_step_that_sets_the_mode() -> None:
    model = Sequential(L.BatchNorm(), F.dropout)
    x = np.random.randn(4, 3).astype(np.float32)
    model(x)

    @dezero.compile
    def evaluated(x: Any) -> Any:
        model.eval()
        y = model(x)
        model.train()
        return y

    with dezero.test_mode():
        wanted = model(x).data
    for _ in range(3):
        np.testing.assert_allclose(evaluated(x).data, wanted, rtol=1e-6)
        assert model.training and model.l0.training


def test_an_attribute_of_the_class_is_part_of_a_compiled_step() -> None:
    class Scaled(Layer):
        scale = 2.0

        def forward(self, x: Any) -> Any:
            return x * self.scale

    layer = Scaled()
    step = dezero.compile(layer)
    x = dezero.Variable(np.ones(2))
    assert step(x).data.tolist() == [2, 2]
    assert "scale" not in vars(layer)
    layer.scale = 3.0
    assert step(x).data.tolist() == [3, 3]
    del layer.scale
    assert step(x).data.tolist() == [2, 2]
    Scaled.scale = 5.0
    assert step(x).data.tolist() == [5, 5]


def test_a_step_counts_from_an_attribute_of_the_class() -> None:
    class Counter(Layer):
        calls = 0

        def forward(self, x: Any) -> Any:
            self.calls = self.calls + 1
            return x * 2

    eager, counter = Counter(), Counter()
    step = dezero.compile(counter)
    x = dezero.Variable(np.ones(2))
    for n in range(1, 4):
        eager(x)
        assert step(x).data.tolist() == [2, 2]
        assert counter.calls == eager.calls == n
