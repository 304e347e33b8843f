"""Function: unwrap the inputs, run ``forward``, wrap the outputs, record itself."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any
from weakref import ref

import numpy as np
from numpy import float32, float64, ndarray

from dezero.backend import Array, is_array
from dezero.backend.batching import Unbatchable, each, level_of
from dezero.config import switches
from dezero.core.debug import look
from dezero.core.variable import Variable, as_input, clock


class Function:
    """One operation. Subclass it, write ``forward`` on arrays and ``backward``.

    ``forward(self, *xs)`` gets arrays and returns an array or a tuple of them. It
    uses the arrays' own operations, never reads a value to decide something and
    never writes into its inputs. It may keep anything on ``self``.

    ``backward(self, *gys)`` gets one gradient per output, as Variables, and returns
    one per input (``None`` where ``requires_grad`` of the input is false). It is
    written with Variables and functions of Variables, so that it can itself be
    differentiated. It need not undo broadcasting: the engine does.

    Attributes:
        inputs: The Variables it was called with.
        outputs: Weak references to the Variables it made: ``self.outputs[0]()``.
        generation: The largest generation of its inputs.

    >>> import numpy as np
    >>> class Square(Function):
    ...     def forward(self, x):
    ...         return x * x
    ...     def backward(self, gy):
    ...         x, = self.inputs
    ...         return 2 * x * gy
    >>> x = Variable(np.array(3.0))
    >>> y = Square()(x)
    >>> y.backward()
    >>> x.grad
    variable(6.0)
    """

    inputs: tuple[Variable, ...] = ()
    outputs: list[ref[Variable]] = []  # noqa: RUF012  (replaced, never appended to)
    # Shape and type of each output where there are several: one of them may be
    # gone when backward asks for zeros in its place.
    output_specs: tuple[tuple[Any, Any], ...] = ()
    # Of the data of inputs and outputs, in debug mode.
    fingerprints: tuple[int, ...] = ()
    # Whether forward also takes NumPy's scalars, which stand for arrays of no axes
    # inside a graph: arithmetic on them is eight times faster.
    takes_scalars: bool = False

    def __call__(self, *inputs: Any) -> Variable:
        """Run ``forward`` on the data of ``inputs`` and record, if anyone will ask.

        Returns one Variable, or a tuple of them where ``forward`` returns several.
        """
        # Every operation passes here, so it is written for speed: attributes of
        # Variables are slots, those of self are touched as little as can be.
        arrays = []
        generation = -1
        for x in inputs:
            if not isinstance(x, Variable):
                return self(*map(as_input, inputs))
            data = x._data
            if type(data) is not ndarray:
                if data is None:
                    raise no_data(self, x)
                if not self.takes_scalars:
                    data = x.data
            arrays.append(data)
            if x.requires_grad and x.generation > generation:
                generation = x.generation

        if self.inputs:  # used before: that call keeps its own state
            self = copy.copy(self)
        try:
            ys = self.forward(*arrays)
        except Unbatchable:
            ys = _one_by_one(self, arrays)
        kind = type(ys)
        if kind is not ndarray and kind is not float64 and kind is not float32:
            if isinstance(ys, tuple):
                return self._wrap_several(inputs, arrays, ys)
            ys = checked_result(self, ys)
        y = _blank(Variable)  # its __init__, written out
        y._data = ys
        y._written = 0
        switch = switches.get()
        if generation >= 0 and switch.enable_backprop:
            y.requires_grad = True
            y.creator = self
            y.generation = generation + 1
            y.created = next(clock)
            self.inputs = inputs
            self.outputs = [ref(y)]
        else:
            y.requires_grad = False
            y.creator = None
            y.generation = y.created = 0
        if switch.debug:
            look(self, arrays, (ys,))
        return y

    def _wrap_several(
        self, inputs: tuple[Variable, ...], xs: list[Array], results: tuple[Any, ...]
    ) -> Any:
        ys = tuple(wrap(checked_result(self, result)) for result in results)
        switch = switches.get()
        if switch.enable_backprop and any(x.requires_grad for x in inputs):
            self.inputs = inputs
            self.outputs = [ref(y) for y in ys]
            generation = self.generation + 1
            created = next(clock)
            for index, y in enumerate(ys):
                y.creator = self
                y.generation = generation
                y.created = created
                y.output_index = index
            if len(ys) > 1:
                self.output_specs = tuple((y.shape, y.dtype) for y in ys)
        else:
            for y in ys:
                y.requires_grad = False
        if switch.debug:
            look(self, xs, results)
        return ys if len(ys) > 1 else ys[0]

    @property
    def generation(self) -> int:
        """The largest generation of the inputs."""
        return max((x.generation for x in self.inputs), default=0)

    def forward(self, *xs: Any, **_: Any) -> Any:
        """Compute the outputs from the inputs, as arrays."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method forward")

    def backward(self, *gys: Any, **_: Any) -> Any:
        """Compute the gradients of the inputs from those of the outputs."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method backward")

    def multiply_adds(self, xs: list[Array], ys: tuple[Array, ...]) -> int:
        """How many products of two numbers ``forward`` adds to another, for a summary.

        Functions that multiply matrices say it; what works element by element does
        not count.

        Args:
            xs: The arrays that went in.
            ys: The arrays that came out.
        """
        return 0

    def output(self) -> Variable:
        """The first output. In ``backward`` it is there: its gradient has come."""
        y = self.outputs[0]()
        assert y is not None
        return y

    def __getstate__(self) -> dict[str, Any]:
        """A copy keeps what it was made with; of the graph it keeps nothing."""
        graph = ("inputs", "outputs", "output_specs", "fingerprints")
        return {k: v for k, v in self.__dict__.items() if k not in graph}


def _one_by_one(func: Function, xs: Sequence[Array]) -> Any:
    """What ``forward`` gives for a batch that it cannot take, one example at a time.

    What it keeps on ``self`` is then a batch, too: ``backward`` will find all of it.
    """
    state = vars(func)
    level = level_of([*xs, state])
    if not level:
        return func.forward(*xs)  # it was not about a batch: the error again

    def forward(*xs: Array, **state: Any) -> Any:
        one = _blank(type(func))
        vars(one).update(state)
        try:
            ys = one.forward(*xs)
        except Unbatchable:
            ys = _one_by_one(one, xs)
        return ys, vars(one)

    ys, kept = each(forward, xs, state)
    state.update(kept)
    return ys


_blank = object.__new__
_nothing = np.empty(0)


def apply_binary(func: Function, x0: Any, x1: Any) -> Variable:
    """``func(x0, x1)`` for a new Function of two inputs and one output.

    The same as the call, written out without loops, in two thirds of the time:
    arithmetic on small arrays is nothing but this.
    """
    if not isinstance(x0, Variable):
        x0 = as_input(x0)
    if not isinstance(x1, Variable):
        x1 = as_input(x1)
    a0, a1 = x0._data, x1._data
    if a0 is None or a1 is None:
        raise no_data(func, x0 if a0 is None else x1)
    a = func.forward(a0, a1)
    kind = type(a)
    if kind is not ndarray and kind is not float64 and kind is not float32:
        a = checked_result(func, a)
    y = _blank(Variable)
    y._data = a
    y._written = 0
    switch = switches.get()
    if switch.enable_backprop and (x0.requires_grad or x1.requires_grad):
        generation, other = x0.generation, x1.generation
        y.requires_grad = True
        y.creator = func
        y.generation = (generation if generation > other else other) + 1
        y.created = next(clock)
        func.inputs = (x0, x1)
        func.outputs = [ref(y)]
    else:
        y.requires_grad = False
        y.creator = None
        y.generation = y.created = 0
    if switch.debug:
        look(func, [a0, a1], (a,))
    return y


def wrap(array: Array) -> Variable:
    """A Variable around what a computation on arrays gave, scalars included."""
    y = Variable(_nothing)
    y._data = array
    return y


def no_data(func: Function, x: Variable) -> ValueError:
    who = f"'{x.name}'" if x.name else repr(x)
    return ValueError(
        f"{type(func).__name__}: expected data in its input {who}, got None; a layer's "
        "parameters get their shape at the first call: write model(x) first"
    )


def checked_result(func: Function, y: Any) -> Array:
    """What ``forward`` returned, as an array or a scalar of NumPy."""
    if isinstance(y, np.generic) or is_array(y):
        return y
    if isinstance(y, (int, float, complex)):
        return np.asarray(y)
    raise TypeError(
        f"{type(func).__name__}.forward: expected an array or a tuple of arrays, got "
        f"{type(y).__name__}"
    )
