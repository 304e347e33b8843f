"""What is held, for how long, and by how many: without the garbage collector."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import dezero.functions as F
from dezero import Function, Parameter, Variable
from dezero.core import propagate

MEGABYTE = 2**20


@pytest.fixture(autouse=True)
def _reference_counting_alone() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive() -> int:
    """How many Variables and Functions there are."""
    return sum(isinstance(o, (Variable, Function)) for o in gc.get_objects())


class Pair(Function):
    """Two outputs, of which the training loops below use one."""

    def forward(self, x: Any) -> Any:
        return np.sin(x), np.cos(x)

    def backward(self, gy0: Variable, gy1: Variable) -> Variable:
        (x,) = self.inputs
        return gy0 * F.cos(x) - gy1 * F.sin(x)


# -- training loops -----------------------------------------------------------------


def clear(params: list[Parameter]) -> None:
    for p in params:
        p.cleargrad()


def step(params: list[Parameter], x: Any) -> None:
    for p in params:
        p.data -= 0.01 * p.grad.data


def plain(params: list[Parameter], x: Any) -> None:
    W, b = params
    y = Pair()(F.matmul(x, W) + b)[0]
    clear(params)
    ((y * y).sum() / y.size).backward()
    step(params, x)


def retaining(params: list[Parameter], x: Any) -> None:
    W, b = params
    y = F.tanh(F.matmul(x, W) + b)
    clear(params)
    (y * y).sum().backward(retain_grad=True)
    step(params, x)


def second_order(params: list[Parameter], x: Any) -> None:
    W, b = params
    y = F.sin(F.matmul(x, W) * b)
    clear(params)
    (y * y).sum().backward(create_graph=True)
    penalty = (W.grad * W.grad).sum() * 1e-6
    clear(params)
    penalty.backward()
    step(params, x)


def failing(params: list[Parameter], x: Any) -> None:
    plain(params, x)
    y = F.tanh(F.matmul(x, params[0]))
    y.grad = Variable(np.ones(7))
    with pytest.raises(RuntimeError):
        y.backward()


@pytest.mark.parametrize("train", [plain, retaining, second_order, failing])
def test_the_memory_of_a_training_loop_is_flat(train: Callable[..., None]) -> None:
    params = [Parameter(np.full((64, 64), 0.1)), Parameter(np.full(64, 0.1))]
    x = np.ones((128, 64))  # 64 KB, as is everything that follows from it

    def run(times: int) -> tuple[int, int]:
        for _ in range(times):
            train(params, x)
        return alive(), tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        run(5)
        alive_before, bytes_before = run(1)
        alive_after, bytes_after = run(20)
    finally:
        tracemalloc.stop()
    assert alive_after == alive_before
    assert bytes_after - bytes_before < 32 * 1024


def test_truncated_backpropagation_keeps_one_stretch() -> None:
    W = Parameter(np.full((8, 8), 0.1))
    h = Variable(np.ones((4, 8)))
    counts = []
    for _ in range(6):
        loss = 0
        for _ in range(5):
            h = F.tanh(F.matmul(h, W))
            loss = loss + h.sum()
        W.cleargrad()
        loss.backward()
        loss.unchain_backward()
        counts.append(alive())
    assert counts[1:] == counts[1:2] * 5


def test_training_makes_no_garbage() -> None:
    params = [Parameter(np.full((4, 4), 0.1)), Parameter(np.full(4, 0.1))]
    gc.collect()
    for train in (plain, retaining, second_order):
        train(params, np.ones((2, 4)))
    clear(params)
    assert gc.collect() == 0


def test_a_gradient_that_can_be_differentiated_is_no_cycle_but_in_its_leaf() -> None:
    """``x.grad`` holds the graph, which holds ``x``; nothing else goes in a circle."""
    before = alive()
    x = Variable(np.full(3, 0.5))
    y = F.tanh(F.exp(x) * x)
    for _ in range(3):
        y = propagate(y, Variable(np.ones(3)), create_graph=True)[x]
    del x, y
    assert alive() == before
    x = Variable(np.full(3, 0.5))
    F.tanh(F.exp(x) * x).backward(create_graph=True)
    x.cleargrad()
    del x
    assert alive() == before


# -- the end of a graph -------------------------------------------------------------


@pytest.mark.parametrize("walk", [False, True])
def test_a_graph_goes_with_its_last_variable(walk: bool) -> None:
    x = Variable(np.ones(3))
    before = alive()
    a, b = Pair()(x)
    y = F.exp(a) * a + b
    gone = [weakref.ref(v) for v in (a, b, y, y.creator, a.creator)]
    if walk:
        y.backward(retain_grad=True)
        x.cleargrad()
    del b, y
    assert [r() is None for r in gone] == [False, True, True, True, False]
    assert alive() == before + 2 + walk  # a, its creator, and what it retained
    del a
    assert alive() == before


def test_nothing_is_recorded_that_nobody_asks_for() -> None:
    x = np.ones(3)
    before = alive()
    y = F.sin(F.exp(x) + x)
    assert alive() == before + 1
    assert y.creator is None


def test_an_output_that_is_dropped_is_freed() -> None:
    x = Variable(np.ones(MEGABYTE // 8))
    tracemalloc.start()
    try:
        a = Pair()(x)[0]
        assert tracemalloc.get_traced_memory()[0] < 1.2 * MEGABYTE
        del a
        assert tracemalloc.get_traced_memory()[0] < 0.2 * MEGABYTE
    finally:
        tracemalloc.stop()


# -- gradients on the way -----------------------------------------------------------


def straight(x: Variable) -> Variable:
    for _ in range(40):
        x = x * 1.01
    return x


def diamonds(x: Variable) -> Variable:
    for _ in range(20):
        x = x * 1.01 + F.sin(x)
    return x


def pairs(x: Variable) -> Variable:
    for _ in range(20):
        x = Pair()(x)[0]
    return x


@pytest.mark.parametrize("graph", [straight, diamonds, pairs])
def test_gradients_go_as_backward_passes_them(
    graph: Callable[[Variable], Variable],
) -> None:
    def peak(**kwargs: bool) -> float:
        x = Variable(np.ones(MEGABYTE // 8))
        y = graph(x)
        tracemalloc.start()
        try:
            y.backward(**kwargs)
            return tracemalloc.get_traced_memory()[1] / MEGABYTE
        finally:
            tracemalloc.stop()

    assert peak() < 7
    assert peak(retain_grad=True) > 20  # the measure measures


# -- who can write where ------------------------------------------------------------


class Product(Function):
    """backward returns its own inputs: right where the gradient is one."""

    def forward(self, x0: Any, x1: Any) -> Any:
        return x0 * x1

    def backward(self, gy: Variable) -> Any:
        x0, x1 = self.inputs
        return x1, x0


class Cached(Function):
    """backward returns what it keeps, to two inputs and every time."""

    kept = Variable(np.full((2, 3), 3.0))

    def forward(self, x0: Any, x1: Any) -> Any:
        return (x0 + x1) * 3

    def backward(self, gy: Variable) -> Any:
        self.gy = gy
        return self.kept, self.kept


class CachedArray(Cached):
    """The Variables are new, the array is not."""

    def backward(self, gy: Variable) -> Any:
        return Variable(self.kept.data), Variable(self.kept.data[:])


class Handed(Cached):
    """backward returns the gradient it was handed, and remembers it."""

    def backward(self, gy: Variable) -> Any:
        self.gy = gy
        return gy, gy


def leaves() -> tuple[Variable, Variable]:
    return Variable(np.ones((2, 3))), Variable(np.full((2, 3), 2.0))


GRAPHS: dict[str, Callable[[Variable, Variable], Variable]] = {
    "add": lambda a, b: a + b,
    "add, then more": lambda a, b: (a + b * 3 * b) * 2,
    "twice": lambda a, b: a + a + b + b,
    "sum": lambda a, b: F.sum(a) + F.sum(b, axis=0),
    "reshape": lambda a, b: F.reshape(a, (3, 2)) + F.reshape(b, (3, 2)),
    "transpose": lambda a, b: F.transpose(a) + F.transpose(b) * 1.0,
    "item": lambda a, b: a[0] + b[1],
    "broadcast": lambda a, b: F.broadcast_to(a, (4, 2, 3)) + b,
    "copy": lambda a, b: F.copy(a) + F.copy(b),
    "own inputs": lambda a, b: Product()(a, b),
    "own inputs, later": lambda a, b: Product()(a * 1.0, b * 1.0),
    "cached": lambda a, b: Cached()(a, b),
    "cached, then one of them again": lambda a, b: Cached()(a, b) + b,
    "cached array": lambda a, b: CachedArray()(a, b),
    "handed": lambda a, b: Handed()(a, b),
    "handed, later": lambda a, b: Handed()(a, b) * 2.0,
}


def behind(y: Variable) -> set[Variable]:
    found: set[Variable] = set()
    pending = [y]
    while pending:
        v = pending.pop()
        if v not in found:
            found.add(v)
            pending += v.creator.inputs if v.creator else ()
    return found


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("retain_grad", [False, True])
@pytest.mark.parametrize("times", [1, 2])
def test_no_gradient_shares_its_memory(
    graph: Any, create_graph: bool, retain_grad: bool, times: int
) -> None:
    a, b = leaves()
    y = graph(a, b)
    for _ in range(times):
        seed = np.ones(y.shape)
        y.grad = Variable(seed)
        y.backward(retain_grad=retain_grad, create_graph=create_graph)
    variables = [v for v in behind(y) if v.requires_grad]
    others = [seed, Cached.kept.data]
    others += [v.data for v in variables if v.creator is None]
    others += [v.creator.gy.data for v in variables if hasattr(v.creator, "gy")]
    grads = [v.grad.data for v in variables if v is not y and v.grad is not None]
    assert len(grads) == (len(variables) - 1 if retain_grad else 2)
    for i, grad in enumerate(grads):
        for other in others + grads[:i]:
            assert not np.shares_memory(grad, other)
        assert_elements_are_apart(grad)


def assert_elements_are_apart(array: Any) -> None:
    before = array.copy()
    array.flat[0] += 1
    assert (array != before).sum() == 1


@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_of_no_axes_are_apart(create_graph: bool) -> None:
    a, b = Variable(np.array(1.0)), Variable(np.array(2.0))
    y = (a + b) * 2.0
    y.backward(create_graph=create_graph)
    a.grad.data[...] = 7
    assert b.grad.data == 2


def test_a_write_into_a_gradient_does_not_change_the_second_derivative() -> None:
    def second(write: bool) -> Any:
        a, b = leaves()
        y = (a + b * b * b) * 2.0  # what a gets, b's own derivative is made from
        y.backward(create_graph=True)
        if write:
            a.grad.data *= 100
        gb = b.grad
        b.cleargrad()
        gb.backward()
        return b.grad.data.tolist()

    assert second(write=True) == second(write=False)


def test_gradients_that_nobody_shares_are_not_copied() -> None:
    x = Variable(np.ones(MEGABYTE // 8))
    y = x * 2.0
    tracemalloc.start()
    try:
        y.backward()
        assert tracemalloc.get_traced_memory()[1] < 2.5 * MEGABYTE  # seed, gradient
    finally:
        tracemalloc.stop()


def test_the_seed_stays_as_it_was() -> None:
    a, b = leaves()
    seed = Variable(np.ones((2, 3)))
    for graph in GRAPHS.values():
        y = graph(a, b)
        if y.shape == seed.shape:
            y.grad = seed
            y.backward()
            a.grad.data[...] = 9
    assert seed.data.tolist() == np.ones((2, 3)).tolist()


def test_what_backward_adds_in_place_is_nobody_elses() -> None:
    a, b = leaves()
    shared = Cached()(a, b)
    y = shared + Cached()(a, b) + Cached()(a, b)
    y.backward()
    assert Cached.kept.data.tolist() == np.full((2, 3), 3.0).tolist()
    assert a.grad.data.tolist() == np.full((2, 3), 9.0).tolist()
