# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
for directory in (HERE, HERE.parent / "image"):
    sys.path.insert(0, os.fspath(directory))
