"""Data sets of images: Digits, MNIST, Fashion-MNIST, CIFAR-10 and -100."""

from __future__ import annotations

import importlib
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.backend.download import (
    find_file,
    known_checksums,
    removed_if_damaged,
)
from dezero.data.dataset import Dataset
from dezero.data.files import read_idx, read_npz, read_tar
from dezero.data.transforms import (
    Compose,
    Flatten,
    Normalize,
    ToFloat,
    Transform,
)
from dezero.errors import DataError, missing

FolderPath = str | os.PathLike[str]

MNIST_TRANSFORM = Compose([Flatten(), ToFloat(), Normalize(0.0, 255.0)])
DIGITS_TRANSFORM = Compose([Flatten(), ToFloat(), Normalize(0.0, 16.0)])
CIFAR_TRANSFORM = Compose([ToFloat(), Normalize(mean=0.5, std=0.5)])


class _Images(Dataset):
    """Images (N, C, H, W) of type uint8, and the number of each one's class."""

    def show(self, row: int = 10, col: int = 10) -> None:
        """Show ``row`` by ``col`` random examples in a window.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        try:
            plt: Any = importlib.import_module("matplotlib.pyplot")
        except ImportError:
            raise missing("matplotlib", f"{type(self).__name__}.show", "plot") from None
        plt.imshow(self._sheet(row, col), cmap="gray", interpolation="nearest")
        plt.axis("off")
        plt.show()

    def _sheet(self, row: int, col: int) -> Array:
        """Random images side by side, (row * H, col * W) or with 3 for the colors."""
        images = self.data[np.random.randint(0, len(self.data), row * col)]
        C, H, W = images.shape[1:]
        sheet = images.reshape(row, col, C, H, W).transpose(0, 3, 1, 4, 2)
        sheet = sheet.reshape(row * H, col * W, C)
        return sheet[:, :, 0] if C == 1 else sheet


def _named(names: str, separator: str = " ") -> dict[int, str]:
    return dict(enumerate(names.split(separator)))


class Digits(_Images):
    """1,797 handwritten digits of 8 × 8 pixels, which come with the package.

    Of each class every fifth example, in the order of the source, is held out for
    testing (355 in all) and the others are for training (1,442); it is the same split
    every time. The default transform gives float32 vectors (64,) from 0 to 1;
    ``Compose([ToFloat(), Normalize(0, 16)])`` gives images (1, 8, 8).

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI
    Machine Learning Repository 1998, doi 10.24432/C50P49, CC BY 4.0.

    Attributes:
        data: (N, 1, 8, 8) of type uint8, values 0 to 16.
        label: (N,) of type int64.

    >>> digits = dezero.datasets.Digits(train=False)
    >>> len(digits), digits.data.shape
    (355, (355, 1, 8, 8))
    """

    def __init__(
        self,
        train: bool = True,
        transform: Transform | None = DIGITS_TRANSFORM,
        target_transform: Transform | None = None,
    ) -> None:
        super().__init__(train, transform, target_transform)

    def prepare(self) -> None:
        path = Path(__file__).with_name("digits.npz")
        arrays = read_npz(
            path, {"images": (np.uint8, (1797, 8, 8)), "labels": (np.uint8, (1797,))}
        )
        images, labels = arrays["images"], arrays["labels"].astype(np.int64)
        held_out = np.zeros(len(labels), dtype=bool)
        for digit in range(10):
            held_out[np.flatnonzero(labels == digit)[4::5]] = True
        chosen = ~held_out if self.train else held_out
        self.data = images[chosen][:, None]  # (N, 1, 8, 8)
        self.label = labels[chosen]

    @staticmethod
    def labels() -> dict[int, str]:
        """The names of the classes."""
        return _named("0 1 2 3 4 5 6 7 8 9")


class MNIST(_Images):
    """70,000 handwritten digits of 28 × 28 pixels: 60,000 to train, 10,000 to test.

    The files (``train-images-idx3-ubyte.gz`` and three more) are taken from
    ``data_dir`` if that is given; else from the folder for downloads, ``$DEZERO_HOME``
    or ``~/.dezero``, in ``mnist`` or directly; else they are downloaded. The default
    transform gives float32 vectors (784,) from 0 to 1.

    Source: Y. LeCun, C. Cortes and C. Burges, The MNIST database, 1998.

    Attributes:
        data: (N, 1, 28, 28) of type uint8.
        label: (N,) of type int64.

    Raises:
        DataError: A file is damaged, or not in ``data_dir``.
        DownloadError: The files are nowhere and cannot be downloaded.
    """

    folder = "mnist"
    places: Sequence[FolderPath] = ()
    mirrors: Sequence[str] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    checksums: Mapping[str, str] = {
        "train-images-idx3-ubyte.gz": (
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
        ),
        "train-labels-idx1-ubyte.gz": (
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
        ),
        "t10k-images-idx3-ubyte.gz": (
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
        ),
        "t10k-labels-idx1-ubyte.gz": (
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
        ),
    }

    def __init__(
        self,
        train: bool = True,
        transform: Transform | None = MNIST_TRANSFORM,
        target_transform: Transform | None = None,
        *,
        data_dir: FolderPath | None = None,
    ) -> None:
        self.data_dir = data_dir
        super().__init__(train, transform, target_transform)

    def prepare(self) -> None:
        part = "train" if self.train else "t10k"
        images = self._read(f"{part}-images-idx3-ubyte.gz", 3)
        labels = self._read(f"{part}-labels-idx1-ubyte.gz", 1)
        if len(images) != len(labels):
            raise DataError(
                f"{type(self).__name__}: expected as many labels as images "
                f"({len(images)}), got {len(labels)}"
            )
        self.data = images[:, None]  # (N, 1, 28, 28)
        self.label = labels.astype(np.int64)

    def _read(self, file_name: str, ndim: int) -> Array:
        name = type(self).__name__
        path = find_file(
            name,
            file_name,
            [mirror + file_name for mirror in self.mirrors],
            data_dir=self.data_dir,
            folder=self.folder,
            places=self.places,
            accept=self._accepts,
        )
        with removed_if_damaged(path):
            array = read_idx(path, ndim)
            if array.dtype != np.uint8 or array.shape[1:] != (28, 28)[: ndim - 1]:
                wanted = (
                    "images of 28 x 28 bytes" if ndim == 3 else "labels of one byte"
                )
                raise DataError(
                    f"{name}: expected {wanted} in {file_name}, got {array.dtype} of "
                    f"shape {array.shape}"
                )
            if ndim == 1 and array.size and array.max() > 9:
                raise DataError(
                    f"{name}: expected labels from 0 to 9 in {file_name}, "
                    f"got {array.max()}"
                )
        return array

    @classmethod
    def _accepts(cls, path: Path) -> bool:
        """A file straight in the folder for downloads is ours, unless it is known."""
        return _content_checksum(path) not in FASHION_CONTENTS

    @staticmethod
    def labels() -> dict[int, str]:
        """The names of the classes."""
        return _named("0 1 2 3 4 5 6 7 8 9")


# CRC-32 of the four files of Fashion-MNIST, which have the names of those of MNIST,
# as they are when unpacked: they have been packed by gzip in more than one way.
FASHION_CONTENTS = frozenset({0xB4F29F28, 0x741A4657, 0x678FE0B1, 0x80142C1F})


def _content_checksum(path: Path) -> int:
    """CRC-32 of what is in a file, unpacked; gzip keeps it near the file's end."""
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        return int.from_bytes(content[-8:-4], "little")
    return zlib.crc32(content)


class FashionMNIST(MNIST):
    """70,000 pictures of clothes of 28 × 28 pixels: 60,000 to train, 10,000 to test.

    The files have the names of MNIST's. They are taken from ``data_dir`` if that is
    given; else from the folder for downloads, ``$DEZERO_HOME`` or ``~/.dezero``, in
    ``fashion-mnist``; else from ``/usr/share/datasets/fashion-mnist``, where Debian's
    package ``dataset-fashion-mnist`` puts them; else they are downloaded.

    Source: H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST: a novel image dataset
    for benchmarking machine learning algorithms, 2017, arXiv 1708.07747.

    Attributes:
        data: (N, 1, 28, 28) of type uint8.
        label: (N,) of type int64.

    Raises:
        DataError: A file is damaged, or not in ``data_dir``.
        DownloadError: The files are nowhere and cannot be downloaded.
    """

    folder = "fashion-mnist"
    places = ("/usr/share/datasets/fashion-mnist",)
    mirrors = (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    )
    checksums: Mapping[str, str] = {
        "train-images-idx3-ubyte.gz": (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
        ),
        "train-labels-idx1-ubyte.gz": (
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
        ),
        "t10k-images-idx3-ubyte.gz": (
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
        ),
        "t10k-labels-idx1-ubyte.gz": (
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
        ),
    }

    @classmethod
    def _accepts(cls, path: Path) -> bool:
        """A file straight in the folder for downloads may be MNIST's."""
        return _content_checksum(path) in FASHION_CONTENTS

    @staticmethod
    def labels() -> dict[int, str]:
        """The names of the classes."""
        return _named(
            "T-shirt/top,trouser,pullover,dress,coat,sandal,shirt,sneaker,bag,"
            "ankle boot",
            ",",
        )


class CIFAR10(_Images):
    """60,000 photographs of 32 × 32 pixels: 50,000 to train, 10,000 to test.

    ``cifar-10-binary.tar.gz`` is taken from ``data_dir`` if that is given; else from
    the folder for downloads, ``$DEZERO_HOME`` or ``~/.dezero``; else it is downloaded.
    The default transform is the book's, which takes the values as they are, 0 to 255;
    ``Compose([ToFloat(), Normalize(127.5, 127.5)])`` gives -1 to 1.

    Source: A. Krizhevsky, Learning multiple layers of features from tiny images, 2009.

    Attributes:
        data: (N, 3, 32, 32) of type uint8.
        label: (N,) of type int64.

    Raises:
        DataError: The file is damaged, or not in ``data_dir``.
        DownloadError: The file is nowhere and cannot be downloaded.
    """

    url = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    sha256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
    # The examples in each file of the archive, one after the other.
    train_files: Mapping[str, int] = {
        f"cifar-10-batches-bin/data_batch_{i}.bin": 10000 for i in range(1, 6)
    }
    test_files: Mapping[str, int] = {"cifar-10-batches-bin/test_batch.bin": 10000}
    # An example is a byte for each kind of label, then its 3 x 32 x 32 bytes.
    label_sizes: Sequence[int] = (10,)
    label_column = 0

    def __init__(
        self,
        train: bool = True,
        transform: Transform | None = CIFAR_TRANSFORM,
        target_transform: Transform | None = None,
        *,
        data_dir: FolderPath | None = None,
    ) -> None:
        self.data_dir = data_dir
        super().__init__(train, transform, target_transform)

    def prepare(self) -> None:
        files = self.train_files if self.train else self.test_files
        columns = len(self.label_sizes)
        row = columns + 3 * 32 * 32
        name = type(self).__name__
        path = find_file(
            name, self.url.rpartition("/")[2], [self.url], data_dir=self.data_dir
        )
        with removed_if_damaged(path):
            contents = read_tar(path, {file: n * row for file, n in files.items()})
            rows = np.concatenate(
                [np.frombuffer(contents[file], np.uint8) for file in files]
            ).reshape(-1, row)
            for column, size in enumerate(self.label_sizes):
                largest = rows[:, column].max()
                if largest >= size:
                    raise DataError(
                        f"{name}: expected labels from 0 to {size - 1} in "
                        f"{Path(path).name}, got {largest}"
                    )
        self.data = rows[:, columns:].reshape(-1, 3, 32, 32)
        self.label = rows[:, self.label_column].astype(np.int64)

    @staticmethod
    def labels() -> dict[int, str]:
        """The names of the classes."""
        return _named("airplane automobile bird cat deer dog frog horse ship truck")


class CIFAR100(CIFAR10):
    """60,000 photographs of 32 × 32 pixels, of 100 kinds of things in 20 groups.

    As :class:`CIFAR10`, from ``cifar-100-binary.tar.gz``.

    Args:
        train: 50,000 examples to train, or 10,000 to test.
        transform: A callable on each image.
        target_transform: A callable on each label.
        label_type: ``'fine'`` for the 100 kinds, ``'coarse'`` for the 20 groups.
        data_dir: Where the file is.

    Raises:
        ValueError: ``label_type`` is neither.
        DataError: The file is damaged, or not in ``data_dir``.
        DownloadError: The file is nowhere and cannot be downloaded.
    """

    url = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
    sha256 = "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"
    train_files: Mapping[str, int] = {"cifar-100-binary/train.bin": 50000}
    test_files: Mapping[str, int] = {"cifar-100-binary/test.bin": 10000}
    label_sizes = (20, 100)  # coarse, fine

    def __init__(
        self,
        train: bool = True,
        transform: Transform | None = CIFAR_TRANSFORM,
        target_transform: Transform | None = None,
        label_type: str = "fine",
        *,
        data_dir: FolderPath | None = None,
    ) -> None:
        self.label_type = label_type
        self.label_column = _label_types("CIFAR100", label_type)
        super().__init__(train, transform, target_transform, data_dir=data_dir)

    @staticmethod
    def labels(label_type: str = "fine") -> dict[int, str]:
        """The names of the classes, or of the groups."""
        column = _label_types("CIFAR100.labels", label_type)
        return _named(FINE_NAMES if column else COARSE_NAMES, ",")


def _label_types(operation: str, label_type: str) -> int:
    """The column of the labels of this type."""
    if label_type not in ("coarse", "fine"):
        raise ValueError(
            f"{operation}: expected label_type 'fine' or 'coarse', got {label_type!r}"
        )
    return ("coarse", "fine").index(label_type)


COARSE_NAMES = (
    "aquatic mammals,fish,flowers,food containers,fruit and vegetables,household "
    "electrical devices,household furniture,insects,large carnivores,large man-made "
    "outdoor things,large natural outdoor scenes,large omnivores and herbivores,"
    "medium-sized mammals,non-insect invertebrates,people,reptiles,small mammals,"
    "trees,vehicles 1,vehicles 2"
)
FINE_NAMES = (
    "apple,aquarium fish,baby,bear,beaver,bed,bee,beetle,bicycle,bottle,bowl,boy,"
    "bridge,bus,butterfly,camel,can,castle,caterpillar,cattle,chair,chimpanzee,clock,"
    "cloud,cockroach,couch,crab,crocodile,cup,dinosaur,dolphin,elephant,flatfish,"
    "forest,fox,girl,hamster,house,kangaroo,keyboard,lamp,lawn mower,leopard,lion,"
    "lizard,lobster,man,maple tree,motorcycle,mountain,mouse,mushroom,oak tree,orange,"
    "orchid,otter,palm tree,pear,pickup truck,pine tree,plain,plate,poppy,porcupine,"
    "possum,rabbit,raccoon,ray,road,rocket,rose,sea,seal,shark,shrew,skunk,skyscraper,"
    "snail,snake,spider,squirrel,streetcar,sunflower,sweet pepper,table,tank,"
    "telephone,television,tiger,tractor,train,trout,tulip,turtle,wardrobe,whale,"
    "willow tree,wolf,woman,worm"
)


for _dataset in (MNIST, FashionMNIST):
    for _mirror in _dataset.mirrors:
        known_checksums.update(
            {_mirror + name: digest for name, digest in _dataset.checksums.items()}
        )
for _archive in (CIFAR10, CIFAR100):
    known_checksums[_archive.url] = _archive.sha256
