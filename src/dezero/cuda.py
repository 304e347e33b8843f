"""The book's ``dezero.cuda``: which array library, and the way from one to the other.

CuPy is looked for when ``gpu_enable`` or ``cupy`` is first read, never at import.

>>> import dezero.cuda
>>> dezero.cuda.get_array_module(Variable(np.ones(3))).__name__
'numpy'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dezero.backend import as_cupy, as_numpy, find_cupy, get_array_module, require_cupy
from dezero.errors import MissingDependencyError

if TYPE_CHECKING:
    cupy: Any
    gpu_enable: bool

__all__ = ["as_cupy", "as_numpy", "cupy", "get_array_module", "gpu_enable"]


def __getattr__(name: str) -> Any:
    if name == "gpu_enable":
        return find_cupy() is not None
    if name == "cupy":
        try:
            return require_cupy("cuda.cupy")
        except MissingDependencyError as error:  # hasattr() expects an AttributeError
            raise AttributeError(str(error)) from error
    raise AttributeError(f"module 'dezero.cuda' has no attribute '{name}'")
