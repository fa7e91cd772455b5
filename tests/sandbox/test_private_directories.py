# SPDX-License-Identifier: BSD-3-Clause
"""A needed directory exists in a confined process by each name that leads to it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from machine import InUse, Overlay

from flatcar_prefix.sandbox import private_directories
from flatcar_prefix.sandbox.private_directories import Needed
from flatcar_prefix.system import namespace


def test_links_are_followed_and_remembered(tmp_path: Path) -> None:
    real = tmp_path / "real/place"
    real.mkdir(parents=True)
    (tmp_path / "absolute").symlink_to(tmp_path / "real")
    (tmp_path / "relative").symlink_to("absolute/../real")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("")
    needed = Needed.of(
        [f"{tmp_path}/relative/./place", f"{tmp_path}/loop", f"{tmp_path}/missing",
         f"{tmp_path}/file", "relative", "", "/"]
    )  # fmt: skip
    assert needed.places == (os.path.realpath(real),)
    assert dict(needed.links) == {
        f"{os.path.realpath(tmp_path)}/relative": "absolute/../real",
        f"{os.path.realpath(tmp_path)}/absolute": f"{tmp_path}/real",
        f"{os.path.realpath(tmp_path)}/loop": "loop",
    }


@pytest.mark.needs_root
@pytest.mark.needs_namespaces
def test_a_needed_place_stays_by_its_links_and_nothing_else_does(tmp_path: Path) -> None:
    place = tmp_path / "real/place"
    place.mkdir(parents=True)
    (place / "file").write_text("needed")
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to("real")
    seen, child = tmp_path / "real/place/seen", os.fork()
    if child == 0:
        try:
            namespace.unshare(namespace.CLONE_NEWNS)
            namespace.make_private()
            needed = Needed.of([f"{tmp_path}/link/place"])
            private_directories.replace({str(tmp_path): "0755"}, needed, uid=None)
            names = sorted(os.listdir(tmp_path))
            seen.write_text(f"{names} {(tmp_path / 'link/place/file').read_text()}")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert seen.read_text() == "['link', 'real'] needed"
    assert (tmp_path / "other").is_dir()


@pytest.mark.needs_root
@pytest.mark.needs_namespaces
def test_a_users_repository_below_var_tmp_works_through_a_link(empty_prefix: InUse) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as base:
        Path(base).chmod(0o755)
        overlay = Overlay(Path(base) / "real/overlay", "linked-overlay")
        (Path(base) / "link").symlink_to("real")
        overlay.ebuild(
            "test-linked/reads-1",
            'src_install() {\n\tinsinto /usr/share/linked\n\tdoins "${FILESDIR}"/text\n}',
            files={"text": "read"},
        )
        own = empty_prefix.config("staging") / "repos.conf/linked.conf"
        own.write_text(f"[linked-overlay]\nlocation = {base}/link/overlay\n")
        try:
            empty_prefix.install("--stage", "test-linked/reads")
        finally:
            own.unlink()
    assert (empty_prefix.eroot("staging") / "usr/share/linked/text").read_text() == "read"
