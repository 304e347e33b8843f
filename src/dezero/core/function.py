"""Function: unwrap the inputs, run ``forward``, wrap the outputs, record itself."""

from __future__ import annotations

import copy
from typing import Any
from weakref import ref

import numpy as np
from numpy import ndarray

from dezero.backend import Array, as_array
from dezero.config import switches
from dezero.core.debug import check_finite, fingerprints
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
    generation: int = 0
    created: int = 0  # on the clock
    # Whether forward also takes NumPy's scalars, which stand for arrays of no axes
    # inside a graph: arithmetic on them is eight times faster.
    takes_scalars: bool = False
    # Shape and type of each output where there are several: one of them may be
    # gone when backward asks for zeros in its place.
    output_specs: tuple[tuple[Any, Any], ...] = ()

    def __call__(self, *inputs: Any) -> Variable:
        """Run ``forward`` on the data of ``inputs`` and record, if anyone will ask.

        Returns one Variable, or a tuple of them where ``forward`` returns several.
        """
        switch = switches.get()
        scalars = self.takes_scalars
        variables = []
        arrays = []
        generation = 0
        record = False
        for x in inputs:
            if not isinstance(x, Variable):
                x = as_input(x)
            data = x._data
            if type(data) is not ndarray and not scalars:
                data = x.data
            variables.append(x)
            arrays.append(data)
            if x.requires_grad:
                record = True
                if x.generation > generation:
                    generation = x.generation

        if self.inputs:  # used before: that call keeps its own state
            self = copy.copy(self)
        ys = self.forward(*arrays)
        if switch.debug:
            check_finite(self, arrays, ys)
        # The common case, one output, is written out: every operation pays for it.
        if type(ys) is ndarray:
            y = Variable(ys)
        elif isinstance(ys, tuple):
            return self._wrap_several(ys)
        else:
            y = wrap(ys)
        if record and switch.enable_backprop:
            self.inputs = tuple(variables)
            self.generation = generation
            self.created = next(clock)
            y.creator = self
            y.generation = generation + 1
            self.outputs = [ref(y)]
            if switch.debug:
                self.fingerprints = fingerprints(self)
        else:
            y.requires_grad = False
        return y

    def _wrap_several(self, arrays: tuple[Array, ...]) -> Any:
        ys = []
        for index, array in enumerate(arrays):
            y = wrap(array)
            y.set_creator(self)
            y.output_index = index
            ys.append(y)
        self.outputs = [ref(y) for y in ys]
        if len(ys) == 1:
            return ys[0]
        self.output_specs = tuple((y.shape, y.dtype) for y in ys)
        return tuple(ys)

    def forward(self, *xs: Any, **_: Any) -> Any:
        """Compute the outputs from the inputs, as arrays."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method forward")

    def backward(self, *gys: Any, **_: Any) -> Any:
        """Compute the gradients of the inputs from those of the outputs."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method backward")

    def output(self) -> Variable:
        """The first output. In ``backward`` it is there: its gradient has come."""
        y = self.outputs[0]()
        assert y is not None
        return y

    def __getstate__(self) -> dict[str, Any]:
        """A copy keeps what it was made with; of the graph it keeps nothing."""
        graph = ("inputs", "outputs", "generation", "created", "output_specs")
        return {k: v for k, v in self.__dict__.items() if k not in graph}


def wrap(array: Any) -> Variable:
    """A Variable around what a computation on arrays gave, scalars included."""
    if isinstance(array, np.generic):
        y = Variable(None)
        y._data = array
        return y
    return Variable(as_array(array))


def _constants(ys: Any) -> Any:
    """Outputs that nobody will ask to go back from."""
    if isinstance(ys, tuple):
        constants = tuple(map(_constants, ys))
        return constants if len(constants) > 1 else constants[0]
    y = wrap(ys)
    y.requires_grad = False
    return y
