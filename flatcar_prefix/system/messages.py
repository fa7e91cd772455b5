# SPDX-License-Identifier: BSD-3-Clause
"""Messages to the user in Portage's style: `` * `` in colour on a terminal."""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import TextIO

from flatcar_prefix.errors import PrefixError

_COLOURS = {"info": "32;01", "warning": "33;01", "error": "31;01", "hint": "36;01"}


def _star(kind: str, stream: TextIO) -> str:
    colour = stream.isatty() and not os.environ.get("NO_COLOR") and not _nocolor()
    return f"\033[{_COLOURS[kind]}m * \033[0m" if colour else " * "


def _nocolor() -> bool:
    """Return whether NOCOLOR turns colours off, see make.conf(5)."""
    return os.environ.get("NOCOLOR", "").lower() in ("yes", "true")


def _say(kind: str, text: str, stream: TextIO) -> None:
    print(f"{_star(kind, stream)}{text}", file=stream, flush=True)


def info(text: str) -> None:
    _say("info", text, sys.stdout)


def warning(text: str) -> None:
    _say("warning", text, sys.stderr)


def error(text: str) -> None:
    _say("error", text, sys.stderr)


def hint(text: str) -> None:
    _say("hint", text, sys.stderr)


def report(problem: PrefixError) -> int:
    """Print the error and its hint; return the exit code."""
    sys.stdout.flush()
    error(str(problem).replace("\n", " "))
    hint(problem.hint.replace("\n", " "))
    return problem.exit_code


def flush_each_line() -> None:
    """Keep the output of this program and its children in order."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)


class Progress:
    """The reports of a long call: a base class that ignores them, for subclasses to override."""

    def __call__(self, text: str) -> None:
        """Report that a step begins."""

    def warn(self, text: str) -> None:
        """Report a problem that does not stop the work."""

    def alive(self, text: str) -> None:
        """Report, about once a second, that a step is still running."""


NO_PROGRESS = Progress()


class TerminalProgress(Progress):
    """Print the reports: on a terminal in one line that changes, else every half minute."""

    def __init__(self, *, every: float = 30.0) -> None:
        self._every = every
        self._last = time.monotonic()
        self._shown = False

    def __call__(self, text: str) -> None:
        self._clear()
        info(text)
        self._last = time.monotonic()

    def warn(self, text: str) -> None:
        self._clear()
        warning(text)

    def alive(self, text: str) -> None:
        if sys.stdout.isatty():
            columns = shutil.get_terminal_size().columns - 4
            print(f"\r\033[K   {text[:columns]}", end="", flush=True)
            self._shown = True
        elif time.monotonic() - self._last >= self._every:
            self(text)

    def _clear(self) -> None:
        if self._shown:
            print("\r\033[K", end="", flush=True)
            self._shown = False

    def __enter__(self) -> TerminalProgress:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._clear()
