"""What was compiled, in words: the text behind ``explain()`` and ``lower()``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from dezero.compiler.ir import Node, line_of, type_text
from dezero.compiler.kernel import Kernel
from dezero.compiler.program import Program, Step

STAGES = ("traced", "optimized", "fused", "program", "llvm", "assembly")


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def explained(program: Program) -> str:
    """What one program computes, how, where in memory, and what is left to NumPy.

    Where the time of its steps was measured, each has its share.
    """
    graph, names = program.graph, _names(program)
    kernels = [step for step in program.steps if step.kernel is not None]
    numpy_steps = [step for step in program.steps if step.call is not None]
    products = sum(n.op == "matmul" for s in program.steps for n in s.nodes)
    others = sum(bool(s.nodes) and s.nodes[0].op != "matmul" for s in numpy_steps)
    lines = [
        f"{len(program.traced.nodes)} operations traced, {len(graph.nodes)} after the "
        f"passes: {len(kernels)} kernels ({len({k.name for k in program.kernels})} "
        f"different ones), {products} matrix products, "
        f"{others} calls of NumPy",
        f"memory: {_size(program.arena.nbytes)} for results, "
        f"{_size(sum(h.nbytes for h in program.homes.values()))} of state written in "
        "place",
        "inputs:",
    ]
    lines += [
        f"  {names[cell.node]}: {type_text(cell.node)} from {cell.place}"
        for cell in program.inputs
    ]
    lines.append("calls, in order:")
    total = sum(program.seconds)
    for i, step in enumerate(program.steps):
        share = f"{program.seconds[i] / total:6.1%}  " if total else ""
        lines.append(f"  {share}{_step_text(program, step, names)}")
    stayed = _left_to_numpy(program)
    if stayed:
        lines.append("left to NumPy:")
        lines += [f"  {count} × {why}" for why, count in stayed.most_common()]
    if program.guards:
        lines.append("right only while:")
        lines += [f"  {guard}" for guard in program.guards]
    return "\n".join(lines)


def _names(program: Program) -> dict[Node, str]:
    return {node: f"%{i}" for i, node in enumerate(program.graph.nodes)}


def _step_text(program: Program, step: Step, names: dict[Node, str]) -> str:
    if not step.nodes:
        forgets = step.call == program._forget
        return "forget the old gradients" if forgets else "check: the loss is finite"
    if step.call is not None:
        return "numpy   " + line_of(step.nodes[0], names)
    kernel, threads = step.kernel, program.table[step.entry + step.entries - 1][4]
    at_once = "one thread" if threads == 1 else "all threads"
    if kernel is None:
        node = step.nodes[0]
        kind = "product" if node.op == "matmul" else "windows"
        once = node in program.loops and node.op == "matmul"
        packed = ", the matrix packed once" if once else ""
        return f"{kind} {line_of(node, names)}{packed}, {at_once}"
    layout = kernel.layout
    written = ", ".join(names[n] for n in step.nodes if n in program.wanted)
    operations = Counter(node.name for node in step.nodes)
    said = ", ".join(
        name if count == 1 else f"{count} {name}" for name, count in operations.items()
    )
    return (
        f"kernel  {written} = {layout.rows}×{layout.columns}, {at_once}: {said} "
        f"[{kernel.name[:8]}]"
    )


def _left_to_numpy(program: Program) -> Counter[str]:
    """Why calls stayed NumPy's, and how often."""
    found: Counter[str] = Counter()
    for step in program.steps:
        for node in step.nodes if step.call is not None else ():
            if node.op == "matmul":
                continue  # that is where it belongs
            what = node.name
            if node.op == "call":
                what = getattr(node.attrs["function"], "__name__", "a function")
            why = program.why_numpy.get(node, "no kernel moves or calls like this")
            found[f"{what}: {why}"] += 1
    return found


def lowered(program: Program, stage: str) -> str:
    """The text of one stage on the way from Python to machine code."""
    if stage not in STAGES:
        raise ValueError(
            f"lower: expected a stage of {', '.join(STAGES)}, got '{stage}'"
        )
    if stage == "traced":
        return str(program.traced)
    if stage == "optimized":
        return str(program.graph)
    names = _names(program)
    if stage == "program":
        return "\n".join(_step_text(program, step, names) for step in program.steps)
    if stage == "fused":
        return "\n\n".join(
            _group_text(program, step, names) for step in program.steps if step.nodes
        )
    kernels = list({k.name: k for k in program.kernels}.values())
    if program.native is None or not kernels:
        return ""
    write: Callable[[Kernel], str]
    write = program.native.text if stage == "llvm" else program.native.assembly
    return "\n".join(map(write, kernels))


def _group_text(program: Program, step: Step, names: dict[Node, str]) -> str:
    kernel = step.kernel
    if kernel is None:
        return line_of(step.nodes[0], names)
    group = program.fusion.group_of[step.nodes[0]]
    head = f"kernel {kernel.name} over {kernel.layout.rows}×{kernel.layout.columns}:"
    lines = [head]
    for node, level in group.levels.items():
        written = " → memory" if node in program.wanted else ""
        lines.append(f"  {level:7}{line_of(node, names)}{written}")
    return "\n".join(lines)
