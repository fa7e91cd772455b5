# SPDX-License-Identifier: BSD-3-Clause
"""Loads programs as glibc's loader will on the target, without running anything.

The rules are those of ld.so(8) and of ``elf/dl-load.c``: libraries are loaded breadth
first; a library that is there already, by the name asked for or by its soname, is not
searched again; RPATH counts where the requesting object has no RUNPATH, and that of
those who loaded the object counts too; then RUNPATH of the requesting object alone, the
cache, and the directories built into the loader. What only some processors find
(glibc-hwcaps) counts for nothing.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from flatcar_prefix.audit.elf import E_MACHINE, ET_DYN, Elf, ElfError, Source, read_elf
from flatcar_prefix.audit.ldcache import CacheError, read_cache
from flatcar_prefix.audit.tree import Resolver, Tree
from flatcar_prefix.boards import Board

# Of so many names and no more, since an expression keeps a note of each that it has seen.
_NAMES = rb"(?:/[A-Za-z0-9._+@%,=~-]{1,255}){1,128}"
_DIRECTORIES = re.compile(rb"\0(?:" + _NAMES + rb"/\0){1,128}")
_CACHE = re.compile(rb"\0(" + _NAMES + rb"/ld\.so\.cache)(?=\0)")
_PRELOAD = re.compile(rb"\0(" + _NAMES + rb"/ld\.so\.preload)(?=\0)")
_TOKEN = re.compile(r"\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM)(?![A-Za-z0-9_]))")

_MAX_LOADER = 16 << 20
_MAX_CACHE = 64 << 20
_HEAD = 1 << 15
_MAX_OBJECTS = 10_000
_MAX_SEARCHES = 1 << 16


@dataclass(frozen=True)
class BuiltIn:
    """What is written into a loader when it is compiled."""

    directories: tuple[str, ...] = ()
    cache: str | None = None
    preload: str | None = None


def built_in(data: bytes) -> BuiltIn:
    """Return what the loader whose bytes are ``data`` searches.

    The directories are strings with a slash at the end, one after another; the longest
    such row is taken, since lone strings of that form can occur by chance.
    """
    rows = (match.group().strip(b"\0").split(b"\0") for match in _DIRECTORIES.finditer(data))
    longest = max(rows, key=len, default=[])
    cache, preload = _CACHE.search(data), _PRELOAD.search(data)
    return BuiltIn(
        directories=tuple(dict.fromkeys(os.fsdecode(row.rstrip(b"/")) for row in longest)),
        cache=os.fsdecode(cache.group(1)) if cache else None,
        preload=os.fsdecode(preload.group(1)) if preload else None,
    )


def fits(elf: Elf, board: Board) -> bool:
    """Return whether the board's loader would take this file at all."""
    machine = E_MACHINE[board.elf_machine]
    return elf.machine == machine and elf.bits == 64 and elf.little


class Libraries:
    """Libraries read, the most recently used ones kept."""

    def __init__(self, resolver: Resolver, board: Board, *, keep: int = 2048) -> None:
        self._resolver = resolver
        self._board = board
        self._keep = keep
        self._known: OrderedDict[str, Elf | None] = OrderedDict()

    def get(self, path: str) -> Elf | None:
        """Return what is at ``path``, free of links; None where nothing can be loaded."""
        if path in self._known:
            self._known.move_to_end(path)
            return self._known[path]
        elf = self._read(path)
        self.put(path, elf)
        return elf

    def put(self, path: str, elf: Elf | None) -> None:
        """Remember a file that has been read anyway."""
        self._known[path] = elf
        if len(self._known) > self._keep:
            self._known.popitem(last=False)

    def _read(self, path: str) -> Elf | None:
        local = self._resolver.local(path)
        if local is None:
            return None
        try:
            fd = os.open(local, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            size = os.fstat(fd).st_size
            elf = read_elf(Source(fd, size, os.pread(fd, _HEAD, 0)))
        except (ElfError, OSError):
            return None
        finally:
            os.close(fd)
        return elf if elf.type == ET_DYN and fits(elf, self._board) else None


@dataclass(eq=False, slots=True)
class Loaded:
    """An object in the memory of a program."""

    path: str
    """As the loader opened it, which is what $ORIGIN goes by."""
    file: str
    """The same, free of links."""
    elf: Elf
    parent: Loaded | None = None


@dataclass(frozen=True)
class Fault:
    """A library that an object needs and will not have as it should."""

    kind: str
    """``missing``, ``version``, ``unversioned``, or ``endless`` for a program of which the
    rest was not looked at."""
    file: str
    """The object, free of links."""
    needed: str
    detail: str
    """Where the library is although the loader does not look there; or the version."""


class Loader:
    """The loader of a tree."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.resolver = Resolver(tree)
        self.libraries = Libraries(self.resolver, tree.board)
        self.path = f"{tree.eprefix}/{tree.board.loader}"
        resolved = self.resolver.resolve(self.path)
        self.file = resolved.path if resolved.ok else None
        """The loader, free of links; None where there is none."""
        self.built_in = self._built_in()
        self.cache_error = ""
        self.cache = self._cache()
        self._search = lru_cache(maxsize=8192)(self._search_directories)
        self._searches = _MAX_SEARCHES
        """How many are left to the program that is being loaded."""

    @property
    def usual_directories(self) -> tuple[str, ...]:
        """Where the prefix keeps its libraries, whatever the loader thinks."""
        directories = (self.tree.board.libdir, "lib")
        return tuple(f"{self.tree.eprefix}/{usr}{d}" for usr in ("", "usr/") for d in directories)

    def _built_in(self) -> BuiltIn:
        data = self._read(self.file, _MAX_LOADER)
        found = built_in(data) if data else BuiltIn()
        return found if found.directories else BuiltIn(self.usual_directories)

    def _cache(self) -> dict[str, str]:
        path = self.built_in.cache
        data = self._read(path, _MAX_CACHE) if path and self.tree.inside(path) else None
        if not data:
            return {}
        try:
            return read_cache(data)
        except CacheError as error:
            self.cache_error = str(error)
            return {}

    def _read(self, path: str | None, limit: int) -> bytes | None:
        resolved = self.resolver.resolve(path) if path else None
        local = self.resolver.local(resolved.path) if resolved and resolved.ok else None
        if local is None or not Path(local).is_file():
            return None
        try:
            with open(local, "rb") as file:
                return file.read(limit)
        except OSError:
            return None

    def expand(self, directory: str, path: str) -> str:
        """Return an element of a search path with what ld.so(8) replaces in it.

        ``path`` is that of the object whose search path it is.
        """
        board = self.tree.board
        values = {
            "ORIGIN": posixpath.dirname(path),
            "LIB": board.libdir,
            "PLATFORM": board.uname_machine,
        }
        return _TOKEN.sub(lambda match: values[match.group(1) or match.group(2)], directory)

    def load(
        self, path: str, elf: Elf, *, program: bool = True
    ) -> tuple[list[Loaded], list[Fault]]:
        """Return what is loaded with the object at ``path``, itself first, and what is wrong.

        A library is loaded as by ``dlopen`` in a program that has nothing but itself.
        """
        first = Loaded(path, path, elf, None if program else self._caller())
        main = first.parent or first
        objects = [first]
        by_name = {elf.soname: first} if elf.soname else {}
        by_file = {path: first}
        rtld = self._rtld()
        if rtld is not None and rtld.elf.soname and rtld.file != path:
            by_name[rtld.elf.soname] = by_file[rtld.file] = rtld
        missing: list[Fault] = []
        self._searches = _MAX_SEARCHES
        for requester in objects:
            for name in requester.elf.needed:
                if name in by_name:
                    continue
                self._searches -= 1
                found = self._find(name, requester, main)
                if self._searches < 0:
                    return objects, [*missing, Fault("endless", path, name, str(_MAX_SEARCHES))]
                if found is None:
                    detail = self._elsewhere(name)
                    missing.append(Fault("missing", requester.file, name, detail))
                    continue
                opened, file = found
                known = by_file.get(file)
                if known is None:
                    library = self.libraries.get(file)
                    if library is None:
                        continue
                    known = by_file[file] = Loaded(opened, file, library, requester)
                    if len(objects) < _MAX_OBJECTS:
                        objects.append(known)
                    if library.soname:
                        by_name.setdefault(library.soname, known)
                by_name[name] = known
        return objects, [*missing, *_version_faults(objects, by_name)]

    def _caller(self) -> Loaded | None:
        """Return a program of the prefix that might load a library; None for just any.

        With an imported C library all programs have the prefix's directories in their
        RPATH (those that have not are found wanting themselves), and it counts for what
        they load.
        """
        if self.tree.libc != "import":
            return None
        machine = E_MACHINE[self.tree.board.elf_machine]
        elf = Elf(machine, 64, True, ET_DYN, rpath=self.usual_directories)
        return Loaded(self.tree.eprefix, self.tree.eprefix, elf)

    def _rtld(self) -> Loaded | None:
        """Return the loader itself, which is in every program before anything else."""
        elf = self.libraries.get(self.file) if self.file else None
        return Loaded(self.path, self.file, elf) if elf and self.file else None

    def _find(self, name: str, requester: Loaded, main: Loaded) -> tuple[str, str] | None:
        """Return path and file of a library, by the order of ``_dl_map_object``."""
        if "/" in name:
            path = self.expand(name, requester.path)
            return self._candidate(path) if path.startswith("/") else None
        if requester.elf.runpath is None:
            for holder in _chain(requester, main):
                found = self._search_path(name, holder.elf.rpath, holder)
                if found:
                    return found
        else:
            found = self._search_path(name, requester.elf.runpath, requester)
            if found:
                return found
        cached = self.cache.get(name)
        if cached and not (requester.elf.nodeflib and self._is_default(cached)):
            found = self._candidate(cached)
            if found:
                return found
        if requester.elf.nodeflib:
            return None
        return self._search(name, self.built_in.directories)

    def _is_default(self, path: str) -> bool:
        return posixpath.dirname(path) in self.built_in.directories

    def _search_path(
        self, name: str, elements: tuple[str, ...] | None, holder: Loaded
    ) -> tuple[str, str] | None:
        if not elements or self._searches < 0:
            return None
        self._searches -= len(elements)
        return self._search(name, tuple(self.expand(e, holder.path) for e in elements))

    def _search_directories(
        self, name: str, directories: tuple[str, ...]
    ) -> tuple[str, str] | None:
        for directory in directories:
            if directory.startswith("/"):
                found = self._candidate(f"{directory.rstrip('/')}/{name}")
                if found:
                    return found
        return None

    def _candidate(self, path: str) -> tuple[str, str] | None:
        """Return what is at ``path`` when it lies in the prefix and can be loaded."""
        resolved = self.resolver.resolve(path)
        if not resolved.ok or not self.tree.inside(resolved.path):
            return None
        return (path, resolved.path) if self.libraries.get(resolved.path) else None

    def _elsewhere(self, name: str) -> str:
        """Return where a library usually is in the prefix, if it is there."""
        found = None if "/" in name else self._search(name, self.usual_directories)
        return found[0] if found else ""


def _chain(requester: Loaded, main: Loaded) -> Iterator[Loaded]:
    """Yield those whose RPATH counts for ``requester``: itself, its loaders, the program."""
    holder: Loaded | None = requester
    while holder is not None:
        if holder.elf.runpath is None:
            yield holder
        if holder is main:
            return
        holder = holder.parent
    if main.elf.runpath is None:
        yield main


def _version_faults(objects: list[Loaded], by_name: dict[str, Loaded]) -> Iterator[Fault]:
    for requester in objects:
        for name, version, weak in requester.elf.version_needs:
            library = by_name.get(name)
            if library is None or weak:
                continue
            defined = library.elf.version_definitions
            if defined is None:
                yield Fault("unversioned", requester.file, name, version)
            elif version not in defined:
                yield Fault("version", requester.file, name, version)
