"""Weights from and for other frameworks: ``.safetensors`` files and their names."""

from dezero.backend.tensors import Tensors, load_tensors, save_tensors
from dezero.io.published import load_published

__all__ = ["Tensors", "load_published", "load_tensors", "save_tensors"]
