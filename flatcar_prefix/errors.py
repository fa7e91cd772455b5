# SPDX-License-Identifier: BSD-3-Clause
"""What can go wrong, always with what to do about it."""

from __future__ import annotations

import errno
import os


class PrefixError(Exception):
    """Something that could not be done.

    ``str(error)`` is one line that says what is wrong; :attr:`hint` is one line that
    says what to do. :attr:`exit_code` is what a command line program exits with.
    """

    exit_code = 1

    def __init__(self, what: str, *, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


class UsageError(PrefixError):
    """What the caller asked for makes no sense; nothing was tried."""

    exit_code = 2


class MismatchError(PrefixError):
    """What Portage reads back from a configuration root is not what was meant."""


class BuildError(PrefixError):
    """A package could not be built or installed.

    :attr:`exit_code` is the exit code of the tool that failed.
    """

    def __init__(self, what: str, *, hint: str, exit_code: int = 1) -> None:
        super().__init__(what, hint=hint)
        self.exit_code = exit_code


def hint_for(number: int | None, place: str = "there") -> str:
    """Return what a user can do about a system error; ``place`` is where it happened."""
    if number == errno.ENOSPC:
        return f"Make room {place}, and run the same command again."
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "Run it as a user who may write to it, such as root, or name another place."
    return "Correct that, and run the same command again."


def of_system(error: OSError, *, doing: str = "") -> PrefixError:
    """Return the error for an operation that the system refused, with the file's name.

    ``doing`` names the operation; empty where the file's name says enough.
    """
    reason = error.strerror or str(error) or type(error).__name__
    file = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
    what = ": ".join(filter(None, (doing, file, reason)))
    return PrefixError(what, hint=hint_for(error.errno))
