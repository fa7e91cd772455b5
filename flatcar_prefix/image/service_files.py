# SPDX-License-Identifier: BSD-3-Clause
"""Paths in the files of services: EnvironmentFile=, tmpfiles.d, udev rules and D-Bus services.

See systemd.exec(5), tmpfiles.d(5) and udev(7). A path of a system without a prefix becomes the
path of the prefix's file, if the prefix has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

Own = Callable[[str], str]
"""A function that returns the prefix's path for a path, or an empty text."""

_ENVIRONMENT = re.compile(
    r"^(?P<start>[ \t]*EnvironmentFile[ \t]*=[ \t]*)(?P<dash>-?)(?P<path>/[^\s%*?\[]+)[ \t]*$",
    re.MULTILINE,
)
_TMPFILE = re.compile(r"^(?P<type>[LC]\S*)[ \t]+(?P<path>/\S*)(?P<rest>.*)$", re.MULTILINE)
_UDEV = re.compile(
    r"(?P<start>\b(?P<key>RUN(?:\{program\})?|PROGRAM|IMPORT\{program\})\s*[+:=]?=\s*\")"
    r"(?P<path>/[^\s\"]+)"
)
_DBUS = re.compile(r"^(?P<start>[ \t]*(?P<key>Exec)[ \t]*=[ \t]*)(?P<path>/\S+)", re.MULTILINE)

_FACTORY = "/usr/share/factory"
"""Where tmpfiles.d(5) finds the source of a line without an argument."""


@dataclass(frozen=True)
class Foreign:
    """A file of the system that a copied file names."""

    unit: str
    """The path of the copy, such as that of a unit."""
    key: str
    """The key, such as ``ExecStart``; the type of the line for a file of tmpfiles.d."""
    program: str
    """The path that it names."""

    def __str__(self) -> str:
        does = "starts" if self.key.startswith(("Exec", "RUN", "PROGRAM", "IMPORT")) else "reads"
        return f"{self.unit}: {self.key} {does} {self.program}, which is not in the prefix"


def rewritten(path: str, text: str, own: Own) -> tuple[str, list[Foreign]]:
    """Return the text of a file with the prefix's paths, and the other files it names."""
    foreign: list[Foreign] = []

    def note(key: str, file: str) -> None:
        foreign.append(Foreign(f"/{path}", key, file))

    if "/systemd/" in path:
        return _environment(text, own, note), foreign
    if "/tmpfiles.d/" in path:
        return _TMPFILE.sub(lambda match: _tmpfile(match, own, note), text), foreign
    if "/udev/" in path or "/system-services/" in path:
        pattern = _UDEV if "/udev/" in path else _DBUS
        return pattern.sub(lambda match: _program(match, own, note), text), foreign
    return text, foreign


Note = Callable[[str, str], None]


def _environment(text: str, own: Own, note: Note) -> str:
    """Insert the prefix's file before the system's, so that an administrator can override it."""

    def line(match: re.Match[str]) -> str:
        found = own(match["path"])
        if found == match["path"]:
            return match[0]
        if found:
            return f"{match['start']}{match['dash']}{found}\n{match['start']}-{match['path']}"
        if not match["dash"]:
            note("EnvironmentFile", match["path"])
        return match[0]

    return _ENVIRONMENT.sub(line, text)


def _tmpfile(match: re.Match[str], own: Own, note: Note) -> str:
    """Return a line L or C whose source is the prefix's file."""
    words = match["rest"].split(None, 4)
    given = words[4].strip() if len(words) == 5 else ""
    if given and not given.startswith("/"):
        return match[0]
    source = given or f"{_FACTORY}{match['path']}"
    found = own(source)
    if not found and not source.startswith(("/run/", "/var/", "/proc/", "/dev/")):
        note(match["type"], source)
    if not found or found == given:
        return match[0]
    columns = [*words[:4], *["-"] * (4 - len(words))][:4]
    return " ".join([match["type"], match["path"], *columns, found])


def _program(match: re.Match[str], own: Own, note: Note) -> str:
    found = own(match["path"])
    if not found and match["path"] != "/bin/false":
        note(match["key"], match["path"])
    return match["start"] + (found or match["path"])
