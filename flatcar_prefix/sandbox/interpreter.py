# SPDX-License-Identifier: BSD-3-Clause
"""The program that the kernel starts for an executable file: its interpreter or its loader."""

from __future__ import annotations

import os
import struct
from pathlib import Path

_PT_INTERP = 3
_SCRIPT_HEAD = 256
"""The kernel reads so many bytes of a script (BINPRM_BUF_SIZE)."""


def interpreter(program: Path) -> str:
    """Return the path after ``#!`` or in PT_INTERP, see execve(2) and elf(5).

    It is empty for a file with neither.
    """
    try:
        with program.open("rb") as file:
            head = file.read(_SCRIPT_HEAD)
            if head.startswith(b"#!"):
                words = head[2:].split(b"\n", 1)[0].split()
                return os.fsdecode(words[0]) if words else ""
            return _loader(head, file.fileno()) if head.startswith(b"\x7fELF") else ""
    except (OSError, OverflowError, struct.error):
        return ""


def _loader(head: bytes, descriptor: int) -> str:
    """Return PT_INTERP of a 64-bit little-endian file; both boards have this format."""
    if head[4:6] != b"\x02\x01":
        return ""
    (offset,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    for number in range(count):
        entry = os.pread(descriptor, size, offset + number * size)
        kind, _, place, _, _, length = struct.unpack_from("<IIQQQQ", entry)
        if kind == _PT_INTERP:
            return os.fsdecode(os.pread(descriptor, min(length, 4096), place).rstrip(b"\0"))
    return ""
