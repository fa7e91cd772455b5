# SPDX-License-Identifier: BSD-3-Clause
"""Byte code of Python whose source changes with the EPREFIX.

Python compares the time and the size of a source with those in its byte code (PEP 552). If they
differ, it compiles the source again at each start, because a shipped prefix is read-only. This
module rewrites the strings in the byte code, so that it is the byte code of the changed source.
It reads the format of the module ``marshal``, which has no other specification than
``Python/marshal.c``, and does not need an interpreter of the same version.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

HEADER = 16
"""The bytes before the code: magic number, flags, and time and size, or hash, of the source."""

_FIELDS = struct.Struct("<4sIII")
_HASH_BASED = 1
_REFERENCE = 0x80
_MAX_SHORT = 255

# The magic numbers of Python 3.8 to 3.10, and of 3.11 to 3.14, without their development versions.
_OLD_CODE, _NEW_CODE = range(3400, 3440), range(3495, 3700)
_OLD_NUMBERS, _NEW_NUMBERS, _CODE_OBJECTS = 6, 5, 8


class Unknown(Exception):
    """The byte code has a format that this module does not know."""


def is_bytecode(data: bytes) -> bool:
    """Return whether a file with these first bytes is byte code of Python 3.7 or later."""
    return len(data) > HEADER and data[2:4] == b"\r\n" and data[4:8] in (
        b"\0\0\0\0", b"\1\0\0\0", b"\3\0\0\0",
    )  # fmt: skip


def is_current(data: bytes, mtime: int, size: int) -> bool:
    """Return whether Python takes byte code for a source of this time (s) and size (bytes)."""
    _, flags, time, length = _FIELDS.unpack_from(data)
    return bool(flags & _HASH_BASED) or (time, length) == (mtime & 0xFFFFFFFF, size & 0xFFFFFFFF)


def checks_hash(data: bytes) -> bool:
    """Return whether Python compares a hash of the source with that in the byte code."""
    return data[4:8] == b"\3\0\0\0"


def for_source(data: bytes, mtime: int, size: int) -> bytes:
    """Return byte code that is valid for a source of this time (s) and size (bytes)."""
    return _FIELDS.pack(data[:4], 0, mtime & 0xFFFFFFFF, size & 0xFFFFFFFF) + data[HEADER:]


def rewritten(data: bytes, replace: Callable[[bytes], bytes]) -> bytes:
    """Return ``data`` with each string ``s`` in it replaced by ``replace(s)``.

    Raise :class:`Unknown` for a version or an object that this module does not know.
    """
    magic = int.from_bytes(data[:2], "little")
    if magic not in _OLD_CODE and magic not in _NEW_CODE:
        raise Unknown(f"byte code with the magic number {magic}")
    rewriter = _Rewriter(data, replace, old=magic in _OLD_CODE)
    try:
        rewriter.object()
    except (IndexError, struct.error, RecursionError) as error:
        raise Unknown("damaged byte code") from error
    if rewriter.at != len(data):
        raise Unknown("byte code with bytes after its end")
    return data[:HEADER] + b"".join(rewriter.out)


class _Rewriter:
    """A walk over one marshalled object, which copies it to :attr:`out`."""

    def __init__(self, data: bytes, replace: Callable[[bytes], bytes], *, old: bool) -> None:
        self.at = HEADER
        self.out: list[bytes] = []
        self._data = data
        self._replace = replace
        self._old = old

    def object(self) -> None:
        first = self._data[self.at]
        kind = chr(first & ~_REFERENCE)
        self.at += 1
        if kind in "zZ":
            self._string(first, 1)
        elif kind in "sutaA":
            self._string(first, 4)
        else:
            self.out.append(bytes([first]))
            self._rest(kind)

    def _rest(self, kind: str) -> None:
        if kind in "NFTS.0":
            return
        if kind in "ir":
            self._copy(4)
        elif kind in "Ig":
            self._copy(8)
        elif kind == "y":
            self._copy(16)
        elif kind == "l":
            self._copy(2 * abs(self._signed()))
        elif kind in "fx":
            for _ in range(1 if kind == "f" else 2):
                self._copy(self._byte())
        elif kind in "()[<>":
            self._objects(self._byte() if kind == ")" else self._signed())
        elif kind == "{":
            while self._data[self.at] != ord("0"):
                self._objects(2)
            self._copy(1)
        elif kind == ":":
            self._objects(3)
        elif kind == "c":
            self._code()
        else:
            raise Unknown(f"an object of the type {kind!r}")

    def _code(self) -> None:
        self._copy(4 * (_OLD_NUMBERS if self._old else _NEW_NUMBERS))
        self._objects(_CODE_OBJECTS)
        self._copy(4)
        self._objects(1 if self._old else 2)

    def _objects(self, count: int) -> None:
        for _ in range(count):
            self.object()

    def _copy(self, count: int) -> None:
        if self.at + count > len(self._data):
            raise IndexError
        self.out.append(self._data[self.at : self.at + count])
        self.at += count

    def _byte(self) -> int:
        self._copy(1)
        return self.out[-1][0]

    def _signed(self) -> int:
        self._copy(4)
        return int.from_bytes(self.out[-1], "little", signed=True)

    def _string(self, first: int, width: int) -> None:
        size = int.from_bytes(self._data[self.at : self.at + width], "little")
        start = self.at + width
        self.at = start + size
        if self.at > len(self._data):
            raise IndexError
        text = self._replace(self._data[start : self.at])
        kind = chr(first & ~_REFERENCE)
        # ``marshal`` writes an ASCII string of at most 255 bytes with a short length.
        if kind in "aA" and len(text) <= _MAX_SHORT:
            first, width = first - ord(kind) + ord({"a": "z", "A": "Z"}[kind]), 1
        self.out += (bytes([first]), len(text).to_bytes(width, "little"), text)
