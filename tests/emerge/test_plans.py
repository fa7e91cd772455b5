# SPDX-License-Identifier: BSD-3-Clause
"""The plan that ``--pretend`` shows for both roots is the one that the call executes.

``python tests/emerge/plans.py --calls 100`` tries many more with real builds.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from machine import InUse
from plans import Call, compare, prefix_at

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.by_hand,
    pytest.mark.needs_root,
    pytest.mark.timeout(1800),
]

CALLS = (
    Call(("test-plan/p13", "test-plan/p6"), "one"),
    Call(("--update", "--deep", "--newuse", "test-plan/p13"), "two -one"),
    Call(("--oneshot", "=test-plan/p8-1"), "three"),
)
"""With tools of the build host, and with flags that changed since the last build."""


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> InUse:
    return prefix_at(tmp_path_factory.mktemp("plans"))


def test_what_is_shown_is_what_is_done(prefix: InUse) -> None:
    for call in CALLS:
        assert compare(prefix, call) == ""


def test_what_is_shown_is_what_is_done_for_generated_calls(tmp_path: Path) -> None:
    program = Path(__file__).with_name("simulated.py")
    argv = [sys.executable, program, "--calls", "100", "--prefix", tmp_path]
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr
    assert "100 calls the same, 0 different" in result.stdout
