"""``dezero.compile``: a whole training step as one native program."""

from dezero.compiler.api import (
    CompiledStep,
    compile,
    native_form,
    set_num_threads,
)
from dezero.compiler.errors import CompileError, MismatchError, NonFiniteError

__all__ = [
    "CompileError",
    "CompiledStep",
    "MismatchError",
    "NonFiniteError",
    "compile",
    "native_form",
    "set_num_threads",
]
