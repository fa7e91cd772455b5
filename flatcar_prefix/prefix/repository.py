# SPDX-License-Identifier: BSD-3-Clause
"""An ebuild repository as repos.conf spells it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flatcar_prefix.system.files import GENERATED


def repos_conf(repositories: Sequence[Repository], *, main_repo: str) -> str:
    """Return the text of repos.conf, as portage(5) describes it."""
    sections = [f"[DEFAULT]\nmain-repo = {main_repo}\n"]
    sections += [_section(r) for r in repositories]
    return GENERATED + "\n" + "\n".join(sections)


def _section(repository: Repository) -> str:
    lines = [f"[{repository.name}]", f"location = {check_location(repository.location)}"]
    if repository.masters:
        lines.append(f"masters = {' '.join(repository.masters)}")
    if repository.priority is not None:
        lines.append(f"priority = {repository.priority}")
    lines.append("auto-sync = no")
    return "\n".join(lines) + "\n"


def check_location(location: Path) -> str:
    """Return the location for repos.conf; raise ``ValueError`` if it cannot be written there."""
    text = os.fspath(location)
    comment = " #" in text or " ;" in text
    if not text.isprintable() or "%" in text or text != text.strip() or comment:
        raise ValueError(f"{text!r} cannot be written to repos.conf")
    return text


@dataclass(frozen=True)
class Repository:
    """An ebuild repository as it goes into repos.conf."""

    name: str
    location: Path
    masters: tuple[str, ...] = ()
    priority: int | None = None
    aliases: tuple[str, ...] = ()
    embedded: bool = False
    """Whether this program contains it. A record is valid for each installation of the program,
    so :func:`flatcar_prefix.prefix.record.read` finds such a repository in the running one."""
