"""The book's ``dezero.datasets``."""

from dezero.backend.download import cache_dir, get_file
from dezero.data.dataset import Dataset
from dezero.data.images import (
    CIFAR10,
    CIFAR100,
    MNIST,
    Digits,
    FashionMNIST,
    ImageNet,
)
from dezero.data.sequences import Shakespear, SinCurve
from dezero.data.spiral import Spiral, get_spiral
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
    "ImageNet",
    "Normalize",
    "Shakespear",
    "SinCurve",
    "Spiral",
    "ToFloat",
    "cache_dir",
    "get_file",
    "get_spiral",
]
