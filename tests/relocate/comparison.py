#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Compare the packages of two prefixes that have the same EPREFIX, byte for byte.

    tests/relocate/comparison.py STAGING STAGING [--ignore-build-ids] [--exact]

STAGING is the staging directory of a prefix. If one prefix has relocated packages of a pool and
the other one has built them, the comparison shows whether relocation gives what a build gives. If
both have built them, it shows whether builds are reproducible. It prints a line for each package
with its files, and the names of those that differ. The exit code is 1 if a file differs.

The linker derives the build ID of an ELF file from its content, with the path of the prefix in it.
Relocation keeps the build ID, so --ignore-build-ids is for relocated packages. Byte code is the
same if it means the same code; with --exact, it must have the same bytes, too.
"""

from __future__ import annotations

import argparse
import marshal
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [os.fspath(TOP)]

from flatcar_prefix.prefix import record
from flatcar_prefix.prefix.model import Root

PYC_HEADER = 16
"""Bytes before the code of a .pyc file (PEP 552): magic, flags, and eight for the source."""

UNCHECKED = (1).to_bytes(4, "little")
"""The flags of a .pyc file that has a hash of its source, which Python does not compare."""

BUILD_ID = re.compile(rb"(\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0).{20}", re.DOTALL)
"""A note NT_GNU_BUILD_ID, little-endian: the sizes of name and content, type, name, SHA-1."""


@dataclass
class Compared:
    """The files of a package, and those that differ, each with the kind of difference."""

    files: int = 0
    differences: dict[str, str] = field(default_factory=dict)


def compare(
    one: Root, other: Root, *, build_ids: bool = True, exact: bool = False
) -> Iterator[tuple[str, Compared]]:
    """Yield each package of either root with the result; ignore build IDs on request."""
    theirs = {str(cpv): cpv for cpv in other.vardb.cpv_all()}
    mine = {str(cpv): cpv for cpv in one.vardb.cpv_all()}
    for name in sorted(mine.keys() | theirs.keys()):
        result = Compared()
        if name in mine and name in theirs:
            here, there = _contents(one, mine[name]), _contents(other, theirs[name])
            result.files = len(here.keys() | there.keys())
            result.differences = dict(_differences(here, there, build_ids=build_ids, exact=exact))
        else:
            result.differences[name] = "installed in one root only"
        yield name, result


def _contents(root: Root, cpv: str) -> Mapping[str, Path]:
    return {
        os.path.relpath(path, root.path): path
        for path in root.contents(cpv)
        if path.is_symlink() or not path.is_dir()
    }


def _differences(
    here: Mapping[str, Path], there: Mapping[str, Path], *, build_ids: bool, exact: bool
) -> Iterator[tuple[str, str]]:
    for name in sorted(here.keys() | there.keys()):
        if name not in here or name not in there:
            yield name, "in one root only"
        elif what := _difference(here[name], there[name], build_ids=build_ids, exact=exact):
            yield name, what


def _difference(one: Path, other: Path, *, build_ids: bool, exact: bool) -> str:
    """Return what differs between two files, or an empty text."""
    if one.is_symlink() or other.is_symlink():
        same = one.is_symlink() == other.is_symlink() and os.readlink(one) == os.readlink(other)
        return "" if same else "the target of the link"
    mine, theirs = one.lstat(), other.lstat()
    if (mine.st_mode, mine.st_uid, mine.st_gid) != (theirs.st_mode, theirs.st_uid, theirs.st_gid):
        return "mode or owner"
    if (content := one.read_bytes()) == (their_content := other.read_bytes()):
        return ""
    if not build_ids and BUILD_ID.sub(rb"\1", content) == BUILD_ID.sub(rb"\1", their_content):
        return ""
    if not exact and one.suffix == ".pyc" and _same_code(content, their_content):
        return ""
    return f"content ({mine.st_size} and {theirs.st_size} bytes)"


def _same_code(one: bytes, other: bytes) -> bool:
    """Return whether two .pyc files of this Python's format mean the same code.

    marshal writes a reference in place of an object that it has written before, so the same code
    can have different bytes. Relocation keeps the hash of the source that was compiled.
    """
    compared = 8 if one[4:8] == UNCHECKED else PYC_HEADER
    if one[:compared] != other[:compared]:
        return False
    try:
        codes = [marshal.loads(text[PYC_HEADER:]) for text in (one, other)]
    except (EOFError, ValueError, TypeError):
        return False
    return _meaning(codes[0]) == _meaning(codes[1])


def _meaning(value: object) -> object:
    if isinstance(value, CodeType):
        names = [name for name in dir(value) if name.startswith("co_")]
        parts = {name: getattr(value, name) for name in names}
        return {name: _meaning(part) for name, part in parts.items() if not callable(part)}
    if isinstance(value, tuple):
        return [_meaning(part) for part in value]
    return (type(value), value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("staging", type=Path, nargs=2)
    parser.add_argument("--ignore-build-ids", action="store_true")
    parser.add_argument("--exact", action="store_true")
    args = parser.parse_args()
    one, other = (record.read(directory) for directory in args.staging)
    differing = 0
    for kind in ("staging", "final"):
        build_ids = not args.ignore_build_ids
        roots = (one.root(kind), other.root(kind))
        for name, result in compare(*roots, build_ids=build_ids, exact=args.exact):
            print(f"{kind:8}{name:40}{result.files:6} files{len(result.differences):5} differ")
            for path, what in result.differences.items():
                print(f"    {path}: {what}")
            differing += len(result.differences)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
