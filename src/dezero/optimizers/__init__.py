"""Optimizers: rules that move parameters along their gradients."""

from dezero.optimizers.adaptive import AdaDelta, AdaGrad, Adam
from dezero.optimizers.hooks import ClipGrad, FreezeParam, WeightDecay
from dezero.optimizers.optimizer import ElementwiseOptimizer, Optimizer
from dezero.optimizers.sgd import SGD, MomentumSGD

__all__ = [
    "SGD",
    "AdaDelta",
    "AdaGrad",
    "Adam",
    "ClipGrad",
    "ElementwiseOptimizer",
    "FreezeParam",
    "MomentumSGD",
    "Optimizer",
    "WeightDecay",
]
