"""DCGAN: one network makes pictures, another tells them from real ones."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from dezero import functions as F
from dezero import layers as L
from dezero.backend import Array, get_array_module
from dezero.config import no_grad, test_mode
from dezero.core import Variable, as_input
from dezero.models.model import Model
from dezero.random import generator


class DCGAN(Model):
    """A generator and a discriminator, and what each is to make small.

    The two are trained in turn, each with an optimizer of its own::

        model.discriminator_loss(x) ... update the discriminator
        model.generator_loss(len(x)) ... update the generator

    Radford et al., "Unsupervised representation learning with deep convolutional
    generative adversarial networks", 2016; Goodfellow et al., "Generative adversarial
    networks", 2014, with the generator's loss that does not saturate.

    Args:
        channels: Of the pictures.
        size: Their height and width: 28, 32, 64 or another 4 to 7 times a power of 2.
        latent: Random numbers that a picture is made of.
        width: Channels next to the picture, in both networks.

    Raises:
        ValueError: There is no way to ``size``.

    >>> model = dezero.models.DCGAN(size=28, width=4)
    >>> model.sample(5).shape
    (5, 1, 28, 28)
    """

    def __init__(
        self, channels: int = 1, size: int = 28, latent: int = 100, width: int = 64
    ) -> None:
        super().__init__()
        self.generator = Generator(channels, size, latent, width)
        self.discriminator = Discriminator(channels, size, width)

    def forward(self, z: Any) -> Variable:
        """What the discriminator says of pictures made of ``z`` (N, latent): (N, 1)."""
        return self.discriminator(self.generator(z))

    def discriminator_loss(self, x: Any) -> Variable:
        """How badly real pictures are told from as many new ones.

        The gradient goes to the discriminator alone.

        Args:
            x: (N, channels, size, size), from -1 to 1.
        """
        x = as_input(x)
        with no_grad():
            fake = self.generator(self._noise(len(x)))
        real, fake = self.discriminator(x), self.discriminator(fake)
        return _loss(real, 1) + _loss(fake, 0)

    def generator_loss(self, n: int) -> Variable:
        """How badly ``n`` new pictures pass for real ones.

        The gradient also arrives in the discriminator, whose next ``cleargrads``
        forgets it.
        """
        return _loss(self(self._noise(n)), 1)

    def sample(self, n: int) -> Array:
        """``n`` new pictures (n, channels, size, size), from -1 to 1."""
        with no_grad(), test_mode():
            return self.generator(self._noise(n)).data

    def _noise(self, n: int) -> Array:
        xp = get_array_module(self.generator.last.W)
        return generator(xp).randn(n, self.generator.latent).astype(np.float32)


def _loss(scores: Variable, truth: int) -> Variable:
    """Cross entropy where all are real, or none is."""
    xp = get_array_module(scores)
    return F.sigmoid_cross_entropy(scores, xp.full(scores.shape, truth, scores.dtype))


def _sizes(operation: str, size: int) -> list[int]:
    """The sizes on the way up to ``size``, from 4 to 7."""
    sizes = [size]
    while sizes[0] > 7 and sizes[0] % 2 == 0:
        sizes.insert(0, sizes[0] // 2)
    if not (4 <= sizes[0] <= 7 and len(sizes) > 1):
        raise ValueError(
            f"{operation}: expected a size of 4, 5, 6 or 7 times a power of 2, such as "
            f"28, 32 or 64, got {size}"
        )
    return sizes


class Generator(L.Layer):
    """Random numbers to pictures, by transposed convolutions that double the size.

    Args:
        channels: Of the pictures.
        size: Their height and width.
        latent: Random numbers that a picture is made of.
        width: Channels before the last convolution; each before it has twice as many.

    >>> from dezero.models import Generator
    >>> Generator(channels=3, size=32, latent=10, width=4)(np.ones((2, 10), 'f')).shape
    (2, 3, 32, 32)
    """

    def __init__(
        self, channels: int = 1, size: int = 28, latent: int = 100, width: int = 64
    ) -> None:
        super().__init__()
        self.latent = latent
        first, *larger = _sizes("Generator", size)
        widths = [width * 2**i for i in reversed(range(len(larger)))]
        self.deconvs = [
            L.Deconv2d(widths[0], first, nobias=True, in_channels=latent),
            *(
                L.Deconv2d(o, 4, stride=2, pad=1, nobias=True, in_channels=i)
                for i, o in pairwise(widths)
            ),
        ]
        self.bns = [L.BatchNorm() for _ in self.deconvs]
        self.last = L.Deconv2d(channels, 4, stride=2, pad=1, in_channels=width)

    def forward(self, z: Any) -> Variable:
        """Map ``z`` (N, latent) to pictures (N, channels, size, size), -1 to 1."""
        z = as_input(z)
        x = F.reshape(z, (*z.shape, 1, 1))
        for deconv, bn in zip(self.deconvs, self.bns, strict=True):
            x = F.relu(bn(deconv(x)))
        return F.tanh(self.last(x))


class Discriminator(L.Layer):
    """Pictures to scores, by convolutions that halve the size: above 0 means real.

    Args:
        channels: Of the pictures.
        size: Their height and width.
        width: Channels after the first convolution; each after it has twice as many.

    >>> from dezero.models import Discriminator
    >>> Discriminator(channels=3, size=32, width=4)(np.ones((2, 3, 32, 32), 'f')).shape
    (2, 1)
    """

    def __init__(self, channels: int = 1, size: int = 28, width: int = 64) -> None:
        super().__init__()
        first, *larger = _sizes("Discriminator", size)
        widths = [width * 2**i for i in range(len(larger))]
        self.first = L.Conv2d(width, 4, stride=2, pad=1, in_channels=channels)
        self.convs = [
            L.Conv2d(o, 4, stride=2, pad=1, nobias=True, in_channels=i)
            for i, o in pairwise(widths)
        ]
        self.bns = [L.BatchNorm() for _ in self.convs]
        self.last = L.Conv2d(1, first, in_channels=widths[-1])

    def forward(self, x: Any) -> Variable:
        """Map pictures ``x`` (N, channels, size, size) to (N, 1)."""
        x = F.leaky_relu(self.first(x), 0.2)
        for conv, bn in zip(self.convs, self.bns, strict=True):
            x = F.leaky_relu(bn(conv(x)), 0.2)
        return F.reshape(self.last(x), (-1, 1))
