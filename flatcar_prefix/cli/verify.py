# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix verify``: audit a prefix, or a directory."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
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
from flatcar_prefix.prefix.model import Root

_PATIENCE = 2.0
_EVERY = 0.1
_LIBCS = ("source", "import")


HELP = "audit a prefix: is it self-contained?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    prefix_arguments(parser, optional=True, help_text="the prefix")
    parser.add_argument("--staging", action="store_true", help="staging in place of final")
    parser.add_argument("--directory", type=Path, help="a directory to look at, in place of a root")
    parser.add_argument("--eprefix", help="where in --directory the prefix is")
    parser.add_argument(
        *("--forbid",),
        action="append",
        default=[],
        metavar="DIR",
        help="a directory of the build machine that nothing in --directory may name; repeatable",
    )
    parser.add_argument(
        *("--libc",),
        choices=_LIBCS,
        help="whether the C library in --directory was built for the prefix (source), or is"
        " the toolchain's own (import)",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--strict", action="store_true", help="make errors of warnings")


def run(args: argparse.Namespace) -> int:
    """Audit the root or the directory that the arguments name."""
    if args.staging and args.directory:
        raise UsageError(
            "--staging cannot be combined with --directory",
            hint="Give one of them: a root of the prefix, or a directory in its place.",
        )
    prefix = named_prefix(args) if args.name else None
    return audit_and_print(
        prefix.root("staging" if args.staging else "final") if prefix else None,
        args.directory,
        args.eprefix,
        prefix.board if prefix else board_named(args.board or DEFAULT_BOARD),
        json=args.json,
        strict=args.strict,
        forbid=args.forbid,
        libc=args.libc,
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
) -> int:
    """Audit a root of a prefix, or a directory; print the report; return the exit code.

    Of a prefix whose name is given a directory is a copy: what the root knows of the
    build machine and of the C library holds for it. ``board`` matters for a directory
    without a name. Progress goes to ``stderr`` when that is a terminal and the audit
    takes longer than two seconds.
    """
    progress = Progress(stderr)
    if directory is not None:
        where = eprefix or (prefix_root.prefix.eprefix if prefix_root else "")
        tree = _directory(directory, where, board, prefix_root, forbid, libc)
        report = audit(tree, strict=strict, progress=progress)
    else:
        _refuse_without_directory(eprefix=eprefix, forbid=forbid, libc=libc)
        if prefix_root is None:
            raise _nothing_to_look_at()
        report = verify(prefix_root, strict=strict, progress=progress)
    progress.done()
    if not json and prefix_root is None and libc is None and report.libc != "none":
        stdout.write(" * The C library is taken for one built for the prefix: see --libc.\n")
    stdout.write(as_json(report) if json else as_text(report, colour=stdout.isatty()))
    return report.exit_code


def _nothing_to_look_at() -> UsageError:
    return UsageError(
        "there is nothing to look at",
        hint="Give the name of a prefix, or --directory and --eprefix.",
    )


def _refuse_without_directory(**options: object) -> None:
    given = [f"--{name}" for name, value in options.items() if value]
    if given:
        raise UsageError(
            f"{given[0]} requires --directory",
            hint=f"Add --directory, or leave {given[0]} out.",
        )


def _directory(
    directory: Path,
    eprefix: str,
    board: Board,
    prefix_root: Root | None,
    forbid: Sequence[str],
    libc: str | None,
) -> Tree:
    """Return the tree in a directory, which is a copy of ``prefix_root`` where that is known."""
    if not eprefix:
        raise _nothing_to_look_at()
    if not eprefix.startswith("/"):
        raise UsageError(f"--eprefix {eprefix} is not absolute", hint="Begin it with a slash.")
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
        raise UsageError(f"--forbid {path} is not absolute", hint="Begin it with a slash.")
    if f"{eprefix}/".startswith(f"{path.rstrip('/')}/"):
        raise UsageError(
            f"--forbid {path} forbids the prefix itself, {eprefix}",
            hint="Give a directory that the prefix is not in.",
        )


class Progress:
    """A line on a terminal that says how far an audit has come, once it takes long."""

    def __init__(self, stream: TextIO | None, *, patience: float = _PATIENCE) -> None:
        self._stream = stream if stream is not None and stream.isatty() else None
        self._next = time.monotonic() + patience
        self._shown = False

    def __call__(self, statistics: Statistics) -> None:
        now = time.monotonic()
        if self._stream is None or now < self._next:
            return
        self._next = now + _EVERY
        self._shown = True
        self._stream.write(f"\r * {statistics.files} files, {statistics.elf} ELF\x1b[K")
        self._stream.flush()

    def done(self) -> None:
        """Take the line away."""
        if self._shown and self._stream is not None:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
