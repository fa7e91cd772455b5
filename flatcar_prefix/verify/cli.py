# SPDX-License-Identifier: BSD-3-Clause
"""What the ``verify`` verb of flatcar-prefix calls."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TextIO

from flatcar_prefix.boards import Board
from flatcar_prefix.errors import UsageError
from flatcar_prefix.prefix import Root
from flatcar_prefix.verify import verify, verify_directory
from flatcar_prefix.verify.findings import Statistics
from flatcar_prefix.verify.reporters import as_json, as_text

_PATIENCE = 2.0
_EVERY = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's own options; which prefix and which root are the caller's to ask."""
    parser.add_argument("--directory", type=Path, help="a directory to look at, in place of a root")
    parser.add_argument("--eprefix", help="where in --directory the prefix is")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--strict", action="store_true", help="make errors of warnings")


def run(
    prefix_root: Root | None,
    directory: Path | None,
    eprefix: str | None,
    board: Board,
    *,
    json: bool,
    strict: bool,
    stdout: TextIO,
    stderr: TextIO | None = None,
) -> int:
    """Audit a root of a prefix, or a directory; print the report; return the exit code.

    ``board`` matters for a directory alone. Progress goes to ``stderr`` when that is a
    terminal and the audit takes longer than two seconds.
    """
    progress = Progress(stderr)
    if prefix_root is not None and directory is None:
        report = verify(prefix_root, strict=strict, progress=progress)
    elif directory is not None and (eprefix or prefix_root is not None):
        where = eprefix or (prefix_root.prefix.eprefix if prefix_root else "")
        if not where.startswith("/"):
            raise UsageError(f"--eprefix {where} is not absolute", hint="Begin it with a slash.")
        report = verify_directory(directory, where, board, strict=strict, progress=progress)
    else:
        raise UsageError(
            "there is nothing to look at",
            hint="Give the name of a prefix, or --directory and --eprefix.",
        )
    progress.done()
    stdout.write(as_json(report) if json else as_text(report, colour=stdout.isatty()))
    return report.exit_code


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
