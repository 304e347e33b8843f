"""Layers of filters: convolution of images and sequences, and its transpose."""

from __future__ import annotations

import math
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from dezero import functions as F
from dezero.backend import get_array_module
from dezero.backend.convolution import pair
from dezero.core import Parameter, Variable, as_input
from dezero.init import Initializer, checked, draw, lecun_normal, normal
from dezero.layers.layer import Layer, PartialShape


class Conv2d(Layer):
    """Filters that slide over images.

    ``W`` (out, in, KH, KW) is drawn from a normal distribution of variance
    ``1 / (in * KH * KW)``, or as ``init`` says: here if ``in_channels`` is given, else
    at the first call. ``b`` (out,) starts at zero.

    Args:
        out_channels: How many filters there are.
        kernel_size: The size of a filter; an integer, or one for height and one for
            width.
        stride: The step from window to window; likewise.
        pad: The width of the border of zeros; likewise.
        nobias: Leave out ``b``.
        dtype: The type of ``W`` and ``b``.
        in_channels: Channels that go in; by default those of the first ``x``.
        init: What gives the first ``W``: see ``dezero.init``.

    >>> import dezero.layers as L
    >>> L.Conv2d(8, kernel_size=3, pad=1)(np.zeros((2, 3, 6, 6))).shape
    (2, 8, 6, 6)
    """

    _in_axis = 1  # the axis of W for the channels that go in
    _axes = "NCHW"  # of x

    def __init__(
        self,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        pad: int | tuple[int, int] = 0,
        nobias: bool = False,
        dtype: Any = np.float32,
        in_channels: int | None = None,
        init: Initializer | None = None,
    ) -> None:
        super().__init__()
        self.init = checked(type(self).__name__, init)
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.pad = pad
        self.dtype = dtype
        self.W = Parameter(None, name="W")
        self.b = None if nobias else Parameter(np.zeros(out_channels, dtype), name="b")
        if in_channels is not None:
            self._draw(in_channels)

    @property
    def in_channels(self) -> int | None:
        """Channels that go in, or ``None`` before they are known."""
        return None if self.W.data is None else self.W.shape[self._in_axis]

    def _shape(self, in_channels: Any) -> Any:
        return (self.out_channels, in_channels, *pair(self.kernel_size))

    def _draw(self, in_channels: int, xp: ModuleType = np) -> None:
        shape = self._shape(in_channels)
        self.W.data = draw(self.init or lecun_normal, shape, self.dtype, xp)

    def forward(self, x: Any) -> Variable:
        """Map images ``x`` (N, in, H, W) to (N, out, OH, OW)."""
        x = as_input(x)
        if self.W.data is None:
            if x.ndim != len(self._axes):
                raise ValueError(
                    f"{type(self).__name__}: expected x of shape "
                    f"({', '.join(self._axes)}), got x {x.shape}"
                )
            self._draw(x.shape[1], get_array_module(x))
        return self._apply(x)

    def _apply(self, x: Variable) -> Variable:
        return F.conv2d(x, self.W, self.b, self.stride, self.pad)

    def _expected_shape(self, name: str) -> PartialShape | None:
        return self._shape(None) if name == "W" else None


class Conv1d(Conv2d):
    """Filters that slide along sequences.

    Arguments and parameters are those of Conv2d, with single numbers for
    ``kernel_size``, ``stride`` and ``pad``; ``W`` is (out, in, K).

    >>> import dezero.layers as L
    >>> L.Conv1d(8, kernel_size=3, pad=1)(np.zeros((2, 3, 10))).shape
    (2, 8, 10)
    """

    kernel_size: int
    stride: int
    pad: int
    _axes = "NCL"

    def _shape(self, in_channels: Any) -> Any:
        return (self.out_channels, in_channels, self.kernel_size)

    def _apply(self, x: Variable) -> Variable:
        return F.conv1d(x, self.W, self.b, self.stride, self.pad)


class Deconv2d(Conv2d):
    """The transpose of a convolution: every element spreads a filter over the output.

    Arguments and parameters are those of Conv2d, but ``W`` is (in, out, KH, KW). An
    ``init`` gives filters (out, in, KH, KW), of which the first two axes are swapped.

    >>> import dezero.layers as L
    >>> L.Deconv2d(8, kernel_size=4, stride=2, pad=1)(np.zeros((2, 3, 6, 6))).shape
    (2, 8, 12, 12)
    """

    _in_axis = 0

    def _shape(self, in_channels: Any) -> Any:
        return (in_channels, self.out_channels, *pair(self.kernel_size))

    def _draw(self, in_channels: int, xp: ModuleType = np) -> None:
        kernel_size = pair(self.kernel_size)
        if self.init is None:  # in the order of the book
            std = math.sqrt(1 / (in_channels * math.prod(kernel_size)))
            shape = self._shape(in_channels)
            self.W.data = draw(partial(normal, std=std), shape, self.dtype, xp)
        else:
            shape = (self.out_channels, in_channels, *kernel_size)
            W = draw(self.init, shape, self.dtype, xp)
            self.W.data = xp.ascontiguousarray(W.swapaxes(0, 1))

    def _apply(self, x: Variable) -> Variable:
        return F.deconv2d(x, self.W, self.b, self.stride, self.pad)
