"""Schedule: what is common to all step sizes that change with the number of updates.

A schedule is a function of that number alone, ``factor(t)``, which every step size is
multiplied with. It decides nothing by reading numbers, so that its ``step()`` may
stand in a compiled step as well as outside of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.backend.tracing import Stateful, number
from dezero.optimizers.optimizer import Optimizer
from dezero.optimizers.state import (
    Fit,
    State,
    described,
    fit_numbers,
    take_over,
    unknown,
)


class Schedule(Stateful):
    """Sets the step size of an optimizer: what it was, times ``factor(t)``.

    What it was is its step size when the schedule is made, or for ``Groups`` that of
    each member. It is set for the first update then, and for the next one by each
    ``step()``, after ``optimizer.update()``; a change by hand goes into ``rates``. Past
    its end a schedule stays as it is. To be subclassed with a ``shape(t)``.

    Args:
        optimizer: Whose step size it is: ``alpha`` of Adam's family, else ``lr``.
        warmup: The number of updates in which the step size rises to what it was, in
            equal steps: for update ``t`` it is ``(t + 1) / (warmup + 1)`` of that.

    Attributes:
        t: The number of updates so far.
        rates: The step sizes that ``factor(t)`` is multiplied with.

    Raises:
        TypeError: ``optimizer`` is no Optimizer, or one without a step size.
        ValueError: ``warmup`` is negative.

    >>> class Halves(dezero.optimizers.Schedule):
    ...     def shape(self, t):
    ...         return 0.5 ** t
    >>> optimizer = dezero.optimizers.SGD(lr=0.8)
    >>> schedule = Halves(optimizer)
    >>> for i in range(2):
    ...     schedule.step()
    >>> optimizer.lr
    0.2
    """

    numbers_vary = True

    def __init__(self, optimizer: Optimizer, warmup: int = 0) -> None:
        kind = type(self).__name__
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"{kind}: expected an Optimizer, got {type(optimizer).__name__}"
            )
        for member in optimizer.members:
            if not hasattr(member, member.rate_name):
                raise TypeError(
                    f"{kind}: expected an Optimizer with a step size, got "
                    f"{type(member).__name__}, which has none"
                )
        require(self, warmup >= 0, "warmup of at least 0", warmup)
        self.optimizer = optimizer
        self.warmup = warmup
        self.t = 0
        self.rates = tuple(float(getattr(m, m.rate_name)) for m in optimizer.members)
        self._set()

    def shape(self, t: Any) -> Any:
        """The factor for update ``t``, the warm-up left aside."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method shape")

    def factor(self, t: Any) -> Any:
        """What the step size is multiplied with for update ``t``; the first is 0."""
        return number(np.minimum((t + 1) / (self.warmup + 1), 1) * self.shape(t))

    def step(self) -> None:
        """Set the step size for the next update; call it after each."""
        self.t += 1
        self._set()

    def _set(self) -> None:
        factor = self.factor(self.t)
        for member, rate in zip(self.optimizer.members, self.rates, strict=True):
            setattr(member, member.rate_name, rate * factor)

    # -- state -------------------------------------------------------------------

    _progress: tuple[str, ...] = ("t",)  # the numbers that change

    def state_dict(self) -> dict[str, Array]:
        """How far it is, and the step sizes it began with, as arrays.

        Its settings are not in it: a training that goes on may be given more steps.

        >>> optimizer = dezero.optimizers.SGD(lr=0.5)
        >>> dezero.optimizers.Exponential(optimizer, gamma=0.9).state_dict()
        {'t': array(0), 'rates': array([0.5])}
        """
        state = {name: np.array(getattr(self, name)) for name in self._progress}
        return {**state, "rates": np.array(self.rates)}

    def load_state_dict(self, state: State) -> None:
        """Go on from what ``state_dict`` gave, and set the step size.

        Raises:
            DataError: The entries do not fit; nothing was changed.
        """
        kind = type(self).__name__
        take_over(kind, f"the state of a {kind} for this optimizer", self._fit(state))

    def _fit(self, state: State) -> Fit:
        misfits, take_numbers = fit_numbers(self, self._progress, state)
        rates = np.asarray(state.get("rates", 0.0))
        if "rates" not in state:
            misfits.append("rates: missing")
        elif rates.shape != np.shape(self.rates) or rates.dtype.kind not in "fiu":
            wanted = np.shape(self.rates)
            misfits.append(
                f"rates: expected shape {wanted}, got {described(rates)[6:]}"
            )
        misfits += unknown(state, {*self._progress, "rates"})

        def take() -> None:
            take_numbers()
            self.rates = tuple(rates.tolist())
            self._set()

        return misfits, take


def require(schedule: Schedule, condition: bool, expected: str, got: Any) -> None:
    """Raise an error unless a setting is as expected."""
    if not condition:
        kind = type(schedule).__name__
        raise ValueError(f"{kind}: expected {expected}, got {got}")
