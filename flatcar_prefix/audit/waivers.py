# SPDX-License-Identifier: BSD-3-Clause
"""Waivers: the findings that the user accepts, each with a reason.

``<config root>/etc/portage/flatcar-prefix.waivers`` has one waiver per line. It is a file
or a directory of files, like Portage's own configuration. A waiver is an atom, one or more
codes, and the reason as a comment::

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

    Raise :class:`PrefixError` for a line without a reason, or with an invalid code or atom.
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
        raise _error(source, line, f"{words[0]} is not an atom") from None
    if unknown:
        raise _error(source, line, f"{unknown[0]} is not a code of a finding")
    if len(words) < 2 or not reason.strip():
        raise _error(source, line, "the code or the reason is missing")
    return Waiver(atom, frozenset(words[1:]), reason.strip())


def fnmatch_any(pattern: str) -> bool:
    """Return whether a code, or a pattern such as ``script-*``, matches any known code."""
    return any(fnmatchcase(code, pattern) for code in CODES)


def _error(source: str, line: str, what: str) -> PrefixError:
    return PrefixError(
        f"{source}: {what}: {line.strip()}",
        hint="Write one waiver per line: <atom> <code> [<code>...] # <reason>.",
    )


def reason_for(
    finding: Finding, waivers: Iterable[Waiver], package: Any = None, installed: Any = None
) -> str | None:
    """Return the reason of the first waiver that matches ``finding``, or None.

    ``package`` is the owner as a ``_pkg_str`` of Portage with a slot, or a cpv. By default,
    it is the finding's own cpv, whose slot and USE come from ``installed``, a
    ``portage.dbapi``. Atoms match as in ``portage.dep.match_from_list``.
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
    # A dbapi cannot match wildcards. An atom with a wildcard can have a slot, but no USE flags.
    slot, repository = installed.aux_get(package, ["SLOT", "repository"])
    return bool(match_from_list(atom, [packages.package(package, slot=slot, repo=repository)]))
