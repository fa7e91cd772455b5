# SPDX-License-Identifier: BSD-3-Clause
"""The mark line of generated scripts: which files are wrappers, and of which prefix."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from flatcar_prefix.boards import BOARDS
from flatcar_prefix.prefix import model as prefixes
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.wrappers import script

_MARK_LINE = re.compile(rf"# {script.MARK} ([^\s:]+)(?: ([0-9a-f]+))?: (.+)")


@dataclass(frozen=True)
class Mark:
    """The mark line of a generated script, parsed."""

    version: str
    checksum: str
    staging_dir: Path
    content: str

    @property
    def unchanged(self) -> bool:
        """Whether the script has its original content."""
        return script.checksum(script.unmarked(self.content)) == self.checksum


def read_mark(path: Path) -> Mark | None:
    """Return the mark of a generated script; ``None`` for any other file, or if none exists."""
    try:
        content = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    match = _MARK_LINE.fullmatch(content.split("\n", 2)[1] if content.count("\n") > 1 else "")
    if match is None:
        return None
    try:
        (staging,) = shlex.split(match[3])
    except ValueError:
        return None
    return Mark(match[1], match[2], Path(staging), content)


def is_alive(staging_dir: Path) -> bool:
    return (staging_dir / prefixes.RECORD_NAME).exists()


def _is_own_link(path: Path) -> bool:
    """Return whether flatcar-prefix created the link, for any prefix."""
    target = os.readlink(path)
    if target not in {f"{path.name}-{board}" for board in BOARDS}:
        return False
    full = path.with_name(target)
    return read_mark(full) is not None or not os.path.lexists(full)


def may_replace(path: Path, prefix: Prefix, gone: Collection[Path] = ()) -> bool:
    """Return whether a wrapper of ``prefix`` may be written to ``path``.

    The path must be free, belong to this prefix or to a deleted one, or be a short name.
    A full name takes precedence over a short name. The prefixes ``a`` and ``a-amd64-usr``
    can share a name.
    """
    if not os.path.lexists(path):
        return True
    if path.is_symlink():
        return _is_own_link(path)
    mark = read_mark(path)
    return mark is not None and (is_of(mark, prefix) or mark.staging_dir in gone)


def own_files(prefix: Prefix) -> list[Path]:
    """Return all wrappers of this prefix in the wrapper directory, links first."""
    if not prefix.wrapper_dir.is_dir():
        return []
    links, files = [], []
    endings = (f"-prefix-{prefix.id}", f"-prefix-{prefix.name}")
    # Compare names first: reading the files of a hundred prefixes would take too long.
    for name in sorted(n for n in os.listdir(prefix.wrapper_dir) if n.endswith(endings)):
        path = prefix.wrapper_dir / name
        if path.is_symlink():
            if _is_short_name(path, prefix):
                links.append(path)
        elif (mark := read_mark(path)) and is_of(mark, prefix):
            files.append(path)
    return links + files


def _is_short_name(link: Path, prefix: Prefix) -> bool:
    """Return whether the link is a short name of this prefix."""
    wanted = f"{link.name}-{prefix.board.name}"
    if not link.name.endswith(f"-prefix-{prefix.name}") or os.readlink(link) != wanted:
        return False
    mark = read_mark(link)
    return mark is None or is_of(mark, prefix)


def orphans(directories: Iterable[Path]) -> dict[Path, list[Path]]:
    """Return the wrappers of prefixes that no longer exist, by the staging directory they name.

    Links are omitted: each points to one of these wrappers.
    """
    found: dict[Path, list[Path]] = {}
    for directory in directories:
        for path in sorted(directory.glob("*-prefix-*")) if directory.is_dir() else ():
            mark = None if path.is_symlink() or not path.is_file() else read_mark(path)
            if mark and not is_alive(mark.staging_dir):
                found.setdefault(mark.staging_dir, []).append(path)
    return found


def is_of(mark: Mark, prefix: Prefix) -> bool:
    """Return whether a wrapper of the prefix's name is its own, or was before a move."""
    return mark.staging_dir == prefix.staging_dir or not is_alive(mark.staging_dir)
