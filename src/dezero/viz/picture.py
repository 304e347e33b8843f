"""A drawing as PNG, PDF and the like, through matplotlib: the SVG, stroke by stroke."""

from __future__ import annotations

import math
import warnings
from io import BytesIO
from typing import Any

from dezero.errors import missing
from dezero.viz.layout import Box, Drawing, Line
from dezero.viz.style import (
    BAND,
    BAND_MARGIN,
    EDGE,
    FAINT,
    LINE_WIDTH,
    LOOKS,
    NUMBER,
    NUMBER_X,
    PAPER,
    TITLE,
    arrow,
    texts,
)

FORMATS = ("png", "pdf", "jpg", "jpeg", "webp", "tif", "tiff", "eps", "ps")

_INCH = 96.0  # pixels of a drawing
_POINT = _INCH / 72.0
_SCALE = 2.0  # pixels of a picture for one of the drawing
_MOST_PIXELS = 50e6  # a larger picture shrinks to this
_LONGEST_SIDE = 30_000
# matplotlib brings DejaVu Sans; for letters that it lacks, one of these may be there.
_FALLBACKS = (
    "Noto Sans CJK KR",
    "Noto Sans KR",
    "NanumGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "AppleGothic",
)
_DATED = ("pdf", "eps", "ps")  # formats that would keep the hour


def to_picture(drawing: Drawing, picture_format: str) -> bytes:
    """The file of one of ``FORMATS`` that shows a drawing; two pixels for one.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
        from matplotlib.font_manager import fontManager
    except ImportError as error:
        raise missing("matplotlib", "plot_dot_graph", "plot") from error

    width, height = drawing.width, drawing.height
    scale = min(
        _SCALE,
        math.sqrt(_MOST_PIXELS / (width * height)),
        _LONGEST_SIDE / max(width, height),
    )
    # What a user's own settings of matplotlib could spoil.
    settings: Any = {
        "savefig.bbox": None,
        "savefig.transparent": False,
        "text.usetex": False,
        "path.sketch": None,
    }
    installed = set(fontManager.get_font_names())
    settings["font.family"] = [
        "DejaVu Sans",
        *(n for n in _FALLBACKS if n in installed),
    ]
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(width / _INCH, height / _INCH), facecolor=PAPER)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        _draw_rows(axes, drawing)
        _draw_lines(axes, drawing)
        _draw_nodes(axes, drawing)
        file = BytesIO()
        metadata = {"CreationDate": None} if picture_format in _DATED else None
        with warnings.catch_warnings():
            # A letter that no font has is drawn as a box; that is warning enough.
            warnings.filterwarnings("ignore", "Glyph")
            figure.savefig(
                file, format=picture_format, dpi=_INCH * scale, metadata=metadata
            )
    return file.getvalue()


def _draw_rows(axes: Any, drawing: Drawing) -> None:
    for row in drawing.rows:
        top, bottom = row.top - BAND_MARGIN, row.bottom + BAND_MARGIN
        axes.axhspan(top, bottom, color=BAND, linewidth=0)
        y = (row.top + row.bottom) / 2 + NUMBER * 0.36
        _write(axes, NUMBER_X, y, str(row.generation), NUMBER, FAINT, "left")


def _draw_lines(axes: Any, drawing: Drawing) -> None:
    _draw_paths(
        axes,
        [_line_path(line) for line in drawing.lines],
        facecolor="none",
        edgecolor=EDGE,
        linewidth=LINE_WIDTH / _POINT,
        capstyle="round",
    )
    heads = [
        arrow(*line.points[-1]) for line in drawing.lines if line.target is not None
    ]
    _draw_paths(axes, [_polygon(corners) for corners in heads], color=EDGE, linewidth=0)


def _draw_nodes(axes: Any, drawing: Drawing) -> None:
    nodes = list(zip(drawing.graph.nodes, drawing.boxes, strict=True))
    for kind, look in LOOKS.items():
        boxes = [box for node, box in nodes if node.kind is kind]
        _draw_paths(
            axes,
            [_rounded(box, look.radius) for box in boxes],
            facecolor=look.fill,
            edgecolor=look.line,
            linewidth=1 / _POINT,
        )
    for node, box in nodes:
        look = LOOKS[node.kind]
        for text, size, y in texts(node, box.y):
            color = look.title if size == TITLE else look.detail
            _write(axes, box.x, y, text, size, color, "center")


def _write(
    axes: Any, x: float, y: float, text: str, size: float, color: str, align: str
) -> None:
    axes.text(
        x,
        y,
        text,
        fontsize=size / _POINT,
        color=color,
        ha=align,
        va="baseline",
        parse_math=False,  # a dollar is a dollar
    )


def _draw_paths(axes: Any, paths: list[Any], **look: Any) -> None:
    from matplotlib.collections import PathCollection

    axes.add_collection(
        PathCollection(paths, transform=axes.transData, **look), autolim=False
    )


def _line_path(line: Line) -> Any:
    from matplotlib.path import Path

    vertices, codes = [line.points[0]], [Path.MOVETO]
    for x, y in line.points[1:]:
        last_x, last_y = vertices[-1]
        if x == last_x:
            vertices.append((x, y))
            codes.append(Path.LINETO)
        else:
            middle = (last_y + y) / 2
            vertices += [(last_x, middle), (x, middle), (x, y)]
            codes += [Path.CURVE4] * 3
    return Path(vertices, codes)


def _polygon(corners: Any) -> Any:
    from matplotlib.path import Path

    return Path([*corners, corners[0]], closed=True)


def _rounded(box: Box, radius: float) -> Any:
    """A rectangle with round corners: four sides, four quarters of a circle."""
    from matplotlib.path import Path

    half_width, half_height = box.width / 2, box.height / 2
    r = min(radius, half_height)
    k = r * 0.5523  # of a cubic curve that comes close to a quarter of a circle
    vertices, codes = [], []
    for x, y in ((1, 1), (-1, 1), (-1, -1), (1, -1)):
        corner_x, corner_y = box.x + x * half_width, box.y + y * half_height
        beside = [(corner_x, corner_y - y * (r - d)) for d in (0, k)]
        under = [(corner_x - x * (r - d), corner_y) for d in (k, 0)]
        quarter = [*beside, *under]
        vertices += quarter if x == y else quarter[::-1]
        codes += [Path.LINETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
    codes[0] = Path.MOVETO
    return Path([*vertices, vertices[0]], [*codes, Path.CLOSEPOLY])
