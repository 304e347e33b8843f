"""Data sets: the base class, those of images and of sequences, and their files."""

import gzip
import io
import pickle
import re
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

import dezero
from dezero import Dataset
from dezero.backend import download
from dezero.data import images
from dezero.data.files import read_idx, read_npz, read_tar
from dezero.datasets import (
    CIFAR10,
    CIFAR100,
    MNIST,
    Digits,
    FashionMNIST,
    ImageNet,
    Shakespear,
    SinCurve,
    Spiral,
    get_spiral,
)
from dezero.errors import DataError, DownloadError
from dezero.transforms import Compose, Normalize, Resize, ToArray, ToFloat

FASHION_PLACES = FashionMNIST.places


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty folder for downloads, and no network."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("DEZERO_HOME", str(home))

    def no_network(url, start):
        raise OSError("no network")

    monkeypatch.setattr(download, "_open", no_network)
    monkeypatch.setattr(FashionMNIST, "places", ())
    return home


def refused(error, message):
    return pytest.raises(error, match=f"^{re.escape(message)}$")


# ------------------------------------------------------------------- the base class
class Pairs(Dataset):
    def prepare(self):
        self.data = np.arange(12).reshape(6, 2)
        self.label = np.arange(6) * 10


def test_indexing():
    pairs = Pairs(transform=ToFloat(), target_transform=lambda t: -t)
    x, t = pairs[2]
    assert x.tolist() == [4, 5] and x.dtype == np.float32 and t == -20
    assert pairs[-1][1] == pairs[np.uint8(5)][1] == -50
    for index in (
        slice(1, 6, 2),
        [1, 3, 5],
        np.array([1, 3, -1]),
        np.arange(6) % 2 > 0,
    ):
        x, t = pairs[index]
        assert x.tolist() == [[2, 3], [6, 7], [10, 11]] and x.dtype == np.float32
        assert t.tolist() == [-10, -30, -50]
    assert pairs[4:4][0].shape == (0, 2) and pairs[[]][0].shape == (0, 2)
    assert len(list(pairs)) == len(pairs) == 6


def test_slices_are_copies():
    pairs = Pairs()
    pairs[:][0][:] = -1
    assert pairs.data.min() == 0


def test_lists_as_data():
    class Words(Dataset):
        def prepare(self):
            self.data = ["a", "b", "c"]
            self.label = [1, 2, 3]

    assert Words()[1] == ("b", 2)
    x, t = Words(transform=str.upper)[1:]
    assert x.tolist() == ["B", "C"] and t.tolist() == [2, 3]


def test_pickling():
    for dataset in (Pairs(), Digits(), Spiral(), SinCurve()):
        copy = pickle.loads(pickle.dumps(dataset))
        for one, other in zip(copy[3:5], dataset[3:5], strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


def test_indices_that_are_refused():
    pairs = Pairs()
    with refused(IndexError, "Pairs: expected an index from -6 to 5, got 6"):
        pairs[6]
    with refused(IndexError, "Pairs: expected an index from -6 to 5, got -7"):
        pairs[np.array([0, -7])]
    with pytest.raises(
        IndexError, match=r"^Pairs: expected integers from -6 to 5, got"
    ):
        pairs[[0, 9]]
    with refused(
        TypeError,
        "Pairs: expected an integer, a slice or an array of integers as index, "
        "got float",
    ):
        pairs[1.0]


def test_wrong_data_sets():
    class Uneven(Dataset):
        def prepare(self):
            self.data, self.label = np.zeros(3), np.zeros(2)

    with refused(ValueError, "Uneven: expected as many labels as examples (3), got 2"):
        Uneven()
    with refused(TypeError, "Pairs: expected a callable transform, got int"):
        Pairs(transform=3)
    with refused(TypeError, "Pairs: expected a callable target_transform, got str"):
        Pairs(target_transform="x")
    with refused(TypeError, "Dataset: expected self.data, set in prepare(), got None"):
        len(Dataset())
    with refused(TypeError, "Dataset: expected self.data, set in prepare(), got None"):
        Dataset()[0]


# ---------------------------------------------------------------- spiral, sequences
def test_spiral_is_the_book_s_and_leaves_the_generator_alone():
    np.random.seed(7)
    x, t = get_spiral(train=True)
    x_test, t_test = get_spiral(train=False)
    after = np.random.rand()
    np.random.seed(7)
    assert after == np.random.rand()
    assert (x.dtype, t.dtype, x.shape) == (np.float32, np.int64, (300, 2))
    # Values of the original.
    np.testing.assert_array_equal(
        x[:2],
        np.float32(
            [
                [-0.1398138850927353, -0.007216573692858219],
                [0.37049391865730286, 0.5820947289466858],
            ]
        ),
    )
    np.testing.assert_array_equal(
        x_test[0], np.float32([0.13246452808380127, 0.13620993494987488])
    )
    assert t[:10].tolist() == [1, 1, 2, 0, 1, 2, 0, 0, 1, 2]
    assert t_test[:10].tolist() == [0, 1, 0, 1, 2, 2, 1, 2, 2, 0]
    np.testing.assert_array_equal(Spiral(train=False).data, x_test)
    assert np.bincount(t).tolist() == [100, 100, 100]


def test_sine():
    np.random.seed(0)
    curve = SinCurve(train=True)
    np.random.seed(0)
    x = np.linspace(0, 2 * np.pi, 1000)
    expected = np.sin(x) + np.random.uniform(-0.05, 0.05, 1000)
    assert curve.data.shape == (999, 1) and curve.data.dtype == np.float64
    np.testing.assert_array_equal(curve.data[:, 0], expected[:-1])
    np.testing.assert_array_equal(curve.label[:, 0], expected[1:])
    test = SinCurve(train=False)
    np.testing.assert_array_equal(test.label[:, 0], np.cos(x)[1:])
    np.random.seed(0)
    np.random.uniform(size=2000)
    after = np.random.rand()
    np.random.seed(0)
    SinCurve(train=True), SinCurve(train=False)
    assert after == np.random.rand()


def test_shakespear(home):
    (home / "shakespear.txt").write_text("to be or not", encoding="utf-8")
    text = Shakespear()
    assert text.char_to_id == {c: i for i, c in enumerate("to bern")}
    assert text.id_to_char[3] == "b"
    assert "".join(text.id_to_char[i] for i in text.data) == "to be or no"
    assert "".join(text.id_to_char[i] for i in text.label) == "o be or not"
    assert Shakespear(data_dir=home)[0] == (0, 1)


def test_shakespear_refuses_what_is_no_text(home):
    path = home / "shakespear.txt"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(
        DataError, match=r"^Shakespear: expected text in shakespear.txt"
    ):
        Shakespear()
    assert not path.exists()
    path.write_bytes(b"")
    with refused(
        DataError,
        "Shakespear: expected at least two letters in shakespear.txt, got 0; "
        f"{path} was removed, run again to download it",
    ):
        Shakespear()


# ------------------------------------------------------------------------------ idx
def idx(array, kind=0x08):
    header = struct.pack(f">4B{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    return header + array.tobytes()


def packed(content):
    return gzip.compress(content, 1, mtime=0)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")],
)
@pytest.mark.parametrize("pack", [bytes, packed])
def test_idx(tmp_path, kind, dtype, pack):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    path = tmp_path / "a"
    path.write_bytes(pack(idx(array, kind)))
    y = read_idx(path, 3)
    np.testing.assert_array_equal(y, array)
    assert y.dtype == np.dtype(dtype).newbyteorder("=") and y.flags.writeable


IMAGES = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
WHOLE = idx(IMAGES)
DAMAGED = {
    "empty": (
        b"",
        "expected an idx file with 3 axes in a, got one that begins with 0x",
    ),
    "html": (
        b"<html>",
        "expected an idx file with 3 axes in a, got one that begins with 0x3c68746d",
    ),
    "labels": (
        idx(IMAGES[0, 0]),
        "expected an idx file with 3 axes in a, got one that begins with 0x00000801",
    ),
    "unknown type": (
        idx(IMAGES, 0x0A),
        "expected an idx file with 3 axes in a, got one that begins with 0x00000a03",
    ),
    "no header": (WHOLE[:9], "expected 3 lengths of axes in a, got the file's end"),
    "truncated": (
        WHOLE[:-1],
        "expected 1568 bytes in a for shape (2, 28, 28), got 1567: the file is "
        "truncated",
    ),
    "oversized": (
        WHOLE + b"\0",
        "expected 1568 bytes in a for shape (2, 28, 28), got more",
    ),
    "enormous": (
        struct.pack(">4B3I", 0, 0, 8, 3, *[2**32 - 1] * 3),
        "expected at most 4294967296 bytes in a, got a header that promises "
        "79228162458924105385300197375 for shape (4294967295, 4294967295, 4294967295)",
    ),
}


@pytest.mark.parametrize("pack", [bytes, packed])
@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_idx(tmp_path, content, message, pack):
    path = tmp_path / "a"
    path.write_bytes(pack(content))
    with refused(DataError, f"read_idx: {message}"):
        read_idx(path, 3)


def test_damaged_gzip(tmp_path):
    path = tmp_path / "a.gz"
    whole = packed(WHOLE)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    for content in (whole[:-1], whole[:30], whole[:2], bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(
            DataError, match=r"^read_idx: expected a whole gzip file in a.gz, got one"
        ):
            read_idx(path)
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "b.gz")


# ------------------------------------------------------------------- MNIST and kin
def write_mnist(folder, part="train", first=0, labels=(3, 7), pack=packed):
    folder.mkdir(parents=True, exist_ok=True)
    suffix = ".gz" if pack is packed else ""
    images = folder / f"{part}-images-idx3-ubyte{suffix}"
    images.write_bytes(pack(idx(IMAGES + np.uint8(first))))
    target = folder / f"{part}-labels-idx1-ubyte{suffix}"
    target.write_bytes(pack(idx(np.array(labels, dtype=np.uint8))))
    return images, target


def test_mnist(home):
    write_mnist(home / "mnist")
    write_mnist(home / "mnist", "t10k", first=5)
    train = MNIST()
    assert train.data.shape == (2, 1, 28, 28) and train.data.dtype == np.uint8
    assert train.label.tolist() == [3, 7] and train.label.dtype == np.int64
    x, t = train[1]
    expected = (train.data[1].flatten().astype(np.float32) - 0.0) / 255.0
    np.testing.assert_array_equal(x, expected, strict=True)
    assert t == 7
    assert MNIST(train=False).data[0, 0, 0, 0] == 5
    assert MNIST(transform=None)[0][0].shape == (1, 28, 28)
    assert MNIST.labels()[3] == "3"


def test_mnist_and_fashion_mnist_never_get_each_other_s_files(home, monkeypatch):
    write_mnist(home / "mnist", first=1)
    write_mnist(home / "fashion-mnist", first=2)
    assert MNIST().data[0, 0, 0, 0] == 1
    assert FashionMNIST().data[0, 0, 0, 0] == 2


@pytest.mark.parametrize("pack", [bytes, packed])
def test_a_file_straight_in_the_folder_goes_to_whom_it_belongs(home, monkeypatch, pack):
    paths = write_mnist(home, first=1, pack=pack)
    assert MNIST().data[0, 0, 0, 0] == 1
    with pytest.raises(DownloadError, match=r"^FashionMNIST: expected train-images"):
        FashionMNIST()
    known = frozenset(images._content_checksum(path) for path in paths)
    monkeypatch.setattr(images, "FASHION_CONTENTS", known)
    assert FashionMNIST().data[0, 0, 0, 0] == 1
    with pytest.raises(DownloadError, match=r"^MNIST: expected train-images"):
        MNIST()


def test_data_dir_is_the_only_place_then(home, tmp_path):
    write_mnist(home / "mnist", first=1)
    write_mnist(tmp_path / "here", first=2, pack=bytes)
    write_mnist(tmp_path / "below" / "fashion-mnist", first=3)
    assert MNIST(data_dir=tmp_path / "here").data[0, 0, 0, 0] == 2
    assert FashionMNIST(data_dir=str(tmp_path / "below")).data[0, 0, 0, 0] == 3
    with refused(
        DataError,
        f"MNIST: expected t10k-images-idx3-ubyte.gz in {tmp_path}/here, got no file",
    ):
        MNIST(train=False, data_dir=tmp_path / "here")


def test_a_place_of_the_system(tmp_path, monkeypatch):
    write_mnist(tmp_path / "system", first=4)
    assert FASHION_PLACES == ("/usr/share/datasets/fashion-mnist",)
    monkeypatch.setattr(FashionMNIST, "places", (tmp_path / "system",))
    assert FashionMNIST().data[0, 0, 0, 0] == 4
    assert FashionMNIST.labels()[9] == "ankle boot" and len(FashionMNIST.labels()) == 10


def test_no_files_and_no_network(home):
    name = "train-images-idx3-ubyte.gz"
    failures = "".join(
        f"\n  get_file: expected the file at {mirror}{name}, got no network; run "
        f"again, or put the file at {home}/mnist/{name} by hand"
        for mirror in MNIST.mirrors
    )
    with refused(DownloadError, f"MNIST: expected {name}, got{failures}"):
        MNIST()


def test_mirrors_are_tried_in_turn(home, monkeypatch, tmp_path):
    here, target = write_mnist(tmp_path / "there")
    asked = []

    def get_file(url, file_name=None):
        asked.append(url)
        if url.startswith(MNIST.mirrors[0]):
            raise DownloadError("gone")
        return str(here if "images" in url else target)

    monkeypatch.setattr(download, "get_file", get_file)
    assert len(MNIST()) == 2
    assert [url.startswith(MNIST.mirrors[1]) for url in asked] == [False, True] * 2


def test_a_replaced_get_file_is_asked_first(home, tmp_path, monkeypatch):
    write_mnist(home / "mnist", first=1)
    write_mnist(tmp_path / "there", first=2)

    def get_file(url, file_name=None):
        assert file_name is None
        return str(tmp_path / "there" / url.rpartition("/")[2])

    monkeypatch.setattr(dezero.datasets, "get_file", get_file)
    assert MNIST().data[0, 0, 0, 0] == 2


def test_checksums_of_all_mirrors_are_known():
    for dataset in (MNIST, FashionMNIST):
        for mirror in dataset.mirrors:
            for name, digest in dataset.checksums.items():
                assert download.known_checksums[mirror + name] == digest
    assert all(len(digest) == 64 for digest in download.known_checksums.values())


@pytest.mark.parametrize("folder", ["mnist", "."])
def test_a_damaged_file_in_the_cache_is_removed(home, folder):
    path, _ = write_mnist(home / folder)
    path.write_bytes(b"<html>not found</html>")
    with refused(
        DataError,
        "read_idx: expected an idx file with 3 axes in train-images-idx3-ubyte.gz, got "
        f"one that begins with 0x3c68746d; {path} was removed, run again to download "
        "it",
    ):
        MNIST()
    assert not path.exists()


def test_a_damaged_file_of_the_user_s_stays(tmp_path):
    path, _ = write_mnist(tmp_path / "mine")
    path.write_bytes(b"<html>")
    with refused(
        DataError,
        "read_idx: expected an idx file with 3 axes in train-images-idx3-ubyte.gz, got "
        "one that begins with 0x3c68746d",
    ):
        MNIST(data_dir=tmp_path / "mine")
    assert path.exists()


def test_files_that_are_not_those_of_mnist(tmp_path):
    folder = tmp_path / "mine"
    path, target = write_mnist(folder, labels=(3, 7, 1))
    with refused(DataError, "MNIST: expected as many labels as images (2), got 3"):
        MNIST(data_dir=folder)
    target.write_bytes(packed(idx(np.array([3, 10], dtype=np.uint8))))
    with refused(
        DataError,
        "MNIST: expected labels from 0 to 9 in train-labels-idx1-ubyte.gz, got 10",
    ):
        MNIST(data_dir=folder)
    path.write_bytes(packed(idx(np.zeros((2, 8, 8), dtype=np.uint8))))
    with refused(
        DataError,
        "MNIST: expected images of 28 x 28 bytes in train-images-idx3-ubyte.gz, got "
        "uint8 of shape (2, 8, 8)",
    ):
        MNIST(data_dir=folder)
    write_mnist(folder)
    target.write_bytes(packed(idx(np.zeros(2, dtype=">i4"), 0x0C)))
    with refused(
        DataError,
        "MNIST: expected labels of one byte in train-labels-idx1-ubyte.gz, got int32 "
        "of shape (2,)",
    ):
        MNIST(data_dir=folder)


# --------------------------------------------------------------------------- digits
def test_digits():
    train, test = Digits(train=True), Digits(train=False)
    assert (len(train), len(test)) == (1442, 355)
    assert train.data.shape == (1442, 1, 8, 8) and train.data.dtype == np.uint8
    assert (train.data.min(), train.data.max()) == (0, 16)
    assert train.label.dtype == np.int64
    # The split is stratified: a fifth of each class.
    counts = np.bincount(train.label) + np.bincount(test.label)
    assert np.bincount(test.label).tolist() == (counts // 5).tolist()
    x, t = train[0]
    assert x.shape == (64,) and x.dtype == np.float32 and t == 0
    assert (x * 16).reshape(8, 8)[0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    image, _ = Digits(transform=Compose([ToFloat(), Normalize(0, 16)]))[0]
    assert image.shape == (1, 8, 8) and image.max() <= 1
    assert Digits.labels()[9] == "9"


def test_no_example_of_digits_is_in_both_parts():
    train, test = ({d.tobytes() for d in Digits(train).data} for train in (True, False))
    assert not train & test


# ---------------------------------------------------------------------- tar, CIFAR
def write_tar(path, members):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.type, info.linkname = content
                archive.addfile(info)


def test_tar(tmp_path):
    path = tmp_path / "a.tar.gz"
    write_tar(path, {"./f/a": b"abc", "f/b": b"", "f/c": (tarfile.SYMTYPE, "a")})
    assert read_tar(path, {"f/a": 3, "f/b": 0}) == {"f/a": b"abc", "f/b": b""}


@pytest.mark.parametrize(
    ("name", "content", "shown"),
    [
        ("../a", b"x", "../a"),
        ("f/../../a", b"x", "f/../../a"),
        ("/etc/passwd", b"x", "/etc/passwd"),
        ("c:\\a", b"x", "c:\\a"),
        ("f/a", (tarfile.SYMTYPE, "../../a"), "f/../../a"),
        ("f/a", (tarfile.SYMTYPE, "/etc/passwd"), "/etc/passwd"),
        ("f/a", (tarfile.LNKTYPE, "../a"), "../a"),
    ],
)
def test_tar_with_a_member_that_leads_out(tmp_path, name, content, shown):
    path = tmp_path / "a.tar.gz"
    write_tar(path, {"good": b"abc", name: content})
    with refused(
        DataError,
        f"read_tar: expected members inside of the folder in a.tar.gz, got '{shown}'",
    ):
        read_tar(path, {"good": 3})


def test_damaged_tar(tmp_path):
    path = tmp_path / "a.tar.gz"
    noise = np.random.bytes(50000)
    write_tar(path, {"f/a": noise})
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-6] ^= 1  # in the checksum
    for content in (b"", b"no tar", whole[:30000], whole[:-4], bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(
            DataError, match=r"^read_tar: expected a whole tar archive in a.tar.gz, got"
        ):
            read_tar(path, {"f/a": 50000})
    path.write_bytes(whole)
    with refused(
        DataError,
        "read_tar: expected a file f/a of 10 bytes in a.tar.gz, got one of 50000",
    ):
        read_tar(path, {"f/a": 10})
    with refused(
        DataError, "read_tar: expected a file f/b of 10 bytes in a.tar.gz, got none"
    ):
        read_tar(path, {"f/b": 10})
    with pytest.raises(FileNotFoundError):
        read_tar(tmp_path / "b.tar.gz", {})


@pytest.fixture
def small(monkeypatch):
    """Archives with two examples in each file."""
    for cls in (CIFAR10, CIFAR100):
        for part in ("train_files", "test_files"):
            monkeypatch.setattr(cls, part, dict.fromkeys(getattr(cls, part), 2))


def photographs(*labels, first=0):
    """Two examples, whose pixels are ``first`` and one more."""
    rows = [bytes(t) + bytes([first + i]) * 3072 for i, t in enumerate(labels)]
    return b"".join(rows)


def test_cifar10(home, small):
    members = {
        name: photographs([i], [9 - i], first=10 * i)
        for i, name in enumerate([*CIFAR10.train_files, *CIFAR10.test_files])
    }
    write_tar(home / "cifar-10-binary.tar.gz", members)
    train = CIFAR10()
    assert train.data.shape == (10, 3, 32, 32) and train.data.dtype == np.uint8
    assert train.data[:, 0, 0, 0].tolist() == [0, 1, 10, 11, 20, 21, 30, 31, 40, 41]
    assert train.label.tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]
    x, t = train[1]
    assert x.dtype == np.float32 and x.max() == (1 - 0.5) / 0.5 and t == 9
    assert CIFAR10(train=False).label.tolist() == [5, 4]
    assert CIFAR10.labels()[0] == "airplane"


def test_cifar100(home, small, tmp_path):
    write_tar(
        tmp_path / "cifar-100-binary.tar.gz",
        {
            "cifar-100-binary/train.bin": photographs([19, 99], [0, 7]),
            "cifar-100-binary/test.bin": photographs([1, 2], [3, 4]),
        },
    )
    fine = CIFAR100(data_dir=tmp_path)
    coarse = CIFAR100(label_type="coarse", data_dir=tmp_path)
    assert fine.label.tolist() == [99, 7] and coarse.label.tolist() == [19, 0]
    np.testing.assert_array_equal(fine.data, coarse.data)
    assert CIFAR100(train=False, data_dir=tmp_path).label.tolist() == [2, 4]
    assert len(CIFAR100.labels()) == 100 and CIFAR100.labels()[99] == "worm"
    assert len(CIFAR100.labels("coarse")) == 20
    with refused(
        ValueError, "CIFAR100: expected label_type 'fine' or 'coarse', got 'rough'"
    ):
        CIFAR100(label_type="rough")


def test_the_archives_expected_sizes():
    assert sum(CIFAR10.train_files.values()) == 50000
    assert CIFAR10.test_files == {"cifar-10-batches-bin/test_batch.bin": 10000}
    assert CIFAR100.train_files == {"cifar-100-binary/train.bin": 50000}


def test_damaged_cifar_is_removed(home, small):
    path = home / "cifar-100-binary.tar.gz"
    write_tar(path, {"cifar-100-binary/test.bin": photographs([20, 1], [0, 1])})
    with refused(
        DataError,
        "CIFAR100: expected labels from 0 to 19 in cifar-100-binary.tar.gz, got 20; "
        f"{path} was removed, run again to download it",
    ):
        CIFAR100(train=False)
    assert not path.exists()


# ------------------------------------------------------------------------------ npz
def test_npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(3, dtype=np.uint8))
    assert read_npz(path, {"x": (np.uint8, (3,))})["x"].tolist() == [0, 1, 2]
    for arrays, message in [
        (
            {"x": (np.uint8, (4,))},
            "expected an array (4,) of uint8 as 'x' in a.npz, got an array (3,) of "
            "uint8",
        ),
        (
            {"x": (np.int64, (3,))},
            "expected an array (3,) of int64 as 'x' in a.npz, got an array (3,) of "
            "uint8",
        ),
        (
            {"x": (np.uint8, (3,)), "y": (np.uint8, (3,))},
            "expected an array (3,) of uint8 as 'y' in a.npz, got none",
        ),
        ({}, "expected no array as 'x' in a.npz, got an array (3,) of uint8"),
    ]:
        with refused(DataError, f"read_npz: {message}"):
            read_npz(path, arrays)


def test_damaged_npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(1000))
    whole = path.read_bytes()
    for content in (b"", b"no npz", whole[:-10], whole[:500]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"^load: expected an .npz file of plain"):
            read_npz(path, {"x": (np.int64, (1000,))})


def npy(shape, data):
    """An .npy file whose header promises int64 of a shape, and its data."""
    file = io.BytesIO()
    header = {"descr": "<i8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + data


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (npy((2,), bytes(24)), "x.npy is longer than its header says"),
        (npy((4,), bytes(24)), "EOF: reading array data, expected 32 bytes got 24"),
        (npy((2**59,), bytes(24)), "Unable to allocate"),
        (b"text", "EOF: reading magic string"),
    ],
)
def test_npz_whose_header_lies(tmp_path, member, reason):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", member)
    with pytest.raises(
        DataError,
        match=f"^load: expected an .npz file of plain arrays, got '{path}', where "
        f".*{reason}",
    ):
        read_npz(path, {"x": (np.int64, (2,))})


def test_npz_with_objects(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([{}]))
    with pytest.raises(DataError, match="Object arrays cannot be loaded"):
        read_npz(path, {"x": (np.int64, (1,))})


# ------------------------------------------------------------------------- ImageNet
def test_imagenet_from_folders(tmp_path):
    for i, name in enumerate(["train/n1/a.JPEG", "train/n0/b.png", "val/n1/c.jpg"]):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 3), 50 * i).save(path)
    (tmp_path / "train" / "n0" / "notes.txt").touch()
    train = ImageNet(data_dir=tmp_path, transform=Compose([Resize(8), ToArray()]))
    assert len(train) == 2 and train.label.tolist() == [0, 1]
    batches = list(dezero.DataLoader(train, 2, shuffle=False))
    assert batches[0][0].shape == (2, 3, 8, 8)
    assert batches[0][0][:, 0, 0, 0].tolist() == [50, 0]
    assert ImageNet(train=False, data_dir=tmp_path)[0][0].size == (4, 3)
    with refused(
        DataError,
        "ImageNet: expected pictures in folders, one for each class, in "
        f"{tmp_path}/n0/train, got none",
    ):
        ImageNet(data_dir=tmp_path / "n0")


def test_imagenet_labels(home):
    path = home / "imagenet1000_clsidx_to_labels.txt"
    path.write_text(repr({i: f"thing {i}" for i in range(1000)}))
    assert ImageNet.labels()[999] == "thing 999"
    for content in ("__import__('os')", "{0: 'thing'}", "{", "[1]"):
        path.write_text(content)
        with pytest.raises(
            DataError, match=r"^ImageNet.labels: expected .* was removed"
        ):
            ImageNet.labels()
        assert not path.exists()


# ----------------------------------------------------------------------------- show
@pytest.mark.parametrize(("channels", "shape"), [(1, (16, 24)), (3, (16, 24, 3))])
def test_sheet_of_random_images(channels, shape):
    digits = Digits()
    digits.data = np.repeat(digits.data, channels, axis=1)
    sheet = digits._sheet(2, 3)
    assert sheet.shape == shape
    corner = sheet[:8, :8].reshape(8, 8, channels).transpose(2, 0, 1)
    assert (digits.data == corner).all(axis=(1, 2, 3)).any()


def test_show(monkeypatch):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.gca().images[0]))
    Digits().show(row=2, col=3)
    assert shown[0].get_array().shape == (16, 24)
    plt.close("all")
