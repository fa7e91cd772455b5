# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, os.fspath(Path(__file__).parents[1] / "image"))

import shipping_prefix

from flatcar_prefix.prefix.model import Prefix


@pytest.fixture(scope="session")
def prefix_to_merge(tmp_path_factory: pytest.TempPathFactory) -> Prefix:
    return shipping_prefix.make(tmp_path_factory.mktemp("to-merge"), name="hello")
