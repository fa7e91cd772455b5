# SPDX-License-Identifier: BSD-3-Clause
"""Wrong input: one line for the error, one for the hint, and no files left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings, strategies as st
from machine import (
    CHECKOUT,
    InUse,
    Machine,
    Overlay,
    copy_repositories,
    snapshot,
    two_lines,
)

from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.portage_api import session as portage_api
from flatcar_prefix.prefix.names import check_eprefix, check_name

GOOD = ("--bootstrap=none", "good", "/usr/local/good")


def everything(machine: Machine) -> dict[str, str]:
    """Return all files of a machine except caches and locks."""
    seen = snapshot(machine.base, ignore={"cache", "locks", "home"})
    return {path: what for path, what in seen.items() if path != str(machine.base / "state")}


def refused(machine: Machine, *args: str | Path, code: int, **options) -> tuple[str, str]:
    """Run setup_prefix, which must fail and leave no files; return its two lines."""
    before = everything(machine)
    result = machine.try_setup(*args, **options)
    assert result.returncode == code, result.stdout + result.stderr
    said = two_lines(result)
    assert everything(machine) == before
    return said


@pytest.mark.parametrize(
    "name",
    ["", "x" * 65, "a/b", "/", "a b", "a\tb", "a\n", "\n", ".", "..", ".a", "a:b", "a*", "ä", "a'b", 'a"b', "a$b"],
    ids=ascii,
)  # fmt: skip
def test_a_name_that_cannot_name_a_prefix(shared_machine: Machine, name: str) -> None:
    what, _ = refused(shared_machine, "--bootstrap=none", name, "/usr/local/good", code=2)
    assert "name" in what


@pytest.mark.parametrize("name", ["-a", "-", "--a"])
def test_a_name_with_a_leading_dash(shared_machine: Machine, name: str) -> None:
    refused(shared_machine, "--bootstrap=none", name, "/usr/local/good", code=2)
    what, _ = refused(shared_machine, "--bootstrap=none", "--", name, "/usr/local/good", code=2)
    assert "name" in what


@pytest.mark.parametrize(
    "eprefix",
    [
        "", "relative", "./here", "/", "//", "/usr", "/opt", "/etc", "/usr/", "/home", "/usr/../etc/x",
        "/opt/../x/y", "/opt/./x", "/opt/a b", "/opt/a\tb", "/opt/a:b", "/opt/a'b", '/opt/a"b', "/opt/a\nb",
        "/opt/a\n", "/opt/a`b", "/opt/$a", "/opt/a\\b", "/opt//a", "/opt/ü",
        "/opt/a%b", "/opt/a,b", "/opt/a=b", "/opt/@MARK@", "/opt/~a",
        "/usr/bin", "/usr/lib64/", "/usr/share", "/usr/local", "/usr/local/bin", "/usr/local/man", "/var/lib",
        "/proc/x", "/sys/x", "/dev/x", "/run/x", "/tmp/x", "/tmp/x/y", "/etc/x", "/boot/x",
    ],
    ids=ascii,
)  # fmt: skip
def test_a_path_where_no_prefix_can_live(shared_machine: Machine, eprefix: str) -> None:
    refused(shared_machine, "--bootstrap=none", "good", eprefix, code=2)


@pytest.mark.parametrize("which", ["staging", "final"])
@pytest.mark.parametrize("below", ["", "/root", "/deep/er"])
def test_a_path_inside_the_prefixs_own_directories(
    machine: Machine, which: str, below: str
) -> None:
    directory = getattr(machine, which)("good")
    what, _ = refused(machine, "--bootstrap=none", "good", f"{directory}{below}", code=2)
    assert f"lies inside {directory}" in what


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("--board=mips-usr",), "mips-usr"),
        (("--toolchain=best",), "best"),
        (("--bootstrap=magic",), "magic"),
        (("--profile=nowhere:default/linux",), "nowhere"),
        (("--staging_dir=/",), "'/'"),
        (("--staging_dir=/opt/a b",), "a b"),
        (("--staging_dir=/tmp/same", "--final_dir=/tmp/same/inside"), "overlap"),
        (("--no-such-flag",), "--no-such-flag"),
        (("third",), "third"),
    ],
)
def test_a_flag_that_makes_no_sense(
    shared_machine: Machine, args: tuple[str, ...], word: str
) -> None:
    what, _ = refused(shared_machine, *GOOD, *args, code=2)
    assert word in what


@pytest.mark.parametrize("args", [(), ("name-only",)])
def test_a_call_with_too_few_arguments(shared_machine: Machine, args: tuple[str, ...]) -> None:
    what, _ = refused(shared_machine, *args, code=2)
    assert "missing" in what


@pytest.mark.parametrize("verb", [(), ("frobnicate",), ("show",), ("show", "x", "y")])
def test_a_verb_that_makes_no_sense(shared_machine: Machine, verb: tuple[str, ...]) -> None:
    result = shared_machine.fp(*verb)
    assert result.returncode == 2
    two_lines(result)


@pytest.mark.parametrize("what", ["file", "link to nowhere", "full directory"])
@pytest.mark.parametrize("which", ["staging", "final"])
def test_a_directory_that_exists(machine: Machine, which: str, what: str) -> None:
    place: Path = getattr(machine, which)("good")
    place.parent.mkdir(parents=True)
    if what == "file":
        place.write_text("mine")
    elif what == "link to nowhere":
        place.symlink_to("/nowhere/at/all")
    else:
        (place / "mine").mkdir(parents=True)
    said, to_do = refused(machine, *GOOD, code=1)
    assert str(place) in said
    assert "--staging-dir" in to_do or "Remove" in to_do


class TestRepositories:
    """Errors of the repositories are reported before any file is written."""

    def test_none_at_all(self, machine: Machine) -> None:
        shutil.rmtree(machine.repos)
        said, to_do = refused(machine, *GOOD, code=1)
        assert "gentoo-subset" in said
        assert "--scripts-dir" in to_do

    def test_a_checkout_that_does_not_exist(self, machine: Machine) -> None:
        said, _ = refused(machine, *GOOD, "--scripts_dir=/nowhere/at/all", code=1)
        assert "/nowhere/at/all" in said

    def test_one_without_a_name(self, machine: Machine) -> None:
        overlay = machine.repos / "flatcar-overlay"
        (overlay / "profiles/repo_name").unlink()
        (overlay / "metadata/layout.conf").write_text("masters = gentoo-subset\n")
        said, to_do = refused(machine, *GOOD, code=1)
        assert "no name" in said
        assert "profiles/repo_name" in to_do

    def test_an_overlay_without_a_name(self, machine: Machine) -> None:
        overlay = Overlay(machine.base / "nameless", "nameless")
        (overlay.path / "profiles/repo_name").unlink()
        said, to_do = refused(machine, *GOOD, f"--custom_ebuild_overlays={overlay.path}", code=1)
        assert str(overlay.path) in said
        assert "profiles/repo_name" in to_do

    def test_two_with_the_same_name(self, machine: Machine) -> None:
        shutil.copytree(machine.repos / "flatcar-overlay", machine.repos / "twin")
        said, _ = refused(machine, *GOOD, code=1)
        assert "twin" in said
        assert str(machine.repos / "flatcar-overlay") in said

    @pytest.mark.parametrize("name", ["same", "gentoo-subset"])
    def test_overlays_with_the_same_name(self, machine: Machine, name: str) -> None:
        one, two = (Overlay(machine.base / word, name) for word in ("one", "two"))
        said, _ = refused(machine, *GOOD, f"--custom_ebuild_overlays={one.path},{two.path}", code=1)
        assert name in said

    def test_an_overlay_that_is_not_there(self, machine: Machine) -> None:
        said, _ = refused(machine, *GOOD, "--custom_ebuild_overlays=/nowhere/at/all", code=1)
        assert "/nowhere/at/all" in said

    def test_masters_that_are_missing(self, machine: Machine) -> None:
        overlay = Overlay(machine.base / "orphan", "orphan")
        overlay.write("metadata/layout.conf", "masters = gentoo-subset missing-master\n")
        said, to_do = refused(machine, *GOOD, f"--custom_ebuild_overlays={overlay.path}", code=1)
        assert "missing-master" in said
        assert "orphan" in said
        assert "layout.conf" in to_do

    def test_masters_of_the_checkout_that_are_missing(self, machine: Machine) -> None:
        (machine.repos / "flatcar-overlay/metadata/layout.conf").write_text("masters = gone\n")
        said, _ = refused(machine, *GOOD, code=1)
        assert "gone" in said

    @pytest.mark.parametrize("name", ["p%t", "mid #x", "mid ;x", "line\nend"], ids=ascii)
    @pytest.mark.parametrize("which", ["overlay", "scripts"])
    def test_a_directory_that_repos_conf_cannot_name(
        self, machine: Machine, which: str, name: str
    ) -> None:
        place = machine.base / name
        if which == "overlay":
            Overlay(place, "odd")
            flag = f"--custom_ebuild_overlays={place}"
        else:
            copy_repositories(place)
            flag = f"--scripts_dir={place}"
        for more in ((), ("--force",)):
            final = f"--final_dir={machine.base}/final"
            said, to_do = refused(machine, *GOOD, flag, final, *more, code=2)
            assert name in said or ascii(name)[1:-1] in said
            assert "percent sign" in to_do

    def test_an_overlay_added_later_that_repos_conf_cannot_name(self, machine: Machine) -> None:
        prefix = machine.setup("later")
        before = everything(machine)
        result = machine.fp("overlays", "later", "add", Overlay(machine.base / "p%t", "odd").path)
        assert result.returncode == 2
        assert "p%t" in two_lines(result)[0]
        added = set(everything(machine)) - set(before)
        assert not [path for path in added if "p%t" not in path], prefix


def test_a_fault_of_the_programs_own_leaves_nothing_behind(machine: Machine) -> None:
    code = (
        "import sys; from flatcar_prefix.cli import main as cli\n"
        "from flatcar_prefix.lifecycle import configure\n"
        "def fault(*args, **kw): raise ZeroDivisionError('fault')\n"
        "configure.check_config = fault\n"
        "cli.setup_prefix(sys.argv[1:])"
    )
    before = everything(machine)
    result = machine.run(sys.executable, "-c", code, f"--scripts_dir={machine.scripts}", *GOOD)
    assert "ZeroDivisionError: fault" in result.stderr
    (report,) = (machine.base / "state/logs").iterdir()
    assert str(report) in result.stderr
    shutil.rmtree(machine.base / "state/logs")
    assert everything(machine) == before


class TestProfiles:
    """A missing profile, or one that Portage cannot load."""

    @pytest.mark.parametrize(
        "profile", ["nothing/like/it", "gentoo-subset:nothing", "../../..", "gentoo-subset:"]
    )
    def test_one_that_is_missing(self, shared_machine: Machine, profile: str) -> None:
        said, _ = refused(shared_machine, *GOOD, f"--profile={profile}", code=1)
        assert "profile" in said

    def test_no_profile_at_all(self, machine: Machine) -> None:
        shutil.rmtree(machine.repos / "gentoo-subset/profiles/default")
        said, to_do = refused(machine, *GOOD, code=1)
        assert "no profile for amd64-usr" in said
        assert "--profile" in to_do

    def test_one_that_loops(self, machine: Machine) -> None:
        base = machine.repos / "gentoo-subset/profiles/base"
        (base / "parent").write_text("../default/linux/amd64/23.0\n")
        said, to_do = refused(machine, *GOOD, code=1)
        assert said.startswith("the profile gentoo-subset:")
        assert said.endswith(" has a loop in its parents")
        assert "--profile" in to_do

    def test_one_whose_parent_is_missing(self, machine: Machine) -> None:
        base = machine.repos / "gentoo-subset/profiles/base"
        (base / "parent").write_text("../nowhere\n")
        refused(machine, *GOOD, code=1)

    def test_one_of_another_architecture(self, machine: Machine) -> None:
        profile = "default/linux/arm64/23.0/split-usr/prefix"
        said, to_do = refused(machine, *GOOD, f"--profile={profile}", code=1)
        assert "ARCH" in said
        assert f"{machine.repos}/gentoo-subset/profiles/{profile}" in to_do
        assert "make.conf.user" not in to_do, "the failed set-up removed it"


class TestPortage:
    """A Portage that is missing or too old."""

    def test_missing(self, machine: Machine) -> None:
        fake = machine.base / "fake"
        fake.mkdir()
        (fake / "portage.py").write_text("raise ImportError('No module named portage')\n")
        said, to_do = refused(
            machine, *GOOD, env={"PYTHONPATH": str(fake), "PYTHONDONTWRITEBYTECODE": "1"}, code=1
        )
        assert "Portage" in said
        assert "pip install" in to_do

    def test_too_old(self, machine: Machine) -> None:
        fake = machine.base / "fake"
        fake.mkdir()
        (fake / "portage.py").write_text("VERSION = '3.0.62'\n")
        said, to_do = refused(
            machine, *GOOD, env={"PYTHONPATH": str(fake), "PYTHONDONTWRITEBYTECODE": "1"}, code=1
        )
        assert "3.0.62" in said
        assert portage_api.OLDEST in to_do

    @pytest.mark.parametrize("version", ["3.0.19", "3.0.62", "3.0.9", "2.3.99", "3.0.63_rc1"])
    def test_old_versions_are_too_old(self, version: str) -> None:
        with pytest.raises(PrefixError, match="too old"):
            portage_api.check_version(version)

    @pytest.mark.parametrize(
        "version", ["3.0.63", "3.0.63.1", "3.0.100", "3.1", "4", "HEAD", "3.0.63-12-gabc"]
    )
    def test_new_versions_are_not(self, version: str) -> None:
        portage_api.check_version(version)


class TestCompiler:
    """The message about a missing compiler names it and its package."""

    @pytest.fixture
    def poor(self, machine: Machine) -> Machine:
        """A machine without a compiler in PATH."""
        directory = machine.base / "poor"
        directory.mkdir()
        for program in ("sh", "bash", "env", "sed", "grep", "make", "tar", "mv"):
            (directory / program).symlink_to(shutil.which(program) or "/nowhere")
        machine.variables["PATH"] = str(directory)
        return machine

    @pytest.mark.parametrize(
        ("board", "package"), [("amd64-usr", "gcc g++"), ("arm64-usr", "gcc-aarch64-linux-gnu")]
    )
    def test_there_is_none(self, poor: Machine, board: str, package: str) -> None:
        said, to_do = refused(poor, *GOOD, f"--board={board}", code=1)
        assert board in said
        assert f"apt-get install {package}" in to_do

    def test_there_is_one_for_c_only(self, poor: Machine) -> None:
        (poor.base / "poor/gcc").symlink_to(shutil.which("gcc") or "/nowhere")
        said, to_do = refused(poor, *GOOD, code=1)
        assert "g++" in said
        assert "apt-get install g++" in to_do

    def test_it_cannot_link(self, poor: Machine) -> None:
        for name in ("gcc", "g++"):
            program = poor.base / "poor" / name
            program.write_text(
                '#!/bin/sh\necho "gcc (Fake) 1.0"\n[ "$1" = --version ] || { echo no crt1.o >&2; exit 1; }\n'
            )
            program.chmod(0o755)
        said, to_do = refused(poor, *GOOD, code=1)
        assert "cannot link" in said
        assert "no crt1.o" in said
        assert "libc6-dev" in to_do

    def test_the_sdks_is_asked_for_where_there_is_none(self, machine: Machine) -> None:
        _, to_do = refused(machine, *GOOD, "--toolchain=sdk", code=1)
        assert "x86_64-cros-linux-gnu-gcc" in to_do
        assert "another --toolchain" in to_do


@pytest.mark.needs_root
@pytest.mark.needs_namespaces
class TestPlaces:
    """No space, no permission, a read-only file system."""

    @pytest.mark.parametrize("size", ["16k", "64k"])
    def test_no_space(self, machine: Machine, size: str) -> None:
        full = machine.base / "full"
        full.mkdir()
        script = 'mount -t tmpfs -o size="$1" tmpfs "$2"; shift 2; "$@"; code=$?; exit $code'
        before = everything(machine)
        result = machine.run(
            "unshare", "--mount", "sh", "-c", script, "sh", size, full,
            *machine.setup_command(*GOOD, f"--staging_dir={full}/staging"),
        )  # fmt: skip
        assert result.returncode == 1
        what, to_do = two_lines(result)
        assert "No space left" in what
        assert "Free space" in to_do
        left = {p for p in set(everything(machine)) - set(before) if "/bin/" in p}
        assert not left, "no wrapper of an incomplete prefix"

    def test_no_permission(self, machine: Machine) -> None:
        for directory in (machine.base, *machine.base.parents):
            if os.stat(directory).st_uid == 0 and directory.is_relative_to("/tmp/pytest-of-root"):
                directory.chmod(0o755)
        said, to_do = self.as_nobody(machine)
        assert "Permission denied" in said
        assert "root" in to_do

    @staticmethod
    def as_nobody(machine: Machine) -> tuple[str, str]:
        before = everything(machine)
        result = machine.run(
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            *machine.setup_command(*GOOD),
        )
        assert result.returncode == 1, result.stderr
        assert everything(machine) == before
        return two_lines(result)

    def test_a_file_system_that_is_read_only(self, machine: Machine) -> None:
        for name in ("build", "state"):
            (machine.base / name).mkdir()
        script = 'mount -t tmpfs -o ro tmpfs "$1"; shift; exec "$@"'
        said, to_do = refused_by(machine, "unshare", "--mount", "sh", "-c", script, "sh", machine.base / "build",
                                 *machine.setup_command(*GOOD))  # fmt: skip
        assert "Read-only" in said
        assert to_do.endswith(" writable.")


def refused_by(machine: Machine, *argv: str | Path) -> tuple[str, str]:
    before = everything(machine)
    result = machine.run(*argv)
    assert result.returncode == 1, result.stderr
    assert everything(machine) == before
    return two_lines(result)


class TestFetching:
    """A tarball with a wrong checksum, or one that no server has."""

    @pytest.mark.needs_root
    def test_a_checksum_that_is_wrong(self, empty_prefix: InUse, overlay: Overlay) -> None:
        overlay.ebuild(
            "test-fetch/forged-1",
            src_uri="https://example.invalid/forged-1.tar.gz",
            restrict="fetch",
        )
        overlay.write(
            "test-fetch/forged/Manifest",
            f"DIST forged-1.tar.gz 6 BLAKE2B {'0' * 128} SHA512 {'0' * 128}\n",
        )
        distfiles = empty_prefix.machine.base / "cache/distfiles"
        distfiles.mkdir(parents=True, exist_ok=True)
        (distfiles / "forged-1.tar.gz").write_text("forged")
        before = empty_prefix.installed("staging") | empty_prefix.installed("final")
        result = empty_prefix.emerge("test-fetch/forged")
        assert result.returncode == 1
        assert "forged-1.tar.gz" in result.stdout + result.stderr
        assert result.stderr.splitlines()[-1].startswith(" * building failed")
        assert empty_prefix.installed("staging") | empty_prefix.installed("final") == before

    @pytest.mark.needs_root
    @pytest.mark.needs_namespaces
    def test_no_network(self, empty_prefix: InUse, overlay: Overlay) -> None:
        overlay.ebuild("test-fetch/far-1", src_uri="https://example.invalid/far-1.tar.gz")
        overlay.write(
            "test-fetch/far/Manifest",
            f"DIST far-1.tar.gz 6 BLAKE2B {'0' * 128} SHA512 {'0' * 128}\n",
        )
        result = empty_prefix.machine.run(
            "unshare", "--net", empty_prefix.wrapper("emerge"), "test-fetch/far", timeout=120
        )
        assert result.returncode == 1
        said = result.stdout + result.stderr
        assert "far-1.tar.gz" in said
        assert "Traceback" not in said
        assert "test-fetch/far-1" not in empty_prefix.installed("staging")

    @pytest.mark.needs_root
    @pytest.mark.needs_namespaces
    def test_a_set_up_needs_no_network(self, machine: Machine) -> None:
        machine.ok("unshare", "--net", *machine.setup_command(*GOOD))


NAME = st.from_regex(r"[A-Za-z0-9_+][A-Za-z0-9._+-]{0,63}", fullmatch=True)


@given(name=NAME)
@settings(deadline=None)
def test_every_name_of_the_allowed_letters_is_accepted(name: str) -> None:
    assert check_name(name) == name


@given(name=st.text(max_size=70))
@example(name="a\n")
@example(name="٣")
@settings(max_examples=300, deadline=None)
def test_no_other_name_is_accepted(name: str) -> None:
    allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-")
    if set(name) <= allowed and 0 < len(name) <= 64 and name[0] not in ".-":
        assert check_name(name) == name
    else:
        with pytest.raises(UsageError):
            check_name(name)


@given(
    eprefix=st.text(st.characters(codec="utf-8"), max_size=30).map(lambda text: f"/usr/{text}")
    | st.text(max_size=20)
)
@example(eprefix="/usr/local/x\n")
@example(eprefix="/usr/local/")
@example(eprefix="//usr/local")
@settings(max_examples=400, deadline=None)
def test_an_accepted_path_is_absolute_deep_enough_and_plain(eprefix: str) -> None:
    try:
        path = check_eprefix(eprefix)
    except UsageError as error:
        assert error.hint
        return
    assert path == os.path.normpath(path)
    assert path.count("/") >= 2
    assert not any(c.isspace() or c in ":'\"\\`$%,=@~" for c in path)
    assert check_eprefix(path) == path


@given(
    parts=st.lists(
        st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,10}", fullmatch=True), min_size=2, max_size=5
    )
)
@settings(deadline=None)
def test_every_plain_path_is_accepted(parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    assert check_eprefix(f"{path}/") == path


def test_the_checkout_is_never_written_to() -> None:
    """The other tests write only into their own directories."""
    status = subprocess.run(
        ["git", "-C", CHECKOUT, "status", "--porcelain", "--", "repos", "wrappers", "eclass-helpers"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert sys.executable
    assert not [line for line in status.stdout.splitlines() if line.startswith("??")]
