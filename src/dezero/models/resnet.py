"""ResNet: blocks that add to their input what it lacks."""

from __future__ import annotations

from typing import Any, ClassVar

from dezero import functions as F
from dezero import layers as L
from dezero.backend.download import fetch
from dezero.core import Variable
from dezero.init import he_normal
from dezero.models.model import Model
from dezero.models.parts import PUBLISHED, average_over_image, halve

# Of batch normalization, by style.
EPS = {"book": 2e-5, "torchvision": 1e-5}


class ResNet(Model):
    """ResNet, first of all for the 1,000 classes of ImageNet.

    He et al., "Deep residual learning for image recognition", 2016. There are two
    styles, after the weights that are published for them:

    - ``'book'``: as in the paper. The stride of a block is in its first convolution.
    - ``'torchvision'``: as in PyTorch's library of models, also known as version 1.5.
      The stride is in the 3×3 convolution; ``conv1`` has no bias, the first pooling
      begins one pixel outside, and ``eps`` of batch normalization is 1e-5. A
      ``.safetensors`` file of such weights is read by ``load_weights`` as it is.

    Args:
        n_layers: 18, 34, 50, 101 or 152.
        pretrained: Load the book's published weights, which are downloaded once.
        style: ``'book'`` or ``'torchvision'``; by default the book's, from 50 layers.
        classes: Scores that come out.
        width: Channels of the first convolution, from which all others follow.

    Raises:
        ValueError: ``n_layers`` or ``style`` is another; or there are no published
            weights of this kind.
        DownloadError: The weights are needed, not there and cannot be fetched.

    >>> model = dezero.models.ResNet(50)
    >>> [name for name in model.named_params() if name.startswith('res3/b1/conv1')]
    ['res3/b1/conv1/W']
    >>> small = dezero.models.ResNet(18, classes=10, width=8)
    >>> small(np.random.rand(2, 1, 32, 32).astype('f')).shape
    (2, 10)
    """

    WEIGHTS_PATH = PUBLISHED + "resnet{}.npz"
    BLOCKS: ClassVar = {
        18: (2, 2, 2, 2),
        34: (3, 4, 6, 3),
        50: (3, 4, 6, 3),
        101: (3, 4, 23, 3),
        152: (3, 8, 36, 3),
    }
    published: ClassVar = {
        "res2": "layer1",
        "res3": "layer2",
        "res4": "layer3",
        "res5": "layer4",
        "fc6": "fc",
    }

    def __init__(
        self,
        n_layers: int = 152,
        pretrained: bool = False,
        style: str | None = None,
        classes: int = 1000,
        width: int = 64,
    ) -> None:
        super().__init__()
        if n_layers not in self.BLOCKS:
            raise ValueError(
                f"ResNet: expected n_layers of 18, 34, 50, 101 or 152, got {n_layers}"
            )
        basic = n_layers < 50
        if style is None:
            style = "torchvision" if basic else "book"
        if style not in EPS:
            raise ValueError(
                f"ResNet: expected style 'book' or 'torchvision', got '{style}'"
            )
        if pretrained and (basic or style != "book"):
            raise ValueError(
                "ResNet: expected pretrained=False for 18 or 34 layers and for the "
                "style 'torchvision', of which the book published no weights, got "
                "True; write model.load_weights('resnet.safetensors') with a file of "
                "your own"
            )
        self.style = style
        self.conv1 = L.Conv2d(width, 7, stride=2, pad=3, nobias=style != "book")
        self.bn1 = L.BatchNorm(EPS[style])
        for i, n_blocks in enumerate(self.BLOCKS[n_layers]):
            mid = width * 2**i
            out = mid if basic else 4 * mid
            stage = BuildingBlock(n_blocks, mid, out, 1 if i == 0 else 2, style)
            setattr(self, f"res{i + 2}", stage)
        self.fc6 = L.Linear(classes)
        if pretrained:
            self.load_weights(fetch(self.WEIGHTS_PATH.format(n_layers)))

    def forward(self, x: Any) -> Variable:
        """Map images ``x`` (N, 3, 224, 224) to (N, classes) scores."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = halve(x) if self.style == "book" else F.pooling(x, 3, stride=2, pad=1)
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


class ResNet34(ResNet):
    """ResNet of 34 layers.

    Args:
        classes: Scores that come out.
    """

    def __init__(self, classes: int = 1000) -> None:
        super().__init__(34, classes=classes)


class ResNet18(ResNet):
    """ResNet of 18 layers.

    Args:
        classes: Scores that come out.
    """

    def __init__(self, classes: int = 1000) -> None:
        super().__init__(18, classes=classes)


class BuildingBlock(L.Layer):
    """Blocks of one width: ``a``, which may change the size, then ``b1``, ``b2`` …

    They are BasicBlocks if as many channels come out as are inside, else bottlenecks.

    Args:
        n_layers: How many blocks.
        mid_channels: Channels inside a block.
        out_channels: Channels that come out.
        stride: Of the first block.
        style: ``'book'`` or ``'torchvision'``, see ResNet.
    """

    a: L.Layer

    def __init__(
        self,
        n_layers: int,
        mid_channels: int,
        out_channels: int,
        stride: int,
        style: str = "book",
    ) -> None:
        super().__init__()
        self.n_layers = n_layers
        basic = mid_channels == out_channels
        if basic:
            self.a = BasicBlock(out_channels, stride, EPS[style])
        else:
            self.a = BottleneckA(mid_channels, out_channels, stride, style)
        for i in range(1, n_layers):
            if basic:
                block: L.Layer = BasicBlock(out_channels, 1, EPS[style])
            else:
                block = BottleneckB(mid_channels, out_channels, 1, style)
            setattr(self, f"b{i}", block)

    def forward(self, x: Any) -> Variable:
        """Map (N, C, H, W) to (N, out_channels, H / stride, W / stride)."""
        x = self.a(x)
        for i in range(1, self.n_layers):
            x = getattr(self, f"b{i}")(x)
        return x

    def _published(self, name: str) -> str:
        return "0" if name == "a" else name.removeprefix("b")


class BasicBlock(L.Layer):
    """``x`` plus what two convolutions find in it.

    The shortcut is ``x`` itself, or a 1×1 convolution where the stride is above 1.

    Args:
        channels: That come out.
        stride: Of the first convolution and of the shortcut.
        eps: Of batch normalization.
    """

    published: ClassVar = {"conv3": "downsample.0", "bn3": "downsample.1"}

    def __init__(self, channels: int, stride: int = 1, eps: float = 2e-5) -> None:
        super().__init__()
        self.conv1 = L.Conv2d(channels, 3, stride, pad=1, nobias=True, init=he_normal)
        self.bn1 = L.BatchNorm(eps)
        self.conv2 = L.Conv2d(channels, 3, pad=1, nobias=True, init=he_normal)
        self.bn2 = L.BatchNorm(eps)
        self.stride = stride
        if stride > 1:
            self.conv3 = L.Conv2d(channels, 1, stride, nobias=True)
            self.bn3 = L.BatchNorm(eps)

    def forward(self, x: Any) -> Variable:
        """Map (N, C, H, W) to (N, channels, H / stride, W / stride)."""
        h = F.relu(self.bn1(self.conv1(x)))
        h = self.bn2(self.conv2(h))
        return F.relu(h + (self.bn3(self.conv3(x)) if self.stride > 1 else x))


class BottleneckB(L.Layer):
    """``x`` plus what three convolutions find in it, through fewer channels."""

    def __init__(
        self,
        mid_channels: int,
        out_channels: int,
        stride: int = 1,
        style: str = "book",
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if style == "book" else (1, stride)
        eps = EPS[style]
        self.conv1 = L.Conv2d(mid_channels, 1, first, nobias=True)
        self.bn1 = L.BatchNorm(eps)
        self.conv2 = L.Conv2d(mid_channels, 3, second, pad=1, nobias=True)
        self.bn2 = L.BatchNorm(eps)
        self.conv3 = L.Conv2d(out_channels, 1, nobias=True)
        self.bn3 = L.BatchNorm(eps)

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
    """A bottleneck whose shortcut is a convolution too: it may change the size."""

    published: ClassVar = {"conv4": "downsample.0", "bn4": "downsample.1"}

    def __init__(
        self, mid_channels: int, out_channels: int, stride: int, style: str = "book"
    ) -> None:
        super().__init__(mid_channels, out_channels, stride, style)
        self.conv4 = L.Conv2d(out_channels, 1, stride, nobias=True)
        self.bn4 = L.BatchNorm(EPS[style])

    def shortcut(self, x: Any) -> Variable:
        """What is added to: ``x`` in the new size."""
        return self.bn4(self.conv4(x))
