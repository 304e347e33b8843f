"""One call of a function, and the way back through it alone.

All transforms are this: the arguments are replaced by Variables of their own, the
function runs, and the walk back ends at what was there before it began. So nothing
outside is touched, and a transform within a transform does not mix up their Variables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from dezero.backend import Array, get_array_module
from dezero.backend.trees import leaves, mapped
from dezero.config import switches, using_config
from dezero.core import Function, Variable, as_variable, propagate
from dezero.core.assignment import as_of, inputs_of
from dezero.core.variable import clock


class Same(Function):
    """``x`` under another name: what tells an argument from what it was made of."""

    def forward(self, x: Array) -> Array:
        return x

    def backward(self, gy: Variable) -> Variable:
        return gy


class Together(Function):
    """Several Variables as one root, from which a gradient goes to each of them."""

    def __init__(self, gradients: Iterable[Variable]) -> None:
        self.gradients = tuple(gradients)

    def forward(self, *xs: Array) -> Array:
        return np.zeros(())

    def backward(self, gy: Variable) -> tuple[Variable, ...]:
        return self.gradients


def walk_back(
    ys: Iterable[Variable],
    gys: Iterable[Variable],
    create_graph: bool,
    since: int,
) -> dict[Variable, Variable]:
    """The sum of what ``propagate`` gives from each of ``ys``, in one walk."""
    with using_config("enable_backprop", True):
        root = Together(gys)(*ys)
    one = Variable(np.ones(()), requires_grad=False)
    return propagate(root, one, create_graph, since=since)


class Evaluation:
    """``f`` at Variables that stand for the arguments that are chosen.

    Args:
        operation: Who asks, for messages.
        chosen: The numbers of the arguments by which to differentiate.

    Attributes:
        arguments: The chosen ones, as structures of the Variables that stand for them.
        xs: These Variables.
        result: What ``f`` returned.
        recording: Whether what comes out is recorded, if it depends on Variables
            outside: whether recording was on when this began.
    """

    def __init__(
        self,
        operation: str,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        chosen: Iterable[int],
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.operation = operation
        self.recording = switches.get().enable_backprop
        given = list(args)
        with using_config("enable_backprop", True):
            for i in dict.fromkeys(chosen):
                given[i] = mapped(args[i], self._stand_in)
            self.arguments = {i: given[i] for i in chosen}
            self.xs = dict.fromkeys(leaves(list(self.arguments.values())))
            self.since = next(clock)
            self.result = f(*given, **(kwargs or {}))

    def _stand_in(self, x: Any) -> Variable:
        """A Variable in the place of ``x``, made by it only if somebody may ask."""
        recorded = isinstance(x, Variable) and x.requires_grad and self.recording
        x = as_variable(x)
        if x.dtype.kind not in "fc":
            raise TypeError(
                f"{self.operation}: expected arguments of a floating type to "
                f"differentiate by, got {x.dtype}; write x.astype(float)"
            )
        return Same()(x) if recorded else Variable(x.data)

    def outside(self, ys: Iterable[Variable]) -> list[Variable]:
        """The Variables beside the arguments of which ``ys`` were made."""
        found: dict[Variable, None] = {}
        seen, waiting = {self._given(x) for x in self.xs}, list(ys)
        while waiting:
            y = waiting.pop()
            if y in seen or not y.requires_grad:
                continue
            seen.add(y)
            if y.created > self.since and y.creator is not None:
                waiting.extend(reversed(inputs_of(y.creator, y.created)))
            else:
                found[y] = None
        return list(found)

    def is_connected(self, ys: Iterable[Variable]) -> bool:
        """Whether ``ys`` and their gradients go on being parts of a larger graph."""
        return self.recording and (
            any(x.creator is not None for x in self.xs) or bool(self.outside(ys))
        )

    def gradients(
        self,
        ys: Iterable[Variable],
        gys: Iterable[Variable],
        wrt: Any,
        create_graph: bool,
    ) -> Any:
        """The gradients by the Variables of the structure ``wrt``, in such a one."""
        gys = tuple(gys)
        found = walk_back(ys, gys, create_graph, self.since)
        taken = {id(gy.data) for gy in gys}
        return mapped(
            wrt, lambda x: gradient_of(found, self._given(x), create_graph, taken)
        )

    def _given(self, x: Variable) -> Variable:
        """What ``x`` was when ``f`` got it, if ``f`` assigned to it since."""
        return as_of(x, self.since)

    def made(self, y: Any) -> bool:
        """Whether ``y`` hangs on our Variables, or is one: it is not from outside."""
        return (
            isinstance(y, Variable)
            and y.requires_grad
            and (y.created > self.since or y in self.xs)
        )

    def released(self, tree: Any, connected: bool) -> Any:
        """What ``f`` returned, as it is handed out: without the graph, if that leads
        to nothing but Variables of ours."""
        return tree if connected else mapped(tree, self._cut)

    def _cut(self, y: Any) -> Any:
        return Variable(y.data, y.name, requires_grad=False) if self.made(y) else y


def gradient_of(
    found: dict[Variable, Variable], x: Variable, create_graph: bool, taken: set[int]
) -> Variable:
    """The gradient by ``x``, in its type; no two share an array that may be written."""
    gx = found.get(x)
    if gx is None:
        xp = get_array_module(x.data)
        return Variable(xp.zeros_like(x.data), requires_grad=False)
    if gx.dtype != x.dtype:
        gx = gx.astype(x.dtype)
    if create_graph:
        return gx
    data = gx.data
    if data.base is not None or id(data) in taken:
        data = data.copy()
    taken.add(id(data))
    return Variable(data, requires_grad=False)
