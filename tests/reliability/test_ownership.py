# SPDX-License-Identifier: BSD-3-Clause
"""Removal deletes only files of the prefix; a broken record does not affect other prefixes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from machine import InUse, Machine, Overlay, snapshot, two_lines

RECORD = "flatcar-prefix.json"
MARKER = ".flatcar-prefix"


def record(prefix: InUse) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((prefix.staging_dir / RECORD).read_text())
    return read


def change_record(prefix: InUse, **values: Any) -> None:
    (prefix.staging_dir / RECORD).write_text(json.dumps({**record(prefix), **values}))


def as_0_1_0(prefix: InUse) -> InUse:
    """Return the prefix as version 0.1.0 would have made it: without any identity."""
    known = record(prefix)
    for name in ("identity", "kept", "removing"):
        del known[name]
    (prefix.staging_dir / RECORD).write_text(json.dumps(known))
    for directory in (prefix.staging_dir, prefix.final_dir):
        (directory / MARKER).unlink()
    return prefix


def of_the_users(directory: Path) -> dict[str, str]:
    """Fill a directory with a user's files; return a snapshot of them."""
    (directory / "thesis/etc").mkdir(parents=True)
    (directory / "thesis/chapter").write_text("dear")
    (directory / "thesis/link").symlink_to("chapter")
    return snapshot(directory)


def is_gone(machine: Machine, prefix: InUse, *but: Path) -> bool:
    places = (prefix.staging_dir, prefix.final_dir)
    left = [place for place in places if place.exists() and place not in but]
    return not left and not list(machine.bin.iterdir())


def test_a_users_directory_in_place_of_final_stays(machine: Machine) -> None:
    prefix = machine.setup("p")
    shutil.rmtree(prefix.final_dir)
    before = of_the_users(prefix.final_dir)
    result = machine.fp("uninstall", "p")
    assert result.returncode == 0, result.stderr
    assert f"{prefix.final_dir} is kept" in result.stderr
    assert is_gone(machine, prefix, prefix.final_dir)
    assert snapshot(prefix.final_dir) == before


def test_one_unreadable_record_stops_nothing_else(machine: Machine) -> None:
    broken = machine.staging("broken")
    broken.mkdir(parents=True)
    (broken / RECORD).write_bytes(b"\xff")
    result = machine.fp("list")
    assert result.returncode == 0
    assert f"{broken}" in result.stdout
    machine.setup("whole")
    assert machine.fp("uninstall", "whole").returncode == 0


@pytest.mark.e2e
class TestUsersDirectory:
    """A directory that a user puts where the prefix had one is never removed."""

    @pytest.mark.parametrize("version", ["today", "0.1.0"])
    @pytest.mark.parametrize("how", ["uninstall", "force"])
    def test_in_place_of_final(self, machine: Machine, how: str, version: str) -> None:
        prefix = machine.setup("p")
        if version == "0.1.0":
            as_0_1_0(prefix)
        shutil.rmtree(prefix.final_dir)
        before = of_the_users(prefix.final_dir)
        if how == "uninstall":
            result = machine.fp("uninstall", "p")
            assert result.returncode == 0, result.stderr
            assert f"{prefix.final_dir} is kept" in result.stderr
            assert is_gone(machine, prefix, prefix.final_dir)
        else:
            machine.try_setup("--force", "--bootstrap=none", "p", "/usr/local/p")
        assert snapshot(prefix.final_dir) == before

    @pytest.mark.parametrize("verb", ["setup", "update", "overlays"])
    def test_nothing_is_written_to_it(self, machine: Machine, verb: str) -> None:
        prefix = machine.setup("p")
        if verb == "setup":
            change_record(prefix, complete=False)
        shutil.rmtree(prefix.final_dir)
        before = of_the_users(prefix.final_dir)
        if verb == "setup":
            result = machine.try_setup("--bootstrap=none", "p", "/usr/local/p")
        elif verb == "update":
            result = machine.fp("update", "p")
        else:
            result = machine.fp("overlays", "p", "add", Overlay(machine.base / "o", "o").path)
        assert result.returncode == 1
        assert f"{prefix.final_dir} does not belong" in two_lines(result)[0]
        assert snapshot(prefix.final_dir) == before

    def test_in_place_of_staging(self, machine: Machine) -> None:
        prefix = machine.setup("p")
        shutil.rmtree(prefix.staging_dir)
        before = of_the_users(prefix.staging_dir)
        result = machine.fp("uninstall", "p")
        assert result.returncode == 0, result.stderr
        assert snapshot(prefix.staging_dir) == before
        assert is_gone(machine, prefix, prefix.staging_dir)

    def test_the_working_directory_is_not_meant_by_an_empty_path(self, machine: Machine) -> None:
        prefix = machine.setup("p")
        change_record(prefix, final_dir="")
        here = machine.base / "here"
        before = of_the_users(here)
        result = machine.fp("uninstall", "p", cwd=here)
        assert snapshot(here) == before
        assert result.returncode == 0, result.stderr
        assert is_gone(machine, prefix)

    @pytest.mark.parametrize("which", ["staging", "final"])
    def test_what_was_there_and_empty_stays(self, machine: Machine, which: str) -> None:
        places = {kind: machine.base / f"of-mine-{kind}" for kind in ("staging", "final")}
        places[which].mkdir()
        inode = places[which].stat().st_ino
        machine.setup("p", *(f"--{kind}_dir={place}" for kind, place in places.items()))
        machine.setup("p", "--force", *(f"--{kind}_dir={place}" for kind, place in places.items()))
        assert machine.fp("uninstall", "p").returncode == 0
        assert [kind for kind, place in places.items() if place.exists()] == [which]
        assert places[which].stat().st_ino == inode
        assert not list(places[which].iterdir())

    def test_a_marker_of_another_prefix_is_no_marker(self, machine: Machine) -> None:
        prefix, other = machine.setup("p"), machine.setup("q")
        shutil.rmtree(prefix.final_dir)
        shutil.copytree(other.final_dir, prefix.final_dir, symlinks=True)
        before = snapshot(prefix.final_dir, other.final_dir, other.staging_dir)
        result = machine.fp("uninstall", "p")
        assert result.returncode == 0, result.stderr
        assert "q-amd64-usr" in result.stderr
        assert snapshot(prefix.final_dir, other.final_dir, other.staging_dir) == before


@pytest.mark.e2e
class TestBrokenRecord:
    """It is listed with its reason, others work, and it can be removed or replaced."""

    @pytest.fixture(params=["bytes", "truncated", "newer", "nested"])
    def broken(self, machine: Machine, request: pytest.FixtureRequest) -> InUse:
        prefix = machine.setup("broken")
        file = prefix.staging_dir / RECORD
        if request.param == "bytes":
            file.write_bytes(b"\xff" + file.read_bytes())
        elif request.param == "truncated":
            file.write_bytes(file.read_bytes()[:100])
        elif request.param == "newer":
            change_record(prefix, format=99, written_by="9.9")
        else:
            change_record(prefix, final_dir=f"{prefix.staging_dir}/inside")
        return prefix

    def test_it_is_told_of_and_stops_nothing_else(self, machine: Machine, broken: InUse) -> None:
        machine.setup("whole")
        said = machine.ok(sys.executable, "-m", "flatcar_prefix", "list").stdout
        assert [line.split()[0] for line in said.splitlines()] == [
            "whole-amd64-usr",
            "broken-amd64-usr",
        ]
        assert str(broken.staging_dir) in said
        entries = json.loads(machine.fp("list", "--json").stdout)
        assert [entry["state"] for entry in entries] == ["complete", "broken"]
        assert entries[1]["reason"]
        assert entries[1]["hint"]
        for verb in (("show", "broken"), ("wrappers", "broken"), ("verify", "broken")):
            result = machine.fp(*verb)
            assert result.returncode == 1
            assert str(broken.staging_dir) in two_lines(result)[0]
        assert machine.fp("show", "whole").returncode == 0
        assert machine.fp("uninstall", "whole").returncode == 0

    def test_it_can_be_removed(self, machine: Machine, broken: InUse) -> None:
        result = machine.fp("uninstall", "broken")
        assert result.returncode == 0, result.stderr
        assert is_gone(machine, broken)

    def test_it_can_be_replaced(self, machine: Machine, broken: InUse) -> None:
        refused = machine.try_setup("--bootstrap=none", "broken", "/usr/local/broken")
        assert refused.returncode == 1
        assert "add --force to" in two_lines(refused)[1]
        machine.setup("broken", "--force")
        assert record(broken)["complete"] is True

    def test_one_of_version_0_1_0_is_known_by_its_configuration(self, machine: Machine) -> None:
        prefix = as_0_1_0(machine.setup("old"))
        (prefix.staging_dir / RECORD).write_bytes(b"\xff")
        result = machine.fp("uninstall", "old")
        assert result.returncode == 0, result.stderr
        assert is_gone(machine, prefix)


@pytest.mark.e2e
class TestDeletedStaging:
    """Markers and wrappers identify the remains of a prefix."""

    @pytest.mark.parametrize("version", ["today", "0.1.0"])
    @pytest.mark.parametrize("final", ["default", "elsewhere"])
    def test_its_final_root_and_wrappers_are_removed(
        self, machine: Machine, final: str, version: str
    ) -> None:
        place = machine.base / "elsewhere/final"
        more = () if final == "default" else (f"--final_dir={place}",)
        prefix = machine.setup("p", *more)
        if version == "0.1.0":
            as_0_1_0(machine.setup("old"))
            prefix = InUse(machine, "old", "/usr/local/old")
            assert machine.fp("uninstall", "p").returncode == 0
        shutil.rmtree(prefix.staging_dir)
        result = machine.try_setup("--uninstall", prefix.name)
        assert result.returncode == 0, result.stderr
        assert is_gone(machine, prefix)
        assert not place.exists()

    def test_set_up_again_the_hint_leads_on(self, machine: Machine) -> None:
        prefix = machine.setup("p")
        shutil.rmtree(prefix.staging_dir)
        refused = machine.try_setup("--bootstrap=none", "p", "/usr/local/p")
        assert refused.returncode == 1
        assert "flatcar-prefix uninstall p-amd64-usr" in two_lines(refused)[1]
        machine.setup("p", "--force")
        assert record(prefix)["complete"] is True


@pytest.mark.e2e
class TestInterruptedRemoval:
    """A prefix whose removal has begun is not a prefix."""

    def test_it_can_only_be_completed(self, machine: Machine) -> None:
        prefix = machine.setup("p")
        change_record(prefix, removing=True, complete=False)
        assert machine.fp("list").stdout.rstrip().endswith("being removed")
        for result in (
            machine.try_setup("--bootstrap=none", "p", "/usr/local/p"),
            machine.fp("wrappers", "p"),
            machine.fp("update", "p"),
            prefix.emerge("--pretend", "sys-apps/grep"),
        ):
            assert result.returncode == 1
            assert "interrupted" in two_lines(result)[0]
        assert machine.fp("uninstall", "p").returncode == 0
        assert is_gone(machine, prefix)

    def test_only_the_marker_is_left(self, machine: Machine) -> None:
        prefix = machine.setup("p")
        machine.fp("uninstall", "p")
        prefix = machine.setup("p")
        for path in prefix.staging_dir.iterdir():
            if path.name != MARKER:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert "no record" in machine.fp("list").stdout
        assert machine.fp("uninstall", "p").returncode == 0
        assert is_gone(machine, prefix)


@pytest.mark.e2e
class TestNesting:
    """A prefix cannot be inside another, through any link or mount."""

    def test_through_a_link(self, machine: Machine) -> None:
        outer = machine.setup("outer")
        (machine.base / "way").symlink_to(outer.staging_dir / "tmp")
        before = snapshot(machine.base, ignore={"cache", "locks", "home"})
        for which in ("staging", "final"):
            flag = f"--{which}_dir={machine.base}/way/inner"
            result = machine.try_setup("--bootstrap=none", flag, "inner", "/usr/local/inner")
            assert result.returncode == 1
            assert "outer-amd64-usr" in two_lines(result)[0]
        assert snapshot(machine.base, ignore={"cache", "locks", "home"}) == before

    @pytest.mark.needs_root
    @pytest.mark.needs_namespaces
    def test_through_a_bind_mount(self, machine: Machine) -> None:
        outer = machine.setup("outer")
        way = machine.base / "way/through"
        way.mkdir(parents=True)
        script = 'mount --bind "$1" "$2"; shift 2; exec "$@"'
        command = machine.setup_command(
            "--bootstrap=none", f"--staging_dir={way}/inner", "inner", "/usr/local/inner"
        )
        result = machine.run(
            "unshare", "--mount", "sh", "-c", script, "sh", outer.staging_dir / "tmp", way, *command
        )
        assert result.returncode == 1, result.stdout
        assert "outer-amd64-usr" in two_lines(result)[0]

    def test_one_that_lies_in_another_all_the_same_is_not_removed_with_it(
        self, machine: Machine
    ) -> None:
        outer, inner = machine.setup("outer"), machine.setup("inner")
        inside = outer.staging_dir / "tmp/inner"
        inner.staging_dir.rename(inside)
        before = snapshot(machine.base, ignore={"cache", "locks", "home"})
        result = machine.fp("uninstall", "outer")
        assert result.returncode == 1
        assert str(inside) in two_lines(result)[0]
        assert snapshot(machine.base, ignore={"cache", "locks", "home"}) == before


@pytest.mark.e2e
class TestVersion010:
    """A prefix without markers goes on working, and gets markers when it is changed."""

    def test_it_is_marked_when_it_is_changed(self, machine: Machine) -> None:
        prefix = as_0_1_0(machine.setup("old"))
        assert machine.fp("show", "old").returncode == 0
        assert not (prefix.final_dir / MARKER).exists()
        assert machine.fp("update", "old").returncode == 0
        identity = record(prefix)["identity"]
        assert len(identity) == 32
        for directory in (prefix.staging_dir, prefix.final_dir):
            assert json.loads((directory / MARKER).read_text())["identity"] == identity
        assert machine.fp("uninstall", "old").returncode == 0
        assert is_gone(machine, prefix)

    def test_it_is_removed_by_its_record_and_configuration(self, machine: Machine) -> None:
        prefix = as_0_1_0(machine.setup("old"))
        assert machine.fp("uninstall", "old").returncode == 0
        assert is_gone(machine, prefix)

    def test_its_final_root_stays_where_nothing_proves_whose_it_is(self, machine: Machine) -> None:
        prefix = as_0_1_0(machine.setup("old"))
        (prefix.config("final") / "make.conf").unlink()
        result = machine.fp("uninstall", "old")
        assert result.returncode == 0
        assert f"{prefix.final_dir} is kept" in result.stderr
        assert prefix.final_dir.is_dir()


@pytest.mark.e2e
def test_a_name_like_the_id_of_another_prefix_is_refused(machine: Machine) -> None:
    machine.setup("demo")
    for name, first in (("demo-amd64-usr", "demo"), ("demo", "demo-amd64-usr")):
        result = machine.try_setup("--bootstrap=none", name, "/opt/x")
        assert result.returncode == 1
        assert "ambiguous" in two_lines(result)[0]
        assert machine.fp("uninstall", first).returncode == 0
        machine.setup(name)
        if name == "demo":
            break


def test_an_emerge_keeps_the_prefix_from_being_removed(machine: Machine) -> None:
    prefix = machine.setup("busy")
    code = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_SH); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, prefix.staging_dir],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as holder:  # fmt: skip
        assert holder.stdout
        holder.stdout.readline()
        result = machine.fp("uninstall", "busy")
        assert result.returncode == 1
        assert "busy-amd64-usr is in use by another program" in result.stderr
        assert machine.fp("wrappers", "busy").returncode == 0, "shared with emerge"
        holder.communicate("\n")
    assert machine.fp("uninstall", "busy").returncode == 0
