"""Model, and the two that are rows of layers: Sequential and MLP."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from dezero import functions as F
from dezero import layers as L
from dezero.core import Variable


class Model(L.Layer):
    """A Layer that is the whole network, and that can draw its graph.

    Give it Layers as attributes, or subclass it and write ``forward``.

    >>> model = dezero.Model()
    >>> model.l1 = dezero.layers.Linear(3, in_size=2)
    >>> list(model.named_params())
    ['l1/W', 'l1/b']
    """


class Sequential(Model):
    """One layer after the other.

    Attributes:
        layers: The layers, a list that may be changed. ``l0``, ``l1`` … are its
            elements, and in files their parameters are named after them.

    Args:
        layers: Layers or functions of one Variable.

    >>> import dezero.layers as L
    >>> model = dezero.models.Sequential(L.Linear(10), F.relu, L.Linear(3))
    >>> model(np.zeros((4, 2))).shape
    (4, 3)
    >>> model.layers[1] = F.tanh
    >>> model.l1 is F.tanh
    True
    >>> list(model.named_params())
    ['l0/W', 'l0/b', 'l2/W', 'l2/b']
    """

    layers: list[Callable[[Any], Any]]

    def __init__(self, *layers: Callable[[Any], Any]) -> None:
        super().__init__()
        for layer in layers:
            _require_callable("Sequential: expected layers, each an argument", layer)
        self.layers = list(layers)

    def forward(self, x: Any) -> Any:
        """What the last layer gives."""
        for layer in self.layers:
            x = layer(x)
        return x

    def _index(self, name: str) -> int | None:
        """The place in ``layers`` of an attribute ``l0``, ``l1`` …"""
        number = re.fullmatch(r"l(\d+)", name)
        if number is None or int(number[1]) >= len(self.__dict__.get("layers", ())):
            return None
        return int(number[1])

    def __getattr__(self, name: str) -> Any:
        index = self._index(name)
        return super().__getattr__(name) if index is None else self.layers[index]

    def __setattr__(self, name: str, value: Any) -> None:
        index = self._index(name)
        if index is None:
            super().__setattr__(name, value)
        else:
            self.layers[index] = value

    def _published(self, name: str) -> str:
        return super()._published(name if self._index(name) is None else name[1:])

    def _parts(self) -> Iterable[tuple[str, Any]]:
        for name, value in self.__dict__.items():
            if name == "layers":
                yield from ((f"l{i}", layer) for i, layer in enumerate(value))
            else:
                yield name, value


def _require_callable(expected: str, function: Any) -> None:
    if isinstance(function, type):
        name = function.__name__
        raise TypeError(f"{expected}, got the class {name}; write {name}(...)")
    if not callable(function):
        raise TypeError(f"{expected}, got {type(function).__name__}")


class MLP(Sequential):
    """A multilayer perceptron: Linear layers with an activation between them.

    Args:
        fc_output_sizes: The features after each layer.
        activation: A function of a Variable, used after each layer but the last.

    >>> model = dezero.models.MLP((10, 1))
    >>> model(np.zeros((4, 2))).shape
    (4, 1)
    """

    def __init__(
        self,
        fc_output_sizes: Iterable[int],
        activation: Callable[[Any], Any] = F.sigmoid,
    ) -> None:
        if not isinstance(fc_output_sizes, Iterable):
            raise TypeError(
                "MLP: expected the sizes of its layers, such as (100, 10), got "
                f"{fc_output_sizes!r}"
            )
        _require_callable("MLP: expected a function as activation", activation)
        super().__init__(*map(L.Linear, fc_output_sizes))
        self.activation = activation

    def forward(self, x: Any) -> Variable:
        """Map ``x`` (N, in) to (N, out)."""
        *hidden, last = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        return last(x)
