# SPDX-License-Identifier: BSD-3-Clause
"""The disk use of a prefix, and the files that can be removed from it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flatcar_prefix.prefix.locks import locked_prefix
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system.files import filesystem_errors
from flatcar_prefix.system.trees import disk_use

KINDS = ("logs", "builds", "packages")


@dataclass(frozen=True)
class Used:
    """Bytes on the disk; the last three are parts of the first two."""

    staging: int
    final: int
    logs: int
    builds: int
    packages: int


@dataclass(frozen=True)
class Item:
    """A file or directory that :func:`clean` removes."""

    kind: str
    path: Path
    bytes: int


def used(prefix: Prefix) -> Used:
    """Return the disk use of a prefix."""
    roots = (prefix.staging, prefix.final)
    return Used(
        staging=disk_use(prefix.staging_dir),
        final=disk_use(prefix.final_dir),
        logs=sum(disk_use(root.logdir) for root in roots),
        builds=sum(disk_use(root.tmpdir) for root in roots),
        packages=disk_use(prefix.staging.pkgdir),
    )


def removable(prefix: Prefix, kinds: Sequence[str] = KINDS) -> tuple[Item, ...]:
    """Return what :func:`clean` would remove: logs, build directories, old binary packages.

    A binary package is old if staging has another build of its package installed, or none.
    """
    found: list[Item] = []
    for root in (prefix.staging, prefix.final):
        if "logs" in kinds:
            # report shows the times of builds from emerge.log.
            logs = (path for path in _entries(root.logdir) if path.name != "emerge.log")
            found += [_item("logs", path) for path in logs]
        if "builds" in kinds:
            found += [_item("builds", path) for path in _entries(root.tmpdir)]
    if "packages" in kinds:
        found += [_item("packages", path) for path in _old_packages(prefix)]
    return tuple(found)


def clean(prefix: Prefix, kinds: Sequence[str] = KINDS) -> tuple[Item, ...]:
    """Remove logs, build directories and old binary packages; return the removed items.

    Raise :class:`PrefixError` if another program uses the prefix.
    """
    with locked_prefix(prefix) as now, filesystem_errors(now.staging_dir):
        items = removable(now, kinds)
        for item in items:
            if item.path.is_dir() and not item.path.is_symlink():
                shutil.rmtree(item.path)
            else:
                item.path.unlink(missing_ok=True)
        if any(item.kind == "packages" for item in items):
            _write_index(now)
    return items


def _item(kind: str, path: Path) -> Item:
    return Item(kind, path, disk_use(path))


def _entries(directory: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        yield from sorted(directory.iterdir())


def _old_packages(prefix: Prefix) -> Iterator[Path]:
    """Yield the binary packages that no installed package of staging or final came from."""
    bintree = prefix.staging.bintree
    builds = {_build(root.vardb, cpv) for root in (prefix.staging, prefix.final)
              for cpv in root.vardb.cpv_all()}  # fmt: skip
    for cpv in bintree.dbapi.cpv_all():
        if _build(bintree.dbapi, cpv) not in builds:
            yield Path(bintree.getname(cpv))


def _build(database: Any, cpv: Any) -> tuple[str, str]:
    """Return the package and its BUILD_ID, or its BUILD_TIME without one."""
    number, when = database.aux_get(cpv, ["BUILD_ID", "BUILD_TIME"])
    return str(cpv), number or when


def _write_index(prefix: Prefix) -> None:
    """Let Portage update the index of PKGDIR."""
    bintree = prefix.staging.bintree
    bintree.dbapi.close_caches()
    bintree.populated = False
    bintree.populate(force_reindex=True)
    os.utime(prefix.staging.pkgdir)
