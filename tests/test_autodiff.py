"""grad and its kin: values, purity, nesting, errors; what checkpoint saves."""

from __future__ import annotations

import gc
import math
import tracemalloc
import weakref
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import Parameter, Variable
from dezero.errors import GradientError

rng = np.random.default_rng(0)
A, B = rng.normal(size=(3, 3)), rng.normal(size=(4, 3))
X, V, U = rng.normal(size=3), rng.normal(size=3), rng.normal(size=4)


def close(x: Any, wanted: Any, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(x.data, wanted, rtol=rtol, atol=1e-12)


def cubic(x: Any) -> Variable:
    """x A x + sum(x ** 3), whose derivatives are known."""
    return (F.matmul(x, A) * x).sum() + (x**3).sum()


def curved(x: Any) -> Variable:
    """tanh(B x), with the Jacobian (1 - tanh ** 2) B."""
    return F.tanh(F.matmul(B, x))


SLOPE = A @ X + A.T @ X + 3 * X**2
CURVATURE = A + A.T + np.diag(6 * X)
J = (1 - np.tanh(B @ X) ** 2)[:, None] * B


class TestGrad:
    def test_any_order(self) -> None:
        f: Any = np.sin
        for n in range(8):
            close(f(0.7), math.sin(0.7 + n * math.pi / 2))
            f = dezero.grad(f)

    def test_of_an_array(self) -> None:
        close(dezero.grad(cubic)(X), SLOPE)
        close(dezero.grad(cubic)(Variable(X)), SLOPE)
        value, gx = dezero.value_and_grad(cubic)(X)
        close(value, X @ A @ X + (X**3).sum())
        close(gx, SLOPE)

    def test_arguments_by_number(self) -> None:
        def f(x: Any, y: Any, *, power: int) -> Any:
            return (x * y**power).sum()

        y = np.array([2.0, 3.0, 4.0])
        close(dezero.grad(f, 1)(X, y, power=2), 2 * X * y)
        close(dezero.grad(f, -2)(X, y, power=2), y**2)
        gy, gx = dezero.grad(f, (1, 0))(X, y, power=2)
        close(gy, 2 * X * y)
        close(gx, y**2)

    def test_structures(self) -> None:
        Pair = namedtuple("Pair", ["a", "b"])
        params = {"one": [X, None, 2.0], "two": Pair(V, (1.0,))}

        def f(p: Any) -> Any:
            return (p["one"][0] * p["two"].a).sum() * p["one"][2] + p["two"].b[0]

        g = dezero.grad(f)(params)
        assert g["one"][1] is None
        assert type(g["two"]) is Pair
        close(g["one"][0], 2 * V)
        close(g["one"][2], X @ V)
        close(g["two"].a, 2 * X)
        close(g["two"].b[0], 1)

    def test_what_is_not_used_has_gradient_zero(self) -> None:
        close(dezero.grad(lambda x, y: x.sum(), 1)(X, B), np.zeros_like(B))
        close(dezero.grad(lambda x: 3.0)(X), np.zeros(3))
        close(dezero.grad(lambda x: F.sum(np.sign(x)))(X), np.zeros(3))

    def test_aux(self) -> None:
        g, aux = dezero.grad(lambda x: (x.sum(), {"y": x * 2}), has_aux=True)(X)
        close(g, np.ones(3))
        close(aux["y"], 2 * X)
        assert aux["y"].creator is None
        value, g = dezero.value_and_grad(lambda x: (x.sum(), "name"), has_aux=True)(X)
        assert value[1] == "name"
        close(value[0], X.sum())

    def test_by_the_parameters_of_a_layer(self) -> None:
        model = L.Linear(2, in_size=3)
        x = rng.normal(size=(5, 3)).astype(np.float32)
        f = lambda x: (model(x) ** 2).sum()  # noqa: E731
        f(x).backward()
        wanted = {name: p.grad.data for name, p in model.named_params().items()}
        model.cleargrads()
        for wrt in (model, model.named_params()):
            value, grads = dezero.value_and_grad(f, wrt=wrt)(x)
            close(value, f(x).data, 1e-6)
            assert grads.keys() == {"W", "b"}
            for name in grads:
                assert grads[name].dtype == np.float32
                close(grads[name], wanted[name], 1e-6)
        gW, gb = dezero.grad(f, wrt=model.params())(x)
        close(gW, wanted["W"], 1e-6)
        close(gb, wanted["b"], 1e-6)
        close(dezero.grad(f, wrt=model.W)(x), wanted["W"], 1e-6)
        assert all(p.grad is None for p in model.params())

    def test_a_layer_that_gets_its_shapes_at_the_call(self) -> None:
        model = L.Linear(2)
        grads = dezero.grad(lambda x: model(x).sum(), wrt=model)(B)
        assert grads["W"].shape == (3, 2)

    def test_it_touches_no_grad_and_keeps_nothing(self) -> None:
        x, w = Variable(X), Parameter(V)
        met = []

        def f(x: Any) -> Any:
            met.append(weakref.ref(x))
            return (x * w).sum()

        gc.disable()
        try:
            g = dezero.grad(f)(X)
            assert g.creator is not None  # w may yet be asked for
            with dezero.no_grad():
                value, g = dezero.value_and_grad(f)(x)
            assert value.creator is None and g.creator is None
            assert met[1]() is None
        finally:
            gc.enable()
        value, g = dezero.value_and_grad(lambda x: (x * V).sum())(X)
        assert value.creator is None and g.creator is None
        assert x.grad is None and w.grad is None

    def test_gradients_share_no_memory(self) -> None:
        a, b = dezero.grad(lambda x, y: (x + y).sum(), (0, 1))(X, V)
        a.data[0] = 5
        close(b, np.ones(3))

    def test_it_goes_on_in_a_graph_of_variables(self) -> None:
        x = Variable(X)
        g = dezero.grad(cubic)(x)
        (g * V).sum().backward()
        assert x.grad is not None
        close(x.grad, CURVATURE @ V)

    def test_a_penalty_on_gradients_reaches_the_weights(self) -> None:
        W = Parameter(A.copy())

        def loss(W: Any) -> Any:
            slope = dezero.grad(lambda x: F.tanh(F.matmul(x, W)).sum())(X)
            return (slope**2).sum()

        loss(W).backward()
        wanted = np.zeros_like(A)
        for i in np.ndindex(A.shape):
            step = np.zeros_like(A)
            step[i] = 1e-6
            wanted[i] = (loss(A + step) - loss(A - step)).item() / 2e-6
        close(W.grad, wanted, 1e-7)
        close(dezero.grad(loss)(A), wanted, 1e-7)
        close(dezero.grad(lambda: loss(W), wrt=W)(), wanted, 1e-7)

    def test_perturbations_are_not_confused(self) -> None:
        grad = dezero.grad
        close(grad(lambda x: x * grad(lambda y: x + y)(1.0))(1.0), 1)
        close(grad(lambda x: x * grad(lambda y: x * y * y)(2.0))(3.0), 24)
        close(grad(lambda x: x * grad(lambda y: x * y * y)(x))(3.0), 54)
        close(grad(lambda x: grad(lambda y: grad(lambda z: x * y * z)(x))(x))(5.0), 1)
        with dezero.no_grad():
            close(grad(lambda x: x * grad(lambda y: x + y)(1.0))(1.0), 1)

    def test_no_grad_within_cuts_off(self) -> None:
        def f(x: Any) -> Any:
            with dezero.no_grad():
                constant = dezero.grad(lambda y: y**3)(x)
            return x * constant

        close(dezero.grad(f)(2.0), 12)

    def test_a_walk_ends_where_the_function_began(self) -> None:
        """What a closure was made of is not walked through: its gradient is lost."""
        seen = []

        class Spy(dezero.Function):
            def forward(self, x: Any) -> Any:
                return x * 2

            def backward(self, gy: Variable) -> Variable:
                seen.append(1)
                return gy * 2

        x = Variable(X)
        y = Spy()(x)
        close(dezero.grad(lambda z: (y * z).sum())(V), 2 * X)
        assert not seen

    def test_assignment_within(self) -> None:
        def f(x: Any) -> Any:
            x = x * 1
            x[0] = x[1] * 3
            return (x * x).sum()

        wanted = [0, 20 * X[1], 2 * X[2]]
        close(dezero.grad(f)(X), wanted)
        close(dezero.grad(f)(Variable(X)), wanted)
        close(dezero.jacobian(f)(X), wanted)

        def of_the_argument(x: Any) -> Any:
            x[0] = x[1] * 3
            return (x * x).sum()

        x = Variable(X)
        close(dezero.grad(of_the_argument)(x), wanted)
        close(x, X)

    def test_float32_stays(self) -> None:
        x = X.astype(np.float32)
        g = dezero.grad(lambda x: (F.astype(x, np.float64) ** 2).sum())(x)
        assert g.dtype == np.float32
        assert dezero.grad(lambda x: (x**2).sum())(x).dtype == np.float32


class TestProducts:
    def test_vjp(self) -> None:
        y, pullback = dezero.vjp(curved, X)
        close(y, np.tanh(B @ X))
        close(pullback(U), U @ J)
        close(pullback(2 * U), 2 * U @ J)
        assert y.creator is None and pullback(U).creator is None

    def test_vjp_of_several(self) -> None:
        ys, pullback = dezero.vjp(lambda x, y: {"a": x * y, "b": [x]}, 2.0, 3.0)
        assert ys.keys() == {"a", "b"}
        gx, gy = pullback({"a": 1.0, "b": [10.0]})
        close(gx, 13)
        close(gy, 2)

    def test_vjp_is_differentiable_by_all_it_depends_on(self) -> None:
        def f(x: Any, u: Any) -> Any:
            return (dezero.vjp(curved, x)[1](u) * V).sum()

        close(dezero.grad(f, 1)(X, U), J @ V)
        t = np.tanh(B @ X)
        wanted = -2 * (t * (1 - t**2) * U * (B @ V)) @ B
        close(dezero.grad(f)(X, U), wanted)

    def test_jvp(self) -> None:
        y, dy = dezero.jvp(curved, X, V)
        close(y, np.tanh(B @ X))
        close(dy, J @ V)
        assert y.creator is None and dy.creator is None

    def test_jvp_of_several(self) -> None:
        def f(x: Any, y: Any) -> Any:
            return x * y, {"s": np.sin(x), "c": F.sum(np.ones(2))}

        (y, _), (dy, d) = dezero.jvp(f, (2.0, 3.0), (10.0, 1.0))
        close(y, 6)
        close(dy, 32)
        close(d["s"], 10 * math.cos(2))
        close(d["c"], 0)

    def test_jvp_nests(self) -> None:
        def slope(x: Any) -> Any:
            return dezero.jvp(lambda x: x**3, x, 1.0)[1]

        close(dezero.jvp(slope, 2.0, 1.0)[1], 12)
        close(dezero.grad(slope)(2.0), 12)
        close(dezero.grad(dezero.grad(slope))(2.0), 6)

    def test_hvp(self) -> None:
        close(dezero.hvp(cubic, X, V), CURVATURE @ V)
        hx, hy = dezero.hvp(lambda x, y: x * x * y, (2.0, 3.0), (1.0, 10.0))
        close(hx, 6 + 40)
        close(hy, 4)
        close(dezero.grad(lambda x: F.sum(dezero.hvp(cubic, x, V) * V))(X), 6 * V**2)

    def test_jacobian(self) -> None:
        close(dezero.jacobian(curved)(X), J)
        y = rng.normal(size=(2, 3))
        j = dezero.jacobian(lambda x, y: y * x, (0, 1))(X, y)
        assert j[0].shape == (2, 3, 3) and j[1].shape == (2, 3, 2, 3)
        close(j[0], y[:, :, None] * np.eye(3))
        close(j[1], np.einsum("k,ac,kl->akcl", X, np.eye(2), np.eye(3)))
        assert dezero.jacobian(lambda x: x[:0])(X).shape == (0, 3)
        assert j[0].creator is None

    def test_jacobian_of_structures(self) -> None:
        j = dezero.jacobian(lambda p: {"y": p["a"] * p["b"], "s": p["a"].sum()})(
            {"a": X, "b": 2.0}
        )
        close(j["y"]["a"], 2 * np.eye(3))
        close(j["y"]["b"], X)
        close(j["s"]["a"], np.ones(3))
        close(j["s"]["b"], 0)

    def test_hessian(self) -> None:
        close(dezero.hessian(cubic)(X), CURVATURE)
        (hxx, hxy), (hyx, hyy) = dezero.hessian(
            lambda x, y: (x * x).sum() * y * y, (0, 1)
        )(X, 3.0)
        close(hxx, 18 * np.eye(3))
        close(hxy, 12 * X)
        close(hyx, 12 * X)
        close(hyy, 2 * (X**2).sum())
        third = dezero.jacobian(dezero.hessian(lambda x: (x**3).sum()))(X)
        close(third, np.einsum("ij,jk->ijk", 6 * np.eye(3), np.eye(3)))


def deep(x: Any, weights: Any, wrapped: Callable[[Any], Any]) -> Any:
    """A chain of pieces, each of two layers, an activation and dropout."""

    for W, V in weights:  # W is found by the closure, V is given

        def piece(x: Any, V: Any, W: Callable[[], Any] = lambda W=W: W) -> Any:
            return F.dropout(F.tanh(F.matmul(np.sin(F.matmul(x, W())), V)), 0.2)

        x = wrapped(piece)(x, V)
    return (x**2).sum()


def derivatives_of(f: Callable[..., Any], xs: list[Variable]) -> list[np.ndarray]:
    """First and second, from backward."""
    np.random.seed(3)
    for x in xs:
        x.cleargrad()
    f().backward(create_graph=True)
    firsts: list[Any] = [x.grad for x in xs]
    for x in xs:
        x.cleargrad()
    sum((gx**2).sum() for gx in firsts).backward()
    seconds: list[Any] = [x.grad for x in xs]
    for x in xs:
        x.cleargrad()
    return [g.data for g in (*firsts, *seconds)]


class TestCheckpoint:
    def test_derivatives_are_the_same(self) -> None:
        x = Variable(rng.normal(size=(2, 3)))
        weights = [
            (Parameter(rng.normal(size=(3, 3))), Parameter(rng.normal(size=(3, 3))))
            for _ in range(3)
        ]
        xs = [x, *(W for pair in weights for W in pair)]
        wanted = derivatives_of(lambda: deep(x, weights, lambda f: f), xs)
        found = derivatives_of(lambda: deep(x, weights, dezero.checkpoint), xs)
        after = np.random.rand()

        def nested(x: Any) -> Any:
            return deep(x, weights, dezero.checkpoint)

        twice = derivatives_of(lambda: dezero.checkpoint(nested)(x), xs)
        assert np.random.rand() == after  # recomputing draws nothing of its own
        for a, b, c in zip(wanted, found, twice, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-12)  # summed in another order
            np.testing.assert_allclose(c, a, rtol=1e-12)

    def test_under_the_transforms(self) -> None:
        close(dezero.grad(dezero.checkpoint(cubic))(X), SLOPE)
        close(dezero.hessian(dezero.checkpoint(cubic))(X), CURVATURE)
        close(
            dezero.grad(lambda: dezero.checkpoint(cubic)(x), wrt=(x := Variable(X)))(),
            SLOPE,
        )
        close(dezero.compile(dezero.grad(dezero.checkpoint(cubic)))(X), SLOPE)

    def test_structures_and_what_is_no_variable(self) -> None:
        found = Variable(V)

        def f(p: Any, n: int, *, scale: Any) -> Any:
            assert n == 2
            return {"y": p["x"] * scale, "n": n, "x": p["x"], "found": found}, [scale]

        x, scale = Variable(X), Variable(np.array(2.0))
        ys, (same,) = dezero.checkpoint(f)({"x": x, "i": np.arange(2)}, 2, scale=scale)
        assert ys["n"] == 2 and ys["found"] is found
        (ys["y"].sum() + ys["x"].sum() + same).backward()
        assert x.grad is not None and scale.grad is not None
        close(x.grad, np.full(3, 3.0))
        close(scale.grad, X.sum() + 1)

    def test_nothing_to_differentiate(self) -> None:
        y = dezero.checkpoint(np.sin)(Variable(X, requires_grad=False))
        assert y.creator is None
        with dezero.no_grad():
            assert dezero.checkpoint(np.sin)(Variable(X)).creator is None

    def test_the_mode_and_the_seed_of_the_first_time(self) -> None:
        x = Variable(np.ones(100))
        dezero.random.seed(1)
        y = dezero.checkpoint(F.dropout)(x)
        dezero.random.seed(2)
        with dezero.test_mode():
            y.sum().backward()
        assert x.grad is not None
        np.testing.assert_array_equal(x.grad.data, y.data)
        dezero.random.seed(None)

    def test_running_averages_move_once(self) -> None:
        def averages(wrapped: Any) -> tuple[np.ndarray, np.ndarray]:
            norm = L.BatchNorm()
            norm(B)
            (wrapped(norm)(Variable(B)) ** 2).sum().backward()
            return norm.avg_mean.data, norm.avg_var.data

        for a, b in zip(
            averages(dezero.checkpoint), averages(lambda f: f), strict=True
        ):
            np.testing.assert_array_equal(a, b)

    def test_data_written_since_is_an_error(self) -> None:
        W = Parameter(A.copy())
        y = dezero.checkpoint(lambda x: F.matmul(x, W).sum())(Variable(X))
        W.data = W.data + 1
        with pytest.raises(GradientError, match="as it was in forward"):
            y.backward()

    def test_other_variables_at_the_second_time_are_an_error(self) -> None:
        x = Variable(X)
        for W in (Parameter(A), Parameter(A)):
            x = dezero.checkpoint(lambda x: F.matmul(x, W))(x)  # noqa: B023
        with pytest.raises(GradientError) as caught:
            x.sum().backward()
        assert str(caught.value) == (
            "checkpoint: expected f to use the same Variables and give the same shapes "
            "when it runs again, got others; give what changes, such as the variable "
            "of a loop, as an argument"
        )

    def test_peak_memory_falls(self) -> None:
        def piece(x: Any) -> Any:
            for _ in range(8):
                x = np.tanh(x)
            return x

        def peak(piece: Callable[[Any], Any]) -> int:
            x = Variable(np.ones(1 << 14))
            tracemalloc.start()
            try:
                y = x
                for _ in range(8):
                    y = piece(y)
                y.sum().backward()
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

        assert peak(dezero.checkpoint(piece)) < 0.4 * peak(piece)

    def test_of_something_else(self) -> None:
        with pytest.raises(TypeError) as caught:
            dezero.checkpoint(3)  # type: ignore[arg-type]
        assert str(caught.value) == "checkpoint: expected a function, got int"


TRANSFORMED: dict[str, Callable[[Any], Any]] = {
    "grad": dezero.grad(cubic),
    "grad of grad": lambda x: dezero.grad(lambda x: (dezero.grad(cubic)(x) ** 2).sum())(
        x
    ),
    "vjp": lambda x: dezero.vjp(curved, x)[1](U),
    "jvp": lambda x: dezero.jvp(curved, x, V)[1],
    "hvp": lambda x: dezero.hvp(cubic, x, V),
    "jacobian": dezero.jacobian(curved),
    "hessian": dezero.hessian(cubic),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_compiled(name: str) -> None:
    f = TRANSFORMED[name]
    compiled = dezero.compile(f)
    for x in (X, V):
        close(compiled(x), f(x).data)


def test_a_compiled_training_step() -> None:
    def trained(compile: bool) -> list[float]:
        np.random.seed(0)
        model = L.Linear(1, in_size=3)

        def step(x: Any, t: Any) -> Any:
            loss, grads = dezero.value_and_grad(
                lambda: F.mean_squared_error(model(x), t), wrt=model
            )()
            for name, param in model.named_params().items():
                param.data = param.data - 0.1 * grads[name].data
            return loss

        run = dezero.compile(step) if compile else step
        x, t = B.astype(np.float32), B[:, :1].astype(np.float32)
        return [run(x, t).item() for _ in range(4)]

    eager, compiled = trained(False), trained(True)
    np.testing.assert_allclose(compiled, eager, rtol=1e-5)
    assert eager[-1] < eager[0]


FROZEN = Variable(X, requires_grad=False, name="frozen")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: dezero.grad(lambda x: x * 2)(X),
            GradientError,
            "grad: expected f to return a scalar, got shape (3,); write jacobian(f), "
            "or return y.sum()",
        ),
        (
            lambda: dezero.value_and_grad(lambda x: x * 2)(X),
            GradientError,
            "value_and_grad: expected f to return a scalar, got shape (3,); write "
            "jacobian(f), or return y.sum()",
        ),
        (
            lambda: dezero.hvp(lambda x: x * 2, X, V),
            GradientError,
            "hvp: expected f to return a scalar, got shape (3,); return y.sum()",
        ),
        (
            lambda: dezero.grad(np.sin)(2),
            TypeError,
            "grad: expected arguments of a floating type to differentiate by, got "
            "int64; write x.astype(float)",
        ),
        (
            lambda: dezero.grad(3),
            TypeError,
            "grad: expected a function, got int",
        ),
        (
            lambda: dezero.grad(np.sin, 1)(2.0),
            ValueError,
            "grad: expected argnums from -1 to 0 for 1 arguments, got 1",
        ),
        (
            lambda: dezero.grad(lambda: 1.0)(),
            ValueError,
            "grad: expected an argument to differentiate by, got none",
        ),
        (
            lambda: dezero.jacobian(np.sin, (0, "x"))(2.0),
            TypeError,
            "jacobian: expected argnums as an integer or several, got (0, 'x')",
        ),
        (
            lambda: dezero.grad(np.sin, has_aux=True)(2.0),
            TypeError,
            "grad: expected f to return a pair, as has_aux says, got Variable",
        ),
        (
            lambda: dezero.grad(np.sin, 1, wrt=[FROZEN]),
            ValueError,
            "grad: expected argnums or wrt, got both; write wrt=... and a function "
            "that uses the Variables",
        ),
        (
            lambda: dezero.grad(lambda: F.sum(FROZEN), wrt=[FROZEN])(),
            ValueError,
            "grad: expected Variables in wrt that require a gradient, got 'frozen', "
            "which does not; write x.requires_grad = True",
        ),
        (
            lambda: dezero.grad(lambda: 1.0, wrt=[X])(),
            TypeError,
            "grad: expected Variables in wrt, got ndarray",
        ),
        (
            lambda: dezero.vjp(curved, X)[1](X),
            ValueError,
            "pullback: expected a gradient of shape (4,), got (3,)",
        ),
        (
            lambda: dezero.vjp(curved, X)[1]([U]),
            ValueError,
            "pullback: expected a gradient for each of what f returned, got another "
            "structure",
        ),
        (
            lambda: dezero.jvp(curved, X, U),
            ValueError,
            "jvp: expected a tangent of shape (3,), got (4,)",
        ),
        (
            lambda: dezero.jvp(curved, X, (V, V)),
            ValueError,
            "jvp: expected a tangent for each of the arguments, got another structure",
        ),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message
