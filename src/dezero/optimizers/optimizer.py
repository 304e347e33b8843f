"""Optimizer: what is common to all rules that move parameters along gradients.

A rule that looks at each element alone is written once on bare arrays (``Rule.step``)
and runs here in place, in blocks that stay in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

import numpy as np

from dezero.backend import Array, get_array_module
from dezero.backend.tracing import LARGE, Native, Stateful
from dezero.core import Parameter
from dezero.errors import DataError

Hook = Callable[[list[Parameter]], None]
Self = TypeVar("Self", bound="Optimizer")

BLOCK = 128 * 1024  # elements worked on at a time: they and the moments fit a cache


class Target(Protocol):
    """What an Optimizer can update: a Layer, or anything with parameters."""

    def params(self) -> Iterable[Parameter]: ...


class Optimizer(Stateful):
    """Moves parameters by their gradients. Subclass it and write ``update_one``.

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

    def __init__(self) -> None:
        self.target: Target | None = None
        self.hooks: list[Hook] = []

    def setup(self: Self, target: Target) -> Self:
        """Make ``target`` what is updated; gives the Optimizer itself.

        Raises:
            TypeError: It has no parameters to ask for.
        """
        if isinstance(target, type) or not hasattr(target, "params"):
            got = type(target).__name__
            if isinstance(target, type):
                got = f"the class {target.__name__}"
            raise TypeError(
                f"{type(self).__name__}.setup: expected a model, or what has a method "
                f"params(), got {got}"
            )
        self.target = target
        return self

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


class ElementwiseOptimizer(Optimizer):
    """An Optimizer whose rule looks at each element alone.

    A subclass names its moments, arrays of zeros at first that it keeps for every
    parameter, and writes the rule in ``step`` on bare arrays. This class sees to the
    rest: it runs the rule in place, and in blocks that stay in the cache. An array
    that it has not made itself, it never writes into: somebody may hold it.

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

    moments: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.state: dict[Parameter, list[Array]] = {}
        self._made: dict[Parameter, Array] = {}  # the data that update_one made last

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
            kind.update_one is ElementwiseOptimizer.update_one
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
        y = x if self._made.get(param) is x else xp.empty(x.shape, x.dtype)
        arrays = (y, x, gx, *moments)
        if x.size <= BLOCK or not isinstance(x, np.ndarray):
            self.step(*arrays)
        else:
            arrays = tuple(array.reshape(-1) for array in arrays)
            for start in range(0, x.size, BLOCK):
                self.step(*(array[start : start + BLOCK] for array in arrays))
        param.data = self._made[param] = y

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
        state = {
            name: np.array(value)
            for name, value in vars(self).items()
            if isinstance(value, (int, float))
        }
        for i, param in enumerate(self._params()):
            for name, moment in zip(
                self.moments, self.state.get(param, ()), strict=False
            ):
                state[f"{i}/{name}"] = moment.copy()
        return state

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Go on from what ``state_dict`` gave; the model must be set up before.

        Raises:
            DataError: The entries do not fit; nothing was changed.
        """
        params = self._params()
        settings = [k for k, v in vars(self).items() if isinstance(v, (int, float))]
        misfits = [f"{name}: missing" for name in settings if name not in state]
        loaded: dict[Parameter, list[Array]] = {}
        for i, param in enumerate(params):
            names = [f"{i}/{name}" for name in self.moments]
            given = [name for name in names if name in state]
            if not given:
                continue  # it was never updated
            misfits += [f"{name}: missing" for name in names if name not in state]
            x = param.data
            if x is None:
                misfits.append(f"{given[0]}: its parameter has no data; call the model")
                continue
            misfits += [
                f"{name}: expected shape {x.shape}, got {state[name].shape}"
                for name in given
                if state[name].shape != x.shape
            ]
            xp = get_array_module(x)
            loaded[param] = [xp.array(state[name], x.dtype) for name in given]
        moments = {f"{i}/{m}" for i in range(len(params)) for m in self.moments}
        misfits += [
            f"{name}: unknown" for name in state if name not in {*settings, *moments}
        ]
        if misfits:
            raise DataError(
                f"{type(self).__name__}.load_state_dict: expected the state of an "
                "optimizer of this kind for this model, got one where\n  "
                + "\n  ".join(misfits)
            )
        for name in settings:
            setattr(self, name, np.asarray(state[name]).item())
        self.state = loaded
        for param in params:  # as after an update, so that none comes as a surprise
            if param.data is not None and param.requires_grad:
                param.data = self._made[param] = param.data.copy()
                if not self.moments:
                    self.state[param] = []
