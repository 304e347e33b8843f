"""The book's ``dezero.transforms``, and more of the same."""

from dezero.data.geometry import (
    Pad,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomVerticalFlip,
)
from dezero.data.mixing import CutMix, Mixup
from dezero.data.pixels import ColorJitter, Cutout, Grayscale, RandomErasing
from dezero.data.transforms import (
    AsType,
    CenterCrop,
    Compose,
    Convert,
    Flatten,
    Normalize,
    Resize,
    ToArray,
    ToFloat,
    ToInt,
    ToPIL,
)

__all__ = [
    "AsType",
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "Convert",
    "CutMix",
    "Cutout",
    "Flatten",
    "Grayscale",
    "Mixup",
    "Normalize",
    "Pad",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomVerticalFlip",
    "Resize",
    "ToArray",
    "ToFloat",
    "ToInt",
    "ToPIL",
]
