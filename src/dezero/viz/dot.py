"""A graph as text in Graphviz's language DOT, and Graphviz itself where it is."""

from __future__ import annotations

import shutil
import subprocess
import unicodedata
from collections import defaultdict

from dezero.viz.graph import Graph, Kind

_COLORS = {
    Kind.FUNCTION: "lightblue",
    Kind.VARIABLE: "orange",
    Kind.PARAMETER: "palegreen",
    Kind.CONSTANT: "lightgray",
}
_ESCAPES = {"\\": "\\\\", '"': '\\"', "&": "&amp;", "\n": "\\n"}
# Graphviz needs minutes for what it cannot show on a page any more.
_PATIENCE = 60  # seconds


def escape(text: str) -> str:
    """``text`` as it stands between the quotes of a DOT label, to be shown as it is."""
    return "".join(
        _ESCAPES.get(c, " " if unicodedata.category(c) in ("Cc", "Cs") else c)
        for c in text
    )


def to_dot(graph: Graph) -> str:
    """The DOT text: orange Variables, blue boxes for Functions, a row a generation."""
    lines = ["digraph g {"]
    rows = defaultdict(list)
    for node in graph.nodes:
        label = escape(": ".join(text for text in (node.title, node.detail) if text))
        shape = ""
        if node.generation is not None:
            rows[node.generation].append(node.id)
            shape = ", shape=box"
        color = _COLORS[node.kind]
        lines.append(f'{node.id} [label="{label}", color={color}, style=filled{shape}]')
    for start, end in graph.edges:
        lines.append(f"{graph.nodes[start].id} -> {graph.nodes[end].id}")
    for row in rows.values():
        if len(row) > 1:
            lines.append(f"{{rank=same; {'; '.join(row)}}}")
    return "\n".join([*lines, "}"])


def find_dot() -> str | None:
    """Where Graphviz's program ``dot`` is, or ``None``."""
    return shutil.which("dot")


def run_dot(dot: str, text: str, picture_format: str) -> bytes:
    """The picture that Graphviz draws of a DOT text.

    No shell and no file takes part: the text goes in and the picture comes out
    through pipes.

    Raises:
        OSError: The program does not start.
        subprocess.SubprocessError: It fails, or takes longer than a minute.
    """
    done = subprocess.run(
        [dot, f"-T{picture_format}"],
        input=text.encode(),
        capture_output=True,
        check=True,
        timeout=_PATIENCE,
    )
    return done.stdout
