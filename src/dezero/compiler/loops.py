"""Products and convolutions as calls of native loops."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dezero.backend.convolution import Pair
from dezero.compiler.blas import PARALLEL_FLOPS
from dezero.compiler.convolution import Convolve, Correlate, Pack
from dezero.compiler.ir import Array, Attributes, Node
from dezero.compiler.tiles import Form, Loop, Strides

LARGE = 1 << 14  # weights: to pack them is work for all threads
PARTS = 8  # for each thread, so that all of them are busy to the end


class Call(NamedTuple):
    """A loop, and where what it works on is.

    ``places`` has the number of an operand for the names that the loop asks for; the
    result is the last operand. ``packed`` and ``scratch`` are memory of their own.
    """

    loop: Loop
    parts: int
    parallel: bool
    places: dict[str, int]
    packed_bytes: int = 0
    packed_vectors: int = 0  # of a tile: packed for others, they are of no use


FEW_WINDOWS = 16  # of an image
SPARSEST = 2  # places of a result for each that something comes from
CONVOLUTIONS = ("convolve", "convolve_transposed", "correlate")
REPEATED = 4  # products by one matrix, from which on packing it is worth it


def of_product(arrays: Sequence[Array], registers: int) -> list[Call]:
    """A product of a matrix of few rows, as the call that packs ``W`` and the one that
    multiplies; none if the memory is not made for it."""
    x, W, y = arrays
    (M, K), N = x.shape, W.shape[1]
    item = x.itemsize
    rows = x.strides[1] == item and (N == 1 or y.strides[1] == item)
    if x.dtype.str[1:] not in ("f4", "f8") or not (rows and x.size and W.size):
        return []
    form = Form(
        _kind(x), K, N, (1, M), (1, 1), (1, 1), (0, 0), (1, M),
        (0, 0, x.strides[0], item), (0, 0, y.strides[0], item),
    )  # fmt: skip
    places, parallel = {"x": 0, "weights": 1, "y": 2}, form.flops >= PARALLEL_FLOPS
    by, loop = _convolve(form, registers, 1, split=True)
    packed = by.packed_bytes, by.vectors
    pack = _pack(by, (0, 0, W.strides[0], W.strides[1]), 0, biased=False)
    return [
        Call(pack, by.channel_tiles, W.size >= LARGE, places, *packed),
        Call(loop, by.tiles, parallel, places, *packed),
    ]


# A program may have thousands of products of one form.


@functools.lru_cache(256)
def _convolve(
    form: Form, registers: int, least: int, split: bool
) -> tuple[Convolve, Loop]:
    by = Convolve(form, registers, least, split)
    return by, by.written()


@functools.lru_cache(256)
def _pack(by: Convolve, strides: Strides, start: int, biased: bool) -> Loop:
    return Pack(by, strides, start, biased).written()


def knows(node: Node) -> bool:
    """Whether loops are the way to compute a convolution.

    They are not where most of what they would multiply are zeros of the border, nor
    where an image has so few windows that the sums over them are fetched and put back
    for each image anew.
    """
    if node.dtype.str[1:] not in ("f4", "f8"):
        return False
    if not all(x.size for x in (*node.inputs, node)):
        return False
    if node.op == "correlate":
        return math.prod(node.inputs[1].shape[2:]) >= FEW_WINDOWS
    if node.op == "convolve_transposed":
        spread = math.prod(node.inputs[0].shape[2:]) * math.prod(node.attrs["stride"])
        return math.prod(node.shape[2:]) <= SPARSEST * spread
    return True


def of_windows(
    op: str, attrs: Attributes, arrays: Sequence[Array], registers: int, threads: int
) -> list[Call]:
    """A convolution as calls, one after the other.

    Args:
        arrays: Such as its operands will be, and its result.
        registers: Of 64 bytes, that the processor has.
    """
    x, W, *b, y = arrays
    make = _Maker(registers, -(-PARTS * threads // len(x)), len(x), bool(b))
    if op == "convolve":
        (SH, SW), pad = attrs["stride"], attrs["pad"]
        form = _form(x, W.shape[2:], (SH, SW), pad, y)
        return make.convolution(form, _taps(W, "OCHW"), 0)
    if op == "correlate":
        form = _form(x, attrs["kernel_size"], attrs["stride"], attrs["pad"], W)
        return make.correlation(form, _taps(y, "OCHW"))
    found = []
    for rows in _phases(W.shape[2], attrs["stride"][0], attrs["pad"][0], y.shape[2]):
        for columns in _phases(
            W.shape[3], attrs["stride"][1], attrs["pad"][1], y.shape[3]
        ):
            part = y[:, :, rows.first :: rows.step, columns.first :: columns.step]
            start = rows.first * y.strides[2] + columns.first * y.strides[3]
            border = rows.border, columns.border
            form = _form(x, (rows.taps, columns.taps), (1, 1), border, part)
            down, along, c, o = _taps(W, "COHW")
            found += make.convolution(
                form._replace(start=start),
                (-down * rows.step, -along * columns.step, c, o),
                rows.last_tap * down + columns.last_tap * along,
            )
    return found


class _Maker(NamedTuple):
    """Makes calls for so many images."""

    registers: int
    least: int  # blocks of an image
    images: int
    biased: bool

    def convolution(self, form: Form, strides: Strides, start: int) -> list[Call]:
        """Pack the weights; go through the images."""
        by, loop = _convolve(form, self.registers, self.least, split=False)
        pack = _pack(by, strides, start, self.biased)
        operands = {"x": 0, "weights": 1, "biases": 2, "y": 3 if self.biased else 2}
        work = form.flops * self.images
        large = form.taps * form.outputs >= LARGE
        parallel, parts = work >= PARALLEL_FLOPS, by.blocks * self.images
        return [
            Call(pack, by.channel_tiles, large, operands, by.packed_bytes),
            Call(loop, parts, parallel, operands, by.packed_bytes),
        ]

    def correlation(self, form: Form, strides: Strides) -> list[Call]:
        loop = Correlate(form, self.registers, strides, self.least)
        work = form.flops * self.images
        operands = {"x": 0, "gy": 1, "weights": 2}
        parallel = work >= PARALLEL_FLOPS
        return [Call(loop.written(), loop.blocks * self.images, parallel, operands)]


def _form(x: Array, kernel: Pair, stride: Pair, border: Pair, y: Array) -> Form:
    (_, C, H, W), (_, O, OH, OW) = x.shape, y.shape  # noqa: E741
    if not (kernel[0] and kernel[1]):
        kernel = 0, 0
    return Form(
        _kind(x), C, O, (H, W), kernel, stride, border, (OH, OW),
        _channels_last(x), _channels_last(y),
    )  # fmt: skip


def _kind(x: Array) -> str:
    return "float" if x.itemsize == 4 else "double"


def _channels_last(x: Array) -> Strides:
    n, c, h, w = x.strides
    return n, h, w, x.itemsize if x.shape[1] == 1 else c


def _taps(W: Array, axes: str) -> Strides:
    """The strides of weights, from tap to tap, along channels and outputs."""
    h, w, c, o = (W.strides[axes.index(axis)] for axis in "HWCO")
    return h, w, c, o


class _Phase(NamedTuple):
    """Along one axis, every ``step``-th place of a transposed convolution's result."""

    first: int
    step: int
    taps: int  # of the weights, that reach these places
    last_tap: int  # of them; from there back, as the windows look the other way
    border: int


def _phases(kernel: int, stride: int, pad: int, size: int) -> Iterator[_Phase]:
    """What is at ``h`` comes from the taps k with ``(h + pad - k) % stride == 0``."""
    for a in range(stride):
        first = (a - pad) % stride
        if first < size:
            taps = max(0, -(-(kernel - a) // stride))
            border = taps - 1 - (first + pad - a) // stride
            yield _Phase(first, stride, taps, a + stride * (taps - 1), border)
