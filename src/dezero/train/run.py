"""Where ``fit`` stands, as far as the rest of it depends on that."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from dezero.backend import Array
from dezero.errors import DataError
from dezero.train.checkpoint import Checkpoint
from dezero.train.history import History, Row
from dezero.train.interrupt import uninterrupted
from dezero.train.metrics import Metric
from dezero.train.progress import Standing

# Of a Standing: what the rest of the epoch adds to.
KEPT = ("epoch", "batches", "batch", "samples", "loss", "accuracy", "last_loss")


class Run:
    """Where ``fit`` stands: what a checkpoint keeps of it.

    Attributes:
        standing: Where it stands in the running epoch.
        history: The rows so far.
        whole: Whether no step is half done.
    """

    def __init__(self, epochs: int, batches: int, history: History | None) -> None:
        self.history = History() if history is None else history
        self.earlier = self.history[-1].epoch if self.history else 0.0
        self.standing = Standing(1, epochs, batches, history=self.history)
        self.whole = True
        self.noted = False

    @contextlib.contextmanager
    def whole_block(self) -> Iterator[None]:
        """A block that is done as a whole: Ctrl-C waits for its end."""
        with uninterrupted():
            self.whole = False
            yield
            self.whole = True

    def take(
        self, scores: tuple[float, float | None], metrics: Sequence[Metric]
    ) -> None:
        """Take the scores on the test data over."""
        standing = self.standing
        standing.test_loss, standing.test_accuracy = scores
        for metric in metrics:
            if np.ndim(metric.value) == 0:
                standing.test_scores[metric.name] = float(metric.value)

    def note(self) -> None:
        """Make the epoch, or the part of it that is done, a row; once."""
        standing = self.standing
        if standing.batch == 0 or self.noted:
            return
        self.noted = True
        self.history.append(
            Row(
                self.earlier + standing.epochs_done,
                standing.loss,
                standing.accuracy,
                standing.test_loss,
                standing.test_accuracy,
                **{f"test_{name}": x for name, x in standing.test_scores.items()},
            )
        )

    def next_epoch(self) -> None:
        """Go to the start of the next epoch."""
        last = self.standing
        self.standing = Standing(
            last.epoch + 1, last.epochs, last.batches, history=self.history
        )
        self.standing.stop = last.stop
        self.noted = False

    def not_finite(self, error: Exception, checkpoint: Checkpoint | None) -> str:
        """What went wrong where, and what to do."""
        standing = self.standing
        kept = checkpoint.files()[:1] if checkpoint is not None else []
        return (
            f"fit: expected a finite loss, got another at step {standing.step + 1} "
            f"(epoch {standing.epoch}, batch {standing.batch + 1}): {error}; write a "
            "smaller learning rate, or optimizer.add_hook(ClipGrad(1.0))"
            + "".join(f"; the last checkpoint is '{path.name}'" for path in kept)
        )

    def state_dict(self) -> dict[str, Array]:
        """The numbers of the running epoch, and the history."""
        standing = self.standing
        state = {f"history/{k}": v for k, v in self.history.state_dict().items()}
        for name in KEPT:
            value = getattr(standing, name)
            state[name] = np.array(math.nan if value is None else value)
        state["earlier"] = np.array(self.earlier)
        state["stop"] = np.array(standing.stop or "")
        return state

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Go on from what ``state_dict`` gave.

        Raises:
            DataError: It is of another training; nothing was changed.
        """
        batches = int(state["batches"])
        if batches != self.standing.batches:
            raise DataError(
                f"fit: expected a training with {self.standing.batches} batches an "
                f"epoch, got one with {batches}"
            )
        values = {name: state[name].item() for name in KEPT}
        if math.isnan(values["accuracy"]):
            values["accuracy"] = None
        self.history.load_state_dict({"json": state["history/json"]})
        self.earlier = float(state["earlier"])
        for name, value in values.items():
            setattr(self.standing, name, value)
        self.standing.stop = str(state["stop"]) or None
