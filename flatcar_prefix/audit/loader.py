# SPDX-License-Identifier: BSD-3-Clause
"""A model of glibc's loader on the target; it does not run any program.

The rules are those of ld.so(8) and of ``elf/dl-load.c``:

- The loader loads libraries breadth first.
- The loader does not search for a library that is already loaded under the requested name
  or its soname.
- If the requesting object has no RUNPATH, the loader searches the RPATH of the object, of
  the objects that loaded it, and of the program. Otherwise it searches the object's RUNPATH.
- Then the loader searches the cache and the directories built into it.

The model ignores glibc-hwcaps directories, because only some processors use them.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from flatcar_prefix.audit.elf import (
    E_MACHINE,
    ELFOSABI_GNU,
    ELFOSABI_SYSV,
    ET_DYN,
    ET_EXEC,
    Elf,
    ElfError,
    Source,
    read_elf,
)
from flatcar_prefix.audit.ldcache import CacheError, read_cache
from flatcar_prefix.audit.tree import Resolver, Tree
from flatcar_prefix.boards import Board

# The repetitions are bounded, because the matcher keeps state for each one.
_NAMES = rb"(?:/[A-Za-z0-9._+@%,=~-]{1,255}){1,128}"
_DIRECTORIES = re.compile(rb"\0(?:" + _NAMES + rb"/\0){1,128}")
_CACHE = re.compile(rb"\0(" + _NAMES + rb"/ld\.so\.cache)(?=\0)")
_PRELOAD = re.compile(rb"\0(" + _NAMES + rb"/ld\.so\.preload)(?=\0)")
_OWN_VARIABLES = b"\0LD_PREFIX_VARIABLES\0"
"""The name in the list of variables that a setuid program ignores, see the patch of glibc."""
_TOKEN = re.compile(r"\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM)(?![A-Za-z0-9_]))")

_MAX_LOADER = 16 << 20
_MAX_CACHE = 64 << 20
_HEAD = 1 << 15
_MAX_OBJECTS = 10_000
_MAX_SEARCHES = 1 << 16


@dataclass(frozen=True)
class BuiltIn:
    """The search directories and file names that are compiled into a loader."""

    directories: tuple[str, ...] = ()
    cache: str | None = None
    preload: str | None = None
    own_variables: bool = False
    """Whether LD_LIBRARY_PATH and similar variables of a caller have no effect."""


def built_in(data: bytes) -> BuiltIn:
    """Return the built-in directories and files of the loader with the bytes ``data``.

    The directories are consecutive strings that end with a slash. This function uses the
    longest such sequence, because single strings of this form can occur by chance.
    """
    rows = (match.group().strip(b"\0").split(b"\0") for match in _DIRECTORIES.finditer(data))
    longest = max(rows, key=len, default=[])
    cache, preload = _CACHE.search(data), _PRELOAD.search(data)
    return BuiltIn(
        directories=tuple(dict.fromkeys(os.fsdecode(row.rstrip(b"/")) for row in longest)),
        cache=os.fsdecode(cache.group(1)) if cache else None,
        preload=os.fsdecode(preload.group(1)) if preload else None,
        own_variables=_OWN_VARIABLES in data,
    )


def fits(elf: Elf, board: Board) -> bool:
    """Return whether the machine, class and byte order match the board."""
    machine = E_MACHINE[board.elf_machine]
    return elf.machine == machine and elf.bits == 64 and elf.little


class Libraries:
    """A cache of the most recently used libraries.

    A file that the loader refuses has the reason in place of its data. The loader skips files
    for other machines in its search, but stops at any other file that is not a library.
    """

    def __init__(self, resolver: Resolver, board: Board, *, keep: int = 2048) -> None:
        self._resolver = resolver
        self._board = board
        self._keep = keep
        self._known: OrderedDict[str, Elf | str] = OrderedDict()

    def get(self, path: str) -> Elf | None:
        """Return the library at ``path``, which contains no links; None if it cannot load."""
        known = self._look_up(path)
        return None if isinstance(known, str) else known

    def refusal(self, path: str) -> str:
        """Return why the loader's search stops at ``path``; empty if it loads or skips it."""
        known = self._look_up(path)
        return known if isinstance(known, str) else ""

    def any(self, path: str) -> Elf | None:
        """Return the library or program at ``path``; None if it is broken."""
        try:
            return self._open(path)
        except (ElfError, OSError):
            return None

    def _look_up(self, path: str) -> Elf | str:
        if path in self._known:
            self._known.move_to_end(path)
            return self._known[path]
        elf = self._read(path)
        self.put(path, elf)
        return elf

    def put(self, path: str, elf: Elf | str) -> None:
        """Add a file that the caller has already read."""
        self._known[path] = elf
        if len(self._known) > self._keep:
            self._known.popitem(last=False)

    def _read(self, path: str) -> Elf | str:
        try:
            elf = self._open(path)
        except ElfError as error:
            return str(error)
        except OSError:
            return ""
        return refused(elf) if fits(elf, self._board) else ""

    def _open(self, path: str) -> Elf:
        local = self._resolver.local(path)
        if local is None:
            raise FileNotFoundError(path)
        fd = os.open(local, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            size = os.fstat(fd).st_size
            return read_elf(Source(fd, size, os.pread(fd, _HEAD, 0)))
        finally:
            os.close(fd)


def refused(elf: Elf) -> Elf | str:
    """Return a file that fits the board, or why the loader refuses it as a library."""
    if elf.type != ET_DYN or elf.pie:
        return "it is not a library" if elf.type not in (ET_DYN, ET_EXEC) else "it is a program"
    if not elf.dynamic:
        return "it has no dynamic section"
    return elf.truncated or other_abi(elf) or elf


def other_abi(elf: Elf) -> str:
    """Return why glibc refuses the ABI in a file's header (``open_verify`` in elf/dl-load.c)."""
    system, version = elf.abi
    if system not in (ELFOSABI_SYSV, ELFOSABI_GNU):
        return f"it is for the system with the OS ABI {system}"
    if version and system == ELFOSABI_SYSV:
        return f"it has the ABI version {version}"
    return ""


@dataclass(eq=False, slots=True)
class Loaded:
    """An object in the memory of a program."""

    path: str
    """The path that the loader opens; it determines $ORIGIN."""
    file: str
    """The same path with all links resolved."""
    elf: Elf
    parent: Loaded | None = None


@dataclass(frozen=True)
class Fault:
    """A library or symbol version that an object needs and does not get."""

    kind: str
    """``missing``, ``refused``, ``version`` or ``unversioned``; ``endless`` if the search
    limit is exceeded and the rest of the program is not checked."""
    file: str
    """The path of the object with all links resolved."""
    needed: str
    detail: str
    """For ``missing``, the library's path outside the search directories, or an empty string.

    For ``refused``, the library's path and the reason. For ``version`` and ``unversioned``,
    the version. For ``endless``, the search limit.
    """


class Loader:
    """The loader of a tree."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.resolver = Resolver(tree)
        self.libraries = Libraries(self.resolver, tree.board)
        self.path = f"{tree.eprefix}/{tree.board.loader}"
        resolved = self.resolver.resolve(self.path)
        self.file = resolved.path if resolved.ok else None
        """The path of the loader with all links resolved; None if it does not exist."""
        self.built_in = self._built_in()
        self.cache_error = ""
        self.cache = self._cache()
        self._search = lru_cache(maxsize=8192)(self._search_directories)
        self._searches = _MAX_SEARCHES
        """The remaining number of searches for the current program."""

    @property
    def usual_directories(self) -> tuple[str, ...]:
        """The library directories of the prefix, independent of the loader's directories."""
        directories = (self.tree.board.libdir, "lib")
        return tuple(f"{self.tree.eprefix}/{usr}{d}" for usr in ("", "usr/") for d in directories)

    def _built_in(self) -> BuiltIn:
        data = self.read(self.file, _MAX_LOADER)
        found = built_in(data) if data else BuiltIn()
        return found if found.directories else replace(found, directories=self.usual_directories)

    def _cache(self) -> dict[str, str]:
        path = self.built_in.cache
        data = self.read(path, _MAX_CACHE) if path and self.tree.inside(path) else None
        if not data:
            return {}
        try:
            return read_cache(data)
        except CacheError as error:
            self.cache_error = str(error)
            return {}

    def read(self, path: str | None, limit: int) -> bytes | None:
        """Return the start of a file of the prefix; None if it cannot be read."""
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
        """Return a search path element with the tokens of ld.so(8) expanded.

        ``path`` is the path of the object that has the search path.
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
        """Load the object at ``path``; return the loaded objects, itself first, and the faults.

        If ``program`` is false, the object is a library. The model then loads it as
        ``dlopen`` does in a program that has loaded no other library.
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
                        why = f"{opened}: {self.libraries.refusal(file)}"
                        missing.append(Fault("refused", requester.file, name, why))
                        continue
                    known = by_file[file] = Loaded(opened, file, library, requester)
                    if len(objects) < _MAX_OBJECTS:
                        objects.append(known)
                    if library.soname:
                        by_name.setdefault(library.soname, known)
                by_name[name] = known
        return objects, [*missing, *_version_faults(objects, by_name)]

    def _caller(self) -> Loaded | None:
        """Return a typical program of the prefix that loads a library; None without one.

        With an imported C library, all programs have the prefix's library directories in
        their RPATH, which applies to the libraries that they load, too. The checks report
        programs that lack this RPATH.
        """
        if self.tree.libc != "import":
            return None
        machine = E_MACHINE[self.tree.board.elf_machine]
        elf = Elf(machine, 64, True, ET_DYN, rpath=self.usual_directories)
        return Loaded(self.tree.eprefix, self.tree.eprefix, elf)

    def _rtld(self) -> Loaded | None:
        """Return the loader itself, which the kernel maps into each program first."""
        elf = self.libraries.get(self.file) if self.file else None
        return Loaded(self.path, self.file, elf) if elf and self.file else None

    def _find(self, name: str, requester: Loaded, main: Loaded) -> tuple[str, str] | None:
        """Return path and file of a library in the search order of ``_dl_map_object``."""
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
        """Return path and file of a loadable library of the prefix at ``path``, or None."""
        resolved = self.resolver.resolve(path)
        if not resolved.ok or not self.tree.inside(resolved.path):
            return None
        libraries, file = self.libraries, resolved.path
        return (path, file) if libraries.get(file) or libraries.refusal(file) else None

    def finds(self, name: str) -> bool:
        """Return whether the loader loads a library for any program, as with a preload list."""
        if "/" in name:
            found = self._candidate(name)
        elif cached := self.cache.get(name):
            found = self._candidate(cached)
        else:
            found = self._search(name, (*self.built_in.directories, *self.usual_directories))
        return found is not None and self.libraries.get(found[1]) is not None

    def _elsewhere(self, name: str) -> str:
        """Return the path of a library in the prefix's library directories, or an empty string."""
        found = None if "/" in name else self._search(name, self.usual_directories)
        return found[0] if found else ""


def _chain(requester: Loaded, main: Loaded) -> Iterator[Loaded]:
    """Yield the objects whose RPATH applies: ``requester``, its loaders, the program."""
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
