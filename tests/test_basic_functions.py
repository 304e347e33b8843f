"""Elementwise, shape, indexing, reduction and products: edges, ties and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dezero.functions as F
from dezero import Variable


def gradient(y: Variable, x: Variable) -> np.ndarray:
    y.backward()
    assert x.grad is not None
    return x.grad.data


def refused(call: Any, error: type[Exception]) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


# -- elementwise --------------------------------------------------------------------


def test_clip_passes_the_gradient_inside_and_on_the_bounds() -> None:
    x = Variable(np.array([-2.0, -1.0, 0.0, 1.0, 2.0]))
    assert gradient(F.clip(x, -1, 1), x).tolist() == [0, 1, 1, 1, 0]
    x.cleargrad()
    assert gradient(F.clip(x, None, 0), x).tolist() == [1, 1, 1, 0, 0]
    x.cleargrad()
    assert gradient(F.clip(x, 0, None), x).tolist() == [0, 0, 1, 1, 1]


def test_clip_by_arrays_and_by_numpys_numbers() -> None:
    x = Variable(np.array([[0.0], [2.0]], np.float32))
    y = F.clip(x, np.array([0.5, -1.0], np.float32), np.float64(1))
    assert y.dtype == np.float32
    assert y.data.tolist() == [[0.5, 0.0], [1.0, 1.0]]
    assert gradient(y, x).tolist() == [[1], [0]]


def test_clip_refuses() -> None:
    x = Variable(np.ones((2, 3)))
    assert refused(lambda: F.clip(x, None, None), ValueError) == (
        "clip: expected x_min, x_max or both, got None for both"
    )
    assert refused(lambda: F.clip(x, Variable(np.zeros(3)), 1), TypeError) == (
        "clip: expected numbers or arrays as bounds, got a Variable, for which it has "
        "no derivative; write bound.data"
    )
    assert refused(lambda: F.clip(x, np.zeros(2), 1), ValueError) == (
        "clip: expected bounds that broadcast to x (2, 3), got (2,) and ()"
    )


def test_functions_of_integers_are_floating() -> None:
    x = Variable(np.array([1, 2]))
    for function in (F.sin, F.cos, F.tanh, F.exp, F.log, F.sqrt):
        assert function(x).dtype == np.float64


# -- shape --------------------------------------------------------------------------


def test_reshape_takes_a_number_a_list_and_numpys_integers() -> None:
    x = Variable(np.arange(6.0))
    assert F.reshape(x, -1).shape == (6,)
    assert F.reshape(x, [2, 3]).shape == (2, 3)
    assert F.reshape(x, (np.int64(3), -1)).shape == (3, 2)
    assert F.reshape(x, (6,)) is x and F.reshape(x, (-1,)) is x
    assert F.reshape(np.zeros((0, 3)), (-1, 3)).shape == (0, 3)


@pytest.mark.parametrize("shape", [(4, 2), (-1, 4), (-1, -1), (-2, -3), (0, -1), ()])
def test_reshape_refuses(shape: Any) -> None:
    message = refused(lambda: F.reshape(np.zeros((2, 3)), shape), ValueError)
    assert message == (
        f"reshape: expected a shape of 6 elements for x (2, 3), got {shape}"
    )


@pytest.mark.parametrize("shape", [None, (3.0, 2), "32", [[2, 3]], (None,)])
@pytest.mark.parametrize("function", [F.reshape, F.sum_to, F.broadcast_to])
def test_what_is_no_shape(function: Any, shape: Any) -> None:
    message = refused(lambda: function(np.zeros((2, 3)), shape), TypeError)
    assert message == (
        f"{function.__name__}: expected a shape, such as (2, 3), got {shape!r}"
    )


def test_shapes_of_one_axis_may_be_numbers() -> None:
    assert F.sum_to(np.ones((2, 3)), 3).data.tolist() == [2, 2, 2]
    assert F.broadcast_to(np.ones(1), np.int64(3)).data.tolist() == [1, 1, 1]


def test_expand_dims_from_either_end() -> None:
    x = np.zeros((2, 3))
    shapes = {axis: F.expand_dims(x, axis).shape for axis in range(-3, 3)}
    assert shapes == {
        -3: (1, 2, 3),
        -2: (2, 1, 3),
        -1: (2, 3, 1),
        0: (1, 2, 3),
        1: (2, 1, 3),
        2: (2, 3, 1),
    }
    assert F.expand_dims(np.array(1.0), -1).shape == (1,)
    assert refused(lambda: F.expand_dims(x, 3), ValueError) == (
        "expand_dims: expected axis from -3 to 2 for x (2, 3), got 3"
    )


def test_transpose() -> None:
    x = np.zeros((2, 3, 4))
    assert F.transpose(x).shape == (4, 3, 2)
    assert F.transpose(x, (0, -1, 1)).shape == (2, 4, 3)
    assert F.transpose(x, [2, np.int64(0), 1]).shape == (4, 2, 3)
    for axes in ((0, 1), (0, 0, 1), (0, 1, 3)):
        assert refused(lambda axes=axes: F.transpose(x, axes), ValueError) == (
            "transpose: expected axes that name 0 to 2 once each for x (2, 3, 4), "
            f"got {axes}"
        )


def test_flatten_keeps_the_first_axis() -> None:
    assert F.flatten(np.zeros(3)).shape == (3, 1)
    assert F.flatten(np.zeros((0, 2, 3))).shape == (0, 6)
    assert refused(lambda: F.flatten(np.array(1.0)), ValueError) == (
        "flatten: expected x with at least one axis, got x ()"
    )


def test_astype_between_floating_types_is_differentiated() -> None:
    x = Variable(np.array([1.5], np.float32))
    y = F.astype(x, np.float64)
    assert y.dtype == np.float64
    assert gradient(y, x).dtype == np.float32
    assert F.astype(x, int).creator is None


def test_copy_shares_nothing() -> None:
    x = Variable(np.ones(2))
    assert not np.shares_memory(F.copy(x).data, x.data)


def test_sum_to_as_the_book_has_it() -> None:
    x = Variable(np.ones((10, 20, 20)))
    y = F.sum_to(x, (10,))
    assert y.shape == (20,)  # the leading axes go, whatever the others' lengths
    assert F.sum_to(x, (1, 20, 1)).data.ravel().tolist() == [200.0] * 20
    assert F.sum_to(x, (10, 20, 20)) is x
    assert refused(lambda: F.sum_to(np.ones((2, 3)), (3, 3)), ValueError) == (
        "sum_to: expected a shape that broadcasts to (2, 3), got (3, 3)"
    )


def test_broadcast_to_refuses() -> None:
    for shape in ((2,), (2, 4), ()):
        message = refused(lambda s=shape: F.broadcast_to(np.ones(3), s), ValueError)
        assert message == (
            f"broadcast_to: expected a shape to which (3,) broadcasts, got {shape}"
        )


# -- indexing -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        np.int64(1),
        slice(None, None, -1),
        (slice(None), 1),
        (..., 0),
        None,
        [0, 1, 0],
        ([0, 1, 1], [0, 2, 2]),
        np.array([[0, 0], [1, 0]]),
        np.array([-1, 1, -1]),
        np.array([1, 1], np.uint8),
        np.array([], int),
        (slice(1, None), [2, 2]),
        np.array([True, False]),
        [True, False],
        (np.array(1), np.array([0, 0])),
    ],
    ids=repr,
)
def test_each_element_taken_gets_its_gradient(index: Any) -> None:
    x = Variable(np.arange(6.0).reshape(2, 3))
    y = F.get_item(x, index)
    np.testing.assert_array_equal(y.data, x.data[index])
    weights = np.arange(1.0, y.size + 1).reshape(y.shape)
    wanted = np.zeros((2, 3))
    np.add.at(wanted, index, weights)
    np.testing.assert_array_equal(gradient(y * weights, x), wanted)


def test_an_index_may_be_a_variable() -> None:
    x = Variable(np.arange(3.0))
    i = Variable(np.array([2, 2]))
    assert gradient(x[i], x).tolist() == [0, 0, 2]
    assert x[(i,)].data.tolist() == [2.0, 2.0]


def test_an_index_out_of_range() -> None:
    x = Variable(np.zeros((2, 3)))
    assert refused(lambda: x[2], IndexError) == (
        "get_item: expected an index that fits x (2, 3), got one where index 2 is out "
        "of bounds for axis 0 with size 2"
    )
    assert refused(lambda: x[0, 0, 0], IndexError).startswith(
        "get_item: expected an index that fits x (2, 3), got one where too many indices"
    )


def test_embed_id_refuses() -> None:
    W = np.zeros((3, 2))
    assert refused(lambda: F.embed_id(np.array([0.0]), W), TypeError) == (
        "embed_id: expected integers, got float64; write x.astype(np.int64)"
    )
    for ids in ([0, 3], [-1, 2]):
        message = refused(lambda ids=ids: F.embed_id(np.array(ids), W), IndexError)
        assert message == (
            "embed_id: expected ids from 0 to 2 for W (3, 2), got from "
            f"{min(ids)} to {max(ids)}"
        )


# -- reduction ----------------------------------------------------------------------


@pytest.mark.parametrize("function", [F.sum, F.mean, F.average, F.max, F.min])
@pytest.mark.parametrize(
    "axis", [0, 2, -1, -3, np.int64(1), (0, 2), [0, -1], (np.int32(-1),), None, ()]
)
def test_an_axis_in_every_form(function: Any, axis: Any) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    name = {"average": "mean"}.get(function.__name__, function.__name__)
    numpy_axis = tuple(axis) if isinstance(axis, list) else axis
    for keepdims in (False, True):
        y = function(x, axis=axis, keepdims=keepdims)
        wanted = getattr(np, name)(x, axis=numpy_axis, keepdims=keepdims)
        np.testing.assert_allclose(y.data, wanted, rtol=1e-14)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (F.sum, "sum"),
        (F.mean, "average"),
        (F.average, "average"),
        (F.max, "max"),
        (F.min, "min"),
    ],
)
def test_a_wrong_axis(function: Any, name: str) -> None:
    x = np.ones((2, 3))
    for axis in (2, -3, (0, 0), (0, -2)):
        assert refused(lambda axis=axis: function(x, axis=axis), ValueError) == (
            f"{name}: expected axis from -2 to 1, each once, got {axis}"
        )
    assert refused(lambda: function(np.array(1.0), axis=0), ValueError) == (
        f"{name}: expected axis None, got 0"
    )
    for axis in (1.0, "0"):
        assert refused(lambda axis=axis: function(x, axis=axis), TypeError) == (
            f"{name}: expected integers as axis, or None, got {axis!r}"
        )


@pytest.mark.parametrize(
    ("function", "name"), [(F.mean, "average"), (F.max, "max"), (F.min, "min")]
)
def test_nothing_to_reduce(function: Any, name: str) -> None:
    assert refused(lambda: function(np.ones((2, 0))), ValueError) == (
        f"{name}: expected elements along axis, got x (2, 0)"
    )
    assert function(np.ones((2, 0)), axis=0).shape == (0,)
    assert float(F.sum(np.ones((2, 0)))) == 0.0


def test_of_tied_extremes_the_first_gets_the_gradient_once() -> None:
    for function, value in ((F.max, 7.0), (F.min, -7.0)):
        x = Variable(np.array([[0.0, value, value], [value, value, value]]))
        wanted = [[0, 1, 0], [1, 0, 0]]
        assert gradient(function(x, axis=1), x).tolist() == wanted
        x.cleargrad()
        assert gradient(function(x, axis=(1,), keepdims=True), x).tolist() == wanted
        x.cleargrad()
        assert gradient(function(x), x).tolist() == [[0, 1, 0], [0, 0, 0]]
        x.cleargrad()
        assert gradient(function(x, axis=0), x).tolist() == [[0, 1, 1], [1, 0, 0]]


def test_nan_is_the_extreme_and_gets_the_gradient() -> None:
    for function in (F.max, F.min):
        x = Variable(np.array([1.0, np.nan, np.nan, 2.0]))
        y = function(x)
        assert np.isnan(y.data)
        assert gradient(y, x).tolist() == [0, 1, 0, 0]


def test_the_gradient_of_a_sum_is_writable() -> None:
    x = Variable(np.ones((2, 3)))
    F.sum(x).backward()
    x.grad.data[...] *= 2
    assert x.grad.data.tolist() == [[2.0] * 3] * 2


def test_means_are_exact_where_they_can_be() -> None:
    assert float(F.mean(np.ones(49))) == 1.0
    assert float(F.mean(Variable(np.array([1, 2])))) == 1.5


# -- products -----------------------------------------------------------------------


def test_matmul_of_vectors_and_stacks() -> None:
    rng = np.random.default_rng(0)
    for x_shape, W_shape in (
        ((3,), (3,)),
        ((3,), (3, 2)),
        ((4, 3), (3,)),
        ((3,), (5, 3, 2)),
        ((5, 4, 3), (3,)),
        ((5, 4, 3), (3, 2)),
        ((6, 1, 4, 3), (5, 3, 2)),
    ):
        x, W = rng.normal(size=x_shape), rng.normal(size=W_shape)
        np.testing.assert_allclose(F.matmul(x, W).data, x @ W, rtol=1e-13)


@pytest.mark.parametrize("function", [F.matmul, F.linear])
def test_products_of_shapes_that_do_not_match(function: Any) -> None:
    name = function.__name__
    assert refused(lambda: function(np.ones((2, 3)), np.ones((4, 5))), ValueError) == (
        f"{name}: expected W with 3 rows to match x (2, 3), got W (4, 5)"
    )
    assert refused(lambda: function(np.array(2.0), np.ones((3, 2))), ValueError) == (
        f"{name}: expected x and W with axes, got x () and W (3, 2); "
        "write x * W for numbers"
    )


def test_stacks_that_do_not_broadcast() -> None:
    x, W = np.ones((2, 4, 3)), np.ones((5, 3, 2))
    assert refused(lambda: F.matmul(x, W), ValueError) == (
        "matmul: expected stacks of matrices that broadcast, "
        "got x (2, 4, 3) and W (5, 3, 2)"
    )


def test_linear_refuses() -> None:
    x, W = np.ones((2, 3)), np.ones((3, 4))
    assert refused(lambda: F.linear(x, np.ones(3)), ValueError) == (
        "linear: expected W of shape (in, out), got W (3,)"
    )
    for shape in ((3,), (2, 4), (1, 1, 4)):
        b = np.ones(shape)
        assert refused(lambda b=b: F.linear(x, W, b), ValueError) == (
            f"linear: expected b of shape (4,) to match W (3, 4), got {b.shape}"
        )


def test_linear_takes_one_example_numbers_as_bias_and_integers() -> None:
    x = np.array([[1.0, 2.0]], np.float32)
    W = np.array([[3.0], [4.0]], np.float32)
    assert F.linear(x[0], W, np.ones(1, np.float32)).data.tolist() == [12.0]
    for b in (0.5, np.array([[0.5]], np.float32)):
        y = F.linear(x, W, b)
        assert y.dtype == np.float32 and y.data.tolist() == [[11.5]]
    y = F.linear(x.astype(int), W.astype(int), np.array([0.5]))
    assert y.data.tolist() == [[11.5]]


def test_linear_does_not_write_into_its_inputs() -> None:
    x, W, b = np.ones((1, 1)), np.ones((1, 1)), np.ones(1)
    for array in (x, W, b):
        array.flags.writeable = False
    y = F.linear(Variable(x), Variable(W), Variable(b))
    y.backward()
    assert y.data.tolist() == [[2.0]]
