"""Parts of data sets, and pictures in folders."""

import re

import numpy as np
import pytest
from loader_samples import Noisy, Pixels
from PIL import Image

from dezero import DataLoader
from dezero.data import ImageFolder, Subset, split
from dezero.errors import DataError
from dezero.transforms import Resize, ToArray


def test_parts_are_disjoint_and_all():
    for seed in (0, 1, None):
        parts = split(Noisy(50), [0.7, 0.2, 0.1], seed)
        assert [len(part) for part in parts] == [35, 10, 5]
        rows = np.concatenate([part.rows for part in parts])
        assert sorted(rows) == list(range(50))
        assert rows.tolist() != list(range(50))
    one, two = (split(Noisy(50), [0.5, 0.5], seed=3)[0].rows for _ in range(2))
    assert one.tolist() == two.tolist()
    np.random.seed(3)
    assert split(Noisy(50), [0.5, 0.5])[0].rows.tolist() == one.tolist()
    assert [len(p) for p in split(range(10), [1 / 3, 1 / 3, 1 / 3])] == [3, 4, 3]
    assert len(split(range(10), [1])[0]) == 10


def test_batches_of_a_part():
    whole = Pixels()
    part = Subset(whole, [5, 3, 11])
    x, t = next(iter(DataLoader(part, 3, shuffle=False)))
    np.testing.assert_array_equal(x, whole.data[[5, 3, 11]])
    assert t.tolist() == [5, 3, 11]
    assert part[1][1] == 3 and part[-1][1] == 11 and part[:2][1].tolist() == [5, 3]
    inner = Subset(part, [2, 0])
    assert [t.tolist() for _, t in DataLoader(inner, 2, shuffle=False)] == [[11, 5]]
    assert [t for _, t in part] == [5, 3, 11]


def test_a_part_asks_for_whole_batches_where_it_can():
    asked = []

    class Counted:
        def __call__(self, x):
            asked.append(1)
            return x

        def batch(self, xs):
            asked.append(len(xs))
            return xs

    part = Subset(Pixels(transform=Counted()), range(10))
    list(DataLoader(part, 5, seed=1))
    assert asked == [5, 5]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: split(range(10), [0.5, 0.4]),
            ValueError,
            "split: expected fractions whose sum is 1, got [0.5, 0.4]",
        ),
        (
            lambda: split(range(10), [0.99, 0.01]),
            ValueError,
            "split: expected fractions that give each part an example of 10, got "
            "[0.99, 0.01]",
        ),
        (
            lambda: Subset(range(3), [0, 3]),
            IndexError,
            "Subset: expected rows from 0 to 2, got rows from 0 to 3",
        ),
        (
            lambda: Subset(range(3), [0.5]),
            TypeError,
            "Subset: expected rows as a list of integers, got float64 of shape (1,)",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        call()


@pytest.fixture
def folder(tmp_path):
    for number, (name, count) in enumerate((("cat", 3), ("ant", 2))):
        (tmp_path / name).mkdir()
        for i in range(count):
            pixels = np.full((5, 4, 3), 40 * number + i, np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    (tmp_path / "cat" / "notes.txt").write_text("no picture")
    (tmp_path / "readme.png").write_text("in no folder")
    return tmp_path


def test_pictures_in_folders(folder):
    data = ImageFolder(folder)
    assert (len(data), data.classes) == (5, ["ant", "cat"])
    assert data.label.tolist() == [0, 0, 1, 1, 1]
    picture, label = data[4]
    assert (picture.mode, picture.size, label) == ("RGB", (4, 5), 1)
    x, t = next(
        iter(DataLoader(ImageFolder(folder, ToArray(np.uint8)), 5, shuffle=False))
    )
    assert x[:, 0, 0, 0].tolist() == [40, 41, 0, 1, 2] and t.tolist() == [0, 0, 1, 1, 1]
    small = ImageFolder(folder, Resize(2), target_transform=str)
    assert small[0][0].size == (2, 2) and small[0][1] == "0"


def test_a_damaged_picture(folder):
    path = folder / "ant" / "1.png"
    path.write_bytes(path.read_bytes()[:40])
    data = ImageFolder(folder)
    data[0]
    with pytest.raises(
        DataError, match=rf"^ImageFolder: expected a picture in {path}, got a file "
    ):
        data[1]
    path.unlink()
    with pytest.raises(FileNotFoundError):
        data[1]


def test_no_folders(tmp_path):
    message = (
        "ImageFolder: expected pictures in folders, one for each class, in "
        f"{tmp_path}, got none"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        ImageFolder(tmp_path)
