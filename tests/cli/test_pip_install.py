# SPDX-License-Identifier: BSD-3-Clause
"""``pip install <checkout>`` installs all files, and works in any directory."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from machine import CHECKOUT, Machine

LEFT_BEHIND = (
    ".*",
    "__prefix__",
    "__pycache__",
    "build",
    "*.egg-info",
    "md5-cache",
    "tests",
)
"""The parts of a checkout that do not belong to the program."""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A separate virtual environment with this program, not editable."""
    base = tmp_path_factory.mktemp("installed")
    checkout = base / "checkout"
    shutil.copytree(CHECKOUT, checkout, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_BEHIND))
    for word in (
        [sys.executable, "-m", "venv", base / "venv"],
        [base / "venv/bin/pip", "install", "--quiet", checkout],
    ):
        done = subprocess.run(word, capture_output=True, text=True, check=False, cwd=base)
        assert done.returncode == 0, done.stderr
    shutil.rmtree(checkout)
    return base / "venv"


@pytest.mark.network
def test_it_works_from_any_directory_and_without_the_checkout(
    elsewhere: Path, machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "portage.py").write_text(
        "raise SystemExit('the caller\\'s directory is no place')\n"
    )
    python = elsewhere / "bin/python"
    assert machine.run(python, "-m", "flatcar_prefix", "list", cwd="/").returncode == 0
    for page in ("man1/setup_prefix.1", "man1/flatcar-prefix.1", "man7/flatcar-prefix-wrappers.7"):
        assert (elsewhere / "share/man" / page).is_file()
    machine.ok(
        elsewhere / "bin/setup_prefix", "--bootstrap=none", "inst", "/usr/local/inst", cwd="/"
    )
    listed = machine.ok(elsewhere / "bin/flatcar-prefix", "list", cwd="/").stdout
    assert listed.startswith("inst-amd64-usr")
    wrapper = machine.bin / "emerge-prefix-inst-amd64-usr"
    planned = machine.ok(
        wrapper, "--stage", "--pretend", "--nodeps", "app-arch/bzip2", cwd=tmp_path
    )
    assert "app-arch/bzip2" in planned.stdout
    assert (
        machine.ok(machine.bin / "portageq-prefix-inst", "envvar", "ARCH", cwd=tmp_path).stdout
        == "amd64\n"
    )
    assert (
        machine.ok(elsewhere / "bin/flatcar-prefix", "uninstall", "inst", cwd="/").returncode == 0
    )


@pytest.mark.network
def test_all_data_are_there(elsewhere: Path) -> None:
    data = next(elsewhere.glob("lib/python*/site-packages/flatcar_prefix/_data"))
    for top in ("repos", "wrappers", "eclass-helpers", "completion", "docs"):
        wanted = {
            path.relative_to(CHECKOUT)
            for path in (CHECKOUT / top).rglob("*")
            if path.is_file() and not {"__pycache__", "md5-cache"} & set(path.parts)
        }
        assert wanted
        assert not {path for path in wanted if not (data / path).is_file()}
