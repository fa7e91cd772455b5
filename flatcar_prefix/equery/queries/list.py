# SPDX-License-Identifier: BSD-3-Clause
"""List packages that match a name, an atom, a pattern, a set or a regular expression.

For example, the pattern '*' matches all packages, and 'app-misc/*' all packages of a category.
"""

from __future__ import annotations

from collections import Counter

from flatcar_prefix.equery.arguments import Given, Option
from flatcar_prefix.equery.cpv import Package
from flatcar_prefix.equery.errors import NoMatches, QueryError
from flatcar_prefix.equery.package_line import (
    FORMAT_NOTES,
    FORMAT_OPTION,
    HARD_MASKED,
    WHERE_OPTIONS,
    line,
    mask_level,
)
from flatcar_prefix.equery.query import Query, Where, find, parse_query
from flatcar_prefix.equery.session import Session

OPTIONS = (
    Option("duplicates", "d", "list only packages with several installed versions"),
    Option("binpkgs-missing", "b", "list only installed packages without a binary package"),
    Option("full-regex", "f", "the query is a regular expression"),
    Option("mask-reason", "m", "show the reason of a mask"),
    *WHERE_OPTIONS,
    FORMAT_OPTION,
    Option("installed", "i"),
    Option("exact-name", "e"),
    Option("all"),
)
HELP_NOTES = FORMAT_NOTES
_SILENT_NO_MATCH = 3


def run(given: Given, operands: list[str], session: Session) -> int:
    screen = session.screen
    if "exact-name" in given:
        screen.warn("-e, --exact-name is now default.")
        screen.warn("Use globbing to simulate the old behavior.")
        screen.out()
    only_installed = "duplicates" in given or "binpkgs-missing" in given
    where = Where(
        installed=only_installed or "exclude-installed" not in given,
        tree=not only_installed and "portage-tree" in given,
        overlay=not only_installed and "overlay-tree" in given,
    )
    for position, operand in enumerate(operands):
        if position:
            screen.out()
        query = parse_query(operand, regex="full-regex" in given)
        reasons = "mask-reason" in given and not only_installed
        for package in _matches(query, given, where, session):
            _print(package, where, given.last("format"), session, reasons=reasons)
    return 0


def _matches(query: Query, given: Given, where: Where, session: Session) -> list[Package]:
    try:
        found = find(query, session, where, announce=True)
    except NoMatches:
        if session.screen.verbose:
            raise
        raise QueryError("", exit_code=_SILENT_NO_MATCH) from None
    if "duplicates" in given:
        versions = Counter(package.cp for package in found)
        found = [package for package in found if versions[package.cp] > 1]
    if "binpkgs-missing" in given:
        built = _binary_packages(session)
        found = [package for package in found if package.cpv not in built]
    return found


def _binary_packages(session: Session) -> set[str]:
    from portage.dbapi.bintree import binarytree

    settings = session.target.settings
    tree = binarytree(pkgdir=settings["PKGDIR"], settings=settings)
    return {str(cpv) for cpv in tree.dbapi.cpv_all()}


def _print(
    package: Package, where: Where, template: str | None, session: Session, *, reasons: bool
) -> None:
    text, description = line(package, session, template)
    if where.tree != where.overlay:
        wanted = {"P" if where.tree else "O", *("I" if where.installed else "")}
        if not wanted & set(description.location):
            return
    session.screen.out(text)
    if reasons:
        _print_reason(package.cpv, session)


def _print_reason(cpv: str, session: Session) -> None:
    level, status = mask_level(cpv, session)
    if level < HARD_MASKED:
        return
    from portage.package.ebuild.getmaskingreason import getmaskingreason

    target, screen = session.target, session.screen
    try:
        reason = getmaskingreason(
            cpv, settings=target.settings, portdb=target.portdb, return_location=True
        )
    except KeyError:
        return
    if not reason:
        return
    if not any(reason):
        screen.out(" * No mask reason given")
        return
    explanation, location = reason
    screen.out(f" * Masked by {', '.join(status)!r}")
    screen.out(f" * {location}:")
    screen.out("\n".join(f" * {text.lstrip(' #')}" for text in (explanation or "").splitlines()))
