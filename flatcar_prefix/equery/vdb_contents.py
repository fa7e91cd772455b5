# SPDX-License-Identifier: BSD-3-Clause
"""A parser for CONTENTS, the VDB's list of the files that a package installed.

The format is that of Portage's `dblink.getcontents`: one entry per line, starting with its kind.
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
    """One entry; `extra` is the MD5 sum of a file or the target of a symbolic link."""

    kind: str
    mtime: str = ""
    extra: str = ""


def parse(data: bytes) -> dict[str, Entry]:
    """Return the entries by their path on the target, in the order of the file.

    Lines that are not entries are ignored.
    """
    return dict(_entries(data))


def _entries(data: bytes) -> Iterator[tuple[str, Entry]]:
    for line in data.decode("utf-8", "replace").split("\n"):
        parsed = parse_line(line)
        if parsed is not None:
            yield parsed


def parse_line(line: str) -> tuple[str, Entry] | None:
    """Return the path and the entry of a line, or None if the line is not an entry."""
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
    """Return the output text of an entry."""
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
