"""Layer: parameters, found by attribute, and a forward that uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar
from weakref import ref

from dezero.backend import Array
from dezero.backend.files import PathLike, load_arrays, save_arrays
from dezero.backend.hooks import Handle, Hooks
from dezero.backend.tensors import SUFFIX, load_tensors, save_tensors
from dezero.config import test_mode
from dezero.core import Parameter
from dezero.errors import closest
from dezero.layers.places import Holder, PartialShape, best_places, named, walk
from dezero.layers.state import Unmatched, arrays_of, fill
from dezero.layers.summary import Summary, summary

L = TypeVar("L", bound="Layer")


class Layer(Holder):
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

    Attributes:
        training: Set by ``train()`` and ``eval()``.
        published: Of a class: what other frameworks call its attributes, where it is
            not the same; ``.T`` behind a name: they have the matrix transposed.
    """

    training = True

    def __call__(self, *inputs: Any, **kwargs: Any) -> Any:
        """Run ``forward``; remember, weakly, what went in and what came out."""
        for hook in self.__dict__.get("_forward_pre_hooks", ()):
            changed = hook(self, inputs)
            if changed is not None:
                inputs = changed if isinstance(changed, tuple) else (changed,)
        if self.training:
            outputs = self.forward(*inputs, **kwargs)
        else:
            with test_mode():
                outputs = self.forward(*inputs, **kwargs)
        for hook in self.__dict__.get("_forward_hooks", ()):
            changed = hook(self, inputs, outputs)
            outputs = outputs if changed is None else changed
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
        things = [place.thing for place in walk(self)]
        return iter(dict.fromkeys(x for x in things if isinstance(x, Parameter)))

    def parameters(self) -> Iterator[Parameter]:
        """The same as ``params()``, which is the book's name."""
        return self.params()

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
        return {name: place.thing for name, place in named(self, Parameter).items()}

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """The pairs of ``named_params()``.

        Raises:
            ValueError: Two parameters have the same name.

        >>> import dezero.layers as L
        >>> [(name, p.shape) for name, p in L.Linear(3, in_size=2).named_parameters()]
        [('W', (2, 3)), ('b', (3,))]
        """
        return iter(self.named_params().items())

    def named_layers(self) -> Iterator[tuple[str, Layer]]:
        """Itself, of the name ``''``, and every Layer in it by name, each once.

        They come in the order of definition, a Layer before what is in it.

        >>> model = dezero.models.MLP((3, 1))
        >>> [(name, type(layer).__name__) for name, layer in model.named_layers()]
        [('', 'MLP'), ('l0', 'Linear'), ('l1', 'Linear')]
        """
        return ((p.name, p.thing) for p in best_places(self, Layer).values())

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

    # -- training and evaluating ------------------------------------------------

    def train(self: L, mode: bool = True) -> L:
        """Let it and every Layer in it train from now on; returns itself.

        That is how a Layer begins. See ``eval``.

        Args:
            mode: ``False`` for ``eval()``.
        """
        for layer in best_places(self, Layer):
            layer.training = mode
        return self

    def eval(self: L) -> L:
        """Let it and every Layer in it evaluate from now on; returns itself.

        What evaluates runs its ``forward`` in ``test_mode``: dropout passes its
        input, batch normalization uses its averages. ``model.bn.eval()`` freezes the
        averages of one layer while the rest trains. Where ``test_mode`` is on, or a
        Layer around it evaluates, a Layer evaluates whatever was set.

        >>> model = dezero.models.Sequential(F.dropout).eval()
        >>> model(np.ones(3))
        variable([1. 1. 1.])
        >>> model.train().training
        True
        """
        return self.train(False)

    def summary(self, *inputs: Any) -> Summary:
        """A table of its layers: what they give, how much they hold, how much they do.

        It is run once, in ``test_mode`` and without a graph; then everything is as it
        was: states, random numbers, and parameters that had no shape yet.

        Args:
            inputs: What it is called with: arrays, or shapes, which stand for zeros of
                float32. Integers, such as ids of words, are given as an array.

        Raises:
            TypeError: It is called with nothing.

        >>> import dezero.layers as L
        >>> Sequential = dezero.models.Sequential
        >>> model = Sequential(L.Conv2d(8, 3), F.relu, F.flatten, L.Linear(10))
        >>> model.summary((32, 1, 28, 28))
        layer  kind        output           parameters  multiply-adds     memory
        l0     Conv2d      (32, 8, 26, 26)          80      1,557,504  676.0 KiB
        l3     Linear      (32, 10)             54,090      1,730,560    1.2 KiB
        total  Sequential  (32, 10)             54,170      3,288,064    2.0 MiB
        >>> model.summary((32, 1, 28, 28)).total.parameters
        54170
        """
        return summary(self, inputs)

    # -- files -------------------------------------------------------------------

    def state_dict(self) -> dict[str, Array]:
        """Copies of the data of its parameters by name, as NumPy arrays.

        Raises:
            ValueError: A parameter has no data, as its Layer was never called.

        >>> import dezero.layers as L
        >>> L.Linear(2, in_size=1).state_dict()['b']
        array([0., 0.], dtype=float32)
        """
        return arrays_of(self, "state_dict")

    def load_state_dict(
        self, state: Mapping[str, Array], strict: bool = True
    ) -> Unmatched:
        """Take over copies of arrays: of all parameters, or of none.

        Their names are those of ``named_params()``, or those of other frameworks; see
        ``load_weights``. A parameter keeps its type and its device.

        Args:
            state: The arrays by name.
            strict: Whether every parameter must be there and nothing else.

        Returns:
            The names in ``missing`` and ``unexpected``; they are empty if ``strict``.

        Raises:
            DataError: An array is missing, unknown or of another shape: the message
                lists them all. Unless ``strict``, only the shapes count.

        >>> import dezero.layers as L
        >>> one, two = L.Linear(3, in_size=2), L.Linear(3)
        >>> two.load_state_dict(one.state_dict())
        Unmatched(missing=[], unexpected=[])
        >>> bool((two.W.data == one.W.data).all())
        True
        """
        return fill(self, state, "load_state_dict", strict=strict)

    def save_weights(self, path: PathLike) -> None:
        """Write all parameters to a file, whole or not at all.

        The name ``….safetensors`` means a file for other frameworks too: names and
        layouts are PyTorch's, ``l1.weight`` of shape (out, in) for ``l1/W`` of (in,
        out), so that ``load_state_dict`` of a PyTorch model with the same attributes
        takes it. Any other name means a compressed ``.npz`` file with the names of
        ``named_params()``. A parameter that is found in several places is written once.

        Args:
            path: The name of the file; ``.npz`` is added where it has neither suffix.

        Raises:
            ValueError: A parameter has no data, as its Layer was never called.
            MissingDependencyError: The library safetensors is needed, not installed.

        >>> import tempfile, dezero.layers as L
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     layer = L.Linear(3, in_size=2)
        ...     layer.save_weights(folder + '/layer')
        ...     layer.load_weights(folder + '/layer')
        """
        if str(path).endswith(SUFFIX):
            arrays = arrays_of(self, "save_weights", published=True)
            save_tensors(path, arrays, {"format": "pt"})
        else:
            save_arrays(path, arrays_of(self, "save_weights"))

    def load_weights(self, path: PathLike) -> None:
        """Read parameters from a ``.safetensors`` or ``.npz`` file: all, or none.

        Their names may be those of ``named_params()`` or those of PyTorch, in either
        kind of file. A parameter keeps its type and its device; one without data gets
        the type of its Layer.

        Args:
            path: The name of the file, with or without ``.npz``.

        Raises:
            FileNotFoundError: There is no such file.
            DataError: It is not a file of plain arrays; or an entry is missing,
                unknown or of another shape: the message lists them all.
            MissingDependencyError: The library safetensors is needed, not installed.
        """
        load = load_tensors if str(path).endswith(SUFFIX) else load_arrays
        fill(self, load(path), "load_weights", f" in '{path}'")

    # -- hooks -------------------------------------------------------------------

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> Handle:
        """Have ``hook(layer, inputs)`` called before each ``forward``.

        Args:
            hook: Gets the layer and a tuple of its inputs; what it returns, unless
                ``None``, takes their place: a tuple, or the only input.

        Returns:
            A handle, whose ``remove()`` takes the hook away, as does the end of
            ``with layer.register_forward_pre_hook(hook):``. A deep copy of the layer
            has the same hooks; files have none.

        Raises:
            TypeError: ``hook`` is not a function.

        >>> import dezero.layers as L
        >>> layer = L.Linear(1, in_size=2)
        >>> with layer.register_forward_pre_hook(lambda layer, xs: xs[0][:1]):
        ...     layer(np.zeros((5, 2))).shape
        (1, 1)
        """
        hooks = self.__dict__.setdefault("_forward_pre_hooks", Hooks())
        return hooks.add("register_forward_pre_hook", hook)

    def register_forward_hook(self, hook: Callable[..., Any]) -> Handle:
        """Have ``hook(layer, inputs, output)`` called after each ``forward``.

        Args:
            hook: Gets the layer, a tuple of its inputs, and what ``forward`` returned;
                what it returns, unless ``None``, takes its place.

        Returns:
            A handle, as of ``register_forward_pre_hook``.

        Raises:
            TypeError: ``hook`` is not a function.

        >>> import dezero.layers as L
        >>> layer, seen = L.Linear(1, in_size=2), []
        >>> with layer.register_forward_hook(lambda layer, xs, y: seen.append(y.shape)):
        ...     y = layer(np.zeros((5, 2)))
        >>> seen
        [(5, 1)]
        """
        hooks = self.__dict__.setdefault("_forward_hooks", Hooks())
        return hooks.add("register_forward_hook", hook)


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


__all__ = ["Layer", "PartialShape"]
