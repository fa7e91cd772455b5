# SPDX-License-Identifier: BSD-3-Clause
"""Find files by their size in apt's lists of source packages.

A distribution renames upstream's files, but does not change their contents unless it repacks
them. A Manifest states the size of each file, and so do the lists. Sizes coincide seldom; the
caller compares checksums.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote


@dataclass(frozen=True)
class Listed:
    """A file of a source package."""

    uri: str
    sha256: str
    package: str
    """Name and version of the source package."""

    def __str__(self) -> str:
        return f"{unquote(self.uri.rpartition('/')[2])} of {self.package}"


def find(path: Path, archive: str, size: int) -> Iterator[Listed]:
    """Yield the files of ``size`` bytes in the list at ``path``, which is from ``archive``.

    ``archive`` is the URI of apt's entry. See "Debian source control files" in deb-src(5).
    """
    if not path.stat().st_size:
        return  # mmap refuses an empty file
    needle = b" %d " % size
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        place = text.find(needle)
        while place >= 0:
            start, end = text.rfind(b"\n", 0, place) + 1, text.find(b"\n", place)
            words = text[start : end if end >= 0 else len(text)].decode("utf-8", "replace").split()
            if len(words) == 3 and len(words[0]) == 64 and words[1] == str(size):
                fields = _stanza(text, place)
                if "directory" in fields:
                    uri = f"{archive.rstrip('/')}/{fields['directory']}/{quote(words[2])}"
                    package = f"{fields.get('package', '')} {fields.get('version', '')}"
                    yield Listed(uri, words[0], package)
            place = text.find(needle, place + 1)


def _stanza(text: mmap.mmap, place: int) -> dict[str, str]:
    """Return the one-line fields of the stanza around ``place``, names in lower case."""
    start, end = text.rfind(b"\n\n", 0, place) + 1, text.find(b"\n\n", place)
    stanza = text[start : end if end >= 0 else len(text)].decode("utf-8", "replace")
    pairs = (line.partition(":") for line in stanza.splitlines() if line[:1].isalpha())
    return {name.lower(): value.strip() for name, _, value in pairs}
