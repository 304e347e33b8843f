"""What a Variable answers to: operators on either side, NumPy's functions, methods."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest

import dezero.functions as F
from dezero import Parameter, Variable

OPERATORS = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.pow,
    operator.mod,
]
OTHERS = [
    np.array([1.5, 2.5], np.float32),
    np.array([[1.5], [2.5]], np.float32),
    np.float32(1.5),
    np.float64(1.5),
    np.int64(2),
    1.5,
    2,
    True,
]


def kind(other: Any) -> str:
    return f"{type(other).__name__}{np.shape(other)}"


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.__name__)
@pytest.mark.parametrize("other", OTHERS, ids=kind)
def test_arithmetic_with_anything_on_either_side(op: Any, other: Any) -> None:
    x = Variable(np.array([3.25, 0.75], np.float32))
    bare = other.item() if isinstance(other, np.generic) else other
    for y, wanted in (
        (op(x, other), op(x.data, bare)),
        (op(other, x), op(bare, x.data)),
    ):
        assert type(y) is Variable
        assert y.dtype == np.float32
        np.testing.assert_allclose(y.data, wanted, rtol=1e-6)
        x.cleargrad()
        y.backward()
        assert x.grad is not None and x.grad.shape == x.shape
        assert x.grad.dtype == np.float32


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.__name__)
def test_both_operands_get_their_gradient(op: Any) -> None:
    x0, x1 = Variable(np.array(3.5)), Variable(np.array(1.3))
    op(x0, x1).backward()
    eps = 1e-6
    d0 = (op(3.5 + eps, 1.3) - op(3.5 - eps, 1.3)) / (2 * eps)
    d1 = (op(3.5, 1.3 + eps) - op(3.5, 1.3 - eps)) / (2 * eps)
    np.testing.assert_allclose(float(x0.grad), d0, rtol=1e-6)
    np.testing.assert_allclose(float(x1.grad), d1, rtol=1e-6)


def test_matmul_operator_with_arrays_on_either_side() -> None:
    x = Variable(np.arange(6.0).reshape(2, 3))
    W = np.ones((3, 2))
    np.testing.assert_array_equal((x @ W).data, x.data @ W)
    y = W @ x
    assert type(y) is Variable
    np.testing.assert_array_equal(y.data, W @ x.data)


def test_augmented_assignment_makes_a_new_variable() -> None:
    x = Variable(np.array([1.0, 2.0]))
    y = x
    y += 1
    y *= x
    y -= x
    y /= 2
    y **= 2
    np.testing.assert_array_equal(x.data, [1.0, 2.0])
    np.testing.assert_array_equal(y.data, (x.data**2 / 2) ** 2)
    y.backward()
    np.testing.assert_array_equal(x.grad.data, x.data**3)


def test_an_array_does_not_swallow_a_variable() -> None:
    a = np.array([1.0, 2.0])
    a_before = a
    a += 1
    y = a * Variable(np.array([1.0, 1.0]))
    assert type(y) is Variable and y.data.dtype == np.float64
    assert a_before is a


@pytest.mark.parametrize(
    "op",
    [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge],
    ids=lambda op: op.__name__,
)
@pytest.mark.parametrize("other", [np.array([2.0, 2.0, 2.0]), 2, np.float64(2)])
def test_comparisons_are_plain_arrays(op: Any, other: Any) -> None:
    x = Variable(np.array([1.0, 2.0, 3.0]))
    for found, wanted in (
        (op(x, other), op(x.data, other)),
        (op(other, x), op(other, x.data)),
        (op(x, Variable(np.full(3, 2.0))), op(x.data, np.full(3, 2.0))),
    ):
        assert type(found) is np.ndarray and found.dtype == bool
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    "function", [np.sin, np.cos, np.tanh, np.exp, np.log, np.sqrt, np.square, np.abs]
)
def test_numpys_functions_of_a_variable_are_recorded(function: Any) -> None:
    x = Variable(np.array([0.5, 2.0]))
    y = function(x)
    assert type(y) is Variable and y.creator is not None
    np.testing.assert_allclose(y.data, function(x.data), rtol=1e-15)


def test_numpys_array_functions_are_recorded() -> None:
    x = Variable(np.arange(6.0).reshape(2, 3))
    for y, wanted in (
        (np.sum(x, axis=0), x.data.sum(0)),
        (np.mean(x), x.data.mean()),
        (np.max(x, axis=1), x.data.max(1)),
        (np.min(x), x.data.min()),
        (np.reshape(x, (3, 2)), x.data.reshape(3, 2)),
        (np.transpose(x), x.data.T),
        (np.expand_dims(x, 0), x.data[None]),
        (np.broadcast_to(x, (2, 2, 3)), np.broadcast_to(x.data, (2, 2, 3))),
        (np.clip(x, 1, 3), x.data.clip(1, 3)),
        (np.dot(x, np.ones(3)), x.data @ np.ones(3)),
    ):
        assert type(y) is Variable and y.creator is not None
        np.testing.assert_array_equal(y.data, wanted)


def test_numpys_questions_are_answered_with_arrays() -> None:
    x = Variable(np.array([1.0, np.nan, 3.0]))
    np.testing.assert_array_equal(np.isnan(x), [False, True, False])
    np.testing.assert_array_equal(np.isfinite(x), [True, False, True])
    assert np.argmax(Variable(np.array([1.0, 3.0]))) == 1
    assert np.shape(x) == (3,) and np.ndim(x) == 1 and np.size(x) == 3
    assert np.allclose(x, b=x, equal_nan=True) and not np.allclose(a=x, b=x)
    np.testing.assert_array_equal(np.asarray(x), x.data)


def test_numpys_dot_is_the_product_where_it_is_the_matrix_product() -> None:
    x = Variable(np.arange(4.0).reshape(2, 2))
    np.testing.assert_array_equal(np.dot(x, x).data, x.data @ x.data)
    np.testing.assert_array_equal(np.dot(2.0, x).data, 2 * x.data)
    with pytest.raises(ValueError) as error:
        np.dot(x, np.ones((3, 2, 2)))
    assert str(error.value) == (
        "np.dot: expected W of at most two axes, got W (3, 2, 2); "
        "write F.matmul(x, W) for stacks of matrices"
    )


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: np.cbrt(x), "cbrt"),
        (lambda x: np.add.reduce(x), "add.reduce"),
        (lambda x: np.sin(x, out=np.zeros(2)), "sin with out"),
        (lambda x: np.median(x), "median"),
    ],
)
def test_what_numpy_can_but_has_no_derivative_here(call: Any, name: str) -> None:
    with pytest.raises(TypeError) as error:
        call(Variable(np.ones(2)))
    assert str(error.value) == (
        f"np.{name}: expected arrays, got a Variable, for which it has no derivative "
        "here; write x.data for a plain array"
    )


def test_methods() -> None:
    x = Variable(np.arange(6.0).reshape(2, 3))
    for y, wanted in (
        (x.mean(), 2.5),
        (x.mean(axis=0), [1.5, 2.5, 3.5]),
        (x.sum(0, True), [[3.0, 5.0, 7.0]]),
        (x.max(axis=-1), [2.0, 5.0]),
        (x.min(), 0.0),
        (x.reshape(3, 2), x.data.reshape(3, 2)),
        (x.reshape((3, -1)), x.data.reshape(3, 2)),
        (x.reshape([6]), x.data.ravel()),
        (x.transpose(), x.data.T),
        (x.transpose(1, 0), x.data.T),
        (x.transpose((1, 0)), x.data.T),
        (x.transpose(None), x.data.T),
        (x.T, x.data.T),
        (x.flatten(), x.data.ravel()),
        (x.clip(1, None), x.data.clip(1)),
        (x.matmul(np.ones((3, 1))), [[3.0], [12.0]]),
        (x.dot(np.ones(3)), [3.0, 12.0]),
        (x.copy(), x.data),
        (x.astype(np.float32), x.data),
        (abs(-x), x.data),
        (+x, x.data),
        (x[1], x.data[1]),
        (x[:, ::-1], x.data[:, ::-1]),
    ):
        np.testing.assert_array_equal(y.data, wanted)


def test_one_element_is_a_number() -> None:
    for data in (np.array(2.0), np.array([2.0]), np.array([[2.0]])):
        x = Variable(data)
        assert float(x) == 2.0 and int(x) == 2 and x.item() == 2.0 and bool(x)
        assert f"{x:.3f}" == "2.000" and f"{x}" == str(x)
    for convert in (float, int, Variable.item, "{:.3f}".format):
        with pytest.raises(
            ValueError, match=r"^item: expected one element, got shape \(2,\)$"
        ):
            convert(Variable(np.ones(2)))


def test_what_has_no_axes_has_no_length() -> None:
    for count in (len, list, max):
        with pytest.raises(
            TypeError, match=r"^len: expected a Variable with axes, got shape \(\)$"
        ):
            count(Variable(np.array(1.0)))


def test_iteration_gives_recorded_rows() -> None:
    x = Variable(np.arange(4.0).reshape(2, 2))
    first, second = x
    (first * 2 + second * 3).backward()
    np.testing.assert_array_equal(x.grad.data, [[2.0, 2.0], [3.0, 3.0]])
    assert len(list(x)) == 2


def test_variables_are_keys_by_identity() -> None:
    x, y = Variable(np.array([1.0])), Variable(np.array([1.0]))
    assert len({x, y, x}) == 2


def test_an_expression_of_integers_is_computed_in_their_type() -> None:
    x = Variable(np.array([1, 2, 3]))
    y = (x * 2 + 1) ** 2
    assert y.dtype == x.dtype
    y.backward()
    np.testing.assert_array_equal(x.grad.data, 4 * (2 * x.data + 1))


def test_an_operation_on_a_parameter_is_a_variable() -> None:
    y = Parameter(np.ones(2)) * 2
    assert type(y) is Variable
    assert type(F.sum(y)) is Variable


def grown(x: Variable) -> list[tuple[Any, Any]]:
    """NumPy's functions and methods of a square Variable, and of its array."""
    a = x.data
    return [
        (np.where(x > 0, x, 0), np.where(a > 0, a, 0)),
        (np.maximum(x, 0.5), np.maximum(a, 0.5)),
        (np.minimum(a, x), a),
        (np.stack([x, x]), np.stack([a, a])),
        (np.stack((a, x), axis=-1), np.stack((a, a), axis=-1)),
        (np.split(x, 3, axis=1)[1], np.split(a, 3, axis=1)[1]),
        (np.einsum("ij,kj->ik", x, a), a @ a.T),
        (np.square(x), a * a),
        (np.sign(x), np.sign(a)),
        (np.floor(x), np.floor(a)),
        (np.rint(x), np.rint(a)),
        (np.round(x, 1), np.round(a, 1)),
        (np.log1p(np.abs(x)), np.log1p(abs(a))),
        (np.arctan2(x, a), np.arctan2(a, a)),
        (np.sinh(x), np.sinh(a)),
        (np.prod(x, axis=0), np.prod(a, axis=0)),
        (np.var(x, ddof=1), np.var(a, ddof=1)),
        (np.std(x, axis=0, keepdims=True), np.std(a, axis=0, keepdims=True)),
        (np.cumsum(x, axis=1), np.cumsum(a, axis=1)),
        (np.cumprod(x), np.cumprod(a)),
        (np.sort(x), np.sort(a)),
        (np.flip(x, 0), np.flip(a, 0)),
        (np.roll(x, 2, axis=1), np.roll(a, 2, axis=1)),
        (np.repeat(x, 2), np.repeat(a, 2)),
        (np.tile(x, (1, 2)), np.tile(a, (1, 2))),
        (np.pad(x, 1, mode="edge"), np.pad(a, 1, mode="edge")),
        (np.diag(x), np.diag(a)),
        (np.trace(x), np.trace(a)),
        (np.tril(x, -1), np.tril(a, -1)),
        (np.outer(x, a[0]), np.outer(a, a[0])),
        (np.swapaxes(x, 0, 1), a.T),
        (np.moveaxis(x, 0, 1), a.T),
        (np.squeeze(x[None]), a),
        (np.linalg.norm(x), np.linalg.norm(a)),
        (np.linalg.norm(x, axis=1), np.linalg.norm(a, axis=1)),
        (np.linalg.solve(x, a[0]), np.linalg.solve(a, a[0])),
        (np.linalg.inv(x), np.linalg.inv(a)),
        (np.linalg.det(x), np.linalg.det(a)),
        (np.linalg.slogdet(x)[1], np.linalg.slogdet(a)[1]),
        (np.linalg.svd(x, full_matrices=False)[1], np.linalg.svd(a)[1]),
        (np.linalg.eigh(x)[0], np.linalg.eigh(a)[0]),
        (x.prod(axis=1), a.prod(axis=1)),
        (x.var(), a.var()),
        (x.std(axis=0, ddof=1), a.std(axis=0, ddof=1)),
        (x.cumsum(0), a.cumsum(0)),
        (x.cumprod(0), a.cumprod(0)),
        (x.trace(1), a.trace(1)),
        (x.diagonal(), a.diagonal()),
        (x[None].squeeze(0), a),
        (x.swapaxes(0, 1), a.T),
        (x.repeat(2, axis=0), a.repeat(2, axis=0)),
        (x.round(1), a.round(1)),
    ]


def test_all_of_numpy_that_is_recorded() -> None:
    x = Variable(np.array([[2.25, -0.5, 0.75], [0.5, 1.5, -1.25], [1.0, 0.25, 3.5]]))
    for y, wanted in grown(x):
        assert type(y) is Variable and y.creator is not None
        np.testing.assert_allclose(y.data, wanted, rtol=1e-12, atol=1e-12)


def test_methods_that_ask_are_answered_with_arrays() -> None:
    x = Variable(np.array([[1.0, 3.0], [2.0, 0.0]]))
    assert x.argmax(axis=1).tolist() == [1, 0] and x.argmin() == 3
    assert x.argsort().tolist() == [[0, 1], [1, 0]]
    assert x.any() and not x.all() and x.tolist() == [[1, 3], [2, 0]]
    assert [i.tolist() for i in x.nonzero()] == [[0, 0, 1], [0, 1, 0]]
    assert type(np.logical_and(x, x > 1)) is np.ndarray
    assert type(np.logical_not(x)) is np.ndarray
