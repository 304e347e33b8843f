"""vmap: of every operation of the table, the stack of what each example gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
import numpy as np
import pytest
from cases import CASES, WITHOUT_DERIVATIVE, Case
from hypothesis import given
from hypothesis import strategies as st
from test_cases import as_tuple, draw, in_type

import dezero
import dezero.functions as F
from dezero import Variable, vmap

settings = hypothesis.settings(
    max_examples=4, deadline=None, derandomize=True, database=None
)
# What cannot be a batch, and why.
WITHOUT_BATCH = {
    "im2col_array": "the case makes a NumPy array of its argument",
    "col2im_array": "the case makes a NumPy array of its argument",
    "dropout": "the case seeds the generator, once for all: see below",
}
mappable = [case for case in CASES if case.name not in WITHOUT_BATCH]
every_case = pytest.mark.parametrize("case", mappable, ids=str)
differentiable = pytest.mark.parametrize(
    "case", [case for case in mappable if case.name not in WITHOUT_DERIVATIVE], ids=str
)


def batch_of(x: np.ndarray) -> np.ndarray:
    """Three examples with the same numbers, in another order each."""
    turned = [x.reshape(-1)[::-1], np.roll(x.reshape(-1), 1)]
    return np.stack([x, *(t.reshape(x.shape) for t in turned)])


def bare(x: Any) -> Any:
    return x.data if isinstance(x, Variable) else x


def assert_close(found: Any, wanted: Any) -> None:
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    assert isinstance(bare(found), np.ndarray)
    np.testing.assert_allclose(bare(found), bare(wanted), rtol=1e-9, atol=1e-9)


def looped(f: Callable[..., Any], mapped: list[bool], *xs: Any) -> tuple[Any, ...]:
    """What vmap promises: a loop, and a stack."""
    results = [
        as_tuple(f(*(x[i] if m else x for x, m in zip(xs, mapped, strict=True))))
        for i in range(3)
    ]
    return tuple(np.stack([bare(y) for y in ys]) for ys in zip(*results, strict=True))


def examples(data: st.DataObject, case: Case) -> tuple[Any, ...]:
    """Arguments, some the same for all, and which of them are batches."""
    arrays, kwargs = draw(data, case)
    mapped = [data.draw(st.booleans()) for _ in arrays]
    if not any(mapped):
        mapped[data.draw(st.integers(0, len(arrays) - 1))] = True
    arrays = in_type(arrays, np.float64)
    xs = [batch_of(x) if m else x for x, m in zip(arrays, mapped, strict=True)]
    return xs, mapped, [0 if m else None for m in mapped], kwargs


@every_case
@settings
@given(data=st.data())
def test_value(case: Case, data: st.DataObject) -> None:
    xs, mapped, axes, kwargs = examples(data, case)

    def f(*xs: Any) -> Any:
        return case.function(*xs, **kwargs)

    for y, wanted in zip(
        as_tuple(vmap(f, in_axes=axes)(*xs)), looped(f, mapped, *xs), strict=True
    ):
        assert_close(y, wanted)


@differentiable
@settings
@given(data=st.data())
def test_gradients_of_each_example(case: Case, data: st.DataObject) -> None:
    """And of all: what the graph behind vmap gives is the sum."""
    xs, mapped, axes, kwargs = examples(data, case)
    numbers = tuple(i for i, x in enumerate(xs) if x.dtype.kind == "f")

    def loss(*xs: Any) -> Any:
        ys = as_tuple(case.function(*xs, **kwargs))
        return sum((F.sum(y * y * y) for y in ys), Variable(np.array(0.0)))

    each = dezero.grad(loss, numbers)
    found = vmap(each, in_axes=axes)(*xs)
    wanted = looped(each, mapped, *xs)
    for gx, gx_wanted in zip(found, wanted, strict=True):
        assert_close(gx, gx_wanted)

    total = dezero.grad(lambda *xs: vmap(loss, in_axes=axes)(*xs).sum(), numbers)(*xs)
    for i, gx, g in zip(numbers, total, wanted, strict=True):
        assert_close(gx, g if mapped[i] else g.sum(axis=0))


@differentiable
@hypothesis.settings(settings, max_examples=1)
@given(data=st.data())
def test_compiled(case: Case, data: st.DataObject) -> None:
    xs, _, axes, kwargs = examples(data, case)
    f = vmap(lambda *xs: case.function(*xs, **kwargs), in_axes=axes)
    compiled = dezero.compile(f)
    for found, wanted in zip(as_tuple(compiled(*xs)), as_tuple(f(*xs)), strict=True):
        assert_close(found, wanted)
