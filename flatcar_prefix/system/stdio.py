# SPDX-License-Identifier: BSD-3-Clause
"""The standard streams: open all three, and name standard output in its errors."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

OUTPUT = "standard output"

_MODES = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)
"""Writing to a closed stdout is an error, as in other programs; to a closed stderr it is not."""


class _Output(io.FileIO):
    """Standard output. The system's own errors do not name it."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = OUTPUT
            raise


def complete() -> None:
    """Open those of the three descriptors that the caller closed.

    Otherwise the next opened file would get one of these numbers, and children would
    write to it.
    """
    for number, mode in enumerate(_MODES):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)
    # Python sets a stream to None if its descriptor was closed at the start.
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    if sys.stdout is None or sys.stdout is sys.__stdout__:
        sys.stdout = _named(sys.stdout or sys.stderr)


def _named(like: Any) -> io.TextIOWrapper:
    """Return standard output with a name, and with the encoding of ``like``."""
    raw = io.BufferedWriter(_Output(1, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding=like.encoding, errors=like.errors)


def flush() -> None:
    """Flush stdout; if that fails, discard the rest so that nothing tries again."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
        raise
