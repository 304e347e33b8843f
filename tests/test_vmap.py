"""vmap: of every operation of the table, the stack of what each example gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
import numpy as np
import pytest
from cases import CASES, WITHOUT_DERIVATIVE, Case
from hypothesis import given
from hypothesis import strategies as st
from test_cases import as_tuple, draw, in_type

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import Parameter, Variable, vmap

settings = hypothesis.settings(
    max_examples=4, deadline=None, derandomize=True, database=None
)
# What cannot be a batch, and why.
ON_ARRAYS = ("im2col_array", "col2im_array", "isnan", "isinf", "isfinite")
ON_ARRAYS += ("logical_not", "logical_and", "logical_or", "logical_xor")
WITHOUT_BATCH = {
    **dict.fromkeys(ON_ARRAYS, "the case makes a NumPy array of its argument"),
    "causal_mask": "takes no array",
    "dropout": "the case seeds the generator, once for all: see below",
}
mappable = [case for case in CASES if case.name not in WITHOUT_BATCH]
every_case = pytest.mark.parametrize("case", mappable, ids=str)
differentiable = pytest.mark.parametrize(
    "case", [case for case in mappable if case.name not in WITHOUT_DERIVATIVE], ids=str
)


def batch_of(x: np.ndarray) -> np.ndarray:
    """Three examples with the same numbers, in another order each."""
    turned = [x.reshape(-1)[::-1], np.roll(x.reshape(-1), 1)]
    return np.stack([x, *(t.reshape(x.shape) for t in turned)])


def bare(x: Any) -> Any:
    return x.data if isinstance(x, Variable) else x


def assert_close(found: Any, wanted: Any) -> None:
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    assert isinstance(bare(found), np.ndarray)
    np.testing.assert_allclose(bare(found), bare(wanted), rtol=1e-9, atol=1e-9)


def looped(f: Callable[..., Any], mapped: list[bool], *xs: Any) -> tuple[Any, ...]:
    """What vmap promises: a loop, and a stack."""
    results = [
        as_tuple(f(*(x[i] if m else x for x, m in zip(xs, mapped, strict=True))))
        for i in range(3)
    ]
    return tuple(np.stack([bare(y) for y in ys]) for ys in zip(*results, strict=True))


def examples(data: st.DataObject, case: Case) -> tuple[Any, ...]:
    """Arguments, some the same for all, and which of them are batches."""
    arrays, kwargs = draw(data, case)
    mapped = [data.draw(st.booleans()) for _ in arrays]
    if not any(mapped):
        mapped[data.draw(st.integers(0, len(arrays) - 1))] = True
    arrays = in_type(arrays, np.float64)
    xs = [batch_of(x) if m else x for x, m in zip(arrays, mapped, strict=True)]
    return xs, mapped, [0 if m else None for m in mapped], kwargs


@every_case
@settings
@given(data=st.data())
def test_value(case: Case, data: st.DataObject) -> None:
    xs, mapped, axes, kwargs = examples(data, case)

    def f(*xs: Any) -> Any:
        return case.function(*xs, **kwargs)

    for y, wanted in zip(
        as_tuple(vmap(f, in_axes=axes)(*xs)), looped(f, mapped, *xs), strict=True
    ):
        assert_close(y, wanted)


@differentiable
@settings
@given(data=st.data())
def test_gradients_of_each_example(case: Case, data: st.DataObject) -> None:
    """And of all: what the graph behind vmap gives is the sum."""
    xs, mapped, axes, kwargs = examples(data, case)
    numbers = tuple(i for i, x in enumerate(xs) if x.dtype.kind == "f")

    def loss(*xs: Any) -> Any:
        ys = as_tuple(case.function(*xs, **kwargs))
        return sum((F.sum(y * y * y) for y in ys), Variable(np.array(0.0)))

    each = dezero.grad(loss, numbers)
    found = vmap(each, in_axes=axes)(*xs)
    wanted = looped(each, mapped, *xs)
    for gx, gx_wanted in zip(found, wanted, strict=True):
        assert_close(gx, gx_wanted)

    total = dezero.grad(lambda *xs: vmap(loss, in_axes=axes)(*xs).sum(), numbers)(*xs)
    for i, gx, g in zip(numbers, total, wanted, strict=True):
        assert_close(gx, g if mapped[i] else g.sum(axis=0))


@differentiable
@hypothesis.settings(settings, max_examples=1)
@given(data=st.data())
def test_compiled(case: Case, data: st.DataObject) -> None:
    xs, _, axes, kwargs = examples(data, case)
    f = vmap(lambda *xs: case.function(*xs, **kwargs), in_axes=axes)
    compiled = dezero.compile(f)
    for found, wanted in zip(as_tuple(compiled(*xs)), as_tuple(f(*xs)), strict=True):
        assert_close(found, wanted)


# -- NumPy's functions on bare arrays -------------------------------------------------

rng = np.random.default_rng(0)
A = rng.normal(size=(3, 2, 4, 4))  # three examples (2, 4, 4)
B = rng.normal(size=(3, 4))
P = rng.integers(0, 4, (3, 2))

ON_ARRAYS: dict[str, Callable[..., Any]] = {
    "sum": lambda a, b, p: a.sum(axis=(0, -1), keepdims=True),
    "mean": lambda a, b, p: np.mean(a, 1),
    "var": lambda a, b, p: a.var(axis=-1, ddof=1),
    "std": lambda a, b, p: a.std(),
    "max": lambda a, b, p: a.max(axis=(0, 2)),
    "prod": lambda a, b, p: np.prod(b, dtype=np.float32),
    "any": lambda a, b, p: (a > 0).any(axis=0) & np.all(a < 1),
    "sum of no axes": lambda a, b, p: a.sum(axis=()) + b.sum().sum(),
    "argmax": lambda a, b, p: a.argmax() + a.argmax(axis=-1),
    "argsort": lambda a, b, p: np.argsort(a) + np.argsort(a, axis=0),
    "sort": lambda a, b, p: np.sort(a, 1),
    "cumsum": lambda a, b, p: a.cumsum() + a.cumsum(axis=-1).reshape(-1),
    "maximum.accumulate": lambda a, b, p: np.maximum.accumulate(a, 2),
    "flip": lambda a, b, p: np.flip(a, (0, 2)) + np.flip(a),
    "roll": lambda a, b, p: np.roll(a, 1) + np.roll(a, (1, 2), (0, 1)),
    "repeat": lambda a, b, p: np.repeat(b, 2)[1:] + np.repeat(b, 3, axis=0)[:7],
    "pad": lambda a, b, p: np.pad(a, ((0, 1), (2, 0), (0, 0)), constant_values=7),
    "take_along_axis": lambda a, b, p: np.take_along_axis(b, p, 0),
    "reshape": lambda a, b, p: a.reshape(4, -1) + np.reshape(a, (4, 2, 4))[:, 0, :1],
    "ravel": lambda a, b, p: a.ravel() + a.flatten(),
    "transpose": lambda a, b, p: a.T + a.transpose(2, -2, 0) + a.transpose((1, 2, 0)),
    "swapaxes": lambda a, b, p: a.swapaxes(0, -1) + np.moveaxis(a, 0, 2),
    "expand_dims": lambda a, b, p: np.expand_dims(b, (0, 2)) + b[None, :, None],
    "squeeze": lambda a, b, p: b[:, None].squeeze() + b[None].squeeze(0),
    "broadcast_to": lambda a, b, p: np.broadcast_to(b, (2, 3, 4)),
    "concatenate": lambda a, b, p: np.concatenate([a, np.ones((2, 1, 4)), a], axis=-2),
    "stack": lambda a, b, p: np.stack([b, np.ones(4), b], axis=-1),
    "split": lambda a, b, p: np.split(b, 2)[1] + np.array_split(b, [2])[0],
    "where": lambda a, b, p: np.where(a > 0, b, 0.5),
    "clip": lambda a, b, p: np.clip(a, None, b) + a.clip(-1, b.max()),
    "like": lambda a, b, p: np.ones_like(a, shape=3) + np.full_like(b, 2)[:3],
    "tril": lambda a, b, p: np.tril(a) + np.triu(a, 1),
    "inv": lambda a, b, p: np.linalg.inv(a) @ b + np.linalg.slogdet(a)[1].sum(),
    "solve": lambda a, b, p: np.linalg.solve(a[0], b),
    "round": lambda a, b, p: np.round(a, 1) + np.nan_to_num(a / 0.0 * 0) + a.real,
    "dot": lambda a, b, p: np.dot(b, b) + np.dot(a, b) * np.dot(2.0, b[0]),
    "matmul": lambda a, b, p: (a @ b) + b @ a + (b @ b) + (a @ a[0])[0, :2],
    "matmul of one": lambda a, b, p: A[0, 0, 0] @ b + b @ A[0, 1] + (A[0] @ a) @ B[0],
    "einsum": lambda a, b, p: np.einsum("aij,j->ia", a, b) + np.einsum("ii", a[0]),
    "einsum of axes": lambda a, b, p: np.einsum(a, [0, 1, 2], b, [2], [1, 0]),
    "einsum with dots": lambda a, b, p: np.einsum("...j,j->...", a, b),
    "divmod": lambda a, b, p: divmod(a, b)[0] + np.modf(a)[1],
    "comparisons": lambda a, b, p: (a < b) ^ (a != 0) | ~(a >= 1),
    "powers": lambda a, b, p: a**2 + abs(a) ** b + 2**a - (-a) // 1,
    "astype": lambda a, b, p: a.astype(np.float32) * 2.0,
    "outer": lambda a, b, p: np.multiply.outer(b, b) + np.outer(b, b),
    "tensordot": lambda a, b, p: np.tensordot(a, b, (2, 0)),
    "median": lambda a, b, p: np.median(a, axis=1),
    "written": lambda a, b, p: _written(a, b),
    "added at": lambda a, b, p: _added_at(b, p),
    "copied to": lambda a, b, p: _copied_to(a, b),
    "iterated": lambda a, b, p: sum(row * i for i, row in enumerate(a)),
    "lengths": lambda a, b, p: b * len(a) + np.size(a) + np.ndim(a) + np.shape(a)[1],
    "result_type": lambda a, b, p: b.astype(np.result_type(p, np.float32)),
    # indices
    "slices": lambda a, b, p: a[..., 1:, ::-1] + a[0, 1, 1:, None],
    "places": lambda a, b, p: a[:, [0, 2]] + a[:, np.array([1, 1]), :],
    "apart": lambda a, b, p: a[[0, 1], :, [2, 3]] + a[1, :, [0, 2]],
    "last": lambda a, b, p: a[..., [3, 0, 1]],
    "mask of all": lambda a, b, p: a[:, np.array([True, False, True, True])],
    "own places": lambda a, b, p: b[p] + a[:, p].sum((0, 2)) + a[0, p, p],
    "own places in one": lambda a, b, p: F.get_item(A[0, 0], (p, p + 0)).data + b[p[0]],
    "own place": lambda a, b, p: a[:, p[0], 1:] + a[p[0] % 2, :2, :3],
    "places of two axes": lambda a, b, p: a[:, p[:, None], np.arange(4)],
}


def _written(a: Any, b: Any) -> Any:
    y = np.zeros_like(a)
    y[0] = a[1] * b
    y[1, :2] = 3
    y[:, [0, 3], 1] = b[:2]
    y[..., 2] += b
    y -= b
    y.fill(0) if a.ndim == 7 else None
    return y


def _added_at(b: Any, p: Any) -> Any:
    y = np.zeros_like(b)
    np.add.at(y, p, b[:2])
    return y


def _copied_to(a: Any, b: Any) -> Any:
    y = np.zeros_like(a)
    np.copyto(y, b, where=a > 0)
    np.multiply(a, b, out=y, where=a > 0)
    np.add(y, 1, out=y)
    return y


@pytest.mark.parametrize("name", ON_ARRAYS)
def test_on_bare_arrays(name: str) -> None:
    f = ON_ARRAYS[name]
    with np.errstate(all="ignore"):
        wanted = np.stack([f(A[i], B[i], P[i]) for i in range(3)])
        found = vmap(f)(A, B, P)
        assert_close(found, wanted)
        pairs = np.stack([A, 2 * A]), np.stack([B, 2 * B]), np.stack([P, P])
        twice = vmap(vmap(f))(*pairs)
        assert_close(
            twice[1], np.stack([f(2 * A[i], 2 * B[i], P[i]) for i in range(3)])
        )
        assert_close(twice[0], wanted)


# -- axes -----------------------------------------------------------------------------


def test_axes() -> None:
    x = rng.normal(size=(4, 3, 2))
    close = np.testing.assert_array_equal
    close(vmap(lambda x: x * 2, in_axes=1, out_axes=-1)(x), 2 * x.transpose(0, 2, 1))
    close(vmap(lambda x: x, -1, 1)(x), x.transpose(0, 2, 1))
    result = vmap(lambda x: (x, [x.sum(), 5]), out_axes=(1, [0, None]))(x)
    assert type(result) is tuple and type(result[1]) is list
    y, (z, n) = result
    close(y, x.transpose(1, 0, 2))
    close(z, x.sum(axis=(1, 2)))
    assert n == 5
    close(vmap(lambda x: 5)(x), np.full(4, 5))
    given = vmap(lambda p, y: p["a"] * y + p["b"], in_axes=({"a": 1, "b": None}, 0))
    close(
        given({"a": x, "b": 1.0}, np.arange(3.0)),
        (x * np.arange(3.0)[:, None] + 1).transpose(1, 0, 2),
    )
    close(vmap(lambda x, *, scale: x * scale)(x, scale=3), 3 * x)
    assert vmap(lambda x: ("name", None))(x) == ("name", None)


def test_vmap_in_vmap() -> None:
    x, y = rng.normal(size=3), rng.normal(size=4)
    table = vmap(vmap(lambda a, b: a * b, (None, 0)), (0, None))
    np.testing.assert_array_equal(table(x, y), np.outer(x, y))
    far = vmap(lambda a: vmap(lambda b: ((a - b) ** 2).sum())(A[0, 0]))
    wanted = ((A[0, 1][:, None] - A[0, 0][None]) ** 2).sum(axis=-1)
    np.testing.assert_allclose(far(A[0, 1]), wanted)


# -- with other transforms ------------------------------------------------------------


def test_what_is_the_same_for_all_gets_the_sum() -> None:
    w, x = Parameter(B[0].copy()), Variable(B)
    y = vmap(lambda x: F.sum(w * w * x * x))(x)
    y.sum().backward(create_graph=True)
    gw, gx = w.grad, x.grad
    assert gw is not None and gx is not None
    np.testing.assert_allclose(gw.data, (2 * w.data * B**2).sum(axis=0))
    np.testing.assert_allclose(gx.data, 2 * w.data**2 * B)
    w.cleargrad()
    x.cleargrad()
    (gx.sum() + gw.sum()).backward()
    assert w.grad is not None and x.grad is not None
    np.testing.assert_allclose(w.grad.data, (4 * w.data * B + 2 * B**2).sum(axis=0))
    np.testing.assert_allclose(x.grad.data, 2 * w.data**2 + 4 * w.data * B)


def test_grad_around_vmap_around_grad() -> None:
    """By what the inner function finds in its closure, at every depth."""

    def total(w: Any, run: Callable[..., Any]) -> Any:
        h = np.sin(w)

        def slope(x: Any) -> Any:
            return dezero.grad(lambda x: F.sum(F.tanh(h * x) * w) * x[0])(x)

        def row(x: Any) -> Any:
            return run(lambda y: F.sum(slope(x) * slope(y) * h))

        return run(row)

    def mapped(f: Callable[[Any], Any]) -> Any:
        return F.sum(vmap(f)(B))

    def looped(f: Callable[[Any], Any]) -> Any:
        return sum((f(x) for x in B), Variable(np.array(0.0)))

    f, g = (lambda w, run=run: total(w, run) for run in (mapped, looped))
    np.testing.assert_allclose(dezero.grad(f)(B[2]).data, dezero.grad(g)(B[2]).data)
    H, wanted = dezero.hessian(f)(B[2]), dezero.hessian(g)(B[2])
    np.testing.assert_allclose(H.data, wanted.data, rtol=1e-8, atol=1e-12)


def test_a_result_that_is_the_same_for_all() -> None:
    g = dezero.grad(lambda w: vmap(lambda x: w * 2)(B).sum())(B[0])
    np.testing.assert_array_equal(g.data, np.full(4, 6))
    each = vmap(dezero.grad(lambda x: F.sum(np.ones(2)) + 0 * x.sum()))(B)
    np.testing.assert_array_equal(each.data, np.zeros((3, 4)))


@pytest.mark.parametrize("compiled", [False, True])
def test_orders_of_transforms(compiled: bool) -> None:
    W = A[0, 0]
    run = dezero.compile if compiled else lambda f: f

    def f(x: Any) -> Any:
        return F.sum(np.tanh(F.matmul(W, x)) ** 3) * x[0]

    def stack(g: Callable[[Any], Any]) -> np.ndarray:
        return np.stack([g(x).data for x in B])

    for g in (
        dezero.grad(f),
        dezero.hessian(f),
        dezero.jacobian(dezero.hessian(f)),
        lambda x: dezero.hvp(f, x, B[1]),
        lambda x: dezero.jvp(f, x, B[1])[1],
        dezero.grad(dezero.checkpoint(f)),
        lambda x: dezero.grad(lambda x: F.sum(dezero.grad(f)(x) ** 2))(x),
    ):
        found = run(vmap(g))(B)
        np.testing.assert_allclose(found.data, stack(g), rtol=1e-9, atol=1e-12)
    whole = lambda x: vmap(f)(x).sum()  # noqa: E731
    np.testing.assert_allclose(run(dezero.grad(whole))(B).data, stack(dezero.grad(f)))
    second = run(dezero.hessian(whole))(B).data
    for i, wanted in enumerate(stack(dezero.hessian(f))):
        np.testing.assert_allclose(second[i, :, i], wanted, rtol=1e-9, atol=1e-12)


def test_gradients_of_a_model_for_each_example() -> None:
    class Net(dezero.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.conv = L.Conv2d(2, 3, in_channels=1, pad=1)
            self.last = L.Linear(4, in_size=2 * 2 * 2)

        def forward(self, x: Any) -> Any:
            h = F.pooling(F.relu(self.conv(x)), 2, 2)
            return self.last(F.flatten(h))

    net, x, t = Net(), rng.normal(size=(3, 1, 4, 4)).astype(np.float32), P[:, 0]

    def loss(x: Any, t: Any) -> Any:
        return F.softmax_cross_entropy(net(x[None]), t[None])

    values, grads = vmap(dezero.value_and_grad(loss, wrt=net))(x, t)
    for i in range(3):
        value, wanted = dezero.value_and_grad(loss, wrt=net)(x[i], t[i])
        np.testing.assert_allclose(values.data[i], value.data, rtol=1e-5)
        for name, g in wanted.items():
            np.testing.assert_allclose(
                grads[name].data[i], g.data, rtol=1e-4, atol=1e-5
            )
            assert grads[name].dtype == np.float32


def test_backward_within_adds_what_a_loop_adds() -> None:
    w = Parameter(B[0].copy())

    def f(x: Any) -> Any:
        y = F.sum(w * x * x)
        y.backward()
        return y

    vmap(f)(B)
    assert w.grad is not None
    np.testing.assert_allclose(w.grad.data, (B * B).sum(axis=0))


def test_debug_mode_sees_the_numbers_of_all_examples() -> None:
    with dezero.using_config("debug", True):
        found = vmap(dezero.grad(lambda x: F.sum(F.tanh(x) ** 2)))(B)
        with (
            pytest.warns(RuntimeWarning, match="Log: expected finite numbers, got NaN"),
            np.errstate(invalid="ignore"),
        ):
            vmap(F.log)(np.array([1.0, -1.0]))
    np.testing.assert_allclose(found.data, 2 * np.tanh(B) * (1 - np.tanh(B) ** 2))


def test_a_step_that_is_compiled_within() -> None:
    inner = dezero.compile(np.sin)
    np.testing.assert_array_equal(vmap(inner)(B), np.sin(B))


# -- one by one -----------------------------------------------------------------------


class Reader(dezero.Function):
    """Reads values, keeps arrays, has a buffer: all that a batch cannot do."""

    def forward(self, x: Any) -> Any:
        self.slope = np.zeros(x.shape)
        self.slope[:] = 2.0 if float(x.sum()) > 0 else -3.0
        self.length = (len(x), 1000)
        return x * self.slope, np.sort(np.asarray(x))[-1]

    def backward(self, gy: Variable, gm: Variable) -> Variable:
        assert self.length == (len(gy), 1000)
        return gy * self.slope


def test_a_function_that_reads_values_runs_one_by_one() -> None:
    x = Variable(B)
    y, most = vmap(lambda x: Reader()(x))(x)
    slope = np.where(B.sum(axis=1, keepdims=True) > 0, 2.0, -3.0)
    assert len(np.unique(slope)) == 2
    np.testing.assert_array_equal(y.data, B * slope)
    np.testing.assert_array_equal(most.data, B.max(axis=1))
    y.sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.data, np.broadcast_to(slope, B.shape))
    both = vmap(vmap(lambda x: Reader()(x)[0]))(np.stack([B, -B]))
    np.testing.assert_array_equal(both[0].data, y.data)


def test_each_example_moves_running_averages() -> None:
    def averages(run: Callable[[Any], Any]) -> np.ndarray:
        mean, var = np.zeros(4), np.ones(4)
        run(lambda x: F.batch_norm(x, np.ones(4), np.zeros(4), mean, var))
        return np.stack([mean, var])

    np.testing.assert_allclose(
        averages(lambda f: vmap(f)(A[:, 0])),
        averages(lambda f: [f(x) for x in A[:, 0]]),
    )


# -- random numbers -------------------------------------------------------------------


def test_each_example_has_random_numbers_of_its_own() -> None:
    f = lambda x: F.dropout(x, 0.4)  # noqa: E731
    x = np.ones((3, 2, 5))
    np.random.seed(1)
    found = vmap(vmap(f))(x)
    np.random.seed(1)
    wanted = [[f(row).data for row in part] for part in x]
    np.testing.assert_array_equal(found.data, wanted)
    np.random.seed(1)
    same = vmap(lambda _: f(x[0, 0]))(x)  # of what is the same for all
    np.random.seed(1)
    np.testing.assert_array_equal(same.data, [f(x[0, 0]).data for _ in range(3)])

    def draw(_: Any) -> Any:
        return dezero.random.generator().permutation(5)

    np.random.seed(1)
    orders = vmap(vmap(draw))(x)
    np.random.seed(1)
    np.testing.assert_array_equal(orders, [[draw(row) for row in part] for part in x])


# -- errors ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: vmap(3), TypeError, "vmap: expected a function, got int"),
        (
            lambda: vmap(np.add)(np.ones(3), np.ones((4, 2))),
            ValueError,
            "vmap: expected one number of examples along in_axes, got 3 in shape (3,) "
            "and 4 in shape (4, 2)",
        ),
        (
            lambda: vmap(np.sin, in_axes=1)(np.ones(3)),
            ValueError,
            "vmap: expected an array with axis 1 for the examples, got shape (3,); "
            "write None in in_axes for what is the same for all",
        ),
        (
            lambda: vmap(np.sin, in_axes=None)(np.ones(3)),
            ValueError,
            "vmap: expected examples along in_axes, got none",
        ),
        (
            lambda: vmap(np.sin)(np.ones((0, 3))),
            ValueError,
            "vmap: expected examples along in_axes, got none",
        ),
        (
            lambda: vmap(np.add, in_axes=(0,))(np.ones(3), np.ones(3)),
            TypeError,
            "vmap: expected in_axes for each of 2 arguments, got 1",
        ),
        (
            lambda: vmap(np.sin, in_axes=("x",))(np.ones(3)),
            TypeError,
            "vmap: expected in_axes as integers, None, or structures of them like what "
            "they are for, got 'x'",
        ),
        (
            lambda: vmap(np.sin, out_axes=2)(np.ones((3, 2))),
            ValueError,
            "vmap: expected out_axes from -2 to 1 for results of shape (2,), got 2",
        ),
        (
            lambda: vmap(np.sin, out_axes=None)(np.ones((3, 2))),
            ValueError,
            "vmap: expected a result that is the same for all examples, as "
            "out_axes=None says, got one of each",
        ),
        (
            lambda: vmap(lambda x: x if x > 0 else -x)(np.ones(3)),
            TypeError,
            "vmap: expected a function that reads no values, got if x, while x, x and "
            "y of a batch of 3; to choose by values write np.where(condition, a, b), "
            "to index an array by them F.get_item(x, index)",
        ),
        (
            lambda: vmap(lambda x: float(F.sum(x)))(np.ones((3, 2))),
            TypeError,
            "vmap: expected a function that reads no values, got x.item() of a batch "
            "of 3; to choose by values write np.where(condition, a, b), to index an "
            "array by them F.get_item(x, index)",
        ),
        (
            lambda: vmap(lambda x: np.add(np.ones(2), x, out=np.ones(2)))(B[:, :2]),
            TypeError,
            "np.add with out: expected an array of each example to write into, got a "
            "single one; write y = ... for a new array",
        ),
        (
            lambda: vmap(lambda x: np.copyto(np.ones(2), x))(B[:, :2]),
            TypeError,
            "np.copyto: expected an array of each example to write into, got a single "
            "one; write y = ... for a new array",
        ),
        (
            lambda: vmap(lambda x: np.unique(x))(np.array([[1, 1], [1, 2]])),
            TypeError,
            "vmap: expected the same shape from every example, got (1,), (2,)",
        ),
        (
            lambda: vmap(lambda x: x.strides)(B),
            TypeError,
            "vmap: expected no use of x.strides, which has no rule",
        ),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message
