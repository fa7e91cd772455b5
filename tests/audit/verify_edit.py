# SPDX-License-Identifier: BSD-3-Clause
"""Edit single fields of 64-bit little-endian ELF files, without a compiler."""

from __future__ import annotations

import struct
from pathlib import Path

from verify_objects import patch

PT_LOAD, PT_DYNAMIC = 1, 2
DT_NEEDED, DT_STRTAB, DT_DEBUG = 1, 5, 21


def segments(path: Path) -> list[tuple[int, tuple[int, ...]]]:
    """Return the place and the fields of each program header."""
    data = path.read_bytes()
    (table,) = struct.unpack_from("<Q", data, 32)
    (count,) = struct.unpack_from("<H", data, 56)
    places = (table + 56 * n for n in range(count))
    return [(at, struct.unpack_from("<IIQQQQQQ", data, at)) for at in places]


def set_dynamic(path: Path, tag: int, name: str, *, instead: int = DT_NEEDED) -> None:
    """Turn the first entry ``instead`` of the dynamic segment into ``tag`` with a name.

    The name replaces the entry's old name, which must not be shorter.
    """
    data = path.read_bytes()
    fields = {kind: (at, row) for at, row in segments(path) for kind in (row[0],)}
    start, size = fields[PT_DYNAMIC][1][2], fields[PT_DYNAMIC][1][5]
    entries = {}
    for at in range(start, start + size, 16):
        kind, value = struct.unpack_from("<QQ", data, at)
        entries.setdefault(kind, (at, value))
    loads = [row for _, row in segments(path) if row[0] == PT_LOAD]
    address = entries[DT_STRTAB][1]
    strings = next(a[2] + address - a[3] for a in loads if a[3] <= address < a[3] + a[5])
    at, offset = entries[instead]
    old = data[strings + offset : data.index(b"\0", strings + offset)]
    raw = name.encode()
    assert len(raw) <= len(old), (name, old)
    patch(path, at, struct.pack("<Q", tag))
    patch(path, strings + offset, raw.ljust(len(old), b"\0"))


def rename_symbol(path: Path, old: str, new: str) -> None:
    """Give a name in the string tables another one of the same length."""
    data = path.read_bytes()
    assert len(old) == len(new)
    assert f"\0{old}\0".encode() in data
    path.write_bytes(data.replace(f"\0{old}\0".encode(), f"\0{new}\0".encode()))
