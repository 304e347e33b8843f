"""BERT: a transformer that reads a text as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np

from dezero import functions as F
from dezero import layers as L
from dezero.core import Variable, as_input
from dezero.models.model import Model
from dezero.models.parts import begin_small
from dezero.models.published import (
    Arrays,
    Target,
    assign,
    of_linear,
    of_norm,
    shape_of,
    without,
)


class BERT(Model):
    """A BERT-style encoder: for each token a vector of what it means in its text.

    Tokens, places and kinds as vectors, which are added and normalized, then layers in
    which each token looks at all others, normalized after each sum.

    Devlin et al., "BERT: Pre-training of deep bidirectional transformers for language
    understanding", NAACL 2019. MiniLM is one, too, and so are many models that turn
    sentences into vectors.

    Args:
        vocabulary: How many tokens there are.
        length: The longest sequence.
        width: Features of a token.
        heads: Of each layer's attention.
        depth: Layers.
        hidden: Features inside of a layer's network, by default ``4 * width``.
        kinds: How many kinds of tokens there are: of the first sentence or the second.
        dropout_ratio: Of the vectors, of the attention's weights, and of what each
            part of a layer adds.
        pooler: Have the layer behind ``pool``.

    >>> model = dezero.models.BERT(100, length=16, width=8, heads=2, depth=2)
    >>> ids = np.array([[5, 6, 7, 0], [8, 9, 0, 0]])
    >>> tokens = model(ids, mask=ids != 0)
    >>> tokens.shape, model.pool(tokens).shape
    ((2, 4, 8), (2, 8))
    >>> mean_pooling(tokens, mask=ids != 0).shape
    (2, 8)
    """

    def __init__(
        self,
        vocabulary: int,
        length: int,
        width: int,
        heads: int,
        depth: int,
        hidden: int | None = None,
        kinds: int = 2,
        dropout_ratio: float = 0.0,
        pooler: bool = True,
    ) -> None:
        super().__init__()
        self.dropout_ratio = dropout_ratio
        self.tokens = L.Embedding(vocabulary, width)
        self.positions = L.PositionEmbedding(length, width)
        self.kinds = L.Embedding(kinds, width)
        self.norm = L.LayerNorm(width, eps=1e-12)
        self.blocks = [
            L.TransformerEncoderLayer(
                *(width, heads, hidden),
                pre_norm=False,
                dropout_ratio=dropout_ratio,
                eps=1e-12,
            )
            for _ in range(depth)
        ]
        self.pooler = L.Linear(width, in_size=width) if pooler else None
        begin_small(self)

    def forward(self, ids: Any, mask: Any = None, kinds: Any = None) -> Variable:
        """Map integers (N, T) to vectors (N, T, width).

        Args:
            ids: The tokens.
            mask: (N, T), true or not 0 for tokens, 0 for padding, at which none looks.
            kinds: (N, T), the kind of each token, by default 0.

        Raises:
            ValueError: The shapes do not go together.
        """
        ids = as_input(ids)
        if ids.ndim != 2:
            raise ValueError(f"BERT: expected ids of shape (N, T), got {ids.shape}")
        kinds = np.zeros_like(ids.data) if kinds is None else as_input(kinds)
        for name, x in (("mask", mask), ("kinds", kinds)):
            if x is not None and np.shape(x) != ids.shape:
                raise ValueError(
                    f"BERT: expected {name} of shape {ids.shape}, as ids have, got "
                    f"{np.shape(x)}"
                )
        x = self.norm(self.positions(self.tokens(ids)) + self.kinds(kinds))
        if self.dropout_ratio:
            x = F.dropout(x, self.dropout_ratio)
        if mask is not None:
            mask = (as_input(mask).data != 0)[:, None, None, :]
        for block in self.blocks:
            x = block(x, mask=mask)
        return x

    def pool(self, tokens: Any) -> Variable:
        """A vector for each text, from that of its first token: (N, T, width) to (N,
        width).

        Raises:
            ValueError: The model has no pooler.
        """
        if self.pooler is None:
            raise ValueError(
                "pool: expected a BERT with a pooler, got one with pooler=False; write "
                "mean_pooling(tokens, mask)"
            )
        return F.tanh(self.pooler(as_input(tokens)[:, 0]))

    # -- published weights ---------------------------------------------------------

    def load_published(self, arrays: Arrays) -> None:
        """Take over weights that are named as those of BERT: all of them, or none.

        Args:
            arrays: By names such as ``encoder.layer.0.attention.self.query.weight``,
                with or without ``bert.`` in front, as ``dezero.io`` reads them from a
                file; of normalization, ``LayerNorm.weight`` and ``bias`` or, in older
                files, ``gamma`` and ``beta``. What is for training, ``cls.…``, is left
                out.

        Raises:
            DataError: An array is missing, unknown or of another shape; the message
                lists them all.
        """
        targets = {
            "embeddings.word_embeddings.weight": Target(self.tokens.W),
            "embeddings.position_embeddings.weight": Target(self.positions.W),
            "embeddings.token_type_embeddings.weight": Target(self.kinds.W),
            **of_norm("embeddings.LayerNorm", self.norm),
        }
        for i, block in enumerate(self.blocks):
            name = f"encoder.layer.{i}"
            qkv, width = block.attention.qkv, block.attention.width
            assert qkv.b is not None
            for part, one in enumerate(("query", "key", "value")):
                columns = slice(part * width, (part + 1) * width)
                theirs = f"{name}.attention.self.{one}"
                targets[f"{theirs}.weight"] = Target(qkv.W, True, columns)
                targets[f"{theirs}.bias"] = Target(qkv.b, columns=columns)
            project = block.attention.project
            targets |= of_linear(f"{name}.attention.output.dense", project)
            targets |= of_norm(f"{name}.attention.output.LayerNorm", block.norm1)
            targets |= of_linear(f"{name}.intermediate.dense", block.widen)
            targets |= of_linear(f"{name}.output.dense", block.narrow)
            targets |= of_norm(f"{name}.output.LayerNorm", block.norm2)
        if self.pooler is not None:
            targets |= of_linear("pooler.dense", self.pooler)
        ignored = [r"embeddings\.position_ids", r"cls\..*"]
        assign(self, _renamed(arrays), targets, ignored)

    @classmethod
    def from_published(cls, arrays: Arrays, heads: int) -> BERT:
        """A BERT of the size that the arrays have, with their weights.

        Args:
            arrays: See ``load_published``.
            heads: The shapes do not tell: 12 in the base models and in MiniLM, 16 in
                the large.

        Raises:
            DataError: They are not the weights of a BERT.
        """
        named = _renamed(arrays)

        def shape(name: str) -> tuple[int, ...]:
            return shape_of("from_published", named, name, 2)

        vocabulary, width = shape("embeddings.word_embeddings.weight")
        length, _ = shape("embeddings.position_embeddings.weight")
        kinds, _ = shape("embeddings.token_type_embeddings.weight")
        hidden, _ = shape("encoder.layer.0.intermediate.dense.weight")
        depth = sum(
            f"encoder.layer.{i}.output.dense.weight" in named for i in range(len(named))
        )
        pooler = "pooler.dense.weight" in named
        model = cls(
            vocabulary, length, width, heads, depth, hidden, kinds, pooler=pooler
        )
        model.load_published(named)
        return model


def _renamed(arrays: Arrays) -> dict[str, Any]:
    """The arrays as the newer files name them."""
    return {
        name.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
            "LayerNorm.beta", "LayerNorm.bias"
        ): array
        for name, array in without("bert.", arrays).items()
    }


def mean_pooling(tokens: Any, mask: Any = None) -> Variable:
    """The mean of the vectors of a text's tokens, without padding.

    Args:
        tokens: (N, T, width).
        mask: (N, T), true or not 0 for tokens, 0 for padding.

    Returns:
        (N, width); 0 for a text without tokens.

    Raises:
        ValueError: The mask does not fit the tokens.

    >>> mean_pooling(np.array([[[1.0], [3.0], [9.0]]]), mask=[[1, 1, 0]])
    variable([[2.]])
    """
    tokens = as_input(tokens)
    if mask is None:
        return F.average(tokens, axis=1)
    if np.shape(mask) != tokens.shape[:2]:
        raise ValueError(
            f"mean_pooling: expected a mask of shape {tokens.shape[:2]} to match "
            f"tokens {tokens.shape}, got {np.shape(mask)}"
        )
    weights = (as_input(mask).data != 0).astype(tokens.dtype)
    weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1)
    return F.sum(tokens * weights[:, :, None], axis=1)
