# SPDX-License-Identifier: BSD-3-Clause
"""Files that name the digest of another file, which changes with the EPREFIX."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

_ALGORITHMS = ("md5", "sha1", "sha256", "sha512")
_WORD = re.compile(rb"[A-Za-z0-9+/_-]{22,128}")
_LARGEST = 16 << 20


class Digests:
    """The digests of the files that change, and the texts that can name them.

    Portage verifies CONTENTS itself, and writes it after the move.
    """

    def __init__(self) -> None:
        self._changing: list[Path] = []
        self._texts: list[Path] = []

    def add(self, path: Path, *, changes: bool, text: bool) -> None:
        """Take a file: whether its content ``changes``, and whether it is ``text``."""
        if changes:
            self._changing.append(path)
        if text and path.stat().st_size <= _LARGEST:
            self._texts.append(path)

    def found(self) -> Iterator[tuple[Path, str]]:
        """Yield each text that has the digest of a changing file, and a reason."""
        names: dict[bytes, str] = {}
        for path in self._changing:
            names.update((digest, path.name) for digest in _digests(path))
        if not names:
            return
        for text in self._texts:
            for match in _WORD.finditer(text.read_bytes()):
                if name := names.get(match.group()):
                    yield text, f"has a digest of {name}, which changes with the EPREFIX"
                    break


def _digests(path: Path) -> Iterator[bytes]:
    """Yield the digests of a file in hexadecimal digits and in Base64 without padding."""
    for algorithm in _ALGORITHMS:
        with path.open("rb") as file:
            digest = hashlib.new(algorithm, usedforsecurity=False)
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        raw = digest.digest()
        yield raw.hex().encode()
        yield raw.hex().upper().encode()
        yield base64.b64encode(raw).rstrip(b"=")
        yield base64.urlsafe_b64encode(raw).rstrip(b"=")
