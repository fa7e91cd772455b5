# SPDX-License-Identifier: BSD-3-Clause
"""List the packages that have a value in a metadata key, such as SLOT, repository or CHOST."""

from __future__ import annotations

from flatcar_prefix.equery.arguments import Given, Option
from flatcar_prefix.equery.cpv import Package
from flatcar_prefix.equery.errors import Ambiguous, QueryError
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

OPERAND = "key [value]"
OPTIONS = (
    *WHERE_OPTIONS,
    FORMAT_OPTION,
    Option("package", "", "only this package; without a value operand, print the key", "PKG"),
    Option("installed", "i"),
)
HELP_NOTES = FORMAT_NOTES
_FLAGS = ("USE", "IUSE", "CFLAGS", "CXXFLAGS", "LDFLAGS")


def run(given: Given, operands: list[str], session: Session) -> int:
    where = where_to_look(given)
    scope = given.last("package")
    packages = find(parse_query(scope or "*"), session, where)
    key, *values = operands
    if not values:
        return _print_recorded(packages, key, scope, session)
    screen = session.screen
    found = False
    for position, value in enumerate(values):
        if position:
            screen.out()
        if screen.verbose:
            screen.out(f" * Searching for {key} {screen.emph(value)} ... ")
        wanted = [package for package in packages if _has(package.cpv, key, value, session)]
        print_those(wanted, where, given.last("format"), session)
        found |= bool(wanted)
    return 0 if found else 1


def _print_recorded(packages: list[Package], key: str, scope: str | None, session: Session) -> int:
    if not scope:
        raise QueryError("Fatal error: Used ENV_VAR without match_expression or --package")
    if len(packages) > 1:
        raise Ambiguous(packages)
    session.screen.out(session.target.recorded(packages[0].cpv, [key])[0])
    return 0


def _has(cpv: str, key: str, value: str, session: Session) -> bool:
    try:
        text = session.target.recorded(cpv, [key])[0]
    except QueryError:
        return False
    return value in (flags(text) if key in _FLAGS else text.split())
