# SPDX-License-Identifier: BSD-3-Clause
# Paths are strings, as in Portage; importing pathlib takes time.
"""Show the changes of a package from its ChangeLog, or else from its repository's commits.

Without options, show the entries about the version that Portage selects.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from typing import NamedTuple

from flatcar_prefix.equery.arguments import Given, Option, number
from flatcar_prefix.equery.cpv import Package
from flatcar_prefix.equery.errors import NoMatches, QueryError
from flatcar_prefix.equery.query import find_best, parse_query
from flatcar_prefix.equery.session import Session

OPTIONS = (
    Option("latest", "l", "show only the latest entry"),
    Option("full", "f", "show all entries"),
    Option("limit", "", "show at most this many entries (with --full)", "NUM"),
    Option("from", "", "start with this version (with --full)", "VER"),
    Option("to", "", "end with this version (with --full)", "VER"),
)
_MAX_BYTES = 1 << 24
_HEADING = re.compile(r"^\*(\S+)[ \t]+\(.*\)[ \t]*$", re.MULTILINE)
_ENTRY = re.compile(r"^  ?\d{1,2} \w{3,9} \d{4};", re.MULTILINE)


class Entry(NamedTuple):
    """One change: its text, and the versions that it added, as name-version."""

    text: str
    versions: tuple[str, ...] = ()


def run(given: Given, operands: list[str], session: Session) -> int:
    limit = number(given, "limit")
    screen = session.screen
    for position, operand in enumerate(operands):
        query = parse_query(operand)
        best = find_best(query.text, session.target)
        if best is None:
            raise NoMatches(query.text)
        if position:
            screen.out()
        package = Package(best)
        if screen.verbose:
            screen.out(f" * ChangeLog for {screen.cpv(package.cp)}")
            screen.out()
        entries = _entries(package, session)
        for entry in _chosen(entries, package, given)[:limit]:
            screen.out(entry.text)
            screen.out()
    return 0


def _entries(package: Package, session: Session) -> list[Entry]:
    """Return all entries, the latest first; raise `QueryError` if there are none."""
    ebuild, _ = session.target.origin(package.cpv)
    directory = os.path.dirname(ebuild or "")
    try:
        with open(os.path.join(directory, "ChangeLog"), "rb") as file:
            return split_changelog(file.read(_MAX_BYTES).decode("utf-8", "replace"))
    except OSError:
        pass
    entries = _commits(directory, package.cp, session.target.env) if directory else []
    if not entries:
        raise QueryError(f"No ChangeLog and no commits for {package.cp}")
    return entries


def split_changelog(text: str) -> list[Entry]:
    """Return the entries of a ChangeLog; a heading names the version that the next entry added."""
    starts = [match.start() for match in _ENTRY.finditer(text)]
    if not starts:
        return []
    entries = []
    previous = 0
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        brought = tuple(_HEADING.findall(text, previous, start))
        headings = [m.start() for m in _HEADING.finditer(text, start, end)]
        # The heading of the next entry does not belong to this entry's text.
        previous = start
        entries.append(Entry(text[start : min([end, *headings])].rstrip(), brought))
    return entries


def _commits(directory: str, cp: str, env: Mapping[str, str]) -> list[Entry]:
    """Return the commits about a package's directory, from `git log`.

    The ebuild repository can be a directory inside a checkout; git finds the checkout.
    """
    command = ["git", "-C", directory, "log", "--no-color", "--date=short", "--name-status"]
    command += ["--format=%x1e%h %ad; %an <%ae>%n%w(0,2,2)%B%x1f", "--", "."]
    try:
        done = subprocess.run(command, capture_output=True, check=False, env={**env, "LC_ALL": "C"})
    except OSError:
        return []
    if done.returncode:
        _refused(done.stderr.decode("utf-8", "replace"), cp)
    text = done.stdout.decode("utf-8", "replace")
    return [_commit(record) for record in text.split("\x1e")[1:]]


def _refused(said: str, cp: str) -> None:
    """Raise `QueryError` with git's error, unless there is no checkout or it has no commits."""
    reason = said.partition("\n")[0].removeprefix("fatal: ")
    if not reason.startswith("not a git repository") and "have any commits yet" not in reason:
        raise QueryError(f"No ChangeLog for {cp}, and git log failed: {reason}")


def _commit(record: str) -> Entry:
    message, _, names = record.partition("\x1f")
    brought = re.findall(r"^[AR]\S*\t(?:.*\t)?.*/([^/\n]+)\.ebuild$", names, re.MULTILINE)
    return Entry(message.rstrip(), tuple(brought))


def _chosen(entries: list[Entry], package: Package, given: Given) -> list[Entry]:
    if "latest" in given:
        return entries[:1]
    if {"full", "from", "to"} & set(given):
        return _between(entries, package.name, given.last("from"), given.last("to"))
    own = f"{package.name}-{package.fullversion}"
    return [entry for entry in entries if own in entry.versions] or entries[:1]


def _between(entries: list[Entry], name: str, first: str | None, last: str | None) -> list[Entry]:
    """Return the entries in a range of versions.

    An entry without a version belongs to the version of the previous entry.
    """
    from portage.versions import vercmp

    version = ""
    chosen = []
    for entry in reversed(entries):
        brought = [v.removeprefix(f"{name}-") for v in entry.versions]
        version = brought[0] if brought else version
        too_low = first and (not version or (vercmp(version, first) or 0) < 0)
        too_high = last and version and (vercmp(version, last) or 0) > 0
        if not too_low and not too_high:
            chosen.append(entry)
    return chosen[::-1]
