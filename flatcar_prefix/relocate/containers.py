# SPDX-License-Identifier: BSD-3-Clause
"""Files that contain other files or data in a form in which an EPREFIX cannot be replaced."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

CHUNK = 1 << 20

_OPENERS: dict[bytes, tuple[str, Callable[[Path], Any]]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ\0": ("xz", lzma.open),
    b"\x5d\0\0": ("lzma", lzma.open),
}
_CLOSED = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"hsqs": "squashfs",
    b"Rar!\x1a\x07": "rar",
    b"MSCF\0": "cabinet",
    b"LZIP": "lzip",
}
"""Formats that this program cannot read."""

_ZIP = b"PK\x03\x04"
_TAR = (257, b"ustar")
_HASHED = {
    b"\xcf\x9a\x57\x13": "a GDBM database", b"\xce\x9a\x57\x13": "a GDBM database",
    b"\x13\x57\x9a\xce": "a GDBM database", b"\x13\x57\x9a\xcf": "a GDBM database",
}  # fmt: skip
_BERKELEY = (12, (b"\x61\x15\x06\0", b"\0\x06\x15\x61"), "a Berkeley DB hash")
_ELF = b"\x7fELF"
_COMPRESSED = 0x800
_BAD = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error)
BROKEN = (*_BAD, lzma.LZMAError, zipfile.BadZipFile)
"""The exceptions of :func:`contents` for a damaged file."""


def checked(head: bytes) -> str:
    """Return what a file with these first bytes is, if it has checksums or hashes of its content.

    A plain EPREFIX in such a file cannot be replaced. Return an empty string for others.
    """
    if head.startswith(_ZIP):
        return "a ZIP archive"
    at, magic = _TAR
    if head[at : at + len(magic)] == magic:
        return "a tar archive"
    at, magics, name = _BERKELEY
    if head[at : at + 4] in magics:
        return name
    return next((name for magic, name in _HASHED.items() if head.startswith(magic)), "")


def closed(head: bytes) -> str:
    """Return the name of a compressed format that this program cannot read, else nothing."""
    return next((name for magic, name in _CLOSED.items() if head.startswith(magic)), "")


def contents(path: Path, head: bytes) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield each compressed part of a file: what it is, and its content in chunks.

    Raise one of :data:`BROKEN` for a damaged file.
    """
    for magic, (name, opener) in _OPENERS.items():
        if head.startswith(magic):
            with opener(path) as file:
                yield f"{name} data", _chunks(file)
    if head.startswith(_ZIP):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                with archive.open(member) as file:
                    yield f"the member {member.filename} of a ZIP archive", _chunks(file)
    if head.startswith(_ELF):
        yield from _sections(path)


def _chunks(file: Any) -> Iterator[bytes]:
    while data := file.read(CHUNK):
        yield data


def _sections(path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield the compressed sections of a 64-bit ELF file, see elf(5)."""
    with path.open("rb") as file:
        head = file.read(64)
        if len(head) < 64 or head[4] != 2:
            return
        order = "<" if head[5] == 1 else ">"
        offset, size, count = (
            *struct.unpack_from(order + "Q", head, 40), *struct.unpack_from(order + "HH", head, 58),
        )  # fmt: skip
        if size != 64:
            return
        file.seek(offset)
        table = file.read(size * count)
        for at in range(0, len(table) - size + 1, size):
            flags, _, start, length = struct.unpack_from(order + "QQQQ", table, at + 8)
            if flags & _COMPRESSED:
                file.seek(start)
                data = file.read(length)
                if struct.unpack_from(order + "I", data)[0] != 1:
                    raise ValueError("a section with an unknown compression")
                yield "a compressed section", iter((zlib.decompress(data[24:]),))
