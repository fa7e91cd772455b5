# SPDX-License-Identifier: BSD-3-Clause
"""Relocate all files of a directory tree."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from flatcar_prefix.relocate import bytecode, records
from flatcar_prefix.relocate.content import chunks, copy_attributes, examine, moved
from flatcar_prefix.relocate.journal import NAME, Journal
from flatcar_prefix.relocate.move import Move
from flatcar_prefix.system.files import temporary_beside

_CACHE = "__pycache__"
_COMPILED = ".pyc"
_NOT_BLOCKING = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass
class Result:
    """The numbers of a relocation."""

    files: int = 0
    """The files whose content changed, hard links counted once."""
    links: int = 0
    """The symbolic links whose target changed."""
    directories: int = 0
    """The directories that have another path."""
    size: int = 0
    """The bytes of all files that were read."""


def relocate_tree(root: Path, old: str, new: str) -> Result:
    """Change the EPREFIX ``old`` to ``new`` in all files, links and paths below ``root``.

    ``root`` holds the EPREFIX, as ROOT and D do. Modes, owners, times, extended attributes and
    hard links stay. A call after a killed one continues it; see
    :mod:`flatcar_prefix.relocate.journal`. Raise :class:`PrefixError` if ``new`` is longer than
    ``old``, and :class:`OSError` if a file cannot be read or written.
    """
    move = Move.of(old, new)
    if move.old == move.new:
        return Result()
    journal = Journal(root, move)
    finished = False
    try:
        result = _Tree(root, move, journal).relocate()
        finished = True
    finally:
        journal.close(finished=finished)
    os.utime(root, ns=journal.times[""])  # The journal was in it.
    return result


def relocate_file(path: Path, old: str, new: str) -> bool:
    """Change the EPREFIX ``old`` to ``new`` in one file; return whether the file changed.

    The file is replaced by a new one with its attributes, so that readers see one or the other.
    """
    move = Move.of(old, new)
    temporary = temporary_beside(path)
    with _opened(path) as source:
        content = examine(source, move)
        if not content.contains or move.old == move.new:
            return False
        try:
            _write(temporary, source, moved(source, content, move))
            temporary.rename(path)
        except BaseException:
            with suppress(FileNotFoundError):
                temporary.unlink()
            raise
    return True


def _opened(path: str | Path) -> BinaryIO:
    try:
        descriptor = os.open(path, _NOT_BLOCKING)
    except PermissionError:  # The owner, without capabilities, of a file with mode 4111.
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        Path(path).chmod(mode | stat.S_IRUSR)
        try:
            descriptor = os.open(path, _NOT_BLOCKING)
        finally:
            Path(path).chmod(mode)
    return os.fdopen(descriptor, "rb", buffering=0)


def _write(target: Path, source: BinaryIO, content: Iterator[bytes]) -> int:
    """Write a new file with the attributes of ``source``; return its size."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(content)
        file.flush()
        size = file.tell()
        copy_attributes(source.fileno(), descriptor)
    return size


class _Tree:
    """The relocation of one tree."""

    def __init__(self, root: Path, move: Move, journal: Journal) -> None:
        self.root = root
        self.move = move
        self.journal = journal
        self.result = Result()

    def relocate(self) -> Result:
        if self.journal.moves is None:
            last: list[tuple[str, os.stat_result]] = []
            for directory in self._directories():
                self._files(directory, last)
            # Byte code depends on its source, and a RECORD on all files.
            for path, status in sorted(last, key=lambda each: records.is_record(each[0])):
                self._file(path, status)
            self.journal.write("moves", self._to_move())
        for number, directory in enumerate(self.journal.moves or ()):
            if not self.journal.moved.get(number):
                self._move(number, directory)
        self._restore_times()
        return self.result

    def _directories(self) -> Iterator[str]:
        """Yield the paths of all directories below the root, relative to it."""
        pending = [""]
        while pending:
            directory = pending.pop()
            if directory == NAME:
                continue
            yield directory
            with os.scandir(os.path.join(self.root, directory)) as entries:
                names = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
            pending += [os.path.join(directory, name) for name in sorted(names, reverse=True)]

    def _files(self, directory: str, last: list[tuple[str, os.stat_result]]) -> None:
        """Change the files of a directory, but append those to ``last`` that depend on others."""
        with os.scandir(self.root / directory) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            status = entry.stat(follow_symlinks=False)
            path = os.path.join(directory, entry.name)
            if stat.S_ISLNK(status.st_mode):
                self._link(path, status)
            elif not stat.S_ISREG(status.st_mode):
                continue
            elif entry.name.endswith(_COMPILED) or records.is_record(path):
                last.append((path, status))
            else:
                self._file(path, status)

    def _link(self, path: str, status: os.stat_result) -> None:
        """Change the target of a symbolic link."""
        if status.st_ino in self.journal.done:
            return
        target = os.fsencode(os.readlink(os.path.join(self.root, path)))
        changed = self.move.replaced(target)
        if changed == target:
            return
        temporary = self.journal.temporary(status.st_ino)
        os.symlink(changed, temporary)
        self._copy_link_attributes(path, temporary, status)
        self._put(temporary, path)
        self.result.links += 1

    def _copy_link_attributes(self, path: str, target: Path, status: os.stat_result) -> None:
        if (os.geteuid(), os.getegid()) != (status.st_uid, status.st_gid):
            os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
        for name in os.listxattr(self.root / path, follow_symlinks=False):
            value = os.getxattr(self.root / path, name, follow_symlinks=False)
            os.setxattr(target, name, value, follow_symlinks=False)
        times = (status.st_atime_ns, status.st_mtime_ns)
        os.utime(target, ns=times, follow_symlinks=False)

    def _file(self, path: str, status: os.stat_result) -> None:
        """Change the content of a file, and give the new file all names of the old one."""
        if status.st_ino in self.journal.done:
            return
        if status.st_ino in self.journal.kept:
            self._put(self.journal.shared(status.st_ino), path, keep=True)
            return
        self.result.size += status.st_size
        if status.st_size == 0:
            return
        with _opened(os.path.join(self.root, path)) as source:
            content = self._changed(path, source, status)
            if content is None:
                return
            temporary = self.journal.temporary(status.st_ino)
            size = _write(temporary, source, content)
        if size != status.st_size:
            self.journal.write("resized", path, status.st_size, size)
        self.result.files += 1
        if status.st_nlink > 1:
            self.journal.write("done", temporary.lstat().st_ino)
            shared = self.journal.shared(status.st_ino)
            temporary.rename(shared)
            self.journal.kept.add(status.st_ino)
            self._put(shared, path, keep=True)
        else:
            self._put(temporary, path)

    def _changed(
        self, path: str, source: BinaryIO, status: os.stat_result
    ) -> Iterator[bytes] | None:
        """Return the new content of a file, or None if it does not change."""
        if records.is_record(path):
            return self._record(path, source)
        content = examine(source, self.move)
        if content.bytecode and path.endswith(_COMPILED):
            compiled = self._compiled(path, source)
            if compiled is not None:
                return iter((compiled,))
        return moved(source, content, self.move) if content.contains else None

    def _record(self, path: str, source: BinaryIO) -> Iterator[bytes] | None:
        """Return the RECORD of a Python distribution with the digests of its changed files."""
        site = os.path.dirname(os.path.dirname(path))

        def changed(name: str) -> bytes | None:
            file = os.path.join(self.root, os.path.normpath(f"/{site}/{name}").lstrip("/"))
            if name.startswith("/"):
                file = os.path.join(self.root, name.lstrip("/"))
            try:
                status = os.lstat(file)
            except OSError:
                return None
            return Path(file).read_bytes() if status.st_ino in self.journal.done else None

        content = b"".join(chunks(source))
        new = self.move.replaced(records.updated(content, changed))
        return None if new == content else iter((new,))

    def _compiled(self, path: str, source: BinaryIO) -> bytes | None:
        """Return the byte code of a source that changed; None if its source did not change."""
        script = source_of(path)
        sizes = self.journal.resized.get(script)
        if sizes is None:
            return None
        data = b"".join(chunks(source))
        mtime = int((self.root / script).stat().st_mtime)
        current = bytecode.is_current(data, mtime, sizes[0])
        if not current:
            return None  # Python does not use it.
        try:
            data = bytecode.rewritten(data, self.move.replaced)
        except bytecode.Unknown:
            data = self.move.replaced(data, padded=True, any_context=True)
        return bytecode.for_source(data, mtime, sizes[1])

    def _put(self, new: Path, path: str, *, keep: bool = False) -> None:
        """Rename ``new`` to the final path; ``keep`` it for further hard links."""
        self._keep_times(os.path.dirname(path))
        if keep:
            temporary = new.with_name(f"{new.name}.new")
            os.link(new, temporary)
            new = temporary
        else:
            self.journal.write("done", new.lstat().st_ino)
        new.rename(self.root / path)

    def _keep_times(self, directory: str) -> None:
        """Remember the times of a directory before its first change."""
        directory = "" if directory == "." else directory
        if directory not in self.journal.times:
            status = (self.root / directory).stat()
            self.journal.write("times", directory, status.st_atime_ns, status.st_mtime_ns)

    def _to_move(self) -> list[str]:
        """Return the directories whose path ends with the old EPREFIX, deepest first."""
        ending = os.fsdecode(self.move.old)
        found = [d for d in self._directories() if f"/{d}".endswith(ending)]
        return found[::-1]

    def _move(self, number: int, directory: str) -> None:
        """Move one directory from the old EPREFIX to the new one."""
        old, new = os.fsdecode(self.move.old), os.fsdecode(self.move.new)
        above = f"/{directory}"[: -len(old)].lstrip("/")
        target = self.root / above / new.lstrip("/")
        aside = self.journal.directory / f"tree-{number}"
        self._keep_times(os.path.dirname(directory))
        self._keep_times(os.fspath(_existing(target.parent).relative_to(self.root)))
        self.journal.write("begin", number)
        if not aside.exists():
            if (self.root / directory).is_dir():
                (self.root / directory).rename(aside)
            self._remove_empty(above, directory)
        if aside.exists():
            self._merge(aside, target)
        self.result.directories += 1
        self.journal.write("end", number)

    def _remove_empty(self, above: str, directory: str) -> None:
        """Remove the parents of the moved directory that are empty now."""
        parent = os.path.dirname(directory)
        while parent != above:
            self._keep_times(os.path.dirname(parent))
            try:
                (self.root / parent).rmdir()
            except OSError:
                return
            parent = os.path.dirname(parent)

    def _merge(self, source: Path, target: Path) -> None:
        """Move ``source`` to ``target``; if both are directories, move what is in it."""
        if not target.is_dir() or target.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
            return
        for entry in list(source.iterdir()):
            self._merge(entry, target / entry.name)
        status = source.stat()
        os.chown(target, status.st_uid, status.st_gid)
        target.chmod(status.st_mode & 0o7777)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        source.rmdir()

    def _restore_times(self) -> None:
        """Give changed directories their former times."""
        for directory, times in self.journal.times.items():
            path = self.root / os.fsdecode(self.move.replaced(os.fsencode(f"/{directory}")))[1:]
            with suppress(FileNotFoundError):
                os.utime(path, ns=times)


def _existing(directory: Path) -> Path:
    """Return the nearest directory above that exists, or the directory itself."""
    return next(path for path in (directory, *directory.parents) if path.is_dir())


def source_of(compiled: str) -> str:
    """Return the source of byte code, see ``importlib.util.source_from_cache``."""
    directory, name = os.path.split(compiled)
    if os.path.basename(directory) == _CACHE:
        return os.path.join(os.path.dirname(directory), name.partition(".")[0] + ".py")
    return os.path.join(directory, name.removesuffix(_COMPILED) + ".py")
