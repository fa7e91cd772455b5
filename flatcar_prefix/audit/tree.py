# SPDX-License-Identifier: BSD-3-Clause
"""The audited files, with their paths on the target machine."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from flatcar_prefix.audit.vdb_owners import Owners
from flatcar_prefix.boards import Board
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.links import Unreachable, follow
from flatcar_prefix.prefix.not_shipped import STAYING, rule_of

GENERATED = frozenset(
    {
        "etc/csh.env",
        "etc/environment.d/10-gentoo-env.conf",
        "etc/ld.so.cache",
        "etc/ld.so.conf",
        "etc/profile.env",
        "usr/share/info/dir",
    }
)
"""Files that Portage writes after a merge (``portage.util.env_update``); no package owns them."""

IN_PATH = frozenset({"bin", "sbin", "libexec"})
"""The names of directories whose programs users and other programs start."""

BESIDE_PREFIX = ("/usr/lib/extension-release.d/",)
"""Directories that a root may contain outside the prefix; a system extension needs them."""

MISSING, OUTSIDE, UNREADABLE = "missing", "outside", "unreadable"


@dataclass(frozen=True)
class Tree:
    """A directory to audit, and the properties of its prefix."""

    root: Path
    """ROOT: the directory that holds EPREFIX."""
    eprefix: str
    board: Board
    owners: Owners | None = None
    """The owners of the files; None if the audit does not check owners."""
    forbidden_paths: tuple[str, ...] = ()
    """Directories of the build machine that no file may name."""
    libc: str = "source"
    """``source`` if the C library is built for this prefix, else ``import``."""
    environment: bool = False
    """Whether the audit checks what the environment of a caller can change in programs."""
    layers: tuple[Path, ...] = ()
    """Further roots with files of other packages; the audit does not check these files."""
    config_protect: tuple[str, ...] = ("/etc",)
    """Directories below EPREFIX where users may change installed files (CONFIG_PROTECT)."""
    shipped: frozenset[str] | None = None
    """The shipped paths of the target, directories included; None if all are shipped."""

    def __post_init__(self) -> None:
        try:
            there = (self.root / self.eprefix.lstrip("/")).is_dir()
        except PermissionError as error:
            raise PrefixError(
                f"{error.filename} cannot be read",
                hint="Run the audit as a user who can read it.",
            ) from None
        if not there:
            raise PrefixError(
                f"{self.root} does not contain a directory {self.eprefix}",
                hint="Pass the directory that contains the prefix, and its EPREFIX (--eprefix).",
            )

    def local(self, path: str) -> str:
        """Return the path on this machine of a path of the target."""
        return os.fspath(self.root).rstrip("/") + path

    def inside(self, path: str) -> bool:
        return path == self.eprefix or path.startswith(self.eprefix + "/")

    def relative(self, path: str) -> str:
        """Return a path inside the prefix relative to EPREFIX."""
        return path[len(self.eprefix) + 1 :]

    def hidden(self, path: str) -> bool:
        """Return whether a path is inside the prefix and not shipped."""
        return self.shipped is not None and path not in self.shipped and self.inside(path)

    def is_config(self, path: str) -> bool:
        return any(
            path.startswith(f"{self.eprefix}{protected}/") for protected in self.config_protect
        )


class Entry(NamedTuple):
    """A file, link or special file, or an unreadable directory; ``error`` says why."""

    path: str
    local: str
    mode: int
    size: int
    error: str = ""


class NotShipped(NamedTuple):
    """A file or directory that is not shipped, with the number of its readable files."""

    path: str
    files: int
    error: str = ""


class Closed(NamedTuple):
    """A directory with its mode; ``is_closed`` if others cannot enter or cannot list it.

    The walk yields only directories that are closed to others, or that others can write.

    Others are all users except the owner and the members of the group.
    """

    path: str
    mode: int

    @property
    def is_closed(self) -> bool:
        return self.mode & 0o005 != 0o005

    @property
    def is_writable(self) -> bool:
        """Whether others can replace its files; the sticky bit prevents that."""
        return bool(self.mode & stat.S_IWOTH and not self.mode & stat.S_ISVTX)

    @property
    def how(self) -> str:
        return "listed" if self.mode & stat.S_IXOTH else "entered"


def walk(tree: Tree) -> Iterator[Entry | NotShipped | Closed]:
    """Yield the entries of the prefix that are not directories, sorted by name.

    Also yield each directory that is closed to others, or that they can write, before its
    entries. The walk keeps one directory per level in memory.
    """

    def skip(path: str) -> bool:
        return tree.hidden(path) or bool(rule_of(tree.relative(path), STAYING))

    yield from _walk(tree, tree.eprefix, skip=skip)


def walk_beside(tree: Tree) -> Iterator[Entry]:
    """Yield the entries of the root outside the prefix; none if the root is ``/``."""
    if os.path.realpath(tree.root) != "/":
        for entry in _walk(tree, "", skip=lambda _: False, without=tree.eprefix):
            if isinstance(entry, Entry) and not entry.path.startswith(BESIDE_PREFIX):
                yield entry


def _walk(
    tree: Tree, start: str, *, skip: Callable[[str], bool], without: str = ""
) -> Iterator[Entry | NotShipped | Closed]:
    pending: list[Iterator[os.DirEntry[str]]] = []

    def enter(path: str) -> Entry | None:
        local = tree.local(path) or "/"
        try:
            with os.scandir(local) as entries:
                pending.append(iter(sorted(entries, key=lambda entry: entry.name)))
        except OSError as error:
            return Entry(path, local, stat.S_IFDIR, 0, error.strerror or str(error))
        return None

    cut = len(tree.local(""))
    failed = enter(start)
    if failed:
        yield failed
    while pending:
        item = next(pending[-1], None)
        if item is None:
            pending.pop()
            continue
        path = item.path[cut:] if cut else item.path
        is_dir = item.is_dir(follow_symlinks=False)
        if skip(path):
            yield _count(path, item.path) if is_dir else NotShipped(path, 1)
            continue
        if is_dir:
            with suppress(OSError):
                closed = Closed(path, item.stat(follow_symlinks=False).st_mode)
                if closed.is_closed or closed.is_writable:
                    yield closed
            if path != without and (failed := enter(path)):
                yield failed
            continue
        try:
            status = item.stat(follow_symlinks=False)
        except OSError as error:
            yield Entry(path, item.path, 0, 0, error.strerror or str(error))
            continue
        yield Entry(path, item.path, status.st_mode, status.st_size)


def _count(path: str, local: str) -> NotShipped:
    errors: list[OSError] = []
    files = sum(len(files) for _, _, files in os.walk(local, onerror=errors.append))
    return NotShipped(path, files, (errors[0].strerror or str(errors[0])) if errors else "")


class Resolved(NamedTuple):
    """The result of resolving a path: ``path`` without links, or the reason of a failure."""

    path: str
    failure: str = ""

    @property
    def ok(self) -> bool:
        return not self.failure


class Resolver:
    """Resolves paths of the target as its kernel does; the tree's root hides its layers."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._roots = tuple(os.fspath(r).rstrip("/") for r in (tree.root, *tree.layers))
        self._directory = lru_cache(maxsize=4096)(self._slowly)
        self.resolve = lru_cache(maxsize=16384)(self._resolve)

    def local(self, path: str) -> str | None:
        """Return the path on this machine of a path without links; None if it is missing."""
        for root in self._where(path):
            if os.path.lexists(root + path):
                return root + path
        return None

    def _where(self, path: str) -> tuple[str, ...]:
        return () if self.tree.hidden(path) else self._roots

    def lstat(self, path: str) -> os.stat_result | None:
        """Return the lstat(2) result of ``path``; None if it is missing or unreadable."""
        for root in self._where(path):
            with suppress(OSError):
                return os.lstat(root + path)
        return None

    def _why(self, path: str) -> str:
        """Return the reason why lstat(2) failed for ``path``."""
        for root in self._where(path):
            try:
                os.lstat(root + path)
            except PermissionError:
                return UNREADABLE
            except OSError:
                continue
        return MISSING

    def readlink(self, path: str) -> str:
        """Return the target of the link at ``path``; an empty string if it is not a link."""
        for root in self._where(path):
            with suppress(OSError):
                return os.readlink(root + path)
        return ""

    def _resolve(self, path: str) -> Resolved:
        """Resolve the absolute path ``path``."""
        directory, _, name = path.rpartition("/")
        if name in ("", ".", ".."):
            return self._slowly(path)
        parent = self._directory(directory or "/")
        if not parent.ok:
            return parent
        whole = f"{parent.path.rstrip('/')}/{name}"
        if not self.tree.inside(whole):
            return self._slowly(path)
        status = self.lstat(whole)
        if status is None:
            return Resolved(whole, self._why(whole))
        return self._slowly(whole) if stat.S_ISLNK(status.st_mode) else Resolved(whole)

    def _slowly(self, path: str) -> Resolved:
        """Resolve a path one name at a time."""
        end = follow(path, self._look)
        whole = f"{end.path}/{end.rest}" if end.rest and end.failure == OUTSIDE else end.path
        return Resolved(whole, end.failure)

    def _look(self, path: str) -> str | None:
        above = self.tree.eprefix + "/"
        if above.startswith(path + "/"):
            return None
        if not path.startswith(above):
            raise Unreachable(OUTSIDE)
        status = self.lstat(path)
        if status is None:
            raise Unreachable(self._why(path))
        return self.readlink(path) if stat.S_ISLNK(status.st_mode) else None
