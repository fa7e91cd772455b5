# SPDX-License-Identifier: BSD-3-Clause
"""Read what a Manifest states about a file (GLEP 74), without Portage."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flatcar_prefix.fetch.download import SUFFIX

_HASHES = {"BLAKE2B": "blake2b", "SHA512": "sha512", "SHA256": "sha256"}
"""The names of hash functions in a Manifest and in :mod:`hashlib`, the usual ones first."""


@dataclass(frozen=True)
class Dist:
    """The DIST line of a file."""

    name: str
    size: int
    """In bytes."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """Hexadecimal digests by the Manifest's name of the hash function."""

    def matches(self, path: Path) -> bool:
        """Return whether a file has the size and all known digests."""
        if path.stat().st_size != self.size:
            return False
        known = {_HASHES[name]: value for name, value in self.hashes.items() if name in _HASHES}
        digests = {name: hashlib.new(name) for name in known}
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                for digest in digests.values():
                    digest.update(block)
        return all(digests[name].hexdigest() == wanted for name, wanted in known.items())


def dist(destination: Path, environ: Mapping[str, str]) -> Dist | None:
    """Return the DIST line of the file that Portage fetches to ``destination``.

    Portage passes EBUILD to its fetch command; the Manifest is beside it. Return ``None`` if
    the Manifest or the line does not exist.
    """
    if not (ebuild := environ.get("EBUILD")):
        return None
    return dists(Path(ebuild).parent).get(destination.name.removesuffix(SUFFIX))


def dists(package: Path) -> dict[str, Dist]:
    """Return the DIST lines of a package's Manifest, by the names of the files."""
    try:
        text = (package / "Manifest").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 2 and words[0] == "DIST" and words[2].isdigit():
            hashes = dict(zip(words[3::2], words[4::2], strict=False))
            found[words[1]] = Dist(words[1], int(words[2]), hashes)
    return found
