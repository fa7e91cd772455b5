# SPDX-License-Identifier: BSD-3-Clause
"""A prefix is set up, found, recreated and removed; no other file changes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from machine import InUse, Machine, snapshot, two_lines

import flatcar_prefix as fp
from flatcar_prefix import boards
from flatcar_prefix.prefix import locks
from flatcar_prefix.system.places import detect_sdk

RECORD = "flatcar-prefix.json"
MARKER_NAME = ".flatcar-prefix"


def traces(machine: Machine) -> set[str]:
    """Return all files of prefixes on a machine, without caches and locks."""
    kept = {"cache", "locks", "repos", "home"}
    state = str(machine.base / "state")
    return {path for path in snapshot(machine.base, ignore=kept) if path != state}


def with_a_mount(what: str, directory: Path) -> list[str]:
    """Return the words that run a command with a mount at ``directory``."""
    script = f'mount {what} "$1"; shift; exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh", str(directory)]


class TestFound:
    """``show`` and ``list`` describe a prefix."""

    def test_the_record_says_what_it_is(self, machine: Machine) -> None:
        prefix = machine.setup("known", eprefix="/opt/known/")
        record = json.loads((prefix.staging_dir / RECORD).read_text())
        assert record["name"] == "known"
        assert record["eprefix"] == "/opt/known"
        assert record["board"] == "amd64-usr"
        assert record["bootstrap"] == "none"
        assert record["complete"] is True
        assert record["written_by"] == fp.__version__

    def test_list_and_show_say_the_same_to_people_and_to_programs(self, machine: Machine) -> None:
        machine.setup("one")
        machine.setup("two", eprefix="/opt/two")
        listed = machine.fp("list").stdout
        assert [line.split()[:2] for line in listed.splitlines()] == [
            ["one-amd64-usr", "/usr/local/one"],
            ["two-amd64-usr", "/opt/two"],
        ]
        as_json = json.loads(machine.fp("list", "--json").stdout)
        assert [entry["name"] for entry in as_json] == ["one", "two"]
        shown = json.loads(machine.fp("show", "two", "--json").stdout)
        used = shown.pop("disk")  # show alone measures it, which takes time
        assert used["staging"] > used["final"] > 0
        assert shown == as_json[1]
        for value in (shown["eprefix"], shown["chost"], shown["staging"]["root"], shown["profile"]):
            assert value in machine.fp("show", "two").stdout

    def test_nothing_is_listed_where_there_is_nothing(self, machine: Machine) -> None:
        result = machine.fp("list", "--json")
        assert (result.returncode, json.loads(result.stdout)) == (0, [])
        assert traces(machine) == set(traces(Machine(machine.base)))

    def test_a_prefix_elsewhere_is_found_by_name_and_by_directory(self, machine: Machine) -> None:
        staging, final = machine.base / "else/staging", machine.base / "else/final"
        machine.setup("away", f"--staging_dir={staging}", f"--final_dir={final}")
        assert json.loads(machine.fp("show", "away", "--json").stdout)["staging"][
            "directory"
        ] == str(staging)
        assert machine.fp("show", staging).returncode == 0
        assert (
            machine.run(machine.bin / "portageq-prefix-away", "envvar", "ROOT").stdout
            == f"{final}/root/\n"
        )
        machine.fp("uninstall", "away")
        assert machine.fp("show", "away").returncode == 1
        assert not [path for path in traces(machine) if "away" in path]

    def test_a_name_that_is_not_there_is_refused_with_those_that_are(
        self, machine: Machine
    ) -> None:
        machine.setup("here")
        result = machine.fp("show", "there")
        assert result.returncode == 1
        what, to_do = two_lines(result)
        assert "'there'" in what
        assert "here-amd64-usr" in to_do

    def test_the_variables_are_printed_for_a_shell_to_read(self, machine: Machine) -> None:
        prefix = machine.setup("vars")
        for kind in ("staging", "final"):
            variables = prefix.variables(kind)
            assert variables["PORTAGE_CONFIGROOT"] == str(prefix.eroot(kind))
            assert variables["EPREFIX"] == "/usr/local/vars"
            assert {"ROOT", "SYSROOT", "EPREFIX", "PORTAGE_CONFIGROOT"} <= set(variables)
            assert len(variables) <= 5, "the variables only point at a root"
        assert machine.fp("show", "vars", "--env", "middle").returncode == 2

    def test_a_record_of_a_newer_program_is_refused(self, machine: Machine) -> None:
        prefix = machine.setup("newer")
        record = prefix.staging_dir / RECORD
        record.write_text(json.dumps({**json.loads(record.read_text()), "format": 99}))
        result = machine.fp("show", prefix.staging_dir)
        assert result.returncode == 1
        assert "newer version" in two_lines(result)[0]

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "{}", '{"format": 1}', '{"format": "x"}', "\x00"]
    )
    def test_a_broken_record_is_an_error_and_no_traceback(
        self, machine: Machine, text: str
    ) -> None:
        staging = machine.staging("broken")
        staging.mkdir(parents=True)
        (staging / RECORD).write_text(text)
        result = machine.fp("show", staging)
        assert result.returncode == 1
        two_lines(result)
        assert machine.fp("list").returncode == 0


class TestTwoBoards:
    """One name can have a prefix for each board."""

    def test_the_short_wrapper_is_the_first_ones(self, machine: Machine) -> None:
        machine.setup("both")
        arm = machine.setup("both", "--board=arm64-usr")
        assert arm.staging_dir.is_dir()
        short = machine.bin / "portageq-prefix-both"
        assert machine.run(short, "envvar", "CHOST").stdout == "x86_64-cros-linux-gnu\n"
        long = machine.bin / "portageq-prefix-both-arm64-usr"
        assert machine.run(long, "envvar", "CHOST").stdout == "aarch64-cros-linux-gnu\n"
        assert machine.fp("uninstall", "both", "--board=arm64-usr").returncode == 0
        assert machine.run(short, "envvar", "ARCH").stdout == "amd64\n"
        assert not arm.staging_dir.exists()


class TestMadeAnew:
    """``--force`` removes the old prefix completely; without it, no file is overwritten."""

    def test_a_prefix_that_exists_is_refused(self, machine: Machine) -> None:
        machine.setup("there")
        before = snapshot(machine.base, ignore={"cache"})
        result = machine.try_setup("--bootstrap=none", "there", "/usr/local/elsewhere")
        assert result.returncode == 1
        what, to_do = two_lines(result)
        assert "exists already" in what
        assert "--force" in to_do
        assert snapshot(machine.base, ignore={"cache"}) == before

    def test_another_kind_of_c_library_is_named(self, machine: Machine) -> None:
        prefix = machine.setup("there")
        repeated = machine.try_setup("there", prefix.eprefix)
        assert repeated.returncode == 1
        to_do = two_lines(repeated)[1]
        assert "Add --bootstrap=none to keep it, or --force to recreate it." in to_do
        assert machine.try_setup("--bootstrap=none", "there", prefix.eprefix).returncode == 0

    def test_force_recreates_it(self, machine: Machine) -> None:
        prefix = machine.setup("there")
        (prefix.staging_dir / "old").write_text("")
        (prefix.final / "old").write_text("")
        machine.setup("there", "--force", eprefix="/opt/there")
        assert not (prefix.staging_dir / "old").exists()
        assert not prefix.final.exists()
        assert json.loads(machine.fp("show", "there", "--json").stdout)["eprefix"] == "/opt/there"

    def test_force_of_nothing_is_a_set_up(self, machine: Machine) -> None:
        assert machine.setup("fresh", "--force").staging_dir.is_dir()

    @pytest.mark.parametrize("which", ["staging", "final"])
    def test_not_even_force_removes_what_is_no_prefix(self, machine: Machine, which: str) -> None:
        directory = getattr(machine, which)("precious")
        directory.mkdir(parents=True)
        (directory / "letter").write_text("dear")
        for more in ((), ("--force",)):
            result = machine.try_setup("--bootstrap=none", *more, "precious", "/usr/local/precious")
            assert result.returncode == 1
            assert str(directory) in two_lines(result)[0]
        assert [path.name for path in directory.iterdir()] == ["letter"]

    def test_a_bad_request_does_not_cost_the_old_prefix(self, machine: Machine) -> None:
        prefix = machine.setup("kept")
        before = snapshot(machine.base, ignore={"cache"})
        for bad in (
            "--profile=nothing/like/it",
            "--custom_ebuild_overlays=/nowhere",
            "--toolchain=sdk",
        ):
            result = machine.try_setup(
                "--force", "--bootstrap=none", bad, "kept", "/usr/local/kept"
            )
            assert result.returncode in (1, 2)
            two_lines(result)
        assert snapshot(machine.base, ignore={"cache"}) == before, prefix


class TestRemoved:
    """``--uninstall`` removes exactly the created files."""

    @pytest.mark.parametrize("how", ["verb", "flag", "flag without a path"])
    def test_nothing_is_left_behind_and_it_says_what_it_removed(
        self, machine: Machine, how: str
    ) -> None:
        machine.setup("other")
        before = traces(machine)
        prefix = machine.setup("gone")
        wrapper = prefix.wrapper("emerge")
        if how == "verb":
            result = machine.fp("uninstall", "gone")
        elif how == "flag":
            result = machine.try_setup("--uninstall", "gone", "/usr/local/gone")
        else:
            result = machine.try_setup("gone", "--uninstall")
        assert result.returncode == 0, result.stderr
        for path in (prefix.staging_dir, prefix.final_dir):
            assert re.search(rf" \* removed {path}: \d+ files, [\d.]+ MiB\n", result.stdout)
        assert re.search(rf" \* removed \d+ wrappers in {machine.bin}\n", result.stdout)
        assert str(wrapper) not in result.stdout, "that is for --verbose"
        assert traces(machine) == before

    def test_each_wrapper_is_named_where_that_is_asked_for(self, machine: Machine) -> None:
        wrapper = machine.setup("gone").wrapper("emerge")
        assert f" * removed {wrapper}\n" in machine.fp("uninstall", "gone", "--verbose").stdout

    def test_what_the_user_built_goes_too(self, machine: Machine) -> None:
        prefix = machine.setup("full")
        (prefix.final / "usr/bin").mkdir(parents=True)
        (prefix.final / "usr/bin/x").write_text("")
        (prefix.final / "usr/bin").chmod(0o555)
        assert machine.fp("uninstall", "full").returncode == 0
        assert not prefix.final_dir.exists()

    def test_a_prefix_without_a_record_is_refused(self, machine: Machine) -> None:
        prefix = machine.setup("bare")
        (prefix.staging_dir / RECORD).unlink()
        for directory in (prefix.staging_dir, prefix.final_dir):
            (directory / MARKER_NAME).unlink()
        shutil.rmtree(machine.bin)
        shutil.rmtree(prefix.staging_dir / "root")
        shutil.rmtree(prefix.final_dir / "root")
        before = snapshot(machine.base, ignore={"cache", "locks"})
        result = machine.fp("uninstall", "bare")
        assert result.returncode == 1
        two_lines(result)
        assert snapshot(machine.base, ignore={"cache", "locks"}) == before

    @pytest.mark.parametrize("how", ["uninstall", "force"])
    def test_a_prefix_of_the_shell_version_is_recognised(self, machine: Machine, how: str) -> None:
        staging, final = machine.staging("elder"), machine.final("elder")
        for directory in ("logs", "pkgs", "tmp", "root/usr/local/elder/etc/portage"):
            (staging / directory).mkdir(parents=True)
        for directory in ("logs", "tmp", "root/usr/local/elder/etc/portage"):
            (final / directory).mkdir(parents=True)
        for root in (staging, final):
            (root / "root/usr/local/elder/etc/portage/make.conf").write_text('CHOST="x"\n')
        before = traces(machine)
        if how == "force":
            result = machine.try_setup("--force", "--bootstrap=none", "elder", "/usr/local/elder")
        else:
            result = machine.try_setup("--uninstall", "elder", "/usr/local/elder")
        assert result.returncode == 1
        assert "shell version" in " ".join(two_lines(result))
        assert traces(machine) == before

    def test_links_are_removed_and_not_followed(self, machine: Machine) -> None:
        prefix = machine.setup("linked")
        outside = machine.base / "outside"
        outside.mkdir()
        (outside / "mine").write_text("mine")
        (prefix.final / "to").symlink_to(outside)
        (prefix.staging_dir / "pkgs").rmdir()
        (prefix.staging_dir / "pkgs").symlink_to(outside)
        assert machine.fp("uninstall", "linked").returncode == 0
        assert (outside / "mine").read_text() == "mine"
        assert not prefix.staging_dir.exists()

    @pytest.mark.parametrize("which", ["staging", "final"])
    def test_a_directory_that_became_a_link_is_refused(self, machine: Machine, which: str) -> None:
        prefix = machine.setup("moved")
        directory: Path = getattr(machine, which)("moved")
        elsewhere = machine.base / "elsewhere"
        directory.rename(elsewhere)
        directory.symlink_to(elsewhere)
        before = set(snapshot(elsewhere))
        result = machine.fp("uninstall", "moved")
        assert result.returncode == 1
        assert "symbolic link" in two_lines(result)[0]
        assert set(snapshot(elsewhere)) == before
        assert prefix.wrapper("emerge").exists(), "all checks come before the first removal"

    @pytest.mark.needs_root
    @pytest.mark.needs_namespaces
    @pytest.mark.parametrize(
        ("staging", "place"),
        [
            ("plain", "pkgs"),
            ("plain", "tmp/b\\040c"),
            ("caf\u00e9", "tmp"),
            ("\u65e5\u672c", "tmp/a b"),
        ],
        ids=ascii,
    )
    def test_what_is_mounted_inside_is_refused(
        self, machine: Machine, staging: str, place: str
    ) -> None:
        top = machine.base / "else" / staging
        machine.setup("mounted", f"--staging_dir={top}")
        directory = top / place
        directory.mkdir(exist_ok=True)
        (machine.base / "outside").mkdir()
        (machine.base / "outside/precious").write_text("dear")
        before = traces(machine)
        result = machine.run(
            *with_a_mount("--bind outside", directory),
            sys.executable, "-m", "flatcar_prefix", "uninstall", "mounted",
        )  # fmt: skip
        assert result.returncode == 1
        what, to_do = two_lines(result)
        assert str(directory) in what
        assert "umount" in to_do
        assert traces(machine) == before

    @pytest.mark.needs_root
    @pytest.mark.needs_namespaces
    def test_another_file_system_is_noticed_whatever_is_said_of_mounts(
        self, machine: Machine
    ) -> None:
        prefix = machine.setup("mounted")
        directory = prefix.staging_dir / "pkgs"
        code = (
            "import sys; from flatcar_prefix.cli import main as cli\n"
            "from flatcar_prefix.lifecycle import uninstall\n"
            "uninstall._mount_points = lambda text: []\n"
            "sys.exit(cli.main(['uninstall', 'mounted']))"
        )
        result = machine.run(*with_a_mount("-t tmpfs tmpfs", directory), sys.executable, "-c", code)
        assert result.returncode == 1
        assert str(directory) in two_lines(result)[0]
        assert prefix.wrapper("emerge").exists()

    def test_directories_above_stay(self, machine: Machine) -> None:
        prefix = machine.setup("alone")
        above = [prefix.staging_dir.parent, prefix.final_dir.parent, machine.bin]
        assert machine.fp("uninstall", "alone").returncode == 0
        assert all(directory.is_dir() for directory in above)

    def test_wrappers_of_others_stay(self, machine: Machine) -> None:
        machine.setup("a")
        other = machine.setup("a-b")
        (machine.bin / "emerge-prefix-a-c-amd64-usr").write_text("#!/bin/sh\n# somebody else's\n")
        assert machine.fp("uninstall", "a").returncode == 0
        assert other.wrapper("emerge").exists()
        assert (machine.bin / "emerge-prefix-a-b").exists()
        assert (machine.bin / "emerge-prefix-a-c-amd64-usr").exists()

    def test_a_wrapper_whose_prefix_is_gone_says_so(self, machine: Machine) -> None:
        prefix = machine.setup("ghost")
        wrapper = prefix.wrapper("emerge")
        text = wrapper.read_text()
        machine.fp("uninstall", "ghost")
        wrapper.write_text(text)
        wrapper.chmod(0o755)
        result = machine.run(wrapper, "--info")
        assert result.returncode == 1
        two_lines(result)


class TestAnotherPlace:
    """The record identifies a prefix, not the path that leads to it."""

    def test_a_copy_of_a_staging_directory_does_not_cost_the_original(
        self, machine: Machine
    ) -> None:
        prefix = machine.setup("original")
        copy = machine.base / "copy"
        shutil.copytree(prefix.staging_dir, copy, symlinks=True)
        before = traces(machine)
        for args in (
            ("--uninstall", f"--staging_dir={copy}", "original"),
            ("--uninstall", f"{copy}/"),
        ):
            result = machine.try_setup(*args)
            assert result.returncode == 1
            assert (
                f"copy of the prefix original-amd64-usr in {prefix.staging_dir}"
                in two_lines(result)[0]
            )
        assert traces(machine) == before

    def test_a_prefix_at_a_new_place_is_removed_with_all_it_has(self, machine: Machine) -> None:
        before = traces(machine)
        prefix = machine.setup("mover")
        moved = machine.base / "moved"
        prefix.staging_dir.rename(moved)
        assert json.loads(machine.fp("show", moved, "--json").stdout)["name"] == "mover"
        assert machine.try_setup("--uninstall", f"--staging_dir={moved}", "mover").returncode == 0
        left = traces(machine) - before
        assert not [path for path in left if "mover" in path or "/moved" in path]

    @pytest.mark.parametrize(
        "args",
        [("other",), ("w1", "/usr/local/other"), ("w1", "/usr/local/w1", "--board=arm64-usr")],
        ids=" ".join,
    )
    @pytest.mark.parametrize("how", ["by name", "by directory"])
    def test_what_is_said_and_is_not_so_of_the_prefix_is_refused(
        self, machine: Machine, how: str, args: tuple[str, ...]
    ) -> None:
        prefix = machine.setup("w1")
        before = traces(machine)
        more = (f"--staging_dir={prefix.staging_dir}",) if how == "by directory" else ()
        result = machine.try_setup("--uninstall", *args, *more)
        assert result.returncode == 1
        two_lines(result)
        assert traces(machine) == before

    @pytest.mark.parametrize("alias", ["linked/build/x", "linked/../x/build/x", "x/../x/build/x/"])
    def test_by_whatever_path_it_is_reached_its_wrappers_go_too(
        self, machine: Machine, alias: str
    ) -> None:
        before = traces(machine)
        (machine.base / "x").mkdir()
        staging, final = machine.base / "x/build/x", machine.base / "x/final"
        machine.setup("x", f"--staging_dir={staging}", f"--final_dir={final}")
        (machine.base / "linked").symlink_to("x")
        said = machine.try_setup("--uninstall", f"--staging_dir={machine.base}/{alias}", "x")
        assert said.returncode == 0, said.stderr
        (machine.base / "linked").unlink()
        assert not [path for path in traces(machine) - before if "-prefix-x" in path]
        assert not staging.exists()
        assert not final.exists()

    @pytest.mark.parametrize("whose", ["another prefix's", "somebody else's"])
    def test_a_final_root_that_is_not_its_own_stays(self, machine: Machine, whose: str) -> None:
        prefix, other = machine.setup("mine"), machine.setup("theirs")
        if whose == "another prefix's":
            place = other.final_dir
            record = prefix.staging_dir / RECORD
            changed = {
                **json.loads(record.read_text()),
                "final_dir": str(place),
                "eprefix": other.eprefix,
            }
            record.write_text(json.dumps(changed))
        else:
            place = prefix.final_dir
            shutil.rmtree(place)
            shutil.copytree(machine.repos / "prefix-overlay", place)
        result = machine.fp("uninstall", "mine")
        assert result.returncode == 0
        assert f"{place} is kept" in result.stderr
        assert place.is_dir()
        assert not prefix.staging_dir.exists()
        assert other.wrapper("emerge").exists()

    def test_a_directory_of_the_shell_version_is_recognised_by_its_path(
        self, machine: Machine
    ) -> None:
        staging = machine.base / "elder"
        config = staging / "root/usr/local/elder/etc/portage"
        config.mkdir(parents=True)
        (config / "make.conf").write_text('CHOST="x"\n')
        result = machine.try_setup("--uninstall", f"--staging_dir={staging}", "elder")
        assert result.returncode == 1
        assert "shell version" in two_lines(result)[0]
        assert config.is_dir()


class TestAtOnce:
    """Two set-ups of one name do not damage each other."""

    def test_one_is_refused_while_another_is_at_work(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in machine.places.items():
            monkeypatch.setenv(name, value)
        before = traces(machine)
        with locks.locked(detect_sdk(), "busy", boards.board("amd64-usr")):
            result = machine.try_setup("--bootstrap=none", "busy", "/usr/local/busy")
            assert result.returncode == 1
            what, to_do = two_lines(result)
            assert "busy-amd64-usr is locked by another program" in what
            assert "Wait" in to_do
            assert traces(machine) == before
        assert machine.setup("busy").staging_dir.is_dir()

    def test_started_together_one_of_them_completes(self, machine: Machine) -> None:
        command = machine.setup_command("--bootstrap=none", "race", "/usr/local/race")
        children = [
            subprocess.Popen(
                command,
                env=machine.environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(3)
        ]
        said = [child.communicate(timeout=120)[1] for child in children]
        codes = [child.returncode for child in children]
        # A call during another one is refused; a later call finds the prefix complete.
        assert 0 in codes and set(codes) <= {0, 1}, said
        assert all(
            len(text.splitlines()) == 2 for text, code in zip(said, codes, strict=True) if code
        )
        assert json.loads(machine.fp("show", "race", "--json").stdout)["state"] == "complete"
        assert machine.run(machine.bin / "portageq-prefix-race", "envvar", "ARCH").returncode == 0

    @pytest.mark.parametrize("which", ["staging", "final"])
    def test_nor_of_another_name_in_the_same_directories(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch, which: str
    ) -> None:
        for name, value in machine.places.items():
            monkeypatch.setenv(name, value)
        place = machine.base / "shared"
        before = traces(machine)
        with locks.locked(detect_sdk(), "busy", boards.board("amd64-usr"), place):
            result = machine.try_setup(
                "--bootstrap=none", f"--{which}_dir={place}", "free", "/usr/local/free"
            )
            assert result.returncode == 1
            assert f"{place} is locked by another program" in two_lines(result)[0]
            assert traces(machine) == before

    def test_names_that_share_directories_started_together_do_not_harm_each_other(
        self, machine: Machine
    ) -> None:
        places = [f"--{which}_dir={machine.base}/{which}" for which in ("staging", "final")]
        children = [
            subprocess.Popen(
                machine.setup_command("--bootstrap=none", *places, name, f"/usr/local/{name}"),
                env=machine.environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for name in ("race-a", "race-b")
        ]
        said = [child.communicate(timeout=120)[1] for child in children]
        assert sorted(child.returncode for child in children) == [0, 1], said
        (listed,) = json.loads(machine.fp("list", "--json").stdout)
        assert listed["state"] == "complete"
        wrapper = machine.bin / f"portageq-prefix-{listed['name']}"
        assert machine.run(wrapper, "envvar", "ARCH").stdout == "amd64\n"

    def test_different_names_do_not_wait_for_each_other(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in machine.places.items():
            monkeypatch.setenv(name, value)
        with locks.locked(detect_sdk(), "busy", boards.board("amd64-usr")):
            machine.setup("free")


class TestPython:
    """The documented calls of the Python interface."""

    @pytest.fixture
    def here(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
        for name, value in machine.places.items():
            monkeypatch.setenv(name, value)
        return machine

    def test_a_prefix_can_be_set_up_loaded_asked_and_removed(self, here: Machine) -> None:
        prefix = fp.setup(
            "py", "/usr/local/py", board="amd64-usr", bootstrap="none", scripts_dir=here.scripts
        )
        assert fp.load("py") == prefix
        assert fp.load("py-amd64-usr").name == "py"
        assert [p.name for p in fp.list()] == ["py"]
        assert prefix.final.settings["CHOST"] == "x86_64-cros-linux-gnu"
        assert prefix.final.settings["EROOT"] == f"{prefix.final.eroot}/"
        assert prefix.final.vardb.cpv_all() == []
        assert prefix.staging.portdb.match("app-arch/bzip2") != []
        run = prefix.wrapper("portageq").run("envvar", "EPREFIX")
        assert (run.returncode, run.stdout) == (0, "/usr/local/py\n")
        fp.uninstall("py")
        with pytest.raises(fp.PrefixError, match="no prefix 'py'"):
            fp.load("py")

    def test_both_roots_of_two_prefixes_can_be_asked_in_one_process(self, here: Machine) -> None:
        for name in ("p1", "p2"):
            fp.setup(name, f"/usr/local/{name}", bootstrap="none", scripts_dir=here.scripts)
        roots = [fp.load(name).root(kind) for name in ("p1", "p2") for kind in ("staging", "final")]
        assert [r.settings["EROOT"] for r in roots] == [f"{r.eroot}/" for r in roots]

    def test_errors_are_exceptions_with_a_hint(self, here: Machine) -> None:
        with pytest.raises(fp.UsageError) as caught:
            fp.setup("no/name", "/usr/local/x")
        assert caught.value.hint
        assert isinstance(caught.value, fp.PrefixError)

    def test_the_callers_variables_shape_nothing(self, here: Machine, monkeypatch) -> None:
        for name in ("ROOT", "EPREFIX", "PORTAGE_CONFIGROOT"):
            monkeypatch.setenv(name, "/nowhere")
        monkeypatch.setenv("USE", "stray")
        monkeypatch.setenv("CHOST", "stray")
        prefix = fp.setup("clean", "/usr/local/clean", bootstrap="none", scripts_dir=here.scripts)
        assert prefix.final.settings["CHOST"] == "x86_64-cros-linux-gnu"
        assert "stray" not in prefix.final.settings["USE"].split()

    def test_importing_does_and_says_nothing(self) -> None:
        code = (
            "import sys, flatcar_prefix\n"
            "assert 'portage' not in sys.modules and 'json' not in sys.modules, list(sys.modules)\n"
            "assert set(flatcar_prefix.__all__) >= {'setup', 'load', 'verify', 'sysext'}\n"
            "assert 'list' not in flatcar_prefix.__all__\n"
        )
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_an_interrupted_set_up_is_no_prefix_yet(machine: Machine) -> None:
    """Ctrl-C during the bootstrap prints no error; the set-up continues later."""
    prefix = machine.setup("half")
    record = prefix.staging_dir / RECORD
    record.write_text(json.dumps({**json.loads(record.read_text()), "complete": False}))
    assert machine.fp("list").stdout.rstrip().endswith("not set up completely")
    machine.setup("half")
    assert machine.fp("list").stdout.rstrip().endswith("ready")


def test_a_missing_wrapper_is_written_again_by_the_same_command(machine: Machine) -> None:
    prefix = machine.setup("wrap")
    prefix.wrapper("emerge").unlink()
    machine.setup("wrap")
    assert os.access(prefix.wrapper("emerge"), os.X_OK)


def test_the_users_own_settings_survive_being_continued(machine: Machine) -> None:
    prefix = machine.setup("mine")
    user = prefix.config("staging") / "make.conf.user"
    user.write_text('FLATCAR_TEST="kept"\n')
    (prefix.config("staging") / "package.use/mine").write_text("a/b c\n")
    record = prefix.staging_dir / RECORD
    record.write_text(json.dumps({**json.loads(record.read_text()), "complete": False}))
    machine.setup("mine")
    assert user.read_text() == 'FLATCAR_TEST="kept"\n'
    assert (prefix.config("staging") / "package.use/mine").read_text() == "a/b c\n"
    shown = machine.run(prefix.wrapper("portageq"), "--staging", "envvar", "FLATCAR_TEST")
    assert shown.stdout == "kept\n"


def test_wrappers_say_what_they_are(empty_prefix: InUse) -> None:
    said = empty_prefix.install("--prefix-help").stdout
    for word in ("empty-amd64-usr", empty_prefix.eprefix, str(empty_prefix.staging_dir / "root")):
        assert word in said
