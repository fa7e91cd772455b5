# SPDX-License-Identifier: BSD-3-Clause
"""Refuse packages of the user's overlays that need what the checkout leaves out.

package.provided applies to all packages. The checkout's own work without the packages that its
profiles list, by Flatcar's patches and hooks. An application of the user would fail on
the target.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from flatcar_prefix.emerge.one_root import OneRoot
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.portage_api.depgraph import Plan
from flatcar_prefix.portage_api.provided import only_provided
from flatcar_prefix.repositories.find import is_custom
from flatcar_prefix.repositories.flatcar_profiles import NOT_OF_A_PREFIX, left_out
from flatcar_prefix.system.own_files import USER_FILE


def check(one: OneRoot, plan: Plan) -> None:
    """Raise :class:`PrefixError` for a package of ``plan`` that needs a package left out.

    Packages that no prefix uses, and those that the user declares as provided, do not count.
    """
    repositories = one.root.prefix.repositories
    custom = {repository.name for repository in repositories if is_custom(repository)}
    if not custom or "--nodeps" in one.opts:
        return
    users = one.root.config_dir / "profile/package.provided" / USER_FILE
    provided = _names(left_out(repositories)) - NOT_OF_A_PREFIX - _names(_lines(users))
    planned = _names(package.cpv for package in plan.packages)

    def is_there(atom: Any) -> bool:
        return atom.cp in planned or bool(one.vardb.match(atom.cp))

    for package in plan.packages:
        if package.installed is None or package.installed["repository"] not in custom:
            continue
        for atom in only_provided(package.installed, provided, is_there):
            raise PrefixError(
                f"{package.cpv} needs {atom}, which the checkout leaves out",
                hint=f"Add an ebuild for {atom.cp} to an overlay or, if the package works without"
                f" it, write {atom.cp}-9999 into {os.fspath(users)}",
            )


def _names(cpvs: Any) -> set[str]:
    from portage.versions import cpv_getkey

    return {cpv_getkey(cpv) or cpv for cpv in cpvs}


def _lines(path: Path) -> list[str]:
    from portage.util import grabfile

    return list(grabfile(os.fspath(path)))
