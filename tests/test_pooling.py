"""Pooling: values, ties, NaN, borders, derivatives, types, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dezero.functions as F
from dezero import Variable
from dezero.gradcheck import check_derivatives

random = np.random.default_rng(0)
settings = hypothesis.settings(
    max_examples=40, deadline=None, derandomize=True, database=None
)
both = pytest.mark.parametrize("pooling", [F.pooling, F.pooling_simple])


def normal(*shape: int, dtype: Any = np.float64) -> np.ndarray:
    return random.normal(size=shape).astype(dtype)


@st.composite
def geometries(draw: st.DrawFn) -> tuple[tuple[int, ...], dict[str, Any]]:
    """A shape, and windows that fit into it."""
    N, C, KH, KW, SH, SW = (draw(st.integers(1, 3)) for _ in range(6))
    PH, PW = draw(st.integers(0, KH - 1)), draw(st.integers(0, KW - 1))
    H = draw(st.integers(max(1, KH - 2 * PH), 6))
    W = draw(st.integers(max(1, KW - 2 * PW), 6))
    kwargs = {"kernel_size": (KH, KW), "stride": (SH, SW), "pad": (PH, PW)}
    return (N, C, H, W), kwargs


def windows(x: np.ndarray, kernel_size: Any, stride: Any, pad: Any) -> dict[Any, Any]:
    """Of each window the places it covers, row by row, those of the border left out."""
    N, C, H, W = x.shape
    found = {}
    OH = (H + 2 * pad[0] - kernel_size[0]) // stride[0] + 1
    OW = (W + 2 * pad[1] - kernel_size[1]) // stride[1] + 1
    for n, c, i, j in np.ndindex(N, C, OH, OW):
        top, left = i * stride[0] - pad[0], j * stride[1] - pad[1]
        found[n, c, i, j] = [
            (n, c, top + h, left + w)
            for h, w in np.ndindex(*kernel_size)
            if 0 <= top + h < H and 0 <= left + w < W
        ]
    return found


# -- values ---------------------------------------------------------------------------


@both
@settings
@given(geometries(), st.booleans())
def test_the_first_largest_element_counts(
    pooling: Any, geometry: tuple[tuple[int, ...], dict[str, Any]], tied: bool
) -> None:
    """By value, by gradient and by the gradient of the gradient."""
    shape, kwargs = geometry
    values = random.integers(-2, 1, shape).astype(float) if tied else normal(*shape)
    x = Variable(values)
    y = pooling(x, **kwargs)
    gy = Variable(normal(*y.shape))
    y.grad = gy
    y.backward(create_graph=True)
    gx, ggx = x.grad, normal(*shape)
    (gx * ggx).sum().backward()

    expected_y, expected_ggy = np.zeros(y.shape), np.zeros(y.shape)
    expected_gx = np.zeros(shape)
    for window, places in windows(values, **kwargs).items():
        first = max(places, key=lambda place: values[place])  # of equal ones, too
        expected_y[window] = values[first]
        expected_gx[first] += gy.data[window]
        expected_ggy[window] = ggx[first]
    np.testing.assert_array_equal(y.data, expected_y)
    np.testing.assert_allclose(gx.data, expected_gx, atol=1e-12)
    np.testing.assert_array_equal(gy.grad.data, expected_ggy)


@settings
@given(geometries())
def test_average_pooling_counts_the_border(
    geometry: tuple[tuple[int, ...], dict[str, Any]],
) -> None:
    shape, kwargs = geometry
    x = Variable(normal(*shape))
    y = F.average_pooling(x, **kwargs)
    y.grad = Variable(normal(*y.shape))
    gy = y.grad.data
    y.backward()
    count = np.prod(kwargs["kernel_size"])
    expected_y, expected_gx = np.zeros(y.shape), np.zeros(shape)
    for window, places in windows(x.data, **kwargs).items():
        for place in places:
            expected_y[window] += x.data[place] / count
            expected_gx[place] += gy[window] / count
    np.testing.assert_allclose(y.data, expected_y, atol=1e-12)
    np.testing.assert_allclose(x.grad.data, expected_gx, atol=1e-12)


@both
@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.int8])
def test_the_border_is_lower_than_any_element(pooling: Any, dtype: Any) -> None:
    low = -np.inf if dtype is np.float32 else np.iinfo(dtype).min
    x = np.array([[low, -5], [-7, -6]], dtype).reshape(1, 1, 2, 2)
    y = pooling(x, kernel_size=2, stride=1, pad=1)
    expected = [[low, -5, -5], [-7, -5, -5], [-7, -6, -6]]
    np.testing.assert_array_equal(y.data[0, 0], np.array(expected, dtype))
    assert y.dtype == dtype


@both
def test_nan_wins_and_gets_the_gradient(pooling: Any) -> None:
    x = Variable(np.arange(16.0).reshape(1, 1, 4, 4))
    x.data[0, 0, 0, 1] = np.nan
    y = pooling(x, kernel_size=2, stride=2)
    y.backward()
    np.testing.assert_array_equal(y.data[0, 0], [[np.nan, 7], [13, 15]])
    assert np.flatnonzero(x.grad.data).tolist() == [1, 7, 13, 15]
    np.testing.assert_array_equal(x.grad.data[x.grad.data != 0], 1)


def test_windows_that_do_not_divide_the_images_leave_a_rest() -> None:
    x = Variable(normal(1, 1, 5, 5))
    y = F.pooling(x, 2, 2)
    y.backward()
    assert y.shape == (1, 1, 2, 2)
    assert not x.grad.data[0, 0, 4].any() and not x.grad.data[0, 0, :, 4].any()
    assert x.grad.data.sum() == 4


def test_many_elements_in_a_window() -> None:
    """More than an index of one byte can tell apart."""
    x = Variable(np.zeros((1, 1, 20, 20)))
    x.data[0, 0, 19, 18] = 1
    F.pooling(x, 20).backward()
    assert np.argwhere(x.grad.data).tolist() == [[0, 0, 19, 18]]


# -- derivatives ----------------------------------------------------------------------

GEOMETRIES = [(2, 2, 0), (2, 1, 1), ((3, 2), (1, 2), (1, 0)), (1, 2, 0), (3, 3, 1)]
every_function = pytest.mark.parametrize(
    "function", [F.pooling, F.pooling_simple, F.average_pooling]
)


@every_function
@pytest.mark.parametrize("windows", GEOMETRIES)
def test_derivatives(function: Any, windows: Any) -> None:
    x = random.permutation(60).reshape(2, 1, 6, 5) / 10.0  # no two nearly the same
    check_derivatives(lambda x: function(x * x * x, *windows), x)


@every_function
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_types_stay(function: Any, dtype: Any) -> None:
    for stride in (1, 2):
        x = Variable(normal(2, 3, 5, 5, dtype=dtype))
        y = function(x, 2, stride, 1)
        y.backward(create_graph=True)
        gx = x.grad
        assert {y.dtype, gx.dtype} == {np.dtype(dtype)}


@every_function
@pytest.mark.parametrize("stride", [1, 2])
def test_memory_layout_stays_and_makes_no_difference(
    function: Any, stride: int
) -> None:
    x = normal(2, 3, 6, 5)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    a, b = Variable(x), Variable(last)
    for v in (a, b):
        y = function(v, 2, stride, 1)
        (y * y).sum().backward()
    np.testing.assert_array_equal(a.grad.data, b.grad.data)


def test_channels_last_stays_channels_last() -> None:
    x = Variable(normal(2, 6, 6, 3).transpose(0, 3, 1, 2))
    for function in (F.pooling, F.average_pooling):
        x.cleargrad()
        y = function(x, 2, 2)
        y.backward()
        for data in (y.data, x.grad.data):
            assert data.transpose(0, 2, 3, 1).flags.c_contiguous


def test_inputs_are_not_written() -> None:
    x = normal(1, 2, 4, 4)
    x.flags.writeable = False
    for function in (F.pooling, F.pooling_simple, F.average_pooling):
        function(Variable(x), 1).backward()
        function(Variable(x), 2, pad=1).backward()


# -- errors ---------------------------------------------------------------------------

X = np.zeros((2, 3, 4, 4))
ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: F.pooling(X[0], 2),
        ValueError,
        "pooling: expected x of shape (N, C, H, W), got x (3, 4, 4); "
        "write x[np.newaxis] for a batch of one",
    ),
    (
        lambda: F.pooling_simple(X, 5),
        ValueError,
        "pooling_simple: expected a kernel no larger than the padded images (4, 4), "
        "got (5, 5)",
    ),
    (
        lambda: F.average_pooling(X, (3, 7), pad=1),
        ValueError,
        "average_pooling: expected a kernel no larger than the padded images (6, 6), "
        "got (3, 7)",
    ),
    (
        lambda: F.pooling(X, 0),
        ValueError,
        "pooling: expected kernel_size of at least 1, got 0",
    ),
    (
        lambda: F.average_pooling(X, 2, 0),
        ValueError,
        "average_pooling: expected stride of at least 1, got 0",
    ),
    (
        lambda: F.pooling(X, 2, pad=-1),
        ValueError,
        "pooling: expected pad of at least 0, got -1",
    ),
    (
        lambda: F.pooling(X, 2.0),
        TypeError,
        "pooling: expected kernel_size as an integer or two of them, got 2.0",
    ),
    (
        lambda: F.pooling(X, (2, 3), pad=2),
        ValueError,
        "pooling: expected pad smaller than the kernel (2, 3), so that no window lies "
        "outside the images, got (2, 2)",
    ),
]


@pytest.mark.parametrize(
    ("call", "kind", "message"), ERRORS, ids=[message for *_, message in ERRORS]
)
def test_errors(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == message
