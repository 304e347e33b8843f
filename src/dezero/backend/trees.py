"""Structures of arrays: lists, tuples and dicts, in each other as one likes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def mapped(tree: Any, function: Callable[..., Any], *others: Any) -> Any:
    """``tree`` with ``function`` of each of its leaves in its place.

    A leaf is what is neither list, tuple nor dict; ``None`` stays as it is. ``others``
    are of the same structure: ``function`` gets their leaves as well.

    >>> mapped([1, (2, {'a': 3})], lambda x: 10 * x)
    [10, (20, {'a': 30})]
    """
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {
            k: mapped(x, function, *(o[k] for o in others)) for k, x in tree.items()
        }
    if isinstance(tree, (list, tuple)):
        rows = zip(tree, *others, strict=True)
        parts = [mapped(x, function, *rest) for x, *rest in rows]
        return with_parts(tree, parts)
    return function(tree, *others)


def with_parts(tree: Any, parts: list[Any]) -> Any:
    """A list or tuple, named or not, as ``tree`` is, of ``parts``."""
    return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)


def leaves(tree: Any) -> list[Any]:
    """The leaves of ``tree``, in order.

    >>> leaves([1, (2, {'a': 3}), None])
    [1, 2, 3]
    """
    found: list[Any] = []
    mapped(tree, found.append)
    return found


def structure(tree: Any) -> Any:
    """``tree`` without what its leaves are: equal for trees of one structure."""
    return mapped(tree, lambda _: ...)
