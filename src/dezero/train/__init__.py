"""Training: the loop, what it says while it runs, and what it leaves behind."""

from dezero.train.callbacks import (
    Callback,
    CSVLog,
    Curves,
    EarlyStopping,
    KeepBest,
    TensorBoard,
)
from dezero.train.checkpoint import Checkpoint
from dezero.train.history import History, Row
from dezero.train.interrupt import uninterrupted
from dezero.train.loop import Scores, evaluate, fit
from dezero.train.metrics import (
    F1,
    Accuracy,
    ConfusionMatrix,
    Mean,
    MeanLoss,
    Metric,
    Perplexity,
    Precision,
    Recall,
    TopK,
)
from dezero.train.mistakes import plot_mistakes, worst_first
from dezero.train.progress import Progress, Standing

__all__ = [
    "F1",
    "Accuracy",
    "CSVLog",
    "Callback",
    "Checkpoint",
    "ConfusionMatrix",
    "Curves",
    "EarlyStopping",
    "History",
    "KeepBest",
    "Mean",
    "MeanLoss",
    "Metric",
    "Perplexity",
    "Precision",
    "Progress",
    "Recall",
    "Row",
    "Scores",
    "Standing",
    "TensorBoard",
    "TopK",
    "evaluate",
    "fit",
    "plot_mistakes",
    "uninterrupted",
    "worst_first",
]
