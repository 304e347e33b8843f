"""Spread, length and products; order and places; matrices: edges and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
from dezero import Variable
from dezero.gradcheck import check_derivatives


def gradient(y: Variable, x: Variable) -> Any:
    y.backward()
    return None if x.grad is None else x.grad.data.tolist()


# -- spread, length, products --------------------------------------------------------


def test_the_norm_has_derivative_0_at_0_of_every_order() -> None:
    x = Variable(np.array([[0.0, 0.0], [3.0, 4.0]]))
    y = F.norm(x, axis=1)
    y.backward(create_graph=True)
    np.testing.assert_allclose(x.grad.data, [[0, 0], [0.6, 0.8]], rtol=1e-15)
    gx = x.grad
    x.cleargrad()
    gx.backward()
    assert np.isfinite(x.grad.data).all() and x.grad.data[0].tolist() == [0, 0]


def test_the_spread_of_equal_elements() -> None:
    x = Variable(np.full((2, 3), 5.0))
    assert gradient(F.std(x), x) == [[0] * 3] * 2
    x.cleargrad()
    assert gradient(F.var(x, ddof=1), x) == [[0] * 3] * 2


def test_integers_have_a_floating_spread() -> None:
    x = np.array([1, 2, 4])
    for function in (F.var, F.std, F.norm):
        assert function(x).dtype == np.float64
    assert F.prod(x).dtype == np.int64 and F.cumsum(x).dtype == np.int64


def test_products_with_zeros() -> None:
    for numbers in ([2.0, 0.0, 3.0, 5.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]):
        check_derivatives(F.prod, np.array(numbers))
        check_derivatives(F.cumprod, np.array(numbers))
    x = Variable(np.array([2.0, 0.0, 3.0]))
    assert gradient(F.prod(x), x) == [0, 6, 0]
    assert float(F.prod(np.zeros(0))) == 1


# -- order and places ----------------------------------------------------------------


def test_topk_and_its_places() -> None:
    x = Variable(np.array([[3.0, 1.0, 3.0], [np.nan, 2.0, 5.0]]))
    values, places = F.topk(x, 2)
    assert type(places) is np.ndarray
    assert places.tolist() == [[0, 2], [0, 2]]
    np.testing.assert_array_equal(values.data, [[3, 3], [np.nan, 5]])
    values, places = F.topk(x, 2, largest=False)
    assert places.tolist() == [[1, 0], [1, 2]]
    assert gradient(F.sum(values * values), x) == [[6, 2, 0], [0, 4, 10]]
    assert F.topk(np.array([1, 2], np.uint8), 1)[0].data.tolist() == [2]
    assert F.topk(x, 0)[0].shape == (2, 0)


def test_sort_sends_gradients_back() -> None:
    x = Variable(np.array([3.0, 1.0, 2.0]))
    assert gradient(F.sum(F.sort(x) * np.array([1.0, 10.0, 100.0])), x) == [100, 1, 10]


def test_places_that_do_not_exist() -> None:
    x = np.zeros((2, 3))
    message = "expected integers from -3 to 2 for axis 1 of x (2, 3), got from 0 to 3"
    index = np.array([[0, 3]])
    with pytest.raises(IndexError) as caught:
        F.gather(x, index, 1)
    assert str(caught.value) == f"gather: {message}"
    compiled = dezero.compile(lambda x, i: F.take_along_axis(x, i, 1))
    compiled(Variable(x), Variable(np.array([[0, 1]]), requires_grad=False))
    with pytest.raises(IndexError) as caught:
        compiled(Variable(x), Variable(index, requires_grad=False))
    assert str(caught.value) == f"take_along_axis: {message}"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: F.gather(np.zeros((2, 3)), np.zeros((2, 1)), 1),
            TypeError,
            "gather: expected integers, got float64; write index.astype(np.int64)",
        ),
        (
            lambda: F.gather(np.zeros((2, 3)), np.zeros((3, 3), int), 1),
            ValueError,
            "gather: expected an index with the axes of x (2, 3), not longer but for "
            "axis 1, got (3, 3)",
        ),
        (
            lambda: F.take_along_axis(np.zeros((2, 3)), np.zeros(3, int), 1),
            ValueError,
            "take_along_axis: expected an index with the axes of x (2, 3), that "
            "broadcasts but for axis 1, got (3,)",
        ),
        (
            lambda: F.scatter_add(np.zeros(3), np.zeros(2, int), np.zeros(3), 0),
            ValueError,
            "scatter_add: expected values that broadcast to index (2,), got (3,)",
        ),
        (
            lambda: F.topk(np.zeros((2, 3)), 4),
            ValueError,
            "topk: expected k from 0 to 3 for axis 1 of x (2, 3), got 4",
        ),
        (
            lambda: F.var(np.ones((2, 1)), axis=1, ddof=1),
            ValueError,
            "var: expected more than 1 elements along axis, got x (2, 1)",
        ),
        (
            lambda: F.norm(np.ones(2), 3),
            ValueError,
            "norm: expected ord None, 1, 2 or np.inf, got 3",
        ),
        (
            lambda: F.norm(np.ones((2, 2)), 1),
            ValueError,
            "norm: expected one axis for ord 1, got axis None of x (2, 2); the norms "
            "of matrices follow from svd(x)",
        ),
        (
            lambda: F.diag(np.ones((1, 2, 3))),
            ValueError,
            "diag: expected x of one or two axes, got x (1, 2, 3); write diagonal(x) "
            "for stacks of matrices",
        ),
        (
            lambda: F.diagonal(np.ones(3)),
            ValueError,
            "diagonal: expected axis from -1 to 0, each once, got (0, 1)",
        ),
        (
            lambda: F.tril(np.ones(3)),
            ValueError,
            "tril: expected matrices, got x (3,)",
        ),
        (
            lambda: F.inv(np.ones((2, 3))),
            ValueError,
            "inv: expected square matrices, got A (2, 3)",
        ),
        (
            lambda: F.inv(np.ones((2, 2))),
            ValueError,
            "inv: expected matrices that can be inverted, got a singular one, whose "
            "determinant is 0",
        ),
        (
            lambda: F.solve(np.zeros((2, 2)), np.ones(2)),
            ValueError,
            "solve: expected matrices that can be inverted, got a singular one, whose "
            "determinant is 0",
        ),
        (
            lambda: F.solve(np.eye(2), np.ones(3)),
            ValueError,
            "solve: expected b with 2 rows to match A (2, 2), got b (3, 1)",
        ),
        (
            lambda: F.cholesky(-np.eye(2)),
            ValueError,
            "cholesky: expected positive definite matrices, got one that is not; add a "
            "small multiple of np.eye(n)",
        ),
        (
            lambda: F.svd(np.ones(3)),
            ValueError,
            "svd: expected matrices, got A (3,)",
        ),
        (
            lambda: F.svd(np.eye(3), full_matrices=True),
            ValueError,
            "svd: expected full_matrices=False, got True, which adds arbitrary vectors "
            "without a derivative; write svd(A, full_matrices=False)",
        ),
    ],
)
def test_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


# -- matrices ------------------------------------------------------------------------


def test_a_compiled_step_refuses_a_singular_matrix_too() -> None:
    step = dezero.compile(lambda A: F.inv(A))
    np.testing.assert_allclose(step(Variable(np.eye(2) * 2)).data, np.eye(2) / 2)
    with pytest.raises(ValueError, match="inv: expected matrices that can be inverted"):
        step(Variable(np.ones((2, 2))))


def test_outputs_of_svd_and_eigh_that_nobody_kept() -> None:
    A = np.array([[2.0, 1.0], [1.0, 3.0], [0.0, 1.0]])
    check_derivatives(lambda A: F.svd(A)[1], A)
    check_derivatives(lambda A: F.eigh(A + F.transpose(A), "U")[0], A[:2])


def test_svd_puts_together_what_it_took_apart() -> None:
    A = np.random.default_rng(0).normal(size=(2, 4, 3))
    U, s, Vh = F.svd(A)
    assert U.shape == (2, 4, 3) and s.shape == (2, 3) and Vh.shape == (2, 3, 3)
    np.testing.assert_allclose((U * F.expand_dims(s, 1) @ Vh).data, A, rtol=1e-12)
    for V in (U, F.swapaxes(Vh, 1, 2)):
        found = F.einsum("bij,bik->bjk", V, V).data
        np.testing.assert_allclose(
            found, np.broadcast_to(np.eye(3), found.shape), atol=1e-14
        )
