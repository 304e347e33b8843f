"""The engine on any graph: gradients against brute force, and the order of the walk."""

from __future__ import annotations

import gc
import itertools
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dezero
import dezero.functions as F
from dezero import Function, Parameter, Variable

# -- random graphs ------------------------------------------------------------------
#
# A program is a list of steps on a growing list of values. The same program is run
# on Variables, and on the numbers below, which know of no graph and no backward:
# they carry derivatives forward. Every operation keeps numbers in [-1, 1] where they
# are, so that the results stay comparable to the last digits.


class Three(Function):
    """Three outputs, each of which may go unused or be dropped."""

    def forward(self, x0: Any, x1: Any) -> Any:
        return x0 * x1, (x0 + x1) / 2, (x0 - x1) / 2

    def backward(self, gy0: Variable, gy1: Variable, gy2: Variable) -> Any:
        x0, x1 = self.inputs
        gx0 = gy0 * x1 + gy1 / 2 + gy2 / 2
        gx1 = gy0 * x0 + gy1 / 2 - gy2 / 2
        return gx0, gx1


@dataclass
class Tangent:
    """A value, and on the last axis its derivatives in many directions at once."""

    value: Any
    slope: Any

    def __add__(self, other: Tangent) -> Tangent:
        return Tangent(self.value + other.value, self.slope + other.slope)

    def __mul__(self, other: Tangent) -> Tangent:
        slope = self.slope * other.value[..., None] + self.value[..., None] * (
            other.slope
        )
        return Tangent(self.value * other.value, slope)

    def scaled(self, c: float) -> Tangent:
        return Tangent(self.value * c, self.slope * c)

    def sin(self) -> Tangent:
        return Tangent(np.sin(self.value), np.cos(self.value)[..., None] * self.slope)

    def sum(self) -> Tangent:
        axes = tuple(range(self.value.ndim))
        return Tangent(self.value.sum(), self.slope.sum(axes))


@dataclass
class Series:
    """A number as the start of a power series in one direction, up to third order."""

    c: Any  # (4,)

    def __add__(self, other: Series) -> Series:
        return Series(self.c + other.c)

    def __mul__(self, other: Series) -> Series:
        return Series(np.convolve(self.c, other.c)[:4])

    def scaled(self, c: float) -> Series:
        return Series(self.c * c)

    def sin(self) -> Series:
        rest = Series(np.array([0, *self.c[1:]]))
        square = rest * rest
        sin_rest = rest.c - (square * rest).c / 6
        cos_rest = np.array([1, 0, 0, 0]) - square.c / 2
        return Series(np.sin(self.c[0]) * cos_rest + np.cos(self.c[0]) * sin_rest)

    def sum(self) -> Series:
        return self


def on_numbers(operation: str, a: Any, b: Any) -> tuple[Any, ...]:
    half_sum, half_difference = (a + b).scaled(0.5), (a + b.scaled(-1)).scaled(0.5)
    return {
        "half_sum": (half_sum,),
        "half_difference": (half_difference,),
        "product": (a * b,),
        "square": (a * a,),
        "sin": (a.sin(),),
        "sum": (a.sum().scaled(0.1),),
        "three": (a * b, half_sum, half_difference),
    }[operation]


def on_variables(operation: str, a: Any, b: Any) -> tuple[Any, ...]:
    if operation == "three":
        return Three()(a, b)
    y = {
        "half_sum": lambda: (a + b) / 2,
        "half_difference": lambda: 0.5 * (a - b),
        "product": lambda: a * b,
        "square": lambda: a * a,
        "sin": lambda: F.sin(a),
        "sum": lambda: F.sum(a) * 0.1,
    }[operation]()
    return (y,)


OPERATIONS = (
    "half_sum",
    "half_difference",
    "product",
    "square",
    "sin",
    "sum",
    "three",
)
SHAPES = ((), (3,), (2, 1), (2, 3), (1,))


@dataclass
class Program:
    shapes: list[tuple[int, ...]]
    constants: list[bool]
    steps: list[tuple[str, int, int, tuple[bool, ...]]]
    root: int
    numbers: Any

    def leaves(self) -> list[Any]:
        return [np.asarray(self.numbers.uniform(-1, 1, s)) for s in self.shapes]

    def run(self, operate: Callable[..., Any], leaves: list[Any]) -> Any:
        """The root. Values that a step drops are gone before backward."""
        values = list(leaves)
        root = operate("sin", values[0], values[0])[0]
        for i, (operation, first, second, keep) in enumerate(self.steps):
            ys = operate(
                operation, values[first % len(values)], values[second % len(values)]
            )
            if i <= self.root:
                root = ys[self.root % len(ys)]
            # At least one output goes on; the others live or die as drawn.
            kept = [y for y, k in zip(ys, keep, strict=False) if k] or [ys[0]]
            values += kept
        return root


@st.composite
def programs(draw: st.DrawFn, scalars: bool = False, steps: int = 14) -> Program:
    shape = st.just(()) if scalars else st.sampled_from(SHAPES)
    shapes = draw(st.lists(shape, min_size=1, max_size=3))
    constants = draw(
        st.lists(st.booleans(), min_size=len(shapes), max_size=len(shapes))
    )
    constants[0] = False
    step = st.tuples(
        st.sampled_from(OPERATIONS),
        st.integers(0, 30),
        st.integers(0, 30),
        st.tuples(st.booleans(), st.booleans(), st.booleans()),
    )
    drawn = draw(st.lists(step, min_size=1, max_size=steps))
    root = draw(st.integers(0, len(drawn)))
    seed = draw(st.integers(0, 2**16))
    return Program(shapes, constants, drawn, root, np.random.RandomState(seed))


def slopes_of_sum(program: Program, arrays: list[Any]) -> list[Any]:
    """The derivative of the sum of the root's elements by each leaf, by brute force."""
    directions = sum(a.size for a in arrays)
    leaves = []
    start = 0
    for a in arrays:
        slope = np.zeros((a.size, directions))
        slope[:, start : start + a.size] = np.eye(a.size)
        leaves.append(Tangent(a, slope.reshape(*a.shape, directions)))
        start += a.size
    slope = program.run(on_numbers, leaves).sum().slope
    ends = np.cumsum([a.size for a in arrays])[:-1]
    parts = np.split(slope, ends)
    return [p.reshape(a.shape) for p, a in zip(parts, arrays, strict=True)]


def assert_close(got: Any, wanted: Any) -> None:
    np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-10)


@given(programs(), st.booleans(), st.booleans())
def test_gradients_equal_brute_force(
    program: Program, create_graph: bool, retain_grad: bool
) -> None:
    arrays = program.leaves()
    leaves = [
        Variable(a, requires_grad=not constant)
        for a, constant in zip(arrays, program.constants, strict=True)
    ]
    y = program.run(on_variables, leaves)
    wanted = slopes_of_sum(program, arrays)
    if y.creator is None:  # made from constants alone
        return
    y.backward(retain_grad=retain_grad, create_graph=create_graph)
    for x, gx in zip(leaves, wanted, strict=True):
        if x.grad is None:
            assert_close(0 if x.requires_grad else gx * 0, gx * x.requires_grad)
        else:
            assert x.requires_grad
            assert x.grad.shape == x.shape
            assert_close(x.grad.data, gx)


@given(programs(scalars=True, steps=8))
def test_higher_orders_equal_power_series(program: Program) -> None:
    arrays = program.leaves()
    directions = program.numbers.uniform(-1, 1, len(arrays))
    series = [
        Series(np.array([float(a), d, 0, 0]))
        for a, d in zip(arrays, directions, strict=True)
    ]
    wanted = program.run(on_numbers, series).c
    leaves = [Variable(a) for a in arrays]
    y = program.run(on_variables, leaves)
    assert_close(y.data, wanted[0])
    for order in (1, 2, 3):
        if y.creator is None:
            assert_close(0, wanted[order:])
            return
        for x in leaves:
            x.cleargrad()
        y.backward(create_graph=True)
        slopes = [
            x.grad * d
            for x, d in zip(leaves, directions, strict=True)
            if x.grad is not None
        ]
        if not slopes:
            assert_close(0, wanted[order:])
            return
        y = sum(slopes)
        assert_close(y.data, math.factorial(order) * wanted[order])


# -- the order of the walk ----------------------------------------------------------


class Logged(Function):
    """Any number of inputs and outputs; remembers when forward and backward came."""

    clock = itertools.count()
    log: list[Logged]

    def __init__(self, outputs: int = 1) -> None:
        self.n_outputs = outputs

    def forward(self, *xs: Any) -> Any:
        self.born = next(Logged.clock)
        total = sum(xs) / len(xs)
        return tuple(total * (i + 1) for i in range(self.n_outputs))

    def backward(self, *gys: Variable) -> Any:
        Logged.log.append(self)
        gx = sum(gy * (i + 1) for i, gy in enumerate(gys)) / len(self.inputs)
        return (gx,) * len(self.inputs)


@st.composite
def wirings(draw: st.DrawFn) -> list[tuple[int, list[int]]]:
    """For each Function the number of its outputs and the places of its inputs."""
    inputs = st.lists(st.integers(0, 60), min_size=1, max_size=3)
    return draw(st.lists(st.tuples(st.integers(1, 3), inputs), min_size=1, max_size=20))


def wire(wiring: list[tuple[int, list[int]]]) -> tuple[Variable, list[Variable]]:
    values = [Variable(np.array([0.3, 0.7])), Variable(np.array([0.1]))]
    for outputs, places in wiring:
        ys = Logged(outputs)(*(values[p % len(values)] for p in places))
        values += ys if outputs > 1 else [ys]
    return values[-1], values


def behind(y: Variable) -> set[Function]:
    found: set[Function] = set()
    pending = [y]
    while pending:
        func = pending.pop().creator
        if func is not None and func not in found:
            found.add(func)
            pending += func.inputs
    return found


@given(wirings(), st.booleans())
def test_backward_takes_the_highest_generation_first_and_of_one_the_youngest(
    wiring: list[tuple[int, list[int]]], retain_grad: bool
) -> None:
    y, _values = wire(wiring)
    Logged.log = []
    y.backward(retain_grad=retain_grad)
    log = Logged.log
    assert set(log) == behind(y)
    assert len(log) == len(set(log))
    assert log == sorted(log, key=lambda f: (-f.generation, -f.born))
    place = {func: i for i, func in enumerate(log)}
    for func in log:
        for x in func.inputs:
            if x.creator is not None:
                assert place[x.creator] > place[func]
                assert x.creator.generation < func.generation


SCRIPT = """
import random
import numpy as np
import dezero
import dezero.functions as F

class Mix(dezero.Function):
    log = []
    def __init__(self, number):
        self.number = number
    def forward(self, x0, x1):
        return x0 * x1 + x0, x0 - 0.1 * x1
    def backward(self, gy0, gy1):
        Mix.log.append(self.number)
        x0, x1 = self.inputs
        return gy0 * x1 + gy0 + gy1, gy0 * x0 - 0.1 * gy1

draw = random.Random(0)
leaves = [dezero.Variable(np.array(draw.random())) for _ in range(4)]
values = list(leaves)
for number in range(300):
    a, b = draw.choices(values[-40:], k=2)
    values += [F.tanh(y) for y in Mix(number)(a, b)]
sum(values[-30:]).backward()
print(Mix.log)
print([x.grad.data.tobytes().hex() for x in leaves if x.grad is not None])
"""


def test_order_and_bits_do_not_depend_on_the_hash_seed() -> None:
    answers = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4321")
    }
    assert len(answers) == 1
    assert len(answers.pop()) > 1000


# -- wide graphs --------------------------------------------------------------------


def test_fan_out_of_1000() -> None:
    x = Variable(np.array([0.5, -2.0]))
    h = x * 3
    y = sum(h * float(i) for i in range(1000))
    y.backward()
    assert x.grad.data.tolist() == [3 * 499500.0] * 2


def test_fan_out_of_1000_of_an_output_beside_an_unused_one() -> None:
    x = Variable(np.array([0.5, -2.0]))
    _, h, _ = Three()(x, x)
    y = sum(F.sin(h) for _ in range(1000))
    y.backward()
    assert_close(x.grad.data, 1000 * np.cos(x.data))


def test_a_function_of_1000_inputs_all_the_same() -> None:
    x = Variable(np.array([0.5, -2.0]))
    Logged.log = []
    y = Logged()(*[x * 2] * 1000)
    y.backward()
    assert len(Logged.log) == 1
    assert_close(x.grad.data, [2.0, 2.0])


def test_a_function_of_1000_outputs() -> None:
    x = Variable(np.array([0.5, -2.0]))
    Logged.log = []
    ys = Logged(1000)(x)
    sum(ys[::2]).backward()  # half of them
    assert len(Logged.log) == 1
    assert x.grad.data.tolist() == [float(sum(range(1, 1001, 2)))] * 2


def test_many_functions_of_several_outputs_in_one_generation() -> None:
    x = Variable(np.array(0.5))
    pairs = [Logged(2)(x) for _ in range(3000)]
    Logged.log = []
    F.sum(Logged()(*(y for pair in pairs for y in pair))).backward()
    assert len(Logged.log) == 3001
    assert_close(x.grad.data, 1.5)


# -- several outputs ----------------------------------------------------------------


class Seen(Function):
    """Two outputs of different shape and type; keeps what backward is handed."""

    def forward(self, x: Any) -> Any:
        return x * 2, x.sum().astype(np.float32)

    def backward(self, gy0: Variable, gy1: Variable) -> Variable:
        self.gys = (gy0, gy1)
        return gy0 * 2 + F.broadcast_to(gy1, self.inputs[0].shape)


@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("retain_grad", [False, True])
def test_an_unused_output_gets_zeros(dropped: bool, retain_grad: bool) -> None:
    x = Variable(np.arange(3.0))
    ys = list(Seen()(x))
    func = ys[0].creator
    y = ys[0] * 5
    if dropped:
        del ys[:]
        gc.collect()
        assert func.outputs[1]() is None
    y.backward(retain_grad=retain_grad)
    zero = func.gys[1]
    assert (zero.shape, zero.dtype) == ((), np.float32)
    assert zero.data == 0
    assert x.grad.data.tolist() == [10.0] * 3
    if not dropped:
        assert ys[1].grad is None or ys[1].grad.data == 0


def test_one_of_several_outputs_as_the_root() -> None:
    x = Variable(np.arange(3.0))
    y0, y1 = Seen()(x)
    y1.backward()
    assert x.grad.data.tolist() == [1.0] * 3
    assert y0.grad is None
    y0.backward()
    assert x.grad.data.tolist() == [3.0] * 3


def test_an_output_that_feeds_the_other_outputs_consumer() -> None:
    x = Variable(np.array(0.5))
    a, b, c = Three()(x, x * 3)
    y = a * F.sin(b) + c * a
    y.backward()
    # a = 3x², b = 2x, c = -x
    wanted = 6 * 0.5 * np.sin(1) + 3 * 0.25 * 2 * np.cos(1) - 9 * 0.25
    assert_close(x.grad.data, wanted)


def test_broadcasting_is_undone_whichever_outputs_are_alive() -> None:
    class ProductAndSum(Function):
        def forward(self, x0: Any, x1: Any) -> Any:
            return x0 * x1, x0.sum()

        def backward(self, gy0: Variable, gy1: Variable) -> Any:
            x0, x1 = self.inputs
            return gy0 * x1 + F.broadcast_to(gy1, x0.shape), gy0 * x0

    x0, x1 = Variable(np.ones((2, 3))), Variable(np.ones(3))
    y = ProductAndSum()(x0, x1)[1]  # the product, to whose shape x1 went, is gone
    y.backward()
    assert x0.grad.data.tolist() == np.ones((2, 3)).tolist()
    assert x1.grad.data.tolist() == [0.0] * 3


def test_outputs_made_of_constants_are_constants() -> None:
    a, b = Seen()(np.arange(3.0))
    assert a.creator is b.creator is None
    assert not a.requires_grad
    assert not b.requires_grad


def test_a_tuple_of_one_is_one_variable() -> None:
    class One(Function):
        def forward(self, x: Any) -> Any:
            return (x * 2,)

        def backward(self, gy: Variable) -> Any:
            return [gy * 2]

    x = Variable(np.array(3.0))
    y = One()(x)
    y.backward()
    assert x.grad.data == 2


# -- functions with surprises -------------------------------------------------------


class Same(Function):
    """forward returns its very input, backward its very gradient."""

    def forward(self, x: Any) -> Any:
        return x

    def backward(self, gy: Variable) -> Variable:
        return gy


def test_a_forward_that_returns_its_input_array() -> None:
    x = Variable(np.array([1.0, 2.0]))
    y = Same()(x)
    z = Same()(y) * x + y
    z.backward()
    assert x.grad.data.tolist() == [3.0, 5.0]
    assert y is not x
    assert y.generation == 1


def test_one_instance_used_twice() -> None:
    square = SquareKeeping()
    a, b = Variable(np.array(3.0)), Variable(np.array(5.0))
    y = square(a) + 10 * square(b)
    y.backward()
    assert a.grad.data == 6
    assert b.grad.data == 100


def test_one_instance_within_itself_and_under_no_grad() -> None:
    square = SquareKeeping()
    x = Variable(np.array(3.0))
    y = square(square(x))
    with dezero.no_grad():
        assert square(Variable(np.array(7.0))).data == 49
    square(np.array(11.0))
    y.backward()
    assert x.grad.data == 4 * 27


class SquareKeeping(Function):
    """Its derivative from what forward kept on self."""

    def forward(self, x: Any) -> Any:
        self.x = x
        return x * x

    def backward(self, gy: Variable) -> Variable:
        return gy * 2 * self.x


class Inner(Function):
    """Differentiates by a graph of its own, made and walked within backward."""

    def forward(self, x: Any) -> Any:
        return np.sin(x) ** 2

    def backward(self, gy: Variable) -> Variable:
        x = Variable(self.inputs[0].data)
        with dezero.using_config("enable_backprop", True):
            y = F.sin(x) ** 2
        y.backward()
        assert not dezero.Config.enable_backprop
        return gy * x.grad


def test_a_backward_within_a_backward() -> None:
    x = Variable(np.array([0.3, 1.0]))
    y = Inner()(x * 2) * x
    y.backward()
    wanted = np.sin(2 * x.data) ** 2 + x.data * 2 * np.sin(4 * x.data)
    assert_close(x.grad.data, wanted)
    assert dezero.Config.enable_backprop


def test_two_threads_add_into_one_leaf() -> None:
    x = Variable(np.zeros(()))
    times = 2000

    def work() -> None:
        for _ in range(times):
            (x * 1.0).backward()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert x.grad.data == 4 * times


# -- gradients over several calls ---------------------------------------------------


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("retain_grad", [False, True])
def test_backward_twice_adds_up(create_graph: bool, retain_grad: bool) -> None:
    x = Variable(np.array([2.0, 3.0]))
    h = x * x
    y = h * x + h
    for times in (1, 2, 3):
        y.backward(retain_grad=retain_grad, create_graph=create_graph)
        wanted = times * (3 * x.data**2 + 2 * x.data)
        assert x.grad.data.tolist() == wanted.tolist()
        if retain_grad:
            assert h.grad.data.tolist() == (times * (x.data + 1)).tolist()
        else:
            assert h.grad is y.grad is None


def test_backward_after_a_retaining_one() -> None:
    x = Variable(np.array(2.0))
    h = x * x
    y = h * 3
    y.backward(retain_grad=True)
    assert (x.grad.data, h.grad.data, y.grad.data) == (12, 3, 1)
    h.backward()  # what was retained in h is no seed
    assert x.grad.data == 12 + 4
    y.backward()
    assert x.grad.data == 12 + 4 + 12
    assert y.grad is None


def test_gradients_of_the_variables_in_between_are_kept_only_if_asked() -> None:
    x = Variable(np.array(2.0))
    a = F.sin(x)
    b = a * a
    y = b + a
    y.backward()
    assert a.grad is b.grad is y.grad is None
    x.cleargrad()
    y.backward(retain_grad=True)
    assert (y.grad.data, b.grad.data) == (1, 1)
    assert a.grad.data == 1 + 2 * a.data
    assert x.grad.data == a.grad.data * np.cos(2.0)


def test_cleargrad() -> None:
    x = Variable(np.array(2.0))
    (x * 3).backward()
    x.cleargrad()
    assert x.grad is None
    (x * 5).backward()
    assert x.grad.data == 5


def test_constants_get_no_gradient() -> None:
    x = Variable(np.array(2.0))
    c = Variable(np.array(3.0), requires_grad=False)
    y = x * c * np.array(5.0) * 7
    y.backward()
    assert c.grad is None
    assert x.grad.data == 105
    assert (c * c).creator is None


# -- cutting ------------------------------------------------------------------------


def test_unchain() -> None:
    x = Variable(np.array(2.0))
    h = x * 3
    y = h * x
    h.unchain()
    y.backward()
    assert h.creator is None
    assert h.generation == 0
    assert x.grad.data == 6
    assert h.grad.data == 2  # a leaf now


def test_unchain_backward_cuts_all_behind_and_keeps_what_is_before() -> None:
    x = Variable(np.array(2.0))
    a, b, c = Three()(x, x)
    h = a * b + c
    y = F.sin(h)
    h.unchain_backward()
    assert h.creator is not None
    for v in (a, b, c, x):
        assert v.creator is None
    z = y * a
    z.backward()
    assert x.grad is None
    assert_close(a.grad.data, np.sin(h.data))


def test_unchain_backward_of_a_leaf_does_nothing() -> None:
    x = Variable(np.array(2.0))
    x.unchain_backward()
    assert x.creator is None


# -- the start of the walk ----------------------------------------------------------


def test_a_root_of_many_elements_starts_with_ones() -> None:
    x = Variable(np.arange(6.0).reshape(2, 3))
    y = x * x
    y.backward(retain_grad=True)
    assert y.grad.data.tolist() == np.ones((2, 3)).tolist()
    assert x.grad.data.tolist() == (2 * x.data).tolist()


def test_a_seed_set_by_the_user() -> None:
    x = Variable(np.arange(3.0))
    y = x * x
    seed = Variable(np.array([1.0, 10.0, 100.0]))
    y.grad = seed
    y.backward()
    assert x.grad.data.tolist() == [0.0, 20.0, 400.0]
    assert seed.data.tolist() == [1.0, 10.0, 100.0]
    assert y.grad is None


def test_a_seed_that_is_retained_is_a_seed_again() -> None:
    x = Variable(np.arange(3.0))
    y = x * x
    y.grad = Variable(np.array([1.0, 10.0, 100.0]))
    y.backward(retain_grad=True)
    y.backward()
    assert x.grad.data.tolist() == [0.0, 40.0, 800.0]


def test_a_seed_is_differentiable() -> None:
    x, v = Variable(np.array(2.0)), Variable(np.array(3.0))
    y = x**3
    y.grad = v * v
    y.backward(create_graph=True)
    gx = x.grad  # 3 x² v²
    x.cleargrad()
    gx.backward()
    assert (x.grad.data, v.grad.data) == (6 * 2 * 9, 3 * 4 * 6)


def test_float32_stays_float32() -> None:
    x = Variable(np.ones(3, np.float32))
    w = Variable(np.ones(3))
    y = x * 2.0 * w + x
    y.backward()
    assert x.grad.dtype == np.float32
    assert w.grad.dtype == np.float64
    y = (x * 0.5 + 1) / 3
    y.backward(create_graph=True)
    assert y.dtype == x.grad.dtype == np.float32


def test_float32_of_no_axes_stays_float32() -> None:
    p = Parameter(np.array(2.0, np.float32))
    y = F.sin(p * 2.0 + 1) ** 2 / 3
    y.backward()
    assert y.dtype == p.grad.dtype == np.float32
    assert type(y.data) is type(p.grad.data) is np.ndarray


# -- broadcasting -------------------------------------------------------------------


@pytest.mark.parametrize(
    "x",
    [
        np.arange(3.0)[::-1],
        np.arange(12.0).reshape(3, 4)[:, ::2][:, :1].T,
        np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2)[:, :1, :1].T,
        np.float64(7).reshape(()),
    ],
)
def test_broadcasting_of_arrays_however_they_lie_in_memory(x: Any) -> None:
    shape = (5, *np.broadcast_shapes(x.shape, (1, 2, 3)))
    y = F.broadcast_to(x, shape)
    assert y.data.tolist() == np.broadcast_to(x, shape).tolist()
    before = np.array(x)
    if x.ndim:  # a view, whose elements stand in several places
        with pytest.raises(ValueError, match="read-only"):
            y.data[...] = 0
    else:  # an array of its own
        y.data[...] = 0
    assert x.tolist() == before.tolist()


# -- integers: the book differentiates them -----------------------------------------


def test_integers_keep_their_type() -> None:
    x = Variable(np.array([[1, 2, 3], [4, 5, 6]]))
    y = F.sum(F.transpose(F.reshape(x, (3, 2))) * 2)
    y.backward(retain_grad=True)
    assert str(y.grad) == "variable(1)"
    assert str(x.grad) == "variable([[2 2 2]\n          [2 2 2]])"
    assert x.grad.dtype == np.int64


def test_integers_that_are_divided_have_floating_gradients() -> None:
    x = Variable(np.array([1, 2]))
    y = x * x / 4
    y.backward()
    assert x.grad.data.tolist() == [0.5, 1.0]


def test_integer_powers_of_integers() -> None:
    x = Variable(np.array(3))
    y = x**2 + x
    y.backward(create_graph=True)
    assert str(x.grad) == "variable(7)"
    gx = x.grad
    x.cleargrad()
    gx.backward()
    assert str(x.grad) == "variable(2)"
