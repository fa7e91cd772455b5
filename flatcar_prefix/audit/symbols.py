# SPDX-License-Identifier: BSD-3-Clause
"""The dynamic symbols of ELF files, resolved as glibc's loader does with LD_BIND_NOW.

A symbol is its name, or ``name@version``. A defined symbol without a version satisfies a
request for any version (``check_match`` in ``elf/dl-lookup.c``). Weak symbols may stay
undefined.
"""

from __future__ import annotations

import os
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from flatcar_prefix.audit.elf import Elf, ElfError, Source, Tables
from flatcar_prefix.audit.loader import Loaded, Loader

_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_GNU_HASH = struct.Struct("<IIII")
_GLOBAL, _WEAK, _UNIQUE = 1, 2, 10
_DEFINED = (_GLOBAL, _WEAK, _UNIQUE)
_HIDDEN = (1, 2)
_MAX_SYMBOLS = 1 << 20
_MAX_STRINGS = 64 << 20
_NONE: frozenset[bytes] = frozenset()
_KEEP = 512
"""The number of libraries whose exported symbols stay in memory."""

_T = TypeVar("_T")

Symbols = frozenset[bytes]


class Exports(NamedTuple):
    """The symbols that a file defines for others."""

    symbols: Symbols
    """Names; in a file with versions, also ``name@version`` or ``name@`` for each."""
    versioned: bool

    def define(self, symbol: bytes) -> bool:
        """Return whether the file defines ``symbol``."""
        if symbol in self.symbols:
            return True
        name, at, _ = symbol.partition(b"@")
        return bool(at) and (name + at if self.versioned else name) in self.symbols


class Unresolved(NamedTuple):
    """The symbols that no loaded object defines for an object."""

    file: str
    symbols: Symbols
    at_once: bool
    """Whether the loader needs one of them before the program starts, without LD_BIND_NOW."""
    alone: bool = False
    """Whether the object is a library that no program of the prefix is linked against."""


class Resolution:
    """Resolves the symbols of loaded objects; caches the tables of the libraries."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._needs: OrderedDict[str, Symbols] = OrderedDict()
        self._exports: OrderedDict[str, Exports] = OrderedDict()
        self._providers: dict[str, frozenset[str]] = {}
        """The files that last defined all symbols of a library."""

    def unresolved(self, objects: list[Loaded]) -> Iterator[Unresolved]:
        """Yield the objects with symbols that no object defines; the program comes first."""
        rtld = self._loader.file
        scope = [each.file for each in objects[1:]] + ([rtld] if rtld else []) + [objects[0].file]
        elfs = {each.file: each.elf for each in objects}
        files = frozenset(scope)
        for each in objects:
            known = self._providers.get(each.file)
            if known is not None and known <= files:
                continue
            missing, used = self._resolve(self.needs(each.file, each.elf), scope, elfs)
            if missing and (referenced := self._referenced(each, missing)):
                now = objects[0].elf.bind_now or each.elf.bind_now
                yield Unresolved(each.file, referenced[0], now or referenced[1])
            elif not missing and each is not objects[0]:
                self._providers[each.file] = used

    def undefined(self, symbols: Iterable[bytes], files: Iterable[str]) -> Symbols:
        """Return the symbols that none of the files defines, whether programs or libraries."""
        wanted = frozenset(symbols)
        hashes = _hashes(wanted)
        for file in files:
            if not wanted:
                break
            elf = self._loader.libraries.any(file)
            if elf is None or hashes.isdisjoint(self._read(file, elf, read_hashes)):
                continue
            exports = self.exports(file, elf)
            wanted = frozenset(each for each in wanted if not exports.define(each))
            hashes = _hashes(wanted)
        return wanted

    def _resolve(
        self, missing: Symbols, scope: list[str], elfs: dict[str, Elf]
    ) -> tuple[Symbols, frozenset[str]]:
        used = set()
        for file in scope:
            if not missing:
                break
            rest = missing - self.exports(file, elfs.get(file)).symbols
            if len(rest) < len(missing):
                used.add(file)
                missing = rest
        for file in scope if missing else ():
            exports = self.exports(file, elfs.get(file))
            rest = frozenset(each for each in missing if not exports.define(each))
            if len(rest) < len(missing):
                used.add(file)
                missing = rest
        return missing, frozenset(used)

    def needs(self, file: str, elf: Elf) -> Symbols:
        """Return the undefined symbols of a file that are not weak."""
        if file in self._needs:
            return self._needs[file]
        symbols = self._read(file, elf, read_needs)
        _keep(self._needs, file, symbols)
        return symbols

    def exports(self, file: str, elf: Elf | None = None) -> Exports:
        """Return the symbols that a file defines for others."""
        if file in self._exports:
            self._exports.move_to_end(file)
            return self._exports[file]
        elf = elf or self._loader.libraries.get(file)
        symbols = self._read(file, elf, read_exports) if elf else _NONE
        exports = Exports(symbols, bool(elf and elf.tables and elf.tables.versions))
        _keep(self._exports, file, exports)
        return exports

    def _read(
        self, file: str, elf: Elf, read: Callable[[Source, Tables], frozenset[_T]]
    ) -> frozenset[_T]:
        """Return the result of a reader for an open file; nothing for a broken table."""
        local = self._loader.resolver.local(file)
        if elf.tables is None or local is None:
            return frozenset()
        try:
            fd = os.open(local, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return frozenset()
        try:
            return read(Source(fd, os.fstat(fd).st_size, b""), elf.tables)
        except (ElfError, OSError, struct.error):
            return frozenset()
        finally:
            os.close(fd)

    def _referenced(self, each: Loaded, missing: Symbols) -> tuple[Symbols, bool] | None:
        """Return the missing symbols that a relocation uses, and whether one is needed at once.

        A symbol without a relocation stays in the table and is never looked up.
        """
        at_once = self._relocated(each, missing, lambda tables: tables.relocations)
        later = self._relocated(each, missing, lambda tables: tables.plt)
        return (at_once | later, bool(at_once)) if at_once or later else None

    def _relocated(
        self, each: Loaded, missing: Symbols, where: Callable[[Tables], tuple[int, int]]
    ) -> Symbols:
        def read(source: Source, tables: Tables) -> Symbols:
            offset, size = where(tables)
            data = source.take(offset, min(size, _MAX_STRINGS) // 24 * 24, "the relocations")
            indices = {info >> 32 for _, info, _ in _RELOCATION.iter_unpack(data)} - {0}
            count = max(indices, default=-1) + 1
            named = _named(source, tables, 0, min(count, _MAX_SYMBOLS))
            return frozenset(symbol for index, _, _, symbol in named if index in indices) & missing

        return self._read(each.file, each.elf, read)


def _keep(cache: OrderedDict[str, _T], file: str, value: _T) -> None:
    cache[file] = value
    if len(cache) > _KEEP:
        cache.popitem(last=False)


def read_needs(source: Source, tables: Tables) -> Symbols:
    """Return the undefined symbols that are not weak; raise :class:`ElfError` if broken."""
    _, undefined, count = _extent(source, tables)
    named = _named(source, tables, 1, undefined or count)
    return frozenset(
        symbol for _, section, binding, symbol in named if not section and binding == _GLOBAL
    )


def read_exports(source: Source, tables: Tables) -> Symbols:
    """Return the symbols that other files can use; raise :class:`ElfError` if broken."""
    first, _, count = _extent(source, tables)
    found: set[bytes] = set()
    add, versioned = found.add, bool(tables.versions)
    for _, section, binding, symbol in _named(source, tables, first, count):
        if section and binding in _DEFINED:
            add(symbol)
            if versioned:
                name, at, _ = symbol.partition(b"@")
                add(name if at else name + b"@")
    return frozenset(found)


def read_hashes(source: Source, tables: Tables) -> frozenset[int]:
    """Return the hashes in DT_GNU_HASH; a file with only DT_HASH has all hashes of its names.

    The last bit of a hash in the table is not part of it.
    """
    if not tables.gnu_hash:
        return _hashes(read_exports(source, tables))
    first, _, count = _extent(source, tables)
    if not first:
        return frozenset()
    buckets, _, bloom, _ = _GNU_HASH.unpack(source.take(tables.gnu_hash, 16, "the hash table"))
    at = tables.gnu_hash + _GNU_HASH.size + 8 * bloom + 4 * buckets
    size = count - first
    return frozenset(struct.unpack(f"<{size}I", source.take(at, 4 * size, "the hash table")))


def _hashes(symbols: Iterable[bytes]) -> frozenset[int]:
    """Return the GNU hashes of names, each with both values of the last bit."""
    found = set()
    for symbol in symbols:
        value = 5381
        for byte in symbol.partition(b"@")[0]:
            value = (value * 33 + byte) & 0xFFFFFFFF
        found |= {value & ~1, value | 1}
    return frozenset(found)


def _extent(source: Source, tables: Tables) -> tuple[int, int, int]:
    """Return the first exported symbol, the end of the undefined ones (0: unknown), the end."""
    if tables.gnu_hash:
        head = source.take(tables.gnu_hash, _GNU_HASH.size, "the hash table")
        buckets, first, bloom, _ = _GNU_HASH.unpack(head)
        at = tables.gnu_hash + _GNU_HASH.size + 8 * bloom
        words = source.take(at, 4 * buckets, "the hash table")
        last = max(struct.unpack(f"<{buckets}I", words), default=0)
        if last >= first > 0:
            return first, first, _chain_end(source, at + 4 * buckets, first, last)
        # Without exported symbols, the table does not say how many symbols there are.
        return 0, 0, _until_strings(tables)
    if tables.hash:
        _, count = struct.unpack("<II", source.take(tables.hash, 8, "the hash table"))
        return 1, 0, count
    return 1, 0, _until_strings(tables)


def _chain_end(source: Source, chains: int, first: int, last: int) -> int:
    """Return the number of symbols: the last bucket's chain ends with an odd hash."""
    while last < _MAX_SYMBOLS:
        at = chains + 4 * (last - first)
        length = min(256, source.size - at) // 4 * 4
        block = source.take(at, length or 4, "the hash table")
        for (value,) in struct.iter_unpack("<I", block):
            last += 1
            if value & 1:
                return last
    raise ElfError("too many symbols")


def _until_strings(tables: Tables) -> int:
    """Return the number of symbols if the names follow the symbols, as linkers place them."""
    return max(0, tables.strings - tables.symbols) // _SYMBOL.size


def _named(
    source: Source, tables: Tables, start: int, end: int
) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield index, section, binding and name with version of the visible symbols."""
    if end <= start:
        return
    if end > _MAX_SYMBOLS or tables.strings_size > _MAX_STRINGS:
        raise ElfError("too many symbols")
    size = _SYMBOL.size
    data = source.take(tables.symbols + start * size, (end - start) * size, "the symbol table")
    strings = source.take(tables.strings, tables.strings_size, "the names of symbols")
    versions: Iterable[int] = (0,) * (end - start)
    if tables.versions:
        raw = source.take(tables.versions + 2 * start, 2 * (end - start), "the versions")
        versions = struct.unpack(f"<{end - start}H", raw)
    suffix = {index: b"@" + os.fsencode(name) for index, name in tables.version_names}
    find, total = strings.find, 0
    for index, ((name, info, other, section, _, _), version) in enumerate(
        zip(_SYMBOL.iter_unpack(data), versions, strict=True), start
    ):
        binding = info >> 4
        if not name or not binding or other & 3 in _HIDDEN:
            continue
        symbol = strings[name : find(b"\0", name)]
        total += len(symbol)
        if total > _MAX_STRINGS:
            raise ElfError("too long names of symbols")
        if version > 1:
            symbol += suffix.get(version & 0x7FFF, b"")
        yield index, section, binding, symbol
