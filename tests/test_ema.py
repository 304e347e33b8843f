"""EMA: means of weights, in and out again."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
from dezero import Parameter, Variable
from dezero.errors import DataError
from dezero.models import MLP
from dezero.optimizers import EMA, Adam

X = np.random.RandomState(0).randn(8, 3).astype(np.float32)


def world(compiled: bool = False, called: bool = True) -> Any:
    np.random.seed(1)
    model = MLP((4, 2))
    if called:
        model(X)
    optimizer, ema = Adam(0.05).setup(model), EMA(model, 0.75)

    def step(x: Any) -> Variable:
        loss: Variable = F.sum((model(x) - 1) ** 2)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        ema.update()
        return loss

    return model, optimizer, ema, dezero.compile(step) if compiled else step


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("called", [False, True], ids=["no data at first", "data"])
def test_the_means_are_those_of_the_formula(compiled: bool, called: bool) -> None:
    model, _, ema, step = world(compiled, called)
    wanted = [p.data for p in model.params()]
    for _ in range(5):
        step(X)
        wanted = [
            p.data.copy() if w is None else 0.75 * w + 0.25 * p.data
            for w, p in zip(wanted, model.params(), strict=True)
        ]
    for p, w in zip(model.params(), wanted, strict=True):
        assert ema.means[p].dtype == np.float32
        np.testing.assert_allclose(ema.means[p], w, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_weights_are_swapped_and_back(compiled: bool) -> None:
    model, _, ema, step = world(compiled)
    twin_model, _, _, twin_step = world(compiled)
    for _ in range(3):
        step(X)
        twin_step(X)
    before = [p.data for p in model.params()]
    with ema.applied():
        for p in model.params():
            np.testing.assert_array_equal(p.data, ema.means[p])
            p.data[...] = 7  # a copy
    with pytest.raises(ValueError), ema.applied():
        model(np.ones((1, 7)))  # does not fit
    assert all(p.data is x for p, x in zip(model.params(), before, strict=True))
    for _ in range(3):
        np.testing.assert_array_equal(step(X).data, twin_step(X).data)
    for p, q in zip(model.params(), twin_model.params(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_saved_and_loaded_it_goes_on_bit_for_bit(compiled: bool) -> None:
    model, optimizer, ema, step = world(compiled)
    twin_model, twin_optimizer, twin, twin_step = world(compiled)
    for _ in range(5):
        step(X)
    twin_optimizer.load_state_dict(optimizer.state_dict())
    twin.load_state_dict(copy.deepcopy(ema.state_dict()))
    for p, q in zip(twin_model.params(), model.params(), strict=True):
        p.data = q.data.copy()
    for _ in range(5):
        step(X)
        twin_step(X)
    for name, mean in ema.state_dict().items():
        np.testing.assert_array_equal(twin.state_dict()[name], mean)


def test_half_precision_has_means_of_single() -> None:
    p = Parameter(np.ones(3, np.float16))
    ema = EMA([p], 0.9999)
    p.data = np.full(3, 2, np.float16)
    ema.update()
    np.testing.assert_allclose(ema.means[p], 1.0001, rtol=1e-6)
    with ema.applied():
        assert p.dtype == np.float16


def test_errors() -> None:
    p, q = Parameter(np.ones(3)), Parameter(None)
    ema = EMA([p, q])
    with pytest.raises(DataError) as caught:
        ema.load_state_dict({"0": np.ones(2), "1": np.ones(1), "2": np.ones(1)})
    assert str(caught.value) == (
        "EMA.load_state_dict: expected the means of this model, got one where\n"
        "  0: expected shape (3,), got (2,)\n"
        "  1: its parameter has no data; call the model\n"
        "  2: unknown"
    )
    with pytest.raises(DataError, match="0: missing"):
        ema.load_state_dict({})
    with pytest.raises(ValueError) as refused:
        EMA([p], 1.5)
    assert str(refused.value) == "EMA: expected decay between 0 and 1, got 1.5"
    with pytest.raises(TypeError) as wrong:
        EMA(3)  # type: ignore[arg-type]
    assert str(wrong.value) == "EMA: expected a model or Parameters, got int"
