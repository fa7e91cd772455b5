# SPDX-License-Identifier: BSD-3-Clause
"""Findings that somebody has looked at and accepts, with the reason.

One line each in ``<config root>/etc/portage/flatcar-prefix.waivers``, a file or a
directory of files as Portage's own are: an atom, one or more codes, and the reason as a
comment::

    app-shells/dash  script-interpreter script-env  # the scripts are examples
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from flatcar_prefix.audit.findings import CODES, Finding
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.portage_api import session as portage_api

FILE = "flatcar-prefix.waivers"


@dataclass(frozen=True)
class Waiver:
    atom: Any
    """A ``portage.dep.Atom``."""
    codes: frozenset[str]
    reason: str


def read_waivers(config_dir: Path) -> tuple[Waiver, ...]:
    """Return the waivers of a configuration root's ``etc/portage``; none without a file.

    :class:`PrefixError` for a line that says no reason, or a code or atom that is none.
    """
    path = config_dir / FILE
    if not path.exists():
        return ()
    portage_api.import_portage()
    from portage.util import grablines

    lines = grablines(os.fspath(path), recursive=1, remember_source_file=True)
    waivers = (_waiver(line, source) for line, source in lines)
    return tuple(waiver for waiver in waivers if waiver)


def _waiver(line: str, source: str) -> Waiver | None:
    from portage.dep import Atom
    from portage.exception import InvalidAtom

    what, _, reason = line.partition("#")
    words = what.replace(",", " ").split()
    if not words:
        return None
    unknown = [code for code in words[1:] if not fnmatch_any(code)]
    try:
        atom = Atom(words[0], allow_wildcard=True, allow_repo=False)
    except InvalidAtom:
        raise _error(source, line, f"{words[0]} is no atom") from None
    if unknown:
        raise _error(source, line, f"{unknown[0]} is no code of a finding")
    if len(words) < 2 or not reason.strip():
        raise _error(source, line, "a code or the reason is missing")
    return Waiver(atom, frozenset(words[1:]), reason.strip())


def fnmatch_any(pattern: str) -> bool:
    """Return whether a code, or a pattern such as ``script-*``, stands for any finding."""
    return any(fnmatchcase(code, pattern) for code in CODES)


def _error(source: str, line: str, what: str) -> PrefixError:
    return PrefixError(
        f"{source}: {what}: {line.strip()}",
        hint="Write one waiver a line: <atom> <code> [<code>...] # <reason>.",
    )


def reason_for(
    finding: Finding, waivers: Iterable[Waiver], package: Any = None, installed: Any = None
) -> str | None:
    """Return why ``finding`` is accepted, None when it is not.

    ``package`` is the owner as a string of Portage's own class where slots are known;
    the finding's own cpv otherwise, of which ``installed``, a ``portage.dbapi``, knows
    slot and USE.
    """
    package = package or finding.package
    if not package:
        return None
    for waiver in waivers:
        accepts = any(fnmatchcase(finding.code, pattern) for pattern in waiver.codes)
        if accepts and _is(waiver.atom, package, installed):
            return waiver.reason
    return None


def _is(atom: Any, package: Any, installed: Any) -> bool:
    from portage.dep import match_from_list

    from flatcar_prefix.portage_api import packages

    if installed is None:
        return bool(match_from_list(atom, [package]))
    if not atom.extended_syntax:
        return package in installed.match(atom)
    # Databases look for no patterns; a pattern can name a slot, and no USE flag.
    slot, repository = installed.aux_get(package, ["SLOT", "repository"])
    return bool(match_from_list(atom, [packages.package(package, slot=slot, repo=repository)]))
