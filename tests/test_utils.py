"""The book's ``dezero.utils`` and ``dezero.cuda``."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import dezero
from dezero import backend, cuda, utils

BOOK_NAMES = [
    "get_dot_graph",
    "plot_dot_graph",
    "sum_to",
    "reshape_sum_backward",
    "logsumexp",
    "max_backward_shape",
    "gradient_check",
    "numerical_grad",
    "array_equal",
    "array_allclose",
    "show_progress",
    "cache_dir",
    "get_file",
    "get_deconv_outsize",
    "get_conv_outsize",
    "pair",
]


def test_the_names_of_the_book_are_there() -> None:
    assert sorted(utils.__all__) == sorted(BOOK_NAMES)
    assert all(hasattr(dezero.utils, name) for name in BOOK_NAMES)


# -- arrays ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "to"),
    [
        ((2, 3), (1, 3)),
        ((2, 3), (2, 1)),
        ((2, 3), (1, 1)),
        ((2, 3), (3,)),
        ((2, 3), ()),
        ((2, 3), (2, 3)),
        ((4, 2, 3), (2, 1)),
    ],
)
def test_sum_to_gives_an_array_of_the_shape(
    shape: tuple[int, ...], to: tuple[int, ...]
) -> None:
    x = np.random.rand(*shape)
    y = utils.sum_to(x, to)
    assert isinstance(y, (np.ndarray, np.floating))
    assert y.shape == to
    assert y.sum() == pytest.approx(x.sum())


def test_sum_to_sums_the_axes_of_length_one() -> None:
    x = np.arange(6.0).reshape(2, 3)
    assert utils.sum_to(x, (2, 1)).tolist() == [[3.0], [12.0]]
    assert utils.sum_to(x, (3,)).tolist() == [3.0, 5.0, 7.0]


def test_sum_to_does_not_look_at_lengths_where_axes_are_dropped() -> None:
    assert utils.sum_to(np.ones((10, 20, 20)), (10,)).tolist() == [200.0] * 20


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (-1, 0), [1]])
def test_reshape_sum_backward_fits_the_gradient(
    axis: int | tuple[int, ...] | list[int] | None, keepdims: bool
) -> None:
    x = np.random.rand(2, 3, 4)
    axes = tuple(axis) if isinstance(axis, list) else axis
    y = np.asarray(x.sum(axis=axes, keepdims=keepdims))
    for gy in (y, dezero.Variable(y)):
        fitted = utils.reshape_sum_backward(gy, x.shape, axis, keepdims)
        assert np.broadcast_shapes(fitted.shape, x.shape) == x.shape
        assert fitted.size == gy.size
        if axis is not None:
            assert fitted.ndim == x.ndim


def test_reshape_sum_backward_refuses_an_axis_that_is_not_there() -> None:
    with pytest.raises(ValueError) as caught:
        utils.reshape_sum_backward(np.ones(3), (3, 4), 2, False)
    assert str(caught.value) == (
        "reshape_sum_backward: expected axis from -2 to 1, each once, got 2"
    )


@pytest.mark.parametrize("axis", [0, 1, -1, None, (0, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logsumexp_equals_its_formula(
    axis: int | tuple[int, ...] | None, dtype: type
) -> None:
    x = np.random.randn(4, 3).astype(dtype)
    before = x.copy()
    y = utils.logsumexp(x, axis)
    assert y.dtype == dtype
    expected = np.log(np.exp(x).sum(axis=axis, keepdims=True))
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    np.testing.assert_array_equal(x, before)


def test_logsumexp_of_large_and_infinite_numbers() -> None:
    inf, nan = np.inf, np.nan
    x = np.array(
        [[1e4, 1e4], [-1e4, -1e4], [-inf, -inf], [-inf, 2], [inf, 1e4], [inf, -inf]]
    )
    expected = [1e4 + np.log(2), -1e4 + np.log(2), -inf, 2, inf, inf]
    assert utils.logsumexp(x).ravel().tolist() == expected
    assert np.isnan(utils.logsumexp(np.array([[nan, 1.0]]))).all()


@pytest.mark.parametrize(
    ("axis", "shape"),
    [(None, [1, 1, 1]), (1, [2, 1, 4]), (-1, [2, 3, 1]), ((0, 2), [1, 3, 1])],
)
def test_max_backward_shape(
    axis: int | tuple[int, ...] | None, shape: list[int]
) -> None:
    assert utils.max_backward_shape(np.ones((2, 3, 4)), axis) == shape


def test_sizes_of_convolution() -> None:
    assert utils.get_conv_outsize(28, 3, 1, 1) == 28
    assert utils.get_conv_outsize(4, 3, 2, 0) == 1
    assert utils.get_deconv_outsize(4, 3, 2, 1) == 7
    assert utils.pair(3) == utils.pair((3, 3)) == (3, 3)


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        ((0, 10, 60), f"\r[{'.' * 30}] 0.00%"),
        ((3, 10, 60), f"\r[{'#' * 15}{'.' * 15}] 50.00%"),
        ((7, 10, 60), f"\r[{'#' * 30}] 100.00%"),
        ((7, 10, -1), f"\r[{'.' * 30}] 0.00%"),
    ],
)
def test_show_progress(
    capsys: pytest.CaptureFixture[str], call: tuple[int, int, int], shown: str
) -> None:
    utils.show_progress(*call)
    assert capsys.readouterr().out == shown


# -- cuda --------------------------------------------------------------------------


def test_without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "find_cupy", lambda: None)
    monkeypatch.setattr(cuda, "find_cupy", lambda: None)
    assert cuda.gpu_enable is False
    assert not hasattr(cuda, "cupy")
    with pytest.raises(AttributeError) as caught:
        _ = cuda.cupy
    assert str(caught.value) == (
        "cuda.cupy: expected the library 'cupy, with a GPU it can use', which is not "
        "installed; write: pip install 'dezero[gpu]'"
    )
    with pytest.raises(ImportError):
        cuda.as_cupy(np.ones(3))


def test_with_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = SimpleNamespace(asarray=lambda x: ("on the GPU", x))
    monkeypatch.setattr(backend, "find_cupy", lambda: cupy)
    monkeypatch.setattr(cuda, "find_cupy", lambda: cupy)
    assert cuda.gpu_enable is True
    assert cuda.cupy is cupy
    x = np.ones(3)
    assert cuda.as_cupy(dezero.Variable(x)) == ("on the GPU", x)


def test_arrays_of_numpy() -> None:
    x = np.ones(3)
    for value in (x, dezero.Variable(x)):
        assert cuda.get_array_module(value) is np
        assert cuda.as_numpy(value) is x
    number = cuda.as_numpy(2.0)
    assert isinstance(number, np.ndarray)
    assert number == 2.0


def test_an_unknown_name_of_cuda() -> None:
    with pytest.raises(AttributeError) as caught:
        _ = cuda.gpus
    assert str(caught.value) == "module 'dezero.cuda' has no attribute 'gpus'"
