"""Hooks on Variables and Layers."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import Parameter, Variable
from dezero.backend.hooks import hooks_in_use
from dezero.errors import GradientError

X = np.array([1.0, -2.0, 3.0])


def doubled(gx: Variable) -> Variable:
    return gx * 2


class TestVariable:
    def test_a_leaf_gets_its_complete_gradient_once(self) -> None:
        x, seen = Variable(X), []
        x.register_hook(lambda gx: seen.append(gx.data.copy()))
        (x * x + x).sum().backward()
        np.testing.assert_array_equal(seen, [2 * X + 1])
        assert x.grad is not None
        np.testing.assert_array_equal(x.grad.data, 2 * X + 1)

    def test_in_between(self) -> None:
        x, seen = Variable(X), []
        y = x * 3
        y.register_hook(lambda gy: seen.append(gy.data.copy()))
        (y * y + y).sum().backward()
        np.testing.assert_array_equal(seen, [6 * X + 1])

    def test_what_it_returns_goes_on(self) -> None:
        x = Variable(X)
        y = x * 3
        y.register_hook(doubled)
        y.register_hook(lambda gy: gy + 1)
        x.register_hook(doubled)
        y.sum().backward(retain_grad=True)
        assert x.grad is not None and y.grad is not None
        np.testing.assert_array_equal(x.grad.data, np.full(3, (1 * 2 + 1) * 3 * 2))
        np.testing.assert_array_equal(y.grad.data, np.full(3, 3))

    def test_it_sees_this_walk_alone(self) -> None:
        x, seen = Variable(X), []
        x.register_hook(lambda gx: seen.append(gx.data.copy()))
        for _ in range(2):
            (x * 2).sum().backward()
        np.testing.assert_array_equal(seen, np.full((2, 3), 2))
        assert x.grad is not None
        np.testing.assert_array_equal(x.grad.data, np.full(3, 4))

    def test_several_outputs(self) -> None:
        x = Variable(np.ones((1, 2)))
        W, b = Variable(np.ones((3, 4))), Variable(np.zeros(4))
        h, c = F.lstm_cell(x, np.ones((1, 1)), np.ones((1, 1)), W, b)
        seen: list[str] = []
        h.register_hook(lambda gh: seen.append("h"))
        c.register_hook(lambda gc: seen.append("c"))
        h.sum().backward()
        assert seen == ["h"]  # nothing came for c
        (h + c).sum().backward()
        assert seen == ["h", "h", "c"]

    def test_the_second_derivative_goes_through_it(self) -> None:
        x = Variable(np.array(2.0))
        handle = x.register_hook(lambda gx: gx * x)
        (x**3).backward(create_graph=True)
        gx = x.grad
        x.cleargrad()
        handle.remove()
        assert gx is not None
        gx.backward()
        assert x.grad is not None
        assert x.grad.item() == 9 * 4  # of 3 x ** 3

    def test_removed(self) -> None:
        x = Variable(X)
        handle = x.register_hook(doubled)
        handle.remove()
        handle.remove()
        with x.register_hook(doubled) as inside:
            assert hooks_in_use() == (inside._number,)
        assert hooks_in_use() == ()
        x.sum().backward()
        assert x.grad is not None
        np.testing.assert_array_equal(x.grad.data, np.ones(3))

    def test_it_goes_with_its_variable(self) -> None:
        x = Variable(X)
        x.register_hook(doubled)
        assert len(hooks_in_use()) == 1
        del x
        assert hooks_in_use() == ()

    def test_it_may_keep_the_gradient(self) -> None:
        x, seen = Variable(X), []
        x.register_hook(seen.append)
        x.sum().backward()
        assert x.grad is not None
        x.grad.data[0] = 7
        np.testing.assert_array_equal(seen[0].data, np.ones(3))

    def test_copies_and_files(self) -> None:
        x = Parameter(X)
        x.register_hook(doubled)
        twin, loaded = copy.deepcopy(x), pickle.loads(pickle.dumps(x))
        x._hooks = None
        for v, factor in ((x, 1), (twin, 2), (loaded, 1)):
            v.sum().backward()
            np.testing.assert_array_equal(v.grad.data, np.full(3, factor))

    def test_an_error_leaves_every_grad_as_it_was(self) -> None:
        x, y = Variable(X), Variable(X)

        def failing(gy: Variable) -> None:
            raise KeyError("mine")

        y.register_hook(failing)
        with pytest.raises(KeyError, match="mine"):
            (x * y).sum().backward()
        assert x.grad is None and y.grad is None

    def test_transforms(self) -> None:
        """Of a parameter that is asked for, and of no other."""
        w, v, seen = Parameter(X), Parameter(X), []
        w.register_hook(doubled)
        v.register_hook(lambda gv: seen.append("v"))
        g = dezero.grad(lambda: (w * w * v).sum(), wrt=w)()
        np.testing.assert_array_equal(g.data, 4 * X * X)
        assert seen == []
        f = dezero.checkpoint(lambda x: x * w * v)
        f(Variable(X)).sum().backward()
        assert seen == ["v"]
        assert w.grad is not None
        np.testing.assert_array_equal(w.grad.data, 2 * X * X)

    def test_compiled(self) -> None:
        w = Parameter(X.copy())

        @dezero.compile
        def step(x: Any) -> Any:
            y = w * x
            y.register_hook(lambda gy: gy * 10)
            w.cleargrad()
            y.sum().backward()
            return w.grad

        np.testing.assert_array_equal(step(X).data, 10 * X)
        with w.register_hook(doubled):
            np.testing.assert_array_equal(step(X).data, 20 * X)
        np.testing.assert_array_equal(step(X).data, 10 * X)

    @pytest.mark.parametrize(
        ("returned", "got"),
        [
            (3, "int"),
            (np.ones(3), "ndarray of shape (3,)"),
            (Variable(np.ones(2)), "Variable of shape (2,)"),
        ],
    )
    def test_wrong_gradients(self, returned: Any, got: str) -> None:
        x = Variable(X)
        x.register_hook(lambda gx: returned)
        with pytest.raises(GradientError) as caught:
            x.sum().backward()
        assert str(caught.value) == (
            "register_hook: expected the hook to return None or a Variable of shape "
            f"(3,), got {got}"
        )
        assert x.grad is None

    def test_of_a_constant(self) -> None:
        with pytest.raises(ValueError) as caught:
            Variable(X, name="data", requires_grad=False).register_hook(doubled)
        assert str(caught.value) == (
            "register_hook: expected a Variable that gets a gradient, got 'data' with "
            "requires_grad=False"
        )

    def test_no_function(self) -> None:
        with pytest.raises(TypeError) as caught:
            Variable(X).register_hook(3)  # type: ignore[arg-type]
        assert str(caught.value) == "register_hook: expected a function, got int"


class Two(dezero.Layer):
    def forward(self, x: Any, y: Any) -> Any:
        return x + y, x * y


class TestLayer:
    def test_forward_hook(self) -> None:
        layer, seen = L.Linear(2, in_size=3), []
        handle = layer.register_forward_hook(lambda *call: seen.append(call))
        x = np.ones((4, 3), np.float32)
        y = layer(x)
        assert len(seen) == 1
        assert seen[0][0] is layer and seen[0][1][0] is x and seen[0][2] is y
        handle.remove()
        layer(x)
        assert len(seen) == 1

    def test_it_replaces_the_output(self) -> None:
        layer = Two()
        layer.register_forward_hook(lambda layer, inputs, output: output[0] * 10)
        y = layer(X, X)
        np.testing.assert_array_equal(y, 20 * X)
        assert layer.outputs[0]() is y

    def test_pre_hook(self) -> None:
        layer = Two()
        with layer.register_forward_pre_hook(lambda layer, xs: (xs[0], 2 * xs[1])):
            np.testing.assert_array_equal(layer(X, X)[1], 2 * X * X)
        np.testing.assert_array_equal(layer(X, X)[1], X * X)
        linear = L.Linear(2, in_size=3)
        linear.register_forward_pre_hook(lambda layer, xs: xs[0][None])
        assert linear(X).shape == (1, 2)

    def test_parameters_and_copies(self) -> None:
        layer, seen = L.Linear(2, in_size=3), []

        def see(*call: Any) -> None:
            seen.append(call[0])

        layer.register_forward_hook(see)
        assert list(layer.named_params()) == ["W", "b"]
        twin = copy.deepcopy(layer)
        twin(np.ones((1, 3)))
        assert seen == [twin]
        pickle.loads(pickle.dumps(layer))(np.ones((1, 3)))
        assert seen == [twin]

    def test_compiled(self) -> None:
        layer = L.Linear(2, in_size=3)
        x = np.ones((4, 3), np.float32)
        step = dezero.compile(lambda x: layer(x))
        plain = step(x).data.copy()
        with layer.register_forward_hook(lambda layer, inputs, y: y * 2):
            np.testing.assert_array_equal(step(x).data, 2 * plain)
        np.testing.assert_array_equal(step(x).data, plain)

    def test_no_function(self) -> None:
        with pytest.raises(TypeError) as caught:
            L.Linear(2).register_forward_hook(3)  # type: ignore[arg-type]
        assert (
            str(caught.value) == "register_forward_hook: expected a function, got int"
        )
        with pytest.raises(TypeError) as caught:
            L.Linear(2).register_forward_pre_hook(None)  # type: ignore[arg-type]
        assert str(caught.value) == (
            "register_forward_pre_hook: expected a function, got NoneType"
        )
