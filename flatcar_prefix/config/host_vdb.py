# SPDX-License-Identifier: BSD-3-Clause
"""Write VDB entries of the build host for the packages of the machine.

The entries satisfy ``has_version -b`` and dependencies with slots and USE flags, which
package.provided in portage(5) does not support. A package that Portage built for the build host
keeps its entry, which replaces the entry of the machine's package in the same slot.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flatcar_prefix.config.machine_packages import Package
from flatcar_prefix.portage_api.packages import installed_database

REPOSITORY = "this-machine"
"""The content of ``repository`` in these entries, which identifies them."""


def write(host: Path, packages: Iterable[Package]) -> None:
    """Write an entry for each package, and remove earlier entries of other packages.

    ``host`` is the EROOT of the build host.
    """
    vdb = host / "var/db/pkg"
    database = installed_database(host)
    wanted = {package.cpv: package for package in packages}
    there = {str(cpv): database.aux_get(cpv, ["repository", "SLOT"]) for cpv in database.cpv_all()}
    taken = set()
    for cpv, (repository, slot) in there.items():
        if repository != REPOSITORY:
            taken.add((_name(cpv), slot.partition("/")[0]))
        elif cpv not in wanted:
            shutil.rmtree(vdb / cpv)
    for cpv, package in wanted.items():
        if (package.name, package.slot.partition("/")[0]) in taken:
            shutil.rmtree(vdb / cpv, ignore_errors=True)
        elif cpv not in there or not _is_same(database, package):
            _write_entry(vdb / cpv, package)


def fields(package: Package) -> dict[str, str]:
    """Return the fields of a VDB entry."""
    flags = package.use.split()
    on = [flag for flag in flags if not flag.startswith("-")]
    category, _, _ = package.name.partition("/")
    return {
        "CATEGORY": category,
        "PF": package.cpv.partition("/")[2],
        "SLOT": package.slot,
        "EAPI": "8",
        "IUSE": " ".join(flag.lstrip("-") for flag in flags),
        "USE": " ".join(on),
        "DESCRIPTION": "a package of this machine",
        "KEYWORDS": "amd64 arm64",
        "DEFINED_PHASES": "-",
        "repository": REPOSITORY,
        "COUNTER": "0",
    }


def _is_same(database: Any, package: Package) -> bool:
    wanted = fields(package)
    return bool(database.aux_get(package.cpv, list(wanted)) == list(wanted.values()))


def _write_entry(entry: Path, package: Package) -> None:
    """Write a complete entry; Portage itself writes a new entry in this form."""
    # Portage ignores a name with a leading hyphen, so it never reads half an entry.
    new = entry.with_name(f"-MERGING-{entry.name}")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for name, value in {**fields(package), "CONTENTS": ""}.items():
        (new / name).write_text(f"{value}\n" if value else "", encoding="utf-8")
    shutil.rmtree(entry, ignore_errors=True)
    new.rename(entry)


def _name(cpv: str) -> str:
    from portage.versions import cpv_getkey

    return cpv_getkey(cpv) or ""
