"""The weights that every peer starts from: the same numbers for all of them.

They are trees of lists and dicts in the order in which DeZero's models define them, in
its shapes: W (in, out) of a fully connected layer, (out, in, KH, KW) of a convolution.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

Tree = Any


def leaves(tree: Tree) -> Iterator[Any]:
    """The arrays of a tree, in order."""
    if isinstance(tree, np.ndarray):
        yield tree
        return
    for branch in tree.values() if isinstance(tree, dict) else tree:
        yield from leaves(branch)


def mlp(*sizes: int) -> Tree:
    rng = np.random.default_rng(1)
    return [_linear(rng, n_in, n_out) for n_in, n_out in pairwise(sizes)]


def lstm() -> Tree:
    """The gates are those of ``F.lstm_cell``, in its order: f, i, o, u."""
    rng = np.random.default_rng(1)
    return {
        "x2": [_linear(rng, 1, 100) for _ in range(4)],
        "h2": [_linear(rng, 100, 100, bias=False) for _ in range(4)],
        "fc": _linear(rng, 100, 1),
    }


def gpt() -> Tree:
    rng = np.random.default_rng(1)
    return {
        "tokens": _normal(rng, 0.02, 65, 128),
        "places": _normal(rng, 0.02, 64, 128),
        "blocks": [_block(rng, 128) for _ in range(4)],
        "norm": _norm(128),
        "head": _linear(rng, 128, 65, bias=False),
    }


def _block(rng: np.random.Generator, width: int) -> Tree:
    return {
        "norm1": _norm(width),
        "qkv": _linear(rng, width, 3 * width),
        "project": _linear(rng, width, width),
        "norm2": _norm(width),
        "widen": _linear(rng, width, 4 * width),
        "narrow": _linear(rng, 4 * width, width),
    }


def cnn() -> Tree:
    rng = np.random.default_rng(1)
    channels = (3, 32, 32, 64, 64)
    return {
        "conv": [_conv(rng, *pair, bias=True) for pair in pairwise(channels)],
        "fc": [_linear(rng, 4096, 256), _linear(rng, 256, 10)],
    }


def resnet() -> Tree:
    rng = np.random.default_rng(1)
    pairs = ((16, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64))
    return {
        "stem": _conv_norm(rng, 3, 16, 3),
        "blocks": [_residual(rng, *pair) for pair in pairs],
        "fc": _linear(rng, 64, 10),
    }


def _residual(rng: np.random.Generator, n_in: int, n_out: int) -> Tree:
    block = {
        "first": _conv_norm(rng, n_in, n_out, 3),
        "second": _conv_norm(rng, n_out, n_out, 3),
    }
    if n_in != n_out:
        block["shortcut"] = _conv_norm(rng, n_in, n_out, 1)
    return block


# -- layers ----------------------------------------------------------------------------


def _normal(rng: np.random.Generator, deviation: float, *shape: int) -> Any:
    return rng.standard_normal(shape).astype(np.float32) * np.float32(deviation)


def _with_bias(W: Any, size: int, bias: bool) -> Tree:
    return {"W": W, "b": np.zeros(size, np.float32)} if bias else {"W": W}


def _linear(rng: np.random.Generator, n_in: int, n_out: int, bias: bool = True) -> Tree:
    W = _normal(rng, math.sqrt(1 / n_in), n_in, n_out)
    return _with_bias(W, n_out, bias)


def _conv(
    rng: np.random.Generator, n_in: int, n_out: int, size: int = 3, bias: bool = False
) -> Tree:
    W = _normal(rng, math.sqrt(1 / (n_in * size * size)), n_out, n_in, size, size)
    return _with_bias(W, n_out, bias)


def _norm(size: int) -> Tree:
    return {"gamma": np.ones(size, np.float32), "beta": np.zeros(size, np.float32)}


def _conv_norm(rng: np.random.Generator, n_in: int, n_out: int, size: int) -> Tree:
    return {"conv": _conv(rng, n_in, n_out, size), "norm": _norm(n_out)}
