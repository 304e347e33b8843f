"""Optimizers: rules that move parameters along their gradients."""

from dezero.optimizers.adam import Adam, AdamW, NAdam, RAdam
from dezero.optimizers.adaptive import AdaDelta, AdaGrad, Lion, RMSprop
from dezero.optimizers.groups import Groups, split
from dezero.optimizers.hooks import ClipGrad, FreezeParam, WeightDecay
from dezero.optimizers.layerwise import LAMB, Muon
from dezero.optimizers.optimizer import ArrayOptimizer, ElementwiseOptimizer, Optimizer
from dezero.optimizers.sgd import SGD, MomentumSGD

__all__ = [
    "LAMB",
    "SGD",
    "AdaDelta",
    "AdaGrad",
    "Adam",
    "AdamW",
    "ArrayOptimizer",
    "ClipGrad",
    "ElementwiseOptimizer",
    "FreezeParam",
    "Groups",
    "Lion",
    "MomentumSGD",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "WeightDecay",
    "split",
]
