"""Examples mixed with each other: what makes a batch for a loader's ``collate``.

The labels become shares (N, classes), float32, which ``F.softmax_cross_entropy`` takes
in place of labels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.data.dataset import stack
from dezero.random import generator

__all__ = ["CutMix", "Mixup"]


class _Mixing:
    """Each example of a batch mixed with a partner out of the same batch."""

    def __init__(self, classes: int, alpha: float) -> None:
        name = type(self).__name__
        if classes < 1:
            raise ValueError(f"{name}: expected classes of at least 1, got {classes}")
        if not alpha > 0:
            raise ValueError(f"{name}: expected alpha above 0, got {alpha}")
        self.classes = classes
        self.alpha = alpha

    def __call__(self, examples: list[Any]) -> tuple[Array, Array]:
        name = type(self).__name__
        x = stack(name, [example[0] for example in examples])
        labels = stack(name, [example[1] for example in examples])
        if labels is None or labels.ndim != 1 or labels.dtype.kind not in "iu":
            got = "none" if labels is None else f"{labels.dtype} {labels.shape[1:]}"
            raise TypeError(f"{name}: expected integers as labels, got {got}")
        if labels.min() < 0 or labels.max() >= self.classes:
            raise ValueError(
                f"{name}: expected labels from 0 to {self.classes - 1}, got labels "
                f"from {labels.min()} to {labels.max()}"
            )
        t = np.eye(self.classes, dtype=np.float32)[labels]
        share = float(generator().beta(self.alpha, self.alpha))
        partner = generator().permutation(len(x))
        x, share = self._mixed(x, x[partner], share)
        return x, (share * t + (1 - share) * t[partner]).astype(np.float32)

    def _mixed(self, x: Array, other: Array, share: float) -> tuple[Array, float]:
        raise NotImplementedError


class Mixup(_Mixing):
    """``share * x + (1 - share) * x[partner]``, and the labels likewise.

    The share is drawn from Beta(alpha, alpha), one for the batch.

    Source: H. Zhang et al., mixup: Beyond empirical risk minimization, 2017, arXiv
    1710.09412.

    Args:
        classes: How many classes there are.
        alpha: Small: mostly one of the two; 1: any share as likely.

    Raises:
        TypeError: The labels are no integers.
        ValueError: A label is not from 0 to ``classes - 1``.

    >>> digits = dezero.datasets.Digits()
    >>> loader = dezero.DataLoader(digits, 32, seed=0, collate=Mixup(classes=10))
    >>> x, t = next(iter(loader))
    >>> x.shape, t.shape, bool(np.allclose(t.sum(axis=1), 1))
    ((32, 64), (32, 10), True)
    """

    def __init__(self, classes: int, alpha: float = 0.2) -> None:
        super().__init__(classes, alpha)

    def _mixed(self, x: Array, other: Array, share: float) -> tuple[Array, float]:
        dtype = np.result_type(x, np.float32)
        return (share * x + (1 - share) * other).astype(dtype), share


class CutMix(_Mixing):
    """A rectangle of each image (..., H, W) comes from its partner.

    The labels count by area. The share of the area that is left, before what is
    outside of the image is lost, is drawn from Beta(alpha, alpha).

    Source: S. Yun et al., CutMix: Regularization strategy to train strong classifiers
    with localizable features, 2019, arXiv 1905.04899.

    Args:
        classes: How many classes there are.
        alpha: As for :class:`Mixup`.

    Raises:
        TypeError: The labels are no integers.
        ValueError: A label is not from 0 to ``classes - 1``, or an example no image.

    >>> examples = [(np.full((1, 4, 4), i), i) for i in range(2)]
    >>> x, t = CutMix(classes=2)(examples)
    >>> bool(np.allclose(x.mean(axis=(1, 2, 3)), t[:, 1]))
    True
    """

    def __init__(self, classes: int, alpha: float = 1.0) -> None:
        super().__init__(classes, alpha)

    def _mixed(self, x: Array, other: Array, share: float) -> tuple[Array, float]:
        if x.ndim < 3:
            raise ValueError(f"CutMix: expected images (..., H, W), got {x.shape[1:]}")
        bounds = []
        for length in x.shape[-2:]:
            half = length * math.sqrt(1 - share) / 2
            middle = generator().rand() * length
            bounds.append(
                slice(max(round(middle - half), 0), min(round(middle + half), length))
            )
        rows, cols = bounds
        mixed = x.copy()
        mixed[..., rows, cols] = other[..., rows, cols]
        cut = (rows.stop - rows.start) * (cols.stop - cols.start)
        return mixed, 1 - cut / (x.shape[-2] * x.shape[-1])
