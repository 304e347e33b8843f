"""EMA: the mean of the weights over the last updates, often the better model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import numpy as np

from dezero.backend import Array, get_array_module
from dezero.backend.tracing import Stateful, number
from dezero.core import Parameter
from dezero.optimizers.optimizer import Target, as_target
from dezero.optimizers.state import Fit, State, described, take_over, unknown


class EMA(Stateful):
    """An exponential moving average of weights: ``mean += (1 - decay) * (x - mean)``.

    It starts from the weights as they are; a parameter that gets its data later from
    the first that it has. Polyak and Juditsky, "Acceleration of stochastic
    approximation by averaging", 1992; with a fixed decay: Tarvainen and Valpola, "Mean
    teachers are better role models", 2017.

    Args:
        model: Whose parameters are averaged, or some Parameters.
        decay: How much of the mean is kept: of about ``1 / (1 - decay)`` updates.

    Attributes:
        means: The means, by their parameters; in float32 where those have less.

    Raises:
        TypeError: ``model`` is, or has, anything but Parameters.
        ValueError: ``decay`` is not between 0 and 1.

    >>> layer = dezero.layers.Linear(1, in_size=1)
    >>> ema = dezero.optimizers.EMA(layer, decay=0.75)
    >>> layer.b.data = layer.b.data + 4             # an update
    >>> ema.update()
    >>> with ema.applied():
    ...     print(layer.b.data)
    [1.]
    >>> layer.b.data
    array([4.], dtype=float32)
    """

    numbers_vary = True

    def __init__(
        self, model: Target | Iterable[Parameter], decay: float = 0.999
    ) -> None:
        if not 0 <= decay <= 1:
            raise ValueError(f"EMA: expected decay between 0 and 1, got {decay}")
        self.target = as_target("EMA", model)
        self.decay = decay
        self.means: dict[Parameter, Array] = {}
        for param in self._params():
            self.means[param] = _started(param.data)

    def _params(self) -> list[Parameter]:
        """The parameters that have data, each once."""
        params = dict.fromkeys(self.target.params())
        return [param for param in params if param.data is not None]

    def update(self) -> None:
        """Take the weights as they are into the means; call it after each update."""
        rest = 1 - number(self.decay)
        for param in self._params():
            x, mean = param.data, self.means.get(param)
            if mean is None or mean.shape != x.shape:
                self.means[param] = _started(x)
            else:
                work = x - mean
                work *= rest
                mean += work

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Have the means stand for the weights in the block; then these are back."""
        kept = [(param, param.data) for param in self._params() if param in self.means]
        try:
            for param, x in kept:
                param.data = self.means[param].astype(x.dtype)
            yield
        finally:
            for param, x in kept:
                param.data = x

    def state_dict(self) -> dict[str, Array]:
        """Copies of the means, numbered like the parameters."""
        params = dict.fromkeys(self.target.params())
        return {
            str(i): self.means[param].copy()
            for i, param in enumerate(params)
            if param in self.means
        }

    def load_state_dict(self, state: State) -> None:
        """Go on from what ``state_dict`` gave.

        Raises:
            DataError: The entries do not fit; nothing was changed.
        """
        take_over("EMA", "the means of this model", self._fit(state))

    def _fit(self, state: State) -> Fit:
        misfits: list[str] = []
        loaded: dict[Parameter, Array] = {}
        params = list(dict.fromkeys(self.target.params()))
        for i, param in enumerate(params):
            name, x = str(i), param.data
            if name not in state:
                if x is not None:
                    misfits.append(f"{name}: missing")
            elif x is None:
                misfits.append(f"{name}: its parameter has no data; call the model")
            elif state[name].shape != x.shape or state[name].dtype.kind not in "fiub":
                got = described(state[name])[6:]
                misfits.append(f"{name}: expected shape {x.shape}, got {got}")
            else:
                xp = get_array_module(x)
                loaded[param] = xp.array(state[name], _kind(x))
        misfits += unknown(state, map(str, range(len(params))))

        def take() -> None:
            self.means = loaded

        return misfits, take


def _kind(x: Array) -> np.dtype:
    """The type of the means: half precision could not hold their small changes."""
    return np.result_type(x.dtype, np.float32)


def _started(x: Array) -> Array:
    return x.astype(_kind(x))
