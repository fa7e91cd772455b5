# SPDX-License-Identifier: BSD-3-Clause
"""Paths of the build machine, in all kinds of files."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings, strategies as st
from verify_mini import BUILD_DIR, Mini
from verify_objects import EPREFIX

from flatcar_prefix.audit.checks.build_paths import Forbidden, Scan
from flatcar_prefix.audit.examiner import CHUNK

SYSROOT = "/usr/x86_64-cros-linux-gnu"
FORBIDDEN = Forbidden([BUILD_DIR, SYSROOT, "/"], EPREFIX)


def found(text: str) -> bool:
    return FORBIDDEN.search(text.encode(), text=True) is not None


@pytest.mark.parametrize(
    "text",
    [
        f"libdir={BUILD_DIR}/root/opt",
        f"-I{BUILD_DIR}/root/usr/include",
        f"-L{SYSROOT}/lib64 -lz",
        f"--sysroot={SYSROOT}",
        f"see {SYSROOT}.",
        f"'{BUILD_DIR}'",
        f"PATH=/bin:{BUILD_DIR}",
        f"file://{BUILD_DIR}/x",
        f"-isystem{BUILD_DIR}/root/usr/include",
        f"'-iquote{BUILD_DIR}/x'",
        f"-include{BUILD_DIR}/config.h -MF{BUILD_DIR}/x.d",
        f'"one\\n{BUILD_DIR}/root"',
        f"one\\x20{BUILD_DIR}",
        f"one\\040{BUILD_DIR}",
        f"${{D}}{BUILD_DIR}/root",
        f"$(DESTDIR){BUILD_DIR}/root",
        f"$EROOT{BUILD_DIR}/root",
        BUILD_DIR,
    ],
)
def test_a_path_of_the_build_machine_is_seen(text: str) -> None:
    assert found(text)


@pytest.mark.parametrize(
    "text",
    [
        f"{BUILD_DIR}2/root",
        f"{BUILD_DIR}-other",
        f"{BUILD_DIR}.orig",
        f"{EPREFIX}{SYSROOT}/lib",
        f"${{prefix}}{SYSROOT}/lib",
        f"other{SYSROOT}",
        f"-isystem{EPREFIX}{SYSROOT}",
        f"x-isystem{SYSROOT}",
        f"-isystems{SYSROOT}",
        f"${{DIR}}{SYSROOT}",
        f"$OLDROOT{SYSROOT}",
        f"\\1{SYSROOT}",
        f"\\name{SYSROOT}",
        "/build/prefix-amd64-usr",
    ],
)
def test_another_path_is_not_taken_for_one(text: str) -> None:
    assert not found(text)


def test_a_directory_above_the_prefix_is_never_forbidden() -> None:
    assert Forbidden(["/opt", "/", EPREFIX], EPREFIX).patterns == []


def test_of_names_that_begin_alike_each_is_seen() -> None:
    forbidden = Forbidden(["/build/demo", "/build/demo2"], EPREFIX)
    assert forbidden.search(b"-L/build/demo2/lib", text=True) is not None
    assert forbidden.search(b"-L/build/demo/lib", text=True) is not None
    assert forbidden.search(b"-L/build/demo3/lib", text=True) is None


def test_a_line_is_named(mini: Mini) -> None:
    mini.write("usr/bin/foo-config", f"one\ntwo\nlibs=-L{BUILD_DIR}/root/usr/lib64\n")
    (finding,) = mini.audit().findings
    assert finding.message == f"line 3 names {BUILD_DIR}/root/usr/lib64"


@settings(max_examples=30, deadline=None)
@given(st.integers(-len(BUILD_DIR) - 2, 2), st.booleans())
def test_a_path_over_the_border_of_two_chunks_is_seen(shift: int, tail: bool) -> None:
    data = b" " * (CHUNK + shift) + BUILD_DIR.encode() + (b"\n" * 1000 if tail else b"")
    scan = Scan(FORBIDDEN, text=True)
    for start in range(0, len(data), CHUNK):
        chunk = data[start : start + CHUNK]
        scan.feed(chunk, last=start + len(chunk) >= len(data))
    assert scan.hit is not None
    assert scan.hit.offset == CHUNK + shift
    assert scan.hit.path == BUILD_DIR


@settings(max_examples=30, deadline=None)
@given(st.integers(-len(BUILD_DIR) - 2, 2))
def test_a_longer_name_over_the_border_is_not_taken_for_one(shift: int) -> None:
    data = b" " * (CHUNK + shift) + BUILD_DIR.encode() + b"2 " + b"\n" * CHUNK
    scan = Scan(FORBIDDEN, text=True)
    for start in range(0, len(data), CHUNK):
        chunk = data[start : start + CHUNK]
        scan.feed(chunk, last=start + len(chunk) >= len(data))
    assert scan.hit is None


def test_what_is_not_shipped_may_name_the_build_machine(mini: Mini) -> None:
    mini.write("etc/portage/make.conf", f"PKGDIR={BUILD_DIR}/pkgs\n")
    mini.write("var/db/pkg/cat/pkg-1/CONTENTS", f"{BUILD_DIR}\n")
    report = mini.audit()
    assert report.findings == ()
    assert report.statistics.not_shipped == 2


@given(
    gaps=st.lists(st.integers(0, 2000), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 6000), max_size=6),
    text=st.booleans(),
)
def test_chunks_of_any_size_give_the_result_of_the_whole(
    gaps: list[int], cuts: list[int], text: bool
) -> None:
    pieces = (b"." * gap + b" " + BUILD_DIR.encode() + b"/tmp/x2" for gap in gaps)
    data = b"\n".join(pieces) + b"." * 500
    borders = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    scan, whole = Scan(FORBIDDEN, text=text), Scan(FORBIDDEN, text=text)
    for start, end in itertools.pairwise(borders):
        scan.feed(data[start:end], last=end == len(data))
    whole.feed(data, last=True)
    assert whole.hit is not None
    assert scan.hit == whole.hit
