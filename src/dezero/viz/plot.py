"""From a Variable to a picture: the two functions of the book, and ``Model.plot``.

The rooms behind this door are entered with the first picture: ``import dezero``
does not wait for them.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dezero.backend.files import write_atomically
from dezero.config import using_config
from dezero.models import Model


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
    from dezero.viz.dot import to_dot
    from dezero.viz.graph import record

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
    return _plot(output, verbose, to_file)


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
    return _plot(output, True, to_file, names)


def _plot(
    output: Any,
    verbose: bool,
    to_file: str | os.PathLike[str],
    names: Mapping[Any, str] | None = None,
) -> Any:
    from dezero.viz.graph import record
    from dezero.viz.render import render

    path = Path(to_file)
    graph = record(output, verbose, names)
    data, complaint = render(graph, path.suffix[1:].lower())
    if complaint:
        path = path.with_suffix(".svg")
        warnings.warn(f"{complaint}; the picture is in {path.name}", stacklevel=3)
    with write_atomically(path) as file:
        file.write(data)
    return _shown(path)


def _shown(path: Path) -> Any:
    """What a notebook shows of a picture; outside of one, its path."""
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        return path
    display = importlib.import_module("IPython.display")
    if path.suffix.lower() == ".svg":
        return display.SVG(filename=str(path))
    if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".gif"):
        return display.Image(filename=str(path))
    return path


# Model stands below this floor and cannot import it.
setattr(Model, "plot", plot_model)  # noqa: B010
