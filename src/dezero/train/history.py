"""What a training was like: one row per epoch, as a table and as a picture."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from dezero.backend.files import PathLike
from dezero.train.figure import new_figure, save_figure

CURVES = (("train", "#4c72b0"), ("test", "#c44e52"))
LABEL_HEIGHT = 0.07  # of a panel: as near as two labels may come


class Row(NamedTuple):
    """The scores of one epoch.

    Attributes:
        epoch: How many epochs the model had been trained for. Not a whole number
            where an epoch was broken off.
        loss: The mean loss of the training samples, each when its batch came.
        accuracy: The share of them that was right, or ``None``.
        test_loss: The loss on the test data at the end of the epoch, or ``None``.
        test_accuracy: The accuracy on the test data, or ``None``.
    """

    epoch: float
    loss: float
    accuracy: float | None = None
    test_loss: float | None = None
    test_accuracy: float | None = None


class History(list[Row]):
    """The rows of a training, in order.

    >>> history = History()
    >>> history.append(Row(epoch=1, loss=0.5, accuracy=0.8))
    >>> history.append(Row(epoch=1.25, loss=0.25, accuracy=0.9))
    >>> print(history.csv())
    epoch,loss,accuracy,test_loss,test_accuracy
    1,0.5,0.8,,
    1.25,0.25,0.9,,
    """

    def csv(self) -> str:
        """The rows as comma-separated values; what was not measured is empty."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(Row._fields)
        for row in self:
            writer.writerow(["" if x is None else f"{x:.6g}" for x in row])
        return text.getvalue()

    def plot(self, to_file: PathLike) -> None:
        """Draw loss and accuracy of the training and the test data, epoch by epoch.

        Args:
            to_file: The picture to write; its suffix (``.png``, ``.svg``, ...) is
                its kind.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        scored = any(row.accuracy is not None for row in self)
        panels = 2 if scored else 1
        figure = new_figure("History.plot", 5.5 * panels, 4)
        left, *right = figure.subplots(1, panels, squeeze=False)[0]
        losses = [(row.epoch, row.loss, row.test_loss) for row in self]
        _draw(left, "Loss", losses, "{:.4f}")
        for panel in right:
            shares = [(row.epoch, row.accuracy, row.test_accuracy) for row in self]
            _draw(panel, "Accuracy", shares, "{:.2%}")
            panel.yaxis.set_major_formatter(lambda y, _: f"{100 * y:.3g}%")
        save_figure(figure, to_file)


def _draw(
    panel: Any,
    title: str,
    rows: Sequence[tuple[float, float | None, float | None]],
    label: str,
) -> None:
    """Two curves over the epochs, the last value of each written at its end."""
    ends = []  # (epoch, value, text, color)
    for column, (name, color) in enumerate(CURVES, start=1):
        points = [
            (row[0], value)
            for row in rows
            if (value := row[column]) is not None and math.isfinite(value)
        ]
        if points:
            panel.plot(*zip(*points, strict=True), color=color, marker="o", ms=3)
            text = f"{name} {label.format(points[-1][1])}"
            ends.append((*points[-1], text, color))
    panel.set_title(title, loc="left", fontsize=11, weight="bold")
    panel.set_xlabel("Epoch")
    panel.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    panel.grid(axis="y", color="#dddddd")
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    # Labels keep clear of each other: from below, each at least a line above the last.
    panel.autoscale_view()  # matplotlib would wait until it draws
    to_panel = panel.transScale + panel.transLimits  # where in the panel, 0 to 1
    lowest = -math.inf
    for epoch, value, text, color in sorted(ends, key=lambda end: end[1]):
        x, y = to_panel.transform((epoch, value))
        lowest = max(y, lowest + LABEL_HEIGHT)
        panel.text(
            x + 0.02, lowest, text, color=color, va="center", transform=panel.transAxes
        )
