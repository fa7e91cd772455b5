# SPDX-License-Identifier: BSD-3-Clause
"""List the packages that have a USE flag in IUSE, enabled or disabled."""

from __future__ import annotations

from flatcar_prefix.equery.arguments import Given, Option
from flatcar_prefix.equery.errors import QueryError
from flatcar_prefix.equery.package_line import (
    FORMAT_NOTES,
    FORMAT_OPTION,
    WHERE_OPTIONS,
    flags,
    print_those,
    where_to_look,
)
from flatcar_prefix.equery.query import find, parse_query
from flatcar_prefix.equery.session import Session

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
        wanted = [p for p in packages if flag in _flags_of(p.cpv, session)]
        found |= print_those(wanted, where, given.last("format"), session)
    return 0 if found else 1


def _flags_of(cpv: str, session: Session) -> set[str]:
    """Return the flags in a package's IUSE; none if the metadata is not available."""
    try:
        return flags(session.target.recorded(cpv, ["IUSE"])[0])
    except QueryError:
        return set()
