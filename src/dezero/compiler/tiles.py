"""Tiles: loops that add up products in registers.

Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008: of the
result a tile stays in registers, some numbers by some vectors of outputs, while one
vector of the one factor after the other is multiplied by single numbers of the other.
Products and convolutions are this loop; they differ in where the numbers lie.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from dezero.backend.convolution import Pair
from dezero.compiler.lines import Lines, vector

Strides = tuple[int, int, int, int]  # in bytes, along the axes of a form

REGISTER = 64  # bytes of a vector: one register of AVX-512, two of AVX2, four of NEON


class Form(NamedTuple):
    """All sizes of a convolution but the number of images.

    What they are is said in ``convolution.py``; a product of matrices is one of them.
    """

    kind: str  # float, double
    channels: int  # C
    outputs: int  # O
    image: Pair  # H, W
    kernel: Pair
    stride: Pair
    border: Pair  # top, left: zeros; if negative, what is cut off
    size: Pair  # OH, OW
    x: Strides
    y: Strides
    start: int = 0  # bytes to the first of y

    @property
    def itemsize(self) -> int:
        return 4 if self.kind == "float" else 8

    @property
    def lanes(self) -> int:
        """Elements of a vector."""
        return REGISTER // self.itemsize

    @property
    def vectors(self) -> int:
        """Vectors of all outputs, the last perhaps not full."""
        return -(-self.outputs // self.lanes)

    @property
    def run(self) -> int:
        """Elements of a window in one row of it, which lie one after the other."""
        return self.kernel[1] * self.channels

    @property
    def taps(self) -> int:
        """Elements of a window."""
        return self.kernel[0] * self.run

    @property
    def flops(self) -> int:
        """Products and sums of one image."""
        return 2 * self.taps * self.outputs * self.size[0] * self.size[1]

    @property
    def width(self) -> int:
        """How much of a row, border included, all windows see together."""
        return (self.size[1] - 1) * self.stride[1] + self.kernel[1]

    @property
    def readable(self) -> bool:
        """Whether windows can be read where the images are."""
        seen = [
            (n - 1) * s + k - b
            for n, s, k, b in zip(
                self.size, self.stride, self.kernel, self.border, strict=True
            )
        ]
        inside = max(self.border) <= 0 and seen[0] <= self.image[0]
        runs = self.kernel[1] == 1 or self.x[2] == self.channels * self.itemsize
        whole = inside and seen[1] <= self.image[1]
        return whole and runs and self.x[3] == self.itemsize


class Loop(NamedTuple):
    """A native function, as ``Kernel`` is one: what ``llvm`` needs to compile it, and
    what ``args`` must hold."""

    name: str
    text: str
    needs: frozenset[str]
    finishes: bool
    slots: dict[str, int]
    scratch: int  # bytes, for each thread
    wanted: tuple[tuple[str, str, int], ...] = ()


def evenly(total: int, most: int) -> tuple[Pair, Pair]:
    """``total`` in parts of up to ``most`` that differ by one at most: how many of
    which size, and how many of the next smaller one.

    >>> evenly(28, 12)
    ((1, 10), (2, 9))
    """
    parts = -(-total // most)
    small, large = divmod(total, parts)
    return (large, small + 1), (parts - large, small)


def tile_of(vectors: int, numbers: Pair, registers: int) -> tuple[int, int, int]:
    """What to multiply at once: vectors, by rows of numbers, by numbers of a row.

    Their sums, the vectors and one number must be in registers, and some must be left
    for what comes next. Of all such tiles, the one that does the most products in the
    time that they and what they need take.
    """
    rows, length = numbers
    left = registers // 8
    best, found = 0.0, (1, 1, 1)
    for v in range(1, min(vectors, 4) + 1):
        most = (registers - left - v) // v
        for tall in range(1, min(rows, most) + 1):
            if tall > 1 and tall * length > most:
                break
            parts = evenly(length, max(1, most // tall))
            whole, rest = divmod(rows, tall)
            time = whole * sum(n * _time(v, tall * size) for n, size in parts)
            time += rest * sum(n * _time(v, size) for n, size in parts)
            rate = 1 / (time * -(-vectors // v))
            if rate > best * 1.001:
                best = rate
                found = v, tall, parts[0][1] if parts[0][0] else parts[1][1]
    return found


def _time(vectors: int, numbers: int) -> float:
    """Cycles for the products of all vectors by all numbers: one for each, but no fewer
    than a sum takes; something for loading them; something to begin."""
    return max(vectors * numbers, 4) + (vectors + numbers) / 10 + 0.3


class Tiles(Lines):
    """What all loops of a form have in common: vectors of outputs, and how to add to
    them."""

    finishes = False

    def __init__(self, form: Form, vectors: int) -> None:
        super().__init__()
        self.form = form
        self.vectors = vectors  # of a tile
        self.tiles = -(-form.vectors // vectors)
        self.wide = vector(form.kind, form.lanes)
        self.tile_bytes = vectors * REGISTER
        self.scratch = 0

    def written(self) -> Loop:
        """The function, as text."""
        text = self.function(
            "KERNEL.run", "i64 %begin, i64 %end, i64 %share", self._run
        )
        if self.finishes:
            text += self.function("KERNEL.finish", "i64 %shares", self._finish)
        name = "v" + hashlib.sha256(text.encode()).hexdigest()[:20]
        text = text.replace("@KERNEL", f"@{name}")
        needs, slots = frozenset(self.needs), dict(self.slots)
        return Loop(name, text, needs, self.finishes, slots, self.scratch)

    def _run(self) -> None:
        """Write what one thread does, from ``%begin`` to ``%end``."""
        raise NotImplementedError

    def _finish(self) -> None:
        """Write what is left to do when all threads are through, if it ``finishes``."""
        raise NotImplementedError

    def memory(self, bytes_: int) -> str:
        """Some of the thread's own memory, aligned."""
        start = self.share("%share")
        start = self.offset(start, str(self.scratch))
        self.scratch += -(-bytes_ // REGISTER) * REGISTER
        return start

    def share(self, number: str) -> str:
        """Where a thread's own memory begins."""
        bytes_ = self.argument("scratch.share")
        start = self.argument("scratch", "ptr")
        return self.offset(start, self.value(f"mul i64 {number}, {bytes_}"))

    def times(self, pointer: str, i: str, bytes_: int) -> str:
        """``i`` steps of so many bytes further."""
        return self.offset(pointer, self.value(f"mul i64 {i}, {bytes_}"))

    def at(self, pointer: str, v: int) -> str:
        """The vector number ``v`` from there on."""
        return self.offset(pointer, str(v * REGISTER))

    def get(self, pointer: str, mask: str | None = None) -> str:
        """A vector."""
        return self.load(self.form.kind, pointer, self.form.lanes, mask)

    def put(self, x: str, pointer: str, mask: str | None = None) -> None:
        """Store a vector."""
        self.store(self.form.kind, x, pointer, self.form.lanes, mask)

    def clear(self, to: str, count: str) -> None:
        """Zeros, beyond the last of them up to a vector more."""
        for c in self.loop("0", count, self.form.lanes):
            at = self.times(to, c, self.form.itemsize)
            self.write(f"store {self.wide} zeroinitializer, ptr {at}, align 4")

    def add_product(self, x: str, y: str, to: str) -> None:
        """Add to a variable."""
        before = self.value(f"load {self.wide}, ptr {to}")
        form = self.form
        after = self.intrinsic("fmuladd", form.kind, form.lanes, x, y, before)
        self.write(f"store {self.wide} {after}, ptr {to}")

    def spread(self, pointer: str) -> str:
        """One number, in all lanes."""
        x = self.load(self.form.kind, pointer, 1, None)
        return self.splat(self.form.kind, x, self.form.lanes)

    def first_lanes(self, count: str, skip: int = 0) -> str:
        """A mask of as many lanes as there are of ``count``, the first ``skip`` left
        out."""
        lanes = self.form.lanes
        there = self.splat("i64", count, lanes)
        steps = ", ".join(f"i64 {i + skip}" for i in range(lanes))
        return self.value(f"icmp slt <{lanes} x i64> <{steps}>, {there}")

    def masks(self, tile: str) -> list[str | None]:
        """For each vector of a tile of outputs, which of them there are; ``None`` for
        all."""
        form, each = self.form, self.vectors * self.form.lanes
        if form.outputs % each == 0:
            return [None] * self.vectors
        start = self.value(f"mul i64 {tile}, {each}")
        left = self.value(f"sub i64 {form.outputs}, {start}")
        return [self.first_lanes(left, v * form.lanes) for v in range(self.vectors)]

    def places(self, pointer: str, bytes_: int) -> str:
        """The addresses of a vector whose elements lie so many bytes apart."""
        lanes = self.form.lanes
        steps = ", ".join(f"i64 {i * bytes_}" for i in range(lanes))
        return self.value(f"getelementptr i8, ptr {pointer}, <{lanes} x i64> <{steps}>")
