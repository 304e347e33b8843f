"""Pictures through matplotlib, without its global state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dezero.backend.files import PathLike, write_atomically
from dezero.errors import missing


def new_figure(operation: str, width: float, height: float) -> Any:
    """An empty Figure of matplotlib, of a size in inches.

    Raises:
        MissingDependencyError: matplotlib is not installed; ``operation`` needs it.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing("matplotlib", operation, "plot") from None
    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("constrained", w_pad=0.1, h_pad=0.06, hspace=0)
    return figure


def save_figure(figure: Any, to_file: PathLike) -> None:
    """Write a Figure, whole or not at all; the suffix of the name is its kind."""
    kind = Path(to_file).suffix.removeprefix(".")
    with write_atomically(to_file) as file:
        figure.savefig(file, format=kind or "png", dpi=150)
