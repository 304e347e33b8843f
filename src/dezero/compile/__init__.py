"""``dezero.compile``: a whole training step as one native program."""

from dezero.compile.api import CompiledStep, compile
from dezero.compile.errors import CompileError, MismatchError, NonFiniteError

__all__ = [
    "CompileError",
    "CompiledStep",
    "MismatchError",
    "NonFiniteError",
    "compile",
]
