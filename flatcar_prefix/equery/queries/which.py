# SPDX-License-Identifier: BSD-3-Clause
"""Print the path of the ebuild that Portage selects for a package."""

from __future__ import annotations

import os

from flatcar_prefix.equery.arguments import Given, Option
from flatcar_prefix.equery.errors import NoMatches
from flatcar_prefix.equery.query import find_in_tree, parse_query
from flatcar_prefix.equery.session import Session

OPTIONS = (
    Option("include-masked", "m", "include masked versions"),
    Option("ebuild", "e", "print the ebuild, too"),
)


def run(given: Given, operands: list[str], session: Session) -> int:
    screen, target = session.screen, session.target
    for operand in operands:
        query = parse_query(operand)
        found = find_in_tree(query, target, masked="include-masked" in given, installed=False)
        if not found:
            raise NoMatches(query.text)
        ebuild, _ = target.origin(found[-1].cpv)
        if ebuild is None:
            screen.warn(f"No ebuilds to satisfy {found[-1]}")
            continue
        screen.out(os.path.normpath(ebuild))
        if "ebuild" in given:
            with open(ebuild, encoding="utf-8", errors="replace") as file:
                screen.out(f"\n\n\n{file.read()}\n\n")
    return 0
