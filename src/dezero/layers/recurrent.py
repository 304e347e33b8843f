"""Layers that remember: what they give depends on what they were given before."""

from __future__ import annotations

from typing import Any

from dezero import functions as F
from dezero.backend import get_array_module
from dezero.core import Variable, as_input
from dezero.layers.layer import Layer
from dezero.layers.linear import Linear


class RNN(Layer):
    """The recurrent layer of Elman: ``h = tanh(x2h(x) + h2h(h))``.

    Elman, "Finding structure in time", 1990.

    Args:
        hidden_size: Features of the state.
        in_size: Features that go in; by default those of the first ``x``.

    Attributes:
        h: The state (N, hidden_size), or ``None`` at the start of a sequence.

    >>> import dezero.layers as L
    >>> rnn = L.RNN(3)
    >>> for x in np.zeros((5, 2, 4)):  # 5 steps
    ...     h = rnn(x)
    >>> h.shape
    (2, 3)
    """

    h: Variable | None

    def __init__(self, hidden_size: int, in_size: int | None = None) -> None:
        super().__init__()
        self.x2h = Linear(hidden_size, in_size=in_size)
        # Drawn when the book draws it: here, or at the second step.
        known = None if in_size is None else hidden_size
        self.h2h = Linear(hidden_size, in_size=known, nobias=True)
        self.reset_state()

    def reset_state(self) -> None:
        """Begin a new sequence."""
        self.h = None

    def forward(self, x: Any) -> Variable:
        """Map the next ``x`` (N, in) of each of N sequences to (N, hidden_size)."""
        x = as_input(x)
        a = self.x2h(x)
        if self.h is not None:
            _require_batch("RNN", x, self.h)
            a = a + self.h2h(self.h)
        self.h = F.tanh(a)
        return self.h


class LSTM(Layer):
    """The long short-term memory, a recurrent layer that keeps what it is told to.

    ``f, i, o = sigmoid(x2f(x) + h2f(h)), ...``, ``u = tanh(x2u(x) + h2u(h))``,
    ``c = f * c + i * u``, ``h = o * tanh(c)``; see ``lstm_cell``.

    Args:
        hidden_size: Features of the state.
        in_size: Features that go in; by default those of the first ``x``.

    Attributes:
        h: The hidden state (N, hidden_size), or ``None`` at the start of a sequence.
        c: The cell state, likewise.

    >>> import dezero.layers as L
    >>> lstm = L.LSTM(3)
    >>> for x in np.zeros((5, 2, 4)):  # 5 steps
    ...     h = lstm(x)
    >>> h.shape
    (2, 3)
    """

    h: Variable | None
    c: Variable | None

    def __init__(self, hidden_size: int, in_size: int | None = None) -> None:
        super().__init__()
        H = self.hidden_size = hidden_size
        self.x2f = Linear(H, in_size=in_size)
        self.x2i = Linear(H, in_size=in_size)
        self.x2o = Linear(H, in_size=in_size)
        self.x2u = Linear(H, in_size=in_size)
        self.h2f = Linear(H, in_size=H, nobias=True)
        self.h2i = Linear(H, in_size=H, nobias=True)
        self.h2o = Linear(H, in_size=H, nobias=True)
        self.h2u = Linear(H, in_size=H, nobias=True)
        self.reset_state()

    def reset_state(self) -> None:
        """Begin a new sequence."""
        self.h = None
        self.c = None

    def forward(self, x: Any) -> Variable:
        """Map the next ``x`` (N, in) of each of N sequences to (N, hidden_size)."""
        x = as_input(x)
        h, c = self._state(x)
        self.h, self.c = F.lstm_cell(x, h, c, *self._weights(x))
        return self.h

    def _state(self, x: Variable) -> list[Variable]:
        """The state, zeros at the start."""
        state = []
        for part in (self.h, self.c):
            if part is None:
                xp = get_array_module(x)
                zeros = xp.zeros((len(x), self.hidden_size), self.h2f.dtype)
                part = Variable(zeros, requires_grad=False)
            _require_batch("LSTM", x, part)
            state.append(part)
        return state

    def _weights(self, x: Variable) -> tuple[Variable, Variable]:
        """The parameters side by side, so that one product does for all gates.

        They are joined once for a sequence: the Function of the last step has them,
        as long as its graph is there and no parameter was written since.
        """
        parts = (
            (self.x2f, self.x2i, self.x2o, self.x2u),
            (self.h2f, self.h2i, self.h2o, self.h2u),
        )
        for x2 in parts[0]:
            x2._prepare(x)
        Ws = [linear.W for part in parts for linear in part]
        bs: list[Any] = [x2.b for x2 in parts[0]]
        last = None if self.h is None else self.h.creator
        if isinstance(last, F.LSTMCell):
            W, b = last.inputs[3:]
            if _holds(W, Ws) and _holds(b, bs):
                return W, b
        W = F.concat([F.concat(Ws[:4], axis=1), F.concat(Ws[4:], axis=1)])
        return W, F.concat(bs)


def _holds(joined: Variable, params: list[Any]) -> bool:
    """Whether ``joined`` was made of ``params`` as they are now."""
    found = [joined]
    while len(found) < len(params):
        if any(x.creator is None for x in found):
            return False
        found = [y for x in found for y in x.creator.inputs]  # type: ignore[union-attr]
    return all(
        x is p and p._written < joined.created
        for x, p in zip(found, params, strict=False)
    )


def _require_batch(operation: str, x: Variable, h: Variable) -> None:
    if len(x) != len(h):
        raise ValueError(
            f"{operation}: expected x with {len(h)} rows, as its state has, got x "
            f"{x.shape}; write reset_state() before a new batch of sequences"
        )
