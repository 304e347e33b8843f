"""What losses can be told: labels to ignore, weights, smoothing, reductions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
from dezero import Variable

X = np.sin(np.arange(12.0)).reshape(4, 3)
Y = np.cos(np.arange(12.0)).reshape(4, 3)
T = np.array([0, 2, 1, 2])
YES = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 1, 0]])
W = np.array([1.0, 2.0, 0.5])


def gradient(f: Callable[[Variable], Variable], x: Any) -> np.ndarray:
    v = Variable(np.asarray(x))
    f(v).backward()
    assert v.grad is not None
    return v.grad.data


def message(error: type[Exception], f: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(error) as caught:
        f(*args, **kwargs)
    return str(caught.value)


def test_numbers_of_torch() -> None:
    """Of torch.nn.functional, in float64, with the arrays above.

    kl_div there with reduction="batchmean" of the arguments here; the divergence and
    the smooth L1 loss have torch's order of arguments.
    """
    signs, p = np.array([1, -1, 1, -1]), YES / YES.sum(1, keepdims=True)
    for found, wanted in [
        (F.cross_entropy(X, T, weight=W), 1.3961179520012426),
        (F.cross_entropy(X, T, label_smoothing=0.1), 1.5481573806452258),
        (
            F.cross_entropy(X, T, weight=W, label_smoothing=0.1, ignore_index=1),
            1.801190648255231,
        ),
        (F.nll_loss(X, T, weight=W, ignore_index=0), -0.11150531894355237),
        (
            F.binary_cross_entropy_with_logits(X, YES, weight=W, pos_weight=3 * W),
            2.376756290372801,
        ),
        (F.l1_loss(X, Y), 0.8497954643584705),
        (F.mse_loss(X, Y), 0.9468621346043534),
        (F.huber_loss(X, Y, delta=0.5), 0.3166268193847673),
        (F.smooth_l1_loss(X, Y, beta=0.5), 0.6332536387695346),
        (F.kl_div(F.log_softmax(X), p), 1.1269544486460277),
        (F.cosine_embedding_loss(X, Y, signs, margin=0.1), 0.4734439843901622),
        (F.cosine_similarity(X, Y)[0], 0.05084540420759415),
    ]:
        assert found.data == pytest.approx(wanted, rel=1e-13)
    far = F.triplet_margin_loss(X, Y, np.sin(2 * Y))  # torch adds 1e-6 to differences
    assert far.data == pytest.approx(0.8619513722207581, rel=1e-5)


# -- softmax_cross_entropy, nll_loss --------------------------------------------------


def test_cross_entropy_is_softmax_cross_entropy() -> None:
    assert F.cross_entropy is F.softmax_cross_entropy


def test_what_does_not_count_has_no_gradient_whatever_its_scores() -> None:
    x = X.copy()
    x[1], x[3] = -np.inf, np.nan
    t = np.array([0, -100, 1, -100])

    def loss(v: Variable) -> Variable:
        return F.softmax_cross_entropy(v, t, ignore_index=-100)

    with np.errstate(invalid="ignore"):  # of scores that are all -inf
        assert loss(Variable(x)).data == F.softmax_cross_entropy(X[::2], T[::2]).data


def test_ignored_labels_in_the_gradient() -> None:
    t = np.array([0, -100, 1, -100])
    found = gradient(lambda v: F.softmax_cross_entropy(v, t, ignore_index=-100), X)
    np.testing.assert_array_equal(found[1::2], 0)
    wanted = gradient(lambda v: F.softmax_cross_entropy(v, T[::2]), X[::2])
    np.testing.assert_allclose(found[::2], wanted, rtol=1e-14)


def test_a_class_may_be_ignored() -> None:
    found = F.softmax_cross_entropy(X, T, ignore_index=2)
    kept = T != 2
    assert found.data == pytest.approx(F.softmax_cross_entropy(X[kept], T[kept]).data)


def test_reductions_go_together() -> None:
    settings: dict[str, Any] = {"weight": W, "ignore_index": 1, "label_smoothing": 0.3}
    each = F.softmax_cross_entropy(X, T, reduction="none", **settings)
    assert each.shape == (4,) and each.data[2] == 0
    total = F.softmax_cross_entropy(X, T, reduction="sum", **settings).data
    assert total == pytest.approx(each.data.sum())
    mean = F.softmax_cross_entropy(X, T, **settings).data
    assert mean == pytest.approx(total / W[T[T != 1]].sum())
    plain = F.softmax_cross_entropy(X, T, reduction="none")
    assert plain.data.mean() == pytest.approx(F.softmax_cross_entropy(X, T).data)


def test_a_whole_share_of_smoothing_leaves_the_labels_out() -> None:
    a = F.softmax_cross_entropy(X, T, label_smoothing=1.0)
    b = F.softmax_cross_entropy(X, np.zeros_like(T), label_smoothing=1.0)
    assert a.data == pytest.approx(b.data)
    assert a.data == pytest.approx(-F.log_softmax(X).data.mean())


@pytest.mark.parametrize("f", [F.softmax_cross_entropy, F.nll_loss])
def test_float32_stays_with_weights_of_any_type(f: Any) -> None:
    x = X.astype(np.float32)
    for weight in (W, W.astype(np.float32), [1, 2, 3]):
        loss = f(x, T, weight=weight, ignore_index=0)
        assert loss.dtype == np.float32


def test_no_label_that_counts_has_no_mean() -> None:
    none = np.full(4, -1)
    wanted = "expected labels that count, got none, so there is no mean; write "
    for f in (F.softmax_cross_entropy, F.nll_loss):
        assert message(ValueError, f, X, none, ignore_index=-1) == (
            f"{f.__name__}: {wanted}reduction='sum'"
        )
        assert f(X, none, ignore_index=-1, reduction="sum").data == 0
    assert wanted in message(
        ValueError, F.nll_loss, X, T, weight=[0, 1, 0], ignore_index=1
    )


def test_what_cannot_be_is_found_in_a_compiled_step_too() -> None:
    step = dezero.compile(lambda x, t: F.cross_entropy(x, t, ignore_index=-1))
    assert step(X, T).data == pytest.approx(F.cross_entropy(X, T).data)
    ignoring = np.array([0, -1, -1, 2])
    wanted = F.cross_entropy(X, ignoring, ignore_index=-1)
    assert step(X, ignoring).data == pytest.approx(wanted.data)
    assert message(IndexError, step, X, np.array([0, 1, 2, 3])) == (
        "softmax_cross_entropy: expected labels from 0 to 2 for x (4, 3), got from 0 "
        "to 3"
    )
    assert "expected labels that count" in message(ValueError, step, X, np.full(4, -1))


@pytest.mark.parametrize("f", [F.softmax_cross_entropy, F.nll_loss])
def test_errors_of_classification(f: Any) -> None:
    name = f.__name__
    assert message(ValueError, f, X, T, reduction="avg") == (
        f"{name}: expected reduction 'mean', 'sum' or 'none', got 'avg'"
    )
    assert message(ValueError, f, X, T, reduction="sums") == (
        f"{name}: expected reduction 'mean', 'sum' or 'none', got 'sums'; did you mean "
        "'sum'?"
    )
    assert message(ValueError, f, X, T, weight=[1, 2]) == (
        f"{name}: expected weight of shape (3,) to match x (4, 3), got weight (2,)"
    )
    assert message(ValueError, f, X, T, weight=[1, -2, 3]) == (
        f"{name}: expected weights of 0 or more, got from -2 to 3"
    )
    assert message(IndexError, f, X, T - 1, ignore_index=-2) == (
        f"{name}: expected labels from 0 to 2 for x (4, 3), got from -1 to 1"
    )
    assert message(IndexError, f, X, T + 1, ignore_index=-1) == (
        f"{name}: expected labels from 0 to 2 for x (4, 3), got from 1 to 3"
    )
    assert message(ValueError, f, X, T[:3], ignore_index=-1) == (
        f"{name}: expected t of shape (4,) to match x (4, 3), got t (3,)"
    )
    assert message(TypeError, f, X, T / 1, ignore_index=-1) == (
        f"{name}: expected integer labels, got float64; write t.astype(np.int64)"
    )


def test_errors_of_smoothing() -> None:
    for share in (-0.1, 1.5):
        found = message(ValueError, F.cross_entropy, X, T, label_smoothing=share)
        assert found == (
            f"softmax_cross_entropy: expected label_smoothing from 0 to 1, got {share}"
        )


# -- yes or no ----------------------------------------------------------------------


def test_logits_however_large_have_a_loss() -> None:
    x, t = np.array([800.0, 800.0, -800.0, -50.0]), np.array([1, 0, 1, 0])
    losses = F.binary_cross_entropy_with_logits(x, t, reduction="none").data
    np.testing.assert_allclose(losses, [0, 800, 800, np.exp(-50)], rtol=1e-14)


def test_mean_over_elements_and_over_rows() -> None:
    elements = F.binary_cross_entropy_with_logits(X, YES)
    rows = F.sigmoid_cross_entropy(X, YES)
    assert rows.data == pytest.approx(3 * elements.data, rel=1e-14)
    squares = F.mean_squared_error(X, Y)
    assert squares.data == pytest.approx(3 * F.mse_loss(X, Y).data, rel=1e-14)


def test_errors_of_yes_or_no() -> None:
    f = F.binary_cross_entropy_with_logits
    assert message(ValueError, f, X, YES, pos_weight=np.ones(2)) == (
        "binary_cross_entropy_with_logits: expected pos_weight that broadcasts to x "
        "(4, 3), got pos_weight (2,)"
    )
    assert message(ValueError, f, X, YES, weight=np.ones((2, 4, 3))) == (
        "binary_cross_entropy_with_logits: expected weight that broadcasts to x (4, "
        "3), got weight (2, 4, 3)"
    )
    assert message(ValueError, f, X, YES, weight=-1.0) == (
        "binary_cross_entropy_with_logits: expected weight of 0 or more, got from -1.0 "
        "to -1.0"
    )
    assert message(ValueError, F.hinge_loss, X, YES) == (
        "hinge_loss: expected t of -1 and 1, got numbers from 0.0 to 1.0; for t of 0 "
        "and 1 write 2 * t - 1"
    )
    assert message(ValueError, F.hinge_loss, X, T) == (
        "hinge_loss: expected t of shape (4, 3) as the predictions have, got (4,)"
    )
