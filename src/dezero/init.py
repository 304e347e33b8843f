"""Initial weights: ``import dezero.init``, and ``L.Linear(10, init=init.he_normal)``.

An initializer is a function ``(shape, dtype) -> array``. Layers take one by the keyword
``init``; where it needs settings, write ``functools.partial(init.normal, std=0.02)``.
Numbers come from ``dezero.random.generator()``, hence by default from NumPy's global
generator. Any function of a shape and a type will do:

>>> from functools import partial
>>> from dezero import init, layers as L
>>> layer = L.Linear(3, in_size=2, init=partial(init.constant, value=0.5))
>>> layer.W
parameter([[0.5 0.5 0.5]
           [0.5 0.5 0.5]])

Many scale with the *fans*, how many numbers flow into a unit and out of it. Of a matrix
(in, out), as Linear has it, these are in and out; of filters (out, in, KH, KW), in and
out times KH * KW. With them the variance of what flows forward (or back) stays the same
from layer to layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from dezero.backend import Array, Shape
from dezero.backend.tracing import watcher
from dezero.random import generator

Initializer = Callable[[Shape, Any], Array]


# -- of any variance ----------------------------------------------------------------


def zeros(shape: Shape, dtype: Any = np.float32) -> Array:
    """All 0."""
    return np.zeros(shape, dtype)


def ones(shape: Shape, dtype: Any = np.float32) -> Array:
    """All 1."""
    return np.ones(shape, dtype)


def constant(shape: Shape, dtype: Any = np.float32, *, value: float) -> Array:
    """All ``value``."""
    return np.full(shape, value, dtype)


def normal(
    shape: Shape, dtype: Any = np.float32, *, mean: float = 0.0, std: float = 1.0
) -> Array:
    """From the normal distribution of this mean and standard deviation.

    >>> np.random.seed(0)
    >>> normal((2,), std=0.02)
    array([0.03528105, 0.00800314], dtype=float32)
    """
    x: Array = generator().randn(*shape).astype(dtype)
    x *= std
    x += mean
    return x


def uniform(
    shape: Shape, dtype: Any = np.float32, *, low: float = 0.0, high: float = 1.0
) -> Array:
    """Any number from ``low`` to ``high``, each as likely."""
    x: Array = generator().rand(*shape).astype(dtype)
    x *= high - low
    x += low
    return x


def truncated_normal(
    shape: Shape,
    dtype: Any = np.float32,
    *,
    std: float = 1.0,
    low: float = -2.0,
    high: float = 2.0,
) -> Array:
    """From the normal distribution, anew where it is not between the bounds.

    The bounds are counted in standard deviations: ``low * std`` to ``high * std``.
    What is left has a standard deviation below ``std``, 0.88 times it for -2 and 2.

    Raises:
        ValueError: ``low`` is not below 0, or ``high`` not above.
    """
    if not low < 0 < high:
        raise ValueError(
            f"truncated_normal: expected low below 0 and high above, got {low} and "
            f"{high}"
        )
    draw = generator().randn
    x: Array = draw(*shape)
    outside = (x < low) | (x > high)
    while outside.any():
        x[outside] = draw(int(outside.sum()))
        outside = (x < low) | (x > high)
    return (x * std).astype(dtype)


# -- by the fans ----------------------------------------------------------------------


def lecun_normal(shape: Shape, dtype: Any = np.float32) -> Array:
    """Normal, of variance ``1 / fan_in``: what Linear and Conv2d start with.

    LeCun et al., "Efficient BackProp", 1998.

    >>> np.random.seed(0)
    >>> lecun_normal((4, 2))[0]
    array([0.8820262, 0.2000786], dtype=float32)
    """
    fan_in, _ = _fans("lecun_normal", shape)
    return normal(shape, dtype, std=math.sqrt(1 / fan_in))


def lecun_uniform(shape: Shape, dtype: Any = np.float32) -> Array:
    """Uniform around 0, of variance ``1 / fan_in``."""
    fan_in, _ = _fans("lecun_uniform", shape)
    return _around_zero(shape, dtype, 1 / fan_in)


def xavier_normal(shape: Shape, dtype: Any = np.float32, *, gain: float = 1.0) -> Array:
    """Normal, of variance ``2 gain**2 / (fan_in + fan_out)``.

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward
    neural networks", 2010.
    """
    return normal(
        shape, dtype, std=gain * math.sqrt(2 / sum(_fans("xavier_normal", shape)))
    )


def xavier_uniform(
    shape: Shape, dtype: Any = np.float32, *, gain: float = 1.0
) -> Array:
    """Uniform around 0, of variance ``2 gain**2 / (fan_in + fan_out)``."""
    fans = _fans("xavier_uniform", shape)
    return _around_zero(shape, dtype, 2 * gain**2 / sum(fans))


def he_normal(shape: Shape, dtype: Any = np.float32, *, slope: float = 0.0) -> Array:
    """Normal, of variance ``2 / (1 + slope**2) / fan_in``: for relu.

    ``slope`` is that of a leaky relu below 0 (He et al., "Delving deep into
    rectifiers", 2015).
    """
    fan_in, _ = _fans("he_normal", shape)
    return normal(shape, dtype, std=math.sqrt(2 / (1 + slope**2) / fan_in))


def he_uniform(shape: Shape, dtype: Any = np.float32, *, slope: float = 0.0) -> Array:
    """Uniform around 0, of variance ``2 / (1 + slope**2) / fan_in``: for relu."""
    fan_in, _ = _fans("he_uniform", shape)
    return _around_zero(shape, dtype, 2 / (1 + slope**2) / fan_in)


def orthogonal(shape: Shape, dtype: Any = np.float32, *, gain: float = 1.0) -> Array:
    """Orthogonal rows, or columns where there are fewer of these, of length ``gain``.

    Axes from the second on count as one. Every orthogonal matrix is as likely (Saxe et
    al., "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks", 2014).

    Raises:
        ValueError: ``shape`` has fewer than two axes.

    >>> W = orthogonal((2, 3), float)
    >>> (W @ W.T).round(12) + 0.0
    array([[1., 0.],
           [0., 1.]])
    """
    _fans("orthogonal", shape)
    rows, columns = shape[0], math.prod(shape[1:])
    x = generator().randn(max(rows, columns), min(rows, columns))
    q, r = np.linalg.qr(x)
    q = q * np.sign(np.diagonal(r))  # else the signs would not be as random
    return (gain * (q if rows >= columns else q.T)).reshape(shape).astype(dtype)


def _fans(operation: str, shape: Shape) -> tuple[int, int]:
    """How many numbers flow into a unit, and out of it."""
    if len(shape) < 2 or 0 in shape:
        raise ValueError(
            f"{operation}: expected a shape (in, out) or (out, in, ...) of elements, "
            f"got {shape}"
        )
    if len(shape) == 2:
        return shape
    out, channels, *kernel = shape
    places = math.prod(kernel)
    return channels * places, out * places


def _around_zero(shape: Shape, dtype: Any, variance: float) -> Array:
    limit = math.sqrt(3 * variance)
    return uniform(shape, dtype, low=-limit, high=limit)


# -- for the layers -------------------------------------------------------------------


def checked(layer: str, init: Initializer | None) -> Initializer | None:
    """``init`` as a layer may keep it.

    Raises:
        TypeError: It is no function.
    """
    if init is None or callable(init):
        return init
    raise TypeError(
        f"{layer}: expected a function as init, such as dezero.init.he_normal, got "
        f"{init!r}"
    )


def draw(init: Initializer, shape: Shape, dtype: Any, xp: ModuleType = np) -> Array:
    """What an initializer gives, as an array of ``xp``.

    Raises:
        ValueError: It has another shape.
    """
    if watcher() is not None:
        # That a parameter gets its first data is all that a trace wants to know: it
        # is given up, and the step runs once as it is.
        return xp.zeros(shape, dtype)
    W = init(shape, dtype)
    if np.shape(W) != shape:
        name = getattr(init, "__name__", "init")
        raise ValueError(
            f"{name}: expected an array of shape {shape}, got {np.shape(W)}"
        )
    return xp.asarray(W, dtype=dtype)
