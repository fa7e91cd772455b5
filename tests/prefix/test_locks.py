# SPDX-License-Identifier: BSD-3-Clause
"""The locks of names and directories: exclusion, release, and no remains."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flatcar_prefix import boards
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.prefix import locks
from flatcar_prefix.system.places import Sdk, detect_sdk

BOARD = boards.board("amd64-usr")

HOLD = """
import sys
from flatcar_prefix import boards
from flatcar_prefix.prefix import locks
from flatcar_prefix.system.places import detect_sdk
with locks.locked(detect_sdk(), "busy", boards.board("amd64-usr")):
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def sdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sdk:
    monkeypatch.setenv("FLATCAR_PREFIX_STATE_DIR", str(tmp_path / "state"))
    return detect_sdk()


def test_a_lock_excludes_and_is_released(sdk: Sdk) -> None:
    with locks.locked(sdk, "busy", BOARD):
        refused = pytest.raises(PrefixError, match="busy-amd64-usr is locked by another program")
        with refused, locks.locked(sdk, "busy", BOARD):
            pass
        with locks.locked(sdk, "free", BOARD):
            pass
    with locks.locked(sdk, "busy", BOARD):
        pass
    assert not list((sdk.state_dir / "locks").iterdir())


def test_a_killed_holder_leaves_no_lock_and_no_temporary_file(sdk: Sdk, tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )  # fmt: skip
    assert holder.stdout is not None and holder.stdout.readline() == "locked\n"
    with pytest.raises(PrefixError), locks.locked(sdk, "busy", BOARD):
        pass
    holder.kill()
    holder.communicate()
    with locks.locked(sdk, "busy", BOARD):
        pass
    assert not list(temporary.iterdir())


def test_locking_makes_no_temporary_file(sdk: Sdk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed while it locks leaves nothing in the directory for such files."""

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a temporary file")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with locks.locked(sdk, "busy", BOARD):
        pass
