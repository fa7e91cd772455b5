# SPDX-License-Identifier: BSD-3-Clause
"""The wrappers differ from the real tools only where a difference is allowed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.by_hand,
    pytest.mark.needs_root,
    pytest.mark.needs_namespaces,
    pytest.mark.timeout(1800),
]


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """A directory that ordinary users can read."""
    with tempfile.TemporaryDirectory(prefix="fp-differential-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("part", ["portageq", "emerge", "tools"])
def test_each_difference_is_allowed(base: Path, part: str) -> None:
    argv = [sys.executable, Path(__file__).parent, part, "--prefix", base]
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-2000:]
