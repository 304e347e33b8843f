"""DeZero: a deep-learning framework whose whole story a reader can hold in the head.

A ``Variable`` holds an array; a ``Function`` computes and remembers its inputs; the
*generation* of each orders the walk back. Everything else stands on that.

>>> x = dezero.Variable(np.array([1.0, 2.0, 3.0]))
>>> y = (x ** 2).sum()
>>> y.backward()
>>> x.grad
variable([2. 4. 6.])
"""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dezero import (
    config,
    core,
    functions,
    functions_conv,
    init,
    layers,
    models,
    operators,
    optimizers,
    random,
    viz,
)
from dezero.autodiff import (
    checkpoint,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    value_and_grad,
    vjp,
    vmap,
)
from dezero.backend import tracing
from dezero.core import (
    Config,
    Function,
    Parameter,
    Variable,
    as_array,
    as_variable,
    no_grad,
    test_mode,
    using_config,
)
from dezero.layers import Layer
from dezero.models import Model
from dezero.operators import setup_variable
from dezero.version import __version__

if TYPE_CHECKING:
    from dezero import (
        core_simple,
        cuda,
        data,
        dataloaders,
        datasets,
        io,
        train,
        transforms,
        utils,
    )
    from dezero.compiler import (
        CompileError,
        MismatchError,
        NonFiniteError,
        compile,
        set_num_threads,
    )
    from dezero.data import DataLoader, Dataset, SeqDataLoader

is_simple_core = False  # the programs of the book ask which of its engines this is

# What not every program needs is imported when it is first named.
_LATER = {
    "CompileError": "dezero.compiler",
    "DataLoader": "dezero.data",
    "Dataset": "dezero.data",
    "MismatchError": "dezero.compiler",
    "NonFiniteError": "dezero.compiler",
    "SeqDataLoader": "dezero.data",
    "compile": "dezero.compiler",
    "core_simple": "dezero",
    "cuda": "dezero",
    "data": "dezero",
    "dataloaders": "dezero",
    "datasets": "dezero",
    "io": "dezero",
    "set_num_threads": "dezero.compiler",
    "train": "dezero",
    "transforms": "dezero",
    "utils": "dezero",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'dezero' has no attribute '{name}'")
    if _LATER[name] == "dezero":
        return importlib.import_module(f"dezero.{name}")
    value = globals()[name] = getattr(importlib.import_module(_LATER[name]), name)
    return value


def _native(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """For eager computations on large arrays: the compiler, when first needed."""
    provide: Callable[..., Any] = importlib.import_module(_LATER["compile"]).native_form
    return provide(function)


tracing.provide = _native


def __dir__() -> list[str]:
    return __all__


__all__ = [
    "CompileError",
    "Config",
    "DataLoader",
    "Dataset",
    "Function",
    "Layer",
    "MismatchError",
    "Model",
    "NonFiniteError",
    "Parameter",
    "SeqDataLoader",
    "Variable",
    "__version__",
    "as_array",
    "as_variable",
    "checkpoint",
    "compile",
    "config",
    "core",
    "core_simple",
    "cuda",
    "data",
    "dataloaders",
    "datasets",
    "functions",
    "functions_conv",
    "grad",
    "hessian",
    "hvp",
    "init",
    "io",
    "is_simple_core",
    "jacobian",
    "jvp",
    "layers",
    "models",
    "no_grad",
    "operators",
    "optimizers",
    "random",
    "set_num_threads",
    "setup_variable",
    "test_mode",
    "train",
    "transforms",
    "using_config",
    "utils",
    "value_and_grad",
    "viz",
    "vjp",
    "vmap",
]
