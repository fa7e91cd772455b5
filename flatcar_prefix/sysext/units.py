# SPDX-License-Identifier: BSD-3-Clause
"""A prefix's services, offered to the system that an image is merged into.

systemd reads units, ``sysusers.d`` and ``tmpfiles.d`` below /usr/lib, not below EPREFIX.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import replace

from flatcar_prefix.sysext.selection import Entry, Selection

OFFERED = ("systemd/system", "systemd/user", "sysusers.d", "tmpfiles.d")
"""Directories below the prefix's lib directories and the system's."""

LIBDIRS = ("usr/lib", "lib")
"""Where packages put them, in EPREFIX; the first one wins."""

_EXEC = re.compile(
    r"^(?P<key>(?:Exec[A-Za-z]+|ConditionFileIsExecutable|AssertFileIsExecutable)\s*=\s*"
    r"[-@:+!|]*)(?P<path>/[^\s;]+)",
    re.MULTILINE,
)


def offered(selection: Selection, eprefix: str) -> list[Entry]:
    """Return the files by which the system finds the prefix's services.

    Copies rather than symlinks: the directories of the system are the only ones that every
    reader of them reads, and what a unit starts has to be the prefix's own program.
    """
    found: dict[str, Entry] = {}
    for path, entry in _sources(selection, eprefix):
        found.setdefault(path, _copy(path, entry, selection, eprefix))
    return list(found.values())


def _sources(selection: Selection, eprefix: str) -> Iterator[tuple[str, Entry]]:
    inside = eprefix.strip("/")
    for libdir in LIBDIRS:
        for directory in OFFERED:
            start = f"{inside}/{libdir}/{directory}/"
            for entry in selection.entries:
                if entry.path.startswith(start) and not entry.is_dir:
                    yield f"usr/lib/{directory}/{entry.path[len(start) :]}", entry


def _copy(path: str, entry: Entry, selection: Selection, eprefix: str) -> Entry:
    if entry.is_link:
        return replace(entry, path=path, target=_target(entry, eprefix), source=None)
    text = entry.read().decode("utf-8", "surrogateescape")
    if "/systemd/" in f"/{path}":
        text = with_programs_of(selection, eprefix, text)
    content = text.encode("utf-8", "surrogateescape")
    return Entry(path, stat.S_IFREG | 0o644, len(content), content=content)


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


def with_programs_of(selection: Selection, eprefix: str, text: str) -> str:
    """Return a unit's text with the prefix's programs in place of those of the same path.

    Only where the prefix has the program, and only where EPREFIX is not there already.
    """

    def own(match: re.Match[str]) -> str:
        path = match["path"]
        if f"{eprefix}{path}".lstrip("/") in selection.by_path:
            return f"{match['key']}{eprefix}{path}"
        return match[0]

    return _EXEC.sub(own, text)
