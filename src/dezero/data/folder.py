"""Pictures in folders, one folder for each class; ImageNet, which is unpacked so."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np

from dezero.backend.download import fetch, removed_if_damaged
from dezero.data.dataset import Dataset
from dezero.data.images import FolderPath
from dezero.data.transforms import Transform, pillow_for
from dezero.errors import DataError


class ImageFolder(Dataset):
    """Pictures ``data_dir/<class>/*.jpg`` (or ``.jpeg``, ``.png``), and their classes.

    Each example is a picture of Pillow in RGB, read when it is asked for, so that a
    transform such as ``Compose([Resize(256), CenterCrop(224), ToArray()])`` is needed
    to make batches. What is in folders of folders is not looked for.

    Args:
        data_dir: The folder of the folders.
        transform: A callable on each picture.
        target_transform: A callable on each label.

    Attributes:
        data: The paths of the pictures.
        label: (N,) of type int64: the number of each one's folder, in alphabetic order.
        classes: The names of the folders.

    Raises:
        DataError: There are no such folders; or, when it is asked for, a picture is
            damaged.
        MissingDependencyError: Pillow is not installed.
    """

    suffixes = (".jpeg", ".jpg", ".png")
    classes: list[str]

    def __init__(
        self,
        data_dir: FolderPath,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
    ) -> None:
        self.data_dir = data_dir
        super().__init__(True, transform, target_transform)

    def prepare(self) -> None:
        root = self._root()
        folders = sorted(p for p in root.glob("*") if p.is_dir())
        self.classes = [folder.name for folder in folders]
        self.data, labels = [], []
        for number, folder in enumerate(folders):
            pictures = (
                p for p in folder.iterdir() if p.suffix.lower() in self.suffixes
            )
            found = sorted(str(picture) for picture in pictures)
            self.data += found
            labels += [number] * len(found)
        if not self.data:
            raise DataError(
                f"{type(self).__name__}: expected pictures in folders, one for each "
                f"class, in {root}, got none"
            )
        self.label = np.array(labels, dtype=np.int64)

    def _root(self) -> Path:
        return Path(self.data_dir)

    def __getitem__(self, index: Any) -> tuple[Any, Any]:
        path = self.data[index]
        pillow = pillow_for(type(self).__name__)
        try:
            with pillow.open(path) as file:
                picture = file.convert("RGB")
        except (OSError, SyntaxError) as error:  # SyntaxError: Pillow's of broken PNG
            if isinstance(error, FileNotFoundError):
                raise
            raise DataError(
                f"{type(self).__name__}: expected a picture in {path}, got a file "
                f"where {error}"
            ) from error
        return self.transform(picture), self.target_transform(self.label[index])


class ImageNet(ImageFolder):
    """Photographs in folders, one folder for each class, as ImageNet unpacks.

    As :class:`ImageFolder`, in ``data_dir/train`` and ``data_dir/val``. ImageNet
    itself is not free to download.

    Args:
        train: The photographs to learn from, or those to test with.
        transform: A callable on each picture.
        target_transform: A callable on each label.
        data_dir: Where the two folders are.
    """

    url = (
        "https://gist.githubusercontent.com/yrevar/942d3a0ac09ec9e5eb3a/raw/"
        "238f720ff059c1f82f368259d1ca4ffa5dd8f9f5/imagenet1000_clsidx_to_labels.txt"
    )

    def __init__(
        self,
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        *,
        data_dir: FolderPath,
    ) -> None:
        self.data_dir = data_dir
        Dataset.__init__(self, train, transform, target_transform)

    def _root(self) -> Path:
        return Path(self.data_dir) / ("train" if self.train else "val")

    @staticmethod
    def labels() -> dict[int, str]:
        """The names of ImageNet's 1,000 classes, downloaded once.

        Raises:
            DataError: The file is damaged.
            DownloadError: It cannot be downloaded.
        """
        path = fetch(ImageNet.url)
        with removed_if_damaged(path):
            try:
                names = ast.literal_eval(Path(path).read_text(encoding="utf-8"))
            except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
                raise DataError(
                    f"ImageNet.labels: expected a dictionary in {Path(path).name}, "
                    f"got something else ({error})"
                ) from error
            if not _is_table(names):
                raise DataError(
                    "ImageNet.labels: expected names for the numbers from 0 to 999 in "
                    f"{Path(path).name}, got something else"
                )
        return names


def _is_table(names: Any) -> bool:
    return (
        isinstance(names, dict)
        and set(names) == set(range(1000))
        and all(isinstance(name, str) for name in names.values())
    )
