"""SqueezeNet: as good as the first deep network, with a fiftieth of its weights."""

from __future__ import annotations

from typing import Any, ClassVar

from dezero import functions as F
from dezero import layers as L
from dezero.core import Variable
from dezero.models.model import Model
from dezero.models.parts import average_over_image, halve


class SqueezeNet(Model):
    """SqueezeNet 1.1 for the 1,000 classes of ImageNet.

    Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and
    <0.5MB model size", 2016; version 1.1 is the authors' later one, which needs 2.4
    times less computation.

    Args:
        pretrained: Must be ``False``: nobody has published weights in this layout.

    Raises:
        ValueError: ``pretrained`` is true.

    >>> model = dezero.models.SqueezeNet()
    >>> model.fire2.squeeze.out_channels, model.fire9.expand3.out_channels
    (16, 256)
    """

    published: ClassVar = {
        "conv1": "features.0",
        "fire2": "features.3",
        "fire3": "features.4",
        "fire4": "features.6",
        "fire5": "features.7",
        "fire6": "features.9",
        "fire7": "features.10",
        "fire8": "features.11",
        "fire9": "features.12",
        "conv10": "classifier.1",
    }

    def __init__(self, pretrained: bool = False) -> None:
        super().__init__()
        if pretrained:
            raise ValueError(
                "SqueezeNet: expected pretrained=False, as there are no published "
                "weights, got True; write model.load_weights(path) with weights of "
                "your own"
            )
        self.conv1 = L.Conv2d(64, kernel_size=3, stride=2)
        self.fire2 = Fire(16, 64)
        self.fire3 = Fire(16, 64)
        self.fire4 = Fire(32, 128)
        self.fire5 = Fire(32, 128)
        self.fire6 = Fire(48, 192)
        self.fire7 = Fire(48, 192)
        self.fire8 = Fire(64, 256)
        self.fire9 = Fire(64, 256)
        self.conv10 = L.Conv2d(1000, kernel_size=1)

    def forward(self, x: Any) -> Variable:
        """Map images ``x`` (N, 3, 224, 224) to (N, 1000) scores."""
        x = halve(F.relu(self.conv1(x)))
        x = halve(self.fire3(self.fire2(x)))
        x = halve(self.fire5(self.fire4(x)))
        x = self.fire9(self.fire8(self.fire7(self.fire6(x))))
        x = F.relu(self.conv10(F.dropout(x)))
        return average_over_image(x)


class Fire(L.Layer):
    """Squeeze to few channels with 1×1, then expand with 1×1 and 3×3 side by side.

    Args:
        squeezed: Channels in between.
        expanded: Channels of each of the two that come out.
    """

    published: ClassVar = {"expand1": "expand1x1", "expand3": "expand3x3"}

    def __init__(self, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = L.Conv2d(squeezed, kernel_size=1)
        self.expand1 = L.Conv2d(expanded, kernel_size=1)
        self.expand3 = L.Conv2d(expanded, kernel_size=3, pad=1)

    def forward(self, x: Any) -> Variable:
        """Map (N, C, H, W) to (N, 2 * expanded, H, W)."""
        x = F.relu(self.squeeze(x))
        return F.concat([F.relu(self.expand1(x)), F.relu(self.expand3(x))], axis=1)
