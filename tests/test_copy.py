"""Copies and pickles: of a value all, of its graph nothing."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dezero.functions as F
from dezero import Function, Parameter, Variable
from dezero.core import as_input

COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda x, p=protocol: pickle.loads(pickle.dumps(x, p))
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },
}
copies = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
deep = pytest.mark.parametrize(
    "copied", [c for name, c in COPIES.items() if name != "copy"]
)


@copies
@pytest.mark.parametrize("kind", [Variable, Parameter])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_leaf(copied: Any, kind: type[Variable], dtype: Any) -> None:
    x = kind(np.arange(3, dtype=dtype), name="weights")
    x.requires_grad = False
    x.grad = Variable(np.ones(3, dtype), name="slope")
    x.note = "anything"
    twin = copied(x)
    assert type(twin) is kind
    assert twin is not x
    assert (twin.data.tolist(), twin.dtype) == ([0, 1, 2], dtype)
    assert (twin.name, twin.note, twin.requires_grad) == ("weights", "anything", False)
    assert (twin.grad.data.tolist(), twin.grad.name) == ([1, 1, 1], "slope")
    assert (twin.creator, twin.generation) == (None, 0)


@copies
def test_a_parameter_without_data(copied: Any) -> None:
    twin = copied(Parameter(None, name="W"))
    assert repr(twin) == "parameter(None)"
    assert twin.name == "W"
    assert twin.grad is None
    twin.data = np.ones(2)
    (twin * 3).backward()
    assert twin.grad.data.tolist() == [3, 3]


@copies
def test_a_result_becomes_a_leaf(copied: Any) -> None:
    x = Variable(np.array([1.0, 2.0]))
    y = F.exp(x) * x
    twin = copied(y)
    assert twin.data.tolist() == y.data.tolist()
    assert (twin.creator, twin.generation) == (None, 0)
    assert twin.requires_grad
    (twin * twin).backward()
    assert twin.grad.data.tolist() == (2 * y.data).tolist()
    assert x.grad is y.grad is None
    y.backward()
    assert x.grad is not None


@copies
def test_a_result_of_no_axes(copied: Any) -> None:
    x = Variable(np.array(2.0, np.float32))
    twin = copied(x * 3.0 + 1.0)
    assert type(twin.data) is np.ndarray
    assert (twin.data, twin.dtype, twin.shape) == (7, np.float32, ())


@copies
def test_an_output_among_several(copied: Any) -> None:
    class Both(Function):
        def forward(self, x: Any) -> Any:
            return x + 1, x + 2

    y = Both()(Variable(np.array(1.0)))[1]
    twin = copied(y)
    assert (twin.data, twin.creator, twin.output_index) == (3, None, 0)


@deep
def test_a_deep_copy_shares_no_array(copied: Any) -> None:
    x = Variable(np.zeros(3))
    x.grad = Variable(np.zeros(3))
    twin = copied(x)
    twin.data[...] = 1
    twin.grad.data[...] = 1
    assert x.data.tolist() == x.grad.data.tolist() == [0, 0, 0]


@deep
def test_a_variable_in_two_places_stays_one(copied: Any) -> None:
    x = Parameter(np.zeros(3))
    first, second = copied([x, {"tied": x}])
    assert first is second["tied"]
    assert type(first) is Parameter


@copies
def test_a_gradient_with_a_graph_is_copied_without_it(copied: Any) -> None:
    x = Variable(np.array(2.0))
    (x**3).backward(create_graph=True)
    twin = copied(x)
    assert twin.grad.data == 12
    if copied is not copy.copy:  # which shares it
        assert twin.grad.creator is None
    assert x.grad.creator is not None


@copies
def test_what_retain_grad_left_is_copied_as_a_gradient(copied: Any) -> None:
    x = Variable(np.array(2.0))
    h = x * 3
    (h * h).backward(retain_grad=True)
    twin = copied(h)
    assert twin.grad.data == 12
    h.cleargrad()
    assert "_retained" not in vars(copied(h))


@copies
def test_a_function_after_its_use(copied: Any) -> None:
    scale = Scale(3.0)
    x = Variable(np.array([1.0, 2.0]))
    y = scale(x)
    twin = copied(scale)
    assert (twin.factor, twin.x_sum) == (3.0, 3.0)
    assert (twin.inputs, twin.outputs, twin.generation) == ((), [], 0)
    v = Variable(np.array(5.0))
    twin(v).backward()
    y.backward()
    assert (v.grad.data, x.grad.data.tolist()) == (3, [3, 3])
    assert y.creator is scale


class Scale(Function):
    def __init__(self, factor: float) -> None:
        self.factor = factor

    def forward(self, x: Any) -> Any:
        self.x_sum = x.sum()
        return x * self.factor

    def backward(self, gy: Variable) -> Variable:
        return gy * self.factor


@copies
def test_a_number(copied: Any) -> None:
    twin = copied(as_input(2.5))
    x = Variable(np.ones(2, np.float32))
    y = x * twin
    assert y.dtype == np.float32  # as weak as before
    assert y.data.tolist() == [2.5, 2.5]
    assert not twin.requires_grad


@deep
def test_training_goes_on_in_a_copy(copied: Any) -> None:
    def step(p: Parameter) -> None:
        p.cleargrad()
        F.sum((p - 3.0) ** 2).backward()
        p.data -= 0.1 * p.grad.data

    p = Parameter(np.zeros(2, np.float32))
    step(p)
    twin = copied(p)
    step(p)
    step(twin)
    assert twin.data.tolist() == p.data.tolist()
    assert twin.dtype == np.float32
