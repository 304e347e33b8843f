"""``y[i] = x``: recorded, and what was before keeps its value and gradient."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
from dezero import Parameter, Variable, no_grad, using_config
from dezero.compiler.errors import CompileError
from dezero.errors import GradientError
from dezero.gradcheck import check_derivatives


def leaf(*numbers: float) -> Variable:
    return Variable(np.array(numbers, float))


def grad(x: Variable) -> Any:
    return None if x.grad is None else x.grad.data.tolist()


def test_the_value_is_new_and_the_gradient_goes_where_it_came_from() -> None:
    x, w = leaf(1, 2, 3), Variable(np.array(5.0))
    y = x * 2
    y[1] = w * w
    assert y.data.tolist() == [2, 25, 6]
    F.sum(y * y).backward()
    assert grad(x) == [8, 0, 24] and grad(w) == 500


def test_earlier_uses_keep_the_earlier_value_and_its_gradient() -> None:
    x, w = leaf(1, 2, 3), leaf(10, 20)
    y = x * 2
    before = y * y
    y[:2] = w
    between = y * y
    y[0] = 7
    after = y * y
    F.sum(before).backward()
    assert grad(x) == [8, 16, 24] and grad(w) is None
    x.cleargrad()
    F.sum(between).backward()
    assert grad(x) == [0, 0, 24] and grad(w) == [20, 40]
    x.cleargrad(), w.cleargrad()
    F.sum(after).backward()
    assert grad(x) == [0, 0, 24] and grad(w) == [0, 40]
    x.cleargrad(), w.cleargrad()
    F.sum(before + between + after).backward()
    assert grad(x) == [8, 16, 72] and grad(w) == [20, 80]


def test_derivatives_of_every_order() -> None:
    def f(x: Variable, w: Variable) -> Variable:
        y = F.sin(x)
        early = y * y
        y[1:] = w * y[:-1]  # of its own earlier value
        y[0] *= 3
        y[[0, 2]] += y[1] * early[0]
        return early * y

    check_derivatives(f, np.array([0.3, -0.7, 1.1]), np.array([0.5, 2.0]))


def test_higher_order_through_an_earlier_use() -> None:
    x = Variable(np.array([2.0]))
    y = x * x
    z = y * y  # x^4
    y[0] = 0
    z.backward(create_graph=True)
    gx = x.grad
    x.cleargrad()
    gx.backward()
    assert grad(x) == [48]
    y.backward()
    assert grad(x) == [48]  # y is the constant 0 now: nothing is added


def test_arrays_are_never_written() -> None:
    x = leaf(1, 2, 3)
    y = F.reshape(x, (3, 1))  # shares its memory with x
    alias, array, part = y[:], y.data, y[1:]
    y[0] = 9
    assert x.data.tolist() == [1, 2, 3] and array.ravel().tolist() == [1, 2, 3]
    assert alias.data.ravel().tolist() == [1, 2, 3] and part.shape == (2, 1)
    assert y.data.ravel().tolist() == [9, 2, 3]
    part[0] = 8
    assert y.data.ravel().tolist() == [9, 2, 3]
    F.sum(part * part).backward()
    assert grad(x) == [0, 0, 6]


def test_another_name_for_the_variable_sees_the_assignment() -> None:
    y = leaf(1, 2) * 1
    same = y
    y[0] = 5
    assert same is y and same.data.tolist() == [5, 2]


@pytest.mark.parametrize(
    "index",
    [
        0, -1, slice(None, None, -2), ..., (..., 1), (slice(1), None, 2), [0, 1],
        np.array([True, False]), ([0, 1], [2, 0]), Variable(np.array([1])),
    ],
    ids=str,
)  # fmt: skip
def test_every_index_of_numpy(index: Any) -> None:
    x = np.arange(6.0).reshape(2, 3)
    bare = index.data if isinstance(index, Variable) else index
    wanted = x.copy()
    value = np.random.default_rng(0).normal(size=wanted[bare].shape)
    wanted[bare] = value
    leaf, w = Variable(x), Variable(value)
    y = leaf * 1
    y[index] = w
    np.testing.assert_array_equal(y.data, wanted)
    F.sum(y * y).backward()
    np.testing.assert_array_equal(w.grad.data, 2 * value)
    taken = np.ones_like(x)
    taken[bare] = 0
    np.testing.assert_array_equal(leaf.grad.data, 2 * x * taken)


def test_the_last_of_several_values_gets_the_gradient() -> None:
    w = leaf(1, 2, 3)
    y = leaf(0, 0) * 1
    y[[1, 0, 1]] = w
    assert y.data.tolist() == [2, 3]
    F.sum(y * leaf(10, 100)).backward()
    assert grad(w) == [0, 10, 100]


def test_values_broadcast_and_take_the_type() -> None:
    w, v = Variable(np.array(2.0)), Variable(np.array([[3.0, 4.0]]))
    y = Variable(np.zeros((3, 2), np.float32)) * 1
    y[0], y[1], y[2] = w, v, v
    assert y.dtype == np.float32 and y.data.tolist() == [[2, 2], [3, 4], [3, 4]]
    y.backward()
    assert grad(w) == 2 and grad(v) == [[2, 2]]
    assert w.grad.dtype == np.float64


def test_a_constant_becomes_what_it_is_filled_with() -> None:
    w = leaf(3, 4)
    y = Variable(np.zeros(3), requires_grad=False)
    first = y * w[0]
    y[1:] = w
    assert y.requires_grad
    F.sum(y * y + first).backward()
    assert grad(w) == [6, 8]


def test_one_output_of_several() -> None:
    x = leaf(1, 2, 3, 4)
    a, b = F.split(x, 2)
    early = b * 10
    b[0] = a[0] * a[1]
    F.sum(a + b + early).backward()
    assert grad(x) == [3, 2, 10, 11]


def test_a_leaf_is_refused_and_stays_as_it_is() -> None:
    x = Variable(np.zeros(2), name="x")
    for one, name in ((x, "'x'"), (Parameter(np.zeros(2)), "a leaf")):
        with pytest.raises(GradientError) as caught:
            one[0] = 1
        assert str(caught.value) == (
            f"x[i] = value: expected an x that was computed, got {name}, which has a "
            "gradient of its own; write x = x.copy() before, or with no_grad(): "
            "x[i] = value"
        )
        assert one.data.tolist() == [0, 0]


def test_where_nothing_is_recorded_the_data_is_replaced() -> None:
    x = leaf(1, 2)
    array = x.data
    z = x * x
    with no_grad():
        x[0] = 5
    assert x.data.tolist() == [5, 2] and array.tolist() == [1, 2]
    assert x.creator is None and x.requires_grad
    with pytest.raises(GradientError, match="got data written since"):
        z.backward()
    F.sum(x * x).backward()
    assert grad(x) == [10, 4]


def test_data_written_after_an_assignment_is_found_out() -> None:
    x = leaf(1, 2)
    y = x * 2
    early = y * y
    y[0] = 1
    late = y * y
    y.data = np.zeros(2)
    early.backward()  # of the earlier value, which nobody wrote
    assert grad(x) == [8, 16]
    with pytest.raises(GradientError, match="got data written since"):
        late.backward()


def test_what_it_refuses_leaves_all_as_it_was() -> None:
    x = leaf(1, 2)
    y = x * 2
    creator, data = y.creator, y.data
    with pytest.raises(IndexError) as index:
        y[5] = 1
    assert str(index.value) == (
        "set_item: expected an index that fits x (2,), got one where index 5 is out of "
        "bounds for axis 0 with size 2"
    )
    with pytest.raises(ValueError) as shape:
        y[:] = np.zeros(3)
    assert str(shape.value) == (
        "set_item: expected a value that broadcasts to x[slices] (2,), got (3,)"
    )
    assert y.creator is creator and y.data is data
    y.backward()
    assert grad(x) == [2, 2]
    with pytest.raises(TypeError) as kind:
        F.set_item(np.array([1, 2]), 0, Variable(np.array(1.5)))
    assert str(kind.value) == (
        "set_item: expected x of a floating type, as value has a gradient, got int64; "
        "write x.astype(float64)"
    )


def test_itself_as_the_value() -> None:
    x = leaf(1, 2)
    y = x * x
    y[:] = y
    y[0] = y[1]
    F.sum(y * y).backward()
    assert y.data.tolist() == [4, 4] and grad(x) == [0, 64]


def test_gradients_that_were_kept() -> None:
    x = leaf(1, 2)
    y = x * 2
    y.backward(retain_grad=True)
    y[0] = 3
    assert y.grad is None
    z = F.sum(y * y)
    z.backward(retain_grad=True)
    assert grad(y) == [6, 8]


def test_the_graph_goes_with_its_last_variable() -> None:
    """No cycle of references, whatever a Variable is assigned of itself."""
    gc.collect()
    gc.disable()
    try:
        x = leaf(1, 2, 3)
        y = x * 2
        alive = [weakref.ref(y), weakref.ref(y.creator)]
        for i in range(3):
            y[i] = F.tanh(y[i - 1]) * 2
            y[i] += 1
            alive.append(weakref.ref(y.creator))
        del y
        assert [one() for one in alive] == [None] * len(alive)
    finally:
        gc.enable()


def test_what_is_cut_off_is_not_kept() -> None:
    y = leaf(1, 2) * 1
    early = weakref.ref(y.creator)
    y[0] = leaf(3)[0]
    y.unchain()
    gc.collect()
    assert early() is None
    z = leaf(1, 1) * y
    z.unchain_backward()
    assert z.creator is not None and y.creator is None


def test_an_earlier_value_that_is_gone_is_an_error() -> None:
    y = leaf(1, 2) * 1
    z = y * y
    y[0] = leaf(3)[0]
    y.unchain()  # and with the graph goes what was before
    with pytest.raises(GradientError, match="got data written since"):
        z.backward()


def test_many_assignments_keep_nothing_that_nobody_needs() -> None:
    y = Variable(np.zeros(3), requires_grad=False)
    for i in range(100):
        y[i % 3] = i
    assert y._earlier == ()
    for _ in range(10):
        y[0] = leaf(1)[0]
        y.unchain()
        y = y.copy()
    assert len(y._earlier) == 0


def test_unchain_backward_cuts_what_was_used_then() -> None:
    x = leaf(1, 2)
    y = x * 2
    z = y * 3
    y[0] = x[1]
    z.unchain_backward()
    assert y.creator is not None
    y.backward()
    assert grad(x) == [0, 1]  # y[1] was cut off together with z


def test_copies_and_pickles() -> None:
    y = leaf(1, 2) * 1
    y[0] = 5
    for twin in (copy.copy(y), copy.deepcopy(y), pickle.loads(pickle.dumps(y))):
        assert twin.data.tolist() == [5, 2] and twin.creator is None


def test_debug_mode_takes_it_for_no_write() -> None:
    with using_config("debug", True):
        x = leaf(1, 2)
        y = x * 2
        z = y * y
        y[0] = 0
        (z + y).backward()
    assert grad(x) == [8, 18]


def test_a_picture_shows_both_values() -> None:
    x = leaf(1, 2)
    y = x * 2
    z = y * y
    y[0] = 0
    from dezero.viz import get_dot_graph

    text = get_dot_graph(z + y)
    assert text.count("SetItem") == 1 and text.count("Mul") == 2


def test_a_picture_of_an_earlier_use_alone() -> None:
    y = leaf(1, 2) * 2
    z = y * y
    y[0] = 0
    from dezero.viz import get_dot_graph

    assert "SetItem" not in get_dot_graph(z)


def steps(x: Variable, w: Variable) -> Any:
    y = F.tanh(x)
    early = y * y
    y[1:] = w * y[:-1]
    y[0] += early[1]
    y[x.data > 0] = 2
    z = F.sum(y * early)
    z.backward(create_graph=True)
    slope = F.sum(x.grad * x.grad)
    x.cleargrad()
    slope.backward()
    return z, y


def test_compiled() -> None:
    compiled = dezero.compile(steps)
    for numbers in ([0.5, -1.0, 0.2], [-0.5, 1.0, -0.2]):
        found = []
        for step in (steps, compiled):
            x, w = leaf(*numbers), leaf(2.0, 0.5)
            z, y = step(x, w)
            found.append([z.data, y.data, x.grad.data, w.grad.data])
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_compiled_step_assigns_to_what_it_made() -> None:
    buffer = Variable(np.zeros(2), requires_grad=False)
    w = Variable(np.array(3.0))

    @dezero.compile
    def step(w: Variable) -> Variable:
        buffer[0] = w * 2
        return F.sum(buffer * buffer)

    with pytest.raises(CompileError) as caught:
        step(w)
    assert str(caught.value) == (
        "x[i] = value: expected an x that the step made, got one from outside, of "
        "shape (2,), which would keep the graph\n  write x = x.copy() in the step "
        "before it"
    )
    assert buffer.creator is None and not buffer.requires_grad
    buffer[0] = w * 2
    F.sum(buffer * buffer).backward()
    assert buffer.data.tolist() == [6, 0] and grad(w) == 24


def test_a_compiled_step_assigns_constants_anywhere() -> None:
    buffer = Variable(np.zeros(2), requires_grad=False)

    @dezero.compile
    def step(x: Variable) -> Variable:
        buffer[0] = x.data.sum()
        return x * buffer

    for n in range(3):
        y = step(leaf(1, n))
        assert buffer.data.tolist() == [1 + n, 0] and y.data.tolist() == [1 + n, 0]
