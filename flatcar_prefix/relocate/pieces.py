# SPDX-License-Identifier: BSD-3-Clause
"""Search bytes for a pool's EPREFIX in any form: whole, in pieces, or in another encoding."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flatcar_prefix.relocate.eprefix import MARK, PIECE, pieces

_NAME = re.compile(rb"[A-Za-z0-9_-]|\.[A-Za-z0-9]")
_INNER = slice(8, 40)
_BASE64 = slice(4, 36)


@dataclass
class Seen:
    """The forms of an EPREFIX in one file; offsets are in bytes."""

    whole: bool = False
    nul: bool = False
    """Whether there is a NUL byte, so that the length of the file cannot change."""
    piece: int | None = None
    """The offset of a piece that is no part of a whole one."""
    glued: int | None = None
    """The offset of a whole one that a longer name begins with."""
    encoded: str = ""
    """The name of another encoding that it occurs in."""

    def __bool__(self) -> bool:
        return self.whole or self.piece is not None or bool(self.encoded)


class Search:
    """A search for one EPREFIX of a pool, see :func:`~.eprefix.pool_eprefix`."""

    def __init__(self, eprefix: str) -> None:
        self.whole = eprefix.encode()
        self._pieces = frozenset(pieces(self.whole))
        self._encoded = dict(_encodings(self.whole))
        self._margin = max(len(self.whole), *map(len, self._encoded)) + PIECE

    def read(self, chunks: Iterable[bytes]) -> Seen:
        """Return the forms in a content that comes in ``chunks``."""
        seen, kept, fresh, base = Seen(), b"", 0, 0
        for chunk in chunks:
            data = kept + chunk
            end = max(len(data) - self._margin, fresh)
            self._look(seen, data, range(fresh, end), base)
            start = max(end - self._margin, 0)
            kept, fresh, base = data[start:], end - start, base + start
        self._look(seen, kept, range(fresh, len(kept)), base)
        return seen

    def _look(self, seen: Seen, data: bytes, new: range, base: int) -> None:
        """Add what begins in the offsets ``new`` of ``data``, which is at ``base`` in the file."""
        seen.nul = seen.nul or b"\0" in data
        found = list(_finds(data, self.whole))
        for at in found:
            seen.whole = seen.whole or at in new
            if at in new and seen.glued is None and _NAME.match(data, at + len(self.whole)):
                seen.glued = base + at
        rest = data.replace(self.whole, bytes(len(self.whole))) if found else data
        if seen.piece is None:
            parts = (at for at in _finds(rest, MARK) if at in new and self._is_piece(rest, at))
            seen.piece = next((base + at for at in parts), None)
        for needle, name in self._encoded.items():
            if not seen.encoded and needle in data:
                seen.encoded = name

    def _is_piece(self, data: bytes, mark: int) -> bool:
        first = max(0, mark - PIECE + len(MARK))
        return any(data[at : at + PIECE] in self._pieces for at in range(first, mark + 1))


def _finds(data: bytes, needle: bytes) -> Iterator[int]:
    at = data.find(needle)
    while at >= 0:
        yield at
        at = data.find(needle, at + len(needle))


def _encodings(whole: bytes) -> Iterator[tuple[bytes, str]]:
    """Yield the inner part of the path in other encodings, and their names."""
    inner = whole[_INNER]
    for codec in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"):
        yield inner.decode().encode(codec), codec.upper()
    yield inner.upper(), "upper case"
    yield inner[::-1], "reverse order"
    yield inner.hex().encode(), "hexadecimal digits"
    yield inner.hex().upper().encode(), "hexadecimal digits"
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(shift) + whole)[_BASE64], "Base64"
