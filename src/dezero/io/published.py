"""Published weights, whose names are another framework's and another model's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dezero.backend.files import PathLike
from dezero.backend.tensors import load_tensors
from dezero.errors import DataError, closest
from dezero.layers import Layer
from dezero.layers.state import fill

Rename = Mapping[str, str | None] | Callable[[str], str | None]


def load_published(model: Layer, path: PathLike, rename: Rename | None = None) -> None:
    """Read the weights of a ``.safetensors`` file, published by others: all, or none.

    A model that knows how its weights are published, as GPT does, has a method
    ``load_published(arrays)``, which gets the arrays of the file. Any other takes those
    that have its names, ours or PyTorch's (see ``Layer.load_weights``), in PyTorch's
    layouts; ``rename`` leads from the names in the file to these.

    Args:
        model: The model.
        path: The name of the file.
        rename: New names for entries, or for the beginnings of their names up to a
            dot; of several that fit, the longest counts. Or a function from a name to
            the new one. ``None`` instead of a name leaves the entry out, and ``''``
            for a beginning drops it.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is no such file; or its entries are not the parameters, or two
            get the same name: the message lists them all.
        ValueError: ``rename`` has a name that is not in the file.
        MissingDependencyError: The library safetensors is not installed.

    >>> import tempfile, dezero.layers as L
    >>> from dezero.io import load_published, save_tensors
    >>> theirs = {'net.fc.weight': np.ones((3, 2)), 'net.fc.bias': np.ones(3)}
    >>> model = dezero.Model()
    >>> model.head = L.Linear(3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_tensors(folder + '/theirs.safetensors', theirs)
    ...     load_published(model, folder + '/theirs.safetensors', {'net.fc': 'head'})
    >>> model.head.W.shape
    (2, 3)
    """
    arrays: Mapping[str, Any] = load_tensors(path)
    if rename is not None:
        arrays = _renamed(arrays, rename)
    if hasattr(model, "load_published"):
        model.load_published(arrays)
    else:
        fill(model, arrays, "load_published", f" in '{path}'")


def _renamed(
    arrays: Mapping[str, np.ndarray[Any, Any]], rename: Rename
) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays by their new names."""
    if not callable(rename):
        beginnings = {start for name in arrays for start, _ in _beginnings(name)}
        for start in rename:
            if start not in beginnings:
                raise ValueError(
                    "load_published: expected names in the file, or beginnings of them "
                    f"up to a dot, to rename, got '{start}'"
                    + closest(start, beginnings)
                )
    found: dict[str, np.ndarray[Any, Any]] = {}
    old: dict[str, str] = {}
    for name, array in arrays.items():
        new = rename(name) if callable(rename) else _new_name(name, rename)
        if new is None:
            continue
        if new in found:
            raise DataError(
                f"load_published: expected a name for each entry, got {new} for "
                f"{old[new]} and for {name}"
            )
        found[new], old[new] = array, name
    return found


def _new_name(name: str, rename: Mapping[str, str | None]) -> str | None:
    for start, rest in _beginnings(name):
        if start in rename:
            new = rename[start]
            return None if new is None else ".".join(filter(None, (new, rest)))
    return name


def _beginnings(name: str) -> list[tuple[str, str]]:
    """A name cut in two at each dot, the longest beginning first."""
    parts = name.split(".")
    return [
        (".".join(parts[:n]), ".".join(parts[n:])) for n in range(len(parts), 0, -1)
    ]
