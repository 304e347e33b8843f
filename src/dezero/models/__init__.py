"""Models: whole networks, and the Layer they are built from."""

from dezero.models.model import MLP, Model, Sequential

__all__ = ["MLP", "Model", "Sequential"]
