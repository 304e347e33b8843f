"""Attention as a layer, what it remembers while a text is written, and positions."""

from __future__ import annotations

from typing import Any, ClassVar

from dezero import functions as F
from dezero import init
from dezero.backend import Array, get_array_module
from dezero.config import Config
from dezero.core import Parameter, Variable, as_input
from dezero.layers.layer import Layer
from dezero.layers.linear import Linear


class KeyValueCache:
    """The keys and values of the tokens so far, so that each is computed once.

    A layer of attention that is given a cache appends to it what it computes, and looks
    at all that is there. It keeps arrays alone, no graph: it is for use under
    ``no_grad``. A cache belongs to one layer and one batch of sequences.

    Attributes:
        length: How many tokens it has seen.

    >>> import dezero.layers as L
    >>> attention, cache = L.MultiHeadAttention(8, heads=2), L.KeyValueCache()
    >>> x = np.random.randn(1, 5, 8)
    >>> with dezero.no_grad():
    ...     whole = attention(x, causal=True)
    ...     start = attention(x[:, :4], causal=True, cache=cache)
    ...     end = attention(x[:, 4:], causal=True, cache=cache)
    >>> np.allclose(end.data, whole.data[:, 4:]), cache.length
    (True, 5)
    """

    def __init__(self) -> None:
        self.length = 0
        self._arrays: list[Array] = []  # keys and values, with room for more

    def extend(self, k: Variable, v: Variable) -> tuple[Variable, Variable]:
        """Append keys and values (N, heads, T, D): all that there are now.

        Raises:
            ValueError: They are of another batch; or a graph is recorded, which could
                not lead back through the cache.
        """
        if Config.enable_backprop:
            raise ValueError(
                "KeyValueCache: expected to be used while no graph is recorded, as "
                "gradients do not lead through it; write with dezero.no_grad()"
            )
        new = k.data, v.data
        start, self.length = self.length, self.length + k.shape[2]
        for i, x in enumerate(new):
            if not start:
                self._arrays = [*self._arrays[:i], x]
                continue
            room = self._arrays[i]
            if room.shape[:2] != x.shape[:2]:
                self.length = start
                raise ValueError(
                    f"KeyValueCache: expected keys of {room.shape[0]} sequences and "
                    f"{room.shape[1]} heads, as it has seen, got {x.shape}; write "
                    "KeyValueCache() for a new batch"
                )
            if room.shape[2] < self.length:  # twice as much: to copy stays rare
                more = (*x.shape[:2], 2 * self.length, x.shape[3])
                room = get_array_module(x).empty(more, x.dtype)
                room[:, :, :start] = self._arrays[i][:, :, :start]
                self._arrays[i] = room
            room[:, :, start : self.length] = x
        return self.contents()

    def contents(self) -> tuple[Variable, Variable]:
        """All keys and values (N, heads, length, D) that there are."""
        k, v = (as_input(x[:, :, : self.length]) for x in self._arrays)
        return k, v


class MultiHeadAttention(Layer):
    """Attention of several heads, each of which looks for something else.

    ``project(concat(softmax(scale * q kᵀ) v for each head))``, where ``q, k, v`` come
    from ``x W + b``, with ``W`` (width, 3 width) for all heads of the three, side by
    side (Vaswani et al., "Attention is all you need", 2017). See
    ``F.scaled_dot_product_attention``.

    Args:
        width: Features that go in, and come out.
        heads: How many there are; each has ``width / heads`` features.
        rotary: Turn queries and keys by their positions, see ``F.rotary``.
        dropout_ratio: Of the weights, in training.
        nobias: Leave out the biases.

    Raises:
        ValueError: ``width`` is no multiple of ``heads``.

    >>> import dezero.layers as L
    >>> attention = L.MultiHeadAttention(8, heads=2)
    >>> x, memory = np.zeros((3, 5, 8)), np.zeros((3, 7, 8))
    >>> attention(x, causal=True).shape, attention(x, memory).shape
    ((3, 5, 8), (3, 5, 8))
    >>> list(attention.named_params())
    ['qkv/W', 'qkv/b', 'project/W', 'project/b']
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        rotary: bool = False,
        dropout_ratio: float = 0.0,
        nobias: bool = False,
    ) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(
                "MultiHeadAttention: expected a width that is a multiple of heads, got "
                f"width {width} and heads {heads}"
            )
        if not 0 <= dropout_ratio <= 1:
            raise ValueError(
                "MultiHeadAttention: expected dropout_ratio from 0 to 1, got "
                f"{dropout_ratio}"
            )
        self.width = width
        self.heads = heads
        self.rotary = rotary
        self.dropout_ratio = dropout_ratio
        self.qkv = Linear(3 * width, in_size=width, nobias=nobias)
        self.project = Linear(width, in_size=width, nobias=nobias)

    def forward(
        self,
        x: Any,
        memory: Any = None,
        mask: Any = None,
        causal: bool = False,
        cache: KeyValueCache | None = None,
    ) -> Variable:
        """Let every token of ``x`` look at those of ``x`` itself, or of ``memory``.

        Args:
            x: (N, T, width).
            memory: (N, S, width), or ``None`` for ``x``.
            mask: Booleans, true where a token may look, or numbers to add to the
                scores, that broadcast to (N, heads, T, S): (T, S), or
                (N, 1, 1, S) that tells padding from tokens.
            causal: Let no token look at later ones.
            cache: Of the tokens before these, at which they look, too; those of
                ``memory`` it keeps from the first call on.

        Returns:
            (N, T, width).

        Raises:
            ValueError: The shapes do not go together.
        """
        x = self._checked("x", x)
        if memory is None:
            q, k, v = self._split(self.qkv(x), 3)
            if self.rotary:
                start = cache.length if cache is not None else 0
                q, k = F.rotary(q, start), F.rotary(k, start)
            if cache is not None:
                k, v = cache.extend(k, v)
        else:
            q, k, v = self._from_memory(x, self._checked("memory", memory), cache)
        y = F.scaled_dot_product_attention(q, k, v, mask, causal, self.dropout_ratio)
        N, _, T, _ = y.shape
        return self.project(F.reshape(F.transpose(y, (0, 2, 1, 3)), (N, T, self.width)))

    def _from_memory(
        self, x: Variable, memory: Variable, cache: KeyValueCache | None
    ) -> tuple[Variable, ...]:
        if self.rotary:
            raise ValueError(
                "MultiHeadAttention: expected no memory, as its positions are not "
                "those of x, got one in a layer with rotary=True"
            )
        C, W, b = self.width, self.qkv.W, self.qkv.b
        (q,) = self._split(F.linear(x, W[:, :C], None if b is None else b[:C]), 1)
        if cache is not None and cache.length:
            k, v = cache.contents()
        else:
            both = F.linear(memory, W[:, C:], None if b is None else b[C:])
            k, v = self._split(both, 2)
            if cache is not None:
                cache.extend(k, v)
        return q, k, v

    def _split(self, x: Variable, parts: int) -> tuple[Variable, ...]:
        """(N, T, parts * width) as so many (N, heads, T, width / heads)."""
        N, T, _ = x.shape
        x = F.reshape(x, (N, T, parts, self.heads, self.width // self.heads))
        return tuple(F.transpose(x, (2, 0, 3, 1, 4)))

    def _checked(self, name: str, x: Any) -> Variable:
        x = as_input(x)
        if x.ndim != 3 or x.shape[2] != self.width:
            raise ValueError(
                f"MultiHeadAttention: expected {name} of shape (N, T, {self.width}), "
                f"got {x.shape}"
            )
        return x


class PositionEmbedding(Layer):
    """Add to every token a trained vector for its place in the sequence.

    ``W`` (length, width) is drawn from a normal distribution of deviation 0.02.

    Args:
        length: The longest sequence.
        width: Features of a token.

    >>> import dezero.layers as L
    >>> places = L.PositionEmbedding(10, 4)
    >>> x = np.zeros((2, 3, 4), np.float32)
    >>> np.array_equal(places(x, start=5).data[0], places.W.data[5:8])
    True
    """

    published: ClassVar = {"W": "weight"}

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.W = Parameter(init.normal((length, width), std=0.02), name="W")

    def forward(self, x: Any, start: int = 0) -> Variable:
        """Map ``x`` (N, T, width), whose first token stands at ``start``.

        Raises:
            ValueError: There are more tokens than places.
        """
        x = as_input(x)
        length, width = self.W.shape
        if x.ndim != 3 or x.shape[2] != width:
            raise ValueError(
                f"PositionEmbedding: expected x of shape (N, T, {width}), got {x.shape}"
            )
        end = start + x.shape[1]
        if end > length:
            raise ValueError(
                f"PositionEmbedding: expected at most {length} tokens, got {end}"
            )
        return x + (self.W if end - start == length else self.W[start:end])
