"""Layer: parameters, found by attribute, and a forward that uses them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from weakref import ref

import numpy as np

from dezero.backend import Array, get_array_module
from dezero.backend.files import PathLike, load_arrays, save_arrays
from dezero.backend.tracing import Stateful
from dezero.core import Parameter
from dezero.errors import DataError, closest

# The lengths of the axes as far as they are known.
PartialShape = tuple[int | None, ...]


class Layer(Stateful):
    """Parameters and a function that uses them. Subclass it and write ``forward``.

    Its parameters are whatever Parameters are reached from its attributes at the
    moment of asking: directly, in other Layers, in lists, tuples and dicts. Nothing
    is registered, so an attribute may be set anew or deleted at any time.

    >>> import dezero.layers as L
    >>> class TwoLayers(dezero.Layer):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.l1 = L.Linear(4, in_size=2)
    ...         self.l2 = L.Linear(3, in_size=4)
    ...     def forward(self, x):
    ...         return self.l2(F.tanh(self.l1(x)))
    >>> layer = TwoLayers()
    >>> layer(np.zeros((5, 2))).shape
    (5, 3)
    >>> list(layer.named_params())
    ['l1/W', 'l1/b', 'l2/W', 'l2/b']
    """

    def __call__(self, *inputs: Any, **kwargs: Any) -> Any:
        """Run ``forward``; remember, weakly, what went in and what came out."""
        outputs = self.forward(*inputs, **kwargs)
        if not isinstance(outputs, tuple):
            outputs = (outputs,)
        self.__dict__["_last_call"] = _Call(inputs, outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Compute the output."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method forward")

    def __getattr__(self, name: str) -> Any:
        """``inputs`` and ``outputs``: weak references, one for each of the last call.

        ``layer.outputs[0]()`` is its first output, or ``None`` if that is gone. They
        are looked up here, so that a Layer may have attributes of these names.
        """
        if name in ("inputs", "outputs"):
            return getattr(self.__dict__.get("_last_call", _NO_CALL), name)
        kind = type(self).__name__
        raise AttributeError(
            f"{kind}: expected the name of an attribute, got '{name}'"
            + closest(name, self.__dict__)
        )

    def __getstate__(self) -> dict[str, Any]:
        """A copy keeps everything but the references to the last call."""
        return {k: v for k, v in self.__dict__.items() if k != "_last_call"}

    # -- parameters --------------------------------------------------------------

    def params(self) -> Iterator[Parameter]:
        """Its parameters in the order of definition, each once.

        >>> import dezero.layers as L
        >>> [p.name for p in L.Linear(3).params()]
        ['W', 'b']
        """
        return iter(dict.fromkeys(place.param for place in self._places()))

    def named_params(self) -> dict[str, Parameter]:
        """Its parameters by the names they have in files, in the same order.

        Of several ways to one parameter, the way through the fewest lists, tuples
        and dicts names it.

        Raises:
            ValueError: Two parameters have the same name, such as ``{1: W, '1': V}``.

        >>> import dezero.layers as L
        >>> layer = dezero.Layer()
        >>> layer.blocks = [L.Linear(3), L.Linear(3, nobias=True)]
        >>> layer.last = layer.blocks[1]
        >>> list(layer.named_params())
        ['blocks/0/W', 'blocks/0/b', 'last/W']
        """
        named: dict[str, Parameter] = {}
        for param, place in self._best_places().items():
            if named.setdefault(place.name, param) is not param:
                raise ValueError(
                    f"{type(self).__name__}: expected every parameter to have a name "
                    f"of its own, got two of the name '{place.name}'"
                )
        return named

    def _parts(self) -> Iterable[tuple[str, Any]]:
        """Where parameters are looked for, by name: the attributes."""
        return self.__dict__.items()

    def _expected_shape(self, name: str) -> PartialShape | None:
        """What is known of the shape of its parameter ``name`` before it has data.

        A Layer that shapes parameters at the first call says it here, so that
        ``load_weights`` can check them. ``None`` is a length, or all, not known.
        """
        return None

    def _places(self) -> Iterator[Place]:
        return _walk(self, "", self, 0, frozenset())

    def _best_places(self) -> dict[Parameter, Place]:
        best: dict[Parameter, Place] = {}
        for place in self._places():
            known = best.setdefault(place.param, place)
            if place.containers < known.containers:
                best[place.param] = place
        return best

    def cleargrads(self) -> None:
        """Forget the gradients of all parameters."""
        for param in self.params():
            param.cleargrad()

    def to_cpu(self) -> None:
        """Move all parameters to the CPU."""
        for param in self.params():
            param.to_cpu()

    def to_gpu(self) -> None:
        """Move all parameters to the GPU.

        Raises:
            MissingDependencyError: CuPy is not installed or sees no device.
        """
        for param in self.params():
            param.to_gpu()

    # -- state -------------------------------------------------------------------

    def state_dict(self) -> dict[str, Array]:
        """Copies of its parameters by name; those without data yet are left out."""
        return {
            name: param.data.copy()
            for name, param in self.named_params().items()
            if param.data is not None
        }

    def load_state_dict(self, state: Mapping[str, Array], strict: bool = True) -> None:
        """Take over what ``state_dict`` gave; unless ``strict``, some may be missing.

        Raises:
            DataError: The entries do not fit; nothing was changed.
        """
        places = {place.name: place for place in self._best_places().values()}
        misfits = [f"{name}: unknown" for name in state if name not in places]
        for name, place in places.items():
            if name not in state:
                if strict:
                    misfits.append(f"{name}: missing")
            elif not place.takes(state[name]):
                misfits.append(
                    f"{name}: expected {place}, got {_described(state[name])}"
                )
        if misfits:
            raise DataError(
                f"load_state_dict: expected the parameters of {type(self).__name__}, "
                "got other entries:\n  " + "\n  ".join(misfits)
            )
        for name, array in state.items():
            places[name].fill(array.copy())

    # -- files -------------------------------------------------------------------

    def save_weights(self, path: PathLike) -> None:
        """Write all parameters to a compressed ``.npz`` file, whole or not at all.

        They stay on the device they are on.

        Args:
            path: The name of the file; ``.npz`` is added where it lacks it.

        Raises:
            ValueError: A parameter has no data, as its Layer was never called.

        >>> import tempfile, dezero.layers as L
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     layer = L.Linear(3, in_size=2)
        ...     layer.save_weights(folder + '/layer')
        ...     layer.load_weights(folder + '/layer')
        """
        named = self.named_params()
        empty = [name for name, param in named.items() if param.data is None]
        if empty:
            raise ValueError(
                f"save_weights: expected data in every parameter, got none in "
                f"{', '.join(empty)}, whose shape is found at the first call; write "
                "model(x) first"
            )
        save_arrays(path, {name: param.data for name, param in named.items()})

    def load_weights(self, path: PathLike) -> None:
        """Read all parameters from a file of ``save_weights``.

        Every entry is checked before the first is taken over. A parameter keeps its
        type and its device; one without data yet gets both and its shape here.

        Args:
            path: The name of the file, with or without ``.npz``.

        Raises:
            FileNotFoundError: There is no such file.
            DataError: It is not an ``.npz`` file of plain arrays; or an entry is
                missing, unknown or of another shape: the message lists them all.
        """
        arrays = load_arrays(path)
        ways = {place.name: place for place in self._places()}
        best = self._best_places()
        taken: dict[Parameter, Array] = {}
        misfits = []
        for name, array in arrays.items():
            if name not in ways:
                misfits.append(
                    f"{name}: expected no such entry, got {_described(array)}"
                    + closest(name, ways.keys() - arrays.keys())
                )
            elif not ways[name].takes(array):
                misfits.append(
                    f"{name}: expected {ways[name]}, got {_described(array)}"
                )
            elif not np.array_equal(
                taken.setdefault(ways[name].param, array), array, equal_nan=True
            ):
                tied = best[ways[name].param].name
                misfits.append(
                    f"{name}: expected the numbers of {tied}, with which it is tied, "
                    "got others"
                )
        misfits += [
            f"{place.name}: expected {place}, got no entry"
            for param, place in best.items()
            if param not in taken and place.name not in arrays
        ]
        if misfits:
            raise DataError(
                f"load_weights: expected the parameters of {type(self).__name__}, got "
                f"other entries in '{path}'; nothing was loaded:\n  "
                + "\n  ".join(misfits)
            )
        for place in best.values():
            place.fill(taken[place.param])


class Place(NamedTuple):
    """A way from a Layer to a parameter."""

    name: str  # the attributes on the way: 'l0/W'
    param: Parameter
    owner: Layer  # the last Layer on the way
    containers: int  # the lists, tuples and dicts on the way

    @property
    def shape(self) -> PartialShape | None:
        """The lengths that data for the parameter must have, where they are known."""
        if self.param.data is not None:
            return self.param.shape
        return self.owner._expected_shape(self.name.rpartition("/")[2])

    def takes(self, array: Array) -> bool:
        """Whether ``array`` can be its data."""
        shape = self.shape
        return array.dtype.kind in "fiub" and (
            shape is None
            or (
                len(shape) == array.ndim
                and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
            )
        )

    def fill(self, array: Array) -> None:
        """Make ``array`` its data, in its type and on its device."""
        data = self.param.data
        dtype = (
            getattr(self.owner, "dtype", array.dtype) if data is None else data.dtype
        )
        xp = get_array_module(data)
        self.param.data = xp.asarray(array, dtype=dtype, order="C")

    def __str__(self) -> str:
        if self.shape is None:
            return "numbers"
        lengths = ["?" if n is None else str(n) for n in self.shape]
        return f"shape ({', '.join(lengths)}{',' if len(lengths) == 1 else ''})"


def _described(array: Array) -> str:
    kind = "" if array.dtype.kind in "fiub" else f" of type {array.dtype}"
    return f"shape {array.shape}{kind}"


def _walk(
    value: Any, name: str, owner: Layer, containers: int, path: frozenset[int]
) -> Iterator[Place]:
    """Every way from ``value`` to a parameter, in the order of definition."""
    if isinstance(value, Parameter):
        yield Place(name, value, owner, containers)
        return
    parts: Iterable[tuple[Any, Any]]
    if isinstance(value, Layer):
        owner, parts = value, value._parts()
    elif isinstance(value, (list, tuple)):
        containers, parts = containers + 1, enumerate(value)
    else:
        containers, parts = containers + 1, value.items()
    if id(value) in path:  # a Layer that can reach itself
        return
    path |= {id(value)}
    prefix = f"{name}/" if name else ""
    for key, part in parts:
        if isinstance(part, (Parameter, Layer, list, tuple, dict)):
            yield from _walk(part, f"{prefix}{key}", owner, containers, path)


class _Call:
    """What went into a call and came out, held weakly."""

    __slots__ = ("inputs", "outputs")

    def __init__(self, inputs: Iterable[Any], outputs: Iterable[Any]) -> None:
        self.inputs = list(map(_weakly, inputs))
        self.outputs = list(map(_weakly, outputs))


def _weakly(x: Any) -> Any:
    """A weak reference to ``x``; to what has none, numbers and lists, a dead one."""
    try:
        return ref(x)
    except TypeError:
        return _nothing


def _nothing() -> None:
    return None


_NO_CALL = _Call((), ())
