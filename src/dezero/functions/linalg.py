"""Products of matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.core import Function, Variable, as_input, sum_to
from dezero.functions.shape import expand_dims, reshape, transpose


def _swap(x: Variable) -> Variable:
    """The transpose of each matrix of a stack."""
    if x.ndim == 2:
        return transpose(x)
    return transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


class MatMul(Function):
    """The product of matrices, or stacks of them that broadcast."""

    def forward(self, x: Array, W: Array) -> Array:
        return np.matmul(x, W)

    def multiply_adds(self, xs: list[Array], ys: tuple[Array, ...]) -> int:
        return ys[0].size * xs[0].shape[-1]

    def backward(self, gy: Variable) -> tuple[Variable | None, Variable | None]:
        x, W = self.inputs
        gx = gW = None
        if x.requires_grad:
            gx = sum_to(MatMul()(gy, _swap(W)), x.shape)
        if W.requires_grad:
            gW = sum_to(MatMul()(_swap(x), gy), W.shape)
        return gx, gW


def matmul(x: Any, W: Any) -> Variable:
    """The matrix product ``x @ W``, with NumPy's rules.

    Vectors are taken as a row on the left and a column on the right; of more than
    two axes the last two are matrices, the others broadcast.

    Raises:
        ValueError: The shapes do not go together.

    >>> matmul(np.array([[1, 2]]), np.array([[3], [4]]))
    variable([[11]])
    """
    x, W = as_input(x), as_input(W)
    _require_product("matmul", x, W)
    if x.ndim == 1 and W.ndim == 1:
        return reshape(matmul(expand_dims(x, 0), expand_dims(W, 1)), ())
    if x.ndim == 1:
        y = matmul(expand_dims(x, 0), W)
        return reshape(y, (*y.shape[:-2], y.shape[-1]))
    if W.ndim == 1:
        y = matmul(x, expand_dims(W, 1))
        return reshape(y, y.shape[:-1])
    return MatMul()(x, W)


def _require_product(operation: str, x: Variable, W: Variable) -> None:
    x_shape, W_shape = x.shape, W.shape
    if not (x_shape and W_shape):
        raise ValueError(
            f"{operation}: expected x and W with axes, got x {x_shape} and W "
            f"{W_shape}; write x * W for numbers"
        )
    if x_shape[-1] != W_shape[-2 if len(W_shape) > 1 else 0]:
        raise ValueError(
            f"{operation}: expected W with {x_shape[-1]} rows to match x {x_shape}, "
            f"got W {W_shape}"
        )
    if len(x_shape) > 2 and len(W_shape) > 2:
        try:
            np.broadcast_shapes(x_shape[:-2], W_shape[:-2])
        except ValueError:
            raise ValueError(
                f"{operation}: expected stacks of matrices that broadcast, got x "
                f"{x_shape} and W {W_shape}"
            ) from None


class Linear(Function):
    """``x @ W + b`` of a matrix ``x``, as one Function."""

    def forward(self, x: Array, W: Array, b: Array | None = None) -> Array:
        y = np.matmul(x, W)
        if b is None:
            return y
        if b.dtype != y.dtype:
            return y + b
        y += b
        return y

    multiply_adds = MatMul.multiply_adds

    def backward(self, gy: Variable) -> tuple[Variable | None, ...]:
        x, W, *b = self.inputs
        gx = MatMul()(gy, transpose(W)) if x.requires_grad else None
        gW = MatMul()(transpose(x), gy) if W.requires_grad else None
        return (gx, gW, *(sum_to(gy, b0.shape) for b0 in b))


def linear(x: Any, W: Any, b: Any = None) -> Variable:
    """``x @ W + b``: the fully connected layer.

    Args:
        x: (N, in); more leading axes are allowed.
        W: (in, out).
        b: (out,), or ``None``.

    Raises:
        ValueError: The shapes do not go together.

    >>> linear(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.array([0.5]))
    variable([[11.5]])
    """
    x, W = as_input(x), as_input(W)
    if W.ndim != 2:
        raise ValueError(f"linear: expected W of shape (in, out), got W {W.shape}")
    _require_product("linear", x, W)
    if x.ndim > 2:  # one product of all rows, instead of one for each matrix
        rows = linear(reshape(x, (math.prod(x.shape[:-1]), x.shape[-1])), W, b)
        return reshape(rows, (*x.shape[:-1], rows.shape[-1]))
    if b is None:
        return matmul(x, W)
    b = as_input(b)
    if b.shape not in ((W.shape[1],), (1, W.shape[1]), (1,), ()):
        raise ValueError(
            f"linear: expected b of shape ({W.shape[1]},) to match W {W.shape}, "
            f"got {b.shape}"
        )
    return Linear()(x, W, b) if x.ndim > 1 and b.ndim else matmul(x, W) + b


def linear_simple(x: Any, W: Any, b: Any = None) -> Variable:
    """``x @ W + b`` from ``matmul`` and ``+``, as the book first writes it.

    >>> linear_simple(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
    variable([[11.]])
    """
    y = matmul(x, W)
    return y if b is None else y + b
