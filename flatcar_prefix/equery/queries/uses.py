# SPDX-License-Identifier: BSD-3-Clause
# ruff: noqa: PTH207
# Paths are strings, as in Portage; importing pathlib takes time.
"""Show a package's USE flags: description, current setting, and setting when installed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from glob import escape, glob
from typing import NamedTuple

from flatcar_prefix.equery.arguments import Given, Option
from flatcar_prefix.equery.cpv import Package
from flatcar_prefix.equery.errors import NoMatches
from flatcar_prefix.equery.metadata_xml import Flag, Metadata, load
from flatcar_prefix.equery.output import Screen
from flatcar_prefix.equery.query import find_best, find_in_tree, parse_query
from flatcar_prefix.equery.session import Session

OPTIONS = (
    Option("all", "a", "show all versions of the package"),
    Option("forced-masked", "f", "include forced and masked flags"),
    Option("ignore-l10n", "i", "omit l10n flags"),
)
_UNSET, _SET, _MASKED, _FORCED = range(4)
_MARKS = "-+MF"


class _Row(NamedTuple):
    would_be: int
    installed: int
    name: str
    description: str
    restrict: str


class _State(NamedTuple):
    """The flags of a package with Portage's current settings."""

    iuse: list[str]
    enabled: set[str]
    forced: set[str]
    masked: set[str]


def run(given: Given, operands: list[str], session: Session) -> int:
    screen = session.screen
    explained = False
    for position, operand in enumerate(operands):
        if position:
            screen.out()
        packages = _packages(operand, session, every="all" in given)
        known = _global_descriptions(session.target.main_location)
        for package in packages:
            rows = _rows(package, known, given, session)
            if rows and screen.verbose:
                if not explained:
                    _print_legend(screen)
                    explained = True
                screen.out(f" * Found these USE flags for {screen.cpv(package.cpv)}:")
                screen.out(screen.emph(" U I"))
            elif not rows and screen.verbose:
                screen.warn(f"No USE flags found for {screen.cpv(package.cpv)}")
            _print(rows, screen)
    return 0


def _packages(operand: str, session: Session, *, every: bool) -> list[Package]:
    query = parse_query(operand)
    if every:
        found = find_in_tree(query, session.target, masked=True, installed=True)
    else:
        best = find_best(query.text, session.target)
        found = [Package(best)] if best else []
    if not found:
        raise NoMatches(query.text)
    return found


def _rows(package: Package, known: dict[str, str], given: Given, session: Session) -> list[_Row]:
    state = _state(package.cpv, session, every="forced-masked" in given)
    local = {}
    for flag in reversed(_local_flags(package, session)):
        local[flag.name] = flag
    used = _installed_flags(package.cpv, session)
    rows = []
    for name in sorted(state.iuse):
        if "ignore-l10n" in given and name.startswith("l10n_"):
            continue
        own = local.get(name) or Flag(name, known.get(name, ""))
        would_be = _level(name, state.enabled, state)
        rows.append(_Row(would_be, _level(name, used, state), name, own.description, own.restrict))
    return rows


def _level(name: str, enabled: set[str], state: _State) -> int:
    if name in enabled:
        return _FORCED if name in state.forced else _SET
    return _MASKED if name in state.masked else _UNSET


def _installed_flags(cpv: str, session: Session) -> set[str]:
    """Return the enabled flags of an installed package, or else those of the configuration."""
    target = session.target
    if cpv in target.installed:
        return set(target.recorded(cpv, ["USE"])[0].split())
    return set(target.settings["USE"].split())


def _local_flags(package: Package, session: Session) -> list[Flag]:
    ebuild, _ = session.target.origin(package.cpv)
    if ebuild is None:
        return []
    try:
        path = os.path.join(os.path.dirname(ebuild), "metadata.xml")
        return list(load(path, session.screen).flags)
    except FileNotFoundError:
        return list(Metadata().flags)


def _state(cpv: str, session: Session, *, every: bool) -> _State:
    """Return the package's flags; hidden flags are omitted.

    Without `every`, forced and masked flags are omitted, too.
    """
    portdb = session.target.portdb
    settings = portdb.settings
    try:
        iuse = portdb.aux_get(cpv, ["IUSE"])[0].split()
    except KeyError:
        return _State([], set(), set(), set())
    settings.unlock()
    try:
        settings.setcpv(cpv, mydb=portdb)
        use = settings["PORTAGE_USE"].split()
        hidden = settings["USE_EXPAND_HIDDEN"].split()
        masked, forced = set(settings.usemask), set(settings.useforce)
    finally:
        settings.reset()
        settings.lock()
    omitted = {*settings["PORTAGE_ARCHLIST"].split(), *(() if every else masked | forced)}
    prefixes = tuple(f"{name.lower()}_" for name in hidden)

    def visible(names: Iterable[str]) -> set[str]:
        return {n for n in names if n not in omitted and not n.startswith(prefixes)}

    names = visible(flag.lstrip("+-") for flag in iuse)
    if not every:
        masked = forced = set()
    return _State(list(names), visible(use), forced, masked)


def _global_descriptions(repository: str) -> dict[str, str]:
    """Return the descriptions of global USE flags from the main repository's profiles."""
    profiles = os.path.join(repository, "profiles")
    known = dict(_described(os.path.join(profiles, "use.desc")))
    for path in glob(os.path.join(escape(profiles), "desc", "*.desc")):
        prefix = os.path.basename(path)[: -len(".desc")]
        known.update((f"{prefix}_{name.strip()}", text) for name, text in _described(path))
    return known


def _described(path: str) -> Iterable[tuple[str, str]]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                name, separator, text = line.partition(" - ")
                if separator and not line.startswith("#"):
                    yield name, text.strip()
    except OSError:
        return


def _print_legend(screen: Screen) -> None:
    flag = screen.useflag
    blank = " " * 29
    screen.out(f"[ Legend : {screen.emph('U')} - final flag setting for installation]")
    screen.out(f"[        : {screen.emph('I')} - package is installed with flag     ]")
    screen.out(f"[ Colors : {flag('set')}, {flag('unset', enabled=False)}{blank}]")


def _print(rows: list[_Row], screen: Screen) -> None:
    width = max((len(row.name) for row in rows), default=0)
    for row in rows:
        if screen.verbose:
            _print_row(row, width, screen)
        elif row.would_be > _SET:
            screen.out(f"({_MARKS[row.would_be % 2]}{row.name})")
        else:
            screen.out(f"{_MARKS[row.would_be]}{row.name}")


def _print_row(row: _Row, width: int, screen: Screen) -> None:
    marks = f" {_MARKS[row.would_be]} {_MARKS[row.installed]}"
    if row.would_be != row.installed:
        marks = screen.emph(marks)
    name = screen.useflag(row.name.ljust(width), enabled=bool(row.would_be % 2))
    first, rest = f"{marks} {name} : ", " " * (width + 8)
    text = row.description.lstrip()
    if row.restrict:
        restricted = f"({screen.emph('Restricted to')} {screen.cpv(row.restrict)})"
        screen.out(screen.fill(restricted, first, rest))
        screen.out(screen.fill(text, rest, rest) if text else " : <unknown>")
    else:
        screen.out(screen.fill(text or "<unknown>", first, rest))
