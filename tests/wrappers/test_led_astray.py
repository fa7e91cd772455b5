# SPDX-License-Identifier: BSD-3-Clause
"""Other users choose no code for root: by PATH, variables, declarations or modes."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import InUse, Machine, Overlay

from flatcar_prefix.system import programs, variables
from flatcar_prefix.system.files import only_root_writes

pytestmark = pytest.mark.needs_root

NOBODY = 65534
DECLARATION = """\
[tool]
description = a tool of the user
package = app-misc/mine
root = final
entry = cross
"""


@pytest.fixture
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory of another user."""
    with tempfile.TemporaryDirectory(prefix="others-") as name:
        os.chmod(name, 0o755)
        os.chown(name, NOBODY, NOBODY)
        yield Path(name)


@pytest.fixture
def led(users: Path) -> Path:
    """A directory of another user with programs that a wrapper needs; each says so when run."""
    place = users / "bin"
    place.mkdir()
    said = users / "said"
    for name in ("unshare", "mount", "sh", "setpriv", "rm", "cat", "python3", "emerge", "mkdir"):
        (place / name).write_text(f"#!/bin/sh\necho {name} >>{said}\nexit 1\n")
        (place / name).chmod(0o755)
    for path in (place, *place.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    return place


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("equery", ("list", "*")),
        ("env-update", ()),
        ("emerge", ("-p", "prefix-final")),
        ("portageq", ("envvar", "CHOST")),
        ("bwrap", ("--help",)),
        ("emerge", ("--prefix-help",)),
    ],
)
def test_root_runs_no_program_of_another_users_path(
    empty_prefix: InUse, led: Path, tool: str, words: tuple[str, ...]
) -> None:
    path = f"{led}:.:relative:{os.environ['PATH']}"
    result = empty_prefix.machine.run(
        empty_prefix.wrapper(tool), *words, env={"PATH": path}, cwd=led
    )
    assert not (led.parent / "said").exists(), result
    # equery exits with 3 if nothing is installed; other tests install into the same prefix.
    assert result.returncode in ((0, 3) if tool == "equery" else (0,)), result


def test_nor_do_the_commands_of_this_program(machine: Machine, led: Path) -> None:
    machine.ok(
        *machine.setup_command("--bootstrap=none", "led", "/usr/local/led"),
        env={"PATH": f"{led}:{os.environ['PATH']}"},
        cwd=led,
    )
    assert not (led.parent / "said").exists()


def test_a_path_for_root(users: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    path = f"{users}::relative:{shared}:{tmp_path}:/usr/bin:/no/such/place"
    assert programs.path_for_root(path) == f"{tmp_path}:/usr/bin"
    assert programs.path_for_root(f"{users}:") == programs.SYSTEM_PATH


def test_variables_of_the_loader_do_not_reach_root(empty_prefix: InUse) -> None:
    """Builds do not see them either, because Portage makes their environment."""
    names = (*variables.UNSET_FOR_ROOT, "LD_PRELOAD")
    env = {name: "/nonexistent" for name in names if name != "LD_PRELOAD"}
    env |= {"GLIBC_TUNABLES": "glibc.malloc.check=0", "PS4": "$(echo led >&2)+"}
    # The loader itself complains of a preloaded file that does not exist, once a process.
    shown = empty_prefix.machine.run(
        "sh", "-c", 'LD_PRELOAD=/nonexistent/lib.so exec "$0" --prefix-help', empty_prefix.wrapper("qlist"),
        env=env,
    )  # fmt: skip
    assert shown.returncode == 0
    machine = empty_prefix.machine
    declared = machine.base / "home/.config/flatcar-prefix/wrappers.d/showing.conf"
    declared.parent.mkdir(parents=True, exist_ok=True)
    declared.write_text(DECLARATION + "command = env\n")
    try:
        machine.ok(*fp(), "wrappers", empty_prefix.name)
        seen = machine.run(empty_prefix.wrapper("showing"), env={**env, "LD_PRELOAD": ""}).stdout
    finally:
        declared.unlink()
        machine.ok(*fp(), "wrappers", empty_prefix.name)
    assert "ROOT=" in seen
    for name in names:
        assert f"\n{name}=" not in f"\n{seen}", name


def fp() -> list[str]:
    import sys

    return [sys.executable, "-m", "flatcar_prefix"]


class TestDeclarations:
    """``wrappers.d`` for root: only files that root alone can write."""

    @pytest.fixture
    def prefix(self, empty_prefix: InUse) -> Iterator[InUse]:
        yield empty_prefix
        empty_prefix.machine.ok(*fp(), "wrappers", empty_prefix.name)

    def declare(self, place: Path, *, owner: int) -> Path:
        path = place / "flatcar-prefix/wrappers.d/mine.conf"
        path.parent.mkdir(parents=True)
        path.write_text(DECLARATION)
        for one in (place, *place.rglob("*")):
            os.chown(one, owner, owner)
        return path

    def test_another_users_are_named_and_ignored(self, prefix: InUse, users: Path) -> None:
        path = self.declare(users, owner=NOBODY)
        result = prefix.machine.fp("wrappers", prefix.name, env={"XDG_CONFIG_HOME": str(users)})
        assert result.returncode == 0
        assert f"ignored {path}" in result.stderr
        assert not prefix.wrapper("mine").exists()

    def test_roots_own_are_followed(self, prefix: InUse, tmp_path: Path) -> None:
        self.declare(tmp_path / "config", owner=0)
        env = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
        assert prefix.machine.fp("wrappers", prefix.name, env=env).stderr == ""
        assert prefix.wrapper("mine").exists()

    def test_a_file_of_roots_in_another_users_directory_is_not(
        self, prefix: InUse, users: Path
    ) -> None:
        path = self.declare(users, owner=NOBODY)
        os.chown(path, 0, 0)
        result = prefix.machine.fp("wrappers", prefix.name, env={"XDG_CONFIG_HOME": str(users)})
        assert f"ignored {path}" in result.stderr

    def test_nor_one_that_others_can_write(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_text("")
        assert only_root_writes(path)
        path.chmod(0o664)
        assert not only_root_writes(path)
        path.chmod(0o644)
        tmp_path.chmod(0o777)
        assert not only_root_writes(path)
        tmp_path.chmod(0o1777)
        assert only_root_writes(path)

    def test_nor_a_link_to_one(self, tmp_path: Path, users: Path) -> None:
        (users / "file").write_text("")
        (tmp_path / "link").symlink_to(users / "file")
        assert not only_root_writes(tmp_path / "link")


@pytest.mark.parametrize("umask", [0o000, 0o077], ids=["000", "077"])
def test_modes_do_not_depend_on_the_umask(umask: int) -> None:
    """Through set-up, wrappers and emerge; a user can then ask, and not change, anything."""
    with tempfile.TemporaryDirectory(prefix="umask-") as name:
        base = Path(name)
        base.chmod(0o755)
        machine = Machine(base / "machine")
        machine.base.chmod(0o755)
        overlay = Overlay(base / "overlay", "umask-overlay")
        overlay.ebuild("app-misc/some-1")
        masked = {"preexec_fn": lambda: os.umask(umask)}
        for place in ("home", "scripts"):
            subprocess.run(["chmod", "-R", "u=rwX,go=rX", machine.base / place], check=True)
        prefix = machine.setup("masked", f"--custom_ebuild_overlays={overlay.path}", **masked)
        shutil.rmtree(machine.bin)
        machine.ok(*fp(), "wrappers", "masked", **masked)
        prefix.install("app-misc/some", **masked)
        assert (
            closed_or_open(
                [prefix.staging_dir, prefix.final_dir, machine.bin, base / "machine/cache"]
            )
            == []
        )
        argv = [prefix.wrapper("portageq"), "envvar", "CHOST"]
        asked = machine.run(
            "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *argv
        )
        assert asked.stdout == "x86_64-cros-linux-gnu\n", asked


def closed_or_open(tops: list[Path]) -> list[str]:
    """Return the paths that others can write, and the directories that they cannot enter."""
    found = []
    for top in tops:
        for path in (top, *top.rglob("*")):
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                continue
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                found.append(f"{path} is open: {mode:o}")
            # Portage closes its build directories itself.
            if stat.S_ISDIR(mode) and not mode & stat.S_IXOTH and "/tmp/portage" not in str(path):
                found.append(f"{path} is closed: {mode:o}")
    return found


def test_a_wrapper_names_the_directory_that_is_closed(machine: Machine) -> None:
    with tempfile.TemporaryDirectory(prefix="closed-") as name:
        base = Path(name)
        base.chmod(0o755)
        closed = base / "closed"
        machine.base.chmod(0o755)
        prefix = machine.setup(
            "closed", f"--staging_dir={closed}/staging", f"--wrapper_dir={base}/bin"
        )
        closed.chmod(0o700)
        wrapper = base / "bin/equery-prefix-closed"
        assert prefix.name == "closed"
        result = machine.run(
            "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", wrapper, "list",
            cwd="/",
        )  # fmt: skip
        assert result.returncode == 1
        what, hint = result.stderr.splitlines()
        assert what.endswith(f"cannot be reached: {closed} is closed to this user")
        assert f"chmod o+x {closed}" in hint
        # This directory may be removed by the one that made it, with the prefix in it.
        machine.ok(*fp(), "uninstall", "closed")
