# SPDX-License-Identifier: BSD-3-Clause
"""Exceptions. Each one carries a hint for the user."""

from __future__ import annotations

import errno
import os


class PrefixError(Exception):
    """An operation failed.

    ``str(error)`` is one line that describes the problem. :attr:`hint` is one line that
    tells the user what to do. :attr:`exit_code` is the exit code of a command line program.
    """

    exit_code = 1

    def __init__(self, what: str, *, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


class UsageError(PrefixError):
    """The caller's arguments are invalid; the program did not start any work."""

    exit_code = 2


class MismatchError(PrefixError):
    """Portage reads other values from a configuration root than this program wrote."""


class BuildError(PrefixError):
    """A package could not be built or installed.

    :attr:`exit_code` is the exit code of the tool that failed.
    """

    def __init__(self, what: str, *, hint: str, exit_code: int = 1) -> None:
        super().__init__(what, hint=hint)
        self.exit_code = exit_code


def hint_for(number: int | None, place: str = "there") -> str:
    """Return the hint for a system error; ``place`` names the location of the error."""
    if number == errno.ENOSPC:
        return f"Free space {place}, then run the same command again."
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            "Run the command as a user with write permission, such as root, or choose another path."
        )
    return "Fix the cause, then run the same command again."


def of_system(error: OSError, *, doing: str = "") -> PrefixError:
    """Return the error for an operation that the system refused, with the file's name.

    ``doing`` names the operation; it is empty if the file's name is sufficient.
    """
    reason = error.strerror or str(error) or type(error).__name__
    file = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
    what = ": ".join(filter(None, (doing, file, reason)))
    return PrefixError(what, hint=hint_for(error.errno))
