# SPDX-License-Identifier: BSD-3-Clause
"""Parse recorded dependencies, and compare atoms that can match the same package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from flatcar_prefix.equery.errors import InvalidAtom, QueryError
from flatcar_prefix.equery.root import Target

KINDS = ("DEPEND", "RDEPEND", "BDEPEND", "PDEPEND", "IDEPEND")


class Dependency(NamedTuple):
    """An atom with its USE condition, which can be empty."""

    atom: Any
    condition: str = ""


def raw_dependencies(cpv: str, target: Target) -> list[str]:
    """Return the dependency string of each kind, from a repository or else from the VDB.

    Return an empty list if neither has the package.
    """
    try:
        return target.recorded(cpv, KINDS, tree_first=True)
    except QueryError:
        return []


def dependencies(texts: Iterable[str]) -> Iterator[Dependency]:
    """Yield all atoms in the texts in order, except blockers.

    Raise `InvalidAtom` for an invalid atom.
    """
    from portage.dep import paren_reduce

    for text in texts:
        yield from _flatten(paren_reduce(text, _deprecation_warn=False), "")


def _flatten(tokens: list[Any], condition: str) -> Iterator[Dependency]:
    """Yield the atoms; a condition applies to the next group, and the innermost one is kept."""
    for token in tokens:
        if isinstance(token, list):
            yield from _flatten(token, condition)
            condition = ""
        elif token.endswith("?"):
            condition = token[:-1]
        elif token != "||" and not token.startswith("!"):
            yield Dependency(_atom(token), condition)


def _atom(token: str) -> Any:
    from portage.dep import Atom
    from portage.exception import InvalidAtom as BadAtom

    try:
        return Atom(token)
    except BadAtom as error:
        raise InvalidAtom(token) from error


class Wanted(NamedTuple):
    """The parts of an operand: only a name, or an atom with all its parts."""

    cp: str
    operator: str = ""
    version: str = ""
    slot: str | None = None
    repo: str | None = None
    use: frozenset[str] = frozenset()

    @property
    def name_only(self) -> bool:
        return "/" not in self.cp


def wanted(atom: Any) -> Wanted:
    """Return the parts of a Portage atom."""
    use = frozenset(atom.use.tokens) if atom.use else frozenset()
    version = str(atom.cpv)[len(atom.cp) + 1 :]
    return Wanted(str(atom.cp), atom.operator or "", version, atom.slot, atom.repo, use)


def intersect(one: Wanted, other: Wanted) -> bool:
    """Return whether a package can match both. A name without a category matches all versions."""
    if one.cp != other.cp:
        return other.name_only and one.cp.rpartition("/")[2] == other.cp
    for mine, theirs in ((one.slot, other.slot), (one.repo, other.repo)):
        if mine is not None and theirs is not None and mine != theirs:
            return False
    if one.use and other.use:
        contested = one.use ^ other.use
        if any(flag[0] == "-" and flag[1:] in contested for flag in contested):
            return False
    if not one.operator or not other.operator:
        return True
    return _versions_intersect(one, other)


def _versions_intersect(one: Wanted, other: Wanted) -> bool:
    for a, b in ((one, other), (other, one)):
        if a.operator == "=":
            return _admits(b, a.version)
    pair = {one.operator, other.operator}
    if pair == {"=*"}:
        return one.version.startswith(other.version) or other.version.startswith(one.version)
    if pair <= {"=*", "~"}:
        return _close(one, other)
    if one.operator[0] == other.operator[0]:
        return True
    if pair & {"=*", "~"}:
        ranged, near = (one, other) if one.operator[0] in "<>" else (other, one)
        return _range_meets(ranged, near)
    return _admits(one, other.version) and _admits(other, one.version)


def _close(one: Wanted, other: Wanted) -> bool:
    """Compare `~` with `~`, and `~` with `=*`."""
    if one.operator == other.operator:
        return one.version == other.version
    glob, any_revision = (one, other) if one.operator == "=*" else (other, one)
    return any_revision.version.startswith(_base(glob.version))


def _range_meets(ranged: Wanted, near: Wanted) -> bool:
    """Return whether a half-open range includes a version that `near` (`~`, `=*`) matches."""
    if _admits(ranged, near.version):
        return True
    if near.operator == "~":
        return ranged.operator[0] == ">" and _admits(near, ranged.version)
    if ranged.operator[0] == "<" and near.version != _base(near.version):
        return False
    return ranged.version.startswith(_base(near.version))


def _admits(atom: Wanted, version: str) -> bool:
    """Return whether the atom matches a version."""
    if atom.operator == "=*":
        return version.startswith(atom.version)
    from portage.versions import vercmp

    if atom.operator == "~":
        return bool(vercmp(_base(version), _base(atom.version)) == 0)
    order = vercmp(version, atom.version) or 0
    admitted: dict[str, bool] = {
        "=": order == 0,
        "<": order < 0,
        "<=": order <= 0,
        ">": order > 0,
        ">=": order >= 0,
    }
    return admitted[atom.operator]


def _base(version: str) -> str:
    """Return a version without its revision."""
    base, dash, revision = version.rpartition("-r")
    return base if dash and revision.replace(".", "").isdigit() else version


def bare_atom(atom: Any) -> str:
    """Return an atom as operator, name and version."""
    if atom.operator == "=*":
        return f"={atom.cpv}*"
    return f"{atom.operator or ''}{atom.cpv}"
