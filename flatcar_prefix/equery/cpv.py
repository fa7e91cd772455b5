# SPDX-License-Identifier: BSD-3-Clause
"""Split and sort the names and versions of packages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cmp_to_key

_REVISION = re.compile(r"r(\d+|0\d+\.\d+)")
_NAME_PART = re.compile(r"[a-zA-Z0-9+._]+$")
_VERSION = re.compile(r"(cvs\.)?\d+(\.\d+)*[a-z]?(_(pre|p|beta|alpha|rc)\d*)*$")


class Package:
    """A category/package-version string and its parts."""

    __slots__ = ("category", "cp", "cpv", "fullversion", "name", "revision", "version")

    def __init__(self, cpv: str) -> None:
        from portage.versions import catpkgsplit

        split = catpkgsplit(cpv)
        if split is None:
            raise ValueError(cpv)
        self.cpv = str(cpv)
        self.category, self.name, self.version, revision = split
        self.cp = f"{self.category}/{self.name}"
        self.fullversion = self.cpv[len(self.cp) + 1 :]
        # catpkgsplit returns `r0` also for a cpv without a revision.
        self.revision = revision if self.fullversion != self.version else ""

    def __str__(self) -> str:
        return self.cpv


def _compare_versions(one: str, other: str) -> int:
    from portage.versions import vercmp

    return int(vercmp(one, other) or 0)


_version_key = cmp_to_key(_compare_versions)


def _order(package: Package) -> tuple[str, str, object, str]:
    return package.category, package.name, _version_key(package.fullversion), package.cpv


def in_order(cpvs: Iterable[str]) -> list[Package]:
    """Return the packages without duplicates, sorted by category, name and version."""
    found = []
    for cpv in set(cpvs):
        try:
            found.append(Package(cpv))
        except ValueError:
            continue  # A directory in the VDB that does not belong to a package.
    return sorted(found, key=_order)


def loose_split(text: str) -> tuple[str, str, str] | None:
    """Return category, name and full version, empty if missing; None if it is not a name."""
    category, _, rest = text.rpartition("/")
    parts = rest.split("-")
    if len(parts) == 1:
        return category, parts[0], ""
    revision = ""
    if _REVISION.match(parts[-1]):
        if len(parts) < 3:
            return None
        revision = "-" + parts.pop()
    version = parts.pop() if _VERSION.match(parts[-1]) else ""
    if not parts or not parts[0] or not all(not p or _NAME_PART.match(p) for p in parts):
        return None
    if len(parts) > 1 and parts[-1].isdigit():
        return None
    return category, "-".join(parts), version + (revision if version else revision[1:])
