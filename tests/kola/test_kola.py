# SPDX-License-Identifier: BSD-3-Clause
"""The test for Flatcar's kola is formatted, and fits the interface that it uses.

``stub/`` has the few types of that interface. The tests need Go.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(not shutil.which("go"), reason="go is not installed")


def test_the_files_are_formatted() -> None:
    files = [HERE / "prefix.go", *(HERE / "stub").rglob("*.go")]
    assert len(files) == 4
    result = subprocess.run(["gofmt", "-l", *files], capture_output=True, text=True, check=True)
    assert result.stdout == ""


def test_the_test_fits_the_interface(tmp_path: Path) -> None:
    """It does not fit any more if a method has another signature."""
    checkout = tmp_path / "mantle"
    shutil.copytree(HERE / "stub", checkout)
    place = checkout / "kola/tests/sysext"
    place.mkdir(parents=True)
    shutil.copy(HERE / "prefix.go", place)
    assert vet(checkout, tmp_path) == 0
    machine = checkout / "platform/platform.go"
    machine.write_text(machine.read_text().replace("Reboot()", "Restart()"))
    assert vet(checkout, tmp_path) != 0


def vet(checkout: Path, tmp_path: Path) -> int:
    settings = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOCACHE": os.fspath(tmp_path / "cache")}
    return subprocess.run(
        ["go", "vet", "./..."], cwd=checkout, env={**os.environ, **settings}
    ).returncode
