"""``einsum``: products and sums over axes that letters name.

It is made of operations that are there already. What stands in one operand alone is
taken care of first: diagonals, sums, axes of length 1. Then two operands after the
other become one, by a product of matrices whose rows, columns and stack are groups of
axes. So its derivatives are those of ``matmul``, and its speed is that of the BLAS.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import combinations
from typing import Any

from dezero.core import Variable, as_input
from dezero.functions.linalg import matmul
from dezero.functions.matrix import diagonal
from dezero.functions.reduction import sum
from dezero.functions.shape import reshape, transpose

Label = Hashable  # a letter; for an axis under the ellipsis, its number from the right
Labels = tuple[Label, ...]


def einsum(subscripts: str, *operands: Any) -> Variable:
    """Einstein's summation: a product, summed over each letter that the result lacks.

    ``"ij,jk->ik"`` is the product of matrices, ``"bij,bjk->bik"`` of stacks of them,
    ``"ii->i"`` a diagonal, ``"ij->ji"`` the transpose. ``...`` stands for all axes that
    have no letter; they broadcast. Without ``->`` the result has ``...`` and the
    letters that come once, in the order of the alphabet.

    Args:
        subscripts: A letter for each axis of each operand, after ``->`` of the result.
        *operands: As many Variables or arrays.

    Raises:
        ValueError: The subscripts are not of this form, or the operands do not fit.

    >>> x, W = np.array([[1, 2]]), np.array([[3], [4]])
    >>> einsum("ij,jk->ik", x, W)
    variable([[11]])
    """
    xs = [as_input(x) for x in operands]
    parts, result = _parsed(subscripts, xs)
    lengths: dict[Label, int] = {}
    for labels, x in zip(parts, xs, strict=True):
        for label, n in zip(labels, x.shape, strict=True):
            known = lengths.get(label, 1)
            if 1 not in (n, known) and n != known:
                raise ValueError(
                    f"einsum: expected lengths that fit {subscripts!r}, got "
                    + " and ".join(str(x.shape) for x in xs)
                )
            lengths[label] = n if known == 1 else known
    terms = [_thinned(x, ls) for x, ls in zip(xs, parts, strict=True)]
    while len(terms) > 1:  # the pair first that makes the smallest array
        i, j = min(
            combinations(range(len(terms)), 2),
            key=lambda pair: math.prod(
                lengths[label] for label in _left(terms, pair, result)
            ),
        )
        (x, xl), (y, yl), left = terms[i], terms[j], _left(terms, (i, j), result)
        terms = [term for k, term in enumerate(terms) if k not in (i, j)]
        # An axis that ends within one of the two is summed before, not after.
        x, xl = _summed(x, xl, {*left, *yl})
        y, yl = _summed(y, yl, {*left, *xl})
        terms.append(_product(x, xl, y, yl, left))
    ((x, labels),) = terms
    x, labels = _summed(x, labels, set(result))
    x = transpose(x, tuple(labels.index(label) for label in result if label in labels))
    # A letter whose axes all had length 1 was dropped.
    return reshape(x, [lengths[label] for label in result])


def _parsed(subscripts: str, xs: Sequence[Variable]) -> tuple[list[Labels], Labels]:
    """The labels of the axes of each operand, and of the result."""
    if not isinstance(subscripts, str):
        raise TypeError(
            "einsum: expected subscripts such as 'ij,jk->ik', got "
            f"{type(subscripts).__name__}"
        )
    text, arrow, target = subscripts.replace(" ", "").partition("->")
    words = text.split(",")
    if not all(
        re.fullmatch(r"[a-zA-Z]*(\.{3})?[a-zA-Z]*", w) for w in (*words, target)
    ):
        raise ValueError(
            f"einsum: expected letters, commas, '...' and '->', got {subscripts!r}"
        )
    if len(words) != len(xs):
        raise ValueError(
            f"einsum: expected {len(words)} operands for {subscripts!r}, got {len(xs)}"
        )
    parts: list[Labels] = []
    for word, x in zip(words, xs, strict=True):
        before, dots, after = word.partition("...")
        rest = x.ndim - len(before + after)
        if rest < 0 or (rest and not dots):
            raise ValueError(
                f"einsum: expected a letter for each axis of {x.shape}, got {word!r}"
            )
        parts.append((*before, *range(-rest, 0), *after))
    counts = Counter(label for labels in parts for label in labels)
    hidden = sorted(label for label in counts if isinstance(label, int))
    if not arrow:
        once = sorted(c for c, n in counts.items() if isinstance(c, str) and n == 1)
        return parts, (*hidden, *once)
    before, dots, after = target.partition("...")
    letters = before + after
    if not set(letters) <= counts.keys() or len(set(letters)) < len(letters):
        raise ValueError(
            "einsum: expected a result whose letters stand there once and in some "
            f"operand, got {subscripts!r}"
        )
    if hidden and not dots:
        raise ValueError(
            f"einsum: expected '...' in the result, as in the operands, got "
            f"{subscripts!r}"
        )
    return parts, (*before, *hidden, *after)


def _thinned(x: Variable, labels: Labels) -> tuple[Variable, Labels]:
    """``x`` with every label once, and without axes of length 1."""
    while len(set(labels)) < len(labels):
        label = next(label for label in labels if labels.count(label) > 1)
        i = labels.index(label)
        j = labels.index(label, i + 1)
        if 1 in (x.shape[i], x.shape[j]):
            drop = i if x.shape[i] == 1 else j
            x = reshape(x, [n for k, n in enumerate(x.shape) if k != drop])
            labels = (*labels[:drop], *labels[drop + 1 :])
            continue
        x = diagonal(x, 0, i, j)
        labels = (*(x for k, x in enumerate(labels) if k not in (i, j)), label)
    kept = [i for i, n in enumerate(x.shape) if n != 1]
    return reshape(x, [x.shape[i] for i in kept]), tuple(labels[i] for i in kept)


def _left(
    terms: Sequence[tuple[Variable, Labels]], pair: tuple[int, int], result: Labels
) -> Labels:
    """The labels that are asked for after two terms have become one."""
    i, j = pair
    others = {label for k, (_, ls) in enumerate(terms) if k not in pair for label in ls}
    both = dict.fromkeys((*terms[i][1], *terms[j][1]))
    return tuple(label for label in both if label in others or label in result)


def _summed(x: Variable, labels: Labels, kept: set[Label]) -> tuple[Variable, Labels]:
    """``x`` summed over the axes that nobody asks for."""
    axes = tuple(i for i, label in enumerate(labels) if label not in kept)
    if axes:
        x = sum(x, axes)
    return x, tuple(label for label in labels if label in kept)


def _product(
    x: Variable, xl: Labels, y: Variable, yl: Labels, left: Labels
) -> tuple[Variable, Labels]:
    """Two terms as one, by a product of matrices: (stack, rows, sum) and (stack, sum,
    columns)."""
    stack = [label for label in xl if label in yl and label in left]
    summed = [label for label in xl if label in yl and label not in left]
    rows = [label for label in xl if label not in yl]
    columns = [label for label in yl if label not in xl]
    lengths = dict(zip((*xl, *yl), (*x.shape, *y.shape), strict=True))

    def size(labels: Sequence[Label]) -> int:
        return math.prod(lengths[label] for label in labels)

    a = transpose(x, tuple(xl.index(label) for label in (*stack, *rows, *summed)))
    b = transpose(y, tuple(yl.index(label) for label in (*stack, *summed, *columns)))
    S, N, K, M = size(stack), size(rows), size(summed), size(columns)
    if summed:
        z = matmul(reshape(a, (S, N, K)), reshape(b, (S, K, M)))
    else:
        z = reshape(a, (S, N, 1)) * reshape(b, (S, 1, M))
    labels = (*stack, *rows, *columns)
    return reshape(z, [lengths[label] for label in labels]), labels
