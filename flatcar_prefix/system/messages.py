# SPDX-License-Identifier: BSD-3-Clause
"""Messages to the user in Portage's style: `` * `` in colour on a terminal."""

from __future__ import annotations

import sys
from typing import TextIO

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.system import terminal

_COLOURS = {"info": "32;01", "warning": "33;01", "error": "31;01", "hint": "36;01"}


def _star(kind: str, stream: TextIO) -> str:
    return f"\033[{_COLOURS[kind]}m * \033[0m" if terminal.shows_colour(stream) else " * "


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
