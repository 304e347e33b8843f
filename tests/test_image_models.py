"""Networks for images, against the same networks written plainly on bare arrays."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import references

import dezero
import dezero.functions as F
from dezero.layers.state import arrays_of
from dezero.models import (
    DCGAN,
    VAE,
    VGG,
    VGG16,
    Discriminator,
    Generator,
    ResNet,
    ResNet18,
    ResNet34,
    SqueezeNet,
    UNet,
)
from dezero.optimizers import SGD, Adam

State = dict[str, np.ndarray]


def with_random_state(model: Any, *shape: int) -> tuple[State, np.ndarray]:
    """Numbers of double precision in all parameters of a model, and an example."""
    np.random.seed(0)
    x = np.random.randn(*shape)
    with dezero.no_grad():
        model(x)
    for name, p in model.named_params().items():
        numbers = np.random.randn(*p.shape)
        if name.endswith(("gamma", "avg_var")):
            p.data = 1 + 0.2 * numbers.clip(-3, 3)
        elif p.data.ndim == 1:
            p.data = 0.2 * numbers
        else:
            p.data = numbers / np.sqrt(p.data[0].size)
    return model.state_dict(), x


def run(model: Any, x: np.ndarray) -> np.ndarray:
    with dezero.no_grad():
        return model.eval()(x).data


# -- the parts, plainly -------------------------------------------------------------


def relu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def conv(P: State, name: str, x: np.ndarray, stride: int = 1, pad: int = 0) -> Any:
    b = P.get(f"{name}/b", 0.0)
    pairs = {"stride": (stride, stride), "pad": (pad, pad)}
    return references.convolve(x, P[f"{name}/W"], b, **pairs)


def deconv(P: State, name: str, x: np.ndarray, stride: int = 1, pad: int = 0) -> Any:
    """Every pixel lays a filter over the result."""
    W, b = P[f"{name}/W"], P.get(f"{name}/b", np.zeros(1))
    (N, _, H, width), (_, out, KH, KW) = x.shape, W.shape
    y = np.zeros((N, out, stride * (H - 1) + KH, stride * (width - 1) + KW))
    for i, j in np.ndindex(H, width):
        rows = slice(i * stride, i * stride + KH)
        columns = slice(j * stride, j * stride + KW)
        y[:, :, rows, columns] += np.tensordot(x[:, :, i, j], W, axes=1)
    y = y[:, :, pad : y.shape[2] - pad, pad : y.shape[3] - pad]
    return y + b.reshape(1, -1, 1, 1)


def bn(P: State, name: str, x: np.ndarray, eps: float = 2e-5) -> np.ndarray:
    mean, var, gamma, beta = (
        P[f"{name}/{part}"].reshape(1, -1, 1, 1)
        for part in ("avg_mean", "avg_var", "gamma", "beta")
    )
    return gamma * (x - mean) / np.sqrt(var + eps) + beta


def linear(P: State, name: str, x: np.ndarray) -> np.ndarray:
    return x @ P[f"{name}/W"] + P[f"{name}/b"]


def pool(x: np.ndarray, size: int, stride: int, pad: int = 0) -> np.ndarray:
    views = references.windows(
        x, (size, size), (stride, stride), (pad, pad), border=-np.inf
    )
    return views.max(axis=(4, 5))


# -- ResNet -------------------------------------------------------------------------


def plain_resnet(P: State, x: np.ndarray, depth: int, style: str) -> np.ndarray:
    torch = style == "torchvision"
    eps = 1e-5 if torch else 2e-5
    h = relu(bn(P, "bn1", conv(P, "conv1", x, 2, 3), eps))
    # The book's pooling begins at the first pixel, and reaches over the end.
    h = pool(h, 3, 2, 1) if torch else pool(h, 3, 2, 2)[:, :, 1:, 1:]
    for stage, blocks in enumerate(ResNet.BLOCKS[depth], 2):
        for block in range(blocks):
            name = f"res{stage}/" + ("a" if block == 0 else f"b{block}")
            stride = 2 if stage > 2 and block == 0 else 1
            first, second = (1, stride) if torch and depth > 34 else (stride, 1)
            short, pads = h, (1, 1) if depth < 50 else (0, 1, 0)
            strides = (first, second, 1)
            last = len(pads)
            for i, pad in enumerate(pads):
                h = conv(P, f"{name}/conv{i + 1}", h, strides[i], pad)
                h = bn(P, f"{name}/bn{i + 1}", h, eps)
                h = relu(h) if i + 1 < last else h
            if f"{name}/conv{last + 1}/W" in P:
                short = conv(P, f"{name}/conv{last + 1}", short, stride)
                short = bn(P, f"{name}/bn{last + 1}", short, eps)
            h = relu(h + short)
    return linear(P, "fc6", h.mean(axis=(2, 3)))


@pytest.mark.parametrize(
    ("depth", "style"),
    [
        (18, "torchvision"),
        (18, "book"),
        (34, "torchvision"),
        (50, "book"),
        (50, "torchvision"),
    ],
)
def test_resnet(depth: int, style: str) -> None:
    model = ResNet(depth, style=style, classes=5, width=2)
    P, x = with_random_state(model, 2, 3, 64, 32)
    wanted = plain_resnet(P, x, depth, style)
    np.testing.assert_allclose(run(model, x), wanted, rtol=1e-8, atol=1e-8)


def block_names(depth: int) -> list[str]:
    """What torchvision calls the blocks."""
    blocks = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}[depth]
    return [f"layer{i}.{j}" for i, n in enumerate(blocks, 1) for j in range(n)]


NORM = ("weight", "bias", "running_mean", "running_var")


@pytest.mark.parametrize(("depth", "count"), [(18, 102), (34, 182), (50, 267)])
def test_resnet_has_the_names_of_torchvision(depth: int, count: int) -> None:
    model = ResNet(depth, style="torchvision", width=2)
    P = with_random_state(model, 1, 3, 32, 32)[0]
    convs = 2 if depth < 50 else 3
    wanted = {"conv1.weight", "fc.weight", "fc.bias", *(f"bn1.{n}" for n in NORM)}
    for block in block_names(depth):
        for i in range(1, convs + 1):
            wanted |= {f"{block}.conv{i}.weight"}
            wanted |= {f"{block}.bn{i}.{n}" for n in NORM}
        if block.endswith(".0") and (depth > 34 or block != "layer1.0"):
            wanted |= {f"{block}.downsample.0.weight"}
            wanted |= {f"{block}.downsample.1.{n}" for n in NORM}
    arrays = arrays_of(model, "test", published=True)
    # torchvision has one more for each normalization: num_batches_tracked.
    assert arrays.keys() == wanted and len(wanted) == count
    out = 16 if depth < 50 else 64
    assert arrays["fc.weight"].shape == (1000, out)
    np.testing.assert_array_equal(arrays["fc.weight"], P["fc6/W"].T)
    np.testing.assert_array_equal(
        arrays["layer4.0.downsample.0.weight"],
        P["res5/a/conv3/W" if depth < 50 else "res5/a/conv4/W"],
    )


def test_resnet18_and_34() -> None:
    for model, count in ((ResNet18(), 11_689_512), (ResNet34(), 21_797_672)):
        assert model.summary((1, 3, 32, 32)).total.parameters == count
    assert ResNet18(classes=10).fc6.out_size == 10


def test_what_is_no_resnet() -> None:
    for make, message in (
        (
            lambda: ResNet(20),
            "ResNet: expected n_layers of 18, 34, 50, 101 or 152, got 20",
        ),
        (
            lambda: ResNet(18, style="caffe"),
            "ResNet: expected style 'book' or 'torchvision', got 'caffe'",
        ),
        (
            lambda: ResNet(50, pretrained=True, style="torchvision"),
            "ResNet: expected pretrained=False for 18 or 34 layers and for the style "
            "'torchvision', of which the book published no weights, got True; write "
            "model.load_weights('resnet.safetensors') with a file of your own",
        ),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            make()


# -- VGG, SqueezeNet ----------------------------------------------------------------


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
def test_vgg(depth: int) -> None:
    model = VGG(depth, classes=5, width=2, hidden=8)
    P, x = with_random_state(model, 2, 3, 32, 64)
    assert sum(name.endswith("/W") for name in P) == depth
    h = x
    for i in range(1, 6):
        j = 1
        while f"conv{i}_{j}/W" in P:
            h = relu(conv(P, f"conv{i}_{j}", h, pad=1))
            j += 1
        h = pool(h, 2, 2)
    h = relu(linear(P, "fc6", h.reshape(2, -1)))
    h = linear(P, "fc8", relu(linear(P, "fc7", h)))
    np.testing.assert_allclose(run(model, x), h, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("depth", "numbers"),
    [
        (11, [0, 3, 6, 8, 11, 13, 16, 18]),
        (13, [0, 2, 5, 7, 10, 12, 15, 17, 20, 22]),
        (16, [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]),
        (19, [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]),
    ],
)
def test_vgg_has_the_names_of_torchvision(depth: int, numbers: list[int]) -> None:
    model = VGG(depth, width=2, hidden=8)
    P = with_random_state(model, 1, 3, 32, 32)[0]
    layers = [f"features.{n}" for n in numbers] + [f"classifier.{n}" for n in (0, 3, 6)]
    arrays = arrays_of(model, "test", published=True)
    assert list(arrays) == [f"{n}.{p}" for n in layers for p in ("weight", "bias")]
    np.testing.assert_array_equal(arrays["classifier.6.weight"], P["fc8/W"].T)


def test_the_widths_of_vgg() -> None:
    assert [getattr(VGG16(), f"conv{i}_1").out_channels for i in range(1, 6)] == [
        *(64, 128, 256, 512, 512)
    ]
    with pytest.raises(ValueError) as caught:
        VGG(12)
    assert str(caught.value) == "VGG: expected n_layers of 11, 13, 16 or 19, got 12"


def test_squeezenet() -> None:
    model = SqueezeNet()
    P, x = with_random_state(model, 1, 3, 35, 47)
    h = relu(conv(P, "conv1", x, 2))
    for i in range(2, 10):
        if i in (2, 4, 6):
            h = pool(h, 3, 2, 2)[:, :, 1:, 1:][
                :, :, : h.shape[2] // 2, : h.shape[3] // 2
            ]
        h = relu(conv(P, f"fire{i}/squeeze", h))
        one = relu(conv(P, f"fire{i}/expand1", h))
        h = np.concatenate([one, relu(conv(P, f"fire{i}/expand3", h, pad=1))], axis=1)
    h = relu(conv(P, "conv10", h)).mean(axis=(2, 3))
    np.testing.assert_allclose(run(model, x), h, rtol=1e-9, atol=1e-9)
    fires = dict(zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12), strict=True))
    parts = ("squeeze", "expand1x1", "expand3x3")
    layers = [f"features.{n}.{part}" for n in fires.values() for part in parts]
    assert list(arrays_of(model, "test", published=True)) == [
        f"{layer}.{p}"
        for layer in ("features.0", *layers, "classifier.1")
        for p in ("weight", "bias")
    ]


# -- UNet ---------------------------------------------------------------------------


def twice(P: State, name: str, x: np.ndarray) -> np.ndarray:
    for i in (1, 2):
        x = relu(bn(P, f"{name}/bn{i}", conv(P, f"{name}/conv{i}", x, pad=1)))
    return x


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_unet(depth: int) -> None:
    model = UNet(2, 3, width=3, depth=depth)
    P, x = with_random_state(model, 2, 2, 8, 16)
    h, passed = x, []
    for i in range(depth):
        h = twice(P, f"down/{i}", h)
        passed.append(h)
        h = pool(h, 2, 2)
    h = twice(P, "bottom", h)
    for i in range(depth):
        h = np.concatenate([passed[-1 - i], deconv(P, f"grow/{i}", h, 2)], axis=1)
        h = twice(P, f"up/{i}", h)
    wanted = conv(P, "head", h)
    assert wanted.shape == (2, 3, 8, 16)
    np.testing.assert_allclose(run(model, x), wanted, rtol=1e-9, atol=1e-9)


def test_unet_of_a_size_that_cannot_be_halved() -> None:
    with pytest.raises(ValueError) as caught:
        UNet(1, 1, width=2, depth=3)(np.ones((1, 1, 16, 20)))
    assert str(caught.value) == (
        "UNet: expected images (N, C, H, W) with H and W multiples of 8, as they are "
        "halved 3 times, got (1, 1, 16, 20)"
    )


def test_unet_learns() -> None:
    np.random.seed(0)
    model = UNet(1, 1, width=4, depth=1)
    x = np.random.randn(4, 1, 8, 8).astype(np.float32)
    t = (x > 0).astype(np.float32)
    losses = descend(lambda: F.sigmoid_cross_entropy(model(x), t) / 64, model, 20)
    assert losses[-1] < 0.7 * losses[0]


def descend(loss_of: Any, model: Any, steps: int) -> list[float]:
    optimizer = Adam(0.01).setup(model)
    step = dezero.compile(lambda: descended(loss_of, model, optimizer))
    return [float(step().data) for _ in range(steps)]


def descended(loss_of: Any, model: Any, optimizer: Any) -> Any:
    loss = loss_of()
    model.cleargrads()
    loss.backward()
    optimizer.update()
    return loss


# -- DCGAN --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "sizes"),
    [(28, [7, 14, 28]), (32, [4, 8, 16, 32]), (64, [4, 8, 16, 32, 64]), (8, [4, 8])],
)
def test_generator_and_discriminator(size: int, sizes: list[int]) -> None:
    generator = Generator(3, size, latent=5, width=2)
    P, z = with_random_state(generator, 2, 5)
    h = z[:, :, None, None]
    for i, n in enumerate(sizes[:-1]):
        stride, pad = (1, 0) if i == 0 else (2, 1)
        h = relu(bn(P, f"bns/{i}", deconv(P, f"deconvs/{i}", h, stride, pad)))
        assert h.shape == (2, 2 * 2 ** (len(sizes) - 2 - i), n, n)
    wanted = np.tanh(deconv(P, "last", h, 2, 1))
    np.testing.assert_allclose(run(generator, z), wanted, rtol=1e-9, atol=1e-9)

    discriminator = Discriminator(3, size, width=2)
    P, x = with_random_state(discriminator, 2, 3, size, size)
    h = conv(P, "first", x, 2, 1)
    h = np.where(h > 0, h, 0.2 * h)
    for i in range(len(sizes) - 2):
        h = bn(P, f"bns/{i}", conv(P, f"convs/{i}", h, 2, 1))
        h = np.where(h > 0, h, 0.2 * h)
    wanted = conv(P, "last", h).reshape(2, 1)
    np.testing.assert_allclose(run(discriminator, x), wanted, rtol=1e-9, atol=1e-9)


def test_the_losses_of_a_dcgan() -> None:
    model = DCGAN(1, 8, latent=3, width=2).eval()  # normalization by the averages
    x = np.random.randn(4, 1, 8, 8).astype(np.float32)
    np.random.seed(1)
    z = np.random.randn(4, 3).astype(np.float32)
    real, fake = (model.discriminator(v).data for v in (x, model.generator(z)))
    model.cleargrads()
    np.random.seed(1)
    loss = model.discriminator_loss(x)
    wanted = -np.log(sigmoid(real)).mean() - np.log(1 - sigmoid(fake)).mean()
    np.testing.assert_allclose(float(loss.data), wanted, rtol=1e-5)
    loss.backward()
    assert all(p.grad is None for p in model.generator.params())
    assert model.discriminator.first.W.grad is not None
    np.random.seed(1)
    loss = model.generator_loss(4)
    np.testing.assert_allclose(
        float(loss.data), -np.log(sigmoid(fake)).mean(), rtol=1e-5
    )
    loss.backward()
    assert model.generator.last.W.grad is not None


def test_samples_of_a_dcgan() -> None:
    model = DCGAN(2, 12, latent=3, width=2)
    model.generator(np.random.randn(4, 3).astype(np.float32))
    before = model.generator.bns[0].avg_mean.data.copy()
    pictures = model.sample(5)
    assert pictures.shape == (5, 2, 12, 12) and pictures.dtype == np.float32
    assert abs(pictures).max() <= 1
    np.testing.assert_array_equal(model.generator.bns[0].avg_mean.data, before)


def test_a_dcgan_trains_compiled() -> None:
    np.random.seed(0)
    model, twin = (DCGAN(1, 8, latent=3, width=2) for _ in range(2))
    x = np.random.randn(4, 1, 8, 8).astype(np.float32)
    for one in (model, twin):  # the shapes of normalization
        one.discriminator_loss(x)
    twin.load_state_dict(model.state_dict())

    def trained(one: DCGAN, compiled: bool) -> list[float]:
        g = SGD(0.1).setup(one.generator)
        d = SGD(0.1).setup(one.discriminator)

        def step(x: Any) -> Any:
            d_loss = descended(lambda: one.discriminator_loss(x), one, d)
            return d_loss, descended(lambda: one.generator_loss(len(x)), one, g)

        np.random.seed(3)
        run = dezero.compile(step) if compiled else step
        return [float(loss.data) for _ in range(3) for loss in run(x)]

    np.testing.assert_allclose(trained(model, True), trained(twin, False), rtol=1e-4)
    assert model.discriminator.bns == []


@pytest.mark.parametrize(
    ("make", "name"), [(Generator, "Generator"), (Discriminator, "Discriminator")]
)
@pytest.mark.parametrize("size", [7, 30, 36, 2])
def test_sizes_that_there_is_no_way_to(make: Any, name: str, size: int) -> None:
    with pytest.raises(ValueError) as caught:
        make(size=size)
    assert str(caught.value) == (
        f"{name}: expected a size of 4, 5, 6 or 7 times a power of 2, such as 28, 32 "
        f"or 64, got {size}"
    )


# -- VAE ----------------------------------------------------------------------------


def plain_codes(P: State, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    h = relu(conv(P, "conv2", relu(conv(P, "conv1", x, 2, 1)), 2, 1))
    h = h.reshape(len(x), -1)
    return linear(P, "to_mean", h), linear(P, "to_log_var", h)


def plain_scores(P: State, z: np.ndarray, size: int) -> np.ndarray:
    h = relu(linear(P, "from_latent", z)).reshape(len(z), -1, size // 4, size // 4)
    return deconv(P, "deconv2", relu(deconv(P, "deconv1", h, 2, 1)), 2, 1)


@pytest.mark.parametrize("size", [8, 28])
def test_vae(size: int) -> None:
    model = VAE(2, size, latent=3, width=2)
    P, _ = with_random_state(model, 1, 2, size, size)
    x = np.random.rand(4, 2, size, size)
    mean, log_var = plain_codes(P, x)
    wanted = sigmoid(plain_scores(P, mean, size))
    np.testing.assert_allclose(run(model, x), wanted, rtol=1e-9)

    model.train()
    np.random.seed(1)
    z = mean + np.exp(log_var / 2) * np.random.randn(*mean.shape)
    p = sigmoid(plain_scores(P, z, size))
    cross_entropy = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=(1, 2, 3))
    divergence = 0.5 * (mean**2 + np.exp(log_var) - log_var - 1).sum(axis=1)
    np.random.seed(1)
    loss = model.loss(x)
    np.testing.assert_allclose(
        float(loss.data), (cross_entropy + divergence).mean(), rtol=1e-9
    )
    np.random.seed(1)
    np.testing.assert_allclose(model(x).data, p, rtol=1e-9)


def test_samples_of_a_vae() -> None:
    model = VAE(latent=3, width=2)
    pictures = model.sample(5)
    assert pictures.shape == (5, 1, 28, 28) and pictures.dtype == np.float32
    assert pictures.min() > 0 and pictures.max() < 1


def test_a_vae_learns_compiled() -> None:
    np.random.seed(0)
    model = VAE(size=8, latent=2, width=4)
    two = np.random.rand(2, 1, 8, 8).astype(np.float32).round()
    x = np.concatenate([two] * 4)
    losses = descend(lambda: model.loss(x), model, 100)
    assert losses[-1] < 0.3 * losses[0]


def test_what_is_no_vae() -> None:
    with pytest.raises(ValueError) as caught:
        VAE(size=30)
    assert str(caught.value) == "VAE: expected a size that is a multiple of 4, got 30"


# -- files --------------------------------------------------------------------------


def test_weights_go_there_and_back(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    for suffix in (".npz", ".safetensors"):
        model, twin = (ResNet(18, width=2, classes=3) for _ in range(2))
        _, x = with_random_state(model, 2, 3, 32, 32)
        model.save_weights(tmp_path / f"m{suffix}")
        twin.load_weights(tmp_path / f"m{suffix}")
        y = run(twin, x.astype(np.float32))
        np.testing.assert_allclose(y, run(model, x), rtol=1e-4, atol=1e-4)
