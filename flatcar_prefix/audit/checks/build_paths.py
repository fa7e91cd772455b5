# SPDX-License-Identifier: BSD-3-Clause
"""Paths of the build machine inside files."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from flatcar_prefix.audit.findings import Finding

_LONGER_NAME = re.compile(rb"[A-Za-z0-9_-]|\.[A-Za-z0-9]")
_PATH_BEFORE = re.compile(rb"[A-Za-z0-9_.+@~%)}-]\Z")
# Text that ends like a name but can precede a path: a compiler option, a character escape,
# a variable that is empty on the target.
_GLUED = rb"i(?:system|quote|dirafter|nclude|macros|prefix|sysroot|withprefix(?:before)?)|M[DFQT]"
_EMPTY = rb"E?D|E?ROOT|E?SYSROOT|BROOT|DESTDIR|INSTALL_ROOT|pc_sysrootdir"
_NO_NAME_BEFORE = re.compile(
    rb"(?:\A|[^A-Za-z0-9])-(?:[A-Za-z]|" + _GLUED + rb")\Z"
    rb"|\\(?:[abefnrtv]|[0-7]{3}|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})\Z"
    rb"|\$(?:(?:" + _EMPTY + rb")|\{(?:" + _EMPTY + rb")\}|\((?:" + _EMPTY + rb")\))\Z"
)
_WINDOW = 32
_PATH = re.compile(rb"[^\0-\x20\x7f-\xff\"'`;:,<>|()\[\]{}]{1,200}")


_UTF_16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_PERCENT = re.compile(rb"%(2[dDeEfF]|5[fF]|7[eE])")
_ODD = re.compile(rb"//|/\./|/\.\./")
_SLASHES = re.compile(rb"/(?:\.?/)+")
_UP = re.compile(rb"/(?!\.\./)[^/\s\0]{1,255}/\.\./")
_MAX_UP = 16
_PACKED: dict[bytes, Callable[[str], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
_ERRORS = (zlib.error, lzma.LZMAError, zipfile.BadZipFile)
_MAX_UNPACKED = 16 << 20
_MAX_MEMBERS = 10_000


class Hit(NamedTuple):
    offset: int
    path: str


class Forbidden:
    """Directories of the build machine that no shipped file may name."""

    def __init__(self, paths: Iterable[str], eprefix: str) -> None:
        raw = {os.fsencode(path.rstrip("/")) for path in paths}
        # Each path of the prefix contains the directories above the prefix.
        prefix = os.fsencode(eprefix)
        candidates = {p for p in raw if p and not (prefix + b"/").startswith(p + b"/")}
        self.patterns = sorted(
            p for p in candidates if not any(p.startswith(o + b"/") for o in candidates)
        )
        # One expression for all directories is as fast as an expression for one of them.
        # A name that starts with another name must come first in it.
        longest_first = sorted(self.patterns, key=len, reverse=True)
        self._expression = re.compile(b"|".join(map(re.escape, longest_first)))
        self._prefix = prefix
        self.margin = max([len(prefix), *map(len, self.patterns)]) + 256

    def names(self, path: str) -> bool:
        """Return whether a path is one of these directories or is inside one."""
        raw = os.fsencode(path)
        return any(raw == p or raw.startswith(p + b"/") for p in self.patterns)

    def search(self, data: bytes, *, text: bool, start: int = 0) -> Hit | None:
        """Return the first path in ``data`` to one of these directories or inside one.

        The path begins at ``start`` or later; the bytes before ``start`` are its context.
        """
        for match in self._expression.finditer(data, start) if self.patterns else ():
            if self._is_path(data, match.start(), match.end(), text):
                path = _PATH.match(data, match.start())
                return Hit(match.start(), os.fsdecode((path or match).group()))
        return None

    def _is_path(self, data: bytes, start: int, end: int, text: bool) -> bool:
        """Return whether the match is a path to this directory or inside it."""
        if _LONGER_NAME.match(data, end):
            return False
        if data.endswith(self._prefix, 0, start):
            return False
        before = data[max(0, start - _WINDOW) : start]
        # In a binary file, any byte can precede a string, for example a letter.
        return not text or not _PATH_BEFORE.search(before) or bool(_NO_NAME_BEFORE.search(before))

    def plain(self, path: str) -> str:
        """Return the directory that a path of the target has inside itself, or an empty string."""
        raw = os.fsencode(path)
        return next((os.fsdecode(p) for p in self.patterns if p + b"/" in raw + b"/"), "")

    def search_written(self, text: bytes) -> Hit | None:
        """Return the first path in a text that names a directory in another notation.

        These are paths in UTF-16, with ``\\/`` as in JSON, with ``%2F`` as in URLs, and with
        ``//``, ``/./`` or ``..``.
        """
        written = text
        for mark, codec in _UTF_16.items():
            if text.startswith(mark):
                written = text.decode(codec, "replace").encode()
        if b"\\/" in written:
            written = written.replace(b"\\/", b"/")
        if b"%" in written:
            written = _PERCENT.sub(lambda match: bytes([int(match.group(1), 16)]), written)
        if written is text and not _ODD.search(text):
            return None
        written = _SLASHES.sub(b"/", written)
        for _ in range(_MAX_UP):
            shorter = _UP.sub(b"/", written)
            if shorter == written:
                break
            written = shorter
        hit = self.search(written, text=True)
        return hit and Hit(written.count(b"\n", 0, hit.offset) + 1, hit.path)


def unpacked(head: bytes, local: str) -> bytes:
    """Return the start of the content of a compressed file or archive; empty for others."""
    try:
        if head.startswith(b"PK\x03\x04"):
            return _unzipped(local)
        opener = next((o for magic, o in _PACKED.items() if head.startswith(magic)), None)
        if opener is None:
            return b""
        with opener(local) as file:
            return bytes(file.read(_MAX_UNPACKED))
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, *_ERRORS):
        return b""


def _unzipped(local: str) -> bytes:
    parts, left = [], _MAX_UNPACKED
    with zipfile.ZipFile(local) as archive:
        for member in archive.infolist()[:_MAX_MEMBERS]:
            with archive.open(member) as file:
                parts.append(file.read(left))
            left -= len(parts[-1])
            if left <= 0:
                break
    return b"\0".join(parts)


class Scan:
    """A search for forbidden paths in a file that is read in chunks."""

    def __init__(self, forbidden: Forbidden, *, text: bool) -> None:
        self.hit: Hit | None = None
        self._forbidden = forbidden
        self._text = text
        self._kept = b""
        self._base = 0

    @property
    def done(self) -> bool:
        """Whether further chunks cannot change the result."""
        return self.hit is not None or not self._forbidden.patterns

    def feed(self, chunk: bytes, *, last: bool) -> None:
        """Search the next chunk, together with the end of the previous chunk."""
        if self.done:
            return
        margin = self._forbidden.margin
        # Only the seam is copied, because a copy of each chunk costs as much as its search.
        seam, start = self._kept + chunk[: 2 * margin], len(self._kept)
        hit = self._forbidden.search(seam, text=self._text) if start else None
        if hit and (hit.offset < start + margin and (last or hit.offset + margin <= len(seam))):
            self.hit = Hit(self._base + hit.offset, hit.path)
            return
        # The seam has the bytes before the first margin of this chunk.
        hit = self._forbidden.search(chunk, text=self._text, start=margin if start else 0)
        # A hit in the margin can continue in the next chunk, which is searched with it.
        if hit and (last or hit.offset + margin <= len(chunk)):
            self.hit = Hit(self._base + start + hit.offset, hit.path)
        elif not last:
            whole = chunk if len(chunk) >= 2 * margin else seam
            self._base += start + len(chunk)
            self._kept = whole[-2 * margin :]
            self._base -= len(self._kept)


def check_content(path: str, hit: Hit | None, *, text: bool, line: int) -> Iterator[Finding]:
    """Yield a finding for a hit: a path of the build machine in a file."""
    if hit is None:
        return
    if text:
        yield Finding("text-build-path", path, f"line {line} names {hit.path}")
    else:
        yield Finding("binary-build-path", path, f"names {hit.path} (at {hit.offset:#x})")


def check_hidden(
    forbidden: Forbidden, path: str, local: str, head: bytes, *, text: bool
) -> Iterator[Finding]:
    """Yield a finding for a path of the build machine that is compressed or in another notation."""
    if not forbidden.patterns:
        return
    if text or head[:2] in _UTF_16:
        hit = forbidden.search_written(head)
        if hit:
            yield Finding(
                "text-build-path", path, f"line {hit.offset} names {hit.path} in another notation"
            )
    elif content := unpacked(head, local):
        hit = forbidden.search(content, text=False)
        if hit:
            yield Finding("binary-build-path", path, f"names {hit.path} (compressed)")


def check_name(forbidden: Forbidden, path: str, inside: str, values: bytes) -> Iterator[Finding]:
    """Yield findings for the path ``inside`` of the prefix and for extended attributes."""
    if named := forbidden.plain("/" + inside):
        yield Finding("name-build-path", path, f"has {named} in its path")
    if values and (hit := forbidden.search(values, text=False)):
        yield Finding("name-build-path", path, f"has {hit.path} in an extended attribute")


def is_text(head: bytes) -> bool:
    """Return whether a file with these first bytes is text: no NUL in the first 8 KiB."""
    return b"\0" not in head[:8192]
