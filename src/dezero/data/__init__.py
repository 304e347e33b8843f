"""Data sets, what happens to their examples, and batches of them."""

from dezero.backend.download import get_file
from dezero.data.dataset import Dataset, Subset, split
from dezero.data.folder import ImageFolder, ImageNet
from dezero.data.images import (
    CIFAR10,
    CIFAR100,
    MNIST,
    Digits,
    FashionMNIST,
)
from dezero.data.loader import DataLoader, SeqDataLoader
from dezero.data.sequences import Shakespear, SinCurve
from dezero.data.spiral import Spiral, get_spiral
from dezero.data.text import (
    BPETokenizer,
    CharTokenizer,
    TextDataset,
    read_text,
)

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "BPETokenizer",
    "CharTokenizer",
    "DataLoader",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "ImageFolder",
    "ImageNet",
    "SeqDataLoader",
    "Shakespear",
    "SinCurve",
    "Spiral",
    "Subset",
    "TextDataset",
    "get_file",
    "get_spiral",
    "read_text",
    "split",
]
