"""Are the derivatives right? Compared with finite differences, in float64.

``gradient_check`` looks at the gradient by one input, element by element, as the
book does; ``check_derivatives`` at derivatives of any order, by every input at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dezero import functions as F
from dezero.backend import Array, as_numpy, get_array_module
from dezero.config import no_grad, using_config
from dezero.core import Variable, as_input, as_variable, propagate
from dezero.errors import GradientError

# Of the central difference: the error of truncation is near EPS ** 2, that of
# rounding near 1e-16 / EPS; both stay under 1e-10.
EPS = 1e-5
# So many elements gradient_check looks at one by one.
MOST = 1000


def array_equal(a: Any, b: Any) -> bool:
    """Whether two arrays or Variables have the same shape and the same elements.

    >>> array_equal(Variable(np.array([1, 2])), np.array([1, 2]))
    True
    """
    return bool(np.array_equal(as_numpy(a), as_numpy(b)))


def array_allclose(a: Any, b: Any, rtol: float = 1e-4, atol: float = 1e-5) -> bool:
    """Whether two arrays or Variables agree: ``|a - b| <= atol + rtol * |b|``.

    >>> array_allclose(np.array(1.0), np.array(1.000001))
    True
    """
    return bool(np.allclose(as_numpy(a), as_numpy(b), rtol=rtol, atol=atol))


def numerical_grad(f: Callable[..., Any], x: Any, *args: Any, **kwargs: Any) -> Array:
    """The gradient of the sum of ``f(x, *args, **kwargs)`` by ``x``, from differences.

    Each element of ``x`` is moved a little up and down, in a float64 copy.

    Args:
        f: Takes a Variable first, returns a Variable.
        x: Variable or array.

    Returns:
        An array of the shape of ``x``, in float64.

    >>> numerical_grad(F.sin, np.array([0.0, np.pi])).round(6)
    array([ 1., -1.])
    """
    x = _float64(x)
    gx = get_array_module(x).zeros_like(x)
    for place in np.ndindex(x.shape):
        gx[place] = _rate(lambda x: f(x, *args, **kwargs), x, place).sum()
    return gx


def gradient_check(
    f: Callable[..., Any],
    x: Any,
    *args: Any,
    rtol: float = 1e-4,
    atol: float = 1e-5,
    **kwargs: Any,
) -> bool:
    """Whether ``backward`` gives the gradient that finite differences give.

    The outputs of ``f`` are weighted with random numbers first: the plain sum of a
    softmax, say, has the gradient 0, and any factor would pass. Of more than 1,000
    elements, 1,000 drawn at random are looked at one by one, and all of them together
    along a random direction. ``x`` keeps its type and its data, and no Variable's
    ``grad`` changes.

    Args:
        f: Takes a Variable first, returns a Variable. It must give the same values
            at each call, so seed what it draws.
        x: Where to differentiate: Variable or array.
        *args: Further arguments of ``f``, as are the keywords.
        rtol: Allowed difference, relative to the finite differences.
        atol: Allowed difference, added to that.

    Returns:
        ``True`` where all elements agree; else ``False``, after one printed line
        about the first that does not.

    >>> gradient_check(F.softmax, np.array([[1.0, 2.0, 3.0]]))
    True
    """

    def call(x: Variable) -> Any:
        return f(x, *args, **kwargs)

    random = _random()
    leaf = Variable(_float64(x))
    xp = get_array_module(leaf)
    with using_config("enable_backprop", True):
        y = call(leaf)
    weights = xp.asarray(random.normal(size=y.shape))
    gx = _gradients(y, Variable(weights)).get(leaf)
    found = xp.zeros(leaf.shape) if gx is None else gx.data

    places = list(np.ndindex(leaf.shape))
    looks: list[tuple[Any, Any]] = [(place, 1.0) for place in places]
    if len(places) > MOST:
        looks = [looks[i] for i in random.choice(len(places), MOST, replace=False)]
        looks.append((..., xp.asarray(random.normal(size=leaf.shape))))
    for place, step in looks:
        wanted = float((_rate(call, leaf.data, place, step) * weights).sum())
        got = float((found[place] * step).sum())
        if not abs(got - wanted) <= atol + rtol * abs(wanted):
            where = "along a random direction" if place is ... else f"at {place}"
            print(f"gradient_check: expected {wanted} {where}, got {got}")
            return False
    return True


def check_derivatives(
    f: Callable[..., Any],
    *xs: Any,
    order: int = 3,
    rtol: float = 1e-6,
    atol: float = 1e-6,
    **kwargs: Any,
) -> None:
    """Compare the derivatives of ``f`` up to ``order`` with finite differences.

    The outputs, weighted at random, make one number, which is differentiated along
    one random direction after the other; each derivative must be the rate at which
    the one before it changes along its direction. The weights are varied with the
    inputs: so the derivative of ``backward`` by the gradient it gets is seen, too.
    This costs a few calls of ``f``, however many elements there are.

    Args:
        f: Takes Variables, returns one or several. It must give the same values at
            each call.
        *xs: Arrays or Variables. Those of integers are passed on as they are.
        order: The highest derivative.
        rtol: Allowed difference, relative to the finite difference.
        atol: Allowed difference, added to that.
        **kwargs: Further arguments of ``f``.

    Raises:
        GradientError: A derivative is wrong; the message says of which order.

    >>> check_derivatives(F.tanh, np.array([0.5, -1.0]))
    """
    arrays = [as_numpy(x) for x in xs]
    varied = [_float64(x) for x in arrays if x.dtype.kind == "f"]

    def outputs(leaves: Sequence[Variable]) -> tuple[Variable, ...]:
        rest = iter(leaves)
        ys = f(*(next(rest) if x.dtype.kind == "f" else x for x in arrays), **kwargs)
        return ys if isinstance(ys, tuple) else (ys,)

    random = _random()
    with no_grad():
        shapes = [y.shape for y in outputs([Variable(x) for x in varied])]
    point = [*varied, *(random.normal(size=shape) for shape in shapes)]
    directions = [[random.normal(size=x.shape) for x in point] for _ in range(order)]

    def derivative(k: int, point: list[Array]) -> float:
        """The derivative along the first ``k`` directions."""
        leaves = [as_variable(x) for x in point]
        with using_config("enable_backprop", True):
            y = _dot(outputs(leaves[: len(varied)]), leaves[len(varied) :])
            for direction in directions[:k]:
                grads = _gradients(y, Variable(np.ones(())), create_graph=True)
                reached = [
                    (grads[x], v)
                    for x, v in zip(leaves, direction, strict=True)
                    if x in grads
                ]
                y = _dot(*zip(*reached, strict=True)) if reached else as_input(0.0)
        return float(y)

    for k, direction in enumerate(directions, start=1):
        found = derivative(k, point)
        up, down = (
            derivative(
                k - 1, [x + e * v for x, v in zip(point, direction, strict=True)]
            )
            for e in (EPS, -EPS)
        )
        wanted = (up - down) / (2 * EPS)
        if not np.isclose(found, wanted, rtol, atol):
            raise GradientError(
                f"check_derivatives: expected {wanted} for derivative {k}, as finite "
                f"differences give it, got {found}"
            )


def _random() -> np.random.Generator:
    """Always the same numbers, and none taken from the global generator."""
    return np.random.default_rng(0)


def _float64(x: Any) -> Array:
    x = as_input(x).data
    return get_array_module(x).array(x, dtype=np.float64)


def _rate(f: Callable[[Variable], Any], x: Array, place: Any, step: Any = 1.0) -> Array:
    """How fast ``f(x)`` changes as ``x[place]`` moves by ``step``."""

    def moved(by: float) -> Array:
        there = x.copy()  # anew: what f gives may be a view of it
        there[place] += by * step
        return f(Variable(there)).data

    with no_grad():
        return (moved(EPS) - moved(-EPS)) / (2 * EPS)


def _gradients(
    y: Variable, seed: Variable, create_graph: bool = False
) -> dict[Variable, Variable]:
    return propagate(y, seed, create_graph) if y.creator else {y: seed}


def _dot(xs: Sequence[Variable], ys: Sequence[Any]) -> Variable:
    """The sum of all products of elements."""
    total = as_input(0.0)
    for x, y in zip(xs, ys, strict=True):
        total = total + F.sum(x * y)
    return total
