# SPDX-License-Identifier: BSD-3-Clause
"""Directory trees, opened once and removed through their descriptors.

No path is resolved between the check of a directory and its removal. So the removal never
reaches a directory that another process creates under the same name in the meantime.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Opened:
    """An open directory, its name, and the open directory above it."""

    path: Path
    parent: int
    descriptor: int

    @property
    def name(self) -> str:
        return self.path.name

    def read(self, name: str, *, limit: int) -> bytes | None:
        """Return the content of a regular file in the directory; ``None`` without one.

        A file of more than ``limit`` bytes is cut off after them.
        """
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=self.descriptor)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            try:
                return file.read(limit)
            except OSError:  # a directory
                return None

    def is_at_its_path(self) -> bool:
        """Return whether the directory still has its name in the directory above."""
        try:
            there = os.stat(self.name, dir_fd=self.parent, follow_symlinks=False)
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self.descriptor))

    def names(self) -> list[str]:
        """Return the names in the directory."""
        return sorted(os.listdir(self.descriptor))


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open a directory; raise ``OSError`` if there is none, or a symbolic link."""
    above = os.open(os.path.realpath(path.parent), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = os.open(path.name, _DIRECTORY, dir_fd=above)
        try:
            yield Opened(path, above, descriptor)
        finally:
            os.close(descriptor)
    finally:
        os.close(above)


@dataclass
class Removed:
    """The amount that was removed."""

    files: int = 0
    bytes: int = 0


class OtherFileSystem(Exception):
    """A tree contains a directory of another file system."""


def check_devices(tree: Opened, look: Callable[[str, Collection[str]], None]) -> None:
    """Raise :class:`OtherFileSystem` unless all directories of the tree are on one device.

    ``look`` gets each directory's path, relative to the tree, with the names of its files.
    Only directories are compared: on overlayfs a file may have the device of a lower layer.
    """
    device = os.fstat(tree.descriptor).st_dev
    for where, _, files, descriptor in os.fwalk(".", dir_fd=tree.descriptor):
        if os.fstat(descriptor).st_dev != device:
            raise OtherFileSystem(os.path.normpath(where))
        look(os.path.normpath(where), files)


def remove_contents(tree: Opened, *, last: Collection[str] = ()) -> Removed:
    """Remove all entries of ``tree``; remove the files ``last`` at the end, in their order.

    No symbolic link is followed, and no other file system is entered.
    """
    removed = Removed()
    device = os.fstat(tree.descriptor).st_dev
    for where, directories, files, descriptor in os.fwalk(
        ".", topdown=False, dir_fd=tree.descriptor
    ):
        if os.fstat(descriptor).st_dev != device:
            raise OtherFileSystem(os.path.normpath(where))
        _make_writable(descriptor)
        top = where == "."
        for name in files:
            if not (top and name in last):
                _unlink(name, descriptor, removed)
        for name in directories:
            try:
                os.rmdir(name, dir_fd=descriptor)
            except NotADirectoryError:  # a link to a directory
                _unlink(name, descriptor, removed)
    for name in last:
        try:
            _unlink(name, tree.descriptor, removed)
        except FileNotFoundError:
            continue
    return removed


def remove_itself(tree: Opened) -> None:
    """Remove the empty directory, unless another directory now has its name."""
    if tree.is_at_its_path():
        os.rmdir(tree.name, dir_fd=tree.parent)


def _make_writable(descriptor: int) -> None:
    """Let an owner who is not root remove the entries of a read-only directory."""
    status = os.fstat(descriptor)
    if status.st_uid == os.geteuid() != 0 and status.st_mode & 0o300 != 0o300:
        os.fchmod(descriptor, status.st_mode & 0o7777 | 0o700)


def _unlink(name: str, descriptor: int, removed: Removed) -> None:
    status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
    os.unlink(name, dir_fd=descriptor)
    removed.files += 1
    if status.st_nlink == 1:
        removed.bytes += status.st_blocks * 512


Canonical = tuple[str, str]
"""A device, and a path within its file system."""


def canonical(path: Path, *, mountinfo: bytes | None = None) -> Canonical:
    """Return the location of ``path``, which is equal for all links and bind mounts to it.

    The path need not exist. See proc(5) for mountinfo.
    """
    real = os.fsencode(os.path.realpath(path))
    text = Path("/proc/self/mountinfo").read_bytes() if mountinfo is None else mountinfo
    best: tuple[bytes, bytes, bytes] = (b"", b"/", b"/")
    for device, root, point in mounts(text):
        if is_below(real, point) and len(point) >= len(best[2]):
            best = (device, root, point)
    device, root, point = best
    rest = real[len(point) :].strip(b"/")
    inside = b"/".join(filter(None, (root.strip(b"/"), rest)))
    return os.fsdecode(device), "/" + os.fsdecode(inside)


def mounts(mountinfo: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield device, root and mount point; white space and backslashes are octal in them."""
    for line in mountinfo.rstrip(b"\n").split(b"\n"):
        words = line.split(b" ")
        if len(words) > 4:
            yield words[2], _unescaped(words[3]), _unescaped(words[4])


def _unescaped(word: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), word)


def is_below(path: bytes, directory: bytes) -> bool:
    """Return whether ``path`` is ``directory`` or is inside it."""
    return path == directory or path.startswith(directory.rstrip(b"/") + b"/")


def overlap(one: Path, other: Path) -> bool:
    """Return whether one of two directories contains the other, through any link or mount."""
    (device, path), (other_device, other_path) = canonical(one), canonical(other)
    a, b = os.fsencode(path), os.fsencode(other_path)
    return device == other_device and (is_below(a, b) or is_below(b, a))


def disk_use(path: Path) -> int:
    """Return the bytes that a file or tree occupies on its disk; each file counts once.

    Parts that this user cannot read, or that disappear, count as nothing.
    """
    seen: set[tuple[int, int]] = set()
    total = 0
    todo = [os.fspath(path)]
    while todo:
        one = todo.pop()
        with suppress(OSError):
            state = os.lstat(one)
            if (key := (state.st_dev, state.st_ino)) in seen:
                continue
            seen.add(key)
            total += state.st_blocks * 512
            if stat.S_ISDIR(state.st_mode):
                todo += [os.path.join(one, name) for name in os.listdir(one)]
    return total


def spelled_size(size: int) -> str:
    """Return a size for messages, such as ``12.3 MiB``."""
    number = float(size)
    for unit in ("bytes", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"
