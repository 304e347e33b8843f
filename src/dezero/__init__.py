"""DeZero: a deep-learning framework whose whole story a reader can hold in the head."""

from dezero import cuda, functions, layers, operators, optimizers, utils
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
from dezero.version import __version__

__all__ = [
    "Config",
    "Function",
    "Layer",
    "Parameter",
    "Variable",
    "__version__",
    "as_array",
    "as_variable",
    "cuda",
    "functions",
    "layers",
    "no_grad",
    "operators",
    "optimizers",
    "test_mode",
    "using_config",
    "utils",
]
