# SPDX-License-Identifier: BSD-3-Clause
"""A reader for ld.so.cache in the format that ldconfig(8) of glibc 2.2 and later writes."""

from __future__ import annotations

import os
import struct

_OLD_MAGIC = b"ld.so-1.7.0\0"
_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("<20sIIB3xI12x")
_ENTRY = struct.Struct("<iIIIQ")
_MAX_ENTRIES = 1 << 18
_MAX_NAMES = 1 << 24


class CacheError(Exception):
    """The cache is broken; the message is one line."""


def read_cache(data: bytes) -> dict[str, str]:
    """Return the path of each library by name, without the entries for glibc-hwcaps.

    Raise :class:`CacheError` if ``data`` is not a cache or is broken.
    """
    start = 0
    if data.startswith(_OLD_MAGIC):
        # A cache in ldconfig's "compat" format starts with the table of the older format.
        if len(data) < 16:
            raise CacheError("it is truncated")
        (count,) = struct.unpack_from("<I", data, 12)
        start = (16 + 12 * count + 7) & -8
    if data[start : start + len(_MAGIC)] != _MAGIC:
        raise CacheError("it is not in the format of glibc 2.2 or later")
    if len(data) < start + _HEADER.size:
        raise CacheError("it is truncated")
    _, count, _, _, _ = _HEADER.unpack_from(data, start)
    entries_end = start + _HEADER.size + count * _ENTRY.size
    if count > _MAX_ENTRIES or entries_end > len(data):
        raise CacheError(f"it claims {count} libraries")
    libraries: dict[str, str] = {}
    left = _MAX_NAMES
    for _, key, value, _, hwcap in _ENTRY.iter_unpack(data[start + _HEADER.size : entries_end]):
        if hwcap:
            continue
        name, path = _string(data, start + key), _string(data, start + value)
        libraries.setdefault(name, path)
        # The names of a hostile cache can overlap.
        left -= len(name) + len(path)
        if left < 0:
            raise CacheError(f"its names are longer than {_MAX_NAMES} bytes")
    return libraries


def _string(data: bytes, offset: int) -> str:
    end = data.find(b"\0", offset, offset + 4096)
    if end < 0:
        raise CacheError("it has a name without a terminating NUL")
    return os.fsdecode(data[offset:end])
