"""The elements of one array turned round, moved, repeated, or framed."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero.backend import Array, get_array_module
from dezero.core import Function, Variable, as_input, broadcast_to
from dezero.functions.indexing import get_item
from dezero.functions.shape import Axis, expand_dims, normalize_axis, reshape


def flip(x: Any, axis: Axis = None) -> Variable:
    """``x`` in reverse order along ``axis``; ``None`` is all axes.

    Raises:
        ValueError: There is no such axis.

    >>> flip(np.array([[1, 2], [3, 4]]), axis=1)
    variable([[2 1]
              [4 3]])
    """
    x = as_input(x)
    turned = normalize_axis("flip", axis, x.ndim)
    steps = (-1 if i in turned else 1 for i in range(x.ndim))
    return get_item(x, tuple(slice(None, None, step) for step in steps))


class Roll(Function):
    def __init__(self, shift: tuple[int, ...], axis: tuple[int, ...]) -> None:
        self.shift = shift
        self.axis = axis

    def forward(self, x: Array) -> Array:
        return np.roll(x, self.shift, self.axis)

    def backward(self, gy: Variable) -> Variable:
        return Roll(tuple(-n for n in self.shift), self.axis)(gy)


def roll(x: Any, shift: Any, axis: Any = None) -> Variable:
    """``x`` with its elements moved on by ``shift`` places along ``axis``; those that
    leave at one end come in at the other.

    Args:
        x: Variable or array.
        shift: How far: an integer, or one for each axis of ``axis``.
        axis: An axis, several, or ``None`` for all elements in a row.

    Raises:
        ValueError: There is no such axis, or there are not as many shifts as axes.

    >>> roll(np.array([1, 2, 3, 4]), 1)
    variable([4 1 2 3])
    """
    x = as_input(x)
    if axis is None:
        return reshape(roll(reshape(x, -1), shift, 0), x.shape)
    axes = normalize_axis("roll", axis, x.ndim)
    shifts = shift if isinstance(shift, (tuple, list)) else (shift,) * len(axes)
    if len(shifts) != len(axes):
        raise ValueError(
            f"roll: expected a shift for each axis, got shift {shift} and axis {axis}"
        )
    return Roll(tuple(map(int, shifts)), axes)(x)


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Variable:
    """Each element of ``x`` several times, one after the other.

    Args:
        x: Variable or array.
        repeats: How often: an integer, or one for each place along ``axis``.
        axis: An axis, or ``None`` for all elements in a row.

    Raises:
        ValueError: There is no such axis, or there are not as many numbers as places.

    >>> repeat(np.array([1, 2]), 2)
    variable([1 1 2 2])
    >>> repeat(np.array([[1], [2]]), [2, 1], axis=0)
    variable([[1]
              [1]
              [2]])
    """
    x = as_input(x)
    if axis is None:
        return repeat(reshape(x, -1), repeats, 0)
    (axis,) = normalize_axis("repeat", axis, x.ndim)
    before, length, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    counts = np.asarray(repeats)
    if counts.shape not in ((), (1,), (length,)):
        raise ValueError(
            f"repeat: expected an integer or {length} of them for axis {axis} of x "
            f"{x.shape}, got {counts.size}"
        )
    if counts.min(initial=0) < 0:
        raise ValueError(f"repeat: expected numbers from 0 on, got {repeats}")
    if counts.size != 1:
        places = np.repeat(np.arange(length), counts)
        return get_item(x, (*(slice(None),) * axis, places))
    n = int(counts.reshape(()))
    y = broadcast_to(expand_dims(x, axis + 1), (*before, length, n, *after))
    return reshape(y, (*before, length * n, *after))


def tile(x: Any, reps: int | tuple[int, ...]) -> Variable:
    """``x`` several times side by side: ``reps[i]`` times along axis ``i``.

    Where ``reps`` and the axes of ``x`` are not as many, the shorter is filled with
    ones at its front, as NumPy does.

    >>> tile(np.array([1, 2]), (2, 2))
    variable([[1 2 1 2]
              [1 2 1 2]])
    """
    x = as_input(x)
    counts = tuple(map(int, reps if isinstance(reps, (tuple, list)) else (reps,)))
    ndim = max(x.ndim, len(counts))
    counts = (1,) * (ndim - len(counts)) + counts
    shape = (1,) * (ndim - x.ndim) + x.shape
    pairs = list(zip(counts, shape, strict=True))
    y = reshape(x, [n for length in shape for n in (1, length)])
    y = broadcast_to(y, tuple(n for pair in pairs for n in pair))
    return reshape(y, [count * length for count, length in pairs])


class Pad(Function):
    """A frame of one number."""

    def __init__(self, widths: list[tuple[int, int]], value: float) -> None:
        self.widths = widths
        self.value = value

    def forward(self, x: Array) -> Array:
        sizes = zip(self.widths, x.shape, strict=True)
        shape = tuple(before + n + after for (before, after), n in sizes)
        self.inside = tuple(
            slice(before, before + n)
            for (before, _), n in zip(self.widths, x.shape, strict=True)
        )
        y = get_array_module(x).full(shape, self.value, x.dtype)
        y[self.inside] = x
        return y

    def backward(self, gy: Variable) -> Variable:
        return get_item(gy, self.inside)


def pad(
    x: Any, pad_width: Any, mode: str = "constant", constant_values: float = 0
) -> Variable:
    """``x`` with a frame around it.

    Args:
        x: Variable or array.
        pad_width: How wide it is: ``n`` on every side, ``(before, after)`` at every
            axis, or one such pair for each axis.
        mode: What stands there: ``"constant"`` the number ``constant_values``;
            ``"edge"`` the outermost elements; ``"reflect"`` the elements as in a
            mirror that stands on the outermost ones.
        constant_values: The number for ``"constant"``.

    Raises:
        ValueError: There is no such mode; the widths are negative or are not one pair
            for each axis; or there is no element to mirror.

    >>> pad(np.array([1, 2, 3]), 2)
    variable([0 0 1 2 3 0 0])
    >>> pad(np.array([1, 2, 3]), (2, 1), mode="reflect")
    variable([3 2 1 2 3 2])
    """
    x = as_input(x)
    if mode not in ("constant", "edge", "reflect"):
        raise ValueError(
            f"pad: expected mode 'constant', 'edge' or 'reflect', got {mode!r}"
        )
    try:
        table = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2))
        fits = table.min(initial=0) >= 0 and table.dtype.kind in "iu"
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"pad: expected widths from 0 on, a pair for each axis of x {x.shape}, got "
            f"{pad_width}"
        )
    widths = [(int(before), int(after)) for before, after in table]
    if mode == "constant":
        return Pad(widths, constant_values)(x)
    for axis, width in enumerate(widths):
        length = x.shape[axis]
        if not any(width):
            continue
        if not length:
            raise ValueError(
                f"pad: expected elements along axis {axis} for mode {mode!r}, got x "
                f"{x.shape}"
            )
        places = np.pad(np.arange(length), width, mode)  # type: ignore[call-overload]
        x = get_item(x, (*(slice(None),) * axis, places))
    return x
