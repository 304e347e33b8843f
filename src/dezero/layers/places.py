"""How parameters are found, from attribute to attribute, and what they are called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from dezero.backend.tracing import Stateful
from dezero.core import Parameter

# The lengths of the axes as far as they are known.
PartialShape = tuple[int | None, ...]


class Holder(Stateful):
    """What holds parameters and other Holders in its attributes: the base of Layer."""

    # What other frameworks, and PyTorch first, call its attributes where it is not the
    # same; a matrix that they keep transposed ends in ".T".
    published: ClassVar[Mapping[str, str]] = {}

    def _published(self, name: str) -> str:
        """What other frameworks call its attribute ``name``."""
        return self.published.get(name, name)

    def _parts(self) -> Iterable[tuple[str, Any]]:
        """Where parameters are looked for, by name: the attributes."""
        return self.__dict__.items()

    def _expected_shape(self, name: str) -> PartialShape | None:
        """What is known of the shape of its parameter ``name`` before it has data.

        A Layer that shapes parameters at the first call says it here, so that
        ``load_weights`` can check them. ``None`` is a length, or all, not known.
        """
        return None


class Place(NamedTuple):
    """A way from a Holder to a parameter, or to another Holder."""

    thing: Any
    steps: tuple[tuple[Any, Any], ...]  # each: who holds the next, under which key

    @property
    def name(self) -> str:
        """The attributes on the way: ``'l0/W'``."""
        return "/".join([str(key) for _, key in self.steps])

    @property
    def published(self) -> str:
        """The same as other frameworks write it: ``'0.weight'``."""
        return self._published().removesuffix(".T")

    @property
    def transposed(self) -> bool:
        """Whether they keep it transposed."""
        return self._published().endswith(".T")

    def _published(self) -> str:
        return ".".join(
            [
                holder._published(key) if isinstance(holder, Holder) else str(key)
                for holder, key in self.steps
            ]
        )

    @property
    def owner(self) -> Holder:
        """The last Holder on the way."""
        return next(x for x, _ in reversed(self.steps) if isinstance(x, Holder))

    @property
    def containers(self) -> int:
        """The lists, tuples and dicts on the way."""
        return sum([not isinstance(holder, Holder) for holder, _ in self.steps])

    @property
    def shape(self) -> PartialShape | None:
        """The lengths that data for the parameter must have, where they are known."""
        if self.thing.data is not None:
            return self.thing.shape
        return self.owner._expected_shape(str(self.steps[-1][1]))


def walk(value: Any, steps: tuple[tuple[Any, Any], ...] = ()) -> Iterator[Place]:
    """Every way from ``value`` to a parameter or a Holder, in order of definition."""
    if isinstance(value, Parameter):
        yield Place(value, steps)
        return
    if any(value is holder for holder, _ in steps):  # it can reach itself
        return
    parts: Iterable[tuple[Any, Any]]
    if isinstance(value, Holder):
        yield Place(value, steps)
        parts = value._parts()
    else:
        parts = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in parts:
        if isinstance(part, (Parameter, Holder, list, tuple, dict)):
            yield from walk(part, (*steps, (value, key)))


def best_places(root: Holder, kind: type) -> dict[Any, Place]:
    """Every parameter, or every Layer, with the way that names it."""
    best: dict[Any, Place] = {}
    for place in walk(root):
        if isinstance(place.thing, kind):
            known = best.setdefault(place.thing, place)
            if known is not place and place.containers < known.containers:
                best[place.thing] = place
    return best


def named(root: Holder, kind: type, published: bool = False) -> dict[str, Place]:
    """The best places by their names.

    Raises:
        ValueError: Two have the same name.
    """
    found: dict[str, Place] = {}
    for place in best_places(root, kind).values():
        name = place.published if published else place.name
        if found.setdefault(name, place) is not place:
            raise ValueError(
                f"{type(root).__name__}: expected every parameter to have a name "
                f"of its own, got two of the name '{name}'"
            )
    return found
