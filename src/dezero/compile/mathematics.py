"""exp, log, tanh, sin, … as LLVM IR: no call of a library, any width of vector.

A kernel of the compiler works on vectors, ``<16 x float>``. What LLVM has no
instruction for, the kernel calls by name, and this file defines it, as text:

>>> print(definition("exp2", "f32", 16).text.splitlines()[0])
define internal <16 x float> @dezero.exp2.v16f32(<16 x float> %x) alwaysinline nounwind {

Every function has the same plan. The argument is *reduced*: exp(x) is 2^n exp(r) with
a small r, log(2^e m) is e log 2 + log m, sin(x) is ±sin(r). On the small range stands a
*polynomial*. Its coefficients are minimax: Remez's exchange, in 240 bits, made the
largest relative error of the result as small as it can be; then each was rounded to its
format, from the lowest on, and the rest fitted again. ``2^-27.7`` beside a table is the
error that was left; the roundings of the evaluation come on top.

Zeros, infinities, NaN and subnormal numbers come out right because the algebra carries
them or because a ``select`` puts them in place: no flag of fast mathematics is used.
``fma`` is LLVM's ``fmuladd``, one instruction where there is one and two elsewhere; the
few places whose error bound needs the single rounding say ``exact_fma``.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple, TypeAlias


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
    """The nearest number of this format."""
    return struct.unpack("f", struct.pack("f", number))[0] if kind == "f32" else number


def integer(number: float, kind: str) -> int:
    """The bits of a number."""
    pack, unpack = ("f", "I") if kind == "f32" else ("d", "Q")
    return int(struct.unpack(unpack, struct.pack(pack, number))[0])


def suffix(kind: str, lanes: int) -> str:
    return kind if lanes == 1 else f"v{lanes}{kind}"


def symbol(name: str, dtype: str, lanes: int) -> str:
    """The name by which a kernel calls a function: ``@dezero.exp.v16f32``."""
    return f"@dezero.{name}.{suffix(dtype, lanes)}"


# ---------------------------------------------------------------- writing LLVM IR


class Code:
    """The lines of one function, and what they need declared outside of it."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.lines: list[str] = []
        self.needs: set[str] = set()
        self.block = "entry"

    def type(self, kind: str) -> str:
        scalar = FORMATS[kind].scalar if kind in FORMATS else kind
        return scalar if self.lanes == 1 else f"<{self.lanes} x {scalar}>"

    def write(self, kind: str, instruction: str) -> Value:
        value = Value(self, kind, f"%v{len(self.lines)}")
        self.lines.append(f"  {value.text} = {instruction}")
        return value

    def start(self, block: str) -> None:
        self.lines.append(f"{block}:")
        self.block = block

    def unless(self, mask: Value, usual: Value, rare: Callable[[], Value]) -> Value:
        """usual; but if the mask is set in any lane, what a block of its own computes."""
        if self.lanes > 1:
            lanes = f"i{self.lanes}"
            flags = f"bitcast {self.type('i1')} {mask.text} to {lanes}"
            flags = self.write(lanes, flags).text
            mask = self.write("i1", f"icmp ne {lanes} {flags}, 0")
        before = self.block
        self.lines.append(f"  br i1 {mask.text}, label %rare, label %join")
        self.start("rare")
        value = rare()
        self.lines.append("  br label %join")
        self.start("join")
        kind = self.type(usual.kind)
        return self.write(
            usual.kind, f"phi {kind} [{usual.text}, %{before}], [{value.text}, %rare]"
        )

    def constant(self, kind: str, number: float) -> Value:
        text = str(number)
        if kind in FORMATS:  # LLVM writes a float, too, by the bits of the double
            text = f"0x{integer(rounded(number, kind), 'f64'):016X}"
        scalar = FORMATS[kind].scalar if kind in FORMATS else kind
        return Value(self, kind, text if self.lanes == 1 else f"splat ({scalar} {text})")

    def call(self, intrinsic: str, kind: str, *arguments: Value) -> Value:
        name = f"@llvm.{intrinsic}.{suffix(kind, self.lanes)}"
        types = ", ".join(self.type(a.kind) for a in arguments)
        self.needs.add(f"declare {self.type(kind)} {name}({types})")
        texts = ", ".join(f"{self.type(a.kind)} {a.text}" for a in arguments)
        return self.write(kind, f"call {self.type(kind)} {name}({texts})")


Operand: TypeAlias = "Value | float"


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
        return self.code.write(
            kind, f"{instruction} {self.code.type(self.kind)} {a.text}, {b.text}"
        )

    return method


class Value:
    """What an instruction computed; Python's operators write the next instruction."""

    def __init__(self, code: Code, kind: str, text: str) -> None:
        self.code, self.kind, self.text = code, kind, text

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
    __lt__ = operator("fcmp olt", "icmp slt")  # comparisons: false with NaN
    __le__ = operator("fcmp ole", "icmp sle")
    __gt__ = operator("fcmp ogt", "icmp sgt")
    __ge__ = operator("fcmp oge", "icmp sge")
    equals = operator("fcmp oeq", "icmp eq")

    def __neg__(self) -> Value:
        return self.code.write(self.kind, f"fneg {self.code.type(self.kind)} {self.text}")

    def __abs__(self) -> Value:
        return self.code.call("fabs", self.kind, self)

    def cast(self, instruction: str, kind: str) -> Value:
        source, target = self.code.type(self.kind), self.code.type(kind)
        return self.code.write(kind, f"{instruction} {source} {self.text} to {target}")

    @property
    def format(self) -> Format:
        return FORMATS[self.kind]

    @property
    def bits(self) -> Value:
        return self.cast("bitcast", self.format.integer)

    def number(self, kind: str) -> Value:
        """The floating-point number that has these bits."""
        return self.cast("bitcast", kind)

    def copysign(self, sign: Value) -> Value:
        return self.code.call("copysign", self.kind, self, sign)


def fma(a: Value, b: Operand, c: Operand) -> Value:
    """a b + c, rounded once where the machine can, else twice."""
    return a.code.call("fmuladd", a.kind, a, a.like(b), a.like(c))


def exact_fma(a: Value, b: Operand, c: Operand) -> Value:
    """a b + c, rounded once."""
    return a.code.call("fma", a.kind, a, a.like(b), a.like(c))


def select(mask: Value, a: Operand, b: Operand) -> Value:
    value = a if isinstance(a, Value) else b
    assert isinstance(value, Value)
    kind = value.code.type(value.kind)
    texts = f"{kind} {value.like(a).text}, {kind} {value.like(b).text}"
    return value.code.write(
        value.kind, f"select {mask.code.type('i1')} {mask.text}, {texts}"
    )


def at_least(x: Value, low: float) -> Value:
    return select(x < low, low, x)  # NaN stays NaN


def at_most(x: Value, high: float) -> Value:
    return select(x > high, high, x)


def polynomial(x: Value, coefficients: Sequence[float]) -> Value:
    """c0 + c1 x + c2 x² + …, by Horner's rule."""
    *rest, last = coefficients
    y = x.like(last)
    for c in reversed(rest):
        y = fma(y, x, c)
    return y


# ---------------------------------------------------------------- exponentials

LN2 = {  # n * high is exact for every exponent n
    "f32": (0.693145751953125, 1.42860682030941723e-6),
    "f64": (0.6931471803691238, 1.9082149292705877e-10),
}
LOG2E = 1.4426950408889634

# exp(r) = 1 + r + r² P(r) for |r| <= log(2) / 2; relative to exp(r) - 1.
EXPM1 = {
    "f32": (  # 2^-26.1
        0.4999999701976776,
        0.1666654646396637,
        0.04166743531823158,
        0.008366262540221214,
        0.0013870664406567812,
    ),
    "f64": (  # 2^-55.6
        0.5000000000000006,
        0.16666666666666646,
        0.04166666666657608,
        0.00833333333336189,
        0.0013888888931476958,
        0.00019841269766790934,
        2.480150549123679e-05,
        2.7557372265022286e-06,
        2.76259395067518e-07,
        2.5063248393780777e-08,
    ),
}


def power_of_two(n: Value, kind: str, shift: int = 0) -> Value:
    """2^(n + shift) from an integer n of which only the low bits count."""
    format = FORMATS[kind]
    one = (format.bias + shift) << format.mantissa
    return ((n << format.mantissa) + one).number(kind)


def reduce_exp(x: Value) -> tuple[Value, Value]:
    """n and p with exp(x) = 2^n (1 + p), |p| < 0.42; p is exp(x) - 1 where n = 0."""
    high, low = LN2[x.kind]
    shifted = fma(x, LOG2E, x.format.magic)
    n = shifted - x.format.magic
    r = fma(n, -low, fma(n, -high, x))
    return shifted.bits, fma(r * r, polynomial(r, EXPM1[x.kind]), r)


def exp_bounded(x: Value) -> Value:
    """exp(x) where x is not far beyond the arguments of 0 and infinity.

    2^n itself would leave the range of exponents at both ends: 2^(n-1) and a last
    doubling give infinity in time, and 2^(n+63) and a last step down give subnormal
    results that are rounded once.
    """
    n, p = reduce_exp(x)
    tiny = x < {"f32": -86.0, "f64": -707.0}[x.kind]
    n = n + select(tiny, n.like(64), 0)
    s = power_of_two(n, x.kind, -1)
    return fma(s, p, s) * select(tiny, x.like(2.0**-63), 2.0)


LOWEST = {"f32": -104.0, "f64": -746.0}  # exp is 0 from here on
HIGHEST = {"f32": 89.0, "f64": 710.0}  # exp is infinite from here on


def exp(x: Value) -> Value:
    return exp_bounded(at_most(at_least(x, LOWEST[x.kind]), HIGHEST[x.kind]))


def sigmoid(x: Value) -> Value:
    """1 - q for x >= 0 and e (1 - q) for x < 0, where e = exp(-|x|), q = e / (1 + e)."""
    e = exp_bounded(at_least(-abs(x), LOWEST[x.kind]))
    factor = select(x < 0, e, 1.0)
    return fma(-factor, e / (e + 1.0), factor)


def tanh(x: Value) -> Value:
    """e / (e + 2) where e = exp(2|x|) - 1; near 0, the same as |x| and a small term."""
    t = at_most(abs(x), {"f32": 10.0, "f64": 20.0}[x.kind])
    n, p = reduce_exp(t + t)
    s = power_of_two(n, x.kind)
    e = fma(s, p, s - 1.0)
    near = t < 0.55
    y = select(near, fma(-t, e, e - (t + t)), e) / (e + 2.0)
    return (y + select(near, t, 0.0)).copysign(x)


def expm1(x: Value) -> Value:
    bounded = at_most(at_least(x, {"f32": -20.0, "f64": -40.0}[x.kind]), HIGHEST[x.kind])
    n, p = reduce_exp(bounded)
    s = power_of_two(n, x.kind, -1)
    y = fma(s, p, s - 0.5) * 2.0
    return select(abs(x) < 0.25, p, y).copysign(x)  # halves lose subnormal bits


# erf(t) = 1 - exp(-t (9/8 + Q(t))) for 0 <= t <= 3.92 or 5.92, where erf rounds to 1.
ERF = {
    "f32": (  # 2^-27.9
        0.0033791717141866684,
        0.6366193890571594,
        0.10277759283781052,
        -0.019151868298649788,
        -0.00016287784092128277,
        0.0016696291277185082,
        -0.0006342838169075549,
        0.0001180471372208558,
        -9.301294994656928e-06,
    ),
    "f64": (  # 2^-57.4
        0.003379167095512568,
        0.6366197723675837,
        0.10277260330178167,
        -0.01912844700488509,
        -0.00020919469737020128,
        0.0016962064066586085,
        -0.0005901256675788924,
        2.587904619462423e-05,
        6.449061457265176e-05,
        -2.972139689604452e-05,
        3.4029274237149688e-06,
        2.8407005432726456e-06,
        -1.7471915039845292e-06,
        3.409380421787834e-07,
        1.3420960365347467e-07,
        -1.4020958256919386e-07,
        6.508298584599283e-08,
        -2.0744993571892614e-08,
        4.9400772186049485e-09,
        -8.963263810689663e-10,
        1.2296947451596077e-10,
        -1.2394580248563437e-11,
        8.672372399713623e-13,
        -3.7649209306155806e-14,
        7.637515723884676e-16,
    ),
}


def erf(x: Value) -> Value:
    t = at_most(abs(x), {"f32": 3.919206, "f64": 5.9215873}[x.kind])
    n, p = reduce_exp(-fma(t, 1.125, t * polynomial(t, ERF[x.kind])))
    s = power_of_two(n, x.kind)
    return fma(-s, p, 1.0 - s).copysign(x)


# ---------------------------------------------------------------- logarithms

# 2 artanh(s) = s (2 + s² P(s²)) for |s| <= 3 - √8.
ARTANH = {
    "f32": (0.6666677594184875, 0.39977580308914185, 0.29870960116386414),  # 2^-30.2
    "f64": (  # 2^-59.5
        0.6666666666666734,
        0.39999999999416586,
        0.2857142874206349,
        0.2222219859867023,
        0.18183563333699795,
        0.15314068617410212,
        0.14795834096642144,
    ),
}


def exponent_and_mantissa(x: Value) -> tuple[Value, Value]:
    """k, an integer, and m with x = 2^(k - bias) m, √½ <= m < √2, for normal x."""
    mantissa, root = x.format.mantissa, integer(0.5**0.5, x.kind)
    shifted = x.bits + (integer(1.0, x.kind) - root)
    m = (shifted & ((1 << mantissa) - 1)) + root
    return shifted >> mantissa, m.number(x.kind)


def as_number(k: Value, kind: str, bias: Operand) -> Value:
    """k - bias, floating, from an integer 0 <= k < 2^mantissa."""
    magic = FORMATS[kind].magic
    return (k | integer(magic, kind)).number(kind) - bias


def log_reduced(e: Value, f: Value) -> Value:
    """e log 2 + log(1 + f).

    With s = f / (2 + f), log(1 + f) is 2 artanh(s), and f stands in front of the small
    terms if 2s is written f - f²/2 + s f²/2.
    """
    high, low = LN2[f.kind]
    s = f / (f + 2.0)
    z = s * s
    h = f * (f * 0.5)
    tail = fma(s, fma(z, polynomial(z, ARTANH[f.kind]), h), e * low) - h
    return fma(e, high, f + tail)


def with_edges(y: Value, x: Value) -> Value:
    """The logarithm y of x, put right where x is not positive or not finite."""
    inf = float("inf")
    y = select(x < inf, y, x)
    return select(x <= 0, select(x.equals(0), x.like(-inf), float("nan")), y)


def log(x: Value) -> Value:
    mantissa, bias = x.format.mantissa, x.format.bias + x.format.magic
    small = x < 2.0 ** (1 - x.format.bias)  # subnormal: scaled by 2^(mantissa + 1)
    k, m = exponent_and_mantissa(select(small, x * 2.0 ** (mantissa + 1), x))
    e = as_number(k, x.kind, select(small, x.like(bias + mantissa + 1), bias))
    return with_edges(log_reduced(e, m - 1.0), x)


def log1p(x: Value) -> Value:
    """log(2^e (1 + f)) where f is taken from x, not from the rounded 1 + x."""
    u = x + 1.0
    k, m = exponent_and_mantissa(u)
    bias, mantissa = x.format.bias, x.format.mantissa
    s = ((k.like(2 * bias) - k) << mantissa).number(x.kind)  # 2^-e
    f = select(x < 2.0 ** (mantissa + 2), fma(x, s, s - 1.0), m - 1.0)
    y = log_reduced(as_number(k, x.kind, bias + x.format.magic), f)
    return with_edges(y, u).copysign(x)


# ---------------------------------------------------------------- sine and cosine

# sin(r) = r + r³ P(r²) for |r| <= π / 2.
SIN = {
    "f32": (  # 2^-27.3
        -0.16666659712791443,
        0.008333069272339344,
        -0.00019809776858889292,
        2.606095677037956e-06,
    ),
    "f64": (  # 2^-61.5
        -0.16666666666666666,
        0.008333333333333207,
        -0.0001984126984121248,
        2.755731921156944e-06,
        -2.5052106904411577e-08,
        1.6058941001219287e-10,
        -7.643019327720671e-13,
        2.7214189208185865e-15,
    ),
}


@functools.cache
def pi(bits: int) -> int:
    """The integer part of π 2^bits, by Machin's 16 arctan(1/5) - 4 arctan(1/239)."""
    total, one = 0, 1 << (bits + 16)
    for factor, n in ((16, 5), (-4, 239)):
        power = factor * one // n
        for k in range(1, 2 * bits, 2):
            total += power // (k if k % 4 == 1 else -k)
            power //= n * n
    return total >> 16


def parts_of_pi(kind: str) -> list[float]:
    """π as a sum of three positive numbers of this format."""
    rest, parts = pi(400), []
    for _ in range(3):
        low = rest.bit_length() - (FORMATS[kind].mantissa + 1)
        parts.append((rest >> low << low) / (1 << 400))
        rest &= (1 << low) - 1
    return parts


def far_remainder() -> tuple[str, str]:
    """The reduction for arguments of any size, one at a time (Payne and Hanek, 1983).

    With x = m 2^k, x / π is needed modulo 2 and with 138 bits after the point, for some
    double is that close to a multiple of π. So 1 / π is stored with more than a
    thousand bits, and only the 192 that matter for this k are multiplied by m: those
    before them give multiples of 2, those after them nothing that counts.
    """
    code = Code(1)
    x, half = Value(code, "f64", "%x"), Value(code, "i192", "%half")
    shift = at_most(2047 - ((x.bits >> 52) & 2047), 1007)
    byte = code.write("ptr", f"getelementptr i8, ptr @dezero.inverse_pi, i64 {(shift >> 3).text}")
    window = code.write("i256", f"load i256, ptr {byte.text}, align 1")
    window = (window >> (shift & 7).cast("zext", "i256")).cast("trunc", "i192")
    m = ((x.bits & ((1 << 52) - 1)) | (1 << 52)).cast("zext", "i192")
    turns = m * window  # |x| / π modulo 2, in units of 2^-191
    turns = select(x < 0, 0 - turns, turns) + half
    odd = (turns + (1 << 190)) < 0  # the nearest integer
    fraction = turns << 1  # what is left, from -1/2 to 1/2, in units of 2^-192
    negative = fraction < 0
    fraction = select(negative, 0 - fraction, fraction)
    high = (fraction >> 128).cast("trunc", "i64").cast("uitofp", "f64")
    low = (fraction >> 64).cast("trunc", "i64").cast("uitofp", "f64")
    fraction = fma(low, 2.0**-128, high * 2.0**-64)
    first, second, _ = parts_of_pi("f64")
    r = fma(fraction, first, fraction * second) + (x - x)  # NaN for infinity
    r = select(odd ^ negative, -r, r)
    head = "define internal double @dezero.remainder(double %x, i192 %half)"
    return (
        f"@dezero.inverse_pi = internal constant i1280 {(1 << 2363) // pi(1200)}",
        "\n".join(
            [f"{head} cold noinline nounwind {{", *code.lines, f"  ret double {r.text}", "}"]
        ),
    )


def turned(x: Value, half: int) -> Value:
    """r with |r| <= π / 2 and sin(r) = sin(x + half π / 2).

    Three parts of π are enough for most arguments; if some lane holds one that is
    larger, its block calls ``far_remainder``, lane by lane.
    """
    code, first, second, third = x.code, *parts_of_pi(x.kind)
    if half:
        shifted = fma(x, 1 / math.pi, 0.5) + x.format.magic
        n = (shifted - x.format.magic) - 0.5
    else:
        shifted = fma(x, 1 / math.pi, x.format.magic)
        n = shifted - x.format.magic
    r = exact_fma(n, -first, x)
    r = exact_fma(n, -third, exact_fma(n, -second, r))
    near = (r.bits ^ (shifted.bits << (x.format.width - 1))).number(x.kind)
    is_far = abs(x) >= {"f32": 2.0**17, "f64": 2.0**30}[x.kind]
    return code.unless(is_far, near, lambda: select(is_far, far(x, half), near))


def far(x: Value, half: int) -> Value:
    """``turned`` for arguments of any size."""
    code, kind, scalar = x.code, x.code.type(x.kind), x.format.scalar
    code.needs |= set(far_remainder())
    result = "poison"
    for lane in range(code.lanes):
        value, vector = x.text, f"<{code.lanes} x {scalar}>"
        one = Code(1)
        one.lines = code.lines
        value = Value(one, x.kind, x.text)
        if code.lanes > 1:
            value = one.write(x.kind, f"extractelement {kind} {x.text}, i64 {lane}")
        if x.kind == "f32":
            value = value.cast("fpext", "f64")
        arguments = f"double {value.text}, i192 {half << 190}"
        value = one.write("f64", f"call double @dezero.remainder({arguments})")
        if x.kind == "f32":
            value = value.cast("fptrunc", "f32")
        if code.lanes == 1:
            return value
        result = one.write(x.kind, f"insertelement {kind} {result}, {scalar} {value.text}, i64 {lane}").text
    return Value(code, x.kind, result)


def sine(r: Value) -> Value:
    """sin(r) for |r| <= π / 2."""
    z = r * r
    return fma(r * z, polynomial(z, SIN[r.kind]), r).copysign(r)


def sin(x: Value) -> Value:
    return sine(turned(x, 0))


def cos(x: Value) -> Value:
    return sine(turned(x, 1))


# ---------------------------------------------------------------- the table

# The largest error found, in units in the last place; who is here, is defined.
ERROR_BOUNDS: dict[tuple[str, str], float] = {
    (f.__name__, t): 2.0
    for f in (exp, expm1, log, log1p, tanh, sigmoid, erf, sin, cos)
    for t in ("f32", "f64")
}
FUNCTIONS = {"exp": 1, "expm1": 1, "log": 1, "log1p": 1, "tanh": 1, "sigmoid": 1, "erf": 1, "sin": 1, "cos": 1}


class Definition(NamedTuple):
    """A function as text, and the lines that a module must hold once for all of them."""

    text: str
    needs: frozenset[str]


@functools.cache
def definition(name: str, dtype: str, lanes: int) -> Definition:
    code = Code(lanes)
    arguments = [Value(code, dtype, f"%{a}") for a in "xy"[: FUNCTIONS[name]]]
    result = globals()[name](*arguments)
    kind = code.type(dtype)
    parameters = ", ".join(f"{kind} {a.text}" for a in arguments)
    head = f"define internal {kind} {symbol(name, dtype, lanes)}({parameters})"
    lines = [f"{head} alwaysinline nounwind {{", "entry:", *code.lines]
    text = "\n".join([*lines, f"  ret {kind} {result.text}", "}", ""])
    return Definition(text, frozenset(code.needs))


def definitions(wanted: Iterable[tuple[str, str, int]]) -> str:
    """All that a module needs in order to call these functions."""
    found = [definition(*w) for w in dict.fromkeys(wanted)]
    needs = sorted(set().union(*(d.needs for d in found)))
    return "\n".join([*needs, "", *(d.text for d in found)])
