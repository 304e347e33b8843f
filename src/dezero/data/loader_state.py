"""What the state of a data loader must be, before it is believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dezero.backend import Array
from dezero.errors import DataError

LARGEST = 2**32 - 1  # of seeds and epochs, which start generators


def setting_of(loader: Any) -> dict[str, np.ndarray[Any, Any]]:
    """What must be alike where a state is saved and where it is loaded."""
    names = ("data_size", "batch_size", "max_iter", "shuffle")
    return {name: np.array(int(getattr(loader, name))) for name in names}


def checked(
    loader: Any, state: Mapping[str, Any]
) -> tuple[int | None, Array | None, int, int]:
    """Seed, order, epoch and position of a state that may be this loader's.

    There is an order where there is a random one that follows from no seed.

    Raises:
        DataError: It may not be.
    """

    def refuse(expected: str, got: str) -> DataError:
        return DataError(
            f"{type(loader).__name__}.load_state_dict: expected {expected}, got {got}"
        )

    def number(name: str, largest: int) -> int:
        value = np.asarray(state[name])
        if value.shape != () or value.dtype.kind not in "iu":
            got = f"{value.dtype} of shape {value.shape}"
            raise refuse(f"{name} as an integer", got)
        if not 0 <= value <= largest:
            raise refuse(f"{name} from 0 to {largest}", str(value))
        return int(value)

    setting = setting_of(loader)
    source = ["seed"] if "seed" in state else ["order"] * bool(loader.shuffle)
    names = [*setting, "epoch", "position", *source]
    if set(names) != set(state):
        got = ", ".join(state) or "nothing"
        raise refuse(f"a state of {', '.join(names)}", got)
    for name, own in setting.items():
        if number(name, 2**63 - 1) != own:
            raise refuse(f"{name} {own}, as this loader has", str(state[name]))
    epoch, position = number("epoch", LARGEST), number("position", loader.max_iter)
    if "seed" in state:
        return number("seed", LARGEST), None, epoch, position
    if loader.seed is not None:
        raise refuse("a state with a seed, as this loader has", "one without")
    if not loader.shuffle:
        return None, None, epoch, position
    order = np.asarray(state["order"])
    if (
        order.shape != (loader.data_size,)
        or order.dtype.kind not in "iu"
        or (np.sort(order) != np.arange(loader.data_size)).any()
    ):
        raise refuse(
            f"order with each number below {loader.data_size} once",
            f"{order.dtype} of shape {order.shape}",
        )
    return None, order.astype(np.intp), epoch, position
