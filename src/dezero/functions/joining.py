"""Several arrays into one, and one into several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dezero.backend import Array, get_array_module
from dezero.core import Function, Variable, as_input
from dezero.functions.shape import normalize_axis


class Concat(Function):
    def __init__(self, axis: int) -> None:
        self.axis = axis

    def forward(self, *xs: Array) -> Array:
        return get_array_module(xs[0]).concatenate(xs, axis=self.axis)

    def backward(self, gy: Variable) -> tuple[Variable | None, ...]:
        gxs = []
        start = 0
        for x in self.inputs:
            stop = start + x.shape[self.axis]
            place = (*(slice(None),) * self.axis, slice(start, stop))
            gxs.append(gy[place] if x.requires_grad else None)
            start = stop
        return tuple(gxs)


def concat(xs: Iterable[Any], axis: int = 0) -> Variable:
    """Several ``x`` one behind the other, along an axis that they have.

    Raises:
        ValueError: There is none; or they differ in an axis other than ``axis``.

    >>> concat([np.array([[1], [2]]), np.array([[3, 4], [5, 6]])], axis=1)
    variable([[1 3 4]
              [2 5 6]])
    """
    xs = [as_input(x) for x in xs]
    shapes = [x.shape for x in xs]
    if not xs:
        raise ValueError("concat: expected one array or more, got none")
    if not -xs[0].ndim <= axis < xs[0].ndim:
        raise ValueError(
            f"concat: expected axis from {-xs[0].ndim} to {xs[0].ndim - 1} for x "
            f"{shapes[0]}, got {axis}"
        )
    axis %= xs[0].ndim
    others = {(*shape[:axis], *shape[axis + 1 :], len(shape)) for shape in shapes}
    if len(others) > 1:
        raise ValueError(
            f"concat: expected shapes that are equal but for axis {axis}, got "
            + ", ".join(map(str, shapes))
        )
    return Concat(axis)(*xs)


class Stack(Function):
    """Arrays of one shape as one with a further axis: the steps of a sequence, say."""

    def __init__(self, axis: int = 0) -> None:
        self.axis = axis

    def forward(self, *xs: Array) -> Array:
        return get_array_module(xs[0]).stack(xs, self.axis)

    def backward(self, gy: Variable) -> tuple[Variable, ...]:
        gxs: Any = Unstack(self.axis)(gy)
        return gxs if isinstance(gxs, tuple) else (gxs,)


class Unstack(Function):
    """One array as those along an axis: what the steps of a sequence take."""

    def __init__(self, axis: int = 0) -> None:
        self.axis = axis

    def forward(self, x: Array) -> tuple[Array, ...]:
        return tuple(np.moveaxis(x, self.axis, 0) if self.axis else x)

    def backward(self, *gys: Variable) -> Variable:
        return Stack(self.axis)(*gys)


def stack(xs: Iterable[Any], axis: int = 0) -> Variable:
    """Several ``x`` of one shape along a new axis, which becomes axis number ``axis``.

    Raises:
        ValueError: There is none; they differ in shape; there is no such place.

    >>> stack([np.array([1, 2]), np.array([3, 4])], axis=1)
    variable([[1 3]
              [2 4]])
    """
    xs = [as_input(x) for x in xs]
    if not xs:
        raise ValueError("stack: expected one array or more, got none")
    if len({x.shape for x in xs}) > 1:
        raise ValueError(
            "stack: expected one shape, got " + ", ".join(str(x.shape) for x in xs)
        )
    (axis,) = normalize_axis("stack", axis, xs[0].ndim + 1)
    return Stack(axis)(*xs)


class Split(Function):
    def __init__(self, places: Sequence[int], axis: int) -> None:
        self.places = places
        self.axis = axis

    def forward(self, x: Array) -> tuple[Array, ...]:
        return tuple(np.split(x, self.places, self.axis))

    def backward(self, *gys: Variable) -> Variable:
        return concat(gys, self.axis)


def split(x: Any, indices_or_sections: Any, axis: int = 0) -> tuple[Variable, ...]:
    """``x`` cut along ``axis``: the reverse of ``concat``.

    Args:
        x: Variable or array.
        indices_or_sections: The number of equal parts; or the indices before which to
            cut, in order: ``[2, 3]`` gives ``x[:2], x[2:3], x[3:]``.
        axis: The axis to cut.

    Raises:
        ValueError: There is no such axis, or equal parts are not possible.

    >>> split(np.arange(6), 3)
    (variable([0 1]), variable([2 3]), variable([4 5]))
    """
    x = as_input(x)
    (axis,) = normalize_axis("split", axis, x.ndim)
    length = x.shape[axis]
    if np.ndim(indices_or_sections):
        places = [slice(int(i)).indices(length)[1] for i in indices_or_sections]
        if places != sorted(places):
            raise ValueError(
                f"split: expected indices in order, got {list(indices_or_sections)} "
                f"for axis {axis} of x {x.shape}"
            )
    else:
        count = int(indices_or_sections)
        if count < 1 or length % count:
            raise ValueError(
                f"split: expected a number of parts that divides axis {axis} of x "
                f"{x.shape}, got {count}; write the indices at which to cut"
            )
        places = [i * (length // count) for i in range(1, count)]
    return (*Split(places, axis)(x),) if places else (x,)
