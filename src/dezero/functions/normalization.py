"""Batch normalization."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.config import Config, recomputing
from dezero.core import Function, Variable, as_input
from dezero.functions.elementwise import sqrt
from dezero.functions.reduction import as_floating, average, sum
from dezero.functions.shape import reshape


def _batch_axes(ndim: int) -> tuple[int, ...]:
    """All axes of (N, C, ...) but that of the channels."""
    return (0, *range(2, ndim))


def _per_channel(ndim: int) -> tuple[int, ...]:
    """The shape in which an array (C,) broadcasts against (N, C, ...)."""
    return (1, -1, *(1,) * (ndim - 2))


def _channel_sum(*xs: Array) -> Array:
    """The sum over each channel of a product of arrays (N, C, ...), as (1, C, 1 ...).

    einsum needs no array for the product and sums several times faster than ``sum``.
    """
    axes = list(range(xs[0].ndim))
    operands = [part for x in xs for part in (x, axes)]
    return np.einsum(*operands, [1]).reshape(_per_channel(len(axes)))


class BatchNorm(Function):
    """Normalizes by the mean and variance of the batch itself."""

    def __init__(self, mean: Array, var: Array, decay: float, eps: float) -> None:
        self.avg_mean = mean
        self.avg_var = var
        self.decay = decay
        self.eps = eps

    def forward(self, x: Array, gamma: Array, beta: Array) -> Array:
        shape = _per_channel(x.ndim)
        count = x.size // gamma.size
        mean = _channel_sum(x) / count
        xc = x - mean
        var = _channel_sum(xc, xc) / count
        inv_std = 1 / np.sqrt(var + self.eps)
        if Config.enable_backprop and not recomputing.get():
            self._update(mean, var, count)
        self.xc, self.inv_std = xc, inv_std
        y = xc * (gamma.reshape(shape) * inv_std)
        y += beta.reshape(shape)
        return y

    def _update(self, mean: Array, var: Array, count: int) -> None:
        unbiased = count / max(count - 1, 1)
        mean, var = (1 - self.decay) * mean.ravel(), (1 - self.decay) * var.ravel()
        self.avg_mean[...] = self.avg_mean * self.decay + mean
        self.avg_var[...] = self.avg_var * self.decay + unbiased * var

    def backward(self, gy: Variable) -> Any:
        x, gamma, _ = self.inputs
        return BatchNormGrad(self.xc, self.inv_std, self.eps)(x, gamma, gy)


class BatchNormGrad(Function):
    """The gradients by x, gamma and beta, from what BatchNorm computed on its way.

    With ``h = (x - mean) * r``, ``r = 1 / sqrt(var + eps)`` and the projection
    ``P(v) = v - mean(v) - h mean(v h)`` they are ``gamma r P(gy)``, ``sum(gy h)``
    and ``sum(gy)``.
    """

    def __init__(self, xc: Array, inv_std: Array, eps: float) -> None:
        self.xc = xc
        self.inv_std = inv_std
        self.eps = eps

    def forward(self, x: Array, gamma: Array, gy: Array) -> tuple[Array, Array, Array]:
        count = x.size // gamma.size
        gbeta = _channel_sum(gy)
        ggamma = _channel_sum(gy, self.xc) * self.inv_std
        gx = self.xc * (self.inv_std * ggamma / -count)
        gx += gy
        gx -= gbeta / count
        gx *= gamma.reshape(gbeta.shape) * self.inv_std
        return gx, ggamma.ravel(), gbeta.ravel()

    def backward(
        self, ggx: Variable, gggamma: Variable, ggbeta: Variable
    ) -> tuple[Variable, Variable, Variable]:
        x, gamma, gy = self.inputs
        axes, shape = _batch_axes(x.ndim), _per_channel(x.ndim)

        def mean(v: Variable) -> Variable:
            return average(v, axes, keepdims=True)

        xc = x - mean(x)  # as forward had it, now as part of the graph
        r = 1 / sqrt(mean(xc * xc) + self.eps)
        h = xc * r

        def project(v: Variable) -> Variable:
            return v - mean(v) - h * mean(v * h)

        scale = reshape(gamma, shape) * r
        gggamma, ggbeta = reshape(gggamma, shape), reshape(ggbeta, shape)
        projected = project(gy)
        gh = gggamma * gy - scale * (ggx * mean(gy * h) + gy * mean(ggx * h))
        gx = r * project(gh) - h * (r * scale * mean(ggx * projected))
        return (
            gx,
            sum(ggx * projected * r, axes),
            scale * project(ggx) + gggamma * h + ggbeta,
        )


def batch_norm(
    x: Any,
    gamma: Any,
    beta: Any,
    mean: Any,
    var: Any,
    decay: float = 0.9,
    eps: float = 2e-5,
) -> Variable:
    """``gamma * (x - mean) / sqrt(var + eps) + beta``, for each channel.

    In training the mean and variance are the batch's own, and the averages ``mean``
    and ``var`` are written in place: each becomes ``decay`` times itself and
    ``1 - decay`` times the batch's (for the variance, the unbiased one); not so
    under ``no_grad``. In test mode they take the place of the batch's (Ioffe and
    Szegedy, Batch Normalization, ICML 2015).

    Args:
        x: (N, C), (N, C, H, W) or any other (N, C, ...).
        gamma: The scale, (C,).
        beta: The shift, (C,).
        mean: The running average of the mean, (C,).
        var: The running average of the variance, (C,).
        decay: How much of the averages stays at each call.
        eps: Keeps the root of a variance of 0 off 0.

    Raises:
        ValueError: The shapes do not go together.

    >>> x = np.array([[1.0], [3.0]])
    >>> mean, var = np.zeros(1), np.ones(1)
    >>> batch_norm(x, np.array([1.0]), np.array([0.0]), mean, var, eps=0)
    variable([[-1.]
              [ 1.]])
    >>> mean, var
    (array([0.2]), array([1.1]))
    """
    x = as_floating(x)
    gamma, beta, mean, var = map(as_input, (gamma, beta, mean, var))
    if x.ndim < 2 or x.size == 0:
        raise ValueError(
            f"batch_norm: expected x of shape (N, C, ...) with elements, got {x.shape}"
        )
    for name, a in (("gamma", gamma), ("beta", beta), ("mean", mean), ("var", var)):
        if a.shape != (x.shape[1],):
            raise ValueError(
                f"batch_norm: expected {name} of shape ({x.shape[1]},) to match x "
                f"{x.shape}, got {name} {a.shape}"
            )
    if Config.train:
        return BatchNorm(mean.data, var.data, decay, eps)(x, gamma, beta)
    shape = _per_channel(x.ndim)
    inv_std = 1 / np.sqrt(var.data.astype(x.dtype) + eps)
    xc = x - mean.data.astype(x.dtype).reshape(shape)
    return xc * reshape(gamma * inv_std, shape) + reshape(beta, shape)


batch_nrom = batch_norm  # the book's spelling
