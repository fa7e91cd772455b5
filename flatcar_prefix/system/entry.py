# SPDX-License-Identifier: BSD-3-Clause
"""Run a command of this program: its streams, its signals, its errors.

Each entry point calls :func:`run`. The policy is that of Portage's ``bin/emerge``:

- Text is UTF-8 in every locale.
- SIGINT, SIGTERM and SIGHUP run the cleanup; then that signal ends the process.
- After a write to a closed pipe, SIGPIPE ends the process without a message. A command that
  changes a prefix finishes its work instead.
- An error that the user can correct is one line, with a hint. :mod:`~flatcar_prefix.system.crash`
  writes any other exception to a file.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from flatcar_prefix import environ
from flatcar_prefix.errors import PrefixError, hint_for, of_system
from flatcar_prefix.system import crash, messages, stdio
from flatcar_prefix.system.programs import path_for_root
from flatcar_prefix.system.variables import UNSET_FOR_ROOT

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""Signals that become an exception, as SIGINT does in Python."""


class SignalInterrupt(KeyboardInterrupt):
    """A signal that ends the process. asyncio prints no traceback for a KeyboardInterrupt."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def run(
    work: Callable[[], int],
    *,
    program: str,
    changes: Callable[[], bool] = lambda: False,
    logs: Path | None = None,
    on_interrupt: Callable[[int], None] | None = None,
    portage_codes: bool = False,
    failure: int = 1,
) -> int:
    """Return the exit code of ``work``; report its exceptions.

    ``program`` is the name for error reports. ``changes`` tells whether the work writes to a
    prefix; it is called after an exception or a failed write. ``logs`` is the first directory
    to try for the report of an unexpected exception. ``on_interrupt`` prints the message for
    a signal. ``portage_codes`` selects the exit codes of Portage's ``bin/emerge``; otherwise
    ``failure`` is the exit code for an exception that is not a :class:`PrefixError`.
    """
    _guard_root()
    stdio.complete(keep_going=changes)
    messages.flush_each_line()
    _catch_signals()
    try:
        return _flushed(work)
    except PrefixError as error:
        return messages.report(error)
    except SystemExit as error:
        return _code_of(error)
    except KeyboardInterrupt as error:
        number = int(getattr(error, "signum", signal.SIGINT))
        (on_interrupt or (lambda number: _say_interrupted(number, again=changes())))(number)
        return end_by(number)
    except BrokenPipeError:
        return end_by(signal.SIGPIPE)
    except Exception as error:
        code = messages.report(described(error, program, logs))
        return code if portage_codes else failure


def described(error: Exception, program: str, logs: Path | None = None) -> PrefixError:
    """Return the error to report for an exception; the arguments are those of :func:`run`."""
    if isinstance(error, OSError):
        return of_system(error)
    return of_portage(error) or crash.written(error, program=program, directory=logs)


def _guard_root() -> None:
    """Keep other users from choosing code for root, through an environment that sudo kept."""
    if os.geteuid() == 0:
        for name in UNSET_FOR_ROOT:
            environ.take(name)
        environ.publish({"PATH": path_for_root(environ.search_path())})


def _flushed(work: Callable[[], int]) -> int:
    try:
        return work()
    finally:
        stdio.flush()


def _code_of(error: SystemExit) -> int:
    """Return the exit code of a ``SystemExit``; print its text, as Python does."""
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(error.code, file=sys.stderr)
    return 1


def _catch_signals() -> None:
    with suppress(ValueError):  # Only the main thread can set signal handlers.
        for number in ENDING:
            # A signal that the caller ignores, as nohup does, stays ignored.
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    raise SignalInterrupt(number)


def _say_interrupted(number: int, *, again: bool) -> None:
    with suppress(OSError):
        if number == signal.SIGINT:
            print(file=sys.stderr)  # The terminal has written ^C.
        if again:
            messages.error(f"interrupted by {signal.Signals(number).name}")
            messages.hint("Run the same command again; it continues.")


def end_by(number: int) -> int:
    """End this process by a signal, so that the caller's shell sees it.

    If the signal is blocked, return the shell's exit code for it.
    """
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    with suppress(ValueError):
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    return 128 + number


def of_portage(error: Exception) -> PrefixError | None:
    """Return the error for an exception of Portage that the user can correct, else ``None``.

    The exit code is that of Portage's ``bin/emerge``: the errno, if there is one.
    """
    portage = sys.modules.get("portage.exception")
    if portage is None or not isinstance(error, portage.PortageException):
        return None
    text = " ".join(str(error).split())
    if isinstance(error, portage.ParseError):
        return _with_code(text, "Correct this file, then run the same command again.", 1)
    if isinstance(error, portage.InvalidAtom):
        # Portage looks for an atom without a category in the category "null".
        what = f"{text.replace('null/', '')!r} is not a valid atom"
        return _with_code(what, "Write it as in ebuild(5), such as '>=dev-libs/expat-2.5'.", 1)
    number = getattr(error, "errno", None)
    if number is None:
        return None
    if isinstance(error, portage.IsADirectory):
        what = f"{text} is a directory, but should be a file"
        return _with_code(
            what, "Replace it with a file; portage(5) describes the permitted files.", number
        )
    # Some texts already contain the reason, such as "open('/a/file'): Permission denied".
    reason = os.strerror(number)
    what = text if reason.lower() in text.lower() else f"{text}: {reason}"
    return _with_code(what, hint_for(number), number)


def _with_code(what: str, hint: str, code: int) -> PrefixError:
    error = PrefixError(what, hint=hint)
    error.exit_code = code
    return error


def in_utf8() -> None:
    """Start this process again in UTF-8 mode if the locale has another encoding.

    Portage's programs do so, because ebuilds and file names are UTF-8.
    """
    # On Linux this is the encoding of the locale, or UTF-8 in UTF-8 mode.
    if sys.getfilesystemencoding().lower().replace("-", "") != "utf8" and sys.executable:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
