# SPDX-License-Identifier: BSD-3-Clause
"""The files under audit, by the names that they will have on the target machine."""

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
"""What Portage writes after a merge (``portage.util.env_update``); no package owns it."""

BESIDE_PREFIX = ("/usr/lib/extension-release.d/",)
"""What may lie in a root outside the prefix: what makes it a system extension."""

_MAX_LINKS = 40

MISSING, LOOP, OUTSIDE, UNREADABLE = "missing", "loop", "outside", "unreadable"


@dataclass(frozen=True)
class Tree:
    """A directory, and what its prefix is meant to be."""

    root: Path
    """ROOT: the directory that holds EPREFIX."""
    eprefix: str
    board: Board
    owners: Owners | None = None
    """Who owns which file; None where there are no installed packages."""
    forbidden_paths: tuple[str, ...] = ()
    """Directories of the build machine that nothing may name."""
    libc: str = "source"
    """``source`` or ``import``: whether the C library was built for this prefix."""
    layers: tuple[Path, ...] = ()
    """Further roots where files of other packages are found, and not audited."""
    config_protect: tuple[str, ...] = ("/etc",)
    """Below EPREFIX: where users may change what packages install."""
    shipped: frozenset[str] | None = None
    """What of the prefix is there, directories included, as paths of the target; None: all."""

    def __post_init__(self) -> None:
        try:
            there = (self.root / self.eprefix.lstrip("/")).is_dir()
        except PermissionError as error:
            raise PrefixError(
                f"{error.filename} cannot be read",
                hint="Run the audit as a user who may read it.",
            ) from None
        if not there:
            raise PrefixError(
                f"there is no {self.eprefix} in {self.root}",
                hint="Give the directory that holds the prefix, and --eprefix as in there.",
            )

    def local(self, path: str) -> str:
        """Return where a path of the target lies on this machine."""
        return os.fspath(self.root).rstrip("/") + path

    def inside(self, path: str) -> bool:
        return path == self.eprefix or path.startswith(self.eprefix + "/")

    def relative(self, path: str) -> str:
        """Return a path inside the prefix relative to EPREFIX."""
        return path[len(self.eprefix) + 1 :]

    def hidden(self, path: str) -> bool:
        """Return whether a path inside the prefix is not there once it is shipped."""
        return self.shipped is not None and path not in self.shipped and self.inside(path)

    def is_config(self, path: str) -> bool:
        return any(
            path.startswith(f"{self.eprefix}{protected}/") for protected in self.config_protect
        )


class Entry(NamedTuple):
    """A file, link or other thing that is no directory; ``error`` where it cannot be read."""

    path: str
    local: str
    mode: int
    size: int
    error: str = ""


class NotShipped(NamedTuple):
    """A file or directory that stays behind, and how many files that is, as far as can be read."""

    path: str
    files: int
    error: str = ""


class Closed(NamedTuple):
    """A directory that others than its owner and group cannot enter, or cannot list."""

    path: str
    mode: int

    @property
    def is_closed(self) -> bool:
        return self.mode & 0o005 != 0o005

    @property
    def how(self) -> str:
        return "listed" if self.mode & stat.S_IXOTH else "entered"


def walk(tree: Tree) -> Iterator[Entry | NotShipped | Closed]:
    """Yield everything in the prefix that is no directory, in order of names.

    Directories that are closed to others come too, each before what is in it.

    Holds one directory a level in memory, however large the tree.
    """

    def skip(path: str) -> bool:
        return tree.hidden(path) or bool(rule_of(tree.relative(path), STAYING))

    yield from _walk(tree, tree.eprefix, skip=skip)


def walk_beside(tree: Tree) -> Iterator[Entry]:
    """Yield what lies in the root outside the prefix. Nothing, for the root of a system."""
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
                if closed.is_closed:
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
    """Where a path leads on the target: ``path`` without links, or why it leads nowhere."""

    path: str
    failure: str = ""

    @property
    def ok(self) -> bool:
        return not self.failure


class Resolver:
    """Follows paths of the target as its kernel will, the layers lying over each other."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._roots = tuple(os.fspath(r).rstrip("/") for r in (tree.root, *tree.layers))
        self._directory = lru_cache(maxsize=4096)(self._slowly)
        self.resolve = lru_cache(maxsize=16384)(self._resolve)

    def local(self, path: str) -> str | None:
        """Return where a path without links lies on this machine; None where it does not."""
        for root in self._where(path):
            if os.path.lexists(root + path):
                return root + path
        return None

    def _where(self, path: str) -> tuple[str, ...]:
        return () if self.tree.hidden(path) else self._roots

    def lstat(self, path: str) -> os.stat_result | None:
        """Return the status of what is at ``path``, itself; None where nothing is."""
        for root in self._where(path):
            with suppress(OSError):
                return os.lstat(root + path)
        return None

    def _why(self, path: str) -> str:
        """Return why nothing is known of what is at ``path``."""
        for root in self._where(path):
            try:
                os.lstat(root + path)
            except PermissionError:
                return UNREADABLE
            except OSError:
                continue
        return MISSING

    def readlink(self, path: str) -> str:
        """Return the target of the link at ``path``; empty when it is none."""
        for root in self._where(path):
            with suppress(OSError):
                return os.readlink(root + path)
        return ""

    def _resolve(self, path: str) -> Resolved:
        """Return where ``path``, absolute, leads."""
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
        """Follow a path one name at a time, see path_resolution(7)."""
        above = self.tree.eprefix + "/"
        todo = path.split("/")[::-1]
        done: list[str] = []
        links = 0
        while todo:
            name = todo.pop()
            if name in ("", "."):
                continue
            if name == "..":
                done[-1:] = []
                continue
            here = "/" + "/".join([*done, name])
            if above.startswith(here + "/"):
                done.append(name)
                continue
            if not here.startswith(above):
                return Resolved("/".join([here, *todo[::-1]]), OUTSIDE)
            status = self.lstat(here)
            if status is None:
                return Resolved(here, self._why(here))
            if not stat.S_ISLNK(status.st_mode):
                done.append(name)
                continue
            links += 1
            if links > _MAX_LINKS:
                return Resolved(here, LOOP)
            target = self.readlink(here)
            if target.startswith("/"):
                done.clear()
            todo.extend(target.split("/")[::-1])
        return Resolved("/" + "/".join(done))
