"""Models: what they are made of, what they give, and what the files call it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero.backend import download
from dezero.backend.files import save_arrays
from dezero.models import (
    MLP,
    VGG16,
    Model,
    ResNet,
    ResNet50,
    ResNet101,
    ResNet152,
    Sequential,
    SqueezeNet,
)
from dezero.models.parts import halve
from dezero.models.resnet import BuildingBlock


def run(model: Any, *shape: int) -> Any:
    with dezero.test_mode(), dezero.no_grad():
        return model(np.random.randn(*shape).astype(np.float32))


def names_in(model: Any) -> list[str]:
    return list(model.named_params())


# -- Model, Sequential, MLP ---------------------------------------------------------


def test_a_bare_model_takes_layers_by_attribute() -> None:
    model = Model()
    model.l1 = L.Linear(5)
    model.l2 = L.Linear(3)
    x = np.ones((2, 4), np.float32)
    F.sum(model.l2(F.sigmoid(model.l1(x)))).backward()
    assert [p.shape for p in model.params()] == [(4, 5), (5,), (5, 3), (3,)]
    assert all(p.grad is not None for p in model.params())
    model.cleargrads()
    assert all(p.grad is None for p in model.params())


def test_a_model_may_override_call() -> None:
    class Doubled(Model):
        def __init__(self) -> None:
            super().__init__()
            self.fc = L.Linear(1)

        def __call__(self, x: Any) -> Any:
            return self.fc(x) * 2

    assert Doubled()(np.ones((3, 2))).shape == (3, 1)


def test_sequential_takes_layers_and_functions() -> None:
    model = Sequential(L.Linear(3), F.relu, lambda x: x * 2)
    x = np.random.randn(4, 2).astype(np.float32)
    y = model(x)
    wanted = 2 * np.maximum(x @ model.l0.W.data, 0)
    np.testing.assert_allclose(y.data, wanted, rtol=1e-6)
    assert isinstance(model.layers, list)
    assert names_in(model) == ["l0/W", "l0/b"]


@pytest.mark.parametrize("by", ["attribute", "index"])
def test_a_layer_replaced_is_used_and_updated(by: str) -> None:
    model = Sequential(L.Linear(3), F.relu, L.Linear(2))
    x = np.ones((4, 2), np.float32)
    model(x)
    new = L.Linear(5)
    if by == "attribute":
        model.l2 = new
    else:
        model.layers[2] = new
    assert model.l2 is new and model.layers[2] is new
    assert model(x).shape == (4, 5)
    assert list(model.params())[2] is new.W
    assert names_in(model) == ["l0/W", "l0/b", "l2/W", "l2/b"]


def test_layers_appended() -> None:
    model = Sequential(L.Linear(3))
    model.layers.append(L.Linear(2))
    model.extra = L.Linear(1, in_size=1)
    assert model(np.ones((4, 2))).shape == (4, 2)
    assert names_in(model) == [
        "l0/W",
        "l0/b",
        "l1/W",
        "l1/b",
        "extra/W",
        "extra/b",
    ]


def test_a_number_beyond_the_layers_is_an_attribute() -> None:
    model = Sequential(F.relu)
    with pytest.raises(AttributeError) as caught:
        _ = model.l1
    assert str(caught.value) == (
        "Sequential: expected the name of an attribute, got 'l1'"
    )
    model.l1 = L.Linear(2, in_size=1)
    assert len(model.layers) == 1 and names_in(model) == ["l1/W", "l1/b"]


def test_mlp() -> None:
    model = MLP((4, 3, 2), activation=F.tanh)
    x = np.random.randn(5, 6).astype(np.float32)
    h = F.tanh(model.l1(F.tanh(model.l0(x))))
    np.testing.assert_array_equal(model(x).data, model.l2(h).data)
    assert model(x).shape == (5, 2)
    assert MLP((1,)).activation is F.sigmoid
    assert len(model.layers) == 3


def test_seeded_mlp_is_that_of_the_book() -> None:
    np.random.seed(3)
    model = MLP((4, 2))
    x = np.ones((1, 3), np.float32)
    y = model(x)
    np.random.seed(3)
    W0 = np.random.randn(3, 4).astype("f") * np.float32(np.sqrt(1 / 3))
    W1 = np.random.randn(4, 2).astype("f") * np.float32(np.sqrt(1 / 4))
    wanted = 1 / (1 + np.exp(-(x @ W0))) @ W1
    np.testing.assert_allclose(y.data, wanted, rtol=1e-6)


# -- networks for images ------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Sequential([L.Linear(2)]),
            "Sequential: expected layers, each an argument, got list",
        ),
        (
            lambda: Sequential(L.Linear(2), L.LSTM),
            "Sequential: expected layers, each an argument, got the class LSTM; "
            "write LSTM(...)",
        ),
        (
            lambda: MLP(10),
            "MLP: expected the sizes of its layers, such as (100, 10), got 10",
        ),
        (
            lambda: MLP((3, 2), activation="relu"),
            "MLP: expected a function as activation, got str",
        ),
        (
            lambda: MLP((3, 2), F.ReLU),
            "MLP: expected a function as activation, got the class ReLU; write "
            "ReLU(...)",
        ),
    ],
)
def test_what_is_no_model(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        make()


def test_halve_takes_every_pixel() -> None:
    for size, half in [(112, 56), (55, 27), (7, 3), (6, 3)]:
        x = np.random.randn(1, 1, size, size)
        y = halve(dezero.Variable(x)).data[0, 0]
        assert y.shape == (half, half)
        for i in (0, half // 2, half - 1):
            window = x[0, 0, 2 * i : 2 * i + 3, 2 * i : 2 * i + 3]
            assert y[i, i] == window.max()


def test_vgg16_has_the_parameters_of_the_published_file() -> None:
    model = VGG16()
    convolutions = [
        f"conv{i}_{j}"
        for i, n in enumerate((2, 2, 3, 3, 3), 1)
        for j in range(1, n + 1)
    ]
    layers = [*convolutions, "fc6", "fc7", "fc8"]
    assert names_in(model) == [f"{n}/{p}" for n in layers for p in "Wb"]
    assert model.conv4_2.out_channels == 512


def test_vgg16_on_small_images() -> None:
    model = VGG16()
    model.fc6, model.fc7 = L.Linear(8), L.Linear(8)
    y = run(model, 1, 3, 64, 64)
    assert y.shape == (1, 1000) and y.dtype == np.float32
    assert model.fc6.in_size == 512 * 2 * 2


def test_vgg16_preprocess() -> None:
    image = pytest.importorskip("PIL.Image")
    picture = image.new("RGB", (300, 200), (10, 20, 30))
    x = VGG16.preprocess(picture)
    assert x.shape == (3, 224, 224) and x.dtype == np.float32
    np.testing.assert_allclose(
        x[:, 0, 0], [30 - 103.939, 20 - 116.779, 10 - 123.68], rtol=1e-6
    )
    assert VGG16.preprocess(picture, size=None).shape == (3, 200, 300)
    assert VGG16.preprocess(picture, size=(32, 16)).shape == (3, 16, 32)
    assert VGG16.preprocess(image.new("L", (5, 5)), dtype=np.float64).dtype == float
    with pytest.raises(TypeError) as caught:
        VGG16.preprocess(np.ones((2, 2)))
    assert str(caught.value) == (
        "preprocess: expected a picture of Pillow, got ndarray; write "
        "PIL.Image.open(path) or PIL.Image.fromarray(x)"
    )


def test_resnet50() -> None:
    model = ResNet50()
    y = run(model, 1, 3, 64, 64)
    assert y.shape == (1, 1000) and y.dtype == np.float32
    running = 2 * sum(p.size for n, p in model.named_params().items() if "gamma" in n)
    count = sum(p.size for p in model.params())
    assert count - running == 25_557_032 + 64  # with the bias of the first convolution
    names = names_in(model)
    assert names[:6] == [
        "conv1/W",
        "conv1/b",
        "bn1/avg_mean",
        "bn1/avg_var",
        "bn1/gamma",
        "bn1/beta",
    ]
    assert [n for n in names if n.startswith("res5/a/") and n.endswith("W")] == [
        "res5/a/conv1/W",
        "res5/a/conv2/W",
        "res5/a/conv3/W",
        "res5/a/conv4/W",
    ]
    assert [n for n in names if n.startswith("res5/b2/") and "conv" in n] == [
        "res5/b2/conv1/W",
        "res5/b2/conv2/W",
        "res5/b2/conv3/W",
    ]
    assert names[-2:] == ["fc6/W", "fc6/b"]


@pytest.mark.parametrize(
    ("make", "depth"), [(ResNet50, 50), (ResNet101, 101), (ResNet152, 152)]
)
def test_resnet_has_as_many_layers_as_it_says(make: Any, depth: int) -> None:
    names = names_in(make())
    shortcuts = 4
    assert sum(n.endswith("/W") for n in names) - shortcuts == depth
    assert names == names_in(ResNet(depth))


def test_building_block_trains() -> None:
    block = BuildingBlock(2, mid_channels=2, out_channels=4, stride=2)
    y = block(np.random.randn(2, 3, 6, 6).astype(np.float32))
    assert y.shape == (2, 4, 3, 3) and y.dtype == np.float32
    F.sum(y * y).backward()
    for name, p in block.named_params().items():
        assert (p.grad is None) == ("avg" in name)


def test_squeezenet() -> None:
    model = SqueezeNet()
    y = run(model, 1, 3, 224, 224)
    assert y.shape == (1, 1000) and y.dtype == np.float32
    assert sum(p.size for p in model.params()) == 1_235_496
    with pytest.raises(ValueError) as caught:
        SqueezeNet(pretrained=True)
    assert str(caught.value) == (
        "SqueezeNet: expected pretrained=False, as there are no published weights, got "
        "True; write model.load_weights(path) with weights of your own"
    )


# -- published weights --------------------------------------------------------------


def test_pretrained_weights_come_from_their_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def get_file(url: str, file_name: str | None = None) -> str:
        asked.append(url)
        save_arrays(tmp_path / "w", {"nothing": np.ones(1)})
        return str(tmp_path / "w.npz")

    monkeypatch.setattr(download, "get_file", get_file)
    for make in (VGG16, ResNet50, ResNet101, ResNet152):
        with pytest.raises(dezero.errors.DataError, match=r"/W: expected .* no entry"):
            make(pretrained=True)
    where = "https://github.com/koki0702/dezero-models/releases/download/v0.1/"
    assert asked == [
        f"{where}{name}.npz" for name in ("vgg16", "resnet50", "resnet101", "resnet152")
    ]
