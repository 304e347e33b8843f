"""Steps of recurrent networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero.backend import Array, Shape
from dezero.config import switches
from dezero.core import Function, Variable, as_input, as_variable
from dezero.functions.activation import Sigmoid, sigmoid
from dezero.functions.linalg import linear


class LSTMCell(Function):
    """One step of a long short-term memory, with the products."""

    def forward(
        self, x: Array, h: Array, c: Array, W: Array, b: Array
    ) -> tuple[Array, Array]:
        self.xh = np.concatenate([x, h], axis=1)
        self.steps = _lstm(self.xh @ W + b, c, sigmoid=Sigmoid().forward)
        return _lstm_outputs(self.steps)

    def multiply_adds(self, xs: list[Array], ys: tuple[Array, ...]) -> int:
        return len(xs[0]) * xs[3].size

    def backward(self, gh: Variable, gc: Variable) -> tuple[Variable, ...]:
        x, h, c, W, b = self.inputs
        if switches.get().enable_backprop:
            xh: Any = np.concatenate([x, h], axis=1)
            steps = _lstm(xh @ W + b, c, sigmoid=sigmoid)
        else:
            xh, steps = self.xh, self.steps
            c, W, gh, gc = (v.data for v in (c, W, gh, gc))
        ga, gc = _lstm_gradients(steps, c, gh, gc)
        gxh = ga @ W.T
        D = x.shape[1]
        gxs = gxh[:, :D], gxh[:, D:], gc, xh.T @ ga, ga.sum(axis=0)
        return tuple(map(as_variable, gxs))


class LSTMGates(Function):
    """One step of a long short-term memory, from the scores ``a`` of its gates."""

    def forward(self, a: Array, c: Array) -> tuple[Array, Array]:
        self.steps = _lstm(a, c, sigmoid=Sigmoid().forward)
        return _lstm_outputs(self.steps)

    def backward(self, gh: Variable, gc: Variable) -> tuple[Variable, ...]:
        a, c = self.inputs
        if switches.get().enable_backprop:
            steps = _lstm(a, c, sigmoid=sigmoid)
            gxs = _lstm_gradients(steps, c, gh, gc)
        else:
            gxs = _lstm_gradients(self.steps, c.data, gh.data, gc.data)
        return tuple(map(as_variable, gxs))


# The formulas use operators and NumPy's functions alone, so the same lines compute on
# bare arrays, which is fast, and on Variables, which records.


def _lstm(a: Any, c: Any, *, sigmoid: Any) -> tuple[Any, ...]:
    """All that is computed on the way to the new states."""
    H = c.shape[1]
    gates = sigmoid(a[:, : 3 * H])
    u = np.tanh(a[:, 3 * H :])
    new_c = gates[:, :H] * c + gates[:, H : 2 * H] * u
    return gates, u, new_c, np.tanh(new_c)


def _lstm_outputs(steps: tuple[Any, ...]) -> tuple[Any, Any]:
    gates, u, new_c, tanh_c = steps
    return gates[:, 2 * u.shape[1] :] * tanh_c, new_c


def _lstm_gradients(steps: tuple[Any, ...], c: Any, gh: Any, gc: Any) -> Any:
    """The gradients by the scores of the gates, and by the cell state before."""
    gates, u, _, tanh_c = steps
    H = u.shape[1]
    f, i, o = gates[:, :H], gates[:, H : 2 * H], gates[:, 2 * H :]
    gc = gc + gh * o * (1 - tanh_c * tanh_c)
    arrived = np.concatenate([gc * c, gc * u, gh * tanh_c, gc * i], axis=1)
    slopes = np.concatenate([gates * (1 - gates), 1 - u * u], axis=1)
    return arrived * slopes, gc * f


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
    _require_steps("lstm_cell", shapes)
    (N, D), (_, H) = shapes[:2]
    fitting = [(N, D), (N, H), (N, H), (D + H, 4 * H), (4 * H,)]
    _require_fitting("lstm_cell", "xhcWb", shapes, fitting)
    new_h, new_c = LSTMCell()(*inputs)
    return new_h, new_c


def _require_steps(operation: str, shapes: list[Shape]) -> None:
    if len(shapes[0]) != 2 or len(shapes[1]) != 2:
        raise ValueError(
            f"{operation}: expected x (N, in) and h (N, H), got x {shapes[0]} and "
            f"h {shapes[1]}"
        )


def _require_fitting(
    operation: str, names: str, shapes: list[Shape], fitting: list[Shape]
) -> None:
    for name, shape, fit in zip(names, shapes, fitting, strict=True):
        if shape != fit:
            raise ValueError(
                f"{operation}: expected {name} {fit} to match x {shapes[0]} and "
                f"h {shapes[1]}, got {name} {shape}"
            )


class GRUGates(Function):
    """One step of a gated recurrent unit, from what input and state say of its gates.

    As in the LSTM, one text serves arrays and Variables.
    """

    def forward(self, a: Array, s: Array, h: Array) -> Array:
        self.steps = _gru(a, s, sigmoid=Sigmoid().forward)
        _, z, n, _ = self.steps
        return n + z * (h - n)

    def backward(self, gy: Variable) -> tuple[Variable, ...]:
        a, s, h = self.inputs
        if switches.get().enable_backprop:
            gxs = _gru_gradients(_gru(a, s, sigmoid=sigmoid), h, gy)
        else:
            gxs = _gru_gradients(self.steps, h.data, gy.data)
        return tuple(map(as_variable, gxs))


def _gru(a: Any, s: Any, *, sigmoid: Any) -> tuple[Any, ...]:
    H = a.shape[1] // 3
    rz = sigmoid(a[:, : 2 * H] + s[:, : 2 * H])
    r, z, of_state = rz[:, :H], rz[:, H:], s[:, 2 * H :]
    return r, z, np.tanh(a[:, 2 * H :] + r * of_state), of_state


def _gru_gradients(steps: tuple[Any, ...], h: Any, gy: Any) -> tuple[Any, Any, Any]:
    r, z, n, of_state = steps
    gn = gy * (1 - z) * (1 - n * n)
    gr, gz = gn * of_state * r * (1 - r), gy * (h - n) * z * (1 - z)
    ga = np.concatenate([gr, gz, gn], axis=1)
    gs = np.concatenate([gr, gz, gn * r], axis=1)
    return ga, gs, gy * z


def gru_cell(x: Any, h: Any, W: Any, U: Any, b: Any, c: Any) -> Variable:
    """One step of a gated recurrent unit: the new state.

    With ``a = x W + b`` and ``s = h U + c``, whose columns are three thirds: the gates
    ``r, z = sigmoid(a + s)``, the proposal ``n = tanh(a + r * s)``, and
    ``new_h = (1 - z) * n + z * h``.

    Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014; in
    the later form in which the gate ``r`` comes after the product with ``U``.

    Args:
        x: (N, in).
        h: The state (N, H).
        W: (in, 3 H): the columns for r, z and n.
        U: (H, 3 H), likewise.
        b: (3 H,).
        c: (3 H,).

    Raises:
        ValueError: The shapes do not go together.

    >>> x, h, b = np.ones((2, 3)), np.ones((2, 1)), np.zeros(3)
    >>> gru_cell(x, h, np.zeros((3, 3)), np.zeros((1, 3)), b, b)
    variable([[0.5]
              [0.5]])
    """
    x, h, W, U, b, c = inputs = [as_input(v) for v in (x, h, W, U, b, c)]
    shapes = [v.data.shape for v in inputs]
    _require_steps("gru_cell", shapes)
    (N, D), (_, H) = shapes[:2]
    fitting = [(N, D), (N, H), (D, 3 * H), (H, 3 * H), (3 * H,), (3 * H,)]
    _require_fitting("gru_cell", "xhWUbc", shapes, fitting)
    y: Variable = GRUGates()(linear(x, W, b), linear(h, U, c), h)
    return y
