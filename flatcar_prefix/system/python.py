# SPDX-License-Identifier: BSD-3-Clause
"""The Python that runs this program, and command lines that run it again."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

PACKAGE_DIR = Path(__file__).resolve().parents[1]


def interpreter() -> str:
    """Return the Python that runs this program, for generated scripts.

    The result is the same for every name that can start this Python.
    """
    named = Path(sys.executable).with_name("python3")
    return os.fspath(named) if named.exists() and named.samefile(sys.executable) else sys.executable


def hidden_from_others(*places: Path) -> Path | None:
    """Return the directory that keeps other users from this program or its Python, if any.

    ``places`` are further paths that they are to reach; they may not exist yet.
    """
    own: tuple[str | Path, ...] = (interpreter(), sys.base_prefix, sys.prefix, PACKAGE_DIR)
    for path in (Path(os.path.realpath(place)) for place in (*own, *places)):
        for directory in reversed((path, *path.parents)):
            if directory.exists() and not directory.stat().st_mode & stat.S_IXOTH:
                return directory
    return None


def launch(*words: str) -> list[str]:
    """Return the command line that runs a module of this program with this Python.

    ``words`` are the module's name and its arguments. Without them, return the part of
    the command line before them.
    """
    return [interpreter(), "-I", os.fspath(PACKAGE_DIR / "launch.py"), *words]
