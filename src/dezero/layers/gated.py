"""Recurrent layers with gates, which say what is kept and what is forgotten."""

from __future__ import annotations

from typing import Any

from dezero import functions as F
from dezero.core import Variable
from dezero.layers.linear import Linear
from dezero.layers.recurrent import Advance, Recurrent, require_batch


class LSTM(Recurrent):
    """The long short-term memory, a recurrent layer that keeps what it is told to.

    ``f, i, o = sigmoid(x2f(x) + h2f(h)), ...``, ``u = tanh(x2u(x) + h2u(h))``,
    ``c = f * c + i * u``, ``h = o * tanh(c)``; see ``lstm_cell``.

    Called with one step (N, in) it goes on from where it is. Called with whole
    sequences (N, T, in) it runs over them from the start, of ``lengths`` if that is
    given, and remembers how it was at the end; see ``forward``.

    Args:
        hidden_size: Features of the state.
        in_size: Features that go in; by default those of the first ``x``.
        num_layers: How many layers, each of which runs over what the one below gives.
        bidirectional: Run over whole sequences from their ends, too, with parameters of
            its own (Schuster and Paliwal, "Bidirectional recurrent neural networks",
            1997).
        dropout_ratio: Of ``dropout`` between the layers.

    Attributes:
        h: The hidden state (N, hidden_size), or ``None`` at the start of a sequence.
        c: The cell state, likewise.
        back: The layer that runs the other way, with its own states, or ``None``.
        above: The further layers, likewise.

    >>> import dezero.layers as L
    >>> lstm = L.LSTM(3)
    >>> for x in np.zeros((5, 2, 4)):  # 5 steps
    ...     h = lstm(x)
    >>> h.shape
    (2, 3)
    >>> lstm = L.LSTM(3, num_layers=2, bidirectional=True)
    >>> lstm(np.zeros((2, 5, 4)), lengths=np.array([5, 3])).shape
    (2, 5, 6)
    >>> lstm.above[0].back.h.shape
    (2, 3)
    """

    states = ("h", "c")
    h: Variable | None
    c: Variable | None

    def __init__(
        self,
        hidden_size: int,
        in_size: int | None = None,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout_ratio: float = 0.0,
    ) -> None:
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
        self._extend(LSTM, in_size, num_layers, bidirectional, dropout_ratio)

    def _step(self, x: Variable) -> Variable:
        h, c = self._now(len(x), self.h2f.W)
        require_batch("LSTM", x, h)
        require_batch("LSTM", x, c)
        self.h, self.c = F.lstm_cell(x, h, c, *self._weights(x))
        return self.h

    def _begin(self, x: Variable) -> tuple[Variable, Advance]:
        Ws, Us, bs = self._parts_for(x)
        U = F.concat(Us, axis=1)

        def advance(a: Variable, h: Variable, c: Variable) -> Any:
            return F.LSTMGates()(a + F.matmul(h, U), c)

        return F.linear(x, F.concat(Ws, axis=1), F.concat(bs)), advance

    def _weights(self, x: Variable) -> tuple[Variable, Variable]:
        """The parameters side by side, so that one product does for all gates.

        They are joined once for a sequence: the Function of the last step has them,
        as long as its graph is there and no parameter was written since.
        """
        Ws, Us, bs = self._parts_for(x)
        last = None if self.h is None else self.h.creator
        if isinstance(last, F.LSTMCell):
            W, b = last.inputs[3:]
            if _holds(W, [*Ws, *Us]) and _holds(b, bs):
                return W, b
        W = F.concat([F.concat(Ws, axis=1), F.concat(Us, axis=1)])
        return W, F.concat(bs)

    def _parts_for(self, x: Variable) -> tuple[list[Any], list[Any], list[Any]]:
        """The matrices for ``x``, those for ``h`` and the biases, by gates."""
        x2 = (self.x2f, self.x2i, self.x2o, self.x2u)
        h2 = (self.h2f, self.h2i, self.h2o, self.h2u)
        for linear in x2:
            linear._prepare(x)
        return (
            [linear.W for linear in x2],
            [linear.W for linear in h2],
            [linear.b for linear in x2],
        )


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


class GRU(Recurrent):
    """The gated recurrent unit: an LSTM with one state and a gate less.

    ``r, z = sigmoid(a + s)``, ``n = tanh(a + r * s)``, ``h = (1 - z) * n + z * h``,
    each with its third of ``a = x2h(x)`` and ``s = h2h(h)``; see ``gru_cell``. The
    columns of ``x2h/W`` (in, 3 hidden_size) and ``h2h/W`` are those for r, z and n.

    Args:
        hidden_size: Features of the state.
        in_size: Features that go in; by default those of the first ``x``.
        num_layers: As those of ``LSTM``, where sequences are explained, too.
        bidirectional: Likewise.
        dropout_ratio: Likewise.

    Attributes:
        h: The state (N, hidden_size), or ``None`` at the start of a sequence.

    >>> import dezero.layers as L
    >>> gru = L.GRU(3)
    >>> gru(np.zeros((2, 5, 4))).shape
    (2, 5, 3)
    >>> gru(np.zeros((2, 4))).shape  # one more step
    (2, 3)
    """

    h: Variable | None

    def __init__(
        self,
        hidden_size: int,
        in_size: int | None = None,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout_ratio: float = 0.0,
    ) -> None:
        super().__init__()
        H = self.hidden_size = hidden_size
        self.x2h = Linear(3 * H, in_size=in_size)
        self.h2h = Linear(3 * H, in_size=H)
        self._extend(GRU, in_size, num_layers, bidirectional, dropout_ratio)

    def _step(self, x: Variable) -> Variable:
        (h,) = self._now(len(x), self.h2h.W)
        require_batch("GRU", x, h)
        a, advance = self._begin(x)
        (self.h,) = advance(a, h)
        return self.h

    def _begin(self, x: Variable) -> tuple[Variable, Advance]:
        return self.x2h(x), lambda a, h: (F.GRUGates()(a, self.h2h(h), h),)
