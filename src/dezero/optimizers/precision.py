"""LossScaler: training with weights in half precision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dezero.backend import Array, as_array, get_array_module
from dezero.backend.tracing import is_traced, number, require
from dezero.core import Parameter, Variable
from dezero.optimizers.optimizer import EXPECTED, Listed, Optimizer, Target
from dezero.optimizers.state import (
    Fit,
    State,
    described,
    fit_numbers,
    numbers_of,
    take_over,
    unknown,
)

SMALLEST = 2.0**-20  # the scale from which on it is not to blame


class LossScaler(Optimizer):
    """Trains parameters in float16 by updating copies of them in float32.

    Small gradients are zero in float16, and so are small steps. So the gradient of the
    loss starts at ``scale`` instead of 1, and is divided by it in float32; there the
    optimizer moves a copy of each float16 parameter, which the parameter is rounded
    from. Where a gradient is infinite or NaN, this update is left out and the scale
    ``growth`` times smaller; after ``interval`` good ones it is as much larger.
    Parameters in float32 and float64 stay as they are.

    Micikevicius et al., "Mixed precision training", 2018.

    float16 halves the memory, and saves time on a GPU. On a CPU, NumPy computes
    float16 slower than float32: there it serves to try things. bfloat16 is not among
    the types of NumPy.

    Args:
        optimizer: What makes the updates, set up with parameters that have their
            weights, and without updates so far. It then updates by this one alone.
        scale: The first scale.
        growth: The factor by which the scale changes.
        interval: The number of good updates after which it grows.

    Attributes:
        masters: The copies in float32, by their parameters. Hooks see these.

    Raises:
        TypeError: ``optimizer`` is no Optimizer.
        ValueError: It is not set up, or a number does not make sense.

    >>> layer = dezero.layers.Linear(3, in_size=2, dtype=np.float16)
    >>> optimizer = dezero.optimizers.LossScaler(
    ...     dezero.optimizers.Adam().setup(layer), scale=1024
    ... )
    >>> loss = F.sum(layer(np.ones((4, 2), np.float16)))
    >>> layer.cleargrads()
    >>> optimizer.backward(loss)                  # in place of loss.backward()
    >>> optimizer.update()
    >>> layer.b.dtype, optimizer.masters[layer.b].data.dtype
    (dtype('float16'), dtype('float32'))
    """

    def __init__(
        self,
        optimizer: Optimizer,
        scale: float = 2.0**15,
        growth: float = 2.0,
        interval: int = 2000,
    ) -> None:
        super().__init__()
        if not isinstance(optimizer, Optimizer):
            got = type(optimizer).__name__
            raise TypeError(f"LossScaler: expected an Optimizer, got {got}")
        for holds, expected, got in (
            (scale > 0, "scale above 0", scale),
            (growth > 1, "growth above 1", growth),
            (interval >= 1, "interval of at least 1", interval),
        ):
            if not holds:
                raise ValueError(f"LossScaler: expected {expected}, got {got}")
        self.optimizer = optimizer
        self.target = Listed(optimizer._params())
        self.scale = float(scale)
        self.growth = growth
        self.interval = interval
        self.waited = 0.0  # updates since the scale changed
        self.masters: dict[Parameter, Parameter] = {}
        members = optimizer.members
        targets = [
            member._as_target(_Masters(member.target, self.masters))  # type: ignore[arg-type]
            for member in members
        ]
        for member, target in zip(members, targets, strict=True):
            member.target = target
        optimizer._params()  # makes the masters

    @property
    def members(self) -> tuple[Optimizer, ...]:
        """The optimizers that it is made of."""
        return self.optimizer.members

    def _as_target(self, target: Any) -> Target:
        raise TypeError(
            "LossScaler.setup: expected an optimizer that is set up; write "
            "LossScaler(Adam().setup(model))"
        )

    def backward(self, loss: Variable) -> None:
        """Compute the gradients of ``scale * loss``."""
        with np.errstate(over="ignore"):  # a scale that is too large will shrink
            start = get_array_module(loss.data).ones_like(loss.data)
            loss.grad = Variable(as_array(start * number(self.scale)))
        loss.backward()

    def update(self) -> None:
        """Update every parameter that has a gradient, if all gradients are finite.

        Raises:
            FloatingPointError: They are not, however small the scale: it is not to
                blame.
        """
        params = self._unscaled()
        finite: Any = True
        for param in params:
            assert param.grad is not None
            finite = finite & np.isfinite(param.grad.data).all()
        require(
            finite | np.asarray(self.scale > SMALLEST),
            lambda low, high: FloatingPointError(
                "LossScaler: expected finite gradients, got NaN or infinity even at a "
                f"scale of {high}; nothing was updated"
            ),
            np.asarray(self.scale) if not is_traced(self.scale) else self.scale,
        )
        if is_traced(finite):
            self._update_if(finite, params)
        elif finite:
            self._update(params)
        for param, master in self.masters.items():
            param.data = master.data.astype(param.dtype)
            master.cleargrad()
        waited = number((self.waited + 1) * finite)
        grows = waited >= self.interval
        larger = np.where(grows, self.scale * self.growth, self.scale)
        self.scale = number(np.where(finite, larger, self.scale / self.growth))
        self.waited = number(np.where(grows, 0.0, waited))

    def _unscaled(self) -> list[Parameter]:
        """What the optimizer updates, with its gradients."""
        rate = 1 / number(self.scale)
        updated = []
        self.optimizer._params()  # makes masters of what has its data by now
        for param in self._params():
            if param.grad is not None:
                master = self.masters.get(param, param)
                gx = param.grad.data.astype(master.dtype)
                master.grad = Variable(gx * rate)
                updated.append(master)
        return updated

    def _update(self, params: list[Parameter]) -> None:
        for hook in self.hooks:
            hook(params)
        self.optimizer.update()

    def _update_if(self, finite: Any, params: list[Parameter]) -> None:
        """The same with nothing read: a compiled step updates, and takes it back."""
        for param in params:
            assert param.grad is not None
            param.grad.data = np.where(finite, param.grad.data, 0)
        arrays = [m for one in self.members for m in _moments(one)]
        numbers = [(one, name) for one in self.members for name in numbers_of(one)]
        before = [getattr(one, name) for one, name in numbers]
        moments = [array.copy() for array in arrays]
        weights = [param.data.copy() for param in params]
        self._update(params)
        arrays += [param.data for param in params]
        for array, x in zip(arrays, (*moments, *weights), strict=True):
            array[...] = np.where(finite, array, x)
        for (one, name), x in zip(numbers, before, strict=True):
            now = getattr(one, name)
            if now is not x:
                setattr(one, name, number(np.where(finite, now, x)))

    # -- state -------------------------------------------------------------------

    def state_dict(self) -> dict[str, Array]:
        """Copies of the scale, of the weights in float32, and the optimizer's state.

        The weights are ``'master/0'``, numbered like the parameters; the entries of the
        optimizer begin with ``'optimizer/'``.
        """
        state = {name: np.array(getattr(self, name)) for name in numbers_of(self)}
        for i, param in enumerate(self._params()):
            if param in self.masters:
                state[f"master/{i}"] = self.masters[param].data.copy()
        inner = self.optimizer.state_dict()  # type: ignore[attr-defined]
        return state | {f"optimizer/{name}": array for name, array in inner.items()}

    def load_state_dict(self, state: State) -> None:
        """Go on from what ``state_dict`` gave; parameters get their weights as well.

        Raises:
            DataError: The entries do not fit; nothing was changed.
        """
        take_over("LossScaler", EXPECTED, self._fit(state))

    def _fit(self, state: State) -> Fit:
        settings = numbers_of(self)
        misfits, take_numbers = fit_numbers(self, settings, state)
        names = {
            f"master/{i}": param
            for i, param in enumerate(self._params())
            if param in self.masters
        }
        for name, param in names.items():
            if name not in state:
                misfits.append(f"{name}: missing")
            elif state[name].shape != param.shape:
                got = described(state[name])[6:]
                misfits.append(f"{name}: expected shape {param.shape}, got {got}")
        prefix = "optimizer/"
        inner = {
            name.removeprefix(prefix): array
            for name, array in state.items()
            if name.startswith(prefix)
        }
        wrong, take_inner = self.optimizer._fit(inner)  # type: ignore[attr-defined]
        misfits += [prefix + line for line in wrong]
        misfits += unknown(
            state, {*settings, *names, *(prefix + name for name in inner)}
        )

        def take() -> None:
            take_numbers()
            take_inner()
            for name, param in names.items():
                xp = get_array_module(param.data)
                self.masters[param].data = xp.array(state[name], np.float32)
                param.data = self.masters[param].data.astype(param.dtype)

        return misfits, take


class _Masters:
    """A target with copies in float32 in the place of its parameters in float16."""

    def __init__(self, target: Target, masters: dict[Parameter, Parameter]) -> None:
        self._target = target
        self._masters = masters

    def params(self) -> Iterator[Parameter]:
        for param in self._target.params():
            if param.data is None or param.dtype != np.float16:
                yield param
                continue
            if param not in self._masters:
                data = param.data.astype(np.float32)
                self._masters[param] = Parameter(data, param.name)
            yield self._masters[param]


def _moments(optimizer: Optimizer) -> list[Array]:
    state = getattr(optimizer, "state", {})
    return [array for arrays in state.values() for array in arrays]
