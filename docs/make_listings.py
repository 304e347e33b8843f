"""Make the listings of ``docs/compile.md`` by running the programs that stand there.

    python docs/make_listings.py

Each is written between ``<!-- listing: name -->`` and ``<!-- end -->``. To be easier to
read they differ from what ``lower`` gives: kernels are named by letters, in the order
of the program, not by the hash of their text; numbers stand where they are used, not on
lines of their own; and some lines are cut, which … shows. Two runs write the same, and
so do two machines, except for ``assembly``.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import re
import string
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dezero.compiler import llvm
from dezero.compiler.ir import OPERATIONS, Graph
from dezero.compiler.products import PASSES

PAGE = Path(__file__).with_name("compile.md")
COMMAND = "python docs/make_listings.py"
PLACE = re.compile(r"(?<=<!-- listing: )(\w+)( -->\n).*?(?=<!-- end -->)", re.S)
WIDTH = 88

Names = dict[str, Any]


# -- the programs of the page -------------------------------------------------------


def programs(page: str) -> list[str]:
    """The blocks of Python, in order."""
    return re.findall(r"```python\n(.*?)```", page, re.S)


def run(page: str) -> Names:
    """Run all programs of the page, one after the other; what they leave behind."""
    names: Names = {}
    for program in programs(page):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(program, "step.py", "exec"), names)
    return names


def lowered(names: Names, stage: str) -> str:
    """A stage of the step, with letters for the names of its kernels."""
    text: str = names["step"].lower(names["x"], names["t"], stage=stage)
    order = names["step"].lower(names["x"], names["t"], stage="fused")
    kernels = dict.fromkeys(re.findall(r"^kernel (k\w+) over", order, re.M))
    for letter, name in zip(string.ascii_uppercase, kernels, strict=False):
        text = text.replace(name, letter).replace(f"[{name[:8]}]", f"[{letter}]")
    return text


def traced_program(names: Names) -> Any:
    """What the step was compiled to."""
    (programs,) = names["step"]._programs.values()
    return programs[-1]


# -- listings -----------------------------------------------------------------------


def with_numbers(lines: list[str], graph: Graph) -> list[str]:
    """Text about a graph, with its constant numbers in place of their names."""
    numbers = {
        f"%{i}": f"{node.attrs['value']}"
        for i, node in enumerate(graph.nodes)
        if node.op == "full" and not node.shape
    }
    return [
        re.sub(r"(?<= )%\d+", lambda name: numbers.get(name[0], name[0]), line)
        for line in lines
        if line.partition(":")[0] not in numbers
    ]


def traced(names: Names) -> str:
    """The step as it was traced, where it finds its inputs, and one of the updates."""
    program = traced_program(names)
    lines = str(program.traced).splitlines()
    for cell in program.inputs:
        at = program.traced.nodes.index(cell.node)
        lines[at] = f"{lines[at]:26}; {cell.place}"
    lines = with_numbers(lines, program.traced)
    rate = next(i for i, line in enumerate(lines) if line.endswith("SGD.lr"))
    lines[rate + 4 : -1] = ["…  and the same for the other three parameters"]
    return "\n".join(wrapped(lines))


def operations(names: Names) -> str:
    """The closed set, by kinds."""
    kinds: dict[str, list[str]] = {}
    for name, operation in OPERATIONS.items():
        kinds.setdefault(operation.kind, []).append(name)
    lines = [f"{kind:8} {' '.join(found)}" for kind, found in kinds.items()]
    half = (len(lines) + 1) // 2
    pairs = itertools.zip_longest(lines[:half], lines[half:], fillvalue="")
    return "\n".join(f"{a:34}{b}".rstrip() for a, b in pairs)


def passes(names: Names) -> str:
    """What each pass that changed something took away and put there."""
    graph = traced_program(names).traced
    lines = [f"{'as traced':18}{len(graph.nodes):3} operations"]
    for one in PASSES:
        better = one(graph)
        before, after = _operations_of(graph), _operations_of(better)
        if before != after:
            gone, new = _said(before - after), _said(after - before)
            changes = [f"without {gone}"] * bool(gone) + [f"with {new}"] * bool(new)
            lines.append(f"{one.__name__:18}{len(better.nodes):3} {'; '.join(changes)}")
        graph = better
    return "\n".join(wrapped(lines, 22))


def _operations_of(graph: Graph) -> Counter[str]:
    return Counter(node.name for node in graph.nodes)


def _said(operations: Counter[str]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(operations.items()))


def fused(names: Names) -> str:
    """The kernels in which there is an ``exp``."""
    groups = lowered(names, "fused").split("\n\n")
    lines = "\n\n".join(g for g in groups if "= exp " in g).splitlines()
    return "\n".join(with_numbers(lines, traced_program(names).graph))


def program(names: Names) -> str:
    """The list of calls; where they are too many, some of the operations of each."""
    lines = []
    for line in lowered(names, "program").splitlines():
        start, bracket, kernel = line.rpartition(" [")
        while len(line) > WIDTH and ", " in start:
            start = start.rpartition(", ")[0]
            line = f"{start}, …{bracket}{kernel}"
        lines.append(line)
    return "\n".join(lines)


def wrapped(lines: list[str], indent: int = 4) -> Iterator[str]:
    for line in lines:
        yield textwrap.fill(
            line, WIDTH, subsequent_indent=" " * indent, break_on_hyphens=False
        )


def _smallest(names: Names) -> str:
    """The letter of the first kernel that only multiplies and subtracts."""
    for group in lowered(names, "fused").split("\n\n"):
        head, *nodes = group.splitlines()
        if [re.sub(r".* = (\w+) .*", r"\1", line) for line in nodes] == [
            "multiply",
            "subtract",
        ]:
            return head.split()[1]
    raise LookupError("make_listings: expected a kernel of multiply and subtract alone")


def llvm_ir(names: Names) -> str:
    """The loop of the smallest kernel, as it was written."""
    start = f"define void @{_smallest(names)}.run("
    text = lowered(names, "llvm")
    text = text[text.index(start) :]
    loop = re.search(r"^(loop\d+)\.body:\n.*?br label %\1\.test\n", text, re.M | re.S)
    assert loop is not None, "a kernel without a loop"
    return textwrap.dedent(loop[0]).rstrip()


def assembly(names: Names) -> str:
    """The same loop in the code of this machine."""
    text = lowered(names, "assembly")
    text = re.split(rf"^{_smallest(names)}\.run:", text, flags=re.M)[1]
    text = text[: text.index(".Lfunc_end")]
    lines = [
        line.expandtabs(8).rstrip()
        for line in text.splitlines()
        if line.strip() and not re.match(r"\s*\.(?!L)", line)
    ]
    loop: list[str] = []
    for i, line in enumerate(lines):
        label = line.partition(":")[0]
        back = [j for j, later in enumerate(lines) if j > i and label in later]
        if line.startswith(".L") and back:  # who jumps back here, has a loop
            loop = lines[i : back[0] + 1]
            break
    native = llvm.native()
    assert native is not None
    return "\n".join([f"# {native.version}", *loop])


def error(call: Callable[[], Any]) -> str:
    """What the call says when it fails."""
    try:
        call()
    except Exception as event:
        lines = f"{type(event).__name__}: {event}".splitlines()
        return "\n".join(wrapped(lines))
    raise AssertionError("make_listings: expected an error, got none")


def reading(names: Names) -> str:
    """What a step that reads a value says; the page has it in a sentence."""
    (careless,) = re.findall(
        r"`(dezero\.compile\(lambda .*?)`", PAGE.read_text("utf-8")
    )
    step = eval(compile(careless, "step.py", "eval"), names)
    return error(lambda: step(names["x"]))


EVERYWHERE = {f.__name__: f for f in (traced, operations, passes, reading)}
WITH_KERNELS = {f.__name__: f for f in (fused, program, llvm_ir)}
OF_THIS_MACHINE = {"assembly": assembly}
LISTINGS = EVERYWHERE | WITH_KERNELS | OF_THIS_MACHINE


# -- the page -----------------------------------------------------------------------


def found(page: str) -> dict[str, str]:
    """The listings as they stand in the page."""
    parts = {match[1]: match[0] for match in PLACE.finditer(page)}
    return {
        name: part.partition("```text\n")[2].rpartition("\n```")[0]
        for name, part in parts.items()
    }


def renewed(page: str, names: Names) -> str:
    """The page with listings made now."""

    def made(match: re.Match[str]) -> str:
        name, rest = match.groups()
        return f"{name}{rest}```text\n{LISTINGS[name](names)}\n```\n"

    return PLACE.sub(made, page)


def main() -> None:
    page = PAGE.read_text("utf-8")
    if llvm.native() is None:
        raise SystemExit(f"make_listings: {llvm.reason_without()}")
    PAGE.write_text(renewed(page, run(page)), encoding="utf-8")


if __name__ == "__main__":
    main()
