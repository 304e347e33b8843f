"""Training: the loop, what it says while it runs, and what it leaves behind."""

from dezero.train.checkpoint import Checkpoint
from dezero.train.history import History, Row
from dezero.train.loop import Scores, evaluate, fit, uninterrupted
from dezero.train.mistakes import plot_mistakes, worst_first
from dezero.train.progress import Progress, Standing

__all__ = [
    "Checkpoint",
    "History",
    "Progress",
    "Row",
    "Scores",
    "Standing",
    "evaluate",
    "fit",
    "plot_mistakes",
    "uninterrupted",
    "worst_first",
]
