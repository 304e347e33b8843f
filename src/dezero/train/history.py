"""What a training was like: one row per epoch, as a table and as a picture."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.backend.files import PathLike
from dezero.errors import DataError, closest
from dezero.train.figure import new_figure, save_figure

CURVES = (("train", "#4c72b0"), ("test", "#c44e52"))
PANELS_ACROSS = 3
LABEL_HEIGHT = 0.07  # of a panel: as near as two labels may come


class Row(dict[str, float | None]):
    """The scores of one epoch by name; those in ``row['loss']`` are in ``row.loss``.

    Args:
        epoch: How many epochs the model had been trained for. Not a whole number
            where an epoch was broken off.
        loss: The mean loss of the training samples, each when its batch came.
        accuracy: The share of them that was right, or ``None``.
        test_loss: The loss on the test data at the end of the epoch, or ``None``.
        test_accuracy: The accuracy on the test data, or ``None``.
        scores: Any others, such as ``test_f1=0.9``.
    """

    epoch: float
    loss: float
    accuracy: float | None
    test_loss: float | None
    test_accuracy: float | None

    def __init__(
        self,
        epoch: float,
        loss: float,
        accuracy: float | None = None,
        test_loss: float | None = None,
        test_accuracy: float | None = None,
        **scores: float | None,
    ) -> None:
        super().__init__(
            epoch=epoch,
            loss=loss,
            accuracy=accuracy,
            test_loss=test_loss,
            test_accuracy=test_accuracy,
            **scores,
        )

    def __getattr__(self, name: str) -> Any:
        if name not in self:
            raise AttributeError(
                f"Row: expected one of {', '.join(self)}, got '{name}'"
                + closest(name, self)
            )
        return self[name]


class History(list[Row]):
    """The rows of a training, in order.

    Attributes:
        stopped: Why ``fit`` ended before its last epoch; ``None`` if it did not.

    >>> history = History()
    >>> history.append(Row(epoch=1, loss=0.5, accuracy=0.8))
    >>> history.append(Row(epoch=1.25, loss=0.25, accuracy=0.9, test_f1=0.75))
    >>> print(history.csv())
    epoch,loss,accuracy,test_loss,test_accuracy,test_f1
    1,0.5,0.8,,,
    1.25,0.25,0.9,,,0.75
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        super().__init__(rows)
        self.stopped: str | None = None

    def columns(self) -> list[str]:
        """The names of all scores: the usual ones, then in the order they came."""
        usual = Row(0, 0)
        return list(dict.fromkeys(name for row in (usual, *self) for name in row))

    def csv(self) -> str:
        """The rows as comma-separated values; what was not measured is empty."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        columns = self.columns()
        writer.writerow(columns)
        for row in self:
            values = [row.get(name) for name in columns]
            writer.writerow(["" if x is None else f"{x:.6g}" for x in values])
        return text.getvalue()

    def plot(self, to_file: PathLike) -> None:
        """Draw all scores of the training and the test data, epoch by epoch.

        Each has a panel of its own; ``loss`` and ``test_loss`` share one.

        Args:
            to_file: The picture to write; its suffix (``.png``, ``.svg``, ...) is
                its kind.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        names = [name.removeprefix("test_") for name in self.columns()]
        measured = {
            name.removeprefix("test_")
            for row in self
            for name, value in row.items()
            if value is not None
        }
        shown = [
            name
            for name in dict.fromkeys(names)
            if name == "loss" or (name != "epoch" and name in measured)
        ]
        across = min(len(shown), PANELS_ACROSS)
        down = math.ceil(len(shown) / across)
        figure = new_figure("History.plot", 5.5 * across, 4 * down)
        panels = figure.subplots(down, across, squeeze=False).reshape(-1)
        for panel in panels[len(shown) :]:
            panel.set_axis_off()
        for panel, name in zip(panels, shown, strict=False):
            rows = [(row.epoch, row.get(name), row.get(f"test_{name}")) for row in self]
            _draw(panel, _title(name), rows, "{:.2%}" if _is_share(name) else "{:.4f}")
            if _is_share(name):
                panel.yaxis.set_major_formatter(lambda y, _: f"{100 * y:.3g}%")
        save_figure(figure, to_file)

    # -- state -------------------------------------------------------------------

    def state_dict(self) -> dict[str, Array]:
        """The rows and why it stopped, as text in JSON."""
        return {"json": np.array(json.dumps({"rows": self, "stopped": self.stopped}))}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Hold what ``state_dict`` gave, instead of what is here.

        Raises:
            DataError: It is no state of a history; nothing was changed.
        """
        try:
            found = json.loads(str(state["json"]))
            rows = [Row(**row) for row in found["rows"]]
            stopped = found["stopped"]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                "History.load_state_dict: expected what state_dict gave, got a state "
                f"where {error!r}"
            ) from error
        self[:] = rows
        self.stopped = stopped


def _title(name: str) -> str:
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def _is_share(name: str) -> bool:
    """Whether a score is told in percent."""
    return name == "accuracy" or name.startswith("top_")


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
