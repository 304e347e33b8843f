"""Deep and wide graphs: forward, backward and the end of them, without recursion."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import dezero.functions as F
from dezero import Function, Parameter, Variable


@pytest.fixture(autouse=True)
def _reference_counting_alone() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def chain(x: Variable, length: int, factor: float = 0.999999) -> Variable:
    y = x
    for _ in range(length):
        y = y * factor
    return y


def test_a_chain_of_a_million_functions() -> None:
    x = Variable(np.array(1.0))
    first = x * 1.0
    y = chain(first, 1_000_000)
    assert y.generation == 1_000_001
    y.backward()
    assert x.grad.data == y.data  # the same products, in the same order
    gone = weakref.ref(first)
    del first
    assert gone() is not None
    del y
    assert gone() is None


def test_a_sum_of_100_000_branches() -> None:
    x = Variable(np.array([1.0, 2.0]))
    first = x * 1.0
    y = first
    for i in range(1, 100_000):
        y = y + x * float(i % 7)
    y.backward()
    wanted = 1 + sum(i % 7 for i in range(1, 100_000))
    assert x.grad.data.tolist() == [wanted, wanted]
    gone = weakref.ref(first)
    del first, y
    assert gone() is None


class Total(Function):
    """The sum of any number of inputs."""

    def forward(self, *xs: Any) -> Any:
        return np.sum(xs, axis=0)

    def backward(self, gy: Variable) -> Any:
        return (gy,) * len(self.inputs)


def test_a_function_of_100_000_inputs() -> None:
    x = Variable(np.array(0.5))
    y = Total()(*(x * 2 for _ in range(100_000)))
    y.backward()
    assert x.grad.data == 200_000


class Turn(Function):
    """Two outputs, so that a chain of it is a ladder; twice is no change."""

    def forward(self, x0: Any, x1: Any) -> Any:
        return (x0 + x1) * 0.5**0.5, (x0 - x1) * 0.5**0.5

    def backward(self, gy0: Variable, gy1: Variable) -> Any:
        return (gy0 + gy1) * 0.5**0.5, (gy0 - gy1) * 0.5**0.5


def test_a_ladder_of_20_000_functions_of_two_outputs() -> None:
    x0, x1 = Variable(np.array(1.0)), Variable(np.array(3.0))
    a, b = Turn()(x0, x1)
    gone = weakref.ref(a)
    for _ in range(19_999):
        a, b = Turn()(a, b)
    (a + 2.0 * b).backward()
    np.testing.assert_allclose([x0.grad.data, x1.grad.data], [1, 2], rtol=1e-9)
    del a, b
    assert gone() is None


def test_many_functions_of_two_outputs_side_by_side() -> None:
    x = Variable(np.array(1.0))
    pairs = [Turn()(x, x) for _ in range(20_000)]
    y = Total()(*(y for pair in pairs for y in pair))
    y.backward()
    np.testing.assert_allclose(x.grad.data, 20_000 * 2**0.5)


def test_the_gradient_of_a_gradient_of_a_long_chain() -> None:
    x = Variable(np.array(1.0))
    y = chain(x * x, 30_000)
    y.backward(create_graph=True)
    gx = x.grad
    x.cleargrad()
    gx.backward()
    assert x.grad.data == 2 * y.data
    gone = weakref.ref(gx)
    del gx, y
    assert gone() is None


def test_unchain_backward_of_a_long_chain() -> None:
    x = Variable(np.array(1.0))
    first = x * 1.0
    gone = weakref.ref(first)
    y = chain(first, 100_000)
    del first
    y.unchain_backward()
    assert gone() is None
    y.backward()
    assert x.grad is None


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_at_the_end_of_a_long_chain(copied: Any) -> None:
    x = Variable(np.array(1.0))
    y = chain(x, 100_000)
    twin = copied(y)
    assert twin.data == y.data
    assert twin.creator is None
    assert len(pickle.dumps(y)) < 1000

    class Recurrent:
        def __init__(self) -> None:
            self.weight = Parameter(np.ones(3))
            self.hidden = y
            self.last = y.creator

    model = Recurrent()
    state = copied(vars(model))
    assert state["hidden"].data == y.data
    assert state["hidden"].creator is None
    assert state["last"].inputs == ()
    assert y.creator is model.last
    y.backward()
    assert x.grad.data == y.data


def test_a_long_chain_of_views_is_freed() -> None:
    x = Variable(np.ones(4))
    y = x
    for i in range(50_000):
        y = F.reshape(y, (2, 2) if i % 2 == 0 else (4,))
    y.backward()
    assert x.grad.data.tolist() == [1.0] * 4
