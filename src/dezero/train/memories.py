"""What recurrent layers remember from one step to the next, such as ``h`` of an LSTM.

It is no parameter, so it is in no file of weights; but what comes next depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dezero.backend import Array
from dezero.core import Parameter, Variable
from dezero.layers import Layer


def memories(part: Any) -> dict[str, Array]:
    """The Variables in a Layer that are no parameters, such as ``h`` of an LSTM."""
    return {
        f"{name}{attribute}": value.data.copy()
        for name, layer in _layers(part, "", {}).items()
        for attribute, value in vars(layer).items()
        if _is_memory(value) and value.data is not None
    }


def load_memories(part: Any, state: Mapping[str, Array]) -> None:
    """Let a Layer remember what ``memories`` gave, and nothing else."""
    for name, layer in _layers(part, "", {}).items():
        for attribute, value in list(vars(layer).items()):
            if _is_memory(value):
                setattr(layer, attribute, None)
            if f"{name}{attribute}" in state:
                setattr(layer, attribute, Variable(state[f"{name}{attribute}"]))


def _is_memory(value: Any) -> bool:
    return isinstance(value, Variable) and not isinstance(value, Parameter)


def _layers(value: Any, name: str, found: dict[str, Layer]) -> dict[str, Layer]:
    """A Layer and all Layers in it, each by the first way to it: ``'l0/'``."""
    parts: Any = ()
    if isinstance(value, Layer):
        if any(value is known for known in found.values()):
            return found
        found[name] = value
        parts = value._parts()
    elif isinstance(value, (list, tuple)):
        parts = enumerate(value)
    elif isinstance(value, dict):
        parts = value.items()
    for key, part in parts:
        _layers(part, f"{name}{key}/", found)
    return found
