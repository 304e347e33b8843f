"""LLVM IR, line by line: values, loops, conditions, vectors in memory.

Who writes a native function begins here. Names are made as they are needed; a loop is
the body of a Python ``for``. Values that change live on the stack, from where LLVM
takes them into registers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator


class Lines:
    """The lines of one function after the other.

    Attributes:
        slots: Where in ``args`` what is asked for by name stands.
        needs: Lines that the module must have.
    """

    def __init__(self) -> None:
        self.slots: dict[str, int] = {}
        self.needs: set[str] = set()
        self.lines: list[str] = []
        self.stack: list[str] = []  # allocas
        self.count = 0

    def function(self, name: str, parameters: str, body: Callable[[], None]) -> str:
        """The text of a function of ``args``; ``body`` writes what it does."""
        self.lines, self.stack = [], []
        body()
        self.write("ret void")
        lines = ["entry:", *self.stack, *self.lines]
        head = f"define void @{name}(ptr noalias %args, {parameters}) nounwind"
        return "\n".join([f"{head} {{", *lines, "}", "", ""])

    def write(self, text: str) -> None:
        self.lines.append("  " + text)

    def label(self, name: str) -> None:
        self.lines.append(f"{name}:")

    def new(self) -> str:
        self.count += 1
        return f"%t{self.count}"

    def value(self, text: str) -> str:
        name = self.new()
        self.write(f"{name} = {text}")
        return name

    def slot(self, name: str) -> int:
        return self.slots.setdefault(name, len(self.slots))

    def argument(self, name: str, kind: str = "i64") -> str:
        """An entry of ``args``, loaded."""
        at = self.value(f"getelementptr i64, ptr %args, i64 {self.slot(name)}")
        return self.value(f"load {kind}, ptr {at}")

    def variable(self, kind: str, initial: str) -> str:
        """Memory for a value that changes; LLVM makes a register of it."""
        self.count += 1
        name = f"%a{self.count}"
        self.stack.append(f"  {name} = alloca {kind}, align 64")
        self.write(f"store {kind} {initial}, ptr {name}")
        return name

    def offset(self, pointer: str, bytes_: str) -> str:
        return self.value(f"getelementptr i8, ptr {pointer}, i64 {bytes_}")

    def loop(self, start: str, stop: str, step: int) -> Iterator[str]:
        """The lines inside ``for`` are the body of a loop; gives its counter."""
        self.count += 1
        name = f"loop{self.count}"
        counter = self.variable("i64", start)
        self.write(f"br label %{name}.test")
        self.label(f"{name}.test")
        i = self.value(f"load i64, ptr {counter}")
        more = self.value(f"icmp slt i64 {i}, {stop}")
        self.write(f"br i1 {more}, label %{name}.body, label %{name}.end")
        self.label(f"{name}.body")
        yield i
        following = self.value(f"add i64 {i}, {step}")
        self.write(f"store i64 {following}, ptr {counter}")
        self.write(f"br label %{name}.test")
        self.label(f"{name}.end")

    def when(self, condition: str) -> Iterator[None]:
        """The lines inside ``for`` run if the condition holds."""
        self.count += 1
        name = f"if{self.count}"
        self.write(f"br i1 {condition}, label %{name}.then, label %{name}.end")
        self.label(f"{name}.then")
        yield
        self.write(f"br label %{name}.end")
        self.label(f"{name}.end")

    def splat(self, kind: str, x: str, lanes: int) -> str:
        """One number, in all lanes."""
        if lanes == 1:
            return x
        wide = f"<{lanes} x {kind}>"
        one = self.value(f"insertelement {wide} poison, {kind} {x}, i64 0")
        return self.value(
            f"shufflevector {wide} {one}, {wide} poison, <{lanes} x i32> "
            "zeroinitializer"
        )

    def intrinsic(self, name: str, kind: str, lanes: int, *xs: str) -> str:
        """A function that LLVM knows for all types."""
        wide = vector(kind, lanes)
        full = f"@llvm.{name}.{'' if lanes == 1 else f'v{lanes}'}{suffix(kind)}"
        self.needs.add(f"declare {wide} {full}({', '.join([wide] * len(xs))})")
        return self.value(f"call {wide} {full}({', '.join(f'{wide} {x}' for x in xs)})")

    # .. memory

    def load(self, kind: str, pointer: str, lanes: int, mask: str | None) -> str:
        """Neighbours in memory; those that ``mask`` leaves out are zero."""
        if kind == "i1":
            x = self.load("i8", pointer, lanes, mask)
            return self.value(f"icmp ne {vector('i8', lanes)} {x}, {zeros(lanes)}")
        wide, align = vector(kind, lanes), bytes_of(kind)
        if mask is None:
            return self.value(f"load {wide}, ptr {pointer}, align {align}")
        return self._fetch("load", "p0", kind, pointer, lanes, mask)

    def store(
        self, kind: str, x: str, pointer: str, lanes: int, mask: str | None
    ) -> None:
        """Put neighbours into memory, but for those that ``mask`` leaves out."""
        if kind == "i1":
            x = self.value(f"zext {vector('i1', lanes)} {x} to {vector('i8', lanes)}")
            kind = "i8"
        wide, align = vector(kind, lanes), bytes_of(kind)
        if mask is None:
            self.write(f"store {wide} {x}, ptr {pointer}, align {align}")
            return
        self._leave("store", "p0", kind, x, pointer, lanes, mask)

    def gather(self, kind: str, places: str, lanes: int, mask: str | None) -> str:
        """A vector of elements that are not neighbours, from their addresses."""
        if kind == "i1":
            x = self.gather("i8", places, lanes, mask)
            return self.value(f"icmp ne {vector('i8', lanes)} {x}, zeroinitializer")
        return self._fetch("gather", f"v{lanes}p0", kind, places, lanes, mask)

    def scatter(
        self, kind: str, x: str, places: str, lanes: int, mask: str | None
    ) -> None:
        """Store a vector at so many addresses."""
        if kind == "i1":
            x = self.value(f"zext {vector('i1', lanes)} {x} to {vector('i8', lanes)}")
            kind = "i8"
        self._leave("scatter", f"v{lanes}p0", kind, x, places, lanes, mask)

    def _fetch(
        self, what: str, where: str, kind: str, at: str, lanes: int, mask: str | None
    ) -> str:
        """A load or gather under a mask; ``where`` is what LLVM calls the addresses."""
        wide, masks, pointers = _types(kind, where, lanes)
        name = f"@llvm.masked.{what}.v{lanes}{suffix(kind)}.{where}"
        self.needs.add(f"declare {wide} {name}({pointers}, i32, {masks}, {wide})")
        return self.value(
            f"call {wide} {name}({pointers} {at}, i32 {bytes_of(kind)}, "
            f"{masks} {mask or 'splat (i1 true)'}, {wide} zeroinitializer)"
        )

    def _leave(
        self, what: str, where: str, kind: str, x: str, at: str, lanes: int,
        mask: str | None,
    ) -> None:  # fmt: skip
        """A store or scatter under a mask."""
        wide, masks, pointers = _types(kind, where, lanes)
        name = f"@llvm.masked.{what}.v{lanes}{suffix(kind)}.{where}"
        self.needs.add(f"declare void {name}({wide}, {pointers}, i32, {masks})")
        self.write(
            f"call void {name}({wide} {x}, {pointers} {at}, i32 {bytes_of(kind)}, "
            f"{masks} {mask or 'splat (i1 true)'})"
        )


def _types(kind: str, where: str, lanes: int) -> tuple[str, str, str]:
    """Of a vector, its mask, and the address or addresses."""
    pointers = vector("ptr", 1 if where == "p0" else lanes)
    return vector(kind, lanes), vector("i1", lanes), pointers


def vector(kind: str, lanes: int) -> str:
    """The type of so many elements in a register."""
    return kind if lanes == 1 else f"<{lanes} x {kind}>"


# In the text of LLVM, for one element and for several.


def zeros(lanes: int) -> str:
    return "0" if lanes == 1 else "zeroinitializer"


def ones(lanes: int) -> str:
    return "true" if lanes == 1 else "splat (i1 true)"


def iota(lanes: int) -> str:
    """0, 1, 2, ..., one in each lane."""
    return "<" + ", ".join(f"i64 {i}" for i in range(lanes)) + ">"


def bytes_of(kind: str) -> int:
    """What an element takes in memory."""
    return {"float": 4, "double": 8, "ptr": 8}.get(kind) or int(kind[1:]) // 8


def suffix(kind: str) -> str:
    """What a type is called in the name of an intrinsic."""
    return {"float": "f32", "double": "f64"}.get(kind, kind)
