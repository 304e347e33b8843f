"""Pictures of graphs: what they show, that it can be read, and that they are safe."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import types
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dezero
import dezero.functions as F
import dezero.layers as L
from dezero import Function, Parameter, Variable
from dezero.utils import get_dot_graph, plot_dot_graph
from dezero.viz import dot, layers
from dezero.viz.graph import Graph, Kind, record
from dezero.viz.layout import Drawing, Line, lay_out
from dezero.viz.picture import to_picture
from dezero.viz.style import node_size, shortened, text_width
from dezero.viz.svg import to_svg

PNG = b"\x89PNG"
SVG = "{http://www.w3.org/2000/svg}"
NASTY = '"; touch pwned; rm -rf ~ #'


@pytest.fixture
def no_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No program is found, Graphviz's least of all."""
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def fake_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Put a program ``dot`` in the path, that keeps what it was called with."""

    def install(body: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "dot"
        program.write_text(
            f"#!{sys.executable}\nimport sys, json, pathlib, time\n"
            "here = pathlib.Path(__file__).parent\n"
            "text = sys.stdin.read()\n"
            "(here / 'called').write_text(json.dumps([sys.argv[1:], text]))\n" + body
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        return folder

    return install


def named(data: Any, name: str) -> Variable:
    return Variable(np.array(data), name=name)


def diamond() -> Variable:
    x = named(2.0, "x")
    a = x**2
    y = a**2 + a**2
    y.name = "y"
    return y


def tanh_derivative(order: int) -> Variable:
    x = named(1.0, "x")
    y = F.tanh(x)
    y.backward(create_graph=True)
    for _ in range(order - 1):
        gx = x.grad
        x.cleargrad()
        gx.backward(create_graph=True)
    return x.grad


def network_loss() -> Variable:
    model = dezero.models.Sequential(
        L.Conv2d(4, 3, pad=1),
        F.relu,
        lambda x: F.pooling(x, 2, 2),
        F.flatten,
        L.Linear(10),
    )
    y = model(np.ones((5, 1, 8, 8), np.float32))
    return F.softmax_cross_entropy(y, np.zeros(5, np.int64))


class Split(Function):
    def forward(self, x: Any) -> Any:
        return x[:1], x[1:]

    def backward(self, gy0: Variable, gy1: Variable) -> Any:
        raise NotImplementedError


# -- what a picture shows -----------------------------------------------------------


def test_dot_text_of_a_diamond() -> None:
    assert get_dot_graph(diamond()) == (
        "digraph g {\n"
        'v0 [label="x: () float64", color=orange, style=filled]\n'
        'f0 [label="Pow", color=lightblue, style=filled, shape=box]\n'
        'v1 [label="() float64", color=orange, style=filled]\n'
        'f1 [label="Pow", color=lightblue, style=filled, shape=box]\n'
        'v2 [label="() float64", color=orange, style=filled]\n'
        'f2 [label="Pow", color=lightblue, style=filled, shape=box]\n'
        'v3 [label="() float64", color=orange, style=filled]\n'
        'f3 [label="Add", color=lightblue, style=filled, shape=box]\n'
        'v4 [label="y: () float64", color=orange, style=filled]\n'
        "v0 -> f0\n"
        "f0 -> v1\n"
        "v1 -> f1\n"
        "f1 -> v2\n"
        "v1 -> f2\n"
        "f2 -> v3\n"
        "v2 -> f3\n"
        "v3 -> f3\n"
        "f3 -> v4\n"
        "{rank=same; f1; f2}\n"
        "}"
    )


def test_dot_text_without_shapes_and_with_constants_and_a_parameter() -> None:
    x = Variable(np.ones((3, 2), np.float32), "x", requires_grad=False)
    W = Parameter(np.ones((2, 1), np.float32), "W")
    assert get_dot_graph(F.matmul(x, W) * 0.5, verbose=False) == (
        "digraph g {\n"
        'v0 [label="x", color=lightgray, style=filled]\n'
        'v1 [label="W", color=palegreen, style=filled]\n'
        'f0 [label="MatMul", color=lightblue, style=filled, shape=box]\n'
        'v2 [label="", color=orange, style=filled]\n'
        'v3 [label="0.5", color=lightgray, style=filled]\n'
        'f1 [label="Mul", color=lightblue, style=filled, shape=box]\n'
        'v4 [label="", color=orange, style=filled]\n'
        "v0 -> f0\n"
        "v1 -> f0\n"
        "f0 -> v2\n"
        "v2 -> f1\n"
        "v3 -> f1\n"
        "f1 -> v4\n"
        "}"
    )


def test_an_input_used_twice_has_two_edges() -> None:
    x = named(3.0, "x")
    assert get_dot_graph(x * x).count("v0 -> f0\n") == 2


def test_a_number_used_twice_is_shown_at_each_place() -> None:
    x = named(3.0, "x")
    labels = [node.title for node in record(x * 2.0 + x * 2.0).nodes]
    assert labels.count("2") == 2


def test_several_outputs_and_those_that_nobody_keeps() -> None:
    x = named([1.0, 2.0, 3.0], "x")
    first, second = Split()(x)
    y = F.exp(first)
    shapes = [node.detail for node in record(y).nodes if node.kind is not Kind.FUNCTION]
    assert shapes == ["(3,) float64", "(1,) float64", "(2,) float64", "(1,) float64"]
    del second
    assert len(record(y).nodes) == 5
    assert len(record((y, first)).nodes) == 5


def test_several_roots_and_a_leaf_alone() -> None:
    x = named(3.0, "x")
    graph = record([F.exp(x), F.sin(x)])
    assert [node.title for node in graph.nodes] == ["x", "Exp", "", "Sin", ""]
    assert get_dot_graph(x, verbose=False) == (
        'digraph g {\nv0 [label="x", color=orange, style=filled]\n}'
    )


def test_a_parameter_without_data_and_a_name_that_is_no_text() -> None:
    assert record(Parameter(None, "W")).nodes[0].detail == ""
    x = named(1.0, "x")
    x.name = 7  # type: ignore[assignment]
    assert record(x).nodes[0].title == "7"


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (
            np.ones(3),
            "get_dot_graph: expected a Variable or a tuple of them, got ndarray; "
            "write get_dot_graph(y) with y = f(x)",
        ),
        ((), "get_dot_graph: expected at least one Variable, got none"),
    ],
)
def test_what_has_no_graph_is_refused(output: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        get_dot_graph(output)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ('"; rm -rf /', '\\"; rm -rf /'),
        ("back\\slash \\N", "back\\\\slash \\\\N"),
        ("two\nlines", "two\\nlines"),
        ("a & b &amp;", "a &amp; b &amp;amp;"),
        ("<b>bold</b>", "<b>bold</b>"),
        ("bell\a\0", "bell  "),
        ("half \ud800", "half  "),
        ("변수", "변수"),
    ],
)
def test_labels_are_escaped(name: str, label: str) -> None:
    x = named(1.0, name)
    text = get_dot_graph(x, verbose=False)
    assert text == (
        f'digraph g {{\nv0 [label="{label}", color=orange, style=filled]\n}}'
    )
    root = ET.fromstring(to_svg(lay_out(record(x))).encode())
    texts = [element.text or "" for element in root.iter(f"{SVG}text")]
    printable = "".join(c if c not in "\n\a\0\ud800" else " " for c in name)
    assert texts == [printable, "() float64"]


# -- where everything stands --------------------------------------------------------


class Both(Function):
    def forward(self, x0: Any, x1: Any) -> Any:
        return x0 + x1, x0 - x1

    def backward(self, gy0: Variable, gy1: Variable) -> Any:
        raise NotImplementedError


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Graphs of random programs: reused values, numbers, several outputs."""
    values = [named([1.0, 2.0], "a"), Parameter(np.ones(2), "W")]
    for kind in draw(st.lists(st.integers(0, 3), min_size=1, max_size=15)):
        x, y = (values[draw(st.integers(0, len(values) - 1))] for _ in range(2))
        if kind == 0:
            values += Both()(x, y)
        else:
            values.append([F.sin(x), x * 3.0, x + y][kind - 1])
    return record(tuple(values[-draw(st.integers(1, 3)) :]))


def check(drawing: Drawing) -> None:
    """Rows are generations, nothing stands on another, every edge is drawn."""
    rows_are_generations(drawing)
    boxes_stand_apart(drawing)
    every_edge_is_drawn(drawing)


def rows_are_generations(drawing: Drawing) -> None:
    bands = {row.generation: row for row in drawing.rows}
    assert list(bands) == sorted(bands)
    tops = [row.top for row in drawing.rows]
    assert tops == sorted(tops)
    for node, box in zip(drawing.graph.nodes, drawing.boxes, strict=True):
        if node.generation is not None:
            band = bands[node.generation]
            assert band.top <= box.y - box.height / 2
            assert box.y + box.height / 2 <= band.bottom
        else:
            assert not any(band.top < box.y < band.bottom for band in drawing.rows)
    for start, end in drawing.graph.edges:
        assert drawing.boxes[start].y < drawing.boxes[end].y


def boxes_stand_apart(drawing: Drawing) -> None:
    boxes = drawing.boxes
    for box in boxes:
        assert box.width / 2 <= box.x <= drawing.width - box.width / 2
        assert box.height / 2 <= box.y <= drawing.height - box.height / 2
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert (
                abs(a.x - b.x) >= (a.width + b.width) / 2 + 5
                or abs(a.y - b.y) >= (a.height + b.height) / 2 + 5
            )


def every_edge_is_drawn(drawing: Drawing) -> None:
    arrows = Counter(
        (line.source, line.target) for line in drawing.lines if line.target is not None
    )
    assert arrows == Counter(drawing.graph.edges)
    reached = {
        (line.source, line.points[-1]) for line in drawing.lines if line.target is None
    }
    for line in drawing.lines:
        source = drawing.boxes[line.source]
        x, y = line.points[0]
        from_box = y == source.y + source.height / 2
        assert (line.source, (x, y)) in reached or (
            from_box and abs(x - source.x) <= source.width / 2
        )
        if line.target is not None:
            target = drawing.boxes[line.target]
            x, y = line.points[-1]
            assert y == target.y - target.height / 2
            assert abs(x - target.x) <= target.width / 2


def no_line_runs_through_a_box(drawing: Drawing) -> None:
    centers = np.array([(box.x, box.y) for box in drawing.boxes])
    halves = np.array([(box.width / 2, box.height / 2) for box in drawing.boxes])
    for line in drawing.lines:
        points = points_along(line)[:, None]  # (points, 1, 2) against (boxes, 2)
        inside = (abs(points - centers) < halves - 0.01).all(axis=2).any(axis=0)
        inside[[line.source, line.target or line.source]] = False
        assert not inside.any()


def points_along(line: Line) -> Any:
    """Points (n, 2) of a line: both control points of a curve are at half height."""
    t = np.linspace(0, 1, 9)[:, None]
    starts, ends = np.array(line.points[:-1]), np.array(line.points[1:])
    middle = (starts[:, 1] + ends[:, 1]) / 2
    controls = [np.stack([p[:, 0], middle], axis=1) for p in (starts, ends)]
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    corners = (starts, *controls, ends)
    curves = sum(w[:, None] * p for w, p in zip(weights, corners, strict=True))
    return np.asarray(curves).reshape(-1, 2)


@settings(max_examples=50)
@given(graphs())
def test_any_drawing_can_be_read(graph: Graph) -> None:
    drawing = lay_out(graph)
    check(drawing)
    no_line_runs_through_a_box(drawing)


@pytest.mark.parametrize(
    "make", [diamond, lambda: tanh_derivative(4), network_loss, lambda: named(1.0, "x")]
)
@pytest.mark.parametrize("verbose", [False, True])
def test_drawings_of_the_book_can_be_read(make: Any, verbose: bool) -> None:
    drawing = lay_out(record(make(), verbose))
    check(drawing)
    no_line_runs_through_a_box(drawing)


def test_a_diamond_is_symmetric() -> None:
    drawing = lay_out(record(diamond()))
    x, first, a, left, _, right, _, last, y = drawing.boxes
    assert len({round(box.x, 6) for box in (x, first, a, last, y)}) == 1
    assert a.x - left.x == pytest.approx(right.x - a.x)
    assert left.y == right.y


def test_a_leaf_stands_right_above_its_first_reader() -> None:
    x, t = named(1.0, "x"), named(2.0, "t")
    graph = record(F.sin(F.exp(F.exp(x))) * t)
    rows = {node.title: box.y for node, box in boxes_of(lay_out(graph))}
    assert rows["Sin"] < rows["t"] < rows["Mul"]


def boxes_of(drawing: Drawing) -> Any:
    return zip(drawing.graph.nodes, drawing.boxes, strict=True)


def test_a_network_hangs_on_one_straight_line() -> None:
    loss = network_loss()
    drawing = lay_out(record(loss))
    functions = [box.x for node, box in boxes_of(drawing) if node.kind is Kind.FUNCTION]
    assert len({round(x, 6) for x in functions}) == 1


def test_a_long_line_is_straight() -> None:
    x = named(1.0, "x")
    y = x
    for _ in range(20):
        y = F.sin(y)
    drawing = lay_out(record(y * x))
    bends = {
        round(line.points[-1][0], 6)
        for line in drawing.lines
        if line.source == 0 and line.target is None
    }
    assert len(bends) == 1


def test_empty_generations_take_no_room() -> None:
    x = named(1.0, "x")
    for _ in range(50):
        x = F.sin(x)
    y = F.sin(F.exp(x))
    x.unchain()
    drawing = lay_out(record(y))
    check(drawing)
    assert [row.generation for row in drawing.rows] == [0, 51]
    assert drawing.height < 250


def test_lines_too_long_for_bends_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "_MOST_BENDS", 12)
    check(lay_out(record(tanh_derivative(3))))


def test_a_graph_of_ten_thousand_nodes() -> None:
    x = named(1.0, "x")
    y = x
    for _ in range(1000):
        y = F.sin(y) + x
    y.backward(create_graph=True)
    graph = record(x.grad)
    assert len(graph.nodes) > 9_000
    drawing = lay_out(graph)
    rows_are_generations(drawing)
    every_edge_is_drawn(drawing)


def test_text_fits_its_box() -> None:
    font = pytest.importorskip("matplotlib.textpath").TextPath
    for text in ("SoftmaxCrossEntropy", "(100, 16, 28, 28) float32", "l0/W", "WiljM@%"):
        width = font((0, 0), text, size=100).get_extents().width
        assert width <= text_width(text, 100) <= width * 1.15


def test_long_names_lose_their_middle() -> None:
    name = "first" + "x" * 100 + "last"
    assert len(shortened(name)) == 40
    assert shortened(name).startswith("first")
    assert shortened(name).endswith("last")
    x = named(1.0, name)
    assert node_size(record(x).nodes[0])[0] < 500
    assert f"<title>{name}</title>" in to_svg(lay_out(record(x)))


# -- files --------------------------------------------------------------------------


def test_svg_has_every_node_and_edge() -> None:
    root = ET.fromstring(to_svg(lay_out(record(diamond()))))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert texts.count("Pow") == 3
    assert texts.count("() float64") == 5
    assert [text for text in texts if text and text.isdigit()] == ["0", "1", "2"]
    assert len(list(root.iter(f"{SVG}polygon"))) == 9
    (title,) = root.findall(f"{SVG}title")
    assert title.text == "Computational graph: 4 Functions, 5 Variables"


def test_pictures_are_the_same_in_every_run(tmp_path: Path) -> None:
    program = (
        "import numpy as np, dezero.functions as F, sys\n"
        "from dezero import Variable\n"
        "from dezero.utils import get_dot_graph, plot_dot_graph\n"
        "x = Variable(np.array(1.0), 'x')\n"
        "F.tanh(x).backward(create_graph=True)\n"
        "for _ in range(3):\n"
        "    gx = x.grad; x.cleargrad(); gx.backward(create_graph=True)\n"
        "plot_dot_graph(x.grad, to_file=sys.argv[1])\n"
        "print(get_dot_graph(x.grad))\n"
    )
    runs = []
    for seed in ("1", "2"):
        path = tmp_path / f"{seed}.svg"
        done = subprocess.run(
            [sys.executable, "-c", program, str(path)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        )
        runs.append((done.stdout, path.read_bytes()))
    assert runs[0] == runs[1]


@pytest.mark.usefixtures("no_dot")
@pytest.mark.parametrize(
    ("ending", "start"),
    [
        ("png", PNG),
        ("PNG", PNG),
        ("pdf", b"%PDF"),
        ("jpg", b"\xff\xd8"),
        ("svg", b"<svg"),
        ("dot", b"digraph g {"),
        ("gv", b"digraph g {"),
    ],
)
def test_formats_without_graphviz(tmp_path: Path, ending: str, start: bytes) -> None:
    path = tmp_path / f"graph.{ending}"
    assert plot_dot_graph(diamond(), to_file=path) == path
    first = path.read_bytes()
    assert first.startswith(start)
    plot_dot_graph(diamond(), to_file=str(path))
    assert path.read_bytes() == first
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.usefixtures("no_dot")
def test_a_picture_has_two_pixels_for_one_of_the_drawing(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / "graph.png"
    plot_dot_graph(diamond(), to_file=path)
    drawing = lay_out(record(diamond()))
    with image.open(path) as picture:
        assert picture.width == pytest.approx(2 * drawing.width, abs=2)
        assert picture.height == pytest.approx(2 * drawing.height, abs=2)
        colors = {color for _, color in picture.convert("RGB").getcolors(1 << 20)}
    assert {(0xFD, 0xFC, 0xFA), (0xE3, 0xED, 0xF9), (0xFD, 0xEC, 0xCD)} <= colors


def test_a_huge_picture_shrinks() -> None:
    image = pytest.importorskip("PIL.Image")
    small = lay_out(record(diamond()))
    huge = replace(small, width=60_000.0, height=100.0)
    with image.open(BytesIO(to_picture(huge, "png"))) as picture:
        assert picture.size == (30_000, 50)


@pytest.mark.usefixtures("no_dot")
@pytest.mark.parametrize("name", ["$x^2$", "변수 é ∂", "a_{b", NASTY])
def test_any_name_can_be_drawn(tmp_path: Path, name: str) -> None:
    x = named(1.0, name)
    path = tmp_path / "graph.png"
    plot_dot_graph(F.exp(x), to_file=path)
    assert path.read_bytes().startswith(PNG)


@pytest.mark.usefixtures("no_dot")
@pytest.mark.parametrize(
    "name", [NASTY, "with space.png", "$(touch pwned).png", "-o.png", "a;b|c&d.svg"]
)
def test_file_names_are_only_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    name = name if name.endswith((".png", ".svg")) else name.replace("/", "") + ".png"
    assert plot_dot_graph(diamond(), to_file=name) == Path(name)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_graphviz_gets_text_and_gives_a_picture(fake_dot: Any, tmp_path: Path) -> None:
    folder = fake_dot("sys.stdout.write('drawn')")
    x = named(1.0, NASTY)
    y = F.exp(x)
    path = tmp_path / f"{NASTY}.png"
    assert plot_dot_graph(y, to_file=path) == path
    assert path.read_bytes() == b"drawn"
    argv, text = json.loads((folder / "called").read_text())
    assert argv == ["-Tpng"]
    assert text == get_dot_graph(y)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(
        ["bin", path.name]
    )


def test_graphviz_makes_formats_that_nobody_else_can(
    fake_dot: Any, tmp_path: Path
) -> None:
    fake_dot("sys.stdout.write('moving')")
    plot_dot_graph(diamond(), to_file=tmp_path / "graph.gif")
    assert (tmp_path / "graph.gif").read_bytes() == b"moving"


def test_svg_and_dot_never_need_graphviz(fake_dot: Any, tmp_path: Path) -> None:
    folder = fake_dot("sys.stdout.write('drawn')")
    plot_dot_graph(diamond(), to_file=tmp_path / "graph.svg")
    plot_dot_graph(diamond(), to_file=tmp_path / "graph.dot")
    assert not (folder / "called").exists()
    assert (tmp_path / "graph.dot").read_text() == get_dot_graph(diamond())


@pytest.mark.parametrize("body", ["sys.exit(1)", "time.sleep(60)"])
def test_a_graphviz_that_fails_or_hangs_is_done_without(
    fake_dot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    monkeypatch.setattr(dot, "_PATIENCE", 1.0)
    fake_dot(body)
    path = tmp_path / "graph.png"
    plot_dot_graph(diamond(), to_file=path)
    assert path.read_bytes().startswith(PNG)


@pytest.mark.usefixtures("no_dot")
def test_without_matplotlib_the_picture_is_an_svg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.warns(UserWarning, match="matplotlib") as caught:
        path = plot_dot_graph(diamond(), to_file=tmp_path / "graph.png")
    (warning,) = caught
    assert str(warning.message) == (
        "plot_dot_graph: expected the library 'matplotlib', which is not installed; "
        "write: pip install 'dezero[plot]'; the picture is in graph.svg"
    )
    assert warning.filename == __file__
    assert path == tmp_path / "graph.svg"
    assert path.read_text() == to_svg(lay_out(record(diamond())))
    assert not (tmp_path / "graph.png").exists()


@pytest.mark.usefixtures("no_dot")
def test_a_format_that_nobody_knows_is_an_svg(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="expected a file") as caught:
        path = plot_dot_graph(diamond(), to_file=tmp_path / "graph.xyz")
    assert str(caught[0].message) == (
        "plot_dot_graph: expected a file that ends in .svg, .dot, .png, .pdf, .jpg, "
        ".jpeg, .webp, .tif, .tiff, .eps, .ps, got '.xyz'; the picture is in graph.svg"
    )
    assert path == tmp_path / "graph.svg"


def test_a_notebook_gets_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = types.SimpleNamespace(get_ipython=lambda: object())
    display = types.SimpleNamespace(
        SVG=lambda filename: ("SVG", filename),
        Image=lambda filename: ("Image", filename),
    )
    monkeypatch.setitem(sys.modules, "IPython", running)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    for ending, expected in (("svg", "SVG"), ("png", "Image")):
        path = tmp_path / f"graph.{ending}"
        assert plot_dot_graph(diamond(), to_file=path) == (expected, str(path))
    assert plot_dot_graph(diamond(), to_file=tmp_path / "g.dot") == tmp_path / "g.dot"
    running.get_ipython = lambda: None
    assert plot_dot_graph(diamond(), to_file=path) == path


def test_import_dezero_loads_nothing_that_draws() -> None:
    program = (
        "import sys, numpy\n"
        "before = set(sys.modules)  # an older NumPy has some of these, too\n"
        "import dezero\n"
        "assert dezero.models.Model.plot and dezero.utils.plot_dot_graph\n"
        "heavy = ('matplotlib', 'subprocess', 'dezero.viz.layout', 'IPython')\n"
        "print([name for name in heavy if name in sys.modules.keys() - before])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    assert done.stdout == "[]\n"


# -- models -------------------------------------------------------------------------


def test_plot_of_a_model_names_parameters_as_files_do(tmp_path: Path) -> None:
    model = dezero.models.MLP((4, 1))
    path = tmp_path / "model.dot"
    assert model.plot(Variable(np.ones((5, 3)), name="x"), to_file=path) == path
    text = path.read_text()
    for label in ("x: (5, 3)", "l0/W: (3, 4)", "l0/b: (4,)", "l1/W: (4, 1)"):
        assert f'label="{label} ' in text
    assert [param.name for param in model.params()] == ["W", "b", "W", "b"]


def test_plot_of_a_model_under_no_grad(tmp_path: Path) -> None:
    model = dezero.models.MLP((4, 1))
    with dezero.no_grad():
        model.plot(np.ones((5, 3)), to_file=tmp_path / "model.dot")
    assert (tmp_path / "model.dot").read_text().count("Linear") == 2


def test_pictures_of_the_docs_are_up_to_date() -> None:
    script = Path(__file__).parents[1] / "docs" / "make_images.py"
    spec = importlib.util.spec_from_file_location("make_images", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, (make, verbose) in module.PICTURES.items():
        committed = (module.IMAGES / f"{name}.svg").read_text(encoding="utf-8")
        assert committed == to_svg(lay_out(record(make(), verbose))), name
