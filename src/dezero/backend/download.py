"""Files from the network, kept in a folder of their own.

The folder is ``$DEZERO_HOME``, or ``~/.dezero``. Whatever lies there is taken as it
is, so a file may as well be put there by hand.

The modules of the network and of checksums are imported where they are used: they
would make ``import dezero`` twice as slow, and most programs never need them.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dezero.errors import DataError, DownloadError

CHUNK = 1 << 18
TIMEOUT = 30  # seconds without a byte

# SHA-256 of what lies at an address; data sets and models add those they know.
known_checksums: dict[str, str] = {}


def home() -> Path:
    """The folder for downloaded files: ``$DEZERO_HOME``, or ``~/.dezero``."""
    return Path(os.environ.get("DEZERO_HOME") or "~/.dezero").expanduser()


cache_dir = str(home())


def get_file(url: str, file_name: str | None = None, sha256: str | None = None) -> str:
    """The path of the file at ``url``, downloaded if it is not there yet.

    A download that stops in the middle goes on from there the next time. Nothing
    takes the file's name before it is complete and its checksum is right.

    Args:
        url: An address that begins with ``https://``. Plain ``http://`` is only for
            this machine itself.
        file_name: Its name in the folder; by default the last part of ``url``.
        sha256: The checksum it must have; by default what is known for ``url``.

    Raises:
        DownloadError: It cannot be fetched, or is not what it should be.
        ValueError: The address or the name cannot be used.
    """
    name = _name_of(url) if file_name is None else file_name
    path = _inside_home(name)
    if path.exists():
        return str(path)
    _require_safe(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(
            f"get_file: expected a folder to write in, got {error}; set DEZERO_HOME "
            "to another"
        ) from error
    with _partial_file(path) as partial:
        _download(url, partial, path)
        _require_checksum(url, partial, path, sha256 or known_checksums.get(url))
        os.replace(partial, path)
    return str(path)


_own_get_file = get_file


def replacement() -> Callable[..., str] | None:
    """The ``get_file`` that a program has put in the place of ours, if one has.

    It may do so here or under the book's names, ``dezero.utils.get_file`` and
    ``dezero.datasets.get_file``. Data sets then ask it and look nowhere else.
    """
    for module in (__name__, "dezero.datasets", "dezero.utils"):
        function = getattr(sys.modules.get(module), "get_file", _own_get_file)
        if function is not _own_get_file:
            return function
    return None


def fetch(url: str, file_name: str | None = None) -> str:
    """``get_file``, or what a program has put in its place."""
    function = replacement()
    if function is None:
        return get_file(url, file_name)
    base = posixpath.basename(file_name or "")
    return function(url, base) if base not in ("", _name_of(url)) else function(url)


def find_file(
    owner: str,
    file_name: str,
    urls: Sequence[str],
    *,
    data_dir: str | os.PathLike[str] | None = None,
    folder: str = "",
    places: Sequence[str | os.PathLike[str]] = (),
    accept: Callable[[Path], bool] = lambda path: True,
) -> str:
    """Where a file of a data set is: on this machine, or else downloaded.

    Args:
        owner: The data set's name, for messages.
        file_name: The file's name. A file of idx may also be there without ``.gz``.
        urls: Where to download it from, best first.
        data_dir: The only folder to look in, if given.
        folder: The data set's own folder inside that for downloads.
        places: More folders to look in.
        accept: Whether a file straight in the folder for downloads, where those of
            other data sets may have the same name, is the right one.

    Raises:
        DataError: It is not in ``data_dir``.
        DownloadError: It is nowhere.
    """
    if data_dir is not None:
        data_dir = Path(data_dir).expanduser()
        found = _existing((data_dir, data_dir / folder), file_name)
        if found is None:
            raise DataError(f"{owner}: expected {file_name} in {data_dir}, got no file")
        return str(found)
    if replacement() is None:
        found = _existing((home() / folder,), file_name)
        if found is None:
            found = _existing((home(),), file_name, accept)
        if found is None:
            found = _existing([Path(place) for place in places], file_name)
        if found is not None:
            return str(found)
    failures = []
    for url in urls:
        try:
            return fetch(url, posixpath.join(folder, file_name))
        except DownloadError as error:
            failures.append(str(error))
    raise DownloadError(
        f"{owner}: expected {file_name}, got\n  " + "\n  ".join(failures)
    )


def _existing(
    folders: Sequence[Path],
    file_name: str,
    accept: Callable[[Path], bool] = lambda path: True,
) -> Path | None:
    names = (file_name, file_name.removesuffix(".gz"))
    paths = (folder / name for folder in folders for name in dict.fromkeys(names))
    return next((path for path in paths if path.is_file() and accept(path)), None)


@contextlib.contextmanager
def removed_if_damaged(path: str) -> Iterator[None]:
    """Remove a file from the folder for downloads when reading it finds it damaged.

    The error says so. A file that lies elsewhere belongs to the user and stays.
    """
    try:
        yield
    except DataError as error:
        if home().resolve() not in Path(path).resolve().parents:
            raise
        os.remove(path)
        raise DataError(
            f"{error}; {path} was removed, run again to download it"
        ) from error


def _name_of(url: str) -> str:
    """The last part of an address, without its query."""
    return posixpath.basename(url.split("?")[0].split("#")[0])


def _inside_home(name: str) -> Path:
    path = Path(name)
    if not name or path.is_absolute() or ".." in path.parts:
        raise ValueError(
            f"get_file: expected a file name inside {home()}, got '{name}'; write "
            "get_file(url, file_name='name.ext')"
        )
    return home() / path


def _is_safe(url: str) -> bool:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    return parts.scheme == "https" or (parts.scheme == "http" and local)


def _open(url: str, start: int) -> Any:
    """The response to a request for what follows byte ``start``."""
    from urllib.error import URLError
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class SafeRedirects(HTTPRedirectHandler):
        def redirect_request(self, *args: Any) -> Request | None:
            if not _is_safe(args[-1]):
                raise URLError(f"the server points to {args[-1]}, which is not https")
            return super().redirect_request(*args)

    headers = {"Range": f"bytes={start}-"} if start else {}
    request = Request(url, headers=headers)
    return build_opener(SafeRedirects).open(request, timeout=TIMEOUT)


def _require_safe(url: str) -> None:
    if not _is_safe(url):
        raise ValueError(
            f"get_file: expected an address that begins with https://, got {url}"
        )


@contextlib.contextmanager
def _partial_file(path: Path) -> Iterator[Path]:
    """A name for the download, which no other process or thread writes to.

    What it leaves unfinished goes to ``<name>.part``, for the next to take up.
    """
    shared = path.with_name(f"{path.name}.part")
    private = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    with contextlib.suppress(FileNotFoundError):
        os.replace(shared, private)
    try:
        yield private
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.replace(private, shared)


def _failure(url: str, reason: object, path: Path) -> DownloadError:
    return DownloadError(
        f"get_file: expected the file at {url}, got {reason}; run again, or put the "
        f"file at {path} by hand"
    )


def _download(url: str, partial: Path, path: Path) -> None:
    """Fetch what is missing of ``partial``."""
    from http.client import HTTPException
    from urllib.error import HTTPError

    start = partial.stat().st_size if partial.exists() else 0
    try:
        with _open(url, start) as response:
            if not _continues(response, start):
                start = 0  # the server sends all of it
            length = response.headers.get("Content-Length")
            total = None if length is None else start + int(length)
            with open(partial, "ab" if start else "wb") as file:
                size = _copy(response, file, start, total, path.name)
    except HTTPError as error:
        error.close()
        if start and error.code == 416:  # no such range: what we have is no part of it
            partial.unlink()
            _download(url, partial, path)
            return
        raise _failure(url, error, path) from error
    except (OSError, HTTPException) as error:
        raise _failure(url, error, path) from error
    if total is not None and size != total:
        raise _failure(url, f"{size} of {total} bytes", path)


def _continues(response: Any, start: int) -> bool:
    """Whether the server sends what follows byte ``start``."""
    expected = f"bytes {start}-"
    return response.status == 206 and str(
        response.headers.get("Content-Range", "")
    ).startswith(expected)


def _copy(response: Any, file: Any, start: int, total: int | None, name: str) -> int:
    """Copy a response to a file, with a line of progress for those who watch."""
    size = start
    watched = sys.stderr is not None and sys.stderr.isatty()
    try:
        while chunk := response.read(CHUNK):
            file.write(chunk)
            size += len(chunk)
            if watched:
                of = (
                    f" of {total / 1e6:.1f} MB, {size / total:4.0%}" if total else " MB"
                )
                sys.stderr.write(f"\r{name}: {size / 1e6:.1f}{of}")
                sys.stderr.flush()
    finally:
        if watched and size > start:
            sys.stderr.write("\n")
    return size


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    from hashlib import sha256

    digest = sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _require_checksum(url: str, partial: Path, path: Path, sha256: str | None) -> None:
    if sha256 is None:
        return
    actual = sha256_of(partial)
    if actual != sha256.lower():
        partial.unlink()
        raise DownloadError(
            f"get_file: expected the file at {url} to have the SHA-256 {sha256}, got "
            f"{actual}; it was removed; run again, or put the file at {path} by hand"
        )
