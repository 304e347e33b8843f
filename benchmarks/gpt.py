"""A small GPT from DeZero's functions and layers, and the optimizer to train it.

Radford et al., "Language models are unsupervised multitask learners", 2019.
"""

import math
from typing import Any

import numpy as np

import dezero.functions as F
import dezero.layers as L
from benchmarks import weights
from benchmarks.book import training
from benchmarks.data import Program, tokens
from dezero import Model, Parameter, optimizers


class Attention(L.Layer):
    """Every token looks at those before it, and at itself.

    Vaswani et al., "Attention is all you need", 2017.
    """

    def __init__(self, width: int, heads: int, length: int) -> None:
        super().__init__()
        self.heads = heads
        self.length = length
        self.qkv = L.Linear(3 * width, in_size=width)
        self.project = L.Linear(width, in_size=width)
        self.future = np.triu(np.full((length, length), -np.inf, np.float32), 1)

    def forward(self, x: Any) -> Any:
        rows, C = x.shape  # (N * T, C)
        D = C // self.heads
        qkv = F.reshape(self.qkv(x), (-1, self.length, 3, self.heads, D))
        q, k, v = F.transpose(qkv, (2, 0, 3, 1, 4))  # (N, heads, T, D) each
        scores = F.matmul(q, F.transpose(k, (0, 1, 3, 2))) * (1 / math.sqrt(D))
        y = F.matmul(F.softmax(scores + self.future, axis=-1), v)
        return self.project(F.reshape(F.transpose(y, (0, 2, 1, 3)), (rows, C)))


class Block(L.Layer):
    """Attention, then an MLP; each adds to its input."""

    def __init__(self, width: int, heads: int, length: int) -> None:
        super().__init__()
        self.norm1 = L.LayerNorm(width)
        self.attention = Attention(width, heads, length)
        self.norm2 = L.LayerNorm(width)
        self.widen = L.Linear(4 * width, in_size=width)
        self.narrow = L.Linear(width, in_size=4 * width)

    def forward(self, x: Any) -> Any:
        x = x + self.attention(self.norm1(x))
        return x + self.narrow(F.gelu(self.widen(self.norm2(x)), "tanh"))


class GPT(Model):
    """Scores (N * T, vocabulary) of what comes after each token of ids (N, T)."""

    def __init__(
        self,
        vocabulary: int = 65,
        length: int = 64,
        width: int = 128,
        heads: int = 4,
        depth: int = 4,
    ) -> None:
        super().__init__()
        self.tokens = L.EmbedID(vocabulary, width)
        self.places = Parameter(np.zeros((length, width), np.float32))
        self.blocks = [Block(width, heads, length) for _ in range(depth)]
        self.norm = L.LayerNorm(width)
        self.head = L.Linear(vocabulary, nobias=True, in_size=width)

    def forward(self, ids: Any) -> Any:
        x = self.tokens(ids) + self.places
        x = F.reshape(x, (-1, x.shape[-1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class AdamW(optimizers.Adam):
    """Adam, and every parameter is drawn to zero: ``x -= alpha * decay * x``.

    Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.
    """

    def __init__(self, alpha: float = 0.001, decay: float = 0.1) -> None:
        super().__init__(alpha)
        self.decay = decay

    def step(self, y: Any, x: Any, gx: Any, *moments: Any) -> None:
        np.multiply(x, 1 - self.alpha * self.decay, out=y)
        super().step(y, y, gx, *moments)


def gpt() -> Program:
    return training(GPT(), weights.gpt(), AdamW(0.001, decay=0.1), tokens())
