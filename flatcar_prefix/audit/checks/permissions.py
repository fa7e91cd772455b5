# SPDX-License-Identifier: BSD-3-Clause
"""Checks of permissions: files that others cannot use, and programs with additional rights.

Others are all users except the owner and the members of the group. If set-up or emerge
runs with umask 077, the prefix works only for root.
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

_ATTRIBUTES_OF_THE_SYSTEM = ("security.", "system.", "trusted.")
_CAPABILITY = "security.capability"
_SETUID = stat.S_ISUID | stat.S_ISGID


def check_rights(path: str, mode: int, local: str) -> Iterator[Finding]:
    """Yield findings for a setuid, setgid or world-writable file, or one with capabilities."""
    if mode & stat.S_IWOTH:
        yield writable(path, mode)
    if mode & _SETUID:
        which = "user" if mode & stat.S_ISUID else "group"
        yield Finding("setuid", path, f"runs with the rights of its {which}")
    capability = b""
    with suppress(OSError):
        capability = os.getxattr(local, _CAPABILITY, follow_symlinks=False)
    if capability:
        yield Finding("capability", path, f"runs with {_permitted(capability)}")


def writable(path: str, mode: int) -> Finding:
    """Return the finding for a file or directory that any user can change."""
    return Finding("world-writable", path, f"can be changed by any user (mode {_octal(mode)})")


def attributes(local: str) -> bytes:
    """Return the values of a file's extended attributes, except those of the system."""
    with suppress(OSError):
        names = os.listxattr(local, follow_symlinks=False)
        own = (name for name in names if not name.startswith(_ATTRIBUTES_OF_THE_SYSTEM))
        return b"\0".join(os.getxattr(local, name, follow_symlinks=False) for name in own)
    return b""


def _permitted(capability: bytes) -> str:
    """Describe the permitted set of a ``struct vfs_cap_data`` (linux/capability.h)."""
    if len(capability) < 20:
        return "file capabilities"
    _, low, _, high, _ = struct.unpack_from("<5I", capability)
    return f"file capabilities ({high << 32 | low:#x})"


def check_readable(path: str, mode: int) -> Iterator[Finding]:
    """Yield a finding for a file that others can neither read nor run as setuid or setgid."""
    # Portage's FEATURES=sfperms removes the read permission of setuid files.
    runs = mode & _SETUID and mode & stat.S_IXOTH
    if not mode & stat.S_IROTH and not runs:
        yield Finding("private-file", path, f"cannot be read by others (mode {_octal(mode)})")


def closed_above(tree: Tree) -> Iterator[Closed]:
    """Yield EPREFIX and the directories above it in the root that are closed to others."""
    path = ""
    for name in tree.eprefix.split("/")[1:]:
        path += "/" + name
        with suppress(OSError):
            mode = Path(tree.local(path)).stat().st_mode
            if Closed(path, mode).is_closed or Closed(path, mode).is_writable:
                yield Closed(path, mode)


class Doors:
    """The directories that others cannot enter or list, each with its first file and program."""

    def __init__(self, tree: Tree) -> None:
        above = list(closed_above(tree))
        self._above = [door for door in above if door.is_closed]
        self._writable = [door for door in above if door.is_writable and tree.inside(door.path)]
        self._around = list(self._above)
        self._first: dict[str, str] = {}
        self._program: dict[str, str] = {}
        self._all = {door.path: door for door in self._above}

    def closed(self, door: Closed) -> None:
        """Add a closed or writable directory. The walk calls this before its entries."""
        if door.is_writable:
            self._writable.append(door)
        if not door.is_closed:
            return
        self._around = [each for each in self._around if door.path.startswith(each.path + "/")]
        self._around.append(door)
        self._all[door.path] = door

    def passed(self, entry: Entry) -> None:
        """Record a file for the closed directories around it. The walk calls this in order."""
        program = stat.S_ISREG(entry.mode) and entry.mode & 0o111
        for door in self._around:
            if entry.path.startswith(door.path + "/"):
                self._first.setdefault(door.path, entry.path)
                if program:
                    self._program.setdefault(door.path, entry.path)

    def check(self, tree: Tree) -> Iterator[Finding]:
        """Yield a finding for each directory, with the owner of its first file."""
        yield from (writable(door.path, door.mode) for door in self._writable)
        for path, door in self._all.items():
            message = f"cannot be {door.how} by others (mode {_octal(door.mode)})"
            program = self._program.get(path)
            barred = program and not door.mode & stat.S_IXOTH
            message += f", so others cannot run {program}" if barred else ""
            owner = tree.owners.get(self._first.get(path, "")) if tree.owners else None
            package = owner.package if owner else None
            level = "" if barred else WARNING
            yield Finding("private-directory", path, message, level, package)


def _octal(mode: int) -> str:
    return f"{stat.S_IMODE(mode):04o}"
