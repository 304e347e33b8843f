"""Layers, which have parameters: ``import dezero.layers as L``."""

from dezero.layers.activation import (
    Dropout,
    PReLU,
)
from dezero.layers.attention import (
    KeyValueCache,
    MultiHeadAttention,
    PositionEmbedding,
)
from dezero.layers.containers import (
    Flatten,
    Lambda,
    ModuleDict,
    ModuleList,
)
from dezero.layers.convolution import (
    Conv1d,
    Conv2d,
    Deconv2d,
)
from dezero.layers.embedding import (
    Embedding,
    EmbedID,
)
from dezero.layers.gated import (
    GRU,
    LSTM,
)
from dezero.layers.layer import (
    Layer,
)
from dezero.layers.linear import (
    Linear,
)
from dezero.layers.normalization import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    RMSNorm,
)
from dezero.layers.recurrent import (
    RNN,
)
from dezero.layers.transformer import (
    TransformerDecoderLayer,
    TransformerEncoderLayer,
)

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "BatchNorm",
    "Conv1d",
    "Conv2d",
    "Deconv2d",
    "Dropout",
    "EmbedID",
    "Embedding",
    "Flatten",
    "GroupNorm",
    "InstanceNorm",
    "KeyValueCache",
    "Lambda",
    "Layer",
    "LayerNorm",
    "Linear",
    "ModuleDict",
    "ModuleList",
    "MultiHeadAttention",
    "PReLU",
    "PositionEmbedding",
    "RMSNorm",
    "TransformerDecoderLayer",
    "TransformerEncoderLayer",
]
