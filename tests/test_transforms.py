"""Transforms: on one example, on a batch, on pictures of Pillow."""

import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dezero.data.transforms import batched
from dezero.transforms import (
    AsType,
    CenterCrop,
    Compose,
    Convert,
    Flatten,
    Normalize,
    RandomHorizontalFlip,
    Resize,
    ToArray,
    ToFloat,
    ToInt,
    ToPIL,
)

FOR_ARRAYS = [
    Compose(),
    Flatten(),
    ToFloat(),
    ToInt(),
    AsType(np.float64),
    ToArray(),
    CenterCrop(2),
    CenterCrop((3, 1)),
    RandomHorizontalFlip(),
    RandomHorizontalFlip(p=1),
    Normalize(),
    Normalize(0.0, 255.0),
    Normalize(0.5, 0.5),
    Normalize(np.float32(0.5), np.float64(2)),
    Normalize([1, 2, 3], 4),
    Normalize(0, [1, 2, 3]),
    Normalize((1.5,), (2.5,)),
    Compose([Flatten(), ToFloat(), Normalize(0.0, 255.0)]),
    Compose([ToFloat(), Normalize(0.5, 0.5)]),
    Compose([AsType(np.float64), Normalize(0.5, 0.5)]),
    Compose([RandomHorizontalFlip(), Compose([ToFloat()]), Flatten()]),
]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("transform", FOR_ARRAYS, ids=lambda t: type(t).__name__)
def test_batch_gives_what_each_example_gives(transform, dtype):
    xs = np.random.randint(0, 256, (20, 3, 4, 5)).astype(dtype)
    before = xs.copy()
    np.random.seed(1)
    singly = np.array([transform(x) for x in xs])
    np.random.seed(1)
    together = batched(transform)(xs)
    np.testing.assert_array_equal(together, singly, strict=True)
    np.testing.assert_array_equal(xs, before)


def test_batch_is_not_inherited_past_an_overridden_call():
    class Doubled(Normalize):
        def __call__(self, x):
            return 2 * super().__call__(x)

    class DoubledInBatches(Doubled):
        def batch(self, xs):
            return 2 * super().batch(xs)

    assert batched(Doubled()) is None
    assert batched(DoubledInBatches()) is not None
    assert batched(np.negative) is None
    assert batched(Compose([ToFloat(), np.negative])) is None


def test_normalize_keeps_to_the_book_s_values():
    values = np.arange(256, dtype=np.uint8)
    expected = (values.astype(np.float32) - 0.0) / 255.0
    np.testing.assert_array_equal(Normalize(0.0, 255.0)(values), expected, strict=True)
    # The original divides uint8 by a mean and a std that it has made uint8.
    image = np.full((3, 1, 2), 100, dtype=np.uint8)
    y = Normalize([0.5, 10, 200], [0.5, 2.5, 50])(image)
    assert y.dtype == np.float32
    assert y[:, 0, 0].tolist() == [199, 36, -2]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_normalize_keeps_floats(dtype):
    x = np.ones((2, 2), dtype=dtype)
    for transform in (Normalize(0.5, 0.5), Normalize(0, 2), Normalize([1, 2], [3, 4])):
        assert transform(x).dtype == dtype


def test_types_of_single_labels():
    assert ToFloat()(np.uint8(3)).dtype == np.float32
    assert ToInt()(3.7) == 3
    assert ToInt()(np.array([2.5])).dtype == np.int64


def picture():
    """5 × 3 pixels in color, each different."""
    array = np.arange(45, dtype=np.uint8).reshape(3, 5, 3)
    return array, Image.fromarray(array)


def test_pictures_to_arrays_and_back():
    array, image = picture()
    x = ToArray()(image)
    assert x.dtype == np.float32 and x.flags.c_contiguous
    np.testing.assert_array_equal(x, array.transpose(2, 0, 1))
    assert ToArray()(x) is x
    for back in (ToPIL()(x), ToPIL()(x.astype(np.uint8)), ToPIL()(x + 0.4)):
        assert back.mode == "RGB" and back.tobytes() == image.tobytes()
    assert ToArray(np.uint8)(image).dtype == np.uint8


def test_gray_and_float_pictures():
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    gray = Image.fromarray(array)
    assert ToArray()(gray).shape == (1, 2, 3)
    for x in (array, array[None], array.astype(np.float64)[None]):
        assert ToPIL()(x).tobytes() == gray.tobytes()
    exact = Image.fromarray(array.astype(np.float32) / 7)
    np.testing.assert_array_equal(ToArray()(exact)[0], array.astype(np.float32) / 7)
    beyond = ToPIL()(np.array([[-3.0, 300.0]]))
    assert np.asarray(beyond).tolist() == [[0, 255]]
    assert ToPIL()(np.zeros((4, 2, 2), dtype=np.uint8)).mode == "RGBA"


def test_convert():
    array, image = picture()
    assert Convert("L")(image).mode == "L"
    assert Convert()(image.convert("L")).mode == "RGB"
    np.testing.assert_array_equal(np.asarray(Convert("BGR")(image)), array[:, :, ::-1])


def test_resize_and_crop():
    _, image = picture()
    assert Resize(7)(image).size == (7, 7)
    assert Resize((4, 2))(image).size == (4, 2)
    nearest = Resize((10, 6), Image.Resampling.NEAREST)(image)
    assert set(np.unique(nearest)) == set(np.unique(image))
    for size in (1, 2, 3, (4, 1), (5, 3)):
        crop = CenterCrop(size)
        from_picture = np.asarray(crop(image)).transpose(2, 0, 1)
        from_array = crop(np.asarray(image).transpose(2, 0, 1))
        np.testing.assert_array_equal(from_array, from_picture)
    assert CenterCrop(9)(image).size == (9, 9)


def test_flip():
    array, image = picture()
    always, never = RandomHorizontalFlip(p=1), RandomHorizontalFlip(p=0)
    np.testing.assert_array_equal(np.asarray(always(image)), array[:, ::-1])
    assert never(image) is image
    xs = np.arange(4000).reshape(2000, 2)
    flipped = (RandomHorizontalFlip(0.25).batch(xs)[:, 0] % 2).mean()
    assert 0.2 < flipped < 0.3


def test_preparing_a_photograph():
    _, image = picture()
    prepare = Compose(
        [Resize(8), CenterCrop(6), Convert("BGR"), ToArray(), Normalize([1, 2, 3])]
    )
    assert prepare(image).shape == (3, 6, 6)
    assert batched(prepare) is None
    assert pickle.loads(pickle.dumps(prepare))(image).dtype == np.float32


def test_pillow_is_imported_only_where_it_is_used():
    program = (
        "import sys\n"
        "import numpy as np, dezero.transforms as T\n"
        "T.Compose([T.ToArray(), T.CenterCrop(2), T.Resize, T.ToFloat()][:2])"
        "(np.zeros((1, 3, 3)))\n"
        "assert 'PIL' not in sys.modules\n"
        "sys.modules['PIL.Image'] = None\n"
        "try:\n"
        "    T.ToPIL()(np.zeros((2, 2)))\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == (
        "ToPIL: expected the library 'pillow', which is not installed; write: "
        "pip install 'dezero[plot]'\n"
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: Resize(4)(np.zeros((1, 3, 3))),
            TypeError,
            "Resize: expected a picture of Pillow, got ndarray; write "
            "Compose([ToPIL(), Resize(...)])",
        ),
        (
            lambda: Convert()(None),
            TypeError,
            "Convert: expected a picture of Pillow, got NoneType; write "
            "Compose([ToPIL(), Convert(...)])",
        ),
        (
            lambda: ToArray()([1, 2]),
            TypeError,
            "ToArray: expected a picture of Pillow or an array, got list",
        ),
        (
            lambda: Resize((1, 2, 3)),
            ValueError,
            "Resize: expected a size n or (width, height) of at least 1, got (1, 2, 3)",
        ),
        (
            lambda: CenterCrop(0),
            ValueError,
            "CenterCrop: expected a size n or (width, height) of at least 1, got 0",
        ),
        (
            lambda: CenterCrop(3)(np.zeros((1, 4, 2))),
            ValueError,
            "CenterCrop: expected an array of at least 3 rows and 3 columns, got "
            "(1, 4, 2)",
        ),
        (
            lambda: ToPIL()(np.zeros((2, 4, 4))),
            ValueError,
            "ToPIL: expected an array (H, W), or (C, H, W) with C of 1, 3 or 4, got "
            "(2, 4, 4)",
        ),
        (
            lambda: ToPIL()(3),
            TypeError,
            "ToPIL: expected an array, got int",
        ),
        (
            lambda: RandomHorizontalFlip(1.5),
            ValueError,
            "RandomHorizontalFlip: expected p from 0 to 1, got 1.5",
        ),
        (
            lambda: Normalize(0, [1, 0]),
            ValueError,
            "Normalize: expected std without zeros, got [1, 0]",
        ),
        (
            lambda: Normalize([1, 2])(np.zeros((3, 4, 4))),
            ValueError,
            "Normalize: expected one number or 3, one for each channel of x "
            "(3, 4, 4), got [1, 2]",
        ),
        (
            lambda: Normalize([1, 2]).batch(np.zeros((9, 3, 4, 4))),
            ValueError,
            "Normalize: expected one number or 3, one for each channel of x "
            "(3, 4, 4), got [1, 2]",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()
