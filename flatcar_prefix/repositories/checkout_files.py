# SPDX-License-Identifier: BSD-3-Clause
"""Read configuration files of a checkout, for the repositories as they are called now."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from flatcar_prefix.prefix.repository import Repository
from flatcar_prefix.repositories.find import ROLES
from flatcar_prefix.system.own_files import FROM


def overlay_of(repositories: Sequence[Repository], role: str) -> Repository | None:
    return next((r for r in repositories if r.name in ROLES[role]), None)


def files_of(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    elif place.is_dir():
        yield from sorted(path for path in place.iterdir() if path.is_file())


def text_of(path: Path, names: Mapping[str, str]) -> str:
    text = path.read_text(encoding="utf-8")
    return f"{FROM}{os.fspath(path)}\n{renamed(text, names)}"


def current_names(repositories: Sequence[Repository]) -> dict[str, str]:
    """Return the current name of each repository, by each of its past and present names."""
    present = {r.name for r in repositories}
    return {
        name: next(n for n in names if n in present)
        for names in ROLES.values()
        if present & set(names)
        for name in names
    }


def renamed(text: str, names: Mapping[str, str]) -> str:
    """Return configuration with the current names in its ``::repository`` parts.

    A skeleton can contain old names of repositories. An atom with an old name would not
    match any package.
    """
    return re.sub(r"::([A-Za-z0-9_][A-Za-z0-9_-]*)", lambda m: f"::{names.get(m[1], m[1])}", text)


def lines_of(path: Path) -> list[str]:
    if not path.is_file():
        return []
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return [line for line in lines if line]
