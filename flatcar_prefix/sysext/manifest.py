# SPDX-License-Identifier: BSD-3-Clause
"""What is in an image: its packages as Portage knows them, and what was left out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from flatcar_prefix import __version__
from flatcar_prefix.prefix import Root
from flatcar_prefix.sysext import licences
from flatcar_prefix.sysext.release import Release
from flatcar_prefix.sysext.selection import REASONS, Selection

FORMAT = 1

_KEYS = ("LICENSE", "USE", "SLOT", "DESCRIPTION", "HOMEPAGE", "repository")


@dataclass
class Package:
    """An installed package and what of it is in the image."""

    name: str
    """Category and name."""
    version: str
    """With the revision."""
    slot: str
    repository: str
    licence: str
    """In Gentoo's words."""
    spdx: str
    description: str
    homepage: str
    files: list[str] = field(default_factory=list)
    """As they are on the target; no directories."""
    size: int = 0

    @property
    def purl(self) -> str:
        return f"pkg:ebuild/{self.name}@{self.version}"


@dataclass(frozen=True)
class Contents:
    """The packages of an image in order of names, and the files of none of them."""

    packages: list[Package]
    unowned: list[str]


def contents(root: Root, selection: Selection) -> Contents:
    """Ask Portage which package each file of ``selection`` is of.

    A file of two packages is counted with the first. A package of which nothing is shipped
    is not listed, unless it never had a file.
    """
    added = set(selection.added)
    left = {
        f"/{entry.path}": entry.size
        for entry in selection.entries
        if not entry.is_dir and entry.path not in added
    }
    packages = []
    for cpv in sorted(root.vardb.cpv_all()):
        package = _package(root, cpv)
        owned = _owned(root, cpv)
        for path in sorted(owned & left.keys()):
            package.files.append(path)
            package.size += left.pop(path)
        if package.files or not owned:
            packages.append(package)
    return Contents(packages, sorted(left))


def _package(root: Root, cpv: Any) -> Package:
    values = dict(zip(_KEYS, root.vardb.aux_get(cpv, list(_KEYS)), strict=True))
    return Package(
        name=str(cpv.cp),
        version=str(cpv.version),
        slot=values["SLOT"],
        repository=values["repository"],
        licence=values["LICENSE"],
        spdx=licences.spdx(values["LICENSE"], use=values["USE"].split()),
        description=values["DESCRIPTION"],
        homepage=(values["HOMEPAGE"].split() or [""])[0],
    )


def _owned(root: Root, cpv: Any) -> set[str]:
    """Return the files of a package, directories aside, as they are on the target."""
    above = os.fspath(root.path).rstrip("/")
    entries: Mapping[str, tuple[str, ...]] = root.vardb._dblink(cpv).getcontents()
    return {path.removeprefix(above) for path, (kind, *_) in entries.items() if kind != "dir"}


def manifest(
    *,
    root: Root,
    release: Release,
    contents: Contents,
    selection: Selection,
    image: Mapping[str, Any],
    audit: Mapping[str, Any],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the manifest of an image; nothing in it says when or by whom it was made."""
    prefix = root.prefix
    return {
        "format": FORMAT,
        "made_by": f"flatcar-prefix {__version__}",
        "image": dict(image),
        "release": release.fields(),
        "prefix": {
            "name": prefix.name,
            "eprefix": prefix.eprefix,
            "board": prefix.board.name,
            "chost": prefix.board.chost,
        },
        "verify": dict(audit),
        "options": dict(options),
        "packages": [asdict(package) for package in contents.packages],
        "added": sorted(f"/{path}" for path in selection.added),
        "unowned": contents.unowned,
        "left_out": {
            name: {"files": tally.files, "size": tally.size, "why": REASONS[name]}
            for name, tally in sorted(selection.left_out.items())
        },
    }


def to_json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
