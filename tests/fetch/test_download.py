# SPDX-License-Identifier: BSD-3-Clause
"""Transfers are bounded in size and time, resumed, and leave nothing behind."""

from __future__ import annotations

import contextlib
import http.server
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.fetch.download import Limits, download
from flatcar_prefix.fetch.manifest import dist
from flatcar_prefix.system.python import launch

CONTENT = bytes(range(256)) * 1024
SIZE = len(CONTENT)


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT in the way that the path names; the server counts the requests."""

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.ranges.append(self.headers.get("Range"))  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):  # The client may have gone.
            getattr(self, self.path.strip("/").replace("-", "_"))()

    def answer(self, length: int | None, *, code: int = 200, start: int = 0) -> None:
        self.send_response(code)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if code == 206:
            self.send_header("Content-Range", f"bytes {start}-{SIZE - 1}/{SIZE}")
        self.end_headers()

    def start(self) -> int:
        asked = self.headers.get("Range")
        return int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0

    def whole(self) -> None:
        self.answer(SIZE)
        self.wfile.write(CONTENT)

    def cut(self) -> None:
        """Break off after a third each time, and continue where asked to."""
        start = self.start()
        self.answer(SIZE - start, code=206 if start else 200, start=start)
        self.wfile.write(CONTENT[start : start + SIZE // 3 + 1])

    def cut_without_ranges(self) -> None:
        """Break off once, and begin again."""
        self.answer(SIZE)
        again = len(self.server.ranges) > 1  # type: ignore[attr-defined]
        self.wfile.write(CONTENT if again else CONTENT[:1000])

    def cut_always(self) -> None:
        self.answer(SIZE)
        self.wfile.write(CONTENT[:1000])

    def endless(self) -> None:
        self.answer(None)
        for _ in range(1000):
            self.wfile.write(CONTENT)

    def lies(self) -> None:
        self.answer(SIZE + 5)
        self.wfile.write(CONTENT + b"12345")

    def drips(self) -> None:
        self.answer(SIZE)
        for place in range(0, SIZE, 10):
            self.wfile.write(CONTENT[place : place + 10])
            time.sleep(0.05)

    def silent(self) -> None:
        self.answer(SIZE)
        self.wfile.write(CONTENT[:1000])
        time.sleep(20)


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.daemon_threads = True
        httpd.block_on_close = False
        httpd.ranges = []  # type: ignore[attr-defined]
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield httpd
        httpd.shutdown()


def uri(server: http.server.ThreadingHTTPServer, way: str) -> str:
    return f"http://127.0.0.1:{server.server_port}/{way}"


LIMITS = Limits(timeout=5, patience=0.5)


@pytest.mark.parametrize("size", [None, SIZE])
@pytest.mark.parametrize("way", ["whole", "cut", "cut-without-ranges"])
def test_a_file_arrives_whole(server, tmp_path: Path, way: str, size: int | None) -> None:
    download(uri(server, way), tmp_path / "out", Limits(5, size))
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert os.listdir(tmp_path) == ["out"]


def test_a_transfer_that_breaks_off_is_resumed(server, tmp_path: Path) -> None:
    download(uri(server, "cut"), tmp_path / "out", LIMITS)
    third = SIZE // 3 + 1
    assert server.ranges == [None, f"bytes={third}-", f"bytes={2 * third}-"]


@pytest.mark.parametrize(
    ("way", "limits", "reason"),
    [
        ("endless", Limits(5, 1000), "more than the 1000 bytes"),
        ("lies", Limits(5, SIZE), f"the file has {SIZE + 5} bytes, and {SIZE} in the Manifest"),
        ("drips", LIMITS, "the transfer is stalled"),
        ("silent", Limits(0.5), "the server does not answer"),
        ("cut-always", LIMITS, f"the transfer ended after 1000 of {SIZE} bytes"),
    ],
)
def test_a_transfer_is_given_up(
    server, tmp_path: Path, way: str, limits: Limits, reason: str
) -> None:
    started = time.monotonic()
    with pytest.raises(PrefixError, match=reason):
        download(uri(server, way), tmp_path / "out", limits)
    assert time.monotonic() - started < 10
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_no_temporary_file(server, tmp_path: Path, number: int) -> None:
    out = tmp_path / "out"
    child = subprocess.Popen([*launch("fetch"), uri(server, "silent"), out], stderr=subprocess.PIPE)
    end = time.monotonic() + 30
    while not (server.ranges and os.listdir(tmp_path)) and time.monotonic() < end:
        time.sleep(0.02)
    assert os.listdir(tmp_path)
    child.send_signal(number)
    assert child.wait(20) == -number
    assert os.listdir(tmp_path) == []


def test_the_size_comes_from_the_manifest(tmp_path: Path) -> None:
    manifest = tmp_path / "Manifest"
    manifest.write_text(
        f"AUX foo.tar 3 SHA512 x\nDIST bar.tar 7 SHA512 x\nDIST foo.tar {SIZE} SHA512 x\n"
    )
    env = {"EBUILD": str(tmp_path / "foo-1.ebuild")}
    for name in ("foo.tar", "foo.tar.__download__"):
        found = dist(Path("/distfiles") / name, env)
        assert found is not None and (found.size, found.hashes) == (SIZE, {"SHA512": "x"})
    assert dist(Path("/distfiles/other.tar"), env) is None
    assert dist(Path("/distfiles/foo.tar"), {}) is None


def test_the_fetch_command_reads_it(server, tmp_path: Path) -> None:
    (tmp_path / "Manifest").write_text("DIST out 1000 SHA512 x\n")
    (tmp_path / "distfiles").mkdir()
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "failed").touch()  # of a machine that cannot fetch apt's lists
    (cache / "newer").symlink_to(".")
    result = subprocess.run(
        [*launch("fetch"), f"--cache={cache}", uri(server, "whole"), tmp_path / "distfiles/out.__download__"],
        env={**os.environ, "EBUILD": str(tmp_path / "x-1.ebuild")}, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 1
    assert f"the file has {SIZE} bytes, and 1000 in the Manifest" in result.stderr
    assert os.listdir(tmp_path / "distfiles") == []
