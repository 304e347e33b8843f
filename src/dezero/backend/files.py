"""Files that are whole or not there, and named arrays in ``.npz`` files.

An ``.npz`` is a zip of ``.npy`` members. Nothing here pickles or unpickles: a file
from a stranger can hold wrong numbers, but no code. (``zipfile`` is imported where it
is used: ``import dezero`` does not wait for it.)
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from dezero.backend import Array, as_numpy
from dezero.errors import DataError

PathLike = str | os.PathLike[str]


@contextlib.contextmanager
def write_atomically(path: PathLike, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a file that appears under its name only when it is complete.

    It is written beside its place under another name, flushed to the disk, then
    renamed, and the folder is flushed: both survive a power cut. After an error in the
    block nothing is left of it, and what was at ``path`` before is still there.

    Args:
        path: The name of the file; its folder must exist.
        mode: ``'wb'`` for bytes or ``'w'`` for text in UTF-8.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / 'note.txt'
    ...     with write_atomically(path, 'w') as file:
    ...         _ = file.write('whole')
    ...     path.read_text()
    'whole'
    """
    path = Path(os.path.realpath(path))  # a link stays one: its target is replaced
    partial = path.with_name(f".{path.name}.{os.urandom(4).hex()}.partial")
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        with open(partial, mode.replace("w", "x"), **text) as file:  # type: ignore[call-overload]
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        _flush_folder(path.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _flush_folder(folder: Path) -> None:
    """See to it that a new name in a folder is on the disk."""
    if os.name == "nt":  # which does not open folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network drives cannot
            os.fsync(handle)
    finally:
        os.close(handle)


def with_suffix(path: PathLike, suffix: str) -> Path:
    """``path`` ending in ``suffix``, added where it lacks it.

    >>> with_suffix('model.v2', '.npz').name
    'model.v2.npz'
    """
    path = Path(path)
    return path if path.name.endswith(suffix) else path.with_name(path.name + suffix)


def save_arrays(path: PathLike, arrays: Mapping[str, Array]) -> None:
    """Write named arrays, from wherever they are, to a compressed ``.npz`` file.

    Args:
        path: The name of the file; ``.npz`` is added where it lacks it.
        arrays: The arrays by name; ``/`` in a name is fine.
    """
    import zipfile

    with (
        write_atomically(with_suffix(path, ".npz")) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, as_numpy(array), allow_pickle=False)


def load_arrays(path: PathLike) -> dict[str, np.ndarray[Any, Any]]:
    """Read the named arrays of an ``.npz`` file.

    Args:
        path: The name of the file, with or without ``.npz``.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is not an ``.npz`` file, is damaged, or holds Python objects.
    """
    import zipfile

    found = Path(path)
    if not found.exists():
        found = with_suffix(path, ".npz")
    if not found.exists():
        raise FileNotFoundError(f"load: expected a file '{found}', got none there")
    arrays = {}
    try:
        with zipfile.ZipFile(found) as archive:
            for member in archive.namelist():
                with archive.open(member) as file:
                    arrays[member.removesuffix(".npy")] = np.lib.format.read_array(
                        file, allow_pickle=False
                    )
                    if file.read(1):
                        raise ValueError(f"{member} is longer than its header says")
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        ValueError,
        MemoryError,  # a header that promises more than there can be
        NotImplementedError,  # a compression that zipfile does not know
    ) as error:
        raise DataError(
            f"load: expected an .npz file of plain arrays, got '{found}', where {error}"
        ) from error
    return arrays
