"""The compiler from inside: the text of its Graphs, its verifier, and random steps.

A random step is run by NumPy, by the interpreter after the trace and after each pass,
and compiled, with kernels and without. What NumPy computes exactly must be the same to
the bit; sums, products and functions such as exp as near as float32 allows.
"""

from __future__ import annotations

import functools
import random
import re
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import dezero
import dezero.functions as F
from dezero import Variable
from dezero.compiler import MismatchError, api, ir, llvm, program
from dezero.compiler.check import RULES, BrokenGraph, verify
from dezero.compiler.ir import Graph, Hole, Node
from dezero.compiler.kernel import ALIGN
from dezero.compiler.passes import Pass, rebuilt, same
from dezero.compiler.products import PASSES
from dezero.compiler.trace import Creation, Trace
from dezero.models import MLP
from dezero.optimizers import SGD

f4, f8, i8 = np.dtype("f4"), np.dtype("f8"), np.dtype("i8")


@pytest.fixture(scope="module", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of compiled kernels for these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEZERO_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def _forget_llvm() -> None:
    llvm.find_llvm.cache_clear()
    llvm.native.cache_clear()


def _assert_apart(spans: dict[Any, program.Span], offsets: dict[Any, int]) -> None:
    """No two spans that are needed at one time share a byte."""
    ordered = sorted(spans, key=lambda node: offsets[node])
    for i, a in enumerate(ordered):
        for b in ordered[i + 1 :]:
            one, other = spans[a], spans[b]
            together = one.first <= other.last and other.first <= one.last
            empty = not (one.size and other.size)
            assert not together or empty or offsets[a] + one.size <= offsets[b]


needs_llvm = pytest.mark.skipif(llvm.find_llvm() is None, reason="llvmlite is not here")


@pytest.fixture(
    scope="module", params=[pytest.param("kernels", marks=needs_llvm), "numpy"]
)
def _engine(request: pytest.FixtureRequest) -> Iterator[None]:
    """With kernels, and as it is without llvmlite; every arena is looked at."""
    packed = program._packed

    def checked(spans: Any) -> Any:
        offsets, total = packed(spans)
        _assert_apart(spans, offsets)
        return offsets, total

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "_packed", checked)
        if request.param == "numpy":
            patch.setenv("DEZERO_COMPILE", "numpy")
            _forget_llvm()
        yield
    if request.param == "numpy":
        _forget_llvm()


# -- text -----------------------------------------------------------------------------


def traced(step: Callable[..., Any], *arrays: Any) -> Graph:
    """What a function of arrays does, without Variables and state."""
    trace = Trace()
    with Creation(trace).in_place():
        result = step(*map(trace.given, arrays))
    results = result if isinstance(result, tuple) else (result,)
    trace.graph.outputs = [x.node for x in results]
    return trace.graph


def optimized(graph: Graph, passes: Sequence[Pass] = PASSES) -> Graph:
    for one in passes:
        graph = one(graph)
        verify(graph, one.__name__)
    return graph


def ones(*shape: int) -> Any:
    return np.ones(shape, np.float32)


def _sliced_derivatives(x: Any) -> Any:
    upper = np.zeros((4, 3), np.float32)
    upper[:2] = x[:2] * 2
    lower = np.zeros((4, 3), np.float32)
    lower[2:] = x[2:] * 3
    return upper + lower


def _interleaved(x: Any, y: Any) -> Any:
    z = np.zeros(4, np.float32)
    z[::2] = x
    z[1::2] = y
    return z


def _replaced(x: Any) -> Any:
    y = np.zeros(3, np.float32)
    y[...] = x * 2
    return y


TEXTS: dict[str, tuple[Callable[..., Any], list[Any], str, str]] = {
    "layer": (
        lambda x, W, b: np.maximum(x @ W + b, 0).sum(),
        [ones(4, 3), ones(3, 2), ones(2)],
        """
        %0: f32[4,3] = input
        %1: f32[3,2] = input
        %2: f32[2] = input
        %3: f32[4,2] = matmul %0, %1
        %4: f32[4,2] = add %3, %2
        %5: f32[] = full value=0.0
        %6: f32[4,2] = maximum %4, %5
        %7: f32[] = reduce.add %6, axes=(0, 1), keepdims=False
        return %7
        """,
        """
        %0: f32[4,3] = input
        %1: f32[3,2] = input
        %2: f32[2] = input
        %3: f32[4,2] = matmul %0, %1
        %4: f32[4,2] = add %3, %2
        %5: f32[] = full value=0.0
        %6: f32[4,2] = maximum %4, %5
        %7: f32[] = reduce.add %6, axes=(0, 1), keepdims=False
        return %7
        """,
    ),
    "twice, by one, never used": (
        lambda x: (np.exp(x) * 1 + np.exp(x).T.T, np.tanh(x))[0],
        [ones(2, 3)],
        """
        %0: f32[2,3] = input
        %1: f32[2,3] = exp %0
        %2: f32[] = full value=1.0
        %3: f32[2,3] = multiply %1, %2
        %4: f32[2,3] = exp %0
        %5: f32[3,2]{1,0} = transpose %4, axes=(1, 0)
        %6: f32[3,2]{1,0} = transpose %4, axes=(1, 0)
        %7: f32[2,3] = transpose %6, axes=(1, 0)
        %8: f32[2,3] = add %3, %7
        %9: f32[2,3] = tanh %0
        return %8
        """,
        """
        %0: f32[2,3] = input
        %1: f32[2,3] = exp %0
        %2: f32[2,3] = add %1, %1
        return %2
        """,
    ),
    "a column of each row": (
        lambda x, t: x[np.arange(4), t],
        [ones(4, 3), np.zeros(4, np.int64)],
        """
        %0: f32[4,3] = input
        %1: i64[4] = input
        %2: i64[4] = constant value=<int64[4]>
        %3: f32[4] = gather %0, %2, %1, index=(_, _)
        return %3
        """,
        """
        %0: f32[4,3] = input
        %1: i64[4] = input
        %2: i64[3] = constant value=<int64[3]>
        %3: i64[] = full value=0
        %4: bool[4] = less %1, %3
        %5: i64[] = full value=3
        %6: i64[4] = add %1, %5
        %7: i64[4] = where %4, %6, %1
        %8: i64[4,1] = reshape %7
        %9: bool[4,3] = equal %2, %8
        %10: f32[] = full value=0
        %11: f32[4,3] = where %9, %0, %10
        %12: f32[4] = reduce.add %11, axes=(1), keepdims=False
        %13: bool[4] = greater_equal %7, %3
        %14: bool[4] = less %7, %5
        %15: bool[4] = logical_and %13, %14
        %16: bool[] = reduce.logical_and %15, axes=(0), keepdims=False
        %17: bool[] = require %16, %1
        return %12
        """,
    ),
    "derivatives of slices": (
        _sliced_derivatives,
        [ones(4, 3)],
        """
        %0: f32[4,3] = input
        %1: f32[4,3] = full value=0.0
        %2: f32[2,3] = slice %0, index=(:2, Ellipsis)
        %3: f32[] = full value=2.0
        %4: f32[2,3] = multiply %2, %3
        %5: f32[2,3] = slice %1, index=(:2, Ellipsis)
        %6: f32[4,3] = put %1, %4, views=((slice, index=(:2, Ellipsis)))
        %7: f32[4,3] = full value=0.0
        %8: f32[2,3] = slice %0, index=(2:, Ellipsis)
        %9: f32[] = full value=3.0
        %10: f32[2,3] = multiply %8, %9
        %11: f32[2,3] = slice %7, index=(2:, Ellipsis)
        %12: f32[4,3] = put %7, %10, views=((slice, index=(2:, Ellipsis)))
        %13: f32[4,3] = add %6, %12
        return %13
        """,
        """
        %0: f32[4,3] = input
        %1: f32[2,3] = slice %0, index=(:2, Ellipsis)
        %2: f32[] = full value=2.0
        %3: f32[2,3] = multiply %1, %2
        %4: f32[2,3] = slice %0, index=(2:, Ellipsis)
        %5: f32[] = full value=3.0
        %6: f32[2,3] = multiply %4, %5
        %7: f32[4,3] = concatenate %3, %6, axis=0
        return %7
        """,
    ),
    "every element put once": (
        _interleaved,
        [ones(2), ones(2)],
        """
        %0: f32[2] = input
        %1: f32[2] = input
        %2: f32[4] = full value=0.0
        %3: f32[2] = slice %2, index=(::2, Ellipsis)
        %4: f32[4] = put %2, %0, views=((slice, index=(::2, Ellipsis)))
        %5: f32[2] = slice %4, index=(1::2, Ellipsis)
        %6: f32[4] = put %4, %1, views=((slice, index=(1::2, Ellipsis)))
        return %6
        """,
        """
        %0: f32[2] = input
        %1: f32[2] = input
        %2: f32[4] = assemble %0, %1, places=((0:3:2), (1:4:2)), order=(0)
        return %2
        """,
    ),
    "a sum of sums": (
        lambda x: (x.sum((2, 3)).sum(0), x.sum(1).sum(1, keepdims=True)),
        [ones(2, 3, 4, 5)],
        """
        %0: f32[2,3,4,5] = input
        %1: f32[2,3] = reduce.add %0, axes=(2, 3), keepdims=False
        %2: f32[3] = reduce.add %1, axes=(0), keepdims=False
        %3: f32[2,4,5] = reduce.add %0, axes=(1), keepdims=False
        %4: f32[2,1,5] = reduce.add %3, axes=(1), keepdims=True
        return %2, %4
        """,
        """
        %0: f32[2,3,4,5] = input
        %1: f32[3] = reduce.add %0, axes=(0, 2, 3), keepdims=False
        %2: f32[2,4,5] = reduce.add %0, axes=(1), keepdims=False
        %3: f32[2,1,5] = reduce.add %2, axes=(1), keepdims=True
        return %1, %3
        """,
    ),
    "all of it put": (
        _replaced,
        [ones(3)],
        """
        %0: f32[3] = input
        %1: f32[3] = full value=0.0
        %2: f32[] = full value=2.0
        %3: f32[3] = multiply %0, %2
        %4: f32[3] = slice %1, index=(Ellipsis)
        %5: f32[3] = put %1, %3, views=((slice, index=(Ellipsis)))
        return %5
        """,
        """
        %0: f32[3] = input
        %1: f32[] = full value=2.0
        %2: f32[3] = multiply %0, %1
        return %2
        """,
    ),
    "a sum of products": (
        lambda x, y, z, g: x.T @ g + y.T @ g + z.T @ g,
        [ones(4, 3), ones(4, 3), ones(4, 3), ones(4, 2)],
        """
        %0: f32[4,3] = input
        %1: f32[4,3] = input
        %2: f32[4,3] = input
        %3: f32[4,2] = input
        %4: f32[3,4]{1,0} = transpose %0, axes=(1, 0)
        %5: f32[3,2] = matmul %4, %3
        %6: f32[3,4]{1,0} = transpose %1, axes=(1, 0)
        %7: f32[3,2] = matmul %6, %3
        %8: f32[3,2] = add %5, %7
        %9: f32[3,4]{1,0} = transpose %2, axes=(1, 0)
        %10: f32[3,2] = matmul %9, %3
        %11: f32[3,2] = add %8, %10
        return %11
        """,
        """
        %0: f32[4,3] = input
        %1: f32[4,3] = input
        %2: f32[4,3] = input
        %3: f32[4,2] = input
        %4: f32[4,3] = copy %0, order=C
        %5: f32[4,3] = copy %1, order=C
        %6: f32[4,3] = copy %2, order=C
        %7: f32[12,3] = concatenate %4, %5, %6, axis=0
        %8: f32[3,12]{1,0} = transpose %7, axes=(1, 0)
        %9: f32[4,2] = copy %3, order=C
        %10: f32[4,2] = copy %3, order=C
        %11: f32[4,2] = copy %3, order=C
        %12: f32[12,2] = concatenate %9, %10, %11, axis=0
        %13: f32[3,2] = matmul %8, %12
        return %13
        """,
    ),
    "products by one matrix": (
        lambda x, y, z, W: (np.tanh(x) @ W, y @ W, z @ W),
        [ones(2, 4, 3), ones(4, 3), ones(4, 3), ones(3, 2)],
        """
        %0: f32[2,4,3] = input
        %1: f32[4,3] = input
        %2: f32[4,3] = input
        %3: f32[3,2] = input
        %4: f32[2,4,3] = tanh %0
        %5: f32[2,4,2] = matmul %4, %3
        %6: f32[4,2] = matmul %1, %3
        %7: f32[4,2] = matmul %2, %3
        return %5, %6, %7
        """,
        """
        %0: f32[2,4,3] = input
        %1: f32[4,3] = input
        %2: f32[4,3] = input
        %3: f32[3,2] = input
        %4: f32[2,4,3] = tanh %0
        %5: f32[8,3] = reshape %4
        %6: f32[4,3] = copy %1, order=C
        %7: f32[4,3] = copy %2, order=C
        %8: f32[16,3] = concatenate %5, %6, %7, axis=0
        %9: f32[16,2] = matmul %8, %3
        %10: f32[8,2] = slice %9, index=(0:8, Ellipsis)
        %11: f32[2,4,2] = reshape %10
        %12: f32[4,2] = slice %9, index=(8:12, Ellipsis)
        %13: f32[4,2] = slice %9, index=(12:16, Ellipsis)
        return %11, %12, %13
        """,
    ),
}


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


@pytest.mark.parametrize(
    ("step", "arrays", "before", "after"), TEXTS.values(), ids=TEXTS
)
def test_the_text_before_and_after_the_passes(
    step: Callable[..., Any], arrays: list[Any], before: str, after: str
) -> None:
    graph = traced(step, *arrays)
    verify(graph, "trace")
    assert str(graph).splitlines() == _lines(before)
    assert str(optimized(graph)).splitlines() == _lines(after)


# -- the verifier ---------------------------------------------------------------------


def an_input(*shape: int, dtype: Any = f4) -> Node:
    return Node("input", (), {}, shape, dtype)


x23, y23, v3 = an_input(2, 3), an_input(2, 3), an_input(3)
index2 = an_input(2, dtype=i8)
mask = an_input(2, 3, dtype=bool)
no_call = Node("call", [x23], {"function": np.modf, "arguments": ((Hole(),), {})})
first_row = (("slice", {"index": (0, ...)}),)
halves = {
    "places": ((slice(0, 2),), (slice(2, 4),)), "shape": (4,), "order": (0,),
}  # fmt: skip
images, filters = an_input(2, 3, 6, 6), an_input(5, 3, 3, 3)
windows = {"stride": (1, 1), "pad": (0, 0)}
a_sum = {"ufunc": np.add, "axes": (0,), "keepdims": False}
full_of_ones = {"value": 1.0, "shape": (3,), "dtype": f4}


def _view(op: str, x: Node, seen: tuple[int, ...], **attrs: Any) -> Node:
    return Node(op, [x], attrs, seen, x.dtype)


# The Node that breaks the rule, and what is said about it: expected, got.
BROKEN: dict[str, tuple[Node, str, str]] = {
    "no such operation": (Node("exp", [x23]), "an operation of the table", "'exp'"),
    "input: takes one": (Node("input", [x23]), "0 inputs", "1"),
    "constant: another shape": (
        Node("constant", (), {"value": np.ones(3, f4), "fixed": True}, (2,)),
        "the shape (3,)", "(2,)",
    ),
    "constant: a list": (
        Node("constant", (), {"value": [1.0], "fixed": True}, (1,)),
        "an array as 'value'", "list",
    ),
    "full: a number its type cannot hold": (
        Node("full", (), {**full_of_ones, "value": 0.1}, (3,)),
        "one number that float32 can hold", "0.1",
    ),
    "full: another type": (
        Node("full", (), full_of_ones, (3,), f8), "the type float32", "float64",
    ),
    "random: no function": (
        Node("random", (), {"arguments": ((), {})}),
        "the attribute 'function'", "only ['arguments']",
    ),
    "map: one operand of two": (
        Node("map", [x23], {"ufunc": np.add}, (2, 3)), "2 inputs", "1",
    ),
    "map: no operands": (Node("map", (), {"ufunc": np.exp}), "at least 1 inputs", "0"),
    "map: two results": (
        Node("map", [x23], {"ufunc": np.modf}, (2, 3)),
        "a ufunc of one or two operands and one result", "modf",
    ),
    "map: no loop": (
        Node("map", [mask, mask], {"ufunc": np.subtract}, (2, 3), bool),
        "operands that subtract takes", "bool, bool",
    ),
    "map: operands that the loop casts": (
        Node("map", [x23, an_input(3, dtype=f8)], {"ufunc": np.add}, (2, 3), f8),
        "operands of the loop's types float64, float64", "float32, float64",
    ),
    "map: another type": (
        Node("map", [x23, y23], {"ufunc": np.less}, (2, 3)),
        "the type bool", "float32",
    ),
    "map: another shape": (
        Node("map", [x23, v3], {"ufunc": np.add}, (3,)), "the shape (2, 3)", "(3,)",
    ),
    "map: shapes that do not broadcast": (
        Node("map", [x23, an_input(2)], {"ufunc": np.add}, (2, 3)),
        "operands that broadcast together", "(2, 3) and (2,)",
    ),
    "where: a number as condition": (
        Node("where", [x23, x23, y23], {}, (2, 3)),
        "a condition of type bool", "float32",
    ),
    "where: two types": (
        Node("where", [mask, x23, an_input(3, dtype=f8)], {}, (2, 3)),
        "operands of type float32", "float64 (<input: f64[3]>)",
    ),
    "cast: to another type": (
        Node("cast", [x23], {"dtype": f8}, (2, 3)), "the type float64", "float32",
    ),
    "copy: of another shape": (
        Node("copy", [x23], {"order": "K"}, (3, 2)), "the shape (2, 3)", "(3, 2)",
    ),
    "copy: not in order C": (
        Node("copy", [x23], {"order": "C"}, (2, 3), order=(1, 0)),
        "the axes in order, as a copy in order C has them", "(1, 0)",
    ),
    "reduce: an axis that is not there": (
        Node("reduce", [x23], {**a_sum, "axes": (2,)}, (2,)),
        "different axes from 0 to 1", "(2,)",
    ),
    "reduce: an axis twice": (
        Node("reduce", [x23], {**a_sum, "axes": (0, 0)}, (3,)),
        "different axes from 0 to 1", "(0, 0)",
    ),
    "reduce: a shape with the axis": (
        Node("reduce", [x23], a_sum, (1, 3)), "the shape (3,)", "(1, 3)",
    ),
    "reduce: of small integers": (
        Node("reduce", [an_input(2, dtype="i4")], a_sum, (), "i4"),
        "the type int64", "int32",
    ),
    "matmul: lengths": (
        Node("matmul", [x23, y23], {}, (2, 3)),
        "as many columns as rows", "(2, 3) @ (2, 3)",
    ),
    "matmul: types": (
        Node("matmul", [x23, an_input(3, dtype=f8)], {}, (2,)),
        "operands of type float32", "float64 (<input: f64[3]>)",
    ),
    "matmul: a number": (
        Node("matmul", [x23, an_input()], {}, (2, 3)),
        "vectors, matrices or stacks of these", "<input: f32[2,3]> and <input: f32[]>",
    ),
    "matmul: a stack": (
        Node("matmul", [an_input(5, 1, 2, 3), an_input(4, 3, 6)], {}, (5, 1, 2, 6)),
        "the shape (5, 4, 2, 6)", "(5, 1, 2, 6)",
    ),
    "reshape: more elements": (
        _view("reshape", x23, (7,), shape=(7,)), "a shape of 6 elements", "(7,)",
    ),
    "reshape: of memory that lies crosswise": (
        _view("reshape", Node("input", (), {}, (2, 3), order=(1, 0)), (6,), shape=(6,)),
        "a shape in which the memory of <input: f32[2,3]{1,0}> can be seen",
        "(6,); copy it first",
    ),
    "transpose: not all axes": (
        _view("transpose", x23, (3,), axes=(1,)), "all 2 axes", "(1,)",
    ),
    "transpose: the shape of before": (
        _view("transpose", x23, (2, 3), axes=(1, 0)), "the shape (3, 2)", "(2, 3)",
    ),
    "broadcast: of 3 to 2": (
        _view("broadcast", v3, (2,), shape=(2,)),
        "a shape that (3,) broadcasts to", "(2,)",
    ),
    "slice: another shape": (
        _view("slice", x23, (2, 3), index=(slice(1), ...)),
        "the shape (1, 3)", "(2, 3)",
    ),
    "slice: outside": (
        _view("slice", x23, (3,), index=(2, ...)),
        "an index into the shape (2, 3)",
        "index 2 is out of bounds for axis 0 with size 2",
    ),
    "slice: an element": (
        _view("slice", x23, (), index=(0, 0)),
        "an index that ends in '...', to give a view", "(0, 0)",
    ),
    "slice: an index of arrays": (
        _view("slice", x23, (2, 3), index=([0, 1], ...)),
        "an index of integers and slices", "([0, 1], Ellipsis)",
    ),
    "put: a value of another type": (
        Node("put", [x23, an_input(3, dtype=f8)], {"views": first_row}, (2, 3)),
        "operands of type float32", "float64 (<input: f64[3]>)",
    ),
    "put: a value that is too long": (
        Node("put", [x23, an_input(2)], {"views": first_row}, (2, 3)),
        "a value that fits into (3,)", "(2,)",
    ),
    "put: into a copy": (
        Node(
            "put", [Node("input", (), {}, (2, 3), order=(1, 0)), an_input()],
            {"views": (("reshape", {"shape": (6,)}),)}, (2, 3), order=(1, 0),
        ),
        "views that show the memory of <input: f32[2,3]{1,0}>", "a copy",
    ),
    "put: outside": (
        Node("put", [x23, v3], {"views": (("slice", {"index": (9, ...)}),)}, (2, 3)),
        "views of the shape (2, 3)", "index 9 is out of bounds for axis 0 with size 2",
    ),
    "gather: too few arrays": (
        Node("gather", [x23, index2], {"index": (Hole(), Hole())}, (2,)),
        "2 arrays for the index", "1",
    ),
    "gather: an index of numbers": (
        Node("gather", [x23, v3], {"index": Hole()}, (3, 3)),
        "an index of integers", "float32 (<input: f32[3]>)",
    ),
    "gather: another shape": (
        Node("gather", [x23, index2], {"index": (slice(None), Hole())}, (2, 3)),
        "the shape (2, 2)", "(2, 3)",
    ),
    "gather: arrays apart": (
        Node(
            "gather", [an_input(2, 3, 4), index2, index2],
            {"index": (Hole(), slice(None), Hole())}, (3, 2),
        ),
        "the shape (2, 3)", "(3, 2)",
    ),
    "gather: more parts than axes": (
        Node("gather", [v3, index2], {"index": (Hole(), 0)}, (2,)),
        "an index of at most 1 parts", "(_, 0)",
    ),
    "scatter: a value that is too long": (
        Node("scatter", [x23, x23, index2], {"index": (0, Hole())}, (2, 3)),
        "a value that fits into (2,)", "(2, 3)",
    ),
    "scatter_add: another type": (
        Node("scatter_add", [v3, v3, index2], {"index": Hole()}, (3,), f8),
        "a value that fits into (2,)", "(3,)",
    ),
    "concatenate: another width": (
        Node("concatenate", [x23, an_input(2, 2)], {"axis": 0}, (4, 3)),
        "parts like (2, 3) but for axis 0", "(2, 2)",
    ),
    "concatenate: another length": (
        Node("concatenate", [x23, y23], {"axis": 0}, (2, 3)),
        "the shape (4, 3)", "(2, 3)",
    ),
    "assemble: an element left out": (
        Node("assemble", [v3], {**halves, "places": ((slice(0, 3),),)}, (4,)),
        "parts for every element, one for each", "((slice(0, 3, None),),)",
    ),
    "assemble: a part that does not fit": (
        Node("assemble", [v3, v3], halves, (4,)), "a value that fits into (2,)", "(3,)",
    ),
    "assemble: a place too few": (
        Node("assemble", [v3], halves, (4,)), "a place for each of 1 parts", "2",
    ),
    "convolve: other channels": (
        Node("convolve", [images, an_input(5, 2, 3, 3)], windows, (2, 5, 4, 4)),
        "weights of 3 channels", "(5, 2, 3, 3)",
    ),
    "convolve: another size": (
        Node("convolve", [images, filters], windows, (2, 5, 6, 6)),
        "the shape (2, 5, 4, 4)", "(2, 5, 6, 6)",
    ),
    "convolve: a bias too many": (
        Node("convolve", [images, filters, an_input(6)], windows, (2, 5, 4, 4)),
        "5 biases", "(6,)",
    ),
    "convolve: three axes": (
        Node("convolve", [an_input(3, 6, 6), filters], windows, (5, 4, 4)),
        "four axes", "<input: f32[3,6,6]> and <input: f32[5,3,3,3]>",
    ),
    "convolve_transposed: an outsize of other windows": (
        Node(
            "convolve_transposed", [an_input(2, 5, 4, 4), filters],
            {**windows, "outsize": (9, 6)}, (2, 3, 9, 6),
        ),
        "outsize of (4, 4) windows", "(9, 6): (7, 4)",
    ),
    "correlate: a gradient for other windows": (
        Node(
            "correlate", [images, an_input(2, 5, 6, 6)],
            {**windows, "kernel_size": (3, 3)}, (5, 3, 3, 3),
        ),
        "a gradient for (4, 4) windows of 2 images", "(2, 5, 6, 6)",
    ),
    "call: an array too few": (
        Node("call", [], no_call.attrs), "1 inputs", "0",
    ),
    "item: of no call": (
        Node("item", [x23], {"number": 0}), "an item of a call", "<input: f32[2,3]>",
    ),
    "require: many conditions": (
        Node("require", [mask, x23], {"error": IndexError}, (), bool),
        "one bool as condition", "<input: bool[2,3]>",
    ),
    "order: an axis twice": (
        Node("map", [x23], {"ufunc": np.exp}, (2, 3), order=(0, 0)),
        "an order of the 2 axes in memory", "(0, 0)",
    ),
}  # fmt: skip


def _graph_of(*nodes: Node) -> Graph:
    inputs = {x: None for node in nodes for x in node.inputs}
    return Graph([*inputs, *(node for node in nodes if node not in inputs)])


@pytest.mark.parametrize(("node", "expected", "got"), BROKEN.values(), ids=BROKEN)
def test_the_verifier_finds(node: Node, expected: str, got: str) -> None:
    graph = _graph_of(node)
    with pytest.raises(BrokenGraph) as error:
        verify(graph, "simplify")
    names = {x: f"%{i}" for i, x in enumerate(graph.nodes)}
    line = ir.line_of(node, names)
    assert (
        str(error.value) == f"after simplify: expected {expected}, got {got}\n  {line}"
    )


def test_every_operation_has_a_rule_and_a_planted_violation() -> None:
    assert set(RULES) == set(ir.OPERATIONS)
    assert {node.op for node, _, _ in BROKEN.values()} >= set(RULES)


@pytest.mark.parametrize("op", [op for op, rule in RULES.items() if rule.attrs])
def test_the_verifier_finds_a_missing_attribute(op: str) -> None:
    rule = RULES[op]
    count = rule.inputs if rule.inputs >= 0 else ~rule.inputs
    node = Node(op, [an_input() for _ in range(count)])
    with pytest.raises(BrokenGraph, match=f"expected the attribute '{rule.attrs[0]}'"):
        verify(_graph_of(node), "trace")


ADDED = Node("map", [x23, v3], {"ufunc": np.add}, (2, 3), place="step.py:7")
MISPLACED: dict[str, tuple[Graph, str]] = {
    "an input comes later": (
        Graph([x23, ADDED, v3]),
        "every input before the Node, got <input: f32[3]>, which comes later\n"
        "  %1: f32[2,3] = add %0, %2\n  in step.py:7",
    ),
    "an input is not listed": (
        Graph([x23, ADDED]),
        "every input before the Node, got <input: f32[3]>, which is not listed\n"
        "  %1: f32[2,3] = add %0, %?\n  in step.py:7",
    ),
    "a Node twice": (
        Graph([x23, x23]),
        "every Node once, got one that is listed twice\n  %0: f32[2,3] = input",
    ),
    "an output that is not there": (
        Graph([x23], [x23, v3]),
        "every output among the Nodes, got one that is not\n  %?: f32[3] = input",
    ),
}


@pytest.mark.parametrize(("graph", "text"), MISPLACED.values(), ids=MISPLACED)
def test_the_verifier_finds_what_is_out_of_place(graph: Graph, text: str) -> None:
    with pytest.raises(BrokenGraph) as error:
        verify(graph, "remove_dead")
    assert str(error.value) == f"after remove_dead: expected {text}"


# -- random steps ---------------------------------------------------------------------

# Lines of a step. {f} is an array of floats, {i} of integers, {b} of booleans, {n} of
# numbers, {a} any, {w} one that may be written; {f2} another one; {f!} one that is
# exact, as what a comparison decides must not hang on the last bit. The other words
# are about the first array of the line.
EXACT = """
-{n}|+{n}|np.abs({n})|np.square({n})|{f} * 0.5|2 - {n}|{n} + 1|np.maximum({n}, 0)
np.clip({n}, -1, 1)|{n} ** 2|{f} * np.float32(1.5)|{i} // 2|{i} % 3|{i} & 3|~{i}|~{b}
{i} * 0.5|np.logical_not({b})|{b} * 2.0|{b} + 1|{b} * np.float32(2)|{b} & {b2}
{b} ^ {b2}|{n} + {n2}|{n} - {n2}|{n} * {n2}|np.maximum({n}, {n2})|np.minimum({n}, {n2})
{f} - {f2}|{f} + {f2}|{f} * {f2}|{f} + {f2}.T|{f} - {f2}[..., None]|{n} * {n2}|{a} + {n}
np.sign({f!})|np.floor({f!})|np.rint({f!})|np.isfinite({f!})|{f!}.astype(np.int64)
{n!} < {n2!}|{n!} >= {n2!}|{f!} > 0.25|{f!} != 0|{n!} == {n2!}|np.heaviside({f!}, 1)
np.where({b}, {n}, {n2})|np.where({f!} > 0, {f2}, -1)|np.where({n!} < 1, {n2}, {n3})
{a}.astype(np.float64)|{f}.astype(np.float32)|{i}.astype(np.int32)|{b}.astype(np.int64)
{n}.max({axis})|{n}.min({axis}, keepdims=True)|{b}.any({axis})|{b}.all({axis})
{b}.sum({axis})|{i}.sum({axis})|{f} - {f}.max({axis}, keepdims=True)|{a}.reshape(-1)
{a}.ravel()|{a}.T|{a}[{at}]|{a}[{at}]|{a}.transpose({perm})|{a}[:, None]
np.expand_dims({a}, 0)|{a}.reshape({merged})|np.broadcast_to({a}, {wide})|{a}.squeeze()
{a}.copy()|np.ascontiguousarray({a})|np.swapaxes({a}, 0, -1)|np.array({a})|{a}.flatten()
np.concatenate([{a}, {a2}])|np.concatenate([{a}, {a2}], -1)|np.stack([{a}, {a2}])
np.concatenate([{a}, {a}[{at}]])|np.stack([{a}, {a}], -1)
np.concatenate([-{n}, {n}], -1)|{a}[{pick}]|{a}[:, {pick}]
{a}[np.arange(len({a})), {i!} % {a}.shape[1]]|{a}[{i!}.reshape(-1) % len({a})]
np.zeros_like({a})|np.ones({a}.shape, np.float32)|np.full({a}.shape, 1.5)
np.full_like({n}, 2)|np.arange(6.0)|np.eye(3, dtype=np.float32)|np.roll({a}, 1)
np.sort({a!}, -1)|np.divmod({f!}, 2)[1]|np.repeat({a}, 2, 0)|np.argmax({f!}, -1)
np.split({a}, [1])[-1]
"""
ROUGH = """
np.tanh({f})|np.sin({f})|np.cos({f})|np.exp(np.minimum({f}, 1))
np.log(np.abs({f}) + 0.5)|np.sqrt(np.abs({f}) + 1)|1 / (np.abs({f}) + 1)|{f} / 3
(np.abs({f}) + 0.25) ** -0.5|np.power(np.abs({f}) + 0.5, 1.5)|np.log1p(np.abs({f}))
{f} / (np.abs({f2}) + 1)|{f}.sum({axis}) / 8|np.sum({f}, {axis}, keepdims=True) / 8
{f}.mean({axis})|{f}.var({axis})|{f} - {f}.mean({axis}, keepdims=True)
{f} / (np.abs({f}).sum({axis}, keepdims=True) + 1)
np.exp({f} - {f}.max(-1, keepdims=True))|np.hypot({f}, 1)|np.cumsum({f}, -1) / 8
({f} - {f}.mean(-1, keepdims=True)) / np.sqrt({f}.var(-1, keepdims=True) + 0.5)
np.log(np.exp({f} - {f}.max(-1, keepdims=True)).sum(-1)) + {f}.max(-1)
(np.tanh({f}) * {f}).sum({axis}) / 8|{f} * ({f} * {f}).sum({axis}, keepdims=True) / 64
{f} @ {f2} / 8|{f} @ {f2}.T / 8|{f}.T @ {f2} / 8|np.dot({f}, {f2}) / 8
{f}.T @ {f2} + {f3}.T @ {f2} + {f}.T @ {f4}|{f} @ {f2} + {f3} @ {f2} - {f4} @ {f2}
np.concatenate([{f} @ {f2}, {f3} @ {f2}, (-{f}) @ {f2}], -1) / 8
np.stack([{f} @ {f2}.T, {f3} @ {f2}.T, ({f} + 1) @ {f2}.T])
"""
WRITES = """
{w} += {n}|{w} *= 0.5|{w} -= {a}|{w}[{at}] *= 2|{w}[{at}] += {n}|{w}[{at}] = {a}
{w}[{at}] = 0|{w}[...] = {a}|{w}[{at}] = {w}[{at}] + 1|{w}[::-1] = {w}|{w}[{pick}] = {a}
{w}[{pick}] += 1|np.add.at({w}, {pick}, 1)|np.copyto({w}, {a})
{w!}[None][{w!}[None] < 1] = 0|np.add({f}, {f2}, out={w})
{w}[np.arange(len({w})), {i!} % {w}.shape[1]] = 1|{w}.reshape(-1)[1:] = 2
{w}.T[...] = {a}
"""
PUTS = """
{new} = np.zeros({n}.shape, {n}.dtype); {new}[:1] = {n}[:1]; {new}[1:] += {n2}[1:]
{p} = np.zeros({f}.shape, {f}.dtype); {p}[{at}] = {f}[{at}]; {new} = {p} + {f}
"""
KINDS = {"a": "fib", "n": "fi", "f": "f", "i": "i", "b": "b", "w": "fib"}
LARGEST, MOST = 16.0, 400


class Line(NamedTuple):
    target: str
    text: str
    rough: bool


@functools.cache
def _code(text: str) -> Any:
    return compile(text, "sketch.py", "exec")


def _memory(x: Any) -> int:
    while isinstance(x, np.ndarray) and isinstance(x.base, np.ndarray):
        x = x.base
    return id(x)


def _laid(x: Any, how: str) -> Any:
    """An array in memory in order, crosswise, or with gaps."""
    if how == "crosswise":
        return np.asfortranarray(x)
    return np.stack([x, x], -1)[..., 0] if how == "gaps" and x.ndim else x


def _numbers(seed: int, shape: tuple[int, ...], dtype: str) -> Any:
    draw = np.random.default_rng(seed).integers
    if dtype == "bool":
        return np.asarray(draw(0, 2, shape) == 1)
    low, high = (-16, 17) if dtype[0] == "f" else (-5, 6)
    return np.asarray(draw(low, high, shape) / (8 if dtype[0] == "f" else 1), dtype)


class Sketch:
    """A random step, of lines that work and give tame numbers.

    Attributes:
        arguments: Of the step: shape, type and how it lies in memory.
        states: The same of what Variables hold.
        back: What is written back into a state.
        returned: The names of what it returns.
    """

    def __init__(self, r: random.Random, length: int) -> None:
        self.r = r
        sizes = [1, 2, 3, 3, 4, 5, 17]
        self.sizes = [r.choice(sizes), r.choice(sizes), r.choice([0, 1, *sizes])]
        self.arguments = {f"x{i}": self._given() for i in range(r.randint(1, 3))}
        self.states = {f"s{i}": self._given() for i in range(r.randint(0, 2))}
        self.lines: list[Line] = []
        self.env, self.rough = self.run(self.given(0))
        for _ in range(8 * length):
            if len(self.lines) < length:
                self._extend()
        names = [n for n in self.env if n[0] == "v"]
        self.returned = sorted({*names[-1:], *r.sample(names, len(names) // 2)})
        self.back = {}
        for name in self.states:
            fit = [n for n in names if self._like(n) == self._like(name)]
            if fit and r.random() < 0.7:
                self.back[name] = r.choice(fit)

    def _given(self) -> tuple[tuple[int, ...], str, str]:
        r = self.r
        shape = tuple(r.choice(self.sizes) for _ in range(r.choice([0, 1, 2, 2, 2, 3])))
        shape = shape if np.prod(shape) <= MOST else shape[1:]
        dtype = r.choice(["float32"] * 3 + ["float64", "int64", "int32", "bool"])
        return shape, dtype, r.choice(["plain", "plain", "crosswise", "gaps"])

    def _like(self, name: str) -> Any:
        x = self.env[name]
        return x.shape, x.dtype, isinstance(x, np.ndarray)

    def given(self, seed: int) -> dict[str, Any]:
        """Numbers for its arguments and states."""
        found = {}
        for i, (name, (shape, dtype, how)) in enumerate(
            {**self.arguments, **self.states}.items()
        ):
            found[name] = _laid(_numbers(100 * seed + i, shape, dtype), how)
        return found

    def run(self, given: dict[str, Any], more: Sequence[Line] = ()) -> Any:
        """What NumPy makes of it, by name; and the names of what is not exact."""
        env = {"np": np, **given}
        rough = set()
        for line in (*self.lines, *more):
            exec(_code(line.text), env)
            if line.rough:
                parts = {line.target, f"{line.target}_"} & set(env)
                rough |= {_memory(env[name]) for name in parts}
        env = {name: x for name, x in env.items() if name not in ("np", "__builtins__")}
        return env, {name for name, x in env.items() if _memory(x) in rough}

    def _extend(self) -> None:
        """Try one more line."""
        r = self.r
        lines = r.choice([EXACT] * 5 + [ROUGH] * 4 + [WRITES] * 2 + [PUTS])
        template = r.choice(re.split(r"[|\n]", lines.strip()))
        new = f"v{len(self.lines)}"
        target, text, operands = self._filled(template, new)
        if text is None:
            return
        if lines in (EXACT, ROUGH):
            text = f"{new} = {text}"
        rough = lines is ROUGH or bool(operands & self.rough)
        if target != new and self.env[target].dtype.kind != "f" and rough:
            return
        line = Line(target, text, rough)
        try:
            with np.errstate(all="ignore"):
                env, roughs = self.run(self.given(0), [line])
        except (ValueError, TypeError, IndexError, RuntimeWarning):
            return
        if all(map(_is_tame, env.values())):
            self.lines.append(line)
            self.env, self.rough = env, roughs

    def _filled(self, template: str, new: str) -> tuple[str, str | None, set[str]]:
        """A line with names in place of its words: its target, text and operands."""
        names: dict[str, str] = {"{new}": new, "{p}": f"{new}_"}
        operands: list[str] = []
        target = new
        words = re.findall(r"\{\w+!?\}", template)
        for word in sorted(
            dict.fromkeys(words), key=lambda w: w[1:-1].strip("!2345") not in KINDS
        ):
            kind = word[1:-1].strip("!2345")
            if kind in KINDS:
                found = [n for n in self.env if self._fits(n, kind, "!" in word)]
                if not found:
                    return target, None, set()
                names[word] = self.r.choice(
                    found[-4:] if self.r.random() < 0.5 else found
                )
                operands.append(names[word])
                target = names[word] if kind == "w" else target
            elif word not in names:
                names[word] = self._word(kind, self.env[operands[0]])
        text = re.sub(r"\{\w+!?\}", lambda m: names[m[0]], template)
        return target, text, set(operands)

    def _fits(self, name: str, kind: str, exact: bool) -> bool:
        x = self.env[name]
        if x.dtype.kind not in KINDS[kind] or (exact and name in self.rough):
            return False
        return kind != "w" or (isinstance(x, np.ndarray) and self._may_write(x))

    def _may_write(self, x: Any) -> bool:
        owners = {_memory(self.env[n]): how for n, (_, _, how) in self._all_given()}
        return x.flags.writeable and owners.get(_memory(x)) != "gaps"

    def _all_given(self) -> Any:
        return {**self.arguments, **self.states}.items()

    def _word(self, kind: str, x: Any) -> str:
        r = self.r
        shape = x.shape
        if kind == "axis":
            return r.choice(["None", *map(str, range(-x.ndim, x.ndim)), str((0, -1))])
        if kind == "at":
            parts = [":", ":2", "1:", "::2", "::-1", "0", "-1", "None", "0:0", "1:-1"]
            index = [r.choice(parts[: 10 if r.random() < 0.3 else 6]) for _ in shape]
            return ", ".join(index[: r.randint(0, x.ndim)]) or "..."
        if kind == "perm":
            return str(tuple(r.sample(range(x.ndim), x.ndim)))
        if kind == "merged":
            at = r.randint(0, max(x.ndim - 2, 0))
            return str(
                (*shape[:at], int(np.prod(shape[at : at + 2])), *shape[at + 2 :])
            )
        if kind == "wide":
            wide = [r.choice(self.sizes) if n == 1 else n for n in shape]
            return str((*([2] if r.random() < 0.5 else []), *wide))
        n = shape[0] if shape and shape[0] else 1
        return f"np.array({[r.randrange(-n, n) for _ in range(r.randint(1, 4))]})"

    def source(self, pure: bool = False) -> str:
        """The text of the step; ``pure``: a function that returns its state as well."""
        names = [*self.arguments, *self.states] if pure else [*self.arguments]
        state = [self.back.get(name, name) for name in self.states]
        lines = [f"{s} = {s.upper()}.data" for s in self.states if not pure]
        lines += [line.text for line in self.lines]
        lines += [f"{s.upper()}.data = {v}" for s, v in self.back.items() if not pure]
        returned = [*self.returned, *(state if pure else ())]
        lines.append(f"return [{', '.join(returned)}]")
        return "\n    ".join([f"def step({', '.join(names)}):", *lines])

    def inexact(self, name: str) -> bool:
        return self.back.get(name, name) in self.rough

    def tolerance(self, env: dict[str, Any]) -> float:
        """How far from NumPy a result that is not exact may be."""
        floats = [x for x in env.values() if x.dtype.kind == "f"]
        single = any(self.env[n].dtype == np.float32 for n in self.rough)
        scale = max([1.0, *(float(np.abs(x).max(initial=0)) for x in floats)])
        return scale * (1e-5 if single else 1e-12)


def _is_tame(x: Any) -> bool:
    if not isinstance(x, (np.ndarray, np.generic)) or x.dtype.kind not in "fib":
        return False
    most = LARGEST if x.dtype.kind == "f" else 1000
    small = x.size <= MOST and x.ndim <= 5 and x.dtype.itemsize != 2
    return small and bool(np.all(np.abs(x.astype(float)) <= most))


def _compare(wanted: Any, found: Any, tolerance: float, what: str) -> None:
    wanted, found = np.asarray(wanted), np.asarray(found)
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype), what
    rough = tolerance if wanted.dtype.kind == "f" else 0
    np.testing.assert_allclose(found, wanted, rtol=0, atol=rough, err_msg=what)


_sketches = types.ModuleType("sketches")  # of a program, so that np is followed there
_sketches.__file__ = "sketches.py"


@pytest.fixture(scope="module", autouse=True)
def _program_of_sketches() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "sketches", _sketches)
        yield


def _built(source: str, **names: Any) -> Any:
    vars(_sketches).update(np=np, **names)
    exec(_code(source), vars(_sketches))
    return vars(_sketches)["step"]


def check_passes(sketch: Sketch, passes: Sequence[Pass] = PASSES) -> None:
    """The interpreter gives what NumPy gives, after the trace and after each pass."""
    with np.errstate(all="ignore"):
        env, _ = sketch.run(sketch.given(0))
    step = _built(sketch.source(pure=True))
    trace = Trace()
    tracers = {name: trace.given(x) for name, x in sketch.given(0).items()}
    inputs = {tracers[name].node: x for name, x in sketch.given(0).items()}
    with Creation(trace).in_place():
        results = step(*tracers.values())
    names = [*sketch.returned, *sketch.states, *sketch.arguments]
    results += [tracers[name] for name in sketch.arguments]
    graph = trace.graph
    graph.outputs = [x.node for x in results]
    tolerance = sketch.tolerance(env)
    for one in (None, *passes):
        graph = graph if one is None else one(graph)
        after = "trace" if one is None else one.__name__
        verify(graph, after)
        found = ir.interpret(graph, inputs)
        for name, node in zip(names, graph.outputs, strict=True):
            wanted = env[sketch.back.get(name, name)]
            rough = tolerance if sketch.inexact(name) else 0.0
            _compare(wanted, found[node], rough, f"{name} after {after}")


def check_compiled(sketch: Sketch, calls: int = 3) -> None:
    """The compiled step does what the eager one does, call for call."""
    variables = {name.upper(): Variable(x) for name, x in sketch.given(0).items()}
    compiled = dezero.compile(_built(sketch.source(), **variables))
    earlier: list[tuple[Any, Any]] = []
    for call in range(calls):
        given = sketch.given(call)
        for name in sketch.states:
            state, x = variables[name.upper()], sketch.given(call)[name]
            if call == 2 and state.data.flags.writeable:
                np.copyto(state.data, x)
            else:
                state.data = x
        arguments = [sketch.given(call)[name] for name in sketch.arguments]
        with np.errstate(all="ignore"):
            env, _ = sketch.run(given)
        results = compiled(*arguments)
        found = dict(zip(sketch.returned, results, strict=True))
        found |= dict(zip(sketch.arguments, arguments, strict=True))
        found |= {name: variables[name.upper()].data for name in sketch.states}
        tolerance = sketch.tolerance(env)
        for name, x in found.items():
            rough = tolerance if sketch.inexact(name) else 0.0
            wanted = env[sketch.back.get(name, name)]
            _compare(wanted, x, rough, f"{name} of call {call}")
        for before, now in earlier:
            np.testing.assert_array_equal(now, before, err_msg="an earlier result")
        earlier += [(np.copy(x), x) for x in results]


Test = Callable[..., None]


def sketches(length: int) -> Any:
    """Random steps; of one that fails, the fewest first lines that do."""
    randoms = st.integers(0, 1 << 32).map(random.Random)
    return st.builds(Sketch, randoms, st.integers(1, length))


def steadily(examples: int) -> Callable[[Test], Test]:
    """The same examples at every run."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@steadily(500)
@given(sketches(12))
def test_a_random_step_after_each_pass(sketch: Sketch) -> None:
    note(sketch.source())
    check_passes(sketch)


@pytest.mark.usefixtures("_engine")
@steadily(200)
@given(sketches(12))
def test_a_random_step_compiled(sketch: Sketch) -> None:
    note(sketch.source())
    check_compiled(sketch)


# -- the checks are checked -----------------------------------------------------------


def swap_operands(graph: Graph) -> Graph:
    """A wrong pass: ``y - x`` for ``x - y``."""

    def better(node: Node, inputs: Sequence[Node]) -> Node:
        wrong = node.attrs.get("ufunc") is np.subtract
        return same(node, inputs[::-1] if wrong else inputs)

    return rebuilt(graph, better)


def forget_broadcasting(graph: Graph) -> Graph:
    """A wrong pass: sums have the shape of their first operand."""

    def better(node: Node, inputs: Sequence[Node]) -> Node:
        node = same(node, inputs)
        if node.attrs.get("ufunc") is np.add and node.op == "map":
            x = node.inputs[0]
            return Node("map", node.inputs, node.attrs, x.shape, x.dtype)
        return node

    return rebuilt(graph, better)


def _sketch_with(text: str) -> Sketch:
    """The first random step that ends with such a line."""
    for seed in range(1000):
        sketch = Sketch(random.Random(seed), 4)
        if sketch.lines and re.fullmatch(text, sketch.lines[-1].text):
            return sketch
    raise AssertionError(f"no step has {text}")


def test_a_wrong_rewrite_is_caught() -> None:
    sketch = _sketch_with(r"v\d = (\w+) - (?!\1)\w+")
    check_passes(sketch)
    with pytest.raises(AssertionError, match="after swap_operands"):
        check_passes(sketch, (swap_operands,))


def test_a_wrong_rewrite_is_caught_by_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "PASSES", (*PASSES, swap_operands))
    step = dezero.compile(lambda x: 3 - x, check=True)
    with pytest.raises(MismatchError, match="got another what the step returns"):
        step(ones(3))


def test_a_wrong_shape_is_caught() -> None:
    graph = traced(lambda b, x: b + np.exp(x), ones(3), ones(2, 3))
    text = (
        "after forget_broadcasting: expected the shape (2, 3), got (3,)\n"
        "  %3: f32[3] = add %0, %2"
    )
    with pytest.raises(BrokenGraph) as error:
        verify(forget_broadcasting(graph), "forget_broadcasting")
    assert str(error.value) == text


def test_compile_looks_at_every_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "PASSES", (*PASSES, forget_broadcasting))
    step = dezero.compile(lambda b, x: b + np.exp(x))
    with pytest.raises(BrokenGraph, match="after forget_broadcasting: expected the s"):
        step(ones(3), ones(2, 3))


# -- bugs that there were -------------------------------------------------------------

x46 = np.arange(24, dtype=np.float32).reshape(4, 6)
i55 = np.arange(25, dtype=np.int32).reshape(5, 5)
diagonal = np.arange(5)
Step = Callable[..., Any]
Made = tuple[Step, list[Variable]]  # a step, and what it changes


def _old_state_returned() -> Made:
    S = Variable(x46.copy())

    def step() -> Any:
        old = S.data
        S.data = S.data[::-1] + 1
        return (old,)

    return step, [S]


def _states_swapped() -> Made:
    S, T = Variable(np.arange(3.0)), Variable(np.arange(3.0) + 9)

    def step() -> Any:
        S.data, T.data = T.data, S.data
        return ()

    return step, [S, T]


def _one_result_into_two_states() -> Made:
    S, T = Variable(np.arange(9.0).reshape(3, 3)), Variable(np.zeros((3, 3)))

    def step() -> Any:
        S.data = T.data = np.sin(S.data)
        return ()

    return step, [S, T]


def _fusion_of_what_needs_each_other() -> Made:
    S, T = Variable(np.arange(4).reshape(4, 1)), Variable(np.arange(4.0) / 3)

    def step() -> Any:
        total, rounded = np.dot(T.data, S.data), np.rint(T.data)
        larger = S.data >= rounded
        T.data = np.where(total > 0, rounded, rounded)
        return (larger,)

    return step, [S, T]


def _a_check_of_numbers_with_gaps() -> Made:
    S = Variable(np.zeros((4, 4, 4, 1), np.float32))

    def step() -> Any:
        finite = np.isfinite(S.data)
        return finite, np.concatenate([finite, finite], axis=3)[:, :, ::-1]

    return step, [S]


def _concatenated_twice(x: Any) -> Any:
    y = x + 1
    return np.concatenate([y, y]), np.concatenate([y[:2], y])


def _into_a_constant(x: Any) -> Any:
    y = np.eye(4, dtype=np.float32)
    y += x[:, :4]
    return (y,)


def _elements_swapped(x: Any) -> Any:
    y = x[0] * 1
    first = y[0]
    y[0] = y[1]
    y[1] = first
    return (y,)


def _a_number_added_to(x: Any) -> Any:
    total = other = x.sum()
    other += 1
    return total, other


def _leading_axes_of_one(x: Any) -> Any:
    y = x * 1
    np.copyto(y[0], x[None, :1, :][0])
    y[1, :] = x[:1]
    z = x * 1
    z[...] = x.reshape(1, 1, 4, 6)
    return y, z


def _a_ravel_that_copies(x: Any) -> Any:
    y = (x * 1)[:, ::2]
    z = y.ravel()
    z += 1
    return y, z


def _a_flip_is_a_view(x: Any) -> Any:
    y = x * 1
    z = np.flip(y, 0)
    y += 1
    return y, z + 0


def _a_call_that_returns_its_argument(x: Any) -> Any:
    y = np.exp(-x)
    z = np.broadcast_arrays(y, x)[0]
    u = np.sort(np.sort(np.tanh(x) + 1, axis=0) * 2, axis=0)
    return z * 2, u


def _added_at_a_tuple(x: Any) -> Any:
    y = x * 1
    np.add.at(y, (np.array([0, 0, 1]),), 1)
    return (y,)


def _numbers_of_their_own(x: Any) -> Any:
    found = []
    total = x.sum()
    copies = total.astype(np.float64), total.copy(), total.squeeze(), total.T
    for number in (x[0, 0], x[0] @ x[1], *copies):
        other = number
        other += 1
        found += [number, other]
    return found


def _an_array_of_a_number(x: Any) -> Any:
    y, z = np.array(x.sum()), np.copy(x.sum())
    seen, other = y, z
    seen += 1
    other += 1
    return y, z


def _zeros_that_lie_crosswise(x: Any) -> Any:
    y = np.zeros_like(x.T)
    y.reshape(-1)[1:] = 2  # into a copy
    return (y,)


def _memory_keeps_its_order(x: Any) -> Any:
    y, z = x * 1, x * 1
    seen = y.reshape(-1)
    np.copyto(y, np.sin(x.reshape(6, 4).T))
    seen += 1
    np.add(x.reshape(6, 4).T, 1, out=z)
    z.reshape(-1)[1:] = 2
    return y, z


def _a_row_that_a_number_chooses(x: Any) -> Any:
    y = x * 1
    row = y[x.max().astype(np.int64) % 4]
    y[...] = 0
    return (row,)


def _made_by_exec() -> Made:
    names: dict[str, Any] = {"np": np}
    text = "def step():\n y = np.zeros(6); y[:3] = S.data; return (y,)"
    names["S"] = Variable(np.arange(3.0))
    exec(text, names)
    return names["step"], [names["S"]]


def _pure(step: Step, *arrays: Any) -> tuple[Callable[[], Made], tuple[Any, ...]]:
    return lambda: (step, []), arrays


BUGS: dict[str, tuple[Callable[[], Made], tuple[Any, ...]]] = {
    "A: the old state is returned": (_old_state_returned, ()),
    "B: two states swapped": (_states_swapped, ()),
    "C: one result into two states": (_one_result_into_two_states, ()),
    "D: the same part concatenated twice": _pure(_concatenated_twice, x46),
    "E: reshape of a view with gaps": _pure(
        lambda x: ((x + 1)[::-1].reshape(-1) * 2, x + 1), x46
    ),
    "F: a constant written in place": _pure(_into_a_constant, x46),
    "G: full of what its type cannot hold": _pure(
        lambda x: (
            np.full_like(x > 0, 2) * 1.0 + x,
            np.full(3, 0.1, "f4") * f8.type(1),
        ),
        x46,
    ),
    "G2: full of a number of the step": _pure(
        lambda x: (np.full([2, 3], x.sum()), np.full(3, x[0, 1])), x46
    ),
    "H: one of two results": _pure(lambda x: (np.divmod(x, 2)[1] + 1,), x46),
    "I: a column of each row, of integers and booleans": _pure(
        lambda x: (x[diagonal, diagonal[::-1]], (x > 3)[diagonal, diagonal]), i55
    ),
    "J: a product of ones": _pure(
        lambda x: (np.square(np.prod(np.clip(x, -1, 1), axis=0)),), x46
    ),
    "K: fusion of what needs each other": (_fusion_of_what_needs_each_other, ()),
    "L: two elements swapped": _pure(_elements_swapped, x46),
    "L: a number added to": _pure(_a_number_added_to, x46),
    "M: leading axes of 1 are written": _pure(_leading_axes_of_one, x46),
    "N: the first axis of a number": _pure(lambda x: (x.sum().sum(axis=0) + x,), x46),
    "O: in the order of Fortran": _pure(
        lambda x: (x.ravel("F") + 1, x.reshape((6, 4), order="F") + 1, x.flatten("F")),
        x46,
    ),
    "P: a ravel that copies": _pure(_a_ravel_that_copies, x46),
    "Q: ascontiguousarray of a number": _pure(
        lambda x: (np.ascontiguousarray(x.sum()),), x46
    ),
    "R: a flip is a view": _pure(_a_flip_is_a_view, x46),
    "R: a call that returns its argument": _pure(
        _a_call_that_returns_its_argument, x46
    ),
    "S: reductions that start somewhere": _pure(
        lambda x: (
            np.sum(x, axis=0, initial=3.0),
            np.max(x, axis=1, initial=9.0),
            np.sum(x, axis=0, where=x > 3),
        ),
        x46,
    ),
    "T: np.add.at with a tuple": _pure(_added_at_a_tuple, x46),
    "W: isfinite into a place with gaps": (_a_check_of_numbers_with_gaps, ()),
    "X: numbers are no arrays": _pure(_numbers_of_their_own, x46),
    "X2: an array of a number": _pure(_an_array_of_a_number, x46),
    "E2: a reshape of a reshape of a view with gaps": _pure(
        lambda x: ((x * 1)[:, :4].reshape(4, 2, 2).reshape(-1) * 2,), x46
    ),
    "Y: zeros_like of what lies crosswise": _pure(_zeros_that_lie_crosswise, x46),
    "W: memory keeps its order when written": _pure(_memory_keeps_its_order, x46),
    "Z: a row that a number chooses": _pure(_a_row_that_a_number_chooses, x46),
    "U: a step made by exec": (_made_by_exec, ()),
}
OPEN = ("Z",)  # not fixed yet


def _marked(name: str) -> Any:
    is_open = name.split(":")[0] in OPEN
    marks = [pytest.mark.xfail(strict=True, reason=name)] if is_open else []
    return pytest.param(*BUGS[name], id=name, marks=marks)


@pytest.mark.usefixtures("_engine")
@pytest.mark.parametrize(("make", "arrays"), [*map(_marked, BUGS)])
def test_a_bug_stays_fixed(make: Callable[[], Made], arrays: tuple[Any, ...]) -> None:
    step, states = make()
    plain, same_states = make()
    compiled = dezero.compile(step)
    for call in range(2):
        here = [(x + call).astype(x.dtype) for x in arrays]
        there = [x.copy() for x in here]
        wanted = [*map(np.copy, plain(*here)), *(v.data for v in same_states), *here]
        found = [*compiled(*there), *(v.data for v in states), *there]
        for i, (a, b) in enumerate(zip(wanted, found, strict=True)):
            tolerance = 1e-5 * max(1.0, float(np.max(np.abs(a))))
            _compare(a, b, tolerance, f"number {i} of call {call}")


def test_products_that_nobody_needs_are_not_made() -> None:
    def step(x: Any, y: Any, z: Any, w: Any, g: Any) -> Any:
        return x.T @ g + y.T @ g + z.T @ g, w @ g

    arrays = [ones(4, 3), ones(4, 3), ones(4, 3), ones(5, 4), ones(4, 2)]
    graph = optimized(traced(step, *arrays))
    assert [n.shape for n in graph.nodes if n.op == "matmul"] == [(3, 2), (5, 2)]


# -- memory and kernels ---------------------------------------------------------------


@steadily(100)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 300))))
def test_what_is_needed_at_one_time_never_shares_memory(spans: Any) -> None:
    found = {
        an_input(): program.Span(min(a, b), max(a, b), size) for a, b, size in spans
    }
    offsets, total = program._packed(found)
    _assert_apart(found, offsets)
    assert all(at % ALIGN == 0 for at in offsets.values())
    assert total >= max((offsets[n] + found[n].size for n in found), default=0)


def _trained(layers: int) -> dezero.compiler.CompiledStep:
    model = MLP((8,) * layers + (3,))
    optimizer = SGD(0.1).setup(model)

    @dezero.compile
    def step(x: Any, t: Any) -> Any:
        loss = F.softmax_cross_entropy(model(x), t)
        model.cleargrads()
        loss.backward()
        optimizer.update()
        return loss

    for _ in range(2):
        step(ones(4, 8), np.zeros(4, np.int64))
    return step


@pytest.mark.usefixtures("_engine")
def test_the_arena_of_a_training_step(monkeypatch: pytest.MonkeyPatch) -> None:
    packed, calls = program._packed, []

    def spy(spans: Any) -> Any:
        offsets, total = packed(spans)
        calls.append((spans, offsets, total))
        return offsets, total

    monkeypatch.setattr(program, "_packed", spy)
    _trained(6)
    spans, offsets, total = calls[-1]
    _assert_apart(spans, offsets)
    assert len(spans) > 10
    assert total < sum(max(span.size, ALIGN) for span in spans.values())


@needs_llvm
def test_layers_that_are_alike_share_their_kernels() -> None:
    def kernels(layers: int) -> set[str]:
        programs = [p for found in _trained(layers)._programs.values() for p in found]
        return {kernel.name for p in programs for kernel in p.kernels}

    few, many = kernels(12), kernels(48)
    assert len(few) == len(many)
