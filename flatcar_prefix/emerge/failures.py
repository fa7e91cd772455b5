# SPDX-License-Identifier: BSD-3-Clause
"""The last lines after a run that has failed: where to look, or what to do."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any

from flatcar_prefix.emerge.one_root import OneRoot
from flatcar_prefix.system import messages

KILLED = 128
"""Exit codes from here on say that somebody has stopped it."""


def explain(one: OneRoot, code: int) -> None:
    """Print what Portage leaves out about the failures in one root; often nothing."""
    if code >= KILLED:
        return
    for failure in one.failures:
        doing = "building" if one.root.kind == "staging" else "installing"
        where = f"the log is {failure.log}" if failure.log else "there is no log"
        messages.error(f"{doing} failed: {failure.cpv}; {where}")
    resolved = one.plan is None or one.plan.success
    if one.root.kind == "final" and not one.failures and not resolved:
        _explain_missing(one)


def _explain_missing(one: OneRoot) -> None:
    """Tell binary packages that are not there from those that are masked."""
    bindb = one.bintree.dbapi
    unsatisfied = one.plan.unsatisfied if one.plan is not None else ()
    missing = [atom for atom in unsatisfied if not _is_there(bindb, atom)]
    masked = [atom for atom in unsatisfied if _is_there(bindb, atom)]
    prefix = one.root.prefix
    if missing:
        words = _words(missing)
        messages.error(f"there is no binary package of {' '.join(words)}")
        wrapper = prefix.wrapper("emerge").path.name
        messages.hint(f"Build what is missing: {wrapper} --stage {shlex.join(words)}")
    elif masked:
        messages.error(f"final may not install its binary package of {' '.join(_words(masked))}")
        messages.hint(f"Unmask it in {prefix.staging.config_dir}, which holds for both roots.")


def _words(atoms: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(str(getattr(atom, "without_use", atom)) for atom in atoms))


def _is_there(bindb: Any, atom: Any) -> bool:
    from portage.exception import PortageException

    try:
        return bool(bindb.match(atom))
    except (PortageException, ValueError, AttributeError):
        return False
