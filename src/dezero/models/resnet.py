"""ResNet: blocks that add to their input what it lacks."""

from __future__ import annotations

from typing import Any

from dezero import functions as F
from dezero import layers as L
from dezero.backend.download import fetch
from dezero.core import Variable
from dezero.models.model import Model
from dezero.models.parts import PUBLISHED, average_over_image, halve


class ResNet(Model):
    """ResNet for the 1,000 classes of ImageNet.

    He et al., "Deep residual learning for image recognition", 2016.

    Args:
        n_layers: 50, 101 or 152.
        pretrained: Load the published weights, which are downloaded once.

    Raises:
        ValueError: ``n_layers`` is another number.
        DownloadError: The weights are needed, not there and cannot be fetched.

    >>> model = dezero.models.ResNet(50)
    >>> [name for name in model.named_params() if name.startswith('res3/b1/conv1')]
    ['res3/b1/conv1/W']
    """

    WEIGHTS_PATH = PUBLISHED + "resnet{}.npz"
    BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}  # noqa: RUF012

    def __init__(self, n_layers: int = 152, pretrained: bool = False) -> None:
        super().__init__()
        if n_layers not in self.BLOCKS:
            raise ValueError(
                f"ResNet: expected n_layers of 50, 101 or 152, got {n_layers}"
            )
        blocks = self.BLOCKS[n_layers]
        self.conv1 = L.Conv2d(64, kernel_size=7, stride=2, pad=3)
        self.bn1 = L.BatchNorm()
        self.res2 = BuildingBlock(blocks[0], 64, 256, stride=1)
        self.res3 = BuildingBlock(blocks[1], 128, 512, stride=2)
        self.res4 = BuildingBlock(blocks[2], 256, 1024, stride=2)
        self.res5 = BuildingBlock(blocks[3], 512, 2048, stride=2)
        self.fc6 = L.Linear(1000)
        if pretrained:
            self.load_weights(fetch(self.WEIGHTS_PATH.format(n_layers)))

    def forward(self, x: Any) -> Variable:
        """Map images ``x`` (N, 3, 224, 224) to (N, 1000) scores."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = halve(x)
        for block in (self.res2, self.res3, self.res4, self.res5):
            x = block(x)
        return self.fc6(average_over_image(x))


class ResNet152(ResNet):
    """ResNet of 152 layers."""

    def __init__(self, pretrained: bool = False) -> None:
        super().__init__(152, pretrained)


class ResNet101(ResNet):
    """ResNet of 101 layers."""

    def __init__(self, pretrained: bool = False) -> None:
        super().__init__(101, pretrained)


class ResNet50(ResNet):
    """ResNet of 50 layers."""

    def __init__(self, pretrained: bool = False) -> None:
        super().__init__(50, pretrained)


class BuildingBlock(L.Layer):
    """Bottlenecks of one width: ``a``, which may change the size, then ``b1``, ``b2`` …

    Args:
        n_layers: How many bottlenecks.
        mid_channels: Channels inside a bottleneck.
        out_channels: Channels that come out.
        stride: Of the first bottleneck.
    """

    def __init__(
        self, n_layers: int, mid_channels: int, out_channels: int, stride: int
    ) -> None:
        super().__init__()
        self.n_layers = n_layers
        self.a = BottleneckA(mid_channels, out_channels, stride)
        for i in range(1, n_layers):
            setattr(self, f"b{i}", BottleneckB(mid_channels, out_channels))

    def forward(self, x: Any) -> Variable:
        """Map (N, C, H, W) to (N, out_channels, H / stride, W / stride)."""
        x = self.a(x)
        for i in range(1, self.n_layers):
            x = getattr(self, f"b{i}")(x)
        return x


class BottleneckB(L.Layer):
    """``x`` plus what three convolutions find in it, through fewer channels."""

    def __init__(self, mid_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = L.Conv2d(mid_channels, 1, stride, nobias=True)
        self.bn1 = L.BatchNorm()
        self.conv2 = L.Conv2d(mid_channels, 3, pad=1, nobias=True)
        self.bn2 = L.BatchNorm()
        self.conv3 = L.Conv2d(out_channels, 1, nobias=True)
        self.bn3 = L.BatchNorm()

    def forward(self, x: Any) -> Variable:
        """Map (N, C, H, W) to (N, out_channels, H / stride, W / stride)."""
        h = F.relu(self.bn1(self.conv1(x)))
        h = F.relu(self.bn2(self.conv2(h)))
        h = self.bn3(self.conv3(h))
        return F.relu(h + self.shortcut(x))

    def shortcut(self, x: Any) -> Variable:
        """What is added to: ``x`` itself."""
        return x


class BottleneckA(BottleneckB):
    """A bottleneck whose shortcut is a convolution too: it may change the size.

    The stride is in the first convolution, as in the original networks.
    """

    def __init__(self, mid_channels: int, out_channels: int, stride: int) -> None:
        super().__init__(mid_channels, out_channels, stride)
        self.conv4 = L.Conv2d(out_channels, 1, stride, nobias=True)
        self.bn4 = L.BatchNorm()

    def shortcut(self, x: Any) -> Variable:
        """What is added to: ``x`` in the new size."""
        return self.bn4(self.conv4(x))
