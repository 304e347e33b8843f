"""``model.summary(x)``: a table of layers, from one run that leaves nothing behind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from dezero import random
from dezero.backend import Array, is_array
from dezero.config import no_grad, test_mode
from dezero.core import Function, Variable
from dezero.core.debug import seen_by
from dezero.layers.places import Holder, best_places


class Row(NamedTuple):
    """A layer, with all that is in it.

    Attributes:
        name: Its name in ``named_layers()``.
        kind: Its class.
        output: The shape of what it gave last; a list of them where it gave several;
            ``None`` if it was not called, as others use its parameters.
        parameters: How many numbers are trained in it. One that is in several layers
            counts in each of them.
        multiply_adds: How often two numbers were multiplied and added to a third in
            products of matrices and convolutions. What works element by element does
            not count.
        memory: The bytes of all arrays that its Functions made, which is about what a
            graph of it keeps.
    """

    name: str
    kind: str
    output: Any
    parameters: int
    multiply_adds: int
    memory: int


class Summary:
    """A table of layers; ``print`` it.

    Attributes:
        rows: A Row for each layer, in the order of definition.
        total: The Row of the whole, of the name ``'total'``.
    """

    def __init__(self, rows: list[Row], total: Row) -> None:
        self.rows = rows
        self.total = total

    def __str__(self) -> str:
        head = ("layer", "kind", "output", "parameters", "multiply-adds", "memory")
        lines = [head, *map(_cells, (*self.rows, self.total))]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if i < 3 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        )

    __repr__ = __str__


def _cells(row: Row) -> tuple[str, ...]:
    output = "" if row.output is None else str(row.output)
    numbers = f"{row.parameters:,}", f"{row.multiply_adds:,}", _bytes(row.memory)
    return (row.name, row.kind, output, *numbers)


def _bytes(n: int) -> str:
    size, unit = float(n), "B"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{n} B" if unit == "B" else f"{size:.1f} {unit}"


class _Count:
    """What was seen of one layer."""

    def __init__(self) -> None:
        self.output: Any = None
        self.multiply_adds = 0
        self.memory = 0


def summary(layer: Any, inputs: tuple[Any, ...]) -> Summary:
    """See ``Layer.summary``."""
    if not inputs:
        raise TypeError(
            "summary: expected what the model is called with, or its shape, got "
            "nothing; write model.summary((1, 3, 224, 224))"
        )
    places = best_places(layer, Holder)
    counts = {one: _Count() for one in places}
    inside: list[_Count] = []  # the layers that are running, from the outermost

    def see(func: Function, xs: list[Array], ys: tuple[Array, ...]) -> None:
        made = sum(
            y.nbytes for y in ys if not any(np.may_share_memory(x, y) for x in xs)
        )
        products = func.multiply_adds(xs, ys)
        for count in dict.fromkeys(inside):  # once, if one is inside of itself
            count.multiply_adds += products
            count.memory += made

    def watched(count: _Count, forward: Any) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            inside.append(count)
            try:
                outputs = forward(*args, **kwargs)
            finally:
                inside.pop()
            count.output = _shape(outputs)
            return outputs

        return run

    with _left_as_it_was(layer, places), no_grad(), test_mode(), seen_by(see):
        for one, count in counts.items():
            one.__dict__["forward"] = watched(count, one.forward)
        with np.errstate(all="ignore"):  # zeros are no example of anything
            layer(*map(_example, inputs))
        rows = [
            Row(
                place.name,
                type(one).__name__,
                counts[one].output,
                sum(p.size for p in one.params() if p.requires_grad),
                counts[one].multiply_adds,
                counts[one].memory,
            )
            for one, place in places.items()
        ]
    total, *rows = rows
    return Summary(rows, total._replace(name="total"))


@contextlib.contextmanager
def _left_as_it_was(root: Any, layers: Iterable[Any]) -> Iterator[None]:
    """Put attributes, parameters and random states back after the block."""
    attributes = [(layer, dict(layer.__dict__)) for layer in layers]
    params = [(param, param.data) for param in root.params()]
    states = random.states()
    try:
        yield
    finally:
        for layer, before in attributes:
            layer.__dict__.clear()
            layer.__dict__.update(before)
        for param, data in params:
            if param.data is not data:
                param.data = data
        for generator, state in states:
            generator.set_state(state)


def _example(x: Any) -> Any:
    shape = isinstance(x, tuple) and all(isinstance(n, (int, np.integer)) for n in x)
    return np.zeros(x, np.float32) if shape else x


def _shape(output: Any) -> Any:
    """The shape of a Variable; of several, a list of them; of other things, nothing."""
    if isinstance(output, Variable) or is_array(output):
        return output.shape
    if isinstance(output, (tuple, list)):
        return [_shape(part) for part in output]
    return None
