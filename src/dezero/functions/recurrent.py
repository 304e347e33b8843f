"""Steps of recurrent networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.config import switches
from dezero.core import Function, Variable, as_input, as_variable


class LSTMCell(Function):
    """One step of a long short-term memory.

    The formulas use operators and NumPy's functions alone, so the same lines compute
    on bare arrays, which is fast, and on Variables, which records.
    """

    def forward(
        self, x: Array, h: Array, c: Array, Wx: Array, b: Array, Wh: Array
    ) -> tuple[Array, Array]:
        f, i, o, u = self.gates = _gates(x, h, Wx, b, Wh)
        new_c = f * c + i * u
        self.squashed = np.tanh(new_c)
        return o * self.squashed, new_c

    def backward(self, gh: Variable, gc: Variable) -> tuple[Variable | None, ...]:
        x, h, c, Wx, b, Wh = self.inputs
        if switches.get().enable_backprop:
            f, i, o, u = _gates(x, h, Wx, b, Wh)
            squashed = np.tanh(f * c + i * u)
        else:
            x, h, c, Wx, Wh, gh, gc = (v.data for v in (x, h, c, Wx, Wh, gh, gc))
            f, i, o, u = self.gates
            squashed = self.squashed
        gc = gc + gh * o * (1 - squashed * squashed)
        gf = gc * c * f * (1 - f)
        gi = gc * u * i * (1 - i)
        go = gh * squashed * o * (1 - o)
        gu = gc * i * (1 - u * u)
        ga = np.concatenate([gf, gi, go, gu], axis=1)
        needs_x, needs_h, needs_c, *_ = (v.requires_grad for v in self.inputs)
        gxs = (
            ga @ Wx.T if needs_x else None,
            ga @ Wh.T if needs_h else None,
            gc * f if needs_c else None,
            x.T @ ga,
            ga.sum(axis=0),
            h.T @ ga,
        )
        return tuple(None if gx is None else as_variable(gx) for gx in gxs)


def _gates(x: Any, h: Any, Wx: Any, b: Any, Wh: Any) -> tuple[Any, Any, Any, Any]:
    """What is kept, what is taken in, what is shown, and what there is to take in."""
    a = x @ Wx + h @ Wh + b
    H = h.shape[1]
    sigmoids = np.tanh(a[:, : 3 * H] * 0.5) * 0.5 + 0.5
    f, i, o = sigmoids[:, :H], sigmoids[:, H : 2 * H], sigmoids[:, 2 * H :]
    return f, i, o, np.tanh(a[:, 3 * H :])


def lstm_cell(
    x: Any, h: Any, c: Any, Wx: Any, b: Any, Wh: Any
) -> tuple[Variable, Variable]:
    """One step of a long short-term memory: the new hidden and cell state.

    ``f, i, o = sigmoid(x Wx + h Wh + b)`` and ``u = tanh(x Wx + h Wh + b)``, each with
    its quarter of the columns; then ``new_c = f * c + i * u`` and
    ``new_h = o * tanh(new_c)``.

    Hochreiter and Schmidhuber, "Long short-term memory", 1997; Gers et al., "Learning
    to forget", 2000.

    Args:
        x: (N, in).
        h: The hidden state (N, H).
        c: The cell state (N, H).
        Wx: (in, 4 H), the columns in the order f, i, o, u.
        b: (4 H,), likewise.
        Wh: (H, 4 H), likewise.

    Raises:
        ValueError: The shapes do not go together.

    >>> x, h, c = np.ones((2, 3)), np.zeros((2, 1)), np.ones((2, 1))
    >>> lstm_cell(x, h, c, np.zeros((3, 4)), np.zeros(4), np.zeros((1, 4)))
    (variable([[0.23105858]
              [0.23105858]]), variable([[0.5]
              [0.5]]))
    """
    inputs = [as_input(v) for v in (x, h, c, Wx, b, Wh)]
    shapes = [v.shape for v in inputs]
    if len(shapes[0]) != 2 or len(shapes[1]) != 2:
        raise ValueError(
            f"lstm_cell: expected x (N, in) and h (N, H), got x {shapes[0]} and "
            f"h {shapes[1]}"
        )
    (N, D), (_, H) = shapes[:2]
    fitting = [(N, D), (N, H), (N, H), (D, 4 * H), (4 * H,), (H, 4 * H)]
    for name, shape, fit in zip(
        ("x", "h", "c", "Wx", "b", "Wh"), shapes, fitting, strict=True
    ):
        if shape != fit:
            raise ValueError(
                f"lstm_cell: expected {name} {fit} to match x {shapes[0]} and "
                f"h {shapes[1]}, got {name} {shape}"
            )
    new_h, new_c = LSTMCell()(*inputs)
    return new_h, new_c
