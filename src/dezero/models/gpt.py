"""GPT: a transformer that tells what comes next."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero import functions as F
from dezero import layers as L
from dezero.backend import as_numpy
from dezero.config import no_grad, test_mode
from dezero.core import Variable, as_input
from dezero.errors import DataError
from dezero.models.model import Model
from dezero.models.parts import begin_small, gelu_tanh
from dezero.models.published import (
    Arrays,
    Target,
    assign,
    of_linear,
    of_norm,
    shape_of,
    without,
)
from dezero.random import generator


class GPT(Model):
    """GPT-2, of any size: scores of what may come after each token.

    Tokens and their places as vectors, ``depth`` layers in which each token looks at
    those before it, and the product with the vectors of all tokens.

    Radford et al., "Language models are unsupervised multitask learners", 2019.

    Args:
        vocabulary: How many tokens there are to choose from.
        length: The longest sequence.
        width: Features of a token.
        heads: Of each layer's attention.
        depth: Layers.
        dropout_ratio: Of the vectors, of the attention's weights, and of what each
            part of a layer adds.
        tie: Let the vectors that tokens begin with be those that their scores are
            products with; else the latter are a ``head`` of their own.

    >>> model = dezero.models.GPT(65, length=16, width=8, heads=2, depth=2)
    >>> ids = np.zeros((3, 16), np.int64)
    >>> scores = model(ids)
    >>> scores.shape
    (3, 16, 65)
    >>> loss = F.softmax_cross_entropy(F.reshape(scores, (-1, 65)), ids.reshape(-1))
    >>> model.generate(ids[:1, :4], 8).shape
    (1, 12)
    """

    def __init__(
        self,
        vocabulary: int,
        length: int,
        width: int,
        heads: int,
        depth: int,
        dropout_ratio: float = 0.0,
        tie: bool = True,
    ) -> None:
        super().__init__()
        self.length = length
        self.dropout_ratio = dropout_ratio
        self.tokens = L.Embedding(vocabulary, width)
        self.positions = L.PositionEmbedding(length, width)
        self.blocks = [
            L.TransformerEncoderLayer(
                width, heads, activation=gelu_tanh, dropout_ratio=dropout_ratio
            )
            for _ in range(depth)
        ]
        self.norm = L.LayerNorm(width)
        self.head = None if tie else L.Linear(vocabulary, nobias=True, in_size=width)
        begin_small(self)

    def forward(
        self, ids: Any, caches: list[L.KeyValueCache] | None = None
    ) -> Variable:
        """Map integers (N, T) to scores (N, T, vocabulary).

        Args:
            ids: The tokens.
            caches: One for each layer, of the tokens before these.

        Raises:
            ValueError: ``ids`` have other axes, or there are more than ``length``.
        """
        return self._scores(self._features(ids, caches))

    def _features(self, ids: Any, caches: list[L.KeyValueCache] | None) -> Variable:
        """What the layers make of each token: (N, T, width)."""
        ids = as_input(ids)
        if ids.ndim != 2:
            raise ValueError(f"GPT: expected ids of shape (N, T), got {ids.shape}")
        start = caches[0].length if caches else 0
        x = self.positions(self.tokens(ids), start)
        if self.dropout_ratio:
            x = F.dropout(x, self.dropout_ratio)
        for i, block in enumerate(self.blocks):
            x = block(x, causal=True, cache=caches[i] if caches else None)
        return self.norm(x)

    def _scores(self, x: Variable) -> Variable:
        if self.head is not None:
            return self.head(x)
        return F.linear(x, F.transpose(self.tokens.W))

    def generate(
        self,
        ids: Any,
        count: int,
        temperature: float = 1.0,
        top_k: int | None = None,
    ) -> np.ndarray[Any, Any]:
        """Go on writing: ``ids`` and ``count`` more tokens, each drawn by its scores.

        Each token is computed once, with the keys and values of those before it at
        hand. When there are ``length`` of them, the older half is forgotten.

        Args:
            ids: Integers (N, T), the beginning of N texts.
            count: How many tokens to add.
            temperature: What the scores are divided by: the smaller, the safer; 0
                takes the best.
            top_k: Draw from so many of the best alone.

        Returns:
            Integers (N, T + count).

        Raises:
            ValueError: An argument is out of range, or there is nothing to begin with.
        """
        text = as_numpy(as_input(ids))
        if text.ndim != 2 or not text.shape[1]:
            raise ValueError(
                "generate: expected ids of shape (N, T) with at least one token, got "
                f"{text.shape}"
            )
        for name, value, least in (
            ("count", count, 0),
            ("temperature", temperature, 0),
            ("top_k", 1 if top_k is None else top_k, 1),
        ):
            if not value >= least:
                raise ValueError(
                    f"generate: expected {name} of {least} or more, got {value}"
                )
        new = text[:, -self.length :]
        caches: list[L.KeyValueCache] = []
        with no_grad(), test_mode():
            for _ in range(count):
                if not caches or caches[0].length + new.shape[1] > self.length:
                    caches = [L.KeyValueCache() for _ in self.blocks]
                    if text.shape[1] > self.length:
                        new = text[:, -max(self.length // 2, 1) :]
                last = self._features(new, caches)[:, -1]
                scores = as_numpy(self._scores(last))
                new = _drawn(scores, temperature, top_k)[:, None].astype(text.dtype)
                text = np.concatenate([text, new], axis=1)
        return text

    # -- published weights ---------------------------------------------------------

    def load_published(self, arrays: Arrays) -> None:
        """Take over weights that are named as those of GPT-2: all of them, or none.

        Args:
            arrays: By names such as ``h.0.attn.c_attn.weight``, with or without
                ``transformer.`` in front, as ``dezero.io`` reads them from a file.

        Raises:
            DataError: An array is missing, unknown or of another shape; the message
                lists them all.
        """
        arrays = without("transformer.", arrays)
        targets = {
            "wte.weight": Target(self.tokens.W),
            "wpe.weight": Target(self.positions.W),
            **of_norm("ln_f", self.norm),
        }
        for i, block in enumerate(self.blocks):
            targets |= of_norm(f"h.{i}.ln_1", block.norm1)
            targets |= of_norm(f"h.{i}.ln_2", block.norm2)
            for name, layer in (
                ("attn.c_attn", block.attention.qkv),
                ("attn.c_proj", block.attention.project),
                ("mlp.c_fc", block.widen),
                ("mlp.c_proj", block.narrow),
            ):
                targets |= of_linear(f"h.{i}.{name}", layer, transposed=False)
        if self.head is not None:
            targets |= of_linear("lm_head", self.head)
        elif "lm_head.weight" in arrays:
            head, tokens = arrays["lm_head.weight"], arrays.get("wte.weight")
            if tokens is not None and not np.array_equal(head, tokens):
                raise DataError(
                    "load_published: expected lm_head.weight to have the numbers of "
                    "wte.weight, with which it is tied, got others; write GPT(..., "
                    "tie=False)"
                )
        ignored = [r"h\.\d+\.attn\.(masked_)?bias"]  # which say what is in the future
        assign(self, arrays, targets, [*ignored, "lm_head.weight"])

    @classmethod
    def from_published(cls, arrays: Arrays, heads: int | None = None) -> GPT:
        """A GPT of the size that the arrays have, with their weights.

        Args:
            arrays: See ``load_published``.
            heads: The shapes do not tell; by default one for each 64 features, as all
                of GPT-2 have it.

        Raises:
            DataError: They are not the weights of a GPT-2.
        """
        named = without("transformer.", arrays)
        vocabulary, width = shape_of("from_published", named, "wte.weight", 2)
        length, _ = shape_of("from_published", named, "wpe.weight", 2)
        depth = sum(f"h.{i}.ln_1.weight" in named for i in range(len(named)))
        heads = max(width // 64, 1) if heads is None else heads
        head = named.get("lm_head.weight")
        tie = head is None or np.array_equal(head, named["wte.weight"])
        model = cls(vocabulary, length, width, heads, depth, tie=tie)
        model.load_published(named)
        return model


def _drawn(
    scores: np.ndarray[Any, Any], temperature: float, top_k: int | None
) -> np.ndarray[Any, Any]:
    """One token for each row of scores (N, vocabulary)."""
    if temperature == 0:
        return scores.argmax(axis=1)
    scores = scores.astype(np.float64) / temperature
    if top_k is not None and top_k < scores.shape[1]:
        least = np.partition(scores, -top_k, axis=1)[:, -top_k, None]
        scores = np.where(scores < least, -np.inf, scores)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True)).cumsum(axis=1)
    draws = generator().rand(len(scores), 1) * weights[:, -1:]
    return (weights <= draws).sum(axis=1)
