# SPDX-License-Identifier: BSD-3-Clause
"""Programs of the machine that are too old for a checkout are named."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from flatcar_prefix.config import host_files, machine_packages, too_old
from flatcar_prefix.portage_api import eapis, session
from flatcar_prefix.prefix.repository import Repository


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    program = tmp_path / "cmake"
    program.write_text("#!/bin/sh\necho cmake version 3.25.1\n")
    program.chmod(0o755)
    monkeypatch.setattr(machine_packages, "find_program", {"cmake": str(program)}.get)
    (tmp_path / "eclass").mkdir()
    return Repository("main", tmp_path)


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ('BDEPEND=">=dev-build/cmake-3.28.5"', "3.28.5"),
        ('BDEPEND=">=dev-build/cmake-3.20.5"', None),
        ('has_version -b ">=dev-build/cmake-4" && x', None),
        ("# >=dev-build/cmake-4", None),
    ],
)
def test_only_a_dependency_on_a_newer_one_counts(
    repository: Repository, text: str, needed: str | None
) -> None:
    (repository.location / "eclass/cmake.eclass").write_text(f"{text}\n")
    found = too_old.find([repository])
    assert [one.needed for one in found] == ([needed] if needed else [])
    if needed:
        assert str(found[0]) == "cmake 3.25.1 is older than the 3.28.5 that cmake.eclass needs"
        assert "pip install cmake" in found[0].hint


def test_ebuilds_that_bash_cannot_read_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eapis, "bash_version", lambda: (5, 2))
    for number, head in enumerate(["EAPI=9", '# why\n\nEAPI="9"', "EAPI=8", "inherit x"]):
        path = tmp_path / f"app-misc/a/a-{number}.ebuild"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{head}\nSLOT=0\n")
    found = too_old.unreadable([Repository("main", tmp_path)])
    assert [str(one) for one in found] == [
        "2 ebuilds are left out: EAPI 9 needs bash 5.3, this machine has 5.2"
    ]
    monkeypatch.setattr(eapis, "bash_version", lambda: (5, 3))
    assert too_old.unreadable([Repository("main", tmp_path)]) == []


def test_the_bash_of_the_environment_runs_ebuilds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    portage = session.import_portage()
    for module in (portage.const, portage.process):
        monkeypatch.setattr(module, "BASH_BINARY", "/bin/bash")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))
    eapis.use_own_bash(portage)
    assert portage.process.BASH_BINARY == "/bin/bash"
    own = tmp_path / "bash"
    own.write_text("#!/bin/sh\necho GNU bash, version 7.1.2\n")
    own.chmod(0o755)
    eapis.use_own_bash(portage)
    status = portage.process.spawn_bash("true", fd_pipes={}, env={}, returnpid=False)
    assert status == 0
    assert portage.process.BASH_BINARY == portage.const.BASH_BINARY == str(own)
    assert eapis.bash_version.__wrapped__() == (7, 1)
    assert host_files.links("3.11")["usr/bin/bash"] == own
    variables = {"PORTAGE_OVERRIDE_EPREFIX": "/host"}
    assert session._search_path(variables).startswith("/host/usr/bin:/")
    own.unlink()
    assert session._search_path(variables) == os.defpath


def test_portage_does_not_source_them(monkeypatch: pytest.MonkeyPatch) -> None:
    portage = session.import_portage()
    for version, readable in (((5, 2), False), ((5, 3), True)):
        monkeypatch.setattr(eapis, "bash_version", lambda version=version: version)
        supported = portage.const.EAPI >= 9
        assert portage.eapi_is_supported("9") == (readable and supported)
        assert portage.eapi_is_supported("8")
