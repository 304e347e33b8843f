"""The layers of transformers: attention, then a network for each token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dezero import functions as F
from dezero.core import Variable
from dezero.layers.attention import KeyValueCache, MultiHeadAttention
from dezero.layers.layer import Layer
from dezero.layers.linear import Linear
from dezero.layers.normalization import LayerNorm

Activation = Callable[[Any], Any]


class TransformerEncoderLayer(Layer):
    """Self-attention, then two Linear layers for each token; each adds to its input.

    ``x = x + attention(norm1(x))``, ``x = x + narrow(activation(widen(norm2(x))))``.
    With ``pre_norm=False`` it is ``x = norm1(x + attention(x))`` and so on, as the
    paper has it (Vaswani et al., "Attention is all you need", 2017); the newer order
    trains more easily (Xiong et al., "On layer normalization in the transformer
    architecture", 2020).

    Args:
        width: Features of a token.
        heads: Of the attention.
        hidden: Features between the two Linear layers, by default ``4 * width``.
        pre_norm: Whether to normalize what goes into the parts, or the sums.
        activation: A function of a Variable.
        dropout_ratio: Of the attention's weights, and of what is added.
        rotary: See ``MultiHeadAttention``.
        eps: See ``LayerNorm``.

    >>> import dezero.layers as L
    >>> layer = L.TransformerEncoderLayer(8, heads=2)
    >>> layer(np.zeros((3, 5, 8)), causal=True).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        width: int,
        heads: int,
        hidden: int | None = None,
        *,
        pre_norm: bool = True,
        activation: Activation = F.gelu,
        dropout_ratio: float = 0.0,
        rotary: bool = False,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        hidden = 4 * width if hidden is None else hidden
        self.pre_norm = pre_norm
        self.activation = activation
        self.dropout_ratio = dropout_ratio
        self.norm1 = LayerNorm(width, eps)
        self.attention = MultiHeadAttention(
            width, heads, rotary=rotary, dropout_ratio=dropout_ratio
        )
        self.norm2 = LayerNorm(width, eps)
        self.widen = Linear(hidden, in_size=width)
        self.narrow = Linear(width, in_size=hidden)

    def forward(
        self,
        x: Any,
        mask: Any = None,
        causal: bool = False,
        cache: KeyValueCache | None = None,
    ) -> Variable:
        """Map ``x`` (N, T, width) to the same shape; see ``MultiHeadAttention``."""

        def attend(x: Any) -> Variable:
            return self.attention(x, mask=mask, causal=causal, cache=cache)

        x = self._add(x, self.norm1, attend)
        return self._add(x, self.norm2, self._think)

    def _think(self, x: Any) -> Variable:
        """What is done with each token for itself."""
        return self.narrow(self.activation(self.widen(x)))

    def _add(self, x: Any, norm: LayerNorm, part: Callable[[Any], Variable]) -> Any:
        """``x`` and what a part makes of it."""
        y = part(norm(x) if self.pre_norm else x)
        if self.dropout_ratio:
            y = F.dropout(y, self.dropout_ratio)
        return x + y if self.pre_norm else norm(x + y)


class TransformerDecoderLayer(TransformerEncoderLayer):
    """The same with attention to a memory in between: what an encoder made.

    Its tokens look at themselves and at those before them; then ``cross`` at all of the
    memory, after ``norm_cross``. The arguments are those of
    ``TransformerEncoderLayer``; ``rotary`` is about the first attention alone.

    >>> import dezero.layers as L
    >>> layer = L.TransformerDecoderLayer(8, heads=2)
    >>> layer(np.zeros((3, 5, 8)), np.zeros((3, 7, 8))).shape
    (3, 5, 8)
    """

    def __init__(
        self, width: int, heads: int, hidden: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(width, heads, hidden, **kwargs)
        self.norm_cross = LayerNorm(width, self.norm1.eps)
        self.cross = MultiHeadAttention(width, heads, dropout_ratio=self.dropout_ratio)

    def forward(  # type: ignore[override]
        self,
        x: Any,
        memory: Any,
        mask: Any = None,
        memory_mask: Any = None,
        caches: tuple[KeyValueCache, KeyValueCache] | None = None,
    ) -> Variable:
        """Map ``x`` (N, T, width) to the same shape.

        Args:
            x: The tokens so far.
            memory: (N, S, width).
            mask: For attention to ``x``, besides that no token sees later ones.
            memory_mask: For attention to ``memory``, which broadcasts to
                (N, heads, T, S).
            caches: Of the tokens before these, and of the memory.
        """
        own, of_memory = (None, None) if caches is None else caches

        def attend(x: Any) -> Variable:
            return self.attention(x, mask=mask, causal=True, cache=own)

        def look(x: Any) -> Variable:
            return self.cross(x, memory, mask=memory_mask, cache=of_memory)

        x = self._add(x, self.norm1, attend)
        x = self._add(x, self.norm_cross, look)
        return self._add(x, self.norm2, self._think)
