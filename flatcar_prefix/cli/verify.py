# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix verify``: audit a prefix, or a directory."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from flatcar_prefix.audit.api import directory_tree, forbidden_paths, libc_of, verify
from flatcar_prefix.audit.audit import audit
from flatcar_prefix.audit.findings import Statistics
from flatcar_prefix.audit.reporters import as_json, as_text
from flatcar_prefix.audit.tree import Tree
from flatcar_prefix.boards import DEFAULT_BOARD, Board, board as board_named
from flatcar_prefix.cli.parser import named_prefix, prefix_arguments
from flatcar_prefix.errors import UsageError
from flatcar_prefix.image.selection import REASONS, Selection, select
from flatcar_prefix.image.summary import spelled
from flatcar_prefix.prefix.model import Root
from flatcar_prefix.system import terminal
from flatcar_prefix.system.progress import StatusLine

_PATIENCE = 2.0
_EVERY = 0.1
_LIBCS = ("source", "import")


HELP = "check that a prefix is self-contained"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    prefix_arguments(parser, optional=True, help_text="the prefix")
    parser.add_argument("--staging", action="store_true", help="audit staging instead of final")
    parser.add_argument("--directory", type=Path, help="audit this directory instead of a root")
    parser.add_argument("--eprefix", help="the EPREFIX of the prefix in --directory")
    parser.add_argument(
        *("--forbid",),
        action="append",
        default=[],
        metavar="DIR",
        help="a directory of the build machine that no file may name; repeatable",
    )
    parser.add_argument(
        *("--libc",),
        choices=_LIBCS,
        help="the C library in --directory: built for the prefix (source), or imported from the"
        " toolchain (import)",
    )
    parser.add_argument(
        "--as-shipped",
        action="store_true",
        help="audit only the files that sysext puts into an image; all others count as missing",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--strict", action="store_true", help="turn warnings into errors")


def run(args: argparse.Namespace) -> int:
    """Audit the root or the directory that the arguments name; return the exit code."""
    if args.staging and args.directory:
        raise UsageError(
            "--staging cannot be combined with --directory",
            hint="Remove --staging or --directory.",
        )
    prefix = named_prefix(args) if args.name else None
    if args.as_shipped and (args.staging or args.directory or prefix is None):
        raise UsageError(
            "--as-shipped requires a prefix, and audits its final root",
            hint="Pass the name of a prefix, without --staging and --directory.",
        )
    shipped = select(prefix.final.path, prefix.eprefix) if prefix and args.as_shipped else None
    return audit_and_print(
        prefix.root("staging" if args.staging else "final") if prefix else None,
        args.directory,
        args.eprefix,
        prefix.board if prefix else board_named(args.board or DEFAULT_BOARD),
        json=args.json,
        strict=args.strict,
        forbid=args.forbid,
        libc=args.libc,
        shipped=shipped,
        stdout=sys.stdout,
        stderr=sys.stderr,
    )


def audit_and_print(
    prefix_root: Root | None,
    directory: Path | None,
    eprefix: str | None,
    board: Board,
    *,
    json: bool,
    strict: bool,
    stdout: TextIO,
    stderr: TextIO | None = None,
    forbid: Sequence[str] = (),
    libc: str | None = None,
    shipped: Selection | None = None,
) -> int:
    """Audit a root of a prefix, or a directory; print the report; return the exit code.

    A directory with ``prefix_root`` is a copy of this root: the audit uses the root's
    forbidden paths and C library. ``board`` is the board of a directory. ``shipped`` limits the
    audit of a root to these files. Progress goes to
    ``stderr`` if this is a terminal and the audit takes longer than two seconds.
    Raise :class:`UsageError` for missing or contradictory arguments.
    """
    with StatusLine(stderr, patience=_PATIENCE, every=_EVERY) as line:

        def progress(statistics: Statistics) -> None:
            line.show(f"{statistics.files} files, {statistics.elf} ELF")

        if directory is not None:
            where = eprefix or (prefix_root.prefix.eprefix if prefix_root else "")
            tree = _directory(directory, where, board, prefix_root, forbid, libc)
            report = audit(tree, strict=strict, progress=progress)
        else:
            _refuse_without_directory(eprefix=eprefix, forbid=forbid, libc=libc)
            if prefix_root is None:
                raise _nothing_to_audit()
            paths = None if shipped is None else [f"/{entry.path}" for entry in shipped.entries]
            report = verify(prefix_root, strict=strict, progress=progress, shipped=paths)
    if shipped is not None and not json:
        stdout.writelines(f"{line}\n" for line in left_out(shipped))
    if not json and prefix_root is None and libc is None and report.libc != "none":
        stdout.write(" * Assuming a C library built for the prefix; use --libc to change this.\n")
    stdout.write(as_json(report) if json else as_text(report, colour=terminal.shows_colour(stdout)))
    return report.exit_code


def left_out(selection: Selection) -> Iterator[str]:
    """Yield a line for each rule that leaves files out of an image."""
    yield " * Left out of the image:"
    for rule, tally in sorted(selection.left_out.items(), key=lambda item: -item[1].size):
        if tally.files:
            files = f"{tally.files} file{'' if tally.files == 1 else 's'}"
            yield f" *   {rule:<12} {files:>12} {spelled(tally.size):>10}  {REASONS[rule]}"
    yield " *"


def _nothing_to_audit() -> UsageError:
    return UsageError(
        "verify requires a prefix or a directory",
        hint="Pass the name of a prefix, or --directory and --eprefix.",
    )


def _refuse_without_directory(**options: object) -> None:
    given = [f"--{name}" for name, value in options.items() if value]
    if given:
        raise UsageError(
            f"{given[0]} requires --directory",
            hint=f"Add --directory, or remove {given[0]}.",
        )


def _directory(
    directory: Path,
    eprefix: str,
    board: Board,
    prefix_root: Root | None,
    forbid: Sequence[str],
    libc: str | None,
) -> Tree:
    """Return the tree of a directory; if ``prefix_root`` is set, the directory is its copy."""
    if not eprefix:
        raise _nothing_to_audit()
    if not eprefix.startswith("/"):
        raise UsageError(f"--eprefix {eprefix} is not absolute", hint="Use an absolute path.")
    for path in forbid:
        _check_forbidden(path, eprefix)
    named = forbidden_paths(prefix_root) if prefix_root else ()
    return directory_tree(
        directory,
        eprefix,
        board,
        forbidden_paths=(*named, *forbid),
        libc=libc or (libc_of(prefix_root.prefix) if prefix_root else "source"),
    )


def _check_forbidden(path: str, eprefix: str) -> None:
    if not path.startswith("/"):
        raise UsageError(f"--forbid {path} is not absolute", hint="Use an absolute path.")
    if f"{eprefix}/".startswith(f"{path.rstrip('/')}/"):
        raise UsageError(
            f"--forbid {path} contains the prefix {eprefix}",
            hint="Choose a directory that does not contain the prefix.",
        )
