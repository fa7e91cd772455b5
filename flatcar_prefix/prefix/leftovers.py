# SPDX-License-Identifier: BSD-3-Clause
"""Remove temporary files of killed processes from a prefix."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system.files import sweep_temporaries

_PARTIAL = re.compile(r"(?P<name>.+\.(?:gpkg\.tar|tbz2|xpak))(?P<random>.*)\.(?P<pid>\d+)")
"""Names of binary packages that Portage is writing; they end with its process ID. Until then,
an empty file has the final name."""

_WHOLE = (".gpkg.tar", ".xpak", ".tbz2")


def sweep(prefix: Prefix) -> None:
    """Remove temporary files and partial binary packages of processes that are dead.

    The caller is the only user of the prefix.
    """
    for directory in _directories(prefix):
        sweep_temporaries(directory)
    abandoned = [
        *prefix.staging.tmpdir.glob("tmp????????"),  # Python's names, see tempfile
        *prefix.staging.tmpdir.glob("portage/portage-tmpdir-*"),  # Portage's, for EAPI 9
        *prefix.final.tmpdir.glob("portage/portage-tmpdir-*"),
        *_partial_packages(prefix.staging.pkgdir),
    ]
    for path in abandoned:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
            continue
        with suppress(OSError):
            path.unlink()


def _directories(prefix: Prefix) -> Iterator[Path]:
    """Yield the directories that this program writes to."""
    yield prefix.staging_dir
    yield prefix.final_dir
    for top in (
        prefix.tools_dir.parent,
        prefix.host_dir,
        prefix.staging.config_dir,
        prefix.final.config_dir,
    ):
        for where, directories, _ in os.walk(top):
            # gcc's mirror holds links only; the host's VDB has no temporary files of ours.
            directories[:] = [name for name in directories if name not in ("gcc", "var")]
            yield Path(where)


def _partial_packages(pkgdir: Path) -> Iterator[Path]:
    for where, _, names in os.walk(pkgdir):
        writing = set()
        for found in filter(None, map(_PARTIAL.fullmatch, names)):
            if Path("/proc", found["pid"]).exists():
                writing.add(found["name"])
            else:
                yield Path(where, found[0])
        for name in names:
            if name.endswith(_WHOLE) and name not in writing and _is_empty(Path(where, name)):
                yield Path(where, name)


def _is_empty(path: Path) -> bool:
    try:
        return path.lstat().st_size == 0
    except OSError:
        return False
