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
    apart,
    assigning,
    attending,
    between,
    binary,
    binary_floats,
    broadcasting,
    choosing,
    classifying,
    convolving,
    convolving_sequences,
    distinct,
    distinct_sizes,
    framing,
    gathering,
    grouping,
    halving,
    images,
    inserting,
    inverting,
    joining,
    locating,
    looking,
    looking_up,
    masking,
    moving,
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
    scattering,
    shaped,
    shrinking,
    signs,
    singular,
    slicing,
    solving,
    spanning,
    splitting,
    spreading,
    squeezing,
    stacking,
    stretching,
    summing,
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
from dezero.core import as_variable


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
    return lambda x, *args, **kwargs: Variable(
        np.asarray(f(as_numpy(x), *args, **kwargs))
    )


def batch_norm(x: Any, gamma: Any, beta: Any, **kwargs: Any) -> Variable:
    """With running averages of its own, as each call in training changes them."""
    xp = get_array_module(gamma)
    mean, var = xp.full(gamma.shape, 0.5, x.dtype), xp.full(gamma.shape, 2.0, x.dtype)
    return F.batch_norm(x, gamma, beta, mean, var, **kwargs)


def group_norm(x: Any, *args: Any, groups: int, **kwargs: Any) -> Variable:
    return F.group_norm(x, groups, *args, **kwargs)


def weighted(x: Any, t: Any, **kwargs: Any) -> Variable:
    return F.cross_entropy(x, t, weight=R.class_weights(x.shape[1]), **kwargs)


def relu_simple(x: Any) -> Variable:
    return F.maximum(x, 0)


def set_item(x: Any, value: Any, slices: Any) -> Variable:
    return F.set_item(x, slices, value)


def scatter_add(x: Any, values: Any, index: Any, axis: int) -> Variable:
    return F.scatter_add(x, index, values, axis)


def einsum(*xs: Any, subscripts: str) -> Variable:
    return F.einsum(subscripts, *xs)


def definite(A: Any) -> Any:
    return A @ A.swapaxes(-1, -2) + np.eye(A.shape[-1], dtype=A.dtype)


def cholesky(A: Any) -> Variable:
    return F.cholesky(definite(as_variable(A)))


def svd(A: Any) -> Variable:
    """What does not depend on the signs of the vectors."""
    U, s, Vh = F.svd(A)
    return F.matmul(U * (s + s * s).reshape(*s.shape[:-1], 1, -1), Vh)


def svd_values(A: Any) -> Variable:
    return F.svd(A)[1]


def eigh(A: Any) -> tuple[Variable, Variable]:
    """The values, and what does not depend on the signs of the vectors."""
    A = as_variable(A)
    w, V = F.eigh(A + A.swapaxes(-1, -2))
    return w, F.matmul(
        V * F.exp(w).reshape(*w.shape[:-1], 1, -1), F.swapaxes(V, -1, -2)
    )


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
    Case("square", anywhere(normal), np.square),
    Case("abs", anywhere(nonzero), np.abs),
    Case("log1p", anywhere(probability), np.log1p),
    Case("expm1", anywhere(normal), np.expm1),
    Case("erf", anywhere(normal), R.erf),
    Case("tan", anywhere(probability), np.tan),
    Case("sinh", anywhere(normal), np.sinh),
    Case("cosh", anywhere(normal), np.cosh),
    Case("asin", anywhere(probability), np.arcsin),
    Case("acos", anywhere(probability), np.arccos),
    Case("atan", anywhere(normal), np.arctan),
    Case("atan2", broadcasting(nonzero, nonzero), np.arctan2),
    # selection
    Case("where", choosing(), np.where),
    Case("maximum", apart(), np.maximum),
    Case("maximum", anywhere(nonzero), lambda x: x.clip(0), relu_simple, "number"),
    Case("minimum", apart(), np.minimum),
    Case("sign", anywhere(nonzero), np.sign),
    Case("floor", anywhere(between), np.floor),
    Case("ceil", anywhere(between), np.ceil),
    Case("round", anywhere(between, decimals=1), np.round),
    Case("isnan", anywhere(normal), np.isnan, on_arrays(F.isnan)),
    Case("isinf", anywhere(normal), np.isinf, on_arrays(F.isinf)),
    Case("isfinite", anywhere(normal), np.isfinite, on_arrays(F.isfinite)),
    Case("logical_not", anywhere(binary), np.logical_not, on_arrays(F.logical_not)),
    Case(
        "logical_and",
        broadcasting(binary, binary),
        np.logical_and,
        on_arrays(F.logical_and),
    ),
    Case(
        "logical_or",
        broadcasting(binary, binary),
        np.logical_or,
        on_arrays(F.logical_or),
    ),
    Case(
        "logical_xor",
        broadcasting(binary, binary),
        np.logical_xor,
        on_arrays(F.logical_xor),
    ),
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
    Case(
        "stack",
        stacking(),
        lambda *xs, axis: np.stack(xs, axis),
        lambda *xs, axis: F.stack(xs, axis),
    ),
    Case(
        "split",
        splitting(),
        lambda x, **kwargs: tuple(np.split(x, **kwargs)),
    ),
    Case("squeeze", squeezing(), np.squeeze),
    Case("swapaxes", moving("axis1", "axis2"), np.swapaxes),
    Case("moveaxis", moving("source", "destination"), np.moveaxis),
    Case("flip", along(), np.flip),
    Case("flip", anywhere(normal), np.flip, note="all"),
    Case("roll", along(shift=2), np.roll),
    Case("roll", anywhere(normal, shift=-1), np.roll, note="in-a-row"),
    Case("repeat", along(repeats=2), np.repeat),
    Case("repeat", shaped("ND", repeats=3), np.repeat, note="in-a-row"),
    Case("tile", anywhere(normal, reps=(2, 1, 3)), np.tile),
    Case("pad", framing("constant", constant_values=0.5), np.pad),
    Case("pad", framing("edge"), np.pad, note="edge"),
    Case("pad", framing("reflect"), np.pad, note="reflect"),
    # indexing
    Case("get_item", slicing(), lambda x, slices: x[slices], note="slices"),
    Case("get_item", picking(), lambda x, slices: x[slices], note="repeats"),
    Case("get_item", masking(), lambda x, slices: x[slices], note="mask"),
    Case("set_item", assigning(slicing()), R.set_item, set_item, "slices"),
    Case("set_item", assigning(picking()), R.set_item, set_item, "repeats"),
    Case("set_item", assigning(masking(), number=True), R.set_item, set_item, "mask"),
    Case("embed_id", looking_up(), lambda x, W: W[x]),
    Case("gather", gathering(), R.gather),
    Case("scatter_add", scattering(), R.scatter_add, scatter_add),
    Case("take_along_axis", locating(), np.take_along_axis),
    Case("sort", along(distinct), np.sort),
    Case("sort", anywhere(distinct, axis=None), np.sort, note="in-a-row"),
    Case("topk", along(distinct), R.largest, lambda x, axis: F.topk(x, 1, axis)[0]),
    Case(
        "topk",
        shaped("ND", distinct, k=1, axis=0, largest=False),
        lambda x, **_: np.sort(x, 0)[:1],
        lambda x, **kwargs: F.topk(x, **kwargs)[0],
        "smallest",
    ),
    # reduction
    Case("sum", reducing(), np.sum),
    Case("average", reducing(), np.mean),
    Case("mean", reducing(), np.mean),
    Case("max", reducing(distinct), np.max),
    Case("min", reducing(distinct), np.min),
    Case("var", reducing(), np.var),
    Case("var", shaped("NDDE", ddof=0.5, axis=(1, 2)), np.var, note="ddof"),
    Case("std", spreading(), np.std),
    Case("norm", reducing(nonzero), R.norm),
    Case("norm", along(nonzero, ord=1), np.linalg.norm, note="1"),
    Case("norm", along(nonzero, ord=2), np.linalg.norm, note="2"),
    Case("norm", along(distinct_sizes, ord=np.inf), np.linalg.norm, note="inf"),
    Case("prod", reducing(), np.prod),
    Case("prod", reducing(binary_floats), np.prod, note="zeros"),
    Case("cumsum", along(), np.cumsum),
    Case("cumsum", anywhere(normal), np.cumsum, note="in-a-row"),
    Case("cumprod", along(), np.cumprod),
    Case("cumprod", anywhere(binary_floats), np.cumprod, note="zeros"),
    # linear algebra
    Case("matmul", multiplying(), np.matmul),
    Case("linear", shaped("NI, IO, O"), lambda x, W, b: x @ W + b),
    Case("linear", shaped("NI, IO"), lambda x, W: x @ W, note="no-bias"),
    Case("linear", shaped("NTI, IO, O"), lambda x, W, b: x @ W + b, note="sequence"),
    Case("linear_simple", shaped("NI, IO, O"), lambda x, W, b: x @ W + b),
    Case("outer", shaped("N, M"), np.outer),
    Case("diagonal", spanning("offset", "axis1", "axis2"), np.diagonal),
    Case("trace", spanning("offset", "axis1", "axis2"), np.trace),
    Case("diag", shaped("N", k=-1), np.diag),
    Case("diag", shaped("NM", k=1), np.diag, note="of-matrix"),
    Case("tril", spanning("k"), np.tril),
    Case("triu", spanning("k"), np.triu),
    Case("einsum", summing(), R.einsum, einsum),
    Case("solve", solving(), np.linalg.solve),
    Case("solve", solving(vector=True), np.linalg.solve, note="vector"),
    Case("inv", inverting(), np.linalg.inv),
    Case("det", inverting(), np.linalg.det),
    Case("slogdet", inverting(), lambda A: tuple(np.linalg.slogdet(A))),
    Case("cholesky", inverting(), R.on_definite(np.linalg.cholesky), cholesky),
    Case("svd", singular(), R.svd, svd),
    Case("svd", singular(), lambda A: np.linalg.svd(A)[1], svd_values, "values"),
    Case("eigh", inverting(), R.eigh, eigh),
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
    Case(
        "softmax_cross_entropy",
        shaped("NC, NC", normal, probability, label_smoothing=0.1),
        R.cross_entropy_of_shares,
        note="shares",
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
    **dict.fromkeys(["isnan", "isinf", "isfinite"], "answers a question with booleans"),
    **dict.fromkeys(
        ["logical_not", "logical_and", "logical_or", "logical_xor"],
        "answers a question with booleans",
    ),
    "causal_mask": "gives booleans",
    "im2col_array": "takes and gives bare arrays",
    "col2im_array": "takes and gives bare arrays",
}
