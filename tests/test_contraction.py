"""einsum: every form of subscripts; errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from samples import EINSUMS

import dezero.functions as F
from dezero import Variable

LENGTHS = {letter: 2 + i % 3 for i, letter in enumerate("abcdhijklqXYZ")}


@pytest.mark.parametrize("subscripts", EINSUMS)
@pytest.mark.parametrize("hidden", ["", "Z", "YZ"])
def test_the_same_as_numpy(subscripts: str, hidden: str) -> None:
    words = subscripts.partition("->")[0].replace("...", hidden).split(",")
    rng = np.random.default_rng(0)
    xs = [rng.normal(size=[LENGTHS[c] for c in word]) for word in words]
    y = F.einsum(subscripts, *xs)
    wanted = np.einsum(subscripts, *xs)
    assert y.shape == wanted.shape
    np.testing.assert_allclose(y.data, wanted, rtol=1e-12, atol=1e-12)


def test_the_ellipsis_broadcasts() -> None:
    x, y = np.ones((3, 1, 2)), np.arange(8.0).reshape(4, 2)
    for subscripts in ("...i,...i->...", "...i,...i", "...i,...i->i..."):
        np.testing.assert_allclose(
            F.einsum(subscripts, x, y).data, np.einsum(subscripts, x, y)
        )


def test_lengths_of_zero() -> None:
    x, y = np.ones((2, 0)), np.ones((0, 3))
    assert F.einsum("ij,jk->ik", x, y).data.tolist() == [[0] * 3] * 2
    assert F.einsum("ij->j", x).shape == (0,)
    assert F.einsum("ij,kj->ikj", x, np.ones((3, 1))).shape == (2, 3, 0)


def test_a_variable_twice() -> None:
    x = Variable(np.arange(1.0, 4))
    F.einsum("i,i,i", x, x, x).backward()
    assert x.grad.data.tolist() == [3, 12, 27]


def test_types() -> None:
    x = np.ones((2, 2), np.float32)
    assert F.einsum("ij,jk", x, x).dtype == np.float32
    assert F.einsum("ij,jk", x.astype(int), x.astype(int)).dtype == np.int64


@pytest.mark.parametrize(
    ("subscripts", "shapes", "message"),
    [
        (
            "ij,jk->ik",
            [(2, 3), (4, 2)],
            "einsum: expected lengths that fit 'ij,jk->ik', got (2, 3) and (4, 2)",
        ),
        ("ij,jk", [(2, 3)], "einsum: expected 2 operands for 'ij,jk', got 1"),
        ("ij", [(2,)], "einsum: expected a letter for each axis of (2,), got 'ij'"),
        ("i", [(2, 3)], "einsum: expected a letter for each axis of (2, 3), got 'i'"),
        (
            "i1->i",
            [(2, 3)],
            "einsum: expected letters, commas, '...' and '->', got 'i1->i'",
        ),
        (
            "i->k",
            [(2,)],
            "einsum: expected a result whose letters stand there once and in some "
            "operand, got 'i->k'",
        ),
        (
            "i->ii",
            [(2,)],
            "einsum: expected a result whose letters stand there once and in some "
            "operand, got 'i->ii'",
        ),
        (
            "...i->i",
            [(2, 3)],
            "einsum: expected '...' in the result, as in the operands, got '...i->i'",
        ),
    ],
)
def test_refused(subscripts: str, shapes: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        F.einsum(subscripts, *map(np.ones, shapes))
    assert str(caught.value) == message


def test_lists_of_axes_are_refused() -> None:
    with pytest.raises(TypeError) as caught:
        F.einsum(np.ones(2), [0])
    assert str(caught.value) == (
        "einsum: expected subscripts such as 'ij,jk->ik', got ndarray"
    )
