"""Layers that remember: what they give depends on what they were given before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from dezero import functions as F
from dezero.backend import Array, get_array_module
from dezero.backend.tracing import require
from dezero.core import Variable, as_input
from dezero.functions.joining import Stack, Unstack
from dezero.layers.layer import Layer
from dezero.layers.linear import Linear

# From the scores of one step and the states before it, the states after it.
Advance = Callable[..., tuple[Variable, ...]]
Kind = TypeVar("Kind", bound="Recurrent")


class Recurrent(Layer):
    """What the recurrent layers share: steps, sequences, several layers, directions.

    A subclass says what it remembers in ``states``, takes one step in ``_step``, and in
    ``_begin`` prepares for a sequence: one product for the inputs of all steps, and
    what is left to do at each.

    Attributes:
        back: The same layer for the other direction, or ``None``.
        above: The further layers, each with its own states, and direction back.
    """

    states: tuple[str, ...] = ("h",)
    hidden_size: int
    dropout_ratio: float
    back: Recurrent | None
    above: list[Any]

    def _extend(
        self,
        kind: Callable[..., Kind],
        in_size: int | None,
        num_layers: int,
        bidirectional: bool,
        dropout_ratio: float,
    ) -> None:
        """Add the other direction and the further layers."""
        if num_layers < 1:
            raise ValueError(
                f"{type(self).__name__}: expected num_layers of 1 or more, got "
                f"{num_layers}"
            )
        if not 0 <= dropout_ratio <= 1:
            raise ValueError(
                f"{type(self).__name__}: expected dropout_ratio from 0 to 1, got "
                f"{dropout_ratio}"
            )
        H = self.hidden_size
        self.dropout_ratio = dropout_ratio
        self.back = kind(H, in_size) if bidirectional else None
        width = 2 * H if bidirectional else H
        self.above = [
            kind(H, width, bidirectional=bidirectional) for _ in range(num_layers - 1)
        ]
        self.reset_state()

    def reset_state(self) -> None:
        """Begin a new sequence."""
        for name in self.states:
            setattr(self, name, None)
        for layer in (self.back, *self.above):
            if layer is not None:
                layer.reset_state()

    def forward(self, x: Any, lengths: Any = None) -> Variable:
        """Take the next step of N sequences, or run over whole ones from the start.

        Args:
            x: One step (N, in), or whole sequences (N, T, in).
            lengths: Of whole sequences, how many steps each has, (N,): the others are
                padding. There, states stay and the output is 0; the direction back
                begins at each sequence's own end.

        Returns:
            (N, hidden_size); of whole sequences (N, T, hidden_size), or twice as many
            features where there are two directions, forward first.

        Raises:
            ValueError: The shapes do not go together, or a single step is to be taken
                in two directions.
        """
        x = as_input(x)
        kind = type(self).__name__
        if x.ndim == 3:
            return self._whole(x, lengths)
        if x.ndim != 2:
            raise ValueError(
                f"{kind}: expected x (N, in), one step, or (N, T, in), whole "
                f"sequences, got {x.shape}"
            )
        if self.back is not None or lengths is not None:
            what = "with lengths" if self.back is None else "in both directions"
            raise ValueError(
                f"{kind}: expected whole sequences (N, T, in) to run over {what}, got "
                f"one step {x.shape}"
            )
        y = self._step(x)
        for layer in self.above:
            y = layer(self._thinned(y))
        return y

    def _step(self, x: Variable) -> Variable:
        """Change the states by the next ``x`` (N, in); the new ``h``."""
        raise NotImplementedError

    def _begin(self, x: Variable) -> tuple[Variable, Advance]:
        """The scores that the inputs (steps, in) of all steps give, and how a step
        makes new states of its scores and the states before."""
        raise NotImplementedError

    def _thinned(self, y: Variable) -> Variable:
        return F.dropout(y, self.dropout_ratio) if self.dropout_ratio else y

    def _whole(self, x: Variable, lengths: Any) -> Variable:
        N, T, _ = x.shape
        if not T:
            raise ValueError(
                f"{type(self).__name__}: expected at least one step, got x {x.shape}"
            )
        inside = None
        if lengths is not None:
            inside = _inside(type(self).__name__, as_input(lengths).data, N, T, x)
        self.reset_state()
        x = F.transpose(x, (1, 0, 2))  # (T, N, in): a step lies in one piece
        return F.transpose(self._layers(x, inside), (1, 0, 2))

    def _layers(self, x: Variable, inside: Array | None) -> Variable:
        """Run over ``x`` (T, N, in) in every direction, and on through the layers."""
        y = self._run(x, inside, range(len(x)))
        if self.back is not None:
            backwards = self.back._run(x, inside, range(len(x))[::-1])
            y = F.concat([y, backwards], axis=2)
        for layer in self.above:
            y = layer._layers(self._thinned(y), inside)
        return y

    def _run(self, x: Variable, inside: Array | None, times: range) -> Variable:
        """Run over ``x`` (T, N, in) in this order: the outputs (T, N, hidden_size)."""
        T, N, _ = x.shape
        scores, advance = self._begin(F.reshape(x, (T * N, -1)))
        steps: Any = Unstack()(F.reshape(scores, (T, N, -1)))
        steps = steps if T > 1 else (steps,)
        states = self._now(N, scores)
        ys = [states[0]] * T
        for t in times:
            new = advance(steps[t], *states)
            if inside is None:
                states, ys[t] = new, new[0]
                continue
            here, gone = inside[t], 1 - inside[t]  # (N, 1) ones and zeros
            ys[t] = new[0] * here
            states = tuple(
                s * here + old * gone for s, old in zip(new, states, strict=True)
            )
        for name, state in zip(self.states, states, strict=True):
            setattr(self, name, state)
        return Stack()(*ys)

    def _now(self, N: int, like: Variable) -> tuple[Variable, ...]:
        """The states of N sequences, zeros at the start."""
        found = []
        for name in self.states:
            state = getattr(self, name)
            if state is None:
                xp = get_array_module(like)
                zeros = xp.zeros((N, self.hidden_size), like.dtype)
                state = Variable(zeros, requires_grad=False)
            found.append(state)
        return tuple(found)


def _inside(kind: str, lengths: Array, N: int, T: int, x: Variable) -> Array:
    """(T, N, 1) numbers: 1 for the steps that a sequence has, 0 for padding."""
    if lengths.dtype.kind not in "iu" or lengths.shape != (N,):
        raise ValueError(
            f"{kind}: expected lengths as {N} integers (N,) to match x {x.shape}, got "
            f"shape {lengths.shape} of {lengths.dtype}"
        )
    if N:
        require(
            (lengths.min() >= 0) & (lengths.max() <= T),
            lambda low, high: ValueError(
                f"{kind}: expected lengths from 0 to {T}, the steps of x, got from "
                f"{low} to {high}"
            ),
            lengths,
        )
    steps = get_array_module(x).arange(T)[:, None]
    dtype = x.dtype if x.dtype.kind == "f" else np.float32
    return (steps < lengths).astype(dtype)[:, :, None]


class RNN(Recurrent):
    """The recurrent layer of Elman: ``h = tanh(x2h(x) + h2h(h))``.

    Elman, "Finding structure in time", 1990. See ``LSTM`` for whole sequences, several
    layers and both directions.

    Args:
        hidden_size: Features of the state.
        in_size: Features that go in; by default those of the first ``x``.
        num_layers: How many layers, each of which runs over what the one below gives.
        bidirectional: Run over whole sequences from their ends, too.
        dropout_ratio: Of ``dropout`` between the layers.

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
        self.hidden_size = hidden_size
        self.x2h = Linear(hidden_size, in_size=in_size)
        # Drawn when the book draws it: here, or at the second step.
        known = None if in_size is None else hidden_size
        self.h2h = Linear(hidden_size, in_size=known, nobias=True)
        self._extend(RNN, in_size, num_layers, bidirectional, dropout_ratio)

    def _step(self, x: Variable) -> Variable:
        a = self.x2h(x)
        if self.h is not None:
            require_batch("RNN", x, self.h)
            a = a + self.h2h(self.h)
        self.h = F.tanh(a)
        return self.h

    def _begin(self, x: Variable) -> tuple[Variable, Advance]:
        return self.x2h(x), lambda a, h: (F.tanh(a + self.h2h(h)),)


def require_batch(operation: str, x: Variable, h: Variable) -> None:
    """Raise an error unless there is a row of ``x`` for each of the state ``h``."""
    if len(x) != len(h):
        raise ValueError(
            f"{operation}: expected x with {len(h)} rows, as its state has, got x "
            f"{x.shape}; write reset_state() before a new batch of sequences"
        )
