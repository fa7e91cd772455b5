# SPDX-License-Identifier: BSD-3-Clause
"""The squashfs format."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.image.formats.job import Job
from flatcar_prefix.image.formats.tool import IMAGE, ROOT, finish, link_root, run, write_script
from flatcar_prefix.image.formats.tree import clone, refuse_xattrs, set_metadata
from flatcar_prefix.image.selection import CAPABILITY, Entry


def make_squashfs(job: Job) -> None:
    """Make a squashfs image with mksquashfs, which reads the files in the prefix.

    mksquashfs can also read a tar stream, but then sets the root to the current time.
    """
    link_root(job)
    write_script(job, "definitions", squashfs_definitions(job))
    argv = [
        *("mksquashfs", "-", IMAGE, "-pf", "definitions"),
        *(
            "-comp",
            "zstd",
            "-Xcompression-level",
            str(12 if job.level is None else job.level),
            "-b",
            "1M",
        ),
        *(
            "-mkfs-time",
            str(job.epoch),
            "-all-root",
            "-xattrs" if job.with_xattrs else "-no-xattrs",
        ),
        *("-noappend", "-no-exports", "-quiet", "-no-progress", "-exit-on-error"),
    ]
    run(job, argv)
    finish(job)


def squashfs_definitions(job: Job) -> Iterator[str]:
    """Yield the pseudo file definitions of the selection; see mksquashfs(1), 4.5 or newer.

    mksquashfs takes the mode and time of a regular file from the file itself. Therefore, a
    file with another time in the image is copied first. mksquashfs detects hard links.
    """
    yield f"/ D {job.epoch} 0755 0 0"
    for number, entry in enumerate(job.selection.entries):
        path = _escaped(entry.path)
        if entry.is_dir:
            yield f"{path} D {entry.mtime} 0{entry.permissions:o} 0 0"
        elif entry.is_link:
            yield f"{path} S {entry.mtime} 0777 0 0 {squashfs_target(entry)}"
        else:
            yield f"{path} l {_escaped(timed(entry, number, job))}"


def _escaped(path: str) -> str:
    return re.sub(r"[^A-Za-z0-9/._+\u0080-\U0010ffff-]", r"\\\g<0>", path)


def squashfs_target(link: Entry) -> str:
    """Return a symlink's target, which mksquashfs reads unquoted up to the end of the line.

    Raise :class:`PrefixError` for a target that starts with a space, which mksquashfs skips,
    or ends with a backslash, which joins the next line.
    """
    if link.target.startswith(" ") or link.target.endswith("\\"):
        raise PrefixError(
            f"the symlink {link.path} points to {link.target!r}, which mksquashfs cannot read",
            hint="Choose another format, or exclude the symlink with --exclude.",
        )
    return link.target


def timed(entry: Entry, number: int, job: Job) -> str:
    """Return the name of a file with the entry's content, mode and time.

    The name is relative to the scratch directory.
    """
    on_time = entry.source is not None and entry.source.stat().st_mtime_ns == entry.mtime_ns
    if on_time and job.as_it_is(entry):
        return f"{ROOT}/{entry.path}"
    name = f"content-{number}"
    file = job.scratch / name
    if entry.source is not None:
        clone(entry, file)
        if entry.capability:
            os.setxattr(file, CAPABILITY, entry.capability)
    else:
        file.write_bytes(entry.content)
        set_metadata(entry, file)
    if job.with_xattrs:
        refuse_xattrs(file)
    return name
