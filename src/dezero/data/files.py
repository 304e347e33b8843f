"""Readers of the formats that data sets come in. None of them trusts its file.

Each checks what the header says before it takes memory for it, takes exactly as
many bytes as that, and unpickles nothing. ``gzip`` and ``tarfile`` are
imported where they are used, for the sake of the time of ``import dezero``.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from dezero.backend import Array, Shape
from dezero.backend.files import load_arrays
from dezero.errors import DataError

FilePath = str | os.PathLike[str]

IDX_TYPES: Mapping[int, str] = {
    0x08: "u1",
    0x09: "i1",
    0x0B: ">i2",
    0x0C: ">i4",
    0x0D: ">f4",
    0x0E: ">f8",
}
LARGEST = 1 << 32  # bytes: a header that promises more than this is damaged


def read_idx(path: FilePath, ndim: int | None = None) -> Array:
    """The array in a file of the idx format, compressed by gzip or not.

    Args:
        path: The file.
        ndim: How many axes it must have, if that is known.

    Raises:
        DataError: It is not of the format, truncated, or longer than it says.
        FileNotFoundError: There is no such file.
    """
    name = Path(path).name
    with open(path, "rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not packed:
            return _read_idx(raw, name, ndim)
        from gzip import GzipFile

        try:
            with GzipFile(fileobj=raw) as file:
                return _read_idx(file, name, ndim)
        except (EOFError, zlib.error, OSError) as error:
            raise DataError(
                f"read_idx: expected a whole gzip file in {name}, got one where {error}"
            ) from error


def _read_idx(file: Any, name: str, ndim: int | None) -> Array:
    magic = file.read(4)
    kind, axes = magic[2:].ljust(2, b"\0")
    if magic[:2] != b"\0\0" or kind not in IDX_TYPES or ndim not in (None, axes):
        wanted = "" if ndim is None else f" with {ndim} axes"
        raise DataError(
            f"read_idx: expected an idx file{wanted} in {name}, got one that begins "
            f"with 0x{magic.hex()}"
        )
    header = file.read(4 * axes)
    if len(header) < 4 * axes:
        raise DataError(
            f"read_idx: expected {axes} lengths of axes in {name}, got the file's end"
        )
    shape = tuple(np.frombuffer(header, ">u4").tolist())
    dtype = np.dtype(IDX_TYPES[kind])
    size = math.prod(shape) * dtype.itemsize
    if size > LARGEST:
        raise DataError(
            f"read_idx: expected at most {LARGEST} bytes in {name}, got a header that "
            f"promises {size} for shape {shape}"
        )
    data = file.read(size + 1)
    if len(data) != size:
        found = "more" if len(data) > size else f"{len(data)}: the file is truncated"
        raise DataError(
            f"read_idx: expected {size} bytes in {name} for shape {shape}, got {found}"
        )
    array = np.frombuffer(data, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="))


def read_tar(path: FilePath, sizes: Mapping[str, int]) -> dict[str, bytes]:
    """Members of a tar archive, compressed or not, as bytes.

    Nothing is written to disk. An archive with any member that would land outside
    of the folder it is unpacked in is refused as a whole.

    Args:
        path: The archive.
        sizes: The members to read, and how many bytes each must have.

    Raises:
        DataError: It is damaged, or not as expected.
        FileNotFoundError: There is no such file.
    """
    import tarfile

    name = Path(path).name
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                _require_inside(name, member)
                wanted = member.name.removeprefix("./")
                if wanted not in sizes:
                    continue
                if not member.isfile() or member.size != sizes[wanted]:
                    raise DataError(
                        f"read_tar: expected a file {wanted} of {sizes[wanted]} bytes "
                        f"in {name}, got one of {member.size}"
                    )
                file = archive.extractfile(member)
                contents[wanted] = b"" if file is None else file.read()
            # The checksum of a compressed archive is at its very end.
            while archive.fileobj is not None and archive.fileobj.read(1 << 20):
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise DataError(
            f"read_tar: expected a whole tar archive in {name}, got one where {error}"
        ) from error
    for wanted, size in sizes.items():
        if len(contents.get(wanted, b"")) != size:
            raise DataError(
                f"read_tar: expected a file {wanted} of {size} bytes in {name}, got "
                f"{len(contents[wanted]) if wanted in contents else 'none'}"
            )
    return contents


def _require_inside(archive: str, member: Any) -> None:
    """Refuse a member whose name, or whose link, leads out of the folder."""
    names = [member.name]
    if member.issym():
        names.append(str(PurePosixPath(member.name).parent / member.linkname))
    elif member.islnk():
        names.append(member.linkname)
    for name in names:
        depth = 0
        outside = PurePosixPath(name).is_absolute() or "\\" in name or ":" in name
        for part in PurePosixPath(name).parts:
            depth += -1 if part == ".." else 1
            outside = outside or depth < 0
        if outside:
            raise DataError(
                f"read_tar: expected members inside of the folder in {archive}, got "
                f"'{name}'"
            )


def read_npz(
    path: FilePath, arrays: Mapping[str, tuple[npt.DTypeLike, Shape]]
) -> dict[str, Array]:
    """The arrays of an ``.npz`` file, which must be those expected and no others.

    Args:
        path: The file.
        arrays: The type and the shape of each.

    Raises:
        DataError: It is damaged, or has other arrays.
        FileNotFoundError: There is no such file.
    """
    found = load_arrays(path)
    for name in sorted(arrays.keys() | found.keys()):
        dtype, shape = arrays.get(name, (None, None))
        array = found.get(name)
        if (
            array is None
            or shape is None
            or (array.dtype, array.shape) != (dtype, shape)
        ):
            raise DataError(
                f"read_npz: expected {_kind(dtype, shape)} as '{name}' in "
                f"{Path(path).name}, got "
                + ("none" if array is None else _kind(array.dtype, array.shape))
            )
    return found


def _kind(dtype: Any, shape: Shape | None) -> str:
    return "no array" if shape is None else f"an array {shape} of {np.dtype(dtype)}"
