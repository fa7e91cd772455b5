# SPDX-License-Identifier: BSD-3-Clause
"""Hostile files: the audit reports a finding in bounded time, and continues."""

from __future__ import annotations

import os
import shutil
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from verify_mini import Mini
from verify_objects import EPREFIX

from flatcar_prefix.audit.findings import Finding
from flatcar_prefix.audit.ldcache import CacheError, read_cache
from flatcar_prefix.audit.reporters import as_json, as_text, printable

ENDLESS = 0xFFFFFFFF


def elf(segments: list[tuple[int, int, bytes]], *, count: int | None = None) -> bytes:
    """Return an ELF file made of segments: kind, address, content."""
    number = len(segments) if count is None else count
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, number, 0, 0, 0)
    offset = 64 + 56 * len(segments)
    table, body = b"", b""
    for kind, address, content in segments:
        at = offset + len(body)
        table += struct.pack("<IIQQQQQQ", kind, 4, at, address, 0, len(content), 0, 4)
        body += content
    return header + table + body


def dynamic(*entries: tuple[int, int]) -> bytes:
    return b"".join(struct.pack("<QQ", *entry) for entry in (*entries, (0, 0)))


STRINGS = b"\0libx.so\0"
NOTE = struct.pack("<IIII", 4, 4, 0, 0x00554E47) + bytes(4)


def over_each_other(kind: int, number: int, content: bytes) -> bytes:
    """Return an ELF file with ``number`` segments, all of them the same bytes."""
    whole = elf([(kind, 0, b"")] * (number - 1) + [(kind, 0, content)])
    entry = whole[64 + 56 * (number - 1) : 64 + 56 * number]
    return whole[:64] + entry * number + whole[64 + 56 * number :]


def with_table(tag: int, count_tag: int, table: bytes, count: int) -> bytes:
    entries = dynamic((5, 0x1000), (10, len(STRINGS)), (tag, 0x2000), (count_tag, count))
    return elf([(2, 0x100, entries), (1, 0x1000, STRINGS), (1, 0x2000, table)])


HOSTILE = {
    "no program headers where the header says": elf([], count=40),
    "as many program headers as can be": elf([], count=0xFFFF),
    "an interpreter that never ends": elf([(3, 0, b"/" * 5000)]),
    "a dynamic segment without strings": elf([(2, 0, dynamic((1, 1)))]),
    "strings outside every segment": elf([(2, 0, dynamic((1, 1), (5, 0x9999), (10, 9)))]),
    "a string table larger than the file": elf(
        [(2, 0, dynamic((1, 1), (5, 0x1000), (10, 2**62))), (1, 0x1000, STRINGS)]
    ),
    "a name that never ends": elf(
        [(2, 0, dynamic((1, 1), (5, 0x1000), (10, 4))), (1, 0x1000, b"\0aaa")]
    ),
    "needed libraries without number": elf(
        [(2, 0, dynamic(*[(1, 1)] * 5000, (5, 0x1000), (10, 9))), (1, 0x1000, STRINGS)]
    ),
    "versions that lead out of the file": with_table(
        0x6FFFFFFE, 0x6FFFFFFF, struct.pack("<HHIII", 1, 1, 1, 2**31, 2**31), 2000
    ),
    "as many versions as can be": with_table(
        0x6FFFFFFC, 0x6FFFFFFD, struct.pack("<HHHHIII", 1, 0, 1, 1, 0, 20, 0), ENDLESS
    ),
    "notes over notes": over_each_other(4, 4095, NOTE * 43_000),
    "dynamic segments over dynamic segments": over_each_other(2, 4095, dynamic(*[(99, 1)] * 65000)),
    "two dynamic segments": elf([(2, 0, dynamic()), (2, 0, dynamic())]),
    "names over names": elf(
        [
            (2, 0, dynamic(*[(1, n) for n in range(1, 2000)], (5, 0x1000), (10, 6000))),
            (1, 0x1000, b"a" * 5990 + bytes(10)),
        ]
    ),
    "a search path of two thousand directories": elf(
        [
            (2, 0, dynamic(*[(1, 4092)] * 2000, (5, 0x1000), (10, 4100), (15, 0))),
            (1, 0x1000, b"/:" * 2046 + b"libx.so\0"),
        ]
    ),
    "a note larger than its segment": elf([(4, 0, struct.pack("<III", 4, ENDLESS, 1) + b"GNU\0")]),
}
HARMLESS = {
    "versions that lead to themselves": with_table(
        0x6FFFFFFC,
        0x6FFFFFFD,
        struct.pack("<HHHHIII", 1, 0, 1, 1, 0, 20, 1) + struct.pack("<II", 1, 0) + bytes(40000),
        16000,
    ),
    "interpreters over interpreters": over_each_other(3, 4095, b"/" * 4000),
    "segments over segments": over_each_other(1, 4095, b"x" * (1 << 20)),
    "as many notes as there can be": elf([(4, 0, NOTE * 50)] * 1000),
    "notes of no size": elf([(4, 0, bytes(1 << 19))]),
    "notes of a name that ends nowhere": elf([(4, 0, struct.pack("<III", 1 << 12, 0, 1) * 999)]),
    "a segment over another": elf([(1, 0, b"x" * 99), (1, 0, b"y" * 99)]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_found_out_quickly(mini: Mini, name: str) -> None:
    (mini / "usr/lib64/libevil.so").write_bytes(HOSTILE[name])
    started = time.monotonic()
    (finding,) = mini.audit().findings
    assert finding.code == "elf-broken"
    assert finding.path == f"{EPREFIX}/usr/lib64/libevil.so"
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("name", HARMLESS)
def test_a_strange_file_ends_in_bounded_time(mini: Mini, name: str) -> None:
    (mini / "usr/lib64/libevil.so").write_bytes(HARMLESS[name])
    started = time.monotonic()
    assert {code.partition("-")[0] for code in mini.codes()} <= {"elf"}
    assert time.monotonic() - started < 2


def test_a_broken_library_is_not_what_a_program_loads(mini: Mini) -> None:
    (mini / "usr/lib64/libfoo.so.1").write_bytes(b"\x7fELF" + bytes(60))
    assert sorted(mini.codes()) == ["elf-broken", "elf-needed"]


def test_libraries_that_search_for_each_other_without_end_are_given_up(mini: Mini) -> None:
    """Each file is within its limits, but its search path applies to all later files."""
    names = [f"l{number:03}" for number in range(60)]
    directories = ":".join(f"{EPREFIX}/d{number:03}" for number in range(60))
    for number, name in enumerate(names):
        needed = [*names[number + 1 : number + 2], *(f"{name}{n:03}" for n in range(200))]
        strings, entries = f"\0{directories}\0", [(15, 1)]
        for each in needed:
            entries.append((1, len(strings)))
            strings += each + "\0"
        entries += [(5, 0x1000), (10, len(strings))]
        place = mini / "usr/lib64" / name
        place.write_bytes(elf([(2, 0, dynamic(*entries)), (1, 0x1000, strings.encode())]))
    started = time.monotonic()
    codes = set(mini.codes())
    assert codes == {"elf-broken", "elf-needed", "elf-execstack"}
    assert time.monotonic() - started < 30


def test_a_loader_of_directories_without_end_is_read_in_bounded_memory(mini: Mini) -> None:
    for data in (b"/a" * 2_000_000, b"/a/\0" * 1_000_000):
        (mini / "lib64/ld-linux-x86-64.so.2").write_bytes(bytes(64) + data)
        tracemalloc.start()
        try:
            mini.codes()
            assert tracemalloc.get_traced_memory()[1] < 64 << 20
        finally:
            tracemalloc.stop()


def test_a_cache_whose_names_lie_over_each_other_is_refused() -> None:
    count = 1 << 15
    start = 48 + 24 * count
    entries = b"".join(
        struct.pack("<iIIIQ", 0, start + n % 8000, start + n % 8000, 0, 0) for n in range(count)
    )
    header = struct.pack("<20sIIB3xI12x", b"glibc-ld.so.cache1.1", count, 0, 0, 0)
    names = b"".join(b"/" * 4000 + b"\0" for _ in range(3))
    with pytest.raises(CacheError, match="longer than"):
        read_cache(header + entries + names)


@pytest.mark.needs_root
def test_what_cannot_be_read_is_said(
    clean: Mini, as_user: Callable[[Callable[[], None]], None]
) -> None:
    with TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        mini = Mini(Path(place) / "mini")
        shutil.copytree(clean.root, mini.root, symlinks=True)
        mini.root.chmod(0o755)
        mini.write("usr/secret", "secret", 0o600)

        def look() -> None:
            (finding,) = mini.audit().findings
            assert (finding.code, finding.path) == ("unreadable", f"{EPREFIX}/usr/secret")

        as_user(look)


@pytest.mark.needs_root
def test_what_is_not_counted_is_said(
    clean: Mini, as_user: Callable[[Callable[[], None]], None]
) -> None:
    with TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        mini = Mini(Path(place) / "mini")
        shutil.copytree(clean.root, mini.root, symlinks=True)
        mini.root.chmod(0o755)
        mini.write("var/cache/edb/secret", "")
        (mini / "var/cache/edb").chmod(0o700)
        mini.write("usr/hidden/foo", "")
        mini.link("usr/foo", "hidden/foo")
        (mini / "usr/hidden").chmod(0o700)

        def look() -> None:
            report = mini.audit()
            assert {(f.code, f.level, f.path.removeprefix(EPREFIX)) for f in report.findings} == {
                ("unreadable", "note", "/var/cache/edb"),
                ("unreadable", "error", "/usr/hidden"),
                ("private-directory", "warning", "/usr/hidden"),
            }

        as_user(look)


def test_a_directory_that_cannot_be_entered_is_said(mini: Mini) -> None:
    """The test uses a name that is too long, because permissions do not restrict root."""
    here = os.open(mini / "usr", os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=here)
        deeper = os.open("d" * 250, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    assert "unreadable" in mini.codes()


def test_a_fifo_is_not_waited_for(mini: Mini) -> None:
    os.mkfifo(mini / "usr/bin/fifo")
    assert mini.codes() == ["special-file"]


def test_directories_nine_hundred_deep_are_walked(mini: Mini) -> None:
    directory = mini / ("usr/" + "d/" * 900)
    for depth in range(1, 901):
        (mini / ("usr/" + "d/" * depth)).mkdir()
    (directory / "su").touch()
    (directory / "su").chmod(0o4755)
    assert mini.codes() == ["setuid"]


def test_names_cannot_command_a_terminal(mini: Mini) -> None:
    name = b"evil\x1b]0;owned\x07\xff"
    with open(os.fsencode(mini / "usr") + b"/" + name, "wb") as file:
        os.fchmod(file.fileno(), 0o4755)
    report = mini.audit()
    text = as_text(report)
    assert "\x1b" not in text
    assert "evil" in text
    text.encode("utf-8")
    assert "\\u001b" in as_json(report)


def test_printable_keeps_what_is_readable() -> None:
    assert printable("/opt/größe b") == "/opt/größe b"
    assert printable("a\nb\x1b") == "a\\nb\\x1b"


def test_a_finding_knows_its_level_and_hint() -> None:
    finding = Finding("setuid", "/opt/x", "")
    assert finding.level == "warning"
    assert finding.hint


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_an_audit_of_broken_files_always_ends_with_a_report(
    mini: Mini, clean: Mini, data: st.DataObject
) -> None:
    """The program's library, the loader and its cache are randomly broken."""
    for name in ("usr/lib64/libfoo.so.1", "lib64/ld-linux-x86-64.so.2", "lib64/libc.so.6"):
        raw = bytearray((clean / name).read_bytes())
        edits = st.tuples(st.integers(0, 4095), st.integers(0, 255))
        for at, value in data.draw(st.lists(edits, max_size=4)):
            raw[at] = value
        (mini / name).write_bytes(raw[: data.draw(st.sampled_from([4, 64, 2000, len(raw)]))])
    cache = b"glibc-ld.so.cache1.1" + data.draw(st.binary(max_size=100))
    mini.write("etc/ld.so.cache", "")
    (mini / "etc/ld.so.cache").write_bytes(cache)
    report = mini.audit()
    assert report.statistics.files == 9
    as_json(report)
    as_text(report)
