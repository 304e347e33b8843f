"""VAE: pictures to a few numbers and back, and new pictures of random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero import functions as F
from dezero import layers as L
from dezero.backend import Array, get_array_module
from dezero.config import Config, no_grad
from dezero.core import Variable, as_input
from dezero.init import he_normal
from dezero.models.model import Model
from dezero.random import generator


class VAE(Model):
    """A variational autoencoder of convolutions.

    The encoder gives mean and variance of a normal distribution of ``latent`` numbers;
    the decoder makes a picture of numbers drawn from it: the probability that a pixel
    is white. ``loss`` is the negative of the evidence lower bound.

    Kingma and Welling, "Auto-encoding variational Bayes", 2014.

    Args:
        channels: Of the pictures.
        size: Their height and width, a multiple of 4.
        latent: Numbers that stand for a picture.
        width: Channels after the first convolution.

    Raises:
        ValueError: ``size`` is no multiple of 4.

    >>> model = dezero.models.VAE(latent=2, width=4)
    >>> x = np.random.rand(3, 1, 28, 28).astype('f')
    >>> model(x).shape, model.loss(x).shape, model.sample(5).shape
    ((3, 1, 28, 28), (), (5, 1, 28, 28))
    """

    def __init__(
        self, channels: int = 1, size: int = 28, latent: int = 20, width: int = 32
    ) -> None:
        super().__init__()
        if size < 4 or size % 4:
            raise ValueError(
                f"VAE: expected a size that is a multiple of 4, got {size}"
            )
        self.latent = latent
        self.shape = (2 * width, size // 4, size // 4)  # of what lies between
        self.conv1 = L.Conv2d(
            width, 4, stride=2, pad=1, in_channels=channels, init=he_normal
        )
        self.conv2 = L.Conv2d(
            2 * width, 4, stride=2, pad=1, in_channels=width, init=he_normal
        )
        features = 2 * width * (size // 4) ** 2
        self.to_mean = L.Linear(latent, in_size=features)
        self.to_log_var = L.Linear(latent, in_size=features)
        self.from_latent = L.Linear(features, in_size=latent, init=he_normal)
        self.deconv1 = L.Deconv2d(
            width, 4, stride=2, pad=1, in_channels=2 * width, init=he_normal
        )
        self.deconv2 = L.Deconv2d(channels, 4, stride=2, pad=1, in_channels=width)

    def encode(self, x: Any) -> tuple[Variable, Variable]:
        """Mean and logarithm of the variance, (N, latent) each, of pictures ``x``."""
        x = F.flatten(F.relu(self.conv2(F.relu(self.conv1(x)))))
        return self.to_mean(x), self.to_log_var(x)

    def decode(self, z: Any) -> Variable:
        """The scores of the pixels of pictures: ``sigmoid`` makes probabilities."""
        x = F.relu(self.from_latent(z))
        x = F.reshape(x, (-1, *self.shape))
        return self.deconv2(F.relu(self.deconv1(x)))

    def forward(self, x: Any) -> Variable:
        """Pictures ``x`` (N, channels, size, size), 0 to 1, as they come back.

        In training they are drawn from the distribution, in test mode they are made
        of its mean.
        """
        mean, log_var = self.encode(x)
        return F.sigmoid(self.decode(_drawn(mean, log_var)))

    def loss(self, x: Any) -> Variable:
        """Minus the evidence lower bound, on average over the pictures, in nats.

        ``cross entropy of the pixels + 1/2 sum(mean² + var - log var - 1)``: how badly
        ``x`` comes back, and how far the distribution is from the standard normal one.

        Args:
            x: (N, channels, size, size), from 0 to 1.
        """
        x = as_input(x)
        mean, log_var = self.encode(x)
        badly = F.sigmoid_cross_entropy(self.decode(_drawn(mean, log_var)), x)
        far = F.sum(mean * mean + F.exp(log_var) - log_var - 1) / (2 * len(x))
        return badly + far

    def sample(self, n: int) -> Array:
        """``n`` new pictures (n, channels, size, size), from 0 to 1."""
        xp = get_array_module(self.from_latent.W)
        z = generator(xp).randn(n, self.latent).astype(np.float32)
        with no_grad():
            return F.sigmoid(self.decode(z)).data


def _drawn(mean: Variable, log_var: Variable) -> Variable:
    """From the normal distribution, in training; in test mode its mean."""
    if not Config.train:
        return mean
    noise = generator(get_array_module(mean)).randn(*mean.shape).astype(mean.dtype)
    return mean + F.exp(log_var / 2) * noise
