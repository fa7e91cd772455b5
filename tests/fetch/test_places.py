# SPDX-License-Identifier: BSD-3-Clause
"""The order of the places that have a file, with real servers and a real apt archive."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.fetch import __main__ as fetch, debian, pypi, recently, sources_index
from flatcar_prefix.fetch.manifest import Dist

OS_RELEASE = "ID=debian\nVERSION_CODENAME=old\n"
NOWHERE = "http://127.0.0.1:9/x-1.tar.gz"

needs_apt = pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt-get is not installed")


def dist(name: str, content: bytes) -> Dist:
    return Dist(name, len(content), {"SHA512": hashlib.sha512(content).hexdigest()})


def stanza(name: str, files: dict[str, bytes]) -> str:
    sums = "".join(
        f" {hashlib.sha256(content).hexdigest()} {len(content)} {file}\n"
        for file, content in files.items()
    )
    return (
        f"Package: {name}\nVersion: 1-1\nFormat: 3.0 (quilt)\nDirectory: pool/{name}\n"
        f"Checksums-Sha256:\n{sums}\n"
    )


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that adds a source package to a suite of an archive on this disk."""
    top = tmp_path / "archive"
    apt = tmp_path / "apt"
    (apt / "sources.list.d").mkdir(parents=True)
    (apt / "sources.list").write_text(f"deb [trusted=yes] file:{top} old main\n")
    real = debian.archive
    monkeypatch.setattr(
        debian, "archive", lambda cache, os_release: real(cache, apt=apt, os_release=os_release)
    )

    def add(suite: str, name: str, files: dict[str, bytes]) -> None:
        lists = top / "dists" / suite / "main/source"
        for path in (lists, top / "pool" / name):
            path.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (top / "pool" / name / file).write_bytes(content)
        with (lists / "Sources").open("a") as sources:
            sources.write(stanza(name, files))
        text = (lists / "Sources").read_bytes()
        (lists.parents[1] / "Release").write_text(
            f"Suite: {suite}\nComponents: main\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n"
            f"SHA256:\n {hashlib.sha256(text).hexdigest()} {len(text)} main/source/Sources\n"
        )

    return add


def request(tmp_path: Path, uri: str, wanted: Dist | None, **more: object) -> fetch.Request:
    (tmp_path / "d").mkdir(exist_ok=True)
    return fetch.Request(
        uri, tmp_path / "d/out", tmp_path / "cache", timeout=2, dist=wanted, **more
    )  # type: ignore[arg-type]


@needs_apt
def test_a_file_is_found_by_its_size_under_a_name_that_no_guess_finds(
    archive: Callable[..., None], tmp_path: Path
) -> None:
    archive("old", "unlikely", {"unlikely_7+ds.orig.tar.gz": b"the tarball"})
    wanted = dist("x-1.tar.gz", b"the tarball")
    origin = fetch.fetch(request(tmp_path, NOWHERE, wanted), os_release=OS_RELEASE)
    assert origin.startswith("unlikely_7+ds.orig.tar.gz of unlikely 1-1")
    assert (tmp_path / "d/out").read_bytes() == b"the tarball"
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["out"]


@needs_apt
def test_a_cache_that_was_moved_still_finds_files(
    archive: Callable[..., None], tmp_path: Path
) -> None:
    archive("old", "unlikely", {"unlikely_7+ds.orig.tar.gz": b"the tarball"})
    wanted = dist("x-1.tar.gz", b"the tarball")
    fetch.fetch(request(tmp_path, NOWHERE, wanted), os_release=OS_RELEASE)
    shutil.move(tmp_path / "cache", tmp_path / "moved")
    asked = request(tmp_path, NOWHERE, wanted)
    asked = dataclasses.replace(asked, cache=tmp_path / "moved")
    assert fetch.fetch(asked, os_release=OS_RELEASE).startswith("unlikely_7+ds.orig.tar.gz")


@needs_apt
def test_the_checksum_decides_between_files_of_one_size(
    archive: Callable[..., None], tmp_path: Path
) -> None:
    archive("old", "wrong", {"wrong_1.orig.tar.gz": b"another one"})
    archive("old", "right", {"right_1.orig.tar.gz": b"the tarball"})
    wanted = dist("x-1.tar.gz", b"the tarball")
    origin = fetch.fetch(request(tmp_path, NOWHERE, wanted), os_release=OS_RELEASE)
    assert origin.startswith("right_1.orig.tar.gz")


@needs_apt
def test_a_file_of_the_right_size_and_another_checksum_is_refused(
    archive: Callable[..., None], tmp_path: Path
) -> None:
    archive("old", "wrong", {"wrong_1.orig.tar.gz": b"another one"})
    with pytest.raises(fetch.FetchError) as caught:
        fetch.fetch(
            request(tmp_path, NOWHERE, dist("x-1.tar.gz", b"the tarball"), newer=False),
            os_release=OS_RELEASE,
        )
    assert "wrong_1.orig.tar.gz of wrong 1-1 has the size of x-1.tar.gz" in str(caught.value)
    assert not list((tmp_path / "d").iterdir())


@needs_apt
def test_newer_suites_are_searched_last_unless_excluded(
    archive: Callable[..., None], tmp_path: Path
) -> None:
    archive("old", "other", {"other_1.orig.tar.gz": b"not it"})
    archive("testing", "new", {"new_2.orig.tar.gz": b"a newer tarball"})
    wanted = dist("x-2.tar.gz", b"a newer tarball")
    with pytest.raises(fetch.FetchError) as caught:
        fetch.fetch(request(tmp_path, NOWHERE, wanted, newer=False), os_release=OS_RELEASE)
    assert len(caught.value.places) == 2
    assert "source packages of old: no file of 15 bytes" in caught.value.places[1]
    shutil.rmtree(tmp_path / "cache/recently")  # as in another run of emerge
    origin = fetch.fetch(request(tmp_path, NOWHERE, wanted), os_release=OS_RELEASE)
    assert origin.startswith("new_2.orig.tar.gz of new 1-1")


def test_newer_suites_are_those_of_the_distribution_in_its_own_archive() -> None:
    own = [
        debian.Entry("http://a.test", "old", ("main",)),
        debian.Entry("http://s.test", "old-security", ("main",)),
        debian.Entry("http://a.test", "testing", ("main",)),
    ]
    found = debian.newer_entries(own, os_release=OS_RELEASE)
    assert [(e.uri, e.suite) for e in found] == [
        ("http://a.test", "stable"),
        ("http://a.test", "unstable"),
    ]
    assert debian.newer_entries(own, os_release="ID=other\nVERSION_CODENAME=old\n") == []


@needs_apt
def test_lists_that_cannot_be_fetched_are_not_fetched_again_at_once(tmp_path: Path) -> None:
    entry = debian.Entry(f"file:{tmp_path}/none", "old", ("main",), (("Trusted", "yes"),))
    archive = debian.Archive(tmp_path / "cache", (entry,))
    with pytest.raises(PrefixError, match="cannot fetch the lists"):
        archive.find_size(5)
    with pytest.raises(PrefixError, match=r"could not be fetched \d+ s ago"):
        archive.find_size(5)


def test_the_list_is_searched_for_whole_sizes(tmp_path: Path) -> None:
    path = tmp_path / "Sources"
    path.write_text(stanza("a", {"a.tar": b"12345"}) + stanza("b", {"b.tar": b"1" * 15}))
    found = list(sources_index.find(path, "http://a.test/", 5))
    assert [one.uri for one in found] == ["http://a.test/pool/a/a.tar"]
    assert list(sources_index.find(path, "http://a.test", 4)) == []
    path.write_text("")
    assert list(sources_index.find(path, "http://a.test", 4)) == []


def test_a_server_that_does_not_answer_costs_one_time_out(tmp_path: Path) -> None:
    uri = "http://host.invalid/x.zip"
    with pytest.raises(PrefixError, match="cannot be resolved"):
        fetch.fetch(request(tmp_path, uri, None))
    began = time.monotonic()
    with pytest.raises(PrefixError, match="could not be reached"):
        fetch.fetch(request(tmp_path, uri, None))
    assert time.monotonic() - began < 1
    recently.refuse_unreachable("http://other.invalid/x", tmp_path / "cache")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    directory = tmp_path / "served"
    directory.mkdir()
    handler = partial(Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", directory
        server.shutdown()


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("source", "typing_extensions-4.tar.gz"),
        ("py3", "typing_extensions-4-py3-none-any.whl"),
        ("py2.py3", "typing_extensions-4-py2.py3-none-any.whl"),
    ],
)
def test_a_distribution_comes_from_the_index_if_the_directory_lacks_it(
    served: tuple[str, Path], tmp_path: Path, directory: str, name: str
) -> None:
    url, place = served
    (place / "simple/typing-extensions").mkdir(parents=True)
    (place / "simple/typing-extensions/index.html").write_text(
        f'<a href="../../files/{name}#sha256=0">x</a><a>no</a>'
    )
    (place / "files").mkdir()
    (place / "files" / name).write_bytes(b"distribution")
    uri = f"{url}/packages/{directory}/t/typing_extensions/{name}"
    origin = fetch.fetch(request(tmp_path, uri, None, indexes=(f"{url}/simple",)))
    assert origin == f"{url}/files/{name}"
    assert (tmp_path / "d/out").read_bytes() == b"distribution"


def test_pips_variables_name_the_indexes() -> None:
    env = {"PIP_INDEX_URL": "http://a.test/simple/", "PIP_EXTRA_INDEX_URL": "http://b.test/s"}
    assert pypi.indexes(env) == ("http://a.test/simple", "http://b.test/s")
    assert len(pypi.indexes({})) == 1
    assert pypi.project("http://a.test/packages/source/x.tar.gz") is None


def test_mirrors_come_before_upstream_in_both_layouts(
    served: tuple[str, Path], tmp_path: Path
) -> None:
    url, directory = served
    hashed = directory / "one/distfiles" / hashlib.blake2b(b"out").hexdigest()[:2]
    hashed.mkdir(parents=True)
    (hashed / "out").write_bytes(b"hashed")
    (directory / "two/distfiles").mkdir(parents=True)
    (directory / "two/distfiles/out").write_bytes(b"flat")
    (directory / "up").write_bytes(b"upstream")
    for mirrors, content in (
        (("one", "two"), b"hashed"),
        (("none", "two"), b"flat"),
        ((), b"upstream"),
    ):
        uris = tuple(f"{url}/{name}" for name in mirrors)
        fetch.fetch(request(tmp_path, f"{url}/up", None, distfile_mirrors=uris))
        assert (tmp_path / "d/out").read_bytes() == content


def test_a_mirror_can_be_a_directory(tmp_path: Path) -> None:
    (tmp_path / "disc").mkdir()
    (tmp_path / "disc/out").write_bytes(b"from the disc")
    wanted = request(tmp_path, NOWHERE, None, distfile_mirrors=(str(tmp_path / "disc"),))
    assert fetch.fetch(wanted) == str(tmp_path / "disc/out")
    assert (tmp_path / "d/out").read_bytes() == b"from the disc"


def test_the_next_uri_of_a_file_that_no_place_has_is_tried_alone(
    served: tuple[str, Path], tmp_path: Path
) -> None:
    url, directory = served
    wanted = dist("out", b"late")
    mirrors = (f"{url}/mirror",)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/failed").touch()  # apt's lists cannot be fetched
    with pytest.raises(fetch.FetchError) as caught:
        fetch.fetch(
            request(tmp_path, NOWHERE, wanted, distfile_mirrors=mirrors, newer=False),
            os_release=OS_RELEASE,
        )
    assert len(caught.value.places) == 3
    with pytest.raises(fetch.FetchError) as caught:
        fetch.fetch(request(tmp_path, f"{url}/gone", wanted, distfile_mirrors=mirrors))
    assert len(caught.value.places) == 1
    (directory / "second").write_bytes(b"late")
    second = request(tmp_path, f"{url}/second", wanted, distfile_mirrors=mirrors)
    assert fetch.fetch(second) == f"{url}/second"
