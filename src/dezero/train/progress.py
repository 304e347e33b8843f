"""What a training says while it runs: one line redrawn, or one line per epoch.

On a terminal the line is redrawn in place; in a notebook there is a table, with a row
per epoch; anywhere else (a file, a pipe, CI) each epoch leaves one line behind.
"""

from __future__ import annotations

import html
import math
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TextIO

from dezero.train.history import History

REDRAW_SECONDS = 0.1
NARROWEST_BAR = 8


@dataclass
class Standing:
    """Where a training stands: the epoch, and the means over what it has seen of it.

    Attributes:
        epoch: The epoch that is running, counted from 1.
        epochs: How many there will be.
        batch: The batches of this epoch that are done.
        batches: How many it has.
        samples: The samples of this epoch that were trained on.
        loss: The mean loss of those samples, each when its batch came.
        accuracy: Likewise the share of them that was right, or ``None``.
        test_loss: The loss on the test data, once the epoch is over.
        test_accuracy: The accuracy on the test data, once the epoch is over.
        test_scores: The other metrics on the test data, once the epoch is over.
        history: The rows of the epochs before, and of this one once it is over.
        last_loss: The loss of the last batch alone.
        stop: To be set by a callback: why the training ends with this epoch.
    """

    epoch: int
    epochs: int
    batches: int
    batch: int = 0
    samples: int = 0
    loss: float = 0.0
    accuracy: float | None = None
    test_loss: float | None = None
    test_accuracy: float | None = None
    test_scores: dict[str, float] = field(default_factory=dict)
    history: History = field(default_factory=History)
    last_loss: float = math.nan
    stop: str | None = None

    @property
    def step(self) -> int:
        """How many batches are done, those of the epochs before among them."""
        return (self.epoch - 1) * self.batches + self.batch

    @property
    def epochs_done(self) -> float:
        """How many epochs are done, with the part of the running one."""
        return self.epoch - 1 + self.batch / self.batches

    @property
    def done(self) -> float:
        """How much of the whole training is done, from 0 to 1."""
        return self.epochs_done / self.epochs

    def add(self, loss: float, accuracy: float | None, samples: int) -> None:
        """Take the scores of one more batch into the means."""
        self.batch += 1
        self.last_loss = loss
        self.samples += samples
        share = samples / self.samples
        self.loss += (loss - self.loss) * share
        if accuracy is not None:
            before = self.accuracy or 0.0
            self.accuracy = before + (accuracy - before) * share


class Progress:
    """Loss, accuracy, samples per second and the time left, as text.

    Args:
        stream: Where the text goes; the standard output if ``None``.
        clock: What gives the time, in seconds.

    >>> seconds = iter([0.0, 2.0, 2.5])
    >>> progress = Progress(clock=lambda: next(seconds))
    >>> standing = Standing(epoch=1, epochs=3, batches=1)
    >>> standing.add(loss=0.5, accuracy=0.75, samples=400)
    >>> progress.after_batch(standing)
    >>> progress.after_epoch(standing)
    epoch 1/3  loss 0.5000  accuracy 75.00%  200 samples/s  0:05 left
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.stream = sys.stdout if stream is None else stream
        self.clock = clock
        self.live = self.stream.isatty()
        self.full, self.empty = _bar_characters(self.stream.encoding)
        self.started = self.epoch_started = self.batch_ended = clock()
        self.drawn: float | None = None  # when; None before the first time
        self.test_accuracy: float | None = None  # the latest
        self.done_before, self.samples_before = 0.0, 0  # by an earlier process
        self.table = _table_of_a_notebook() if stream is None else None

    def begin(self, standing: Standing) -> None:
        """The training begins, or goes on from where it was before."""
        self.done_before, self.samples_before = standing.done, standing.samples

    def after_batch(self, standing: Standing) -> None:
        """One more batch is done."""
        now = self.batch_ended = self.clock()
        due = self.drawn is None or now - self.drawn >= REDRAW_SECONDS
        if due and self.table is not None:
            self.table(standing, [*_scores(standing), *self._speed(standing, now)])
            self.drawn = now
        elif due and self.live:
            self._redraw(standing, now)

    def after_epoch(self, standing: Standing) -> None:
        """An epoch is over, its test included."""
        now = self.clock()
        self.test_accuracy = standing.test_accuracy
        if self.table is not None:
            self.table(standing, self._speed(standing, now))
        elif self.live:
            self._redraw(standing, now)
        else:
            scores = [*_scores(standing), *_test_scores(standing)]
            line = "  ".join([_epoch(standing), *scores, *self._speed(standing, now)])
            print(line, file=self.stream, flush=True)
        self.epoch_started = now
        self.samples_before = 0

    def close(self) -> None:
        """The training is over: what is written next begins a line of its own."""
        if self.drawn is not None and self.table is None:
            print(file=self.stream, flush=True)
            self.drawn = None

    def _redraw(self, standing: Standing, now: float) -> None:
        width = shutil.get_terminal_size().columns - 1  # a full line would wrap
        front = _epoch(standing) + " "
        scores, speed = _scores(standing), self._speed(standing, now)
        if self.test_accuracy is not None:
            tested = [*scores, f"test {_percent(self.test_accuracy)}"]
        else:
            tested = scores
        for shown in (tested, scores):  # the test is the first to go
            rest = "  ".join(["", *shown, *speed])
            room = width - len(front) - len(rest)
            if room >= NARROWEST_BAR:
                break
        bar = self._bar(standing.done, room) if room >= NARROWEST_BAR else ""
        line = (front + bar + rest)[:width].ljust(width)
        self.stream.write("\r" + line)
        self.stream.flush()
        self.drawn = now

    def _bar(self, done: float, width: int) -> str:
        filled = int(done * width)
        return self.full * filled + self.empty * (width - filled)

    def _speed(self, standing: Standing, now: float) -> list[str]:
        seconds = self.batch_ended - self.epoch_started
        samples = standing.samples - self.samples_before
        speed = f"{samples / seconds:,.0f} samples/s" if seconds > 0 else ""
        elapsed = now - self.started
        to_do = 1 - self.done_before
        done = (standing.done - self.done_before) / to_do if to_do > 0 else 1
        if 0 < done < 1:
            time_left = f"{_minutes(elapsed / done - elapsed)} left"
        else:
            time_left = f"took {_minutes(elapsed)}"
        return [speed, time_left] if speed else [time_left]


def _epoch(standing: Standing) -> str:
    width = len(str(standing.epochs))
    return f"epoch {standing.epoch:{width}}/{standing.epochs}"


def _scores(standing: Standing) -> list[str]:
    scores = [f"loss {standing.loss:.4f}"]
    if standing.accuracy is not None:
        scores.append(f"accuracy {_percent(standing.accuracy)}")
    return scores


def _test_scores(standing: Standing) -> list[str]:
    scores = []
    if standing.test_loss is not None:
        scores.append(f"test loss {standing.test_loss:.4f}")
    if standing.test_accuracy is not None:
        scores.append(f"test accuracy {_percent(standing.test_accuracy)}")
    for name, score in standing.test_scores.items():
        scores.append(f"{name.replace('_', ' ')} {score:.4f}")
    return scores


def _percent(share: float) -> str:
    return f"{share:6.2%}"


def _minutes(seconds: float) -> str:
    """Seconds as ``0:07``, ``12:05`` or ``1:02:03``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _bar_characters(encoding: str | None) -> tuple[str, str]:
    try:
        "━─".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "#", "."
    return "━", "─"


# -- in a notebook ---------------------------------------------------------------------


def _table_of_a_notebook() -> Callable[[Standing, list[str]], None] | None:
    """What shows a table below the running cell; ``None`` outside of a notebook."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython
    from IPython.display import HTML, display

    if not hasattr(get_ipython(), "kernel"):
        return None  # IPython on a terminal
    place: list[Any] = []

    def show(standing: Standing, news: list[str]) -> None:
        content = HTML(as_table(standing, news))
        if place:
            place[0].update(content)
        else:
            place.append(display(content, display_id=True))

    return show


def as_table(standing: Standing, news: list[str]) -> str:
    """The history as HTML, and below it one line about the epoch that is running.

    >>> print(as_table(Standing(1, 2, 10), ['loss 0.5000']))
    <table></table><p>epoch 1/2  loss 0.5000</p>
    """
    rows = standing.history
    measured = {name for row in rows for name, x in row.items() if x is not None}
    columns = [name for name in rows.columns() if name in measured]
    lines = [[name.replace("_", " ") for name in columns]] if columns else []
    for row in rows:
        values = [row.get(name) for name in columns]
        lines.append(["" if x is None else f"{x:.4g}" for x in values])
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>"
        for line in lines
    )
    line = "  ".join([_epoch(standing), *news])
    return f"<table>{body}</table><p>{html.escape(line)}</p>"
