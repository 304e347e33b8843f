"""One line per operation: its tests follow from it (``test_cases.py``)."""

from __future__ import annotations

import unittest.mock
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import references as R
from samples import (
    Samples,
    aligning,
    along,
    anywhere,
    attending,
    between,
    binary,
    broadcasting,
    classifying,
    convolving,
    convolving_sequences,
    distinct,
    grouping,
    halving,
    images,
    inserting,
    joining,
    looking,
    looking_up,
    masking,
    multiplying,
    negative,
    nonzero,
    normal,
    normalizing,
    picking,
    positive,
    probability,
    reducing,
    remembering,
    reshaping,
    shaped,
    shrinking,
    signs,
    slicing,
    stretching,
    transposing,
    turning,
    unfolding,
    whole,
    zeros,
)

import dezero
import dezero.functions as F
from dezero import Variable
from dezero.backend import as_numpy, get_array_module


@dataclass(frozen=True)
class Case:
    name: str  # of the function in dezero.functions
    samples: Samples
    reference: Callable[..., Any]  # the same on arrays
    call: Callable[..., Any] | None = None  # where it is not the function itself
    note: str = ""

    @property
    def function(self) -> Callable[..., Any]:
        return self.call or getattr(F, self.name)

    def __str__(self) -> str:
        return f"{self.name}-{self.note}" if self.note else self.name


# -- functions that need something around them ---------------------------------------


def on_arrays(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function of bare arrays as one of Variables."""
    return lambda x, *args, **kwargs: Variable(f(as_numpy(x), *args, **kwargs))


def batch_norm(x: Any, gamma: Any, beta: Any, **kwargs: Any) -> Variable:
    """With running averages of its own, as each call in training changes them."""
    xp = get_array_module(gamma)
    mean, var = xp.full(gamma.shape, 0.5, x.dtype), xp.full(gamma.shape, 2.0, x.dtype)
    return F.batch_norm(x, gamma, beta, mean, var, **kwargs)


def group_norm(x: Any, *args: Any, groups: int, **kwargs: Any) -> Variable:
    return F.group_norm(x, groups, *args, **kwargs)


def weighted(x: Any, t: Any, **kwargs: Any) -> Variable:
    return F.cross_entropy(x, t, weight=R.class_weights(x.shape[1]), **kwargs)


def in_test_mode(f: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with dezero.test_mode():
            return f(*args, **kwargs)

    return call


def seeded_dropout(x: Any, dropout_ratio: float) -> Variable:
    np.random.seed(0)
    return F.dropout(x, dropout_ratio)


def attend(q: Any, k: Any, v: Any, mask: Any = None, **kwargs: Any) -> Variable:
    return F.scaled_dot_product_attention(q, k, v, mask, **kwargs)


def in_blocks(q: Any, k: Any, v: Any, mask: Any = None, **kwargs: Any) -> Variable:
    """As long sequences are worked through: here by two queries and two keys."""
    with (
        unittest.mock.patch("dezero.functions.attention.DIRECT", 0),
        unittest.mock.patch("dezero.functions.attention.BLOCK", 2),
    ):
        return F.scaled_dot_product_attention(q, k, v, mask, **kwargs)


# -- the table ----------------------------------------------------------------------

CASES = [
    # arithmetic
    Case("add", broadcasting(normal, normal), np.add),
    Case("sub", broadcasting(normal, normal), np.subtract),
    Case("rsub", broadcasting(normal, normal), lambda x0, x1: x1 - x0),
    Case("mul", broadcasting(normal, normal), np.multiply),
    Case("div", broadcasting(normal, nonzero), np.divide),
    Case("rdiv", broadcasting(nonzero, normal), lambda x0, x1: x1 / x0),
    Case("neg", anywhere(normal), np.negative),
    Case("absolute", anywhere(nonzero), np.abs),
    Case("mod", broadcasting(between, positive), np.mod),
    Case("mod", anywhere(between), lambda x: x % 1, lambda x: x % 1, "number"),
    Case("rmod", anywhere(positive), lambda x: 7.3 % x, lambda x: F.rmod(x, 7.3)),
    Case("pow", broadcasting(positive, normal), np.power),
    Case("pow", anywhere(normal, c=3), lambda x, c: x**c, note="cube"),
    Case("pow", anywhere(zeros, c=2), lambda x, c: x**c, note="square-at-0"),
    Case("pow", anywhere(zeros, c=0), lambda x, c: x**c, note="0-at-0"),
    Case("pow", anywhere(positive, c=-1.5), lambda x, c: x**c, note="root"),
    Case("rpow", broadcasting(normal, positive), lambda x, c: c**x),
    Case("rpow", anywhere(normal, c=2.5), lambda x, c: c**x, note="number"),
    # elementwise
    Case("sin", anywhere(normal), np.sin),
    Case("cos", anywhere(normal), np.cos),
    Case("tanh", anywhere(normal), np.tanh),
    Case("exp", anywhere(normal), np.exp),
    Case("log", anywhere(positive), np.log),
    Case("sqrt", anywhere(positive), np.sqrt),
    Case("clip", anywhere(between, x_min=-1, x_max=1), lambda x, **_: x.clip(-1, 1)),
    Case(
        "clip",
        anywhere(between, x_min=0, x_max=None),
        lambda x, **_: x.clip(0),
        note="below",
    ),
    Case(
        "clip",
        anywhere(between, x_min=None, x_max=1),
        lambda x, **_: x.clip(None, 1),
        note="above",
    ),
    # shape
    Case("reshape", reshaping(), lambda x, shape: x.reshape(shape)),
    Case("flatten", anywhere(normal, min_dims=1), lambda x: x.reshape(len(x), -1)),
    Case("expand_dims", inserting(), np.expand_dims),
    Case("transpose", transposing(), np.transpose),
    Case("broadcast_to", stretching(), np.broadcast_to),
    Case(
        "sum_to",
        shrinking(),
        lambda x, shape: x.sum(
            tuple(range(x.ndim - len(shape)))
            + tuple(i - len(shape) for i, n in enumerate(shape) if n == 1)
        ).reshape(shape),
    ),
    Case(
        "astype", anywhere(normal, dtype=np.float64), lambda x, dtype: x.astype(dtype)
    ),
    Case("copy", anywhere(normal), np.copy),
    Case(
        "concat",
        joining(),
        lambda *xs, axis: np.concatenate(xs, axis),
        lambda *xs, axis: F.concat(xs, axis),
    ),
    # indexing
    Case("get_item", slicing(), lambda x, slices: x[slices], note="slices"),
    Case("get_item", picking(), lambda x, slices: x[slices], note="repeats"),
    Case("get_item", masking(), lambda x, slices: x[slices], note="mask"),
    Case("embed_id", looking_up(), lambda x, W: W[x]),
    # reduction
    Case("sum", reducing(), np.sum),
    Case("average", reducing(), np.mean),
    Case("mean", reducing(), np.mean),
    Case("max", reducing(distinct), np.max),
    Case("min", reducing(distinct), np.min),
    # linear algebra
    Case("matmul", multiplying(), np.matmul),
    Case("linear", shaped("NI, IO, O"), lambda x, W, b: x @ W + b),
    Case("linear", shaped("NI, IO"), lambda x, W: x @ W, note="no-bias"),
    Case("linear", shaped("NTI, IO, O"), lambda x, W, b: x @ W + b, note="sequence"),
    Case("linear_simple", shaped("NI, IO, O"), lambda x, W, b: x @ W + b),
    # recurrent
    Case("lstm_cell", remembering(), R.remember),
    Case("gru_cell", remembering(gated=True), R.update_gated),
    # attention
    Case("scaled_dot_product_attention", attending(), R.attend, attend),
    Case("scaled_dot_product_attention", attending("bool"), R.attend, attend, "mask"),
    Case("scaled_dot_product_attention", attending("float"), R.attend, attend, "added"),
    Case("scaled_dot_product_attention", attending(), R.attend, in_blocks, "blocks"),
    Case(
        "scaled_dot_product_attention",
        attending("bool"),
        R.attend,
        in_blocks,
        "blocks-mask",
    ),
    Case(
        "scaled_dot_product_attention",
        attending("float"),
        R.attend,
        in_blocks,
        "blocks-added",
    ),
    Case(
        "causal_mask",
        looking(),
        lambda length, keys: np.arange(keys) <= np.c_[:length] + keys - length,
        lambda **kwargs: Variable(F.causal_mask(**kwargs)),
    ),
    Case("rotary", turning(), R.turn),
    # activation
    Case("sigmoid", anywhere(normal), R.sigmoid),
    Case("sigmoid_simple", anywhere(normal), R.sigmoid),
    Case("relu", anywhere(nonzero), lambda x: np.maximum(x, 0)),
    Case("leaky_relu", anywhere(nonzero), lambda x: np.maximum(x, 0.2 * x)),
    Case("leaky_relu", anywhere(nonzero, slope=0.01), R.leaky_relu, note="slope"),
    Case("leaky_relu", anywhere(nonzero, slope=1.5), R.leaky_relu, note="steep"),
    Case("gelu", anywhere(normal), R.gelu),
    Case("gelu", anywhere(normal, approximate="tanh"), R.gelu, note="tanh"),
    Case("silu", anywhere(normal), lambda x: x * R.sigmoid(x)),
    Case("swish", anywhere(normal), lambda x: x * R.sigmoid(x)),
    Case("mish", anywhere(normal), lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    Case("glu", halving(), R.glu),
    Case("elu", anywhere(nonzero, alpha=0.7), R.elu),
    Case(
        "celu",
        anywhere(nonzero, alpha=0.7),
        lambda x, alpha: R.elu(x / alpha, 1) * alpha,
    ),
    Case(
        "selu",
        anywhere(nonzero),
        lambda x: 1.0507009873554805 * R.elu(x, 1.6732632423543772),
    ),
    Case("softplus", anywhere(normal), lambda x: np.log(1 + np.exp(x))),
    Case(
        "softplus",
        anywhere(normal, beta=2.5),
        lambda x, beta: np.log(1 + np.exp(beta * x)) / beta,
        note="beta",
    ),
    Case("softsign", anywhere(nonzero), lambda x: x / (1 + abs(x))),
    Case("hardtanh", anywhere(between), lambda x: x.clip(-1, 1)),
    Case(
        "hardtanh",
        anywhere(between, x_min=-2, x_max=0),
        lambda x, **_: x.clip(-2, 0),
        note="bounds",
    ),
    Case("relu6", anywhere(between), lambda x: x.clip(0, 6)),
    Case("prelu", shaped("NCH, C", nonzero, normal), R.prelu),
    Case(
        "prelu",
        shaped("N,", nonzero, normal),
        lambda x, W: np.where(x > 0, x, W * x),
        note="one-slope",
    ),
    Case("softmax", along(), R.softmax),
    Case("softmax", shaped("ND"), lambda x: R.softmax(x, 1), note="axis-1"),
    Case("softmax_simple", along(), R.softmax),
    Case("log_softmax", along(), lambda x, axis: np.log(R.softmax(x, axis))),
    Case("logsumexp", reducing(), R.logsumexp),
    # loss
    Case("mean_squared_error", shaped("ND, ND"), R.mean_squared_error),
    Case("mean_squared_error", shaped("N, N"), R.mean_squared_error, note="vectors"),
    Case("mean_squared_error_simple", shaped("NDE, NDE"), R.mean_squared_error),
    Case("softmax_cross_entropy", classifying(), R.softmax_cross_entropy),
    Case("softmax_cross_entropy_simple", classifying(), R.softmax_cross_entropy),
    Case(
        "sigmoid_cross_entropy",
        shaped("ND, ND", normal, probability),
        lambda x, t: R.binary_cross_entropy(R.sigmoid(x), t),
    ),
    Case(
        "sigmoid_cross_entropy",
        shaped("N, N", normal, binary),
        lambda x, t: R.binary_cross_entropy(R.sigmoid(x), t),
        note="labels",
    ),
    Case(
        "binary_cross_entropy",
        shaped("ND, ND", probability, probability),
        R.binary_cross_entropy,
    ),
    Case(
        "binary_cross_entropy",
        shaped("N, N", probability, binary),
        R.binary_cross_entropy,
        note="labels",
    ),
    Case("softmax_cross_entropy", classifying(), R.weighted, weighted, "weight"),
    Case(
        "softmax_cross_entropy",
        classifying(ignored=-7, label_smoothing=0.2),
        R.cross_entropy,
        note="smoothing",
    ),
    Case(
        "cross_entropy",
        classifying(ignored=-7, label_smoothing=0.2),
        R.weighted,
        weighted,
        "all",
    ),
    Case(
        "softmax_cross_entropy",
        classifying(ignored=-7, reduction="none"),
        R.cross_entropy,
        note="none",
    ),
    Case("nll_loss", classifying(), R.nll),
    Case(
        "nll_loss",
        classifying(ignored=-7),
        lambda x, t, **kw: R.nll(x, t, weight=R.class_weights(x.shape[1]), **kw),
        lambda x, t, **kwargs: F.nll_loss(
            x, t, weight=R.class_weights(x.shape[1]), **kwargs
        ),
        "weight",
    ),
    Case(
        "binary_cross_entropy_with_logits",
        shaped("ND, ND", normal, probability),
        lambda x, t: (
            -(np.log(R.sigmoid(x)) * t + np.log(R.sigmoid(-x)) * (1 - t)).mean()
        ),
    ),
    Case(
        "binary_cross_entropy_with_logits",
        shaped("ND, ND", normal, binary, weight=0.5, pos_weight=3.0, reduction="sum"),
        lambda x, t, **_: (
            -(
                1.5 * np.log(R.sigmoid(x)) * t + 0.5 * np.log(R.sigmoid(-x)) * (1 - t)
            ).sum()
        ),
        note="weights",
    ),
    Case("ctc_loss", aligning(), R.ctc),
    Case("ctc_loss", aligning(blank=1, reduction="sum"), R.ctc, note="sum"),
    Case(
        "hinge_loss",
        shaped("ND, ND", between, signs),
        lambda x, t: np.maximum(0, 1 - t * x).mean(),
    ),
    Case("mse_loss", shaped("ND, ND"), lambda x0, x1: ((x0 - x1) ** 2).mean()),
    Case("l1_loss", shaped("ND, ND", positive, negative), lambda a, b: (a - b).mean()),
    Case(
        "l1_loss",
        shaped("ND, ND", positive, negative, reduction="none"),
        lambda a, b, **_: a - b,
        note="none",
    ),
    Case("huber_loss", shaped("ND, ND", between, whole), R.huber),
    Case(
        "huber_loss",
        shaped("ND, ND", between, whole, delta=0.1, reduction="sum"),
        lambda x0, x1, delta, reduction: R.huber(x0, x1, delta) * x0.size,
        note="delta",
    ),
    Case("smooth_l1_loss", shaped("ND, ND", between, whole), R.huber),
    Case(
        "smooth_l1_loss",
        shaped("ND, ND", between, whole, beta=2.1),
        lambda x0, x1, beta: R.huber(x0, x1, beta) / beta,
        note="beta",
    ),
    Case(
        "kl_div",
        shaped("NCH, NCH", normal, probability),
        lambda q, p: (p * (np.log(p) - q)).sum(1).mean(),
    ),
    Case("cosine_similarity", shaped("NDH, NDH", nonzero, nonzero), R.cosine),
    Case(
        "cosine_similarity",
        shaped("NDH, NDH", nonzero, nonzero, axis=-1),
        R.cosine,
        note="last",
    ),
    Case(
        "cosine_embedding_loss",
        shaped("ND, ND, N", nonzero, nonzero, signs, margin=-1.5, reduction="none"),
        lambda a, b, t, **_: np.where(t > 0, 1 - R.cosine(a, b), R.cosine(a, b) + 1.5),
    ),
    Case(
        "triplet_margin_loss",
        shaped("ND, ND, ND", between, positive, negative, margin=20),
        lambda a, p, n, margin: (
            margin + np.linalg.norm(a - p, axis=1) - np.linalg.norm(a - n, axis=1)
        ).mean(),
    ),
    Case("accuracy", classifying(), lambda y, t: (y.argmax(1) == t).mean()),
    # normalization and random numbers
    Case("batch_norm", normalizing(), R.batch_norm, batch_norm),
    Case("batch_nrom", normalizing(), R.batch_norm, batch_norm),
    Case(
        "batch_norm",
        normalizing(),
        lambda *xs, eps: R.batch_norm(*xs, 0.5, 2, eps=eps),
        in_test_mode(batch_norm),
        "test-mode",
    ),
    Case("layer_norm", shaped("NTD, D, D", eps=0.1), R.layer_norm),
    Case("layer_norm", shaped("ND, D", eps=0.1), R.layer_norm, note="no-shift"),
    Case("layer_norm", shaped("NTD, TD, TD", eps=0.1), R.layer_norm, note="two-axes"),
    Case("layer_norm", shaped("D, D, D", eps=0.1), R.layer_norm, note="vector"),
    Case("rms_norm", shaped("NTD, D", eps=0.1), R.rms_norm),
    Case("group_norm", grouping(), R.group_norm, group_norm),
    Case("instance_norm", normalizing(), R.group_norm),
    Case("dropout", anywhere(normal, dropout_ratio=0.3), R.dropout, seeded_dropout),
    Case(
        "dropout", anywhere(normal), lambda x: x, in_test_mode(F.dropout), "test-mode"
    ),
    # convolution
    Case("conv1d", convolving_sequences(), R.convolve_sequences),
    Case(
        "conv1d", convolving_sequences(bias=False), R.convolve_sequences, note="no-bias"
    ),
    Case("conv2d", convolving(), R.convolve),
    Case("conv2d", convolving(bias=False), R.convolve, note="no-bias"),
    Case("conv2d_simple", convolving(), R.convolve),
    Case("deconv2d", convolving(transposed=True), R.convolve_transposed),
    Case(
        "deconv2d", convolving(True, bias=False), R.convolve_transposed, note="no-bias"
    ),
    Case("im2col", unfolding(), R.unfold),
    Case("col2im", unfolding(back=True), R.fold),
    Case("im2col_array", unfolding(), R.unfold, on_arrays(F.im2col_array)),
    Case(
        "col2im_array",
        unfolding(back=True),
        R.fold,
        lambda x, input_shape, **kwargs: on_arrays(F.col2im_array)(
            x, input_shape, **kwargs
        ),
    ),
    # pooling
    Case("pooling", images(distinct), R.max_pool),
    Case("pooling_simple", images(distinct), R.max_pool),
    Case("average_pooling", images(), R.average_pool),
]

# What no derivative is asked of, and why.
WITHOUT_DERIVATIVE = {
    "accuracy": "counts hits, and so is constant but for jumps",
    "causal_mask": "gives booleans",
    "im2col_array": "takes and gives bare arrays",
    "col2im_array": "takes and gives bare arrays",
}
