"""Checkpoints: all that the rest of a training depends on, in files to be trusted.

A training that is cut off at any instant goes on from its last checkpoint as if nothing
had happened: its weights end up the same, bit for bit.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np

from dezero import random
from dezero.backend import Array
from dezero.backend.files import PathLike, write_atomically
from dezero.backend.tracing import settle
from dezero.errors import DataError, closest
from dezero.layers import Layer
from dezero.train.archive import read, write
from dezero.train.memories import load_memories, memories

OWN = "checkpoint"  # the name of what it keeps beside the parts
NAME = re.compile(r"step-(\d{8,})\.npz")


class Part(Protocol):
    """What a checkpoint can keep: a model, an optimizer, a loader, a schedule, ..."""

    def state_dict(self) -> dict[str, Array]: ...
    def load_state_dict(self, state: Mapping[str, Array]) -> None: ...


class Checkpoint:
    """Saves a training every so many steps, and takes it up again.

    A checkpoint holds the states of its parts, the number of steps, and the states of
    ``np.random``, ``dezero.random`` and Python's ``random``. Each is one ``.npz`` file,
    ``step-00001200.npz``, that appears under its name when it is whole and on the disk;
    a thread writes it while the training goes on. Older ones are removed after that.

    Args:
        folder: Where the files go; made if it is not there.
        every: After how many steps to save.
        keep: How many of the files to keep.
        parts: What the training depends on, each under a name of your choice and with
            the methods ``state_dict`` and ``load_state_dict``.

    Attributes:
        steps: How many steps were done.

    Raises:
        OSError: The folder cannot be written to.

    A loop written by hand, which may be killed and started again at any time:

    >>> from dezero.models import MLP
    >>> folder = getfixture('tmp_path')
    >>> model = MLP((10, 10))
    >>> optimizer = dezero.optimizers.Adam().setup(model)
    >>> loader = dezero.DataLoader(dezero.datasets.Digits(), batch_size=100)
    >>> checkpoint = Checkpoint(
    ...     folder, every=10, model=model, optimizer=optimizer, loader=loader)
    >>> checkpoint.resume()
    False
    >>> while checkpoint.steps < 2 * len(loader):
    ...     for x, t in loader:
    ...         loss = F.softmax_cross_entropy(model(x), t)
    ...         model.cleargrads()
    ...         loss.backward()
    ...         optimizer.update()
    ...         checkpoint.step()
    >>> checkpoint.wait()
    >>> sorted(path.name for path in folder.iterdir())
    ['step-00000010.npz', 'step-00000020.npz', 'step-00000030.npz']
    """

    def __init__(
        self, folder: PathLike, *, every: int = 1000, keep: int = 3, **parts: Part
    ) -> None:
        for name, number in (("every", every), ("keep", keep)):
            if number < 1:
                raise ValueError(
                    f"Checkpoint: expected {name} of at least 1, got {number}"
                )
        self.folder = Path(folder)
        self.every = every
        self.keep = keep
        self.steps = 0
        self.parts: dict[str, Part] = {}
        self.add(**parts)
        self._begun = False
        self._writer: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._try_folder()
        settle()

    def add(self, **parts: Part) -> None:
        """Keep these parts, too.

        Raises:
            TypeError: A part has not the two methods.
            ValueError: There is a part of this name.
        """
        for name, part in parts.items():
            if isinstance(part, type) or not (
                hasattr(part, "state_dict") and hasattr(part, "load_state_dict")
            ):
                raise TypeError(
                    f"Checkpoint: expected parts with state_dict() and "
                    f"load_state_dict(), got {name}={part!r}"
                )
            if name == OWN or self.parts.get(name, part) is not part:
                raise ValueError(
                    f"Checkpoint: expected a new name for a part, got '{name}', which "
                    "is taken"
                )
        self.parts |= parts

    # -- taking up ---------------------------------------------------------------

    def files(self) -> list[Path]:
        """The checkpoints in the folder, the newest first."""
        found = [path for path in self.folder.iterdir() if NAME.fullmatch(path.name)]
        return sorted(found, key=_step, reverse=True)

    def resume(self) -> bool:
        """Go back to the newest checkpoint that is whole, if there is one.

        A damaged one draws a warning, and the one before it is taken; the damaged file
        is set aside under the suffix ``.damaged``.

        Returns:
            Whether there was one.

        Raises:
            DataError: There are checkpoints, but all are damaged; or they are of other
                parts than these. Nothing was changed.
            OSError: There is too little room on the disk for the next ones.
        """
        damaged, found = [], False
        for path in self.files():
            try:
                state = read(path)
            except (DataError, OSError) as error:
                damaged.append((path, error))
                continue
            self._load(state, path)
            found = True
            for bad, reason in damaged:
                warnings.warn(
                    f"Checkpoint: expected whole files, got a damaged '{bad}' "
                    f"({reason}); going on from '{path.name}'",
                    RuntimeWarning,
                    stacklevel=2,
                )
                with contextlib.suppress(OSError):
                    bad.replace(bad.with_suffix(".damaged"))
            break
        else:
            if damaged:
                raise DataError(
                    f"Checkpoint: expected a whole file in '{self.folder}', got "
                    "damaged ones only:\n  "
                    + "\n  ".join(f"{bad.name}: {reason}" for bad, reason in damaged)
                )
        for partial in self.folder.glob(".step-*.npz.*.partial"):
            partial.unlink(missing_ok=True)  # of a process that was killed
        self._begun = True
        self._require_room(self._state())
        return found

    def _load(self, state: dict[str, Array], path: Path) -> None:
        """Load all parts or none."""
        states: dict[str, dict[str, Array]] = {name: {} for name in (OWN, *self.parts)}
        for key, value in state.items():
            name, _, rest = key.partition("/")
            if name not in states:
                raise DataError(
                    f"Checkpoint: expected the parts {', '.join(self.parts)} in "
                    f"'{path}', got '{name}' as well{closest(name, self.parts)}"
                )
            states[name][rest] = value
        own, undo = states.pop(OWN), []
        # Models first: how large the moments of an optimizer are depends on them.
        names = sorted(states, key=lambda name: not isinstance(self.parts[name], Layer))
        try:
            for name in names:
                part = self.parts[name]
                undo.append((part, _before(part)))
                _load_part(part, states[name])
            steps, kernels = int(own["steps"]), str(own["kernels"])
            random.load_state_dict(_under("random", own))
        except (DataError, ValueError, KeyError, TypeError) as error:
            for part, before in undo:
                _go_back(part, before)
            raise DataError(
                f"Checkpoint: expected '{path}' to fit, got another state of "
                f"'{name}': {error}"
            ) from error
        for name in names:
            load_memories(self.parts[name], _under(f"memory/{name}", own))
        settle(kernels)
        self.steps = steps

    # -- saving ------------------------------------------------------------------

    def step(self) -> None:
        """One more step is done. Every ``every`` steps, begin to save.

        Raises:
            FileExistsError: There are checkpoints, and they were not resumed from.
            OSError: There is too little room on the disk, or saving went wrong. The
                checkpoints before are still there.
        """
        self.steps += 1
        if self.steps % self.every == 0 or not self._begun:
            self._begin(write=self.steps % self.every == 0)
        elif self._failure is not None:
            self.wait()

    def save(self) -> None:
        """Save now; returns when it is on the disk.

        Raises:
            FileExistsError, OSError: As in :meth:`step`.
        """
        self._begin(write=True)
        self.wait()

    def wait(self) -> None:
        """Wait until what was begun is on the disk.

        Raises:
            OSError: It could not be written.
        """
        if self._writer is not None:
            self._writer.join()
            self._writer = None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            self._fail(failure)

    def _begin(self, write: bool) -> None:
        self.wait()
        state = self._state()
        if not self._begun:
            self._require_new()
            self._require_room(state)
            self._begun = True
        if write:
            path = self.folder / f"step-{self.steps:08}.npz"
            # No daemon: the end of the program waits for it.
            self._writer = threading.Thread(
                target=self._write, args=(path, state), name="dezero-checkpoint"
            )
            self._writer.start()

    def _write(self, path: Path, state: dict[str, Array]) -> None:
        try:
            write(path, state)
            older = [old for old in self.files() if _step(old) <= _step(path)]
            for old in older[self.keep :]:
                old.unlink(missing_ok=True)
        except BaseException as error:
            self._failure = error

    def _state(self) -> dict[str, Array]:
        """Copies of everything: the training goes on while they are written."""
        own = {"steps": np.array(self.steps), "kernels": np.array(settle())}
        own |= _prefixed("random", random.state_dict())
        state: dict[str, Array] = {}
        for name, part in self.parts.items():
            state |= _prefixed(name, _state_of(part))
            own |= _prefixed(f"memory/{name}", memories(part))
        return state | _prefixed(OWN, own)

    # -- what can be known before ------------------------------------------------

    def _try_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            trial = self.folder / ".trial"
            with write_atomically(trial) as file:
                file.write(b"0" * 4096)
            trial.unlink()
        except OSError as error:
            raise OSError(
                "Checkpoint: expected a folder that can be written to, got "
                f"'{self.folder}' ({error.strerror})"
            ) from error

    def _require_room(self, state: Mapping[str, Array]) -> None:
        """Room for all files that will be there at once, and those that are."""
        size = sum(array.nbytes for array in state.values())
        there = sum(path.stat().st_size for path in self.files())
        needed = size * (self.keep + 1) - there
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise OSError(
                f"Checkpoint: expected {_megabytes(needed)} free in '{self.folder}' "
                f"for {self.keep + 1} checkpoints of {_megabytes(size)}, got "
                f"{_megabytes(free)}"
            )

    def _require_new(self) -> None:
        found = self.files()
        if found:
            self.steps = 0
            raise FileExistsError(
                f"Checkpoint: expected no checkpoints in '{self.folder}', got "
                f"'{found[0].name}'; write checkpoint.resume() to go on from there, or "
                "name another folder"
            )

    def _fail(self, error: BaseException) -> NoReturn:
        if not isinstance(error, OSError):
            raise error
        whole = self.files()
        rest = f"'{whole[0].name}' is there" if whole else "there is none before it"
        raise OSError(
            f"Checkpoint: expected to write to '{self.folder}', got "
            f"{error.strerror or error}; {rest}"
        ) from error


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _step(path: Path) -> int:
    match = NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1])


def _prefixed(name: str, state: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{name}/{key}": value for key, value in state.items()}


def _under(name: str, state: Mapping[str, Array]) -> dict[str, Array]:
    prefix = f"{name}/"
    return {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}


def _state_of(part: Part) -> dict[str, Array]:
    """Its state; of a Layer what has data so far, as a recurrent one gets some late."""
    if not isinstance(part, Layer):
        return part.state_dict()
    named = part.named_params().items()
    return {name: p.data.copy() for name, p in named if p.data is not None}


def _load_part(part: Part, state: dict[str, Array]) -> None:
    if not isinstance(part, Layer):
        part.load_state_dict(state)
        return
    named = part.named_params()
    late = {name for name, p in named.items() if p.data is None and name not in state}
    if late and (unknown := [name for name in state if name not in named]):
        raise DataError(
            f"expected the parameters {', '.join(named)}, got {', '.join(unknown)}"
        )
    part.load_state_dict(state, strict=not late)
    if missing := [n for n in named if n not in state and n not in late]:
        raise DataError(f"expected the parameters {', '.join(missing)}, got none")


def _before(part: Part) -> Any:
    """What ``_go_back`` needs; a Layer may have no data yet, which no state says."""
    if isinstance(part, Layer):
        return [(param, param.data) for param in part.params()]
    return part.state_dict()


def _go_back(part: Part, before: Any) -> None:
    if isinstance(part, Layer):
        for param, data in before:
            param.data = data
    else:
        part.load_state_dict(before)
