# SPDX-License-Identifier: BSD-3-Clause
"""The audit of a package's image at build time, before it becomes a binary package.

``eclass-helpers/install-qa-check.d/60flatcar-prefix`` runs this as a module. Each output
line is a level, a tab and a message, which the shell script passes to Portage's functions.
The exit code is 1 if the build must fail, and 3 if the check itself failed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flatcar_prefix.audit.audit import audit
from flatcar_prefix.audit.findings import ERROR, WARNING, Finding, Report
from flatcar_prefix.audit.reporters import printable
from flatcar_prefix.audit.tree import Tree
from flatcar_prefix.audit.waivers import Waiver, read_waivers
from flatcar_prefix.boards import BOARDS, Board
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.portage_api import packages, session as portage_api
from flatcar_prefix.prefix import model as prefixes, record
from flatcar_prefix.system import entry

LATER = frozenset({"link-dangling", "script-interpreter-missing", "elf-interpreter-missing"})
"""Errors that a later package can correct; the check reports them as warnings."""


def check_image(
    image: Path,
    eprefix: str,
    *,
    cpv: str,
    chost: str,
    sysroot: Path | None,
    forbidden: Sequence[str] = (),
    waivers: Sequence[Waiver] = (),
    slot: str = "0",
) -> Report | None:
    """Audit a package's image and return the report; None if it has no files in the prefix.

    The audit finds libraries of other packages in ``sysroot``. The prefix's record in the
    parent directory of ``sysroot`` has the board, the C library and more forbidden paths.
    Raise :class:`PrefixError` for an unknown CHOST without a record.
    """
    if not (image / eprefix.lstrip("/")).is_dir():
        return None
    record = _record(sysroot)
    tree = Tree(
        root=image,
        eprefix=eprefix,
        board=record.board if record else _board(chost),
        forbidden_paths=(*forbidden, *_of_record(record)),
        libc="import" if record and record.bootstrap == "import" else "source",
        layers=(sysroot,) if sysroot else (),
    )
    report = audit(tree, waivers=waivers, package=_package(cpv, slot, waivers), jobs=1)
    return replace(report, findings=tuple(_for_now(finding) for finding in report.findings))


def _for_now(finding: Finding) -> Finding:
    return replace(finding, level=WARNING) if finding.code in LATER else finding


def _record(sysroot: Path | None) -> prefixes.Prefix | None:
    if sysroot is None:
        return None
    try:
        return record.read(sysroot.parent)
    except (OSError, PrefixError):
        return None


def _of_record(record: prefixes.Prefix | None) -> tuple[str, ...]:
    if record is None:
        return ()
    paths = (os.fspath(record.staging_dir), os.fspath(record.final_dir), record.toolchain.sysroot)
    return tuple(path for path in paths if path.count("/") > 1)


def _board(chost: str) -> Board:
    for board in BOARDS.values():
        if board.chost == chost or board.uname_machine == chost.split("-")[0]:
            return board
    raise PrefixError(
        f"CHOST {chost} does not belong to a board", hint="Set CHOST to a board's CHOST."
    )


def _package(cpv: str, slot: str, waivers: Sequence[Waiver]) -> Any:
    if not waivers:
        return cpv
    portage_api.import_portage()
    return packages.package(cpv, slot=slot)


def lines(report: Report) -> Iterator[str]:
    """Yield the output lines: level, tab, message."""
    hints: dict[tuple[str, str], str] = {}
    for finding in report.findings:
        where = f"{finding.code}: {printable(finding.path)}: {printable(finding.message)}"
        yield f"{finding.level}\t{where}"
        hints[finding.level, finding.code] = finding.hint
    for (level, code), hint in hints.items():
        yield f"{level}\t{code} -> {hint}"
    for finding, reason in report.waived:
        yield f"note\twaived: {finding.code}: {printable(finding.path)}: {printable(reason)}"


def main(arguments: Sequence[str]) -> int:
    """Check the image that the arguments name, print the findings, return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        waivers = read_waivers(options.config_root / "etc/portage") if options.config_root else ()
        report = check_image(
            options.image,
            options.eprefix.rstrip("/"),
            cpv=options.cpv,
            chost=options.chost,
            sysroot=options.sysroot,
            forbidden=options.forbid,
            waivers=waivers,
            slot=options.slot,
        )
    except PrefixError as error:
        print(f"{ERROR}\t{error}")
        print(f"{ERROR}\t-> {error.hint}")
        return 3
    if report is None:
        return 0
    for line in lines(report):
        print(line)
    return report.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="qa-check", description=__doc__)
    parser.add_argument("--image", type=Path, required=True, help="D")
    parser.add_argument("--eprefix", required=True, help="EPREFIX")
    parser.add_argument("--cpv", required=True)
    parser.add_argument("--slot", default="0")
    parser.add_argument("--chost", required=True, help="CHOST")
    parser.add_argument("--sysroot", type=Path, help="SYSROOT")
    parser.add_argument("--config-root", type=Path, help="PORTAGE_CONFIGROOT")
    parser.add_argument(
        "--forbid", action="append", default=[], help="a directory that no file may name"
    )
    return parser


if __name__ == "__main__":
    sys.exit(entry.run(lambda: main(sys.argv[1:]), program="qa-check", failure=3))
