"""What every doctest finds in its namespace."""

from typing import Any

import numpy as np
import pytest

import dezero
import dezero.functions as F


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace: dict[str, Any]) -> None:
    doctest_namespace.update(
        np=np, dezero=dezero, F=F, Variable=dezero.Variable, Function=dezero.Function
    )
