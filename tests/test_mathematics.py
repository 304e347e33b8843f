"""The functions of kernels against wider arithmetic, in units in the last place.

A float is measured against NumPy's double, a double against NumPy's long double; erf,
which NumPy lacks, against its series. What is asserted is ``ERROR_BOUNDS``.
"""

from __future__ import annotations

import ctypes
import platform
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from dezero.compiler import mathematics
from dezero.compiler.mathematics import ERROR_BOUNDS, FORMATS, FUNCTIONS, Table

binding = pytest.importorskip("llvmlite.binding")

Array = np.ndarray
Function = Callable[..., Array]
TYPES: dict[str, Any] = {"f32": np.float32, "f64": np.float64}
WIDER: dict[str, Any] = {"f32": np.float64, "f64": np.longdouble}
UNARY = [each for each in ERROR_BOUNDS if FUNCTIONS[each[0]] == 1]
WIDE_ENOUGH = np.finfo(np.longdouble).nmant >= 63


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


# ---------------------------------------------------------------- compiling


def machine(cpu: str | None) -> Any:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    features = "" if cpu else binding.get_host_cpu_features().flatten()
    return binding.Target.from_default_triple().create_target_machine(
        cpu=cpu or binding.get_host_cpu_name(), features=features, opt=2
    )


def kernel(name: str, dtype: str, lanes: int) -> str:
    """A loop that loads vectors, calls a function on each and stores what it gives."""
    scalar = FORMATS[dtype].scalar
    vector = scalar if lanes == 1 else f"<{lanes} x {scalar}>"
    loads, arguments = "", []
    for x in "xy"[: FUNCTIONS[name]]:
        loads += f"""
  %at.{x} = getelementptr {scalar}, ptr %{x}, i64 %i
  %v.{x} = load {vector}, ptr %at.{x}, align 4"""
        arguments.append(f"{vector} %v.{x}")
    function = mathematics.symbol(name, dtype, lanes)
    return f"""
define void @kernel(ptr %x, ptr %y, ptr %z, i64 %n) {{
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]{loads}
  %v.z = call {vector} {function}({", ".join(arguments)})
  %at.z = getelementptr {scalar}, ptr %z, i64 %i
  store {vector} %v.z, ptr %at.z, align 4
  %next = add i64 %i, {lanes}
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""


def compiled(name: str, dtype: str, lanes: int = 8, cpu: str | None = None) -> Function:
    text = mathematics.definitions([(name, dtype, lanes)]) + kernel(name, dtype, lanes)
    module = binding.parse_assembly(text)
    module.verify()
    target = machine(cpu)  # the engine takes it over
    options = binding.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = False
    builder = binding.create_pass_builder(target, options)
    builder.getModulePassManager().run(module, builder)
    engine = binding.create_mcjit_compiler(module, target)
    engine.finalize_object()
    pointer = ctypes.c_void_p
    signature = ctypes.CFUNCTYPE(None, pointer, pointer, pointer, ctypes.c_int64)
    run = signature(engine.get_function_address("kernel"))

    def function(*xs: Array) -> Array:
        assert engine  # alive as long as its code
        size = xs[0].size
        rest = -size % lanes
        xs = tuple(np.append(x, np.ones(rest, x.dtype)) for x in xs)
        z = np.empty_like(xs[0])
        run(xs[0].ctypes.data, xs[-1].ctypes.data, z.ctypes.data, z.size)
        return z[:size]

    return function


# ---------------------------------------------------------------- measuring


def sigmoid(x: Array) -> Array:
    e = np.exp(-abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def erf(x: Array) -> Array:
    """2 / √π exp(-x²) Σ 2^n x^(2n+1) / (2n+1)!!, all terms of one sign."""
    t = np.minimum(abs(x), 7)
    term = y = t
    for n in range(1, 250):
        term = term * (2 * t * t / (2 * n + 1))
        y = y + term
    pi = x.dtype.type(3) + np.longdouble("0.14159265358979323846")
    return np.copysign(y * np.exp(-t * t) * 2 / np.sqrt(pi), x)


def reference(name: str, *xs: Array) -> Array:
    wide = [x.astype(WIDER["f32" if x.dtype == np.float32 else "f64"]) for x in xs]
    functions: dict[str, Function] = {"sigmoid": sigmoid, "erf": erf, "pow": np.power}
    return (functions.get(name) or getattr(np, name))(*wide)


def errors(y: Array, expected: Array) -> Array:
    """How far y is from what was expected, in units in the last place of that."""
    nearest = expected.astype(y.dtype)
    info = np.finfo(y.dtype)
    exponent = np.frexp(np.where(np.isfinite(nearest), expected, 1))[1] - 1
    exponent = np.maximum(exponent, info.minexp) - info.nmant
    error = abs(y - expected) / np.ldexp(expected.dtype.type(1), exponent)
    error = np.where(np.isnan(error), np.inf, error)
    right = (y == nearest) & (np.signbit(y) == np.signbit(nearest))
    right |= np.isnan(y) & np.isnan(nearest)
    wrong_zero = (y == nearest) & ~right
    error = np.where(right, np.minimum(error, 0.5), error)
    return np.where(wrong_zero, np.inf, error).astype(float)


def specials(dtype: str) -> Array:
    info = np.finfo(TYPES[dtype])
    small = [0, info.smallest_subnormal, 3 * info.smallest_subnormal]
    small += [info.tiny, info.tiny * (1 - info.eps), info.eps / 4, 0.25, 0.5]
    ones = [1 - info.epsneg, 1, 1 + info.eps, 1.5, 2, 3, 10, 2.0**23 + 1, 2.0**24 + 2]
    large = [2.0**52 + 1, 2.0**53 + 2, info.max / 2, info.max, np.inf, np.nan]
    x = np.array([*small, *ones, *large], dtype=TYPES[dtype])
    return np.concatenate([x, -x])


def some(dtype: str, n: int, *, seed: int = 0) -> Array:
    """Numbers of all sizes, and more of them where functions have their edges."""
    random = np.random.default_rng(seed)
    kind = {"f32": np.uint32, "f64": np.uint64}[dtype]
    last = {"f32": 110, "f64": 760}[dtype]  # exp has over- and underflowed
    x = [
        random.integers(0, np.iinfo(kind).max, n, dtype=kind).view(TYPES[dtype]),
        np.exp2(random.uniform(-30, 12, n)),
        random.uniform(0, last, n),
        random.uniform(0, 7, n),
        1 + random.uniform(-1, 1, n) * np.exp2(-random.uniform(0, 50, n)),
        np.rint(np.exp2(random.uniform(0, 100, n))) * (np.pi / 2),
    ]
    sign = random.choice([-1, 1], n)
    each = [(sign * part).astype(TYPES[dtype]) for part in x]
    return np.concatenate([specials(dtype), *each])


def some_pairs(dtype: str, n: int) -> tuple[Array, Array]:
    """Bases and exponents, many of which bring the power near the ends of its range."""
    random = np.random.default_rng(1)
    grid = np.meshgrid(specials(dtype), specials(dtype))
    x = some(dtype, n)
    x = x[: x.size // 2 * 2]
    whole = random.integers(-9, 10, x.size) / random.choice([1, 2], x.size)
    last = {"f32": 110, "f64": 760}[dtype]
    large = random.uniform(-last, last, x.size) / np.log(abs(x.astype(float)))
    other = random.permutation(x)
    xs = [grid[0].ravel(), x, x, x]
    ys = [grid[1].ravel(), other, whole, large]
    return np.concatenate(xs), np.concatenate(ys).astype(TYPES[dtype])


def worst(name: str, dtype: str, function: Function, *xs: Array) -> float:
    error = errors(function(*xs), reference(name, *xs))
    return float(error.max())


def arguments(name: str, dtype: str, n: int) -> tuple[Array, ...]:
    return some_pairs(dtype, n) if FUNCTIONS[name] == 2 else (some(dtype, n),)


# ---------------------------------------------------------------- the tests


@pytest.mark.parametrize("name", [name for name, dtype in UNARY if dtype == "f32"])
def test_floats_of_the_whole_range(name: str) -> None:
    function = compiled(name, "f32", 16)
    step = 20_011 if name == "erf" else 199  # the series takes its time
    x = np.arange(0, 2**32, step, dtype=np.uint32).view(np.float32)
    for part in np.array_split(x, 128):
        assert worst(name, "f32", function, part) <= ERROR_BOUNDS[name, "f32"]


@pytest.mark.parametrize(("name", "dtype"), ERROR_BOUNDS)
def test_error_is_within_its_bound(name: str, dtype: str) -> None:
    if dtype == "f64" and not WIDE_ENOUGH:
        pytest.skip("the long double of this machine is no wider than double")
    xs = arguments(name, dtype, 2_000 if name == "erf" else 20_000)
    assert worst(name, dtype, compiled(name, dtype), *xs) <= ERROR_BOUNDS[name, dtype]


@pytest.mark.parametrize(("name", "dtype"), ERROR_BOUNDS)
def test_lanes_agree_to_the_bit(name: str, dtype: str) -> None:
    xs = arguments(name, dtype, 1_000)
    alone, eight, sixteen = (compiled(name, dtype, lanes)(*xs) for lanes in (1, 8, 16))
    kind = FORMATS[dtype].width // 8
    numbers = ~np.isnan(alone)
    for other in (eight, sixteen):
        assert (np.isnan(other) == ~numbers).all()
        bits = other.view(f"u{kind}") == alone.view(f"u{kind}")
        assert bits[numbers].all()


@pytest.mark.parametrize(("name", "dtype"), ERROR_BOUNDS)
def test_a_machine_without_fma(name: str, dtype: str) -> None:
    if platform.machine().lower() not in ("x86_64", "amd64") or not WIDE_ENOUGH:
        pytest.skip("x86-64 is the one machine on which fma can be switched off")
    xs = arguments(name, dtype, 1_000)
    function = compiled(name, dtype, cpu="nehalem")
    assert worst(name, dtype, function, *xs) <= ERROR_BOUNDS[name, dtype] + 0.5


def test_one_module_holds_them_all() -> None:
    wanted = [(*each, lanes) for each in ERROR_BOUNDS for lanes in (1, 4, 8, 16)]
    text = mathematics.definitions(wanted + wanted)
    module = binding.parse_assembly(text)
    module.verify()
    names = {f.name for f in module.functions}
    assert names >= {mathematics.symbol(*each)[1:] for each in wanted}


def test_no_library_is_called() -> None:
    text = mathematics.definitions([(*each, 16) for each in ERROR_BOUNDS])
    called = set(re.findall(r"call [^@]*@([\w.]+)\(", text))
    assert called - {name for name in called if name.startswith("llvm.")} == {
        "dezero.far.sine"
    }


def test_a_function_that_is_not_there() -> None:
    assert ("gamma", "f32") not in ERROR_BOUNDS
    with pytest.raises(KeyError, match="gamma"):
        mathematics.definition("gamma", "f32", 8)


# ---------------------------------------------------------------- tests of the tests


def test_errors_are_counted() -> None:
    one, big = np.float32(1), np.finfo(np.float32).max
    y = np.array([1, 1 + 2**-23, 1 - 2**-24, np.nan, -0.0, big, np.inf], np.float32)
    expected = np.array([1, 1, 1, np.nan, 0, np.inf, float(big)])
    assert errors(y, expected).tolist() == [0, 1, 0.5, 0.5, np.inf, np.inf, np.inf]
    half = float(one) + 2.0**-24
    assert errors(y[:1], np.array([half])).tolist() == [0.5]
    small = np.finfo(np.float32).smallest_subnormal
    assert errors(np.array([3 * small]), np.array([float(small)])).tolist() == [2]


# Every number of every table, and of π / 2 and log 2, with a function that it spoils.
TABLES = {
    "EXPM1": "exp",
    "ERF": "erf",
    "ARTANH": "log",
    "ARTANH_LONG": "pow",
    "SIN": "sin",
    "COS": "cos",
    "LN2": "exp",
}
COEFFICIENTS = [
    (table, dtype, i)
    for table in TABLES
    for dtype in FORMATS
    if dtype == "f32" or WIDE_ENOUGH
    for i in range(len(getattr(getattr(mathematics, table), dtype, "12")))
]


@pytest.mark.parametrize(("table", "dtype", "i"), COEFFICIENTS)
def test_a_wrong_coefficient_is_caught(
    table: str, dtype: str, i: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = getattr(mathematics, table)
    both = right._asdict() if isinstance(right, Table) else dict(right)
    wrong = list(both[dtype])
    wrong[i] *= 1.1
    both[dtype] = wrong
    spoilt = Table(**both) if isinstance(right, Table) else both
    monkeypatch.setattr(mathematics, table, spoilt)
    mathematics.definition.cache_clear()
    name = TABLES[table]
    try:
        function = compiled(name, dtype)
    finally:
        mathematics.definition.cache_clear()
    xs = arguments(name, dtype, 500)
    assert worst(name, dtype, function, *xs) > ERROR_BOUNDS[name, dtype]


@pytest.mark.skipif(not WIDE_ENOUGH, reason="long double is no wider than double")
@pytest.mark.parametrize("bit", [60, 110, 1000])
def test_a_wrong_pi_is_caught(bit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    right = mathematics.pi
    monkeypatch.setattr(mathematics, "pi", lambda n: right(n) ^ (1 << n >> bit))
    mathematics.definition.cache_clear()
    mathematics.far_sine.cache_clear()
    try:
        function = compiled("sin", "f64")
    finally:
        mathematics.definition.cache_clear()
        mathematics.far_sine.cache_clear()
    x = np.concatenate([some("f64", 1_000), 2.0 ** np.arange(1000, 1024)])
    assert worst("sin", "f64", function, x) > ERROR_BOUNDS["sin", "f64"]
