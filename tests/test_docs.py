"""What ``docs/compile.md`` shows runs, and its listings are what runs today."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dezero.compiler.llvm import find_llvm

ROOT = Path(__file__).parent.parent
TOWER = ROOT / "src" / "dezero" / "compiler"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


maker = load(ROOT / "docs" / "make_listings.py")
PAGE = maker.PAGE.read_text("utf-8")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the programs of the page leave behind."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEZERO_HOME", str(tmp_path_factory.mktemp("home")))
        yield maker.run(PAGE)


def test_programs(names: dict[str, Any]) -> None:
    assert names["loss"].data < 1.5
    assert f"# lines: {'; '.join(names['lines'])}\n" in PAGE


@pytest.mark.parametrize("name", [*maker.EVERYWHERE, *maker.WITH_KERNELS])
def test_a_listing_is_what_runs_today(name: str, names: dict[str, Any]) -> None:
    if name in maker.WITH_KERNELS and find_llvm() is None:
        pytest.skip("llvmlite is not here, so there are no kernels")
    made, shown = maker.LISTINGS[name](names), maker.found(PAGE)[name]
    assert made == shown, (
        f"docs/compile.md: the listing '{name}' is not what the compiler does today; "
        f"write: {maker.COMMAND}, and see that the text around it is still right"
    )


def test_machine_code_is_there(names: dict[str, Any]) -> None:
    first, *loop = maker.found(PAGE)["assembly"].splitlines()
    assert re.fullmatch(r"# LLVM [\d.]+, .+", first) and len(loop) > 3
    if find_llvm() is not None:
        first, *loop = maker.assembly(names).splitlines()
        assert first.startswith("# LLVM") and len(loop) > 3


def test_every_listing_has_its_place() -> None:
    assert sorted(maker.found(PAGE)) == sorted(maker.LISTINGS)


def test_only_listings_are_rewritten(names: dict[str, Any]) -> None:
    old = re.sub(r"(?<=```text\n).+?(?=\n```)", "old", PAGE, flags=re.S)
    patched = {name: lambda _, name=name: f"### {name}" for name in maker.LISTINGS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maker, "LISTINGS", patched)
        new = maker.renewed(old, names)
    assert maker.found(new) == {name: f"### {name}" for name in maker.LISTINGS}
    assert re.sub(r"### \w+", "old", new) == old


def test_no_room_is_forgotten() -> None:
    table = PAGE[PAGE.index("## Which room") :]
    rooms = {path.name for path in TOWER.glob("*.py")} - {"__init__.py"}
    named = set(re.findall(r"`(\w+\.py)`", table))
    assert named == rooms | {"tracing.py"}


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / link).exists(), link
