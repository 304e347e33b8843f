"""VGG: plain 3×3 convolutions, deep."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from dezero import functions as F
from dezero import layers as L
from dezero.backend.download import fetch
from dezero.core import Variable
from dezero.models.model import Model
from dezero.models.parts import PUBLISHED


class VGG(Model):
    """VGG of 11, 13, 16 or 19 layers, first of all for the 1,000 classes of ImageNet.

    Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
    recognition", 2015. Between two poolings the convolutions have as many filters;
    the names ``conv3_2``, ``fc6`` … are those of the paper's authors.
    ``.safetensors`` files of torchvision's weights are read by ``load_weights`` as they
    are; they expect images that are prepared in another way than ``preprocess`` does.

    Args:
        n_layers: 11, 13, 16 or 19.
        classes: Scores that come out.
        width: Filters of the first convolution, from which all others follow.
        hidden: Features of the two layers before the last.

    Raises:
        ValueError: ``n_layers`` is another number.

    >>> model = dezero.models.VGG(11, classes=10, width=8, hidden=32)
    >>> model(np.random.rand(2, 3, 32, 32).astype('f')).shape
    (2, 10)
    """

    # Convolutions between two poolings.
    STAGES: ClassVar = {
        11: (1, 1, 2, 2, 2),
        13: (2, 2, 2, 2, 2),
        16: (2, 2, 3, 3, 3),
        19: (2, 2, 4, 4, 4),
    }
    published: ClassVar = {
        "fc6": "classifier.0",
        "fc7": "classifier.3",
        "fc8": "classifier.6",
    }

    def __init__(
        self,
        n_layers: int,
        classes: int = 1000,
        width: int = 64,
        hidden: int = 4096,
    ) -> None:
        super().__init__()
        if n_layers not in self.STAGES:
            raise ValueError(
                f"VGG: expected n_layers of 11, 13, 16 or 19, got {n_layers}"
            )
        self.n_layers = n_layers
        for i, names in enumerate(self._stages()):
            for name in names:
                filters = width * min(2**i, 8)
                setattr(self, name, L.Conv2d(filters, kernel_size=3, pad=1))
        self.fc6 = L.Linear(hidden)
        self.fc7 = L.Linear(hidden)
        self.fc8 = L.Linear(classes)

    def _stages(self) -> list[list[str]]:
        """The names of the convolutions between two poolings."""
        return [
            [f"conv{i}_{j}" for j in range(1, n + 1)]
            for i, n in enumerate(self.STAGES[self.n_layers], 1)
        ]

    def _published(self, name: str) -> str:
        # There, each convolution, activation and pooling has a number.
        row: list[str] = []
        for names in self._stages():
            row += [x for conv in names for x in (conv, "relu")] + ["pooling"]
        if name in row:
            return f"features.{row.index(name)}"
        return super()._published(name)

    def forward(self, x: Any) -> Variable:
        """Map images (N, 3, 224, 224), see ``preprocess``, to scores (N, classes)."""
        for names in self._stages():
            for name in names:
                x = F.relu(getattr(self, name)(x))
            x = F.pooling(x, kernel_size=2, stride=2)
        x = F.flatten(x)
        x = F.dropout(F.relu(self.fc6(x)))
        x = F.dropout(F.relu(self.fc7(x)))
        return self.fc8(x)

    @staticmethod
    def preprocess(
        image: Any, size: tuple[int, int] | None = (224, 224), dtype: Any = np.float32
    ) -> np.ndarray[Any, Any]:
        """A picture as the book's weights take it: (3, height, width).

        The channels are blue, green, red, from 0 to 255, less their means.

        Args:
            image: A picture of Pillow, of any mode.
            size: The width and height it is resized to; ``None`` leaves it.
            dtype: The type of the result.

        Raises:
            TypeError: ``image`` is not a picture of Pillow.

        >>> from PIL import Image
        >>> VGG.preprocess(Image.new('L', (640, 480))).shape
        (3, 224, 224)
        """
        if not hasattr(image, "convert"):
            raise TypeError(
                f"preprocess: expected a picture of Pillow, got {type(image).__name__}"
                "; write PIL.Image.open(path) or PIL.Image.fromarray(x)"
            )
        image = image.convert("RGB")
        if size is not None:
            image = image.resize(size)
        blue_green_red = np.asarray(image, dtype=dtype)[:, :, ::-1]
        means = np.array([103.939, 116.779, 123.68], dtype=dtype)
        return np.ascontiguousarray((blue_green_red - means).transpose(2, 0, 1))


class VGG16(VGG):
    """VGG of 16 layers for the 1,000 classes of ImageNet.

    Args:
        pretrained: Load the published weights, which are downloaded once (about
            490 MB).

    Raises:
        DownloadError: The weights are needed, not there and cannot be fetched.

    >>> model = dezero.models.VGG16()
    >>> model.conv1_1.out_channels, model.fc8.out_size
    (64, 1000)
    """

    WEIGHTS_PATH = PUBLISHED + "vgg16.npz"

    def __init__(self, pretrained: bool = False) -> None:
        super().__init__(16)
        if pretrained:
            self.load_weights(fetch(self.WEIGHTS_PATH))
