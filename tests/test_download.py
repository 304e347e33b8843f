"""get_file against a server on this machine: whole, resumed, broken, wrong."""

import hashlib
import io
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import dezero
from dezero.backend import download
from dezero.backend.download import get_file, home
from dezero.errors import DownloadError

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Serves CONTENT; the first part of the path says with which fault."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.ranges.append(self.headers.get("Range"))
        fault = self.path.split("/")[1]
        getattr(self, f"serve_{fault}")()

    def serve_whole(self):
        self.send(200, CONTENT)

    def serve_resumable(self):
        requested = self.headers.get("Range")
        if requested is None:
            self.send(200, CONTENT)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", requested).group(1))
        if start >= len(CONTENT):
            self.send(416, b"")
            return
        where = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
        self.send(206, CONTENT[start:], {"Content-Range": where})

    def serve_elsewhere(self):
        where = f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"
        self.send(206, CONTENT, {"Content-Range": where})

    def serve_truncated(self):
        self.send(200, CONTENT[:1000], length=len(CONTENT))

    def serve_unmeasured(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(CONTENT)
        self.close_connection = True

    def serve_missing(self):
        self.send(404, b"nothing here")

    def serve_redirect(self):
        self.send(302, b"", {"Location": "http://dezero.invalid/file.bin"})

    def send(self, status, body, headers=(), length=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("DEZERO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(download, "TIMEOUT", 10)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.daemon_threads = False  # server_close() then waits for them
    server.ranges = []
    server.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def files():
    return sorted(p.name for p in home().rglob("*") if p.is_file())


def test_a_whole_file(server):
    path = get_file(f"{server.address}/whole/a.bin?version=2", sha256=SHA256)
    assert path == str(home() / "a.bin")
    assert (home() / "a.bin").read_bytes() == CONTENT
    assert get_file(f"{server.address}/whole/a.bin") == path
    assert server.ranges == [None]  # the second time it was there
    other = get_file(f"{server.address}/whole/a.bin", "folder/b.bin")
    assert other == str(home() / "folder" / "b.bin")
    assert files() == ["a.bin", "b.bin"]


def test_a_file_put_there_by_hand_is_taken(server):
    home().mkdir()
    (home() / "a.bin").write_bytes(b"by hand")
    assert get_file("https://dezero.invalid/a.bin") == str(home() / "a.bin")


def test_a_file_of_unknown_length(server):
    path = get_file(f"{server.address}/unmeasured/a.bin", sha256=SHA256.upper())
    assert files() == ["a.bin"] and os.path.getsize(path) == len(CONTENT)


def test_a_truncated_download_goes_on_from_there(server):
    url = f"{server.address}/truncated/a.bin"
    message = (
        f"get_file: expected the file at {url}, got 1000 of 256000 bytes; run again, "
        f"or put the file at {home() / 'a.bin'} by hand"
    )
    with pytest.raises(DownloadError, match=f"^{re.escape(message)}$"):
        get_file(url)
    assert files() == ["a.bin.part"]
    get_file(f"{server.address}/resumable/a.bin", sha256=SHA256)
    assert files() == ["a.bin"]
    assert server.ranges == [None, "bytes=1000-"]


@pytest.mark.parametrize("fault", ["whole", "elsewhere"])
def test_a_server_that_does_not_resume(server, fault):
    home().mkdir()
    (home() / "a.bin.part").write_bytes(b"something old")
    get_file(f"{server.address}/{fault}/a.bin", sha256=SHA256)
    assert server.ranges == ["bytes=13-"]
    assert files() == ["a.bin"]


def test_a_part_that_is_longer_than_the_file_is_begun_anew(server):
    home().mkdir()
    (home() / "a.bin.part").write_bytes(bytes(len(CONTENT) + 1))
    get_file(f"{server.address}/resumable/a.bin", sha256=SHA256)
    assert server.ranges == [f"bytes={len(CONTENT) + 1}-", None]
    assert files() == ["a.bin"]


def test_a_wrong_checksum(server):
    url = f"{server.address}/whole/a.bin"
    message = (
        f"get_file: expected the file at {url} to have the SHA-256 {'0' * 64}, got "
        f"{SHA256}; it was removed; run again, or put the file at {home() / 'a.bin'} "
        "by hand"
    )
    with pytest.raises(DownloadError, match=f"^{re.escape(message)}$"):
        get_file(url, sha256="0" * 64)
    assert files() == []


def test_a_known_checksum_is_checked(server, monkeypatch):
    url = f"{server.address}/whole/a.bin"
    monkeypatch.setitem(download.known_checksums, url, "1" * 64)
    with pytest.raises(DownloadError, match="to have the SHA-256 1111"):
        get_file(url)
    assert files() == []


def test_not_found(server):
    url = f"{server.address}/missing/a.bin"
    message = (
        f"get_file: expected the file at {url}, got HTTP Error 404: Not Found; run "
        f"again, or put the file at {home() / 'a.bin'} by hand"
    )
    with pytest.raises(DownloadError, match=f"^{re.escape(message)}$"):
        get_file(url)
    assert files() == []


def test_no_server(server):
    server.shutdown()
    server.server_close()
    url = f"{server.address}/whole/a.bin"
    with pytest.raises(DownloadError, match=f"^get_file: expected the file at {url}, "):
        get_file(url)


def test_redirected_to_where_it_must_not_go(server):
    message = (
        "got <urlopen error the server points to http://dezero.invalid/file.bin, which "
        "is not https>"
    )
    with pytest.raises(DownloadError, match=re.escape(message)):
        get_file(f"{server.address}/redirect/a.bin")
    assert files() == []


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/a.bin",
        "ftp://127.0.0.1/a.bin",
        "file:///etc/passwd",
        "a.bin",
    ],
)
def test_addresses_that_are_refused(server, url):
    message = f"get_file: expected an address that begins with https://, got {url}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        get_file(url)
    assert not home().exists()


@pytest.mark.parametrize("name", ["../a.bin", "/tmp/a.bin", "", "a/../../b"])
def test_names_that_are_refused(server, name):
    message = (
        f"get_file: expected a file name inside {home()}, got '{name}'; write "
        "get_file(url, file_name='name.ext')"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        get_file(f"{server.address}/whole/a.bin", name)


def test_a_folder_that_cannot_be_made(server, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DEZERO_HOME", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match=r"^get_file: expected a folder to write"):
        get_file(f"{server.address}/whole/a.bin", "folder/a.bin")


def test_several_at_once(server):
    url = f"{server.address}/whole/a.bin"
    threads = [threading.Thread(target=get_file, args=(url,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files() == ["a.bin"]
    assert (home() / "a.bin").read_bytes() == CONTENT


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_for_those_who_watch(server, monkeypatch, capsys):
    get_file(f"{server.address}/whole/a.bin")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys, "stderr", Terminal())
    get_file(f"{server.address}/whole/b.bin")
    written = sys.stderr.getvalue()
    assert written.startswith("\rb.bin: 0.")
    assert written.endswith("\rb.bin: 0.3 of 0.3 MB, 100%\n")
    monkeypatch.setattr(sys, "stderr", Terminal())
    get_file(f"{server.address}/unmeasured/c.bin")
    assert sys.stderr.getvalue().endswith("\rc.bin: 0.3 MB\n")


def test_home(monkeypatch):
    monkeypatch.setenv("DEZERO_HOME", "~/elsewhere")
    assert str(home()) == os.path.expanduser("~/elsewhere")
    monkeypatch.setenv("DEZERO_HOME", "")
    assert str(home()) == os.path.expanduser("~/.dezero")


@pytest.mark.parametrize("module", ["datasets", "utils", "backend.download"])
def test_a_program_may_replace_get_file(module, monkeypatch):
    asked = []

    def instead(url, file_name=None):
        asked.append((url, file_name))
        return "/there"

    monkeypatch.setattr(f"dezero.{module}.get_file", instead)
    assert download.fetch("https://example.org/a.bin") == "/there"
    assert download.fetch("https://example.org/a.bin", "folder/a.bin") == "/there"
    assert download.fetch("https://example.org/a.bin", "b.bin") == "/there"
    assert asked == [
        ("https://example.org/a.bin", None),
        ("https://example.org/a.bin", None),
        ("https://example.org/a.bin", "b.bin"),
    ]
    monkeypatch.undo()
    assert download.replacement() is None
    assert dezero.datasets.get_file is get_file
