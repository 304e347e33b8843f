"""Hooks: what is done to the gradients before an update."""

from __future__ import annotations

import math
import warnings

import numpy as np

from dezero.backend import Array, get_array_module
from dezero.backend.tracing import Stateful, is_traced, number, require
from dezero.core import Parameter
from dezero.optimizers.optimizer import Target


class WeightDecay(Stateful):
    """Add ``rate * x`` to each gradient: the gradient of ``rate / 2 * sum(x**2)``.

    Args:
        rate: The strength of the pull towards zero.

    >>> optimizer = dezero.optimizers.SGD()
    >>> optimizer.add_hook(dezero.optimizers.WeightDecay(1e-4))
    """

    numbers_vary = True

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, params: list[Parameter]) -> None:
        for param in params:
            if param.grad is not None:
                param.grad.data = param.grad.data + param.data * number(self.rate)


class ClipGrad(Stateful):
    """Scale all gradients together so that their common norm is below ``max_norm``.

    Pascanu et al., "On the difficulty of training recurrent neural networks", 2013.

    Where a gradient has NaN or infinity, there is no direction left to go: the step
    is left out, with a warning, and parameters and moments stay as they are. A
    compiled step raises FloatingPointError instead, before it changes anything.

    Args:
        max_norm: The largest norm, over the elements of all gradients, that passes.

    >>> optimizer = dezero.optimizers.SGD()
    >>> optimizer.add_hook(dezero.optimizers.ClipGrad(1.0))
    """

    numbers_vary = True

    def __init__(self, max_norm: float) -> None:
        self.max_norm = max_norm

    def __call__(self, params: list[Parameter]) -> None:
        params = [param for param in params if param.grad is not None]
        if any(is_traced(param.data) for param in params):
            self._clip_traced(params)
            return
        norms = [_norm(param) for param in params]
        total = math.hypot(*norms)
        if not math.isfinite(total):
            shapes = [
                str(param.shape)
                for param, norm in zip(params, norms, strict=True)
                if not math.isfinite(norm)
            ]
            for param in params:
                param.cleargrad()
            warnings.warn(
                "ClipGrad: expected finite gradients, got NaN or infinity for "
                f"parameters of shape {', '.join(shapes)}; this step is left out",
                RuntimeWarning,
                stacklevel=3,
            )
            return
        rate = float(self.max_norm) / (total + 1e-6)
        if rate < 1:
            for param in params:
                assert param.grad is not None
                param.grad.data = param.grad.data * rate

    def _clip_traced(self, params: list[Parameter]) -> None:
        """The same with nothing read: what a compiled step does at every call."""
        gradients = [param.grad for param in params if param.grad is not None]
        largest = _largest(gradients[0].data)
        for gx in gradients[1:]:
            largest = np.maximum(largest, _largest(gx.data))
        scale = np.where(largest > 0, largest, 1)  # squares of gx / scale are at most 1
        total = 0
        for gx in gradients:
            scaled = gx.data / scale
            total = total + (scaled * scaled).sum()
        norm = np.sqrt(total) * scale
        require(
            np.isfinite(norm),
            lambda low, high: FloatingPointError(
                f"ClipGrad: expected finite gradients, got a norm of {high}; nothing "
                "was updated"
            ),
            norm,
        )
        rate = np.minimum(self.max_norm / (norm + 1e-6), 1)
        for gx in gradients:
            gx.data = gx.data * rate


def _largest(gx: Array) -> Array:
    """The largest magnitude, without an array for the magnitudes."""
    return np.maximum(gx.max(), -gx.min())


def _norm(param: Parameter) -> float:
    """The norm of a gradient, also where its squares would be too large."""
    assert param.grad is not None
    gx = param.grad.data.reshape(-1)
    xp = get_array_module(gx)
    with np.errstate(over="ignore"):
        square = float(xp.vdot(gx, gx))
    if math.isfinite(square):
        return math.sqrt(square)
    largest = float(xp.abs(gx).max())
    if not math.isfinite(largest):
        return largest
    gx = gx / largest
    return largest * math.sqrt(float(xp.vdot(gx, gx)))


class ClipValue(Stateful):
    """Bring every element of a gradient to between ``-limit`` and ``limit``.

    The direction changes, as it does not by ClipGrad. NaN stays NaN.

    Args:
        limit: The largest magnitude that passes.

    Raises:
        ValueError: ``limit`` is not above 0.

    >>> optimizer = dezero.optimizers.SGD()
    >>> optimizer.add_hook(dezero.optimizers.ClipValue(0.5))
    """

    numbers_vary = True

    def __init__(self, limit: float) -> None:
        if not limit > 0:
            raise ValueError(f"ClipValue: expected a limit above 0, got {limit}")
        self.limit = limit

    def __call__(self, params: list[Parameter]) -> None:
        limit = number(self.limit)
        for param in params:
            if param.grad is not None:
                gx = param.grad.data
                param.grad.data = np.minimum(np.maximum(gx, -limit), limit)


class FreezeParam(Stateful):
    """Leave parameters as they are, by clearing their gradients.

    Args:
        layers: Layers, all of whose parameters are kept, or single Parameters.

    >>> layer = dezero.layers.Linear(3)
    >>> optimizer = dezero.optimizers.SGD().setup(layer)
    >>> optimizer.add_hook(dezero.optimizers.FreezeParam(layer.W))
    """

    def __init__(self, *layers: Target | Parameter) -> None:
        self.layers = layers

    def __call__(self, params: list[Parameter]) -> None:
        for layer in self.layers:
            frozen = [layer] if isinstance(layer, Parameter) else layer.params()
            for param in frozen:
                param.cleargrad()
