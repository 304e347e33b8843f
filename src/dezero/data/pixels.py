"""Images whose pixels change their values at random: colors, and holes.

As in :mod:`dezero.data.geometry`, each takes an array ``(..., H, W)``, of uint8 or
floats, or a picture of Pillow, and returns the same kind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.data.geometry import (
    changed,
    interval,
    like,
    place,
    probability,
    random_part,
    uniform,
)
from dezero.random import generator

__all__ = ["ColorJitter", "Cutout", "Grayscale", "RandomErasing"]

GRAY = np.array([0.299, 0.587, 0.114])  # of red, green, blue: ITU-R BT.601


# ----------------------------------------------------------------------------- colors
class Grayscale:
    """A color image in shades of gray: ``0.299 R + 0.587 G + 0.114 B``.

    Args:
        channels: 1, or 3 for as many equal ones.

    Raises:
        ValueError: An image has not 3 channels.

    >>> Grayscale()(np.full((3, 1, 2), 100, np.uint8))
    array([[[100, 100]]], dtype=uint8)
    """

    def __init__(self, channels: int = 1) -> None:
        if channels not in (1, 3):
            raise ValueError(f"Grayscale: expected 1 or 3 channels, got {channels}")
        self.weights = np.tile(GRAY, (channels, 1))

    def __call__(self, image: Any) -> Any:
        return changed("Grayscale", image, self._gray)

    batch = __call__

    def _gray(self, x: Array) -> Array:
        _require_colors("Grayscale", x)
        return like(_recolored(x, self.weights), x)


def _require_colors(operation: str, x: Array) -> None:
    if x.ndim < 3 or x.shape[-3] != 3:
        raise ValueError(
            f"{operation}: expected an image (..., 3, H, W), got {x.shape}"
        )


def _recolored(x: Array, matrix: Array) -> Array:
    """Each pixel's colors (..., C, H, W) times a matrix (D, C)."""
    dtype = np.result_type(x, np.float32)
    *more, C, H, W = x.shape
    flat = x.reshape(*more, C, H * W).astype(dtype, copy=False)
    return (matrix.astype(dtype) @ flat).reshape(*more, len(matrix), H, W)


class ColorJitter:
    """Brightness, contrast, saturation and hue changed at random, in this order.

    Brightness times ``f``; contrast as ``m + f * (x - m)`` with the image's mean gray
    ``m``; saturation likewise with each pixel's gray; hue turned by an angle about the
    axis of grays. Each ``f`` is uniform from ``1 - a`` to ``1 + a``, not below 0. It
    is one linear map, so that nothing is clipped in between; what leaves 0 to 255 in
    uint8 is clipped at the end, floats are not.

    Args:
        brightness: The ``a`` of brightness.
        contrast: That of contrast.
        saturation: That of saturation.
        hue: The largest turn either way, as a part of a whole one: 0 to 0.5.

    Raises:
        ValueError: One is negative, ``hue`` above 0.5, or an image has not 3 channels.

    >>> x = np.full((3, 1, 1), 0.5)
    >>> ColorJitter(saturation=0.5, hue=0.5)(x).round(6).tolist()  # gray stays gray
    [[[0.5]], [[0.5]], [[0.5]]]
    """

    draws = True

    def __init__(
        self,
        brightness: float = 0,
        contrast: float = 0,
        saturation: float = 0,
        hue: float = 0,
    ) -> None:
        if min(brightness, contrast, saturation, hue) < 0 or hue > 0.5:
            raise ValueError(
                "ColorJitter: expected numbers of at least 0, and hue up to 0.5, got "
                f"{brightness}, {contrast}, {saturation}, {hue}"
            )
        self.spreads = brightness, contrast, saturation
        self.hue = hue

    def __call__(self, image: Any) -> Any:
        return changed("ColorJitter", image, self._jitter)

    def _jitter(self, x: Array) -> Array:
        _require_colors("ColorJitter", x)
        brightness, contrast, saturation = (
            uniform(max(1 - spread, 0), 1 + spread) for spread in self.spreads
        )
        turn = _turn(2 * math.pi * uniform(-self.hue, self.hue))
        gray = np.tile(GRAY, (3, 1))
        saturate = saturation * np.eye(3) + (1 - saturation) * gray
        linear = brightness * contrast * turn @ saturate
        mean = brightness * (x.mean(axis=(-2, -1), dtype=np.float64) @ GRAY)
        # A gray is what neither saturation nor a turn of hue changes.
        shift = np.asarray((1 - contrast) * mean)[..., None, None, None]
        y = _recolored(x, linear)
        return like(y + shift.astype(y.dtype), x)


def _turn(angle: float) -> Array:
    """The rotation (3, 3) of colors about the axis (1, 1, 1), by Rodrigues' formula."""
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    turn: Array = (
        math.cos(angle) * np.eye(3)
        + math.sin(angle) * cross
        + (1 - math.cos(angle)) / 3 * np.ones((3, 3))
    )
    return turn


# ------------------------------------------------------------------------------ holes
class RandomErasing:
    """A random rectangle of an image painted over, by chance.

    Source: Z. Zhong et al., Random erasing data augmentation, 2017, arXiv 1708.04896.

    Args:
        p: The probability of it.
        scale: Between which shares of the image's area that of the rectangle is.
        ratio: Between which quotients of width and height its shape is.
        fill: The value of its pixels.

    >>> x = RandomErasing(p=1)(np.ones((3, 8, 8)))
    >>> bool((x == 0).any()), bool((x == 1).any())
    (True, True)
    """

    draws = True

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        fill: float = 0,
    ) -> None:
        self.p = probability("RandomErasing", p)
        self.scale = interval("RandomErasing", "scale", scale, 1)
        self.ratio = interval("RandomErasing", "ratio", ratio)
        self.fill = fill

    def __call__(self, image: Any) -> Any:
        return changed("RandomErasing", image, self._erase)

    def _erase(self, x: Array) -> Array:
        chosen = generator().rand() < self.p
        rows, cols = random_part(x, self.scale, self.ratio)
        if not chosen:
            return x
        y = x.copy()
        y[..., rows, cols] = self.fill
        return y


class Cutout:
    """A square of an image painted over, its middle anywhere in the image.

    Source: T. DeVries and G. Taylor, Improved regularization of convolutional neural
    networks with cutout, 2017, arXiv 1708.04552.

    Args:
        size: The side of the square, whose parts outside of the image are lost.
        fill: The value of its pixels.

    >>> bool((Cutout(3)(np.ones((1, 8, 8))) == 0).any())
    True
    """

    draws = True

    def __init__(self, size: int, fill: float = 0) -> None:
        if size < 1:
            raise ValueError(f"Cutout: expected a size of at least 1, got {size}")
        self.size = size
        self.fill = fill

    def __call__(self, image: Any) -> Any:
        return changed("Cutout", image, self._cut)

    def _cut(self, x: Array) -> Array:
        top, left = (place(n - 1) - self.size // 2 for n in x.shape[-2:])
        y = x.copy()
        y[
            ...,
            max(top, 0) : top + self.size,
            max(left, 0) : left + self.size,
        ] = self.fill
        return y
