# SPDX-License-Identifier: BSD-3-Clause
"""End a run of emerge if a callback of Portage's event loop fails.

asyncio only logs an exception of a callback. The task that waited for the callback then never ends,
so emerge waits for ever, and ignores SIGTERM after the first one. Portage's own programs kill
themselves by SIGTERM instead (``AsyncioEventLoop._internal_caller_exception_handler``). No public
call sets a handler for the loops that Portage creates, from Portage 3.0.63 to 3.0.83.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from flatcar_prefix.portage_api.emerge_hooks import replaced


class _Failed(SystemExit):
    """Leaves the event loop. asyncio lets only SystemExit and KeyboardInterrupt pass."""

    def __init__(self, error: Exception) -> None:
        super().__init__(1)
        self.error = error


@contextmanager
def failing(report: Callable[[Exception], object]) -> Iterator[None]:
    """Within, an exception of a callback leaves the event loop, and is raised here.

    In a process that emerge has forked, for example to merge a package, ``report`` receives the
    exception and the process ends with the exit code 1.
    """
    from portage.util._eventloop.asyncio_event_loop import AsyncioEventLoop
    from portage.util._eventloop.global_event_loop import global_event_loop

    handle = _handler(report)
    original = AsyncioEventLoop.__init__

    def init(self: Any, loop: Any = None) -> None:
        original(self, loop=loop)
        self._loop.set_exception_handler(handle)

    with replaced(AsyncioEventLoop, "__init__", init):
        loop = global_event_loop()._loop
        loop.set_exception_handler(handle)
        try:
            yield
        except _Failed as failed:
            raise failed.error from None
        finally:
            # Tasks of a failed build can be pending until the interpreter ends.
            loop.set_exception_handler(_say_but_of_pending_tasks)


def _say_but_of_pending_tasks(loop: Any, context: dict[str, Any]) -> None:
    """Log as asyncio does, unless the destructor of a pending task calls this.

    After a failed build, Portage's tasks of other packages are pending when the loop ends.
    """
    if "task" not in context or "exception" in context:
        loop.default_exception_handler(context)


def _handler(report: Callable[[Exception], object]) -> Callable[[Any, dict[str, Any]], None]:
    """Return an exception handler for a loop, see ``loop.set_exception_handler`` of asyncio."""
    owner = os.getpid()

    def leave(error: Exception) -> NoReturn:
        if os.getpid() != owner:
            report(error)
        raise _Failed(error)

    def handle(loop: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not isinstance(error, Exception):
            _say_but_of_pending_tasks(loop, context)
        elif "handle" in context:
            leave(error)
        else:
            # A destructor reports the error of a task; an exception cannot leave it.
            with suppress(RuntimeError):  # The loop is closed.
                loop.call_soon(leave, error)

    return handle
