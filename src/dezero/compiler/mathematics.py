"""exp, log, tanh, sin, pow, … as LLVM IR: vectors of any width, and no library called.

A kernel of the compiler computes on vectors, ``<16 x float>``. The functions for which
LLVM has no instruction it calls by name, and this file defines them, as text:

>>> definition("exp", "f32", 16).text.splitlines()[0]
'define internal <16 x float> @dezero.exp.v16f32(<16 x float> %x) alwaysinline {'

All have one plan. The argument is *reduced*: exp(x) is 2^n exp(r) with a small r,
log(2^e m) is e log 2 + log m, sin(x) is ±sin(r) or ±cos(r). On the small range stands
a *polynomial*. Its coefficients are minimax: Remez's exchange, in 240 bits, made the
largest relative error of the result as small as can be; each was then rounded to its
format, from the lowest on, and those above it fitted again. ``2^-26.1`` beside a table
is the error that was left; the roundings of the evaluation come on top. What both
together amount to was measured and stands in ``ERROR_BOUNDS``.

Zeros, infinities, NaN and subnormal numbers come out right because the algebra carries
them or because a ``select`` puts them in place: no flag of fast mathematics is used.
``fma`` is LLVM's ``fmuladd``, one instruction where there is one, else two. The few
steps of pow, sin and cos that need the single rounding say ``exact_fma``; for it, a
machine without the instruction calls the C library, and is slow.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import NamedTuple, TypeAlias, TypeVar

from dezero.backend import special


class Format(NamedTuple):
    """Where the bits of a floating-point number are: sign, exponent, mantissa."""

    scalar: str  # LLVM's name
    integer: str  # the integers of the same width
    width: int
    mantissa: int  # bits after the point
    bias: int  # of the exponent

    @property
    def magic(self) -> float:
        """Adding it rounds to an integer, which stands in the low bits of the sum."""
        return 1.5 * 2.0**self.mantissa


FORMATS = {
    "f32": Format("float", "i32", 32, 23, 127),
    "f64": Format("double", "i64", 64, 52, 1023),
}


def rounded(number: float, kind: str) -> float:
    return struct.unpack("f", struct.pack("f", number))[0] if kind == "f32" else number


def bits_of(number: float, kind: str) -> int:
    pack, unpack = ("f", "I") if kind == "f32" else ("d", "Q")
    return struct.unpack(unpack, struct.pack(pack, number))[0]


def suffix(kind: str, lanes: int) -> str:
    return kind if lanes == 1 else f"v{lanes}{kind}"


def symbol(name: str, dtype: str, lanes: int) -> str:
    """The name by which a kernel calls a function: ``@dezero.exp.v16f32``."""
    return f"@dezero.{name}.{suffix(dtype, lanes)}"


# ---------------------------------------------------------------- writing LLVM IR


class Code:
    """The lines of one function, and the lines that they need outside of it."""

    def __init__(self, lanes: int, lines: list[str] | None = None) -> None:
        self.lanes = lanes
        self.lines = [] if lines is None else lines
        self.needs: set[str] = set()

    def type(self, kind: str) -> str:
        scalar = FORMATS[kind].scalar if kind in FORMATS else kind
        return scalar if self.lanes == 1 else f"<{self.lanes} x {scalar}>"

    def write(self, kind: str, instruction: str) -> Value:
        value = Value(self, kind, f"%v{len(self.lines)}")
        self.lines.append(f"  {value.text} = {instruction}")
        return value

    def constant(self, kind: str, number: float) -> Value:
        text = str(number)
        if kind in FORMATS:  # LLVM writes a float, too, by the bits of the double
            text = f"0x{bits_of(rounded(number, kind), 'f64'):016X}"
        if self.lanes > 1:
            text = f"splat ({Code(1).type(kind)} {text})"
        return Value(self, kind, text)

    def call(self, intrinsic: str, *arguments: Value) -> Value:
        kind = arguments[0].kind
        name = f"@llvm.{intrinsic}.{suffix(kind, self.lanes)}"
        types = ", ".join([self.type(kind)] * len(arguments))
        self.needs.add(f"declare {self.type(kind)} {name}({types})")
        texts = ", ".join(map(str, arguments))
        return self.write(kind, f"call {self.type(kind)} {name}({texts})")

    def unless(self, mask: Value, usual: Value, rare: Callable[[], Value]) -> Value:
        """usual, or what a block of its own computes if the mask is set in any lane."""
        if self.lanes > 1:
            scalar, bits = Code(1, self.lines), f"i{self.lanes}"
            flags = scalar.write(bits, f"bitcast {mask} to {bits}")
            mask = scalar.write("i1", f"icmp ne {flags}, 0")
        self.lines += [f"  br {mask}, label %rare, label %join", "rare:"]
        other = rare()
        self.lines += ["  br label %join", "join:"]
        incoming = f"[{usual.text}, %entry], [{other.text}, %rare]"
        return self.write(usual.kind, f"phi {self.type(usual.kind)} {incoming}")


def operator(
    floats: str, integers: str, swapped: bool = False
) -> Callable[[Value, Operand], Value]:
    """A method of Value that writes one instruction."""

    def method(self: Value, other: Operand) -> Value:
        a, b = self, self.like(other)
        if swapped:
            a, b = b, a
        instruction = floats if self.kind in FORMATS else integers
        kind = "i1" if "cmp" in instruction else self.kind
        return self.code.write(kind, f"{instruction} {a}, {b.text}")

    return method


class Value:
    """What an instruction computed; Python's operators write the next instruction."""

    def __init__(self, code: Code, kind: str, text: str) -> None:
        self.code, self.kind, self.text = code, kind, text

    def __str__(self) -> str:
        return f"{self.code.type(self.kind)} {self.text}"

    def like(self, other: Operand) -> Value:
        if isinstance(other, Value):
            return other
        return self.code.constant(self.kind, other)

    __add__ = operator("fadd", "add")
    __sub__ = operator("fsub", "sub")
    __rsub__ = operator("fsub", "sub", swapped=True)
    __mul__ = operator("fmul", "mul")
    __truediv__ = operator("fdiv", "")
    __rtruediv__ = operator("fdiv", "", swapped=True)
    __and__ = operator("", "and")
    __or__ = operator("", "or")
    __xor__ = operator("", "xor")
    __lshift__ = operator("", "shl")
    __rshift__ = operator("", "lshr")  # zeros come in from the left
    __lt__ = operator("fcmp olt", "icmp slt")  # every comparison with NaN is false
    __le__ = operator("fcmp ole", "icmp sle")
    __gt__ = operator("fcmp ogt", "icmp sgt")
    __ge__ = operator("fcmp oge", "icmp sge")
    equals = operator("fcmp oeq", "icmp eq")

    def __neg__(self) -> Value:
        return self.code.write(self.kind, f"fneg {self}")

    def __abs__(self) -> Value:
        return self.code.call("fabs", self)

    def floor(self) -> Value:
        return self.code.call("floor", self)

    def copysign(self, sign: Value) -> Value:
        return self.code.call("copysign", self, sign)

    def cast(self, instruction: str, kind: str) -> Value:
        return self.code.write(kind, f"{instruction} {self} to {self.code.type(kind)}")

    @property
    def format(self) -> Format:
        return FORMATS[self.kind]

    @property
    def bits(self) -> Value:
        return self.cast("bitcast", self.format.integer)


Operand: TypeAlias = Value | float
T = TypeVar("T")


def fma(a: Value, b: Operand, c: Operand) -> Value:
    """a b + c, rounded once where that is one instruction, else twice."""
    return a.code.call("fmuladd", a, a.like(b), a.like(c))


def exact_fma(a: Value, b: Operand, c: Operand) -> Value:
    """a b + c, rounded once."""
    return a.code.call("fma", a, a.like(b), a.like(c))


def select(mask: Value, a: Operand, b: Operand) -> Value:
    value = a if isinstance(a, Value) else b
    assert isinstance(value, Value)
    return value.code.write(
        value.kind, f"select {mask}, {value.like(a)}, {value.like(b)}"
    )


def at_least(x: Value, low: float) -> Value:
    return select(x < low, low, x)  # NaN stays NaN


def at_most(x: Value, high: float) -> Value:
    return select(x > high, high, x)


def per_format(x: Value, f32: T, f64: T) -> T:
    return f32 if x.kind == "f32" else f64


class Table(NamedTuple):
    """The coefficients of a polynomial for either format."""

    f32: list[float]
    f64: list[float]

    def at(self, x: Value) -> Value:
        """c0 + c1 x + c2 x² + …, by Horner's rule."""
        *rest, last = per_format(x, *self)
        y = x.like(last)
        for c in reversed(rest):
            y = fma(y, x, c)
        return y


def table(f32: str, f64: str) -> Table:
    return Table([float(c) for c in f32.split()], [float(c) for c in f64.split()])


def power_of_two(n: Value, kind: str, shift: int = 0) -> Value:
    """2^(n + shift) from an integer n of which only the low bits count."""
    mantissa, bias = FORMATS[kind].mantissa, FORMATS[kind].bias
    return ((n << mantissa) + ((bias + shift) << mantissa)).cast("bitcast", kind)


# ---------------------------------------------------------------- exponentials

LOG2E = 1 / math.log(2)
LN2 = {  # n * high is exact for every exponent n
    "f32": (0.693145751953125, 1.4286068203e-06),
    "f64": (0.6931471803691238, 1.9082149292705877e-10),
}

# exp(r) = 1 + r + r² P(r) for |r| <= log(2) / 2, relative to exp(r) - 1.
EXPM1 = table(
    f32="0.49999997 0.16666546 0.041667435 0.008366263 0.0013870664",  # 2^-26.1
    f64="""0.5000000000000006 0.16666666666666646 0.04166666666657608
    0.00833333333336189 0.0013888888931476958 0.00019841269766790934
    2.480150549123679e-05 2.7557372265022286e-06 2.76259395067518e-07
    2.5063248393780777e-08""",  # 2^-55.6
)


def reduce_exp(x: Value, more: Value | None = None) -> tuple[Value, Value]:
    """n and p with exp(x + more) = 2^n (1 + p), |p| < 0.42; p = expm1(x) if n = 0."""
    high, low = LN2[x.kind]
    shifted = fma(x, LOG2E, x.format.magic)
    n = shifted - x.format.magic
    r = fma(n, -high, x)
    r = fma(n, -low, r if more is None else r + more)
    return shifted.bits, fma(r * r, EXPM1.at(r), r)


LOWEST = {"f32": -104.0, "f64": -746.0}  # exp is 0 from here on
HIGHEST = {"f32": 89.0, "f64": 710.0}  # and infinite from here on


def clamp(x: Value) -> Value:
    return at_most(at_least(x, LOWEST[x.kind]), HIGHEST[x.kind])


def exp_clamped(x: Value, more: Value | None = None) -> Value:
    """exp(x + more) for a clamped x.

    2^n alone would leave the range of exponents at both ends. 2^(n-1) and a doubling
    at last do not; 2^(n+63) and a step down at last round once to a subnormal number.
    """
    n, p = reduce_exp(x, more)
    tiny = x < per_format(x, -86.0, -707.0)
    s = power_of_two(select(tiny, n + 64, n), x.kind, -1)
    y = fma(s, p, s)
    return select(tiny, y * 2.0**-63, y * 2.0)


def exp(x: Value) -> Value:
    return exp_clamped(clamp(x))


def expm1(x: Value) -> Value:
    n, p = reduce_exp(at_least(at_most(x, HIGHEST[x.kind]), -40.0))
    s = power_of_two(n, x.kind, -1)
    y = fma(s, p, s - 0.5) * 2.0
    return select(abs(x) < 0.25, p, y).copysign(x)  # halves lose subnormal bits


def sigmoid(x: Value) -> Value:
    """1 - q for x >= 0, e (1 - q) for x < 0, where e = exp(-|x|), q = e / (1 + e)."""
    e = exp_clamped(at_least(-abs(x), LOWEST[x.kind]))
    factor = select(x < 0.0, e, 1.0)
    return fma(-factor, e / (e + 1.0), factor)


def tanh(x: Value) -> Value:
    """e / (e + 2) where e = expm1(2|x|); near 0, the same as |x| and a small term."""
    t = at_most(abs(x), per_format(x, 10.0, 20.0))
    n, p = reduce_exp(t + t)
    s = power_of_two(n, x.kind)
    e = fma(s, p, s - 1.0)
    near = t < 0.55
    y = select(near, fma(-t, e, e - (t + t)), e) / (e + 2.0)
    return (y + select(near, t, 0.0)).copysign(x)


# erf(t) = 1 - exp(-t (9/8 + Q(t))) for 0 <= t, up to where erf rounds to 1.
ERF = Table([*special.ERF_FLOAT32], [*special.ERF_FLOAT64])


def erf(x: Value) -> Value:
    t = at_most(abs(x), per_format(x, special.ONE_FLOAT32, special.ONE_FLOAT64))
    n, p = reduce_exp(-fma(t, 1.125, t * ERF.at(t)))
    s = power_of_two(n, x.kind)
    return fma(-s, p, 1.0 - s).copysign(x)


# ---------------------------------------------------------------- logarithms

# 2 artanh(s) = 2s + s³ P(s²) for |s| <= 3 - √8.
ARTANH = table(
    f32="0.66666776 0.3997758 0.2987096",  # 2^-30.2
    f64="""0.6666666666666734 0.39999999999416586 0.2857142874206349
    0.2222219859867023 0.18183563333699795 0.15314068617410212
    0.14795834096642144""",  # 2^-59.5
)


def exponent_and_mantissa(x: Value) -> tuple[Value, Value]:
    """An integer k and m with x = 2^(k - bias) m, √½ <= m < √2, for normal x."""
    mantissa, root = x.format.mantissa, bits_of(math.sqrt(0.5), x.kind)
    shifted = x.bits + (bits_of(1.0, x.kind) - root)
    m = (shifted & ((1 << mantissa) - 1)) + root
    return shifted >> mantissa, m.cast("bitcast", x.kind)


def floating(k: Value, x: Value) -> Value:
    """The integer 0 <= k < 2^mantissa, and the magic number on top."""
    return (k | bits_of(x.format.magic, x.kind)).cast("bitcast", x.kind)


def split(x: Value) -> tuple[Value, Value]:
    """e and m, floating, with x = 2^e m, √½ <= m < √2, for all positive x."""
    bias, scale = x.format.magic + x.format.bias, x.format.mantissa + 1
    subnormal = x < 2.0 ** (1 - x.format.bias)
    k, m = exponent_and_mantissa(select(subnormal, x * 2.0**scale, x))
    e = floating(k, x)
    return select(subnormal, e - (bias + scale), e - bias), m


def log_reduced(e: Value, f: Value) -> Value:
    """e log 2 + log(1 + f).

    log(1 + f) is 2 artanh(s) with s = f / (2 + f). To have f and not a rounded 2s as
    the large term, 2s is written f - f²/2 + s f²/2.
    """
    high, low = LN2[f.kind]
    s = f / (f + 2.0)
    z = s * s
    h = f * (f * 0.5)
    tail = fma(s, fma(z, ARTANH.at(z), h), e * low) - h
    return fma(e, high, f + tail)


def with_edges(y: Value, x: Value) -> Value:
    """y, the logarithm of x, put right where x is not positive or not finite."""
    y = select(x < math.inf, y, x)
    return select(x <= 0.0, select(x.equals(0.0), x.like(-math.inf), math.nan), y)


def log(x: Value) -> Value:
    e, m = split(x)
    return with_edges(log_reduced(e, m - 1.0), x)


def log1p(x: Value) -> Value:
    """log(2^e (1 + f)) where f comes from x, not from the rounded 1 + x."""
    bias, mantissa = x.format.bias, x.format.mantissa
    u = x + 1.0
    k, m = exponent_and_mantissa(u)
    s = ((2 * bias - k) << mantissa).cast("bitcast", x.kind)  # 2^-e
    f = select(x < 2.0 ** (mantissa + 2), fma(x, s, s - 1.0), m - 1.0)
    y = log_reduced(floating(k, x) - (x.format.magic + bias), f)
    return with_edges(y, u).copysign(x)


# ---------------------------------------------------------------- powers

# 2 artanh(s) = 2s + s³ (2/3 + s² R(s²)) for |s| <= 3 - √8.
ARTANH_LONG = table(
    f32="0.40000153 0.28547084 0.234199",  # 2^-36.8
    f64="""0.40000000000002256 0.28571428570099333 0.22222222520011026
    0.1818178435574192 0.1538675801339956 0.13256798418659232
    0.13196538085852696""",  # 2^-66.3
)


def product(a: Value, b: Value) -> tuple[Value, Value]:
    """a b, and what its rounding left off."""
    p = a * b
    return p, exact_fma(a, b, -p)


def total(a: Value, b: Value) -> tuple[Value, Value]:
    """a + b, and what its rounding left off, where |a| >= |b| or a = 0."""
    s = a + b
    return s, (a - s) + b


def long_log(e: Value, f: Value) -> tuple[Value, Value]:
    """e log 2 + log(1 + f) with some ten bits more than fit into one number.

    As in ``log_reduced``, but every quantity is a sum of two, the second (``_low``)
    being what the first does not hold.
    """
    d, d_low = total(f.like(2.0), f)
    s = f / d
    half = exact_fma(-s, d_low, exact_fma(-s, d, f)) * 0.5
    s_low = fma(-half, s, half)  # 1 / d is (1 - s) / 2
    z, z_low = product(s, s)
    z_low = fma(s + s, s_low, z_low)
    third = rounded(2 / 3, f.kind)
    p, p_low = total(f.like(third), z * ARTANH_LONG.at(z))
    p_low = p_low + float(Fraction(2, 3) - Fraction(third))
    v, v_low = product(z, p)
    v_low = fma(z_low, p, fma(z, p_low, v_low))
    w, w_low = product(s, v)
    w_low = fma(s_low, v, fma(s, v_low, w_low))
    y, y_low = total(s + s, w)
    y_low = y_low + fma(s_low, 2.0, w_low)
    high, low = LN2[f.kind]
    y, rest = total(e * high, y)
    return y, rest + fma(e, low, y_low)


def pow(x: Value, y: Value) -> Value:
    """exp(y log |x|); what the sign of x makes of it depends on y, an integer or not.

    The product may be as large as 745, and its error is the relative error of the
    result: the logarithm and the product carry a second number along.
    """
    a = abs(x)
    finite = a < math.inf
    e, m = split(a)
    log_a, log_low = long_log(e, m - 1.0)
    log_a = select(a.equals(0.0), -math.inf, select(finite, log_a, a))
    power, power_low = product(y, log_a)
    power_low = select(abs(power) < 1000.0, fma(y, log_low, power_low), 0.0)
    one = a.equals(1.0) | y.equals(0.0)  # even if the other is NaN
    size = exp_clamped(clamp(select(one, 0.0, power)), power_low)
    half = y * 0.5
    whole = y.floor().equals(y)
    odd = whole & (half.floor() < half)
    real = whole | (x >= 0.0) | (finite ^ 1)
    return select(real, select(odd, size.copysign(x), size), math.nan)


# ---------------------------------------------------------------- sine and cosine

# sin(r) = r + r³ P(r²) and cos(r) = 1 + r² Q(r²) for |r| <= π / 4.
SIN = table(
    f32="-0.16666655 0.008332188 -0.00019518095",  # 2^-27.9
    f64="""-0.1666666666666663 0.00833333333332184 -0.00019841269829358574
    2.755731353854788e-06 -2.5050734397123306e-08 1.5895433881112148e-10""",  # 2^-57.9
)
COS = table(
    f32="-0.5 0.041666646 -0.001388731 2.4432327e-05",  # 2^-33.0
    f64="""-0.5 0.041666666666666595 -0.0013888888888873325 2.4801587288983658e-05
    -2.755731421006047e-07 2.087570426785885e-09 -1.135868311165674e-11""",  # 2^-63.9
)


@functools.cache
def pi(bits: int) -> int:
    """The integer part of π 2^bits, by Machin's 16 arctan(1/5) - 4 arctan(1/239)."""
    parts = []
    for factor, n in ((16, 5), (-4, 239)):
        power = (factor << (bits + 16)) // n
        for k in range(1, 2 * bits, 4):
            parts.append(power // k - power // (n * n * (k + 2)))
            power //= n**4
    return sum(parts) >> 16


def parts_of_half_pi(kind: str) -> list[float]:
    """π / 2 as a sum of three positive numbers of this format."""
    rest, parts = pi(400), []
    for _ in range(3):
        low = rest.bit_length() - (FORMATS[kind].mantissa + 1)
        parts.append((rest >> low << low) / (1 << 401))
        rest &= (1 << low) - 1
    return parts


def sine(r: Value, n: Value) -> Value:
    """sin(r + n π / 2) for |r| <= π / 4 and an integer n."""
    z = r * r
    s = fma(r * z, SIN.at(z), r).copysign(r)  # -0 stays
    c = fma(z, COS.at(z), 1.0)
    y = select((n & 1).equals(1), c, s)
    return (y.bits ^ ((n & 2) << (r.format.width - 2))).cast("bitcast", r.kind)


def turned(x: Value, quarters: int) -> Value:
    """sin(x + quarters π / 2).

    π / 2 in three parts is enough for all but large arguments; those are handed to
    ``far_sine``, lane by lane, in a block that is entered if a lane holds one.
    """
    code = x.code
    far = abs(x) >= per_format(x, 2.0**17, 2.0**30)
    shifted = fma(x, 2 / math.pi, x.format.magic)
    n = shifted - x.format.magic
    r = x
    for part in parts_of_half_pi(x.kind):
        r = exact_fma(n, -part, r)
    near = sine(r, shifted.bits + quarters)

    def one(value: Value) -> Value:
        wide = value.cast("fpext", "f64") if x.kind == "f32" else value
        called = f"call double @dezero.far.sine({wide}, i64 {quarters})"
        y = value.code.write("f64", called)
        return y.cast("fptrunc", "f32") if x.kind == "f32" else y

    def rare() -> Value:
        code.needs.update(far_sine())
        if code.lanes == 1:
            return select(far, one(x), near)
        y, scalar = near, Code(1, code.lines)
        for lane in range(code.lanes):
            value = scalar.write(x.kind, f"extractelement {x}, i64 {lane}")
            y = code.write(x.kind, f"insertelement {y}, {one(value)}, i64 {lane}")
        return select(far, y, near)

    return code.unless(far, near, rare)


def sin(x: Value) -> Value:
    return turned(x, 0)


def cos(x: Value) -> Value:
    return turned(x, 1)


@functools.cache
def far_sine() -> tuple[str, str]:
    """sin(x + quarters π / 2) for one double of any size.

    With |x| = m 2^k, the product x (2/π) is needed modulo 4 and with about 140 bits
    after the point, as close do some numbers come to a multiple of π / 2. Of the
    thousand bits of 2/π that are stored, those before the 192 that are multiplied by m
    would give multiples of 4, and those after them nothing that counts.

    Payne, Hanek, Radian Reduction for Trigonometric Functions, 1983.
    """
    code = Code(1)
    x, quarters = Value(code, "f64", "%x"), Value(code, "i64", "%quarters")
    exponent = (x.bits >> 52) & 2047
    shift = at_most(2047 - exponent, 1007)
    address = f"getelementptr i8, ptr @dezero.two.over.pi, {shift >> 3}"
    window = code.write("i256", f"load i256, {code.write('ptr', address)}, align 1")
    window = (window >> (shift & 7).cast("zext", "i256")).cast("trunc", "i192")
    m = (x.bits & ((1 << 52) - 1)) | (1 << 52)
    turns = m.cast("zext", "i192") * window  # |x| 2/π modulo 4, in units of 2^-190
    turns = select(x < 0.0, 0 - turns, turns)
    n = (turns + (1 << 189)) >> 190  # the nearest integer
    rest = turns - (n << 190)
    size = select(rest < 0, 0 - rest, rest)
    high = (size >> 137).cast("trunc", "i64").cast("uitofp", "f64") * 2.0**-53
    low = (size >> 73).cast("trunc", "i64").cast("uitofp", "f64") * 2.0**-117
    first, second, _ = parts_of_half_pi("f64")
    r = fma(high, first, fma(high, second, low * first)) + (x - x)  # NaN for infinity
    y = sine(select(rest < 0, -r, r), n.cast("trunc", "i64") + quarters)
    head = "define internal double @dezero.far.sine(double %x, i64 %quarters)"
    lines = [f"{head} cold noinline {{", *code.lines, f"  ret {y}", "}"]
    bits = (1 << 2400) // pi(1237)
    return "\n".join(lines), f"@dezero.two.over.pi = internal constant i1280 {bits}"


# ---------------------------------------------------------------- what there is

BODIES: dict[str, Callable[..., Value]] = {
    f.__name__: f for f in (exp, expm1, sigmoid, tanh, erf, log, log1p, pow, sin, cos)
}
FUNCTIONS = {name: 2 if name == "pow" else 1 for name in BODIES}  # arguments

# In units in the last place, for every argument. What stands here, is defined.
ERROR_BOUNDS = {
    (name, dtype): bound
    for name, bounds in {
        "exp": (1.1, 1.1),
        "expm1": (1.6, 2.0),
        "sigmoid": (1.8, 1.8),
        "tanh": (1.8, 2.0),
        "erf": (1.8, 1.8),
        "log": (0.9, 0.9),
        "log1p": (1.5, 1.5),
        "pow": (1.3, 1.3),
        "sin": (1.6, 1.6),
        "cos": (1.6, 1.6),
    }.items()
    for dtype, bound in zip(FORMATS, bounds, strict=True)
}


class Definition(NamedTuple):
    """A function as text, and the texts that a module must hold once beside it."""

    text: str
    needs: frozenset[str]


@functools.cache
def definition(name: str, dtype: str, lanes: int) -> Definition:
    """The function that a kernel calls by ``symbol(name, dtype, lanes)``."""
    code = Code(lanes)
    arguments = [Value(code, dtype, f"%{a}") for a in "xy"[: FUNCTIONS[name]]]
    result = BODIES[name](*arguments)
    parameters = ", ".join(map(str, arguments))
    head = f"define internal {code.type(dtype)} {symbol(name, dtype, lanes)}"
    lines = [f"{head}({parameters}) alwaysinline {{", "entry:", *code.lines]
    return Definition(
        "\n".join([*lines, f"  ret {result}", "}"]), frozenset(code.needs)
    )


def definitions(wanted: Iterable[tuple[str, str, int]]) -> str:
    """All that a module needs to call these functions: (name, dtype, lanes)."""
    found = [definition(*each) for each in dict.fromkeys(wanted)]
    needs = sorted(set().union(*(each.needs for each in found)))
    return "\n".join([*needs, *(each.text for each in found), ""])
