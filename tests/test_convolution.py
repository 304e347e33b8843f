"""Convolution, its transpose, im2col: values, derivatives, types, layouts, errors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dezero.functions as F
from dezero import Variable
from dezero.backend import convolution as arrays
from dezero.backend import threads
from dezero.functions.convolution import Conv2d, Conv2DGradW, Deconv2d
from dezero.gradcheck import check_derivatives

Pair = tuple[int, int]
Geometry = tuple[tuple[int, ...], tuple[int, ...], Pair, Pair]

random = np.random.default_rng(0)
settings = hypothesis.settings(
    max_examples=25, deadline=None, derandomize=True, database=None
)


def normal(*shape: int, dtype: Any = np.float64) -> np.ndarray:
    return random.normal(size=shape).astype(dtype)


def convolved(x: np.ndarray, W: np.ndarray, stride: Pair, pad: Pair) -> np.ndarray:
    """The definition, one loop per letter."""
    (N, C, H, width), (O, _, KH, KW) = x.shape, W.shape  # noqa: E741
    OH = (H + 2 * pad[0] - KH) // stride[0] + 1
    OW = (width + 2 * pad[1] - KW) // stride[1] + 1
    y = np.zeros((N, O, OH, OW))
    for n, o, i, j, c, h, w in np.ndindex(N, O, OH, OW, C, KH, KW):
        row, column = i * stride[0] + h - pad[0], j * stride[1] + w - pad[1]
        if 0 <= row < H and 0 <= column < width:
            y[n, o, i, j] += W[o, c, h, w] * x[n, c, row, column]
    return y


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Shapes of x and W, stride and pad; pads may be wider than the kernel."""
    N, C, O, KH, KW, SH, SW = (draw(st.integers(1, 3)) for _ in range(7))  # noqa: E741
    PH, PW = draw(st.integers(0, 3)), draw(st.integers(0, 3))
    H = draw(st.integers(max(1, KH - 2 * PH), 5))
    W = draw(st.integers(max(1, KW - 2 * PW), 5))
    return (N, C, H, W), (O, C, KH, KW), (SH, SW), (PH, PW)


@contextlib.contextmanager
def small_blocks() -> Iterator[None]:
    """Blocks so small that each image takes several, dealt out to three threads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "BLOCK_BYTES", 1)
        patch.setattr(arrays, "BLOCK_WINDOWS", 4)
        patch.setattr(threads, "_blas_switches", lambda: (lambda: 3, lambda n: None))
        yield


in_blocks = pytest.mark.parametrize(
    "cut", [contextlib.nullcontext, small_blocks], ids=["large", "small"]
)


# -- values ---------------------------------------------------------------------------


@in_blocks
@settings
@given(geometries())
def test_conv2d_is_its_definition(cut: Any, geometry: Geometry) -> None:
    x_shape, W_shape, stride, pad = geometry
    x, W, b = normal(*x_shape), normal(*W_shape), normal(W_shape[0])
    expected = convolved(x, W, stride, pad)
    with cut():
        y = F.conv2d(x, W, None, stride, pad)
        biased = F.conv2d(x, W, b, stride, pad)
    np.testing.assert_allclose(y.data, expected, atol=1e-12)
    np.testing.assert_allclose(biased.data, expected + b[:, None, None], atol=1e-12)


@in_blocks
@settings
@given(geometries())
def test_gradients_are_transposes(cut: Any, geometry: Geometry) -> None:
    """By elements: W and x are linear, so unit arrays give each gradient's elements."""
    x_shape, W_shape, stride, pad = geometry
    x, W = Variable(normal(*x_shape)), Variable(normal(*W_shape))
    with cut():
        y = F.conv2d(x, W, None, stride, pad)
        y.grad = Variable(normal(*y.shape))
        g = y.grad.data
        y.backward()
        spread = Deconv2d(stride, pad, x_shape[2:])(g, W)
    gx, gW = np.zeros(x_shape), np.zeros(W_shape)
    for place in np.ndindex(*x_shape):
        unit = np.zeros(x_shape)
        unit[place] = 1
        gx[place] = (convolved(unit, W.data, stride, pad) * g).sum()
    for place in np.ndindex(*W_shape):
        unit = np.zeros(W_shape)
        unit[place] = 1
        gW[place] = (convolved(x.data, unit, stride, pad) * g).sum()
    np.testing.assert_allclose(x.grad.data, gx, atol=1e-12)
    np.testing.assert_allclose(W.grad.data, gW, atol=1e-12)
    np.testing.assert_allclose(spread.data, gx, atol=1e-12)


@settings
@given(geometries(), st.booleans())
def test_conv2d_simple_is_the_product_with_im2col(
    geometry: Geometry, biased: bool
) -> None:
    x_shape, W_shape, stride, pad = geometry
    x, W = (normal(*shape, dtype=np.float32) for shape in (x_shape, W_shape))
    b = normal(W_shape[0], dtype=np.float32) if biased else None
    y = F.conv2d_simple(x, W, b, stride, pad)
    col = F.im2col_array(x, W_shape[2:], stride, pad)
    product = col @ W.reshape(len(W), -1).T
    if b is not None:
        product += b
    N, O, OH, OW = y.shape  # noqa: E741
    expected = product.reshape(N, OH, OW, O).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(y.data, expected)
    np.testing.assert_allclose(
        y.data,
        convolved(x, W, stride, pad) + (0 if b is None else b[:, None, None]),
        rtol=1e-4,
        atol=1e-4,
    )


@settings
@given(geometries())
def test_im2col_and_col2im_element_by_element(geometry: Geometry) -> None:
    (N, C, H, W), (*_, KH, KW), (SH, SW), (PH, PW) = geometry
    x = normal(N, C, H, W)
    windows = (KH, KW), (SH, SW), (PH, PW)
    col = F.im2col(x, *windows, to_matrix=False).data
    OH, OW = col.shape[4:]
    back = np.zeros_like(x)
    for n, c, h, w, i, j in np.ndindex(*col.shape):
        row, column = i * SH + h - PH, j * SW + w - PW
        inside = 0 <= row < H and 0 <= column < W
        assert col[n, c, h, w, i, j] == (x[n, c, row, column] if inside else 0)
        if inside:
            back[n, c, row, column] += col[n, c, h, w, i, j]
    matrix = F.im2col(x, *windows).data
    rows = col.transpose(0, 4, 5, 1, 2, 3).reshape(N * OH * OW, C * KH * KW)
    np.testing.assert_array_equal(matrix, rows)
    for result in (
        F.col2im(col, x.shape, *windows, to_matrix=False),
        F.col2im(matrix, x.shape, *windows),
    ):
        np.testing.assert_allclose(result.data, back, atol=1e-12)


def test_no_images() -> None:
    x, W = Variable(np.zeros((0, 2, 5, 5))), Variable(normal(3, 2, 3, 3))
    y = F.conv2d(x, W, stride=2)
    y.backward()
    assert y.shape == (0, 3, 2, 2)
    assert x.grad.shape == x.shape
    np.testing.assert_array_equal(W.grad.data, np.zeros(W.shape))


def test_what_the_windows_do_not_reach_has_no_gradient() -> None:
    x = Variable(normal(1, 1, 6, 6))
    F.conv2d(x, np.ones((1, 1, 2, 2)), stride=4).backward()
    expected = np.zeros((6, 6))
    expected[np.ix_([0, 1, 4, 5], [0, 1, 4, 5])] = 1
    np.testing.assert_array_equal(x.grad.data[0, 0], expected)


def test_infinity_stays_in_its_windows() -> None:
    x = np.zeros((1, 1, 5, 5))
    x[0, 0, 0, 4] = np.inf
    y = F.conv2d(x, np.ones((1, 1, 2, 2))).data
    expected = np.zeros((1, 1, 4, 4))
    expected[0, 0, 0, 3] = np.inf
    np.testing.assert_array_equal(y, expected)


# -- derivatives ----------------------------------------------------------------------

GEOMETRIES = [
    ((1, 1), 1, 0),
    ((1, 1), 2, 0),
    ((3, 3), 1, 1),
    ((2, 3), 1, (2, 3)),
    ((3, 2), (2, 3), (1, 0)),
]


@pytest.mark.parametrize(("kernel_size", "stride", "pad"), GEOMETRIES)
def test_derivatives_of_conv2d(kernel_size: Pair, stride: Any, pad: Any) -> None:
    xs = normal(2, 2, 5, 5), normal(3, 2, *kernel_size), normal(3)
    check_derivatives(lambda *xs: F.conv2d(*xs, stride, pad), *xs)
    check_derivatives(lambda *xs: F.conv2d(*xs, None, stride, pad), *xs[:2])


@pytest.mark.parametrize(("kernel_size", "stride", "pad"), GEOMETRIES)
def test_derivatives_of_deconv2d(kernel_size: Pair, stride: Any, pad: Any) -> None:
    xs = normal(2, 2, 5, 5), normal(2, 3, *kernel_size), normal(3)
    check_derivatives(lambda *xs: F.deconv2d(*xs, stride, pad), *xs)


@pytest.mark.parametrize(("kernel_size", "stride", "pad"), GEOMETRIES)
def test_derivatives_of_the_weight_gradient(
    kernel_size: Pair, stride: Any, pad: Any
) -> None:
    x, W = normal(2, 2, 5, 5), normal(3, 2, *kernel_size)
    gy = normal(*F.conv2d(x, W, None, stride, pad).shape)
    check_derivatives(Conv2DGradW(kernel_size, stride, pad), x, gy)


def test_no_gradient_is_computed_for_constants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*args: Any) -> Any:
        raise AssertionError("computed in vain")

    x, W = normal(1, 2, 4, 4), normal(3, 2, 3, 3)
    with monkeypatch.context() as patch:
        patch.setattr(Deconv2d, "forward", refuse)
        F.conv2d(x, Variable(W)).backward()
    with monkeypatch.context() as patch:
        patch.setattr(Conv2DGradW, "forward", refuse)
        F.conv2d(Variable(x), W).backward()
        F.deconv2d(Variable(x), normal(2, 3, 3, 3)).backward()
    with monkeypatch.context() as patch:
        patch.setattr(Conv2d, "forward", refuse)
        F.deconv2d(x, Variable(normal(2, 3, 3, 3))).backward()


# -- types and memory -----------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_types_stay(dtype: Any) -> None:
    shapes = (2, 3, 6, 6), (3, 3, 2, 2), (3,)
    for function in (F.conv2d, F.conv2d_simple, F.deconv2d):
        for stride in (1, 2):
            x, W, b = (Variable(normal(*shape, dtype=dtype)) for shape in shapes)
            y = function(x, W, b, stride, 1)
            y.backward(create_graph=True)
            gW = W.grad
            W.cleargrad()
            (gW * gW).sum().backward()
            found = {a.dtype for a in (y, x.grad, gW, b.grad)}
            assert found == {np.dtype(dtype)}


def test_integers_and_mixed_types() -> None:
    x, W = np.arange(16).reshape(1, 1, 4, 4), np.ones((1, 1, 3, 3), int)
    y = F.conv2d(x, W)
    np.testing.assert_array_equal(y.data, [[[[45, 54], [81, 90]]]])
    assert y.dtype == int
    assert F.conv2d(x, W, np.array([0.5])).data[0, 0, 0, 0] == 45.5
    assert F.conv2d(x.astype(np.float32), W.astype(float)).dtype == np.float64


@pytest.mark.parametrize("stride", [1, 2])
def test_memory_layout_makes_no_difference(stride: int) -> None:
    x, W = normal(2, 3, 5, 6), normal(4, 3, 3, 3)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    backwards = np.ascontiguousarray(x[:, :, ::-1, ::-1])[:, :, ::-1, ::-1]
    results = []
    for data in (x, last, backwards):
        x_, W_ = Variable(data), Variable(W)
        y = F.conv2d(x_, W_, stride=stride, pad=1)
        (y * y).sum().backward()
        results.append((y.data, x_.grad.data, W_.grad.data))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_inputs_are_not_written() -> None:
    x, W, b = normal(2, 3, 5, 5), normal(4, 3, 3, 3), normal(4)
    frozen = [x, W, b]
    for a in frozen:
        a.flags.writeable = False
    xs = [Variable(a) for a in frozen]
    F.conv2d(*xs, pad=1).backward()
    F.deconv2d(xs[0], normal(3, 2, 3, 3), stride=2).backward()


def test_gradient_of_weights_is_laid_out_as_the_weights_are() -> None:
    W = Variable(normal(4, 3, 3, 2))
    F.conv2d(normal(2, 3, 5, 5), W).backward()
    assert W.grad.data.strides == W.data.strides


# -- errors ---------------------------------------------------------------------------

X, W5 = np.zeros((10, 4, 28, 28)), np.zeros((8, 3, 5, 5))
X3, W3 = np.zeros((2, 3, 4, 4)), np.zeros((8, 3, 3, 3))
UP = np.zeros((3, 8, 3, 3))

ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (
        lambda: F.conv2d(X, W5),
        ValueError,
        "conv2d: expected x with 3 channels to match W (8, 3, 5, 5), "
        "got x (10, 4, 28, 28)",
    ),
    (
        lambda: F.conv2d_simple(X, W5),
        ValueError,
        "conv2d_simple: expected x with 3 channels to match W (8, 3, 5, 5), "
        "got x (10, 4, 28, 28)",
    ),
    (
        lambda: F.deconv2d(X, W5),
        ValueError,
        "deconv2d: expected x with 8 channels to match W (8, 3, 5, 5), "
        "got x (10, 4, 28, 28)",
    ),
    (
        lambda: F.conv2d(X3[0], W3),
        ValueError,
        "conv2d: expected x of shape (N, C, H, W), got x (3, 4, 4); "
        "write x[np.newaxis] for a batch of one",
    ),
    (
        lambda: F.conv2d(X3[0, 0], W3),
        ValueError,
        "conv2d: expected x of shape (N, C, H, W), got x (4, 4)",
    ),
    (
        lambda: F.conv2d(X3, W3[0]),
        ValueError,
        "conv2d: expected W of shape (out, in, KH, KW), got W (3, 3, 3)",
    ),
    (
        lambda: F.deconv2d(X3, UP[0]),
        ValueError,
        "deconv2d: expected W of shape (in, out, KH, KW), got W (8, 3, 3)",
    ),
    (
        lambda: F.conv2d(X3, np.zeros((8, 3, 5, 3))),
        ValueError,
        "conv2d: expected a kernel no larger than the padded images (4, 4), got (5, 3)",
    ),
    (
        lambda: F.conv2d(X3, np.zeros((8, 3, 0, 3))),
        ValueError,
        "conv2d: expected kernel_size of at least 1, got (0, 3)",
    ),
    (
        lambda: F.conv2d(X3, W3, np.zeros(3)),
        ValueError,
        "conv2d: expected b of shape (8,) to match W (8, 3, 3, 3), got b (3,)",
    ),
    (
        lambda: F.deconv2d(X3, UP, np.zeros(3)),
        ValueError,
        "deconv2d: expected b of shape (8,) to match W (3, 8, 3, 3), got b (3,)",
    ),
    (
        lambda: F.conv2d(X3, W3, stride=0),
        ValueError,
        "conv2d: expected stride of at least 1, got 0",
    ),
    (
        lambda: F.deconv2d(X3, UP, stride=(1, 0)),
        ValueError,
        "deconv2d: expected stride of at least 1, got (1, 0)",
    ),
    (
        lambda: F.conv2d(X3, W3, pad=-1),
        ValueError,
        "conv2d: expected pad of at least 0, got -1",
    ),
    (
        lambda: F.conv2d(X3, W3, stride=1.5),
        TypeError,
        "conv2d: expected stride as an integer or two of them, got 1.5",
    ),
    (
        lambda: F.conv2d(X3, W3, pad=(1, 1, 1)),
        TypeError,
        "conv2d: expected pad as an integer or two of them, got (1, 1, 1)",
    ),
    (
        lambda: F.conv2d(X3, W3, pad=(0.5, 1)),
        TypeError,
        "conv2d: expected pad as an integer or two of them, got (0.5, 1)",
    ),
    (
        lambda: F.deconv2d(X3, UP, stride=2, outsize=(9, 11)),
        ValueError,
        "deconv2d: expected outsize from (9, 9) to (10, 10), which conv2d takes back "
        "to x (2, 3, 4, 4), got (9, 11)",
    ),
    (
        lambda: F.deconv2d(X3, UP, outsize="9"),
        TypeError,
        "deconv2d: expected outsize as an integer or two of them, got '9'",
    ),
    (
        lambda: F.deconv2d(X3, UP, pad=3),
        ValueError,
        "deconv2d: expected pad to leave some of the result of x (2, 3, 4, 4) and W "
        "(3, 8, 3, 3), got pad (3, 3), which leaves (0, 0)",
    ),
    (
        lambda: F.im2col(X3, 5),
        ValueError,
        "im2col: expected a kernel no larger than the padded images (4, 4), got (5, 5)",
    ),
    (
        lambda: F.im2col(X3[0], 2),
        ValueError,
        "im2col: expected x of shape (N, C, H, W), got x (3, 4, 4); "
        "write x[np.newaxis] for a batch of one",
    ),
    (
        lambda: F.col2im(np.zeros((4, 9)), (1, 1, 3, 3), 2),
        ValueError,
        "col2im: expected x of shape (4, 4) for images (1, 1, 3, 3), got (4, 9)",
    ),
    (
        lambda: F.col2im(np.zeros((4, 9)), (1, 1, 3, 3), 2, to_matrix=False),
        ValueError,
        "col2im: expected x of shape (1, 1, 2, 2, 2, 2) for images (1, 1, 3, 3), "
        "got (4, 9)",
    ),
    (
        lambda: F.col2im(np.zeros((4, 9)), (3, 3), 2),
        ValueError,
        "col2im: expected input_shape as (N, C, H, W), got (3, 3)",
    ),
    (
        lambda: arrays.pair("33"),
        TypeError,
        "pair: expected an integer or two of them, got '33'",
    ),
]


@pytest.mark.parametrize(
    ("call", "kind", "message"), ERRORS, ids=[message for *_, message in ERRORS]
)
def test_errors(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as error:
        call()
    assert str(error.value) == message


# -- sizes ----------------------------------------------------------------------------


def test_sizes() -> None:
    assert arrays.pair(3) == arrays.pair((3, 3)) == arrays.pair(np.int64(3)) == (3, 3)
    assert arrays.pair([1, 2]) == (1, 2)
    for size, k, s, p in np.ndindex(6, 4, 3, 3):
        covered = arrays.get_deconv_outsize(size + 1, k + 1, s + 1, p)
        assert arrays.get_conv_outsize(covered, k + 1, s + 1, p) == size + 1
        assert arrays.get_conv_outsize(covered - 1, k + 1, s + 1, p) == size


@settings
@given(st.integers(0, 40), st.integers(1, 9), st.integers(1, 9), st.integers(1, 4000))
def test_blocks_cover_every_window_once(
    images: int, OH: int, OW: int, bytes_per_window: int
) -> None:
    seen = np.zeros((images, OH), int)
    for block in arrays.blocks_of(images, (OH, OW), bytes_per_window):
        assert seen[block].size
        seen[block] += 1
    np.testing.assert_array_equal(seen, 1)
