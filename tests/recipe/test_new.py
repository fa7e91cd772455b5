# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix new-overlay`` and ``new-ebuild``: a first package of one's own."""

from __future__ import annotations

import functools
import http.server
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import InUse, Machine, two_lines

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.recipe import new


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A server of this machine that has thing-1.5.tar.gz, with a configure script."""
    source = tmp_path / "thing-1.5"
    source.mkdir()
    (source / "configure").write_text("#!/bin/sh\n")
    (tmp_path / "www").mkdir()
    with tarfile.open(tmp_path / "www/thing-1.5.tar.gz", "w:gz") as archive:
        archive.add(source, "thing-1.5")
    (tmp_path / "www/broken-1.tar.gz").write_text("not a tarball")
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "www")
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_new_overlay_and_ebuild_can_be_used_at_once(machine: Machine, site: str) -> None:
    overlay = machine.base / "mine"
    machine.ok(*fp("new-overlay", overlay))
    machine.ok(
        *fp("new-ebuild", overlay, "app-misc/thing-1.5", "--uri", f"{site}/thing-1.5.tar.gz")
    )
    text = (overlay / "app-misc/thing/thing-1.5.ebuild").read_text()
    assert f'SRC_URI="{site}/${{P}}.tar.gz"' in text
    assert 'S="${WORKDIR}/${P}"' in text
    assert "econf" in text
    manifest = (overlay / "app-misc/thing/Manifest").read_text()
    assert manifest.startswith("DIST thing-1.5.tar.gz ")
    prefix: InUse = machine.setup("user", f"--custom_ebuild_overlays={overlay}")
    said = prefix.install("--stage", "--nodeps", "--fetchonly", "app-misc/thing")
    assert "missing" not in said.stderr
    ebuild = overlay / "app-misc/thing/thing-1.5.ebuild"
    machine.ok(prefix.wrapper("ebuild"), ebuild, "manifest")
    assert (overlay / "app-misc/thing/Manifest").read_text() == manifest


def test_an_ebuild_of_a_script_installs_as_it_stands(machine: Machine) -> None:
    overlay = machine.base / "mine"
    machine.ok(*fp("new-overlay", overlay, "--name", "another-name"))
    assert (overlay / "profiles/repo_name").read_text() == "another-name\n"
    machine.ok(*fp("new-ebuild", overlay, "app-misc/hi-1", "--description", 'Says "hi" for $1'))
    text = (overlay / "app-misc/hi/hi-1.ebuild").read_text()
    assert 'DESCRIPTION="Says \\"hi\\" for \\$1"' in text
    prefix = machine.setup("user", f"--custom_ebuild_overlays={overlay}")
    prefix.install("--nodeps", "app-misc/hi")
    assert (prefix.final / "usr/bin/hello").read_text().endswith("echo hello\n")


def fp(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "flatcar_prefix", *map(str, words)]


@pytest.mark.parametrize(
    ("package", "uri", "what", "hint", "code"),
    [
        ("c-1", "", "not a package with a version", "app-misc/hello-1.0", 2),
        ("a-b/c", "", "not a package with a version", "app-misc/hello-1.0", 2),
        ("a-b/c-1", "ftpx://x/y.tgz", "ftpx", "http", 2),
        ("a-b/c-1", "http://localhost:1/y.tgz", "y.tgz", "", 1),
        ("a-b/c-1", "http://localhost:1/", "file's name", "URI of a file", 2),
    ],
)
def test_wrong_input_is_told_and_writes_nothing(
    tmp_path: Path, package: str, uri: str, what: str, hint: str, code: int
) -> None:
    new.overlay(tmp_path / "mine", name=None, masters=["gentoo-subset"])
    before = sorted((tmp_path / "mine").rglob("*"))
    with pytest.raises(PrefixError) as caught:
        new.ebuild(tmp_path / "mine", package, uri=uri)
    assert what in str(caught.value)
    assert hint in caught.value.hint
    assert caught.value.exit_code == code
    assert sorted((tmp_path / "mine").rglob("*")) == before


def test_places_that_cannot_be_are_told(tmp_path: Path) -> None:
    with pytest.raises(PrefixError, match="is not an ebuild repository") as caught:
        new.ebuild(tmp_path / "no", "a-b/c-1")
    assert "new-overlay" in caught.value.hint
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(PrefixError, match="is not empty"):
        new.overlay(tmp_path / "full", name=None, masters=[])
    with pytest.raises(PrefixError, match="cannot be the name of a repository") as caught:
        new.overlay(tmp_path / "x y", name=None, masters=[])
    assert "--name" in caught.value.hint
    assert not (tmp_path / "x y").exists()


def test_a_source_that_cannot_be_unpacked_is_told(machine: Machine, site: str) -> None:
    machine.ok(*fp("new-overlay", machine.base / "mine"))
    result = machine.run(*fp("new-ebuild", "mine", "a-b/c-1", "--uri", f"{site}/broken-1.tar.gz"))
    assert "cannot be unpacked" in two_lines(result)[0]
    assert not (machine.base / "mine/a-b").exists()
