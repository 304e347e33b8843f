"""Diagonals and triangles of matrices, and of stacks of them."""

from __future__ import annotations

from typing import Any

from dezero.backend import Array, get_array_module
from dezero.core import Variable, as_input
from dezero.functions.indexing import GetItemGrad, get_item
from dezero.functions.reduction import sum
from dezero.functions.selection import where
from dezero.functions.shape import moveaxis, normalize_axis, reshape


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Variable:
    """The diagonals of the matrices that two axes of ``x`` span, along the last axis.

    Args:
        x: Variable or array, of two axes or more.
        offset: How far above the main diagonal; negative numbers are below it.
        axis1: The axis of the rows.
        axis2: The axis of the columns.

    Raises:
        ValueError: There are no such two axes.

    >>> diagonal(np.array([[1, 2], [3, 4]]))
    variable([1 4])
    """
    x = as_input(x)
    axes = normalize_axis("diagonal", (axis1, axis2), x.ndim)
    x = moveaxis(x, axes, (-2, -1))
    rows, columns = x.shape[-2:]
    return get_item(x, (..., *_along(x.data, rows, columns, offset)))


def _along(like: Array, rows: int, columns: int, offset: int) -> tuple[Array, Array]:
    """The places of a diagonal: their rows and their columns."""
    first, last = max(0, -offset), min(rows, columns - offset)
    row = get_array_module(like).arange(first, max(first, last))
    return row, row + offset


def diag(x: Any, k: int = 0) -> Variable:
    """The diagonal of a matrix; or the matrix with the vector ``x`` as its diagonal.

    Args:
        x: (N,) or (N, M).
        k: How far above the main diagonal; negative numbers are below it.

    Raises:
        ValueError: ``x`` has neither one nor two axes.

    >>> diag(np.array([1, 2]))
    variable([[1 0]
              [0 2]])
    >>> diag(np.array([[1, 2], [3, 4]]), k=1)
    variable([2])
    """
    x = as_input(x)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise ValueError(
            f"diag: expected x of one or two axes, got x {x.shape}; write diagonal(x) "
            "for stacks of matrices"
        )
    n = len(x) + abs(k)
    y: Variable = GetItemGrad(_along(x.data, n, n, k), (n, n))(x)
    return y


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Variable:
    """The sum of the diagonal of ``x``, or of each matrix that two of its axes span.

    Args:
        x: Variable or array, of two axes or more.
        offset: How far above the main diagonal; negative numbers are below it.
        axis1: The axis of the rows.
        axis2: The axis of the columns.

    Raises:
        ValueError: There are no such two axes.

    >>> trace(np.array([[1, 2], [3, 4]]))
    variable(5)
    """
    return sum(diagonal(x, offset, axis1, axis2), axis=-1)


def tril(x: Any, k: int = 0) -> Variable:
    """``x``, a matrix or a stack, with zeros above diagonal number ``k``.

    Raises:
        ValueError: ``x`` has fewer than two axes.

    >>> tril(np.array([[1, 2], [3, 4]]))
    variable([[1 0]
              [3 4]])
    """
    x = as_input(x)
    return where(_below("tril", x, k), x, 0)


def triu(x: Any, k: int = 0) -> Variable:
    """``x``, a matrix or a stack, with zeros below diagonal number ``k``.

    Raises:
        ValueError: ``x`` has fewer than two axes.

    >>> triu(np.array([[1, 2], [3, 4]]))
    variable([[1 2]
              [0 4]])
    """
    x = as_input(x)
    return where(_below("triu", x, k - 1), 0, x)


def _below(operation: str, x: Variable, k: int) -> Array:
    """Where in a matrix of ``x`` the column is at most the row plus ``k``."""
    if x.ndim < 2:
        raise ValueError(f"{operation}: expected matrices, got x {x.shape}")
    xp = get_array_module(x)
    rows, columns = x.shape[-2:]
    return xp.arange(columns) <= xp.arange(rows).reshape(-1, 1) + k


def outer(x0: Any, x1: Any) -> Variable:
    """Each element of ``x0`` (N elements) times each of ``x1`` (M): (N, M).

    >>> outer(np.array([1, 2]), np.array([3, 4]))
    variable([[3 4]
              [6 8]])
    """
    return reshape(as_input(x0), (-1, 1)) * reshape(as_input(x1), (1, -1))
