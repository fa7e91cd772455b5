# SPDX-License-Identifier: BSD-3-Clause
"""Removing a prefix: exactly what was created for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from flatcar_prefix import prefix as prefixes, registry, sdk as sdks, wrappers
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.guards import filesystem_errors, locked
from flatcar_prefix.messages import QUIET, Quiet
from flatcar_prefix.prefix import Prefix


def uninstall(name: str, *, board: str | None = None, say: Quiet = QUIET) -> None:
    """Remove a prefix: its directories, its wrappers and every trace.

    Only what has a record of this program's is removed.
    """
    prefix = registry.load(name, board=board)
    with locked(sdks.detect(), prefix.name, prefix.board):
        remove(prefix, say=say)


def remove(prefix: Prefix, *, say: Quiet = QUIET) -> None:
    """Remove what was created for ``prefix``, the record last."""
    sdk = sdks.detect()
    with filesystem_errors(prefix.staging_dir):
        for wrapper in wrappers.remove(prefix):
            say(f"removed {wrapper}")
        for directory in _removable(prefix):
            remove_tree(directory, last=prefixes.RECORD_NAME)
            say(f"removed {directory}")
        registry.forget(sdk, prefix)


def _removable(prefix: Prefix) -> Iterator[Path]:
    """Yield the directories to remove, staging with the record last."""
    for directory in (prefix.final_dir, prefix.staging_dir):
        if directory.is_symlink():
            raise PrefixError(
                f"{directory} is a symbolic link, not the directory that was made",
                hint="Remove the link, or what it leads to, yourself.",
            )
        if directory.exists():
            _refuse_mounts(directory)
            yield directory


def _refuse_mounts(directory: Path) -> None:
    inside = f"{os.path.realpath(directory)}/"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        place = line.split()[4].encode().decode("unicode_escape")
        if f"{place}/".startswith(inside):
            raise PrefixError(
                f"{place} is mounted inside the prefix",
                hint=f"Unmount it first: umount {place}",
            )


def remove_tree(directory: Path, *, last: str) -> None:
    """Remove ``directory``, the entry ``last`` last; no symbolic link is followed."""
    for entry in sorted(directory.iterdir(), key=lambda path: path.name == last):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    directory.rmdir()
