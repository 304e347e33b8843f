"""Groups: several optimizers as one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
from dezero import Layer, Parameter, Variable
from dezero.errors import DataError
from dezero.models import MLP
from dezero.optimizers import (
    SGD,
    Adam,
    AdamW,
    ClipGrad,
    FreezeParam,
    Groups,
    MomentumSGD,
    Muon,
    Optimizer,
    split,
)

X = np.random.RandomState(0).randn(8, 3).astype(np.float32)


def model_of(sizes: tuple[int, ...] = (5, 2)) -> MLP:
    np.random.seed(0)
    model = MLP(sizes)
    model(X)
    return model


def step_of(model: Layer, optimizer: Optimizer) -> Any:
    def step(x: Any) -> Variable:
        loss: Variable = F.sum((model(x) - 1) ** 2) / 8
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    return step


def muon_and_adam(model: Layer) -> Groups:
    matrices, rest = split(model, lambda name, p: p.ndim > 1)
    return Groups(Muon(0.05).setup(matrices), AdamW(0.01).setup(rest))


def flat(model: Layer) -> np.ndarray:
    return np.concatenate([p.data.ravel() for p in model.params()])


def test_each_member_moves_its_own() -> None:
    together, apart = model_of(), model_of()
    step = step_of(together, muon_and_adam(together))
    matrices, rest = split(apart, lambda name, p: name.endswith("W"))
    muon, adam = Muon(0.05).setup(matrices), AdamW(0.01).setup(rest)
    other = step_of(apart, muon)
    for _ in range(4):
        step(X)
        other(X)
        adam.update()  # of the same gradients
    np.testing.assert_array_equal(flat(together), flat(apart))


def test_it_compiles() -> None:
    eager, traced = model_of(), model_of()
    here, there = muon_and_adam(eager), muon_and_adam(traced)
    here.add_hook(ClipGrad(0.5))
    there.add_hook(ClipGrad(0.5))
    step, compiled = step_of(eager, here), dezero.compile(step_of(traced, there))
    for i in range(6):
        for groups in (here, there):
            groups.members[0].lr = 0.05 / (i + 1)  # type: ignore[attr-defined]
        np.testing.assert_allclose(compiled(X).data, step(X).data, rtol=1e-5)
        np.testing.assert_allclose(flat(traced), flat(eager), rtol=1e-4, atol=1e-5)
    assert len(compiled._programs) == 1 and there.members[1].t == 6  # type: ignore[attr-defined]


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_saved_and_loaded_it_goes_on_bit_for_bit(compiled: bool) -> None:
    wrap = dezero.compile if compiled else lambda f: f
    model, twin_model = model_of(), model_of()
    optimizer, twin = muon_and_adam(model), muon_and_adam(twin_model)
    step, twin_step = wrap(step_of(model, optimizer)), wrap(step_of(twin_model, twin))
    for _ in range(5):
        step(X)
    twin.load_state_dict(optimizer.state_dict())
    for p, q in zip(twin_model.params(), model.params(), strict=True):
        p.data = q.data.copy()
    for _ in range(5):
        step(X)
        twin_step(X)
    np.testing.assert_array_equal(flat(twin_model), flat(model))


def test_hooks_of_the_whole_and_of_a_member() -> None:
    model = model_of()
    matrices, rest = split(model, lambda name, p: p.ndim > 1)
    first, second = SGD(1.0).setup(matrices), SGD(1.0).setup(rest)
    groups = Groups(first, second)
    seen: list[Any] = []
    groups.add_hook(lambda params: seen.append(("all", len(params))))
    groups.add_hook(FreezeParam(model.l0))
    second.add_hook(lambda params: seen.append(("second", len(params))))
    before = {name: p.data.copy() for name, p in model.named_params().items()}
    step_of(model, groups)(X)
    assert seen == [("all", 4), ("second", 1)]
    moved = [n for n, p in model.named_params().items() if (p.data != before[n]).any()]
    assert moved == ["l1/W", "l1/b"]


def test_groups_of_groups_and_copies() -> None:
    a, b, c = (Parameter(np.ones(1)) for _ in range(3))
    inner = Groups(SGD(0.1).setup([a]), SGD(0.2).setup([b]))
    groups = Groups(inner, MomentumSGD(0.3).setup([c]))
    assert [m.lr for m in groups.members] == [0.1, 0.2, 0.3]  # type: ignore[attr-defined]
    assert groups.target is not None and list(groups.target.params()) == [a, b, c]
    assert list(groups.state_dict())[:2] == ["0/0/lr", "0/1/lr"]
    groups.load_state_dict(groups.state_dict())


def test_what_does_not_fit_changes_nothing() -> None:
    a, b = Parameter(np.ones(1)), Parameter(np.ones(2))
    groups = Groups(SGD(0.1).setup([a]), MomentumSGD(0.2, 0.5).setup([b]))
    state = groups.state_dict() | {"0/lr": np.array(9.0), "2/lr": np.array(1.0)}
    state["1/0/v"] = np.ones(3)
    del state["1/momentum"]
    with pytest.raises(DataError) as caught:
        groups.load_state_dict(state)
    assert str(caught.value) == (
        "Groups.load_state_dict: expected the state of an optimizer of this kind for "
        "this model, got one where\n"
        "  1/momentum: missing\n"
        "  1/0/v: expected shape (2,), got (3,)\n"
        "  2/lr: unknown"
    )
    assert groups.members[0].lr == 0.1  # type: ignore[attr-defined]


def test_a_parameter_in_two_groups() -> None:
    layer = model_of()
    with pytest.raises(ValueError) as caught:
        Groups(SGD().setup(layer), Adam().setup([layer.l1.b]))
    assert str(caught.value) == (
        "Groups: expected every parameter in one group, got parameter 'b' in two: SGD "
        "and Adam"
    )
    late = Layer()
    groups = Groups(SGD().setup(layer), SGD().setup(late))
    late.p = layer.l0.W  # type: ignore[assignment]
    with pytest.raises(ValueError):
        groups.update()


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Groups(), ValueError, "Groups: expected optimizers, got none"),
        (
            lambda: Groups(3),  # type: ignore[arg-type]
            TypeError,
            "Groups: expected optimizers, got int",
        ),
        (
            lambda: Groups(Adam()),
            ValueError,
            "Groups: expected optimizers that are set up, got Adam without parameters; "
            "write Adam().setup(parameters)",
        ),
        (
            lambda: Groups(SGD().setup([Parameter(np.ones(1))])).setup(MLP((2,))),
            TypeError,
            "Groups.setup: expected members that are set up, each with its own "
            "parameters; write Groups(AdamW().setup(some), SGD().setup(others))",
        ),
    ],
)
def test_what_is_no_group(make: Any, error: Any, text: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == text
