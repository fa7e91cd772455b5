# SPDX-License-Identifier: BSD-3-Clause
"""The fetch command: upstream, else the distribution's source packages."""

from __future__ import annotations

import hashlib
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.fetch import __main__ as fetch, debian
from flatcar_prefix.fetch.debian import Entry, Source

REPOS = Path(__file__).resolve().parents[2] / "repos"

ONE_LINE = """\
# see sources.list(5)
deb http://mirror.test/debian bookworm main contrib # a comment
deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] http://mirror.test/debian bookworm-updates main
  deb-src http://mirror.test/debian bookworm main
#deb http://mirror.test/off bookworm main
deb http://other.test/ ./
nonsense
"""

DEB822 = """\
Types: deb
# http://snapshot.test/archive
URIs: http://mirror.test/debian http://second.test/debian
Suites: bookworm bookworm-updates
Components: main
  contrib
Signed-By: /usr/share/keyrings/debian.gpg

Enabled: no
Types: deb
URIs: http://off.test/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://inline.test/debian
Suites: trixie
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEZ
 -----END PGP PUBLIC KEY BLOCK-----
"""


def test_one_line_entries_are_read_with_their_keys() -> None:
    entries = debian.parse_one_line(ONE_LINE)
    assert entries == [
        Entry("http://mirror.test/debian", "bookworm", ("main", "contrib")),
        Entry(
            "http://mirror.test/debian",
            "bookworm-updates",
            ("main",),
            (("Signed-By", "/usr/share/keyrings/debian.gpg"),),
        ),
        Entry("http://mirror.test/debian", "bookworm", ("main",)),
        Entry("http://other.test/", "./"),
    ]


def test_deb822_entries_are_read_for_each_uri_and_suite() -> None:
    entries = debian.parse_deb822(DEB822)
    assert [(e.uri, e.suite) for e in entries] == [
        ("http://mirror.test/debian", "bookworm"),
        ("http://mirror.test/debian", "bookworm-updates"),
        ("http://second.test/debian", "bookworm"),
        ("http://second.test/debian", "bookworm-updates"),
        ("http://inline.test/debian", "trixie"),
    ]
    assert entries[0].components == ("main", "contrib")
    assert entries[0].options == (("Signed-By", "/usr/share/keyrings/debian.gpg"),)
    assert "mDMEZ" in entries[-1].options[0][1]


def test_only_the_distribution_itself_is_asked_for_sources() -> None:
    entries = [
        Entry("http://mirror.test/debian", "bookworm", ("main", "non-free")),
        Entry("http://mirror.test/debian", "bookworm", ("main",)),
        Entry("http://mirror.test/debian-security", "bookworm-security", ("main",)),
        Entry("http://mirror.test/debian-security", "bookworm/updates", ("main",)),
        Entry("http://cloud.test/apt", "cloud-sdk-bookworm", ("main",)),
        Entry("http://node.test/node", "nodistro", ("main",)),
        Entry("http://mirror.test/debian", "sid", ("main",)),
        Entry("http://mirror.test/debian", "bookworm", ("contrib",)),
        Entry("cdrom:[disc]/", "bookworm", ("main",)),
        Entry("http://flat.test/", "./"),
    ]
    kept = debian.of_distribution(entries, codename="bookworm")
    assert [e.suite for e in kept] == ["bookworm", "bookworm-security", "bookworm/updates", "sid"]
    assert all(e.components == ("main",) for e in kept)


word = st.from_regex(r"[a-z][a-z0-9.-]{0,12}", fullmatch=True)
key = st.one_of(
    st.from_regex(r"/[a-z0-9./-]{1,20}\.gpg", fullmatch=True),
    st.lists(st.from_regex(r"[A-Za-z0-9+/=.]{1,20}", fullmatch=True), min_size=1).map("\n".join),
)


@given(
    st.lists(
        st.builds(
            Entry,
            uri=word.map("http://{}/debian".format),
            suite=word,
            components=st.lists(word, min_size=1, max_size=3).map(tuple),
            options=st.one_of(st.just(()), key.map(lambda value: (("Signed-By", value),))),
        ),
        max_size=4,
    )
)
def test_what_is_written_for_apt_reads_back_as_what_was_meant(entries: list[Entry]) -> None:
    assert debian.parse_deb822(debian.sources_file(entries)) == entries


@given(st.text())
def test_no_list_of_sources_is_too_strange_to_read(text: str) -> None:
    debian.parse_one_line(text)
    debian.parse_deb822(text)
    debian.parse_sources(text)


def test_the_machines_files_are_read_in_both_styles(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(ONE_LINE)
    (tmp_path / "sources.list.d/debian.sources").write_text(DEB822)
    (tmp_path / "sources.list.d/debian.sources.save").write_text("deb http://old.test x main")
    entries = debian.machine_entries(tmp_path, codename="bookworm")
    assert {e.uri for e in entries} == {"http://mirror.test/debian", "http://second.test/debian"}


@pytest.mark.parametrize(
    ("os_release", "codename"),
    [
        ('ID=debian\nVERSION_CODENAME=bookworm\nX="y"\n', "bookworm"),
        ('VERSION_CODENAME="noble"\n', "noble"),
        ("ID=flatcar\n", ""),
    ],
)
def test_the_codename_is_what_os_release_says(os_release: str, codename: str) -> None:
    assert debian.codename_of(os_release) == codename


@pytest.mark.parametrize(
    ("distfile", "source", "file"),
    [
        ("bzip2-1.0.8.tar.gz", "bzip2", "bzip2_1.0.8.orig.tar.gz"),
        ("libpcre2-10.42.tar.gz", "pcre2", "pcre2_10.42.orig.tar.gz"),
        ("Python-3.11.2.tar.gz", "python3.11", "python3.11_3.11.2.orig.tar.gz"),
        ("ffi-3.4.4.tar.gz", "libffi", "libffi_3.4.4.orig.tar.gz"),
        ("typing_extensions-4.4.0.tar.gz", "typing-extensions", None),
        ("setuptools-66.1.1.tgz", "setuptools", "setuptools_66.1.1.orig.tar.gz"),
        ("foo-v1.2.tar.xz", "foo", "foo_1.2.orig.tar.xz"),
    ],
)
def test_a_tarballs_name_leads_to_its_source_package(
    distfile: str, source: str, file: str | None
) -> None:
    guesses = dict(debian.guesses(distfile))
    assert source in guesses
    assert file is None or guesses[source] == file


@pytest.mark.parametrize("name", ["fix.patch", "1.0.tar.gz", "README", "", "foo-1.2.zip"])
def test_what_is_no_release_tarball_is_not_guessed_at(name: str) -> None:
    assert debian.guesses(name) == []


@given(word, st.from_regex(r"\d{1,3}(\.\d{1,3}){0,3}", fullmatch=True))
def test_every_guess_is_upstreams_version_unchanged(name: str, version: str) -> None:
    for source, file in debian.guesses(f"{name}-{version}.tar.xz"):
        assert file == f"{source}_{version}.orig.tar.xz"


def test_explicit_uris_name_package_and_file() -> None:
    expected = ("zlib", "zlib_1.2.13.dfsg.orig.tar.bz2")
    assert debian.parse_uri("debian://zlib/zlib_1.2.13.dfsg.orig.tar.bz2") == expected
    assert debian.parse_uri("debian:zlib/zlib_1.2.13.dfsg.orig.tar.bz2") == expected


@pytest.mark.parametrize(
    "uri", ["debian://zlib", "debian://zlib/../x", "debian://a b/c", "debian:///x", "debian://-o/x"]
)
def test_uris_that_name_neither_are_refused(uri: str) -> None:
    with pytest.raises(PrefixError, match="is not a file of a source package"):
        debian.parse_uri(uri)


def test_pool_paths_follow_the_archives_layout() -> None:
    assert debian.pool_path("zlib", "a.tar") == "pool/main/z/zlib/a.tar"
    assert debian.pool_path("libffi", "a.tar") == "pool/main/libf/libffi/a.tar"


SHOWSRC = """\
Package: pcre2
Binary: libpcre2-8-0, libpcre2-dev
Version: 10.42-1
Files:
 a6b215b5 2302 pcre2_10.42-1.dsc
 37d2f77c 2397194 pcre2_10.42.orig.tar.gz
Checksums-Sha256:
 726dafe7 2302 pcre2_10.42-1.dsc
 c33b418e 2397194 pcre2_10.42.orig.tar.gz

Package: pcre2
Version: 10.42-1+deb12u2
Checksums-Sha256:
 63be58a9 2371 pcre2_10.42-1+deb12u2.dsc
 c33b418e 2397194 pcre2_10.42.orig.tar.gz
"""


def test_every_version_that_has_the_file_is_a_candidate() -> None:
    sources = debian.parse_sources(SHOWSRC)
    assert [source.version for source in sources] == ["10.42-1", "10.42-1+deb12u2"]
    wanted = [("libpcre2", "libpcre2_10.42.orig.tar.gz"), ("pcre2", "pcre2_10.42.orig.tar.gz")]
    assert debian.choose(sources, wanted) == [(s, "pcre2_10.42.orig.tar.gz") for s in sources]
    assert debian.choose(sources, [("pcre2", "pcre2_10.43.orig.tar.gz")]) == []
    assert debian.choose([Source("x", "1", ("f",))], [("y", "f")]) == []


def test_portages_suffix_is_no_part_of_a_name() -> None:
    names = fetch.distfile_names(
        "https://up.test/d/Foo-1.tar.gz?x=y", Path("/d/foo-1.tar.gz.__download__")
    )
    assert names == ["Foo-1.tar.gz", "foo-1.tar.gz"]


# Tests with real servers and real processes


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on this machine, and its directory."""
    directory = tmp_path / "served"
    directory.mkdir()
    handler = partial(Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}", directory
        httpd.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path.endswith("cut-1.zip"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")
        else:
            super().do_GET()


def request(uri: str, tmp_path: Path, name: str = "out", mirror: str = "") -> fetch.Request:
    return fetch.Request(
        uri, tmp_path / name, tmp_path / "cache", (mirror,) if mirror else (), timeout=3
    )


def test_upstream_is_used_where_it_can_be_reached(server: tuple[str, Path], tmp_path: Path) -> None:
    url, served = server
    (served / "foo-1.tar.gz").write_bytes(b"content")
    (tmp_path / "out").write_bytes(b"what an interrupted download left, which is longer")
    assert fetch.fetch(request(f"{url}/foo-1.tar.gz", tmp_path)) == f"{url}/foo-1.tar.gz"
    assert (tmp_path / "out").read_bytes() == b"content"


@pytest.mark.parametrize("name", ["missing.zip", "cut-1.zip"])
def test_a_download_that_fails_leaves_nothing(
    server: tuple[str, Path], tmp_path: Path, name: str
) -> None:
    with pytest.raises(PrefixError):
        fetch.fetch(request(f"{server[0]}/{name}", tmp_path))
    assert not list(tmp_path.glob("*out*"))


def test_a_file_that_is_listed_no_more_comes_from_its_place_in_the_archive(
    server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, served = server
    pool = served / "pool/main/n/nosuchsource"
    pool.mkdir(parents=True)
    (pool / "nosuchsource_1.orig.tar.xz").write_bytes(b"old")
    monkeypatch.setenv("PATH", str(tmp_path))  # a machine without apt
    uri = "debian://nosuchsource/nosuchsource_1.orig.tar.xz"
    fetch.fetch(request(uri, tmp_path, mirror=url))
    assert (tmp_path / "out").read_bytes() == b"old"


def test_an_unknown_scheme_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the scheme is not supported"):
        fetch.fetch(request("gopher://x/y", tmp_path))


def run(*args: object, path: str | None = None) -> subprocess.CompletedProcess[str]:
    env = {"PATH": path or os.environ["PATH"], "HOME": "/nonexistent"}
    return subprocess.run(
        [sys.executable, "-m", "flatcar_prefix.fetch", *map(str, args)],
        env=env,
        cwd=REPOS.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_failure_is_a_line_for_each_place_and_one_line_what_to_do(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "failed").touch()  # of a machine that cannot fetch apt's lists
    result = run("--cache", cache, "http://127.0.0.1:9/a-1.tar.gz", tmp_path / "a")
    assert result.returncode == 1
    upstream, packages, what, todo = result.stderr.splitlines()
    assert "127.0.0.1:9" in upstream and "source packages" in packages
    assert what.endswith("cannot fetch a from any of these places")
    assert todo.startswith(" * ")


def test_starting_costs_no_portage() -> None:
    code = "import sys, flatcar_prefix.fetch; sys.exit('portage' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=REPOS.parent, check=False).returncode == 0
    )


@pytest.mark.network
def test_the_distribution_has_the_tarballs_of_the_manifests(tmp_path: Path) -> None:
    """If upstream does not answer, apt fetches a file with the Manifest's checksum."""
    for uri, package, file in [
        ("http://127.0.0.1:9/bzip2-1.0.8.tar.gz", "app-arch/bzip2", "bzip2-1.0.8.tar.gz"),
        (
            "debian://zlib/zlib_1.2.13.dfsg.orig.tar.bz2",
            "sys-libs/zlib",
            "zlib-1.2.13.dfsg.tar.bz2",
        ),
    ]:
        target = tmp_path / f"{file}.__download__"
        result = run("--cache", tmp_path / "cache", uri, target)
        assert result.returncode == 0, result.stderr
        manifest = (REPOS / "gentoo-subset" / package / "Manifest").read_text().split()
        recorded = manifest[manifest.index(file) + 3]
        assert hashlib.blake2b(target.read_bytes()).hexdigest() == recorded
