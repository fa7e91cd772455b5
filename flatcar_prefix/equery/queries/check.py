# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: PTH112
# Paths are strings, as in Portage; importing pathlib takes time.
"""Check the files of installed packages against the VDB: MD5 sums, times, links."""

from __future__ import annotations

import hashlib
import os
import stat

from flatcar_prefix.equery.arguments import Given, Option
from flatcar_prefix.equery.cpv import Package
from flatcar_prefix.equery.query import Where, find, parse_query
from flatcar_prefix.equery.session import Session
from flatcar_prefix.equery.vdb_contents import Entry, parse

OPTIONS = (
    Option("full-regex", "f", "the query is a regular expression"),
    Option("only-failures", "o", "show only packages with failures"),
)
_BLOCK = 1 << 18


def run(given: Given, operands: list[str], session: Session) -> int:
    for position, operand in enumerate(operands):
        if position:
            session.screen.out()
        query = parse_query(operand, regex="full-regex" in given)
        for package in find(query, session, Where()):
            _check(package, session, only_failures="only-failures" in given)
    return 0


def _check(package: Package, session: Session, *, only_failures: bool) -> None:
    """Check one package and print the failures."""
    contents = parse(session.target.installed.contents(package.cpv))
    root = session.target.root
    faults = [fault for path, entry in contents.items() if (fault := _fault(root, path, entry))]
    if only_failures and not faults:
        return
    screen = session.screen
    if not screen.verbose:
        screen.out(f"{package.cpv}: failed({len(faults)})")
        return
    screen.out(f"* Checking {screen.emph(package.cpv)} ...")
    for fault in faults:
        screen.error(fault)
    passed = screen.number(len(contents) - len(faults))
    screen.out(f"   {passed} out of {screen.number(len(contents))} files passed")
    screen.out()


def _fault(root: str, path: str, entry: Entry) -> str:
    """Return the failure of one file, or an empty string."""
    real = root + path
    try:
        status = os.lstat(real)
    except OSError:
        return f"{path} does not exist"
    if entry.kind == "obj":
        return _file_fault(real, path, entry, int(status.st_mtime))
    if entry.kind == "dir":
        isdir = stat.S_ISDIR(status.st_mode) or os.path.isdir(real)
        return "" if isdir else f"{path} exists, but is not a directory"
    if entry.kind == "sym":
        if not stat.S_ISLNK(status.st_mode):
            return f"{path} exists, but is not a symlink"
        target = entry.extra.strip()
        return "" if os.readlink(real) == target else f"{path} does not point to {target}"
    return f"{path} has unknown type {entry.kind}"


def _file_fault(real: str, path: str, entry: Entry, mtime: int) -> str:
    try:
        digest = _md5(real)
    except PermissionError:
        return f"Insufficient permissions to read {path}"
    except OSError as error:
        return f"Problem checking {path}: {error}"
    if digest != entry.extra:
        return f"{path} has incorrect MD5sum"
    if mtime != int(entry.mtime):
        return f"{path} has wrong mtime (is {mtime}, should be {int(entry.mtime)})"
    return ""


def _md5(path: str) -> str:
    # O_NONBLOCK prevents waiting for a FIFO that replaces the file.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        block = os.read(descriptor, _BLOCK)
        digest = hashlib.md5(block, usedforsecurity=False)
        while len(block) == _BLOCK:
            block = os.read(descriptor, _BLOCK)
            digest.update(block)
    finally:
        os.close(descriptor)
    return digest.hexdigest()
