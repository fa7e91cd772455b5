# SPDX-License-Identifier: BSD-3-Clause
"""Allow final to install only the builds of binary packages that staging has.

PKGDIR keeps older builds of a version, and other programs (``ebuild package``, quickpkg) write
there. BUILD_TIME and BUILD_ID distinguish builds of one version; see portage(5).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flatcar_prefix.emerge.one_root import OneRoot
from flatcar_prefix.portage_api.depgraph import Planned

Accepts = Callable[[str, str, str], bool]
"""Called with a binary package's cpv, BUILD_TIME and BUILD_ID."""


def accepts(staging: OneRoot, *, pretend: bool) -> Accepts:
    """Return the test of final's binary packages, after the run of ``staging``.

    It accepts each build of a version that staging does not have. With ``pretend``, nothing
    was built: it then rejects every existing build of a version that staging would build.
    """
    packages = staging.plan.packages if staging.plan is not None else ()
    planned = {package.cpv: package for package in packages if package.merges}

    def accepted(cpv: str, build_time: str, build_id: str) -> bool:
        if pretend and (package := planned.get(cpv)) is not None:
            return _will_be(package, build_time)
        return _is_installed(staging.vardb, cpv, build_time, build_id)

    return accepted


def _will_be(package: Planned, build_time: str) -> bool:
    """Return whether staging installs this existing build."""
    return package.metadata is None and package.build_time == build_time


def _is_installed(vardb: Any, cpv: str, build_time: str, build_id: str) -> bool:
    """Return whether the version is installed from this build, or is not installed."""
    if not vardb.cpv_exists(cpv):
        return True
    time, number = vardb.aux_get(cpv, ["BUILD_TIME", "BUILD_ID"])
    if time and build_time and time != build_time:
        return False
    return not (number and build_id) or number == build_id
