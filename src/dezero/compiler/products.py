"""Passes about matrix products: fewer and larger ones do the same work in less time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dezero.compiler.ir import Graph, Node
from dezero.compiler.passes import (
    Pass,
    in_c_order,
    join_reductions,
    pick_by_comparing,
    rebuilt,
    remove_dead,
    reshaped,
    same,
    share_common,
    simplify,
    stack_puts,
)

FEW = 3  # products, from which on joining them is worth it


def flatten_products(graph: Graph) -> Graph:
    """A stack of matrices times one matrix is one product of a taller matrix."""

    def better(node: Node, inputs: Sequence[Node]) -> Node:
        if node.op != "matmul":
            return same(node, inputs)
        x, W = inputs
        if not (len(x.shape) > 2 and len(W.shape) == 2 and _is_dense(x)):
            return same(node, inputs)
        rows = math.prod(x.shape[:-1])
        tall = reshaped(x, (rows, x.shape[-1]))
        shape = (rows, W.shape[1])
        product = Node("matmul", [tall, W], {}, shape, node.dtype, None, node.place)
        return reshaped(product, node.shape)

    return rebuilt(graph, better)


def _is_dense(x: Node) -> bool:
    """Whether its memory is in the order of its axes, without gaps."""
    if not x.plain:
        return False
    while x.op == "reshape":
        x = x.inputs[0]
    return x.kind != "view" and x.op != "input"


def _concatenated(xs: Sequence[Node], like: Node) -> Node:
    """Matrices one below the other."""
    rows = sum(x.shape[0] for x in xs)
    shape = (rows, xs[0].shape[1])
    return Node("concatenate", xs, {"axis": 0}, shape, like.dtype, None, like.place)


def _is_matrix_product(node: Node) -> bool:
    return node.op == "matmul" and all(len(x.shape) == 2 for x in node.inputs)


def join_sums(graph: Graph) -> Graph:
    """A sum of products ``A1.T @ B1 + A2.T @ B2 + ...`` is one product of the A and the
    B below each other: the gradient of a weight that a sequence uses at every step."""
    users = graph.users()
    outputs = set(graph.outputs)
    taken: set[Node] = set()  # additions that are part of a tree already looked at

    def is_sum(node: Node) -> bool:
        return node.op == "map" and node.attrs["ufunc"] is np.add

    def summands(top: Node) -> list[Node]:
        """What a tree of additions adds up; those of the tree are taken."""
        found, waiting = [], [top]
        while waiting:
            node = waiting.pop()
            inner = len(users[node]) == 1 and node not in outputs
            if is_sum(node) and (inner or node is top):
                x, y = node.inputs
                if x.shape == y.shape == node.shape:
                    taken.add(node)
                    waiting += [y, x]
                    continue
            found.append(node)
        return found

    joined: dict[Node, tuple[list[Node], list[Node]]] = {}
    for node in reversed(graph.nodes):
        if node in taken or not is_sum(node):
            continue
        parts = summands(node)
        products = [
            p
            for p in parts
            if _is_matrix_product(p)
            and p.inputs[0].op == "transpose"
            and len(users[p]) == 1
            and p not in outputs
        ]
        if len(products) >= FEW:
            joined[node] = products, [p for p in parts if p not in products]

    stands_for: dict[Node, Node] = {}

    def replaced(node: Node, inputs: Sequence[Node]) -> Node:
        found = same(node, inputs)
        if node in joined:
            products, rest = joined[node]
            first = stands_for[products[0]]
            lefts = [stands_for[p].inputs[0].inputs[0] for p in products]
            rights = [stands_for[p].inputs[1] for p in products]
            left, right = _concatenated(lefts, first), _concatenated(rights, first)
            turned = Node(
                "transpose", [left], {"axes": (1, 0)}, left.shape[::-1], left.dtype,
                (1, 0), node.place,
            )  # fmt: skip
            found = Node(
                "matmul", [turned, right], {}, node.shape, node.dtype, None, node.place
            )
            for part in rest:
                found = Node(
                    "map", [found, stands_for[part]], {"ufunc": np.add}, node.shape,
                    node.dtype, None, node.place,
                )  # fmt: skip
        stands_for[node] = found
        return found

    return rebuilt(graph, replaced) if joined else graph


def batch_products(graph: Graph) -> Graph:
    """Products ``A1 @ W``, ``A2 @ W`` ... of which none needs another: one product of
    all A below each other: what all steps of a sequence give, read out by one layer."""
    by_right: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        if _is_matrix_product(node):
            by_right.setdefault(node.inputs[1], []).append(node)
    groups = [
        products
        for products in by_right.values()
        if len(products) >= FEW and not _need_each_other(graph, products)
    ]
    if not groups:
        return graph
    group_of = {node: products for products in groups for node in products}
    stands_for: dict[Node, Node] = {}
    made: dict[int, Node] = {}

    def built(node: Node) -> Node:
        """What stands for a Node, whose inputs may come later in the list."""
        waiting = [node]
        while waiting:
            here = waiting[-1]
            if here in stands_for:
                waiting.pop()
                continue
            needed = list(here.inputs)
            products = group_of.get(here)
            if products is not None:
                needed = [x for p in products for x in p.inputs]
            missing = [x for x in needed if x not in stands_for]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            inputs = [stands_for[x] for x in here.inputs]
            if products is None:
                stands_for[here] = same(here, inputs)
                continue
            whole = made.get(id(products))
            if whole is None:
                left = _concatenated([stands_for[p.inputs[0]] for p in products], here)
                shape = (left.shape[0], here.shape[1])
                whole = made[id(products)] = Node(
                    "matmul", [left, inputs[1]], {}, shape, here.dtype, None, here.place
                )
            start = 0
            for p in products:
                rows = slice(start, start + p.shape[0])
                start += p.shape[0]
                stands_for[p] = Node(
                    "slice", [whole], {"index": (rows, ...)}, p.shape, p.dtype, None,
                    p.place,
                )  # fmt: skip
        return stands_for[node]

    nodes: list[Node] = []
    known: set[Node] = set()

    def add(node: Node) -> None:
        waiting = [node]
        while waiting:
            here = waiting[-1]
            missing = [x for x in here.inputs if x not in known]
            if here in known or not missing:
                waiting.pop()
                if here not in known:
                    known.add(here)
                    nodes.append(here)
                continue
            waiting += missing

    for node in graph.nodes:
        add(built(node))
    return Graph(nodes, [stands_for[node] for node in graph.outputs])


def _need_each_other(graph: Graph, products: list[Node]) -> bool:
    """Whether one of them, directly or not, is made from another."""
    reached = set(products)
    for node in graph.nodes:
        if any(x in reached for x in node.inputs):
            if node in products:
                return True
            reached.add(node)
    return False


def copy_parts(graph: Graph) -> Graph:
    """Parts of a concatenation that nobody computes are copies: operations, like the
    others, that kernels know and compute where they belong."""

    def better(node: Node, inputs: Sequence[Node]) -> Node:
        if node.op != "concatenate":
            return same(node, inputs)
        return same(node, [_copied(x) for x in inputs])

    return rebuilt(graph, better)


def _copied(x: Node) -> Node:
    if x.kind not in ("source", "view"):
        return x
    below = x
    while below.op == "reshape":
        below = below.inputs[0]
    if below.kind not in ("source", "view"):
        return x
    return in_c_order(x)


PASSES: tuple[Pass, ...] = (
    remove_dead,
    share_common,
    simplify,
    join_reductions,
    pick_by_comparing,
    flatten_products,
    simplify,
    share_common,
    join_sums,
    remove_dead,
    batch_products,
    stack_puts,
    share_common,
    simplify,
    copy_parts,
    remove_dead,
)
