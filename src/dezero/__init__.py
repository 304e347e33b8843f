"""DeZero: a deep-learning framework whose whole story a reader can hold in the head.

A ``Variable`` holds an array; a ``Function`` computes and remembers its inputs; the
*generation* of each orders the walk back. Everything else stands on that.

>>> x = dezero.Variable(np.array([1.0, 2.0, 3.0]))
>>> y = (x ** 2).sum()
>>> y.backward()
>>> x.grad
variable([2. 4. 6.])
"""

from dezero import (
    config,
    core,
    core_simple,
    cuda,
    data,
    dataloaders,
    datasets,
    functions,
    functions_conv,
    layers,
    models,
    operators,
    optimizers,
    random,
    transforms,
    utils,
    viz,
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
from dezero.models import Model
from dezero.operators import setup_variable
from dezero.version import __version__

is_simple_core = False  # the programs of the book ask which of its engines this is

__all__ = [
    "Config",
    "DataLoader",
    "Dataset",
    "Function",
    "Layer",
    "Model",
    "Parameter",
    "SeqDataLoader",
    "Variable",
    "__version__",
    "as_array",
    "as_variable",
    "config",
    "core",
    "core_simple",
    "cuda",
    "data",
    "dataloaders",
    "datasets",
    "functions",
    "functions_conv",
    "is_simple_core",
    "layers",
    "models",
    "no_grad",
    "operators",
    "optimizers",
    "random",
    "setup_variable",
    "test_mode",
    "transforms",
    "using_config",
    "utils",
    "viz",
]
