"""Assignment, ``y[i] = x``: a Variable that from now on stands for another value.

No array is written. An earlier Variable takes over the place that ``y`` had in the
graph, and ``y`` becomes what a Function makes of it. Functions that used ``y`` before
name it among their inputs still; which value they meant follows from the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakValueDictionary, ref

from dezero.core.function import Function
from dezero.core.variable import Variable

# Those that were assigned to, by their id: while there are none, as ever in most
# programs, the walk back does not look.
assigned: WeakValueDictionary[int, Variable] = WeakValueDictionary()


def assign(y: Variable, change: Callable[[Variable], Variable]) -> None:
    """Let ``y`` stand for what ``change`` makes of its value.

    What comes out without a graph becomes the data of ``y``, as by ``y.data = ...``.
    """
    before = Variable(y.data, y.name, y.requires_grad)
    before._written, before.created = y._written, y.created
    before.creator, before.generation = y.creator, y.generation
    before.output_index = y.output_index
    after = change(before)
    if after.creator is None:
        y.data = after.data
        return
    if before.creator is not None:
        before.creator.outputs[before.output_index] = ref(before)
    if y.grad is not None:
        before.grad, before._retained = y.grad, y._retained
        y.grad = y._retained = None
    # The graph keeps what was before. When it is gone, so is the reason to find it.
    known = [pair for pair in y._earlier if pair[1]() is not None]
    y._earlier = (*known, (after.created, ref(before)))
    assigned[id(y)] = y
    y._data = after._data
    y._written = y.created = after.created
    y.creator, y.generation = after.creator, after.generation
    y.creator.outputs[after.output_index] = ref(y)
    y.output_index = after.output_index
    y.requires_grad = True
    _settle(y, before.created)


def as_of(x: Variable, time: int) -> Variable:
    """The Variable that stood for the value of ``x`` at a time on the clock."""
    if x._written > time:
        for until, earlier in x._earlier:
            if until > time:
                found = earlier()
                return x if found is None else found
    return x


def inputs_of(func: Function, created: int) -> tuple[Variable, ...]:
    """The inputs of ``func`` as they were when it was created."""
    return tuple([as_of(x, created) for x in func.inputs])


def _settle(y: Variable, since: int) -> None:
    """Write down in the graph of ``y``, as far as it is new, what it was made of.

    It may be made of itself, ``y[i] = 2 * y[i]``: no Function in its graph may hold
    ``y``, or the two would keep each other alive.
    """
    waiting, seen = [y], set()
    while waiting:
        x = waiting.pop()
        func = x.creator
        if func is not None and x.created > since and func not in seen:
            seen.add(func)
            func.inputs = inputs_of(func, x.created - 1 if x is y else x.created)
            waiting.extend(func.inputs)
