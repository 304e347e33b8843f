"""Groups: several optimizers, each with parameters of its own, as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from dezero.backend import Array
from dezero.core import Parameter
from dezero.optimizers.optimizer import EXPECTED, Optimizer, Target
from dezero.optimizers.state import Fit, State, take_over, unknown


class Groups(Optimizer):
    """Several optimizers, each set up with its own parameters, that update as one.

    A hook of the whole sees the parameters of all; one of a member those of that
    member, later. A schedule scales the step size of each.

    Args:
        members: Optimizers; other Groups are fine.

    Raises:
        TypeError: A member is no Optimizer.
        ValueError: There is none; one is not set up; two have the same parameter.

    >>> model = dezero.models.MLP((8, 3))
    >>> y = model(np.ones((1, 4)))                  # now its parameters have data
    >>> matrices, rest = split(model, lambda name, p: p.ndim > 1)
    >>> optimizer = Groups(
    ...     dezero.optimizers.AdamW(1e-3, decay=0.1).setup(matrices),
    ...     dezero.optimizers.AdamW(1e-3, decay=0.0).setup(rest),
    ... )
    >>> F.sum(y).backward()
    >>> optimizer.update()
    >>> list(optimizer.state_dict())[:7]
    ['0/t', '0/alpha', '0/beta1', '0/beta2', '0/eps', '0/decay', '0/0/m']
    """

    def __init__(self, *members: Optimizer) -> None:
        super().__init__()
        if not members:
            raise ValueError("Groups: expected optimizers, got none")
        for member in members:
            if not isinstance(member, Optimizer):
                got = type(member).__name__
                raise TypeError(f"Groups: expected optimizers, got {got}")
            if member.target is None:
                kind = type(member).__name__
                raise ValueError(
                    f"Groups: expected optimizers that are set up, got {kind} without "
                    f"parameters; write {kind}().setup(parameters)"
                )
        self._members = members
        self.target = _All(members)
        self._params()

    @property
    def members(self) -> tuple[Optimizer, ...]:
        """The optimizers that it is made of, none of them Groups."""
        return tuple(one for member in self._members for one in member.members)

    def _as_target(self, target: Any) -> Target:
        raise TypeError(
            "Groups.setup: expected members that are set up, each with its own "
            "parameters; write Groups(AdamW().setup(some), SGD().setup(others))"
        )

    def update(self) -> None:
        """Update every parameter that has a gradient, each once.

        Raises:
            ValueError: Two members have the same parameter by now.
        """
        params = [param for param in self._params() if param.grad is not None]
        for hook in self.hooks:
            hook(params)
        for member in self._members:
            member.update()

    def _params(self) -> list[Parameter]:
        owners: dict[Parameter, Optimizer] = {}
        for member in self._members:
            for param in member._params():
                first = owners.setdefault(param, member)
                if first is not member:
                    name = f" '{param.name}'" if param.name else ""
                    raise ValueError(
                        "Groups: expected every parameter in one group, got parameter"
                        f"{name} in two: {type(first).__name__} and "
                        f"{type(member).__name__}"
                    )
        return list(owners)

    def state_dict(self) -> dict[str, Array]:
        """The states of all members; the entries of the first begin with ``'0/'``."""
        return {
            f"{i}/{name}": array
            for i, member in enumerate(self._members)
            for name, array in member.state_dict().items()  # type: ignore[attr-defined]
        }

    def load_state_dict(self, state: State) -> None:
        """Go on from what ``state_dict`` gave.

        Raises:
            DataError: The entries do not fit; nothing was changed.
        """
        take_over("Groups", EXPECTED, self._fit(state))

    def _fit(self, state: State) -> Fit:
        misfits, takes = [], []
        for i, member in enumerate(self._members):
            prefix = f"{i}/"
            part = {
                name.removeprefix(prefix): array
                for name, array in state.items()
                if name.startswith(prefix)
            }
            wrong, take = member._fit(part)  # type: ignore[attr-defined]
            misfits += [prefix + line for line in wrong]
            takes.append(take)
        numbers = {str(i) for i in range(len(self._members))}
        misfits += unknown(state, {k for k in state if k.split("/")[0] in numbers})

        def take_all() -> None:
            for take in takes:
                take()

        return misfits, take_all


class _All:
    """The targets of several optimizers as one."""

    def __init__(self, members: Iterable[Optimizer]) -> None:
        self._members = members

    def params(self) -> Iterable[Parameter]:
        for member in self._members:
            yield from member._params()


def split(
    model: Any, rule: Callable[[str, Parameter], bool]
) -> tuple[list[Parameter], list[Parameter]]:
    """The parameters of a model for which ``rule(name, param)`` holds, and the rest.

    >>> layer = dezero.layers.Linear(3, in_size=2)
    >>> [[p.name for p in part] for part in split(layer, lambda name, p: p.ndim > 1)]
    [['W'], ['b']]
    """
    yes: list[Parameter] = []
    no: list[Parameter] = []
    for name, param in model.named_params().items():
        (yes if rule(name, param) else no).append(param)
    return yes, no
