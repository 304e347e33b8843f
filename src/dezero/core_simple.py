"""The engine of the first half of the book, on one page: gradients are bare arrays.

It stands alone beside the real one, for the programs that import it and for readers
who want the idea before the rest. Operators come with ``setup_variable()``.

>>> import dezero.core_simple as simple
>>> simple.setup_variable()
>>> x = simple.Variable(np.array(2.0))
>>> y = x * x + 1
>>> y.backward()
>>> x.grad
array(4.)
"""

from __future__ import annotations

import copy
import heapq
import itertools
from typing import Any
from weakref import ref

import numpy as np

from dezero.backend import Array, as_array
from dezero.core import Config, no_grad, using_config
from dezero.errors import GradientError

__all__ = [
    "Add",
    "Config",
    "Div",
    "Function",
    "Mul",
    "Neg",
    "Pow",
    "Sub",
    "Variable",
    "add",
    "as_array",
    "as_variable",
    "div",
    "mul",
    "neg",
    "no_grad",
    "pow",
    "rdiv",
    "rsub",
    "setup_variable",
    "sub",
    "using_config",
]

_order = itertools.count()


class Variable:
    """An array, its gradient (an array, too) and the Function that made it.

    Raises:
        TypeError: ``data`` is not an array.
    """

    __array_priority__ = 200

    def __init__(self, data: Array, name: str | None = None) -> None:
        if data is not None and not isinstance(data, np.ndarray):
            raise TypeError(
                f"Variable: expected an array or None, got {type(data).__name__}; "
                "write Variable(np.array(x))"
            )
        self.data: Array = data
        self.name = name
        self.grad: Array = None
        self.creator: Function | None = None
        self.generation = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        shape: tuple[int, ...] = self.data.shape
        return shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        size: int = self.data.size
        return size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        dtype: np.dtype[Any] = self.data.dtype
        return dtype

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        if self.data is None:
            return "variable(None)"
        return f"variable({str(self.data).replace(chr(10), chr(10) + ' ' * 9)})"

    def set_creator(self, func: Function) -> None:
        """Make ``func`` the Function that made this Variable."""
        self.creator = func
        self.generation = func.generation + 1

    def cleargrad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def backward(self, retain_grad: bool = False) -> None:
        """Add the derivative of this Variable to ``grad`` of all it came from.

        Args:
            retain_grad: Keep ``grad`` of the Variables in between, too.

        Raises:
            GradientError: This Variable has no graph behind it.
        """
        if self.creator is None:
            raise GradientError(
                "backward: expected a Variable that a Function made, got one without a "
                "creator; compute it from Variables while recording is on"
            )
        seed = np.ones_like(self.data) if self.grad is None else self.grad
        grads: dict[Any, Array] = {self: seed}
        heap: list[tuple[int, int, Function]] = []
        seen: set[Function] = set()

        def visit(func: Function | None) -> None:
            if func is not None and func not in seen:
                seen.add(func)
                heapq.heappush(heap, (-func.generation, -func.created, func))

        visit(self.creator)
        while heap:
            func = heapq.heappop(heap)[2]
            gys = [grads.get(output()) for output in func.outputs]
            gxs = func.backward(
                *(
                    np.zeros(*spec) if gy is None else gy  # nobody used that output
                    for gy, spec in zip(gys, func.output_specs, strict=True)
                )
            )
            for x, gx in zip(func.inputs, _as_tuple(gxs), strict=True):
                grads[x] = gx if x not in grads else grads[x] + gx
                visit(x.creator)
        for y, gy in grads.items():
            if y.creator is None:
                y.grad = np.array(gy if y.grad is None else y.grad + gy)
            else:
                y.grad = np.array(gy) if retain_grad else None


class Function:
    """One operation: ``forward`` and ``backward``, both on arrays."""

    inputs: tuple[Variable, ...] = ()

    def __call__(self, *inputs: Any) -> Any:
        """Run ``forward`` and, where recording is on, remember what was done."""
        if self.inputs:  # used before: that call keeps its own inputs
            self = copy.copy(self)
        variables = tuple(as_variable(x) for x in inputs)
        results = _as_tuple(self.forward(*(x.data for x in variables)))
        ys = [Variable(as_array(y)) for y in results]
        if Config.enable_backprop:
            self.generation = max(x.generation for x in variables)
            self.created = next(_order)
            for y in ys:
                y.set_creator(self)
            self.inputs = variables
            self.outputs = [ref(y) for y in ys]
            self.output_specs = [(y.shape, y.dtype) for y in ys]
        return ys if len(ys) > 1 else ys[0]

    def forward(self, *xs: Any) -> Any:
        """Compute the outputs from the inputs."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method forward")

    def backward(self, *gys: Any) -> Any:
        """Compute the gradients of the inputs from those of the outputs."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method backward")


def _as_tuple(x: Any) -> tuple[Any, ...]:
    return x if isinstance(x, tuple) else (x,)


def as_variable(obj: Any) -> Variable:
    """``obj`` as a Variable: itself, or a new one around the array or number."""
    return obj if isinstance(obj, Variable) else Variable(as_array(obj))


class Add(Function):
    """``x0 + x1``"""

    def forward(self, x0: Array, x1: Array) -> Array:
        return x0 + x1

    def backward(self, gy: Array) -> Any:
        return gy, gy


class Mul(Function):
    """``x0 * x1``"""

    def forward(self, x0: Array, x1: Array) -> Array:
        return x0 * x1

    def backward(self, gy: Array) -> Any:
        x0, x1 = self.inputs
        return gy * x1.data, gy * x0.data


class Neg(Function):
    """``-x``"""

    def forward(self, x: Array) -> Array:
        return -x

    def backward(self, gy: Array) -> Any:
        return -gy


class Sub(Function):
    """``x0 - x1``"""

    def forward(self, x0: Array, x1: Array) -> Array:
        return x0 - x1

    def backward(self, gy: Array) -> Any:
        return gy, -gy


class Div(Function):
    """``x0 / x1``"""

    def forward(self, x0: Array, x1: Array) -> Array:
        return x0 / x1

    def backward(self, gy: Array) -> Any:
        x0, x1 = self.inputs
        return gy / x1.data, -gy * (x0.data / x1.data) / x1.data


class Pow(Function):
    """``x ** c`` for a number ``c``"""

    def __init__(self, c: float) -> None:
        self.c = c

    def forward(self, x: Array) -> Array:
        return x**self.c

    def backward(self, gy: Array) -> Any:
        (x,) = self.inputs
        return gy * self.c * x.data ** (self.c - 1)


def add(x0: Any, x1: Any) -> Variable:
    """``x0 + x1``"""
    y: Variable = Add()(x0, x1)
    return y


def mul(x0: Any, x1: Any) -> Variable:
    """``x0 * x1``"""
    y: Variable = Mul()(x0, x1)
    return y


def neg(x: Any) -> Variable:
    """``-x``"""
    y: Variable = Neg()(x)
    return y


def sub(x0: Any, x1: Any) -> Variable:
    """``x0 - x1``"""
    y: Variable = Sub()(x0, x1)
    return y


def rsub(x0: Any, x1: Any) -> Variable:
    """``x1 - x0``"""
    return sub(x1, x0)


def div(x0: Any, x1: Any) -> Variable:
    """``x0 / x1``"""
    y: Variable = Div()(x0, x1)
    return y


def rdiv(x0: Any, x1: Any) -> Variable:
    """``x1 / x0``"""
    return div(x1, x0)


def pow(x: Any, c: float) -> Variable:
    """``x ** c``"""
    y: Variable = Pow(c)(x)
    return y


def setup_variable() -> None:
    """Hang the operators on Variable, as the book does."""
    operators = {
        "__add__": add,
        "__radd__": add,
        "__mul__": mul,
        "__rmul__": mul,
        "__neg__": neg,
        "__sub__": sub,
        "__rsub__": rsub,
        "__truediv__": div,
        "__rtruediv__": rdiv,
        "__pow__": pow,
    }
    for name, function in operators.items():
        setattr(Variable, name, function)
