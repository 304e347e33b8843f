"""``vmap``: from one example to a batch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from dezero.backend import is_array
from dezero.backend.batching import Level, active, level_of, without_axis
from dezero.backend.trees import leaves, mapped, with_parts
from dezero.core import Variable
from dezero.core.examples import Hide, Show
from dezero.core.variable import clock

Axes = Any  # an integer, None, or a structure of them


def vmap(
    f: Callable[..., Any], in_axes: Axes = 0, out_axes: Axes = 0
) -> Callable[..., Any]:
    """``f``, written for one example, for a batch of them.

    ``f`` runs once, with arrays that hide the axis of the examples: what NumPy and
    DeZero compute with them, they compute for all. The result is that of a loop over
    the examples, followed by ``np.stack``; what cannot be computed at once is such a
    loop. It nests, and goes with all other transforms in any order.

    Random numbers of DeZero's own (dropout) are drawn for each example by itself; those
    that ``f`` draws from NumPy are the same for all.

    Args:
        f: Takes and returns Variables and arrays, in lists, tuples and dicts as it
            likes. It may not read values (``if x > 0``): write ``np.where``.
        in_axes: The axis of each argument along which the examples lie; ``None`` for
            what is the same for all. One for all arguments, or a tuple with one for
            each: an integer, ``None``, or a structure of them like the argument.
        out_axes: The axis along which they shall lie in the results, likewise.

    Raises:
        ValueError: The numbers of examples differ, or there is none; or an axis is out
            of range.
        TypeError: ``f`` reads a value, or ``in_axes`` does not fit the arguments.

    >>> vmap(np.dot)(np.array([[1.0, 2.0], [3.0, 4.0]]), np.eye(2))
    array([1., 4.])
    >>> loss = lambda w, x, t: (w * x - t) ** 2
    >>> per_example = vmap(dezero.grad(loss), in_axes=(None, 0, 0))
    >>> per_example(2.0, np.array([1.0, 2.0]), np.array([0.0, 0.0]))
    variable([ 4. 16.])
    """
    if not callable(f):
        raise TypeError(f"vmap: expected a function, got {type(f).__name__}")

    @functools.wraps(f, updated=())
    def mapped_f(*args: Any, **kwargs: Any) -> Any:
        axes = in_axes if isinstance(in_axes, (tuple, list)) else (in_axes,) * len(args)
        if len(axes) != len(args):
            raise TypeError(
                f"vmap: expected in_axes for each of {len(args)} arguments, got "
                f"{len(axes)}"
            )
        placed = [_paired("in_axes", a, x) for a, x in zip(axes, args, strict=True)]
        level = Level(next(clock), _size(placed))
        given = [_hidden(level, pairs) for pairs in placed]
        token = active.set((*active.get(), level))
        try:
            result = f(*given, **kwargs)
        finally:
            active.reset(token)
        return _shown(level, _paired("out_axes", out_axes, result))

    return mapped_f


class _Pair:
    """A leaf and its axis."""

    def __init__(self, x: Any, axis: int | None) -> None:
        self.x = x
        self.axis = axis


def _paired(name: str, axes: Axes, tree: Any) -> Any:
    """The structure, with an axis for each leaf; that of a part is for all in it."""
    if axes is None or isinstance(axes, int):
        return mapped(tree, lambda x: _Pair(x, axes))
    same = type(axes) is type(tree) and len(axes) == len(tree)
    if isinstance(axes, dict) and same and axes.keys() == tree.keys():
        return {key: _paired(name, axes[key], x) for key, x in tree.items()}
    if isinstance(axes, (tuple, list)) and same:
        parts = [_paired(name, a, x) for a, x in zip(axes, tree, strict=True)]
        return with_parts(tree, parts)
    raise TypeError(
        f"vmap: expected {name} as integers, None, or structures of them like what "
        f"they are for, got {axes!r}"
    )


def _size(placed: Any) -> int:
    """How many examples there are."""
    sizes = {}
    for pair in leaves(placed):
        if pair.axis is None:
            continue
        shape = np.shape(pair.x)
        if not -len(shape) <= pair.axis < len(shape):
            raise ValueError(
                f"vmap: expected an array with axis {pair.axis} for the examples, got "
                f"shape {shape}; write None in in_axes for what is the same for all"
            )
        sizes[shape[pair.axis]] = shape
    if len(sizes) > 1:
        raise ValueError(
            "vmap: expected one number of examples along in_axes, got "
            + " and ".join(f"{n} in shape {shape}" for n, shape in sizes.items())
        )
    if not sizes or 0 in sizes:
        raise ValueError("vmap: expected examples along in_axes, got none")
    return next(iter(sizes))


def _hidden(level: Level, pairs: Any) -> Any:
    """The argument as ``f`` gets it."""

    def hide(pair: _Pair) -> Any:
        x, axis = pair.x, pair.axis
        if axis is None:
            return x
        if isinstance(x, Variable):
            return Hide(level.number, axis)(x)
        x = x if is_array(x) else np.asarray(x)
        return without_axis(np.moveaxis(x, axis, 0), level.number)

    return mapped(pairs, hide)


def _shown(level: Level, pairs: Any) -> Any:
    """The result as the caller gets it."""

    def show(pair: _Pair) -> Any:
        x, axis = pair.x, pair.axis
        data = x._data if isinstance(x, Variable) else x
        if axis is None:
            if level_of(data) == level.number:
                raise ValueError(
                    "vmap: expected a result that is the same for all examples, as "
                    "out_axes=None says, got one of each"
                )
            return x
        if not isinstance(x, Variable) and not is_array(x):
            if not isinstance(x, (bool, int, float, complex, np.generic)):
                return x
            x = np.asarray(x)
        if not -x.ndim - 1 <= axis <= x.ndim:
            raise ValueError(
                f"vmap: expected out_axes from {-x.ndim - 1} to {x.ndim} for results "
                f"of shape {x.shape}, got {axis}"
            )
        function = Show(level.number, axis, level.size)
        return function(x) if isinstance(x, Variable) else function.forward(x)

    return mapped(pairs, show)
