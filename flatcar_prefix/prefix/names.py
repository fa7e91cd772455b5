# SPDX-License-Identifier: BSD-3-Clause
"""Directories that any Linux system has: no prefix can be one of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from flatcar_prefix.errors import UsageError

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
    "/run": "is cleared at boot",
    "/tmp": "is cleared at boot",
    "/etc": "is the configuration of one machine",
    "/boot": "is what that machine starts from",
}
"""Where nothing that was shipped would be found again, and why."""


def objection(path: str) -> str | None:
    """Return what speaks against a prefix at an absolute path, ``None`` when nothing does."""
    if path in SHARED:
        return f"{path} is a top-level system directory"
    for parent in PurePosixPath(path).parents:
        if why := NEVER_BELOW.get(str(parent)):
            return f"{path} lies below {parent}, which {why}"
    return None


_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]{0,63}")


# Nothing that anything on the way takes for something else: ``,`` divides the words of -Wl,
# ``%`` is a placeholder in repos.conf, ``=`` ends a name, ``@`` and ``~`` are for sed and sh.
_EPREFIX = re.compile(r"(/[A-Za-z0-9._+-]+)+")


def check_name(name: str) -> str:
    """Return ``name`` when it can name a prefix, else raise :class:`UsageError`."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a prefix",
            hint="Use 1 to 64 of A-Z a-z 0-9 . _ + -, not beginning with a dot or a dash.",
        )
    return name


def check_eprefix(eprefix: str, *, directories: Iterable[Path] = ()) -> str:
    """Return ``eprefix`` without trailing slashes when a prefix can live there.

    ``directories`` are those on the build machine that it must not lie inside of.
    :class:`UsageError` otherwise.
    """
    path = re.sub(r"(?<=.)/+$", "", eprefix)
    hint = "Give an absolute directory such as /usr/local/my-stuff or /opt/my-stuff."
    if not path.startswith("/"):
        raise UsageError(f"the prefix path {eprefix!r} is not absolute", hint=hint)
    if not _EPREFIX.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise UsageError(
            f"the prefix path {eprefix!r} has a part that cannot be in one",
            hint=hint + " Its parts have A-Z a-z 0-9 . _ + - and are not '..'.",
        )
    if path.count("/") < 2:
        raise UsageError(f"{path} is a top-level directory of every system", hint=hint)
    for directory in directories:
        if Path(path) == directory or directory in Path(path).parents:
            raise UsageError(
                f"the prefix path {path} lies inside {directory} on the build machine",
                hint=hint,
            )
    if reason := objection(path):
        raise UsageError(f"{reason}; a prefix cannot be there", hint=hint)
    return path
