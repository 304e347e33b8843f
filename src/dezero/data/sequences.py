"""Data in the order of time, where each label is the example that comes next."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero.backend.download import find_file, known_checksums, removed_if_damaged
from dezero.data.dataset import Dataset
from dezero.data.images import FolderPath
from dezero.data.text import read_text
from dezero.data.transforms import Transform
from dezero.errors import DataError


class SinCurve(Dataset):
    """One period of a sine with noise, to be foretold one step ahead.

    For training it is sin(x) plus uniform noise of up to 0.05, drawn from the global
    ``np.random``; for testing it is cos(x).

    Attributes:
        data: (999, 1) of type float64.
        label: The same one step later.

    >>> curve = dezero.datasets.SinCurve(train=False)
    >>> curve.data.shape, curve.data[0], bool((curve.data[1] == curve.label[0]).all())
    ((999, 1), array([1.]), True)
    """

    def prepare(self) -> None:
        x = np.linspace(0, 2 * np.pi, 1000)
        # Drawn for testing as well: a seeded program then goes on as in the book.
        noise = np.random.uniform(-0.05, 0.05, size=x.shape)
        y = np.sin(x) + noise if self.train else np.cos(x)
        self.data = y[:-1, None]
        self.label = y[1:, None]


class Shakespear(Dataset):
    """1.1 million letters of Shakespeare, to be foretold one letter ahead.

    ``shakespear.txt`` is taken from ``data_dir`` if that is given; else from the
    folder for downloads, ``$DEZERO_HOME`` or ``~/.dezero``; else it is downloaded.

    Attributes:
        data: (N,) of type int64: the number of each letter.
        label: The same one letter later.
        char_to_id: The number of each letter, in the order of their first appearance.
        id_to_char: The letter of each number.

    Raises:
        DataError: The file is empty, or no text, or not in ``data_dir``.
        DownloadError: The file is nowhere and cannot be downloaded.
    """

    url = (
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/"
        "tinyshakespeare/input.txt"
    )

    char_to_id: dict[str, int]
    id_to_char: dict[int, str]

    def __init__(
        self,
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        *,
        data_dir: FolderPath | None = None,
    ) -> None:
        self.data_dir = data_dir
        super().__init__(train, transform, target_transform)

    def prepare(self) -> None:
        path = find_file(
            "Shakespear", "shakespear.txt", [self.url], data_dir=self.data_dir
        )
        with removed_if_damaged(path):
            text = read_text(path, "Shakespear")
            if len(text) < 2:
                raise DataError(
                    "Shakespear: expected at least two letters in shakespear.txt, "
                    f"got {len(text)}"
                )
        self.char_to_id = {char: i for i, char in enumerate(dict.fromkeys(text))}
        self.id_to_char: dict[int, Any] = dict(enumerate(self.char_to_id))
        letters = np.array([self.char_to_id[char] for char in text], dtype=np.int64)
        self.data = letters[:-1]
        self.label = letters[1:]


known_checksums[Shakespear.url] = (
    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
)
