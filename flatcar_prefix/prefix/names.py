# SPDX-License-Identifier: BSD-3-Clause
"""Names and paths that a prefix can have."""

from __future__ import annotations

import os
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
"""Shared directories, see the Filesystem Hierarchy Standard 3.0 and hier(7). An image with
such a directory would hide all system files in it. A subdirectory of one is permitted."""

NEVER_BELOW: Mapping[str, str] = {
    "/proc": "belongs to the kernel",
    "/sys": "belongs to the kernel",
    "/dev": "belongs to the kernel",
    "/run": "is cleared at boot",
    "/tmp": "is cleared at boot",
    "/etc": "holds the configuration of one machine",
    "/boot": "belongs to the boot loader",
}
"""Directories that cannot hold shipped files, and why."""


def objection(path: str) -> str | None:
    """Return the reason against a prefix at an absolute path, or ``None``."""
    if path in SHARED:
        return f"{path} is a top-level system directory"
    for parent in PurePosixPath(path).parents:
        if why := NEVER_BELOW.get(str(parent)):
            return f"{path} lies below {parent}, which {why}"
    return None


def check_directory(directory: Path) -> Path:
    """Return an absolute, normal path that can be a staging or final directory.

    Raise :class:`UsageError` for a path that make.conf or an ebuild cannot handle, and for a
    directory of the system.
    """
    text = os.fspath(directory)
    odd = any(c.isspace() or c in ":\"'$`\\%#" for c in text) or not text.isprintable()
    normal = text == os.path.abspath(text)
    if odd or not normal or len(directory.parts) < 3 or text in SHARED:
        raise UsageError(
            f"the directory {text!r} cannot be used",
            hint="Choose a directory below a top-level one, without white space, colon or quote.",
        )
    return directory


_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]{0,63}")


# Only characters that no tool interprets: ``,`` divides the words of -Wl, ``%`` is a
# placeholder in repos.conf, ``=`` ends a name, ``@`` and ``~`` are special to sed and sh.
_EPREFIX = re.compile(r"(/[A-Za-z0-9._+-]+)+")


def check_name(name: str) -> str:
    """Return ``name`` if it is a valid prefix name, else raise :class:`UsageError`."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"the prefix name {name!r} is not valid",
            hint="Use 1 to 64 characters of A-Z a-z 0-9 . _ + -, and do not start with . or -.",
        )
    return name


def check_eprefix(eprefix: str, *, directories: Iterable[Path] = ()) -> str:
    """Return ``eprefix`` without trailing slashes if it is a valid prefix path.

    The path must not lie inside any of ``directories`` on the build machine.
    Raise :class:`UsageError` for an invalid path.
    """
    path = re.sub(r"(?<=.)/+$", "", eprefix)
    hint = "Choose an absolute directory such as /usr/local/my-stuff or /opt/my-stuff."
    elsewhere = "Choose a directory such as /opt/my-stuff."
    if not path.startswith("/"):
        raise UsageError(f"the prefix path {eprefix!r} is not absolute", hint=hint)
    if not _EPREFIX.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise UsageError(
            f"the prefix path {eprefix!r} contains a character or part that is not allowed",
            hint=hint + " Use only A-Z a-z 0-9 . _ + - in each part, and not '..'.",
        )
    if path.count("/") < 2:
        raise UsageError(f"{path} is a top-level system directory", hint=elsewhere)
    for directory in directories:
        if Path(path) == directory or directory in Path(path).parents:
            raise UsageError(
                f"the prefix path {path} lies inside {directory} on the build machine",
                hint=hint,
            )
    if reason := objection(path):
        raise UsageError(f"{reason}; a prefix cannot be there", hint=elsewhere)
    return path
