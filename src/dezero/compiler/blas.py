"""Matrix products as entries of the table of kernels.

NumPy brings OpenBLAS. Its own threads do not go well with others: after a product they
keep looking for work and take the cores from whoever is next. So a replay has BLAS work
on one core, and the product is shared out here, as kernels are: rows of the result,
columns, or whole matrices of a stack, in parts of which each is a product of its own.
Small products gain most: no thread of another library has to be woken.

Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008, says
how the products themselves are made.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import math
from typing import NamedTuple

from dezero.compiler.ir import Array

UNIT = 16  # rows or columns of a part: cut there, the bits are those of the whole
NARROW = 32  # a side that is shorter is not cut
PARALLEL_FLOPS = 400_000  # some microseconds of work: what a second thread must have

_TYPES = {"f4": ("float", "s"), "f8": ("double", "d")}

# The arguments: 0 function, 1 trans A, 2 trans B, 3 M, 4 N, 5 K, 6 A, 7 lda, 8 B,
# 9 ldb, 10 C, 11 ldc, 12 mode (0 rows, 1 columns, 2 matrices), 13 inner count, then
# bytes from matrix to matrix of A, B, C: 14-16 outer, 17-19 inner; 20-22 bytes from
# row to row of A, column to column of B, row to row of C; 23 column to column of C.
_GEMM = """
define void @dezero_gemm_{type}(ptr %args, i64 %begin, i64 %end, i64 %share) nounwind {{
entry:
  %function = load ptr, ptr %args
{loads}
  %tA = trunc i64 %a1 to i32
  %tB = trunc i64 %a2 to i32
  %A = inttoptr i64 %a6 to ptr
  %B = inttoptr i64 %a8 to ptr
  %C = inttoptr i64 %a10 to ptr
  %matrices = icmp eq i64 %a12, 2
  br i1 %matrices, label %stack, label %one
one:
  %first = mul i64 %begin, {unit}
  %stop0 = mul i64 %end, {unit}
  %columns = icmp eq i64 %a12, 1
  %side = select i1 %columns, i64 %a4, i64 %a3
  %over = icmp sgt i64 %stop0, %side
  %stop = select i1 %over, i64 %side, i64 %stop0
  %count = sub i64 %stop, %first
  %m = select i1 %columns, i64 %a3, i64 %count
  %n = select i1 %columns, i64 %count, i64 %a4
  %skipA = mul i64 %first, %a20
  %skipB = mul i64 %first, %a21
  %stepC = select i1 %columns, i64 %a23, i64 %a22
  %skipC = mul i64 %first, %stepC
  %moveA = select i1 %columns, i64 0, i64 %skipA
  %moveB = select i1 %columns, i64 %skipB, i64 0
  %A1 = getelementptr i8, ptr %A, i64 %moveA
  %B1 = getelementptr i8, ptr %B, i64 %moveB
  %C1 = getelementptr i8, ptr %C, i64 %skipC
  call void %function(i32 101, i32 %tA, i32 %tB, i64 %m, i64 %n, i64 %a5,
    {type} 1.0, ptr %A1, i64 %a7, ptr %B1, i64 %a9, {type} 0.0, ptr %C1, i64 %a11)
  ret void
stack:
  br label %test
test:
  %i = phi i64 [ %begin, %stack ], [ %next, %body ]
  %more = icmp slt i64 %i, %end
  br i1 %more, label %body, label %done
body:
  %outer = udiv i64 %i, %a13
  %inner = urem i64 %i, %a13
  %oA = mul i64 %outer, %a14
  %oB = mul i64 %outer, %a15
  %oC = mul i64 %outer, %a16
  %iA = mul i64 %inner, %a17
  %iB = mul i64 %inner, %a18
  %iC = mul i64 %inner, %a19
  %sA = add i64 %oA, %iA
  %sB = add i64 %oB, %iB
  %sC = add i64 %oC, %iC
  %A2 = getelementptr i8, ptr %A, i64 %sA
  %B2 = getelementptr i8, ptr %B, i64 %sB
  %C2 = getelementptr i8, ptr %C, i64 %sC
  call void %function(i32 101, i32 %tA, i32 %tB, i64 %a3, i64 %a4, i64 %a5,
    {type} 1.0, ptr %A2, i64 %a7, ptr %B2, i64 %a9, {type} 0.0, ptr %C2, i64 %a11)
  %next = add i64 %i, 1
  br label %test
done:
  ret void
}}
"""
ARGUMENTS = 24
A, B, C = 6, 8, 10  # where the addresses stand


@functools.cache
def find() -> dict[str, int] | None:
    """The addresses of NumPy's ``cblas_sgemm`` and ``cblas_dgemm`` with 64-bit
    integers; ``None`` where NumPy came with another BLAS, or hides it."""
    try:
        module = importlib.import_module("numpy._core._multiarray_umath")
        library = ctypes.CDLL(str(module.__file__))
        return {
            dtype: ctypes.cast(
                library[f"scipy_cblas_{letter}gemm64_"], ctypes.c_void_p
            ).value
            or 0
            for dtype, (_, letter) in _TYPES.items()
        }
    except (ImportError, OSError, AttributeError):
        return None


def gemm_ir() -> str:
    """The native functions, as text."""
    loads = "\n".join(
        f"  %p{i} = getelementptr i64, ptr %args, i64 {i}\n"
        f"  %a{i} = load i64, ptr %p{i}"
        for i in range(1, ARGUMENTS)
    )
    return "".join(
        _GEMM.format(type=name, unit=UNIT, loads=loads) for name, _ in _TYPES.values()
    )


def names() -> list[str]:
    """The names of the native functions."""
    return [f"dezero_gemm_{name}" for name, _ in _TYPES.values()]


class Product(NamedTuple):
    """A product as an entry of the table."""

    run: str  # the native function
    args: list[int]
    parts: int  # into which it can be cut
    parallel: bool


def product(x: Array, y: Array, out: Array) -> Product | None:
    """``np.matmul(x, y, out)`` as an entry; ``None`` if BLAS cannot go through this
    memory."""
    functions = find()
    kind = x.dtype.str[1:]
    if functions is None or kind not in _TYPES or min(x.ndim, y.ndim, out.ndim) < 2:
        return None
    if not (x.size and y.size and out.size and x.dtype == y.dtype == out.dtype):
        return None
    size = x.itemsize
    (M, K), N = x.shape[-2:], y.shape[-1]
    left, right = _oriented(x, size), _oriented(y, size)
    result = _oriented(out, size)
    if left is None or right is None or result is None or result[0] != 111:
        return None
    stack = out.shape[:-2]
    strides = [_stack_strides(a, stack) for a in (x, y, out)]
    steps = [_two_levels(s, stack) for s in strides]
    if any(step is None for step in steps):
        return None
    if math.prod(stack) > 1:
        mode, parts = 2, math.prod(stack)
    else:
        by_rows = 4 * M >= 3 * N
        if min(M, N) < NARROW:
            by_rows = M >= N
        mode, side = (0, M) if by_rows else (1, N)
        parts = -(-side // UNIT)
    inner = next((step[0] for step in steps if step is not None), 1)
    args = [
        functions[kind], left[0], right[0], M, N, K,
        0, left[1], 0, right[1], 0, result[1], mode, inner,
        *(step[1] for step in steps if step), *(step[2] for step in steps if step),
        x.strides[-2], y.strides[-1], out.strides[-2], out.strides[-1],
    ]  # fmt: skip
    flops = 2 * M * N * K * math.prod(stack)
    run = f"dezero_gemm_{_TYPES[kind][0]}"
    return Product(run, args, parts, parts > 1 and flops >= PARALLEL_FLOPS)


def _oriented(x: Array, size: int) -> tuple[int, int] | None:
    """How BLAS sees matrices: as they are (111) or turned (112); their row length."""
    rows, columns = x.shape[-2:]
    down, along = x.strides[-2:]
    if (along == size or columns == 1) and down % size == 0:
        length = down // size if rows > 1 else columns
        if length >= columns and (columns > 1 or length >= 1):
            return 111, max(length, 1)
    if (down == size or rows == 1) and along % size == 0:
        length = along // size if columns > 1 else rows
        if length >= rows:
            return 112, max(length, 1)
    return None


def _stack_strides(x: Array, stack: tuple[int, ...]) -> tuple[int, ...]:
    own = x.shape[:-2]
    strides = [0 if n == 1 else s for n, s in zip(own, x.strides, strict=False)]
    return (0,) * (len(stack) - len(own)) + tuple(strides)


def _two_levels(
    strides: tuple[int, ...], stack: tuple[int, ...]
) -> tuple[int, int, int] | None:
    """Inner count, outer stride, inner stride of a stack of matrices."""
    axes = [(n, s) for n, s in zip(stack, strides, strict=True) if n > 1]
    if len(axes) > 2:
        return None
    if not axes:
        return 1, 0, 0
    if len(axes) == 1:
        return 1, axes[0][1], 0
    (_, outer), (n, inner) = axes
    return n, outer, inner
