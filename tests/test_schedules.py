"""Schedules: PyTorch's numbers, their ends, states, and the same when compiled."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
from dezero import Parameter, Variable
from dezero.errors import DataError
from dezero.optimizers import (
    SGD,
    AdaDelta,
    Adam,
    AdamW,
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    Groups,
    MomentumSGD,
    MultiStep,
    OneCycle,
    Optimizer,
    Plateau,
    Polynomial,
    Schedule,
    StepDecay,
)

REFERENCE = json.loads(Path(__file__).with_name("optimizer_paths.json").read_text())

EVERY: dict[str, Callable[[Optimizer], Any]] = {
    "StepDecay": lambda o: StepDecay(o, 4, 0.3),
    "MultiStep": lambda o: MultiStep(o, [2, 5, 5, 9], 0.5),
    "Exponential": lambda o: Exponential(o, 0.9),
    "Cosine": lambda o: Cosine(o, 14),
    "Cosine, warm-up": lambda o: Cosine(o, 12, warmup=3, floor=0.1),
    "CosineRestarts": lambda o: CosineRestarts(o, 3, 2, floor=0.1),
    "OneCycle": lambda o: OneCycle(o, 15),
    "Polynomial": lambda o: Polynomial(o, 12, 2.0),
    "Constant": lambda o: Constant(o, warmup=4),
    "CosineRestarts, even": lambda o: CosineRestarts(o, 4, warmup=2),
    "StepDecay, warm-up": lambda o: StepDecay(o, 5, warmup=3),
}
every = pytest.mark.parametrize("name", EVERY)


def rates(schedule: Schedule, optimizer: Any, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(optimizer.lr)
        schedule.step()
    return found


@pytest.mark.parametrize("name", REFERENCE["schedules"])
def test_the_numbers_are_those_of_pytorch(name: str) -> None:
    optimizer = SGD(0.5)
    found = rates(EVERY[name](optimizer), optimizer, 15)
    wanted = REFERENCE["schedules"][name]
    end = 13 if name == "Cosine, warm-up" else 15  # PyTorch's goes up again
    np.testing.assert_allclose(found[:end], wanted[:end], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("min", {}),
        ("max", {"maximize": True}),
        ("cooldown", {"cooldown": 2, "threshold": 0.1}),
    ],
)
def test_plateau_is_that_of_pytorch(name: str, options: Any) -> None:
    optimizer = SGD(0.5)
    schedule = Plateau(optimizer, 0.5, patience=1, **options)
    found = []
    for metric in REFERENCE["metrics"]:
        schedule.step(metric)
        found.append(optimizer.lr)
    np.testing.assert_allclose(found, REFERENCE["plateau"][name], rtol=1e-12)


def test_plateau_of_negative_metrics_of_nan_and_its_floor() -> None:
    optimizer = SGD(1.0)
    schedule = Plateau(optimizer, 0.5, patience=0, threshold=0.1, floor=0.3)
    for metric, rate in (
        (-1.0, 1.0),
        (-1.2, 1.0),  # better by a fifth
        (-1.25, 0.5),  # not by a tenth
        (math.nan, 0.3),
        (np.float32(-2.0), 0.3),
        (Variable(np.array(-3.0)), 0.3),
    ):
        schedule.step(metric)
        assert optimizer.lr == rate
    assert schedule.best == -3.0


@pytest.mark.parametrize(
    ("make", "last", "wanted"),
    [
        (lambda o: Cosine(o, 10, floor=0.25), 10, 0.25),
        (lambda o: Polynomial(o, 10, floor=0.5), 10, 0.5),
        (lambda o: OneCycle(o, 10, end=0.125), 9, 0.125),
        (lambda o: Constant(o, warmup=3), 3, 1.0),
        (lambda o: MultiStep(o, [2, 7], 0.5), 7, 0.25),
    ],
)
def test_past_its_end_it_stays(make: Any, last: int, wanted: float) -> None:
    schedule = make(SGD(1.0))
    assert schedule.factor(last) == wanted != schedule.factor(last - 1)
    assert {schedule.factor(t) for t in (last, last + 1, last + 50, 10**9)} == {wanted}


def test_restarts_begin_where_they_should() -> None:
    schedule = CosineRestarts(SGD(1.0), 7, 3)
    start, length = 0, 7
    for _ in range(12):
        assert schedule.factor(start) == pytest.approx(1.0, abs=1e-12)
        assert schedule.factor(start + length - 1) < 0.06
        start, length = start + length, length * 3


def test_each_member_of_groups_is_scaled() -> None:
    a, b = Parameter(np.ones(1)), Parameter(np.ones(1))
    sgd, adam = SGD(0.4).setup([a]), AdamW(0.02).setup([b])
    schedule = Exponential(Groups(sgd, adam), 0.5, warmup=1)
    assert (sgd.lr, adam.alpha) == (0.2, 0.01)
    schedule.step()
    schedule.step()
    assert (sgd.lr, adam.alpha) == (0.1, 0.005) and schedule.rates == (0.4, 0.02)


def test_an_optimizer_of_a_user() -> None:
    class Mine(Optimizer):
        rate_name = "speed"
        speed = 2.0

    mine = Mine()
    Exponential(mine, 0.5).step()
    assert mine.speed == 1.0


# -- state --------------------------------------------------------------------------


@every
def test_saved_and_loaded_it_goes_on(name: str) -> None:
    optimizer, twin_optimizer = SGD(0.5), SGD(0.1)
    schedule = EVERY[name](optimizer)
    rates(schedule, optimizer, 5)
    twin = EVERY[name](twin_optimizer)
    twin.load_state_dict(schedule.state_dict())
    wanted = rates(schedule, optimizer, 5)
    assert rates(twin, twin_optimizer, 5) == wanted


def test_a_saved_plateau_goes_on() -> None:
    optimizer, twin_optimizer = Adam(0.5), Adam(0.5)
    schedule, twin = (
        Plateau(o, 0.5, 1, cooldown=1) for o in (optimizer, twin_optimizer)
    )
    for metric in REFERENCE["metrics"][:9]:
        schedule.step(metric)
    twin.load_state_dict(schedule.state_dict())
    for metric in REFERENCE["metrics"][9:]:
        assert twin_optimizer.alpha == optimizer.alpha < 0.5
        schedule.step(metric)
        twin.step(metric)


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    optimizer = SGD(0.5)
    schedule = Cosine(optimizer, 10)
    state = {"t": np.array(5), "rates": np.array([0.5, 0.1]), "best": np.array(1.0)}
    with pytest.raises(DataError) as caught:
        schedule.load_state_dict(state)
    assert str(caught.value) == (
        "Cosine.load_state_dict: expected the state of a Cosine for this optimizer, "
        "got one where\n"
        "  rates: expected shape (1,), got (2,)\n"
        "  best: unknown"
    )
    with pytest.raises(DataError) as caught:
        Plateau(optimizer).load_state_dict(schedule.state_dict() | {"t": np.ones(2)})
    assert "t: expected one number, got shape (2,)\n  best: missing" in str(
        caught.value
    )
    assert schedule.t == 0 and optimizer.lr == 0.5


# -- compiled -----------------------------------------------------------------------


def descent(make: Any, inside: bool) -> Any:
    p = Parameter(np.array([1.0, -2.0, 3.0]))
    optimizer = Groups(
        MomentumSGD(0.05).setup([p]),
        AdamW(0.05).setup([q := Parameter(np.ones(2))]),
    )
    schedule = make(optimizer)

    def step() -> Variable:
        loss: Variable = F.sum(p**2) + F.sum(F.sin(q))
        p.cleargrad()
        q.cleargrad()
        loss.backward()
        optimizer.update()
        if inside:
            schedule.step(loss) if isinstance(schedule, Plateau) else schedule.step()
        return loss

    def whole(run: Any) -> list[float]:
        found = []
        for _ in range(15):
            loss = run()
            if not inside:
                schedule.step(loss) if isinstance(
                    schedule, Plateau
                ) else schedule.step()
            found += [float(loss), optimizer.members[0].lr, optimizer.members[1].alpha]  # type: ignore[attr-defined]
        return found

    return step, whole, schedule


@pytest.mark.parametrize("name", [*EVERY, "Plateau", "Plateau, max"])
@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside"])
def test_compiled_it_is_the_same(name: str, inside: bool) -> None:
    make = EVERY.get(
        name, lambda o: Plateau(o, 0.5, 1, cooldown=1, maximize="max" in name)
    )
    step, whole, schedule = descent(make, inside)
    twin_step, twin_whole, twin = descent(make, inside)
    compiled = dezero.compile(twin_step)
    np.testing.assert_allclose(twin_whole(compiled), whole(step), rtol=1e-9)
    assert len(compiled._programs) == sum(map(len, compiled._programs.values())) == 1
    for key, value in schedule.state_dict().items():
        assert twin.state_dict()[key].dtype == value.dtype
        np.testing.assert_allclose(twin.state_dict()[key], value, rtol=1e-9)


# -- errors -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda o: Cosine(o, 0), "Cosine: expected steps of at least 1, got 0"),
        (lambda o: Cosine(o, -3), "Cosine: expected steps of at least 1, got -3"),
        (
            lambda o: Cosine(o, 10, warmup=10),
            "Cosine: expected a warmup of fewer updates than all 10, got 10",
        ),
        (
            lambda o: Cosine(o, 10, warmup=-1),
            "Cosine: expected warmup of at least 0, got -1",
        ),
        (
            lambda o: Polynomial(o, 10, floor=1.5),
            "Polynomial: expected floor between 0 and 1, got 1.5",
        ),
        (
            lambda o: Polynomial(o, 10, 0.0),
            "Polynomial: expected power above 0, got 0.0",
        ),
        (
            lambda o: StepDecay(o, 0),
            "StepDecay: expected every of at least 1, got 0",
        ),
        (
            lambda o: Exponential(o, 0.0),
            "Exponential: expected gamma above 0, got 0.0",
        ),
        (
            lambda o: MultiStep(o, []),
            "MultiStep: expected milestones of 1 or more, got ()",
        ),
        (
            lambda o: CosineRestarts(o, 5, 0),
            "CosineRestarts: expected growth of at least 1, got 0",
        ),
        (
            lambda o: OneCycle(o, 3),
            "OneCycle: expected a rise that is a part of 3 updates, and more than one, "
            "got 0.3",
        ),
        (
            lambda o: Plateau(o, 1.0),
            "Plateau: expected gamma between 0 and 1, got 1.0",
        ),
        (
            lambda o: Plateau(o, patience=-1),
            "Plateau: expected patience of at least 0, got -1",
        ),
    ],
)
def test_settings_that_are_none(make: Any, text: str) -> None:
    optimizer = SGD(0.5)
    with pytest.raises(ValueError) as caught:
        make(optimizer)
    assert str(caught.value) == text and optimizer.lr == 0.5


@pytest.mark.parametrize(
    ("optimizer", "text"),
    [
        (0.1, "Cosine: expected an Optimizer, got float"),
        (
            AdaDelta(),
            "Cosine: expected an Optimizer with a step size, got AdaDelta, which has "
            "none",
        ),
    ],
)
def test_what_has_no_step_size(optimizer: Any, text: str) -> None:
    with pytest.raises(TypeError) as caught:
        Cosine(optimizer, 10)
    assert str(caught.value) == text


def test_a_schedule_of_a_user_needs_a_shape() -> None:
    with pytest.raises(NotImplementedError) as caught:
        Schedule(SGD())
    assert str(caught.value) == "Schedule: expected a method shape"
