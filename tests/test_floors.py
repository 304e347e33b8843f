"""The house: imports only go down, never in a circle, and hide in no function.

A file may import from its own room or its own floor, and from every floor below. The
names of the book stand beside the stairs: they look in wherever they like below the
top floor, and only the front door looks at them.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import dezero

SOURCE = Path(dezero.__file__).parent

FLOORS = {
    "dezero.config": 0,
    "dezero.errors": 0,
    "dezero.version": 0,
    "dezero.backend": 0,
    "dezero.random": 0,
    "dezero.core": 1,
    "dezero.functions": 2,
    "dezero.operators": 2,
    "dezero.autodiff": 2,
    "dezero.gradcheck": 2,
    "dezero.init": 2,
    "dezero.layers": 3,
    "dezero.optimizers": 3,
    "dezero.data": 3,
    "dezero.models": 4,
    "dezero.train": 4,
    "dezero.viz": 5,
    "dezero.io": 5,
    "dezero.parallel": 5,
    "dezero.cli": 5,
    "dezero.demo": 5,
    "dezero.__main__": 5,
}
# The stairs within the engine, from the bottom.
CORE = (
    *("variable", "debug", "function", "assignment", "broadcast", "examples"),
    "backward",
)
BOOK = {
    f"dezero.{name}"
    for name in (
        "core_simple",
        "functions_conv",
        "datasets",
        "dataloaders",
        "transforms",
        "utils",
        "cuda",
    )
}
# The tower beside the house: it knows arrays; its door alone knows the engine.
TOWER, TOWER_DOOR = "dezero.compiler", "dezero.compiler.api"
OPTIONAL = {
    *("cupy", "matplotlib", "PIL", "IPython", "llvmlite", "mpi4py", "onnx"),
    *("safetensors", "tokenizers", "tensorboardX", "tomli", "tomllib"),
}
# What may be imported within functions because `import dezero` would be slow with it:
# of the standard library, and by the doors of rooms that few programs enter.
SLOW = {"difflib", "gzip", "hashlib", "http", "tarfile", "urllib", "zipfile"}
DOORS = {
    "dezero.viz.plot": "dezero.viz",
    "dezero.data.loader": "dezero.data.processes",
}


def floor(module: str) -> float | None:
    """On which floor a module stands; fractions are the stairs within the engine."""
    parts = module.split(".")
    if ".".join(parts[:2]) == "dezero.core" and len(parts) > 2:
        return 1 + CORE.index(parts[2]) / 10 if parts[2] in CORE else None
    if module == "dezero.core":
        return 1.9
    return FLOORS.get(".".join(parts[:2]))


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def imported(
    tree: ast.AST, known: set[str], inside: bool = False
) -> Iterator[tuple[str, bool]]:
    """Each module that a file imports, and whether a function hides the import."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from imported(ast.Module(node.orelse, []), known, inside)
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            module = node.module or ""
            for alias in node.names:
                submodule = f"{module}.{alias.name}"
                yield submodule if submodule in known else module, inside
        elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant):
                    yield str(argument.value), inside
        function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        yield from imported(node, known, inside or function)


def fault(module: str, target: str, inside: bool) -> str | None:
    """What is wrong with one import, if anything."""
    top = target.split(".")[0]
    if top != "dezero":
        if top in OPTIONAL:
            return None if inside else "an optional library at the top of a file"
        if top in sys.stdlib_module_names:
            hidden = inside and top not in SLOW
            return "hidden in a function" if hidden else None
        return None if top == "numpy" else "a library that nobody installs"
    if inside and not (module in DOORS and within(target, DOORS[module])):
        return "hidden in a function"
    if module == "dezero":
        return None
    if target == "dezero":
        return "through the front door"
    if target in BOOK:
        return "a name of the book"
    if within(target, TOWER):
        allowed = within(module, TOWER) or (floor(module) or 0) >= 4
        return None if allowed else "into the tower"
    below = floor(target)
    if below is None:
        return "a module that stands on no floor"
    if within(module, TOWER):
        door = module == TOWER_DOOR
        return None if below < (2 if door else 1) else "out of the tower"
    if module in BOOK:
        return None if below < 5 or within(target, "dezero.viz") else "upwards"
    here = floor(module)
    if here is None:
        return "from a module that stands on no floor"
    return None if below <= here else "upwards"


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in a ring, or nothing."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for target in sorted(arrows.get(module, ())):
            if ring := visit(target, [*path, module]):
                return ring
        done.add(module)
        return []

    for module in sorted(arrows):
        if ring := visit(module, []):
            return ring
    return []


def faults(files: dict[str, str]) -> list[str]:
    """All that is wrong with the imports of a package, given as texts by module."""
    known = set(files)
    found = []
    arrows: dict[str, set[str]] = {}
    for module, text in files.items():
        for target, inside in imported(ast.parse(text), known):
            if wrong := fault(module, target, inside):
                found.append(f"{module} imports {target}: {wrong}")
            arrows.setdefault(module, set()).add(target)
    if ring := circle(arrows):
        found.append("a circle: " + " → ".join(ring))
    return found


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_imports_go_down_only() -> None:
    files = {module_name(p): p.read_text("utf-8") for p in SOURCE.rglob("*.py")}
    assert len(files) > 20
    assert faults(files) == []


@pytest.mark.parametrize(
    ("module", "text", "wrong"),
    [
        (
            "dezero.core.function",
            "from dezero.layers import Layer",
            "dezero.core.function imports dezero.layers: upwards",
        ),
        (
            "dezero.core.variable",
            "import dezero.core.backward",
            "dezero.core.variable imports dezero.core.backward: upwards",
        ),
        (
            "dezero.core.broadcast",
            "from dezero.core import Variable",
            "dezero.core.broadcast imports dezero.core: upwards",
        ),
        (
            "dezero.backend",
            "from dezero import core",
            "dezero.backend imports dezero.core: upwards",
        ),
        (
            "dezero.layers.linear",
            "from dezero.models.model import Model",
            "dezero.layers.linear imports dezero.models.model: upwards",
        ),
        (
            "dezero.models",
            "try:\n    import dezero.viz\nexcept ImportError:\n    pass",
            "dezero.models imports dezero.viz: upwards",
        ),
        (
            "dezero.functions.loss",
            "import dezero",
            "dezero.functions.loss imports dezero: through the front door",
        ),
        (
            "dezero.functions.loss",
            "from dezero import Variable",
            "dezero.functions.loss imports dezero: through the front door",
        ),
        (
            "dezero.train.loop",
            "from dezero import utils",
            "dezero.train.loop imports dezero.utils: a name of the book",
        ),
        (
            "dezero.utils",
            "from dezero.datasets import Spiral",
            "dezero.utils imports dezero.datasets: a name of the book",
        ),
        (
            "dezero.utils",
            "from dezero.cli import main",
            "dezero.utils imports dezero.cli: upwards",
        ),
        (
            "dezero.functions.loss",
            "def f():\n    from dezero.core import Variable",
            "dezero.functions.loss imports dezero.core: hidden in a function",
        ),
        (
            "dezero.functions.loss",
            "f = lambda: importlib.import_module('dezero.layers')",
            "dezero.functions.loss imports dezero.layers: hidden in a function",
        ),
        (
            "dezero.functions.loss",
            "class A:\n    async def f(self):\n        import math",
            "dezero.functions.loss imports math: hidden in a function",
        ),
        (
            "dezero.viz.picture",
            "import matplotlib.pyplot as plt",
            "dezero.viz.picture imports matplotlib.pyplot: "
            "an optional library at the top of a file",
        ),
        (
            "dezero.data.files",
            "def f():\n    import pandas",
            "dezero.data.files imports pandas: a library that nobody installs",
        ),
        (
            "dezero.newcomer",
            "from dezero.core import Variable",
            "dezero.newcomer imports dezero.core: "
            "from a module that stands on no floor",
        ),
        (
            "dezero.core.newcomer",
            "from dezero.core.variable import Variable",
            "dezero.core.newcomer imports dezero.core.variable: "
            "from a module that stands on no floor",
        ),
        (
            "dezero.cli",
            "from dezero.newcomer import anything",
            "dezero.cli imports dezero.newcomer: a module that stands on no floor",
        ),
        (
            "dezero.compiler.trace",
            "from dezero.core import Function",
            "dezero.compiler.trace imports dezero.core: out of the tower",
        ),
        (
            "dezero.compiler.api",
            "from dezero.layers import Layer",
            "dezero.compiler.api imports dezero.layers: out of the tower",
        ),
        (
            "dezero.layers",
            "from dezero.compiler.api import compile",
            "dezero.layers imports dezero.compiler.api: into the tower",
        ),
    ],
)
def test_the_checker_sees(module: str, text: str, wrong: str) -> None:
    files = {"dezero": "", "dezero.core": "", "dezero.utils": "", module: text}
    assert faults(files) == [wrong]


def test_the_checker_sees_a_circle() -> None:
    files = {
        "dezero.functions": "from dezero.functions.loss import mean_squared_error",
        "dezero.functions.loss": "from dezero.functions.shape import reshape",
        "dezero.functions.shape": "from dezero.functions import loss",
    }
    ring = "dezero.functions.loss → dezero.functions.shape → dezero.functions.loss"
    assert faults(files) == [f"a circle: {ring}"]
    late = {
        "dezero.viz.plot": "def f():\n    from dezero.viz.svg import draw",
        "dezero.viz.svg": "from dezero.viz.plot import f",
    }
    ring = "dezero.viz.plot → dezero.viz.svg → dezero.viz.plot"
    assert faults(late) == [f"a circle: {ring}"]
    itself = {"dezero.functions.loss": "import dezero.functions.loss"}
    assert faults(itself) == ["a circle: dezero.functions.loss → dezero.functions.loss"]


def test_the_checker_lets_good_houses_stand() -> None:
    files = {
        "dezero": "from dezero import utils\nimport dezero.compiler.api",
        "dezero.config": "import threading\nfrom dezero.errors import closest",
        "dezero.core.variable": (
            "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    from dezero.core.function import Function\n"
            "else:\n    import numpy as np"
        ),
        "dezero.core.function": "from dezero.core.variable import Variable",
        "dezero.core": "from dezero.core.function import Function",
        "dezero.functions.shape": "from dezero.core import Function",
        "dezero.functions": "from dezero.functions.shape import reshape",
        "dezero.operators": "from dezero import functions as F",
        "dezero.data.files": "def f():\n    import PIL.Image\n    import tarfile",
        "dezero.utils": "from dezero.viz import plot\nfrom dezero.train import loop",
        "dezero.compiler.api": "from dezero.core import Variable",
        "dezero.compiler.ir": "from dezero.backend import Array",
        "dezero.cli": "from dezero.compiler.api import compile\nimport dezero.demo",
    }
    assert faults(files) == []


PROBE = """
import sys
before = set(sys.modules)
import dezero
after = {name.split(".")[0] for name in set(sys.modules) - before}
print(*sorted(after - sys.stdlib_module_names))
"""


def test_importing_dezero_imports_numpy_and_nothing_else() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["dezero", "numpy"]
