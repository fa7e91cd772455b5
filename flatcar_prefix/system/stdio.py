# SPDX-License-Identifier: BSD-3-Clause
"""The standard streams: open all three, and name standard output in its errors."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable
from typing import Any

OUTPUT = "standard output"
ERRORS = "standard error"

_MODES = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)
"""Writing to a closed stdout is an error, as in other programs; to a closed stderr it is not."""


def _stop() -> bool:
    """Return that a closed pipe is an error."""
    return False


class _Output(io.FileIO):
    """A standard stream. The system's own errors do not name it."""

    label = ""
    keep_going: Callable[[], bool] = staticmethod(_stop)

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno == errno.EPIPE and self.keep_going():
                discard(self.fileno())
                return len(data)
            error.filename = self.label
            raise


def complete(*, keep_going: Callable[[], bool] = _stop) -> None:
    """Open those of the three descriptors that the caller closed.

    Otherwise the next opened file would get one of these numbers, and children would
    write to it. If ``keep_going()`` is true when the reader of an output has gone, further
    output is discarded.
    """
    for number, mode in enumerate(_MODES):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)
    # Python sets a stream to None if its descriptor was closed at the start.
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        # A character that cannot be encoded must not suppress the message.
        sys.stderr = _named(2, ERRORS, sys.stderr or sys.stdout, "backslashreplace", keep_going)
    if sys.stdout is None or sys.stdout is sys.__stdout__:
        sys.stdout = _named(1, OUTPUT, sys.stdout or sys.stderr, None, keep_going)


def _named(
    number: int, label: str, like: Any, errors: str | None, keep_going: Callable[[], bool]
) -> io.TextIOWrapper:
    """Return a stream with a name, and with the encoding of ``like``."""
    output = _Output(number, "w", closefd=False)
    output.label, output.keep_going = label, keep_going
    return io.TextIOWrapper(
        io.BufferedWriter(output),
        encoding=getattr(like, "encoding", None) or "utf-8",
        errors=errors or getattr(like, "errors", None),
        line_buffering=number == 2,
    )


def discard(number: int) -> None:
    """Send all further output of a descriptor to /dev/null."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def flush() -> None:
    """Flush stdout; if that fails, discard the rest so that nothing tries again."""
    try:
        sys.stdout.flush()
    except OSError:
        discard(1)
        raise
