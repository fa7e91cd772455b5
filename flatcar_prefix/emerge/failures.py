# SPDX-License-Identifier: BSD-3-Clause
"""The last lines after a run that has failed: where to look, or what to do."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any

from flatcar_prefix.emerge.one_root import Half
from flatcar_prefix.system import messages

KILLED = 128
"""Exit codes from here on say that somebody has stopped it."""


def explain(half: Half, code: int) -> None:
    """Say what Portage has not, of what has failed in ``half``: often there is nothing."""
    if code >= KILLED:
        return
    for failure in half.failures:
        doing = "building" if half.root.kind == "staging" else "installing"
        where = f"the log is {failure.log}" if failure.log else "there is no log"
        messages.error(f"{doing} failed: {failure.cpv}; {where}")
    resolved = half.plan is None or half.plan.success
    if half.root.kind == "final" and not half.failures and not resolved:
        _explain_missing(half)


def _explain_missing(half: Half) -> None:
    """Tell binary packages that are not there from those that are masked."""
    bindb = half.bintree.dbapi
    unsatisfied = half.plan.unsatisfied if half.plan is not None else ()
    missing = [atom for atom in unsatisfied if not _is_there(bindb, atom)]
    masked = [atom for atom in unsatisfied if _is_there(bindb, atom)]
    prefix = half.root.prefix
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
