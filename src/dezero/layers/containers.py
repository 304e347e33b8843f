"""Layers that hold others, and functions that stand where a Layer is wanted."""

from __future__ import annotations

from collections.abc import (
    Callable,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    MutableSequence,
)
from typing import Any

from dezero import functions as F
from dezero.core import Variable, as_input
from dezero.layers.layer import Layer


class ModuleList(Layer, MutableSequence[Layer]):
    """A list of Layers that is a Layer: it has their parameters, and all of a list.

    A plain list as an attribute does as well; this one can be saved, moved and counted
    by itself. It has no ``forward``: what is done with the layers is written out.

    Attributes:
        layers: The layers, a list.

    Args:
        layers: Layers, in order. In files, their parameters are ``0/W``, ``1/W`` …

    >>> import dezero.layers as L
    >>> blocks = L.ModuleList(L.Linear(3, in_size=3, nobias=True) for _ in range(2))
    >>> blocks.append(L.Linear(1, in_size=3))
    >>> x = np.ones((2, 3))
    >>> for layer in blocks:
    ...     x = layer(x)
    >>> x.shape, list(blocks.named_params())
    ((2, 1), ['0/W', '1/W', '2/W', '2/b'])
    >>> len(blocks[1:])
    2
    """

    layers: list[Layer]

    def __init__(self, layers: Iterable[Layer] = ()) -> None:
        super().__init__()
        self.layers = []
        self.extend(layers)

    def __getitem__(self, index: Any) -> Any:
        """The layer at ``index``; of a slice, a ModuleList."""
        if isinstance(index, slice):
            return ModuleList(self.layers[index])
        return self.layers[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            value = list(value)
        for layer in value if isinstance(index, slice) else [value]:
            _require_layer("ModuleList", layer)
        self.layers[index] = value

    def __delitem__(self, index: Any) -> None:
        del self.layers[index]

    def __len__(self) -> int:
        return len(self.layers)

    def insert(self, index: int, value: Layer) -> None:
        """Put a layer before the one at ``index``."""
        _require_layer("ModuleList", value)
        self.layers.insert(index, value)

    def _parts(self) -> Iterable[tuple[str, Any]]:
        return _attributes(self, enumerate(self.layers))


class ModuleDict(Layer, MutableMapping[str, Layer]):
    """A dict of Layers that is a Layer: it has their parameters, and all of a dict.

    Attributes:
        layers: The layers by name, a dict.

    Args:
        layers: Layers by name. In files, their parameters are ``name/W``.

    >>> import dezero.layers as L
    >>> heads = L.ModuleDict({'age': L.Linear(1, in_size=4)})
    >>> heads['name'] = L.Linear(9, in_size=4, nobias=True)
    >>> list(heads), list(heads.named_params())
    (['age', 'name'], ['age/W', 'age/b', 'name/W'])
    """

    layers: dict[str, Layer]

    def __init__(self, layers: Mapping[str, Layer] | None = None) -> None:
        super().__init__()
        self.layers = {}
        self.update(layers or {})

    def __getitem__(self, name: str) -> Layer:
        return self.layers[name]

    def __setitem__(self, name: str, layer: Layer) -> None:
        _require_layer("ModuleDict", layer)
        if not isinstance(name, str) or not name or "/" in name:
            raise ValueError(
                f"ModuleDict: expected a string without '/' as name, got {name!r}"
            )
        self.layers[name] = layer

    def __delitem__(self, name: str) -> None:
        del self.layers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    # Two Layers are the same only if they are one.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def _parts(self) -> Iterable[tuple[str, Any]]:
        return _attributes(self, self.layers.items())


def _attributes(
    layer: Layer, held: Iterable[tuple[Any, Layer]]
) -> Iterator[tuple[str, Any]]:
    """The attributes of a container, with what it holds in place of ``layers``."""
    for name, value in layer.__dict__.items():
        if name == "layers":
            yield from ((str(key), part) for key, part in held)
        else:
            yield name, value


def _require_layer(container: str, layer: Any) -> None:
    if not isinstance(layer, Layer):
        one = isinstance(layer, type) and issubclass(layer, Layer)
        got = f"the class {layer.__name__}" if one else type(layer).__name__
        hint = (
            f"; write {layer.__name__}(...)" if one
            else "; write Lambda(f)" if callable(layer)
            else ""
        )  # fmt: skip
        raise TypeError(f"{container}: expected Layers, got {got}{hint}")


class Lambda(Layer):
    """Any function as a Layer.

    Args:
        function: What is done with the input. Parameters it uses are not seen.

    >>> import dezero.layers as L
    >>> L.Lambda(lambda x: x[:, 0])(np.array([[1.0, 2.0]]))
    variable([1.])
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        if not callable(function):
            raise TypeError(
                f"Lambda: expected a function, got {type(function).__name__}"
            )
        self.function = function

    def forward(self, *xs: Any, **kwargs: Any) -> Any:
        """What the function gives of Variables."""
        return self.function(*map(as_input, xs), **kwargs)


class Flatten(Layer):
    """(N, ...) as a matrix (N, product of the rest).

    >>> import dezero.layers as L
    >>> L.Flatten()(np.zeros((2, 3, 4))).shape
    (2, 12)
    """

    def forward(self, x: Any) -> Variable:
        """Map ``x`` (N, ...) to (N, D)."""
        return F.flatten(x)
