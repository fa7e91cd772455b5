# SPDX-License-Identifier: BSD-3-Clause
"""Show the dependency tree of a package.

The default depth is 1, which shows only direct dependencies; --depth=0 shows the whole tree.
"""

from __future__ import annotations

from typing import Any

from flatcar_prefix.equery.arguments import Given, Option, number
from flatcar_prefix.equery.dependencies import bare_atom, dependencies, raw_dependencies
from flatcar_prefix.equery.package_line import mask_words
from flatcar_prefix.equery.query import Where, find, find_best, parse_query
from flatcar_prefix.equery.session import Session

OPTIONS = (
    Option("no-atom", "A", "omit the dependency atom"),
    Option("no-mask", "M", "omit the masking status"),
    Option("no-useflags", "U", "omit USE flags"),
    Option("linear", "l", "print the depth instead of an indent"),
    Option("depth", "", "maximum depth", "N"),
)


class _Tree:
    """The tree of one package, which is printed during the search."""

    def __init__(self, given: Given, session: Session) -> None:
        plain = not session.screen.verbose
        depth = number(given, "depth")
        self.deepest = 1 if depth is None else depth
        self.linear = plain or "linear" in given
        self.hides = {name: plain or f"no-{name}" in given for name in ("atom", "mask", "useflags")}
        self.session = session
        self._known: set[str] = set()
        self._seen: set[str] = set()
        self.depths = [0]

    def descend(self, cpv: str, depth: int = 1) -> None:
        if self.deepest and depth > self.deepest:
            return
        target = self.session.target
        for dependency in dependencies(raw_dependencies(cpv, target)):
            atom = dependency.atom
            if str(atom) in self._known:
                continue
            self._known.add(str(atom))
            best = find_best(str(atom), target)
            if best is None or best in self._seen:
                continue
            self._seen.add(best)
            self.print(depth, best, atom)
            self.depths.append(depth)
            self.descend(best, depth + 1)

    def print(self, depth: int, cpv: str, atom: Any = None) -> None:
        screen = self.session.screen
        indent = "" if self.linear or atom is None else " " * (depth + 1)
        mark = f"[{depth:>3}] " if self.linear else "`-- "
        name = mask = use = ""
        if atom is not None and not self.hides["atom"]:
            name = f" ({bare_atom(atom)})"
        if atom is not None and atom.use and not self.hides["useflags"]:
            use = f" [{' '.join(screen.useflag(flag) for flag in atom.use.tokens)}]"
        if not self.hides["mask"]:
            mask = mask_words(cpv, self.session)
        screen.out(" ".join((indent, mark, screen.cpv(cpv), name, mask, use)))


def run(given: Given, operands: list[str], session: Session) -> int:
    screen = session.screen
    number(given, "depth")
    for position, operand in enumerate(operands):
        if position:
            screen.out()
        where = Where(tree=True, overlay=True)
        for package in find(parse_query(operand), session, where, announce=True):
            _print_tree(package.cpv, _Tree(given, session))
    return 0


def _print_tree(cpv: str, tree: _Tree) -> None:
    screen = tree.session.screen
    name = screen.cpv(cpv)
    screen.out()
    if screen.verbose:
        screen.out(f" * {screen.section('dependency graph for ')}{name}")
    else:
        screen.out(f"{cpv}:")
    tree.print(0, cpv)
    tree.descend(cpv)
    if screen.verbose:
        packages, deepest = screen.number(len(tree.depths)), screen.number(max(tree.depths))
        screen.out(f"[ {name} stats: packages ({packages}), max depth ({deepest}) ]")
