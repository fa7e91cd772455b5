# SPDX-License-Identifier: BSD-3-Clause
"""Remember failures for a short time, so that each costs its time only once.

Portage calls the fetcher for each URI of each file: a server that does not answer would cost a
time-out in each call, and a file that no place has would be searched in all places each time.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.fetch.manifest import Dist

FORGOTTEN_AFTER = 2 * 60
"""Seconds."""


def refuse_unreachable(uri: str, cache: Path) -> None:
    """Raise :class:`PrefixError` if the server of a URI could not be reached a short time ago."""
    passed = _seconds_since(_server(uri, cache))
    if passed is not None:
        raise PrefixError(
            f"{uri}: the server could not be reached {passed:.0f} s ago",
            hint="Check the URI and the network of this machine.",
        )


def remember_unreachable(uri: str, cache: Path) -> None:
    """Record that the server of a URI cannot be reached."""
    _touch(_server(uri, cache))


def missed(dist: Dist, cache: Path) -> bool:
    """Return whether no place had a file a short time ago."""
    return _seconds_since(_file(dist, cache)) is not None


def remember_missed(dist: Dist, cache: Path) -> None:
    """Record that no place has a file; remove older records."""
    if missed(dist, cache):
        return
    for stamp in (cache / "recently/missed").glob("*"):
        if _seconds_since(stamp) is None:
            stamp.unlink(missing_ok=True)
    _touch(_file(dist, cache))


def _server(uri: str, cache: Path) -> Path:
    return cache / "recently/unreachable" / _plain(urlsplit(uri).netloc.rpartition("@")[2])


def _file(dist: Dist, cache: Path) -> Path:
    # The parent is the process of Portage that tries all URIs of the file. A later command, with
    # other settings perhaps, tries all places again.
    return cache / "recently/missed" / _plain(f"{dist.name}-{dist.size}-{os.getppid()}")


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.:+-]", "_", name)


def _seconds_since(stamp: Path) -> float | None:
    """Return the age of a record, ``None`` without one or if it is too old."""
    try:
        passed = time.time() - stamp.stat().st_mtime
    except OSError:
        return None
    return passed if 0 <= passed < FORGOTTEN_AFTER else None


def _touch(stamp: Path) -> None:
    with suppress(OSError):  # the cache may belong to another user
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.touch()
