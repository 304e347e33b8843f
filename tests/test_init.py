"""Initial weights: their variance, whose generator draws them, how layers take them."""

from __future__ import annotations

import copy
import math
from functools import partial
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.layers as L
from dezero import Layer, init
from dezero.models import Sequential

DENSE, FILTERS = (200, 300), (30, 20, 5, 4)
RANDOM = [
    init.normal,
    init.uniform,
    init.truncated_normal,
    init.lecun_normal,
    init.lecun_uniform,
    init.xavier_normal,
    init.xavier_uniform,
    init.he_normal,
    init.he_uniform,
    init.orthogonal,
]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    np.random.seed(0)


@pytest.mark.parametrize(
    ("draw", "dense", "filters"),
    [
        (init.lecun_normal, 1 / 200, 1 / 400),
        (init.lecun_uniform, 1 / 200, 1 / 400),
        (init.xavier_normal, 2 / 500, 2 / 1000),
        (init.xavier_uniform, 2 / 500, 2 / 1000),
        (partial(init.xavier_uniform, gain=3), 18 / 500, 18 / 1000),
        (init.he_normal, 2 / 200, 2 / 400),
        (init.he_uniform, 2 / 200, 2 / 400),
        (partial(init.he_normal, slope=1), 1 / 200, 1 / 400),
        (init.orthogonal, 1 / 300, 1 / 400),
    ],
)
def test_variance(draw: Any, dense: float, filters: float) -> None:
    for shape, variance in ((DENSE, dense), (FILTERS, filters)):
        W = draw(shape, np.float64)
        assert W.shape == shape
        assert abs(W.mean()) < 4 * math.sqrt(variance / W.size)
        assert W.var() == pytest.approx(variance, rel=0.04)


@pytest.mark.parametrize("draw", RANDOM)
def test_type_and_generator(draw: Any) -> None:
    W = draw((4, 3))
    assert W.dtype == np.float32
    assert draw((4, 3), np.float64).dtype == np.float64
    np.random.seed(0)
    np.testing.assert_array_equal(draw((4, 3)), W)
    state = np.random.get_state()[1].copy()
    dezero.random.seed(0)
    try:
        np.testing.assert_array_equal(draw((4, 3)), W)
    finally:
        dezero.random.seed(None)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_bounds() -> None:
    x = init.uniform((10_000,), low=-2, high=5)
    assert -2 <= x.min() < -1.99 and 4.99 < x.max() <= 5
    x = init.truncated_normal((20_000,), std=0.5, low=-1, high=3)
    assert -0.5 <= x.min() < -0.49 and 1.2 < x.max() <= 1.5
    x = init.truncated_normal((200_000,), np.float64)
    assert x.std() == pytest.approx(0.8796, rel=0.01)
    assert init.normal((100_000,), mean=3, std=2).std() == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (2, 3, 2, 2)])
def test_orthogonal(shape: Any) -> None:
    W = init.orthogonal(shape, np.float64, gain=2).reshape(shape[0], -1)
    small = W @ W.T if W.shape[0] <= W.shape[1] else W.T @ W
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-12)


def test_every_rotation_is_as_likely() -> None:
    signs = [init.orthogonal((2, 2), np.float64)[0] > 0 for _ in range(400)]
    assert abs(np.mean(signs) - 0.5) < 0.1


def test_constants() -> None:
    assert init.zeros((2,)).tolist() == [0, 0]
    assert init.ones((2,), np.float64).tolist() == [1, 1]
    assert init.constant((2,), value=0.5).tolist() == [0.5, 0.5]


# -- in layers ----------------------------------------------------------------------


def test_lecun_normal_is_what_layers_start_with() -> None:
    drawn: list[tuple[Any, Any]] = [
        (L.Linear(4, in_size=3), (3, 4)),
        (L.Conv2d(4, 3, in_channels=2), (4, 2, 3, 3)),
        (L.Conv1d(4, 3, in_channels=2), (4, 2, 3)),
    ]
    np.random.seed(0)
    for layer, shape in drawn:
        np.testing.assert_array_equal(layer.W.data, init.lecun_normal(shape))


def test_deconv2d_starts_as_in_the_book() -> None:
    layer = L.Deconv2d(4, (3, 2), in_channels=5)
    np.random.seed(0)
    W = np.random.randn(5, 4, 3, 2).astype(np.float32) * math.sqrt(1 / 30)
    np.testing.assert_array_equal(layer.W.data, W)


def test_the_generator_of_dezero_draws_weights() -> None:
    weights = []
    for _ in range(2):
        dezero.random.seed(3)
        weights.append(L.Linear(4, in_size=3).W.data)
    dezero.random.seed(None)
    np.testing.assert_array_equal(*weights)


@pytest.mark.parametrize(
    ("make", "x", "shape", "swapped"),
    [
        (partial(L.Linear, 4), np.ones((2, 3)), (3, 4), False),
        (partial(L.Conv2d, 4, 3), np.ones((2, 5, 6, 6)), (4, 5, 3, 3), False),
        (partial(L.Conv1d, 4, 3), np.ones((2, 5, 6)), (4, 5, 3), False),
        (partial(L.Deconv2d, 4, 3), np.ones((2, 5, 6, 6)), (4, 5, 3, 3), True),
        (partial(L.Embedding, 7, 4), np.array([1, 2]), (7, 4), False),
    ],
)
def test_layers_take_an_initializer(
    make: Any, x: np.ndarray, shape: Any, swapped: bool
) -> None:
    asked = []

    def first(shape: Any, dtype: Any) -> np.ndarray:
        asked.append((shape, dtype))
        return np.arange(math.prod(shape), dtype=np.float64).reshape(shape)

    layer = make(dtype=np.float16, init=first)
    layer(x)
    assert asked == [(shape, np.float16)]
    W = first(shape, None).astype(np.float16)
    found = layer.W.data
    assert found.flags.c_contiguous and found.dtype == np.float16
    np.testing.assert_array_equal(found.swapaxes(0, 1) if swapped else found, W)
    copy.deepcopy(layer)(x)


def test_a_layer_that_is_shaped_in_a_compiled_step() -> None:
    model = Sequential(
        L.Linear(5, init=init.truncated_normal), L.Linear(4, init=init.orthogonal)
    )
    twin = copy.deepcopy(model)
    x = np.ones((2, 3), np.float32)
    step = dezero.compile(lambda x: model(x))
    for _ in range(2):
        np.random.seed(1)
        found = step(x)
    np.random.seed(1)
    np.testing.assert_allclose(found.data, twin(x).data, rtol=1e-6)
    for p, q in zip(model.params(), twin.params(), strict=True):
        np.testing.assert_array_equal(p.data, q.data)


# -- Conv1d ---------------------------------------------------------------------------


def test_conv1d_layer() -> None:
    layer = L.Conv1d(4, 3, stride=2, pad=1)
    x = np.random.randn(2, 5, 9).astype(np.float32)
    y = layer(x)
    assert y.shape == (2, 4, 5) and y.dtype == np.float32
    assert layer.W.shape == (4, 5, 3) and layer.in_channels == 5
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1)))
    wanted = np.einsum("nck,ock->no", padded[:, :, 2:5], layer.W.data)
    np.testing.assert_allclose(y.data[:, :, 1], wanted, rtol=1e-5, atol=1e-6)


# -- errors ---------------------------------------------------------------------------


def message(error: type[Exception], f: Any, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(error) as caught:
        f(*args, **kwargs)
    return str(caught.value)


def test_errors() -> None:
    assert message(ValueError, init.he_normal, (3,)) == (
        "he_normal: expected a shape (in, out) or (out, in, ...) of elements, got (3,)"
    )
    assert message(ValueError, init.orthogonal, (3, 0)) == (
        "orthogonal: expected a shape (in, out) or (out, in, ...) of elements, got "
        "(3, 0)"
    )
    assert message(ValueError, init.truncated_normal, (3,), low=1) == (
        "truncated_normal: expected low below 0 and high above, got 1 and 2.0"
    )
    for layer, args in ((L.Linear, (3,)), (L.Conv1d, (3, 3)), (L.EmbedID, (3, 3))):
        name = layer.__name__
        assert message(TypeError, layer, *args, init="he_normal") == (
            f"{name}: expected a function as init, such as dezero.init.he_normal, got "
            "'he_normal'"
        )


def test_an_initializer_of_a_wrong_shape_leaves_no_weights() -> None:
    def scalar(shape: Any, dtype: Any) -> Any:
        return 0.5

    layer: Layer = L.Linear(3, init=scalar)
    assert message(ValueError, layer, np.ones((2, 4))) == (
        "scalar: expected an array of shape (4, 3), got ()"
    )
    assert next(layer.params()).data is None


@pytest.mark.parametrize(
    ("args", "kwargs", "wanted"),
    [
        (
            (np.ones((2, 3, 5)), np.ones((4, 3, 6))),
            {},
            "conv1d: expected windows of W (4, 3, 6) that fit into x (2, 3, 5), got "
            "stride 1 and pad 0",
        ),
        (
            (np.ones((2, 3, 5)), np.ones((4, 3, 2)), np.ones(3)),
            {},
            "conv1d: expected b of shape (4,) to match W (4, 3, 2), got b (3,)",
        ),
        (
            (np.ones((2, 3, 5)), np.ones((4, 2, 2))),
            {},
            "conv1d: expected x of shape (N, C, L) and W of shape (O, C, K), got x "
            "(2, 3, 5) and W (4, 2, 2)",
        ),
        (
            (np.ones((2, 3, 5)), np.ones((4, 3, 2))),
            {"stride": 0},
            "conv1d: expected windows of W (4, 3, 2) that fit into x (2, 3, 5), got "
            "stride 0 and pad 0",
        ),
    ],
)
def test_errors_of_conv1d(args: Any, kwargs: Any, wanted: str) -> None:
    assert message(ValueError, dezero.functions.conv1d, *args, **kwargs) == wanted


def test_strides_of_conv1d_are_integers() -> None:
    x, W = np.ones((2, 3, 5)), np.ones((4, 3, 2))
    assert message(TypeError, dezero.functions.conv1d, x, W, stride=(1, 1)) == (
        "conv1d: expected integers as stride and pad, got (1, 1) and 0"
    )
    assert message(ValueError, L.Conv1d(2, 3), np.ones((1, 2, 3, 4))) == (
        "Conv1d: expected x of shape (N, C, L), got x (1, 2, 3, 4)"
    )
