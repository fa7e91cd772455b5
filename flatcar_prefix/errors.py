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


def of_system(error: OSError, *, doing: str = "") -> PrefixError:
    """Return the error for what the system refused, with the file that it was about.

    ``doing`` is what it was refused for; empty where the file says enough.
    """
    if error.errno == errno.ENOSPC:
        hint = "Make room there, and run the same command again."
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = "Run it as a user who may, or name a place where you may."
    else:
        hint = "Run the same command again when that is put right."
    reason = error.strerror or str(error) or type(error).__name__
    file = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
    return PrefixError(": ".join(filter(None, (doing, file, reason))), hint=hint)
