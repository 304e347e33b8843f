"""Normalization within each example: layer, group, instance and root mean square."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.backend.tracing import kernel
from dezero.core import Function, Variable, as_input
from dezero.functions.elementwise import sqrt
from dezero.functions.reduction import as_floating, average, sum
from dezero.functions.shape import reshape

Axes = tuple[int, ...]


def _mean(x: Array, axes: Axes) -> Array:
    count = math.prod([x.shape[i] for i in axes])
    return np.add.reduce(x, axis=axes, keepdims=True) * (1 / count)


@kernel
def _normalize(
    x: Array, axes: Axes, centered: bool, eps: float, *scale_and_shift: Array
) -> tuple[Array, Array | None, Array]:
    """The result, the mean, and 1 / the standard deviation."""
    mean = _mean(x, axes) if centered else None
    xc = x - mean if centered else x
    inv_std = 1 / np.sqrt(_mean(xc * xc, axes) + eps)
    y = xc * inv_std
    for scale in scale_and_shift[:1]:
        y *= scale
    for shift in scale_and_shift[1:]:
        y += shift
    return y, mean, inv_std


@kernel
def _normalize_grad(
    x: Array,
    gy: Array,
    axes: Axes,
    mean: Array | None,
    inv_std: Array,
    parameters: int,
    *scale: Array,
) -> tuple[Array, ...]:
    """The gradients by x and as many of the parameters as there are."""
    h = x * inv_std if mean is None else (x - mean) * inv_std
    g = gy * scale[0] if scale else gy
    gx = g - h * _mean(g * h, axes)
    if mean is not None:
        gx -= _mean(g, axes)
    gx *= inv_std
    others = tuple(range(x.ndim - len(axes)))
    sums = [np.add.reduce(v, axis=others) for v in (gy * h, gy)[:parameters]]
    return (gx, *sums)


class LayerNorm(Function):
    """Normalizes over the last axes; then scales and shifts, if it is told by what."""

    def __init__(self, axes: Axes, centered: bool, eps: float) -> None:
        self.axes = axes
        self.centered = centered  # whether the mean becomes 0
        self.eps = eps

    def forward(self, x: Array, *scale_and_shift: Array) -> Array:
        y, self.mean, self.inv_std = _normalize(
            x, self.axes, self.centered, self.eps, *scale_and_shift
        )
        return y

    def backward(self, gy: Variable) -> Any:
        x, *parameters = self.inputs
        return LayerNormGrad(self, len(parameters))(x, gy, *parameters[:1])


class LayerNormGrad(Function):
    """The gradients by x, scale and shift, with what LayerNorm found on its way.

    With ``h = (x - mean) * r``, ``r = 1 / sqrt(var + eps)`` and the projection
    ``P(v) = v - mean(v) - h mean(v h)`` they are ``r P(gy scale)``, ``sum(gy h)`` and
    ``sum(gy)``. Where x is not centered, all the same without the means of x and v.
    """

    def __init__(self, norm: LayerNorm, parameters: int) -> None:
        self.norm = norm
        self.parameters = parameters

    def forward(self, x: Array, gy: Array, *scale: Array) -> Any:
        norm = self.norm
        return _normalize_grad(
            x, gy, norm.axes, norm.mean, norm.inv_std, self.parameters, *scale
        )

    def backward(self, ggx: Variable, *ggs: Variable) -> tuple[Variable, ...]:
        x, gy, *scales = self.inputs
        axes, centered = self.norm.axes, self.norm.centered

        def mean(v: Variable) -> Variable:
            return average(v, axes, keepdims=True)

        xc = x - mean(x) if centered else x
        r = 1 / sqrt(mean(xc * xc) + self.norm.eps)
        h = xc * r

        def project(v: Variable) -> Variable:
            projected = v - h * mean(v * h)
            return projected - mean(v) if centered else projected

        g = gy * scales[0] if scales else gy
        gh = -r * (ggx * mean(g * h) + g * mean(ggx * h))
        ggy = slope = r * project(ggx)
        if scales:
            gh = gh + ggs[0] * gy
            ggy = ggy * scales[0] + ggs[0] * h
        if len(ggs) > 1:
            ggy = ggy + ggs[1]
        gx = r * project(gh) - h * (r * r * mean(ggx * project(g)))
        others = tuple(range(x.ndim - len(axes)))
        return gx, ggy, *[sum(gy * slope, others) for _ in scales]


def _over_last(operation: str, x: Any, gamma: Any) -> tuple[Variable, Variable, Axes]:
    """``x``, ``gamma``, and the last axes of ``x``, as many as ``gamma`` has."""
    x, gamma = as_floating(x), as_input(gamma)
    last = x.shape[max(x.ndim - gamma.ndim, 0) :]
    if not gamma.ndim or gamma.shape != last:
        raise ValueError(
            f"{operation}: expected gamma of the shape of the last axes of x, got x "
            f"{x.shape} and gamma {gamma.shape}"
        )
    if not gamma.size:
        raise ValueError(f"{operation}: expected elements, got x {x.shape}")
    return x, gamma, tuple(range(x.ndim - gamma.ndim, x.ndim))


def layer_norm(x: Any, gamma: Any, beta: Any = None, eps: float = 1e-5) -> Variable:
    """``gamma * (x - mean) / sqrt(var + eps) + beta``, over the last axes of ``x``.

    Mean and variance are those of each example alone, so that training and test do
    the same (Ba et al., "Layer normalization", 2016).

    Args:
        x: (..., D), or with several axes in place of D.
        gamma: The scale (D,). It says by its shape which axes are normalized.
        beta: The shift, of the shape of ``gamma``; by default there is none.
        eps: Keeps the root of a variance of 0 off 0.

    Raises:
        ValueError: ``gamma`` or ``beta`` has not the shape of the last axes of ``x``.

    >>> layer_norm(np.array([[1.0, 3.0], [10.0, 30.0]]), np.ones(2), np.zeros(2), 0)
    variable([[-1.  1.]
              [-1.  1.]])
    """
    x, gamma, axes = _over_last("layer_norm", x, gamma)
    if beta is None:
        return LayerNorm(axes, True, eps)(x, gamma)
    beta = as_input(beta)
    if beta.shape != gamma.shape:
        raise ValueError(
            f"layer_norm: expected beta of shape {gamma.shape}, as gamma has, got beta "
            f"{beta.shape}"
        )
    return LayerNorm(axes, True, eps)(x, gamma, beta)


def rms_norm(x: Any, gamma: Any, eps: float = 1e-6) -> Variable:
    """``gamma * x / sqrt(mean(x**2) + eps)``, over the last axes of ``x``.

    Layer normalization without the mean (Zhang and Sennrich, "Root mean square layer
    normalization", 2019).

    Args:
        x: (..., D), or with several axes in place of D.
        gamma: The scale (D,). It says by its shape which axes are normalized.
        eps: Keeps the root of 0 off 0.

    Raises:
        ValueError: ``gamma`` has not the shape of the last axes of ``x``.

    >>> rms_norm(np.array([3.0, 0.0, 0.0, 4.0]), np.ones(4), eps=0)
    variable([1.2 0.  0.  1.6])
    """
    x, gamma, axes = _over_last("rms_norm", x, gamma)
    return LayerNorm(axes, False, eps)(x, gamma)


def group_norm(
    x: Any, groups: int, gamma: Any, beta: Any, eps: float = 1e-5
) -> Variable:
    """``gamma * (x - mean) / sqrt(var + eps) + beta``, over groups of channels.

    Mean and variance are those of each example and group, over all its places (Wu and
    He, "Group normalization", 2018).

    Args:
        x: (N, C, ...).
        groups: Into how many groups of neighbours the C channels are cut.
        gamma: The scale (C,).
        beta: The shift (C,).
        eps: Keeps the root of a variance of 0 off 0.

    Raises:
        ValueError: C is not a multiple of ``groups``, or the shapes do not match.

    >>> x = np.array([[1.0, 3.0, 10.0, 30.0]])
    >>> group_norm(x, 2, np.ones(4), np.zeros(4), eps=0)
    variable([[-1.  1. -1.  1.]])
    """
    return _group_norm("group_norm", x, groups, gamma, beta, eps)


def instance_norm(x: Any, gamma: Any, beta: Any, eps: float = 1e-5) -> Variable:
    """``gamma * (x - mean) / sqrt(var + eps) + beta``, over each channel by itself.

    Mean and variance are those of one channel of one example (Ulyanov et al.,
    "Instance normalization: the missing ingredient for fast stylization", 2016).

    Args:
        x: (N, C, ...).
        gamma: The scale (C,).
        beta: The shift (C,).
        eps: Keeps the root of a variance of 0 off 0.

    Raises:
        ValueError: The shapes do not match.

    >>> instance_norm(np.array([[[1.0, 3.0]]]), np.ones(1), np.zeros(1), eps=0)
    variable([[[-1.  1.]]])
    """
    return _group_norm("instance_norm", x, None, gamma, beta, eps)


def _group_norm(
    operation: str, x: Any, groups: int | None, gamma: Any, beta: Any, eps: float
) -> Variable:
    x, gamma, beta = as_floating(x), as_input(gamma), as_input(beta)
    if x.ndim < 2 or not x.size:
        raise ValueError(
            f"{operation}: expected x of shape (N, C, ...) with elements, got {x.shape}"
        )
    N, C, *places = x.shape
    groups = C if groups is None else groups
    if groups < 1 or C % groups:
        raise ValueError(
            f"{operation}: expected groups that divide the {C} channels of x "
            f"{x.shape}, got {groups}"
        )
    for name, a in (("gamma", gamma), ("beta", beta)):
        if a.shape != (C,):
            raise ValueError(
                f"{operation}: expected {name} of shape ({C},) to match x {x.shape}, "
                f"got {name} {a.shape}"
            )
    h = LayerNorm((2,), True, eps)(reshape(x, (N, groups, x.size // (N * groups))))
    per_channel = (C, *(1,) * len(places))
    return reshape(h, x.shape) * reshape(gamma, per_channel) + reshape(
        beta, per_channel
    )
