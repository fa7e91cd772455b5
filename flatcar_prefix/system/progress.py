# SPDX-License-Identifier: BSD-3-Clause
"""The progress of long calls: the protocol, and its display on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from flatcar_prefix.system import messages, terminal


class Progress:
    """The reports of a long call: a base class that ignores them, for subclasses to override."""

    verbose = False
    """Whether :meth:`output` receives compilers' output. One package is built at once then."""

    replaces_emerge = False
    """Whether :meth:`package` replaces the output of emerge, which goes to a log then."""

    def __call__(self, text: str) -> None:
        """Report that a step begins."""

    def warn(self, text: str) -> None:
        """Report a problem that does not stop the work."""

    def detail(self, text: str) -> None:
        """Report one of many small actions."""

    def alive(self, text: str) -> None:
        """Report, about once a second, that a step is still running."""

    def package(self, text: str) -> None:
        """Report that a package is installed: its number, name, root and elapsed time."""

    def output(self, line: str) -> None:
        """Report a line of emerge and of the compilers that it runs."""


NO_PROGRESS = Progress()


class _Steps(Progress):
    """Call a plain function, such as ``print``, with each step and each warning."""

    def __init__(self, function: Callable[[str], object]) -> None:
        self._function = function

    def __call__(self, text: str) -> None:
        self._function(text)

    def warn(self, text: str) -> None:
        self._function(text)


def as_progress(say: Progress | Callable[[str], object]) -> Progress:
    """Return ``say`` itself, or a :class:`Progress` that calls it if it is a plain function."""
    return say if isinstance(say, Progress) else _Steps(say)


class StatusLine:
    """A line on a terminal that changes in place; nothing if ``stream`` is not a terminal.

    The line appears after ``patience`` seconds, and changes at most every ``every`` seconds.
    """

    def __init__(self, stream: TextIO | None, *, patience: float = 0.0, every: float = 0.0) -> None:
        self._stream = stream if stream is not None and terminal.moves_cursor(stream) else None
        self._every = every
        self._next = time.monotonic() + patience
        self._shown = False

    @property
    def is_possible(self) -> bool:
        """Whether the stream is a terminal that can move its cursor."""
        return self._stream is not None

    def show(self, text: str) -> None:
        """Replace the line by ``text``, cut to the width of the terminal."""
        now = time.monotonic()
        if self._stream is None or now < self._next:
            return
        import shutil  # Commands without progress start faster without it.

        columns = shutil.get_terminal_size().columns - 4
        self._next = now + self._every
        self._shown = True
        print(f"\r\033[K   {text[:columns]}", end="", file=self._stream, flush=True)

    def clear(self) -> None:
        """Erase the line."""
        if self._shown and self._stream is not None:
            print("\r\033[K", end="", file=self._stream, flush=True)
            self._shown = False

    def __enter__(self) -> StatusLine:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.clear()


class TerminalProgress(Progress):
    """Print the reports: on a terminal in one line that changes, else every half minute."""

    def __init__(self, *, every: float = 30.0, verbose: bool = False, quiet: bool = False) -> None:
        """``verbose`` also prints small actions and compilers' output; ``quiet`` warnings only."""
        self._line = StatusLine(None if quiet else sys.stdout)
        self._quiet = quiet
        self.verbose = verbose
        self.replaces_emerge = quiet or (self._line.is_possible and not verbose)
        self._every = every
        self._last = time.monotonic()

    def __call__(self, text: str) -> None:
        if self._quiet:
            return
        self._line.clear()
        messages.info(text)
        self._last = time.monotonic()

    def warn(self, text: str) -> None:
        self._line.clear()
        messages.warning(text)

    def detail(self, text: str) -> None:
        if self.verbose:
            self(text)

    def alive(self, text: str) -> None:
        if self._line.is_possible:
            self._line.show(text)
        elif time.monotonic() - self._last >= self._every:
            self(text)

    def package(self, text: str) -> None:
        if self._line.is_possible:
            self(text)

    def output(self, line: str) -> None:
        if not self._quiet:
            self._line.clear()
            print(line, flush=True)

    def __enter__(self) -> TerminalProgress:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._line.clear()
