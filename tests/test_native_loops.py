"""Native products and convolutions against NumPy's: sizes, layouts, types, threads."""

from __future__ import annotations

from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dezero
from dezero import Variable
from dezero.backend.convolution import (
    convolve,
    convolve_transposed,
    correlate,
    get_deconv_outsize,
)
from dezero.compiler import convolution, llvm, loops
from dezero.compiler.tiles import Form, evenly

native = llvm.native()
if native is None:
    pytest.skip("llvmlite is not installed", allow_module_level=True)

settings = hypothesis.settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
sizes = st.integers(1, 40)
pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


@pytest.fixture(params=[8, 32], ids=["AVX2", "AVX-512"])
def registers(request: Any, monkeypatch: Any) -> int:
    """As many as either processor has: the tiles of the one run on the other, too.

    And all that loops can do they do, even where it is not worth it.
    """
    monkeypatch.setattr(native, "registers", request.param)
    monkeypatch.setattr(loops, "FEW_WINDOWS", 0)
    monkeypatch.setattr(loops, "SPARSEST", np.inf)
    return int(request.param)


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    """Shapes, settings, type and layouts."""
    C, O = draw(sizes), draw(sizes)  # noqa: E741
    kernel, stride = draw(pairs), draw(st.tuples(*[st.integers(1, 3)] * 2))
    pad = draw(st.tuples(*[st.integers(0, 4)] * 2))
    H, W = (
        draw(st.integers(max(1, k - 2 * p), 14))
        for k, p in zip(kernel, pad, strict=True)
    )
    return {
        "x": (draw(st.integers(1, 5)), C, H, W),
        "W": (O, C, *kernel),
        "stride": stride,
        "pad": pad,
        "dtype": draw(st.sampled_from(["f4", "f8"])),
        "biased": draw(st.booleans()),
        "last": draw(st.booleans()),
        "more": draw(st.integers(0, 2)),
        "seed": draw(st.integers(0, 9)),
    }


def drawn(rng: Any, shape: tuple[int, ...], dtype: str, last: bool) -> np.ndarray:
    """Numbers from about -2 to 2, in memory with the channels first or last."""
    x = rng.standard_normal(shape).astype(dtype)
    if last:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return x


def check(function: Any, *arrays: Any) -> None:
    """Compiled, it is one native call, and its result is that of NumPy."""
    compiled = dezero.compile(function)
    found = compiled(*arrays)
    assert ", 0 calls of NumPy" in compiled.explain()
    expected = function(*[x.astype("f8") for x in arrays])
    size = max(1, np.abs(expected).max())
    precision = 3e-6 if arrays[0].itemsize == 4 else 1e-14
    assert found.dtype == arrays[0].dtype
    np.testing.assert_allclose(found / size, expected / size, rtol=0, atol=precision)


@settings
@given(c=convolutions())
def test_convolution(registers: int, c: dict[str, Any]) -> None:
    rng = np.random.default_rng(c["seed"])
    x = drawn(rng, c["x"], c["dtype"], c["last"])
    W = drawn(rng, c["W"], c["dtype"], False)
    b = [rng.standard_normal(len(W)).astype(c["dtype"])] if c["biased"] else []
    check(lambda x, W, *b: convolve(x, W, c["stride"], c["pad"], *b), x, W, *b)


@settings
@given(c=convolutions())
def test_its_derivative_by_the_images(registers: int, c: dict[str, Any]) -> None:
    rng = np.random.default_rng(c["seed"])
    gy = drawn(rng, (c["x"][0], c["W"][0], *c["x"][2:]), c["dtype"], c["last"])
    W = drawn(rng, c["W"], c["dtype"], False)
    sizes = zip(gy.shape[2:], W.shape[2:], c["stride"], c["pad"], strict=True)
    least = [get_deconv_outsize(*one) for one in sizes]
    more = [min(c["more"], s - 1) for s in c["stride"]]
    outsize = tuple(n + m for n, m in zip(least, more, strict=True))
    hypothesis.assume(min(outsize) > 0)
    b = [rng.standard_normal(W.shape[1]).astype(c["dtype"])] if c["biased"] else []

    def transposed(gy: Any, W: Any, *b: Any) -> Any:
        return convolve_transposed(gy, W, c["stride"], c["pad"], outsize, *b)

    check(transposed, gy, W, *b)


@settings
@given(c=convolutions(), gy_last=st.booleans())
def test_its_derivative_by_the_weights(
    registers: int, c: dict[str, Any], gy_last: bool
) -> None:
    rng = np.random.default_rng(c["seed"])
    x = drawn(rng, c["x"], c["dtype"], c["last"])
    W = drawn(rng, c["W"], c["dtype"], False)
    shape = convolve(x, W, c["stride"], c["pad"]).shape
    gy = drawn(rng, shape, c["dtype"], gy_last)

    def by_weights(x: Any, gy: Any) -> Any:
        return correlate(x, gy, c["W"][2:], c["stride"], c["pad"])

    check(by_weights, x, gy)


@settings
@given(
    rows=st.integers(1, 20),
    width=st.integers(64, 90),
    dtype=st.sampled_from(["f4", "f8"]),
    turned=st.booleans(),
)
def test_products_by_one_matrix(
    registers: int, rows: int, width: int, dtype: str, turned: bool
) -> None:
    """Each needs the one before; the matrix is packed once, and changed at the end."""
    rng = np.random.default_rng(rows)
    W = Variable(rng.uniform(-0.1, 0.1, (width, width)).astype(dtype))

    def step(h: Any) -> Any:
        for _ in range(loops.REPEATED):
            h = np.tanh(h @ (W.data.T if turned else W.data)) + h
        W.data = W.data * 0.5 + h[0] * 0.01
        return h

    h = rng.standard_normal((rows, width)).astype(dtype)
    compiled = dezero.compile(step)
    before, precision = W.data.copy(), 1e-5 if dtype == "f4" else 1e-13
    for _ in range(2):  # a later call packs what the one before has left
        W.data = before
        expected, after = step(h), W.data
        W.data = before.copy()
        np.testing.assert_allclose(compiled(h), expected, rtol=0, atol=precision)
        np.testing.assert_allclose(W.data, after, rtol=0, atol=precision)
        before = after
    assert compiled.explain().count("packed once") == loops.REPEATED


def test_two_chains_by_one_matrix() -> None:
    """Of other numbers of rows, for which it is packed otherwise."""
    rng = np.random.default_rng(0)
    W = rng.uniform(-0.2, 0.2, (80, 80)).astype("f4")
    a, b = (rng.standard_normal((n, 80)).astype("f4") for n in (3, 37))

    def step(a: Any, b: Any, W: Any) -> Any:
        b = b + 1
        for _ in range(loops.REPEATED):
            a, b = np.tanh(a @ W), np.tanh(b @ W)
        return a, np.exp(b) @ W, b @ W

    compiled = dezero.compile(step)
    for found, expected in zip(compiled(a, b, W), step(a, b, W), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert compiled.explain().count("packed once") == 2 * loops.REPEATED + 2


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_share_the_images(threads: int) -> None:
    """Five large images, in blocks that do not come out even."""
    rng = np.random.default_rng(0)
    x, W = (
        drawn(rng, (5, 9, 33, 31), "f4", True),
        drawn(rng, (35, 9, 3, 3), "f4", False),
    )
    before = native.pool.threads
    native.pool.resize(threads)
    try:
        check(lambda x, W: convolve(x, W, (1, 1), (1, 1)), x, W)
        gy = drawn(rng, (5, 35, 33, 31), "f4", True)
        check(lambda x, gy: correlate(x, gy, (3, 3), (1, 1), (1, 1)), x, gy)
        check(lambda gy, W: convolve_transposed(gy, W, (1, 1), (1, 1), (33, 31)), gy, W)
    finally:
        native.pool.resize(before)


def test_infinity_stays_in_its_windows() -> None:
    """Nothing is multiplied that no window sees: 0 times infinity would be NaN."""
    x = np.zeros((1, 2, 8, 8), np.float32)
    x[0, 0, 0, 0] = np.inf
    W = np.ones((3, 2, 3, 3), np.float32)
    step = dezero.compile(lambda x, W: convolve(x, W, (2, 2), (0, 0)))
    expected = np.zeros((1, 3, 3, 3), np.float32)
    expected[:, :, 0, 0] = np.inf
    np.testing.assert_array_equal(step(x, W), expected)
    step = dezero.compile(
        lambda gy, W: convolve_transposed(gy, W, (3, 3), (0, 0), (24, 24))
    )
    y = step(np.moveaxis(x, 1, 1)[:, :1].repeat(3, 1), W)
    assert np.isinf(y[:, :, :3, :3]).all()
    assert not y[:, :, 3:].any()
    assert not y[:, :, :, 3:].any()


@pytest.mark.parametrize("dtype", ["f2", "i4"])
def test_other_types_stay_with_numpy(dtype: str) -> None:
    x, W = np.ones((1, 2, 4, 4), dtype), np.ones((3, 2, 3, 3), dtype)
    step = dezero.compile(lambda x, W: convolve(x, W, (1, 1), (0, 0)))
    np.testing.assert_array_equal(step(x, W), np.full((1, 3, 2, 2), 18, dtype))
    assert ", 1 calls of NumPy" in step.explain()


def test_mostly_zeros_and_few_windows_stay_with_numpy() -> None:
    """A network that draws begins with one place, from which 49 are made."""
    x, W = np.ones((8, 3, 1, 1), np.float32), np.ones((3, 4, 7, 7), np.float32)
    gy = np.ones((8, 4, 7, 7), np.float32)
    draw = dezero.compile(
        lambda x, W: convolve_transposed(x, W, (1, 1), (0, 0), (7, 7))
    )
    np.testing.assert_array_equal(draw(x, W), 3 * gy)
    assert ", 1 calls of NumPy" in draw.explain()
    by_weights = dezero.compile(lambda gy, x: correlate(gy, x, (7, 7), (1, 1), (0, 0)))
    np.testing.assert_array_equal(by_weights(gy, x), 8 * W)
    assert ", 1 calls of NumPy" in by_weights.explain()


def test_what_numpy_makes_is_copied_to_its_place() -> None:
    """Side by side in one array: loops write there themselves, NumPy's calls do not."""
    rng = np.random.default_rng(0)
    gy, x = rng.standard_normal((8, 4, 7, 7)), rng.standard_normal((8, 3, 1, 1))

    def step(gy: Any, x: Any) -> Any:
        parts = [correlate(g, x, (7, 7), (1, 1), (0, 0)) for g in (gy, gy * 2)]
        return np.concatenate(parts)

    np.testing.assert_allclose(dezero.compile(step)(gy, x), step(gy, x), rtol=1e-12)


def test_no_images() -> None:
    step = dezero.compile(lambda x, W: convolve(x, W, (1, 1), (0, 0)))
    x, W = np.ones((0, 2, 4, 4), np.float32), np.ones((3, 2, 3, 3), np.float32)
    assert step(x, W).shape == (0, 3, 2, 2)


def test_parts_are_even() -> None:
    for total in range(1, 40):
        for most in range(1, 20):
            (n, size), (m, smaller) = evenly(total, most)
            assert n * size + m * smaller == total
            assert smaller == size - 1
            assert max(size if n else 0, smaller if m else 0) <= most


@pytest.mark.parametrize("registers", [8, 32])
@pytest.mark.parametrize("channels", [1, 3, 16, 40, 64])
@pytest.mark.parametrize("size", [1, 4, 7, 28])
def test_tiles_fit_into_the_registers(registers: int, channels: int, size: int) -> None:
    """Sums, the vectors they are multiplied with, and one number."""
    x = (4 * channels * size * size, 4 * channels * size, 4 * channels, 4)
    form = Form(
        "float", channels, channels, (size, size), (3, 3), (1, 1), (1, 1),
        (size, size), x, x,
    )  # fmt: skip
    for loop in (
        convolution.Convolve(form, registers),
        convolution.Correlate(form, registers, (12, 4, 36, 36)),
    ):
        sums = loop.vectors * loop.tall * loop.long
        assert sums + loop.vectors + 1 <= registers
