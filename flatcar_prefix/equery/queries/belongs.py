# SPDX-License-Identifier: BSD-3-Clause
"""List the packages that own a file.

If several packages own the same file, report this as a bug.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable

from flatcar_prefix.equery.arguments import Given, Option
from flatcar_prefix.equery.cpv import Package, in_order
from flatcar_prefix.equery.errors import QueryError
from flatcar_prefix.equery.session import Session
from flatcar_prefix.equery.vdb_contents import parse, shown
from flatcar_prefix.links import follow

OPERAND = "filename"
OPTIONS = (
    Option("full-regex", "f", "the query is a regular expression"),
    Option("early-out", "e", "stop at the first match"),
    Option("name-only", "n", "omit the version"),
    Option("earlyout"),
)

_Matcher = Callable[[str], object]
_Filter = Callable[[bytes], bool]


def run(given: Given, operands: list[str], session: Session) -> int:
    screen = session.screen
    if "earlyout" in given:
        screen.warn("Use of --earlyout is deprecated.")
        screen.warn("Please use --early-out.")
        screen.out()
    if screen.verbose:
        screen.out(f" * Searching for {screen.emph(','.join(operands))} ... ")
    matches, worth_parsing = _matcher(operands, session, regex="full-regex" in given)
    early_out = "early-out" in given or "earlyout" in given
    found = False
    for package in _holders(session, worth_parsing, matches, one=early_out):
        found = True
        _print(package, matches, session, name_only="name-only" in given, first=early_out)
        if early_out:
            break
    return 0 if found else 1


def _holders(
    session: Session, worth_parsing: _Filter, matches: _Matcher, *, one: bool
) -> Iterable[Package]:
    """Return the packages with a match, sorted; read one CONTENTS at a time."""
    installed = session.target.installed

    def holds(cpv: str) -> bool:
        data = installed.contents(cpv)
        return bool(data) and worth_parsing(data) and any(map(matches, parse(data)))

    if one:
        return (package for package in in_order(installed.cpv_all()) if holds(package.cpv))
    return in_order(cpv for cpv in installed.cpv_all() if holds(cpv))


def _print(
    package: Package, matches: _Matcher, session: Session, *, name_only: bool, first: bool
) -> None:
    screen = session.screen
    name = package.cp if name_only else package.cpv
    for path, entry in parse(session.target.installed.contents(package.cpv)).items():
        if not matches(path):
            continue
        if screen.verbose:
            screen.out(f"{screen.cpv(name)} ({screen.path(shown(path, entry, screen))})")
        else:
            screen.out(name)
        if first:
            return


def _matcher(operands: list[str], session: Session, *, regex: bool) -> tuple[_Matcher, _Filter]:
    """Return two functions: one matches a path, the other a CONTENTS that can have a match."""
    if regex:
        return _regex_matcher("|".join(operands)), lambda data: True
    whole: set[str] = set()
    ends: tuple[str, ...] = ()
    for path in _spellings(operands, session):
        if path.startswith("/"):
            whole.add(path)
        else:
            ends += (f"/{path}",)
    needles = [os.fsencode(path) for path in (*whole, *ends)]
    return (
        lambda path: path in whole or path.endswith(ends),
        lambda data: any(needle in data for needle in needles),
    )


def _regex_matcher(text: str) -> _Matcher:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise QueryError(f"Invalid regex: '{error}'") from error
    # A single expression must match at the start of the path, alternatives anywhere in it.
    return pattern.search if "|" in text else pattern.match


def _spellings(operands: list[str], session: Session) -> list[str]:
    """Return the possible paths of a file in CONTENTS.

    These are the operand, the operand without ROOT, and its path with all links resolved.
    """
    root = session.target.root
    paths = []
    for operand in operands:
        # `.` and `..` refer to this machine's working directory, not to one of the prefix.
        path = os.path.abspath(operand) if operand.startswith(("./", "../")) else operand
        path = re.sub("/+", "/", path).rstrip("/")
        inside = _inside(root, path if path.startswith("/") else f"{os.getcwd()}/{path}")
        if path.startswith("/"):
            inside = inside or path
            paths.append(inside)
        else:
            paths.append(path)
        if inside is not None:
            paths.append(real_path(root, inside))
    return list(dict.fromkeys(paths))


def _inside(root: str, path: str) -> str | None:
    """Return the path on the target of a path of this machine, None if it is outside ROOT."""
    if not root:
        return path
    resolved = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    for spelling in (path, resolved):
        for above in (root, os.path.realpath(root)):
            if spelling.startswith(f"{above}/"):
                return spelling[len(above) :]
    return None


def real_path(root: str, path: str) -> str:
    """Return the path of the target with all links resolved inside ROOT."""

    def look(here: str) -> str | None:
        try:
            return os.readlink(f"{root}{here}")
        except (OSError, ValueError):
            return None

    end = follow(path, look)
    return path if end.failure else end.path
