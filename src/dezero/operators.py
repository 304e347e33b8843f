"""What a Variable answers to: one table that hangs operators and methods on it.

Arithmetic is recorded; comparisons give plain arrays, as they have no derivative.
``np.sin(v)``, ``array * v`` and ``np.sum(v)`` find their way here, too.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dezero import core
from dezero import functions as F
from dezero.config import switches
from dezero.core import Variable, assign
from dezero.errors import GradientError


def _bare(x: Any) -> Any:
    return x.data if isinstance(x, Variable) else x


def _compare(op: Callable[[Any, Any], Any]) -> Callable[[Variable, Any], Any]:
    def compare(self: Variable, other: Any) -> Any:
        return op(self.data, _bare(other))

    return compare


def _question(name: str) -> Callable[..., Any]:
    """A method that is answered by the array, plainly: it has no derivative."""

    def ask(self: Variable, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.data, name)(*args, **kwargs)

    return ask


def _reshape(self: Variable, *shape: Any) -> Variable:
    """``F.reshape``: ``x.reshape(2, 3)`` or ``x.reshape((2, 3))``."""
    return F.reshape(self, shape[0] if len(shape) == 1 else shape)


def _transpose(self: Variable, *axes: Any) -> Variable:
    """``F.transpose``: ``x.transpose()``, ``x.transpose(1, 0)`` or of a tuple."""
    if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list))):
        axes = tuple(axes[0] or ())
    return F.transpose(self, axes or None)


def _iterate(self: Variable) -> Iterator[Variable]:
    return (self[i] for i in range(len(self)))


def _assign(self: Variable, slices: Any, value: Any) -> None:
    """``self[slices] = value``, recorded: from now on ``self`` is ``F.set_item`` of it.

    What was computed from ``self`` before keeps the value and the gradient that it had
    then. No array is written, so other Variables stay as they are, also those that came
    from ``self`` by an index. Each assignment makes a copy: to fill many places,
    ``F.stack`` and ``F.concat`` are faster. Where nothing is recorded, it is
    ``self.data = ...``.

    Raises:
        GradientError: ``self`` is a leaf, whose gradient would be lost.

    >>> x = Variable(np.array([1.0, 2.0, 3.0]))
    >>> y = x * x
    >>> before = y * 1
    >>> y[0] = x[1]
    >>> y
    variable([2. 4. 9.])
    >>> (y + before).backward()
    >>> x.grad
    variable([ 2.  9. 12.])
    """
    if self.creator is None and self.requires_grad and switches.get().enable_backprop:
        raise GradientError(
            "x[i] = value: expected an x that was computed, got "
            + (f"'{self.name}'" if self.name else "a leaf")
            + ", which has a gradient of its own; write x = x.copy() before, or "
            "with no_grad(): x[i] = value"
        )
    assign(self, lambda before: F.set_item(before, slices, value))


def _dot(x: Any, W: Any) -> Variable:
    """``np.dot``, which is ``matmul`` but for numbers and for stacks of matrices."""
    if np.ndim(W) > 2:
        raise ValueError(
            f"np.dot: expected W of at most two axes, got W {np.shape(W)}; "
            "write F.matmul(x, W) for stacks of matrices"
        )
    return F.matmul(x, W) if np.ndim(x) and np.ndim(W) else F.mul(x, W)


METHODS: dict[str, Any] = {
    "__add__": F.add,
    "__radd__": F.add,
    "__sub__": F.sub,
    "__rsub__": F.rsub,
    "__mul__": F.mul,
    "__rmul__": F.mul,
    "__truediv__": F.div,
    "__rtruediv__": F.rdiv,
    "__pow__": F.pow,
    "__rpow__": F.rpow,
    "__mod__": F.mod,
    "__rmod__": F.rmod,
    "__matmul__": F.matmul,
    "__rmatmul__": lambda x, y: F.matmul(y, x),
    "__neg__": F.neg,
    "__pos__": lambda x: x,
    "__abs__": F.absolute,
    "__getitem__": F.get_item,
    "__setitem__": _assign,
    "__iter__": _iterate,
    "__eq__": _compare(operator.eq),
    "__ne__": _compare(operator.ne),
    "__lt__": _compare(operator.lt),
    "__le__": _compare(operator.le),
    "__gt__": _compare(operator.gt),
    "__ge__": _compare(operator.ge),
    "reshape": _reshape,
    "transpose": _transpose,
    "T": property(lambda x: F.transpose(x)),
    "flatten": lambda x: F.reshape(x, -1),
    "sum": F.sum,
    "mean": F.mean,
    "max": F.max,
    "min": F.min,
    "prod": F.prod,
    "var": F.var,
    "std": F.std,
    "cumsum": F.cumsum,
    "cumprod": F.cumprod,
    "trace": F.trace,
    "diagonal": F.diagonal,
    "squeeze": F.squeeze,
    "swapaxes": F.swapaxes,
    "repeat": F.repeat,
    "round": F.round,
    "argmax": _question("argmax"),
    "argmin": _question("argmin"),
    "argsort": _question("argsort"),
    "any": _question("any"),
    "all": _question("all"),
    "nonzero": _question("nonzero"),
    "tolist": _question("tolist"),
    "clip": F.clip,
    "matmul": F.matmul,
    "dot": F.matmul,
    "astype": F.astype,
    "copy": F.copy,
}

# NumPy's functions, as they are called on a Variable: those that are recorded, and
# questions, which are answered with plain arrays.
UFUNCS: dict[Any, Callable[..., Any]] = {
    np.add: F.add,
    np.subtract: F.sub,
    np.multiply: F.mul,
    np.divide: F.div,
    np.power: F.pow,
    np.remainder: F.mod,
    np.matmul: F.matmul,
    np.negative: F.neg,
    np.positive: lambda x: x,
    np.absolute: F.absolute,
    np.sin: F.sin,
    np.cos: F.cos,
    np.tanh: F.tanh,
    np.exp: F.exp,
    np.log: F.log,
    np.sqrt: F.sqrt,
    np.square: F.square,
    np.sign: F.sign,
    np.floor: F.floor,
    np.ceil: F.ceil,
    np.rint: F.round,
    np.log1p: F.log1p,
    np.expm1: F.expm1,
    np.tan: F.tan,
    np.sinh: F.sinh,
    np.cosh: F.cosh,
    np.arcsin: F.asin,
    np.arccos: F.acos,
    np.arctan: F.atan,
    np.arctan2: F.atan2,
    np.maximum: F.maximum,
    np.minimum: F.minimum,
}
COMPARISONS = (
    np.equal,
    np.not_equal,
    np.less,
    np.less_equal,
    np.greater,
    np.greater_equal,
    np.isnan,
    np.isfinite,
    np.isinf,
    np.logical_not,
    np.logical_and,
    np.logical_or,
    np.logical_xor,
)
ARRAY_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.sum: F.sum,
    np.mean: F.mean,
    np.max: F.max,
    np.min: F.min,
    np.reshape: F.reshape,
    np.transpose: F.transpose,
    np.expand_dims: F.expand_dims,
    np.broadcast_to: F.broadcast_to,
    np.clip: F.clip,
    np.concatenate: F.concat,
    np.dot: _dot,
    np.copy: F.copy,
    np.where: F.where,
    np.stack: F.stack,
    np.split: F.split,
    np.squeeze: F.squeeze,
    np.swapaxes: F.swapaxes,
    np.moveaxis: F.moveaxis,
    np.flip: F.flip,
    np.roll: F.roll,
    np.repeat: F.repeat,
    np.tile: F.tile,
    np.pad: F.pad,
    np.take_along_axis: F.take_along_axis,
    np.sort: F.sort,
    np.round: F.round,
    np.prod: F.prod,
    np.var: F.var,
    np.std: F.std,
    np.cumsum: F.cumsum,
    np.cumprod: F.cumprod,
    np.diagonal: F.diagonal,
    np.diag: F.diag,
    np.trace: F.trace,
    np.tril: F.tril,
    np.triu: F.triu,
    np.outer: F.outer,
    np.einsum: F.einsum,
    np.linalg.norm: F.norm,
    np.linalg.solve: F.solve,
    np.linalg.inv: F.inv,
    np.linalg.det: F.det,
    np.linalg.slogdet: F.slogdet,
    np.linalg.cholesky: F.cholesky,
    np.linalg.svd: F.svd,
    np.linalg.eigh: F.eigh,
}
ARRAY_QUESTIONS = (
    np.argmax,
    np.argmin,
    np.argsort,
    np.shape,
    np.ndim,
    np.size,
    np.array_equal,
    np.allclose,
    np.isclose,
    np.zeros_like,
    np.ones_like,
    np.array_repr,
    np.array_str,
)


def _array_ufunc(
    self: Variable, ufunc: Any, method: str, *inputs: Any, **kwargs: Any
) -> Any:
    if method == "__call__" and not kwargs:
        if ufunc in UFUNCS:
            return UFUNCS[ufunc](*inputs)
        if ufunc in COMPARISONS:
            return ufunc(*map(_bare, inputs))
    extra = f" with {', '.join(kwargs)}" if kwargs else ""
    called = ufunc.__name__ + ("" if method == "__call__" else f".{method}") + extra
    raise TypeError(
        f"np.{called}: expected arrays, got a Variable, for which it has no derivative "
        "here; write x.data for a plain array"
    )


def _array_function(
    self: Variable, func: Any, types: Any, args: Any, kwargs: Any
) -> Any:
    if func in ARRAY_FUNCTIONS:
        return ARRAY_FUNCTIONS[func](*args, **kwargs)
    if func in ARRAY_QUESTIONS:
        return func(*map(_bare, args), **{k: _bare(x) for k, x in kwargs.items()})
    raise TypeError(
        f"np.{func.__name__}: expected arrays, got a Variable, for which it has no "
        "derivative here; write x.data for a plain array"
    )


METHODS["__array_ufunc__"] = _array_ufunc
METHODS["__array_function__"] = _array_function


def setup_variable() -> None:
    """Hang the table on Variable. Importing ``dezero`` has done it already."""
    for name, method in METHODS.items():
        setattr(Variable, name, method)


setup_variable()

# The book's programs find these in its core, too.
for _one in (
    *(F.Add, F.Mul, F.Neg, F.Sub, F.Div, F.Pow),
    *(F.add, F.mul, F.neg, F.sub, F.rsub, F.div, F.rdiv, F.pow),
    setup_variable,
):
    setattr(core, _one.__name__, _one)
