"""Optimizers: rules that move parameters along their gradients."""

from dezero.optimizers.adam import Adam, AdamW, NAdam, RAdam
from dezero.optimizers.adaptive import AdaDelta, AdaGrad, Lion, RMSprop
from dezero.optimizers.average import EMA
from dezero.optimizers.groups import Groups, split
from dezero.optimizers.hooks import ClipGrad, ClipValue, FreezeParam, WeightDecay
from dezero.optimizers.layerwise import LAMB, Muon
from dezero.optimizers.optimizer import ArrayOptimizer, ElementwiseOptimizer, Optimizer
from dezero.optimizers.precision import LossScaler
from dezero.optimizers.schedule import Schedule
from dezero.optimizers.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    MultiStep,
    OneCycle,
    Plateau,
    Polynomial,
    StepDecay,
)
from dezero.optimizers.sgd import SGD, MomentumSGD

__all__ = [
    "EMA",
    "LAMB",
    "SGD",
    "AdaDelta",
    "AdaGrad",
    "Adam",
    "AdamW",
    "ArrayOptimizer",
    "ClipGrad",
    "ClipValue",
    "Constant",
    "Cosine",
    "CosineRestarts",
    "ElementwiseOptimizer",
    "Exponential",
    "FreezeParam",
    "Groups",
    "Lion",
    "LossScaler",
    "MomentumSGD",
    "MultiStep",
    "Muon",
    "NAdam",
    "OneCycle",
    "Optimizer",
    "Plateau",
    "Polynomial",
    "RAdam",
    "RMSprop",
    "Schedule",
    "StepDecay",
    "WeightDecay",
    "split",
]
