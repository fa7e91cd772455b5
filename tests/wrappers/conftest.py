# SPDX-License-Identifier: BSD-3-Clause
"""A prefix with two packages in both roots, in a directory that ordinary users can read."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import InUse, Machine, Overlay
from tooling import GREETING, Recorder, shell


@pytest.fixture
def recorder(open_dir: Path) -> Recorder:
    return Recorder(open_dir / "recorder")


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory for one test that every user can read."""
    path = Path(tempfile.mkdtemp(prefix="fp-wrappers-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def toolbox() -> Iterator[InUse]:
    """A prefix with two packages, which tests do not change."""
    base = Path(tempfile.mkdtemp(prefix="fp-toolbox-"))
    base.chmod(0o755)
    machine = Machine(base / "machine")
    overlay = Overlay(base / "overlay", "tool-tests")
    overlay.ebuild("app-misc/greeting-1.0", GREETING, iuse="+loud quiet")
    overlay.ebuild("app-misc/letter-1.0", rdepend="app-misc/greeting")
    overlay.write("eclass/tool-tests.eclass", "# nothing\n")
    overlay.write("licenses/Tool-Tests", "Do as you like.\n")
    prefix = machine.setup("tooled", f"--custom_ebuild_overlays={overlay.path}")
    for kind in ("staging", "final"):
        (prefix.eroot(kind) / "etc/which-root").write_text(kind)
    if os.geteuid() == 0:
        prefix.install("--quiet", "app-misc/letter")
    yield prefix
    shutil.rmtree(base)


@pytest.fixture(scope="session")
def viewed() -> Iterator[InUse]:
    """A prefix without packages and with a wrapper of the shell, which tests do not change."""
    base = Path(tempfile.mkdtemp(prefix="fp-viewed-"))
    base.chmod(0o755)
    prefix = Machine(base / "machine").setup("viewed")
    for kind in ("staging", "final"):
        (prefix.eroot(kind) / "etc/which-root").write_text(kind)
    shell(prefix)
    yield prefix
    shutil.rmtree(base)


@pytest.fixture
def bare(open_dir: Path) -> InUse:
    """A prefix without packages, for one test."""
    prefix = Machine(open_dir / "machine").setup("bare")
    for kind in ("staging", "final"):
        (prefix.eroot(kind) / "etc/which-root").write_text(kind)
    return prefix
