# SPDX-License-Identifier: BSD-3-Clause
"""This version uses, updates and uninstalls a prefix of version 0.1.0."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest
from machine import CHECKOUT, PASSED_ON, Overlay

from flatcar_prefix import launch

COMMIT = "7dc4f680dd676ed2b9ee407a489de03f274aa8ee"
PROGRAM = ("flatcar_prefix", "wrappers", "eclass-helpers", "completion", "repos")


class Program:
    """A copy of this program in a directory, with an environment without other copies."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.directory = base / "program"
        self.bin = base / "bin"
        self.python = base / "venv/bin/python"

    def run(self, *argv: str | Path) -> subprocess.CompletedProcess[str]:
        places = {
            "FLATCAR_PREFIX_BUILD_DIR": self.base / "build",
            "FLATCAR_PREFIX_STATE_DIR": self.base / "state",
            "FLATCAR_PREFIX_CACHE_DIR": self.base / "cache",
            "FLATCAR_PREFIX_FINAL_DIR": self.base / "final",
            "FLATCAR_PREFIX_WRAPPER_DIR": self.bin,
        }
        env = {**PASSED_ON, "HOME": str(self.base), "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            [os.fspath(word) for word in argv],
            env={**env, **{name: str(place) for name, place in places.items()}},
            cwd=self.base,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
        return done

    def verb(self, *words: str | Path) -> str:
        return self.run(self.python, "-m", "flatcar_prefix", *words).stdout

    def tool(self, tool: str, *words: str) -> str:
        return self.run(self.bin / f"{tool}-prefix-old", *words).stdout


def extract(directory: Path) -> None:
    """Write the files of version 0.1.0 into a directory."""
    directory.mkdir()
    archive = subprocess.run(["git", "-C", CHECKOUT, "archive", COMMIT], capture_output=True)
    if archive.returncode:
        pytest.skip(f"this clone has no commit {COMMIT[:7]}; run: git fetch --unshallow")
    subprocess.run(["tar", "-x", "-C", directory], input=archive.stdout, check=True)


def environment(base: Path, program: Path) -> None:
    """Create a virtual environment with the present Portage and the program in a directory."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", base / "venv"], check=True)
    site = next((base / "venv/lib").glob("python3*/site-packages"))
    (site / "program.pth").write_text(f"{program}\n{sysconfig.get_path('purelib')}\n")
    here = Path(sys.prefix)
    for name in ("share", "etc", "lib/portage"):
        if (here / name).exists() and not (base / "venv" / name).exists():
            (base / "venv" / name).symlink_to(here / name)


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A prefix of version 0.1.0; this version then replaced the program."""
    base = tmp_path_factory.mktemp("old")
    program = Program(base)
    extract(program.directory)
    environment(base, program.directory)
    program.verb("setup", "--bootstrap=import", "old", "/usr/local/old")
    for name in PROGRAM:
        shutil.rmtree(program.directory / name)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / name, program.directory / name, ignore=ignored)
    return program


@pytest.mark.e2e
@pytest.mark.timeout(900)
@pytest.mark.network
@pytest.mark.needs_root
@pytest.mark.needs_namespaces
def test_it_is_used_updated_and_uninstalled(upgraded: Program) -> None:
    assert upgraded.tool("portageq", "envvar", "CHOST") == "x86_64-cros-linux-gnu\n"
    assert "prefix/imported-libc" in upgraded.tool("equery", "list", "*")
    assert "old-amd64-usr" in upgraded.verb("list")

    of_old = sorted((upgraded.base / "build").rglob("etc/portage/package.use/flatcar-prefix"))
    assert len(of_old) == 2, "staging and the build host"
    for path in of_old:
        path.write_text(f"{path.read_text()}# required by me\napp-misc/mine flag\n")

    overlay = Overlay(upgraded.base / "overlay", "old-tests")
    overlay.ebuild("app-misc/letter-1")
    upgraded.verb("overlays", "old", "add", overlay.path)
    for path in of_old:
        assert not path.exists()
        lines = path.with_name("zz-user").read_text().splitlines()
        assert lines[1:] == ["# required by me", "app-misc/mine flag"]
    for path in (upgraded.base / "build").rglob("etc/portage/*/zz-user"):
        assert len(path.read_text().splitlines()) == (3 if path.parent.name == "package.use" else 1)
    for former in ("final", "build"):
        assert not list((upgraded.base / former).rglob("etc/portage/package.*/flatcar-prefix"))
    upgraded.tool("emerge", "--quiet", "app-misc/letter")
    assert "app-misc/letter-1" in upgraded.tool("equery", "list", "letter")

    upgraded.verb("update", "old")
    upgraded.verb("wrappers", "old")
    make_conf = next((upgraded.base / "build").rglob("etc/portage/make.conf")).read_text()
    assert "launch.py fetch " in make_conf
    assert "launch.py emerge" in (upgraded.bin / "emerge-prefix-old-amd64-usr").read_text()
    assert upgraded.verb("wrappers", "old", "--check")
    assert "app-misc/letter-1" in upgraded.tool("equery", "list", "letter")

    upgraded.verb("uninstall", "old")
    assert not list(upgraded.bin.iterdir())
    assert not (upgraded.base / "build/prefix-amd64-usr/old").exists()
    assert not (upgraded.base / "final/__prefix__/amd64-usr/old").exists()


@pytest.mark.parametrize("name", launch.FORMER_NAMES)
def test_a_name_that_version_0_1_0_wrote_leads_to_a_module(name: str) -> None:
    assert find_spec(launch.module_of(name)) is not None


@pytest.mark.parametrize("name", launch.MODULES)
def test_a_name_of_today_leads_to_a_module(name: str) -> None:
    assert find_spec(launch.module_of(name)) is not None
