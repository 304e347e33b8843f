"""LossScaler: float16 weights, float32 copies, and steps that are left out."""

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
from dezero.optimizers import (
    EMA,
    SGD,
    Adam,
    AdamW,
    ClipGrad,
    Cosine,
    Groups,
    LossScaler,
    MomentumSGD,
    Muon,
    split,
)

BOTH = pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
X = np.random.RandomState(0).randn(8, 3)


def half_model(dtype: Any = np.float16) -> MLP:
    np.random.seed(0)
    model = MLP((6, 2))
    model(X.astype(np.float32))
    for p in model.params():
        p.data = p.data.astype(dtype)
    return model


def world(compiled: bool = False, make: Any = None, **options: Any) -> Any:
    model = half_model()
    make = make or (lambda model: Adam(0.01).setup(model))
    scaler = LossScaler(make(model), **options)

    def step(x: Any) -> Variable:
        loss: Variable = F.sum((model(x) - 1) ** 2) / 8
        model.cleargrads()
        scaler.backward(loss)
        scaler.update()
        return loss

    return model, scaler, dezero.compile(step) if compiled else step


def weights(model: Any) -> np.ndarray:
    return np.concatenate([p.data.ravel() for p in model.params()])


@BOTH
def test_it_goes_the_way_of_single_precision(compiled: bool) -> None:
    model, scaler, step = world(compiled, scale=256)
    single = half_model(np.float32)
    adam = Adam(0.01).setup(single)
    for _ in range(20):
        loss = step(X.astype(np.float16))
        single.cleargrads()
        wanted = F.sum((single(X.astype(np.float32)) - 1) ** 2) / 8
        wanted.backward()
        adam.update()
        np.testing.assert_allclose(loss.data, wanted.data, rtol=1e-2)
    assert loss.dtype == weights(model).dtype == np.float16
    np.testing.assert_allclose(weights(model), weights(single), rtol=0.05, atol=0.01)
    for p, master in scaler.masters.items():
        assert master.dtype == np.float32 and master.grad is None
        np.testing.assert_array_equal(p.data, master.data.astype(np.float16))


def test_steps_too_small_for_half_precision_add_up() -> None:
    p = Parameter(np.ones(1, np.float16))
    scaler = LossScaler(SGD(1e-4).setup([p]))
    for _ in range(100):
        p.cleargrad()
        scaler.backward(F.sum(p * 1.0))
        scaler.update()
    np.testing.assert_allclose(p.data, 0.99, rtol=1e-3)


def test_small_gradients_survive() -> None:
    p = Parameter(np.full(1, 2.0**-12, np.float16))
    for scaler, moves in ((SGD(1e4), False), (LossScaler(SGD(1e4).setup([p])), True)):
        before = p.data.copy()
        p.cleargrad()
        loss = F.sum(p * 2.0**-13) * 2.0**-12  # a gradient of 2**-25
        if isinstance(scaler, LossScaler):
            scaler.backward(loss)
        else:
            loss.backward()
            scaler.setup([p])
        scaler.update()
        assert (p.data != before).all() == moves


@BOTH
def test_an_update_that_overflows_is_left_out(compiled: bool) -> None:
    model, scaler, step = world(compiled, scale=64, interval=3)
    scaler.add_hook(ClipGrad(1.0))
    x = X.astype(np.float16)
    for t in range(1, 4):
        step(x)
        assert (scaler.members[0].t, scaler.waited) == (t, t % 3)
    assert scaler.scale == 128
    step(x)
    for _ in range(2):
        scaler.scale = 2.0**30
        before, state = weights(model), scaler.state_dict()
        with np.errstate(over="ignore", invalid="ignore"):
            assert np.isfinite(step(x).data)
        np.testing.assert_array_equal(weights(model), before)
        after = scaler.state_dict()
        assert (after.pop("scale"), after.pop("waited")) == (2.0**29, 0)
        for name, value in after.items():
            np.testing.assert_array_equal(value, state[name], name)
            assert value.dtype == state[name].dtype
    scaler.scale = 64.0
    step(x)
    assert scaler.members[0].t == 5 and (weights(model) != before).any()
    assert (scaler.scale, scaler.waited) == (64, 1)


@BOTH
def test_a_gradient_that_no_scale_makes_finite(compiled: bool) -> None:
    p = Parameter(np.zeros(2, np.float16))
    scaler = LossScaler(SGD(0.1).setup([p]), scale=2.0**-18)

    def step(x: Any) -> None:
        p.cleargrad()
        scaler.backward(F.sum(p * x))
        scaler.update()

    run = dezero.compile(step) if compiled else step
    run(np.ones(2, np.float16))
    bad = np.array([1, np.inf], np.float16)
    with np.errstate(invalid="ignore"):
        run(bad)
        run(bad)
        before = p.data.copy()
        with pytest.raises(FloatingPointError) as caught:
            run(bad)
    assert str(caught.value) == (
        "LossScaler: expected finite gradients, got NaN or infinity even at a scale of "
        f"{2.0**-20}; nothing was updated"
    )
    np.testing.assert_array_equal(p.data, before)


def grouped(model: Any) -> Groups:
    matrices, rest = split(model, lambda name, p: p.ndim > 1)
    return Groups(Muon(0.01).setup(matrices), AdamW(0.01).setup(rest))


@BOTH
@pytest.mark.parametrize(
    "make", [grouped, lambda m: MomentumSGD(0.01).setup(m)], ids=["groups", "momentum"]
)
def test_saved_and_loaded_it_goes_on_bit_for_bit(make: Any, compiled: bool) -> None:
    x = X.astype(np.float16)
    options = {"make": make, "scale": 64, "interval": 4}
    model, scaler, step = world(compiled, **options)
    twin_model, twin, twin_step = world(compiled, **options)
    for _ in range(5):
        step(x)
    state = scaler.state_dict()
    twin.load_state_dict(state)
    np.testing.assert_array_equal(weights(twin_model), weights(model))
    for _ in range(5):
        step(x)
        twin_step(x)
    np.testing.assert_array_equal(weights(twin_model), weights(model))
    for name, value in scaler.state_dict().items():
        np.testing.assert_array_equal(twin.state_dict()[name], value)
    assert scaler.scale == 256


def test_schedules_reach_through() -> None:
    _, scaler, step = world(make=grouped, scale=64)
    schedule = Cosine(scaler, 10)
    for _ in range(10):
        step(X.astype(np.float16))
        schedule.step()
    assert [scaler.members[0].lr, scaler.members[1].alpha] == [0, 0]


def test_single_and_double_precision_stay_as_they_are() -> None:
    p, q = Parameter(np.ones(2, np.float32)), Parameter(np.ones(2))
    scaler = LossScaler(SGD(0.5).setup([p, q]), scale=1024)
    scaler.backward(F.sum(p * 0.5) + F.sum(q * 0.25))
    scaler.update()
    assert not scaler.masters
    np.testing.assert_array_equal(p.data, 0.75)
    np.testing.assert_array_equal(q.data, 0.875)


def test_an_optimizer_with_moments_of_its_own_is_refused() -> None:
    p, q = Parameter(np.ones(2, np.float16)), Parameter(np.ones(2, np.float16))
    q.grad = Variable(np.ones(2, np.float16))
    fresh, used = Adam().setup([p]), Adam().setup([q])
    used.update()
    before = fresh.target, used.target
    with pytest.raises(
        ValueError, match=r"Adam\.setup: expected the model that it has"
    ):
        LossScaler(Groups(fresh, used))
    assert (fresh.target, used.target) == before


def test_what_does_not_fit_changes_nothing() -> None:
    _, scaler, _ = world()
    state = scaler.state_dict() | {"master/0": np.ones(1), "master/9": np.ones(1)}
    del state["optimizer/t"], state["master/1"]
    with pytest.raises(DataError) as caught:
        scaler.load_state_dict(state)
    assert str(caught.value) == (
        "LossScaler.load_state_dict: expected the state of an optimizer of this kind "
        "for this model, got one where\n"
        "  master/0: expected shape (3, 6), got (1,)\n"
        "  master/1: missing\n"
        "  optimizer/t: missing\n"
        "  master/9: unknown"
    )


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (
            lambda: LossScaler(3),
            TypeError,
            "LossScaler: expected an Optimizer, got int",
        ),  # type: ignore[arg-type]
        (
            lambda: LossScaler(SGD(), 0),
            ValueError,
            "LossScaler: expected scale above 0, got 0",
        ),
        (
            lambda: LossScaler(SGD(), growth=1),
            ValueError,
            "LossScaler: expected growth above 1, got 1",
        ),
        (
            lambda: LossScaler(SGD(), interval=0),
            ValueError,
            "LossScaler: expected interval of at least 1, got 0",
        ),
        (
            lambda: LossScaler(SGD().setup([Parameter(np.ones(1))])).setup(MLP((2,))),
            TypeError,
            "LossScaler.setup: expected an optimizer that is set up; write "
            "LossScaler(Adam().setup(model))",
        ),
        (
            lambda: LossScaler(SGD()),
            ValueError,
            "SGD.update: expected a model to update, got none; write "
            "SGD().setup(model)",
        ),
    ],
)
def test_errors(make: Any, error: Any, text: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == text


def test_copies_go_on_bit_for_bit() -> None:
    model, scaler, step = world(make=grouped, scale=64)
    x = X.astype(np.float16)
    step(x)
    twin_model, twin = copy.deepcopy((model, scaler))
    step(x)
    loss = F.sum((twin_model(x) - 1) ** 2) / 8
    twin_model.cleargrads()
    twin.backward(loss)
    twin.update()
    np.testing.assert_array_equal(weights(twin_model), weights(model))


@BOTH
def test_all_of_it_together_goes_on_bit_for_bit(compiled: bool) -> None:
    def whole() -> Any:
        model = half_model()
        scaler = LossScaler(grouped(model), scale=64, interval=4)
        scaler.add_hook(ClipGrad(0.5))
        schedule, ema = Cosine(scaler, 10, warmup=2), EMA(model, 0.8)

        def step(x: Any) -> Variable:
            loss: Variable = F.sum((model(x) - 1) ** 2) / 8
            model.cleargrads()
            scaler.backward(loss)
            scaler.update()
            schedule.step()
            ema.update()
            return loss

        return (
            model,
            (scaler, schedule, ema),
            dezero.compile(step) if compiled else step,
        )

    x = X.astype(np.float16)
    model, parts, step = whole()
    twin_model, twins, twin_step = whole()
    for _ in range(5):
        step(x)
    for part, twin in zip(parts, twins, strict=True):
        twin.load_state_dict(part.state_dict())
    for _ in range(5):
        step(x)
        twin_step(x)
    np.testing.assert_array_equal(weights(twin_model), weights(model))
    for part, twin in zip(parts, twins, strict=True):
        here, there = part.state_dict(), twin.state_dict()
        for name, value in here.items():
            np.testing.assert_array_equal(there[name], value, name)
    assert parts[0].members[0].lr == 0 and parts[0].members[1].t == 10
