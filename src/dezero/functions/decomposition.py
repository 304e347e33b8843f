"""Systems of equations, inverses, determinants and factors of matrices.

All take stacks of matrices, as ``np.linalg`` does: the last two axes are those of the
matrices. The formulas of the derivatives are in Giles, "Collected matrix derivative
results for forward and reverse mode algorithmic differentiation", 2008; that of
Cholesky's factor in Murray, "Differentiation of the Cholesky decomposition", 2016.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero.backend import Array, get_array_module
from dezero.backend.tracing import one_operation
from dezero.core import Function, Variable, sum_to
from dezero.functions.linalg import matmul
from dezero.functions.matrix import tril
from dezero.functions.reduction import as_floating
from dezero.functions.selection import where
from dezero.functions.shape import expand_dims, reshape, swapaxes


def _square(operation: str, A: Any) -> Variable:
    A = as_floating(A)
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise ValueError(f"{operation}: expected square matrices, got A {A.shape}")
    return A


def _turned(x: Variable) -> Variable:
    """The transpose of each matrix of a stack."""
    return swapaxes(x, -1, -2)


@one_operation
def _solved(A: Array, b: Array) -> Array:
    try:
        return np.linalg.solve(A, b)
    except np.linalg.LinAlgError:
        raise _singular("solve") from None


@one_operation
def _inverted(A: Array) -> Array:
    try:
        return np.linalg.inv(A)
    except np.linalg.LinAlgError:
        raise _singular("inv") from None


def _singular(operation: str) -> ValueError:
    return ValueError(
        f"{operation}: expected matrices that can be inverted, got a singular one, "
        "whose determinant is 0"
    )


class Solve(Function):
    """``x`` with ``A x = b`` for stacks of matrices."""

    def forward(self, A: Array, b: Array) -> Array:
        return _solved(A, b)

    def backward(self, gx: Variable) -> tuple[Variable | None, Variable]:
        A, b = self.inputs
        x = self.output()
        gb = Solve()(_turned(A), gx)
        gA = sum_to(-matmul(gb, _turned(x)), A.shape) if A.requires_grad else None
        return gA, sum_to(gb, b.shape)


def solve(A: Any, b: Any) -> Variable:
    """``x`` with ``A x = b``: more exact and faster than ``inv(A) @ b``.

    Args:
        A: (..., N, N).
        b: A vector (N,), or matrices (..., N, K) whose columns are as many right sides.

    Raises:
        ValueError: ``A`` is not square or is singular, or the shapes do not match.

    >>> solve(np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([2.0, 2.0]))
    variable([1.  0.5])
    """
    A, b = _square("solve", A), as_floating(b)
    if b.ndim == 1:
        x = solve(A, expand_dims(b, 1))
        return reshape(x, x.shape[:-1])
    try:
        if b.shape[-2] != A.shape[-1]:
            raise ValueError
        np.broadcast_shapes(A.shape[:-2], b.shape[:-2])
    except (ValueError, IndexError):
        raise ValueError(
            f"solve: expected b with {A.shape[-1]} rows to match A {A.shape}, got b "
            f"{b.shape}"
        ) from None
    return Solve()(A, b)


class Inv(Function):
    def forward(self, A: Array) -> Array:
        return _inverted(A)

    def backward(self, gy: Variable) -> Variable:
        y = _turned(self.output())
        return -matmul(matmul(y, gy), y)


def inv(A: Any) -> Variable:
    """The inverse of ``A``.

    Args:
        A: (..., N, N).

    Raises:
        ValueError: ``A`` is not square, or is singular.

    >>> inv(np.array([[2.0, 0.0], [0.0, 4.0]]))
    variable([[0.5  0.  ]
              [0.   0.25]])
    """
    return Inv()(_square("inv", A))


class Det(Function):
    def forward(self, A: Array) -> Array:
        return np.linalg.det(A)

    def backward(self, gy: Variable) -> Variable:
        (A,) = self.inputs
        y = gy * self.output()
        return reshape(y, (*y.shape, 1, 1)) * _turned(inv(A))


def det(A: Any) -> Variable:
    """The determinant of ``A``. Its derivative asks for an inverse.

    Args:
        A: (..., N, N).

    Raises:
        ValueError: ``A`` is not square; or, in ``backward``, singular.

    >>> det(np.array([[2.0, 1.0], [0.0, 2.0]]))
    variable(4.0)
    """
    return Det()(_square("det", A))


class SlogDet(Function):
    def forward(self, A: Array) -> tuple[Array, Array]:
        sign, logabsdet = np.linalg.slogdet(A)
        return sign, logabsdet

    def backward(self, gsign: Variable, gy: Variable) -> Variable:
        (A,) = self.inputs
        return reshape(gy, (*gy.shape, 1, 1)) * _turned(inv(A))


def slogdet(A: Any) -> tuple[Variable, Variable]:
    """The sign of the determinant of ``A``, and the logarithm of its absolute value.

    It neither over- nor underflows, as ``log(det(A))`` soon does.

    Args:
        A: (..., N, N).

    Raises:
        ValueError: ``A`` is not square; or, in ``backward``, singular.

    >>> slogdet(np.array([[1.0, 0.0], [0.0, -1.0]]))
    (variable(-1.0), variable(0.0))
    """
    sign, logabsdet = SlogDet()(_square("slogdet", A))
    return sign, logabsdet


@one_operation
def _factored(A: Array) -> Array:
    try:
        return np.linalg.cholesky(A)
    except np.linalg.LinAlgError:
        raise ValueError(
            "cholesky: expected positive definite matrices, got one that is not; add a "
            "small multiple of np.eye(n)"
        ) from None


class Cholesky(Function):
    def forward(self, A: Array) -> Array:
        return _factored(A)

    def backward(self, gL: Variable) -> Variable:
        L = self.output()
        P = tril(matmul(_turned(L), gL))
        P = where(_eye(L), P * 0.5, P)
        S = Solve()(_turned(L), P)
        S = Solve()(_turned(L), _turned(S))
        return (S + _turned(S)) * 0.5


def cholesky(A: Any) -> Variable:
    """The lower triangular ``L`` with ``L @ L.T = A``.

    Only the lower triangle of ``A`` is read; the gradient is symmetric, as ``A`` is.

    Args:
        A: (..., N, N), symmetric and positive definite.

    Raises:
        ValueError: ``A`` is not square, or not positive definite.

    >>> cholesky(np.array([[4.0, 2.0], [2.0, 5.0]]))
    variable([[2. 0.]
              [1. 2.]])
    """
    return Cholesky()(_square("cholesky", A))


def _eye(x: Variable) -> Array:
    """Where the diagonal is, in matrices with as many rows as ``x`` is wide."""
    n = get_array_module(x).arange(x.shape[-1])
    return n == n.reshape(-1, 1)


def _reciprocal_gaps(s: Variable) -> Variable:
    """1 / (s_j - s_i) in row i and column j; 0 on the diagonal."""
    eye = _eye(s)
    gaps = expand_dims(s, -2) - expand_dims(s, -1)
    return where(eye, 0, 1 / where(eye, 1, gaps))


def _kept(func: Function) -> list[Variable]:
    """The outputs of ``func``, if somebody holds each of them; else none."""
    ys = [y for output in func.outputs if (y := output()) is not None]
    return ys if len(ys) == len(func.outputs) else []


class SVD(Function):
    def forward(self, A: Array) -> tuple[Array, Array, Array]:
        U, s, Vh = np.linalg.svd(A, full_matrices=False)
        return U, s, Vh

    def backward(self, gU: Variable, gs: Variable, gVh: Variable) -> Variable:
        (A,) = self.inputs
        U, s, Vh = _kept(self) or svd(A)
        V, Ut, gV = _turned(Vh), _turned(U), _turned(gVh)
        row, column = expand_dims(s, -2), expand_dims(s, -1)
        F = _reciprocal_gaps(s * s)
        UtgU, VtgV = matmul(Ut, gU), matmul(Vh, gV)
        inner = F * (UtgU - _turned(UtgU)) * row + column * (F * (VtgV - _turned(VtgV)))
        inner = inner + where(_eye(s), expand_dims(gs, -2), 0)
        gA = matmul(matmul(U, inner), Vh)
        rows, columns = A.shape[-2:]
        if rows > columns:  # what of gU no column of U can take
            gA = gA + matmul((gU - matmul(U, UtgU)) / row, Vh)
        if columns > rows:
            gA = gA + matmul(U, _turned((gV - matmul(V, VtgV)) / row))
        return gA


def svd(A: Any, full_matrices: bool = False) -> tuple[Variable, Variable, Variable]:
    """``U, s, Vh`` with ``A = U * s @ Vh``: the singular value decomposition.

    The columns of ``U`` and the rows of ``Vh`` are orthonormal, the singular values
    ``s`` descend. Derivatives ask for singular values that are all different and, where
    ``A`` is not square, not 0: of equal ones, the vectors are not determined. Neither
    are the signs of the vectors; what depends on them has no derivative.

    Args:
        A: (..., M, N); with K the smaller of M and N, the result has the shapes
            (..., M, K), (..., K) and (..., K, N).
        full_matrices: ``False``, which in NumPy is not the default: vectors without a
            singular value are arbitrary.

    Raises:
        ValueError: ``A`` has fewer than two axes, or ``full_matrices`` is true.

    >>> U, s, Vh = svd(np.array([[3.0, 0.0], [0.0, 2.0]]))
    >>> s
    variable([3. 2.])
    """
    A = as_floating(A)
    if A.ndim < 2:
        raise ValueError(f"svd: expected matrices, got A {A.shape}")
    if full_matrices:
        raise ValueError(
            "svd: expected full_matrices=False, got True, which adds arbitrary vectors "
            "without a derivative; write svd(A, full_matrices=False)"
        )
    U, s, Vh = SVD()(A)
    return U, s, Vh


class Eigh(Function):
    def __init__(self, UPLO: str) -> None:
        self.UPLO = UPLO

    def forward(self, A: Array) -> tuple[Array, Array]:
        w, V = np.linalg.eigh(A, UPLO=self.UPLO)  # type: ignore[call-overload]
        return w, V

    def backward(self, gw: Variable, gV: Variable) -> Variable:
        (A,) = self.inputs
        w, V = _kept(self) or eigh(A, self.UPLO)
        inner = _reciprocal_gaps(w) * matmul(_turned(V), gV)
        inner = inner + where(_eye(w), expand_dims(gw, -2), 0)
        gA = matmul(matmul(V, inner), _turned(V))
        return (gA + _turned(gA)) * 0.5


def eigh(A: Any, UPLO: str = "L") -> tuple[Variable, Variable]:
    """``w, V`` with ``A @ V = V * w``: eigenvalues, ascending, and eigenvectors.

    Derivatives of the vectors ask for eigenvalues that are all different; their signs
    are not determined. The gradient is symmetric, as ``A`` is.

    Args:
        A: (..., N, N), symmetric; one triangle is read.
        UPLO: Which: ``"L"`` the lower, ``"U"`` the upper.

    Raises:
        ValueError: ``A`` is not square.

    >>> w, V = eigh(np.array([[2.0, 0.0], [0.0, 1.0]]))
    >>> w
    variable([1. 2.])
    """
    w, V = Eigh(UPLO)(_square("eigh", A))
    return w, V
