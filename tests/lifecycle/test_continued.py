# SPDX-License-Identifier: BSD-3-Clause
"""A stopped set-up continues, also with corrected options; conflicts are found at the start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from machine import InUse, Machine, Overlay, copy_repositories, snapshot, two_lines

from flatcar_prefix.prefix import registry
from flatcar_prefix.prefix.record import read

RECORD = "flatcar-prefix.json"
PROFILE = "default/linux/amd64/23.0/no-multilib/prefix"


def record(prefix: InUse) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((prefix.staging_dir / RECORD).read_text())
    return read


def half(machine: Machine, name: str, *args: str | Path) -> InUse:
    """Return a prefix whose set-up stopped before its wrappers."""
    prefix = machine.setup(name, *args)
    changed = {**record(prefix), "complete": False}
    (prefix.staging_dir / RECORD).write_text(json.dumps(changed))
    for path in Path(changed["wrapper_dir"]).iterdir():
        path.unlink()
    return prefix


def seen(machine: Machine) -> dict[str, str]:
    return snapshot(machine.base, ignore={"cache", "locks", "home", "state"})


class TestWrappers:
    """An error about their directory comes before any work starts."""

    @pytest.mark.parametrize("force", [(), ("--force",)], ids=["anew", "force"])
    def test_a_file_of_somebody_elses_is_seen_at_first(
        self, machine: Machine, force: tuple[str, ...]
    ) -> None:
        if force:
            machine.setup("w")
        machine.bin.mkdir(exist_ok=True)
        wrapper = machine.bin / "emerge-prefix-w-amd64-usr"
        wrapper.unlink(missing_ok=True)
        wrapper.write_text("mine\n")
        before = seen(machine)
        result = machine.try_setup(*force, "--bootstrap=none", "w", "/usr/local/w")
        assert result.returncode == 1
        what, to_do = two_lines(result)
        assert str(wrapper) in what
        assert "--wrapper-dir" in to_do
        assert seen(machine) == before
        machine.setup("w", *force, f"--wrapper_dir={machine.base}/other")

    def test_a_directory_that_cannot_be_made_is_seen_at_first(self, machine: Machine) -> None:
        (machine.base / "file").write_text("")
        before = seen(machine)
        flag = f"--wrapper_dir={machine.base}/file/bin"
        result = machine.try_setup("--bootstrap=none", flag, "w", "/usr/local/w")
        assert result.returncode == 1
        what, to_do = two_lines(result)
        assert f"{machine.base}/file is not a directory" in what
        assert "--wrapper-dir" in to_do
        assert seen(machine) == before

    def test_where_they_cannot_be_made_at_last_the_prefix_stays_incomplete(
        self, machine: Machine
    ) -> None:
        code = (
            "import sys; from flatcar_prefix.cli import main as cli; from flatcar_prefix.wrappers import files\n"
            "write = files.write_atomic\n"
            "def full(path, text, **mode):\n"
            "    if path.name.startswith('quickpkg'): raise OSError(28, 'No space left', str(path))\n"
            "    write(path, text, **mode)\n"
            "files.write_atomic = full\n"
            "sys.exit(cli.setup_prefix(sys.argv[1:]))"
        )
        words = machine.setup_command("--bootstrap=none", "w", "/usr/local/w")
        result = machine.run(words[0], "-c", code, *words[3:])
        assert result.returncode == 1
        assert "No space left" in two_lines(result)[0]
        prefix = InUse(machine, "w", "/usr/local/w")
        assert record(prefix)["complete"] is False
        assert not list(machine.bin.iterdir())
        other = machine.base / "other"
        machine.setup("w", f"--wrapper_dir={other}")
        assert record(prefix)["complete"] is True
        assert (other / "emerge-prefix-w").exists()
        assert not list(machine.bin.iterdir())


class TestNamesake:
    """A name and a board have one prefix, because two would have the same wrappers."""

    @pytest.fixture
    def elsewhere(self, machine: Machine) -> Path:
        staging = machine.base / "else/staging"
        machine.setup("n", f"--staging_dir={staging}", f"--final_dir={machine.base}/else/final")
        return staging

    def test_one_at_another_place_is_refused(self, machine: Machine, elsewhere: Path) -> None:
        before = seen(machine)
        result = machine.try_setup("--bootstrap=none", "n", "/usr/local/n")
        assert result.returncode == 1
        what, to_do = two_lines(result)
        assert f"n-amd64-usr exists already, at /usr/local/n in {elsewhere}" in what
        assert "--force" in to_do
        assert seen(machine) == before
        machine.setup("n", "--board=arm64-usr")

    def test_force_removes_it_wherever_it_is(self, machine: Machine, elsewhere: Path) -> None:
        machine.setup("n", "--force")
        assert not elsewhere.exists()
        assert not (machine.base / "else/final").exists()
        (listed,) = json.loads(machine.fp("list", "--json").stdout)
        assert listed["staging"]["directory"] == str(machine.staging("n"))
        wrapper = machine.bin / "portageq-prefix-n"
        assert machine.ok(wrapper, "envvar", "ROOT").stdout.startswith(str(machine.final("n")))

    @pytest.mark.parametrize("force", [(), ("--force",)], ids=["anew", "force"])
    def test_a_prefix_of_another_name_is_neither_removed_nor_built_into(
        self, machine: Machine, elsewhere: Path, force: tuple[str, ...]
    ) -> None:
        before = seen(machine)
        for place in (elsewhere, elsewhere / "root/inside", elsewhere.parent):
            flag = f"--staging_dir={place}"
            result = machine.try_setup(*force, "--bootstrap=none", flag, "m", "/usr/local/m")
            assert result.returncode == 1
            two_lines(result)
        assert seen(machine) == before


class TestFlags:
    """Options stay; a different value is either accepted or rejected."""

    def test_what_is_not_said_again_stays(self, machine: Machine) -> None:
        overlay = Overlay(machine.base / "first", "first")
        prefix = half(
            machine, "f", f"--custom_ebuild_overlays={overlay.path}", f"--profile={PROFILE}",
            f"--wrapper_dir={machine.base}/other", f"--final_dir={machine.base}/final",
        )  # fmt: skip
        before = record(prefix)
        machine.setup("f")
        assert record(prefix) == {**before, "complete": True}
        assert (machine.base / "other/emerge-prefix-f").exists()

    def test_overlays_profile_and_wrapper_directory_are_taken_over(self, machine: Machine) -> None:
        first, second = (Overlay(machine.base / name, name) for name in ("first", "second"))
        prefix = half(machine, "f", f"--custom_ebuild_overlays={first.path}")
        machine.setup(
            "f", f"--custom_ebuild_overlays={second.path}", f"--profile={PROFILE}",
            f"--wrapper_dir={machine.base}/other",
        )  # fmt: skip
        said = machine.fp("overlays", "f").stdout
        assert [line.split()[0] for line in said.splitlines()] == ["second"]
        link = prefix.config("final") / "make.profile"
        assert link.resolve() == machine.repos / "gentoo-subset/profiles" / PROFILE
        assert (
            "[first]" not in (prefix.config("staging") / "repos.conf/00-flatcar-prefix").read_text()
        )
        assert (machine.base / "other/emerge-prefix-f").exists()
        assert not list(machine.bin.iterdir())

    @pytest.mark.parametrize(
        "flag",
        ["--scripts-dir=other", "--toolchain=host:clang", "--with-gcc", "--locales=de_DE.UTF-8"],
    )
    def test_what_shaped_what_is_there_is_refused(self, machine: Machine, flag: str) -> None:
        prefix = half(machine, "f")
        copy_repositories(machine.base / "other")
        before = seen(machine)
        result = machine.try_setup("--bootstrap=none", flag, "f", "/usr/local/f")
        assert result.returncode == 1
        what, to_do = two_lines(result)
        assert flag.partition("=")[0] in what
        assert "--force" in to_do
        assert seen(machine) == before
        machine.setup("f", "--toolchain=host")
        assert record(prefix)["complete"] is True

    def test_what_cannot_be_taken_over_leaves_the_old_configuration(self, machine: Machine) -> None:
        prefix = half(machine, "f")
        before = seen(machine)
        arm = "--profile=default/linux/arm64/23.0/split-usr/prefix"
        assert machine.try_setup("--bootstrap=none", arm, "f", "/usr/local/f").returncode == 1
        assert seen(machine) == before, prefix

    def test_the_command_that_continues_names_an_unusual_place(self, machine: Machine) -> None:
        staging = machine.base / "else"
        machine.setup("f", f"--staging_dir={staging}")
        command = registry.setup_command(read(staging))
        assert command == f"setup_prefix --bootstrap=none --staging-dir={staging} f /usr/local/f"
