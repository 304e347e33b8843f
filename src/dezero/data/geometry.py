"""Images mirrored, cut out, scaled and turned at random: more examples of the same.

As in :mod:`dezero.data.pixels`, each takes an array ``(..., H, W)``, of uint8 or
floats, or a picture of Pillow, and returns the same kind. What draws does so from
``dezero.random.generator()``, as many numbers whatever comes of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.data.transforms import columns, require_picture, width_and_height
from dezero.random import generator

__all__ = [
    "Pad",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomVerticalFlip",
]


def changed(operation: str, image: Any, change: Callable[[Array], Array]) -> Any:
    """What ``change`` makes of an array, or of a picture as an array (C, H, W)."""
    if isinstance(image, np.ndarray):
        if image.ndim < 2:
            raise ValueError(
                f"{operation}: expected an image (..., H, W), got {image.shape}"
            )
        return change(image)
    pillow = require_picture(operation, image)
    if image.mode in ("1", "P"):  # numbers that are no brightness
        image = image.convert("L" if image.mode == "1" else "RGB")
    array = np.asarray(image)  # (H, W) or (H, W, C)
    array = change(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))
    array = array[0] if len(array) == 1 else array.transpose(1, 2, 0)
    return pillow.fromarray(np.ascontiguousarray(array))


def like(y: Array, x: Array) -> Array:
    """Computed values in the type of the image; whole numbers rounded and clipped."""
    if x.dtype.kind in "iu":
        limits = np.iinfo(x.dtype)
        y = np.rint(y).clip(limits.min, limits.max)
    return y.astype(x.dtype)


def uniform(low: float, high: float) -> float:
    """A random number between the two."""
    return low + (high - low) * generator().rand()


def place(room: int) -> int:
    """A whole number from 0 to ``room``, each as likely."""
    return int(generator().rand() * (room + 1))


def probability(operation: str, p: float) -> float:
    """``p``, if it is one."""
    if not 0 <= p <= 1:
        raise ValueError(f"{operation}: expected p from 0 to 1, got {p}")
    return p


def interval(
    operation: str, name: str, value: Sequence[float], largest: float = math.inf
) -> tuple[float, float]:
    """``value``, if it is an interval of positive numbers."""
    low, high = value
    if not 0 < low <= high <= largest:
        upper = "" if largest == math.inf else f" <= {largest:g}"
        raise ValueError(
            f"{operation}: expected {name} (low, high) with 0 < low <= high{upper}, "
            f"got {value}"
        )
    return low, high


# ---------------------------------------------------------------------------- mirrors
class _RandomFlip:
    """An image mirrored along one axis, by chance."""

    draws = True
    axis: int
    way: str  # Pillow's name for it

    def __init__(self, p: float = 0.5) -> None:
        self.p = probability(type(self).__name__, p)

    def __call__(self, image: Any) -> Any:
        if generator().rand() >= self.p:
            return image
        if isinstance(image, np.ndarray):
            return np.flip(image, self.axis)
        pillow = require_picture(type(self).__name__, image)
        return image.transpose(pillow.Transpose[self.way])

    def batch(self, xs: Array) -> Array:
        """One chance for each example, drawn in their order."""
        chosen = generator().rand(len(xs)) < self.p
        return np.where(columns(chosen, xs.ndim), np.flip(xs, self.axis), xs)


class RandomHorizontalFlip(_RandomFlip):
    """Left and right exchanged, by chance: of a picture or an array ``(..., W)``.

    Args:
        p: The probability of it.

    >>> RandomHorizontalFlip(p=1)(np.array([[1, 2, 3]]))
    array([[3, 2, 1]])
    """

    axis = -1
    way = "FLIP_LEFT_RIGHT"


class RandomVerticalFlip(_RandomFlip):
    """Top and bottom exchanged, by chance: of a picture or an array ``(..., H, W)``.

    Args:
        p: The probability of it.

    >>> RandomVerticalFlip(p=1)(np.array([[1, 2], [3, 4]]))
    array([[3, 4],
           [1, 2]])
    """

    axis = -2
    way = "FLIP_TOP_BOTTOM"


# ------------------------------------------------------------------------------ crops
class Pad:
    """An image with more pixels on each side.

    Args:
        padding: How many, or (left and right, top and bottom).
        fill: Their value; or how they follow from the image, in the words of
            ``np.pad``: ``'edge'``, ``'reflect'``, ``'symmetric'`` or ``'wrap'``.

    Raises:
        ValueError: ``padding`` is negative, or ``fill`` another word.

    >>> Pad(1)(np.array([[1, 2]]))
    array([[0, 0, 0, 0],
           [0, 1, 2, 0],
           [0, 0, 0, 0]])
    """

    def __init__(self, padding: int | Sequence[int], fill: float | str = 0) -> None:
        across, down = (padding,) * 2 if isinstance(padding, int) else padding
        if min(across, down) < 0:
            raise ValueError(f"Pad: expected padding of at least 0, got {padding}")
        if isinstance(fill, str) and fill not in (
            ("edge", "reflect", "symmetric", "wrap")
        ):
            raise ValueError(
                "Pad: expected fill as a number, 'edge', 'reflect', 'symmetric' or "
                f"'wrap', got {fill!r}"
            )
        self.widths = (down, down), (across, across)
        self.fill = fill

    def __call__(self, image: Any) -> Any:
        return changed("Pad", image, self._pad)

    batch = __call__

    def _pad(self, x: Array) -> Array:
        widths = [(0, 0)] * (x.ndim - 2) + list(self.widths)
        if isinstance(self.fill, str):
            mode: Any = self.fill
            return np.pad(x, widths, mode)
        return np.pad(x, widths, constant_values=self.fill)


class RandomCrop:
    """A part of an image, from anywhere in it.

    Args:
        size: The side of a square, or (width, height).
        padding: The image is padded by so much first, as :class:`Pad` does it.
        fill: With what.

    Raises:
        ValueError: The image, with its padding, is smaller than the size.

    >>> RandomCrop(28, padding=2)(np.zeros((1, 28, 28))).shape
    (1, 28, 28)
    """

    draws = True

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] = 0,
        fill: float | str = 0,
    ) -> None:
        self.size = width_and_height("RandomCrop", size)
        self.pad = Pad(padding, fill)

    def __call__(self, image: Any) -> Any:
        return changed("RandomCrop", image, self._crop)

    def _crop(self, x: Array) -> Array:
        x, rooms = self._padded(x)
        top, left = map(place, rooms)
        width, height = self.size
        return x[..., top : top + height, left : left + width]

    def batch(self, xs: Array) -> Array:
        """One place for each example, drawn in their order."""
        xs, rooms = self._padded(xs)
        width, height = self.size
        draws = generator().rand(len(xs), 2)
        tops, lefts = (draws * (np.array(rooms) + 1)).astype(int).T
        windows = np.lib.stride_tricks.sliding_window_view(
            xs, (height, width), axis=(-2, -1)
        )  # (N, ..., tops, lefts, height, width)
        parts = [windows[i, ..., tops[i], lefts[i], :, :] for i in range(len(xs))]
        return np.stack(parts) if parts else windows[..., 0, 0, :, :]

    def _padded(self, x: Array) -> tuple[Array, tuple[int, int]]:
        """The image with its padding, and where the part may begin."""
        x = self.pad._pad(x)
        width, height = self.size
        rooms = x.shape[-2] - height, x.shape[-1] - width
        if min(rooms) < 0:
            raise ValueError(
                f"RandomCrop: expected an image of at least {height} rows and {width} "
                f"columns with its padding, got {x.shape}"
            )
        return x, rooms


class RandomResizedCrop:
    """A part of an image of random size, shape and place, scaled to one size.

    Shrinking takes the mean of pixels, by a triangle, as Pillow's bilinear filter.

    Source: C. Szegedy et al., Going deeper with convolutions, 2014, arXiv 1409.4842.

    Args:
        size: The side of a square, or (width, height).
        scale: Between which shares of the image's area that of the part is.
        ratio: Between which quotients of width and height its shape is. Where it does
            not fit into the image, it is cut.

    >>> RandomResizedCrop(4)(np.ones((3, 9, 7), np.float32)).shape
    (3, 4, 4)
    """

    draws = True

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
    ) -> None:
        self.size = width_and_height("RandomResizedCrop", size)
        self.scale = interval("RandomResizedCrop", "scale", scale, 1)
        self.ratio = interval("RandomResizedCrop", "ratio", ratio)

    def __call__(self, image: Any) -> Any:
        return changed("RandomResizedCrop", image, self._crop)

    def _crop(self, x: Array) -> Array:
        rows, cols = random_part(x, self.scale, self.ratio)
        part = x[..., rows, cols].astype(np.result_type(x, np.float32), copy=False)
        width, height = self.size
        down = _scaling(part.shape[-2], height).astype(part.dtype)
        across = _scaling(part.shape[-1], width).astype(part.dtype)
        return like(down @ part @ across.T, x)


def random_part(
    x: Array, scale: tuple[float, float], ratio: tuple[float, float]
) -> tuple[slice, slice]:
    """Rows and columns of a random area and shape, at a random place."""
    H, W = x.shape[-2:]
    area = H * W * uniform(*scale)
    shape = math.exp(uniform(math.log(ratio[0]), math.log(ratio[1])))
    height = min(max(round(math.sqrt(area / shape)), 1), H)
    width = min(max(round(math.sqrt(area * shape)), 1), W)
    top, left = place(H - height), place(W - width)
    return slice(top, top + height), slice(left, left + width)


def _scaling(length: int, wanted: int) -> Array:
    """The matrix (wanted, length) that scales one axis: triangles of weights."""
    step = length / wanted
    centers = (np.arange(wanted)[:, None] + 0.5) * step
    distances = np.abs(np.arange(length) + 0.5 - centers)
    weights = np.maximum(1 - distances / max(step, 1.0), 0)
    return weights / weights.sum(axis=1, keepdims=True)


class RandomRotation:
    """An image turned about its middle by a random angle, in the same frame.

    Pixels are interpolated linearly between the four nearest.

    Args:
        degrees: The largest angle either way, or (least, largest); positive angles
            turn counterclockwise.
        fill: The value of what comes from outside.

    >>> RandomRotation((90, 90))(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[2., 4.],
           [1., 3.]])
    """

    draws = True

    def __init__(self, degrees: float | Sequence[float], fill: float = 0) -> None:
        both = (-degrees, degrees) if isinstance(degrees, (int, float)) else degrees
        self.least, self.largest = both
        if self.least > self.largest:
            raise ValueError(
                "RandomRotation: expected degrees of at least 0, or (least, largest), "
                f"got {degrees}"
            )
        self.fill = fill

    def __call__(self, image: Any) -> Any:
        return changed("RandomRotation", image, self._rotate)

    def _rotate(self, x: Array) -> Array:
        angle = math.radians(uniform(self.least, self.largest))
        H, W = x.shape[-2:]
        down = np.arange(H)[:, None] - (H - 1) / 2
        across = np.arange(W) - (W - 1) / 2
        sin, cos = math.sin(angle), math.cos(angle)
        # Where each pixel comes from; rounded, so that right angles are exact.
        rows = np.round(cos * down + sin * across + (H - 1) / 2, 9)
        cols = np.round(cos * across - sin * down + (W - 1) / 2, 9)
        inside = (rows >= -0.5) & (rows < H - 0.5) & (cols >= -0.5) & (cols < W - 0.5)
        return np.where(inside, like(_between(x, rows, cols), x), self._filling(x))

    def _filling(self, x: Array) -> Array:
        return np.asarray(self.fill).astype(x.dtype)


def _between(x: Array, rows: Array, cols: Array) -> Array:
    """Values (..., *rows.shape) between pixels, linear in both directions."""
    H, W = x.shape[-2:]
    r, c = np.floor(rows).astype(int), np.floor(cols).astype(int)
    dtype = np.result_type(x, np.float32)
    down, across = (rows - r).astype(dtype), (cols - c).astype(dtype)
    top, bottom = r.clip(0, H - 1), (r + 1).clip(0, H - 1)
    left, right = c.clip(0, W - 1), (c + 1).clip(0, W - 1)
    upper = x[..., top, left] * (1 - across) + x[..., top, right] * across
    lower = x[..., bottom, left] * (1 - across) + x[..., bottom, right] * across
    return upper * (1 - down) + lower * down
