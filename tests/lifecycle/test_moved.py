# SPDX-License-Identifier: BSD-3-Clause
"""A prefix outlives the installation of this program, its checkout and its own directory."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from machine import CHECKOUT, Machine, Overlay, Run

PROGRAM = ("flatcar_prefix", "wrappers", "eclass-helpers", "completion", "repos", "setup.py")

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_namespaces]


class Installation:
    """A checkout of this program in a directory, and its virtual environment in ``.venv``."""

    def __init__(self, machine: Machine, directory: Path) -> None:
        self.machine, self.directory = machine, directory
        directory.mkdir()
        for name in PROGRAM:
            if (CHECKOUT / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "md5-cache")
                shutil.copytree(CHECKOUT / name, directory / name, ignore=ignored, symlinks=True)
            else:
                shutil.copy(CHECKOUT / name, directory / name)
        self.make_environment()

    def make_environment(self) -> None:
        """Create the environment, with the packages of the tests' own one."""
        venv = self.directory / ".venv"
        command = [sys.executable, "-m", "venv", "--clear", "--without-pip", venv]
        subprocess.run(command, check=True)
        site = next((venv / "lib").glob("python3*/site-packages"))
        (site / "program.pth").write_text(f"{self.directory}\n{sysconfig.get_path('purelib')}\n")
        for name in ("share", "etc", "lib/portage"):
            here = Path(sys.prefix, name)
            if here.exists() and not (venv / name).exists():
                (venv / name).symlink_to(here)

    def remove(self, name: str) -> None:
        path = self.directory / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def move(self, directory: Path) -> None:
        self.directory.rename(directory)
        self.directory = directory
        self.make_environment()

    def run(self, *words: str | Path) -> Run:
        python = self.directory / ".venv/bin/python"
        return self.machine.run(python, "-m", "flatcar_prefix", *words)

    def ok(self, *words: str | Path) -> Run:
        done = self.run(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done


class Moved:
    """A prefix of an installation, with an overlay."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.overlay = Overlay(machine.base / "overlay", "moved-tests")
        self.old = Installation(machine, machine.base / "old")
        self.old.ok(
            "setup", "--bootstrap=none", f"--custom_ebuild_overlays={self.overlay.path}",
            "moved", "/usr/local/moved",
        )  # fmt: skip
        self.staging = machine.staging("moved")

    def tool(self, tool: str, *words: str) -> Run:
        return self.machine.run(self.machine.bin / f"{tool}-prefix-moved", *words)

    def works(self, package: str, program: Path) -> None:
        """Install a package, ask for it, and look into the configuration."""
        self.overlay.ebuild(f"app-misc/{package}-1")
        done = self.tool("emerge", "--quiet", f"app-misc/{package}")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "No longer" not in done.stderr
        for root in ("--staging", "--final"):
            listed = self.tool("equery", root, "list", package)
            assert f"app-misc/{package}-1" in listed.stdout, listed.stdout + listed.stderr
        config = next(self.staging.glob("root/usr/local/moved/etc/portage"))
        text = (config / "repos.conf/00-flatcar-prefix").read_text()
        assert f"location = {program}/repos/gentoo-subset\n" in text
        assert (config / "make.profile").resolve().is_relative_to(program)


@pytest.fixture
def moved(machine: Machine) -> Moved:
    return Moved(machine)


@pytest.mark.e2e
def test_a_new_installation_takes_the_prefix_over(moved: Moved) -> None:
    moved.works("before", moved.old.directory)
    for name in (".venv", "flatcar_prefix", "repos", "wrappers", "setup.py"):
        moved.old.remove(name)

    refused = moved.tool("emerge", "--pretend", "app-misc/before")
    assert refused.returncode == 126
    assert "is gone" in refused.stderr
    assert "flatcar-prefix wrappers moved-amd64-usr" in refused.stderr

    new = Installation(moved.machine, moved.machine.base / "new")
    for verb in (("verify", "moved"), ("regen", "moved")):
        refused = new.run(*verb)
        assert refused.returncode == 1, verb
        assert "flatcar-prefix wrappers moved-amd64-usr" in refused.stderr
        assert "Traceback" not in refused.stderr
    assert "bringing the prefix moved-amd64-usr over" in new.ok("wrappers", "moved").stdout
    new.ok("wrappers", "moved", "--check")
    moved.works("after", new.directory)


@pytest.mark.e2e
@pytest.mark.parametrize("verb", ["update", "setup"])
def test_these_verbs_take_the_prefix_over_too(moved: Moved, verb: str) -> None:
    shutil.rmtree(moved.old.directory)
    new = Installation(moved.machine, moved.machine.base / "new")
    words = ("moved", "/usr/local/moved") if verb == "setup" else ("moved",)
    flags = ("--bootstrap=none",) if verb == "setup" else ()
    new.ok(verb, *flags, *words)
    moved.works("after", new.directory)


@pytest.mark.e2e
def test_a_checkout_moves_with_the_final_root_in_it(moved: Moved) -> None:
    moved.works("before", moved.old.directory)
    assert (moved.old.directory / "__prefix__/amd64-usr/moved").is_dir()
    moved.old.move(moved.machine.base / "elsewhere")
    moved.old.ok("wrappers", "moved")
    moved.works("after", moved.old.directory)
    moved.old.ok("uninstall", "moved")
    assert not (moved.old.directory / "__prefix__/amd64-usr/moved").exists()
    assert not list(moved.machine.bin.iterdir())


@pytest.mark.e2e
def test_a_staging_directory_moves(moved: Moved) -> None:
    moved.works("before", moved.old.directory)
    elsewhere = moved.machine.base / "elsewhere"
    moved.staging.rename(elsewhere)
    moved.staging = elsewhere
    refused = moved.tool("emerge", "--pretend", "app-misc/before")
    assert "flatcar-prefix wrappers <its new directory>" in refused.stderr
    moved.old.ok("wrappers", elsewhere)
    moved.works("after", moved.old.directory)
    assert (
        f'FLATCAR_PREFIX_STAGING="{elsewhere}"'
        in next(elsewhere.glob("root/usr/local/moved/etc/portage/make.conf")).read_text()
    )
    assert moved.old.ok("list").stdout.startswith("moved-amd64-usr")
    moved.old.ok("uninstall", "moved")
    assert not elsewhere.exists()


@pytest.mark.e2e
def test_wrappers_move_to_another_directory(moved: Moved) -> None:
    elsewhere = moved.machine.base / "elsewhere"
    moved.old.ok("wrappers", "--all", "--wrapper-dir", elsewhere)
    assert not list(moved.machine.bin.iterdir())
    done = moved.old.ok("wrappers", "moved")
    assert f"but the wrappers are in {elsewhere}" in done.stderr
    assert f"--wrapper-dir {moved.machine.bin}" in done.stderr
    assert (elsewhere / "emerge-prefix-moved").exists()
    moved.old.ok("uninstall", "moved")
    assert not list(elsewhere.iterdir())
