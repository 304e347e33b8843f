"""A drawing as SVG, written by hand: no library, the same bytes in every run."""

from __future__ import annotations

from collections import defaultdict

from dezero.viz.graph import Kind, Node
from dezero.viz.layout import Box, Drawing, Line
from dezero.viz.style import (
    BAND,
    BAND_MARGIN,
    DETAIL,
    EDGE,
    FAINT,
    FONTS,
    LINE_WIDTH,
    LOOKS,
    NUMBER,
    NUMBER_X,
    PAPER,
    TITLE,
    arrow,
    clean,
    shortened,
    texts,
)


def to_svg(drawing: Drawing) -> str:
    """The SVG text of a drawing, with a background of its own."""
    width, height = _digits(drawing.width), _digits(drawing.height)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
            f'height="{height}" viewBox="0 0 {width} {height}" role="img" '
            f'font-family="{FONTS}" text-anchor="middle">',
            f"<title>{_summary(drawing)}</title>",
            f'<rect width="{width}" height="{height}" rx="10" fill="{PAPER}"/>',
            *_rows(drawing),
            *_lines(drawing),
            *_nodes(drawing),
            "</svg>\n",
        ]
    )


def _summary(drawing: Drawing) -> str:
    functions = sum(node.kind is Kind.FUNCTION for node in drawing.graph.nodes)
    variables = len(drawing.graph.nodes) - functions
    return f"Computational graph: {functions} Functions, {variables} Variables"


def _rows(drawing: Drawing) -> list[str]:
    """A band behind the Functions of each generation, with its number."""
    parts = [f'<g fill="{BAND}">']
    for row in drawing.rows:
        top = _digits(row.top - BAND_MARGIN)
        height = _digits(row.bottom - row.top + 2 * BAND_MARGIN)
        width = _digits(drawing.width)
        parts.append(f'<rect y="{top}" width="{width}" height="{height}"/>')
    parts.append(f'</g>\n<g fill="{FAINT}" font-size="{NUMBER:g}" text-anchor="start">')
    for row in drawing.rows:
        y = _digits((row.top + row.bottom) / 2 + NUMBER * 0.36)
        parts.append(f'<text x="{NUMBER_X:g}" y="{y}">{row.generation}</text>')
    return [*parts, "</g>"]


def _lines(drawing: Drawing) -> list[str]:
    """One path per value, with all its branches; then the arrows."""
    paths: dict[int, list[str]] = defaultdict(list)
    arrows = []
    for line in drawing.lines:
        paths[line.source].append(_path(line))
        if line.target is not None:
            corners = " ".join(
                f"{_digits(x)},{_digits(y)}" for x, y in arrow(*line.points[-1])
            )
            arrows.append(f'<polygon points="{corners}"/>')
    return [
        f'<g fill="none" stroke="{EDGE}" stroke-width="{LINE_WIDTH:g}">',
        *(f'<path d="{"".join(parts)}"/>' for parts in paths.values()),
        f'</g>\n<g fill="{EDGE}">',
        *arrows,
        "</g>",
    ]


def _path(line: Line) -> str:
    x, y = line.points[0]
    parts = [f"M{_digits(x)} {_digits(y)}"]
    for next_x, next_y in line.points[1:]:
        if next_x == x:
            parts.append(f"V{_digits(next_y)}")
        else:
            middle = _digits((y + next_y) / 2)
            parts.append(
                f"C{_digits(x)} {middle} {_digits(next_x)} {middle} "
                f"{_digits(next_x)} {_digits(next_y)}"
            )
        x, y = next_x, next_y
    return "".join(parts)


def _nodes(drawing: Drawing) -> list[str]:
    parts = []
    for kind, look in LOOKS.items():
        parts.append(f'<g fill="{look.fill}" stroke="{look.line}">')
        parts += [
            _node(node, box, look.radius)
            for node, box in zip(drawing.graph.nodes, drawing.boxes, strict=True)
            if node.kind is kind
        ]
        parts.append("</g>")
    for size, weight in ((TITLE, ' font-weight="500"'), (DETAIL, "")):
        for kind, look in LOOKS.items():
            color = look.title if size == TITLE else look.detail
            written = [
                f'<text x="{_digits(box.x)}" y="{_digits(y)}">{_escape(text)}</text>'
                for node, box in zip(drawing.graph.nodes, drawing.boxes, strict=True)
                if node.kind is kind
                for text, letters, y in texts(node, box.y)
                if letters == size
            ]
            if written:
                parts.append(f'<g fill="{color}" font-size="{size:g}"{weight}>')
                parts += [*written, "</g>"]
    return parts


def _node(node: Node, box: Box, radius: float) -> str:
    x, y = _digits(box.x - box.width / 2), _digits(box.y - box.height / 2)
    width, height = _digits(box.width), _digits(box.height)
    rx = _digits(min(radius, box.height / 2))
    rect = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{rx}"'
    if shortened(node.title) == node.title:
        return f"{rect}/>"
    return f"{rect}><title>{_escape(clean(node.title))}</title></rect>"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _digits(value: float) -> str:
    """``value`` to a tenth of a pixel, without a needless zero or minus."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")
