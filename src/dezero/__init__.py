"""DeZero: a deep-learning framework whose whole story a reader can hold in the head."""

from dezero import (
    cuda,
    dataloaders,
    datasets,
    functions,
    layers,
    operators,
    optimizers,
    transforms,
    utils,
)
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
from dezero.data import DataLoader, Dataset, SeqDataLoader
from dezero.layers import Layer
from dezero.version import __version__

__all__ = [
    "Config",
    "DataLoader",
    "Dataset",
    "Function",
    "Layer",
    "Parameter",
    "SeqDataLoader",
    "Variable",
    "__version__",
    "as_array",
    "as_variable",
    "cuda",
    "dataloaders",
    "datasets",
    "functions",
    "layers",
    "no_grad",
    "operators",
    "optimizers",
    "test_mode",
    "transforms",
    "using_config",
    "utils",
]
