"""What ``fit`` can do beside training: stop early, keep the best model, write logs.

A callback has any of the methods of ``Callback``. What it remembers it gives as
``state_dict()``, so that a training which was cut off goes on with it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.backend.files import PathLike, write_atomically
from dezero.errors import DataError, closest, missing
from dezero.train.progress import Standing


class Callback:
    """The base of callbacks: does nothing. Override what is needed.

    >>> class Hello(Callback):
    ...     def after_epoch(self, standing):
    ...         print('hello after epoch', standing.epoch)
    """

    def begin(self, standing: Standing) -> None:
        """The training begins, or goes on."""

    def after_batch(self, standing: Standing) -> None:
        """A step is done."""

    def after_epoch(self, standing: Standing) -> None:
        """An epoch is over, its test included, and is the last row of the history."""

    def close(self) -> None:
        """The training is over, for whatever reason."""


class _Watching(Callback):
    """The base of callbacks that look for the best epoch by one score."""

    def __init__(self, score: str, larger_is_better: bool | None = None) -> None:
        if larger_is_better is None:
            larger_is_better = not score.endswith(("loss", "perplexity"))
        self.score = score
        self.larger_is_better = larger_is_better
        self.best: float | None = None
        self.best_epoch = 0.0

    def improved(self, standing: Standing) -> bool:
        """Whether the last epoch is better than all before."""
        row = standing.history[-1]
        value = row.get(self.score)
        if value is None:
            known = [name for name, x in row.items() if x is not None]
            raise ValueError(
                f"{type(self).__name__}: expected one of {', '.join(known)}, got "
                f"'{self.score}', which is not measured{closest(self.score, known)}"
            )
        sign = 1 if self.larger_is_better else -1
        if math.isnan(value) or (
            self.best is not None and sign * value <= sign * self.best
        ):
            return False
        self.best, self.best_epoch = value, row.epoch
        return True

    def state_dict(self) -> dict[str, Array]:
        """The best score so far and its epoch."""
        best = math.nan if self.best is None else self.best
        return {"best": np.array(best), "best_epoch": np.array(self.best_epoch)}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Go on from what ``state_dict`` gave.

        Raises:
            DataError: It is another state; nothing was changed.
        """
        if sorted(state) != ["best", "best_epoch"]:
            raise DataError(
                f"{type(self).__name__}.load_state_dict: expected best and best_epoch, "
                f"got {', '.join(state) or 'nothing'}"
            )
        best = float(state["best"])
        self.best = None if math.isnan(best) else best
        self.best_epoch = float(state["best_epoch"])


class EarlyStopping(_Watching):
    """Stop when a score has not become better for some epochs.

    Args:
        score: A column of the History, such as ``'test_loss'``.
        patience: How many epochs to wait for a better one.
        larger_is_better: By default, all scores but losses and perplexities.

    >>> stopping = EarlyStopping('test_loss', patience=3)
    """

    def __init__(
        self, score: str, patience: int = 5, larger_is_better: bool | None = None
    ) -> None:
        if patience < 1:
            raise ValueError(
                f"EarlyStopping: expected patience of at least 1, got {patience}"
            )
        self.patience = patience
        super().__init__(score, larger_is_better)

    def after_epoch(self, standing: Standing) -> None:
        if self.improved(standing):
            return
        waited = standing.history[-1].epoch - self.best_epoch
        if waited >= self.patience:
            best = "none was a number" if self.best is None else f"{self.best:.6g}"
            standing.stop = (
                f"{self.score} has not become better for {self.patience} epochs; the "
                f"best is {best}, of epoch {self.best_epoch:g}"
            )


class KeepBest(_Watching):
    """Save the weights of the best epoch so far, by one score.

    Args:
        path: The file, for ``model.load_weights``.
        model: The model that is trained.
        score: A column of the History, such as ``'test_accuracy'``.
        larger_is_better: By default, all scores but losses and perplexities.

    >>> model = dezero.models.MLP((10, 2))
    >>> keeping = KeepBest('best.npz', model, 'test_accuracy')
    """

    def __init__(
        self,
        path: PathLike,
        model: Any,
        score: str,
        larger_is_better: bool | None = None,
    ) -> None:
        self.path = path
        self.model = model
        super().__init__(score, larger_is_better)

    def after_epoch(self, standing: Standing) -> None:
        if self.improved(standing):
            self.model.save_weights(self.path)


class CSVLog(Callback):
    """Write the history to a file after every epoch, whole each time.

    So the file is never half written, and a resumed training never doubles a row.

    Args:
        path: The file.

    >>> log = CSVLog('metrics.csv')
    """

    def __init__(self, path: PathLike) -> None:
        self.path = path

    def after_epoch(self, standing: Standing) -> None:
        with write_atomically(self.path, "w") as file:
            file.write(standing.history.csv())


class Curves(Callback):
    """Draw the history after every epoch.

    Args:
        path: The picture.

    Raises:
        MissingDependencyError: After the first epoch: matplotlib is not installed.

    >>> curves = Curves('curves.png')
    """

    def __init__(self, path: PathLike) -> None:
        self.path = path

    def after_epoch(self, standing: Standing) -> None:
        standing.history.plot(self.path)


class TensorBoard(Callback):
    """Log all scores for TensorBoard, through the library tensorboardX.

    ``loss/step`` over the steps; the columns of the History over the epochs. What is
    logged twice, by a training that went back to a checkpoint, is there twice.

    Args:
        folder: Where the log goes; write ``tensorboard --logdir FOLDER`` to look.
        every: After how many steps to log the loss.

    Raises:
        MissingDependencyError: tensorboardX is not installed.
    """

    def __init__(self, folder: PathLike, every: int = 50) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise missing("tensorboardX", "TensorBoard", "train") from None
        self.writer = SummaryWriter(str(Path(folder)))
        self.every = every

    def after_batch(self, standing: Standing) -> None:
        if standing.step % self.every == 0:
            self.writer.add_scalar("loss/step", standing.last_loss, standing.step)

    def after_epoch(self, standing: Standing) -> None:
        for name, value in standing.history[-1].items():
            if name != "epoch" and value is not None:
                self.writer.add_scalar(name, value, standing.epoch)
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()
