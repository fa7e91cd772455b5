# SPDX-License-Identifier: BSD-3-Clause
"""List the packages that have a USE flag, whether they were built with it or not."""

from __future__ import annotations

from collections.abc import Callable

from flatcar_prefix.equery.cli import Session
from flatcar_prefix.equery.describe import FORMAT_NOTES, FORMAT_OPTION, WHERE_OPTIONS, line
from flatcar_prefix.equery.options import Given, Option
from flatcar_prefix.equery.packages import Package
from flatcar_prefix.equery.query import Where, find, parse_query

OPERAND = "USE-flag"
OPTIONS = (*WHERE_OPTIONS, FORMAT_OPTION, Option("installed", "i"))
HELP_NOTES = FORMAT_NOTES


def run(given: Given, operands: list[str], session: Session) -> int:
    where = where_to_look(given)
    packages = find(parse_query("*"), session, where)
    screen = session.screen
    found = False
    for position, flag in enumerate(operands):
        if position:
            screen.out()
        if screen.verbose:
            screen.out(f" * Searching for USE flag {screen.emph(flag)} ... ")
        found |= print_those(
            packages,
            lambda cpv, flag=flag: flag in flags(recorded(session, cpv, "IUSE")),
            where,
            given.last("format"),
            session,
        )
    return 0 if found else 1


def where_to_look(given: Given) -> Where:
    return Where(
        installed="exclude-installed" not in given,
        tree="portage-tree" in given,
        overlay="overlay-tree" in given,
    )


def flags(text: str) -> set[str]:
    """Flags without the sign of their default."""
    return {word.lstrip("+-") for word in text.split()}


def recorded(session: Session, cpv: str, key: str) -> str:
    """What is recorded of a package, installed or in a repository."""
    installed = session.target.installed
    if cpv in installed and key in ("IUSE", "USE"):
        return installed.read(cpv, key).decode(errors="replace")
    return session.target.recorded(cpv, [key])[0]


def print_those(
    packages: list[Package],
    wanted: Callable[[str], bool],
    where: Where,
    template: str | None,
    session: Session,
) -> bool:
    """Prints the packages that are wanted and are where was looked; says if there was one."""
    found = False
    for package in packages:
        if not wanted(package.cpv):
            continue
        text, description = line(package, session, template)
        if _hidden(where, description):
            continue
        session.screen.out(text)
        found = True
    return found


def _hidden(where: Where, description: object) -> bool:
    from flatcar_prefix.equery.describe import Description

    assert isinstance(description, Description)
    if where.tree == where.overlay:
        return not where.tree and where.installed and not description.installed
    return ("P" if where.tree else "O") not in description.location
