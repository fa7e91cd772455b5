# SPDX-License-Identifier: BSD-3-Clause
"""Directories that any Linux system has: no prefix can be one of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

_IN_USR = (
    "bin", "games", "include", "lib", "lib32", "lib64", "libexec", "libx32", "sbin", "share", "src",
)  # fmt: skip
_IN_VAR = (
    "account", "backups", "cache", "crash", "games", "lib", "local", "lock", "log", "mail", "opt",
    "run", "spool", "tmp", "yp",
)  # fmt: skip

SHARED = frozenset(
    ["/usr/local"]
    + [f"/usr/{name}" for name in _IN_USR]
    + [f"/usr/local/{name}" for name in (*_IN_USR, "etc", "man")]
    + [f"/var/{name}" for name in _IN_VAR]
)
"""What everybody's files are in, see the Filesystem Hierarchy Standard 3.0 and hier(7): an
image that brings such a directory would lie over all that the system has there. A directory
of one's own in one of them is something else."""

NEVER_BELOW: Mapping[str, str] = {
    "/proc": "is the kernel's",
    "/sys": "is the kernel's",
    "/dev": "is the kernel's",
    "/run": "is empty after each start",
    "/tmp": "is empty after each start",
    "/etc": "is the configuration of one machine",
    "/boot": "is what that machine starts from",
}
"""Where nothing that was shipped would be found again, and why."""


def objection(path: str) -> str | None:
    """Return what speaks against a prefix at an absolute path, ``None`` when nothing does."""
    if path in SHARED:
        return f"{path} is a directory of every system"
    for parent in PurePosixPath(path).parents:
        if why := NEVER_BELOW.get(str(parent)):
            return f"{path} lies below {parent}, which {why}"
    return None
