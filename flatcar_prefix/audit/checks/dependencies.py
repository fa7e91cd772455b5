# SPDX-License-Identifier: BSD-3-Clause
"""Dependencies of installed packages that package.provided names and that nobody installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flatcar_prefix.audit.findings import Finding
from flatcar_prefix.portage_api.provided import only_provided
from flatcar_prefix.prefix.model import Root

LIBC = "sys-libs/glibc"
"""An imported C library replaces this package, so its dependents lack nothing."""


def check_provided(root: Root, vardb: Any) -> Iterator[Finding]:
    """Yield a finding for each such dependency; ``vardb`` is the root's ``vardbapi``."""
    provided = set(root.settings.pprovideddict) - {LIBC}
    keys = ("RDEPEND", "USE", "EAPI")
    for cpv in vardb.cpv_all() if provided else ():
        metadata = dict(zip(keys, vardb.aux_get(cpv, list(keys)), strict=True))
        for atom in only_provided(metadata, provided, lambda atom: bool(vardb.match(atom.cp))):
            yield Finding(
                "depend-provided",
                f"{root.prefix.eprefix}/var/db/pkg/{cpv}",
                f"belongs to a package that depends on {atom}, which only package.provided names",
                package=str(cpv),
                subject=str(atom),
            )
