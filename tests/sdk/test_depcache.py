# SPDX-License-Identifier: BSD-3-Clause
"""The cache of ebuild metadata: the first set-up generates it once, for all prefixes."""

from __future__ import annotations

import pytest
from machine import InUse, Machine, Overlay

pytestmark = pytest.mark.needs_root


@pytest.fixture
def prefix(machine: Machine) -> InUse:
    return machine.setup("cached")


def sourced(machine: Machine) -> set[str]:
    """Return the packages in the cache, by file name."""
    cache = machine.base / "cache/depcache"
    return {p.name for p in cache.rglob("*") if p.is_file() and "-" in p.name}


def test_regen_makes_it_and_what_is_made_is_not_made_again(machine: Machine, prefix: InUse) -> None:
    before = sourced(machine)
    done = machine.fp("regen", "cached", "--jobs=2")
    assert done.returncode == 0, done.stderr
    number = len([*machine.repos.glob("*/*/*/*.ebuild")])
    assert f"the metadata of {number} ebuilds are cached" in done.stdout
    made = sourced(machine)
    assert {"grep-3.8", "glibc-2.36-r2", "flatcar-prefix-0.1.0"} <= made - before
    stamps = {p: p.stat().st_mtime_ns for p in (machine.base / "cache").rglob("grep-3.8")}
    assert machine.fp("regen", "cached").returncode == 0
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps


def test_another_prefix_finds_it_warm(machine: Machine, prefix: InUse) -> None:
    assert machine.fp("regen").returncode == 0
    other = machine.setup("other")
    stamps = {p: p.stat().st_mtime_ns for p in (machine.base / "cache").rglob("grep-3.8")}
    machine.ok(other.wrapper("emerge"), "--stage", "--pretend", "sys-apps/grep")
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps


def test_without_a_name_it_is_made_for_the_repositories_of_every_prefix(
    machine: Machine, prefix: InUse
) -> None:
    for version, name in enumerate(("first", "second"), start=1):
        own = Overlay(machine.base / name, name)
        own.ebuild(f"test-{name}/only-{version}")
        machine.setup(f"x-{name}", f"--custom_ebuild_overlays={own.path}")
    done = machine.fp("regen", "--jobs=2")
    assert done.returncode == 0, done.stderr
    number = len([*machine.repos.glob("*/*/*/*.ebuild")]) + 2
    assert f"the metadata of {number} ebuilds are cached" in done.stdout
    assert {"only-1", "only-2"} <= sourced(machine)


def test_an_ebuild_that_cannot_be_sourced_is_named_and_the_others_are_cached(
    machine: Machine, prefix: InUse
) -> None:
    broken = machine.repos / "gentoo-subset/sys-apps/grep/grep-9.ebuild"
    broken.write_text('EAPI=8\nDESCRIPTION="broken"\ndie "never"\n')
    done = machine.fp("regen", "cached")
    assert done.returncode == 1
    assert "sys-apps/grep-9 cannot be sourced" in done.stderr
    assert "grep-3.8" in sourced(machine)


def test_without_any_prefix_it_says_what_to_do(machine: Machine) -> None:
    done = machine.fp("regen")
    assert done.returncode == 1
    assert "setup_prefix" in done.stderr
