"""Data sets, what happens to their examples, and batches of them."""

from dezero.backend.download import get_file
from dezero.data.dataset import Dataset
from dezero.data.images import (
    CIFAR10,
    CIFAR100,
    MNIST,
    Digits,
    FashionMNIST,
    ImageNet,
)
from dezero.data.loader import DataLoader, SeqDataLoader
from dezero.data.sequences import Shakespear, SinCurve
from dezero.data.spiral import Spiral, get_spiral

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "DataLoader",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "ImageNet",
    "SeqDataLoader",
    "Shakespear",
    "SinCurve",
    "Spiral",
    "get_file",
    "get_spiral",
]
