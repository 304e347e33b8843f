"""``python -m benchmarks.floor``: the time below which this machine cannot go.

For each work, the floor of a step is the time of two things, each measured alone:

- the products of matrices it cannot do without, by ``np.matmul(out=)`` in their shapes
  and transpositions. Convolutions are products with all windows, in blocks that fit a
  cache; attention is dense.
- what must move: parameters, their gradients and the optimizer's moments are read and
  written once; so is all of the forward pass that the backward pass needs again. It is
  copied, by all cores, in arrays of that size: what fits a cache moves at its speed.

All else, such as exponentials, is taken to cost nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from benchmarks import CORES, weights
from benchmarks.peers import (
    DEZERO,
    TITLES,
    Peer,
    Times,
    machine,
    measure,
    milliseconds,
    noting_others,
    ratio,
    start,
    table,
)
from benchmarks.works import TRAINING, WORKS

FLOAT = 4  # bytes
OURS = ("dezero", "dezero.compile")
BLOCK = 2**17  # elements of the windows of a block of images


class Product(NamedTuple):
    """(n, k) times (k, m). What is transposed lies in memory the other way around."""

    n: int
    k: int
    m: int
    transposed: str = ""  # "left", "right"
    stack: int = 1
    times: int = 1

    @property
    def operations(self) -> int:
        return 2 * self.n * self.k * self.m * self.stack * self.times


class Limit(NamedTuple):
    products: list[Product]
    weights: weights.Tree
    moments: int  # of the optimizer
    activations: int  # elements that the backward pass needs again


# -- what a work cannot do without -----------------------------------------------------


def backward(y: Product, inputs: bool = True) -> Iterator[Product]:
    """The products for the gradients by the right operand, and the left, of ``y``."""
    yield y._replace(n=y.k, k=y.n, transposed="left")
    if inputs:
        yield y._replace(k=y.m, m=y.k, transposed="right")


def both_ways(y: Product, inputs: bool = True) -> list[Product]:
    return [y, *backward(y, inputs)]


def mlp(rows: int, sizes: tuple[int, ...], moments: int) -> Limit:
    products = [
        product
        for i, (n_in, n_out) in enumerate(pairwise(sizes))
        for product in both_ways(Product(rows, n_in, n_out), inputs=i > 0)
    ]
    return Limit(products, weights.mlp(*sizes), moments, rows * sum(sizes[1:-1]))


def penalty() -> Limit:
    """The gradient by x is two more products, each with a backward pass of its own."""
    N, sizes = 128, (64, 256, 256, 1)
    limit = mlp(N, sizes, moments=2)
    for n_in, n_out in ((64, 256), (256, 256)):
        g = Product(N, n_out, n_in, "right")  # g @ W.T
        limit.products.extend(
            [g, Product(n_in, N, n_out, "left"), Product(N, n_in, n_out)]
        )
    return limit._replace(activations=4 * N * 512)  # h, g, gg and 1 - h * h


def lstm() -> Limit:
    """What the time steps do not wait for is one product for all of them."""
    T, N, H = 30, 30, 100
    step = Product(N, H, 4 * H, times=T - 1)  # the first state is zero
    products = [
        *both_ways(Product(T * N, 1, 4 * H), inputs=False),
        step,
        step._replace(k=4 * H, m=H, transposed="right"),
        Product(H, (T - 1) * N, 4 * H, "left"),
        *both_ways(Product(T * N, H, 1)),
    ]
    return Limit(products, weights.lstm(), 2, T * N * 6 * H)  # gates, c and h


def gpt() -> Limit:
    N, T, C, heads, depth = 16, 64, 128, 4, 4
    rows, D = N * T, C // heads
    scores = Product(T, D, T, "right", stack=N * heads)  # q @ k.T
    products = [
        *both_ways(Product(rows, C, 3 * C)),
        scores,
        scores._replace(k=T, m=D, transposed=""),  # by q
        scores._replace(k=T, m=D, transposed="left"),  # by k
        *both_ways(Product(T, T, D, stack=N * heads)),
        *both_ways(Product(rows, C, C)),
        *both_ways(Product(rows, C, 4 * C)),
        *both_ways(Product(rows, 4 * C, C)),
    ]
    products = [product._replace(times=depth) for product in products]
    products += both_ways(Product(rows, C, 65))
    # Of every block: both norms, q, k, v, probabilities, their mix, before and after
    # the GELU.
    block = rows * (2 * C + 3 * C + C + 8 * C) + N * heads * T * T
    return Limit(products, weights.gpt(), 2, depth * block + rows * (C + 65))


def conv(pixels: int, n_in: int, n_out: int, size: int = 3) -> Product:
    k = n_in * size * size
    times = 1
    while pixels * k > BLOCK * times:
        times *= 2
    return Product(pixels // times, k, n_out, times=times)


def conv_both_ways(
    pixels: int, n_in: int, n_out: int, size: int = 3, inputs: bool = True
) -> list[Product]:
    """The gradient by the images is a convolution of that of the result."""
    products = both_ways(conv(pixels, n_in, n_out, size), inputs=False)
    return [*products, conv(pixels, n_out, n_in, size)] if inputs else products


def cnn() -> Limit:
    large, small = 64 * 32 * 32, 64 * 16 * 16  # pixels
    products = [
        *conv_both_ways(large, 3, 32, inputs=False),
        *conv_both_ways(large, 32, 32),
        *conv_both_ways(small, 32, 64),
        *conv_both_ways(small, 64, 64),
        *both_ways(Product(64, 4096, 256)),
        *both_ways(Product(64, 256, 10)),
    ]
    activations = large * 64 + small * (32 + 128) + 64 * (4096 + 256)
    return Limit(products, weights.cnn(), 1, activations)


def resnet() -> Limit:
    pixels = 32 * 32 * 32
    products = conv_both_ways(pixels, 3, 16, inputs=False)
    activations = 2 * pixels * 16  # before and after the norm
    for n_in, n_out in ((16, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64)):
        if n_in != n_out:
            pixels //= 4
            products += conv_both_ways(pixels, n_in, n_out, size=1)
            activations += pixels * n_out
        products += conv_both_ways(pixels, n_in, n_out)
        products += conv_both_ways(pixels, n_out, n_out)
        activations += 4 * pixels * n_out
    products += both_ways(Product(32, 64, 10))
    return Limit(products, weights.resnet(), 1, activations)


LIMITS: dict[str, Callable[[], Limit]] = {
    "mlp_sgd": lambda: mlp(100, (784, 1000, 10), moments=0),
    "mlp_adam": lambda: mlp(128, (784, 512, 512, 10), moments=2),
    "lstm": lstm,
    "penalty": penalty,
    "gpt": gpt,
    "cnn": cnn,
    "resnet": resnet,
}


# -- how long that takes ---------------------------------------------------------------

Call = Callable[[], Any]


def products_of(limit: Limit) -> Call:
    """A function that computes the products."""
    rng = np.random.default_rng(0)

    def operand(product: Product, rows: int, columns: int, side: str) -> Any:
        shape = (product.stack, rows, columns)
        if product.transposed == side:
            shape = (product.stack, columns, rows)
        array = rng.standard_normal(shape, np.float32)
        array = array.swapaxes(1, 2) if product.transposed == side else array
        return array[0] if product.stack == 1 else array

    calls = []
    for product in limit.products:
        left = operand(product, product.n, product.k, "left")
        right = operand(product, product.k, product.m, "right")
        calls += [(left, right, np.matmul(left, right))] * product.times

    def call() -> None:
        for left, right, out in calls:
            np.matmul(left, right, out=out)

    return call


def bytes_of(limit: Limit) -> tuple[int, int]:
    """Those of parameters, gradients and moments; and of activations."""
    size = sum(array.nbytes for array in weights.leaves(limit.weights))
    return size * (2 + limit.moments), limit.activations * FLOAT


def copies_of(size: int, pool: ThreadPoolExecutor) -> tuple[Call, int]:
    """A function that reads and writes so many bytes, and how many times it does."""
    repeats = max(1, 2**26 // size)
    pairs = [np.ones((2, size // (2 * CORES)), np.uint8) for _ in range(CORES)]

    def work(pair: Any) -> None:
        for _ in range(repeats):
            np.copyto(pair[0], pair[1])
            np.copyto(pair[1], pair[0])

    return lambda: list(pool.map(work, pairs)), repeats


def seconds(call: Call, times: int = 1) -> float:
    begin = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - begin) / times


def floor_of(name: str, pool: ThreadPoolExecutor) -> Call:
    """A function that gives the seconds of the products, and of the copies."""
    limit = LIMITS[name]()
    products, steps = products_of(limit), WORKS[name].steps
    copies = [copies_of(size, pool) for size in bytes_of(limit)]

    def call() -> tuple[float, float]:
        seconds(products, steps // 4 + 1)  # the pause has let the processor cool
        return seconds(products, steps), sum(seconds(call) / n for call, n in copies)

    return call


def measure_floor(peers: list[Peer], name: str, rounds: int) -> Times:
    """In every round those of the floor, and of the peers that can do the work."""
    times: Times = {}
    with ThreadPoolExecutor(CORES) as pool:
        floor = floor_of(name, pool)
        for _ in range(rounds):
            products, copies = floor()
            found = {"products": products, "copies": copies, "floor": products + copies}
            time.sleep(0.25)
            found |= {peer: s for peer, (s,) in measure(peers, name, 1).items()}
            for key, value in found.items():
                times.setdefault(key, []).append(value)
            peers = [peer for peer in peers if peer.name in found]
    return times


def row_of(name: str, times: Times) -> list[str]:
    gigaflop = sum(product.operations for product in LIMITS[name]().products) / 1e9
    cells = [WORKS[name].text, f"{gigaflop:.2f}"]
    cells += [milliseconds(times[key]) for key in ("products", "copies", "floor")]
    for peer in OURS:
        cells += [milliseconds(times.get(peer)), ratio(times.get(peer), times["floor"])]
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.floor",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("works", nargs="*", help=f"of {', '.join(LIMITS)}")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    unknown = set(options.works) - set(LIMITS)
    if unknown:
        parser.error(f"expected works of {', '.join(LIMITS)}, got {', '.join(unknown)}")
    print(f"{date.today()}, {machine()}; medians of {options.rounds} rounds\n")
    with noting_others():
        peers = start(DEZERO._replace(name=name) for name in OURS)
        rows = []
        for name in options.works or TRAINING:
            rows.append(row_of(name, measure_floor(peers, name, options.rounds)))
            print(name, file=sys.stderr)
        for peer in peers:
            peer.close()
        head = ["work", "GFLOP", "products", "copies", "floor"]
        head += [cell for name in OURS for cell in (TITLES[name], "ratio")]
        print(table(head, rows))


if __name__ == "__main__":
    main()
