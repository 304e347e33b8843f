"""Hooks: what is done to the gradients before an update."""

from __future__ import annotations

import math
import warnings

import numpy as np

from dezero.backend import get_array_module
from dezero.core import Parameter
from dezero.optimizers.optimizer import Target


class WeightDecay:
    """Add ``rate * x`` to each gradient: the gradient of ``rate / 2 * sum(x**2)``.

    Args:
        rate: The strength of the pull towards zero.

    >>> optimizer = dezero.optimizers.SGD()
    >>> optimizer.add_hook(dezero.optimizers.WeightDecay(1e-4))
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, params: list[Parameter]) -> None:
        for param in params:
            if param.grad is not None:
                param.grad.data = param.grad.data + param.data * float(self.rate)


class ClipGrad:
    """Scale all gradients together so that their common norm is below ``max_norm``.

    Pascanu et al., "On the difficulty of training recurrent neural networks", 2013.

    Where a gradient has NaN or infinity, there is no direction left to go: the step
    is left out, with a warning, and parameters and moments stay as they are.

    Args:
        max_norm: The largest norm, over the elements of all gradients, that passes.

    >>> optimizer = dezero.optimizers.SGD()
    >>> optimizer.add_hook(dezero.optimizers.ClipGrad(1.0))
    """

    def __init__(self, max_norm: float) -> None:
        self.max_norm = max_norm

    def __call__(self, params: list[Parameter]) -> None:
        params = [param for param in params if param.grad is not None]
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


class FreezeParam:
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
