# SPDX-License-Identifier: BSD-3-Clause
"""Whom the files serve: what others than their owner cannot read, and rights beyond the caller's.

A umask of 077 when a prefix is set up, or when a package is installed, makes one that
works for root alone.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from flatcar_prefix.audit.findings import WARNING, Finding
from flatcar_prefix.audit.tree import Closed, Entry, Tree

_CAPABILITY = "security.capability"
_SETUID = stat.S_ISUID | stat.S_ISGID


def check_rights(path: str, mode: int, local: str) -> Iterator[Finding]:
    """Yield a finding for a file that runs with more rights than its caller has."""
    if mode & _SETUID:
        which = "user" if mode & stat.S_ISUID else "group"
        yield Finding("setuid", path, f"runs with the rights of its {which}")
    capability = b""
    with suppress(OSError):
        capability = os.getxattr(local, _CAPABILITY, follow_symlinks=False)
    if capability:
        yield Finding("capability", path, f"runs with {_permitted(capability)}")


def _permitted(capability: bytes) -> str:
    """Return what a ``struct vfs_cap_data`` permits, see linux/capability.h."""
    if len(capability) < 20:
        return "capabilities of its own"
    _, low, _, high, _ = struct.unpack_from("<5I", capability)
    return f"capabilities of its own ({high << 32 | low:#x})"


def check_readable(path: str, mode: int) -> Iterator[Finding]:
    """Yield a finding for a file that nobody but its owner and group can read."""
    # Portage's FEATURES=sfperms takes the right to read from what is setuid.
    runs = mode & _SETUID and mode & stat.S_IXOTH
    if not mode & stat.S_IROTH and not runs:
        yield Finding("private-file", path, f"cannot be read by others (mode {_octal(mode)})")


def closed_above(tree: Tree) -> Iterator[Closed]:
    """Yield the prefix's own directory and those above it, in the root, that are closed."""
    path = ""
    for name in tree.eprefix.split("/")[1:]:
        path += "/" + name
        with suppress(OSError):
            mode = Path(tree.local(path)).stat().st_mode
            if Closed(path, mode).is_closed:
                yield Closed(path, mode)


class Doors:
    """Directories that others cannot enter or list, and what stands behind each."""

    def __init__(self, tree: Tree) -> None:
        self._above = list(closed_above(tree))
        self._around = list(self._above)
        self._first: dict[str, str] = {}
        self._program: dict[str, str] = {}
        self._all = {door.path: door for door in self._above}

    def closed(self, door: Closed) -> None:
        """Be told of a directory, before what is in it."""
        self._around = [each for each in self._around if door.path.startswith(each.path + "/")]
        self._around.append(door)
        self._all[door.path] = door

    def passed(self, entry: Entry) -> None:
        """Be told of a file, in the order of a walk."""
        program = stat.S_ISREG(entry.mode) and entry.mode & 0o111
        for door in self._around:
            if entry.path.startswith(door.path + "/"):
                self._first.setdefault(door.path, entry.path)
                if program:
                    self._program.setdefault(door.path, entry.path)

    def check(self, tree: Tree) -> Iterator[Finding]:
        """Yield a finding for each; it belongs to whom the first file behind it belongs to."""
        for path, door in self._all.items():
            message = f"cannot be {door.how} by others (mode {_octal(door.mode)})"
            program = self._program.get(path)
            barred = program and not door.mode & stat.S_IXOTH
            message += f", nor {program} be run" if barred else ""
            owner = tree.owners.get(self._first.get(path, "")) if tree.owners else None
            package = owner.package if owner else None
            level = "" if barred else WARNING
            yield Finding("private-directory", path, message, level, package)


def _octal(mode: int) -> str:
    return f"{stat.S_IMODE(mode):04o}"
