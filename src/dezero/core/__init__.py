"""The engine: Variable, Function, generation, backward.

A Variable holds an array; a Function computes, and remembers its inputs and its
generation; ``backward()`` walks from the highest generation down.
"""

from dezero.backend import as_array
from dezero.config import Config, no_grad, test_mode, using_config
from dezero.core.assignment import assign, inputs_of
from dezero.core.backward import after_hooks, propagate
from dezero.core.broadcast import BroadcastTo, SumTo, broadcast_to, sum_to
from dezero.core.function import Function, apply_binary
from dezero.core.variable import Parameter, Variable, as_input, as_variable

__all__ = [
    "BroadcastTo",
    "Config",
    "Function",
    "Parameter",
    "SumTo",
    "Variable",
    "after_hooks",
    "apply_binary",
    "as_array",
    "as_input",
    "as_variable",
    "assign",
    "broadcast_to",
    "inputs_of",
    "no_grad",
    "propagate",
    "sum_to",
    "test_mode",
    "using_config",
]
