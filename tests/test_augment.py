"""Random changes of images: against Pillow and formulas; arrays, batches, pictures."""

import re

import numpy as np
import pytest
from loader_samples import Pixels
from PIL import Image

import dezero
from dezero import DataLoader
from dezero.data.transforms import batched, draws
from dezero.transforms import (
    ColorJitter,
    Compose,
    CutMix,
    Cutout,
    Flatten,
    Grayscale,
    Mixup,
    Pad,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomVerticalFlip,
    ToFloat,
)

RANDOM = [
    RandomHorizontalFlip(),
    RandomVerticalFlip(),
    RandomCrop(5),
    RandomCrop((6, 4), padding=(2, 1)),
    RandomCrop(8, padding=4, fill="reflect"),
    RandomResizedCrop((5, 6)),
    RandomRotation(30),
    RandomErasing(),
    Cutout(3),
    ColorJitter(0.5, 0.5, 0.5, 0.2),
]
ALWAYS = [Pad(1), Pad((2, 0), fill=7), Pad(3, "edge"), Grayscale(), Grayscale(3)]


def name(transform):
    return type(transform).__name__


def images(count=6, dtype=np.uint8):
    values = np.random.RandomState(0).randint(0, 256, (count, 3, 8, 9))
    return values.astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("transform", RANDOM + ALWAYS, ids=name)
def test_types_stay_and_inputs_are_left_alone(transform, dtype):
    xs = images(dtype=dtype)
    before = xs.copy()
    for x in xs:
        y = transform(x)
        assert y.dtype == dtype and y.ndim == 3
    np.testing.assert_array_equal(xs, before)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(
    "transform", [t for t in RANDOM + ALWAYS if batched(t)], ids=name
)
def test_batch_gives_what_each_example_gives(transform, dtype):
    xs = images(40, dtype)
    np.random.seed(1)
    singly = np.array([transform(x) for x in xs])
    after = np.random.rand()
    np.random.seed(1)
    together = batched(transform)(xs)
    np.testing.assert_array_equal(together, singly, strict=True)
    assert np.random.rand() == after
    assert batched(transform)(xs[:0]).shape == (0, *together.shape[1:])


@pytest.mark.parametrize("transform", RANDOM + ALWAYS, ids=name)
def test_pictures_change_as_arrays_do(transform):
    for x in images(4):
        np.random.seed(2)
        y = transform(x)
        np.random.seed(2)
        picture = transform(Image.fromarray(x.transpose(1, 2, 0)))
        array = np.asarray(picture)
        array = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
        np.testing.assert_array_equal(array, y)


@pytest.mark.parametrize("transform", RANDOM, ids=name)
def test_what_draws_draws_from_the_generator_in_use(transform):
    assert draws(transform)
    assert draws(Compose([ToFloat(), transform]))
    state = np.random.get_state()[1].tolist(), np.random.get_state()[2]
    with dezero.random.using(np.random.RandomState(3)):
        first = [transform(x) for x in images()]
    with dezero.random.using(np.random.RandomState(3)):
        again = [transform(x) for x in images()]
    for x, y in zip(first, again, strict=True):
        np.testing.assert_array_equal(x, y)
    assert (np.random.get_state()[1].tolist(), np.random.get_state()[2]) == state


def test_two_that_draw_make_no_batch():
    both = Compose([RandomHorizontalFlip(), RandomVerticalFlip()])
    assert batched(both) is None
    assert batched(Compose([RandomVerticalFlip(), Flatten()])) is not None
    assert not draws(Compose([Pad(1), Flatten()]))


def test_workers_give_the_same_images():
    change = Compose([RandomCrop(2, padding=1), RandomHorizontalFlip(), ToFloat()])
    for kind in ("thread", "process"):
        plain = DataLoader(Pixels(transform=change), 6, seed=2)
        loader = DataLoader(
            Pixels(transform=change), 6, seed=2, workers=1, worker_kind=kind
        )
        for (x, _), (y, _) in zip(plain, loader, strict=True):
            np.testing.assert_array_equal(x, y, strict=True)


def test_flips():
    x = images(1)[0]
    np.testing.assert_array_equal(RandomVerticalFlip(1)(x), x[:, ::-1])
    np.testing.assert_array_equal(RandomHorizontalFlip(1)(x), x[:, :, ::-1])
    assert RandomVerticalFlip(0)(x) is x


def test_crops_come_from_everywhere():
    x = np.arange(12).reshape(1, 3, 4)
    crop = RandomCrop((2, 2))
    corners = [int(crop(x)[0, 0, 0]) for _ in range(300)]
    assert sorted(set(corners)) == [0, 1, 2, 4, 5, 6]
    y = crop(x)
    assert (y - y[0, 0, 0]).tolist() == [[[0, 1], [4, 5]]]
    padded = {tuple(RandomCrop((4, 3), padding=(1, 0))(x)[0, 0]) for _ in range(99)}
    assert padded == {(0, 0, 1, 2), (0, 1, 2, 3), (1, 2, 3, 0)}


@pytest.mark.parametrize("angle", [90, -90, 180, 33, -7.5, 400])
def test_rotation_is_that_of_pillow(angle):
    values = np.random.RandomState(0).rand(9, 12).astype(np.float32)
    expected = Image.fromarray(values).rotate(angle, Image.Resampling.BILINEAR)
    y = RandomRotation((angle, angle))(values)
    np.testing.assert_allclose(y, np.asarray(expected), atol=2e-6)


def test_rotation_fills_and_rounds():
    x = np.full((1, 5, 5), 100, np.uint8)
    y = RandomRotation((45, 45), fill=7)(x)
    assert set(np.unique(y)) == {7, 100} and y[0, 0, 0] == 7


@pytest.mark.parametrize("size", [4, (20, 3), (7, 30), (9, 12)])
def test_scaling_is_that_of_pillow(size):
    values = np.random.RandomState(0).rand(12, 9).astype(np.float32)
    whole = RandomResizedCrop(size, scale=(1, 1), ratio=(9 / 12, 9 / 12))
    width, height = whole.size
    expected = Image.fromarray(values).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    np.testing.assert_allclose(whole(values), np.asarray(expected), atol=2e-6)


def test_parts_have_the_area_and_the_shape_asked_for():
    x = np.zeros((1, 200, 200))
    x[0, :, 0] = 1
    rows, cols = np.indices((200, 200))
    places = np.stack([rows, cols]).astype(float)
    for _ in range(50):
        y = RandomResizedCrop(100, scale=(0.2, 0.5), ratio=(0.5, 2.0))(places)
        height, width = (y[0, -1, 0] - y[0, 0, 0]), (y[1, 0, -1] - y[1, 0, 0])
        assert 0.19 < height * width / 40000 < 0.51
        assert 0.48 < width / height < 2.1


def test_gray():
    x = images(1)[0]
    expected = np.rint(0.299 * x[0] + 0.587 * x[1] + 0.114 * x[2])
    np.testing.assert_array_equal(Grayscale()(x)[0], expected)
    picture = Image.fromarray(x.transpose(1, 2, 0))
    difference = np.asarray(picture.convert("L")).astype(int) - Grayscale()(x)[0]
    assert np.abs(difference).max() <= 1
    assert Grayscale()(picture).mode == "L"
    assert Grayscale(3)(picture).mode == "RGB"


def factors(**spreads):
    """ColorJitter and the numbers that it draws, in its order."""
    with dezero.random.using(np.random.RandomState(4)):
        y = ColorJitter(**spreads)(np.random.RandomState(0).rand(3, 4, 5))
    b, c, s, h = np.random.RandomState(4).rand(4) * 2 - 1
    return np.random.RandomState(0).rand(3, 4, 5), y, (b, c, s, h)


def test_colors_one_by_one():
    gray = np.array([0.299, 0.587, 0.114])
    x, y, (b, _, _, _) = factors(brightness=0.4)
    np.testing.assert_allclose(y, x * (1 + 0.4 * b))
    x, y, (_, c, _, _) = factors(contrast=0.4)
    mean = np.tensordot(gray, x, 1).mean()
    np.testing.assert_allclose(y, mean + (1 + 0.4 * c) * (x - mean))
    x, y, (_, _, s, _) = factors(saturation=0.4)
    shades = np.tensordot(gray, x, 1)
    np.testing.assert_allclose(y, shades + (1 + 0.4 * s) * (x - shades))


def test_all_colors_in_their_order():
    gray = np.array([0.299, 0.587, 0.114])
    x, y, (b, c, s, h) = factors(brightness=0.4, contrast=0.3, saturation=0.2, hue=0.1)
    x = x * (1 + 0.4 * b)
    mean = np.tensordot(gray, x, 1).mean()
    x = mean + (1 + 0.3 * c) * (x - mean)
    shades = np.tensordot(gray, x, 1)
    x = shades + (1 + 0.2 * s) * (x - shades)
    # A turn keeps the sum of the colors and their distance from gray.
    np.testing.assert_allclose(y.sum(0), x.sum(0))
    np.testing.assert_allclose((y**2).sum(0), (x**2).sum(0))
    a, b = x - x.mean(0), y - y.mean(0)
    cos = (a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0))
    np.testing.assert_allclose(cos, np.cos(2 * np.pi * 0.1 * h))


def test_a_third_of_a_turn_exchanges_the_colors(monkeypatch):
    monkeypatch.setattr("dezero.data.pixels.uniform", lambda low, high: high)
    x = np.random.rand(3, 2, 2)
    np.testing.assert_allclose(ColorJitter(hue=1 / 3)(x), x[[2, 0, 1]])


def test_uint8_colors_are_clipped_at_the_end():
    x = np.full((3, 2, 2), 200, np.uint8)
    seen = {int(ColorJitter(brightness=0.9)(x)[0, 0, 0]) for _ in range(60)}
    assert max(seen) == 255 and min(seen) < 100


def test_holes():
    x = np.ones((3, 10, 10), np.float32)
    for _ in range(30):
        hole = RandomErasing(p=1, scale=(0.1, 0.3), fill=0)(x) == 0
        assert (hole[0] == hole[1]).all() and 5 <= hole[0].sum() <= 36
        rows, cols = hole[0].any(1).sum(), hole[0].any(0).sum()
        assert hole[0].sum() == rows * cols
        assert 4 <= (Cutout(4)(x) == 0)[0].sum() <= 16
    assert all(RandomErasing(p=0)(x) is x for _ in range(5))
    erased = [(RandomErasing(p=0.25)(x) == 0).any() for _ in range(2000)]
    assert 0.2 < np.mean(erased) < 0.3
    assert (Cutout(40)(x) == 0).all()


def test_palettes_and_bits_are_converted():
    picture = Image.fromarray(images(1)[0].transpose(1, 2, 0)).convert("P")
    assert RandomRotation(10)(picture).mode == "RGB"
    assert Pad(1)(picture.convert("1")).mode == "L"


def pairs(count=8, classes=3):
    xs = np.random.RandomState(1).rand(count, 1, 6, 6).astype(np.float32)
    return [(x, i % classes) for i, x in enumerate(xs)]


def test_mixup():
    with dezero.random.using(np.random.RandomState(5)):
        x, t = Mixup(3, alpha=0.4)(pairs())
    draw = np.random.RandomState(5)
    share, partner = draw.beta(0.4, 0.4), draw.permutation(8)
    xs = np.stack([x for x, _ in pairs()])
    ts = np.eye(3)[[t for _, t in pairs()]]
    assert x.dtype == t.dtype == np.float32
    np.testing.assert_allclose(x, share * xs + (1 - share) * xs[partner], rtol=1e-6)
    np.testing.assert_allclose(t, share * ts + (1 - share) * ts[partner], rtol=1e-6)


def test_cutmix():
    examples = [(np.full((2, 20, 30), i, np.uint8), i) for i in range(9)]
    areas = []
    for _ in range(40):
        x, t = CutMix(9)(examples)
        assert x.dtype == np.uint8
        np.testing.assert_allclose(t.sum(1), 1, rtol=1e-6)
        for i in range(9):
            share = (x[i] == i).mean()
            np.testing.assert_allclose(t[i, i], share, rtol=1e-6)
        areas.append(1 - t[:, :].max(1).mean())
    assert 0.1 < np.mean(areas) < 0.4


def test_mixtures_follow_from_the_seed():
    loader = DataLoader(pairs(12), 4, seed=1, collate=Mixup(3))
    threads = DataLoader(pairs(12), 4, seed=1, collate=Mixup(3), workers=2)
    for (x, t), (y, u) in zip(loader, threads, strict=True):
        np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(t, u)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: RandomVerticalFlip(-0.1),
            ValueError,
            "RandomVerticalFlip: expected p from 0 to 1, got -0.1",
        ),
        (
            lambda: Pad(-1),
            ValueError,
            "Pad: expected padding of at least 0, got -1",
        ),
        (
            lambda: Pad(1, "mirror"),
            ValueError,
            "Pad: expected fill as a number, 'edge', 'reflect', 'symmetric' or "
            "'wrap', got 'mirror'",
        ),
        (
            lambda: RandomCrop(5, padding=1)(np.zeros((1, 2, 9))),
            ValueError,
            "RandomCrop: expected an image of at least 5 rows and 5 columns with its "
            "padding, got (1, 4, 11)",
        ),
        (
            lambda: RandomCrop(0),
            ValueError,
            "RandomCrop: expected a size n or (width, height) of at least 1, got 0",
        ),
        (
            lambda: RandomResizedCrop(2, scale=(0, 1)),
            ValueError,
            "RandomResizedCrop: expected scale (low, high) with 0 < low <= high <= 1, "
            "got (0, 1)",
        ),
        (
            lambda: RandomErasing(ratio=(2, 1)),
            ValueError,
            "RandomErasing: expected ratio (low, high) with 0 < low <= high, got "
            "(2, 1)",
        ),
        (
            lambda: RandomErasing(p=2),
            ValueError,
            "RandomErasing: expected p from 0 to 1, got 2",
        ),
        (
            lambda: RandomRotation(-3),
            ValueError,
            "RandomRotation: expected degrees of at least 0, or (least, largest), got "
            "-3",
        ),
        (
            lambda: Cutout(0),
            ValueError,
            "Cutout: expected a size of at least 1, got 0",
        ),
        (
            lambda: Grayscale(2),
            ValueError,
            "Grayscale: expected 1 or 3 channels, got 2",
        ),
        (
            lambda: Grayscale()(np.zeros((1, 2, 2))),
            ValueError,
            "Grayscale: expected an image (..., 3, H, W), got (1, 2, 2)",
        ),
        (
            lambda: ColorJitter(hue=0.6),
            ValueError,
            "ColorJitter: expected numbers of at least 0, and hue up to 0.5, got "
            "0, 0, 0, 0.6",
        ),
        (
            lambda: ColorJitter()(np.zeros((2, 2))),
            ValueError,
            "ColorJitter: expected an image (..., 3, H, W), got (2, 2)",
        ),
        (
            lambda: Cutout(2)(np.zeros(3)),
            ValueError,
            "Cutout: expected an image (..., H, W), got (3,)",
        ),
        (
            lambda: RandomRotation(1)("picture"),
            TypeError,
            "RandomRotation: expected a picture of Pillow, got str; write "
            "Compose([ToPIL(), RandomRotation(...)])",
        ),
        (
            lambda: Mixup(0),
            ValueError,
            "Mixup: expected classes of at least 1, got 0",
        ),
        (
            lambda: CutMix(2, alpha=0),
            ValueError,
            "CutMix: expected alpha above 0, got 0",
        ),
        (
            lambda: Mixup(2)(pairs()),
            ValueError,
            "Mixup: expected labels from 0 to 1, got labels from 0 to 2",
        ),
        (
            lambda: Mixup(2)([(np.zeros(2), 0.5)]),
            TypeError,
            "Mixup: expected integers as labels, got float64 ()",
        ),
        (
            lambda: CutMix(2)([(np.zeros(2), 1)]),
            ValueError,
            "CutMix: expected images (..., H, W), got (2,)",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()
