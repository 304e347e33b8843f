"""Files of named arrays that know the checksum of their content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dezero.backend import Array, as_numpy
from dezero.backend.files import PathLike, load_arrays, write_atomically
from dezero.errors import DataError


def write(path: PathLike, arrays: Mapping[str, Array]) -> None:
    """Write named arrays and the SHA-256 of them all, whole or not at all.

    It is an uncompressed ``.npz``, which ``np.load`` reads; the checksum is the comment
    of the archive.
    """
    import hashlib
    import zipfile

    digest = hashlib.sha256()
    with (
        write_atomically(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
    ):
        for name, array in arrays.items():
            array = np.asarray(as_numpy(array), order="C")
            _take_in(digest, name, array)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = np.lib.format.header_data_from_array_1_0(array)
                np.lib.format.write_array_header_1_0(member, header)
                member.write(_bytes(array))
        archive.comment = digest.hexdigest().encode()


def read(path: PathLike) -> dict[str, Array]:
    """Read what ``write`` wrote.

    Raises:
        DataError: It is not what was written.
        OSError: It cannot be read.
    """
    import hashlib
    import zipfile

    arrays = load_arrays(path)
    digest = hashlib.sha256()
    for name, array in arrays.items():
        _take_in(digest, name, array)
    with zipfile.ZipFile(path) as archive:
        wanted = archive.comment.decode("ascii", "replace")
    if digest.hexdigest() != wanted:
        raise DataError(
            f"load: expected the SHA-256 {wanted[:16] or 'in its comment'}, got "
            f"{digest.hexdigest()[:16]} in '{path}'"
        )
    return arrays


def _take_in(digest: Any, name: str, array: Array) -> None:
    digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
    digest.update(_bytes(array))


def _bytes(array: Array) -> memoryview:
    return np.asarray(array, order="C").reshape(-1).view(np.uint8).data
