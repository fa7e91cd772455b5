# SPDX-License-Identifier: BSD-3-Clause
"""Exceptions. Each one carries a hint for the user."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar


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

    :attr:`exit_code` is the exit code of the tool that failed. The other attributes are empty,
    or ``None``, if they are not known.
    """

    def __init__(
        self,
        what: str,
        *,
        hint: str,
        exit_code: int = 1,
        stage: str = "",
        package: str = "",
        phase: str = "",
        log: Path | None = None,
        reason: str = "",
    ) -> None:
        super().__init__(what, hint=hint)
        self.exit_code = exit_code
        self.stage = stage
        """The stage of the bootstrap, such as ``libc``."""
        self.package = package
        """The package, ``category/name-version``."""
        self.phase = phase
        """The phase of its ebuild, such as ``compile`` (PMS, Ebuild-defined functions)."""
        self.log = log
        """The build log, or the log of the stage."""
        self.reason = reason
        """The message of the ebuild's ``die``, or Portage's last error."""


_COMMAND = re.compile(r"`[^`]*`|(?:flatcar-prefix|setup_prefix|\S+-prefix-\S+) [^;,]*")
"""A command line in a hint; its flags stay as they are."""

_FLAG = re.compile(r"--([a-z][a-z-]*[a-z])(?:=(\S+))?")
_SWITCHES = ("force", "with-gcc", "unconfined", "reload-manager", "units", "network", "strict")
_OTHERS = {"from": "first_stage", "until": "last_stage", "no-verify": "verify=False"}


def in_python(hint: str) -> str:
    """Return a hint with the arguments of the Python functions in place of flags.

    Command lines in it do not change.
    """

    def argument(match: re.Match[str]) -> str:
        name, value = match[1], match[2]
        if name in _OTHERS:
            return _OTHERS[name]
        if name in _SWITCHES:
            return f"{name.replace('-', '_')}=True"
        return name.replace("-", "_") + (f"={value!r}" if value else "")

    parts, end = [], 0
    for command in _COMMAND.finditer(hint):
        parts += [_FLAG.sub(argument, hint[end : command.start()]), command[0]]
        end = command.end()
    return "".join([*parts, _FLAG.sub(argument, hint[end:])])


_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def speaks_python(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Return the function with hints for Python in its errors, see :func:`in_python`."""

    @wraps(function)
    def call(*args: _Arguments.args, **more: _Arguments.kwargs) -> _Result:
        try:
            return function(*args, **more)
        except PrefixError as error:
            error.hint = in_python(error.hint)
            raise

    return call


def hint_for(number: int | None, place: str = "") -> str:
    """Return the hint for a system error; ``place`` is the file or directory it is about."""
    on = f" on the file system of {place}" if place else ""
    if number == errno.ENOSPC:
        what = "inodes: delete files" if place and _lacks_inodes(place) else "space"
        return f"Free {what}{on}, then run the same command again."
    if number == errno.EDQUOT:
        return f"Free some of your quota{on}, then run the same command again."
    if number == errno.EROFS:
        which = f" of {place}" if place else ""
        return f"Choose another path, or mount the file system{which} writable."
    if number in (errno.EACCES, errno.EPERM):
        return (
            "Run the command as a user with write permission, such as root, or choose another path."
        )
    return "Fix the cause, then run the same command again."


def _lacks_inodes(place: str) -> bool:
    """Return whether the file system of ``place`` has space left, but no inodes."""
    while True:
        try:
            state = os.statvfs(place)
        except OSError:
            parent = os.path.dirname(place)
            if parent == place:
                return False
            place = parent
            continue
        # Some file systems, such as btrfs, count no inodes at all.
        return bool(state.f_files and not state.f_favail and state.f_bavail)


def of_system(error: OSError, *, doing: str = "", place: str = "") -> PrefixError:
    """Return the error for an operation that the system refused, with the file's name.

    ``doing`` names the operation; it is empty if the file's name is sufficient. ``place`` is
    where the operation writes, for an error without a file.
    """
    reason = error.strerror or str(error) or type(error).__name__
    file = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
    what = ": ".join(filter(None, (doing, file, reason)))
    return PrefixError(what, hint=hint_for(error.errno, file if file.startswith("/") else place))
