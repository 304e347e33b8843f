"""Optimizers: each rule against its paper, hooks, ties, state, and whose arrays."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import Layer, Parameter, Variable
from dezero.errors import DataError, GradientError
from dezero.models import MLP
from dezero.optimizers import (
    SGD,
    AdaDelta,
    AdaGrad,
    Adam,
    ClipGrad,
    ClipValue,
    ElementwiseOptimizer,
    FreezeParam,
    MomentumSGD,
    Optimizer,
    WeightDecay,
)

EVERY: list[Callable[[], ElementwiseOptimizer]] = [
    lambda: SGD(lr=0.1),
    lambda: MomentumSGD(lr=0.1, momentum=0.8),
    lambda: AdaGrad(lr=0.1),
    lambda: AdaDelta(rho=0.9, eps=1e-4),
    lambda: Adam(alpha=0.1, beta1=0.8, beta2=0.95, eps=1e-3),
]
every_optimizer = pytest.mark.parametrize(
    "make", EVERY, ids=["SGD", "MomentumSGD", "AdaGrad", "AdaDelta", "Adam"]
)


class Parameters(Layer):
    """A layer that is nothing but parameters."""

    def __init__(self, *arrays: np.ndarray) -> None:
        super().__init__()
        self.parts = [Parameter(array) for array in arrays]


def gradient(x: Any) -> Any:
    """Of sum(x**4 / 4 - sin(3 x)): not convex, and of other size in every element."""
    return x**3 - 3 * np.cos(3 * x)


def descend(optimizer: Optimizer, steps: int) -> None:
    assert optimizer.target is not None
    for _ in range(steps):
        for p in optimizer.target.params():
            p.grad = Variable(gradient(p.data))
        optimizer.update()


# -- the papers ---------------------------------------------------------------------
# One number at a time, in Python's double precision.


def by_sgd(x: float) -> Iterator[float]:
    while True:
        x = x - 0.1 * gradient(x)
        yield x


def by_momentum(x: float) -> Iterator[float]:
    v = 0.0
    while True:
        v = 0.8 * v - 0.1 * gradient(x)
        x = x + v
        yield x


def by_adagrad(x: float) -> Iterator[float]:
    squares = []
    while True:
        g = gradient(x)
        squares.append(g**2)
        x = x - 0.1 / (math.sqrt(sum(squares)) + 1e-8) * g
        yield x


def by_adadelta(x: float) -> Iterator[float]:
    mean_g = mean_dx = 0.0
    while True:
        g = gradient(x)
        mean_g = 0.9 * mean_g + 0.1 * g**2
        dx = -math.sqrt(mean_dx + 1e-4) / math.sqrt(mean_g + 1e-4) * g
        mean_dx = 0.9 * mean_dx + 0.1 * dx**2
        x = x + dx
        yield x


def by_adam(x: float) -> Iterator[float]:
    m = v = 0.0
    t = 0
    while True:
        t += 1
        g = gradient(x)
        m = 0.8 * m + 0.2 * g
        v = 0.95 * v + 0.05 * g**2
        alpha = 0.1 * math.sqrt(1 - 0.95**t) / (1 - 0.8**t)
        x = x - alpha * m / (math.sqrt(v) + 1e-3)
        yield x


@pytest.mark.parametrize(
    ("make", "paper"),
    [*zip(EVERY, (by_sgd, by_momentum, by_adagrad, by_adadelta, by_adam), strict=True)],
    ids=["SGD", "MomentumSGD", "AdaGrad", "AdaDelta", "Adam"],
)
def test_the_path_is_that_of_the_paper(make: Any, paper: Any) -> None:
    starts = np.linspace(-1, 1, 7)
    layer = Parameters(starts.copy(), starts.reshape(7, 1).copy())
    optimizer = make().setup(layer)
    papers = [paper(float(x)) for x in starts]
    for _ in range(15):
        descend(optimizer, 1)
        wanted = [next(p) for p in papers]
        for p in layer.params():
            np.testing.assert_allclose(p.data.reshape(-1), wanted, 1e-12, 1e-12)


@every_optimizer
def test_blocks_make_no_difference(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.randn(37, 11).astype(np.float32)
    whole, blocks = Parameters(x), Parameters(x)
    descend(make().setup(whole), 4)
    monkeypatch.setattr("dezero.optimizers.optimizer.BLOCK", 100)
    descend(make().setup(blocks), 4)
    np.testing.assert_array_equal(whole.parts[0].data, blocks.parts[0].data)


@every_optimizer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_type_stays(make: Any, dtype: Any) -> None:
    layer = Parameters(np.ones(3, dtype))
    optimizer = make().setup(layer)
    for name in ("lr", "alpha", "eps", "momentum", "rho"):
        if name in vars(optimizer):  # as a schedule computed by NumPy sets them
            setattr(optimizer, name, np.float64(getattr(optimizer, name)))
    descend(optimizer, 2)
    assert layer.parts[0].dtype == dtype
    assert all(m.dtype == dtype for m in optimizer.state[layer.parts[0]])


def test_the_step_size_of_adam() -> None:
    adam = Adam(alpha=0.5, beta1=0.9, beta2=0.99).setup(Parameters(np.ones(1)))
    first = 0.5 * math.sqrt(1 - 0.99) / (1 - 0.9)
    assert adam.lr == pytest.approx(first, rel=1e-14)  # before the first step
    adam.update()
    assert adam.lr == pytest.approx(first, rel=1e-14)
    adam.update()
    second = 0.5 * math.sqrt(1 - 0.99**2) / (1 - 0.9**2)
    assert adam.lr == pytest.approx(second, rel=1e-14)


# -- whose arrays -------------------------------------------------------------------


@every_optimizer
def test_an_array_of_the_user_is_never_written(make: Any) -> None:
    x, gx = np.ones(3), np.ones(3)
    x.flags.writeable = gx.flags.writeable = False
    layer = Parameters(x)
    (p,) = layer.params()
    optimizer = make().setup(layer)
    for _ in range(2):
        p.grad = Variable(gx)
        optimizer.update()
    mine = p.data.copy()
    mine.flags.writeable = False
    p.data = mine
    p.grad = Variable(gx)
    optimizer.update()
    assert (p.data < mine).all()


@every_optimizer
def test_updates_are_in_place(make: Any) -> None:
    layer = Parameters(np.ones(3))
    (p,) = layer.params()
    optimizer = make().setup(layer)
    descend(optimizer, 1)
    data = p.data
    before = data.copy()
    descend(optimizer, 2)
    assert p.data is data and (data != before).all()


def test_a_graph_behind_an_update_is_noticed() -> None:
    layer = L.Linear(2, in_size=2)
    optimizer = SGD().setup(layer)
    y = F.sum(layer(layer(np.ones((1, 2)))))
    y.backward()
    optimizer.update()
    with pytest.raises(GradientError):
        y.backward()


@every_optimizer
def test_arrays_of_any_layout(make: Any) -> None:
    x = np.random.randn(6, 5)
    plain, turned = Parameters(x), Parameters(np.asfortranarray(x))
    for layer in (plain, turned):
        descend(make().setup(layer), 3)
    np.testing.assert_array_equal(plain.parts[0].data, turned.parts[0].data)


def test_a_gradient_of_another_shape() -> None:
    layer = Parameters(np.ones((3, 2)))
    (p,) = layer.params()
    p.grad = Variable(np.ones((1, 2)))
    with pytest.raises(ValueError) as caught:
        SGD().setup(layer).update()
    assert str(caught.value) == (
        "SGD: expected a gradient of shape (3, 2), as the parameter has, got (1, 2)"
    )
    np.testing.assert_array_equal(p.data, 1)


# -- which parameters ---------------------------------------------------------------


def test_tied_parameters_move_once() -> None:
    layer = Layer()
    layer.a = Parameter(np.ones(1))
    layer.b, layer.c = layer.a, [layer.a]
    layer.a.grad = Variable(np.ones(1))
    SGD(lr=0.25).setup(layer).update()
    assert layer.a.data == 0.75

    class Twice:  # any target, which may name a parameter twice
        def params(self) -> list[Parameter]:
            return [layer.a, layer.a]

    SGD(lr=0.25).setup(Twice()).update()
    assert layer.a.data == 0.5


@every_optimizer
def test_without_gradient_nothing_moves(make: Any) -> None:
    layer = Parameters(np.ones(2), np.ones(2))
    still, moved = layer.params()
    optimizer = make().setup(layer)
    moved.grad = Variable(np.ones(2))
    optimizer.update()
    np.testing.assert_array_equal(still.data, 1)
    assert (moved.data < 1).all()
    assert still not in optimizer.state


def test_parameters_without_data_wait() -> None:
    model = MLP((3, 2))
    optimizer = Adam().setup(model)
    optimizer.update()
    F.sum(model(np.ones((1, 2)))).backward()
    optimizer.update()
    assert len(optimizer.state) == 4


def test_setup_gives_the_optimizer_and_is_needed() -> None:
    layer = Parameters(np.ones(1))
    optimizer = SGD()
    assert optimizer.setup(layer) is optimizer and optimizer.target is layer
    with pytest.raises(ValueError) as caught:
        Adam().update()
    assert str(caught.value) == (
        "Adam.update: expected a model to update, got none; write Adam().setup(model)"
    )


@pytest.mark.parametrize(
    ("target", "got"),
    [
        (None, "NoneType"),
        (3, "int"),
        (MLP, "the class MLP"),
        ([Variable(np.ones(1))], "a list with a Variable"),
        ("model", "a str with a str"),
        (Parameter(np.ones(1)), "a Parameter; write a list of them"),
    ],
)
def test_what_has_no_parameters_is_no_target(target: Any, got: str) -> None:
    optimizer = SGD()
    with pytest.raises(TypeError) as caught:
        optimizer.setup(target)
    assert str(caught.value) == (
        f"SGD.setup: expected a model or Parameters, got {got}"
    )
    assert optimizer.target is None


@pytest.mark.parametrize("empty", [[], iter(())])
def test_no_parameters_are_no_target(empty: Any) -> None:
    with pytest.raises(ValueError) as caught:
        SGD().setup(empty)
    assert str(caught.value) == (
        "SGD.setup: expected a model or Parameters, got none: an empty "
        + type(empty).__name__
    )


@every_optimizer
def test_some_parameters_are_a_target(make: Any) -> None:
    layer = Parameters(np.ones(2), np.ones(3), np.ones(1))
    a, b, c = layer.params()
    whole, part = Parameters(np.ones(2), np.ones(1)), make().setup(p for p in (a, c))
    descend(make().setup(whole), 3)
    descend(part, 3)
    for p, q in zip((a, c), whole.params(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)
    np.testing.assert_array_equal(b.data, 1)
    twin = copy.deepcopy(part)
    assert [p.shape for p in twin.target.params()] == [(2,), (1,)]


def test_moments_are_of_one_model() -> None:
    one, other = Parameters(np.ones(2)), Parameters(np.ones(2))
    adam = Adam().setup(other).setup(one)  # nothing was done yet
    descend(adam, 2)
    before = one.parts[0].data.copy()
    adam.setup(one).setup(one.params())  # the same parameters
    with pytest.raises(ValueError) as caught:
        adam.setup(other)
    assert str(caught.value) == (
        "Adam.setup: expected the model that it has updated so far, got another one; "
        "write a new Adam for it, as moments are of one model"
    )
    assert list(adam.target.params()) == one.parts  # type: ignore[union-attr]
    one.parts.append(Parameter(np.ones(2)))  # a model may grow
    descend(adam.setup(one), 1)
    assert adam.t == 3 and (one.parts[0].data != before).all()


def test_an_optimizer_of_a_user() -> None:
    class Half(Optimizer):
        def update_one(self, param: Parameter) -> None:
            param.data *= 0.5

    layer = Parameters(np.ones(1), np.ones(1))
    one, two = layer.params()
    one.grad = Variable(np.ones(1))
    Half().setup(layer).update()
    assert one.data == 0.5 and two.data == 1
    with pytest.raises(NotImplementedError) as caught:
        Optimizer().setup(layer).update()
    assert str(caught.value) == "Optimizer: expected a method update_one"


# -- state --------------------------------------------------------------------------


def test_state_is_of_the_parameter_not_of_its_address() -> None:
    layer = Layer()
    optimizer = MomentumSGD().setup(layer)
    for _ in range(20):  # the new one often lies where the old one lay
        layer.p = Parameter(np.ones(1))
        layer.p.grad = Variable(np.ones(1))
        optimizer.update()
        assert layer.p.data == pytest.approx(0.99)


@every_optimizer
def test_state_goes_with_the_optimizer(make: Any) -> None:
    layer = Parameters(np.ones(2))
    (p,) = layer.params()
    optimizer = make().setup(layer)
    descend(optimizer, 1)
    seen = weakref.ref(p)
    gc.disable()
    try:
        del layer, p, optimizer
        assert seen() is None
    finally:
        gc.enable()


def train(model: MLP, optimizer: Optimizer, steps: int) -> list[float]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 3)).astype(np.float32)
    losses = []
    for _ in range(steps):
        loss = F.sum((model(x) - np.sin(x[:, :1])) ** 2)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        losses.append(float(loss))
    return losses


@every_optimizer
@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))],
    ids=["deepcopy", "pickle"],
)
def test_copies_go_on_bit_for_bit(make: Any, copied: Any) -> None:
    model = MLP((5, 1))
    optimizer = make().setup(model)
    optimizer.add_hook(WeightDecay(0.01))
    train(model, optimizer, 5)
    twin_model, twin_optimizer = copied((model, optimizer))
    assert twin_optimizer.target is twin_model
    wanted = train(model, optimizer, 5)
    assert train(twin_model, twin_optimizer, 5) == wanted


@every_optimizer
def test_state_saved_and_loaded_goes_on_bit_for_bit(make: Any) -> None:
    model = MLP((5, 1))
    optimizer = make().setup(model)
    train(model, optimizer, 5)
    state = optimizer.state_dict()
    twin_model = copy.deepcopy(model)
    twin = type(optimizer)().setup(twin_model)
    twin.load_state_dict(state)
    wanted = train(model, optimizer, 5)
    assert train(twin_model, twin, 5) == wanted


def test_what_is_in_the_state() -> None:
    layer = Parameters(np.ones(2), np.ones(3))
    _, p = layer.params()
    adam = Adam().setup(layer)
    p.grad = Variable(np.ones(3))
    adam.update()
    state = adam.state_dict()
    assert list(state) == ["t", "alpha", "beta1", "beta2", "eps", "1/m", "1/v"]
    assert state["t"] == 1
    np.testing.assert_allclose(state["1/m"], 0.1)
    state["1/m"][:] = 0  # a copy
    np.testing.assert_allclose(adam.state[p][0], 0.1)


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    layer = Parameters(np.ones(2))
    adam = Adam().setup(layer)
    descend(adam, 2)
    before = adam.state_dict()
    state = {"t": np.array(9), "alpha": np.array(1.0), "eps": np.array(1.0)}
    state |= {"beta1": np.array(0.5), "0/m": np.ones(3), "1/v": np.ones(2)}
    with pytest.raises(DataError) as caught:
        adam.load_state_dict(state)
    assert str(caught.value) == (
        "Adam.load_state_dict: expected the state of an optimizer of this kind for "
        "this model, got one where\n"
        "  beta2: missing\n"
        "  0/v: missing\n"
        "  0/m: expected shape (2,), got (3,)\n"
        "  1/v: unknown"
    )
    after = adam.state_dict()
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)


def test_numbers_that_are_none_do_not_fit() -> None:
    layer = Parameters(np.ones(2))
    sgd = SGD(lr=0.5).setup(layer)
    for bad, got in (
        (np.ones(2), "shape (2,)"),
        (np.array("a"), "shape () of type <U1"),
    ):
        with pytest.raises(DataError) as caught:
            sgd.load_state_dict({"lr": bad})
        assert str(caught.value) == (
            "SGD.load_state_dict: expected the state of an optimizer of this kind for "
            f"this model, got one where\n  lr: expected one number, got {got}"
        )
    assert sgd.lr == 0.5
    sgd.lr = np.float32(0.25)  # type: ignore[assignment]
    assert sgd.state_dict() == {"lr": 0.25}


# -- hooks --------------------------------------------------------------------------


def with_gradients(*grads: Any) -> list[Parameter]:
    params = [Parameter(np.ones(np.shape(g), np.asarray(g).dtype)) for g in grads]
    for p, g in zip(params, grads, strict=True):
        p.grad = Variable(np.array(g))
    return params


def grads_of(params: list[Parameter]) -> list[Any]:
    return [None if p.grad is None else p.grad.data for p in params]


def test_weight_decay_is_the_gradient_of_a_penalty() -> None:
    layer = L.Linear(3, in_size=2, dtype=np.float64)
    x = np.random.randn(4, 2)
    F.sum(layer(x) ** 2).backward()
    WeightDecay(0.4)(list(layer.params()))
    decayed = [p.grad.data for p in layer.params() if p.grad is not None]
    layer.cleargrads()
    penalty = F.sum(layer.W**2) + F.sum(layer.b**2)
    (F.sum(layer(x) ** 2) + 0.4 / 2 * penalty).backward()
    for p, wanted in zip(layer.params(), decayed, strict=True):
        assert p.grad is not None
        np.testing.assert_allclose(p.grad.data, wanted, 1e-12)


def test_hooks_write_into_no_array_of_another() -> None:
    shared = np.ones(2)
    a, b = Parameter(np.ones(2)), Parameter(np.ones(2))
    a.grad, b.grad = Variable(shared), Variable(shared)
    WeightDecay(1.0)([a, b])
    ClipGrad(0.1)([a, b])
    np.testing.assert_array_equal(shared, 1)
    np.testing.assert_array_equal(grads_of([a])[0], grads_of([b])[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clip_grad(dtype: Any) -> None:
    params = with_gradients(np.array([3.0, 0.0], dtype), np.array([[4.0]], dtype))
    ClipGrad(10.0)(params)
    np.testing.assert_array_equal(grads_of(params)[0], [3, 0])
    ClipGrad(1.0)(params)
    a, b = grads_of(params)
    np.testing.assert_allclose(a, [0.6, 0], rtol=1e-6)
    np.testing.assert_allclose(b, [[0.8]], rtol=1e-6)
    assert a.dtype == b.dtype == dtype


def test_clip_grad_of_squares_out_of_range() -> None:
    params = with_gradients(np.array([3e30, 4e30], np.float32), np.zeros(2, np.float32))
    ClipGrad(5e29)(params)
    np.testing.assert_allclose(grads_of(params)[0], [3e29, 4e29], rtol=1e-6)
    np.testing.assert_array_equal(grads_of(params)[1], 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@every_optimizer
def test_clip_grad_leaves_out_a_step_without_direction(make: Any, bad: float) -> None:
    layer = Parameters(np.ones(2), np.ones((1, 3)))
    optimizer = make().setup(layer)
    optimizer.add_hook(ClipGrad(1.0))
    descend(optimizer, 2)
    before = [p.data.copy() for p in layer.params()]
    moments = copy.deepcopy(list(optimizer.state.values()))
    for p, g in zip(layer.params(), ([1.0, 1.0], [[1.0, bad, 0.0]]), strict=True):
        p.grad = Variable(np.array(g))
    with pytest.warns(RuntimeWarning) as caught:
        optimizer.update()
    assert [str(warning.message) for warning in caught] == [
        "ClipGrad: expected finite gradients, got NaN or infinity for parameters of "
        "shape (1, 3); this step is left out"
    ]
    for p, old in zip(layer.params(), before, strict=True):
        np.testing.assert_array_equal(p.data, old)
    for new, old in zip(optimizer.state.values(), moments, strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clip_value(dtype: Any) -> None:
    params = with_gradients(np.array([3.0, -0.25, -np.inf, np.nan], dtype))
    gx = params[0].grad.data  # type: ignore[union-attr]
    ClipValue(0.5)(params)
    np.testing.assert_array_equal(grads_of(params)[0], [0.5, -0.25, -0.5, np.nan])
    assert grads_of(params)[0].dtype == dtype and gx[0] == 3
    with pytest.raises(ValueError) as caught:
        ClipValue(0)
    assert str(caught.value) == "ClipValue: expected a limit above 0, got 0"


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_gradients_of_parts_are_that_of_the_whole(compiled: bool) -> None:
    wrap = dezero.compile if compiled else lambda f: f
    np.random.seed(0)
    x, t = np.random.randn(12, 3), np.random.randint(4, size=12)
    whole = MLP((5, 4))
    whole(x)
    parts = copy.deepcopy(whole)
    a, b = Adam(0.1).setup(whole), Adam(0.1).setup(parts)

    def backward(x: Any, t: Any) -> Variable:
        loss: Variable = F.softmax_cross_entropy(parts(x), t) / 3
        loss.backward()
        return loss

    def update() -> None:
        b.update()
        parts.cleargrads()

    backward, update = wrap(backward), wrap(update)
    for _ in range(4):
        whole.cleargrads()
        F.softmax_cross_entropy(whole(x), t).backward()
        a.update()
        for i in range(0, 12, 4):
            backward(x[i : i + 4], t[i : i + 4])
        update()
    for p, q in zip(whole.params(), parts.params(), strict=True):
        np.testing.assert_allclose(q.data, p.data, rtol=1e-3, atol=1e-4)


def test_freeze_param() -> None:
    model = MLP((4, 3, 2))
    model(np.ones((1, 2)))
    optimizer = SGD(lr=1.0).setup(model)
    optimizer.add_hook(FreezeParam(model.l0, model.l2.b))
    before = {name: p.data.copy() for name, p in model.named_params().items()}
    F.sum(model(np.ones((1, 2)))).backward()
    optimizer.update()
    moved = [
        name
        for name, p in model.named_params().items()
        if (p.data != before[name]).any()
    ]
    assert moved == ["l1/W", "l1/b", "l2/W"]


def test_frozen_layers_may_get_their_shape_later() -> None:
    model = MLP((4, 3))
    optimizer = SGD(lr=1.0).setup(model)
    optimizer.add_hook(FreezeParam(model))
    F.sum(model(np.ones((1, 2)))).backward()
    before = model.l0.W.data.copy()
    optimizer.update()
    np.testing.assert_array_equal(model.l0.W.data, before)


def test_hooks_run_in_order_on_all_parameters_with_gradients() -> None:
    layer = Parameters(np.ones(2), np.ones(2))
    one, _ = layer.params()
    optimizer = SGD(lr=1.0).setup(layer)
    seen: list[Any] = []
    optimizer.add_hook(lambda params: seen.append(("first", params)))
    optimizer.add_hook(lambda params: seen.append(("second", params)))
    assert len(optimizer.hooks) == 2
    one.grad = Variable(np.ones(2))
    optimizer.update()
    assert [name for name, _ in seen] == ["first", "second"]
    assert all(len(params) == 1 and params[0] is one for _, params in seen)
