"""Schedules: the shapes in which a step size falls, and one that looks at a metric."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from dezero.backend.tracing import number
from dezero.core import Variable
from dezero.optimizers.optimizer import Optimizer
from dezero.optimizers.schedule import Schedule, require


class Constant(Schedule):
    """The step size as it is, after a warm-up.

    Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017.

    Args:
        optimizer: Whose step size is set.
        warmup: The number of updates in which it rises; see ``Schedule``.

    >>> optimizer = dezero.optimizers.SGD(lr=0.4)
    >>> schedule = dezero.optimizers.Constant(optimizer, warmup=3)
    >>> optimizer.lr
    0.1
    """

    def shape(self, t: Any) -> Any:
        return 1.0


class StepDecay(Schedule):
    """``gamma`` times less after every so many updates: ``gamma**floor(t / every)``.

    Args:
        optimizer: Whose step size is set.
        every: The number of updates after which it falls.
        gamma: The factor by which it does.
        warmup: The number of updates in which it rises; see ``Schedule``.

    Raises:
        ValueError: ``every`` is below 1, or ``gamma`` not above 0.

    >>> optimizer = dezero.optimizers.SGD(lr=0.4)
    >>> schedule = dezero.optimizers.StepDecay(optimizer, every=30, gamma=0.1)
    """

    def __init__(
        self, optimizer: Optimizer, every: int, gamma: float = 0.1, warmup: int = 0
    ) -> None:
        require(self, every >= 1, "every of at least 1", every)
        require(self, gamma > 0, "gamma above 0", gamma)
        self.every = every
        self.gamma = gamma
        super().__init__(optimizer, warmup)

    def shape(self, t: Any) -> Any:
        return self.gamma ** (t // self.every)


class MultiStep(Schedule):
    """``gamma`` times less at each of some updates; one that is named twice counts so.

    Args:
        optimizer: Whose step size is set.
        milestones: The updates from which it is less.
        gamma: The factor by which it is.
        warmup: The number of updates in which it rises; see ``Schedule``.

    Raises:
        ValueError: A milestone is below 1, there is none, or ``gamma`` not above 0.

    >>> optimizer = dezero.optimizers.SGD(lr=0.4)
    >>> schedule = dezero.optimizers.MultiStep(optimizer, [30, 60, 80], gamma=0.1)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        warmup: int = 0,
    ) -> None:
        milestones = tuple(milestones)
        require(
            self, min(milestones, default=0) >= 1, "milestones of 1 or more", milestones
        )
        require(self, gamma > 0, "gamma above 0", gamma)
        self.milestones = milestones
        self.gamma = gamma
        super().__init__(optimizer, warmup)

    def shape(self, t: Any) -> Any:
        return self.gamma ** sum((t >= at) * 1 for at in self.milestones)


class Exponential(Schedule):
    """``gamma`` times less after every update: ``gamma**t``.

    Args:
        optimizer: Whose step size is set.
        gamma: The factor by which it falls.
        warmup: The number of updates in which it rises; see ``Schedule``.

    Raises:
        ValueError: ``gamma`` is not above 0.

    >>> optimizer = dezero.optimizers.SGD(lr=0.4)
    >>> schedule = dezero.optimizers.Exponential(optimizer, gamma=0.999)
    """

    def __init__(self, optimizer: Optimizer, gamma: float, warmup: int = 0) -> None:
        require(self, gamma > 0, "gamma above 0", gamma)
        self.gamma = gamma
        super().__init__(optimizer, warmup)

    def shape(self, t: Any) -> Any:
        return self.gamma**t


class _Fall(Schedule):
    """A step size that falls from the end of the warm-up to the update ``steps``."""

    def __init__(
        self, optimizer: Optimizer, steps: int, warmup: int, floor: float
    ) -> None:
        require(self, steps >= 1, "steps of at least 1", steps)
        require(
            self, warmup < steps, f"a warmup of fewer updates than all {steps}", warmup
        )
        require(self, 0 <= floor <= 1, "floor between 0 and 1", floor)
        self.steps = steps
        self.floor = floor
        super().__init__(optimizer, warmup)

    def shape(self, t: Any) -> Any:
        done = np.maximum(t - self.warmup, 0) / (self.steps - self.warmup)
        return self.floor + (1 - self.floor) * self.fall(np.minimum(done, 1))

    def fall(self, done: Any) -> Any:
        """From 1 to 0, while what is done goes from 0 to 1."""
        raise NotImplementedError


class Cosine(_Fall):
    """Down half a wave: ``floor + (1 - floor) * (1 + cos(pi * done)) / 2``.

    ``done`` goes from 0 at the end of the warm-up to 1 at ``t = steps``; from there on
    the factor stays ``floor``.

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017.

    Args:
        optimizer: Whose step size is set.
        steps: The number of updates, with those of the warm-up.
        warmup: The number of updates in which it rises; see ``Schedule``.
        floor: The last factor: a part of the step size, not a step size.

    Raises:
        ValueError: ``steps`` is below 1 or not above ``warmup``, or ``floor`` not
            between 0 and 1.

    >>> optimizer = dezero.optimizers.AdamW(alpha=3e-4)
    >>> schedule = dezero.optimizers.Cosine(optimizer, 10_000, warmup=500, floor=0.1)
    >>> [round(schedule.factor(t), 3) for t in (0, 250, 500, 5250, 10_000, 20_000)]
    [0.002, 0.501, 1.0, 0.55, 0.1, 0.1]
    """

    def __init__(
        self, optimizer: Optimizer, steps: int, warmup: int = 0, floor: float = 0.0
    ) -> None:
        super().__init__(optimizer, steps, warmup, floor)

    def fall(self, done: Any) -> Any:
        return 0.5 * (1 + np.cos(math.pi * done))


class Polynomial(_Fall):
    """Down a power: ``floor + (1 - floor) * (1 - done)**power``; 1 is a straight line.

    ``done`` goes from 0 at the end of the warm-up to 1 at ``t = steps``; from there on
    the factor stays ``floor``.

    Args:
        optimizer: Whose step size is set.
        steps: The number of updates, with those of the warm-up.
        power: How it bends.
        warmup: The number of updates in which it rises; see ``Schedule``.
        floor: The last factor: a part of the step size, not a step size.

    Raises:
        ValueError: ``steps`` is below 1 or not above ``warmup``, ``power`` not above
            0, or ``floor`` not between 0 and 1.

    >>> optimizer = dezero.optimizers.AdamW(alpha=3e-4)
    >>> schedule = dezero.optimizers.Polynomial(optimizer, steps=10_000, power=2.0)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        steps: int,
        power: float = 1.0,
        warmup: int = 0,
        floor: float = 0.0,
    ) -> None:
        require(self, power > 0, "power above 0", power)
        self.power = power
        super().__init__(optimizer, steps, warmup, floor)

    def fall(self, done: Any) -> Any:
        return (1 - done) ** self.power


class CosineRestarts(Schedule):
    """Cosine, again and again: each wave is ``growth`` times as long as the last.

    It has no end. Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm
    restarts", 2017.

    Args:
        optimizer: Whose step size is set.
        steps: The number of updates of the first wave, after the warm-up.
        growth: How many times longer each following one is.
        warmup: The number of updates in which it rises; see ``Schedule``.
        floor: What the factor falls to: a part of the step size, not a step size.

    Raises:
        ValueError: ``steps`` or ``growth`` is below 1, or ``floor`` not between 0
            and 1.

    >>> optimizer = dezero.optimizers.SGD(lr=0.1)
    >>> schedule = dezero.optimizers.CosineRestarts(optimizer, steps=2, growth=2)
    >>> [round(schedule.factor(t), 2) for t in range(7)]
    [1.0, 0.5, 1.0, 0.85, 0.5, 0.15, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        steps: int,
        growth: int = 1,
        warmup: int = 0,
        floor: float = 0.0,
    ) -> None:
        require(self, steps >= 1, "steps of at least 1", steps)
        require(self, growth >= 1, "growth of at least 1", growth)
        require(self, 0 <= floor <= 1, "floor between 0 and 1", floor)
        self.steps = steps
        self.growth = growth
        self._even = growth == 1
        self.floor = floor
        super().__init__(optimizer, warmup)

    def shape(self, t: Any) -> Any:
        t = np.maximum(t - self.warmup, 0)
        if self._even:
            done = t % self.steps / self.steps
        else:  # the waves begin where growth**wave is a whole power; rounding aside
            powers = 1 + t / self.steps * (self.growth - 1)
            wave = np.floor(np.log(powers) / np.log(self.growth) + 1e-9)
            power = self.growth**wave
            done = (powers / power - 1) / (self.growth - 1)
        return self.floor + (1 - self.floor) * 0.5 * (1 + np.cos(math.pi * done))


class OneCycle(Schedule):
    """Up half a wave, and down another one that is longer and ends lower.

    The factor goes from ``start`` to 1 in the part ``rise`` of all updates, and to
    ``end`` at the last; there it stays.

    Smith and Topin, "Super-convergence: very fast training of neural networks using
    large learning rates", 2018. The momentum is left as it is.

    Args:
        optimizer: Whose step size is set; the one it has is the highest.
        steps: The number of updates.
        rise: The part of them in which it rises.
        start: The first factor.
        end: The last factor.

    Raises:
        ValueError: ``steps`` is below 1, the rise or the fall shorter than an update,
            or ``start`` or ``end`` not between 0 and 1.

    >>> optimizer = dezero.optimizers.SGD(lr=1.0)
    >>> schedule = dezero.optimizers.OneCycle(optimizer, steps=1000)
    >>> [round(schedule.factor(t), 2) for t in (0, 150, 299, 650, 999)]
    [0.04, 0.52, 1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        steps: int,
        rise: float = 0.3,
        start: float = 1 / 25,
        end: float = 1 / 250_000,
    ) -> None:
        require(self, steps >= 1, "steps of at least 1", steps)
        require(
            self,
            1 < rise * steps < steps,
            f"a rise that is a part of {steps} updates, and more than one",
            rise,
        )
        require(self, 0 <= start <= 1, "start between 0 and 1", start)
        require(self, 0 <= end <= 1, "end between 0 and 1", end)
        self.steps = steps
        self.rise = rise
        self.start = start
        self.end = end
        super().__init__(optimizer)

    def shape(self, t: Any) -> Any:
        top, last = self.rise * self.steps - 1, self.steps - 1
        up = 0.5 * (1 - np.cos(math.pi * np.minimum(t / top, 1)))
        fallen = np.minimum(np.maximum(t - top, 0) / (last - top), 1)
        down = 0.5 * (1 + np.cos(math.pi * fallen))
        return np.where(
            t <= top,
            self.start + (1 - self.start) * up,
            self.end + (1 - self.end) * down,
        )


class Plateau(Schedule):
    """``gamma`` times less where a metric no longer gets better: ``step(metric)``.

    A metric counts as better if it is below the best by the part ``threshold`` of it;
    after more than ``patience`` in a row that are not (NaN never is), the step size
    falls, and ``cooldown`` metrics go uncounted.

    Args:
        optimizer: Whose step size is set.
        gamma: The factor by which it falls.
        patience: The number of metrics that need not be better.
        threshold: By how much a better one is better.
        cooldown: The number of metrics after a fall that are not counted.
        floor: The smallest factor: a part of the step size, not a step size.
        maximize: Whether larger is better.

    Attributes:
        best: The best metric so far.

    Raises:
        ValueError: ``gamma`` is not between 0 and 1, ``patience``, ``threshold`` or
            ``cooldown`` negative, or ``floor`` not between 0 and 1.

    >>> optimizer = dezero.optimizers.SGD(lr=0.5)
    >>> schedule = dezero.optimizers.Plateau(optimizer, gamma=0.1, patience=1)
    >>> for loss in (3.0, 2.0, 2.1, 2.2):
    ...     schedule.step(loss)
    >>> optimizer.lr
    0.05
    """

    _progress = ("t", "best", "waited", "cooling", "scale")

    def __init__(
        self,
        optimizer: Optimizer,
        gamma: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        cooldown: int = 0,
        floor: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        require(self, 0 < gamma < 1, "gamma between 0 and 1", gamma)
        require(self, patience >= 0, "patience of at least 0", patience)
        require(self, threshold >= 0, "threshold of at least 0", threshold)
        require(self, cooldown >= 0, "cooldown of at least 0", cooldown)
        require(self, 0 <= floor <= 1, "floor between 0 and 1", floor)
        self.gamma = gamma
        self.patience = patience
        self.threshold = threshold
        self.cooldown = cooldown
        self.floor = floor
        self.maximize = maximize
        worst = sys.float_info.max
        self.best = -worst if maximize else worst
        self.waited = 0
        self.cooling = 0
        self.scale = 1.0
        super().__init__(optimizer)

    def shape(self, t: Any) -> Any:
        return self.scale

    def step(self, metric: Any) -> None:  # type: ignore[override]
        """Set the step size for what follows on a metric, a number or a Variable."""
        metric = number(metric.data if isinstance(metric, Variable) else metric)
        margin = self.threshold * abs(self.best)
        if self.maximize:
            better = metric > self.best + margin
        else:
            better = metric < self.best - margin
        self.best = number(np.where(better, metric, self.best))
        cold = self.cooling > 0
        waited = (self.waited + 1) * (1 - better) * (1 - cold)
        falls = waited > self.patience
        self.waited = waited * (1 - falls)
        self.cooling = (self.cooling - cold) * (1 - falls) + self.cooldown * falls
        scale = np.where(falls, self.scale * self.gamma, self.scale)
        self.scale = number(np.maximum(scale, self.floor))
        super().step()
