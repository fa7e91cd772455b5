# SPDX-License-Identifier: BSD-3-Clause
"""Follow the symlinks of a path inside a root, as the kernel of the target does."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

MAX_LINKS = 40
"""The most links that Linux follows in one path (MAXSYMLINKS)."""

LOOP = "loop"


class Unreachable(Exception):
    """A part of a path where the walk ends; the argument is the reason."""


class End(NamedTuple):
    """The end of a walk along a path."""

    path: str
    """The absolute path without links, or the first part that cannot be passed."""
    failure: str = ""
    """:data:`LOOP`, or the reason of :class:`Unreachable`; empty if the walk is complete."""
    rest: str = ""
    """The remaining parts after ``path``."""


def follow(path: str, look: Callable[[str], str | None]) -> End:
    """Follow a path from the root one part at a time, see path_resolution(7).

    ``look`` gets an absolute path whose parents are not links. It returns the target of a link,
    ``None`` for anything else, and raises :class:`Unreachable` to end the walk. No ``..`` leads
    out of the root.
    """
    todo = path.split("/")[::-1]
    done: list[str] = []
    links = 0
    while todo:
        name = todo.pop()
        if name in ("", "."):
            continue
        if name == "..":
            done[-1:] = []
            continue
        here = "/" + "/".join([*done, name])
        try:
            target = look(here)
        except Unreachable as reason:
            return End(here, str(reason), "/".join(todo[::-1]))
        if target is None:
            done.append(name)
            continue
        links += 1
        if links > MAX_LINKS:
            return End(here, LOOP, "/".join(todo[::-1]))
        if target.startswith("/"):
            done.clear()
        todo.extend(target.split("/")[::-1])
    return End("/" + "/".join(done))
