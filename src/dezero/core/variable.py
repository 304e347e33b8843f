"""Variable: an array, its gradient, and the Function that made it.

No mathematics here: the operators are hung on in ``operators.py``, the walk of the
graph is in ``backward.py``.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

import numpy as np
from numpy import ndarray

from dezero.backend import Array, Shape, as_array, as_numpy, is_array, require_cupy
from dezero.backend.hooks import Handle, Hooks

if TYPE_CHECKING:
    from dezero.core.function import Function

# One clock for all that happens to graphs: the creation of a Function and the
# writing of a Variable's data. It orders ties and tells a write behind the graph.
clock = itertools.count(1)


class Variable:
    """An array that remembers how it came to be.

    Args:
        data: The array (NumPy, CuPy), or ``None`` for one that comes later.
        name: A name for pictures and messages.
        requires_grad: Whether ``backward()`` computes a gradient for it.

    Attributes:
        data: The array. It may be rebound or written in place, but not between
            its use in a graph and that graph's ``backward()``.
        grad: The gradient, a Variable of the same shape, or ``None``.
        creator: The Function that made it, or ``None`` for a leaf.
        generation: 0 for a leaf, else one more than its creator's.

    Raises:
        TypeError: ``data`` is not an array.

    >>> import numpy as np
    >>> x = Variable(np.array(2.0))
    >>> y = x ** 2 + 3 * x
    >>> y.backward()
    >>> x.grad
    variable(7.0)
    """

    # What every Variable of a graph has is a slot, for speed; what few have is a
    # default of the class until it is set.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_data",
        "_written",  # when data was last set, on the clock
        "created",  # when, on the clock, if a Function made it
        "creator",
        "generation",
        "requires_grad",
    )
    _data: Array
    _written: int
    created: int
    creator: Function | None
    generation: int
    requires_grad: bool
    grad: Variable | None = None
    name: str | None = None
    output_index: int = 0  # which output of its creator this is
    _retained: Variable | None = None  # the gradient that retain_grad put into grad
    # Until when, on the clock, other Variables stood for its value: see assignment.py.
    _earlier: tuple[tuple[int, ref[Variable]], ...] = ()
    _hooks: Hooks | None = None

    __array_priority__ = 200

    def __init__(
        self, data: Array, name: str | None = None, requires_grad: bool = True
    ) -> None:
        self._data = self._checked(data)
        self._written = self.created = self.generation = 0
        self.creator = None
        self.requires_grad = requires_grad
        if name is not None:
            self.name = name

    def _checked(self, data: Any) -> Array:
        if type(data) is ndarray or data is None:
            return data
        if is_array(data) and not isinstance(data, Variable):
            return data
        kind = type(data).__name__
        raise TypeError(
            f"{type(self).__name__}: expected an array (numpy or cupy ndarray) or "
            f"None, got {kind}; write {type(self).__name__}("
            + ("x.data)" if isinstance(data, Variable) else "np.array(x))")
        )

    @property
    def data(self) -> Array:
        """The array."""
        data = self._data
        if isinstance(data, np.generic):  # NumPy's result of no axes: see Function
            data = self._data = np.asarray(data)
        return data

    @data.setter
    def data(self, data: Array) -> None:
        if isinstance(data, np.generic):  # x.data = x.data - ..., without axes
            data = np.asarray(data)
        self._data = self._checked(data)
        self._written = next(clock)

    @property
    def shape(self) -> Shape:
        """The lengths of the axes."""
        shape: Shape = self._array("shape").shape
        return shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        ndim: int = self._array("ndim").ndim
        return ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        size: int = self._array("size").size
        return size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        dtype: np.dtype[Any] = self._array("dtype").dtype
        return dtype

    def _array(self, wanted: str) -> Array:
        if self._data is None:
            raise ValueError(
                f"{self!r}.{wanted}: expected data, got None; a layer's parameters "
                "get their shape at the first call: write model(x) first"
            )
        return self._data

    def __len__(self) -> int:
        array = self._array("len")
        if not array.ndim:
            raise TypeError("len: expected a Variable with axes, got shape ()")
        return len(array)

    def __repr__(self) -> str:
        kind = type(self).__name__.lower()
        if self._data is None:
            return f"{kind}(None)"
        indent = "\n" + " " * (len(kind) + 1)
        return f"{kind}({str(self.data).replace(chr(10), indent)})"

    __hash__ = object.__hash__  # == compares elements, identity is the hash

    def item(self) -> Any:
        """The only element, as a Python number."""
        array = self._array("item")
        if array.size != 1:
            raise ValueError(f"item: expected one element, got shape {array.shape}")
        return array.item()

    def __format__(self, spec: str) -> str:
        return format(self.item() if spec else str(self), spec)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self._array("bool"))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self._array("array"), dtype=dtype, copy=copy)

    # -- the graph ---------------------------------------------------------------

    def set_creator(self, func: Function) -> None:
        """Make ``func`` the Function that made this Variable."""
        self.creator = func
        self.generation = func.generation + 1
        self.created = next(clock)

    def cleargrad(self) -> None:
        """Forget the gradient; without this, the next ``backward()`` adds to it."""
        self.grad = None

    def unchain(self) -> None:
        """Cut this Variable off from the Function that made it: it is a leaf now."""
        self.creator = None
        self.generation = self.created = 0

    def register_hook(self, hook: Callable[[Variable], Variable | None]) -> Handle:
        """Have ``hook(gx)`` called when the gradient of this Variable is complete.

        What it returns, unless ``None``, takes the place of the gradient. It is called
        at each walk that reaches this Variable, a leaf or not, before anything is added
        to ``grad``. A deep copy has the same hooks; files have none.

        Returns:
            A handle, whose ``remove()`` takes the hook away, as does the end of
            ``with x.register_hook(hook):``.

        Raises:
            TypeError: ``hook`` is not a function.
            ValueError: This Variable gets no gradient.
            GradientError: In the walk: it returned something other than ``None`` or a
                Variable of the same shape.

        >>> import numpy as np
        >>> x = Variable(np.array(3.0))
        >>> with x.register_hook(lambda gx: gx.clip(-1, 1)):
        ...     (x ** 2).backward()
        >>> x.grad
        variable(1.0)
        """
        if not self.requires_grad:
            who = f"'{self.name}'" if self.name else "one"
            raise ValueError(
                "register_hook: expected a Variable that gets a gradient, got "
                f"{who} with requires_grad=False"
            )
        if self._hooks is None:
            self._hooks = Hooks()
        return self._hooks.add("register_hook", hook)

    # -- hung on by operators.py and backward.py, which stand below this file ------

    if TYPE_CHECKING:

        def backward(
            self, retain_grad: bool = False, create_graph: bool = False
        ) -> None: ...
        def unchain_backward(self) -> None: ...
        def __add__(self, other: Any) -> Variable: ...
        def __radd__(self, other: Any) -> Variable: ...
        def __sub__(self, other: Any) -> Variable: ...
        def __rsub__(self, other: Any) -> Variable: ...
        def __mul__(self, other: Any) -> Variable: ...
        def __rmul__(self, other: Any) -> Variable: ...
        def __truediv__(self, other: Any) -> Variable: ...
        def __rtruediv__(self, other: Any) -> Variable: ...
        def __pow__(self, other: Any) -> Variable: ...
        def __rpow__(self, other: Any) -> Variable: ...
        def __mod__(self, other: Any) -> Variable: ...
        def __rmod__(self, other: Any) -> Variable: ...
        def __matmul__(self, other: Any) -> Variable: ...
        def __rmatmul__(self, other: Any) -> Variable: ...
        def __neg__(self) -> Variable: ...
        def __pos__(self) -> Variable: ...
        def __abs__(self) -> Variable: ...
        def __getitem__(self, index: Any) -> Variable: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...
        def __iter__(self) -> Iterator[Variable]: ...
        def __eq__(self, other: Any) -> Any: ...
        def __ne__(self, other: Any) -> Any: ...
        def __lt__(self, other: Any) -> Any: ...
        def __le__(self, other: Any) -> Any: ...
        def __gt__(self, other: Any) -> Any: ...
        def __ge__(self, other: Any) -> Any: ...
        def reshape(self, *shape: Any) -> Variable: ...
        def transpose(self, *axes: Any) -> Variable: ...
        @property
        def T(self) -> Variable: ...
        def flatten(self) -> Variable: ...
        def sum(self, axis: Any = None, keepdims: bool = False) -> Variable: ...
        def mean(self, axis: Any = None, keepdims: bool = False) -> Variable: ...
        def max(self, axis: Any = None, keepdims: bool = False) -> Variable: ...
        def min(self, axis: Any = None, keepdims: bool = False) -> Variable: ...
        def prod(self, axis: Any = None, keepdims: bool = False) -> Variable: ...
        def var(
            self, axis: Any = None, ddof: float = 0, keepdims: bool = False
        ) -> Variable: ...
        def std(
            self, axis: Any = None, ddof: float = 0, keepdims: bool = False
        ) -> Variable: ...
        def cumsum(self, axis: int | None = None) -> Variable: ...
        def cumprod(self, axis: int | None = None) -> Variable: ...
        def trace(
            self, offset: int = 0, axis1: int = 0, axis2: int = 1
        ) -> Variable: ...
        def diagonal(
            self, offset: int = 0, axis1: int = 0, axis2: int = 1
        ) -> Variable: ...
        def squeeze(self, axis: Any = None) -> Variable: ...
        def swapaxes(self, axis1: int, axis2: int) -> Variable: ...
        def repeat(self, repeats: Any, axis: int | None = None) -> Variable: ...
        def round(self, decimals: int = 0) -> Variable: ...
        def argmax(self, axis: Any = None, keepdims: bool = False) -> Any: ...
        def argmin(self, axis: Any = None, keepdims: bool = False) -> Any: ...
        def argsort(self, axis: Any = -1, kind: Any = None) -> Any: ...
        def any(self, axis: Any = None, keepdims: bool = False) -> Any: ...
        def all(self, axis: Any = None, keepdims: bool = False) -> Any: ...
        def nonzero(self) -> Any: ...
        def tolist(self) -> Any: ...
        def clip(self, x_min: Any, x_max: Any) -> Variable: ...
        def matmul(self, W: Any) -> Variable: ...
        def dot(self, W: Any) -> Variable: ...
        def astype(self, dtype: Any) -> Variable: ...
        def copy(self) -> Variable: ...

    # -- copies and files --------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """A copy is a leaf: value, gradient and name, but never the graph."""
        data = None if self._data is None else self.data
        state = {"data": data, "requires_grad": self.requires_grad, **self.__dict__}
        state.pop("_retained", None)
        state.pop("output_index", None)
        state.pop("_earlier", None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        Variable.__init__(
            self, state.pop("data"), requires_grad=state.pop("requires_grad")
        )
        self.__dict__.update(state)

    # -- devices -----------------------------------------------------------------

    def to_cpu(self) -> None:
        """Move the data to the CPU."""
        if self._data is not None:
            self.data = as_numpy(self._data)

    def to_gpu(self) -> None:
        """Move the data to the GPU.

        Raises:
            MissingDependencyError: CuPy is not installed or sees no device.
        """
        cupy = require_cupy("to_gpu")
        if self._data is not None:
            self.data = cupy.asarray(self._data)


class Number(Variable):
    """A Python number in a graph. It is weak: ``x * 2.0`` keeps the type of ``x``.

    Its ``_data`` is the bare number, which NumPy fits to the other operand; its
    ``data`` is an array, as of any Variable.
    """

    # Class attributes in front of the slots: there is one thing to set, not nine.
    creator = None
    _written = created = generation = 0
    requires_grad = False

    def __init__(self, number: complex) -> None:
        self._data = number

    @property  # type: ignore[misc]
    def data(self) -> Array:
        """The number as an array of no axes."""
        return np.asarray(self._data)

    def _array(self, wanted: str) -> Array:
        return self.data

    def __reduce__(self) -> tuple[type[Number], tuple[complex]]:
        return Number, (self._data,)


class Parameter(Variable):
    """A Variable that training changes: what layers have and optimizers update.

    Raises:
        TypeError: The data is of an integer type, which cannot hold small steps.
    """

    __slots__ = ()

    def _checked(self, data: Any) -> Array:
        data = super()._checked(data)
        if data is not None and data.dtype.kind in "iub":
            raise TypeError(
                f"Parameter: expected a floating type, got {data.dtype}; "
                "write Parameter(x.astype(np.float32))"
            )
        return data


def as_variable(obj: Any) -> Variable:
    """``obj`` as a Variable: itself, or a new leaf around the array or number.

    >>> as_variable(2.0)
    variable(2.0)
    """
    return obj if isinstance(obj, Variable) else Variable(as_array(obj))


def as_input(obj: Any) -> Variable:
    """``obj`` as a Function takes it: a Variable as it is, all else a constant.

    Numbers stay weak; arrays are wrapped without asking for a gradient, so that no
    time goes into the derivative by a batch of data.

    Raises:
        TypeError: ``obj`` is neither a Variable, an array nor a number, nor a list of
            numbers.
        ValueError: It is a list of lists of several lengths.
    """
    if isinstance(obj, Variable):
        return obj
    kind = type(obj)
    if kind is float or kind is int:
        return _number(obj)
    if isinstance(obj, (float, int, complex, np.integer)):  # np.float64 is a float
        return Number(obj.item() if isinstance(obj, np.generic) else obj)
    if isinstance(obj, (list, tuple)):
        obj = _array_of(obj)
    elif isinstance(obj, np.generic):
        obj = np.asarray(obj)
    elif obj is None:
        raise TypeError("Variable: expected an array or a number, got None")
    return Variable(obj, requires_grad=False)


def _array_of(numbers: Sequence[Any]) -> Array:
    if any(isinstance(x, Variable) for x in numbers):
        raise TypeError(
            "Variable: expected a list of numbers, got one of Variables, whose graph "
            "would be lost; write F.concat(xs) to join them, sum(xs) to add them up"
        )
    try:
        return np.asarray(numbers)
    except ValueError:
        raise ValueError(
            "Variable: expected a list of numbers or of lists of one length, got lists "
            "of several lengths"
        ) from None


_floats: dict[float, Number] = {}
_ints: dict[float, Number] = {}


def _number(obj: float) -> Number:
    """A Number; constants recur in every step, and one object serves them all."""
    known = _floats if type(obj) is float else _ints  # 1.0 and 1 are one key
    number = known.get(obj)
    if number is None:
        number = Number(obj)
        if obj and len(known) < 1000:  # so are 0.0 and -0.0
            known[obj] = number
    return number


# -- watched, while a step is traced --------------------------------------------------


class VariableWatcher(Protocol):
    """Who is told of reads and writes of Variables, and may answer in their place."""

    def read_data(self, x: Variable, data: Any) -> Any: ...
    def write_data(self, x: Variable, before: Any, data: Any) -> None: ...
    def read_grad(self, x: Variable, grad: Any) -> Any: ...
    def write_grad(self, x: Variable, grad: Any) -> None: ...


# The slot itself: whoever watches sets what it finds here, unseen.
data_slot: Any = Variable.__dict__["_data"]


@contextlib.contextmanager
def variables_watched_by(one: VariableWatcher) -> Iterator[None]:
    """Let ``one`` see every array and gradient that the block reads or writes.

    For this time properties stand where the slot ``_data`` and the default of ``grad``
    are: it costs nothing when nobody watches. This is how ``compile`` finds out what a
    step depends on; nothing else should need it.
    """

    def read_data(self: Variable) -> Any:
        return one.read_data(self, data_slot.__get__(self))

    def write_data(self: Variable, data: Any) -> None:
        try:
            before = data_slot.__get__(self)
        except AttributeError:  # it is just being made
            before = _nothing_yet
        one.write_data(self, before, data)
        data_slot.__set__(self, data)

    def read_grad(self: Variable) -> Any:
        return one.read_grad(self, self.__dict__.get("grad"))

    def write_grad(self: Variable, grad: Any) -> None:
        one.write_grad(self, grad)
        self.__dict__["grad"] = grad

    setattr(Variable, "_data", property(read_data, write_data))  # noqa: B010
    setattr(Variable, "grad", property(read_grad, write_grad))  # noqa: B010
    try:
        yield
    finally:
        setattr(Variable, "_data", data_slot)  # noqa: B010
        Variable.grad = None


_nothing_yet = object()
