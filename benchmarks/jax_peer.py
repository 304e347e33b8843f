"""The works as one writes them in JAX: pure functions, jit, a state that is donated."""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks import weights
from benchmarks.data import Program, batch, points, sequences, tokens

# -- training --------------------------------------------------------------------------


class Rule(NamedTuple):
    """An optimizer's: the number of moments, and x and moments after update t."""

    moments: int
    step: Callable[..., tuple[Any, ...]]


def sgd(lr: float) -> Rule:
    return Rule(0, lambda t, x, gx: (x - lr * gx,))


def momentum_sgd(lr: float) -> Rule:
    def step(t: Any, x: Any, gx: Any, v: Any) -> tuple[Any, ...]:
        v = 0.9 * v - lr * gx
        return x + v, v

    return Rule(1, step)


def adam(alpha: float, decay: float = 0.0) -> Rule:
    def step(t: Any, x: Any, gx: Any, m: Any, v: Any) -> tuple[Any, ...]:
        m = 0.9 * m + (1 - 0.9) * gx
        v = 0.999 * v + (1 - 0.999) * gx * gx
        lr = alpha * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        return x * (1 - alpha * decay) - lr * m / (jnp.sqrt(v) + 1e-8), m, v

    return Rule(2, step)


def _training(
    loss_of: Callable[..., Any], tree: Any, rule: Rule, data: Iterable[Any]
) -> Program:
    params = jax.tree.map(jnp.array, tree)
    moments = [[jnp.zeros_like(x)] * rule.moments for x in jax.tree.leaves(params)]
    state = jax.tree.map(jnp.copy, (jnp.float32(0), params, moments))

    @partial(jax.jit, donate_argnums=0)
    def update(state: Any, *data: Any) -> Any:
        t, params, moments = state
        t += 1
        loss, grads = jax.value_and_grad(loss_of)(params, *data)
        xs, structure = jax.tree.flatten(params)
        gxs = jax.tree.leaves(grads)
        stepped = [
            rule.step(t, x, gx, *m) for x, gx, m in zip(xs, gxs, moments, strict=True)
        ]
        params = jax.tree.unflatten(structure, [x for x, *_ in stepped])
        return (t, params, [m for _, *m in stepped]), loss

    def step(*data: Any) -> Any:
        nonlocal state
        state, loss = jax.block_until_ready(update(state, *data))
        return loss

    return Program(step, tuple(map(jnp.asarray, data)))


def cross_entropy(y: Any, t: Any) -> Any:
    scores = jnp.take_along_axis(y, t[..., None], axis=-1)[..., 0]
    return jnp.mean(jax.nn.logsumexp(y, axis=-1) - scores)


# -- perceptrons -----------------------------------------------------------------------


def linear(layer: Any, x: Any) -> Any:
    return x @ layer["W"] + layer["b"]


def mlp(activation: Callable[[Any], Any], layers: Any, x: Any) -> Any:
    *hidden, last = layers
    for layer in hidden:
        x = activation(linear(layer, x))
    return linear(last, x)


def mlp_sgd() -> Program:
    def loss_of(layers: Any, x: Any, t: Any) -> Any:
        return cross_entropy(mlp(jax.nn.sigmoid, layers, x), t)

    tree = weights.mlp(784, 1000, 10)
    return _training(loss_of, tree, sgd(0.01), batch(100, 784))


def mlp_adam() -> Program:
    def loss_of(layers: Any, x: Any, t: Any) -> Any:
        return cross_entropy(mlp(jax.nn.relu, layers, x), t)

    tree = weights.mlp(784, 512, 512, 10)
    return _training(loss_of, tree, adam(0.001), batch(128, 784))


def penalty() -> Program:
    def loss_of(layers: Any, x: Any) -> Any:
        y, vjp = jax.vjp(partial(mlp, jnp.tanh, layers), x)
        (gx,) = vjp(jnp.ones_like(y))
        norm = jnp.sqrt(jnp.sum(gx * gx, axis=1))
        return jnp.mean(y) + 10 * jnp.mean((norm - 1) ** 2)

    tree = weights.mlp(64, 256, 256, 1)
    return _training(loss_of, tree, adam(0.001), points())


# -- sequences -------------------------------------------------------------------------


def lstm() -> Program:
    """All products with the inputs at once, then a scan over the time steps."""
    tree = weights.lstm()
    tree = {
        "W": np.concatenate([gate["W"] for gate in tree["x2"]], axis=1),
        "b": np.concatenate([gate["b"] for gate in tree["x2"]]),
        "U": np.concatenate([gate["W"] for gate in tree["h2"]], axis=1),
        "fc": tree["fc"],
    }

    def loss_of(params: Any, xs: Any, ts: Any) -> Any:
        def cell(state: Any, ax: Any) -> Any:
            h, c = state
            f, i, o, u = jnp.split(ax + h @ params["U"], 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(u)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zeros = jnp.zeros((xs.shape[1], 100), jnp.float32)
        _, hs = lax.scan(cell, (zeros, zeros), xs @ params["W"] + params["b"])
        return jnp.sum((linear(params["fc"], hs) - ts) ** 2) / xs.shape[1]

    return _training(loss_of, tree, adam(0.001), sequences())


def layer_norm(layer: Any, x: Any) -> Any:
    xc = x - jnp.mean(x, axis=-1, keepdims=True)
    var = jnp.mean(xc * xc, axis=-1, keepdims=True)
    return xc * lax.rsqrt(var + 1e-5) * layer["gamma"] + layer["beta"]


def attention(block: Any, x: Any, T: int) -> Any:
    rows, C = x.shape  # (N * T, C)
    qkv = linear(block["qkv"], x).reshape(-1, T, 3, 4, C // 4)
    q, k, v = (qkv[:, :, i] for i in range(3))  # (N, T, heads, C / heads) each
    scores = jnp.einsum("nthd,nshd->nhts", q, k) / math.sqrt(C // 4)
    past = jnp.tril(jnp.ones((T, T), bool))
    probabilities = jax.nn.softmax(jnp.where(past, scores, -jnp.inf))
    y = jnp.einsum("nhts,nshd->nthd", probabilities, v)
    return linear(block["project"], y.reshape(rows, C))


def gpt() -> Program:
    """The tokens of all texts are rows: a fifth faster than another axis."""

    def loss_of(params: Any, ids: Any, t: Any) -> Any:
        T = ids.shape[1]
        x = (params["tokens"][ids] + params["places"]).reshape(ids.size, -1)
        for block in params["blocks"]:
            x = x + attention(block, layer_norm(block["norm1"], x), T)
            h = linear(block["widen"], layer_norm(block["norm2"], x))
            x = x + linear(block["narrow"], jax.nn.gelu(h, approximate=True))
        return cross_entropy(layer_norm(params["norm"], x) @ params["head"]["W"], t)

    return _training(loss_of, weights.gpt(), adam(0.001, decay=0.1), tokens())


# -- images, channels last ------------------------------------------------------------


def conv(layer: Any, x: Any, stride: int = 1) -> Any:
    """The weights stay (out, in, KH, KW), as those of all peers."""
    pad = layer["W"].shape[-1] // 2
    y = lax.conv_general_dilated(
        x,
        layer["W"],
        (stride, stride),
        [(pad, pad)] * 2,
        dimension_numbers=("NHWC", "OIHW", "NHWC"),
    )
    return y + layer["b"] if "b" in layer else y


def halve(x: Any) -> Any:
    """The largest of every 2×2 pixels."""
    window = (1, 2, 2, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")


def _images(*shape: int) -> tuple[Any, Any]:
    x, t = batch(*shape)
    return x.transpose(0, 2, 3, 1), t


def cnn() -> Program:
    def loss_of(params: Any, x: Any, t: Any) -> Any:
        for layers in (params["conv"][:2], params["conv"][2:]):
            for layer in layers:
                x = jax.nn.relu(conv(layer, x))
            x = halve(x)
        x = x.transpose(0, 3, 1, 2).reshape(len(x), -1)  # the order of all peers
        return cross_entropy(mlp(jax.nn.relu, params["fc"], x), t)

    return _training(loss_of, weights.cnn(), momentum_sgd(0.01), _images(64, 3, 32, 32))


def conv_norm(layer: Any, x: Any, stride: int = 1) -> Any:
    """Without the running averages, which training does not need."""
    x = conv(layer["conv"], x, stride)
    xc = x - jnp.mean(x, axis=(0, 1, 2))
    var = jnp.mean(xc * xc, axis=(0, 1, 2))
    norm = layer["norm"]
    return xc * (norm["gamma"] * lax.rsqrt(var + 2e-5)) + norm["beta"]


def residual(block: Any, x: Any) -> Any:
    halves = "shortcut" in block
    stride = 2 if halves else 1
    h = jax.nn.relu(conv_norm(block["first"], x, stride))
    shortcut = conv_norm(block["shortcut"], x, stride) if halves else x
    return jax.nn.relu(conv_norm(block["second"], h) + shortcut)


def resnet() -> Program:
    def loss_of(params: Any, x: Any, t: Any) -> Any:
        x = jax.nn.relu(conv_norm(params["stem"], x))
        for block in params["blocks"]:
            x = residual(block, x)
        return cross_entropy(linear(params["fc"], jnp.mean(x, axis=(1, 2))), t)

    tree = weights.resnet()
    return _training(loss_of, tree, momentum_sgd(0.01), _images(32, 3, 32, 32))
