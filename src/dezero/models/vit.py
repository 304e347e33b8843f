"""ViT: a transformer whose tokens are patches of an image."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero import functions as F
from dezero import layers as L
from dezero.core import Parameter, Variable, as_input
from dezero.models.model import Model
from dezero.models.parts import begin_small


class ViT(Model):
    """The vision transformer: scores of classes from an image, cut into patches.

    Patches as vectors, a token that stands for the class and their places, then layers
    in which each looks at all others; the class token's vector gives the scores.

    Dosovitskiy et al., "An image is worth 16x16 words: Transformers for image
    recognition at scale", ICLR 2021. The default is their ViT-Base.

    Args:
        classes: How many there are.
        image_size: Height and width of the images.
        patch: Height and width of a patch.
        width: Features of a token.
        heads: Of each layer's attention.
        depth: Layers.
        channels: Of the images.
        dropout_ratio: Of the vectors, of the attention's weights, and of what each
            part of a layer adds.

    >>> size = {'image_size': 8, 'patch': 4, 'width': 8, 'heads': 2, 'depth': 2}
    >>> model = dezero.models.ViT(10, **size)
    >>> model(np.zeros((3, 3, 8, 8), np.float32)).shape
    (3, 10)
    """

    def __init__(
        self,
        classes: int = 1000,
        image_size: int = 224,
        patch: int = 16,
        width: int = 768,
        heads: int = 12,
        depth: int = 12,
        channels: int = 3,
        dropout_ratio: float = 0.0,
    ) -> None:
        super().__init__()
        if patch < 1 or image_size < patch or image_size % patch:
            raise ValueError(
                "ViT: expected an image_size that is a multiple of patch, got "
                f"image_size {image_size} and patch {patch}"
            )
        self.image_shape = channels, image_size, image_size
        self.dropout_ratio = dropout_ratio
        self.patches = L.Conv2d(width, patch, stride=patch, in_channels=channels)
        self.token = Parameter(np.zeros((1, 1, width), np.float32), name="token")
        self.positions = L.PositionEmbedding(1 + (image_size // patch) ** 2, width)
        self.blocks = [
            L.TransformerEncoderLayer(
                width, heads, dropout_ratio=dropout_ratio, eps=1e-6
            )
            for _ in range(depth)
        ]
        self.norm = L.LayerNorm(width, eps=1e-6)
        self.head = L.Linear(classes, in_size=width)
        begin_small(self)

    def forward(self, x: Any) -> Variable:
        """Map images (N, channels, image_size, image_size) to scores (N, classes).

        Raises:
            ValueError: The images are of another shape.
        """
        x = as_input(x)
        if x.shape[1:] != self.image_shape:
            raise ValueError(
                "ViT: expected images of shape (N, {}, {}, {}), got {}".format(
                    *self.image_shape, x.shape
                )
            )
        y = self.patches(x)  # (N, width, H, W)
        N, width, H, W = y.shape
        y = F.transpose(F.reshape(y, (N, width, H * W)), (0, 2, 1))
        y = F.concat([F.broadcast_to(self.token, (N, 1, width)), y], axis=1)
        y = self.positions(y)
        if self.dropout_ratio:
            y = F.dropout(y, self.dropout_ratio)
        for block in self.blocks:
            y = block(y)
        return self.head(self.norm(y[:, 0]))
