# SPDX-License-Identifier: BSD-3-Clause
"""CONTENTS: which files a package put where, as Portage recorded it when it merged them.

The format is that of Portage's `dblink.getcontents`: one entry a line, first its kind.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from typing import NamedTuple

from flatcar_prefix.equery.output import Screen

_UNTIDY = re.compile(r"//|^[^/]|./$|(?:^|/)\.\.?(?:/|$)")
_SHOWN_KIND = {"obj": "file", "fif": "fifo"}


class Entry(NamedTuple):
    """One entry; `extra` is a file's MD5 sum, or where a symbolic link points to."""

    kind: str
    mtime: str = ""
    extra: str = ""


def parse(data: bytes) -> dict[str, Entry]:
    """Paths as on the target, in the order of the file. What is not an entry is left out."""
    return dict(_entries(data))


def _entries(data: bytes) -> Iterator[tuple[str, Entry]]:
    for line in data.decode("utf-8", "replace").split("\n"):
        parsed = parse_line(line)
        if parsed is not None:
            yield parsed


def parse_line(line: str) -> tuple[str, Entry] | None:
    """The path and what is recorded of it, or None."""
    kind, _, rest = line.partition(" ")
    mtime = extra = ""
    path = rest
    if kind == "obj":
        file, _, mtime = rest.rpartition(" ")
        path, _, extra = file.rpartition(" ")
    elif kind == "sym":
        link, _, mtime = rest.rpartition(" ")
        path, _, extra = link.rpartition(" -> ")
    elif kind not in ("dir", "dev", "fif"):
        return None
    if not path or (kind in ("obj", "sym") and not (extra and mtime.isdigit())):
        return None
    if _UNTIDY.search(path):
        path = os.path.normpath(path)
    return path, Entry(kind, mtime, extra)


def shown(
    path: str,
    entry: Entry,
    screen: Screen,
    *,
    kind: bool = False,
    md5: bool = False,
    timestamp: bool = False,
) -> str:
    """An entry as it is printed."""
    text = path
    if entry.kind == "dir":
        text = screen.path(path)
    elif entry.kind == "sym" and not screen.piping:
        text = screen.symlink(f"{path} -> {''.join(entry.extra.split()[:1])}")
    if kind:
        text = f"{_SHOWN_KIND.get(entry.kind, entry.kind):>4} {text}"
    if timestamp:
        text += f"  {_stamp(entry.mtime)}"
    if md5:
        text += f"  {entry.extra if entry.kind == 'obj' else ''}"
    return text


def _stamp(mtime: str) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(mtime))) if mtime else ""
