"""What cannot be compiled: the message, the user's line, and nothing half-done."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import Function, Variable, optimizers
from dezero.compiler import CompileError
from dezero.models import Model, Sequential


@pytest.fixture(scope="module", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of compiled kernels for these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEZERO_HOME", str(tmp_path_factory.mktemp("home")))
        yield


class Net(Model):
    """Something of everything that keeps state."""

    def __init__(self) -> None:
        super().__init__()
        self.l1 = L.Linear(6, in_size=5)
        self.bn = L.BatchNorm()
        self.rnn = L.RNN(4, in_size=6)
        self.l2 = L.Linear(3, in_size=4)
        self.mean = np.zeros(5, np.float32)
        self.calls = 0
        self.history: list[Any] = [np.zeros(2)]
        self.table: dict[str, Any] = {"a": np.ones(2)}

    def forward(self, x: Any) -> Variable:
        self.calls += 1
        self.mean *= 0.9
        self.mean = self.mean + x.mean(axis=0)
        self.history[0] = self.history[0] * 2
        self.table["a"] = self.table["a"] + 1
        x = F.dropout(F.relu(self.bn(self.l1(x))), 0.3)
        return self.l2(self.rnn(x))


def without_gradients(thing: Any) -> list[Any]:
    return [entry for entry in everything(thing) if "grad" not in entry[0]]


def everything(thing: Any, path: str = "", seen: Any = ()) -> Iterator[Any]:
    """All that is kept, with the identity of containers and arrays."""
    if isinstance(thing, np.ndarray):
        yield path, id(thing), thing.dtype, thing.shape, thing.tobytes()
    elif id(thing) in seen:
        return
    elif isinstance(thing, Variable):
        yield path, id(thing), type(thing)
        yield from everything(thing.data, f"{path}.data", (*seen, id(thing)))
        inside = {k: v for k, v in vars(thing).items() if v is not None}
        for name, value in inside.items():
            yield from everything(value, f"{path}.{name}", (*seen, id(thing)))
    elif isinstance(thing, dict):
        yield path, id(thing), len(thing)
        for i, (key, value) in enumerate(thing.items()):
            name = key if isinstance(key, str) else i
            yield from everything(value, f"{path}[{name!r}]", (*seen, id(thing)))
    elif isinstance(thing, (list, tuple)):
        yield path, id(thing), len(thing)
        for i, value in enumerate(thing):
            yield from everything(value, f"{path}[{i}]", (*seen, id(thing)))
    elif isinstance(thing, (dezero.Layer, optimizers.Optimizer, SimpleNamespace)):
        yield path, id(thing), type(thing)
        inside = {k: v for k, v in vars(thing).items() if k != "_last_call"}
        for name, value in inside.items():
            yield from everything(value, f"{path}.{name}", (*seen, id(thing)))
    else:
        yield path, repr(thing)


def world() -> Any:
    """A model and its optimizer in the middle of a training."""
    model = Net()
    optimizer = optimizers.Adam(0.01).setup(model)
    optimizer.add_hook(optimizers.WeightDecay(0.1))
    this = SimpleNamespace(model=model, optimizer=optimizer)
    x, t = batch()

    def step() -> Any:
        model.rnn.reset_state()
        loss = F.softmax_cross_entropy(model(x), t)
        model.cleargrads()
        loss.backward()
        loss.unchain_backward()
        optimizer.update()
        return loss

    step()
    step()
    this.step = step
    return this


def batch(n: int = 8) -> Any:
    rng = np.random.RandomState(0)
    return rng.randn(n, 5).astype(np.float32), rng.randint(0, 3, n)


def line() -> int:
    return sys._getframe(1).f_lineno


def refused(
    step: Callable[..., Any], *args: Any, kind: Any = CompileError, keep: Any = None
) -> str:
    """The message of the error of a step; what it keeps is as before, or it fails."""
    keep = [] if keep is None else keep
    compiled = dezero.compile(step)
    before = list(everything(keep))
    numbers = np.random.get_state()[1].tobytes(), np.random.get_state()[2]
    names = [(name, getattr(np, name)) for name in dir(np)]
    switches = dezero.config.switches.get()
    with pytest.raises(kind) as info:
        compiled(*args)
    assert list(everything(keep)) == before
    assert numbers == (np.random.get_state()[1].tobytes(), np.random.get_state()[2])
    assert all(getattr(np, name) is value for name, value in names)
    assert dezero.config.switches.get() == switches
    assert "_data" in Variable.__slots__ and Variable.grad is None
    assert type(np.zeros(2)) is np.ndarray
    return str(info.value)


READ = (
    "{}: expected numbers, got an array of a step that is being compiled, which has "
    "none until it runs\n  in {}:{}\n  write return it from the step and read it "
    "there; to choose by its values write np.where(condition, a, b)"
)


def reading(read: Callable[[Any], Any]) -> tuple[Callable[..., Any], Any]:
    """A step in the middle of which something is read."""
    this = world()
    model, optimizer = this.model, this.optimizer

    def step(x: Any, t: Any) -> Any:
        model.rnn.reset_state()
        loss = F.softmax_cross_entropy(model(x), t)
        model.cleargrads()
        loss.backward()
        loss.unchain_backward()
        read(loss)
        optimizer.update()
        return loss

    return step, this


READS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "float": (lambda loss: float(loss), "x.item()"),
    "float of data": (lambda loss: float(loss.data), "float(x)"),
    "int": (lambda loss: int(loss), "x.item()"),
    "int of data": (lambda loss: int(loss.data), "int(x)"),
    "item": (lambda loss: loss.data.item(), "x.item()"),
    "if": (lambda loss: 1 if loss.data < 1 else 2, "if x, while x, x and y"),
    "and": (lambda loss: loss.data > 0 and loss.data < 9, "if x, while x, x and y"),
    "not": (lambda loss: not loss.data, "if x, while x, x and y"),
    "if Variable": (lambda loss: 1 if loss < 1 else 2, "if x, while x, x and y"),
    "tolist": (lambda loss: loss.data.tolist(), "x.tolist()"),
    "range": (lambda loss: list(range(loss.data.astype(int))), "an index or a length"),
    "list index": (
        lambda loss: [1, 2, 3][loss.data.astype(int)],
        "an index or a length",
    ),
    "format": (lambda loss: f"{loss.data:.3f}", "format(x)"),
    "percent": (lambda loss: "%f" % loss.data, "float(x)"),  # noqa: UP031
    "max": (lambda loss: max(loss.data, 1.0), "if x, while x, x and y"),
    "math": (lambda loss: __import__("math").sqrt(loss.data), "float(x)"),
    "array_equal": (lambda loss: np.array_equal(loss.data, 1.0), "np.array_equal"),
    "allclose": (lambda loss: np.allclose(loss.data, 1.0), "np.allclose"),
    "np.float32": (lambda loss: np.float32(loss.data), "np.asarray(x)"),
    "bytes": (lambda loss: loss.data.tobytes(), "x.tobytes()"),
    "sum of list": (lambda loss: np.sum([loss.data, loss.data]), "np.asarray(x)"),
    "random": (
        lambda loss: np.random.normal(loss.data),
        "the arguments of a random draw",
    ),
}


@pytest.mark.parametrize("name", list(READS))
def test_reading_numbers(name: str) -> None:
    read, how = READS[name]
    step, this = reading(read)
    message = refused(step, *batch(), keep=this)
    first = read.__code__.co_firstlineno
    found = [message == READ.format(how, __file__, n) for n in (first, first + 1)]
    assert any(found), message
    this.step()  # eager goes on


@pytest.mark.parametrize("name", ["print", "f-string", "str", "repr"])
def test_printing_says_that_there_are_no_numbers(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def show(loss: Any) -> None:
        if name == "print":
            print(loss)
        elif name == "f-string":
            print(f"{loss} {loss.data}")
        elif name == "str":
            print(str(loss.data))
        else:
            print(repr(loss))

    step, _this = reading(show)
    dezero.compile(step)(*batch())
    assert "traced array of shape ()" in capsys.readouterr().out


def test_the_line_is_the_users_own() -> None:
    class Stop(Function):
        def forward(self, x: Any) -> Any:
            if x.sum() > 0:
                return x
            return -x

        def backward(self, gy: Any) -> Any:
            return gy

    message = refused(lambda x: Stop()(x), np.ones(3))
    first = Stop.forward.__code__.co_firstlineno
    assert f"in {__file__}:{first + 1}\n" in message


GROWS = (
    "{}: expected a result whose shape follows from shapes alone, got one that depends "
    "on the numbers\n  in {}:{}\n  write np.where(mask, x, 0), which keeps the shape, "
    "or do it before the compiled step"
)


@pytest.mark.parametrize(
    ("what", "function"),
    [
        ("x[mask]", lambda x: x[x > 0]),
        ("x[mask]", lambda x: F.get_item(Variable(x), x > 0)),
        ("x[mask]", lambda x: np.add.at(x.copy(), x > 0, 1.0)),
        ("np.nonzero", lambda x: np.nonzero(x)),
        ("x.nonzero()", lambda x: x.nonzero()),
        ("np.unique", lambda x: np.unique(x)),
        ("np.where(condition)", lambda x: np.where(x > 0)),
        ("np.argwhere", lambda x: np.argwhere(x)),
        ("np.flatnonzero", lambda x: np.flatnonzero(x)),
        ("np.extract", lambda x: np.extract(x > 0, x)),
        ("np.compress", lambda x: np.compress(x > 0, x)),
        ("x[mask] = values", lambda x: x.copy().__setitem__(x > 0, x[:2])),
    ],
)
def test_shapes_that_depend_on_data(what: str, function: Any) -> None:
    message = refused(function, np.array([1.0, -1.0, 2.0]))
    number = function.__code__.co_firstlineno
    assert message == GROWS.format(what, __file__, number)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.union1d(x, x),
        lambda x: np.setdiff1d(x, np.zeros(1)),
        lambda x: np.trim_zeros(x),
        lambda x: np.repeat(x, (x > 0).astype(int)),
        lambda x: x.compress(x > 0),
        lambda x: np.bincount(np.abs(np.rint(x)).astype(int)),
    ],
)
def test_a_call_whose_result_changes_its_shape(function: Any) -> None:
    """Where it is not known before, it is found out when it happens."""
    step = dezero.compile(function)
    x = np.array([1.0, -1.0, 2.0])
    assert np.array_equal(step(x), function(x))
    assert np.array_equal(step(x * 1.125), function(x * 1.125))
    with pytest.raises(CompileError, match="as when it was traced, got"):
        step(np.array([0.0, 0.0, 3.0]))


# -- written behind the trace ---------------------------------------------------------


def test_a_bare_array_of_a_function_written_behind_the_trace() -> None:
    class Buffered(Function):
        def __init__(self) -> None:
            self.buffer = np.zeros(3)

        def forward(self, x: Any) -> Any:
            y = x + self.buffer
            self.buffer[...] = self.buffer * 0.5 + 1
            return y

        def backward(self, gy: Any) -> Any:
            return gy

    function = Buffered()
    message = refused(lambda x: function(x), np.ones(3))
    assert "a bare array of shape (3,) in 'function' written" in message


def test_a_bare_array_written_before_it_meets_a_traced_one() -> None:
    buffer = np.zeros(3)

    def step(x: Any) -> Any:
        buffer[...] = buffer + 1
        return x + buffer

    message = refused(step, np.ones(3))
    assert "a bare array of shape (3,) in 'buffer' written" in message
    assert buffer.tolist() == [0, 0, 0]


def test_a_bare_array_written_and_never_met() -> None:
    counter = np.zeros(1)

    def step(x: Any) -> Any:
        counter[0] += 1
        return x * 2

    compiled = dezero.compile(step)
    with pytest.raises(CompileError, match="in 'counter' written"):
        [compiled(np.ones(2)) for _ in range(3)]


def test_traced_numbers_written_into_a_bare_array() -> None:
    """Reads in plain NumPy would see the old numbers, so it is refused."""
    buffer = np.zeros(3)

    def step(x: Any) -> Any:
        np.add(buffer, x, out=buffer)
        return buffer * 2

    message = refused(step, np.ones(3))
    assert "got a bare array of shape (3,)" in message
    assert f"{__file__}:{step.__code__.co_firstlineno + 1}" in message
    assert buffer.tolist() == [0, 0, 0]


def test_setting_items_of_a_bare_array() -> None:
    buffer = np.zeros(3)

    def step(x: Any) -> Any:
        buffer[0] = x[0]
        return buffer * 2

    message = refused(step, np.ones(3))
    assert f"{__file__}:{step.__code__.co_firstlineno + 1}" in message
    assert buffer.tolist() == [0, 0, 0]


def test_counting_in_python() -> None:
    """A number of the closure would stand still: that is said, not done."""
    count = 0

    def step(x: Any) -> Any:
        nonlocal count
        count += 1
        return x * count

    compiled = dezero.compile(step)
    x = np.ones(1)
    found = []
    try:
        found = [float(compiled(x)[0]) for _ in range(3)]
    except CompileError:
        assert count == 0
        return
    assert found == [1, 2, 3]


def test_traced_arrays_appended_to_a_list() -> None:
    kept: list[Any] = []

    def step(x: Any) -> Any:
        y = x * 2
        kept.append(y)
        return y

    compiled = dezero.compile(step)
    compiled(np.ones(3))
    compiled(np.ones(3))
    with pytest.raises(CompileError) as info:
        kept[0] + 1
    number = line() - 1
    assert str(info.value) == (
        "compile: expected an array of this call, got one of a step that was traced "
        "before and is finished (<traced array of shape (3,) and type float64>)\n"
        f"  in {__file__}:{number}\n  write return it from the step, or keep it as an "
        "attribute of a Layer"
    )


def test_variables_appended_to_a_list() -> None:
    kept: list[Any] = []

    def step(x: Any) -> Any:
        y = F.exp(x)
        kept.append(y)
        return y

    compiled = dezero.compile(step)
    compiled(np.ones(1))
    for use in (float, lambda y: y.data + 1, lambda y: y * 2, lambda y: np.sum(y.data)):
        with pytest.raises(CompileError, match="traced before and is finished"):
            use(kept[0])


def test_arrays_of_one_step_in_another() -> None:
    kept: list[Any] = []
    first = dezero.compile(lambda x: kept.append(x * 2))
    first(np.ones(2))
    message = refused(lambda x: x + kept[0], np.ones(2), keep=None)
    assert "traced before and is finished" in message


# -- errors of the step itself --------------------------------------------------------


def test_any_error_leaves_everything_as_it_was() -> None:
    this = world()

    class OopsError(Exception):
        pass

    def make(place: int) -> Callable[..., Any]:
        def step(x: Any, t: Any) -> Any:
            model, optimizer = this.model, this.optimizer
            if place == 0:
                raise OopsError
            model.rnn.reset_state()
            loss = F.softmax_cross_entropy(model(x), t)
            if place == 1:
                raise OopsError
            model.cleargrads()
            loss.backward()
            if place == 2:
                raise OopsError
            optimizer.lr_now = optimizer.alpha * 0.5
            optimizer.alpha *= 0.5
            model.new = Variable(np.ones(3))
            model.history.append(x)
            model.table["b"] = 3
            del model.table["a"]
            optimizer.update()
            if place == 3:
                raise OopsError
            del model.l1.b
            raise OopsError

        return step

    for place in range(5):
        refused(make(place), *batch(), kind=OopsError, keep=this)
    before = [p.data.copy() for p in this.model.params()]
    this.step()
    after = [p.data for p in this.model.params()]
    assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_an_error_after_compiling_leaves_the_programs_right() -> None:
    fail = False
    this = world()

    def step(x: Any, t: Any, flag: bool) -> Any:
        this.model.rnn.reset_state()
        loss = F.softmax_cross_entropy(this.model(x), t)
        this.model.cleargrads()
        loss.backward()
        loss.unchain_backward()
        this.optimizer.update()
        if flag:
            raise ZeroDivisionError
        return loss

    assert not fail
    compiled = dezero.compile(step)
    x, t = batch()
    compiled(x, t, False)
    before = list(everything(this))
    with pytest.raises(ZeroDivisionError):
        compiled(x, t, True)
    assert list(everything(this)) == before
    compiled(x, t, False)


def test_keyboard_interrupt_while_tracing() -> None:
    this = world()

    def step(x: Any) -> Any:
        y = this.model(x)
        y.backward()
        raise KeyboardInterrupt

    refused(step, batch()[0], kind=KeyboardInterrupt, keep=this)


@pytest.mark.parametrize(
    "bad", [np.array([0, 1, 3, 0, 0, 0, 0, 0]), np.array([0, 1, -1, 0, 0, 0, 0, 0])]
)
@pytest.mark.parametrize("first", [True, False])
def test_labels_out_of_range(bad: Any, first: bool) -> None:
    model = Sequential(L.Linear(3, in_size=5))
    optimizer = optimizers.Adam(0.01).setup(model)

    def step(x: Any, t: Any) -> Any:
        loss = F.softmax_cross_entropy(model(x), t)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    x, t = batch()
    compiled = dezero.compile(step)
    if not first:
        compiled(x, t)
        compiled(x, t)
    with pytest.raises(IndexError) as wanted:
        step(x, bad)
    before = without_gradients(optimizer)
    with pytest.raises(IndexError) as found:
        compiled(x, bad)
    assert without_gradients(optimizer) == before
    if not first:  # see test_the_message_at_the_first_call
        assert str(found.value).split("\n")[0] == str(wanted.value)
    compiled(x, t)


@pytest.mark.parametrize("bad", [10, -11, 1 << 40])
@pytest.mark.parametrize("first", [True, False])
def test_ids_out_of_range(bad: int, first: bool) -> None:
    model = Sequential(L.EmbedID(10, 4), L.Linear(3, in_size=4))
    optimizer = optimizers.SGD(0.1).setup(model)

    def step(x: Any, t: Any) -> Any:
        loss = F.softmax_cross_entropy(model(x), t)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    good, t = np.arange(8), batch()[1]
    wrong = np.where(good == 3, bad, good)
    compiled = dezero.compile(step)
    if not first:
        compiled(good, t)
        compiled(good, t)
    with pytest.raises(IndexError) as wanted:
        step(wrong, t)
    before = without_gradients(optimizer)
    with pytest.raises(IndexError) as found:
        compiled(wrong, t)
    assert without_gradients(optimizer) == before
    if not first:  # see test_the_message_at_the_first_call
        assert str(found.value).split("\n")[0] == str(wanted.value)
    compiled(good, t)


@pytest.mark.parametrize("bad", [3, 1 << 40])
def test_the_message_at_the_first_call(bad: int) -> None:
    x, t = batch()
    t[0] = bad
    for step in (
        lambda x, t: F.softmax_cross_entropy(x[:, :3], t),
        lambda x, t: F.embed_id(t, x[:3]),
    ):
        with pytest.raises(IndexError) as wanted:
            step(Variable(x), t)
        with pytest.raises(IndexError) as found:
            dezero.compile(step)(Variable(x), t)
        assert str(found.value).split("\n")[0] == str(wanted.value)


@pytest.mark.parametrize("kind", ["label", "nan"])
def test_gradients_after_an_error(kind: str) -> None:
    model = L.Linear(3, in_size=5)

    def step(x: Any, t: Any) -> Any:
        loss = F.softmax_cross_entropy(model(x), t)
        model.cleargrads()
        loss.backward()
        return loss

    compiled = dezero.compile(step)
    x, t = batch()
    compiled(x, t)
    before = list(everything(model))
    if kind == "label":
        t = t + 9
    else:
        x = x * np.float32(np.nan)
    with pytest.raises((IndexError, FloatingPointError)):
        compiled(x, t)
    assert list(everything(model)) == before


def test_state_after_a_call_of_numpy_that_fails() -> None:
    model = L.Linear(3, in_size=5)
    optimizer = optimizers.SGD(0.1).setup(model)

    def step(x: Any, A: Any) -> Any:
        inverse = np.linalg.inv(A)
        loss = F.sum(model(x))
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss, inverse

    compiled = dezero.compile(step)
    x = batch()[0]
    compiled(x, np.eye(2))
    compiled(x, np.eye(2))
    before = without_gradients(optimizer)
    with pytest.raises(np.linalg.LinAlgError):
        compiled(x, np.zeros((2, 2)))
    assert without_gradients(optimizer) == before


@pytest.mark.parametrize("bad", [3, -4])
def test_other_indices_out_of_range(bad: int) -> None:
    for function in (
        lambda x, i: x[i],
        lambda x, i: x[np.arange(2)[: len(i)], i],
        lambda x, i: np.take(x, i, axis=0),
        lambda x, i: F.get_item(Variable(x), i),
    ):
        compiled = dezero.compile(function)
        x = np.arange(9.0).reshape(3, 3)
        compiled(x, np.array([0, 2]))
        compiled(x, np.array([-3, 1]))
        with pytest.raises(IndexError):
            compiled(x, np.array([0, bad]))


def test_wrong_shapes_raise_the_eager_message() -> None:
    this = world()
    x, t = batch()
    cases: list[Callable[..., Any]] = [
        lambda: this.model(x[:, :3]),
        lambda: F.softmax_cross_entropy(this.model(x), t[:3]),
        lambda: F.matmul(Variable(x), Variable(x)),
        lambda: Variable(x) + Variable(x[:3]),
        lambda: F.reshape(Variable(x), (3, 3)),
        lambda: L.BatchNorm()(x[0]),
        lambda: F.concat([x, x[:, :2]], axis=0),
        lambda: np.dot(x, x),
        lambda: x + x[:3],
        lambda: x.sum(axis=5),
        lambda: x[:, 9],
        lambda: F.softmax_cross_entropy(this.model(x), t.astype(float)),
        lambda: Variable(x).backward(),
        lambda: F.conv2d(x, x),
    ]
    for case in cases:
        with pytest.raises(Exception) as wanted:
            case()
        this.model.rnn.reset_state()
        this.model.cleargrads()
        message = refused(case, kind=wanted.type, keep=this)
        assert message == str(wanted.value)


def test_a_step_that_is_no_function() -> None:
    with pytest.raises(TypeError) as info:
        dezero.compile(3)  # type: ignore[call-overload]
    assert str(info.value) == "compile: expected a function, got int"


def test_arguments_that_are_subclasses_of_arrays() -> None:
    x = np.ma.masked_array(np.ones(3), [0, 1, 0])
    with pytest.raises(TypeError) as info:
        dezero.compile(lambda x: x * 2)(x)
    assert str(info.value) == (
        "compile: expected plain arrays as arguments, got MaskedArray"
    )


def test_gradients_that_are_not_finite_are_not_clipped() -> None:
    model = Sequential(L.Linear(3, in_size=5))
    optimizer = optimizers.SGD(0.1).setup(model)
    optimizer.add_hook(optimizers.ClipGrad(1.0))

    def step(x: Any, t: Any) -> None:
        loss = F.softmax_cross_entropy(model(x), t)
        model.cleargrads()
        loss.backward()
        optimizer.update()

    compiled = dezero.compile(step)
    x, t = batch()
    compiled(x, t)
    before = model.layers[0].W.data.copy()
    with pytest.raises(
        FloatingPointError, match=r"ClipGrad: expected finite gradients"
    ):
        compiled(x * np.float32(np.nan), t)
    assert np.array_equal(model.layers[0].W.data, before)
    compiled(x, t)
