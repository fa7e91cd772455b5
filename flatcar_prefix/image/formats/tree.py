# SPDX-License-Identifier: BSD-3-Clause
"""Trees of files: a temporary tree for tools that read a directory, and copies."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.image import selection
from flatcar_prefix.image.formats.job import Job, foreign_xattrs
from flatcar_prefix.image.selection import CAPABILITY, Entry, Selection
from flatcar_prefix.system import work_dirs

FICLONE = 0x40049409


def refuse_xattrs(path: Path) -> None:
    """Raise :class:`PrefixError` if a copy has other attributes, for example from SELinux."""
    if found := foreign_xattrs(path):
        raise PrefixError(
            f"this format ships all attributes of files, here also {', '.join(found)}",
            hint="Choose another format, such as ext4, which ships only capabilities.",
        )


TREE = ".sysext-"
"""The start of the names of temporary trees."""


@contextmanager
def tree(job: Job) -> Iterator[Path]:
    """Make a temporary tree of the selection for the context, with hard links if possible.

    The tree has copies of files on other file systems, and of files for which
    ``fs.protected_hardlinks`` forbids an ordinary user to make links.
    """
    parent = job.link_dir if job.link_dir and os.access(job.link_dir, os.W_OK) else job.scratch
    with work_dirs.workplace(parent, TREE) as path:
        path.chmod(0o755)
        plant(job.selection, path, how=lambda entry, to: link_or_clone(entry, to, job))
        os.utime(path, (job.epoch, job.epoch))
        if job.with_xattrs:
            for each in [path, *path.rglob("*")]:
                refuse_xattrs(each)
        yield path


def plant(selection: Selection, directory: Path, *, how: Callable[[Entry, Path], None]) -> None:
    """Make the files of ``selection`` in the empty directory ``directory``.

    ``how`` copies or links a regular file that has a source.
    """
    names: dict[tuple[int, int], Path] = {}
    for entry in selection.entries:
        path = directory / entry.path
        if entry.is_dir:
            path.mkdir()
        elif entry.is_link:
            path.symlink_to(entry.target)
            os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)
        elif entry.inode in names:
            os.link(names[entry.inode], path)
        elif entry.source is None:
            path.write_bytes(entry.content)
            set_metadata(entry, path)
        else:
            how(entry, path)
            if entry.inode:
                names[entry.inode] = path
    for entry in reversed(selection.entries):
        if entry.is_dir:
            set_metadata(entry, directory / entry.path)


def set_metadata(entry: Entry, path: Path) -> None:
    path.chmod(entry.permissions)
    os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))


def link_or_clone(entry: Entry, path: Path, job: Job) -> None:
    """Make a hard link to the file at ``path``; copy the file if that is not possible."""
    assert entry.source is not None
    try:
        if job.as_it_is(entry):
            os.link(entry.source, path, follow_symlinks=False)
            return
    except OSError:
        pass
    clone(entry, path)
    if entry.capability:
        os.setxattr(path, CAPABILITY, entry.capability)


def clone(entry: Entry, path: Path) -> None:
    """Copy the file to ``path``; the copy shares blocks if the file system can (FICLONE).

    Raise :class:`PrefixError` if the size differs from the selection's.
    """
    assert entry.source is not None
    with entry.source.open("rb") as source, path.open("xb") as target:
        try:
            fcntl.ioctl(target, FICLONE, source.fileno())
        except OSError:
            shutil.copyfileobj(source, target, 1 << 20)
    set_metadata(entry, path)
    if path.stat().st_size != entry.size:
        raise selection.changed(entry.source)
