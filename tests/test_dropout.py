"""Dropout, and where its random numbers come from."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
from dezero import Variable, test_mode
from dezero.gradcheck import check_derivatives


@pytest.fixture
def own_generator() -> Iterator[None]:
    dezero.random.seed(7)
    yield
    dezero.random.seed(None)


# -- dropout ------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [0.0, 0.2, 0.5, 0.99])
def test_in_training_elements_go_and_the_others_grow(ratio: float) -> None:
    x = np.random.randn(40, 50)
    np.random.seed(1)
    y = F.dropout(x, ratio).data
    np.random.seed(1)
    kept = np.random.rand(40, 50) > ratio  # as the book draws it
    np.testing.assert_allclose(y, np.where(kept, x / (1 - ratio), 0))


def test_ratio_0_keeps_all_and_ratio_1_none() -> None:
    x = np.random.randn(100)
    np.testing.assert_array_equal(F.dropout(x, 0.0).data, x)
    np.testing.assert_array_equal(F.dropout(x, 1.0).data, np.zeros(100))
    v = Variable(x)
    F.dropout(v, 1.0).backward()
    assert v.grad is not None
    np.testing.assert_array_equal(v.grad.data, np.zeros(100))


def test_in_test_mode_x_passes_and_nothing_is_drawn() -> None:
    x = Variable(np.random.randn(3))
    state = np.random.get_state()[2]
    with test_mode():
        assert F.dropout(x) is x
    assert np.random.get_state()[2] == state


def test_every_call_draws_anew_but_backward_does_not() -> None:
    x = Variable(np.ones(100))
    y0, y1 = F.dropout(x), F.dropout(x)
    assert (y0.data != y1.data).any()
    y0.backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.data, y0.data)  # of ones, y is the mask


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)])
def test_derivatives(shape: Any) -> None:
    def f(x: Variable) -> Variable:
        np.random.seed(0)
        return F.dropout(x, 0.4) ** 3

    check_derivatives(f, np.array(np.random.randn(*shape)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("ratio", [0.3, 1.0])
def test_types(dtype: Any, ratio: float) -> None:
    x = Variable(np.ones((4, 5), dtype))
    y = F.dropout(x, ratio)
    y.backward()
    assert x.grad is not None
    assert y.dtype == x.grad.dtype == dtype
    assert F.dropout(np.ones(3, np.int64), ratio).dtype == np.float64


@pytest.mark.parametrize("ratio", [-0.1, 1.5, float("nan")])
@pytest.mark.parametrize("train", [True, False])
def test_a_ratio_that_is_none(ratio: float, train: bool) -> None:
    with (
        dezero.using_config("train", train),
        pytest.raises(ValueError) as error,
    ):
        F.dropout(np.ones(3), ratio)
    assert str(error.value) == (
        f"dropout: expected dropout_ratio from 0 to 1, got {ratio}"
    )


# -- the generator ------------------------------------------------------------------


def test_the_global_generator_rules_until_seed_is_called() -> None:
    assert dezero.random.generator() is np.random


@pytest.mark.usefixtures("own_generator")
def test_a_generator_of_our_own_leaves_the_global_one_alone() -> None:
    state = np.random.get_state()[2]
    y = F.dropout(np.ones(50)).data
    assert np.random.get_state()[2] == state
    np.random.seed(3)  # and the other way round
    dezero.random.seed(7)
    np.testing.assert_array_equal(F.dropout(np.ones(50)).data, y)


@pytest.mark.usefixtures("own_generator")
def test_the_same_seed_gives_the_same_numbers_by_either_way() -> None:
    own = dezero.random.generator()
    drawn = own.rand(3), own.randn(2, 2), own.permutation(5)
    np.random.seed(7)
    for a, b in zip(
        drawn,
        (np.random.rand(3), np.random.randn(2, 2), np.random.permutation(5)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.usefixtures("own_generator")
def test_threads_share_it_and_draw_each_number_once() -> None:
    drawn: list[float] = []

    def draw() -> None:
        for _ in range(200):
            drawn.append(dezero.random.generator().rand())

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.random.seed(7)
    np.testing.assert_array_equal(np.sort(drawn), np.sort(np.random.rand(800)))


@pytest.mark.parametrize(
    ("n", "kind", "wanted"),
    [
        (1.5, TypeError, "an integer or None, got float"),
        ("0", TypeError, "an integer or None, got str"),
        (-1, ValueError, "a number from 0 to 2**32 - 1, got -1"),
        (2**32, ValueError, "a number from 0 to 2**32 - 1, got 4294967296"),
    ],
)
def test_seeds_that_are_none(n: Any, kind: type[Exception], wanted: str) -> None:
    with pytest.raises(kind) as error:
        dezero.random.seed(n)
    assert str(error.value) == f"seed: expected {wanted}"
    assert dezero.random.generator() is np.random


def test_using_a_generator():
    own, inner = np.random.RandomState(1), np.random.RandomState(2)
    expected = np.random.RandomState(1).rand(3).tolist()
    seen = []
    thread = threading.Thread(
        target=lambda: seen.append(dezero.random.generator() is np.random)
    )
    with dezero.random.using(own):
        drawn = [dezero.random.generator().rand()]
        with dezero.random.using(inner):
            assert dezero.random.generator() is inner
        thread.start()
        thread.join()
        drawn += dezero.random.generator().rand(2).tolist()
        x = F.dropout(np.ones(50), 0.5).data
    assert drawn == expected
    assert seen == [True]
    assert dezero.random.generator() is np.random
    with dezero.random.using(np.random.RandomState(1)):
        dezero.random.generator().rand(3)
        np.testing.assert_array_equal(F.dropout(np.ones(50), 0.5).data, x)


def test_using_wants_the_methods_of_np_random():
    message = (
        "using: expected a generator with the methods of np.random, got Generator; "
        "write np.random.RandomState(seed)"
    )
    with pytest.raises(TypeError) as error:
        dezero.random.using(np.random.default_rng(0)).__enter__()
    assert str(error.value) == message


def test_a_compiled_step_draws_from_the_generator_in_use():
    step = dezero.compile(lambda x: F.dropout(x, 0.5))
    x = np.ones(50, np.float32)
    with dezero.random.using(np.random.RandomState(3)):
        eager = [F.dropout(x, 0.5).data for _ in range(3)]
    with dezero.random.using(np.random.RandomState(3)):
        compiled = [step(x).data for _ in range(3)]
    np.testing.assert_array_equal(compiled, eager)
