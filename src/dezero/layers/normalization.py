"""Layers of normalization: over the batch, or within each example."""

from __future__ import annotations

from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from dezero import functions as F
from dezero.backend import get_array_module
from dezero.core import Parameter, Variable, as_input
from dezero.layers.layer import Layer, PartialShape


class BatchNorm(Layer):
    """Give every feature mean ``beta`` and standard deviation ``gamma`` in a batch.

    In training, the statistics are those of the batch, and their running averages are
    kept in ``avg_mean`` and ``avg_var``; in ``test_mode``, they are these averages.
    The averages are Parameters so that they are in the file of the weights; they never
    get a gradient, so no optimizer touches them. All four have shape (C,), found at
    the first call.

    Ioffe and Szegedy, "Batch normalization", 2015.

    Args:
        eps: Keeps the root of a variance of 0 off 0. In the weights that PyTorch
            publishes it is 1e-5.

    >>> import dezero.layers as L
    >>> L.BatchNorm()(np.random.randn(8, 3)).shape
    (8, 3)
    """

    published: ClassVar = {
        "avg_mean": "running_mean",
        "avg_var": "running_var",
        "gamma": "weight",
        "beta": "bias",
    }

    def __init__(self, eps: float = 2e-5) -> None:
        super().__init__()
        self.eps = eps
        self.avg_mean = Parameter(None, "avg_mean", requires_grad=False)
        self.avg_var = Parameter(None, "avg_var", requires_grad=False)
        self.gamma = Parameter(None, name="gamma")
        self.beta = Parameter(None, name="beta")

    def forward(self, x: Any) -> Variable:
        """Normalize ``x`` (N, C) or (N, C, H, W) for each of the C features."""
        x = as_input(x)
        if self.gamma.data is None:
            if x.ndim < 2:
                raise ValueError(
                    f"BatchNorm: expected x of shape (N, C, ...), got x {x.shape}"
                )
            xp = get_array_module(x)
            dtype = x.dtype if x.dtype.kind == "f" else np.float32
            for zero in (self.avg_mean, self.beta):
                zero.data = xp.zeros(x.shape[1], dtype)
            for one in (self.avg_var, self.gamma):
                one.data = xp.ones(x.shape[1], dtype)
        mean, var = self.avg_mean.data, self.avg_var.data
        return F.batch_norm(x, self.gamma, self.beta, mean, var, eps=self.eps)

    def _expected_shape(self, name: str) -> PartialShape | None:
        return (None,)


class LayerNorm(Layer):
    """Give every example mean ``beta`` and standard deviation ``gamma``.

    The statistics are those of each vector along the last axis, in training and in
    test alike. ``gamma`` starts at one and ``beta`` at zero, both of shape ``size``.

    Ba et al., "Layer normalization", 2016.

    Args:
        size: Features that go in, or the lengths of several last axes that are
            normalized together; by default the last axis of the first ``x``.
        eps: Keeps the root of a variance of 0 off 0.
        nobias: Leave out ``beta``.
        dtype: The type of ``gamma`` and ``beta``.

    >>> import dezero.layers as L
    >>> L.LayerNorm()(np.array([[1.0, 3.0], [10.0, 30.0]])).data.round(3)
    array([[-1.,  1.],
           [-1.,  1.]])
    """

    published: ClassVar = {"gamma": "weight", "beta": "bias"}

    def __init__(
        self,
        size: int | tuple[int, ...] | None = None,
        eps: float = 1e-5,
        nobias: bool = False,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__()
        self.size = size
        self.eps = eps
        self.dtype = dtype
        self.gamma = Parameter(None, name="gamma")
        self.beta = None if nobias else Parameter(None, name="beta")
        if size is not None:
            _start(self, size)

    def forward(self, x: Any) -> Variable:
        """Normalize each vector of ``x`` (..., size)."""
        x = as_input(x)
        if self.gamma.data is None:
            _require_axes(self, x, 1, "(..., D)")
            _start(self, x.shape[-1], get_array_module(x))
        return F.layer_norm(x, self.gamma, self.beta, self.eps)

    def _expected_shape(self, name: str) -> PartialShape | None:
        return (None,)


class RMSNorm(Layer):
    """Give every example root mean square ``gamma``: LayerNorm without the mean.

    Zhang and Sennrich, "Root mean square layer normalization", 2019.

    Args:
        size: Features that go in, or the lengths of several last axes that are
            normalized together; by default the last axis of the first ``x``.
        eps: Keeps the root of 0 off 0.
        dtype: The type of ``gamma``.

    >>> import dezero.layers as L
    >>> L.RMSNorm()(np.array([[3.0, 4.0, 0.0, 0.0]])).data.round(3)
    array([[1.2, 1.6, 0. , 0. ]])
    """

    beta: None = None

    published: ClassVar = {"gamma": "weight"}

    def __init__(
        self,
        size: int | tuple[int, ...] | None = None,
        eps: float = 1e-6,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__()
        self.size = size
        self.eps = eps
        self.dtype = dtype
        self.gamma = Parameter(None, name="gamma")
        if size is not None:
            _start(self, size)

    def forward(self, x: Any) -> Variable:
        """Normalize each vector of ``x`` (..., size)."""
        x = as_input(x)
        if self.gamma.data is None:
            _require_axes(self, x, 1, "(..., D)")
            _start(self, x.shape[-1], get_array_module(x))
        return F.rms_norm(x, self.gamma, self.eps)

    def _expected_shape(self, name: str) -> PartialShape | None:
        return (None,)


class GroupNorm(Layer):
    """Normalize groups of channels, each example by itself.

    Then every channel is scaled by ``gamma``, which starts at one, and shifted by
    ``beta``, which starts at zero, both (C,).

    Wu and He, "Group normalization", 2018.

    Args:
        groups: Into how many groups of neighbours the channels are cut.
        channels: Channels that go in; by default those of the first ``x``.
        eps: Keeps the root of a variance of 0 off 0.
        dtype: The type of ``gamma`` and ``beta``.

    >>> import dezero.layers as L
    >>> L.GroupNorm(4)(np.random.randn(2, 8, 5, 5)).shape
    (2, 8, 5, 5)
    """

    published: ClassVar = {"gamma": "weight", "beta": "bias"}

    def __init__(
        self,
        groups: int,
        channels: int | None = None,
        eps: float = 1e-5,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__()
        self.groups = groups
        self.eps = eps
        self.dtype = dtype
        self.gamma = Parameter(None, name="gamma")
        self.beta = Parameter(None, name="beta")
        if channels is not None:
            self._require_groups(channels)
            _start(self, channels)

    def _require_groups(self, channels: int) -> None:
        if self.groups < 1 or channels % self.groups:
            raise ValueError(
                f"GroupNorm: expected groups that divide the {channels} channels, got "
                f"{self.groups}"
            )

    def forward(self, x: Any) -> Variable:
        """Normalize ``x`` (N, C, ...)."""
        x = self._prepared(x)
        return F.group_norm(x, self.groups, self.gamma, self.beta, self.eps)

    def _prepared(self, x: Any) -> Variable:
        x = as_input(x)
        if self.gamma.data is None:
            _require_axes(self, x, 2, "(N, C, ...)")
            self._require_groups(x.shape[1])
            _start(self, x.shape[1], get_array_module(x))
        return x

    def _expected_shape(self, name: str) -> PartialShape | None:
        return (None,)


class InstanceNorm(GroupNorm):
    """Normalize each channel of each example by itself: every channel is a group.

    Ulyanov et al., "Instance normalization: the missing ingredient for fast
    stylization", 2016.

    Args:
        channels: Channels that go in; by default those of the first ``x``.
        eps: Keeps the root of a variance of 0 off 0.
        dtype: The type of ``gamma`` and ``beta``.

    >>> import dezero.layers as L
    >>> L.InstanceNorm()(np.random.randn(2, 3, 5, 5)).shape
    (2, 3, 5, 5)
    """

    def __init__(
        self, channels: int | None = None, eps: float = 1e-5, dtype: Any = np.float32
    ) -> None:
        super().__init__(1, channels, eps, dtype)

    def forward(self, x: Any) -> Variable:
        """Normalize ``x`` (N, C, ...)."""
        return F.instance_norm(self._prepared(x), self.gamma, self.beta, self.eps)


def _require_axes(layer: Layer, x: Variable, ndim: int, shape: str) -> None:
    if x.ndim < ndim or not x.size:
        raise ValueError(
            f"{type(layer).__name__}: expected x of shape {shape} with elements, got x "
            f"{x.shape}"
        )


def _start(layer: Any, size: int | tuple[int, ...], xp: ModuleType = np) -> None:
    """Give ``gamma`` and ``beta`` their shape: what they do at first is nothing."""
    layer.gamma.data = xp.ones(size, layer.dtype)
    if layer.beta is not None:
        layer.beta.data = xp.zeros(size, layer.dtype)
