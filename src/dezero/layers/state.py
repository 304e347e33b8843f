"""All arrays of a Layer by name, and back: checked before the first is taken over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from dezero.backend import Array, as_numpy, get_array_module
from dezero.core import Parameter
from dezero.errors import DataError, closest
from dezero.layers.places import Holder, PartialShape, Place, best_places, named, walk

# What PyTorch's batch normalization has beside its parameters: how often it was called.
_COUNTER = "num_batches_tracked"


class Unmatched(NamedTuple):
    """What ``load_state_dict(state, strict=False)`` left out."""

    missing: list[str]  # parameters that ``state`` has no array for
    unexpected: list[str]  # arrays that belong to no parameter


def arrays_of(
    layer: Holder, operation: str, published: bool = False
) -> dict[str, np.ndarray[Any, Any]]:
    """Copies of the data of all parameters, by name.

    Args:
        layer: Whose parameters.
        operation: Who asks, for messages.
        published: Whether names and layouts are those of other frameworks.

    Raises:
        ValueError: A parameter has no data, or two have the same name.
    """
    places = named(layer, Parameter, published)
    empty = [place.name for place in places.values() if place.thing.data is None]
    if empty:
        raise ValueError(
            f"{operation}: expected data in every parameter, got none in "
            f"{', '.join(empty)}, whose shape is found at the first call; write "
            "model(x) first"
        )
    arrays = {}
    for name, place in places.items():
        array = as_numpy(place.thing.data)
        turned = array.T if published and place.transposed else array
        arrays[name] = np.array(turned, order="C")
    return arrays


def fill(
    layer: Holder,
    arrays: Mapping[str, Array],
    operation: str,
    source: str = "",
    strict: bool = True,
) -> Unmatched:
    """Make copies of ``arrays`` the data of the parameters: of all, or of none.

    They are found by their own names or by those of other frameworks, whichever more
    of ``arrays`` have.

    Args:
        layer: Whose parameters.
        arrays: By name.
        operation: Who asks, for messages.
        source: Where the arrays come from, likewise.
        strict: Whether every parameter must be there and nothing else.

    Raises:
        DataError: They are others than expected; the message lists them all.
    """
    places = [place for place in walk(layer) if isinstance(place.thing, Parameter)]
    own, theirs = _entries(places, False), _entries(places, True)
    entries = max((own, theirs), key=lambda names: len(names.keys() & arrays.keys()))
    best = best_places(layer, Parameter).values()
    taken: dict[Parameter, Any] = {}
    given: dict[Parameter, str] = {}  # under which name it was met first
    misfits, unexpected = [], []
    for name, array in arrays.items():
        array = as_numpy(array)
        if name not in entries:
            if name.rpartition(".")[2] == _COUNTER:
                continue
            unexpected.append(name)
            if strict:
                near = closest(name, entries.keys() - arrays.keys())
                misfits.append(
                    f"{name}: expected no such entry, got {_described(array)}{near}"
                )
            continue
        entry = entries[name]
        first = given.setdefault(entry.param, name)
        data = array.T if entry.turned else array
        if not entry.takes(array):
            misfits.append(f"{name}: expected {entry}, got {_described(array)}")
        elif not np.array_equal(
            taken.setdefault(entry.param, data), data, equal_nan=True
        ):
            misfits.append(
                f"{name}: expected the numbers of {first}, with which it is tied, "
                "got others"
            )
    missing = {
        name: entry
        for name, entry in _entries(best, entries is theirs).items()
        if entry.param not in given
    }
    if strict:
        misfits += [
            f"{name}: expected {entry}, got no entry" for name, entry in missing.items()
        ]
    if misfits:
        raise DataError(
            f"{operation}: expected the parameters of {type(layer).__name__}, got "
            f"other entries{source}; nothing was loaded:\n  " + "\n  ".join(misfits)
        )
    for place in best:
        if place.thing in taken:
            _set(place, taken[place.thing])
    return Unmatched(list(missing), unexpected)


class _Entry(NamedTuple):
    """What is expected under a name."""

    param: Parameter
    shape: PartialShape | None  # as it is in the file
    turned: bool  # the file has it transposed

    def takes(self, array: Array) -> bool:
        """Whether ``array`` can be the data."""
        return array.dtype.kind in "fiub" and (
            self.shape is None
            or (
                len(self.shape) == array.ndim
                and all(
                    n in (None, m) for n, m in zip(self.shape, array.shape, strict=True)
                )
            )
        )

    def __str__(self) -> str:
        if self.shape is None:
            return "numbers"
        lengths = ["?" if n is None else str(n) for n in self.shape]
        return f"shape ({', '.join(lengths)}{',' if len(lengths) == 1 else ''})"


def _entries(places: Iterable[Place], published: bool) -> dict[str, _Entry]:
    """What is expected, by our names or by those of other frameworks."""
    entries = {}
    for place in places:
        turned = published and place.transposed
        shape = place.shape
        if turned and shape is not None:
            shape = shape[::-1]
        name = place.published if published else place.name
        entries[name] = _Entry(place.thing, shape, turned)
    return entries


def _described(array: Array) -> str:
    kind = "" if array.dtype.kind in "fiub" else f" of type {array.dtype}"
    return f"shape {array.shape}{kind}"


def _set(place: Place, array: Array) -> None:
    """Make a copy of ``array`` the data, in its type and on its device."""
    data = place.thing.data
    dtype = getattr(place.owner, "dtype", array.dtype) if data is None else data.dtype
    xp = get_array_module(data)
    place.thing.data = xp.array(array, dtype=dtype, order="C")
