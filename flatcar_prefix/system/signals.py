# SPDX-License-Identifier: BSD-3-Clause
"""Clean up when a signal ends long-running work."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from flatcar_prefix.errors import PrefixError


class Interrupted(BaseException):
    """A signal that ends the process, raised as an exception so that cleanup runs first."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Make SIGTERM and SIGHUP run the cleanup before they end the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        raise Interrupted

    numbers = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    except Interrupted:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if caught:
        os.kill(os.getpid(), caught[0])
        raise PrefixError("interrupted", hint="Run the same command again.")
