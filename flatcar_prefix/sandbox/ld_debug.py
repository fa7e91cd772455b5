# SPDX-License-Identifier: BSD-3-Clause
"""Read the libraries that glibc's loader reports with ``LD_DEBUG=libs,files``."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_LINE = re.compile(r"^\s*\d+:\t ?(?P<text>.*)$")
_TRYING = re.compile(r"\s*trying file=(?P<path>.+)$")
_FOUND = re.compile(r"file=(?P<name>.+) \[\d+\];  generating link map$")
_CALLING = re.compile(r"calling init: (?P<path>.+)$")


@dataclass(frozen=True, order=True)
class Library:
    """A library that a process has loaded."""

    path: str
    """The path on the target; relative if the loader received a relative path."""

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    def inside(self, eprefix: str) -> bool:
        """Return whether the library is in the prefix; a relative path is outside."""
        return posixpath.normpath(self.path).startswith(eprefix + "/")


def read(directory: Path) -> list[Library]:
    """Return the libraries of all processes whose output is in ``directory``."""
    found: set[Library] = set()
    for file in directory.iterdir():
        with file.open(encoding="utf-8", errors="surrogateescape") as lines:
            found.update(Library(path) for path in loaded(lines))
    return sorted(found)


def loaded(lines: Iterable[str]) -> Iterator[str]:
    """Yield the path of each library loaded, as one process reports them.

    For a library found on the search path, it is the last file that the loader tried. A
    library requested by path has that path. The loader names both again at initialisation.
    """
    tried = ""
    for line in lines:
        match = _LINE.match(line.rstrip("\n"))
        text = match["text"] if match else ""
        if match := _TRYING.match(text):
            tried = match["path"]
        elif match := _FOUND.match(text):
            path = match["name"] if "/" in match["name"] else tried
            if path:
                yield path
            tried = ""
        elif match := _CALLING.match(text):
            yield match["path"]
