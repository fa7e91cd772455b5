# SPDX-License-Identifier: BSD-3-Clause
"""Explain a failed run: name the log, or tell the user the next step."""

from __future__ import annotations

import gzip
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flatcar_prefix.emerge import ebuilds
from flatcar_prefix.emerge.one_root import OneRoot
from flatcar_prefix.sandbox.confinement import SWITCH
from flatcar_prefix.system import messages
from flatcar_prefix.system.places import documentation

KILLED = 128
"""Exit codes from this value on mean that a signal stopped the run."""


def explain(one: OneRoot, code: int) -> None:
    """Print the details of failures in one root that Portage omits; often nothing."""
    if code >= KILLED:
        return
    for failure in one.failures:
        doing = "building" if one.root.kind == "staging" else "installing"
        where = f"the log is {failure.log}" if failure.log else "there is no log"
        messages.error(f"{doing} failed: {failure.cpv}; {where}")
        if failure.log and (refused := refused_write(failure.log)):
            path, phase = refused
            messages.error(f"{failure.cpv} wrote to {path} in {phase}, which is not its own")
            messages.hint(
                "Correct the ebuild (DESTDIR, ED), or build this package without confinement:"
                f" see {SWITCH} in {documentation('confinement.md')}."
            )
    resolved = one.plan is None or one.plan.success
    if one.root.kind == "final" and not one.failures and not resolved:
        _explain_missing(one)


def explain_ebuilds(one: OneRoot) -> None:
    """Print the problems of the ebuilds that a failed run in staging requested."""
    unsatisfied = one.plan.unsatisfied if one.plan is not None else ()
    words = _words([*one.config.args, *unsatisfied])
    cpvs = [failure.cpv for failure in one.failures]
    for problem in ebuilds.problems(one.portdb, one.root.prefix, words, cpvs):
        messages.error(problem.what)
        messages.hint(problem.hint)


_REFUSED = "Read-only file system"
_PATH = re.compile(r"/[^\s'\"\u2018\u2019:]+")
_PHASE = re.compile(r"ERROR: \S+ failed \((?P<phase>\w+) phase\)")


def refused_write(log: Path) -> tuple[str, str] | None:
    """Return the path of the last write that a log reports as refused, and the phase.

    The kernel does not report such writes, so the log only has the programs' messages.
    """
    opener = gzip.open if log.suffix == ".gz" else open
    path = phase = ""
    with opener(log, "rt", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            before, refused, after = line.partition(_REFUSED)
            if refused and (paths := _PATH.findall(before) or _PATH.findall(after)):
                path = paths[-1]
            if match := _PHASE.search(line):
                phase = match["phase"]
    return (path, f"its {phase} phase" if phase else "one of its phases") if path else None


def _explain_missing(one: OneRoot) -> None:
    """Print which binary packages do not exist or, if all exist, which are masked."""
    bindb = one.bintree.dbapi
    unsatisfied = one.plan.unsatisfied if one.plan is not None else ()
    missing = [atom for atom in unsatisfied if not _is_there(bindb, atom)]
    if others := [cpv for cpv in one.rejected if any(_is_of(cpv, atom) for atom in missing)]:
        _explain_other_builds(one, sorted(set(others)))
        return
    masked = [atom for atom in unsatisfied if _is_there(bindb, atom)]
    prefix = one.root.prefix
    if missing:
        words = _words(missing)
        messages.error(f"there is no binary package of {' '.join(words)}")
        wrapper = prefix.wrapper("emerge").path.name
        messages.hint(f"Build the missing packages: {wrapper} --stage {shlex.join(words)}")
    elif masked:
        messages.error(f"the binary package of {' '.join(_words(masked))} is masked in final")
        messages.hint(f"Unmask it in {prefix.staging.config_dir}, which applies to both roots.")


def _explain_other_builds(one: OneRoot, cpvs: list[str]) -> None:
    wrapper = one.root.prefix.wrapper("emerge").path.name
    messages.error(
        f"the binary package of {' '.join(cpvs)} is from another build than staging's installed one"
    )
    atoms = shlex.join(f"={cpv}" for cpv in cpvs)
    messages.hint(f"Build it again: {wrapper} --stage --oneshot {atoms}")


def _is_of(cpv: str, atom: Any) -> bool:
    from portage.dep import match_from_list

    return bool(match_from_list(getattr(atom, "without_slot", atom), [cpv]))


def _words(atoms: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(str(getattr(atom, "without_use", atom)) for atom in atoms))


def _is_there(bindb: Any, atom: Any) -> bool:
    from portage.exception import PortageException

    try:
        return bool(bindb.match(atom))
    except (PortageException, ValueError, AttributeError):
        return False
