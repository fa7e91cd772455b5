# SPDX-License-Identifier: BSD-3-Clause
"""Reuse the binary packages of a call of emerge that was killed.

A call that builds in staging writes a note with its start time, and removes the note at its end.
A note of a dead process shows that the call was killed. The next call installs the binary packages
that the killed call built but did not install. It does not build them again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system.files import is_abandoned, temporary_beside

NOTE = "emerge"
"""The name of a note; the name of the file also has its process, see ``system.files``."""

BINARY_OPTIONS = {"--binpkg-respect-use": "y", "--binpkg-changed-deps": "y"}
"""A binary package is installed only if a build would have the same result."""


@contextmanager
def noted(prefix: Prefix) -> Iterator[None]:
    """Within, a note says that this process builds in staging."""
    note = temporary_beside(prefix.staging.tmpdir / NOTE)
    with suppress(OSError):  # emerge itself reports a full disk.
        note.touch()
    yield  # An interrupted call leaves its note, like a killed one.
    with suppress(OSError):
        note.unlink()


def killed_since(prefix: Prefix) -> float | None:
    """Return when the earliest killed call began, in seconds since the epoch, or ``None``."""
    begun = []
    for note in _abandoned(prefix):
        with suppress(OSError):
            begun.append(note.stat().st_mtime)
    return min(begun, default=None)


def forget(prefix: Prefix) -> None:
    """Remove the notes of killed calls."""
    for note in _abandoned(prefix):
        with suppress(OSError):
            note.unlink()


def _abandoned(prefix: Prefix) -> Iterator[Path]:
    with suppress(OSError):
        names = os.listdir(prefix.staging.tmpdir)
        for name in names:
            path = prefix.staging.tmpdir / name
            if name.startswith(f".{NOTE}.") and is_abandoned(path):
                yield path


def take_binaries(opts: dict[str, Any], bintree: Any, vardb: Any, since: float) -> list[str]:
    """Let ``opts`` use the binary packages that were made since a time and not installed.

    ``bintree`` and ``vardb`` are staging's. Return these packages.
    """
    if "--usepkg" in opts or "--usepkgonly" in opts:
        return []
    if not bintree.populated:
        bintree.populate()
    fresh = [cpv for cpv in bintree.dbapi.cpv_all() if is_fresh(bintree, vardb, cpv, since)]
    if fresh:
        names = {cpv.cp for cpv in fresh}
        others = {cpv.cp for cpv in bintree.dbapi.cpv_all()} - names
        opts["--usepkg"] = True
        opts["--usepkg-exclude"] = [*opts.get("--usepkg-exclude", []), *sorted(others)]
        for option, value in BINARY_OPTIONS.items():
            opts.setdefault(option, value)
    return sorted(map(str, fresh))


def is_fresh(bintree: Any, vardb: Any, cpv: Any, since: float) -> bool:
    """Return whether a binary package was made since a time, and is not installed."""
    built = _build_time(bintree.dbapi, cpv)
    return built >= int(since) and _build_time(vardb, cpv) != built


def _build_time(dbapi: Any, cpv: Any) -> int:
    try:
        return int(dbapi.aux_get(cpv, ["BUILD_TIME"])[0] or 0)
    except (KeyError, ValueError):
        return 0
