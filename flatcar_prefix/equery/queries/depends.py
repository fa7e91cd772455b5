# SPDX-License-Identifier: BSD-3-Clause
"""List the packages that depend on a package."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

from flatcar_prefix.equery.arguments import Given, Option, number
from flatcar_prefix.equery.cpv import Package, loose_split
from flatcar_prefix.equery.dependencies import (
    Dependency,
    Wanted,
    bare_atom,
    dependencies,
    intersect,
    raw_dependencies,
    wanted,
)
from flatcar_prefix.equery.output import Screen
from flatcar_prefix.equery.package_line import FORMAT_OPTION, line
from flatcar_prefix.equery.query import Where, candidates, parse_query
from flatcar_prefix.equery.root import Target
from flatcar_prefix.equery.session import Session

OPTIONS = (
    Option("all-packages", "a", "include packages that are not installed (slow)"),
    Option("indirect", "D", "include indirect dependencies"),
    FORMAT_OPTION._replace(help="output format of the packages"),
    Option("depth", "", "maximum depth of indirect dependencies", "N"),
    Option("direct", "d"),
)


class _Line(NamedTuple):
    """One dependency: the package that has it, the dependency, and its depth."""

    cpv: str
    dependency: Dependency
    depth: int


class _Graph:
    """The searched packages and their dependencies, each read once."""

    def __init__(self, cpvs: list[str], target: Target, deepest: int | None) -> None:
        self._cpvs = cpvs
        self._target = target
        self._deepest = deepest
        self._seen: set[str] = set()
        self._parsed: dict[str, list[tuple[Dependency, Wanted]]] = {}

    @cached_property
    def _raw(self) -> list[tuple[str, list[str]]]:
        return [(cpv, raw_dependencies(cpv, self._target)) for cpv in self._cpvs]

    def _of(self, cpv: str, texts: list[str]) -> list[tuple[Dependency, Wanted]]:
        if cpv not in self._parsed:
            self._parsed[cpv] = [(d, wanted(d.atom)) for d in dependencies(texts)]
        return self._parsed[cpv]

    def reverse(self, of: Wanted, depth: int = 0) -> Iterator[_Line]:
        for cpv, texts in self._raw:
            # Most packages do not contain the name, and creating atoms is slow.
            if not any(of.cp in text for text in texts):
                continue
            found = False
            for dependency, its in self._of(cpv, texts):
                if intersect(its, of):
                    found = True
                    yield _Line(cpv, dependency, depth)
            if found and self._goes_on(cpv, depth):
                self._seen.add(cpv)
                yield from self.reverse(Wanted(Package(cpv).cp), depth + 1)

    def _goes_on(self, cpv: str, depth: int) -> bool:
        deep_enough = self._deepest is not None and depth >= self._deepest
        return not deep_enough and cpv not in self._seen


def run(given: Given, operands: list[str], session: Session) -> int:
    depth = number(given, "depth") if "indirect" in given else 0
    number(given, "depth")
    screen, target = session.screen, session.target
    for position, operand in enumerate(operands):
        if position:
            screen.out()
        query = parse_query(operand)
        what, shown = _asked(query.text)
        if screen.verbose:
            screen.out(f" * These packages depend on {screen.emph(shown)}:")
        where = Where(tree="all-packages" in given)
        graph = _Graph(sorted(candidates(target, where)), target, depth)
        last = None
        for found in graph.reverse(what):
            _print(found, found.cpv == last, given.last("format"), session)
            last = found.cpv
    return 0


def _asked(text: str) -> tuple[Wanted, str]:
    """Return the parts of an operand, and its name for the heading."""
    from portage.dep import Atom
    from portage.exception import InvalidAtom

    try:
        atom = Atom(text, allow_repo=True)
    except InvalidAtom:
        split = loose_split(text)
        name = "/".join(part for part in split[:2] if part) if split else text
        return Wanted(name), text
    return wanted(atom), str(atom.cpv)


def _print(found: _Line, repeated: bool, template: str | None, session: Session) -> None:
    screen = session.screen
    if repeated and not screen.verbose:
        return
    if template is not None:
        screen.out(line(Package(found.cpv), session, template)[0])
        return
    indent = " " * found.depth
    if not screen.verbose:
        screen.out(f"{indent}{found.cpv}")
        return
    name = "" if repeated else found.cpv
    if repeated:
        indent += " " * len(found.cpv)
    shown = _shown(found.dependency, screen)
    screen.out(f"{indent}{screen.cpv(name)} ({shown})")


def _shown(dependency: Dependency, screen: Screen) -> str:
    condition = " & ".join(screen.useflag(word) for word in dependency.condition.split())
    return f"{condition}{' ? ' if condition else ''}{_atom_text(dependency.atom, screen)}"


def _atom_text(atom: Any, screen: Screen) -> str:
    text = bare_atom(atom)
    if atom.slot:
        text += screen.emph(":") + screen.slot(atom.slot)
        if atom.sub_slot:
            text += screen.slot("/") + screen.slot(atom.sub_slot)
    if atom.use:
        flags = screen.useflag(",".join(atom.use.tokens))
        text += f"{screen.emph('[')}{flags}{screen.emph(']')}"
    return text
