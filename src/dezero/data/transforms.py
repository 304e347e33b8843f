"""What happens to an example on its way from the data set to the batch.

A transform is any callable on one example. One that also has a method ``batch``
does the same to many examples at once, stacked along a first axis; a data set uses
it where it can. ``batch`` must give exactly what calling on each example gives.

What draws random numbers draws them from ``dezero.random.generator()`` and says so by
``draws = True``: a data loader with a seed then gives it a generator for each example.

Images are arrays ``(C, H, W)`` or pictures of Pillow, which is imported only where
a picture is touched. Their random changes are in :mod:`dezero.data.geometry`
and :mod:`dezero.data.pixels`, what mixes examples in :mod:`dezero.data.mixing`.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable, Sequence
from itertools import zip_longest
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from dezero.backend import Array
from dezero.errors import missing

__all__ = [
    "AsType",
    "CenterCrop",
    "Compose",
    "Convert",
    "Flatten",
    "Normalize",
    "Resize",
    "ToArray",
    "ToFloat",
    "ToInt",
    "ToPIL",
]

Transform = Callable[[Any], Any]
BILINEAR = 2  # Pillow's number for it


@functools.cache
def _has_batch(cls: type) -> bool:
    """Whether ``batch`` of a class does what its ``__call__`` does.

    Where a subclass overrides ``__call__`` alone, what it inherits does something else.
    """
    for base in cls.__mro__:
        if "batch" in vars(base) or "__call__" in vars(base):
            return "batch" in vars(base)
    return False


def batched(transform: Any) -> Transform | None:
    """The form of a transform that takes a whole batch, or ``None``."""
    cls: type = type(transform)
    return transform.batch if _has_batch(cls) else None


def draws(transform: Any) -> bool:
    """Whether a transform says that it draws random numbers."""
    return bool(getattr(transform, "draws", False))


def pillow_for(operation: str) -> ModuleType:
    try:
        return importlib.import_module("PIL.Image")
    except ImportError:
        raise missing("pillow", operation, "plot") from None


def require_picture(operation: str, image: Any) -> ModuleType:
    pillow = pillow_for(operation)
    if not isinstance(image, pillow.Image):
        raise TypeError(
            f"{operation}: expected a picture of Pillow, got {type(image).__name__}; "
            f"write Compose([ToPIL(), {operation}(...)])"
        )
    return pillow


def width_and_height(operation: str, size: int | Sequence[int]) -> tuple[int, int]:
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(
            f"{operation}: expected a size n or (width, height) of at least 1, "
            f"got {size}"
        )
    return pair


class Compose:
    """Several transforms, one after the other; without any, nothing happens.

    >>> Compose([Flatten(), ToFloat()])(np.array([[1, 2], [3, 4]]))
    array([1., 2., 3., 4.], dtype=float32)
    """

    def __init__(self, transforms: Sequence[Transform] = ()) -> None:
        self.transforms = list(transforms)

    def __call__(self, x: Any) -> Any:
        for transform in self.transforms:
            x = transform(x)
        return x

    @property
    def batch(self) -> Transform | None:
        """The form for batches, if every part has one and at most one part draws.

        Otherwise random numbers would be drawn in another order.
        """
        if sum(map(draws, self.transforms)) > 1:
            return None
        for transform in self.transforms:
            if batched(transform) is None:
                return None
        return self._batch

    @property
    def draws(self) -> bool:
        """Whether a part draws random numbers."""
        return any(map(draws, self.transforms))

    def _batch(self, xs: Array) -> Array:
        parts: list[Any] = self.transforms
        for part, following in zip_longest(parts, parts[1:]):
            # Normalize makes float32 of integers by itself, in fewer passes.
            if not (
                type(part) is AsType
                and type(following) is Normalize
                and part.dtype == np.float32
                and xs.dtype.kind in "iu"
            ):
                xs = part.batch(xs)
        return xs


# ---------------------------------------------------------------- pictures of Pillow
class Convert:
    """A picture in another mode of Pillow, such as ``'RGB'`` or ``'L'``, or in BGR."""

    def __init__(self, mode: str = "RGB") -> None:
        self.mode = mode

    def __call__(self, image: Any) -> Any:
        pillow = require_picture("Convert", image)
        if self.mode != "BGR":
            return image.convert(self.mode)
        red, green, blue = image.convert("RGB").split()
        return pillow.merge("RGB", (blue, green, red))


class Resize:
    """A picture scaled to a size.

    Args:
        size: The side of a square, or (width, height).
        mode: Pillow's number of an interpolation; bilinear if not given.
    """

    def __init__(self, size: int | Sequence[int], mode: int = BILINEAR) -> None:
        self.size = width_and_height("Resize", size)
        self.mode = mode

    def __call__(self, image: Any) -> Any:
        require_picture("Resize", image)
        return image.resize(self.size, self.mode)


class CenterCrop:
    """The middle of a picture, or of an array ``(..., H, W)``.

    Where a picture is smaller than the size, Pillow fills the rest with black.

    Args:
        size: The side of a square, or (width, height).

    Raises:
        ValueError: An array is smaller than the size.

    >>> CenterCrop(2)(np.arange(16).reshape(1, 4, 4))
    array([[[ 5,  6],
            [ 9, 10]]])
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = width_and_height("CenterCrop", size)

    def __call__(self, image: Any) -> Any:
        width, height = self.size
        if isinstance(image, np.ndarray):
            if image.ndim < 2 or image.shape[-2] < height or image.shape[-1] < width:
                raise ValueError(
                    f"CenterCrop: expected an array of at least {height} rows and "
                    f"{width} columns, got {image.shape}"
                )
            H, W = image.shape[-2:]
            top, left = (H - height) // 2, (W - width) // 2
            return image[..., top : top + height, left : left + width]
        require_picture("CenterCrop", image)
        W, H = image.size
        left, top = (W - width) // 2, (H - height) // 2
        return image.crop((left, top, left + width, top + height))

    batch = __call__


class ToArray:
    """A picture as an array ``(C, H, W)``, gray pictures with C = 1.

    Values stay as they are: 0 to 255 for most modes. Arrays pass untouched.

    Args:
        dtype: The type of the array.

    Raises:
        TypeError: It is neither a picture nor an array.
    """

    def __init__(self, dtype: npt.DTypeLike = np.float32) -> None:
        self.dtype = np.dtype(dtype)

    def __call__(self, image: Any) -> Array:
        if isinstance(image, np.ndarray):
            return image
        if not isinstance(image, pillow_for("ToArray").Image):
            raise TypeError(
                "ToArray: expected a picture of Pillow or an array, got "
                f"{type(image).__name__}"
            )
        array = np.asarray(image)  # (H, W) or (H, W, C)
        array = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
        return array.astype(self.dtype, order="C")

    def batch(self, xs: Array) -> Array:
        """Arrays pass untouched."""
        return xs


class ToPIL:
    """An array ``(C, H, W)`` or ``(H, W)`` as a picture of Pillow.

    Floats are taken as 0 to 255, as ToArray gives them, rounded and clipped.

    Raises:
        TypeError: It is not an array.
        ValueError: It is not (H, W), or (C, H, W) with C of 1, 3 or 4.
    """

    def __call__(self, array: Array) -> Any:
        if not isinstance(array, np.ndarray):
            raise TypeError(f"ToPIL: expected an array, got {type(array).__name__}")
        if array.ndim != 2 and (array.ndim != 3 or len(array) not in (1, 3, 4)):
            raise ValueError(
                "ToPIL: expected an array (H, W), or (C, H, W) with C of 1, 3 or 4, "
                f"got {array.shape}"
            )
        if array.dtype != np.uint8:
            array = np.rint(array).clip(0, 255).astype(np.uint8)
        if array.ndim == 3:
            array = array[0] if len(array) == 1 else array.transpose(1, 2, 0)
        return pillow_for("ToPIL").fromarray(np.ascontiguousarray(array))


def columns(values: Array, ndim: int) -> Array:
    """(n,) as (n, 1, 1, ...), to meet arrays of ``ndim`` axes along their first."""
    return values.reshape(-1, *(1,) * (ndim - 1))


# --------------------------------------------------------------------------- arrays
class Normalize:
    """``(x - mean) / std``. Integers become float32, floats keep their type.

    Args:
        mean: One number, or one for each channel of (C, H, W).
        std: Likewise.

    Raises:
        ValueError: ``std`` is zero somewhere, or there are not as many numbers as
            channels.

    >>> Normalize(mean=1, std=2)(np.array([1, 2, 5], dtype=np.uint8))
    array([0. , 0.5, 2. ], dtype=float32)
    """

    def __init__(
        self, mean: float | Sequence[float] = 0, std: float | Sequence[float] = 1
    ) -> None:
        if not np.all(np.asarray(std)):
            raise ValueError(f"Normalize: expected std without zeros, got {std}")
        self.mean = mean
        self.std = std

    def __call__(self, x: Array) -> Array:
        return self._normalize(x, channel_axis=0)

    def batch(self, xs: Array) -> Array:
        """The same for (N, C, H, W)."""
        return self._normalize(xs, channel_axis=1)

    def _normalize(self, x: Array, channel_axis: int) -> Array:
        dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.float32)
        mean, std = self.mean, self.std
        if not isinstance(mean, (int, float)):
            mean = self._per_channel(mean, x, channel_axis, dtype)
        if not isinstance(std, (int, float)):
            std = self._per_channel(std, x, channel_axis, dtype)
        if mean is not self.mean or mean != 0:
            y = np.subtract(x, mean, dtype=dtype)
        elif x.dtype != dtype:
            y = x.astype(dtype)
        else:
            return x / std
        y /= std
        return y

    @staticmethod
    def _per_channel(value: Any, x: Array, axis: int, dtype: Any) -> Any:
        values = np.asarray(value, dtype=dtype)
        if values.ndim == 0:
            return values
        if values.ndim != 1 or len(values) not in (1, x.shape[axis]):
            raise ValueError(
                f"Normalize: expected one number or {x.shape[axis]}, one for each "
                f"channel of x {x.shape[axis:]}, got {value}"
            )
        return columns(values, x.ndim - axis)


class Flatten:
    """An array as a vector.

    >>> Flatten()(np.zeros((1, 28, 28))).shape
    (784,)
    """

    def __call__(self, x: Array) -> Array:
        return x.flatten()

    def batch(self, xs: Array) -> Array:
        """(N, ...) as (N, features)."""
        return xs.reshape(len(xs), math.prod(xs.shape[1:]))


class AsType:
    """An array, or a number, in another type.

    >>> AsType(np.float64)(np.array([1, 2]))
    array([1., 2.])
    """

    def __init__(self, dtype: npt.DTypeLike = np.float32) -> None:
        self.dtype = np.dtype(dtype)

    def __call__(self, x: Any) -> Any:
        return np.asarray(x).astype(self.dtype)[()]

    def batch(self, xs: Array) -> Array:
        """The same for all."""
        return xs.astype(self.dtype)


ToFloat = AsType


class ToInt(AsType):
    """An array, or a number, as integers.

    >>> ToInt()(np.array([1.9, -1.9]))
    array([ 1, -1])
    """

    def __init__(self, dtype: npt.DTypeLike = np.int64) -> None:
        super().__init__(dtype)
