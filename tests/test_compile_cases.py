"""Every operation of the table, compiled: the same values and derivatives as eager."""

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
from dezero import Variable

settings = hypothesis.settings(
    max_examples=3, deadline=None, derandomize=True, database=None
)
every_case = pytest.mark.parametrize("case", CASES, ids=str)


def variables(arrays: list[np.ndarray]) -> list[Variable]:
    return [Variable(x.copy(), requires_grad=x.dtype.kind == "f") for x in arrays]


def both_orders(case: Case, kwargs: dict[str, Any]) -> Callable[..., Any]:
    """A step: the values, and by backward the first and second derivatives."""
    differentiable = case.name not in WITHOUT_DERIVATIVE

    def step(*xs: Variable) -> Any:
        ys = as_tuple(case.function(*xs, **kwargs))
        recorded = [y for y in ys if y.creator is not None]
        if not (differentiable and recorded):
            return ys
        total = sum(F.sum(y * y) for y in recorded)
        total.backward(create_graph=True)
        firsts = [x.grad for x in xs if x.grad is not None]
        for x in xs:
            x.cleargrad()
        slope = sum(F.sum(gx * gx) for gx in firsts)
        if slope.creator is not None:
            slope.backward()
        return ys, [Variable(gx.data) for gx in firsts]

    return step


def flat(value: Any) -> list[Any]:
    if isinstance(value, (tuple, list)):
        return [x for part in value for x in flat(part)]
    return [value]


def assert_compiles(
    case: Case, arrays: list[Any], kwargs: dict[str, Any], rtol: float
) -> None:
    step = both_orders(case, kwargs)
    compiled = dezero.compile(step)
    for _ in range(2):
        here, there = variables(arrays), variables(arrays)
        np.random.seed(0)
        wanted = flat(step(*here))
        np.random.seed(0)
        found = flat(compiled(*there))
        assert len(wanted) == len(found)
        for a, b in zip(wanted, found, strict=True):
            assert a.dtype == b.dtype
            scale = float(np.max(np.abs(a.data), initial=1e-30))
            np.testing.assert_allclose(b.data, a.data, rtol=rtol, atol=rtol * scale)
        for x, z in zip(here, there, strict=True):
            assert (x.grad is None) == (z.grad is None)
            if x.grad is not None:
                scale = float(np.max(np.abs(x.grad.data), initial=1e-30))
                np.testing.assert_allclose(
                    z.grad.data, x.grad.data, rtol=rtol, atol=rtol * scale
                )


@every_case
@settings
@given(data=st.data())
def test_in_float64(case: Case, data: st.DataObject) -> None:
    arrays, kwargs = draw(data, case)
    assert_compiles(case, in_type(arrays, np.float64), kwargs, 1e-12)


@every_case
@settings
@given(data=st.data())
def test_in_float32(case: Case, data: st.DataObject) -> None:
    arrays, kwargs = draw(data, case)
    assert_compiles(case, in_type(arrays, np.float32), kwargs, 2e-5)
