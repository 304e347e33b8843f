"""A small ResNet from DeZero's layers.

He et al., "Deep residual learning for image recognition", 2016.
"""

from typing import Any

import dezero.functions as F
import dezero.layers as L
from benchmarks import weights
from benchmarks.book import training
from benchmarks.data import Program, batch
from dezero import Model, optimizers
from dezero.models import Sequential


class ConvNorm(L.Layer):
    def __init__(self, n_out: int, size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = L.Conv2d(n_out, size, stride, pad=size // 2, nobias=True)
        self.norm = L.BatchNorm()

    def forward(self, x: Any) -> Any:
        return self.norm(self.conv(x))


class Residual(L.Layer):
    """Two convolutions that add to their input; the first may halve the image."""

    def __init__(self, n_out: int, halve: bool) -> None:
        super().__init__()
        stride = 2 if halve else 1
        self.first = ConvNorm(n_out, stride=stride)
        self.second = ConvNorm(n_out)
        self.shortcut = ConvNorm(n_out, 1, stride) if halve else None

    def forward(self, x: Any) -> Any:
        h = self.second(F.relu(self.first(x)))
        return F.relu(h + (self.shortcut(x) if self.shortcut else x))


class ResNet(Model):
    """Three stages of two blocks on images of 32×32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(16)
        self.blocks = Sequential(
            *(Residual(n_out, False) for n_out in (16, 16)),
            *(Residual(n_out, halve) for n_out in (32, 64) for halve in (True, False)),
        )
        self.fc = L.Linear(10)

    def forward(self, x: Any) -> Any:
        x = self.blocks(F.relu(self.stem(x)))
        return self.fc(F.average(x, axis=(2, 3)))


def resnet() -> Program:
    optimizer = optimizers.MomentumSGD(0.01)
    return training(ResNet(), weights.resnet(), optimizer, batch(32, 3, 32, 32))
