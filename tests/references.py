"""What the functions should give, written once more, plainly, on bare arrays."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np


def windows(
    x: np.ndarray, kernel_size: Any, stride: Any, pad: Any, border: float = 0.0
) -> np.ndarray:
    """All windows of images: (N, C, OH, OW, KH, KW)."""
    (PH, PW), (SH, SW) = pad, stride
    x = np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)), constant_values=border)
    views = np.lib.stride_tricks.sliding_window_view(x, kernel_size, axis=(2, 3))
    return views[:, :, ::SH, ::SW]


def unfold(
    x: np.ndarray, kernel_size: Any, stride: Any, pad: Any, to_matrix: bool
) -> np.ndarray:
    views = windows(x, kernel_size, stride, pad)
    if not to_matrix:
        return views.transpose(0, 1, 4, 5, 2, 3)
    N, C, OH, OW, KH, KW = views.shape
    return views.transpose(0, 2, 3, 1, 4, 5).reshape(N * OH * OW, C * KH * KW)


def fold(x: np.ndarray, input_shape: Any, **kwargs: Any) -> np.ndarray:
    """The transpose of unfold: place by place, by the numbers of the elements."""
    numbers = np.arange(1.0, np.prod(input_shape) + 1).reshape(input_shape)
    places = unfold(numbers, **kwargs).astype(int)  # 0 in the border
    sums = np.bincount(places.ravel(), x.ravel(), minlength=numbers.size + 1)
    return sums[1:].reshape(input_shape)


def convolve(
    x: np.ndarray, W: np.ndarray, b: Any = 0.0, *, stride: Any, pad: Any
) -> np.ndarray:
    views = windows(x, W.shape[2:], stride, pad)
    y = np.einsum("ncijhw,ochw->noij", views, W)
    return y + np.reshape(b, (1, -1, 1, 1))


def convolve_sequences(
    x: np.ndarray, W: np.ndarray, b: Any = 0.0, *, stride: int, pad: int
) -> np.ndarray:
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad)))
    views = np.lib.stride_tricks.sliding_window_view(x, W.shape[2], axis=2)
    y = np.einsum("nclk,ock->nol", views[:, :, ::stride], W)
    return y + np.reshape(b, (-1, 1))


def convolve_transposed(
    x: np.ndarray,
    W: np.ndarray,
    b: Any = 0.0,
    *,
    stride: Any,
    pad: Any,
    outsize: Any = None,
) -> np.ndarray:
    (SH, SW), (PH, PW) = stride, pad
    (N, _, H, width), (_, out, KH, KW) = x.shape, W.shape
    y = np.zeros((N, out, SH * H + KH, SW * width + KW))
    for i, j in np.ndindex(H, width):
        spread = np.einsum("nc,cohw->nohw", x[:, :, i, j], W)
        y[:, :, i * SH : i * SH + KH, j * SW : j * SW + KW] += spread
    OH, OW = outsize or (SH * (H - 1) + KH - 2 * PH, SW * (width - 1) + KW - 2 * PW)
    return y[:, :, PH : PH + OH, PW : PW + OW] + np.reshape(b, (1, -1, 1, 1))


def max_pool(x: np.ndarray, kernel_size: Any, stride: Any, pad: Any) -> np.ndarray:
    return windows(x, kernel_size, stride, pad, -np.inf).max(axis=(4, 5))


def average_pool(x: np.ndarray, kernel_size: Any, stride: Any, pad: Any) -> np.ndarray:
    return windows(x, kernel_size, stride, pad).mean(axis=(4, 5))


def set_item(x: np.ndarray, value: np.ndarray, slices: Any) -> np.ndarray:
    y = x.copy()
    y[slices] = value
    return y


def gather(x: np.ndarray, index: np.ndarray, axis: int) -> np.ndarray:
    y = np.empty(index.shape, x.dtype)
    for place in np.ndindex(index.shape):
        at = list(place)
        at[axis] = index[place]
        y[place] = x[tuple(at)]
    return y


def scatter_add(
    x: np.ndarray, values: np.ndarray, index: np.ndarray, axis: int
) -> np.ndarray:
    y = x.copy()
    for place in np.ndindex(index.shape):
        at = list(place)
        at[axis] = index[place]
        y[tuple(at)] += values[place]
    return y


def largest(x: np.ndarray, axis: int) -> np.ndarray:
    return x.max(axis, keepdims=True)


def norm(x: np.ndarray, axis: Any, keepdims: bool) -> Any:
    return np.sqrt((x * x).sum(axis, keepdims=keepdims))


def einsum(*xs: np.ndarray, subscripts: str) -> Any:
    return np.einsum(subscripts, *xs)


def on_definite(f: Any) -> Any:
    """A function of positive definite matrices, made of any."""
    return lambda A: f(A @ A.swapaxes(-1, -2) + np.eye(A.shape[-1]))


def svd(A: np.ndarray) -> np.ndarray:
    """A plus the part of it whose singular values are squared."""
    U, s, Vh = np.linalg.svd(A, full_matrices=False)
    return A + U * s[..., None, :] ** 2 @ Vh


def eigh(A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The eigenvalues of a symmetric matrix, and its exponential by the series."""
    A = A + A.swapaxes(-1, -2)
    term = y = np.broadcast_to(np.eye(A.shape[-1]), A.shape)
    for n in range(1, 80):
        term = term @ A / n
        y = y + term
    return np.linalg.eigvalsh(A), y


@np.vectorize(otypes=[float])
def erf(x: float) -> float:
    return math.erf(x)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.tanh(x / 2) / 2 + 0.5


def leaky_relu(x: np.ndarray, slope: float) -> np.ndarray:
    return np.where(x > 0, x, slope * x)


def gelu(x: np.ndarray, approximate: str = "none") -> np.ndarray:
    if approximate == "tanh":
        return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    erf = np.array([math.erf(v) for v in np.ravel(x / np.sqrt(2))]).reshape(x.shape)
    return x * (1 + erf) / 2


def elu(x: np.ndarray, alpha: float) -> np.ndarray:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def prelu(x: np.ndarray, W: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, W[:, None] * x)


def glu(x: np.ndarray, axis: int) -> np.ndarray:
    a, b = np.split(x, 2, axis)
    return a * sigmoid(b)


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis, keepdims=True)


def logsumexp(x: np.ndarray, axis: Any, keepdims: bool) -> Any:
    return np.log(np.exp(x).sum(axis=axis, keepdims=keepdims))


def mean_squared_error(x0: np.ndarray, x1: np.ndarray) -> Any:
    return ((x0 - x1) ** 2).sum() / len(x0)


def softmax_cross_entropy(x: np.ndarray, t: np.ndarray) -> Any:
    at_labels = np.take_along_axis(softmax(x, 1), np.expand_dims(t, 1), axis=1)
    return -np.log(at_labels).mean()


def class_weights(classes: int) -> np.ndarray:
    return 1.0 + np.arange(classes)


def nll(
    log_p: np.ndarray,
    t: np.ndarray,
    ignore_index: Any = None,
    smoothing: float = 0.0,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """Place by place."""
    losses, total = np.zeros(t.shape), 0.0
    C = log_p.shape[1]
    w = np.ones(C) if weight is None else weight
    for place in np.ndindex(t.shape):
        label = t[place]
        if label != ignore_index:
            target = np.full(C, smoothing / C)
            target[label] += 1 - smoothing
            losses[place] = -(
                w * target * log_p[(place[0], slice(None), *place[1:])]
            ).sum()
            total += w[label]
    return losses if reduction == "none" else losses.sum() / total


def cross_entropy(
    x: np.ndarray, t: np.ndarray, label_smoothing: float = 0.0, **kwargs: Any
) -> Any:
    return nll(np.log(softmax(x, 1)), t, smoothing=label_smoothing, **kwargs)


def cross_entropy_of_shares(
    x: np.ndarray, t: np.ndarray, label_smoothing: float = 0.0
) -> Any:
    mixed = (1 - label_smoothing) * t + label_smoothing * np.ones_like(t) / t.shape[1]
    return -np.mean(
        [row @ np.log(p) for row, p in zip(mixed, softmax(x, 1), strict=True)]
    )


def ctc(
    log_p: np.ndarray,
    t: np.ndarray,
    steps: np.ndarray,
    counts: np.ndarray,
    blank: int = 0,
    reduction: str = "mean",
) -> Any:
    """Every sequence of labels and blanks, one after the other."""
    losses = []
    for n, (T, S) in enumerate(zip(steps, counts, strict=True)):
        total = 0.0
        for sequence in itertools.product(range(log_p.shape[2]), repeat=int(T)):
            merged = [label for label, _ in itertools.groupby(sequence)]
            if [label for label in merged if label != blank] == t[n, :S].tolist():
                total += np.exp(log_p[np.arange(T), n, list(sequence)].sum())
        losses.append(-np.log(total))
    if reduction == "mean":
        return np.mean(losses / np.maximum(counts, 1))
    return np.sum(losses)


def weighted(x: np.ndarray, t: np.ndarray, **kwargs: Any) -> Any:
    return cross_entropy(x, t, weight=class_weights(x.shape[1]), **kwargs)


def huber(x0: np.ndarray, x1: np.ndarray, delta: float = 1.0) -> Any:
    d = abs(x0 - x1)
    return np.where(d <= delta, d**2 / 2, delta * (d - delta / 2)).mean()


def cosine(x0: np.ndarray, x1: np.ndarray, axis: int = 1) -> np.ndarray:
    norms = np.linalg.norm(x0, axis=axis) * np.linalg.norm(x1, axis=axis)
    return (x0 * x1).sum(axis) / norms


def binary_cross_entropy(p: np.ndarray, t: np.ndarray) -> Any:
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum() / len(p)


def batch_norm(
    x: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    mean: Any = None,
    var: Any = None,
    *,
    eps: float,
) -> np.ndarray:
    rows = np.moveaxis(x, 1, -1)  # the channels last: what is per channel broadcasts
    axes = tuple(range(x.ndim - 1))
    mean = rows.mean(axes) if mean is None else mean
    var = rows.var(axes) if var is None else var
    y = gamma * (rows - mean) / np.sqrt(var + eps) + beta
    return np.moveaxis(y, -1, 1)


def layer_norm(
    x: np.ndarray, gamma: np.ndarray, beta: Any = 0.0, *, eps: float
) -> np.ndarray:
    axes = tuple(range(-gamma.ndim, 0))
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return gamma * (x - mean) / np.sqrt(var + eps) + beta


def rms_norm(x: np.ndarray, gamma: np.ndarray, eps: float) -> np.ndarray:
    return gamma * x / np.sqrt((x**2).mean(-1, keepdims=True) + eps)


def group_norm(
    x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, eps: float, groups: Any = None
) -> np.ndarray:
    y = np.empty_like(x)
    size = x.shape[1] // (groups or x.shape[1])
    for n in range(len(x)):
        for c in range(0, x.shape[1], size):
            part = x[n, c : c + size]
            y[n, c : c + size] = (part - part.mean()) / np.sqrt(part.var() + eps)
    y = np.moveaxis(y, 1, -1) * gamma + beta
    return np.moveaxis(y, -1, 1)


def dropout(x: np.ndarray, dropout_ratio: float) -> np.ndarray:
    """What the global generator gives after ``np.random.seed(0)``."""
    kept = np.random.RandomState(0).rand(*x.shape) >= dropout_ratio
    return np.where(kept, x / (1 - dropout_ratio), 0)


def remember(
    x: np.ndarray, h: np.ndarray, c: np.ndarray, W: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One step of an LSTM."""
    f, i, o, u = np.split(np.hstack([x, h]) @ W + b, 4, axis=1)
    f, i, o = sigmoid(f), sigmoid(i), sigmoid(o)
    c = f * c + i * np.tanh(u)
    return o * np.tanh(c), c


def update_gated(
    x: np.ndarray,
    h: np.ndarray,
    W: np.ndarray,
    U: np.ndarray,
    b: np.ndarray,
    c: np.ndarray,
) -> np.ndarray:
    """One step of a GRU."""
    Wr, Wz, Wn, Ur, Uz, Un = *np.split(W, 3, axis=1), *np.split(U, 3, axis=1)
    br, bz, bn, cr, cz, cn = *np.split(b, 3), *np.split(c, 3)
    r = sigmoid(x @ Wr + br + h @ Ur + cr)
    z = sigmoid(x @ Wz + bz + h @ Uz + cz)
    return (1 - z) * np.tanh(x @ Wn + bn + r * (h @ Un + cn)) + z * h


def attend(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    mask: Any = None,
    *,
    causal: bool,
    scale: float,
) -> np.ndarray:
    """Attention, weight by weight; a query that may look nowhere finds 0."""
    weights = np.exp(scale * np.einsum("...td,...sd->...ts", q, k))
    if mask is not None:
        weights = weights * (mask if mask.dtype == bool else np.exp(mask))
    if causal:
        T, S = weights.shape[-2:]
        weights = weights * [[j <= i + S - T for j in range(S)] for i in range(T)]
    total = weights.sum(axis=-1, keepdims=True)
    return np.einsum("...ts,...se->...te", weights / np.where(total, total, 1), v)


def turn(x: np.ndarray, positions: Any, base: float) -> np.ndarray:
    """The two halves as real and imaginary parts, which a factor turns."""
    T, D = x.shape[-2:]
    z = x[..., : D // 2] + 1j * x[..., D // 2 :]
    if isinstance(positions, int):
        positions = range(positions, positions + T)
    turned = np.stack(
        [
            z[..., t, :] * np.exp(1j * p * base ** (-2 * np.arange(D // 2) / D))
            for t, p in enumerate(positions)
        ],
        axis=-2,
    )
    return np.concatenate([turned.real, turned.imag], axis=-1)
