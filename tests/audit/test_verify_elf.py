# SPDX-License-Identifier: BSD-3-Clause
"""Compare the ELF reader with pyelftools, on files of this machine and on broken ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import verify_objects as objects
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.enums import ENUM_E_MACHINE
from elftools.elf.sections import NoteSection
from hypothesis import given, settings, strategies as st
from verify_mini import Mini

from flatcar_prefix.audit.elf import E_MACHINE, Elf, ElfError, Source, read_elf

SAMPLES = 60


def read(path: Path) -> Elf:
    fd = os.open(path, os.O_RDONLY)
    try:
        return read_elf(Source(fd, os.fstat(fd).st_size, os.pread(fd, 4096, 0)))
    finally:
        os.close(fd)


def read_bytes(data: bytes) -> Elf:
    return read_elf(Source(-1, len(data), data))


def by_pyelftools(path: Path) -> dict[str, Any]:
    """Return pyelftools' values of the fields of :class:`Elf`."""
    with path.open("rb") as file:
        elf = ELFFile(file)
        facts: dict[str, Any] = {
            "machine": ENUM_E_MACHINE[elf["e_machine"]],
            "bits": elf.elfclass,
            "little": elf.little_endian,
            "interpreter": None,
            "soname": None,
            "needed": [],
            "rpath": None,
            "runpath": None,
            "needs": [],
            "definitions": None,
            "stack_flags": None,
            "kernel": None,
        }
        for segment in elf.iter_segments():
            if segment["p_type"] == "PT_INTERP":
                facts["interpreter"] = segment.get_interp_name()
            elif segment["p_type"] == "PT_GNU_STACK":
                facts["stack_flags"] = segment["p_flags"]
            elif isinstance(segment, DynamicSegment):
                for tag in segment.iter_tags():
                    if tag.entry.d_tag == "DT_NEEDED":
                        facts["needed"].append(tag.needed)
                    elif tag.entry.d_tag == "DT_SONAME":
                        facts["soname"] = tag.soname
                    elif tag.entry.d_tag in ("DT_RPATH", "DT_RUNPATH"):
                        name = tag.entry.d_tag[3:].lower()
                        facts[name] = getattr(tag, name)
        versions = elf.get_section_by_name(".gnu.version_r")
        for need, auxiliaries in versions.iter_versions() if versions else ():
            facts["needs"] += [(need.name, auxiliary.name) for auxiliary in auxiliaries]
        versions = elf.get_section_by_name(".gnu.version_d")
        if versions:
            named = [(d["vd_flags"], next(iter(a)).name) for d, a in versions.iter_versions()]
            facts["definitions"] = {name for flags, name in named if not flags & 1}
        for section in elf.iter_sections():
            if isinstance(section, NoteSection):
                for note in section.iter_notes():
                    if note["n_type"] == "NT_GNU_ABI_TAG":
                        d = note["n_desc"]
                        facts["kernel"] = (d["abi_major"], d["abi_minor"], d["abi_tiny"])
        return facts


def as_facts(elf: Elf) -> dict[str, Any]:
    def joined(elements: tuple[str, ...] | None) -> str | None:
        return None if elements is None else ":".join(elements)

    return {
        "machine": elf.machine,
        "bits": elf.bits,
        "little": elf.little,
        "interpreter": elf.interpreter,
        "soname": elf.soname,
        "needed": list(elf.needed),
        "rpath": joined(elf.rpath),
        "runpath": joined(elf.runpath),
        "needs": [(library, version) for library, version, _ in elf.version_needs],
        "definitions": None if elf.version_definitions is None else set(elf.version_definitions),
        "stack_flags": elf.stack_flags,
        "kernel": elf.kernel,
    }


def elf_files(*directories: str) -> Iterator[Path]:
    for directory in directories:
        for path in sorted(Path(directory).glob("*")):
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    # The reader reads only the header of files that are not for a loader, such as .o files.
                    head = file.read(18)
                    if head[:4] == b"\x7fELF" and head[16] in (2, 3):
                        yield path


def test_says_what_pyelftools_says_of_this_machines_files() -> None:
    found = list(elf_files("/usr/bin", "/usr/lib/x86_64-linux-gnu", "/usr/aarch64-linux-gnu/lib"))
    for path in found[:: max(1, len(found) // SAMPLES)]:
        assert as_facts(read(path)) == by_pyelftools(path), path


def test_calls_machines_what_pyelftools_calls_them() -> None:
    assert {name: ENUM_E_MACHINE[name] for name in E_MACHINE} == E_MACHINE


def test_says_what_pyelftools_says_of_search_paths(tmp_path: Path) -> None:
    for tags in ("enable", "disable"):
        target = objects.library(
            tmp_path / f"lib{tags}.so",
            "-Wl,-rpath,$ORIGIN/../lib:/opt/x",
            f"-Wl,--{tags}-new-dtags",
        )
        elf = read(target)
        assert as_facts(elf) == by_pyelftools(target)
        assert (elf.runpath or elf.rpath) == ("$ORIGIN/../lib", "/opt/x")


def test_reads_32_bit_and_big_endian_files(tmp_path: Path) -> None:
    header = b"\x7fELF\x01\x02\x01" + bytes(9)
    rest = bytes([0, 3, 0, 8]) + bytes(4) + bytes(28)
    elf = read_bytes(header + rest)
    assert (elf.bits, elf.little, elf.machine, elf.type) == (32, False, 8, 3)


@pytest.fixture(scope="session")
def victims(clean: Mini) -> list[bytes]:
    """Files to break: a small program, a small library with versions, and a real one."""
    ours = [clean / "usr/bin/foo", clean / "usr/lib64/libfoo.so.1", clean.libc]
    real = Path("/usr/lib/x86_64-linux-gnu/libm.so.6").read_bytes()
    return [*(path.read_bytes() for path in ours), real]


@settings(max_examples=1500, deadline=2000)
@given(st.data())
def test_a_broken_file_is_read_or_refused_and_nothing_else(
    victims: list[bytes], data: st.DataObject
) -> None:
    raw = bytearray(data.draw(st.sampled_from(victims)))
    limit = min(len(raw), 8192)
    values = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, limit - 1), values), max_size=12)):
        raw[at] = value
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(0, len(raw))) :]
    try:
        elf = read_bytes(bytes(raw))
    except ElfError:
        return
    assert len(elf.needed) <= 2048


@settings(max_examples=300, deadline=2000)
@given(st.data())
def test_a_word_of_the_dynamic_segment_can_be_anything(
    victims: list[bytes], data: st.DataObject
) -> None:
    """Addresses, sizes and counts, which could make a reader allocate or loop without bound."""
    raw = bytearray(data.draw(st.sampled_from(victims[:3])))
    start, size = _dynamic_segment(raw)
    words = st.sampled_from([0, 1, 2**16 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1]) | st.integers(
        0, len(raw)
    )
    for word, value in data.draw(
        st.lists(st.tuples(st.integers(0, size // 8 - 1), words), min_size=1, max_size=6)
    ):
        raw[start + 8 * word : start + 8 * word + 8] = value.to_bytes(8, "little")
    with suppress(ElfError):
        read_bytes(bytes(raw))


def _dynamic_segment(raw: bytearray) -> tuple[int, int]:
    """Return offset and size in a 64-bit little-endian file."""
    table = int.from_bytes(raw[32:40], "little")
    for number in range(int.from_bytes(raw[56:58], "little")):
        at = table + 56 * number
        if int.from_bytes(raw[at : at + 4], "little") == 2:
            return (
                int.from_bytes(raw[at + 8 : at + 16], "little"),
                int.from_bytes(raw[at + 32 : at + 40], "little"),
            )
    raise AssertionError("no dynamic segment")


@given(st.binary(max_size=4096))
def test_anything_after_the_magic_number_is_read_or_refused(data: bytes) -> None:
    for start in (b"\x7fELF", b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\0\x3e\0\x01\0\0\0"):
        with suppress(ElfError):
            read_bytes(start + data)
