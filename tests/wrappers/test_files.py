# SPDX-License-Identifier: BSD-3-Clause
"""Wrapper files: names, faults that ``--check`` finds, and ownership."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from machine import InUse, Machine, snapshot, two_lines
from tooling import checked, declare

import flatcar_prefix as fp
from flatcar_prefix.boards import BOARDS
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.prefix import record
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.wrappers import check, declaration, files
from flatcar_prefix.wrappers.marks import read_mark

MINIMAL = "[tool]\ndescription = true\npackage = sys-apps/coreutils\nroot = final\nentry = cross\n"


def names(machine: Machine) -> set[str]:
    return set(os.listdir(machine.bin))


def states(prefix: InUse) -> dict[str, str]:
    return {Path(row["path"]).name: row["state"] for row in checked(prefix)}


def test_each_declaration_has_both_names(bare: InUse) -> None:
    declared = {p.stem for p in (Path(__file__).parents[2] / "wrappers").glob("*.conf")}
    wanted = {f"{tool}-prefix-{name}" for tool in declared for name in ("bare", "bare-amd64-usr")}
    assert names(bare.machine) == wanted
    assert checked(bare) == []


def test_list_shows_each_wrapper_and_who_answers(bare: InUse) -> None:
    rows = {
        r["tool"]: r
        for r in json.loads(bare.machine.ok(*fp_words(bare, "--list", "--json")).stdout)
    }
    assert rows["emerge"]["root"] == "both"
    assert rows["emaint"]["entry"] == "view"
    assert rows["emaint"]["answers"].startswith("portage-program of flatcar-prefix")
    assert rows["quickpkg"]["answers"].endswith("/quickpkg")
    assert rows["equery"]["installed"]
    assert (rows["eselect"]["installed"], rows["eselect"]["package"]) in (
        (False, "app-admin/eselect"), (True, "app-admin/eselect"),
    )  # fmt: skip
    text = bare.machine.ok(*fp_words(bare, "--list")).stdout
    assert text.splitlines()[0].split() == ["wrapper", "tool", "root", "entry", "installed"]
    assert len(text.splitlines()) == len(rows) + 2
    usable = sum(row["installed"] for row in rows.values())
    assert text.splitlines()[-1].startswith(f" * {usable} of {len(rows)} tools can be used")


def fp_words(prefix: InUse, *words: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "flatcar_prefix",
        "wrappers",
        f"{prefix.name}-{prefix.board}",
        *words,
    ]


def test_check_finds_what_is_missing_changed_left_over_or_outdated(bare: InUse) -> None:
    bin_dir = bare.machine.bin
    (bin_dir / "emaint-prefix-bare-amd64-usr").unlink()
    (bin_dir / "emaint-prefix-bare").unlink()
    changed = bin_dir / "ebuild-prefix-bare-amd64-usr"
    changed.write_text(changed.read_text() + "# mine\n")
    older = bin_dir / "equery-prefix-bare-amd64-usr"
    version = fp.__version__
    older.write_text(older.read_text().replace(f"wrapper {version} ", "wrapper 0.0.1 ", 1))
    left = bin_dir / "retired-prefix-bare-amd64-usr"
    left.write_text((bin_dir / "qlist-prefix-bare-amd64-usr").read_text())
    (bare.staging_dir / "view/enter").unlink()
    (bin_dir / "q-prefix-bare-amd64-usr").chmod(0o644)
    assert states(bare) == {
        "emaint-prefix-bare-amd64-usr": "missing",
        "emaint-prefix-bare": "missing",
        "ebuild-prefix-bare-amd64-usr": "changed",
        "equery-prefix-bare-amd64-usr": "outdated",
        "retired-prefix-bare-amd64-usr": "left-over",
        "enter": "missing",
        "q-prefix-bare-amd64-usr": "changed",
    }
    said = bare.machine.run(*fp_words(bare, "--check"))
    assert (said.returncode, len(said.stderr.splitlines())) == (1, 8)
    before = names(bare.machine)
    assert bare.machine.run(*fp_words(bare)).returncode == 0
    assert checked(bare) == []
    assert names(bare.machine) ^ before == {
        left.name,
        "emaint-prefix-bare-amd64-usr",
        "emaint-prefix-bare",
    }


def test_a_directory_that_cannot_be_written_is_one_line_and_a_hint(bare: InUse) -> None:
    shutil.rmtree(bare.machine.bin)
    bare.machine.bin.write_text("a file")
    two_lines(bare.machine.run(*fp_words(bare)))


def test_generating_again_changes_nothing(bare: InUse) -> None:
    before = snapshot(bare.machine.bin, bare.staging_dir / "view")
    times = {p: p.lstat().st_mtime_ns for p in bare.machine.bin.iterdir()}
    said = bare.machine.ok(*fp_words(bare)).stdout
    assert "up to date" in said
    assert snapshot(bare.machine.bin, bare.staging_dir / "view") == before
    assert {p: p.lstat().st_mtime_ns for p in bare.machine.bin.iterdir()} == times


def test_a_file_of_somebody_elses_is_neither_overwritten_nor_removed(bare: InUse) -> None:
    bin_dir = bare.machine.bin
    theirs = {
        "emaint-prefix-bare-amd64-usr": "#!/bin/sh\necho mine\n",
        "q-prefix-bare": "not ours either\n",
        "own-prefix-bare-amd64-usr": "#!/bin/sh\n# flatcar-prefix wrapper of mine\n",
    }
    for name, text in theirs.items():
        (bin_dir / name).unlink(missing_ok=True)
        (bin_dir / name).write_text(text)
    (bin_dir / "theirs-prefix-bare").symlink_to("/bin/true")
    assert states(bare) == {
        "emaint-prefix-bare-amd64-usr": "in-the-way",
        "q-prefix-bare": "in-the-way",
    }
    said = bare.machine.run(*fp_words(bare))
    assert said.returncode == 1
    assert "exists and was not created by flatcar-prefix" in said.stderr
    assert bare.machine.fp("uninstall", "bare").returncode == 0
    assert names(bare.machine) == {*theirs, "theirs-prefix-bare"}
    assert {n: (bin_dir / n).read_text() for n in theirs} == theirs


def test_short_names_that_lead_astray_are_found_and_put_right(bare: InUse) -> None:
    bin_dir = bare.machine.bin
    astray = {
        "q": "emerge-prefix-bare-amd64-usr",
        "qlist": "qgone-prefix-bare-amd64-usr",
        "qfile": f"{bin_dir}/qlist-prefix-bare-amd64-usr",
        "qsize": "qsize-prefix-bare-arm64-usr",
    }
    for tool, target in astray.items():
        (bin_dir / f"{tool}-prefix-bare").unlink()
        (bin_dir / f"{tool}-prefix-bare").symlink_to(target)
    copy = bin_dir / "quse-prefix-bare"
    copy.unlink()
    shutil.copy(bin_dir / "quse-prefix-bare-amd64-usr", copy)
    assert states(bare) == {
        "q-prefix-bare": "changed", "qlist-prefix-bare": "changed", "qfile-prefix-bare": "changed",
        "qsize-prefix-bare": "missing", "quse-prefix-bare": "changed",
    }  # fmt: skip
    assert bare.machine.run(*fp_words(bare)).returncode == 0
    assert checked(bare) == []
    for tool in (*astray, "quse"):
        assert os.readlink(bin_dir / f"{tool}-prefix-bare") == f"{tool}-prefix-bare-amd64-usr"


@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "directory"])
def test_what_somebody_else_has_at_a_short_name_is_to_be_moved_away(bare: InUse, kind: str) -> None:
    path = bare.machine.bin / "q-prefix-bare"
    path.unlink()
    if kind == "file":
        path.write_text("#!/bin/sh\n")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("/bin/true" if kind == "link" else "/nowhere/at/all")
    assert states(bare) == {"q-prefix-bare": "in-the-way"}
    said = bare.machine.run(*fp_words(bare, "--check"))
    assert "Move away the files that are in the way" in two_lines(said)[1]
    said = bare.machine.run(*fp_words(bare))
    assert said.returncode == 1
    assert two_lines(said)[0].startswith(f"{path}: ")
    assert states(bare) == {"q-prefix-bare": "in-the-way"}


@pytest.fixture
def crowd(viewed: InUse, tmp_path: Path) -> Crowd:
    return Crowd(record.read(viewed.staging_dir), tmp_path)


@dataclass
class Crowd:
    """Prefixes with one wrapper each, in one directory."""

    model: Prefix
    base: Path

    @property
    def bin(self) -> Path:
        return self.base / "bin"

    @property
    def tools(self) -> dict[str, declaration.Tool]:
        return {"q": declaration.tools()["q"]}

    def get(self, name: str, board: str = "amd64-usr") -> Prefix:
        staging = self.base / f"{name}-{board}"
        return replace(
            self.model, name=name, board=BOARDS[board], staging_dir=staging, wrapper_dir=self.bin
        )

    def setup(self, name: str, board: str = "amd64-usr") -> None:
        prefix = self.get(name, board)
        prefix.staging_dir.mkdir()
        files.generate(record.write(prefix), self.tools)

    def uninstall(self, name: str, board: str = "amd64-usr") -> None:
        list(files.remove(self.get(name, board)))
        shutil.rmtree(self.get(name, board).staging_dir)

    def check(self, name: str) -> list[check.Finding]:
        return check.check(self.get(name), self.tools)

    def leads_to(self, name: str) -> str:
        text = (self.bin / f"q-prefix-{name}").read_text()
        return text.splitlines()[2].rpartition("the prefix ")[2].split()[0]


@pytest.mark.parametrize("first", ["demo", "demo-amd64-usr"])
def test_a_full_name_wins_over_another_prefixs_short_one(crowd: Crowd, first: str) -> None:
    crowd.setup(first)
    crowd.setup({"demo": "demo-amd64-usr", "demo-amd64-usr": "demo"}[first])
    assert crowd.leads_to("demo") == "demo-amd64-usr"
    assert crowd.leads_to("demo-amd64-usr") == "demo-amd64-usr"
    assert crowd.leads_to("demo-amd64-usr-amd64-usr") == "demo-amd64-usr-amd64-usr"
    assert crowd.check("demo") == crowd.check("demo-amd64-usr") == []


CROWD = ("demo", "demo-amd64-usr", "a-prefix-demo", "demo2", "demo-", "x.y+z")


@pytest.mark.parametrize("gone", CROWD)
def test_uninstalling_takes_a_prefixs_own_wrappers_only(crowd: Crowd, gone: str) -> None:
    for name in CROWD:
        crowd.setup(name)
    crowd.uninstall(gone)
    for name in CROWD:
        if name != gone:
            assert crowd.leads_to(f"{name}-amd64-usr") == f"{name}-amd64-usr"
            assert crowd.check(name) == []
    assert not any(
        f"at {crowd.base}/{gone}-amd64-usr" in p.read_text() for p in crowd.bin.iterdir()
    )
    for name in set(CROWD) - {gone}:
        crowd.uninstall(name)
    assert os.listdir(crowd.bin) == []


def test_the_short_name_is_the_first_boards_and_passes_on_to_the_other(crowd: Crowd) -> None:
    crowd.setup("two", "arm64-usr")
    crowd.setup("two", "amd64-usr")
    assert crowd.leads_to("two") == "two-arm64-usr"
    assert crowd.check("two") == []
    files.generate(crowd.get("two"), crowd.tools)
    assert crowd.leads_to("two") == "two-arm64-usr"
    crowd.uninstall("two", "arm64-usr")
    assert crowd.leads_to("two") == "two-amd64-usr"
    crowd.uninstall("two", "amd64-usr")
    assert os.listdir(crowd.bin) == []


def test_what_a_deleted_prefix_left_may_be_replaced(crowd: Crowd) -> None:
    crowd.setup("again")
    old = crowd.get("again")
    elsewhere = replace(old, staging_dir=crowd.base / "elsewhere")
    elsewhere.staging_dir.mkdir()
    record.write(elsewhere)
    with pytest.raises(PrefixError, match="exists and was not created"):
        files.generate(elsewhere, crowd.tools)
    shutil.rmtree(old.staging_dir)
    files.generate(elsewhere, crowd.tools)
    assert "elsewhere" in (crowd.bin / "q-prefix-again").read_text()


def test_a_short_name_of_a_deleted_board_is_taken_over(crowd: Crowd) -> None:
    crowd.setup("two", "arm64-usr")
    crowd.setup("two", "amd64-usr")
    shutil.rmtree(crowd.get("two", "arm64-usr").staging_dir)
    assert [f.state for f in crowd.check("two")] == ["missing"]
    files.generate(crowd.get("two"), crowd.tools)
    assert crowd.leads_to("two") == "two-amd64-usr"


def test_a_wrapper_can_be_run_from_python(bare: InUse) -> None:
    prefix = record.read(bare.staging_dir)
    result = prefix.wrapper("portageq").run("envvar", "EPREFIX")
    assert (result.returncode, result.stdout) == (0, "/usr/local/bare\n")
    with pytest.raises(PrefixError, match="nonesuch-prefix-bare-amd64-usr does not exist"):
        prefix.wrapper("nonesuch")


def test_an_undeclared_tool_goes_when_wrappers_are_written_again(bare: InUse) -> None:
    path = declare(bare.machine, "mine", MINIMAL)
    assert bare.machine.run(*fp_words(bare)).returncode == 0
    assert {"mine-prefix-bare", "mine-prefix-bare-amd64-usr"} <= names(bare.machine)
    path.unlink()
    assert states(bare) == {
        "mine-prefix-bare-amd64-usr": "left-over",
        "mine-prefix-bare": "left-over",
    }
    assert bare.machine.run(*fp_words(bare)).returncode == 0
    assert not {"mine-prefix-bare", "mine-prefix-bare-amd64-usr"} & names(bare.machine)


def test_nothing_is_left_half_written(bare: InUse) -> None:
    assert not [n for n in names(bare.machine) if n.startswith(".")]


def test_the_checksum_leaves_the_mark_itself_out(bare: InUse) -> None:
    for path in bare.machine.bin.iterdir():
        mark = read_mark(path)
        assert mark is not None
        assert mark.unchanged
