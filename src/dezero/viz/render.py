"""From a recorded graph to the content of a file, by whoever can make the format."""

from __future__ import annotations

import subprocess

from dezero.errors import MissingDependencyError
from dezero.viz.dot import find_dot, run_dot, to_dot
from dezero.viz.graph import Graph
from dezero.viz.layout import lay_out
from dezero.viz.picture import FORMATS, to_picture
from dezero.viz.svg import to_svg


def render(graph: Graph, picture_format: str) -> tuple[bytes, str]:
    """The picture of ``graph``, and why it is an SVG where that was not asked for.

    Returns:
        The content of the file, and ``''`` or a sentence for a warning.
    """
    if picture_format in ("dot", "gv"):
        return to_dot(graph).encode(), ""
    complaint = ""
    if picture_format != "svg":
        data = _by_graphviz(graph, picture_format)
        if data is not None:
            return data, ""
        if picture_format in FORMATS:
            try:
                return to_picture(lay_out(graph), picture_format), ""
            except MissingDependencyError as error:
                complaint = str(error)
        else:
            complaint = (
                f"plot_dot_graph: expected a file that ends in .svg, .dot, "
                f".{', .'.join(FORMATS)}, got '.{picture_format}'"
            )
    return to_svg(lay_out(graph)).encode(), complaint


def _by_graphviz(graph: Graph, picture_format: str) -> bytes | None:
    dot = find_dot()
    if dot is None or not picture_format.isalnum():
        return None
    try:
        return run_dot(dot, to_dot(graph), picture_format)
    except (OSError, subprocess.SubprocessError):
        return None  # broken, too slow, or without that format: draw without it
