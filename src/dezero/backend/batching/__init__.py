"""Arrays of many examples that pass for one: what ``vmap`` computes with.

``arrays`` has the class, and the examples one by one; ``places`` indexing; ``rules``
what NumPy's functions do with all of them at once.
"""

from dezero.backend.batching import rules as rules
from dezero.backend.batching.arrays import (
    BatchedArray,
    Level,
    Unbatchable,
    active,
    count_of,
    each,
    joined,
    level_of,
    levels_of,
    spread,
    with_axis,
    without_axis,
    zeros_for,
)
from dezero.backend.batching.places import indexed

__all__ = [
    "BatchedArray",
    "Level",
    "Unbatchable",
    "active",
    "count_of",
    "each",
    "indexed",
    "joined",
    "level_of",
    "levels_of",
    "spread",
    "with_axis",
    "without_axis",
    "zeros_for",
]
