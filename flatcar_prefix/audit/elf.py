# SPDX-License-Identifier: BSD-3-Clause
"""A reader for the parts of an ELF file that its loader reads.

pyelftools builds a parsed object for each structure, which takes 2 to 7 milliseconds per
file. An audit of a large prefix has less than one millisecond per file for all checks.
This reader follows the program headers to the dynamic segment, the version tables and
the notes with :mod:`struct`. The tests compare it with pyelftools on real files.

The reader raises :class:`ElfError` for a structure that exceeds the file's bounds or a
limit far above the values of real files. The limits apply to the sum of all structures of
a file, because the structures of a hostile file can overlap. The reader processes at most
4096 segments, 64 Ki entries of one dynamic segment, 16 Ki versions, 1 MiB of notes and
1 MiB of names.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

MAGIC = b"\x7fELF"

ET_EXEC, ET_DYN = 2, 3
ELFOSABI_SYSV, ELFOSABI_GNU = 0, 3
PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE = 1, 2, 3, 4
PT_GNU_STACK = 0x6474E551
PF_X = 1
PN_XNUM = 0xFFFF

DT_NEEDED, DT_PLTRELSZ, DT_HASH, DT_STRTAB, DT_SYMTAB = 1, 2, 4, 5, 6
DT_RELA, DT_RELASZ, DT_STRSZ, DT_SONAME, DT_RPATH = 7, 8, 10, 14, 15
DT_TEXTREL, DT_JMPREL, DT_BIND_NOW, DT_RUNPATH, DT_FLAGS = 22, 23, 24, 29, 30
DT_GNU_HASH, DT_DEPAUDIT, DT_AUDIT, DT_VERSYM = 0x6FFFFEF5, 0x6FFFFEFB, 0x6FFFFEFC, 0x6FFFFFF0
DT_FLAGS_1, DT_VERDEF, DT_VERDEFNUM = 0x6FFFFFFB, 0x6FFFFFFC, 0x6FFFFFFD
DT_VERNEED, DT_VERNEEDNUM, DT_AUXILIARY, DT_FILTER = 0x6FFFFFFE, 0x6FFFFFFF, 0x7FFFFFFD, 0x7FFFFFFF
DF_TEXTREL, DF_BIND_NOW = 0x4, 0x8
DF_1_NOW, DF_1_NODEFLIB, DF_1_PIE = 0x1, 0x800, 0x08000000
VER_FLG_BASE, VER_FLG_WEAK = 0x1, 0x2

NT_GNU_ABI_TAG, NT_GNU_PROPERTY = 1, 5
GNU_PROPERTY_X86_ISA_1_NEEDED = 0xC0008002

E_MACHINE = {
    "EM_SPARC": 2,
    "EM_386": 3,
    "EM_68K": 4,
    "EM_MIPS": 8,
    "EM_PARISC": 15,
    "EM_PPC": 20,
    "EM_PPC64": 21,
    "EM_S390": 22,
    "EM_ARM": 40,
    "EM_SPARCV9": 43,
    "EM_IA_64": 50,
    "EM_X86_64": 62,
    "EM_AARCH64": 183,
    "EM_RISCV": 243,
    "EM_BPF": 247,
    "EM_LOONGARCH": 258,
}
"""The machines of Linux distributions, and BPF, the machine of programs for the kernel."""

_MAX_PHNUM = 4096
_MAX_DYNAMIC = 1 << 20
_MAX_NOTES = 1 << 20
_MAX_STRING = 4096
_MAX_NAMES = 1 << 20
_MAX_NEEDED = 2048
_MAX_SEARCHES = 1 << 16
_MAX_VERSIONS = 16384


class ElfError(Exception):
    """The file is not an ELF file that a loader can load; the message is one line."""


class Source:
    """The bytes of an open file. The head is in memory; the rest is read on demand."""

    def __init__(self, fd: int, size: int, head: bytes) -> None:
        self.fd = fd
        self.size = size
        self.head = head

    def take(self, offset: int, length: int, what: str) -> bytes:
        """Return ``length`` bytes at ``offset``, or raise :class:`ElfError`."""
        end = offset + length
        if offset < 0 or end > self.size:
            raise ElfError(f"{what} at {offset:#x} reaches beyond the end of the file")
        if end <= len(self.head):
            return self.head[offset:end]
        data = os.pread(self.fd, length, offset)
        if len(data) != length:
            raise ElfError(f"{what} at {offset:#x} cannot be read")
        return data


class _Layout(NamedTuple):
    """The structures of a file with this class and byte order."""

    header: struct.Struct
    segment: struct.Struct
    dynamic: struct.Struct
    order: str
    bits: int


def _layout(bits: int, order: str) -> _Layout:
    word = "Q" if bits == 64 else "I"
    return _Layout(
        header=struct.Struct(f"{order}HHI{word}{word}{word}IHHHHHH"),
        segment=struct.Struct(f"{order}IIQQQQQQ" if bits == 64 else f"{order}IIIIIIII"),
        dynamic=struct.Struct(f"{order}{word}{word}"),
        order=order,
        bits=bits,
    )


_LAYOUTS = {
    (elf_class, data): _layout(bits, order)
    for elf_class, bits in ((1, 32), (2, 64))
    for data, order in ((1, "<"), (2, ">"))
}
_WORD = {"<": struct.Struct("<I"), ">": struct.Struct(">I")}
_VERDEF = {order: struct.Struct(f"{order}HHHHIII") for order in "<>"}
_VERNEED = {order: struct.Struct(f"{order}HHIII") for order in "<>"}
_VERNAUX = {order: struct.Struct(f"{order}IHHII") for order in "<>"}
_NOTE = {order: struct.Struct(f"{order}III") for order in "<>"}


class Segment(NamedTuple):
    kind: int
    flags: int
    offset: int
    address: int
    size: int
    align: int


class Tables(NamedTuple):
    """The places in the file of the tables of dynamic symbols, for :mod:`.symbols`."""

    symbols: int
    strings: int
    strings_size: int
    hash: int = 0
    """DT_HASH; 0 without such a table, as below."""
    gnu_hash: int = 0
    versions: int = 0
    relocations: tuple[int, int] = (0, 0)
    """DT_RELA: the offset and the size in bytes."""
    plt: tuple[int, int] = (0, 0)
    """DT_JMPREL, whose symbols the loader may resolve at the first call."""
    version_names: tuple[tuple[int, str], ...] = ()
    """The names of the needed and the defined versions, by the index in DT_VERSYM."""


@dataclass(frozen=True, slots=True)
class Elf:
    """The data of an ELF file that a loader or the audit uses."""

    machine: int
    bits: int
    little: bool
    type: int
    interpreter: str | None = None
    dynamic: bool = False
    soname: str | None = None
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] | None = None
    runpath: tuple[str, ...] | None = None
    version_needs: tuple[tuple[str, str, bool], ...] = ()
    """For each: the name of the library, the version, and whether the need is weak."""
    version_definitions: frozenset[str] | None = None
    """None for a library without versions."""
    stack_flags: int | None = None
    """The flags of PT_GNU_STACK; None without such a segment."""
    textrel: bool = False
    nodeflib: bool = False
    pie: bool = False
    bind_now: bool = False
    abi: tuple[int, int] = (0, 0)
    """EI_OSABI and EI_ABIVERSION."""
    truncated: str = ""
    """The segment that the file does not contain whole, or an empty string."""
    auxiliary: tuple[str, ...] = ()
    audit: tuple[str, ...] = ()
    """The libraries of DT_AUDIT and DT_DEPAUDIT."""
    tables: Tables | None = None
    kernel: tuple[int, int, int] | None = None
    isa: int = 0
    """Bits of GNU_PROPERTY_X86_ISA_1_NEEDED: 1 baseline, 2 v2, 4 v3, 8 v4."""

    @property
    def is_program(self) -> bool:
        """Whether the kernel can run the file, except libraries that have an interpreter."""
        return self.interpreter is not None and (self.soname is None or self.pie)


def read_elf(source: Source) -> Elf:
    """Return the data of an ELF file; raise :class:`ElfError` if the file is broken."""
    ident = source.take(0, 16, "the ELF header")
    if ident[:4] != MAGIC:
        raise ElfError("it is not an ELF file")
    try:
        layout = _LAYOUTS[ident[4], ident[5]]
    except KeyError:
        raise ElfError(f"unknown class {ident[4]} or byte order {ident[5]}") from None
    header = layout.header
    fields = header.unpack(source.take(16, header.size, "the ELF header"))
    kind, machine = fields[0], fields[1]
    common: dict[str, Any] = {
        "machine": machine,
        "bits": layout.bits,
        "little": layout.order == "<",
        "type": kind,
        "abi": (ident[7], ident[8]),
    }
    if kind not in (ET_EXEC, ET_DYN):
        return Elf(**common)
    segments = _segments(source, layout, fields)
    return _loadable(source, layout, segments, common)


def _segments(source: Source, layout: _Layout, fields: tuple[int, ...]) -> list[Segment]:
    offset, entry_size, count = fields[4], fields[8], fields[9]
    if not count:
        return []
    size = layout.segment.size
    if entry_size != size:
        raise ElfError(f"program headers of {entry_size} bytes")
    if count > _MAX_PHNUM or count == PN_XNUM:
        raise ElfError(f"{count} program headers")
    data = source.take(offset, count * size, "the table of program headers")
    if layout.bits == 64:
        return [
            Segment(kind, flags, start, address, length, align)
            for kind, flags, start, address, _, length, _, align in layout.segment.iter_unpack(data)
        ]
    return [
        Segment(kind, flags, start, address, length, align)
        for kind, start, address, _, length, _, flags, align in layout.segment.iter_unpack(data)
    ]


def _loadable(
    source: Source, layout: _Layout, segments: list[Segment], common: dict[str, Any]
) -> Elf:
    interpreter: str | None = None
    stack: int | None = None
    kernel: tuple[int, int, int] | None = None
    isa = 0
    dynamic: dict[int, list[int]] | None = None
    loads = [s for s in segments if s.kind == PT_LOAD]
    _check_sum(source, segments)
    for segment in segments:
        # The kernel uses the first PT_INTERP.
        if segment.kind == PT_INTERP and interpreter is None:
            interpreter = _interpreter(source, segment)
        elif segment.kind == PT_GNU_STACK:
            stack = segment.flags
        elif segment.kind == PT_NOTE:
            kernel_here, isa_here = _notes(source, layout, segment)
            kernel, isa = kernel_here or kernel, isa | isa_here
        elif segment.kind == PT_DYNAMIC:
            dynamic = _dynamic(source, layout, segment)
    found: dict[str, Any] = {}
    if dynamic is not None:
        found = _dynamic_facts(source, layout, loads, dynamic)
    return Elf(
        **common,
        truncated=_truncated(source, loads),
        interpreter=interpreter,
        stack_flags=stack,
        kernel=kernel,
        isa=isa,
        **found,
    )


def _truncated(source: Source, loads: list[Segment]) -> str:
    """Return the first PT_LOAD beyond the end of the file; an empty string without one."""
    for load in loads:
        if load.size and load.offset + load.size > source.size:
            return f"the segment at {load.offset:#x} reaches beyond the end of the file"
    return ""


def _check_sum(source: Source, segments: list[Segment]) -> None:
    """Raise :class:`ElfError` for several dynamic segments, or for notes beyond the limits."""
    if sum(segment.kind == PT_DYNAMIC for segment in segments) > 1:
        raise ElfError("several dynamic segments")
    notes = sum(segment.size for segment in segments if segment.kind == PT_NOTE)
    if notes > min(source.size, _MAX_NOTES):
        raise ElfError(f"notes of {notes} bytes")


def _interpreter(source: Source, segment: Segment) -> str:
    if segment.size > _MAX_STRING:
        raise ElfError("an interpreter's path of more than 4096 bytes")
    raw = source.take(segment.offset, segment.size, "the interpreter's path")
    return os.fsdecode(raw.split(b"\0", 1)[0])


def _dynamic(source: Source, layout: _Layout, segment: Segment) -> dict[int, list[int]]:
    """Return the entries of the dynamic segment by tag, up to DT_NULL."""
    size = layout.dynamic.size
    length = segment.size - segment.size % size
    if length > _MAX_DYNAMIC:
        raise ElfError(f"a dynamic segment of {length} bytes")
    data = source.take(segment.offset, length, "the dynamic segment")
    entries: dict[int, list[int]] = {}
    for tag, value in layout.dynamic.iter_unpack(data):
        if not tag:
            break
        entries.setdefault(tag, []).append(value)
    return entries


class _Strings:
    """The dynamic string table."""

    def __init__(self, source: Source, offset: int, size: int) -> None:
        self.source = source
        self.offset = offset
        self.size = size
        self.left = _MAX_NAMES
        whole = size <= 1 << 16
        self.data = source.take(offset, size, "the string table") if whole else b""

    def get(self, index: int) -> str:
        if index >= self.size:
            raise ElfError(f"a name beyond the end of the string table ({index:#x})")
        if self.data:
            end = self.data.find(b"\0", index, index + _MAX_STRING)
            raw = self.data[index:end]
        else:
            length = min(_MAX_STRING, self.size - index)
            window = self.source.take(self.offset + index, length, "a name")
            end = window.find(b"\0")
            raw = window[:end]
        if end < 0:
            raise ElfError(f"a name without a terminating NUL ({index:#x})")
        self.left -= len(raw)
        if self.left < 0:
            raise ElfError(f"names of more than {_MAX_NAMES} bytes")
        return os.fsdecode(raw)


def _dynamic_facts(
    source: Source, layout: _Layout, loads: list[Segment], dynamic: dict[int, list[int]]
) -> dict[str, Any]:
    def last(tag: int) -> int | None:
        values = dynamic.get(tag)
        return values[-1] if values else None

    def file_offset(address: int, what: str) -> int:
        for load in loads:
            if load.address <= address < load.address + load.size:
                return address - load.address + load.offset
        raise ElfError(f"{what} is outside all segments ({address:#x})")

    address, size = last(DT_STRTAB), last(DT_STRSZ)
    if address is None:
        if dynamic.keys() & {DT_NEEDED, DT_SONAME, DT_RPATH, DT_RUNPATH, DT_VERNEED, DT_VERDEF}:
            raise ElfError("names without a string table")
        return {"dynamic": True}
    strings = _Strings(source, file_offset(address, "the string table"), size or 0)
    needed = [*dynamic.get(DT_NEEDED, ()), *dynamic.get(DT_FILTER, ())]
    auxiliary = dynamic.get(DT_AUXILIARY, ())
    auditors = [*dynamic.get(DT_AUDIT, ()), *dynamic.get(DT_DEPAUDIT, ())]
    if len(needed) + len(auxiliary) + len(auditors) > _MAX_NEEDED:
        raise ElfError(f"{len(needed)} needed libraries")

    def name(tag: int) -> str | None:
        index = last(tag)
        return None if index is None else strings.get(index)

    def search_path(tag: int) -> tuple[str, ...] | None:
        text = name(tag)
        return None if text is None else tuple(text.split(":")) if text else ()

    rpath, runpath = search_path(DT_RPATH), search_path(DT_RUNPATH)
    searches = len(needed) * max(len(rpath or ()), len(runpath or ()))
    if searches > _MAX_SEARCHES:
        raise ElfError(f"{len(needed)} needed libraries with {searches} searches")
    flags_1 = last(DT_FLAGS_1) or 0
    flags = last(DT_FLAGS) or 0
    facts: dict[str, Any] = {
        "dynamic": True,
        "soname": name(DT_SONAME),
        "needed": tuple(strings.get(index) for index in needed),
        "rpath": rpath,
        "runpath": runpath,
        "textrel": DT_TEXTREL in dynamic or bool(flags & DF_TEXTREL),
        "nodeflib": bool(flags_1 & DF_1_NODEFLIB),
        "pie": bool(flags_1 & DF_1_PIE),
        "bind_now": DT_BIND_NOW in dynamic or bool(flags & DF_BIND_NOW or flags_1 & DF_1_NOW),
        "auxiliary": tuple(strings.get(index) for index in auxiliary),
        "audit": tuple(n for index in auditors for n in strings.get(index).split(":") if n),
    }
    version_names: list[tuple[int, str]] = []
    where = last(DT_VERNEED)
    if where is not None:
        start = file_offset(where, "the table of needed versions")
        needs = list(_version_needs(source, layout.order, start, last(DT_VERNEEDNUM) or 0, strings))
        facts["version_needs"] = tuple(need[:3] for need in needs)
        version_names += [(index, version) for _, version, _, index in needs]
    where = last(DT_VERDEF)
    if where is not None:
        start = file_offset(where, "the table of versions")
        defined = list(_versions(source, layout.order, start, last(DT_VERDEFNUM) or 0, strings))
        facts["version_definitions"] = frozenset(version for _, version in defined)
        version_names += defined
    symbols = last(DT_SYMTAB)
    if symbols is not None and layout.bits == 64:

        def place(tag: int, size: int = 0) -> tuple[int, int]:
            address, length = last(tag), last(size) if size else 0
            return (file_offset(address, "a table") if address else 0, length or 0)

        facts["tables"] = Tables(
            file_offset(symbols, "the symbol table"),
            strings.offset,
            strings.size,
            place(DT_HASH)[0],
            place(DT_GNU_HASH)[0],
            place(DT_VERSYM)[0],
            place(DT_RELA, DT_RELASZ),
            place(DT_JMPREL, DT_PLTRELSZ),
            tuple(version_names),
        )
    return facts


def _versions(
    source: Source, order: str, offset: int, count: int, strings: _Strings
) -> Iterator[tuple[int, str]]:
    """Yield index and name of each version that a library defines, except VER_FLG_BASE."""
    if count > _MAX_VERSIONS:
        raise ElfError(f"{count} versions")
    layout, word = _VERDEF[order], _WORD[order]
    what = "the table of versions"
    for _ in range(count):
        fields = layout.unpack(source.take(offset, layout.size, what))
        flags, names, aux, following = fields[1], fields[3], fields[5], fields[6]
        if names and not flags & VER_FLG_BASE:
            (index,) = word.unpack(source.take(offset + aux, 4, what))
            yield fields[2] & 0x7FFF, strings.get(index)
        if not following:
            break
        offset += following


def _version_needs(
    source: Source, order: str, offset: int, count: int, strings: _Strings
) -> Iterator[tuple[str, str, bool, int]]:
    """Yield for each needed version: library, version, whether it is weak, its index."""
    if count > _MAX_NEEDED:
        raise ElfError(f"versions of {count} libraries")
    layout, aux_layout = _VERNEED[order], _VERNAUX[order]
    what = "the table of needed versions"
    total = 0
    for _ in range(count):
        _, names, file, aux, following = layout.unpack(source.take(offset, layout.size, what))
        total += names
        if total > _MAX_VERSIONS:
            raise ElfError(f"{total} needed versions")
        library = strings.get(file)
        at = offset + aux
        for _ in range(names):
            fields = aux_layout.unpack(source.take(at, aux_layout.size, what))
            weak, index = bool(fields[1] & VER_FLG_WEAK), fields[2] & 0x7FFF
            yield library, strings.get(fields[3]), weak, index
            if not fields[4]:
                break
            at += fields[4]
        if not following:
            break
        offset += following


def _notes(
    source: Source, layout: _Layout, segment: Segment
) -> tuple[tuple[int, int, int] | None, int]:
    """Return the lowest kernel and the processor levels that a segment of notes requires."""
    data = source.take(segment.offset, segment.size, "the notes")
    header, word = _NOTE[layout.order], _WORD[layout.order]
    align = 8 if segment.align == 8 else 4
    kernel, isa, at = None, 0, 0
    while at + 12 <= len(data):
        name_size, size, kind = header.unpack_from(data, at)
        start = _aligned(at + 12 + name_size, align)
        end = start + size
        if end > len(data):
            raise ElfError("a note that reaches beyond its segment")
        if data[at + 12 : at + 12 + name_size] == b"GNU\0":
            description = data[start:end]
            if kind == NT_GNU_ABI_TAG and size >= 16:
                system, *version = (word.unpack_from(description, i)[0] for i in (0, 4, 8, 12))
                if system == 0:
                    kernel = (version[0], version[1], version[2])
            elif kind == NT_GNU_PROPERTY:
                isa |= _isa(description, word, layout.bits // 8)
        at = _aligned(end, align)
    return kernel, isa


def _isa(properties: bytes, word: struct.Struct, align: int) -> int:
    isa, at = 0, 0
    while at + 8 <= len(properties):
        (kind,) = word.unpack_from(properties, at)
        (size,) = word.unpack_from(properties, at + 4)
        if kind == GNU_PROPERTY_X86_ISA_1_NEEDED and size >= 4 and at + 12 <= len(properties):
            isa |= word.unpack_from(properties, at + 8)[0]
        at = _aligned(at + 8 + size, align)
    return isa


def _aligned(position: int, align: int) -> int:
    return (position + align - 1) & -align
