# SPDX-License-Identifier: BSD-3-Clause
"""A prefix uses this program's own C library if the checkout's cannot be fetched."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from machine import Machine

from flatcar_prefix.config import root
from flatcar_prefix.lifecycle import own_libc, stages
from flatcar_prefix.prefix import record

TARBALL = "glibc-2.40.tar.xz"
CONTENT = b"not a tarball, but it is fetched"


def add_glibc(machine: Machine) -> None:
    """Add a glibc to the checkout whose tarball is on a server that does not answer."""
    package = machine.repos / "gentoo-subset/sys-libs/glibc"
    package.mkdir(parents=True)
    (package / "glibc-2.40.ebuild").write_text(
        f'EAPI=8\nDESCRIPTION="x"\nSRC_URI="http://127.0.0.1:9/{TARBALL}"\nSLOT="2.2"\n'
        'KEYWORDS="amd64 arm64"\n'
    )
    digest = hashlib.sha512(CONTENT).hexdigest()
    (package / "Manifest").write_text(f"DIST {TARBALL} {len(CONTENT)} SHA512 {digest}\n")


def no_lists(machine: Machine) -> None:
    """Make apt's lists look as if they could not be fetched just now."""
    cache = machine.base / "cache/apt"
    cache.mkdir(parents=True)
    (cache / "failed").touch()
    (cache / "newer").symlink_to(".")


def set_up(machine: Machine) -> tuple[str, dict[str, object]]:
    """Set up a prefix from source, up to its first stage; return the output and the record."""
    done = machine.fp(
        "setup", f"--scripts-dir={machine.scripts}", "--bootstrap=source", "--until=baselayout",
        "one", "/usr/local/one", timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr, json.loads(
        (machine.staging("one") / "flatcar-prefix.json").read_text()
    )


def own_file(machine: Machine, name: str) -> str:
    config = machine.staging("one") / "root/usr/local/one/etc/portage"
    return (config / name / "00-flatcar-prefix").read_text()


def masks(machine: Machine) -> str:
    return own_file(machine, "package.mask")


@pytest.mark.e2e
def test_a_tarball_that_no_place_has_makes_the_own_library_the_choice(machine: Machine) -> None:
    add_glibc(machine)
    no_lists(machine)
    said, recorded = set_up(machine)
    assert "C library: this program's own glibc, baselayout and kernel headers" in said
    assert f"no place has {TARBALL}" in said
    assert said.count("writing the configuration roots") == 1
    assert recorded["own_libc"] is True
    assert "sys-devel/gcc -cet" in own_file(machine, "package.use")
    assert "sys-libs/glibc::gentoo-subset" in masks(machine)
    assert "sys-libs/glibc::prefix-toolchain" not in masks(machine)
    prefix = record.read(machine.staging("one"))
    assert "system" not in [stage.name for stage in stages.stages(prefix)]
    assert root.has_in_checkout(prefix, "sys-libs/glibc")


@pytest.mark.e2e
def test_a_tarball_in_distdir_makes_the_checkouts_library_the_choice(machine: Machine) -> None:
    add_glibc(machine)
    distdir = machine.base / "cache/distfiles"
    distdir.mkdir(parents=True)
    (distdir / TARBALL).write_bytes(CONTENT)
    said, recorded = set_up(machine)
    assert "C library: the checkout's" in said
    assert recorded["own_libc"] is False
    assert "sys-libs/glibc::prefix-toolchain" in masks(machine)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("!!! Couldn't download 'a-1.tar.xz'. Aborting.\n!!! x\n", "no place has a-1.tar.xz"),
        ("!!! All ebuilds are masked\n", "All ebuilds are masked"),
        ("nothing\n", "emerge failed"),
    ],
)
def test_the_reason_comes_from_emerge(tmp_path: Path, text: str, expected: str) -> None:
    log = tmp_path / "log"
    log.write_text(text)
    assert own_libc.reason(log) == expected
