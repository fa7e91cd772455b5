# SPDX-License-Identifier: BSD-3-Clause
"""Replace directories of the machine by private ones that contain only needed paths.

A needed path works by each name that it had: the symbolic links that lead to it are made again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from flatcar_prefix.system import namespace

_MOST_LINKS = 40
"""The kernel follows no more links in one path, see path_resolution(7)."""


@dataclass(frozen=True)
class Needed:
    """Directories that a process needs."""

    places: tuple[str, ...]
    """Their real paths."""
    links: tuple[tuple[str, str], ...]
    """The symbolic links that lead to them, as the real path and the target of each."""

    @staticmethod
    def of(paths: Iterable[str]) -> Needed:
        """Resolve ``paths``. Leave out those that are no directories, and the root."""
        links: dict[str, str] = {}
        places = dict.fromkeys(_followed(p, links) for p in paths if p.startswith("/"))
        return Needed(
            tuple(place for place in places if place != "/" and is_directory(place)),
            tuple(links.items()),
        )

    def and_of(self, paths: Iterable[str]) -> Needed:
        """Return these directories and those of ``paths``."""
        more = Needed.of(paths)
        return Needed(
            tuple(dict.fromkeys((*self.places, *more.places))), (*self.links, *more.links)
        )


def _followed(path: str, links: dict[str, str]) -> str:
    """Return the real path of ``path``; add each symbolic link on the way to ``links``."""
    left = path.split("/")[::-1]
    real = ""
    followed = 0
    while left:
        name = left.pop()
        if name in ("", "."):
            continue
        if name == "..":
            real = os.path.dirname(real).rstrip("/")
            continue
        one = f"{real}/{name}"
        try:
            target = os.readlink(one)
        except OSError:  # It is no link.
            real = one
            continue
        followed += 1
        if followed > _MOST_LINKS:
            return path
        links[one] = target
        if target.startswith("/"):
            real = ""
        left += target.split("/")[::-1]
    return real or "/"


def replace(emptied: Mapping[str, str], needed: Needed, *, uid: int | None) -> None:
    """Replace the real paths ``emptied`` by private directories with these octal modes.

    Also replace directories that the user ``uid`` may not search. Otherwise the user could not
    reach the needed paths in them.
    """
    places = sorted(needed.places)
    covers = set(emptied)
    if uid:
        covers.update(_unsearchable(places))
    covers = {c for c in covers if not any(is_below(c, other) for other in covers)}
    trees: dict[str, int] = {}
    for place in places:
        if any(is_below(place, cover) for cover in covers) and not _has_parent(place, trees):
            trees[place] = namespace.clone_tree(place)
    for cover in sorted(covers):
        if is_directory(cover):
            tmpfs(cover, mode=emptied.get(cover, "0755"))
    for place, tree in trees.items():
        Path(place).mkdir(parents=True, exist_ok=True)
        namespace.attach(tree, place)
    for link, target in needed.links:
        if any(is_below(link, cover) for cover in covers) and not os.path.lexists(link):
            with suppress(OSError):  # It is in a directory of another needed path.
                Path(link).parent.mkdir(parents=True, exist_ok=True)
                os.symlink(target, link)


def is_below(path: str, directory: str) -> bool:
    """Return whether a path is in a directory, by their names."""
    return path != directory and path.startswith(f"{directory.rstrip('/')}/")


def is_directory(path: str) -> bool:
    """Return whether a path is a directory that this user can find."""
    try:
        return stat.S_ISDIR(Path(path).stat().st_mode)
    except OSError:  # It may be in a directory that this user cannot search.
        return False


def tmpfs(place: str, *, mode: str) -> None:
    """Mount an empty file system with an octal ``mode``."""
    flags = namespace.MS_NOSUID | namespace.MS_NODEV
    namespace.mount("flatcar-prefix", place, "tmpfs", flags, f"mode={mode}")


def _has_parent(path: str, directories: Iterable[str]) -> bool:
    return any(is_below(path, directory) for directory in directories)


def _unsearchable(places: Iterable[str]) -> Iterator[str]:
    """Yield the closed directories above ``places``, which other users cannot search."""
    searchable: dict[str, bool] = {}
    for place in places:
        names = place.split("/")
        for depth in range(1, len(names)):
            directory = "/".join(names[:depth]) or "/"
            if directory not in searchable:
                searchable[directory] = bool(Path(directory).stat().st_mode & stat.S_IXOTH)
            if not searchable[directory]:
                yield directory
                break
