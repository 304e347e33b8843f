"""Functions of mathematics that NumPy lacks, or has slower, on bare arrays.

All are plain operations on arrays, so that a tracer sees them and a kernel makes one
loop of them.
"""

from __future__ import annotations

import math

import numpy as np

from dezero.backend import Array


def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``.

    >>> sigmoid(np.array([-1000.0, 0.0]))
    array([0. , 0.5])
    """
    with np.errstate(over="ignore"):  # 1 / (1 + inf) is the right 0
        return 1 / (1 + np.exp(-x))


def log1p(x: Array) -> Array:
    """``log(1 + x)``, several times faster than ``np.log1p`` and as exact.

    >>> log1p(np.array([1e-20, np.e - 1]))
    array([1.e-20, 1.e+00])
    """
    y = 1 + x
    lost = x - (y - 1)  # what rounding took from 1 + x
    lost /= y
    lost += np.log(y)
    return lost


# erf(t) = 1 - exp(-t (9/8 + Q(t))) for t >= 0. Here is Q from the constant on, minimax:
# the largest relative error of erf is as small as can be, 2^-27.9 and 2^-57.4, up to
# where erf rounds to 1.
ERF_FLOAT32 = (
    0.0033791717, 0.6366194, 0.10277759, -0.019151868, -0.00016287784, 0.0016696291,
    -0.0006342838, 0.00011804714, -9.301295e-06,
)  # fmt: skip
ERF_FLOAT64 = (
    0.003379167095512568, 0.6366197723675837, 0.10277260330178167,
    -0.01912844700488509, -0.00020919469737020128, 0.0016962064066586085,
    -0.0005901256675788924, 2.587904619462423e-05, 6.449061457265176e-05,
    -2.972139689604452e-05, 3.4029274237149688e-06, 2.8407005432726456e-06,
    -1.7471915039845292e-06, 3.409380421787834e-07, 1.3420960365347467e-07,
    -1.4020958256919386e-07, 6.508298584599283e-08, -2.0744993571892614e-08,
    4.9400772186049485e-09, -8.963263810689663e-10, 1.2296947451596077e-10,
    -1.2394580248563437e-11, 8.672372399713623e-13, -3.7649209306155806e-14,
    7.637515723884676e-16,
)  # fmt: skip
ONE_FLOAT32, ONE_FLOAT64 = 3.919206, 5.9215873  # from there on erf is 1


def erf(x: Array) -> Array:
    """``2 / sqrt(pi)`` times the integral of ``exp(-t**2)`` from 0 to ``x``.

    Right to a few units in the last place, near 0 as well. float32 and float64 stay.

    >>> erf(np.array([-np.inf, 0.0, 0.5]))
    array([-1.        ,  0.        ,  0.52049988])
    """
    return np.copysign(np.expm1(_log_erfc(abs(x))), x)


def normal_cdf(x: Array) -> Array:
    """The probability that a standard normal variable is below ``x``.

    ``(1 + erf(x / sqrt(2))) / 2``, but small and not 0 far below 0.

    >>> normal_cdf(np.array([-np.inf, 0.0, np.inf]))
    array([0. , 0.5, 1. ])
    """
    tail = 0.5 * np.exp(_log_erfc(abs(x) * math.sqrt(0.5)))
    return np.where(x < 0, tail, 1 - tail)


def _log_erfc(t: Array) -> Array:
    """``log(1 - erf(t))`` for ``t >= 0``; beyond the range of Q, a straight line."""
    single = t.dtype == np.float32
    inside = np.minimum(t, ONE_FLOAT32 if single else ONE_FLOAT64)
    *rest, last = ERF_FLOAT32 if single else ERF_FLOAT64
    y = inside * last
    for c in reversed(rest[1:]):
        y += c
        y *= inside
    y += rest[0]
    y += 1.125
    y *= t
    return -y
