"""From a Variable to a picture: the two functions of the book, and ``Model.plot``."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

from dezero.backend.files import write_atomically
from dezero.config import using_config
from dezero.errors import MissingDependencyError
from dezero.models import Model
from dezero.viz.dot import find_dot, run_dot, to_dot
from dezero.viz.graph import Graph, record
from dezero.viz.layout import lay_out
from dezero.viz.picture import FORMATS, to_picture
from dezero.viz.svg import to_svg


def get_dot_graph(output: Any, verbose: bool = True) -> str:
    """The graph behind ``output`` as text in Graphviz's language DOT.

    Variables are orange, parameters green, constants gray; Functions are blue boxes,
    those of one generation in one row. The same program gives the same text.

    Args:
        output: A Variable, or a tuple of them.
        verbose: Show shape and type, too.

    Raises:
        TypeError: ``output`` is something else.

    >>> x = Variable(np.array(1.0), name='x')
    >>> y = F.exp(x)
    >>> y.name = 'y'
    >>> print(get_dot_graph(y))
    digraph g {
    v0 [label="x: () float64", color=orange, style=filled]
    f0 [label="Exp", color=lightblue, style=filled, shape=box]
    v1 [label="y: () float64", color=orange, style=filled]
    v0 -> f0
    f0 -> v1
    }
    """
    return to_dot(record(output, verbose))


def plot_dot_graph(
    output: Any, verbose: bool = True, to_file: str | os.PathLike[str] = "graph.png"
) -> Any:
    """Draw the graph behind ``output`` into a file.

    The rows of the picture are the generations, the numbers that order backward.
    ``.svg`` is drawn here; ``.dot`` is the text of ``get_dot_graph``; other formats
    come from Graphviz's program ``dot`` where it is installed, else from matplotlib.
    Where a format cannot be made, a warning says why, and the picture is an ``.svg``.

    Args:
        output: A Variable, or a tuple of them.
        verbose: Show shape and type, too.
        to_file: The name of the file; its ending is the format.

    Returns:
        In a notebook the picture, to be shown there; else the path of the file.

    Raises:
        TypeError: ``output`` is something else.

    >>> import tempfile
    >>> y = F.exp(Variable(np.array(1.0)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plot_dot_graph(y, to_file=folder + '/exp.svg').name
    'exp.svg'
    """
    return _plot(record(output, verbose), Path(to_file))


def plot_model(
    self: Model, *inputs: Any, to_file: str | os.PathLike[str] = "model.png"
) -> Any:
    """Run the model and draw its graph; parameters have the names they have in files.

    Args:
        inputs: What the model is called with.
        to_file: The name of the file; see ``dezero.utils.plot_dot_graph``.

    Returns:
        In a notebook the picture, to be shown there; else the path of the file.

    >>> import tempfile
    >>> model = dezero.models.MLP((10, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.plot(np.zeros((4, 2)), to_file=folder + '/mlp.svg').name
    'mlp.svg'
    """
    with using_config("enable_backprop", True):
        output = self(*inputs)
    names = {param: name for name, param in self.named_params().items()}
    return _plot(record(output, names=names), Path(to_file))


def _plot(graph: Graph, path: Path) -> Any:
    try:
        data = _render(graph, path.suffix[1:].lower())
    except (MissingDependencyError, _FormatError) as error:
        path = path.with_suffix(".svg")
        warnings.warn(f"{error}; the picture is in {path.name}", stacklevel=3)
        data = _render(graph, "svg")
    with write_atomically(path) as file:
        file.write(data)
    return _shown(path)


class _FormatError(ValueError):
    """No one here can make a file of that format."""


def _render(graph: Graph, picture_format: str) -> bytes:
    """The content of a file of that format."""
    if picture_format == "svg":
        return to_svg(lay_out(graph)).encode()
    text = to_dot(graph)
    if picture_format in ("dot", "gv"):
        return text.encode()
    dot = find_dot()
    if dot is not None and picture_format.isalnum():
        try:
            return run_dot(dot, text, picture_format)
        except (OSError, subprocess.SubprocessError):
            pass  # it is broken or too slow, or lacks the format: draw without it
    if picture_format not in FORMATS:
        raise _FormatError(
            f"plot_dot_graph: expected a file that ends in .svg, .dot, "
            f".{', .'.join(FORMATS)}, got '.{picture_format}'"
        )
    return to_picture(lay_out(graph), picture_format)


def _shown(path: Path) -> Any:
    """What a notebook shows of a picture; outside of one, its path."""
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        return path
    display = importlib.import_module("IPython.display")
    if path.suffix == ".svg":
        return display.SVG(filename=str(path))
    if path.suffix in (".png", ".jpg", ".jpeg", ".gif"):
        return display.Image(filename=str(path))
    return path


# Model stands below this floor and cannot import it.
setattr(Model, "plot", plot_model)  # noqa: B010
