# SPDX-License-Identifier: BSD-3-Clause
"""Paths of the build machine inside files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from flatcar_prefix.audit.findings import Finding

_LONGER_NAME = re.compile(rb"[A-Za-z0-9_-]|\.[A-Za-z0-9]")
_PATH_BEFORE = re.compile(rb"[A-Za-z0-9_.+@~%)}-]\Z")
# What may stand before a path although it ends like a name: a compiler's option, the
# escape of a character, a variable that is empty on the target.
_GLUED = rb"i(?:system|quote|dirafter|nclude|macros|prefix|sysroot|withprefix(?:before)?)|M[DFQT]"
_EMPTY = rb"E?D|E?ROOT|E?SYSROOT|BROOT|DESTDIR|INSTALL_ROOT|pc_sysrootdir"
_NO_NAME_BEFORE = re.compile(
    rb"(?:\A|[^A-Za-z0-9])-(?:[A-Za-z]|" + _GLUED + rb")\Z"
    rb"|\\(?:[abefnrtv]|[0-7]{3}|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})\Z"
    rb"|\$(?:(?:" + _EMPTY + rb")|\{(?:" + _EMPTY + rb")\}|\((?:" + _EMPTY + rb")\))\Z"
)
_WINDOW = 32
_PATH = re.compile(rb"[^\0-\x20\x7f-\xff\"'`;:,<>|()\[\]{}]{1,200}")


class Hit(NamedTuple):
    offset: int
    path: str


class Forbidden:
    """Directories that nothing which is shipped may name."""

    def __init__(self, paths: Iterable[str], eprefix: str) -> None:
        raw = {os.fsencode(path.rstrip("/")) for path in paths}
        # A directory above the prefix would be found in every path of the target.
        prefix = os.fsencode(eprefix)
        candidates = {p for p in raw if p and not (prefix + b"/").startswith(p + b"/")}
        self.patterns = sorted(
            p for p in candidates if not any(p.startswith(o + b"/") for o in candidates)
        )
        # One expression for all: it takes as long as looking for a single one. Of names
        # of which one begins like another, the longer has to be tried first.
        longest_first = sorted(self.patterns, key=len, reverse=True)
        self._expression = re.compile(b"|".join(map(re.escape, longest_first)))
        self._prefix = prefix
        self.margin = max([len(prefix), *map(len, self.patterns)]) + 256

    def names(self, path: str) -> bool:
        """Return whether a path is one of these directories or lies in one."""
        raw = os.fsencode(path)
        return any(raw == p or raw.startswith(p + b"/") for p in self.patterns)

    def search(self, data: bytes, *, text: bool) -> Hit | None:
        """Return the first place in ``data`` that names one of them."""
        for match in self._expression.finditer(data) if self.patterns else ():
            if self._is_path(data, match.start(), match.end(), text):
                path = _PATH.match(data, match.start())
                return Hit(match.start(), os.fsdecode((path or match).group()))
        return None

    def _is_path(self, data: bytes, start: int, end: int, text: bool) -> bool:
        """Return whether what stands here is this very directory, or something in it."""
        if _LONGER_NAME.match(data, end):
            return False
        if data.endswith(self._prefix, 0, start):
            return False
        before = data[max(0, start - _WINDOW) : start]
        # In a binary file any byte may stand before a string, a letter by chance too.
        return not text or not _PATH_BEFORE.search(before) or bool(_NO_NAME_BEFORE.search(before))


class Scan:
    """A search for forbidden paths in a file that comes in chunks."""

    def __init__(self, forbidden: Forbidden, *, text: bool) -> None:
        self.hit: Hit | None = None
        self._forbidden = forbidden
        self._text = text
        self._kept = b""
        self._base = 0

    @property
    def done(self) -> bool:
        """Whether further chunks change nothing."""
        return self.hit is not None or not self._forbidden.patterns

    def feed(self, chunk: bytes, *, last: bool) -> None:
        """Search one more chunk, the end of the one before it in front."""
        if self.done:
            return
        margin = self._forbidden.margin
        data = self._kept + chunk if self._kept else chunk
        hit = self._forbidden.search(data, text=self._text)
        # What ends in the margin may go on in the next chunk: it is seen again there.
        if hit and (last or hit.offset + margin <= len(data)):
            self.hit = Hit(self._base + hit.offset, hit.path)
        elif not last:
            self._kept = data[-2 * margin :]
            self._base += len(data) - len(self._kept)


def check_content(path: str, hit: Hit | None, *, text: bool, line: int) -> Iterator[Finding]:
    """Yield a finding for a place in a file that names a directory of the build machine."""
    if hit is None:
        return
    if text:
        yield Finding("text-build-path", path, f"line {line} names {hit.path}")
    else:
        yield Finding("binary-build-path", path, f"names {hit.path} (at {hit.offset:#x})")


def is_text(head: bytes) -> bool:
    """Return whether a file that begins so is text."""
    return b"\0" not in head[:8192]
