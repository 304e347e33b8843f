"""Every operation of the table: values, derivatives, types; what it leaves alone."""

from __future__ import annotations

from typing import Any

import hypothesis
import numpy as np
import pytest
from cases import CASES, WITHOUT_DERIVATIVE, Case
from hypothesis import given
from hypothesis import strategies as st
from samples import Sample

import dezero.functions as F
from dezero import Variable, no_grad
from dezero.backend import as_numpy, find_cupy
from dezero.core import propagate
from dezero.gradcheck import check_derivatives

settings = hypothesis.settings(
    max_examples=12, deadline=None, derandomize=True, database=None
)
every_case = pytest.mark.parametrize("case", CASES, ids=str)
differentiable = pytest.mark.parametrize(
    "case", [case for case in CASES if case.name not in WITHOUT_DERIVATIVE], ids=str
)


def as_tuple(ys: Any) -> tuple[Any, ...]:
    return ys if isinstance(ys, tuple) else (ys,)


def in_type(arrays: list[np.ndarray], dtype: Any) -> list[np.ndarray]:
    """The arrays in ``dtype``, except those of integers; none may be written to."""
    copies = [x.astype(dtype) if x.dtype.kind == "f" else x.copy() for x in arrays]
    for x in copies:
        x.flags.writeable = False
    return copies


def variables(arrays: list[Any]) -> list[Variable]:
    return [Variable(x, requires_grad=x.dtype.kind == "f") for x in arrays]


def draw(data: st.DataObject, case: Case) -> Sample:
    return data.draw(case.samples, label=str(case))


def test_every_public_function_has_a_case() -> None:
    public = {name for name in F.__all__ if name.islower()}
    exported = {
        name
        for name, value in vars(F).items()
        if name.islower() and not name.startswith("_") and callable(value)
    }
    assert exported == public
    assert {case.name for case in CASES} == public
    assert WITHOUT_DERIVATIVE.keys() <= public


@every_case
@settings
@given(data=st.data())
def test_value(case: Case, data: st.DataObject) -> None:
    arrays, kwargs = draw(data, case)
    arrays = in_type(arrays, np.float64)
    ys = as_tuple(case.function(*arrays, **kwargs))
    wanted = as_tuple(case.reference(*arrays, **kwargs))
    for y, y_wanted in zip(ys, wanted, strict=True):
        assert y.dtype == np.asarray(y_wanted).dtype
        np.testing.assert_allclose(y.data, y_wanted, rtol=1e-12, atol=1e-12)
    with no_grad():
        again = as_tuple(case.function(*variables(arrays), **kwargs))
    for y, y_again in zip(ys, again, strict=True):
        np.testing.assert_array_equal(y.data, y_again.data)
        assert y_again.creator is None


@differentiable
@settings
@given(data=st.data())
def test_derivatives(case: Case, data: st.DataObject) -> None:
    arrays, kwargs = draw(data, case)
    check_derivatives(case.function, *arrays, **kwargs)


@differentiable
@settings
@given(data=st.data())
def test_float32_stays(case: Case, data: st.DataObject) -> None:
    """Values, first and second derivatives; what lies in between is looked at, too."""
    arrays, kwargs = draw(data, case)
    if case.name == "astype":
        kwargs = {"dtype": np.float32}
    xs = variables(in_type(arrays, np.float32))
    reference = as_tuple(case.function(*arrays, **kwargs))
    ys = as_tuple(case.function(*xs, **kwargs))
    for y, wanted in zip(ys, reference, strict=True):
        assert y.dtype == np.float32
        np.testing.assert_allclose(y.data, wanted.data, rtol=1e-4, atol=1e-4)
        seed = Variable(np.ones(y.shape, np.float32))
        seed.data.flags.writeable = False
        if y.creator is None:
            continue
        first = propagate(y, seed, create_graph=True, retain_grad=True)
        assert {gx.dtype for gx in first.values()} == {np.dtype(np.float32)}
        for x in xs:
            gx = first.get(x)
            if gx is None or gx.creator is None:
                continue
            second = propagate(gx, gx, create_graph=False, retain_grad=True)
            assert {ggx.dtype for ggx in second.values()} == {np.dtype(np.float32)}


@every_case
@settings
@given(data=st.data())
@pytest.mark.skipif(find_cupy() is None, reason="needs CuPy and a GPU")
def test_cupy_gives_the_same(case: Case, data: st.DataObject) -> None:
    cupy = find_cupy()
    arrays, kwargs = draw(data, case)
    here = variables(arrays)
    there = variables([cupy.asarray(x) for x in arrays])
    ys = as_tuple(case.function(*here, **kwargs))
    zs = as_tuple(case.function(*there, **kwargs))
    for y, z in zip(ys, zs, strict=True):
        assert isinstance(z.data, cupy.ndarray)
        np.testing.assert_allclose(as_numpy(z), y.data, rtol=1e-9, atol=1e-9)
        if y.creator is None:
            continue
        y.backward()
        z.backward()
    for x, x_there in zip(here, there, strict=True):
        if x.grad is not None:
            np.testing.assert_allclose(
                as_numpy(x_there.grad), x.grad.data, rtol=1e-9, atol=1e-9
            )
