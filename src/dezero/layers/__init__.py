"""Layers, which have parameters: ``import dezero.layers as L``."""

from dezero.layers.convolution import Conv2d, Deconv2d
from dezero.layers.embedding import EmbedID
from dezero.layers.gated import GRU, LSTM
from dezero.layers.layer import Layer
from dezero.layers.linear import Linear
from dezero.layers.normalization import BatchNorm
from dezero.layers.recurrent import RNN

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "BatchNorm",
    "Conv2d",
    "Deconv2d",
    "EmbedID",
    "Layer",
    "Linear",
]
