# SPDX-License-Identifier: BSD-3-Clause
"""Prepare and end a process as Portage's program ``bin/emerge`` does.

:mod:`flatcar_prefix.system.entry` has the parts that every command shares; this module has
emerge's own parts. A test compares both with the program of the installed Portage.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def prepare() -> None:
    """Set signals and umask of emerge: a closed pipe ends it, and SIGUSR1 starts the debugger."""
    os.umask(0o22)  # Emerge does so before it acts; it would open its logs first.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGUSR1, _debug)


def _debug(_number: int, _frame: FrameType | None) -> None:
    import pdb

    pdb.set_trace()


def keep_descriptors() -> None:
    """Hide inherited descriptors other than the standard streams from children."""
    import portage.process

    # Portage asks these two for their descriptors; Python has none for a closed one.
    if sys.__stdout__ is not None and sys.__stderr__ is not None:
        portage.process.sanitize_fds()


def say_signal(number: int) -> None:
    """Print emerge's message for a signal that ends it."""
    sys.stderr.write(f"\n\nExiting on signal {number}\n")
    sys.stderr.flush()
