"""The walk back through the graph.

Functions wait in a heap, highest generation first, and of one generation the one
created last first; each is taken once, when every gradient that flows into its
outputs has arrived. Nothing outside is touched until the walk is over: an error on
the way leaves every ``grad`` as it was.
"""

from __future__ import annotations

import sys
from heapq import heappop, heappush
from operator import attrgetter
from typing import Any

import numpy as np

from dezero.backend import get_array_module
from dezero.config import switches, using_config
from dezero.core.broadcast import broadcasts, sum_to
from dezero.core.debug import fingerprints
from dezero.core.function import Function, wrap
from dezero.core.variable import Variable
from dezero.errors import GradientError


def propagate(
    root: Variable, seed: Variable, create_graph: bool, retain_grad: bool = False
) -> dict[Variable, Variable]:
    """The derivative of ``root`` by every leaf below it, weighted with ``seed``.

    With ``retain_grad`` the Variables in between are in the answer, too. Touches no
    ``grad``. Gradients in the answer may share arrays: ``backward`` parts them.
    """
    grads = {root: seed}  # of each Variable reached, so far
    summed: set[Variable] = set()  # whose gradient is a sum, hence an array of ours
    first = root.creator
    assert first is not None
    waiting: dict[int, list[Function]] = {first.generation: [first]}
    generations = [-first.generation]  # a heap: the keys of waiting, highest first
    debug = switches.get().debug
    with using_config("enable_backprop", create_graph):
        while generations:
            funcs = waiting.pop(-heappop(generations))
            if len(funcs) > 1:  # complete: only higher generations add to it
                funcs.sort(key=attrgetter("created"))
            while funcs:
                func = funcs.pop()
                if debug:
                    _check_contents(func)
                if func.output_specs or retain_grad:
                    gys = _gradients_of_outputs(func, grads, retain_grad)
                else:
                    gys = [grads.pop(func.outputs[0]())]  # type: ignore[arg-type]
                gxs = func.backward(*gys)
                inputs, created = func.inputs, func.created
                if type(gxs) is not tuple:
                    gxs = tuple(gxs) if isinstance(gxs, list) else (gxs,)
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
                        gx = _fitted(func, x, gx, gys)
                        if gx is None:
                            continue
                    if x in grads:
                        grads[x] = _sum(grads[x], gx, x, summed, create_graph)
                        continue
                    grads[x] = gx
                    creator = x.creator
                    if creator is None:
                        continue
                    peers = waiting.get(creator.generation)
                    if peers is None:
                        waiting[creator.generation] = [creator]
                        heappush(generations, -creator.generation)
                    elif not creator.output_specs or creator not in peers:
                        peers.append(creator)
    return grads


def _gradients_of_outputs(
    func: Function, grads: dict[Variable, Variable], retain_grad: bool
) -> list[Variable]:
    """What has arrived for each output; zeros for those that nobody used."""
    gys = []
    for i, output in enumerate(func.outputs):
        y = output()
        gy = None
        if y is not None:
            gy = grads.get(y) if retain_grad else grads.pop(y, None)
        if gy is None:
            shape, dtype = func.output_specs[i]
            gy = Variable(get_array_module(func.inputs[0]).zeros(shape, dtype))
        gys.append(gy)
    return gys


def _sum(
    before: Variable,
    gx: Variable,
    x: Variable,
    summed: set[Variable],
    create_graph: bool,
) -> Variable:
    if create_graph:
        return before + gx
    if x in summed and before._data.dtype == gx._data.dtype:
        np.add(before._data, gx._data, out=before._data)
        return before
    total = before._data + gx._data
    if isinstance(total, np.ndarray):
        summed.add(x)
    return wrap(total)


def _fitted(
    func: Function, x: Variable, gx: Any, gys: list[Variable]
) -> Variable | None:
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
    was_broadcast = any(gx.shape == gy.shape for gy in gys)
    if was_broadcast and broadcasts(x.shape, gx.shape):
        return sum_to(gx, x.shape)
    raise GradientError(
        f"{name}.backward: expected a gradient of shape {x.shape}, as the input has, "
        f"got {gx.shape}"
    )


def _written_behind(func: Function, x: Variable) -> GradientError:
    who = f"'{x.name}'" if x.name else f"of shape {x.shape}"
    return GradientError(
        f"{type(func).__name__}.backward: expected the data of its input {who} as it "
        "was in forward, got data written since; call backward() before you write, "
        "or compute with x.copy()"
    )


def _check_contents(func: Function) -> None:
    seen = getattr(func, "fingerprints", None)
    if seen is None:
        return
    for x, before, now in zip(func.inputs, seen, fingerprints(func), strict=True):
        if before != now:
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
            differentiated again.

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
    if self._written > self.creator.created:
        raise _written_behind(self.creator, self)
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
    claimed: set[int] = {id(seed._data)}
    with using_config("enable_backprop", create_graph):
        for x, gx in found.items():
            if x.grad is not None:
                gx = x.grad + gx
            if gx.dtype != x.dtype and x.dtype.kind in "fc":
                gx = gx.astype(x.dtype)
            x.grad = _parted(gx, claimed, create_graph)
            if x.creator is not None:
                x._retained = x.grad
    self.grad = self._retained = seed if retain_grad else None


def _holders(x: Variable) -> int:
    return sys.getrefcount(x._data)


_SOLE_HOLDER = _holders(Variable(np.empty(())))


def _parted(gx: Variable, claimed: set[int], create_graph: bool) -> Variable:
    """``gx`` around an array that nothing else can reach, so that a write into one
    ``grad`` (hooks do that) shows nowhere else. Copied only if it must be."""
    data = gx._data
    shared = id(data) in claimed
    claimed.add(id(data))
    if create_graph:
        return gx * 1 if shared else gx
    del data
    if shared or gx._data.base is not None or _holders(gx) > _SOLE_HOLDER:
        return Variable(gx._data.copy())
    return gx


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
    funcs = [self.creator]
    while funcs:
        func = funcs.pop()
        if func is not None:
            for x in func.inputs:
                funcs.append(x.creator)
                x.unchain()


# Declared in Variable, which stands above this file and cannot import it.
setattr(Variable, "backward", backward)  # noqa: B010
setattr(Variable, "unchain_backward", unchain_backward)  # noqa: B010
