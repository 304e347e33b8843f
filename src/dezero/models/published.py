"""Weights that others have published, under their names and in their layouts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from dezero.backend import Array, Shape, get_array_module
from dezero.core import Parameter
from dezero.errors import DataError, closest
from dezero.layers import Layer, LayerNorm, Linear

Arrays = Mapping[str, Any]


class Target(NamedTuple):
    """Where a published array goes: to a parameter, or to some of its columns."""

    param: Parameter
    transposed: bool = False
    columns: slice = slice(None)

    @property
    def place(self) -> Array:
        """The part of the parameter, as the array is laid out."""
        part = self.param.data[..., self.columns]
        return part.T if self.transposed else part


Targets = dict[str, Target]


def of_linear(name: str, layer: Linear, transposed: bool = True) -> Targets:
    """``name.weight``, by default (out, in), and ``name.bias``."""
    targets = {f"{name}.weight": Target(layer.W, transposed)}
    return targets if layer.b is None else {**targets, f"{name}.bias": Target(layer.b)}


def of_norm(name: str, layer: LayerNorm) -> Targets:
    """``name.weight`` and ``name.bias``."""
    assert layer.beta is not None
    return {
        f"{name}.weight": Target(layer.gamma),
        f"{name}.bias": Target(layer.beta),
    }


def without(prefix: str, arrays: Arrays) -> dict[str, Any]:
    """The arrays by their names without a prefix that some files have."""
    return {name.removeprefix(prefix): array for name, array in arrays.items()}


def shape_of(operation: str, arrays: Arrays, name: str, axes: int) -> Shape:
    """The shape of an array that must be there and have so many axes.

    Raises:
        DataError: It is not so.
    """
    if name not in arrays:
        raise DataError(
            f"{operation}: expected an array '{name}', got none"
            + closest(name, list(arrays))
        )
    shape: Shape = np.shape(arrays[name])
    if len(shape) != axes:
        raise DataError(
            f"{operation}: expected an array '{name}' of {axes} axes, got shape {shape}"
        )
    return shape


def assign(
    model: Layer, arrays: Arrays, targets: Targets, ignored: Iterable[str] = ()
) -> None:
    """Give the parameters the numbers of the arrays: all of them, or none.

    Args:
        model: For the message.
        arrays: By their names without prefix.
        targets: Where they go. Several names may lead to one place.
        ignored: Patterns of names that may be there and are not needed.

    Raises:
        DataError: An array is missing, unknown, of another shape or not of numbers, or
            two that are tied differ: the message lists them all.
    """
    misfits = []
    for name, array in arrays.items():
        if name not in targets:
            if not any(re.fullmatch(pattern, name) for pattern in ignored):
                hint = closest(name, targets.keys() - arrays.keys())
                misfits.append(f"{name}: expected no such array, got one{hint}")
            continue
        wanted, found = targets[name].place.shape, np.shape(array)
        if found != wanted or np.asarray(array).dtype.kind not in "fiu":
            kind = "" if found != wanted else f" of {np.asarray(array).dtype}"
            misfits.append(f"{name}: expected shape {wanted}, got shape {found}{kind}")
    misfits += [
        f"{name}: expected shape {target.place.shape}, got no array"
        for name, target in targets.items()
        if name not in arrays
    ]
    if misfits:
        raise DataError(
            f"load_published: expected the weights of a {type(model).__name__}, got "
            "other arrays; nothing was loaded:\n  " + "\n  ".join(misfits)
        )
    new = {
        target.param: np.empty_like(target.param.data) for target in targets.values()
    }
    for name, target in targets.items():
        array = np.asarray(arrays[name])
        place = new[target.param][..., target.columns]
        place[...] = array.T if target.transposed else array
    for param, data in new.items():
        param.data = get_array_module(param.data).asarray(data)
