"""What the READMEs show runs, in the order in which they show it."""

import re
from pathlib import Path

import numpy as np
import pytest

import dezero
import dezero.functions as F

ROOT = Path(__file__).parent.parent


def blocks(name):
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text("utf-8"), re.S)


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_programs(name, capsys):
    names = {"np": np, "dezero": dezero, "F": F}
    idea, again, newton, training, compiled, own = blocks(name)
    exec(idea, names)
    assert capsys.readouterr().out == "variable(64.0)\n"
    exec(again, names)
    assert names["x"].grad.data == 96  # (2 x⁴)'' at 2
    exec(newton, names)
    assert names["x"].data == pytest.approx(1)
    exec(training, names)
    assert names["loss"].data < 2
    x, t = next(iter(dezero.DataLoader(dezero.datasets.Digits(), batch_size=64)))
    exec(compiled, names)
    first, second = names["step"](x, t), names["step"](x, t)
    assert second.data < first.data
    exec(own, names)
    x = dezero.Variable(np.array(3.0))
    names["Square"]()(x).backward()
    assert x.grad.data == 6


def test_the_translation_shows_the_same_programs():
    def code(name):
        return [re.sub(r"#.*", "", block) for block in blocks(name)]

    assert code("README.md") == code("README.ko.md")


@pytest.mark.parametrize("name", ["README.md", "README.ko.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text("utf-8")
    links = re.findall(r"\]\((?!http)([^)#]+)\)|src=\"([^\"]+)\"", text)
    assert links or name == "CONTRIBUTING.md"
    for pair in links:
        assert (ROOT / "".join(pair)).exists(), pair
