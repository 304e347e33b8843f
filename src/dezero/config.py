"""The switches of the framework, local to a thread and to an async task.

>>> import dezero
>>> with dezero.no_grad():
...     dezero.Config.enable_backprop
False
>>> dezero.Config.enable_backprop
True
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import NamedTuple

from dezero.errors import closest


class Switches(NamedTuple):
    """One setting of every switch; immutable, so that no thread sees half of one."""

    enable_backprop: bool = True  # record the graph that backward() walks
    train: bool = True  # dropout drops, batch normalization uses the batch
    debug: bool = False  # look for NaN, and for arrays written behind the graph


switches: ContextVar[Switches] = ContextVar("dezero.switches", default=Switches())  # noqa: B039
_names = Switches._fields

# Whether what runs now ran before: what counts its calls does not count this one.
recomputing: ContextVar[bool] = ContextVar("dezero.recomputing", default=False)


def _require_switch(name: str) -> None:
    if name not in _names:
        raise AttributeError(
            f"Config: expected one of {', '.join(_names)}, got '{name}'"
            + closest(name, _names)
        )


class _Config:
    """Read and set the switches of the current context by attribute."""

    def __getattr__(self, name: str) -> bool:
        _require_switch(name)
        value: bool = getattr(switches.get(), name)
        return value

    def __setattr__(self, name: str, value: bool) -> None:
        _require_switch(name)
        switches.set(switches.get()._replace(**{name: bool(value)}))

    def __repr__(self) -> str:
        return f"Config({switches.get()})"


Config = _Config()


@contextlib.contextmanager
def using_config(name: str, value: bool) -> Iterator[None]:
    """Set one switch inside a ``with`` block and restore it on the way out.

    Args:
        name: ``'enable_backprop'``, ``'train'`` or ``'debug'``.
        value: What the switch is inside the block.

    Raises:
        AttributeError: There is no such switch.

    >>> with using_config('train', False):
    ...     Config.train
    False
    """
    _require_switch(name)
    token = switches.set(switches.get()._replace(**{name: bool(value)}))
    try:
        yield
    finally:
        switches.reset(token)


def no_grad() -> contextlib.AbstractContextManager[None]:
    """Compute without recording: no graph, no memory for one, no ``backward()``.

    >>> import numpy as np, dezero
    >>> x = dezero.Variable(np.array(3.0))
    >>> with no_grad():
    ...     y = x * x
    >>> y.creator is None
    True
    """
    return using_config("enable_backprop", False)


def test_mode() -> contextlib.AbstractContextManager[None]:
    """Evaluate: dropout passes its input, batch normalization uses its averages."""
    return using_config("train", False)


test_mode.__test__ = False  # type: ignore[attr-defined]  # pytest: not a test
