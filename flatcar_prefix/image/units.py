# SPDX-License-Identifier: BSD-3-Clause
"""A prefix's services, offered to the system that an image is merged into.

systemd reads units, ``sysusers.d`` and ``tmpfiles.d`` below /usr/lib, not below EPREFIX.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace

from flatcar_prefix.image import unit_files
from flatcar_prefix.image.selection import Entry, Selection

OFFERED = ("systemd/system", "systemd/user", "sysusers.d", "tmpfiles.d")
"""Directories below the prefix's lib directories and the system's."""

LIBDIRS = ("usr/lib", "lib")
"""Where packages put them, in EPREFIX; the first one wins."""

PATH = ("usr/bin", "bin", "usr/sbin", "sbin")
"""Where in EPREFIX a program is that a unit names without a directory."""


@dataclass(frozen=True)
class Foreign:
    """A program that a unit of the prefix starts and that is the system's."""

    unit: str
    key: str
    """Such as ``ExecStart``."""
    program: str

    def __str__(self) -> str:
        return f"{self.unit}: {self.key} starts {self.program}, which is not of the prefix"


def offered(selection: Selection, eprefix: str) -> tuple[list[Entry], list[Foreign]]:
    """Return the files by which the system finds the prefix's services.

    Copies rather than symlinks: the directories of the system are the only ones that every
    reader of them reads, and what a unit starts has to be the prefix's own program. Where the
    prefix has none, the system's is left, and returned.
    """
    found: dict[str, Entry] = {}
    foreign: list[Foreign] = []
    for path, entry in _sources(selection, eprefix):
        if path not in found:
            found[path], more = _copy(path, entry, selection, eprefix)
            foreign += more
    return list(found.values()), foreign


def _sources(selection: Selection, eprefix: str) -> Iterator[tuple[str, Entry]]:
    inside = eprefix.strip("/")
    for libdir in LIBDIRS:
        for directory in OFFERED:
            start = f"{inside}/{libdir}/{directory}/"
            for entry in selection.entries:
                if entry.path.startswith(start) and not entry.is_dir:
                    yield f"usr/lib/{directory}/{entry.path[len(start) :]}", entry


def _copy(
    path: str, entry: Entry, selection: Selection, eprefix: str
) -> tuple[Entry, list[Foreign]]:
    if entry.is_link:
        return replace(entry, path=path, target=_target(entry, eprefix), source=None), []
    text = entry.read().decode("utf-8", "surrogateescape")
    foreign: list[Foreign] = []
    if "/systemd/" in f"/{path}":
        text, kept = with_programs_of(selection, eprefix, text)
        foreign = [Foreign(f"/{path}", key, program) for key, program in kept]
    content = text.encode("utf-8", "surrogateescape")
    return Entry(path, stat.S_IFREG | 0o644, len(content), content=content), foreign


def _target(link: Entry, eprefix: str) -> str:
    """Return where a link leads from its new place: beside it what is offered, else as it did."""
    if not link.target.startswith("/"):
        absolute = os.path.normpath(os.path.join("/", os.path.dirname(link.path), link.target))
    else:
        absolute = os.path.normpath(link.target)
    for libdir in LIBDIRS:
        for directory in OFFERED:
            start = f"{eprefix}/{libdir}/{directory}/"
            if absolute.startswith(start):
                return f"/usr/lib/{directory}/{absolute[len(start) :]}"
    return absolute


def with_programs_of(
    selection: Selection, eprefix: str, text: str
) -> tuple[str, list[unit_files.Started]]:
    """Return a unit's text with the prefix's programs, and what it starts of the system's.

    A program is named by its path on a system without prefixes, or without a directory.
    """

    def find(program: str) -> str:
        if program.startswith(f"{eprefix}/"):
            return program
        paths = [program] if "/" in program else [f"/{directory}/{program}" for directory in PATH]
        own = (f"{eprefix}{path}" for path in paths if path.startswith("/"))
        return next((path for path in own if selection.holds(path)), program)

    text, kept = unit_files.replaced(text, find)
    inside = f"{eprefix}/"
    return text, [
        started
        for started in kept
        if not (started.program.startswith(inside) and selection.holds(started.program))
    ]
