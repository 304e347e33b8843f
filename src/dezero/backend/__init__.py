"""Which array library an array belongs to, and helpers on bare arrays.

Nothing in this room knows of Variables. NumPy is always there; CuPy is looked
for when it is first asked for, never at import.
"""

from __future__ import annotations

import functools
import importlib
import sys
from types import ModuleType
from typing import Any

import numpy as np

from dezero.backend.batching import BatchedArray
from dezero.backend.tracing import TracedArray
from dezero.errors import missing

# An ndarray of NumPy, of CuPy, or a tracer's array: anything with their protocols.
Array = Any
Shape = tuple[int, ...]


@functools.cache
def find_cupy() -> ModuleType | None:
    """The module ``cupy`` where it is installed and sees a device, else ``None``."""
    try:
        cupy = importlib.import_module("cupy")
        return cupy if cupy.cuda.runtime.getDeviceCount() > 0 else None
    except Exception:  # a broken driver raises whatever it likes
        return None


def require_cupy(operation: str) -> ModuleType:
    """The module ``cupy``, or an error that says how to get it."""
    cupy = find_cupy()
    if cupy is None:
        raise missing("cupy, with a GPU it can use", operation, "gpu")
    return cupy


def get_array_module(x: Any) -> ModuleType:
    """NumPy, or CuPy where ``x`` is one of its arrays (or holds one).

    >>> get_array_module(np.ones(3)).__name__
    'numpy'
    """
    x = getattr(x, "_data", x)
    if type(x) is np.ndarray or "cupy" not in sys.modules:
        return np
    cupy = find_cupy()
    return cupy if cupy is not None and isinstance(x, cupy.ndarray) else np


def is_array(x: Any) -> bool:
    """Whether ``x`` can be the data of a Variable: an ndarray of a known library."""
    return isinstance(x, (np.ndarray, TracedArray, BatchedArray)) or (
        not isinstance(x, np.generic) and get_array_module(x) is not np
    )


def as_array(x: Any, array_module: ModuleType = np) -> Array:
    """``x`` as an array; arrays pass as they are.

    >>> as_array(2.0)
    array(2.)
    """
    return x if is_array(x) else array_module.asarray(x)


def as_numpy(x: Any) -> np.ndarray[Any, Any]:
    """The values of an array or Variable as a NumPy array, from wherever they are."""
    x = getattr(x, "_data", x)
    if isinstance(x, np.ndarray):
        return x
    if get_array_module(x) is not np:
        return np.asarray(x.get())
    return np.asarray(x)


def as_cupy(x: Any) -> Array:
    """The values of an array or Variable as a CuPy array.

    Raises:
        MissingDependencyError: CuPy is not installed or sees no device.
    """
    return require_cupy("as_cupy").asarray(getattr(x, "_data", x))
