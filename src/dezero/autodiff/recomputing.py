"""``checkpoint``: memory for time."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from dezero import random
from dezero.autodiff.evaluation import Evaluation
from dezero.backend import Array
from dezero.backend.tracing import watcher
from dezero.backend.trees import leaves, mapped
from dezero.config import recomputing, switches, using_config
from dezero.core import Function, Variable
from dezero.errors import GradientError


class Recomputed(Function):
    """A whole function as one Function: of its graph, nothing is kept.

    Its inputs are the arguments, and all else of which the results were made.
    """

    def __init__(self, f: Callable[..., Any], args: list[Variable]) -> None:
        self.f = f
        self.count = len(args)
        self.train = switches.get().train
        self.moment = random.moment()
        evaluation = Evaluation("checkpoint", f, tuple(args), range(len(args)))
        self.result = evaluation.result
        self.ys = outputs_of(evaluation)
        self.outside = evaluation.outside(self.ys)

    def forward(self, *xs: Array) -> tuple[Array, ...]:
        arrays = tuple(y.data for y in self.ys)
        del self.ys, self.outside, self.result  # and the graph with them
        return arrays

    def backward(self, *gys: Variable) -> tuple[Variable, ...]:
        args, outside = self.inputs[: self.count], self.inputs[self.count :]
        with self._again():
            evaluation = Evaluation("checkpoint", self.f, args, range(self.count))
        ys = outputs_of(evaluation)
        self._require_same(ys, gys, outside, evaluation.outside(ys))
        return tuple(
            evaluation.gradients(
                ys,
                gys,
                [*evaluation.xs, *outside],
                create_graph=evaluation.recording,
            )
        )

    def _require_same(
        self,
        ys: list[Variable],
        gys: tuple[Variable, ...],
        before: tuple[Variable, ...],
        now: list[Variable],
    ) -> None:
        same_shapes = [y.shape for y in ys] == [gy.shape for gy in gys]
        if not same_shapes or list(map(id, before)) != list(map(id, now)):
            raise GradientError(
                "checkpoint: expected f to use the same Variables and give the same "
                "shapes when it runs again, got others; give what changes, such as the "
                "variable of a loop, as an argument"
            )

    @contextlib.contextmanager
    def _again(self) -> Iterator[None]:
        """As it was the first time: the same mode and the same random numbers."""
        token = recomputing.set(True)
        try:
            with using_config("train", self.train), random.back_at(self.moment):
                yield
        finally:
            recomputing.reset(token)


def outputs_of(evaluation: Evaluation) -> list[Variable]:
    """What ``f`` computed from Variables; constants and what it found are not."""
    return [y for y in leaves(evaluation.result) if evaluation.made(y)]


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f``, which keeps nothing of its graph and computes it again for ``backward``.

    What is kept are the arguments and the results. Of a chain of n such pieces, the
    memory is that of n results and one piece, and the time that of one more forward
    pass (Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016). Values and
    derivatives of any order are the same, those of the parameters that ``f`` uses
    included; dropout draws the same masks.

    ``f`` must do the same at each call: it may keep no state, as the recurrent layers
    of the book do (running averages of batch normalization move once). Within
    ``dezero.compile`` it is ``f`` itself, as a program has its memory planned as a
    whole.

    Args:
        f: Takes and returns Variables, in lists, tuples and dicts as it likes.

    Raises:
        GradientError: In ``backward``: ``f`` uses other Variables than it did.

    >>> block = checkpoint(lambda x: np.tanh(np.sin(x)))
    >>> x = Variable(np.array(0.0))
    >>> y = block(block(x))
    >>> y.backward()
    >>> x.grad
    variable(1.0)
    """
    if not callable(f):
        raise TypeError(f"checkpoint: expected a function, got {type(f).__name__}")

    @functools.wraps(f, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        if not switches.get().enable_backprop or watcher() is not None:
            return f(*args, **kwargs)

        def of_variables(*xs: Variable) -> Any:
            given = iter(xs)
            placed = mapped(
                (args, kwargs), lambda x: next(given) if _is_active(x) else x
            )
            return f(*placed[0], **placed[1])

        xs = [x for x in leaves((args, kwargs)) if _is_active(x)]
        function = Recomputed(of_variables, xs)
        result, made = function.result, [id(y) for y in function.ys]
        if not made:
            return result
        found = function(*xs, *function.outside)
        ys = dict(
            zip(made, found if isinstance(found, tuple) else (found,), strict=True)
        )
        return mapped(result, lambda y: ys.get(id(y), y))

    return call


def _is_active(x: Any) -> bool:
    return isinstance(x, Variable) and x.requires_grad and x.dtype.kind in "fc"
