"""Joining, splitting, repeating, framing: edges and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dezero.functions as F
from dezero import Variable


def refused(call: Any, error: type[Exception]) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


x = Variable(np.arange(6.0).reshape(2, 3))


def test_split_is_a_tuple_even_of_one_part() -> None:
    assert F.split(x, 1) == (x,)
    assert [y.shape for y in F.split(x, [1, 1, 9], axis=1)] == [
        (2, 1), (2, 0), (2, 2), (2, 0),
    ]  # fmt: skip


def test_parts_that_nobody_uses_get_zeros() -> None:
    leaf = Variable(np.arange(6.0))
    _, middle, _ = F.split(leaf, 3)
    F.sum(middle * middle).backward()
    assert leaf.grad.data.tolist() == [0, 0, 4, 6, 0, 0]


def test_repeat_by_a_number_for_each_place() -> None:
    leaf = Variable(np.array([[1.0], [2.0], [3.0]]))
    y = F.repeat(leaf, [2, 0, 1], axis=0)
    assert y.data.tolist() == [[1], [1], [3]]
    y.backward()
    assert leaf.grad.data.tolist() == [[2], [0], [1]]


def test_roll_along_several_axes() -> None:
    y = F.roll(x, (1, -1), (0, 1))
    np.testing.assert_array_equal(y.data, np.roll(x.data, (1, -1), (0, 1)))


def test_tile_by_fewer_and_by_more_numbers_than_axes() -> None:
    for reps in (2, (2,), (1, 2), (3, 1, 2)):
        np.testing.assert_array_equal(F.tile(x, reps).data, np.tile(x.data, reps))


def test_pad_by_a_number_and_by_one_pair() -> None:
    for width in (1, (1, 2), ((1, 0), (0, 2))):
        np.testing.assert_array_equal(F.pad(x, width).data, np.pad(x.data, width))
    ints = F.pad(np.array([1, 2]), 1, constant_values=7)
    assert ints.data.tolist() == [7, 1, 2, 7]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.stack([]), "stack: expected one array or more, got none"),
        (
            lambda: F.stack([np.ones(2), np.ones(3)]),
            "stack: expected one shape, got (2,), (3,)",
        ),
        (
            lambda: F.stack([x], axis=4),
            "stack: expected axis from -3 to 2, each once, got 4",
        ),
        (
            lambda: F.split(x, 2, axis=1),
            "split: expected a number of parts that divides axis 1 of x (2, 3), got 2; "
            "write the indices at which to cut",
        ),
        (
            lambda: F.split(x, [2, 1], axis=1),
            "split: expected indices in order, got [2, 1] for axis 1 of x (2, 3)",
        ),
        (
            lambda: F.squeeze(x, 0),
            "squeeze: expected axes of length 1, got axis 0 of x (2, 3)",
        ),
        (
            lambda: F.swapaxes(x, 0, 2),
            "swapaxes: expected axis from -2 to 1, each once, got 2",
        ),
        (
            lambda: F.moveaxis(x, (0, 1), 0),
            "moveaxis: expected as many places as axes, got source (0, 1) and "
            "destination 0",
        ),
        (lambda: F.flip(x, 2), "flip: expected axis from -2 to 1, each once, got 2"),
        (
            lambda: F.roll(x, (1, 2), 0),
            "roll: expected a shift for each axis, got shift (1, 2) and axis 0",
        ),
        (
            lambda: F.repeat(x, [1, 2], axis=1),
            "repeat: expected an integer or 3 of them for axis 1 of x (2, 3), got 2",
        ),
        (lambda: F.repeat(x, -1), "repeat: expected numbers from 0 on, got -1"),
        (
            lambda: F.pad(x, 1, "wrap"),
            "pad: expected mode 'constant', 'edge' or 'reflect', got 'wrap'",
        ),
        (
            lambda: F.pad(x, -1),
            "pad: expected widths from 0 on, a pair for each axis of x (2, 3), got -1",
        ),
        (
            lambda: F.pad(x, (1, 2, 3)),
            "pad: expected widths from 0 on, a pair for each axis of x (2, 3), got "
            "(1, 2, 3)",
        ),
        (
            lambda: F.pad(np.zeros((0, 1)), 1, "edge"),
            "pad: expected elements along axis 0 for mode 'edge', got x (0, 1)",
        ),
    ],
)
def test_refused(call: Any, message: str) -> None:
    assert refused(call, ValueError) == message
