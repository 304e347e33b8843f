"""What ``docs/training.md`` shows: programs run, files and commands are right."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import dezero
from dezero import cli
from dezero.cli import config as configs

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "training.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def test_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    programs = [text for text in blocks("python") if "models.GPT" not in text]
    names: dict[str, Any] = {}
    for program in [*programs, programs[-1]]:  # the last resumes from its own
        exec(program, names)
    assert names["history"][-1].test_accuracy > 0.9
    assert names["checkpoint"].steps == 3 * len(names["train"])
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"best.npz", "metrics.csv", "night", "by-hand"}


def test_toml(tmp_path: Path) -> None:
    for i, text in enumerate(blocks("toml")):
        (tmp_path / f"{i}.toml").write_text(text, "utf-8")
        configs.load(tmp_path / f"{i}.toml")
    shown = configs.load(tmp_path / "0.toml")
    for section, keys in configs.DEFAULTS.items():
        assert keys.keys() - {"folder"} <= shown[section].keys()


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/cnn-fashion-mnist", "runs/gpt"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("shirt.png", "gpt.toml"):
        (tmp_path / file).write_text("")
    found = [line[2:] for text in blocks("console") for line in text.splitlines()]
    assert len(found) > 5
    for words in map(shlex.split, found):
        if words[0] == "dezero":
            cli._parse(words[1:])
    for name in cli.COMMANDS:
        assert f"| `dezero {name}` |" in PAGE


def test_names() -> None:
    """What the page calls by name is there."""
    for row in re.findall(r"^\| `(?:metrics|callbacks)` \|(.*)\|$", PAGE, re.MULTILINE):
        for name in re.findall(r"`([A-Z]\w+)`", row):
            assert hasattr(dezero.train, name)


def test_links_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-")
        for line in re.findall(r"^##* (.*)$", PAGE, re.MULTILINE)
    }
    for link in re.findall(r"\]\((?!http)([^)]+)\)", PAGE):
        place, _, heading = link.partition("#")
        assert not place or (DOCS / place).exists(), link
        assert not heading or heading in headings, link
