# SPDX-License-Identifier: BSD-3-Clause
"""What a checkout's own prefix overlay asks of every prefix: its ``skel/etc/portage``.

The shell version copies that directory into each root. Here masks, keywords and the
like are taken from it; repos.conf and the profile are this program's business.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from flatcar_prefix.prefix import Prefix, Repository
from flatcar_prefix.repositories import ROLES

PLACE = "skel/etc/portage"

TAKEN = (
    "package.accept_keywords",
    "package.env",
    "package.license",
    "package.mask",
    "package.unmask",
    "package.use",
    "profile/package.use.force",
    "profile/package.use.mask",
    "profile/use.force",
    "profile/use.mask",
)


def files(prefix: Prefix) -> dict[str, str]:
    """Return the files to write below a root's ``etc/portage``, by path; often none."""
    names = current_names(prefix.repositories)
    overlay = next((r for r in prefix.repositories if r.name in ROLES["prefix-overlay"]), None)
    if overlay is None:
        return {}
    return {
        f"{kind}/skel-{path.name}": _text(path, names)
        for kind in TAKEN
        for path in _files_of(overlay.location / PLACE / kind)
    }


def _files_of(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    elif place.is_dir():
        yield from sorted(path for path in place.iterdir() if path.is_file())


def _text(path: Path, names: Mapping[str, str]) -> str:
    text = path.read_text(encoding="utf-8")
    return f"# From {os.fspath(path)}\n{renamed(text, names)}"


def current_names(repositories: Sequence[Repository]) -> dict[str, str]:
    """Return what repositories are called here, by each name that they have gone by."""
    present = {r.name for r in repositories}
    return {
        name: next(n for n in names if n in present)
        for names in ROLES.values()
        if present & set(names)
        for name in names
    }


def renamed(text: str, names: Mapping[str, str]) -> str:
    """Return configuration with its ``::repository`` parts by their present names.

    Skeletons outlive renamings of repositories; Portage would take an atom with an
    old name for one that matches nothing.
    """
    return re.sub(r"::([A-Za-z0-9_][A-Za-z0-9_-]*)", lambda m: f"::{names.get(m[1], m[1])}", text)
