"""Every optimizer goes the way of PyTorch's, or of its paper; compiled as well.

The reference paths are in optimizer_paths.json; optimizer_paths.py makes them.
"""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
from dezero import Layer, Parameter, Variable
from dezero.optimizers import (
    LAMB,
    SGD,
    AdaDelta,
    AdaGrad,
    Adam,
    AdamW,
    Lion,
    MomentumSGD,
    Muon,
    NAdam,
    Optimizer,
    RAdam,
    RMSprop,
    WeightDecay,
)

REFERENCE = json.loads(Path(__file__).with_name("optimizer_paths.json").read_text())


def decayed() -> Adam:
    optimizer = Adam(0.05, eps=1e-12)
    optimizer.add_hook(WeightDecay(0.2))
    return optimizer


EVERY: dict[str, Callable[[], Any]] = {
    "SGD": lambda: SGD(0.05),
    "MomentumSGD": lambda: MomentumSGD(0.03, 0.8),
    "Nesterov": lambda: MomentumSGD(0.03, 0.8, nesterov=True),
    "AdaGrad": lambda: AdaGrad(0.1, eps=1e-3),
    "AdaDelta": lambda: AdaDelta(0.9, eps=1e-4),
    "RMSprop": lambda: RMSprop(0.02, 0.9, eps=1e-3),
    "RMSprop, centered": lambda: RMSprop(0.01, 0.9, centered=True),
    "RMSprop, momentum": lambda: RMSprop(0.01, 0.9, momentum=0.7),
    "RMSprop, both": lambda: RMSprop(0.01, momentum=0.7, centered=True),
    "Adam": lambda: Adam(0.05, 0.8, 0.95, eps=1e-12),
    "AdamW": lambda: AdamW(0.05, 0.8, 0.95, eps=1e-3, decay=0.3),
    "NAdam": lambda: NAdam(0.05, 0.8, 0.95, eps=1e-3, psi=0.01),
    "RAdam": lambda: RAdam(0.05, 0.8, 0.95, eps=1e-3),
    "RAdam, short": lambda: RAdam(0.05, 0.8, 0.5, eps=1e-3),
    "WeightDecay": decayed,
    "Muon": lambda: Muon(0.02, decay=0.1),
    "Muon, plain": lambda: Muon(0.02, 0.8, nesterov=False),
    "Lion": lambda: Lion(0.02, 0.8, 0.95, decay=0.1),
    "LAMB": lambda: LAMB(0.02, 0.8, 0.95, eps=1e-3, decay=0.1),
}
every = pytest.mark.parametrize("name", EVERY)


class Problem(Layer):
    """That of optimizer_paths.py."""

    def __init__(self, dtype: Any = np.float64) -> None:
        super().__init__()
        self.W = Parameter(((np.arange(6) / 5 - 0.5).reshape(2, 3)).astype(dtype))
        self.V = Parameter(np.sin(np.arange(6) * 2.0).reshape(3, 2).astype(dtype))
        self.b = Parameter(np.array([0.7, -0.3], dtype))

    def forward(self) -> Variable:
        W, V, b = self.W, self.V, self.b
        x = np.cos(np.arange(8) * 1.0).reshape(4, 2).astype(W.dtype)
        y = F.tanh(x @ W) @ V + b
        fit = F.sum((y - 1) ** 2) / 8 + F.sum(W**4) / 4
        return fit - F.sum(F.sin(3 * b)) + F.sum(V**2) / 9


def prepared(name: str, dtype: Any = np.float64) -> tuple[Problem, Any]:
    model = Problem(dtype)
    matrices = [model.W, model.V]
    optimizer = EVERY[name]()
    return model, optimizer.setup(matrices if "Muon" in name else model)


def step_of(model: Problem, optimizer: Optimizer) -> Callable[[], Variable]:
    def step() -> Variable:
        loss: Variable = model()
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    return step


def flat(model: Layer) -> np.ndarray:
    return np.concatenate([p.data.ravel() for p in model.params()])


@pytest.mark.parametrize("name", REFERENCE["paths"])
def test_the_path_is_that_of_pytorch(name: str) -> None:
    model, optimizer = prepared(name)
    step = step_of(model, optimizer)
    for t in range(1, 21):
        step()
        wanted = REFERENCE["paths"][name].get(str(t))
        if wanted is not None:
            np.testing.assert_allclose(flat(model), wanted, rtol=1e-6, atol=1e-9)


def by_lion(x: np.ndarray) -> Iterator[np.ndarray]:
    """Algorithm 2 of the paper, on one parameter; a gradient is sent, x comes back."""
    m = np.zeros_like(x)
    while True:
        g = yield x
        update = np.where(0.8 * m + 0.2 * g > 0, 1.0, -1.0)
        x = x - 0.02 * (update + 0.1 * x)
        m = 0.95 * m + 0.05 * g


def by_lamb(x: np.ndarray) -> Iterator[np.ndarray]:
    """Algorithm 2 of the paper, likewise."""
    m, v, t = np.zeros_like(x), np.zeros_like(x), 0
    while True:
        g = yield x
        t += 1
        m = 0.8 * m + 0.2 * g
        v = 0.95 * v + 0.05 * g**2
        r = m / (1 - 0.8**t) / (np.sqrt(v / (1 - 0.95**t)) + 1e-3)
        u = r + 0.1 * x
        x = x - 0.02 * np.linalg.norm(x) / np.linalg.norm(u) * u


@pytest.mark.parametrize(("name", "paper"), [("Lion", by_lion), ("LAMB", by_lamb)])
def test_the_path_is_that_of_the_paper(name: str, paper: Any) -> None:
    model, optimizer = prepared(name)
    papers = [paper(p.data.copy()) for p in model.params()]
    for one in papers:
        next(one)
    step = step_of(model, optimizer)
    for _ in range(20):
        step()
        for p, one in zip(model.params(), papers, strict=True):
            assert p.grad is not None
            wanted = one.send(p.grad.data)
            np.testing.assert_allclose(p.data, wanted, rtol=1e-12)


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_it_is_the_same_path(name: str, dtype: Any) -> None:
    model, optimizer = prepared(name, dtype)
    twin_model, twin = prepared(name, dtype)
    step = step_of(model, optimizer)
    compiled = dezero.compile(step_of(twin_model, twin))
    near = {"rtol": 1e-4, "atol": 1e-5} if dtype is np.float32 else {"rtol": 1e-10}
    for _ in range(20):
        np.testing.assert_allclose(compiled().data, step().data, **near)
        np.testing.assert_allclose(flat(twin_model), flat(model), **near)
    here, there = optimizer.state_dict(), twin.state_dict()
    assert here.keys() == there.keys()
    for key, value in here.items():
        assert there[key].dtype == value.dtype
        np.testing.assert_allclose(there[key], value, rtol=1e-4, atol=1e-5)
    assert all(p.dtype == dtype for p in twin_model.params())
    assert len(compiled._programs) == 1  # the first call ran eagerly, or compiled


@every
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_saved_and_loaded_it_goes_on_bit_for_bit(name: str, compiled: bool) -> None:
    wrap = dezero.compile if compiled else lambda f: f
    model, optimizer = prepared(name)
    step = wrap(step_of(model, optimizer))
    for _ in range(5):
        step()
    state, saved = optimizer.state_dict(), copy.deepcopy(model)
    twin_model, twin = prepared(name)
    for p, q in zip(twin_model.params(), saved.params(), strict=True):
        p.data = q.data
    twin.load_state_dict(state)
    twin_step = wrap(step_of(twin_model, twin))
    for _ in range(5):
        np.testing.assert_array_equal(twin_step().data, step().data)
        np.testing.assert_array_equal(flat(twin_model), flat(model))


@pytest.mark.parametrize("name", ["AdamW", "NAdam", "RAdam", "Lion", "Muon"])
def test_native_updates_of_large_parameters(name: str) -> None:
    x = np.random.randn(160, 300).astype(np.float32)
    gx = np.random.randn(160, 300).astype(np.float32)
    large, small = Parameter(x.copy()), Parameter(x.copy())
    native, plain = EVERY[name]().setup([large]), EVERY[name]().setup([small])
    plain.add_hook(lambda params: None)  # with hooks it stays NumPy's
    for _ in range(5):
        for p, optimizer in ((large, native), (small, plain)):
            p.grad = Variable(gx)
            optimizer.update()
    np.testing.assert_allclose(large.data, small.data, rtol=1e-4, atol=1e-5)


def test_muon_makes_steps_of_full_rank_whatever_the_shape() -> None:
    for shape, rate in (((5, 3), 1.0), ((3, 12), 2.0), ((12, 3, 1, 1), 2.0)):
        p = Parameter(np.zeros(shape))
        p.grad = Variable(np.random.randn(*shape))
        Muon(lr=1.0).setup([p]).update()
        values = np.linalg.svd(p.data.reshape(shape[0], -1), compute_uv=False) / rate
        assert 0.5 < values.min() <= values.max() < 1.3


def test_muon_wants_matrices() -> None:
    p = Parameter(np.ones(3))
    p.grad = Variable(np.ones(3))
    with pytest.raises(ValueError) as caught:
        Muon().setup([p]).update()
    assert str(caught.value) == (
        "Muon: expected parameters with two axes or more, got one of shape (3,); write "
        "Groups(Muon().setup(matrices), AdamW().setup(rest))"
    )


@pytest.mark.parametrize(("x", "gx"), [(0.0, 2.0), (2.0, 0.0)])
def test_lamb_where_a_norm_is_zero(x: float, gx: float) -> None:
    p = Parameter(np.full(3, x))
    p.grad = Variable(np.full(3, gx))
    LAMB(0.1).setup([p]).update()
    np.testing.assert_allclose(p.data, x - 0.1 * (gx > 0), rtol=1e-5)


@every
@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))],
    ids=["deepcopy", "pickle"],
)
def test_copies_go_on_bit_for_bit(name: str, copied: Any) -> None:
    model, optimizer = prepared(name)
    step = step_of(model, optimizer)
    for _ in range(3):
        step()
    twin_model, twin = copied((model, optimizer))
    twin_step = step_of(twin_model, twin)
    for _ in range(3):
        np.testing.assert_array_equal(twin_step().data, step().data)
    np.testing.assert_array_equal(flat(twin_model), flat(model))
