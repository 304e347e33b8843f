"""Spiral: three arms of points in the plane, one class each."""

from __future__ import annotations

import numpy as np

from dezero.backend import Array
from dezero.data.dataset import Dataset


def get_spiral(train: bool = True) -> tuple[Array, Array]:
    """300 points, 100 on each of three spiral arms, in random order.

    The points are the book's, the same at every call. They come from a generator of
    their own: the global ``np.random`` is left as it is.

    Returns:
        The points, (300, 2) of type float32, and their arms, (300,) of type int64.

    >>> x, t = get_spiral(train=True)
    >>> x.shape, t[:3]
    ((300, 2), array([1, 1, 2]))
    """
    arms, points = 3, 100
    generator = np.random.RandomState(1984 if train else 2020)
    arm = np.repeat(np.arange(arms, dtype=np.int64), points)
    radius = np.tile(np.arange(points) / points, arms)
    angle = arm * 4.0 + radius * 4.0 + generator.randn(arms * points) * 0.2
    x = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    order = generator.permutation(arms * points)
    return x[order].astype(np.float32), arm[order]


class Spiral(Dataset):
    """The points of :func:`get_spiral` as a data set.

    >>> len(dezero.datasets.Spiral())
    300
    """

    def prepare(self) -> None:
        self.data, self.label = get_spiral(self.train)
