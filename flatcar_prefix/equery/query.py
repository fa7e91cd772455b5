# SPDX-License-Identifier: BSD-3-Clause
"""Find packages by a name, an atom, a pattern, a regular expression or a set."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from string import ascii_letters, digits
from typing import Any, NamedTuple

from flatcar_prefix.equery.cpv import Package, in_order, loose_split
from flatcar_prefix.equery.errors import Ambiguous, InvalidAtom, NoMatches, QueryError
from flatcar_prefix.equery.root import Target
from flatcar_prefix.equery.session import Session

_NEEDED = frozenset(ascii_letters + digits + "*")


class Query(NamedTuple):
    """One operand. `repo` is the text after its second colon."""

    text: str
    repo: str | None = None
    regex: bool = False

    @property
    def is_set(self) -> bool:
        return self.text.startswith("@")

    @property
    def is_pattern(self) -> bool:
        return self.regex or (not self.text.startswith("=") and bool(set("!*?[]") & set(self.text)))


class Where(NamedTuple):
    """The locations to search, and whether masked packages match."""

    installed: bool = True
    tree: bool = False
    overlay: bool = False
    masked: bool = True


def parse_query(text: str, *, regex: bool = False) -> Query:
    """Return the query of an operand; raise `QueryError` if it cannot name a package."""
    if not _NEEDED & set(text):
        raise QueryError(f"Invalid package: '{text}'")
    repo = None
    if text.count(":") == 2:
        text, repo = text.rsplit(":", 1)
    return Query(text.rstrip(":"), repo, regex)


def find(query: Query, session: Session, where: Where, *, announce: bool = False) -> list[Package]:
    """Return the matching packages, sorted; raise `NoMatches` if no package matches.

    With `announce`, first print the search on a terminal.
    """
    screen = session.screen
    if not (where.installed or where.tree or where.overlay):
        _nowhere()
    wordy = screen.verbose if not (query.is_set or query.is_pattern) else not screen.piping
    if announce and wordy and not screen.quiet:
        _print_summary(query, session)
    if query.is_set:
        matches: Iterable[str] = _in_set(query, session.target, where)
    elif query.is_pattern:
        matches = _matching(query, session.target, where)
    else:
        matches = _named(query.text, session.target, where)
    if query.repo is not None:
        matches = _of_repository(matches, query.repo, session.target)
    found = in_order(matches)
    if not found:
        only_installed = where.installed and not (where.tree or where.overlay)
        raise NoMatches(query.text, installed=only_installed)
    return found


def find_in_tree(query: Query, target: Target, *, masked: bool, installed: bool) -> list[Package]:
    """Return the versions of an atom or name in the repositories.

    With `installed`, include the installed versions. With `masked`, include masked ones.
    """
    return in_order(_tree_matches(query.text, target, masked=masked, installed=installed))


def find_best(text: str, target: Target) -> str | None:
    """Return the version that Portage selects, or else the highest version, or None."""
    best = target.match_tree(text, "bestmatch-visible")
    if best:
        return str(best)
    versions = target.match_tree(text)
    if not versions:
        return None
    from portage.versions import best as highest

    return str(highest(versions))


def _tree_matches(text: str, target: Target, *, masked: bool, installed: bool) -> list[str]:
    found = list(target.match_tree(text, "match-all" if masked else "match-visible"))
    if installed:
        found.extend(target.match_installed(text))
    return found


def _named(text: str, target: Target, where: Where) -> list[str]:
    if where.tree or where.overlay:
        found = _tree_matches(text, target, masked=where.masked, installed=where.installed)
        return found if where.installed else [c for c in found if c not in target.installed]
    try:
        return target.match_installed(text)
    except Ambiguous as error:
        return [cpv for cp in error.choices for cpv in target.match_installed(cp)]


def _nowhere() -> None:
    raise QueryError(
        "Fatal error: Not searching in installed, Portage tree, or overlay. Nothing to do.",
        serious=True,
    )


def candidates(target: Target, where: Where) -> Iterable[str]:
    """Return all packages in the locations to search."""
    if not (where.tree or where.overlay):
        return target.installed.cpv_all()
    in_tree = target.all_in_tree()
    if where.installed:
        return {*in_tree, *target.installed.cpv_all()}
    return set(in_tree).difference(target.installed.cpv_all())


def _matching(query: Query, target: Target, where: Where) -> Iterable[str]:
    matches = _pattern(query)
    return [cpv for cpv in candidates(target, where) if matches(cpv)]


def _pattern(query: Query) -> Callable[[str], Any]:
    """Return a function that matches a package against a pattern or regular expression.

    Raise `QueryError` for an invalid regular expression.
    """
    split = loose_split(query.text)
    category = split[0] if split else ""
    if not query.regex:
        from fnmatch import translate

        return re.compile(translate(query.text if category else f"*/{query.text}")).match
    try:
        whole = re.compile(query.text)
        prefix = re.compile(category)
    except re.error as error:
        raise QueryError(f"Invalid regex: '{query.text}'") from error
    # The part before the slash must match from the start of the category.
    return lambda cpv: prefix.match(cpv.partition("/")[0]) and whole.search(cpv)


def _in_set(query: Query, target: Target, where: Where) -> Iterable[str]:
    import portage

    from flatcar_prefix.portage_api import packages

    trees = portage.create_trees(
        config_root=target.env.get("PORTAGE_CONFIGROOT"),
        target_root=target.env.get("ROOT"),
        sysroot=target.env.get("SYSROOT"),
        eprefix=target.env.get("EPREFIX"),
        env=dict(target.env),
    )
    atoms = packages.set_atoms(packages.target(trees), query.text[1:])
    if atoms is None:
        return []
    return [cpv for atom in atoms for cpv in _named(str(atom), target, where)]


def _of_repository(matches: Iterable[str], repo: str, target: Target) -> list[str]:
    found = []
    for cpv in matches:
        name = repository(cpv, target)
        if name == repo or (not name and repo in ("unknown", "null")):
            found.append(cpv)
    return found


def repository(cpv: str, target: Target) -> str:
    """Return the repository that a package is installed from, or else the one that has it."""
    if cpv in target.installed:
        return target.origin_of_installed(cpv)
    return target.recorded(cpv, ["repository"])[0]


def _print_summary(query: Query, session: Session) -> None:
    screen = session.screen
    category, shown = _summary_parts(query)
    repo = f" {screen.section(query.repo)}" if query.repo is not None else ""
    of = ""
    if category and not query.regex and not query.is_set:
        of = f"in {screen.emph(category.lstrip('><=~!'))} "
    screen.out(f" * Searching{repo} for {screen.emph(shown)} {of}...")


def _summary_parts(query: Query) -> tuple[str, str]:
    if query.is_set or query.regex:
        return "", query.text
    split = loose_split(_atom_cpv(query.text))
    return (split[0], split[1] + split[2]) if split else ("", query.text)


def _atom_cpv(text: str) -> str:
    from portage.dep import Atom
    from portage.exception import InvalidAtom as BadAtom

    try:
        return str(Atom(text, allow_repo=True).cpv)
    except BadAtom:
        return text


__all__ = [
    "InvalidAtom",
    "Query",
    "Where",
    "candidates",
    "find",
    "find_best",
    "find_in_tree",
    "parse_query",
    "repository",
]
