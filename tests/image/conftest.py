# SPDX-License-Identifier: BSD-3-Clause
"""One prefix for all tests of images; tests that change a prefix make their own."""

from __future__ import annotations

from pathlib import Path

import pytest
import shipping_prefix

from flatcar_prefix.prefix.model import Prefix


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Prefix:
    return shipping_prefix.make(tmp_path_factory.mktemp("shipped"))


@pytest.fixture
def own_prefix(tmp_path: Path) -> Prefix:
    """A prefix that a test may change; its program is not compiled."""
    return shipping_prefix.make(tmp_path / "own", compiled=False)
