"""Steps of recurrent networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.config import switches
from dezero.core import Function, Variable, as_input, as_variable
from dezero.functions.activation import Sigmoid, sigmoid


class LSTMCell(Function):
    """One step of a long short-term memory.

    The formulas use operators and NumPy's functions alone, so the same lines compute
    on bare arrays, which is fast, and on Variables, which records.
    """

    def forward(
        self, x: Array, h: Array, c: Array, W: Array, b: Array
    ) -> tuple[Array, Array]:
        self.steps = _steps(x, h, c, W, b, sigmoid=Sigmoid().forward)
        _, _, gates, _, new_c, tanh_c = self.steps
        return gates[:, 2 * h.shape[1] :] * tanh_c, new_c

    def multiply_adds(self, xs: list[Array], ys: tuple[Array, ...]) -> int:
        return len(xs[0]) * xs[3].size

    def backward(self, gh: Variable, gc: Variable) -> tuple[Variable | None, ...]:
        record = switches.get().enable_backprop
        c, W, gh, gc = (v if record else v.data for v in (*self.inputs[2:4], gh, gc))
        steps = _steps(*self.inputs, sigmoid=sigmoid) if record else self.steps
        xh, H, gates, u, _, tanh_c = steps
        f, i, o = gates[:, :H], gates[:, H : 2 * H], gates[:, 2 * H :]
        gc = gc + gh * o * (1 - tanh_c * tanh_c)
        arrived = np.concatenate([gc * c, gc * u, gh * tanh_c, gc * i], axis=1)
        slopes = np.concatenate([gates * (1 - gates), 1 - u * u], axis=1)
        ga = arrived * slopes
        gxh = ga @ W.T
        D = xh.shape[1] - H
        gxs = gxh[:, :D], gxh[:, D:], gc * f, xh.T @ ga, ga.sum(axis=0)
        return tuple(map(as_variable, gxs))


def _steps(x: Any, h: Any, c: Any, W: Any, b: Any, *, sigmoid: Any) -> tuple[Any, ...]:
    """All that is computed on the way to the new states."""
    H = h.shape[1]
    xh = np.concatenate([x, h], axis=1)
    a = xh @ W + b
    gates = sigmoid(a[:, : 3 * H])
    u = np.tanh(a[:, 3 * H :])
    new_c = gates[:, :H] * c + gates[:, H : 2 * H] * u
    return xh, H, gates, u, new_c, np.tanh(new_c)


def lstm_cell(x: Any, h: Any, c: Any, W: Any, b: Any) -> tuple[Variable, Variable]:
    """One step of a long short-term memory: the new hidden and cell state.

    With ``a = [x, h] W + b``, whose columns are four quarters: the gates
    ``f, i, o = sigmoid(a)`` and ``u = tanh(a)``; then ``new_c = f * c + i * u`` and
    ``new_h = o * tanh(new_c)``.

    Hochreiter and Schmidhuber, "Long short-term memory", 1997; Gers et al., "Learning
    to forget", 2000.

    Args:
        x: (N, in).
        h: The hidden state (N, H).
        c: The cell state (N, H).
        W: (in + H, 4 H): the rows for x and h, the columns for f, i, o and u.
        b: (4 H,).

    Raises:
        ValueError: The shapes do not go together.

    >>> x, h, c = np.ones((2, 3)), np.zeros((2, 1)), np.ones((2, 1))
    >>> h, c = lstm_cell(x, h, c, np.zeros((4, 4)), np.zeros(4))
    >>> c
    variable([[0.5]
              [0.5]])
    """
    inputs = [as_input(v) for v in (x, h, c, W, b)]
    shapes = [v.data.shape for v in inputs]
    if len(shapes[0]) != 2 or len(shapes[1]) != 2:
        raise ValueError(
            f"lstm_cell: expected x (N, in) and h (N, H), got x {shapes[0]} and "
            f"h {shapes[1]}"
        )
    (N, D), (_, H) = shapes[:2]
    fitting = [(N, D), (N, H), (N, H), (D + H, 4 * H), (4 * H,)]
    if shapes != fitting:
        name, shape, fit = next(
            wrong
            for wrong in zip(("x", "h", "c", "W", "b"), shapes, fitting, strict=True)
            if wrong[1] != wrong[2]
        )
        raise ValueError(
            f"lstm_cell: expected {name} {fit} to match x {shapes[0]} and "
            f"h {shapes[1]}, got {name} {shape}"
        )
    new_h, new_c = LSTMCell()(*inputs)
    return new_h, new_c
