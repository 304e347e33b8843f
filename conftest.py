"""What every doctest finds in its namespace, and what no test leaves behind."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F
from dezero.backend import tracing


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace.update(
        np=np, dezero=dezero, F=F, Variable=dezero.Variable, Function=dezero.Function
    )


@pytest.fixture(autouse=True)
def _kernels_are_tried_first() -> Iterator[None]:
    """A checkpoint has kernels used from the first call on: until the test ends."""
    yield
    tracing._settled = False
