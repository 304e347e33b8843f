"""The book's ``dezero.datasets``, and more of the same."""

from dezero.backend.download import cache_dir, get_file
from dezero.data.dataset import Dataset, Subset, split
from dezero.data.folder import ImageFolder, ImageNet
from dezero.data.images import (
    CIFAR10,
    CIFAR100,
    MNIST,
    Digits,
    FashionMNIST,
)
from dezero.data.sequences import Shakespear, SinCurve
from dezero.data.spiral import Spiral, get_spiral
from dezero.data.text import TextDataset
from dezero.data.transforms import Compose, Flatten, Normalize, ToFloat

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "Compose",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "Flatten",
    "ImageFolder",
    "ImageNet",
    "Normalize",
    "Shakespear",
    "SinCurve",
    "Spiral",
    "Subset",
    "TextDataset",
    "ToFloat",
    "cache_dir",
    "get_file",
    "get_spiral",
    "split",
]
