"""VGG16: plain 3×3 convolutions, deep."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero import functions as F
from dezero import layers as L
from dezero.backend.download import fetch
from dezero.core import Variable
from dezero.models.model import Model
from dezero.models.parts import PUBLISHED


class VGG16(Model):
    """VGG16 for the 1,000 classes of ImageNet.

    Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
    recognition", 2015.

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
    # Filters of the convolutions between two poolings.
    STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))

    def __init__(self, pretrained: bool = False) -> None:
        super().__init__()
        for i, stage in enumerate(self.STAGES, 1):
            for j, filters in enumerate(stage, 1):
                setattr(self, f"conv{i}_{j}", L.Conv2d(filters, kernel_size=3, pad=1))
        self.fc6 = L.Linear(4096)
        self.fc7 = L.Linear(4096)
        self.fc8 = L.Linear(1000)
        if pretrained:
            self.load_weights(fetch(self.WEIGHTS_PATH))

    def forward(self, x: Any) -> Variable:
        """Map images (N, 3, 224, 224), see ``preprocess``, to scores (N, 1000)."""
        for i, stage in enumerate(self.STAGES, 1):
            for j, _ in enumerate(stage, 1):
                x = F.relu(getattr(self, f"conv{i}_{j}")(x))
            x = F.pooling(x, kernel_size=2, stride=2)
        x = F.flatten(x)
        x = F.dropout(F.relu(self.fc6(x)))
        x = F.dropout(F.relu(self.fc7(x)))
        return self.fc8(x)

    @staticmethod
    def preprocess(
        image: Any, size: tuple[int, int] | None = (224, 224), dtype: Any = np.float32
    ) -> np.ndarray[Any, Any]:
        """A picture as VGG16 takes it: (3, height, width).

        The channels are blue, green, red, from 0 to 255, less their means.

        Args:
            image: A picture of Pillow, of any mode.
            size: The width and height it is resized to; ``None`` leaves it.
            dtype: The type of the result.

        Raises:
            TypeError: ``image`` is not a picture of Pillow.

        >>> from PIL import Image
        >>> VGG16.preprocess(Image.new('L', (640, 480))).shape
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
