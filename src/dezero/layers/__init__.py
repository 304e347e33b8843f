"""Layers, which have parameters: ``import dezero.layers as L``."""

from dezero.layers.embedding import EmbedID
from dezero.layers.layer import Layer
from dezero.layers.linear import Linear

__all__ = ["EmbedID", "Layer", "Linear"]
