# SPDX-License-Identifier: BSD-3-Clause
"""The audit at build time: one package's image, before it becomes a binary package.

``eclass-helpers/install-qa-check.d/60flatcar-prefix`` runs this as a module. Each line
printed is a level, a tab and a message, for the shell to say with Portage's functions.
Exit code 1 when the build must fail, 3 when the check itself could not be done.
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

LATER = frozenset({"link-dangling", "script-interpreter-missing", "elf-interpreter-missing"})
"""What a package that is built later may put right: a warning until final is audited."""


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
    """Return what is wrong with what a package is about to install; None for nothing there.

    Libraries of other packages are found in ``sysroot``, beside which the prefix's
    record says what else there is to know.
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
    raise PrefixError(f"no board is known for CHOST {chost}", hint="Set CHOST to a board's.")


def _package(cpv: str, slot: str, waivers: Sequence[Waiver]) -> Any:
    if not waivers:
        return cpv
    portage_api.import_portage()
    return packages.package(cpv, slot=slot)


def lines(report: Report) -> Iterator[str]:
    """Yield what is to be said: level, tab, message."""
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
    """Check an image as the arguments say; print what was found; return the exit code."""
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
    parser.add_argument("--forbid", action="append", default=[], help="a directory not to name")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
