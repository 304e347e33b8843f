"""Functions into their derivatives: ``grad`` and its kin."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from dezero.autodiff.arguments import (
    Argnums,
    alone_or_tuple,
    as_tuples,
    counted,
    is_layer,
    like,
    ones_like,
    picked,
    require_function,
    variables_of,
    zeros_like,
)
from dezero.autodiff.evaluation import Evaluation, gradient_of, walk_back
from dezero.autodiff.mapping import vmap
from dezero.backend import get_array_module
from dezero.backend.trees import leaves, mapped
from dezero.config import switches, using_config
from dezero.core import Variable, after_hooks, as_input
from dezero.core.variable import clock
from dezero.errors import GradientError
from dezero.functions import reshape

# -- gradients of scalars -------------------------------------------------------------


def grad(
    f: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    wrt: Any = None,
) -> Callable[..., Any]:
    """The gradient of ``f``, a function that returns one number, as a function.

    It takes what ``f`` takes and touches no ``grad``; ``f`` may use NumPy's functions.
    Like any function of Variables, it is recorded where it depends on Variables and
    recording is on, so it can be differentiated again, by ``grad`` or by
    ``backward()``; where the gradient itself is all that is wanted, ``no_grad()``
    around the call saves that record.

    Args:
        f: Returns a scalar Variable; with ``has_aux``, a pair of it and anything else.
        argnums: The argument to differentiate by, or several: a Variable, an array or
            a number, or a list, tuple or dict of them.
        has_aux: Return a pair: the gradient, and what else ``f`` returned.
        wrt: Differentiate by these Variables, which ``f`` uses, in place of an
            argument: one, a structure of them, or a Layer.

    Returns:
        A function that returns the gradient: of the structure of the argument, or a
        tuple of such for several. By a Layer, a dict by the names of its parameters.

    Raises:
        GradientError: ``f`` returns something other than a scalar.
        TypeError: The argument is of an integer type.
        ValueError: There is no such argument; or ``wrt`` comes with ``argnums``.

    >>> grad(np.sin)(0.0)
    variable(1.0)
    >>> grad(grad(lambda x: x ** 3))(2.0)                      # 6 x
    variable(12.0)
    >>> grad(lambda p, x: p['a'] * x + p['b'])({'a': 2.0, 'b': 3.0}, 5.0)
    {'a': variable(5.0), 'b': variable(1.0)}
    >>> import dezero.layers as L
    >>> model = L.Linear(1, in_size=2)
    >>> loss = lambda x, t: F.mean_squared_error(model(x), t)
    >>> list(grad(loss, wrt=model)(np.ones((4, 2)), np.ones((4, 1))))
    ['W', 'b']
    """
    evaluated = _value_and_grad("grad", f, argnums, has_aux, wrt)

    @functools.wraps(f, updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, gx = evaluated(*args, **kwargs)
        return (gx, value[1]) if has_aux else gx

    return gradient


def value_and_grad(
    f: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    wrt: Any = None,
) -> Callable[..., Any]:
    """As ``grad``, but the function returns a pair: what ``f`` returned, the gradient.

    >>> value_and_grad(lambda x: (x * x).sum())(np.array([1.0, 2.0]))
    (variable(5.0), variable([2. 4.]))
    """
    return _value_and_grad("value_and_grad", f, argnums, has_aux, wrt)


def _value_and_grad(
    operation: str, f: Callable[..., Any], argnums: Argnums, has_aux: bool, wrt: Any
) -> Callable[..., Any]:
    require_function(operation, f)
    if wrt is not None:
        if argnums != 0:
            raise ValueError(
                f"{operation}: expected argnums or wrt, got both; write wrt=... and a "
                "function that uses the Variables"
            )
        if not (isinstance(wrt, (list, tuple, dict, Variable)) or is_layer(wrt)):
            wrt = list(wrt)  # an iterator serves one call only

    @functools.wraps(f, updated=())
    def evaluated(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        chosen = () if wrt is not None else counted(operation, argnums, len(args))
        evaluation = Evaluation(operation, f, args, chosen, kwargs)
        value = evaluation.result
        y = as_input(_checked_pair(operation, value)[0] if has_aux else value)
        if y.shape != ():
            raise GradientError(
                f"{operation}: expected f to return a scalar, got shape {y.shape}; "
                "write jacobian(f), or return y.sum()"
            )
        if wrt is not None:
            by = variables_of(operation, wrt)
        else:
            by = picked(evaluation.arguments, argnums, chosen)
        aux = [as_input(x) for x in leaves(value) if isinstance(x, Variable)]
        gy = Variable(ones_like(y), requires_grad=False)
        connected = evaluation.is_connected([y])
        gradients = evaluation.gradients([y], [gy], by, create_graph=connected)
        if wrt is not None:
            with using_config("enable_backprop", connected):
                gradients = mapped(by, after_hooks, gradients)
        connected = connected or evaluation.is_connected(aux)
        return evaluation.released(value, connected), gradients

    return evaluated


def _checked_pair(operation: str, value: Any) -> Any:
    if isinstance(value, tuple) and len(value) == 2:
        return value
    raise TypeError(
        f"{operation}: expected f to return a pair, as has_aux says, got "
        + (f"{len(value)} values" if isinstance(value, tuple) else type(value).__name__)
    )


# -- products with the Jacobian -------------------------------------------------------


def vjp(f: Callable[..., Any], *xs: Any) -> tuple[Any, Callable[[Any], Any]]:
    """``f(*xs)``, and a function from gradients of its outputs to those of ``xs``.

    Of a function with Jacobian ``J`` the second takes ``gy`` to ``gy J``. It may be
    called as often as one likes.

    Args:
        f: Returns Variables, in a list, tuple or dict as it likes.
        xs: Variables, arrays or numbers, or structures of them.

    Returns:
        The outputs, and the pullback: it takes a structure as ``f`` returned, and
        returns the gradient by ``x``, or a tuple of them for several.

    Raises:
        TypeError: An argument is of an integer type.
        ValueError: The pullback gets another structure, or other shapes.

    >>> y, pullback = vjp(lambda x: x * x, np.array([1.0, 2.0]))
    >>> pullback(np.array([1.0, 10.0]))
    variable([ 2. 40.])
    """
    require_function("vjp", f)
    evaluation = Evaluation("vjp", f, xs, range(len(xs)))
    result = evaluation.result
    ys = [as_input(y) for y in leaves(result)]
    connected = evaluation.is_connected(ys)
    by = alone_or_tuple(list(evaluation.arguments.values()))

    def pullback(gys: Any) -> Any:
        """The gradients of the arguments, from those of the outputs."""
        given = like("pullback", "a gradient", "what f returned", ys, result, gys)
        record = switches.get().enable_backprop and (
            connected or any(gy.requires_grad for gy in given)
        )
        return evaluation.gradients(ys, given, by, create_graph=record)

    return evaluation.released(result, connected), pullback


def jvp(f: Callable[..., Any], xs: Any, tangents: Any) -> tuple[Any, Any]:
    """``f(xs)``, and its derivative in the direction of ``tangents``: ``J t``.

    It is the derivative of the pullback, which is linear: ``d(u J)/du t = J t``.

    Args:
        f: Returns Variables, in a list, tuple or dict as it likes.
        xs: The argument of ``f``; a tuple of them for several.
        tangents: Of the structure of ``xs``.

    Raises:
        TypeError: An argument is of an integer type.
        ValueError: ``tangents`` are of another structure, or of other shapes.

    >>> jvp(np.sin, 0.0, 2.0)
    (variable(0.0), variable(2.0))
    """
    require_function("jvp", f)
    args, directions = as_tuples(xs, tangents)
    evaluation = Evaluation("jvp", f, args, range(len(args)))
    result, arguments = evaluation.result, list(evaluation.arguments.values())
    given = like(
        "jvp", "a tangent", "the arguments", evaluation.xs, arguments, directions
    )
    ys = [as_input(y) for y in leaves(result)]
    connected = evaluation.is_connected(ys)
    us = [Variable(zeros_like(y)) for y in ys]
    since = next(clock)
    gxs = evaluation.gradients(ys, us, list(evaluation.xs), create_graph=True)
    record = evaluation.recording and (connected or any(t.requires_grad for t in given))
    found = walk_back(gxs, given, record, since)
    taken = {id(t.data) for t in given}
    dys = iter([gradient_of(found, u, record, taken) for u in us])
    return (
        evaluation.released(result, connected),
        mapped(result, lambda _: next(dys)),
    )


def hvp(f: Callable[..., Any], xs: Any, vs: Any) -> Any:
    """The Hessian of ``f``, a function that returns one number, times ``vs``.

    It costs a few times what ``f`` does, whatever the size: the derivative of
    ``grad(f)(x) v`` (Pearlmutter, Fast exact multiplication by the Hessian, 1994).

    Args:
        f: Returns a scalar Variable.
        xs: The argument of ``f``; a tuple of them for several.
        vs: Of the structure of ``xs``.

    Raises:
        GradientError: ``f`` returns something other than a scalar.
        TypeError: An argument is of an integer type.
        ValueError: ``vs`` are of another structure, or of other shapes.

    >>> hvp(lambda x: (x ** 3).sum(), np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    variable([ 6. 12.])
    """
    require_function("hvp", f)
    args, directions = as_tuples(xs, vs)
    evaluation = Evaluation("hvp", f, args, range(len(args)))
    arguments = list(evaluation.arguments.values())
    given = like("hvp", "v", "the arguments", evaluation.xs, arguments, directions)
    y = as_input(evaluation.result)
    if y.shape != ():
        raise GradientError(
            f"hvp: expected f to return a scalar, got shape {y.shape}; return y.sum()"
        )
    by = arguments if isinstance(xs, tuple) else arguments[0]
    gy = Variable(ones_like(y), requires_grad=False)
    gxs = evaluation.gradients([y], [gy], list(evaluation.xs), create_graph=True)
    record = evaluation.recording and (
        evaluation.is_connected([y]) or any(v.requires_grad for v in given)
    )
    products = evaluation.gradients(gxs, given, by, create_graph=record)
    return tuple(products) if isinstance(xs, tuple) else products


# -- whole matrices -------------------------------------------------------------------


def jacobian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """All derivatives of all outputs of ``f``, as a function.

    Args:
        f: Returns Variables, in a list, tuple or dict as it likes.
        argnums: The argument to differentiate by, or several, as in ``grad``.

    Returns:
        A function that returns, for an output of shape (O, ...) and an argument of
        shape (I, ...), the array (O, ..., I, ...). For structures: one of the outputs,
        with one of the arguments in the place of each.

    Raises:
        TypeError: The argument is of an integer type.
        ValueError: There is no such argument.

    >>> jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
    variable([[2. 0.]
              [0. 4.]])
    """
    require_function("jacobian", f)

    @functools.wraps(f, updated=())
    def derivatives(*args: Any, **kwargs: Any) -> Any:
        chosen = counted("jacobian", argnums, len(args))
        evaluation = Evaluation("jacobian", f, args, chosen, kwargs)
        by = picked(evaluation.arguments, argnums, chosen)
        connected = evaluation.is_connected(
            [as_input(y) for y in leaves(evaluation.result)]
        )

        def by_output(y: Any) -> Any:
            y = as_input(y)
            if not y.size:
                return mapped(by, lambda x: _empty(y, x))
            rows = vmap(
                lambda gy: evaluation.gradients(
                    [y], [as_input(gy)], by, create_graph=connected
                )
            )(_basis(y))
            return mapped(rows, lambda gx: reshape(gx, (*y.shape, *gx.shape[1:])))

        return mapped(evaluation.result, by_output)

    return derivatives


def hessian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """All second derivatives of ``f``, which returns one number, as a function.

    Args:
        f: Returns a scalar Variable.
        argnums: The argument to differentiate by, or several, as in ``grad``.

    Returns:
        A function that returns, for an argument of shape (I, ...), the array
        (I, ..., I, ...). For structures: one within the other.

    Raises:
        GradientError: ``f`` returns something other than a scalar.
        TypeError: The argument is of an integer type.
        ValueError: There is no such argument.

    >>> hessian(lambda x: x[0] * x[0] * x[1])(np.array([1.0, 2.0]))
    variable([[4. 2.]
              [2. 0.]])
    """
    return jacobian(grad(f, argnums), argnums)


def _basis(y: Variable) -> Any:
    """The gradients that ask for one element of ``y`` each."""
    xp = get_array_module(y.data)
    return xp.eye(y.size, dtype=y.dtype).reshape(y.size, *y.shape)


def _empty(y: Variable, x: Variable) -> Variable:
    shape = (*y.shape, *x.shape)
    return Variable(get_array_module(y.data).zeros(shape, x.dtype), requires_grad=False)
