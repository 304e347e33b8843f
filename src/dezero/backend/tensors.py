"""Named arrays in ``.safetensors`` files, which hold numbers and no code.

The library of that name reads and checks them; it is imported where it is used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dezero.backend import Array, as_numpy
from dezero.backend.files import PathLike, write_atomically
from dezero.errors import DataError, missing

SUFFIX = ".safetensors"
_DTYPES: dict[str, Any] = {
    f"{letter}{8 * size}": np.dtype(f"{letter.lower()}{size}")
    for letter, sizes in {"F": (8, 4, 2), "I": (8, 4, 2, 1), "U": (8, 4, 2, 1)}.items()
    for size in sizes
} | {"BOOL": np.dtype(bool), "BF16": np.dtype("u2")}


class Tensors(dict[str, np.ndarray[Any, Any]]):
    """Arrays by name, and what the file says of itself.

    Attributes:
        metadata: Texts by name.
    """

    metadata: dict[str, str]


def _library() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise missing("safetensors", f"{SUFFIX} files", "files") from None
    return safetensors


def save_tensors(
    path: PathLike, arrays: Mapping[str, Array], metadata: Mapping[str, str] = {}
) -> None:
    """Write named arrays, from wherever they are, to a ``.safetensors`` file.

    Args:
        path: The name of the file.
        arrays: The arrays by name, of numbers or booleans.
        metadata: Texts by name, for whoever reads the file.

    Raises:
        MissingDependencyError: The library safetensors is not installed.
        TypeError: An array is of a type that such a file cannot hold.
    """
    library = _library()
    given = {name: np.asarray(as_numpy(array)) for name, array in arrays.items()}
    for name, array in given.items():
        if array.dtype.newbyteorder("=") not in _DTYPES.values():
            raise TypeError(
                f"save_tensors: expected arrays of numbers, got {name} of type "
                f"{array.dtype}"
            )
    data = library.numpy.save(
        {name: np.array(array, order="C") for name, array in given.items()},
        dict(metadata) or None,
    )
    with write_atomically(path) as file:
        file.write(data)


def load_tensors(path: PathLike) -> Tensors:
    """Read the named arrays of a ``.safetensors`` file.

    Those of float16 and of bfloat16, which NumPy does not know, come as float32: it
    holds their numbers exactly.

    Args:
        path: The name of the file.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is not such a file, is damaged, or lies about what is where.
        MissingDependencyError: The library safetensors is not installed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_tensors(folder + '/a.safetensors', {'x': np.arange(3)}, {'by': 'me'})
    ...     tensors = load_tensors(folder + '/a.safetensors')
    >>> tensors['x'], tensors.metadata
    (array([0, 1, 2]), {'by': 'me'})
    """
    library = _library()
    if not Path(path).exists():
        raise FileNotFoundError(f"load: expected a file '{path}', got none there")
    data = Path(path).read_bytes()
    try:
        entries = dict(library.deserialize(data))
    except library.SafetensorError as error:
        raise DataError(
            f"load: expected a {SUFFIX} file, got '{path}', where {error}"
        ) from error
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    tensors = Tensors()
    tensors.metadata = header.pop("__metadata__", {})
    for name in header:
        kind = entries[name]["dtype"]
        if kind not in _DTYPES:
            raise DataError(
                f"load: expected arrays of {', '.join(_DTYPES)}, got '{path}', where "
                f"{name} is of {kind}"
            )
        array = np.frombuffer(entries[name]["data"], _DTYPES[kind])
        if kind == "BF16":  # the upper half of a float32
            array = (array.astype(np.uint32) << 16).view(np.float32)
        elif kind == "F16":
            array = array.astype(np.float32)
        tensors[name] = array.reshape(entries[name]["shape"])
    return tensors
