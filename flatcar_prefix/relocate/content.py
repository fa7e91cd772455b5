# SPDX-License-Identifier: BSD-3-Clause
"""The content of one file: what it is, and its replaced content in chunks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from flatcar_prefix.relocate import bytecode
from flatcar_prefix.relocate.move import Move

CHUNK = 1 << 20
"""The bytes that are in memory at a time."""

ARCHIVE = b"!<arch>\n"
"""The start of an ``ar`` archive: it has the lengths of its members as text."""


@dataclass(frozen=True)
class Content:
    """The properties of a file that decide how to replace an EPREFIX in it."""

    contains: bool
    """Whether it contains the EPREFIX."""
    text: bool
    """Whether its length can change: it has no NUL byte and is no archive."""
    bytecode: bool = False


def examine(file: BinaryIO, move: Move) -> Content:
    """Return the properties of ``file``. The whole file is read once."""
    head = file.read(CHUNK)
    compiled = bytecode.is_bytecode(head)
    contains, text = False, not head.startswith(ARCHIVE)
    kept, chunk = b"", head
    while chunk:
        # A shorter chunk is the end of a regular file.
        following = file.read(CHUNK) if len(chunk) == CHUNK else b""
        text = text and b"\0" not in chunk
        if not contains:
            data = kept + chunk if kept else chunk
            limit = len(data) - move.margin if following else len(data)
            found = move.occurrences(data, any_context=compiled)
            contains = next(found, limit) < limit
            kept = data[max(0, limit) :]
        elif not text:
            break
        chunk = following
    return Content(contains=contains, text=text, bytecode=compiled)


def chunks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the content of ``file`` from its start."""
    file.seek(0)
    while chunk := file.read(CHUNK):
        yield chunk


def moved(file: BinaryIO, content: Content, move: Move) -> Iterator[bytes]:
    """Yield the replaced content of ``file``, which :func:`examine` has examined."""
    return move.stream(chunks(file), padded=not content.text, any_context=content.bytecode)


def copy_attributes(source: int, target: int) -> None:
    """Give the open file ``target`` the owner, mode, attributes and times of ``source``."""
    status = os.fstat(source)
    ours = os.fstat(target)
    if (ours.st_uid, ours.st_gid) != (status.st_uid, status.st_gid):
        os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, status.st_mode & 0o7777)  # after chown, which clears set-user-ID
    for name in os.listxattr(source):
        os.setxattr(target, name, os.getxattr(source, name))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
