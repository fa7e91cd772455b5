# SPDX-License-Identifier: BSD-3-Clause
"""Explain why an ebuild is not found or not usable, if Portage does not."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system.places import documentation

WHERE_TO_LOOK = documentation("your-own-software.md")


@dataclass(frozen=True)
class Problem:
    """A problem and the hint for the user."""

    what: str
    hint: str


def unknown(portdb: Any, prefix: Prefix, word: str) -> Problem | None:
    """Return the problem if no repository has an ebuild for the atom ``word``.

    It names the repositories, so that a user sees which one is missing.
    """
    from portage.dep import Atom, isvalidatom

    if not isvalidatom(word, allow_repo=True) or portdb.xmatch(
        "match-all", Atom(word, allow_repo=True)
    ):
        return None
    key = str(Atom(word, allow_repo=True).cp)
    if problem := _unseen(portdb, prefix, key):
        return problem
    repositories = ", ".join(repository.name for repository in prefix.repositories)
    near = _similar(portdb, key)
    return Problem(
        f"no repository has {word} (looked into: {repositories})",
        (f"Did you mean {near}? If not, add" if near else "Add")
        + f" an overlay that has it, or use Flatcar's or Gentoo's tree; see {WHERE_TO_LOOK}.",
    )


def _unseen(portdb: Any, prefix: Prefix, key: str) -> Problem | None:
    """Return the problem if a repository has a directory for ``key`` that Portage does not see.

    Portage ignores categories that no ``profiles/categories`` lists, and ebuilds whose names do not
    start with the name of their directory, see "Repository layout" in portage(5).
    """
    category, name = key.split("/")
    for repository in prefix.repositories:
        directory = Path(repository.location, category, name)
        if not (ebuilds := sorted(directory.glob("*.ebuild"))):
            continue
        if category not in portdb.settings.categories:
            file = Path(repository.location, "profiles", "categories")
            return Problem(
                f"{repository.name} has {key}, but no repository lists the category {category}",
                f"Add the line {category} to {file}.",
            )
        if not any(file.name.startswith(f"{name}-") for file in ebuilds):
            return Problem(
                f"{ebuilds[0]} is not an ebuild of {key}: its name is not {name}-VERSION.ebuild",
                "Rename it.",
            )
    return None


def _similar(portdb: Any, key: str) -> str:
    """Return a package of the same name in another category, or of a similar name."""
    keys = list(portdb.cp_all())
    name = key.rpartition("/")[2]
    same = [other for other in keys if other.rpartition("/")[2] == name]
    return next(iter([*same, *difflib.get_close_matches(key, keys, 1, 0.85)]), "")


def without_checksums(portdb: Any, prefix: Prefix, cpv: str) -> Problem | None:
    """Return the problem if the Manifest of an ebuild is missing or incomplete (GLEP 74).

    Portage calls such a package "masked by: corruption", or fails to verify what it fetched.
    """
    found = portdb.findname(cpv)
    if not found:
        return None
    file = Path(found)
    repository = portdb.repositories.get_repo_for_location(str(file.parents[2]))
    manifest = repository.load_manifest(str(file.parent), str(prefix.distdir))
    missing = list(_missing(portdb, cpv, manifest, file, thin=repository.thin_manifest))
    if not missing or repository.allow_missing_manifest:
        return None
    where = file.parent / "Manifest"
    what = (
        f"the Manifest of {cpv} has no checksum of {', '.join(missing)}"
        if where.exists()
        else f"{file.parent} has no Manifest, which has the checksums of {cpv}"
    )
    return Problem(what, f"Make it: {prefix.wrapper('ebuild').path.name} {file} manifest")


def _missing(portdb: Any, cpv: str, manifest: Any, file: Path, *, thin: bool) -> Iterator[str]:
    from portage.exception import PortageException

    if not thin and file.name not in manifest.fhashdict.get("EBUILD", {}):
        yield file.name
        return
    try:
        names = portdb.getFetchMap(cpv)
    except (PortageException, KeyError):
        return
    yield from sorted(set(names) - set(manifest.fhashdict.get("DIST", {})))


def problems(
    portdb: Any, prefix: Prefix, words: Iterable[str], cpvs: Iterable[str] = ()
) -> Iterator[Problem]:
    """Yield the problems of the ebuilds of the atoms ``words`` and of ``cpvs``."""
    from portage.dep import Atom, isvalidatom

    candidates = dict.fromkeys(cpvs)
    for word in words:
        if problem := unknown(portdb, prefix, word):
            yield problem
        elif isvalidatom(word, allow_repo=True):
            candidates |= dict.fromkeys(portdb.xmatch("match-all", Atom(word, allow_repo=True)))
    for cpv in candidates:
        if problem := without_checksums(portdb, prefix, cpv):
            yield problem
