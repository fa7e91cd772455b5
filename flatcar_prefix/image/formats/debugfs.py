# SPDX-License-Identifier: BSD-3-Clause
"""The debugfs(8) commands that fill an empty ext4 file system.

debugfs needs one command for each time, owner and link count.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.image.selection import CAPABILITY, Entry, Selection

LONGEST = 8190
"""The longest line in bytes; debugfs reads a longer line as two commands."""

Named = Callable[[Entry, int], str]


def commands(selection: Selection, *, epoch: int, content: Named, capability: Named) -> list[str]:
    """Return the commands for a selection; ``epoch`` is the time of the root in seconds.

    ``content`` and ``capability`` return the name of the file with an entry's content or
    capability. Raise :class:`PrefixError` if a command exceeds debugfs's line length.
    """
    lines = list(_commands(selection, epoch, content, capability))
    for line in lines:
        if len(os.fsencode(line)) > LONGEST:
            raise PrefixError(
                f"names are too long for ext4: {line[:60]!r}...",
                hint="Choose another format, or exclude the file with --exclude.",
            )
    return lines


def _commands(selection: Selection, epoch: int, content: Named, capability: Named) -> Iterator[str]:
    names: dict[tuple[int, int], str] = {}
    links: Counter[str] = Counter()
    yield "rmdir lost+found"
    for number, entry in enumerate(selection.entries):
        path = quoted(f"/{entry.path}")
        if entry.inode and entry.inode in names:
            links[names[entry.inode]] += 1
            yield f"ln {names[entry.inode]} {path}"
            continue
        if entry.inode:
            names[entry.inode] = path
            links[path] += 1
        if entry.is_dir:
            yield f"mkdir {path}"
        elif entry.is_link:
            yield f"symlink {path} {quoted(entry.target)}"
        else:
            yield f"write {quoted(content(entry, number))} {path}"
        if entry.capability:
            yield f"ea_set -f {quoted(capability(entry, number))} {path} {CAPABILITY}"
    # Set the times last, because each new file changes the times of its directory.
    for entry in selection.entries:
        path = quoted(f"/{entry.path}")
        yield from _fields(path, entry.mtime)
        yield f"sif {path} mode 0{entry.mode:o}"
    yield from _fields('"/"', epoch)
    for path, count in links.items():
        yield f"sif {path} links_count {count}"


def _fields(path: str, mtime: int) -> Iterator[str]:
    for field in ("uid", "gid"):
        yield f"sif {path} {field} 0"
    for field in ("mtime", "atime", "ctime", "crtime"):
        yield f"sif {path} {field} @{mtime}"


def quoted(word: str) -> str:
    """Return a word quoted for debugfs; the word must not contain a line feed."""
    return '"' + word.replace('"', '""') + '"'
