# SPDX-License-Identifier: BSD-3-Clause
"""The manifest of an image: its packages from the VDB, and the files left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flatcar_prefix.image import spdx_licences
from flatcar_prefix.image.extension_release import Release
from flatcar_prefix.image.selection import REASONS, UNCOUNTED, Entry, Selection
from flatcar_prefix.prefix.model import Root
from flatcar_prefix.version import __version__

FORMAT = 1

_KEYS = ("LICENSE", "USE", "SLOT", "DESCRIPTION", "HOMEPAGE", "repository")


@dataclass
class Package:
    """An installed package, with its files in the image."""

    name: str
    """The category and the name."""
    version: str
    """The version with the revision."""
    slot: str
    repository: str
    licence: str
    """Gentoo's LICENSE."""
    spdx: str
    description: str
    homepage: str
    files: list[str] = field(default_factory=list)
    """Paths on the target, without directories."""
    size: int = 0
    """The size of the files in bytes."""

    @property
    def cpv(self) -> str:
        """The category, name and version, as in the VDB."""
        return f"{self.name}-{self.version}"


@dataclass(frozen=True)
class Contents:
    """The packages of an image sorted by name, and the files without an owner."""

    packages: list[Package]
    unowned: list[str]
    absent: list[str]
    """The cpvs of packages that have files, but none in the image."""


def contents(root: Root, selection: Selection) -> Contents:
    """Return the packages that own the files of ``selection``, from the VDB of ``root``.

    The owners are those of the audit: links in the directories of the VDB's paths are
    resolved, and of several owners, the package that was installed last counts. Packages
    without files, such as virtuals, are included.
    """
    # Imported here, because these modules import Portage.
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
    """Return the manifest of an image, which has neither the build time nor the user."""
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


def read(image: Path, suffix: str) -> dict[str, Any]:
    """Return the manifest beside an image whose file name ends with ``suffix``."""
    name = image.name.removesuffix(suffix) if suffix else image.name
    return dict(json.loads((image.parent / f"{name}.manifest.json").read_text(encoding="utf-8")))


def to_json(data: Mapping[str, Any]) -> str:
    """Return ``data`` as JSON. Bytes that are not UTF-8 become escapes, U+DC80 to U+DCFF.

    Python decodes these escapes to the surrogates that :func:`os.fsencode` accepts.
    """
    text = json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)
