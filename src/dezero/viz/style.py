"""How pictures look: colours, letters, and how much room they take."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from dezero.viz.graph import Kind, Node

PAPER = "#fdfcfa"
BAND = "#f4f2ed"  # behind the Functions of one generation
FAINT = "#b3aca1"  # the numbers of the generations
EDGE = "#8b8780"
FONTS = "DejaVu Sans, Verdana, Segoe UI, Helvetica, Arial, sans-serif"


@dataclass(frozen=True, slots=True)
class Look:
    """The colours of one kind of node, and the radius of its corners."""

    fill: str
    line: str
    title: str
    detail: str
    radius: float


LOOKS = {
    Kind.FUNCTION: Look("#e3edf9", "#7ba3d6", "#1d4070", "#5c7a9f", 4),
    Kind.VARIABLE: Look("#fdeccd", "#e2a94b", "#6b4208", "#98784a", 99),
    Kind.PARAMETER: Look("#dff1e2", "#74b586", "#1c5430", "#5c8a6a", 99),
    Kind.CONSTANT: Look("#f3f1ee", "#cfc9c0", "#7a746b", "#a09a90", 99),
}

TITLE = 13.0  # sizes of letters, in pixels
DETAIL = 10.5
NUMBER = 10.0
NUMBER_X = 12.0  # of the numbers of the generations
BAND_MARGIN = 6.0  # above and below the Functions in a band
LINE_WIDTH = 1.2

# Advance widths of DejaVu Sans, the widest of FONTS, from ' ' to '~', in 1/100 em.
# fmt: off
_WIDTHS = (
    32, 40, 46, 84, 64, 95, 78, 27, 39, 39, 50, 84, 32, 36, 32, 34, 64, 64, 64, 64,
    64, 64, 64, 64, 64, 64, 34, 34, 84, 84, 84, 53, 100, 68, 69, 70, 77, 63, 58, 77,
    75, 29, 29, 66, 56, 86, 75, 79, 60, 79, 69, 63, 61, 73, 68, 99, 69, 61, 69, 39,
    34, 39, 84, 50, 50, 61, 63, 55, 63, 62, 35, 63, 63, 28, 28, 58, 28, 97, 63, 61,
    63, 63, 41, 52, 39, 63, 59, 82, 59, 59, 52, 64, 34, 64, 84,
)
# fmt: on
_LONGEST = 40  # letters of a title in a picture


def text_width(text: str, size: float) -> float:
    """The width of ``text`` in pixels, in letters of ``size`` pixels."""
    return sum(map(_advance, text)) * size / 100


def _advance(letter: str) -> int:
    code = ord(letter) - 32
    if 0 <= code < len(_WIDTHS):
        return _WIDTHS[code]
    if unicodedata.combining(letter):
        return 0
    return 100 if unicodedata.east_asian_width(letter) in "FW" else 80


def clean(text: str) -> str:
    """``text`` on one line, without letters that cannot be written."""
    return "".join(" " if unicodedata.category(c)[0] == "C" else c for c in text)


def shortened(text: str) -> str:
    """``text`` as a picture shows it: clean, and without its middle if it is long."""
    text = clean(text)
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}…{text[1 - half :]}"


def texts(node: Node, y: float) -> list[tuple[str, float, float]]:
    """The lines of text of a node centred on ``y``: text, size, and base line."""
    title, detail = shortened(node.title), node.detail
    if title and detail:
        return [(title, TITLE, y - 2.5), (detail, DETAIL, y + 12.5)]
    if title:
        return [(title, TITLE, y + TITLE * 0.36)]
    return [(detail, DETAIL, y + DETAIL * 0.36)] if detail else []


def node_size(node: Node) -> tuple[float, float]:
    """Width and height that hold the text of a node."""
    lines = texts(node, 0.0)
    if not lines:
        return 10.0, 10.0  # a dot
    widest = max(text_width(text, size) for text, size, _ in lines)
    padding = 20.0 if node.kind is Kind.FUNCTION else 24.0
    if len(lines) == 2:
        return widest + padding, 40.0
    return max(widest + padding, 26.0), 26.0 if node.title else 22.0


def arrow(x: float, y: float) -> tuple[tuple[float, float], ...]:
    """The corners of the head of an arrow that points down to ``(x, y)``."""
    return (x, y), (x - 3.2, y - 7.0), (x, y - 5.4), (x + 3.2, y - 7.0)
