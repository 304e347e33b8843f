"""Optimizer: what is common to all rules that move parameters along gradients.

A rule is written once on bare arrays (``Rule.step``) and runs here in place; one that
looks at each element alone in blocks that stay in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

import numpy as np

from dezero.backend import Array, get_array_module
from dezero.backend.tracing import LARGE, Native, Stateful, is_traced
from dezero.core import Parameter, Variable
from dezero.optimizers.state import (
    Fit,
    State,
    described,
    fit_numbers,
    numbers_of,
    take_over,
    unknown,
)

Hook = Callable[[list[Parameter]], None]
Self = TypeVar("Self", bound="Optimizer")

# What an optimizer wants to load, in words.
EXPECTED = "the state of an optimizer of this kind for this model"

BLOCK = 128 * 1024  # elements worked on at a time: they and the moments fit a cache


class Target(Protocol):
    """What an Optimizer can update: a Layer, or anything with parameters."""

    def params(self) -> Iterable[Parameter]: ...


class Listed:
    """A target that is nothing but a list of Parameters."""

    def __init__(self, params: Iterable[Parameter]) -> None:
        self._listed = list(params)

    def params(self) -> Iterable[Parameter]:
        """The Parameters."""
        return self._listed


def as_target(operation: str, target: Any) -> Target:
    """``target`` if it has parameters, or the Parameters in it as a target."""
    if not isinstance(target, type) and hasattr(target, "params"):
        found: Target = target
        return found
    who = f"{operation}: expected a model or Parameters"
    got = type(target).__name__
    if isinstance(target, type):
        raise TypeError(f"{who}, got the class {target.__name__}")
    if isinstance(target, Variable):
        raise TypeError(f"{who}, got a {got}; write a list of them")
    if not isinstance(target, Iterable):
        raise TypeError(f"{who}, got {got}")
    params = list(target)
    for param in params:
        if not isinstance(param, Parameter):
            kind = type(param).__name__
            raise TypeError(f"{who}, got a {got} with a {kind}")
    if not params:
        raise ValueError(f"{who}, got none: an empty {got}")
    return Listed(params)


class Optimizer(Stateful):
    """Moves parameters by their gradients. Subclass it and write ``update_one``.

    Gradients add up until they are cleared. So a batch that is too large for the memory
    goes through in parts, whose losses are divided by their number, before one update::

        for i, (x, t) in enumerate(loader):
            loss = F.softmax_cross_entropy(model(x), t) / 4
            loss.backward()
            if i % 4 == 3:
                optimizer.update()
                model.cleargrads()

    (The two halves of the loop compile, each as a step of its own.)

    Attributes:
        target: The Layer whose parameters are updated.
        hooks: Functions that get the list of parameters before each update.

    >>> class SignSGD(dezero.optimizers.Optimizer):
    ...     def update_one(self, param):
    ...         param.data = param.data - 0.1 * np.sign(param.grad.data)
    >>> layer = dezero.layers.Linear(1, in_size=2)
    >>> optimizer = SignSGD().setup(layer)
    >>> F.sum(layer(np.ones((3, 2)))).backward()
    >>> optimizer.update()
    >>> layer.b
    parameter([-0.1])
    """

    numbers_vary = True  # lr above all
    rate_name = "lr"  # which attribute is the step size: schedules set it

    def __init__(self) -> None:
        self.target: Target | None = None
        self.hooks: list[Hook] = []

    def setup(self: Self, target: Target | Iterable[Parameter]) -> Self:
        """Make ``target`` what is updated; gives the Optimizer itself.

        Args:
            target: A model, whose parameters are asked for at each update, or some
                Parameters.

        Raises:
            TypeError: It is, or has, anything but Parameters.
            ValueError: It is empty, such as a generator that was used before; or the
                moments so far are those of another model.

        >>> layer = dezero.layers.Linear(3, in_size=2)
        >>> optimizer = dezero.optimizers.SGD().setup([layer.W])
        """
        self.target = self._as_target(target)
        return self

    def _as_target(self, target: Any) -> Target:
        return as_target(f"{type(self).__name__}.setup", target)

    @property
    def members(self) -> tuple[Optimizer, ...]:
        """The optimizers that it is made of: itself, unless it is ``Groups``."""
        return (self,)

    def update(self) -> None:
        """Update every parameter that has a gradient, each once.

        Raises:
            ValueError: ``setup`` was not called.
        """
        params = [param for param in self._params() if param.grad is not None]
        for hook in self.hooks:
            hook(params)
        for param in params:
            if param.grad is not None:  # a hook may have frozen it
                self.update_one(param)

    def _params(self) -> list[Parameter]:
        if self.target is None:
            raise ValueError(
                f"{type(self).__name__}.update: expected a model to update, got none; "
                f"write {type(self).__name__}().setup(model)"
            )
        return list(dict.fromkeys(self.target.params()))

    def update_one(self, param: Parameter) -> None:
        """Move one parameter, which has a gradient."""
        raise NotImplementedError(
            f"{type(self).__name__}: expected a method update_one"
        )

    def add_hook(self, f: Hook) -> None:
        """Have ``f`` called with the list of parameters before each update."""
        self.hooks.append(f)


class ArrayOptimizer(Optimizer):
    """An Optimizer whose rule is a function of bare arrays.

    A subclass names its moments, arrays of zeros at first that it keeps for every
    parameter, and writes the rule in ``step``. This class sees to the rest, and runs
    the rule in place. An array that it has not made itself, it never writes into:
    somebody may hold it.

    >>> class UnitSGD(dezero.optimizers.ArrayOptimizer):
    ...     def step(self, y, x, gx):
    ...         np.subtract(x, 0.1 * gx / np.sqrt((gx * gx).sum()), out=y)
    >>> layer = dezero.layers.Linear(1, in_size=2)
    >>> optimizer = UnitSGD().setup(layer)
    >>> F.sum(layer(np.ones((3, 2)))).backward()
    >>> optimizer.update()
    >>> layer.b
    parameter([-0.1])
    """

    moments: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.state: dict[Parameter, list[Array]] = {}
        self._made: dict[Parameter, Array] = {}  # the data that update_one made last

    def _as_target(self, target: Any) -> Target:
        found = super()._as_target(target)
        if self.state and not any(param in self.state for param in found.params()):
            kind = type(self).__name__
            raise ValueError(
                f"{kind}.setup: expected the model that it has updated so far, got "
                f"another one; write a new {kind} for it, as moments are of one model"
            )
        return found

    def update(self) -> None:
        """Update every parameter that has a gradient, each once.

        Where there is much to do and llvmlite is installed, a native program does it.
        """
        ran = False
        if not self.hooks and self._is_ours() and self._large():
            native = self.__dict__.setdefault("_native", Native())
            ran, _ = native.run(super().update, (), None)
        if not ran:
            super().update()

    def _is_ours(self) -> bool:
        """Whether the rule is one of this package, which does nothing but compute."""
        kind = type(self)
        return kind.step.__module__.startswith("dezero.") and (
            kind.update_one is ArrayOptimizer.update_one
        )

    def _large(self) -> bool:
        params = [param for param in self._params() if param.grad is not None]
        return sum(param.size for param in params) >= LARGE and all(
            type(param.data) is np.ndarray for param in params
        )

    def step(self, y: Array, x: Array, gx: Array, *moments: Array) -> None:
        """Write into ``y`` what follows after ``x``, and update the moments in place.

        ``y`` may be ``x`` itself.
        """
        raise NotImplementedError(f"{type(self).__name__}: expected a method step")

    def update_one(self, param: Parameter) -> None:
        """Move one parameter, which has a gradient."""
        assert param.grad is not None
        x, gx = param.data, param.grad.data
        if gx.shape != x.shape:
            raise ValueError(
                f"{type(self).__name__}: expected a gradient of shape {x.shape}, as "
                f"the parameter has, got {gx.shape}"
            )
        xp = get_array_module(x)
        moments = self.state.get(param)
        if moments is None or any(m.shape != x.shape for m in moments):
            moments = [xp.zeros(x.shape, x.dtype) for _ in self.moments]
            self.state[param] = moments
        # What may be written in place, a compiled step finds out by itself.
        ours = not is_traced(x) and self._made.get(param) is x
        y = x if ours else xp.empty(x.shape, x.dtype)
        arrays = (y, x, gx, *moments)
        self._run(arrays)
        param.data = y
        if not is_traced(x):
            self._made[param] = y

    def _run(self, arrays: tuple[Array, ...]) -> None:
        self.step(*arrays)

    # -- state -------------------------------------------------------------------

    def state_dict(self) -> dict[str, Array]:
        """Copies of all that the next update depends on, beside the model.

        The settings, as arrays of no axes, by their names; the moments as
        ``'0/m'``, numbered like the parameters of the target.

        >>> import dezero.layers as L
        >>> optimizer = dezero.optimizers.SGD(lr=0.5).setup(L.Linear(3))
        >>> optimizer.state_dict()
        {'lr': array(0.5)}
        """
        state = {name: np.array(getattr(self, name)) for name in numbers_of(self)}
        for i, param in enumerate(self._params()):
            for name, moment in zip(
                self.moments, self.state.get(param, ()), strict=False
            ):
                state[f"{i}/{name}"] = moment.copy()
        return state

    def load_state_dict(self, state: State) -> None:
        """Go on from what ``state_dict`` gave; the model must be set up before.

        Raises:
            DataError: The entries do not fit; nothing was changed.
        """
        take_over(type(self).__name__, EXPECTED, self._fit(state))

    def _fit(self, state: State) -> Fit:
        params = self._params()
        settings = numbers_of(self)
        misfits, take_numbers = fit_numbers(self, settings, state)
        loaded: dict[Parameter, list[Array]] = {}
        for i, param in enumerate(params):
            names = [f"{i}/{name}" for name in self.moments]
            given = [name for name in names if name in state]
            if self.moments and not given:
                continue  # it was never updated
            misfits += [f"{name}: missing" for name in names if name not in state]
            x = param.data
            if x is None:
                if given:
                    misfits.append(
                        f"{given[0]}: its parameter has no data; call the model"
                    )
                continue
            wrong = [
                f"{name}: expected shape {x.shape}, got {described(state[name])[6:]}"
                for name in given
                if state[name].shape != x.shape or state[name].dtype.kind not in "fiub"
            ]
            misfits += wrong
            if not wrong:
                xp = get_array_module(x)
                loaded[param] = [xp.array(state[name], x.dtype) for name in given]
        moments = {f"{i}/{m}" for i in range(len(params)) for m in self.moments}
        misfits += unknown(state, {*settings, *moments})

        def take() -> None:
            take_numbers()
            self.state = loaded
            self._made = {}

        return misfits, take


class ElementwiseOptimizer(ArrayOptimizer):
    """An ArrayOptimizer whose rule looks at each element alone.

    It runs in blocks that stay in the cache, so ``step`` may see parts of an array.

    >>> class SlowSGD(dezero.optimizers.ElementwiseOptimizer):
    ...     moments = ("average",)
    ...     def step(self, y, x, gx, average):
    ...         average += 0.1 * (gx - average)
    ...         np.subtract(x, 0.1 * average, out=y)
    >>> layer = dezero.layers.Linear(1, in_size=2)
    >>> optimizer = SlowSGD().setup(layer)
    >>> F.sum(layer(np.ones((1, 2)))).backward()
    >>> optimizer.update()
    >>> layer.b
    parameter([-0.01])
    >>> sorted(optimizer.state_dict())
    ['0/average', '1/average']
    """

    def _run(self, arrays: tuple[Array, ...]) -> None:
        x = arrays[0]
        if x.size <= BLOCK or not isinstance(x, np.ndarray):
            self.step(*arrays)
            return
        arrays = tuple(array.reshape(-1) for array in arrays)
        for start in range(0, x.size, BLOCK):
            self.step(*(array[start : start + BLOCK] for array in arrays))
