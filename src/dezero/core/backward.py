"""The walk back through the graph.

Functions wait in a heap, highest generation first, and of one generation the one
created last first; each is taken once, when every gradient that flows into its
outputs has arrived. Nothing outside is touched until the walk is over: an error on
the way leaves every ``grad`` as it was.
"""

from __future__ import annotations

import sys
import threading
from heapq import heappop, heappush
from operator import attrgetter
from typing import Any

import numpy as np

from dezero.backend import get_array_module
from dezero.backend.batching import BatchedArray
from dezero.backend.hooks import hooks_in_use
from dezero.config import switches, using_config
from dezero.core.assignment import assigned, inputs_of
from dezero.core.broadcast import broadcasts, sum_to
from dezero.core.debug import fingerprints, known
from dezero.core.examples import fitted_examples
from dezero.core.function import Function, wrap
from dezero.core.variable import Variable
from dezero.errors import GradientError


def propagate(
    root: Variable,
    seed: Variable,
    create_graph: bool,
    retain_grad: bool = False,
    since: int = 0,
) -> dict[Variable, Variable]:
    """The derivative of ``root`` by every leaf below it, weighted with ``seed``.

    With ``retain_grad`` the Variables in between are in the answer, too. What was made
    up to the time ``since`` on the clock counts as a leaf. Touches no ``grad``.
    Gradients in the answer may share arrays: ``backward`` parts them.
    """
    grads = {root: seed}  # of each Variable reached, so far
    kept: dict[Variable, Variable] = {}
    summed: set[Variable] = set()  # whose gradient is a sum, hence an array of ours
    # A Function waits in the shape of its output: a slot of a Variable is read in
    # half the time of an attribute of a Function.
    waiting = {root.generation: [root]}
    generations = [-root.generation]  # a heap: the keys of waiting, highest first
    debug, hooked = switches.get().debug, bool(hooks_in_use())
    any_assigned = bool(assigned)
    careful = debug or hooked or any_assigned
    batched = BatchedArray.ever
    with using_config("enable_backprop", create_graph):
        while generations:
            ys = waiting.pop(-heappop(generations))
            if len(ys) > 1:  # complete: only higher generations add to it
                ys.sort(key=attrgetter("created"))
            while ys:
                y = ys.pop()
                func = y.creator
                if func is None or y not in grads:
                    continue  # ran with another of its outputs
                created = y.created
                if careful:
                    if any_assigned:
                        func.inputs = inputs_of(func, created)
                    if debug:
                        _check_contents(func)
                    if hooked:
                        _call_hooks(func, grads)
                if y._written > created:
                    raise _written_behind(func, y)
                try:
                    if func.output_specs or retain_grad:
                        gys = _gradients_of_outputs(func, grads)
                        if retain_grad:
                            kept.update(_alive(func, gys))
                        gxs = func.backward(*gys)
                    else:
                        gxs = func.backward(grads.pop(y))
                except Exception:
                    for x in func.inputs:
                        if x._written > created:  # then that is why
                            raise _written_behind(func, x) from None
                    raise
                if type(gxs) is not tuple:
                    gxs = tuple(gxs) if isinstance(gxs, list) else (gxs,)
                inputs = func.inputs
                if len(gxs) != len(inputs):
                    raise GradientError(
                        f"{type(func).__name__}.backward: expected {len(inputs)} "
                        f"gradients, one per input, got {len(gxs)}"
                    )
                for x, gx in zip(inputs, gxs):  # noqa: B905  (lengths just compared)
                    if x._written > created:
                        raise _written_behind(func, x)
                    if not x.requires_grad:
                        continue
                    if type(gx) is not Variable or gx._data.shape != x._data.shape:
                        gx = _fitted(func, x, gx)
                        if gx is None:
                            continue
                    if batched and BatchedArray in (type(gx._data), type(x._data)):
                        gx = fitted_examples(gx, x)
                    before = grads.get(x)
                    if before is not None:
                        grads[x] = _sum(before, gx, x, summed, create_graph)
                        continue
                    grads[x] = gx
                    if x.created <= since:  # a leaf: it was made at 0
                        continue
                    peers = waiting.get(x.generation)
                    if peers is None:
                        waiting[x.generation] = [x]
                        heappush(generations, -x.generation)
                    else:
                        peers.append(x)
    grads.update(kept)
    return grads


def _call_hooks(func: Function, grads: dict[Variable, Variable]) -> None:
    """Show the gradients of the outputs, which are complete, to their hooks."""
    for output in func.outputs:
        y = output()
        if y is not None and y._hooks is not None and y in grads:
            grads[y] = after_hooks(y, grads[y])


def after_hooks(x: Variable, gx: Variable) -> Variable:
    """The gradient that the hooks of ``x`` make of ``gx``."""
    for hook in x._hooks or ():
        changed = hook(gx)
        if changed is None:
            continue
        if not isinstance(changed, Variable) or changed.shape != x.shape:
            shape = f" of shape {changed.shape}" if hasattr(changed, "shape") else ""
            raise GradientError(
                f"register_hook: expected the hook to return None or a Variable of "
                f"shape {x.shape}, got {type(changed).__name__}{shape}"
            )
        gx = changed
    return gx


def _gradients_of_outputs(
    func: Function, grads: dict[Variable, Variable]
) -> list[Variable]:
    """What has arrived for each output; zeros for those that nobody used."""
    gys = []
    for i, output in enumerate(func.outputs):
        y = output()
        gy = None if y is None else grads.pop(y, None)
        if gy is None:
            xp = get_array_module(func.inputs[0])
            gy = Variable(xp.zeros(*func.output_specs[i]))
        gys.append(gy)
    return gys


def _alive(func: Function, gys: list[Variable]) -> dict[Variable, Variable]:
    """The gradients of those outputs that somebody still holds."""
    ys = (output() for output in func.outputs)
    return {y: gy for y, gy in zip(ys, gys, strict=True) if y is not None}


def _sum(
    before: Variable,
    gx: Variable,
    x: Variable,
    summed: set[Variable],
    create_graph: bool,
) -> Variable:
    if create_graph:
        return before + gx
    total = before._data
    one = type(gx._data) is not BatchedArray
    if x in summed and one and total.dtype == gx._data.dtype:
        np.add(total, gx._data, out=total)
        return before
    total = total + gx._data
    if type(total) is not np.ndarray:
        return wrap(total)
    summed.add(x)
    return Variable(total)


def _fitted(func: Function, x: Variable, gx: Any) -> Variable | None:
    """``gx`` in the shape of ``x``: the one place where broadcasting is undone."""
    name = type(func).__name__
    if gx is None:
        if x.dtype.kind not in "fc":
            return None  # labels and indices have no derivative
        raise GradientError(
            f"{name}.backward: expected a gradient for the input of shape {x.shape} "
            "and floating type, got None; return zeros where it does not matter"
        )
    if not isinstance(gx, Variable):
        raise GradientError(
            f"{name}.backward: expected Variables, got {type(gx).__name__}; compute "
            "with gy and functions of Variables, so that it can be differentiated"
        )
    if gx.shape == x.shape:
        return gx
    y_shapes = [shape for shape, _ in func.output_specs] or [func.output().shape]
    if gx.shape in y_shapes and broadcasts(x.shape, gx.shape):
        return sum_to(gx, x.shape)
    raise GradientError(
        f"{name}.backward: expected a gradient of shape {x.shape}, as the input has, "
        f"got {gx.shape}"
    )


def _written_behind(func: Function, x: Variable) -> GradientError:
    role = "input" if any(x is one for one in func.inputs) else "output"
    who = f"'{x.name}'" if x.name else f"of shape {x.shape}"
    return GradientError(
        f"{type(func).__name__}.backward: expected the data of its {role} {who} as it "
        "was in forward, got data written since; call backward() before you write, "
        "or compute with x.copy()"
    )


def _check_contents(func: Function) -> None:
    """In debug mode, see writes into arrays, which no setter hears of, as well."""
    if func.fingerprints:
        now = fingerprints(func)
        for x, was, is_ in zip(known(func), func.fingerprints, now, strict=True):
            if x is not None and was != is_:
                raise _written_behind(func, x)


# -- methods of Variable ------------------------------------------------------------


def backward(
    self: Variable, retain_grad: bool = False, create_graph: bool = False
) -> None:
    """Add the derivative of this Variable to ``grad`` of every leaf it came from.

    The walk starts with ``self.grad`` where the user has set it, else with ones: for
    an output of many elements that gives the derivative of their sum.

    Args:
        retain_grad: Keep ``grad`` of the Variables in between, too.
        create_graph: Record the computation of the gradients, so that they can be
            differentiated again. ``x.grad`` then holds its graph, which holds ``x``:
            write ``x.cleargrad()`` when done, or it waits for the garbage collector.

    Raises:
        GradientError: This Variable has no graph behind it; a Function returned
            gradients that do not fit; or data was written after its use.

    >>> import numpy as np
    >>> x = Variable(np.array(2.0))
    >>> y = x ** 3
    >>> y.backward(create_graph=True)
    >>> gx = x.grad
    >>> x.cleargrad()
    >>> gx.backward()
    >>> x.grad                            # 6 x
    variable(12.0)
    """
    if self.creator is None:
        raise GradientError(
            "backward: expected a Variable that a Function made, got "
            + (f"'{self.name}'" if self.name else "one")
            + " without a creator: a leaf, or made under no_grad() or from constants "
            "alone; compute it from Variables while recording is on"
        )
    xp = get_array_module(self._data)
    seed = self.grad
    if seed is None or seed is self._retained:
        seed = Variable(xp.ones_like(self._data))
    elif not isinstance(seed, Variable) or seed.shape != self.shape:
        got = seed.shape if isinstance(seed, Variable) else type(seed).__name__
        raise GradientError(
            f"backward: expected grad to be a Variable of shape {self.shape} to start "
            f"from, got {got}"
        )
    found = propagate(self, seed, create_graph, retain_grad)
    found.pop(self, None)
    grads = []
    with _adding, using_config("enable_backprop", create_graph):
        while found:
            x, gx = found.popitem()
            if type(gx._data) is BatchedArray:  # grad adds up what a loop would add
                gx = fitted_examples(gx, x, running=())
            if gx.dtype != x.dtype and x.dtype.kind in "fc":
                gx = gx.astype(x.dtype)
            if x._hooks is not None and x.creator is None:  # others were in the walk
                gx = after_hooks(x, gx)
            if x.grad is not None:
                _require_shape_of(x)
                gx = x.grad + gx
            # A write into one grad (hooks do that) must show nowhere else, so its
            # array is one that nothing else can reach: copied, but only if it must be.
            if (
                type(gx) is not Variable
                or gx._data.base is not None
                or _holders(gx) != _ALONE
            ):
                gx = gx.copy()
            grads.append((x, gx))
        for x, gx in grads:
            x.grad = gx
            if x.creator is not None:
                x._retained = gx
    self.grad = seed if retain_grad else None


_adding = threading.RLock()  # two threads may add to the grad of one leaf


def _holders(gx: Variable) -> tuple[int, int]:
    """How many references there are to a Variable, and to its array."""
    return sys.getrefcount(gx), sys.getrefcount(gx._data)


def _holders_of_local() -> tuple[int, int]:
    gx = Variable(np.empty(()))
    return _holders(gx)


_ALONE = _holders_of_local()  # of a Variable that only one local name holds


def _require_shape_of(x: Variable) -> None:
    got = getattr(x.grad, "shape", type(x.grad).__name__)
    if got != x.shape:
        raise GradientError(
            f"backward: expected the grad of {x.name or 'a Variable'} to have its "
            f"shape {x.shape}, to add to it, got {got}; write x.cleargrad()"
        )


def unchain_backward(self: Variable) -> None:
    """Cut every Variable this one came from: the graph behind it goes.

    Truncated backpropagation through time calls it after each stretch.

    >>> import numpy as np
    >>> x = Variable(np.array(1.0))
    >>> y = x * 2
    >>> z = y * 3
    >>> z.unchain_backward()
    >>> y.creator is None
    True
    """
    waiting = [(self.creator, self.created)]
    while waiting:
        func, created = waiting.pop()
        if func is not None:
            for x in inputs_of(func, created):
                made_by = x.creator
                waiting.append((made_by, x.created))
                x.unchain()
                # Its siblings too: the cell of an LSTM, whose output alone was used.
                for sibling in () if made_by is None else made_by.outputs:
                    if (y := sibling()) is not None:
                        y.unchain()


# Declared in Variable, which stands above this file and cannot import it.
setattr(Variable, "backward", backward)  # noqa: B010
setattr(Variable, "unchain_backward", unchain_backward)  # noqa: B010
