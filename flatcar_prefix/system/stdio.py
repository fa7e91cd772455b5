# SPDX-License-Identifier: BSD-3-Clause
"""The standard streams: all three there, and an error of output that says it is one."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

OUTPUT = "standard output"

_MODES = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)
"""Output that nobody takes is an error, as it is to other programs; messages are not."""


class _Output(io.FileIO):
    """Standard output, which the system gives no name in its errors."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = OUTPUT
            raise


def complete() -> None:
    """Open those of the three descriptors that the caller closed.

    Else the next file opened would be one of them, and children would write into it.
    """
    for number, mode in enumerate(_MODES):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)
    # Python has none where there was no descriptor when it started.
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    if sys.stdout is None or sys.stdout is sys.__stdout__:
        sys.stdout = _named(sys.stdout or sys.stderr)


def _named(like: Any) -> io.TextIOWrapper:
    """Return standard output with a name, and with the encoding of ``like``."""
    raw = io.BufferedWriter(_Output(1, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding=like.encoding, errors=like.errors)


def flush() -> None:
    """Write what is left to be written to stdout; if it cannot be, nothing tries again."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
        raise
