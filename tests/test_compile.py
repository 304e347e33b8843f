"""``dezero.compile`` as its user sees it: every step does what it does eagerly."""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import os
import subprocess
import sys
import textwrap
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import Function, Parameter, Variable, optimizers
from dezero.compiler import CompileError, MismatchError, NonFiniteError
from dezero.compiler.llvm import find_llvm
from dezero.models import MLP, Model, Sequential

needs_llvm = pytest.mark.skipif(find_llvm() is None, reason="llvmlite is not here")


@pytest.fixture(scope="module", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of compiled kernels for these tests alone."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEZERO_HOME", str(folder))
        yield folder


# -- eager and compiled, side by side -------------------------------------------------


def contents(thing: Any, path: str = "", seen: Any = ()) -> Iterator[tuple[str, Any]]:
    """Everything that an object keeps, by the way to it: arrays, numbers, text."""
    if isinstance(thing, (np.ndarray, np.generic, int, float, str, type(None))):
        yield path, thing
        return
    if id(thing) in seen:
        return
    seen = (*seen, id(thing))
    if isinstance(thing, Variable):
        yield f"{path}:type", type(thing).__name__
        yield f"{path}:requires_grad", thing.requires_grad
        yield f"{path}:name", thing.name
        yield from contents(thing.data, f"{path}.data", seen)
        yield from contents(thing.grad, f"{path}.grad", seen)
    elif isinstance(thing, dict):
        for i, (key, value) in enumerate(thing.items()):
            name = key if isinstance(key, str) else i
            yield from contents(value, f"{path}[{name!r}]", seen)
    elif isinstance(thing, (tuple, list)):
        yield f"{path}:kind", f"{type(thing).__name__} of {len(thing)}"
        for i, value in enumerate(thing):
            yield from contents(value, f"{path}[{i}]", seen)
    elif (hasattr(thing, "__dict__") and not callable(thing)) or isinstance(
        thing, (dezero.Layer, optimizers.Optimizer)
    ):
        for name, value in vars(thing).items():
            if not name.startswith("_"):
                yield from contents(value, f"{path}.{name}", seen)


def assert_same(wanted: Any, found: Any, what: str, rtol: float | None = None) -> None:
    """The same structures, types and shapes; numbers as near as the issue promises."""
    here, there = list(contents(wanted)), list(contents(found))
    assert [path for path, _ in here] == [path for path, _ in there], what
    for (path, a), (_, b) in zip(here, there, strict=True):
        where = f"{what}: {path}"
        if a is None or isinstance(a, (str, bool)):
            assert type(a) is type(b) and a == b, (where, a, b)
            continue
        arrays = isinstance(a, (np.ndarray, np.generic))  # no axes: scalar or array
        assert arrays == isinstance(b, (np.ndarray, np.generic)), where
        assert arrays or type(a) is type(b), (where, type(a), type(b))
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape and a.dtype == b.dtype, (where, a.dtype, b.dtype)
        near = {"f4": 1e-5, "f8": 1e-12}.get(a.dtype.str[1:], 0.0)
        near = near if rtol is None else rtol
        if a.dtype.kind not in "fc":
            assert np.array_equal(a, b), (where, a, b)
            continue
        scale = float(np.max(np.abs(a[np.isfinite(a)]), initial=0.0))
        np.testing.assert_allclose(b, a, rtol=near, atol=near * scale, err_msg=where)


def follow(
    make: Callable[[], Any],
    calls: list[Any],
    rtol: float | None = None,
    **options: Any,
) -> tuple[Any, Any]:
    """Make two worlds alike, run the step of one eagerly, of the other compiled.

    ``make`` gives a namespace: its ``step``, and all that is to be compared. An entry
    of ``calls`` is the tuple of arguments of one call, or a function that does
    something to the world between two calls.
    """
    np.random.seed(0)
    here = make()
    np.random.seed(0)
    there = make()
    compiled = dezero.compile(there.step, **options)
    there.compiled = compiled
    for number, one in enumerate(calls):
        if callable(one):
            one(here)
            one(there)
            continue
        arguments = (one, {}) if isinstance(one, tuple) else ((), one)
        mine, its = copy.deepcopy(arguments), copy.deepcopy(arguments)
        np.random.seed(number)
        wanted = here.step(*mine[0], **mine[1])
        after = np.random.get_state()[1:3]
        np.random.seed(number)
        found = compiled(*its[0], **its[1])
        what = f"call {number}"
        assert_same(wanted, found, f"{what}, what it returns", rtol)
        assert_same(mine, its, f"{what}, its arguments", rtol)
        worlds = [
            {k: v for k, v in vars(w).items() if k not in ("step", "compiled")}
            for w in (here, there)
        ]
        assert_same(*worlds, f"{what}, what it leaves", rtol)
        assert_same(after, np.random.get_state()[1:3], f"{what}, random numbers")
    there.programs = [p for ps in compiled._programs.values() for p in ps]
    return here, there


def batch(n: int = 8, features: int = 5, classes: int = 3, seed: int = 0) -> Any:
    rng = np.random.RandomState(seed)
    x = rng.randn(n, features).astype(np.float32)
    return x, rng.randint(0, classes, n)


def batches(count: int = 4, **kwargs: Any) -> list[Any]:
    return [batch(seed=i, **kwargs) for i in range(count)]


def trained(
    model: Any, optimizer: Any, *hooks: Any, loss: Any = F.softmax_cross_entropy
) -> Any:
    """The step of every program: forward, backward, update."""
    optimizer.setup(model)
    for hook in hooks:
        optimizer.add_hook(hook)

    def step(x: Any, t: Any) -> Variable:
        value = loss(model(x), t)
        model.cleargrads()
        value.backward()
        optimizer.update()
        return value

    return SimpleNamespace(step=step, model=model, optimizer=optimizer)


def mlp(dtype: Any = np.float32) -> Any:
    class TwoLayers(Model):
        def __init__(self) -> None:
            super().__init__()
            self.l1 = L.Linear(7, in_size=5, dtype=dtype)
            self.l2 = L.Linear(3, in_size=7, dtype=dtype)

        def forward(self, x: Any) -> Variable:
            return self.l2(F.tanh(self.l1(x)))

    return TwoLayers()


# -- arguments and what is returned ---------------------------------------------------


def test_arguments_of_any_structure() -> None:
    def make() -> Any:
        def step(
            pair: Any, *rest: Any, table: Any, scale: float = 2.0, mode: str = "a"
        ) -> Any:
            (a, [b, c]), d = pair
            y = a * b + c["k"] * scale
            if mode == "b":
                y = y - 1
            if d is None:
                y = y * 3
            return y + rest[0] + table["w"][0][1]

        return SimpleNamespace(step=step)

    rng = np.random.RandomState(0)
    a, b, c, w, r = (rng.randn(4, 3) for _ in range(5))
    table = {"w": [(1, w)], "unused": None}
    for mode, d in (("a", None), ("b", None), ("b", 0)):
        pair = ((a, [b, {"k": c}]), d)

        def call(step: Any, pair: Any = pair, mode: str = mode) -> Any:
            return step(pair, r, table=table, mode=mode, scale=0.5)

        world = make()
        compiled = dezero.compile(world.step)
        for _ in range(3):
            assert_same(call(world.step), call(compiled), mode)


def test_variables_as_arguments_get_their_gradients() -> None:
    def make() -> Any:
        def step(x: Variable, xs: Any) -> Variable:
            y = F.sum(x * x * xs["a"][0] + F.exp(xs["a"][1]))
            y.backward()
            return y

        return SimpleNamespace(step=step)

    x = Variable(np.random.randn(3), name="x")
    xs = {"a": (Variable(np.random.randn(3)), Variable(np.random.randn(3)))}
    follow(make, [(x, xs)] * 3)


def test_gradients_of_a_variable_add_up_over_calls() -> None:
    def step(x: Variable) -> None:
        F.sum(x * x).backward()

    compiled = dezero.compile(step)
    here, there = Variable(np.ones(3)), Variable(np.ones(3))
    for i in range(5):
        if i == 3:
            here.cleargrad()
            there.cleargrad()
        step(here)
        compiled(there)
        assert_same(here, there, f"call {i}")


def test_two_arguments_that_are_one_variable() -> None:
    def step(x: Variable, y: Variable) -> Any:
        z = F.sum(x * x * y)
        z.backward()
        return z

    compiled = dezero.compile(step)
    x, y = Variable(np.arange(3.0)), Variable(np.arange(3.0) + 1)
    for pair in [(x, y), (x, x), (x, y), (y, y)]:
        mine, its = copy.deepcopy(pair), copy.deepcopy(pair)
        assert_same(step(*mine), compiled(*its), "value")
        assert_same(mine, its, "arguments")


def test_two_arguments_that_are_one_array() -> None:
    def step(x: Any, y: Any) -> Any:
        return x * 2 + y

    compiled = dezero.compile(step)
    x, y = np.arange(3.0), np.arange(3.0) + 5
    for pair in [(x, x), (x, y), (y, x), (y, y)]:
        assert_same(step(*pair), compiled(*pair), "value")


def test_an_array_of_the_state_as_an_argument() -> None:
    layer = L.Linear(3, in_size=5)

    def step(x: Any) -> Any:
        return (x * 2).sum() + layer.W.data.sum()

    compiled = dezero.compile(step)
    for x in (layer.W.data, np.zeros((5, 3), np.float32), layer.W.data):
        assert_same(step(x), compiled(x), "sum")


def test_an_argument_that_is_also_a_parameter() -> None:
    def make() -> Any:
        world = trained(mlp(), optimizers.SGD(0.1))
        run = world.step

        def step(x: Any, t: Any, W: Variable) -> Any:
            return run(x, t), F.sum(W * W)

        world.step = step
        return world

    np.random.seed(0)
    here = make()
    np.random.seed(0)
    there = make()
    compiled = dezero.compile(there.step)
    for x, t in batches(4):
        a = here.step(x, t, here.model.l1.W)
        b = compiled(x, t, there.model.l1.W)
        assert_same(a, b, "value")
        assert_same(here.model, there.model, "model")


def test_results_of_any_structure() -> None:
    def make() -> Any:
        def step(x: Any) -> Any:
            v = Variable(x)
            y = v * 2
            return {
                "y": y,
                "bare": y.data,
                "same": (y, y),
                "given": x,
                "variable": v,
                "list": [1, 2.5, "text", None, (x + 1, {"deep": y[0]})],
            }

        return SimpleNamespace(step=step)

    follow(make, [(np.random.randn(2, 3),) for _ in range(3)])


def test_a_variable_returned_is_the_one_given() -> None:
    step = dezero.compile(lambda x, v: (x, v, F.sum(v)))
    for _ in range(3):
        x, v = np.ones(2), Variable(np.ones(2))
        a, b, _ = step(x, v)
        assert b is v and np.array_equal(a, x)


def test_results_stay_as_they_were_returned() -> None:
    step = dezero.compile(lambda x: (F.exp(x), (x * 2)[0], x.T))
    xs = [np.full((2, 3), float(i)) for i in range(4)]
    results = [step(x) for x in xs]
    for x, (y, z, w) in zip(xs, results, strict=True):
        np.testing.assert_allclose(y.data, np.exp(x), rtol=1e-12)
        np.testing.assert_allclose(z, x[0] * 2)
        np.testing.assert_allclose(w, x.T)


def test_results_may_be_written() -> None:
    step = dezero.compile(lambda x: (x + 1, np.zeros(2), Variable(np.ones(2))))
    for _ in range(3):
        y, zeros, ones = step(np.zeros(2))
        assert y.tolist() == [1, 1] and zeros.tolist() == [0, 0]
        assert ones.data.tolist() == [1, 1]
        for x in (y, zeros, ones.data):
            x += 7


def test_arguments_are_not_written_or_kept() -> None:
    step = dezero.compile(lambda x: F.sum(F.exp(x) * x))
    x = np.ones(3)
    for i in range(3):
        before = x.copy()
        step(x)
        assert np.array_equal(x, before)
        x = x + i
    gone = weakref.ref(x)
    step(x)
    step(np.ones(3))
    del x
    gc.collect()
    assert gone() is None


def test_an_argument_written_in_place_between_calls() -> None:
    step = dezero.compile(lambda x: F.sum(x * x))
    x = np.ones(4)
    for i in range(4):
        x[...] = i
        assert float(step(x)) == 4 * i * i


def test_an_argument_that_the_step_writes() -> None:
    def make() -> Any:
        def step(x: Any) -> Any:
            x += 1
            return x * 2

        return SimpleNamespace(step=step)

    follow(make, [(np.ones(3),), (np.zeros(3),), (np.ones(3),)])


@pytest.mark.parametrize("order", ["F", "strided", "reversed", "transposed"])
def test_arguments_in_any_layout(order: str) -> None:
    def make() -> Any:
        return trained(mlp(), optimizers.SGD(0.1))

    x, t = batch()
    plain = (x, t)
    if order == "F":
        x = np.asfortranarray(x)
    elif order == "strided":
        x, t = np.repeat(x, 2, axis=0)[::2], np.repeat(t, 3)[::3]
    elif order == "reversed":
        x, t = x[::-1], t[::-1]
    else:
        x = np.ascontiguousarray(x.T).T

    np.random.seed(0)
    here = make()
    np.random.seed(0)
    there = make()
    compiled = dezero.compile(there.step)
    for pair in [(x, t), plain, (x, t), plain]:
        assert_same(here.step(*pair), compiled(*pair), order)
        assert_same(here.model, there.model, order)


def test_numbers_of_numpy_as_arguments() -> None:
    def make() -> Any:
        return SimpleNamespace(step=lambda x, k: x * k)

    x = np.ones(3, np.float32)
    follow(make, [(x, np.float32(2)), (x, np.float64(3)), (x, 2), (x, 2.0), (x, True)])


def test_equal_numbers_of_other_types_are_other_signatures() -> None:
    step = dezero.compile(lambda x, k: x * k)
    x = np.arange(3)
    for k in (1, 1.0, True, np.float32(1), np.int8(1), 1 + 0j):
        assert step(x, k).dtype == (x * k).dtype, k


def test_minus_zero_is_not_zero() -> None:
    step = dezero.compile(lambda x, k: np.copysign(x, k))
    x = np.ones(2)
    assert step(x, 0.0).tolist() == [1, 1]
    assert step(x, -0.0).tolist() == [-1, -1]


def test_nan_as_an_argument_compiles_once() -> None:
    step = dezero.compile(lambda x, k: x * k)
    for _ in range(4):
        assert np.isnan(step(np.ones(2), float("nan"))).all()
    assert len(step._reasons) == 1


def test_other_types_and_shapes_share_the_state() -> None:
    def make() -> Any:
        return trained(mlp(), optimizers.Adam(0.01))

    x, t = batch()
    calls: list[Any] = [(x, t), (x[:3], t[:3]), (x, t.astype(np.int32)), (x, t)]
    calls += [(x.astype(np.float64), t), (x[:1], t[:1]), (x, t), (x[:3], t[:3])]
    follow(make, calls, 1e-5)


def test_a_method_as_a_step() -> None:
    class Trainer(Model):
        def __init__(self) -> None:
            super().__init__()
            self.l = L.Linear(3)
            self.optimizer = optimizers.SGD(0.1).setup(self)

        @dezero.compile
        def fit(self, x: Any, t: Any) -> Variable:
            """Fit."""
            loss = F.softmax_cross_entropy(self.l(x), t)
            self.cleargrads()
            loss.backward()
            self.optimizer.update()
            return loss

    np.random.seed(0)
    here, there, other = Trainer(), Trainer(), Trainer()
    x, t = batch()
    here.l(x)
    there.l(x)
    other.l(x)
    there.l.W.data = here.l.W.data.copy()
    for x, t in batches(4):
        wanted = Trainer.fit._function(here, x, t)
        assert_same(wanted, there.fit(x, t), "loss")
        assert_same(list(here.params()), list(there.params()), "model")
    assert there.fit is there.fit and there.fit is not other.fit
    assert Trainer.fit.__doc__ == "Fit." and Trainer.fit.__name__ == "fit"


def test_a_model_with_a_compiled_method_is_saved_copied_and_pickled(
    tmp_path: Path,
) -> None:
    class Net(Model):
        def __init__(self) -> None:
            super().__init__()
            self.l = L.Linear(2, in_size=3)

        @dezero.compile
        def predict(self, x: Any) -> Variable:
            return self.l(x)

    net, x = Net(), np.ones((2, 3), np.float32)
    net.predict(x)
    net.save_weights(tmp_path / "net")
    net.load_weights(tmp_path / "net")
    twin = copy.deepcopy(net)
    twin.l.W.data = twin.l.W.data * 2
    assert_same(twin.l(x), twin.predict(x), "the copy")
    assert_same(net.l(x), net.predict(x), "the first")


def test_what_else_may_be_a_step() -> None:
    class Scaled:
        def __init__(self, k: float) -> None:
            self.k = k

        def __call__(self, x: Any) -> Any:
            return x * self.k

        def half(self, x: Any) -> Any:
            return x / 2

        @staticmethod
        def third(x: Any) -> Any:
            return x / 3

    def scaled(k: float, x: Any) -> Any:
        return x * k

    x = np.arange(3.0)
    for step in (
        lambda x: x * 2,
        functools.partial(scaled, 3.0),
        functools.partial(scaled, x=x, k=4.0),
        Scaled(5.0),
        Scaled(1.0).half,
        Scaled.third,
        np.exp,
        F.exp,
        L.Linear(2, in_size=3, dtype=np.float64),
    ):
        arguments = () if getattr(step, "keywords", None) else (x[None],)
        compiled = dezero.compile(step)
        for _ in range(3):
            assert_same(step(*arguments), compiled(*arguments), str(step))


def test_a_closure_whose_numbers_change() -> None:
    rate = Variable(np.array(2.0))
    step = dezero.compile(lambda x: x * rate)
    x = np.ones(2)
    assert step(x).data.tolist() == [2, 2]
    rate.data = np.array(3.0)
    assert step(x).data.tolist() == [3, 3]
    rate.data[...] = 4.0
    assert step(x).data.tolist() == [4, 4]


def test_a_bare_array_of_the_closure_that_changes_between_calls() -> None:
    table = np.arange(3.0)
    step = dezero.compile(lambda x: x * table)
    x = np.ones(3)
    assert step(x).tolist() == [0, 1, 2]
    table[...] = 7
    assert step(x).tolist() == [7, 7, 7]


NESTED = """
import numpy as np, dezero, dezero.functions as F, dezero.layers as L
layer = L.Linear(3, in_size=5, nobias=True)
inner = dezero.compile(lambda x: F.tanh(layer(x)) * 2)
step = dezero.compile(lambda x: F.sum(inner(x)))
x = np.ones((2, 5), np.float32)
{before}
for _ in range(3):
    assert np.allclose(step(x).data, (np.tanh(layer(x).data) * 2).sum()), step(x)
assert "__getattribute__" not in vars(dezero.backend.tracing.Stateful)
"""


@pytest.mark.parametrize("before", ["", "inner(x)"])
def test_a_compiled_step_calls_a_compiled_step(before: str) -> None:
    found = subprocess.run(
        [sys.executable, "-c", NESTED.format(before=before)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr


# -- modes ----------------------------------------------------------------------------


def test_forward_alone() -> None:
    for mode in (dezero.no_grad, dezero.test_mode, contextlib.nullcontext):

        def make(mode: Any = mode) -> Any:
            model = mlp()

            def step(batch: Any) -> Any:
                with mode():
                    return model(batch)

            return SimpleNamespace(step=step, model=model)

        follow(make, [(x,) for x, _ in batches(3)])


def test_switching_between_training_and_evaluation() -> None:
    class Net(Model):
        def __init__(self) -> None:
            super().__init__()
            self.l1 = L.Linear(6, nobias=True)  # it would have a gradient of noise
            self.bn, self.l2 = L.BatchNorm(), L.Linear(3)

        def forward(self, x: Any) -> Variable:
            return self.l2(F.dropout(F.relu(self.bn(self.l1(x))), 0.4))

    np.random.seed(0)
    here = trained(Net(), optimizers.Adam())
    np.random.seed(0)
    there = trained(Net(), optimizers.Adam())
    fit, predict = dezero.compile(there.step), dezero.compile(there.model.__call__)
    for i, (x, t) in enumerate(batches(5)):
        np.random.seed(i)
        wanted = here.step(x, t)
        np.random.seed(i)
        assert_same(wanted, fit(x, t), "training", 1e-4)
        with dezero.test_mode():
            assert_same(here.model(x), predict(x), "evaluation", 1e-4)
        with dezero.no_grad():
            np.random.seed(i)
            wanted = here.model(x)
            np.random.seed(i)
            assert_same(wanted, predict(x), "no_grad", 1e-4)
        assert_same(
            [here.model, here.optimizer], [there.model, there.optimizer], "state", 1e-4
        )
    assert len(predict._reasons) == 2


def test_a_step_called_in_both_modes() -> None:
    def make() -> Any:
        model = Sequential(
            L.Linear(6, in_size=5), L.BatchNorm(), F.relu, L.Linear(3, in_size=6)
        )
        return SimpleNamespace(model=model, step=model.__call__)

    np.random.seed(0)
    here = make()
    np.random.seed(0)
    there = make()
    compiled = dezero.compile(there.step)
    for i, (x, _) in enumerate(batches(6)):
        with dezero.test_mode() if i % 2 else contextlib.nullcontext():
            assert_same(here.step(x), compiled(x), "value")
        assert_same(here.model, there.model, "model")


def test_the_short_last_batch() -> None:
    def make() -> Any:
        return trained(mlp(), optimizers.Adam(0.01))

    sizes = [8, 8, 3, 8, 8, 3, 1, 8]
    follow(make, [batch(n, seed=i) for i, n in enumerate(sizes)])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_types(dtype: Any) -> None:
    def make() -> Any:
        return trained(mlp(dtype), optimizers.MomentumSGD(0.1))

    rtol = 4e-3 if dtype == np.float16 else None
    follow(make, [(x.astype(dtype), t) for x, t in batches()], rtol)


def test_a_batch_of_another_type_than_the_parameters() -> None:
    def make() -> Any:
        return trained(mlp(), optimizers.Adam(0.01))

    follow(make, [(x.astype(np.float64), t) for x, t in batches()])


def test_integers_and_booleans() -> None:
    def make() -> Any:
        def step(a: Any, b: Any, m: Any) -> Any:
            return [
                a + b,
                a // b,
                a % b,
                a**2,
                a / b,
                (a > b) & m,
                ~m,
                a.sum(),
                m.sum(),
                a.mean(),
                m.mean(),
                a * 0.5,
                a << 1,
                np.maximum(a, b),
                m + m,
                m * 2,
                m.astype(np.float32),
                a.astype(np.int8),
                a.cumsum(),
                -a,
                abs(-a),
                a == b,
            ]

        return SimpleNamespace(step=step)

    rng = np.random.RandomState(0)
    for kind in (np.int64, np.int32, np.uint8, np.int16):
        calls = [
            (
                rng.randint(0, 100, 9).astype(kind),
                rng.randint(1, 100, 9).astype(kind),
                rng.rand(9) > 0.5,
            )
            for _ in range(3)
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            follow(make, calls)


def test_arrays_without_elements_and_without_axes() -> None:
    def make() -> Any:
        return SimpleNamespace(
            step=lambda x: (x * 2 + 1, x.sum(), F.exp(x), x.reshape(-1))
        )

    shapes = [(), (0,), (3, 0), (1,), (1, 1, 1)]
    follow(make, [(np.ones(shape),) for shape in shapes * 2])


# -- derivatives ----------------------------------------------------------------------


def test_the_gradient_penalty() -> None:
    def make() -> Any:
        model = MLP((8, 8, 1), activation=F.tanh)
        optimizer = optimizers.Adam(0.01).setup(model)

        def step(x: Any) -> Any:
            x = Variable(x)
            y = model(x)
            model.cleargrads()
            F.sum(y).backward(create_graph=True)
            gx = x.grad
            model.cleargrads()
            x.cleargrad()
            norm = F.sum(gx * gx, axis=1) ** 0.5
            penalty = F.mean((norm - 1) ** 2) + F.mean(y)
            penalty.backward()
            optimizer.update()
            return penalty, gx

        return SimpleNamespace(step=step, model=model, optimizer=optimizer)

    follow(make, [(x,) for x, _ in batches()])


def test_newtons_method() -> None:
    def make() -> Any:
        x = Variable(np.array(2.0))

        def step() -> Any:
            y = x**4 - 2 * x**2
            x.cleargrad()
            y.backward(create_graph=True)
            gx = x.grad
            x.cleargrad()
            gx.backward()
            gx2 = x.grad
            x.data -= gx.data / gx2.data
            return y

        return SimpleNamespace(step=step, x=x)

    _, there = follow(make, [()] * 8)
    assert there.x.data == pytest.approx(1.0)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_derivatives_of_any_order(order: int) -> None:
    def make() -> Any:
        x = Variable(np.linspace(-2.0, 2.0, 7))

        def step() -> Any:
            x.cleargrad()
            y = F.tanh(x) * F.sin(x)
            y.backward(create_graph=True)
            for _ in range(order - 1):
                gx = x.grad
                x.cleargrad()
                gx.backward(create_graph=True)
            return x.grad

        return SimpleNamespace(step=step, x=x)

    def leave_graph(world: Any) -> None:
        world.x.cleargrad()

    follow(make, [(), leave_graph, (), leave_graph, (), leave_graph], 1e-10)


def test_a_second_derivative_in_a_later_call() -> None:
    """What a call leaves in grad has no graph; eager's has, so it is an error there."""
    x = Variable(np.array(3.0))

    def step() -> Any:
        x.cleargrad()
        (x**3).backward(create_graph=True)
        return x.grad

    compiled = dezero.compile(step)
    compiled()
    gx = compiled()
    assert gx.data == 27.0
    with pytest.raises(dezero.errors.GradientError):
        gx.backward()


def test_gradients_kept_in_between() -> None:
    def make() -> Any:
        def step(x: Any) -> Any:
            v = Variable(x)
            y = v * 2
            z = F.sum(F.exp(y))
            z.backward(retain_grad=True)
            return z, y.grad, v.grad, z.grad

        return SimpleNamespace(step=step)

    follow(make, [(np.random.randn(3),)] * 3)


# -- several models, optimizers, hooks ------------------------------------------------


def test_gan() -> None:
    def make() -> Any:
        G = Sequential(L.Linear(8), F.relu, L.Linear(5))
        D = Sequential(L.Linear(8), F.leaky_relu, L.Linear(1))
        opt_g = optimizers.Adam(0.01, beta1=0.5).setup(G)
        opt_d = optimizers.Adam(0.02, beta1=0.5).setup(D)
        opt_d.add_hook(optimizers.WeightDecay(1e-3))

        def step(x: Any) -> Any:
            z = np.random.randn(len(x), 4).astype(np.float32)
            fake = G(z)
            ones, zeros = np.ones((len(x), 1)), np.zeros((len(x), 1))
            real_loss = F.sigmoid_cross_entropy(D(x), ones.astype(np.int32))
            fake_loss = F.sigmoid_cross_entropy(D(fake), zeros.astype(np.int32))
            loss_d = real_loss + fake_loss
            D.cleargrads()
            G.cleargrads()
            loss_d.backward()
            opt_d.update()
            loss_g = F.sigmoid_cross_entropy(D(G(z)), ones.astype(np.int32))
            D.cleargrads()
            G.cleargrads()
            loss_g.backward()
            opt_g.update()
            return {"d": loss_d, "g": loss_g}

        return SimpleNamespace(step=step, G=G, D=D, opts=[opt_g, opt_d])

    follow(make, [(x,) for x, _ in batches(5)], 2e-5)


def test_tied_parameters() -> None:
    class Tied(Model):
        def __init__(self) -> None:
            super().__init__()
            self.l1 = L.Linear(5, in_size=5)
            self.l2 = L.Linear(5, in_size=5)
            self.l2.W = self.l1.W
            self.l3 = self.l1

        def forward(self, x: Any) -> Variable:
            return self.l3(F.relu(self.l2(F.relu(self.l1(x)))))

    def make() -> Any:
        return trained(Tied(), optimizers.MomentumSGD(0.05))

    follow(make, batches())


def test_two_optimizers_for_parts_of_one_model() -> None:
    def make() -> Any:
        model = mlp()
        first = optimizers.SGD(0.1).setup(model.l1)
        second = optimizers.Adam(0.01).setup(model.l2)

        def step(x: Any, t: Any) -> Any:
            loss = F.softmax_cross_entropy(model(x), t)
            model.cleargrads()
            loss.backward()
            first.update()
            second.update()
            return loss

        return SimpleNamespace(step=step, model=model, opts=[first, second])

    follow(make, batches())


HOOKS: dict[str, Callable[[Any], list[Any]]] = {
    "decay": lambda m: [optimizers.WeightDecay(0.01)],
    "clip": lambda m: [optimizers.ClipGrad(0.1)],
    "clip values": lambda m: [optimizers.ClipValue(0.01)],
    "clip, which does nothing": lambda m: [optimizers.ClipGrad(1e3)],
    "freeze a layer": lambda m: [optimizers.FreezeParam(m.l1)],
    "freeze a parameter": lambda m: [optimizers.FreezeParam(m.l2.W, m.l1.b)],
    "all": lambda m: [
        optimizers.FreezeParam(m.l1.b),
        optimizers.WeightDecay(0.1),
        optimizers.ClipGrad(0.5),
    ],
    "a function": lambda m: [_halve],
}


def _halve(params: list[Parameter]) -> None:
    for param in params:
        assert param.grad is not None
        param.grad.data *= 0.5


@pytest.mark.parametrize("name", list(HOOKS))
def test_hooks(name: str) -> None:
    def make() -> Any:
        model = mlp()
        return trained(model, optimizers.Adam(0.01), *HOOKS[name](model))

    follow(make, batches())


def test_hooks_whose_numbers_change() -> None:
    def make() -> Any:
        world = trained(mlp(), optimizers.SGD(0.1))
        world.decay, world.clip = optimizers.WeightDecay(0.1), optimizers.ClipGrad(1.0)
        world.optimizer.add_hook(world.decay)
        world.optimizer.add_hook(world.clip)
        return world

    def change(world: Any) -> None:
        world.decay.rate, world.clip.max_norm = 0.5, 0.01

    x = batch()
    _, there = follow(make, [x, x, change, x, x])
    assert len(there.programs) == 1


def test_a_hook_added_between_calls() -> None:
    def make() -> Any:
        return trained(mlp(), optimizers.SGD(0.1))

    def add(world: Any) -> None:
        world.optimizer.add_hook(optimizers.WeightDecay(0.5))

    def remove(world: Any) -> None:
        world.optimizer.hooks.clear()

    x = batch()
    follow(make, [x, x, add, x, x, remove, x, x])


def test_gradients_accumulated_over_calls() -> None:
    def make() -> Any:
        model = mlp()
        optimizer = optimizers.SGD(0.1).setup(model)

        def step(x: Any, t: Any) -> Any:
            loss = F.softmax_cross_entropy(model(x), t)
            loss.backward()
            return loss

        return SimpleNamespace(step=step, model=model, optimizer=optimizer)

    def update(world: Any) -> None:
        world.optimizer.update()
        world.model.cleargrads()

    x = batches(8)
    follow(make, [x[0], x[1], update, x[2], x[3], update, x[4], x[5], x[6], update])


def test_accumulation_and_update_both_compiled() -> None:
    def make() -> Any:
        model = mlp()
        optimizer = optimizers.Adam(0.01).setup(model)

        def gather(x: Any, t: Any) -> Any:
            loss = F.softmax_cross_entropy(model(x), t)
            loss.backward()
            return loss

        def update() -> None:
            optimizer.update()
            model.cleargrads()

        return SimpleNamespace(
            model=model, optimizer=optimizer, gather=gather, update=update
        )

    np.random.seed(0)
    here = make()
    np.random.seed(0)
    there = make()
    gather, update = dezero.compile(there.gather), dezero.compile(there.update)
    for i, (x, t) in enumerate(batches(9)):
        assert_same(here.gather(x, t), gather(x, t), "loss")
        assert_same(here.model, there.model, "gradients")
        if i % 3 == 2:
            here.update()
            update()
            both = [[w.model, w.optimizer] for w in (here, there)]
            assert_same(*both, "update")


def test_gradients_that_are_never_cleared() -> None:
    def make() -> Any:
        model = mlp()
        optimizer = optimizers.SGD(0.01).setup(model)

        def step(x: Any, t: Any) -> Any:
            loss = F.softmax_cross_entropy(model(x), t)
            loss.backward()
            optimizer.update()
            return loss

        return SimpleNamespace(step=step, model=model, optimizer=optimizer)

    follow(make, batches(5))


def test_gradients_cleared_at_the_end() -> None:
    def make() -> Any:
        world = trained(mlp(), optimizers.SGD(0.1))
        run = world.step

        def step(x: Any, t: Any) -> Any:
            loss = run(x, t)
            world.model.cleargrads()
            return loss

        world.step = step
        return world

    follow(make, batches())


# -- optimizers -----------------------------------------------------------------------

OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "SGD": lambda: optimizers.SGD(0.1),
    "MomentumSGD": lambda: optimizers.MomentumSGD(0.1),
    "AdaGrad": lambda: optimizers.AdaGrad(0.1),
    "AdaDelta": lambda: optimizers.AdaDelta(),
    "Adam": lambda: optimizers.Adam(0.01),
}
every_optimizer = pytest.mark.parametrize("name", list(OPTIMIZERS))


@every_optimizer
def test_optimizers(name: str) -> None:
    def make() -> Any:
        return trained(mlp(np.float64), OPTIMIZERS[name]())

    def check(world: Any) -> None:
        world.dict = world.optimizer.state_dict()

    calls = [(x.astype(float), t) for x, t in batches(4)]
    follow(make, [*calls, check, calls[0]])


@every_optimizer
def test_state_dict_goes_on(name: str) -> None:
    def make() -> Any:
        return trained(mlp(), OPTIMIZERS[name]())

    def save(world: Any) -> None:
        world.saved = world.optimizer.state_dict()

    def load(world: Any) -> None:
        world.optimizer.load_state_dict(world.saved)

    x = batches(6)
    follow(make, [x[0], x[1], save, x[2], x[3], load, x[4], x[5]])


@every_optimizer
def test_settings_changed_between_calls(name: str) -> None:
    def make() -> Any:
        return trained(mlp(), OPTIMIZERS[name]())

    def change(world: Any) -> None:
        for key, value in vars(world.optimizer).items():
            if isinstance(value, float):
                setattr(world.optimizer, key, value * 0.5)

    x = batches(5)
    _, there = follow(make, [x[0], x[1], change, x[2], change, x[3], x[4]])
    assert len(there.programs) == 1


def test_a_schedule_inside_the_step() -> None:
    def make() -> Any:
        world = trained(mlp(), optimizers.SGD(0.1))
        run = world.step

        def step(x: Any, t: Any) -> Any:
            world.optimizer.lr *= 0.9
            return run(x, t)

        world.step = step
        return world

    _, there = follow(make, batches(6))
    assert len(there.programs) == 1


def test_a_learning_rate_of_another_type() -> None:
    def make() -> Any:
        return trained(mlp(), optimizers.SGD(0.1))

    def whole(world: Any) -> None:
        world.optimizer.lr = 1

    def numpys(world: Any) -> None:
        world.optimizer.lr = np.float32(0.25)

    def doubled(world: Any) -> None:
        world.optimizer.lr = np.float64(0.3)

    x = batches(8)
    follow(make, [x[0], x[1], whole, x[2], numpys, x[3], doubled, x[4], x[5]])


def test_an_optimizer_replaced() -> None:
    def make() -> Any:
        world = SimpleNamespace(model=mlp())
        world.optimizer = optimizers.SGD(0.1).setup(world.model)

        def step(x: Any, t: Any) -> Any:
            loss = F.softmax_cross_entropy(world.model(x), t)
            world.model.cleargrads()
            loss.backward()
            world.optimizer.update()
            return loss

        world.step = step
        return world

    def replace(world: Any) -> None:
        world.optimizer = optimizers.Adam(0.01).setup(world.model)

    x = batches(6)
    follow(make, [x[0], x[1], replace, x[2], x[3], x[4]])


def test_a_target_replaced() -> None:
    def make() -> Any:
        model = mlp()
        return trained(model, optimizers.SGD(0.1))

    def other(world: Any) -> None:
        world.optimizer.setup(world.model.l2)

    x = batches(6)
    follow(make, [x[0], x[1], other, x[2], x[3]])


def test_a_run_goes_on_from_a_copy() -> None:
    class Trainer:
        def __init__(self) -> None:
            self.model = mlp()
            self.optimizer = optimizers.Adam(0.01).setup(self.model)

        def fit(self, x: Any, t: Any) -> Any:
            loss = F.softmax_cross_entropy(self.model(x), t)
            self.model.cleargrads()
            loss.backward()
            self.optimizer.update()
            return loss

    np.random.seed(0)
    first = Trainer()
    fit = dezero.compile(first.fit)
    data = batches(6)
    for x, t in data[:3]:
        fit(x, t)
    eager, again = copy.deepcopy(first), copy.deepcopy(first)
    again_fit = dezero.compile(again.fit)
    for x, t in data[3:]:
        wanted = eager.fit(x, t)
        assert_same(wanted, fit(x, t), "the first goes on")
        assert_same(wanted, again_fit(x, t), "the copy goes on")
        assert_same(vars(eager), vars(first), "the first")
        assert_same(vars(eager), vars(again), "the copy")


def test_the_first_is_untouched_by_training_of_its_copy() -> None:
    world = trained(mlp(), optimizers.Adam(0.01))
    step = dezero.compile(world.step)
    for x, t in batches(3):
        step(x, t)
    twin, twin_optimizer = copy.deepcopy((world.model, world.optimizer))
    before = [p.data.copy() for p in world.model.params()]
    moments = world.optimizer.state_dict()
    twin_step = dezero.compile(trained(twin, twin_optimizer).step)
    for x, t in batches(3):
        twin_step(x, t)
    for p, was in zip(world.model.params(), before, strict=True):
        assert np.array_equal(p.data, was)
    assert_same(moments, world.optimizer.state_dict(), "moments", 0)


def test_weights_loaded_between_calls(tmp_path: Path) -> None:
    def make() -> Any:
        return trained(mlp(), optimizers.MomentumSGD(0.1))

    def save(world: Any) -> None:
        world.model.save_weights(tmp_path / "w")

    def load(world: Any) -> None:
        world.model.load_weights(tmp_path / "w")

    x = batches(6)
    _, there = follow(make, [x[0], x[1], save, x[2], x[3], load, x[4], x[5]])
    assert len(there.programs) == 1


def test_weights_written_from_outside() -> None:
    def make() -> Any:
        return trained(mlp(), optimizers.Adam(0.01))

    def rebind(world: Any) -> None:
        world.array = np.full_like(world.model.l1.W.data, 0.25)
        world.model.l1.W.data = world.array

    def write(world: Any) -> None:
        world.model.l2.W.data[...] = 0

    def by_key(world: Any) -> None:
        world.model.l2.b.data[1:] += 1

    def moments(world: Any) -> None:
        world.optimizer.state[world.model.l1.W][0][...] = 0.5

    x = batches(16)
    calls: list[Any] = [x[0], x[1]]
    changes = [rebind, write, by_key, moments]
    for i, change in enumerate(changes):
        calls += [change, x[2 * i + 2], x[2 * i + 3]]
    follow(make, calls)


def test_moments_replaced_from_outside() -> None:
    def make() -> Any:
        return trained(mlp(), optimizers.Adam(0.01))

    def replace(world: Any) -> None:
        shape = world.model.l1.W.shape
        world.optimizer.state[world.model.l1.W] = [
            np.full(shape, 0.1, np.float32),
            np.full(shape, 0.2, np.float32),
        ]

    x = batches(4)
    follow(make, [x[0], x[1], replace, x[2], x[3]])


def test_moments_forgotten() -> None:
    def make() -> Any:
        return trained(mlp(), optimizers.Adam(0.01))

    def forget(world: Any) -> None:
        world.optimizer.state.clear()

    x = batches(4)
    follow(make, [x[0], x[1], forget, x[2], x[3]])


def test_an_array_set_as_data_is_not_written() -> None:
    world = trained(mlp(), optimizers.SGD(0.1))
    step = dezero.compile(world.step)
    x, t = batch()
    step(x, t)
    mine = np.ones((5, 7), np.float32)
    world.model.l1.W.data = mine
    step(x, t)
    step(x, t)
    assert (mine == 1).all()
    first = trained(mlp(), optimizers.SGD(0.1))
    first.model.l1.W.data = mine
    step = dezero.compile(first.step)
    step(x, t)
    step(x, t)
    assert (mine == 1).all()


def test_two_parameters_that_share_one_array() -> None:
    def make() -> Any:
        model = mlp()
        one = np.zeros(3, np.float32)
        model.l2.b.data = one
        model.extra = Parameter(one)
        world = trained(model, optimizers.SGD(0.1))

        def step(x: Any, t: Any) -> Any:
            loss = F.softmax_cross_entropy(model(x) + 2 * model.extra, t)
            model.cleargrads()
            loss.backward()
            world.optimizer.update()
            return loss

        world.step = step
        return world

    follow(make, batches(4))


def test_data_in_another_layout() -> None:
    def make() -> Any:
        return trained(mlp(), optimizers.SGD(0.1))

    def fortran(world: Any) -> None:
        W = world.model.l1.W
        W.data = np.asfortranarray(W.data)

    x = batches(6)
    follow(make, [x[0], x[1], fortran, x[2], x[3]])
    follow(make, [fortran, x[0], x[1], x[2], x[3]])


def test_data_of_another_type() -> None:
    def make() -> Any:
        return trained(mlp(), optimizers.SGD(0.1))

    def double(world: Any) -> None:
        for p in world.model.params():
            p.data = p.data.astype(np.float64)

    x = batches(4)
    follow(make, [x[0], x[1], double, x[2], x[3]], 1e-5)


def test_data_of_another_shape() -> None:
    def make() -> Any:
        return trained(mlp(), optimizers.SGD(0.1))

    def wider(world: Any) -> None:
        model = world.model
        rng = np.random.RandomState(3)
        model.l1.W.data = rng.randn(5, 4).astype(np.float32)
        model.l1.b.data = np.ones(4, np.float32)
        model.l2.W.data = rng.randn(4, 3).astype(np.float32)

    x = batches(6)
    follow(make, [x[0], x[1], wider, x[2], x[3]])


def test_a_parameter_replaced() -> None:
    def make() -> Any:
        return trained(mlp(), optimizers.Adam(0.01))

    def replace(world: Any) -> None:
        W = np.random.RandomState(3).randn(5, 7).astype(np.float32)
        world.model.l1.W = Parameter(W, name="W")

    x = batches(8)
    follow(make, [x[0], x[1], x[2], replace, x[3], x[4], x[5]])


def test_a_layer_replaced() -> None:
    def make() -> Any:
        return trained(mlp(), optimizers.Adam(0.01))

    def replace(world: Any) -> None:
        np.random.seed(4)
        world.model.l2 = L.Linear(3, in_size=7)

    x = batches(8)
    follow(make, [x[0], x[1], x[2], replace, x[3], x[4], x[5]])


def test_a_layer_added() -> None:
    class Stack(Model):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [L.Linear(5, in_size=5)]
            self.last = L.Linear(3, in_size=5)

        def forward(self, x: Any) -> Variable:
            for layer in self.layers:
                x = F.relu(layer(x))
            return self.last(x)

    def make() -> Any:
        return trained(Stack(), optimizers.SGD(0.1))

    def add(world: Any) -> None:
        np.random.seed(4)
        world.model.layers.append(L.Linear(5, in_size=5))

    x = batches(8)
    follow(make, [x[0], x[1], x[2], add, x[3], x[4], x[5]])


def test_a_layer_of_a_list_replaced() -> None:
    class Stack(Model):
        def __init__(self) -> None:
            super().__init__()
            self.layers = {"a": [L.Linear(5, in_size=5)]}
            self.last = L.Linear(3, in_size=5)

        def forward(self, x: Any) -> Variable:
            for layer in self.layers["a"]:
                x = F.relu(layer(x))
            return self.last(x)

    def make() -> Any:
        return trained(Stack(), optimizers.SGD(0.1))

    def replace(world: Any) -> None:
        np.random.seed(4)
        world.model.layers["a"][0] = L.Linear(5, in_size=5)

    x = batches(8)
    follow(make, [x[0], x[1], x[2], replace, x[3], x[4], x[5]])


class Settings(Model):
    def __init__(self) -> None:
        super().__init__()
        self.l = L.Linear(3, in_size=5)
        self.scale = 2.0
        self.mode = "plain"
        self.sizes = [1, 2]
        self.table = {"k": 3.0}
        self.pair = (1.0, [2.0])
        self.act: Any = F.relu

    def forward(self, x: Any) -> Variable:
        y = self.act(self.l(x)) * self.scale * self.sizes[0] * self.table["k"]
        return (y if self.mode == "plain" else -y) * self.pair[1][0]


def _set(name: str, value: Any) -> Callable[[Any], None]:
    return lambda world: setattr(world.model, name, value)


@pytest.mark.parametrize(
    "change",
    [
        _set("scale", 3.0),
        _set("scale", 3),
        _set("mode", "other"),
        _set("act", F.tanh),
        _set("sizes", [4, 2]),
        _set("table", {"k": 0.5}),
        _set("pair", (1.0, [4.0])),
        lambda w: w.model.sizes.__setitem__(0, 5),
        lambda w: w.model.table.update(k=0.5),
        lambda w: w.model.pair[1].__setitem__(0, 5.0),
    ],
)
def test_a_setting_of_a_layer_changed(change: Any) -> None:
    def make() -> Any:
        return trained(Settings(), optimizers.SGD(0.01))

    x = batches(4)
    follow(make, [x[0], x[1], change, x[2], x[3]])


def test_a_number_kept_before_it_grows_stays_what_it_was() -> None:
    def make() -> Any:
        model = mlp()
        optimizer = optimizers.Adam(0.01).setup(model)

        def step(x: Any, t: Any) -> Any:
            before = optimizer.t
            loss = F.softmax_cross_entropy(model(x), t)
            model.cleargrads()
            loss.backward()
            optimizer.update()  # t += 1
            return loss, x * before

        return SimpleNamespace(step=step, model=model, optimizer=optimizer)

    follow(make, batches(4))


def test_a_number_that_where_chose_is_a_number() -> None:
    number = dezero.backend.tracing.number

    def make() -> Any:
        optimizer = optimizers.Adam(0.01)

        def step(x: Any) -> Any:
            optimizer.t = optimizer.t + 1
            optimizer.alpha = number(np.where(optimizer.t > 2, optimizer.alpha, 0.5))
            return x * optimizer.alpha  # of type float32

        return SimpleNamespace(step=step, optimizer=optimizer)

    x = np.ones(3, np.float32)
    _, there = follow(make, [(x,)] * 4)
    assert len(there.programs) == 1


# -- optimizers as the book has them --------------------------------------------------


class MySGD(optimizers.Optimizer):
    def __init__(self, lr: float = 0.1) -> None:
        super().__init__()
        self.lr = lr

    def update_one(self, param: Any) -> None:
        param.data -= self.lr * param.grad.data


class MyMomentum(optimizers.Optimizer):
    def __init__(self, lr: float = 0.1, momentum: float = 0.9) -> None:
        super().__init__()
        self.lr = lr
        self.momentum = momentum
        self.vs: dict[int, Any] = {}

    def update_one(self, param: Any) -> None:
        v_key = id(param)
        if v_key not in self.vs:
            self.vs[v_key] = np.zeros_like(param.data)
        v = self.vs[v_key]
        v *= self.momentum
        v -= self.lr * param.grad.data
        param.data += v


class MyAdaGrad(optimizers.Optimizer):
    def __init__(self, lr: float = 0.1, eps: float = 1e-8) -> None:
        super().__init__()
        self.lr = lr
        self.eps = eps
        self.hs: dict[int, Any] = {}

    def update_one(self, param: Any) -> None:
        xp = dezero.cuda.get_array_module(param.data)
        h_key = id(param)
        if h_key not in self.hs:
            self.hs[h_key] = xp.zeros_like(param.data)
        grad = param.grad.data
        h = self.hs[h_key]
        h += grad * grad
        param.data -= self.lr * grad / (xp.sqrt(h) + self.eps)


class MyAdam(optimizers.Optimizer):
    def __init__(self, alpha: float = 0.01) -> None:
        super().__init__()
        self.t = 0
        self.alpha = alpha
        self.ms: dict[int, Any] = {}
        self.vs: dict[int, Any] = {}

    def update(self, *args: Any, **kwargs: Any) -> None:
        self.t += 1
        super().update(*args, **kwargs)

    @property
    def lr(self) -> Any:
        fix1 = 1.0 - 0.9**self.t
        fix2 = 1.0 - 0.999**self.t
        return self.alpha * np.sqrt(fix2) / fix1

    def update_one(self, param: Any) -> None:
        key = id(param)
        if key not in self.ms:
            self.ms[key] = np.zeros_like(param.data)
            self.vs[key] = np.zeros_like(param.data)
        m, v, grad = self.ms[key], self.vs[key], param.grad.data
        m += (1 - 0.9) * (grad - m)
        v += (1 - 0.999) * (grad * grad - v)
        param.data -= self.lr * m / (np.sqrt(v) + 1e-8)


class MyReplacing(MyMomentum):
    """The state is a new array each time, not written in place."""

    def update_one(self, param: Any) -> None:
        key = id(param)
        v = self.vs.get(key, 0.0)
        self.vs[key] = self.momentum * v - self.lr * param.grad.data
        param.data = param.data + self.vs[key]


class MyOnParam(optimizers.Optimizer):
    """The state hangs on the parameter itself."""

    def update_one(self, param: Any) -> None:
        v = getattr(param, "v", None)
        if v is None:
            v = np.zeros_like(param.data)
        param.v = 0.9 * v - 0.1 * param.grad.data
        param.data = param.data + param.v


@pytest.mark.parametrize(
    "kind",
    [
        MySGD,
        MyMomentum,
        MyAdaGrad,
        MyAdam,
        MyReplacing,
    ],
)
def test_optimizers_of_the_book(kind: Any) -> None:
    def make() -> Any:
        return trained(mlp(), kind())

    def slower(world: Any) -> None:
        for name in ("lr", "alpha"):
            with contextlib.suppress(AttributeError):
                setattr(world.optimizer, name, 0.01)

    x = batches(7)
    _, there = follow(make, [x[0], x[1], x[2], x[3], slower, x[4], x[5]])
    assert len(there.programs) == 1


def test_state_that_hangs_on_a_parameter_is_refused() -> None:
    world = trained(mlp(), MyOnParam())
    step = dezero.compile(world.step)
    x, t = batch()
    world.step(x, t)
    before = {k: p.data.copy() for k, p in world.model.named_params().items()}
    kept = [p.v for p in world.model.params()]
    with pytest.raises(CompileError, match="got 'v' set on a Parameter"):
        step(x, t)
    for p, v in zip(world.model.params(), kept, strict=True):
        assert p.v is v
    for k, p in world.model.named_params().items():
        assert np.array_equal(p.data, before[k])


class Follower(optimizers.Optimizer):
    """Keeps the array of a parameter, then gives the parameter another one."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[Any, Any] = {}

    def update_one(self, param: Parameter) -> None:
        y = param.data
        y -= 1.0
        self.kept[param] = y
        param.data = np.where(param.data > 0, param.data, 5.0)


def test_two_places_that_share_an_array_and_then_do_not() -> None:
    """In each, the compiled step leaves what the eager one leaves there."""
    runs = []
    for compiled in (False, True):
        p = Parameter(np.full(3, 2.5))
        optimizer = Follower().setup([p])
        optimizer.kept[p] = p.data

        def step(g: Any, p: Parameter = p, optimizer: Follower = optimizer) -> None:
            p.grad = Variable(g)
            optimizer.update()

        call = dezero.compile(step) if compiled else step
        run = []
        for _ in range(5):
            call(np.ones(3))
            run.append((p.data[0].item(), optimizer.kept[p][0].item()))
        runs.append(run)
    assert runs[0] == runs[1]
    assert runs[0][2] == (5.0, -0.5)


def test_a_compiled_function_within_a_compiled_step() -> None:
    """It is a part of the step, also at a first call, which runs eagerly."""
    runs = []
    for wrap in (lambda f: f, dezero.compile):
        np.random.seed(0)
        model = L.Linear(1)  # shaped by the first call
        optimizer = optimizers.Adam().setup(model)

        @wrap
        def loss_of(x: Any, t: Any, model: Any = model) -> Any:
            return F.mean_squared_error(model(x), t)

        @wrap
        def step(
            x: Any,
            t: Any,
            model: Any = model,
            loss_of: Any = loss_of,
            optimizer: Any = optimizer,
        ) -> Any:
            loss = loss_of(x, t)
            model.cleargrads()
            loss.backward()
            optimizer.update()
            return loss

        x, t = np.ones((4, 3), np.float32), np.ones((4, 1), np.float32)
        losses = [float(step(x, t)) for _ in range(4)]
        runs.append([*losses, float(loss_of(x, t))])
    np.testing.assert_allclose(runs[1], runs[0], rtol=1e-6)


# -- recurrent layers -----------------------------------------------------------------


@pytest.mark.parametrize("kind", [L.RNN, L.LSTM])
@pytest.mark.parametrize("in_size", [None, 2])
def test_recurrent_layers_reset_in_the_step(kind: Any, in_size: Any) -> None:
    def make() -> Any:
        model = Sequential(kind(6, in_size=in_size), L.Linear(1))
        optimizer = optimizers.Adam(0.01).setup(model)
        layer = model.layers[0]

        def step(xs: Any, ts: Any) -> Any:
            layer.reset_state()
            loss: Any = 0
            for x, t in zip(xs, ts, strict=True):
                loss += F.mean_squared_error(model(x), t)
            model.cleargrads()
            loss.backward()
            optimizer.update()
            return loss

        return SimpleNamespace(step=step, model=model, optimizer=optimizer)

    rng = np.random.RandomState(0)
    calls = [
        (
            rng.randn(5, 3, 2).astype(np.float32),
            rng.randn(5, 3, 1).astype(np.float32),
        )
        for _ in range(4)
    ]
    follow(make, calls, 3e-5)


def truncated(layer: Any, optimizer: Any) -> Any:
    model = Sequential(layer, L.Linear(1))
    optimizer.setup(model)

    def step(xs: Any, ts: Any) -> Any:
        loss: Any = 0
        for x, t in zip(xs, ts, strict=True):
            loss += F.mean_squared_error(model(x), t)
        model.cleargrads()
        loss.backward()
        loss.unchain_backward()
        optimizer.update()
        return loss

    return SimpleNamespace(step=step, model=model, optimizer=optimizer, layer=layer)


@pytest.mark.parametrize("kind", [L.RNN, L.LSTM])
def test_recurrent_layers_that_keep_their_state(kind: Any) -> None:
    def make() -> Any:
        return truncated(kind(6), optimizers.Adam(0.01))

    def reset(world: Any) -> None:
        world.layer.reset_state()

    rng = np.random.RandomState(0)
    x = [
        (
            rng.randn(4, 3, 2).astype(np.float32),
            rng.randn(4, 3, 1).astype(np.float32),
        )
        for _ in range(8)
    ]
    follow(make, [x[0], x[1], x[2], reset, x[3], x[4], x[5], reset, x[6]], 5e-5)


def test_the_state_of_another_batch() -> None:
    def make() -> Any:
        return truncated(L.LSTM(6), optimizers.SGD(0.01))

    def reset(world: Any) -> None:
        world.layer.reset_state()

    def set_state(world: Any) -> None:
        world.layer.h = Variable(np.full((3, 6), 0.1, np.float32))
        world.layer.c = Variable(np.full((3, 6), -0.1, np.float32))

    rng = np.random.RandomState(0)

    def data(n: int) -> Any:
        return (
            rng.randn(4, n, 2).astype(np.float32),
            rng.randn(4, n, 1).astype(np.float32),
        )

    calls = [data(3), data(3), reset, data(5), data(5), reset, data(3), set_state]
    follow(make, [*calls, data(3), data(3)], 5e-5)


class Memory(Model):
    """A layer of the user's, whose state is a tuple of Variables."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = L.Linear(4, in_size=6)
        self.state: Any = None
        self.seen = 0

    def forward(self, x: Any) -> Variable:
        if self.state is None:
            zeros = np.zeros((len(x), 4), np.float32)
            self.state = Variable(zeros), [Variable(zeros.copy())]
        h, (c,) = self.state
        h = F.tanh(self.mix(F.concat([x, h], axis=1)))
        c = 0.5 * c + h
        self.state = h, [c]
        return c


def test_state_of_a_users_own_layer() -> None:
    def make() -> Any:
        layer = Memory()
        return truncated(layer, optimizers.SGD(0.01))

    def reset(world: Any) -> None:
        world.layer.state = None

    rng = np.random.RandomState(0)
    x = [
        (
            rng.randn(4, 3, 2).astype(np.float32),
            rng.randn(4, 3, 1).astype(np.float32),
        )
        for _ in range(8)
    ]
    follow(make, [x[0], x[1], x[2], reset, x[3], x[4], x[5]], 5e-5)


def test_a_counter_of_a_users_own_layer() -> None:
    class Counting(Model):
        def __init__(self) -> None:
            super().__init__()
            self.l = L.Linear(3, in_size=5)
            self.calls = 0

        def forward(self, x: Any) -> Variable:
            self.calls += 1
            return self.l(x)

    def make() -> Any:
        return trained(Counting(), optimizers.SGD(0.1))

    follow(make, batches(4))


def test_bare_arrays_of_a_users_own_layer() -> None:
    class Average(Model):
        def __init__(self) -> None:
            super().__init__()
            self.l = L.Linear(3, in_size=5)
            self.mean = np.zeros(5, np.float32)
            self.norm = np.zeros((), np.float32)
            self.history: list[Any] = [np.zeros(5, np.float32)]

        def forward(self, x: Any) -> Variable:
            self.mean *= 0.9
            self.mean += 0.1 * x.mean(axis=0)
            self.norm = np.sqrt((self.mean**2).sum())
            self.history[0] = self.history[0] + self.mean
            return self.l(x - self.mean)

    def make() -> Any:
        return trained(Average(), optimizers.SGD(0.1))

    follow(make, batches(5))


def test_an_average_of_weights_in_a_plain_list_is_refused() -> None:
    model = mlp()
    world = trained(model, optimizers.SGD(0.1))
    x, t = batch()
    world.step(x, t)
    average = [p.data.copy() for p in model.params()]

    def step(x: Any, t: Any) -> Any:
        loss = world.step(x, t)
        for mean, p in zip(average, model.params(), strict=True):
            mean *= 0.9
            mean += 0.1 * p.data
        return loss

    before = [mean.copy() for mean in average]
    with pytest.raises(CompileError, match="a bare array of shape"):
        dezero.compile(step)(x, t)
    for mean, was in zip(average, before, strict=True):
        assert np.array_equal(mean, was)


def test_an_average_of_weights_in_variables() -> None:
    def make() -> Any:
        model = mlp()
        world = trained(model, optimizers.SGD(0.1))
        x, t = batch()
        world.step(x, t)
        world.average = [Variable(p.data.copy()) for p in model.params()]
        run, average = world.step, world.average

        def step(x: Any, t: Any) -> Any:
            loss = run(x, t)
            for mean, p in zip(average, model.params(), strict=True):
                mean.data = mean.data * 0.9 + 0.1 * p.data
            return loss

        world.step = step
        return world

    follow(make, batches(5))


# -- normalization, dropout, random numbers -------------------------------------------


def test_running_statistics() -> None:
    def make() -> Any:
        model = Sequential(L.Linear(6, nobias=True), L.BatchNorm(), F.relu, L.Linear(3))
        return trained(model, optimizers.SGD(0.05))

    def evaluate(world: Any) -> None:
        with dezero.test_mode():
            world.answer = world.model(batch(seed=9)[0])

    x = batches(5)
    follow(make, [*x[:3], evaluate, *x[3:], evaluate, x[0]], 5e-5)


def test_dropout_by_the_seed_of_numpy() -> None:
    model = Sequential(L.Linear(20), lambda x: F.dropout(x, 0.5))
    x = np.ones((4, 5), np.float32)
    model(x)
    step = dezero.compile(model.__call__)
    np.random.seed(3)
    wanted = [model(x).data for _ in range(4)]
    np.random.seed(3)
    found = [step(x).data for _ in range(4)]
    assert_same(wanted, found, "masks")
    assert not np.array_equal(found[0], found[1])
    np.random.seed(3)
    assert np.array_equal(step(x).data, found[0])


def test_dropout_by_the_seed_of_dezero() -> None:
    x = np.ones((4, 5), np.float32)
    step = dezero.compile(lambda x: F.dropout(x, 0.5))
    try:
        dezero.random.seed(7)
        wanted = [F.dropout(x, 0.5).data for _ in range(3)]
        for _ in range(2):
            dezero.random.seed(7)
            found = [step(x).data for _ in range(3)]
            assert_same(wanted, found, "masks")
        dezero.random.seed(8)
        wanted = [F.dropout(x, 0.5).data for _ in range(3)]
        dezero.random.seed(8)
        assert_same(wanted, [step(x).data for _ in range(3)], "masks of another seed")
    finally:
        dezero.random.seed(None)
    np.random.seed(5)
    wanted = [F.dropout(x, 0.5).data for _ in range(3)]
    np.random.seed(5)
    assert_same(wanted, [step(x).data for _ in range(3)], "NumPy's generator again")


def test_random_numbers_of_all_kinds() -> None:
    def make() -> Any:
        rng = np.random.RandomState(5)
        new = np.random.default_rng(6)

        def step(x: Any) -> Any:
            return [
                x + np.random.randn(3),
                x + np.random.rand(3),
                x + np.random.normal(1.0, 2.0, 3),
                x + np.random.uniform(-1, 1, size=(2, 3)),
                x + np.random.randint(0, 9, 3),
                x[np.random.permutation(3)],
                x[np.random.randint(0, 3, (2, 2))],
                x * np.random.random(3),
                x * np.random.rand(),
                x * np.random.choice(5, 3),
                x + np.random.binomial(1, 0.5, 3),
                x + np.random.standard_normal(3),
            ]

        return SimpleNamespace(step=step, rng=rng, new=new)

    follow(make, [(np.arange(3.0),)] * 3)


@pytest.mark.parametrize("kind", ["RandomState", "default_rng"])
def test_generators_of_the_users_own(kind: str) -> None:
    program = f"""
import numpy as np, dezero
rng, again = np.random.{kind}(5), np.random.{kind}(5)
step = dezero.compile(lambda x: x + rng.normal(size=3))
try:
    found = [step(np.zeros(3)).tolist() for _ in range(3)]
    assert found == [again.normal(size=3).tolist() for _ in range(3)], found
except dezero.compiler.CompileError as error:
    assert "generator" in str(error), error
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, (found.returncode, found.stderr)


def test_shuffling_in_the_step() -> None:
    def make() -> Any:
        def step(x: Any) -> Any:
            order = np.arange(4)
            np.random.shuffle(order)
            return x[order]

        return SimpleNamespace(step=step)

    follow(make, [(np.arange(4.0),)] * 3)


# -- Functions of the user's own ------------------------------------------------------


class Where(Function):
    def forward(self, x: Any) -> Any:
        return np.where(x > 0, x, 0.1 * x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.inputs
        mask = np.where(x.data > 0, 1.0, 0.1).astype(x.dtype)
        return gy * mask


class Bilinear(Function):
    def forward(self, x: Any) -> Any:
        self.gram = np.einsum("ni,nj->nij", x, x)
        return np.einsum("nij,nj->ni", self.gram, x)

    def backward(self, gy: Any) -> Any:
        (x,) = self.inputs
        square = F.sum(x * x, axis=1, keepdims=True)
        return gy * square + 2 * x * F.sum(gy * x, axis=1, keepdims=True)


class Sorted(Function):
    def forward(self, x: Any) -> Any:
        self.order = np.argsort(x, axis=1)
        return np.sort(x, axis=1)

    def backward(self, gy: Any) -> Any:
        back = np.argsort(self.order, axis=1)
        return Variable(np.take_along_axis(gy.data, back, axis=1))


class Solve(Function):
    def __init__(self, A: Any) -> None:
        self.A = A

    def forward(self, x: Any) -> Any:
        return np.linalg.solve(self.A, x.T).T

    def backward(self, gy: Any) -> Any:
        return Variable(np.linalg.solve(self.A.T, gy.data.T).T)


class Shifted(Function):
    """In-place work on an array of its own, as one writes it in NumPy."""

    def forward(self, x: Any) -> Any:
        y = np.zeros_like(x)
        y[1:] += x[:-1]
        y[0] = x[-1] * 2
        y[:, 1] *= 3
        y[..., -1] -= x[..., 0]
        return y

    def backward(self, gy: Any) -> Any:
        g = gy.data.copy()
        gx = np.zeros(g.shape, g.dtype)
        gx[..., 0] -= g[..., -1]
        g[:, 1] *= 3
        gx[-1] += g[0] * 2
        gx[:-1] += g[1:]
        return Variable(gx)


class WithoutXp(Function):
    def forward(self, x: Any) -> Any:
        y = np.zeros(x.shape, dtype=x.dtype)
        for i in range(x.shape[1]):
            y[:, i] = x[:, i] * (i + 1)
        return y

    def backward(self, gy: Any) -> Any:
        return gy * (np.arange(gy.shape[1]) + 1).astype(gy.dtype)


class Fancy(Function):
    def __init__(self, index: Any) -> None:
        self.index = index

    def forward(self, x: Any) -> Any:
        return x[:, self.index]

    def backward(self, gy: Any) -> Any:
        (x,) = self.inputs
        gx = np.zeros(x.shape, x.dtype)
        np.add.at(gx, (slice(None), self.index), gy.data)
        return Variable(gx)


class TwoOutputs(Function):
    def forward(self, x: Any) -> Any:
        low, high = x.min(axis=1), x.max(axis=1)
        return low, high

    def backward(self, glow: Any, ghigh: Any) -> Any:
        (x,) = self.inputs
        low = (x.data == x.data.min(axis=1, keepdims=True)) * glow.data[:, None]
        high = (x.data == x.data.max(axis=1, keepdims=True)) * ghigh.data[:, None]
        return Variable((low + high).astype(x.dtype))


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "where": lambda x: Where()(x),
    "einsum": lambda x: Bilinear()(x),
    "sort": lambda x: Sorted()(x),
    "solve": lambda x: Solve(np.eye(5) * 2 + np.ones((5, 5)))(x),
    "in place": lambda x: Shifted()(x),
    "without xp": lambda x: WithoutXp()(x),
    "fancy": lambda x: Fancy(np.array([0, 2, 2, -1]))(x),
    "two outputs": lambda x: TwoOutputs()(x)[1],
    "both outputs": lambda x: TwoOutputs()(x)[0] * TwoOutputs()(x)[1],
}


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_functions_of_the_user(name: str) -> None:
    function = FUNCTIONS[name]

    def make() -> Any:
        model = L.Linear(5, in_size=5, dtype=np.float64)
        optimizer = optimizers.SGD(0.01).setup(model)

        def step(x: Any) -> Any:
            loss = F.sum(function(model(x)) ** 2)
            model.cleargrads()
            loss.backward()
            optimizer.update()
            return loss

        return SimpleNamespace(step=step, model=model)

    follow(make, [(x.astype(float),) for x, _ in batches(3)], 1e-10)


def test_a_function_that_keeps_an_array_it_writes_later() -> None:
    class Keeping(Function):
        def forward(self, x: Any) -> Any:
            y = x * 2
            self.view = y[1:]
            self.whole = y
            z = y.copy()
            y += 1
            z[0] = self.view[0]
            return z

        def backward(self, gy: Any) -> Any:
            return gy * self.whole

    def make() -> Any:
        def step(x: Any) -> Any:
            v = Variable(x)
            y = Keeping()(v)
            y.backward()
            return y, v.grad

        return SimpleNamespace(step=step)

    follow(make, [(np.random.randn(4),) for _ in range(3)])


NUMPY: dict[str, Callable[[Any], Any]] = {
    "views of views": lambda x: _written(x.copy()),
    "cumsum": lambda x: np.cumsum(x, axis=0) + np.cumprod(x, axis=1),
    "norm": lambda x: np.linalg.norm(x, axis=1),
    "qr": lambda x: np.linalg.qr(x)[1],
    "inv": lambda x: np.linalg.inv(x @ x.T + np.eye(len(x))),
    "roll": lambda x: np.roll(x, 1, axis=0) + np.flip(x, 1),
    "pad": lambda x: np.pad(x, ((1, 2), (0, 0))),
    "tile": lambda x: np.tile(x, (2, 1)) + np.repeat(x, 2, axis=0),
    "stack": lambda x: np.stack([x, x * 2], axis=1),
    "hstack": lambda x: np.hstack([x, x * 2]) + np.vstack([x, x]).sum(),
    "split": lambda x: [p * 2 for p in np.split(x, 2, axis=0)],
    "array_split": lambda x: [p * 2 for p in np.array_split(x, 3)],
    "outer": lambda x: np.outer(x[0], x[1]),
    "tensordot": lambda x: np.tensordot(x, x, axes=([0], [0])),
    "dot": lambda x: np.dot(x, x.T) + x.dot(x.T) + x @ x.T,
    "inner": lambda x: np.inner(x, x),
    "kron": lambda x: np.kron(x[:2], x[:2]),
    "triu": lambda x: np.triu(x) + np.tril(x, -1) * 2,
    "diag": lambda x: np.diag(x[:4, :4]) + np.trace(x),
    "mean": lambda x: [x.mean(), x.mean(0), np.mean(x, axis=(0, 1), keepdims=True)],
    "var": lambda x: [x.var(), np.var(x, axis=0, ddof=1), x.std(axis=1)],
    "median": lambda x: np.median(x, axis=0) + np.percentile(x, 30),
    "argmax": lambda x: [x.argmax(axis=1), np.argmin(x), np.argsort(x, axis=0)],
    "comparison": lambda x: [(x > 0).sum(), (x > 0).mean(), np.sign(x), x == x.max()],
    "clip": lambda x: [np.clip(x, -0.5, 0.5), x.clip(0), np.clip(x, None, x.T.T / 2)],
    "where": lambda x: np.where(x > 0, x, np.float32(0)) + np.where(x < 0, 1, x),
    "select": lambda x: np.select([x > 1, x > 0], [x, x * 2], 0.0),
    "nan_to_num": lambda x: np.nan_to_num(np.log(np.abs(x))),
    "searchsorted": lambda x: np.searchsorted(np.linspace(-2, 2, 9), x),
    "interp": lambda x: np.interp(x, [-1.0, 0.0, 1.0], [0.0, 2.0, 1.0]),
    "diff": lambda x: np.diff(x, axis=0),
    "gradient": lambda x: np.gradient(x[:, 0]),
    "fft": lambda x: np.abs(np.fft.rfft(x, axis=1)),
    "complex": lambda x: np.abs(np.exp(1j * x)) + (x + 1j * x).imag,
    "logaddexp": lambda x: np.logaddexp(x, 0) + np.log1p(np.exp(-np.abs(x))),
    "maximum.reduce": lambda x: np.maximum.reduce(x, axis=0),
    "add.accumulate": lambda x: np.add.accumulate(x, axis=1),
    "subtract.outer": lambda x: np.subtract.outer(x[0], x[1]),
    "out": lambda x: np.add(x, 1, out=np.empty_like(x)),
    "out and where": lambda x: np.divide(x, 2, out=np.zeros_like(x), where=x > 0),
    "divmod": lambda x: np.divmod(x, 0.7),
    "modf": lambda x: np.modf(x),
    "frexp": lambda x: np.frexp(x),
    "rint": lambda x: (
        np.rint(x) + np.floor(x) + np.ceil(x) + np.trunc(x) + np.round(x, 1)
    ),
    "powers": lambda x: [x**2, x**3, x**-1, np.abs(x) ** 0.5, np.abs(x) ** 1.7, 2**x],
    "take": lambda x: np.take(x, [2, 0], axis=1) + np.take(x, np.array([0, 1]), 1),
    "fancy": lambda x: x[[0, 2], [1, 3]] + x[np.array([1, 2]), 1],
    "mixed": lambda x: x[1:, [0, 2]][:, None, ::-1],
    "newaxis": lambda x: x[None, :, None] * x[..., None].T[0].T,
    "negative steps": lambda x: x[::-1, ::-2] + x[::-1, ::-2].T.T,
    "swapaxes": lambda x: (
        np.swapaxes(x[None], 0, 2) * np.moveaxis(x[None], 0, 2).T[0, 0, 0]
    ),
    "rot90": lambda x: np.rot90(x),
    "broadcast_to": lambda x: np.broadcast_to(x, (2, *x.shape)) * 1,
    "meshgrid": lambda x: np.meshgrid(x[0], x[1])[0] * 1,
    "ravel": lambda x: x.ravel() + x.T.reshape(-1) + x.flatten() + x.T.ravel(),
    "reshape F": lambda x: x.reshape(-1, order="F"),
    "flatten F": lambda x: x.flatten("F") + x.T.ravel("F") + np.ravel(x, order="F"),
    "copy": lambda x: np.copy(x) + x.copy() + np.array(x) + np.asarray(x),
    "array of arrays": lambda x: np.array([x[0], x[1] * 2]),
    "array of numbers": lambda x: np.array([x[0, 0], 1.0, x.sum()]),
    "asarray of numbers": lambda x: np.asarray([[x[0, 0], 2], [x[1, 1], 3]]),
    "float": lambda x: x.astype(np.float32).astype(float) + np.float64(2) * x,
    "sum of list": lambda x: sum([x, x * 2]) + np.sum(np.array([x, x]), axis=0),
    "max of list": lambda x: np.max(np.array([x.max(), x.min() + 10, 3.0])),
    "count_nonzero": lambda x: np.count_nonzero(x > 0),
    "any": lambda x: [np.any(x > 0), (x > 9).all(), np.all(x > -99, axis=0)],
    "ptp": lambda x: np.ptp(x, axis=0),
    "average": lambda x: np.average(x, axis=0, weights=np.arange(len(x)) + 1.0),
    "cov": lambda x: np.cov(x),
    "convolve": lambda x: np.convolve(x[0], [1.0, 2.0]),
    "vectorize": lambda x: np.apply_along_axis(lambda r: r * 2, 1, x),
    "isfinite": lambda x: np.isfinite(x) & ~np.isnan(x),
    "put_along_axis": lambda x: _put_along(x.copy()),
    "fill_diagonal": lambda x: _filled(x.copy()),
    "add.at": lambda x: _added_at(x.copy()),
    "maximum in place": lambda x: _maximum_in_place(x.copy()),
    "sort in place": lambda x: _sorted_in_place(x.copy()),
    "mask in place": lambda x: _masked(x.copy()),
    "copyto": lambda x: _copied_to(x.copy()),
    "iteration": lambda x: [row * i for i, row in enumerate(x)],
    "unpacking": lambda x: (lambda a, b, *c: a + b * len(c))(*x),
    "len": lambda x: x * len(x) * x.size * x.ndim * x.itemsize,
    "T": lambda x: x.T @ x + (x.T * 2).T.sum(),
    "dtype attributes": lambda x: x * np.finfo(x.dtype).eps,
    "lexsort": lambda x: np.lexsort((x[0], x[1])),
    "digitize": lambda x: np.digitize(x, np.array([-1.0, 0.0, 1.0])),
    "bincount": lambda x: np.bincount(x.argmax(1), minlength=5),
    "einsum": lambda x: np.einsum("ij,kj->ik", x, x) + np.einsum("ij->i", x)[:, None],
    "einsum ii": lambda x: np.einsum("ii", x[:3, :3]),
    "matrix_power": lambda x: np.linalg.matrix_power(x[:3, :3], 3),
    "slogdet": lambda x: np.linalg.slogdet(x[:3, :3] + 3 * np.eye(3)),
    "svd": lambda x: np.linalg.svd(x, compute_uv=False),
    "hypot": lambda x: np.hypot(x, 1) + np.arctan2(x, 2) + np.sinh(x) + np.expm1(x),
    "errstate": lambda x: _quiet(x),
}


def _written(y: Any) -> Any:
    part = y[1:4].T[1:]
    part[0] = 7
    part[:, 1] += y[0, 0]
    y.T[0] *= 2
    y.reshape(-1)[3] = -1
    part += part[::-1]
    return y, part


def _put_along(y: Any) -> Any:
    np.put_along_axis(y, y.argmax(axis=1)[:, None], 0.0, axis=1)
    return y


def _filled(y: Any) -> Any:
    np.fill_diagonal(y, 3.0)
    return y


def _added_at(y: Any) -> Any:
    np.add.at(y, ([0, 0, 1], [1, 1, 2]), 2.5)
    np.add.at(y, np.array([0, 0]), y[:2])
    return y


def _maximum_in_place(y: Any) -> Any:
    np.maximum(y, 0, out=y)
    y **= 2
    y //= 0.3
    y %= 2
    y @= np.eye(5)
    return y


def _sorted_in_place(y: Any) -> Any:
    y.sort(axis=0)
    y[0].sort()
    return y


def _masked(y: Any) -> Any:
    y[y > 1] = 0
    y[y < -1] = np.float32(2)
    y[(y > 0.5) & (y < 0.8)] = y[0, 0]
    return y


def _copied_to(y: Any) -> Any:
    np.copyto(y, 5.0, where=y > 0)
    y[...] = y + 1
    y[0], y[1] = y[1].copy(), y[0].copy()
    return y


def _quiet(x: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.log(x) * 0 + np.sqrt(x)


@pytest.mark.parametrize("name", NUMPY)
def test_numpy(name: str) -> None:
    def make() -> Any:
        return SimpleNamespace(step=NUMPY[name])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        follow(make, [(x.astype(float),) for x, _ in batches(3)], 1e-11)


# -- networks -------------------------------------------------------------------------


def images(count: int = 3) -> list[Any]:
    rng = np.random.RandomState(0)
    return [
        (rng.randn(4, 2, 8, 8).astype(np.float32), rng.randint(0, 3, 4))
        for _ in range(count)
    ]


def test_convolutional_network() -> None:
    class Net(Model):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = L.Conv2d(4, kernel_size=3, pad=1)
            self.conv2 = L.Conv2d(5, kernel_size=3, stride=2)
            self.fc = L.Linear(3)

        def forward(self, x: Any) -> Variable:
            x = F.pooling(F.relu(self.conv1(x)), 2, 2)
            x = F.average_pooling(F.relu(self.conv2(x)), 1)
            return self.fc(F.flatten(x))

    follow(lambda: trained(Net(), optimizers.SGD(0.05)), images(), 5e-5)


def test_residual_network() -> None:
    class Block(Model):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = L.Conv2d(4, kernel_size=3, pad=1, nobias=True)
            self.bn1 = L.BatchNorm()
            self.conv2 = L.Conv2d(4, kernel_size=3, pad=1, nobias=True)
            self.bn2 = L.BatchNorm()

        def forward(self, x: Any) -> Variable:
            h = F.relu(self.bn1(self.conv1(x)))
            return F.relu(self.bn2(self.conv2(h)) + x)

    class Net(Model):
        def __init__(self) -> None:
            super().__init__()
            self.stem = L.Conv2d(4, kernel_size=3, pad=1, nobias=True)
            self.blocks = [Block(), Block()]
            self.fc = L.Linear(3)

        def forward(self, x: Any) -> Variable:
            x = self.stem(x)
            for block in self.blocks:
                x = block(x)
            return self.fc(F.sum(x, axis=(2, 3)) / 64)

    follow(lambda: trained(Net(), optimizers.MomentumSGD(0.01)), images(), 2e-4)


def test_deconvolution() -> None:
    def make() -> Any:
        model = Sequential(
            L.Conv2d(3, kernel_size=3), F.tanh, L.Deconv2d(2, kernel_size=3)
        )
        return trained(model, optimizers.SGD(0.01), loss=_reconstruction)

    follow(make, images(), 5e-5)


def _reconstruction(y: Any, t: Any) -> Variable:
    return F.mean_squared_error(y, y.data * 0.5)


def test_embeddings() -> None:
    def make() -> Any:
        model = Sequential(L.EmbedID(10, 4), F.flatten, L.Linear(3))
        return trained(model, optimizers.AdaGrad(0.1))

    rng = np.random.RandomState(0)
    calls = [(rng.randint(0, 10, (8, 3)), rng.randint(0, 3, 8)) for _ in range(3)]
    ties = (np.zeros((8, 3), np.int64), calls[0][1])  # every row the same
    follow(make, [*calls, ties, ties])


LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "mean_squared_error": lambda y, t: F.mean_squared_error(y, F.exp(y).data),
    "softmax_cross_entropy": lambda y, t: F.softmax_cross_entropy(y, t),
    "softmax_cross_entropy_simple": lambda y, t: F.softmax_cross_entropy_simple(y, t),
    "sigmoid_cross_entropy": lambda y, t: F.sigmoid_cross_entropy(
        y, np.stack([t, t > 0, t > 1], axis=1) > 0
    ),
    "binary_cross_entropy": lambda y, t: F.binary_cross_entropy(
        F.sigmoid(y), np.stack([t > 0, t > 1, t > 0], axis=1).astype(np.int64)
    ),
    "by hand": lambda y, t: -F.mean(F.log_softmax(y)[np.arange(len(t)), t]),
    "by one-hot": lambda y, t: -F.sum(F.log(F.softmax(y)) * np.eye(3)[t]) / len(t),
    "logsumexp": lambda y, t: F.sum(F.logsumexp(y, axis=1)),
    "max": lambda y, t: F.sum(F.max(y, axis=1) - F.min(y, axis=1)),
    "accuracy beside": lambda y, t: (
        F.softmax_cross_entropy(y, t) + 0 * F.accuracy(y, t)
    ),
}


@pytest.mark.parametrize("name", list(LOSSES))
def test_losses(name: str) -> None:
    loss = LOSSES[name]
    follow(lambda: trained(mlp(), optimizers.SGD(0.1), loss=loss), batches(3), 2e-5)


def test_returning_many_numbers_beside_the_loss() -> None:
    def make() -> Any:
        world = trained(mlp(), optimizers.SGD(0.1))
        run = world.step

        def step(x: Any, t: Any) -> Any:
            loss = run(x, t)
            with dezero.no_grad():
                y = world.model(x)
            norms = {
                name: F.sum(p.grad * p.grad)
                for name, p in world.model.named_params().items()
            }
            return loss, F.accuracy(y, t), y.data.argmax(axis=1), norms

        world.step = step
        return world

    follow(make, batches(3))


def test_a_deep_network() -> None:
    def make() -> Any:
        model = MLP((5,) * 40, activation=F.tanh)
        return trained(model, optimizers.SGD(0.1))

    follow(make, batches(2, classes=5), 5e-5)


# -- explain and lower ----------------------------------------------------------------


def test_explain() -> None:
    world = trained(mlp(), optimizers.SGD(0.1))
    step = dezero.compile(world.step)
    assert step.explain() == "step: not compiled yet; call it first"
    for x, t in [batch(), batch(), batch(3)]:
        step(x, t)
    text = step.explain()
    assert "program 1 of 2: the first call" in text
    assert "program 2 of 2: called with" in text and "float32[3, 5]" in text
    assert "matrix products" in text and "memory:" in text
    assert "from Parameter W" in text and "from SGD.lr" in text
    with dezero.test_mode():
        step(*batch())
    assert "train=False" in step.explain()


def test_explain_with_times() -> None:
    world = trained(mlp(), optimizers.SGD(0.1))
    step = dezero.compile(world.step, profile=True)
    x, t = batch()
    step(x, t)
    step(x, t)
    shares = [
        float(line.split("%")[0])
        for line in step.explain().splitlines()
        if line.strip()[:1].isdigit() and "%  " in line
    ]
    assert shares and sum(shares) == pytest.approx(100, abs=len(shares))


def test_explain_says_what_stayed_numpys() -> None:
    step = dezero.compile(lambda x: np.linalg.qr(np.exp(x))[1])
    step(np.eye(3))
    assert "left to NumPy:" in step.explain()
    assert "qr: " in step.explain()


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("traced", ["input", "matmul", "f32[8,5]"]),
        ("optimized", ["matmul"]),
        pytest.param("fused", ["kernel"], marks=needs_llvm),
        pytest.param("program", ["kernel", "numpy"], marks=needs_llvm),
        pytest.param("llvm", ["define", "float"], marks=needs_llvm),
        pytest.param("assembly", ["ret"], marks=needs_llvm),
    ],
)
def test_lower(stage: str, words: list[str]) -> None:
    world = trained(mlp(), optimizers.SGD(0.01))
    step = dezero.compile(world.step)
    x, t = batch()
    before = [p.data.copy() for p in world.model.params()]
    step(x, t)
    assert all(word in step.lower(x, t, stage=stage) for word in words)
    for p, was in zip(world.model.params(), before, strict=True):
        p.data = was.copy()
        p.cleargrad()
    x, t = batch(5)  # of another signature: it is traced, but not run
    text = step.lower(x, t, stage=stage)
    assert text and world.optimizer.lr == 0.01
    for p, was in zip(world.model.params(), before, strict=True):
        assert np.array_equal(p.data, was) and p.grad is None


def test_lower_before_the_first_call() -> None:
    world = trained(mlp(), optimizers.Adam(0.01))
    step = dezero.compile(world.step)
    x, t = batch()
    before = [p.data.copy() for p in world.model.params()]
    assert step.lower(x, t)
    assert world.optimizer.t == 0 and not world.optimizer.state
    for p, was in zip(world.model.params(), before, strict=True):
        assert np.array_equal(p.data, was) and p.grad is None


def test_lower_of_an_unknown_stage() -> None:
    with pytest.raises(ValueError) as info:
        dezero.compile(lambda x: x + 1).lower(np.ones(2), stage="machine")
    assert str(info.value) == (
        "lower: expected a stage of traced, optimized, fused, program, llvm, assembly, "
        "got 'machine'"
    )


def test_many_signatures_draw_one_warning() -> None:
    step = dezero.compile(lambda x, i: x + i)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for i in range(20):
            step(np.ones(2), i)
    assert len(caught) == 1
    text = str(caught[0].message)
    assert "'<lambda>'" in text and "pass what changes as an array" in text
    assert caught[0].filename == __file__


# -- checks ---------------------------------------------------------------------------


def test_check_passes_on_right_steps() -> None:
    world = trained(mlp(), optimizers.Adam(0.01), optimizers.ClipGrad(0.1))
    follow(lambda: world, [])
    for make in (
        lambda: trained(mlp(), optimizers.Adam(0.01)),
        lambda: trained(
            Sequential(L.Linear(6, nobias=True), L.BatchNorm(), F.relu, L.Linear(3)),
            optimizers.MomentumSGD(0.1),
        ),
        lambda: trained(
            Sequential(L.Linear(6), lambda h: F.dropout(h, 0.3), L.Linear(3)),
            optimizers.AdaGrad(0.1),
        ),
    ):
        step = dezero.compile(make().step, check=3)
        for x, t in batches(5):
            step(x, t)


def test_check_changes_nothing() -> None:
    def make() -> Any:
        return trained(mlp(), optimizers.Adam(0.01))

    follow(make, batches(5), check=3)


def test_check_with_variables_as_arguments() -> None:
    def step(x: Variable) -> Any:
        y = F.sum(x * x)
        y.backward()
        return y

    x = Variable(np.ones(3))
    compiled = dezero.compile(step, check=4)
    for _ in range(4):
        compiled(x)
    assert x.grad.data.tolist() == [8, 8, 8]


def test_check_catches_a_function_that_is_not_pure() -> None:
    class Impure(Function):
        calls = 0

        def forward(self, x: Any) -> Any:
            Impure.calls += 1
            return x * float(Impure.calls)

        def backward(self, gy: Any) -> Any:
            return gy

    model = L.Linear(3, in_size=5)
    optimizer = optimizers.SGD(0.1).setup(model)

    def run(x: Any) -> Any:
        loss = F.sum(Impure()(model(x)))
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    x = batch()[0]
    model(x)
    step = dezero.compile(run, check=3)
    with pytest.raises(MismatchError, match="what the step returns"):
        [step(x) for _ in range(3)]


def test_check_names_the_state_that_differs() -> None:
    class Impure(Function):
        calls = 0

        def forward(self, x: Any) -> Any:
            return x * 1

        def backward(self, gy: Any) -> Any:
            Impure.calls += 1
            return gy * float(Impure.calls)

    model = L.Linear(3, in_size=5, nobias=True)

    def run(x: Any) -> Any:
        loss = F.sum(Impure()(model(x)))
        model.cleargrads()
        loss.backward()
        return loss

    step = dezero.compile(run, check=5)
    with pytest.raises(MismatchError, match=r"Parameter W\.grad"):
        [step(batch()[0]) for _ in range(3)]


def users_line() -> int:
    """The line that calls this."""
    return sys._getframe(1).f_lineno


def test_a_loss_that_becomes_nan_beside_an_unused_argument() -> None:
    step = dezero.compile(lambda x, t: F.sum(F.log(x)))
    step(np.ones(2), np.ones(2))
    with pytest.raises(NonFiniteError):
        step(np.array([-1.0, 1.0]), np.ones(2))


def test_a_loss_that_becomes_nan() -> None:
    world = trained(mlp(), optimizers.Adam(0.01))
    lines = []

    def run(x: Any) -> Any:
        y = world.model(x)
        lines.append(users_line() + 1)
        z = F.log(F.sum(y * y, axis=1) - 0.01)
        loss = -F.mean(z)
        world.model.cleargrads()
        loss.backward()
        world.optimizer.update()
        return loss

    step = dezero.compile(run)
    x = batch()[0]
    for _ in range(3):
        step(x)
    before = list(contents([world.model, world.optimizer]))
    before = [(k, v.copy() if isinstance(v, np.ndarray) else v) for k, v in before]
    with pytest.raises(NonFiniteError) as info:
        step(x * 0 - np.float32(1e-6))
    after = dict(contents([world.model, world.optimizer]))
    for name, value in before:  # gradients: see test_compile_errors.py
        if ".grad" not in name:
            assert np.array_equal(np.asarray(value), np.asarray(after[name])), name
    text = str(info.value)
    assert "log" in text and f"{__file__}:{lines[0]}" in text
    assert "the result of\n" in text and "nothing was updated" in text
    assert "from -" in text and "float32[8]" in text
    assert isinstance(info.value, FloatingPointError)
    good = step(x)
    assert np.isfinite(good.data)


def test_after_a_nan_training_goes_on_as_eagerly() -> None:
    def make() -> Any:
        return trained(mlp(), optimizers.MomentumSGD(0.1), optimizers.WeightDecay(0.1))

    np.random.seed(0)
    eager = make()
    np.random.seed(0)
    other = make()
    step = dezero.compile(other.step)
    for i, (x, t) in enumerate(batches(6)):
        assert_same(eager.step(x, t), step(x, t), "loss")
        assert_same(eager.model, other.model, "model")
        if i % 2:
            with pytest.raises(NonFiniteError):
                step(x * np.float32(np.inf), t)
            assert_same(eager.model, other.model, "model")


def test_nan_at_the_first_call() -> None:
    world = trained(mlp(), optimizers.SGD(0.1))
    step = dezero.compile(world.step)
    x, t = batch()
    with pytest.raises(NonFiniteError, match="ran eagerly and has updated"):
        step(x * np.float32(np.nan), t)


def test_nan_beside_the_loss_is_no_error() -> None:
    step = dezero.compile(lambda x: (F.sum(x * 0), F.log(x)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        _, y = step(np.array([-1.0, 1.0]))
    assert np.isnan(y.data[0])


# -- without llvmlite, without a toolchain, from the disk -----------------------------

PROGRAM = """
import sys
import numpy as np
import dezero, dezero.functions as F, dezero.layers as L
from dezero.models import Sequential
from dezero.compiler.llvm import native

np.random.seed(0)
model = Sequential(L.Linear(6), L.BatchNorm(), F.relu, L.Linear(3))
optimizer = dezero.optimizers.Adam(0.01).setup(model)

def step(x, t):
    loss = F.softmax_cross_entropy(F.dropout(model(x), 0.2), t)
    model.cleargrads()
    loss.backward()
    optimizer.update()
    return loss

run = dezero.compile(step) if "eager" not in sys.argv else step
x = np.random.randn(8, 5).astype(np.float32)
t = np.random.randint(0, 3, 8)
losses = [float(run(x, t)) for _ in range(5)]
compiled = -1 if native() is None else native().compiled
print(compiled, *losses)
"""


def run_program(
    *arguments: str, env: dict[str, str] | None = None, before: str = ""
) -> tuple[int, list[float]]:
    """Run it in a process of its own: kernels compiled there (-1: none), losses."""
    program = textwrap.dedent(before) + PROGRAM
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert not found.stderr, found.stderr
    compiled, *losses = found.stdout.split()
    return int(compiled), list(map(float, losses))


@pytest.fixture(scope="module")
def eager_losses() -> list[float]:
    return run_program("eager")[1]


def test_without_llvmlite_by_choice(eager_losses: list[float]) -> None:
    compiled, losses = run_program(env={"DEZERO_COMPILE": "numpy"})
    assert compiled == -1
    assert losses == pytest.approx(eager_losses, rel=1e-5)


def test_without_llvmlite_installed(eager_losses: list[float]) -> None:
    before = """
    import sys
    class No:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] == "llvmlite":
                raise ImportError("no llvmlite")
    sys.meta_path.insert(0, No())
    """
    compiled, losses = run_program(before=before)
    assert compiled == -1
    assert losses == pytest.approx(eager_losses, rel=1e-5)


def test_no_toolchain(tmp_path: Path, eager_losses: list[float]) -> None:
    """With an empty PATH no compiler, linker or assembler can be called."""
    env = {"PATH": "", "DEZERO_HOME": str(tmp_path), "CC": "", "CXX": ""}
    compiled, losses = run_program(env=env)
    assert compiled != 0
    assert losses == pytest.approx(eager_losses, rel=1e-5)


@needs_llvm
def test_the_disk_keeps_kernels(tmp_path: Path, eager_losses: list[float]) -> None:
    env = {"DEZERO_HOME": str(tmp_path)}
    first, losses = run_program(env=env)
    assert first > 0
    second, again = run_program(env=env)
    assert second == 0
    assert losses == again == pytest.approx(eager_losses, rel=1e-5)
    kept = sorted((tmp_path / "cache").iterdir())
    assert kept and all(path.suffix == ".o" for path in kept)
    for i, path in enumerate(kept):  # each spoiled in another way
        data = bytearray(path.read_bytes())
        if i % 4 == 0:
            data = data[: len(data) // 2]
        elif i % 4 == 1:
            data[-100] ^= 255
        elif i % 4 == 2:
            data = bytearray()
        else:
            data[0] ^= 1
        path.write_bytes(bytes(data))
    third, again = run_program(env=env)
    assert third == first and again == losses
    assert run_program(env=env)[0] == 0
    assert sorted((tmp_path / "cache").iterdir()) == kept  # nothing temporary


@needs_llvm
def test_two_processes_at_once(tmp_path: Path, eager_losses: list[float]) -> None:
    env = {**os.environ, "DEZERO_HOME": str(tmp_path)}
    both = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        for _ in range(2)
    ]
    for process in both:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0 and not err, err
        losses = list(map(float, out.split()[1:]))
        assert losses == pytest.approx(eager_losses, rel=1e-5)


@needs_llvm
@pytest.mark.parametrize("kind", ["read only", "a file", "missing"])
def test_a_home_that_cannot_be_written(
    tmp_path: Path, kind: str, eager_losses: list[float]
) -> None:
    folder = tmp_path / "home"
    if kind == "read only":
        folder.mkdir()
        (folder / "cache").write_text("a file where the folder should be")
        folder.chmod(0o555)
    elif kind == "a file":
        folder.write_text("")
    else:
        folder = Path("/proc/nowhere/at/all")
    compiled, losses = run_program(env={"DEZERO_HOME": str(folder)})
    assert compiled > 0
    assert losses == pytest.approx(eager_losses, rel=1e-5)


# -- threads --------------------------------------------------------------------------


def in_threads(*functions: Callable[[], Any]) -> list[Any]:
    """Run them at once; give what they return, raise what they raise."""
    results: list[Any] = [None] * len(functions)
    errors: list[BaseException] = []
    start = threading.Barrier(len(functions))

    def run(i: int, function: Callable[[], Any]) -> None:
        start.wait()
        try:
            results[i] = function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def test_two_threads_with_a_step_each() -> None:
    def training(seed: int, compiled: bool) -> Callable[[], Any]:
        rng = np.random.RandomState(seed)
        model = mlp()
        for p in model.params():
            p.data = rng.randn(*p.shape).astype(np.float32)
        step = trained(model, optimizers.Adam(0.01)).step
        if compiled:
            step = dezero.compile(step)

        def run() -> Any:
            losses = [step(x, t).data for x, t in batches(20)]
            return losses, [p.data.copy() for p in model.params()]

        return run

    wanted = [training(1, False)(), training(2, False)()]
    found = in_threads(training(1, True), training(2, True))
    assert_same(wanted, found, "both", 1e-4)


def test_one_thread_compiles_while_another_computes() -> None:
    stop = threading.Event()

    def compiling() -> None:
        try:
            for _ in range(8):
                world = trained(mlp(), optimizers.Adam(0.01))
                step = dezero.compile(world.step)
                for x, t in batches(2):
                    step(x, t)
        finally:
            stop.set()

    def eager() -> int:
        rounds = 0
        model = mlp()
        for p in model.params():
            p.data = np.full(p.shape, 0.1, np.float32)
        x, t = batch()
        wanted = None
        while not stop.is_set() or rounds < 3:
            rounds += 1
            copied = copy.deepcopy(model)
            optimizer = optimizers.Adam(0.01).setup(copied)
            loss = F.softmax_cross_entropy(copied(x), t)
            loss.backward()
            optimizer.update()
            arrays = [loss.data, *(p.data for p in copied.params())]
            arrays += [np.zeros(3), np.arange(3), np.array([1.0, 2.0])]
            assert all(type(a) is np.ndarray for a in arrays)
            wanted = arrays if wanted is None else wanted
            for a, b in zip(wanted, arrays, strict=True):
                assert np.array_equal(a, b)
        return rounds

    in_threads(compiling, eager)


def test_random_numbers_of_a_thread_beside_one_that_compiles() -> None:
    stop = threading.Event()

    def compiling() -> None:
        try:
            for _ in range(5):
                step = dezero.compile(lambda x: F.exp(x) * 2)
                step(np.ones(3))
        finally:
            stop.set()

    def drawing() -> None:
        rng = np.random.RandomState(0)
        new = np.random.default_rng(0)
        while not stop.is_set():
            for x in (
                np.random.rand(3),
                rng.randn(3),
                new.normal(size=3),
                np.random.permutation(4),
                np.empty(2),
                np.linspace(0, 1, 3),
            ):
                assert type(x) is np.ndarray

    in_threads(compiling, drawing)


def test_one_step_in_two_threads() -> None:
    step = dezero.compile(lambda x: F.sum(F.exp(x) * x))
    step(np.zeros(1000))

    def run(k: float) -> Callable[[], list[float]]:
        x = np.full(1000, k)
        return lambda: [float(step(x)) for _ in range(200)]

    low, high = in_threads(run(0.5), run(1.0))
    assert set(np.round(low, 6)) == {np.round(500 * np.exp(0.5), 6)}
    assert set(np.round(high, 6)) == {np.round(1000 * np.exp(1.0), 6)}


def test_one_step_traced_by_two_threads() -> None:
    step = dezero.compile(lambda x: F.sum(F.exp(x) * x))

    def run(k: float) -> Callable[[], float]:
        return lambda: float(step(np.full(10, k)))

    low, high = in_threads(run(0.5), run(1.0))
    assert low == pytest.approx(5 * np.exp(0.5))
    assert high == pytest.approx(10 * np.exp(1.0))


def test_training_of_one_model_by_two_threads() -> None:
    world = trained(mlp(), optimizers.SGD(0.0))
    before = [p.data.copy() for p in world.model.params()]
    step = dezero.compile(world.step)
    x, t = batch()
    step(x, t)
    wanted = float(step(x, t))

    def run() -> list[float]:
        return [float(step(x, t)) for _ in range(100)]

    for losses in in_threads(run, run):
        assert losses == [wanted] * 100
    for p, was in zip(world.model.params(), before, strict=True):
        assert np.array_equal(p.data, was)


# -- memory ---------------------------------------------------------------------------


def test_a_step_that_goes_takes_its_model_along() -> None:
    world = trained(mlp(), optimizers.Adam(0.01))
    step = dezero.compile(world.step)
    for x, t in batches(3):
        step(x, t)
    gone = weakref.ref(world.model)
    del world, step
    gc.collect()
    assert gone() is None


def test_many_calls_leave_nothing_behind() -> None:
    world = trained(mlp(), optimizers.Adam(0.01))
    step = dezero.compile(world.step)
    x, t = batch()
    for _ in range(3):
        step(x, t)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(50):
        step(x, t)
    gc.collect()
    assert len(gc.get_objects()) - before < 20
