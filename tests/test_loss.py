"""Losses: confident mistakes, labels that cannot be, shapes that do not match."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dezero.functions as F
from dezero import Variable, no_grad
from dezero.gradcheck import check_derivatives

CLASS_LOSSES = [F.softmax_cross_entropy, F.softmax_cross_entropy_simple]
SQUARES = [F.mean_squared_error, F.mean_squared_error_simple]
BINARY_LOSSES = [F.sigmoid_cross_entropy, F.binary_cross_entropy]


def gradient(f: Callable[[Variable], Variable], x: Any) -> np.ndarray:
    v = Variable(np.asarray(x))
    f(v).backward()
    assert v.grad is not None
    return v.grad.data


def message(call: Callable[[], Any], kind: type[Exception]) -> str:
    with pytest.raises(kind) as error:
        call()
    return str(error.value)


# -- mean squared error -------------------------------------------------------------


@pytest.mark.parametrize("f", SQUARES)
@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 3), (2, 3, 2)])
def test_mean_squared_error_divides_by_the_rows(f: Any, shape: Any) -> None:
    x0, x1 = np.random.randn(2, *shape)
    np.testing.assert_allclose(f(x0, x1).data, ((x0 - x1) ** 2).sum() / len(x0))
    check_derivatives(f, x0, x1)


@pytest.mark.parametrize("f", SQUARES)
@pytest.mark.parametrize(
    ("shape0", "shape1"), [((1, 1), (1,)), ((1,), (1, 1)), ((1, 3), (3,)), ((1,), ())]
)
def test_mean_squared_error_lets_leading_ones_be_missing(
    f: Any, shape0: Any, shape1: Any
) -> None:
    x0, x1 = np.random.randn(*shape0), np.array(np.random.randn(*shape1))
    np.testing.assert_allclose(f(x0, x1).data, ((x0 - x1) ** 2).sum())
    check_derivatives(f, x0, x1)


@pytest.mark.parametrize("f", SQUARES)
@pytest.mark.parametrize(
    ("shape0", "shape1", "hint"),
    [
        ((4, 1), (4,), "; write x1.reshape((4, 1))"),
        ((4,), (4, 1), "; write x1.reshape((4,))"),
        ((2, 3), (3, 2), "; write x1.reshape((2, 3))"),
        ((2, 3), (3,), ""),
        ((2, 3), (2, 1), ""),
        ((4,), (), ""),
    ],
)
def test_mean_squared_error_refuses_to_broadcast(
    f: Any, shape0: Any, shape1: Any, hint: str
) -> None:
    told = message(lambda: f(np.zeros(shape0), np.zeros(shape1)), ValueError)
    assert told == (
        f"{f.__name__}: expected x1 of shape {shape0} as x0 has, got {shape1}{hint}"
    )


@pytest.mark.parametrize("f", SQUARES)
@pytest.mark.parametrize("shape", [(), (0,), (0, 3)])
def test_mean_squared_error_needs_examples(f: Any, shape: Any) -> None:
    told = message(lambda: f(np.zeros(shape), np.zeros(shape)), ValueError)
    assert told == (
        f"{f.__name__}: expected x0 of shape (N, ...) with N > 0, got {shape}"
    )


@pytest.mark.parametrize("f", SQUARES)
def test_data_takes_the_type_of_the_prediction(f: Any) -> None:
    y = Variable(np.ones((2, 1), np.float32))
    for data in (np.zeros((2, 1)), np.zeros((2, 1), np.int64)):
        assert f(y, data).dtype == np.float32
        assert f(data, y).dtype == np.float32
    assert f(Variable(y.data.astype(np.float64)), y.data).dtype == np.float64
    two = f(np.array([3], np.uint8), np.array([5], np.uint8))  # 3 - 5 would be 254
    assert float(two) == 4


# -- softmax cross entropy ----------------------------------------------------------


@pytest.mark.parametrize("f", CLASS_LOSSES)
@pytest.mark.parametrize("rest", [(), (2,), (2, 3)])
def test_softmax_cross_entropy_value_and_derivatives(f: Any, rest: Any) -> None:
    x = np.random.randn(4, 3, *rest)
    t = np.random.randint(0, 3, (4, *rest))
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    wanted = -np.mean([np.log(p[(i[0], t[i], *i[1:])]) for i in np.ndindex(t.shape)])
    np.testing.assert_allclose(f(x, t).data, wanted)
    check_derivatives(f, x, t)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_confident_mistake_keeps_its_loss_and_gradient(dtype: Any) -> None:
    x = np.array([[1e4, 0.0, -1e4], [0.0, 1e4, 0.0]], dtype)
    t = np.array([2, 1])
    y = F.softmax_cross_entropy(x, t)
    assert y.dtype == dtype
    assert float(y) == 1e4
    gx = gradient(lambda v: F.softmax_cross_entropy(v, t), x)
    assert gx.dtype == dtype
    np.testing.assert_array_equal(gx, [[0.5, 0, -0.5], [0, 0, 0]])


def test_classes_ruled_out_by_minus_infinity() -> None:
    x = np.array([[0.0, -np.inf, 0.0]])
    loss = F.softmax_cross_entropy(x, np.array([0]))
    np.testing.assert_allclose(loss.data, np.log(2))
    gx = gradient(lambda v: F.softmax_cross_entropy(v, np.array([0])), x)
    np.testing.assert_allclose(gx, [[-0.5, 0, 0.5]])
    assert float(F.softmax_cross_entropy(x, np.array([1]))) == np.inf


def test_backward_twice_gives_the_gradient_twice() -> None:
    x, t = Variable(np.random.randn(4, 3)), np.array([0, 1, 2, 0])
    y = F.softmax_cross_entropy(x, t)
    y.backward()
    assert x.grad is not None
    once = x.grad.data.copy()
    y.backward()
    np.testing.assert_allclose(x.grad.data, 2 * once)


@pytest.mark.parametrize("dtype", ["u1", "i1", ">i4", "<i4", "i8", "u8"])
def test_labels_of_any_integer_type(dtype: str) -> None:
    x, t = np.random.randn(4, 3), np.array([0, 1, 2, 0])
    for labels in (t.astype(dtype), Variable(t.astype(dtype))):
        wanted = F.softmax_cross_entropy(x, t).data
        assert F.softmax_cross_entropy(x, labels).data == wanted


@pytest.mark.parametrize("f", [*CLASS_LOSSES, F.sigmoid_cross_entropy])
def test_scores_may_be_integers(f: Any) -> None:
    x = np.array([[3, 0], [1, 2]], np.uint8)
    t = np.array([0, 1]) if f in CLASS_LOSSES else np.array([[0.5, 1], [0, 0.25]])
    assert f(x, t).data == f(x.astype(np.float64), t).data


def test_strided_labels_and_constant_scores() -> None:
    t = np.array([[0, 9], [1, 9], [2, 9]])
    x = np.eye(3)
    with no_grad():
        y = F.softmax_cross_entropy(Variable(x), t[:, 0])
    np.testing.assert_allclose(y.data, np.log(np.e + 2) - 1)


def test_shares_of_classes() -> None:
    """One-hot shares are labels; ignore_index, which is for labels, is refused."""
    x, t = np.random.default_rng(0).normal(size=(4, 3, 2)), np.array([[0, 2]] * 4)
    shares = np.moveaxis(np.eye(3)[t], 2, 1)
    for settings in ({}, {"weight": np.array([1.0, 2.0, 3.0]), "reduction": "none"}):
        expected = F.cross_entropy(x, t, label_smoothing=0.2, **settings)
        found = F.cross_entropy(x, shares, label_smoothing=0.2, **settings)
        np.testing.assert_allclose(found.data, expected.data, rtol=1e-12)
    assert F.accuracy(x, shares).data == F.accuracy(x, t).data
    assert message(lambda: F.cross_entropy(x, shares, ignore_index=1), ValueError) == (
        "softmax_cross_entropy: expected labels with ignore_index, got shares t "
        "(4, 3, 2); write zeros for what does not count"
    )


@pytest.mark.parametrize("f", CLASS_LOSSES)
@pytest.mark.parametrize(
    ("x_shape", "t_shape", "wanted"),
    [
        (
            (4, 3),
            (4, 1),
            "expected t of shape (4,) to match x (4, 3), got t (4, 1); "
            "write t.reshape((4,))",
        ),
        (
            (4, 3),
            (4, 3),
            "expected t of shape (4,) to match x (4, 3), got t (4, 3); "
            "for one-hot t write t.argmax(axis=1)",
        ),
        ((4, 3), (3,), "expected t of shape (4,) to match x (4, 3), got t (3,)"),
        (
            (4, 3, 2),
            (4, 3),
            "expected t of shape (4, 2) to match x (4, 3, 2), got t (4, 3)",
        ),
        (
            (3,),
            (),
            "expected x of shape (N, C, ...), got (3,); for one example write "
            "x.reshape(1, -1)",
        ),
        ((0, 3), (0,), "expected labels, got t (0,) without any"),
    ],
)
def test_labels_of_a_wrong_shape(
    f: Any, x_shape: Any, t_shape: Any, wanted: str
) -> None:
    x, t = np.zeros(x_shape), np.zeros(t_shape, np.int64)
    assert message(lambda: f(x, t), ValueError) == f"{f.__name__}: {wanted}"


@pytest.mark.parametrize("f", CLASS_LOSSES)
@pytest.mark.parametrize(
    ("t", "got"), [([0, -1], "from -1 to 0"), ([3, 1], "from 1 to 3")]
)
def test_labels_out_of_range(f: Any, t: Any, got: str) -> None:
    told = message(lambda: f(np.zeros((2, 3)), np.array(t)), IndexError)
    assert told == (
        f"{f.__name__}: expected labels from 0 to 2 for x (2, 3), got {got}"
    )


@pytest.mark.parametrize("f", CLASS_LOSSES)
@pytest.mark.parametrize("dtype", ["float32", "bool"])
def test_labels_that_are_no_integers(f: Any, dtype: str) -> None:
    told = message(lambda: f(np.zeros((2, 3)), np.zeros(2, dtype)), TypeError)
    assert told == (
        f"{f.__name__}: expected integer labels, got {dtype}; write t.astype(np.int64)"
    )


# -- accuracy -----------------------------------------------------------------------


def test_accuracy() -> None:
    y = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    assert float(F.accuracy(y, np.array([1, 0, 0, 0]))) == 0.75
    assert float(F.accuracy(Variable(y), np.array([[1], [0], [0], [0]]))) == 0.75
    images = np.stack([y, 1 - y], axis=2)  # (N, C, 2)
    assert float(F.accuracy(images, np.array([[1, 0]] * 4))) == 0.5
    assert F.accuracy(Variable(y), np.zeros(4, int)).creator is None


@pytest.mark.parametrize(
    ("y_shape", "t_shape"),
    [((4, 3), (3,)), ((4, 3), (4, 3)), ((4,), (4,)), ((0, 3), 0)],
)
def test_accuracy_of_a_wrong_number_of_labels(y_shape: Any, t_shape: Any) -> None:
    y, t = np.zeros(y_shape), np.zeros(t_shape, np.int64)
    assert message(lambda: F.accuracy(y, t), ValueError) == (
        "accuracy: expected y of shape (N, C, ...) and a label for each of N, got "
        f"y {y.shape} and t {t.shape}"
    )


# -- binary cross entropy -----------------------------------------------------------


def entropy(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum() / len(p)


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 3)])
def test_binary_losses_value_and_derivatives(shape: Any) -> None:
    x, t = np.random.randn(*shape), np.random.rand(*shape)
    p = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(F.binary_cross_entropy(p, t).data, entropy(p, t))
    np.testing.assert_allclose(F.sigmoid_cross_entropy(x, t).data, entropy(p, t))
    check_derivatives(F.binary_cross_entropy, p, t)
    check_derivatives(F.sigmoid_cross_entropy, x, t)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_cross_entropy_of_confident_scores(dtype: Any) -> None:
    x = np.array([1e4, -1e4, 1e4, -1e4, -30], dtype)
    t = np.array([0, 1, 1, 0, 0])
    y = F.sigmoid_cross_entropy(x, t)
    assert y.dtype == dtype
    np.testing.assert_allclose(y.data, 4000, rtol=1e-6)
    gx = gradient(lambda v: F.sigmoid_cross_entropy(v, t), x)
    assert gx.dtype == dtype
    np.testing.assert_allclose(gx, [0.2, -0.2, 0, 0, np.exp(-30.0) / 5], rtol=1e-6)


def test_a_tiny_loss_is_not_rounded_to_nothing() -> None:
    x, one = np.array([30.0], np.float32), np.array([1])
    loss = F.sigmoid_cross_entropy(x, one)
    np.testing.assert_allclose(loss.data, np.exp(-30.0), rtol=1e-6)
    p = np.array([1e-12], np.float32)
    loss = F.binary_cross_entropy(p, np.array([0]))
    np.testing.assert_allclose(loss.data, p[0], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_cross_entropy_beyond_the_clip_of_old(dtype: Any) -> None:
    """Between 0.999 and 1, and at 0 and 1 themselves, the gradient goes on."""
    p, t = np.array([0.9999], dtype), np.array([0])
    gp = gradient(lambda v: F.binary_cross_entropy(v, t), p)
    np.testing.assert_allclose(gp, 1 / (1 - p), rtol=1e-5)
    ends = np.array([0, 1], dtype)
    wrong, right = np.array([1, 0]), np.array([0, 1])
    info = np.finfo(dtype)
    loss = F.binary_cross_entropy(ends, wrong)
    assert loss.dtype == dtype
    np.testing.assert_allclose(
        loss.data, -(np.log(info.tiny) + np.log(info.epsneg)) / 2, rtol=1e-6
    )
    gp = gradient(lambda v: F.binary_cross_entropy(v, wrong), ends)
    assert gp.dtype == dtype
    np.testing.assert_allclose(gp, [-0.5 / info.tiny, 0.5 / info.epsneg], rtol=1e-6)
    loss = F.binary_cross_entropy(ends, right)
    np.testing.assert_allclose(loss.data, 0, atol=2 * info.eps)


def test_through_the_sigmoid_a_confident_mistake_has_its_whole_gradient() -> None:
    x = np.array([[-80.0], [10.0]], np.float32)
    t = np.array([1, 0])  # (N,) labels for (N, 1) predictions
    gx = gradient(lambda v: F.binary_cross_entropy(F.sigmoid(v), t), x)
    np.testing.assert_allclose(gx, [[-0.5], [0.5]], rtol=1e-3)


@pytest.mark.parametrize("f", BINARY_LOSSES)
def test_binary_labels_take_the_type_of_the_prediction(f: Any) -> None:
    x = np.array([[0.25], [0.5]], np.float32)
    for t in (np.array([1, 0]), np.array([1.0, 0.0]), Variable(np.array([1, 0]))):
        assert f(x, t).dtype == np.float32
    t = Variable(np.array([1, 0]))
    f(Variable(x), t).backward()
    assert t.grad is None


@pytest.mark.parametrize("f", BINARY_LOSSES)
@pytest.mark.parametrize(
    ("shape", "t_shape"), [((4, 1), (3,)), ((2, 3), (3, 2)), ((4, 1), ())]
)
def test_binary_labels_of_a_wrong_shape(f: Any, shape: Any, t_shape: Any) -> None:
    told = message(lambda: f(np.full(shape, 0.5), np.zeros(t_shape)), ValueError)
    assert told == (
        f"{f.__name__}: expected t of shape {shape} as the predictions have, "
        f"got {t_shape}"
    )


@pytest.mark.parametrize("f", BINARY_LOSSES)
@pytest.mark.parametrize("shape", [(), (0, 1)])
def test_binary_losses_need_examples(f: Any, shape: Any) -> None:
    told = message(lambda: f(np.zeros(shape), np.zeros(shape)), ValueError)
    assert told == (
        f"{f.__name__}: expected predictions of shape (N, ...) with N > 0, got {shape}"
    )


@pytest.mark.parametrize(
    ("p", "got"), [([0.5, 1.5], "from 0.5 to 1.5"), ([-2.0, 1.0], "from -2.0 to 1.0")]
)
def test_probabilities_out_of_range(p: Any, got: str) -> None:
    told = message(lambda: F.binary_cross_entropy(np.array(p), np.zeros(2)), ValueError)
    assert told == (
        f"binary_cross_entropy: expected p from 0 to 1, got {got}; for scores x write "
        "sigmoid_cross_entropy(x, t)"
    )


# -- all ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "t"),
    [
        (F.mean_squared_error, np.zeros((2, 2))),
        (F.softmax_cross_entropy, np.array([0, 1])),
        (F.sigmoid_cross_entropy, np.ones((2, 2))),
        (F.binary_cross_entropy, np.ones((2, 2))),
    ],
)
def test_nan_is_passed_on_and_inputs_stay(f: Any, t: np.ndarray) -> None:
    x, t_before = np.array([[np.nan, 0.5], [0.5, 0.5]]), t.copy()
    assert np.isnan(f(x, t).data)
    gx = gradient(lambda v: f(v, t), x)
    assert np.isnan(gx[0, 0]) and np.isfinite(gx[1]).all()
    np.testing.assert_array_equal(x, [[np.nan, 0.5], [0.5, 0.5]])
    np.testing.assert_array_equal(t, t_before)
