"""UNet: down to see far, up again to say where."""

from __future__ import annotations

from typing import Any

from dezero import functions as F
from dezero import layers as L
from dezero.core import Variable, as_input
from dezero.init import he_normal
from dezero.models.model import Model


class UNet(Model):
    """An image for an image of the same size, such as a class for every pixel.

    On the way down, two convolutions, then a pooling that halves the size, ``depth``
    times; on the way up, a transposed convolution that doubles it, what was there at
    this size on the way down beside it, and two convolutions. Every convolution is
    padded and normalized, unlike in the paper, so that no border is lost.

    Ronneberger et al., "U-Net: convolutional networks for biomedical image
    segmentation", 2015.

    Args:
        in_channels: Channels that go in.
        out_channels: Channels that come out: scores, without an activation.
        width: Channels at full size; each halving doubles them.
        depth: How often the size is halved.

    >>> model = dezero.models.UNet(3, 2, width=4, depth=2)
    >>> model(np.random.rand(1, 3, 16, 24).astype('f')).shape
    (1, 2, 16, 24)
    """

    def __init__(
        self, in_channels: int, out_channels: int, width: int = 32, depth: int = 4
    ) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(depth + 1)]
        sources = [in_channels, *widths]
        self.down = [
            DoubleConv(i, o) for i, o in zip(sources, widths[:-1], strict=False)
        ]
        self.bottom = DoubleConv(sources[-2], widths[-1])
        self.grow = [
            L.Deconv2d(w, kernel_size=2, stride=2, in_channels=2 * w)
            for w in reversed(widths[:-1])
        ]
        self.up = [DoubleConv(2 * w, w) for w in reversed(widths[:-1])]
        self.head = L.Conv2d(out_channels, kernel_size=1, in_channels=width)

    def forward(self, x: Any) -> Variable:
        """Map images ``x`` (N, in_channels, H, W) to (N, out_channels, H, W).

        Raises:
            ValueError: H or W is no multiple of ``2 ** depth``.
        """
        x = as_input(x)
        multiple = 2 ** len(self.down)
        if x.ndim != 4 or x.shape[2] % multiple or x.shape[3] % multiple:
            raise ValueError(
                f"UNet: expected images (N, C, H, W) with H and W multiples of "
                f"{multiple}, as they are halved {len(self.down)} times, got {x.shape}"
            )
        passed = []
        for convs in self.down:
            x = convs(x)
            passed.append(x)
            x = F.pooling(x, kernel_size=2, stride=2)
        x = self.bottom(x)
        for grow, convs in zip(self.grow, self.up, strict=True):
            x = convs(F.concat([passed.pop(), grow(x)], axis=1))
        return self.head(x)


class DoubleConv(L.Layer):
    """Twice a 3×3 convolution, batch normalization and ReLU.

    Args:
        in_channels: Channels that go in.
        out_channels: Channels that come out.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = L.Conv2d(
            out_channels,
            3,
            pad=1,
            nobias=True,
            in_channels=in_channels,
            init=he_normal,
        )
        self.bn1 = L.BatchNorm()
        self.conv2 = L.Conv2d(
            out_channels,
            3,
            pad=1,
            nobias=True,
            in_channels=out_channels,
            init=he_normal,
        )
        self.bn2 = L.BatchNorm()

    def forward(self, x: Any) -> Variable:
        """Map (N, in_channels, H, W) to (N, out_channels, H, W)."""
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)))
