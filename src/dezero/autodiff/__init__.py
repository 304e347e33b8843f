"""Transforms of functions: derivatives, maps over a batch, recomputing."""

from dezero.autodiff.derivatives import (
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    value_and_grad,
    vjp,
)
from dezero.autodiff.mapping import vmap
from dezero.autodiff.recomputing import checkpoint

__all__ = [
    "checkpoint",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "value_and_grad",
    "vjp",
    "vmap",
]
