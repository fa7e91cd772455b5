# SPDX-License-Identifier: BSD-3-Clause
"""What is in an image: its packages as Portage knows them, and what was left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote

from flatcar_prefix.image import spdx_licences
from flatcar_prefix.image.extension_release import Release
from flatcar_prefix.image.selection import REASONS, UNCOUNTED, Entry, Selection
from flatcar_prefix.prefix.model import Root
from flatcar_prefix.version import __version__

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
        """See the package-url specification: names such as gtk+ are percent-encoded."""
        return f"pkg:ebuild/{quote(self.name, safe='/')}@{quote(self.version, safe='')}"


@dataclass(frozen=True)
class Contents:
    """The packages of an image in order of names, and the files of none of them."""

    packages: list[Package]
    unowned: list[str]
    absent: list[str]
    """Packages of which nothing is shipped, though they have files: cpvs."""


def contents(root: Root, selection: Selection) -> Contents:
    """Ask Portage which package each file of ``selection`` is of.

    As the audit does: packages name files as they were installed, perhaps through a symlink
    to a directory, and a file of two packages is of the one installed last. A package
    without any file, such as a virtual, is listed.
    """
    # Here, since it imports Portage.
    from flatcar_prefix.audit.api import tree_of
    from flatcar_prefix.audit.checks.ownership import index_owners

    owners, missing = index_owners(tree_of(root), root.trees["vartree"])
    with_files = {*owners.packages, *(finding.package for finding in missing)}
    added = set(selection.added)
    shipped: dict[str, list[Entry]] = {}
    for entry in selection.entries:
        if not entry.is_dir and entry.path not in added:
            owner = owners.get(f"/{entry.path}")
            shipped.setdefault(owner.package if owner else "", []).append(entry)
    packages, absent = [], []
    for cpv in sorted(root.vardb.cpv_all()):
        entries = shipped.get(str(cpv), [])
        if entries or str(cpv) not in with_files:
            package = _package(root, cpv)
            package.files = _paths(entries)
            package.size = sum(entry.size for entry in entries)
            packages.append(package)
        else:
            absent.append(str(cpv))
    return Contents(packages, _paths(shipped.get("", [])), absent)


def _paths(entries: Iterable[Entry]) -> list[str]:
    return sorted(f"/{entry.path}" for entry in entries)


def _package(root: Root, cpv: Any) -> Package:
    values = dict(zip(_KEYS, root.vardb.aux_get(cpv, list(_KEYS)), strict=True))
    return Package(
        name=str(cpv.cp),
        version=str(cpv.version),
        slot=values["SLOT"],
        repository=values["repository"],
        licence=values["LICENSE"],
        spdx=spdx_licences.spdx(values["LICENSE"], use=values["USE"].split()),
        description=values["DESCRIPTION"],
        homepage=(values["HOMEPAGE"].split() or [""])[0],
    )


def manifest(
    *,
    root: Root,
    release: Release,
    contents: Contents,
    selection: Selection,
    image: Mapping[str, Any],
    audit: Mapping[str, Any],
    foreign: Sequence[Mapping[str, str]],
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
        "packages_left_out": contents.absent,
        "added": sorted(f"/{path}" for path in selection.added),
        "unowned": contents.unowned,
        "programs_of_the_system": list(foreign),
        "left_out": {
            name: {"why": REASONS[name]} | ({} if name in UNCOUNTED else asdict(tally))
            for name, tally in sorted(selection.left_out.items())
        },
    }


def to_json(data: Mapping[str, Any]) -> str:
    """Return ``data`` as JSON. Bytes of names that are not UTF-8 are escapes, U+DC80 to U+DCFF.

    Python reads those back as :func:`os.fsencode` wants them.
    """
    text = json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)
