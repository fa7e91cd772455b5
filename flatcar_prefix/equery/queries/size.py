# SPDX-License-Identifier: BSD-3-Clause
"""Print the number and the total size of the files of installed packages."""

from __future__ import annotations

import os

from flatcar_prefix.equery.arguments import Given, Option
from flatcar_prefix.equery.cpv import Package
from flatcar_prefix.equery.query import Where, find, parse_query
from flatcar_prefix.equery.session import Session
from flatcar_prefix.equery.vdb_contents import parse

OPTIONS = (
    Option("bytes", "b", "report the size in bytes"),
    Option("full-regex", "f", "the query is a regular expression"),
    Option("exact-name", "e"),
)
_UNITS = ("KiB", "MiB", "GiB", "TiB")


def run(given: Given, operands: list[str], session: Session) -> int:
    screen = session.screen
    if "exact-name" in given:
        screen.warn("-e, --exact-name is now default.")
        screen.warn("Use globbing to simulate the old behavior.")
        screen.out()
    for position, operand in enumerate(operands):
        if position:
            screen.out()
        query = parse_query(operand, regex="full-regex" in given)
        for package in find(query, session, Where()):
            _print(package, session, in_bytes="bytes" in given)
    return 0


def _print(package: Package, session: Session, *, in_bytes: bool) -> None:
    screen = session.screen
    size, files = measure(session, package.cpv)
    if not screen.verbose:
        screen.out(f"{package.cpv}: total({files}), inaccessible(0), size({size})")
        return
    number, unit = human(size)
    shown = screen.number(size) if in_bytes else f"{screen.number(number)} {unit}"
    screen.out(f" * {screen.cpv(package.cpv)}")
    screen.out(f"{'Total files : ':>23}{screen.number(files)}")
    screen.out(f"{'Total size  : ':>23}{shown}")


def measure(session: Session, cpv: str) -> tuple[int, int]:
    """Return the size in bytes and the number of a package's existing files.

    Hard links count once.
    """
    root = session.target.root
    seen = set()
    size = 0
    for path in parse(session.target.installed.contents(cpv)):
        try:
            status = os.lstat(root + path)
        except OSError:
            continue
        if status.st_ino not in seen:
            seen.add(status.st_ino)
            size += status.st_size
    return size, len(seen)


def human(size: int) -> tuple[str, str]:
    """Return the size as a number with at most two decimals, truncated, and its unit."""
    if size < 1 << 10:
        return str(size), "byte" if size == 1 else "bytes"
    power = min((size.bit_length() - 1) // 10, len(_UNITS))
    whole, _, decimals = str(size / (1 << 10 * power)).partition(".")
    decimals = decimals[:2]
    return (f"{whole}.{decimals}" if int(decimals or 0) else whole), _UNITS[power - 1]
