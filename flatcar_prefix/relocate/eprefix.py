# SPDX-License-Identifier: BSD-3-Clause
"""The EPREFIX of a pool: long, and recognizable by any eight bytes of it."""

from __future__ import annotations

import hashlib

LENGTH = 110
"""The length of each pool's EPREFIX in bytes: the longest EPREFIX that its packages can get."""

PIECE = 8
"""The bytes of a piece. A compiler puts at most eight bytes of a constant into one instruction."""

MARK = b"zq"
"""Two bytes in each piece of a pool's EPREFIX, so that a search for pieces is fast."""

FIXED_PROPERTY = "fixed-eprefix"
"""The PROPERTIES of a package that works at the EPREFIX of its build only."""

POOL_PROPERTY = f"eprefix-{LENGTH}"
"""The PROPERTIES of all packages of a pool."""

_TOP = "/opt/"
_GROUP = 5
_LETTERS = "abcdefghijklmnoprstuvwxy0123456789"


def pool_eprefix(name: str) -> str:
    """Return the EPREFIX of the pool ``name``: always the same, different for each name.

    It has :data:`LENGTH` bytes. Each :data:`PIECE` successive bytes contain :data:`MARK` and
    random letters, occur once in the path, and do not occur in other files by chance.
    """
    for attempt in range(256):
        path = _TOP + "".join(f"{MARK.decode()}{group}" for group in _groups(name, attempt))
        if len(set(pieces(path.encode()))) == LENGTH - PIECE + 1:
            return path
    raise AssertionError("no path has unique pieces")  # pragma: no cover


def _groups(name: str, attempt: int) -> list[str]:
    count = (LENGTH - len(_TOP)) // (len(MARK) + _GROUP)
    stream = hashlib.shake_256(f"flatcar-prefix pool {attempt} {name}".encode())
    data = stream.digest(count * _GROUP * 2)
    numbers = (int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    letters = "".join(_LETTERS[number % len(_LETTERS)] for number in numbers)
    return [letters[at : at + _GROUP] for at in range(0, len(letters), _GROUP)]


def pieces(path: bytes) -> list[bytes]:
    """Return all pieces of ``path``, in the order of their offsets."""
    return [path[at : at + PIECE] for at in range(len(path) - PIECE + 1)]


def is_pool_eprefix(path: str | bytes) -> bool:
    """Return whether :func:`pool_eprefix` makes such paths: each piece is recognizable."""
    raw = path.encode("utf-8", "surrogateescape") if isinstance(path, str) else path
    return len(raw) == LENGTH and all(MARK in piece for piece in pieces(raw))
