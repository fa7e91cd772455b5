# SPDX-License-Identifier: BSD-3-Clause
"""The tar format, which the btrfs format uses as its input, too."""

from __future__ import annotations

import os
import shutil
import tarfile
from typing import IO, Literal

from flatcar_prefix.image.formats.job import Job
from flatcar_prefix.image.selection import CAPABILITY, Entry, Selection, changed

_BLOCK = tarfile.BLOCKSIZE


_CHUNK = 1 << 20


def header(entry: Entry, *, link: str = "") -> tarfile.TarInfo:
    """Return the header of ``entry``, owned by root.

    If ``link`` is not empty, the entry is a hard link to this earlier name.
    """
    info = tarfile.TarInfo(entry.path)
    info.mode = entry.permissions
    info.mtime = entry.mtime
    if entry.is_dir:
        info.type = tarfile.DIRTYPE
    elif entry.is_link:
        info.type, info.linkname = tarfile.SYMTYPE, entry.target
    elif link:
        info.type, info.linkname = tarfile.LNKTYPE, link
    else:
        info.size = entry.size
    if entry.capability:
        value = entry.capability.decode("utf-8", "surrogateescape")
        info.pax_headers = {f"SCHILY.xattr.{CAPABILITY}": value}
    return info


def write(selection: Selection, out: IO[bytes]) -> None:
    """Write ``selection`` to ``out``; the same selection gives the same bytes."""
    names: dict[tuple[int, int], str] = {}
    for entry in selection.entries:
        link = names.get(entry.inode, "") if entry.inode else ""
        info = header(entry, link=link)
        # Some readers do not support pax headers, so only files with capabilities have one.
        pax = entry.capability and not link
        form: Literal[1, 2] = tarfile.PAX_FORMAT if pax else tarfile.GNU_FORMAT
        out.write(info.tobuf(form, "utf-8", "surrogateescape"))
        if entry.is_file and not link:
            copy(entry, out)
            out.write(bytes(-entry.size % _BLOCK))
        if entry.inode and not link:
            names[entry.inode] = entry.path
    out.write(bytes(2 * _BLOCK))


def copy(entry: Entry, out: IO[bytes]) -> None:
    """Copy the content of a regular file to ``out``.

    Raise :class:`PrefixError` if the size differs from the selection's.
    """
    if entry.source is None:
        out.write(entry.content)
        return
    with entry.source.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == entry.size:
            shutil.copyfileobj(file, out, _CHUNK)
    if size != entry.size:
        raise changed(entry.source)


def make_tar(job: Job) -> None:
    with job.output.open("xb") as out:
        write(job.selection, out)
