# SPDX-License-Identifier: BSD-3-Clause
"""Further overlays of a prefix: at set-up, added and removed later, priorities, checks."""

from __future__ import annotations

from pathlib import Path

import pytest
from machine import InUse, Machine, Overlay, two_lines

from flatcar_prefix.lifecycle import overlays
from flatcar_prefix.prefix import record

pytestmark = [pytest.mark.e2e, pytest.mark.needs_root]


@pytest.fixture
def first(machine: Machine) -> Overlay:
    """An overlay with the same version of grep as the checkout."""
    overlay = Overlay(machine.base / "first", "first")
    overlay.ebuild("sys-apps/grep-3.8")
    return overlay


@pytest.fixture
def second(machine: Machine) -> Overlay:
    overlay = Overlay(machine.base / "second", "second")
    overlay.ebuild("sys-apps/grep-3.8")
    overlay.ebuild("test-second/only-1")
    return overlay


def plan(prefix: InUse, atom: str = "sys-apps/grep") -> str:
    """Return the repository of the package that Portage would build."""
    said = prefix.machine.ok(
        prefix.wrapper("emerge"), "--stage", "--pretend", "--nodeps", "--verbose", atom
    )
    line = next(line for line in said.stdout.splitlines() if line.startswith("[ebuild"))
    return line.partition("::")[2].split()[0].rstrip("]")


def listed(prefix: InUse) -> list[str]:
    said = prefix.machine.fp("overlays", prefix.name)
    assert said.returncode == 0, said.stderr
    return [line.split()[0] for line in said.stdout.splitlines()]


def test_an_overlays_ebuild_beats_the_checkouts_and_the_last_overlay_all(
    machine: Machine, first: Overlay, second: Overlay
) -> None:
    prefix = machine.setup("o", f"--custom_ebuild_overlays={first.path},{second.path}")
    assert listed(prefix) == ["first", "second"]
    assert plan(prefix) == "second"
    assert plan(prefix, "app-arch/bzip2") == "gentoo-subset"
    said = prefix.machine.ok(prefix.wrapper("emerge"), "--nodeps", "sys-apps/grep")
    assert "sys-apps/grep-3.8::second" in said.stdout
    assert (prefix.final / "usr/share/sys-apps/grep/3.8").exists()


def test_they_can_be_added_and_removed_while_the_prefix_lives(
    machine: Machine, first: Overlay, second: Overlay
) -> None:
    prefix = machine.setup("o")
    assert (listed(prefix), plan(prefix)) == ([], "gentoo-subset")
    for overlay in (second, first):
        added = machine.fp("overlays", "o", "add", overlay.path)
        assert added.returncode == 0, added.stderr
    assert (listed(prefix), plan(prefix)) == (["second", "first"], "first")
    assert machine.fp("overlays", "o", "remove", "first").returncode == 0
    assert (listed(prefix), plan(prefix)) == (["second"], "second")
    assert machine.fp("overlays", "o", "remove", second.path).returncode == 0
    assert (listed(prefix), plan(prefix)) == ([], "gentoo-subset")


def test_two_who_change_them_at_the_same_time_lose_nothing(
    machine: Machine, first: Overlay, second: Overlay
) -> None:
    """Both processes read the record before either writes it."""
    prefix = machine.setup("o")
    one, other = (record.read(prefix.staging_dir) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in machine.places.items():
            patch.setenv(name, value)
        overlays.add(one, [first.path])
        overlays.add(other, [second.path])
        assert listed(prefix) == ["first", "second"]
        overlays.remove(one, ["second"])
    assert (listed(prefix), plan(prefix)) == (["first"], "first")


def test_an_overlay_may_be_mounted_read_only(machine: Machine, second: Overlay) -> None:
    prefix = machine.setup("o", f"--custom_ebuild_overlays={second.path}")
    mount = f"mount --bind {second.path} {second.path} && mount -o remount,ro,bind {second.path}"
    said = machine.run(
        "unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh",
        prefix.wrapper("emerge"), "--nodeps", "test-second/only",
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert "test-second/only-1" in prefix.installed("final")


@pytest.mark.parametrize("how", ["at first", "later"])
@pytest.mark.parametrize("fault", ["no directory", "no name", "a taken name", "a missing master"])
def test_what_cannot_be_an_overlay_is_refused_and_nothing_changes(
    machine: Machine, first: Overlay, how: str, fault: str
) -> None:
    place, word = machine.base / "wrong", "wrong"
    if fault != "no directory":
        wrong = Overlay(place, "gentoo-subset" if fault == "a taken name" else "wrong")
        if fault == "no name":
            (place / "profiles/repo_name").unlink()
        elif fault == "a missing master":
            wrong.write("metadata/layout.conf", "masters = never-heard-of\n")
            word = "never-heard-of"
    if how == "at first":
        said = machine.try_setup(
            "--bootstrap=none",
            f"--custom_ebuild_overlays={first.path},{place}",
            "o",
            "/usr/local/o",
        )
        assert not machine.staging("o").exists()
    else:
        prefix = machine.setup("o", f"--custom_ebuild_overlays={first.path}")
        before = configuration(prefix)
        said = machine.fp("overlays", "o", "add", place)
        assert configuration(prefix) == before
        assert listed(prefix) == ["first"]
    assert said.returncode == 1
    assert word in two_lines(said)[0] or "gentoo-subset" in two_lines(said)[0]


def configuration(prefix: InUse) -> list[str]:
    paths = (prefix.config("staging"), prefix.config("final"))
    record = prefix.staging_dir / "flatcar-prefix.json"
    return [*((p / "repos.conf/00-flatcar-prefix").read_text() for p in paths), record.read_text()]


def test_removing_one_that_others_need_or_that_is_not_there_is_refused(
    machine: Machine, first: Overlay, second: Overlay
) -> None:
    second.write("metadata/layout.conf", "masters = gentoo-subset first\n")
    prefix = machine.setup("o", f"--custom_ebuild_overlays={first.path},{second.path}")
    said = machine.fp("overlays", "o", "remove", "first")
    assert said.returncode == 1
    assert "second" in two_lines(said)[0]
    said = machine.fp("overlays", "o", "remove", "third")
    assert "third" in two_lines(said)[0]
    assert "first, second" in two_lines(said)[1]
    assert listed(prefix) == ["first", "second"]
    assert Path(second.path).exists()
