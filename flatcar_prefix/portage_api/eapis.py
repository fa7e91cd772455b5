# SPDX-License-Identifier: BSD-3-Clause
"""The bash that Portage runs, and EAPIs that it is too old for."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from typing import Any

NEEDED_BASH = {"9": (5, 3)}
"""The bash version of each EAPI of which a supported distribution may have an older bash, see
"Bash version" in PMS."""


def own_bash() -> str | None:
    """Return the bash of this program's environment; ``None`` if it has none."""
    path = os.path.join(os.path.dirname(sys.executable), "bash")
    return path if os.access(path, os.X_OK) else None


def use_own_bash(portage: Any) -> None:
    """Make Portage run the bash of this program's environment, if it has one.

    Scripts of Portage start bash by ``env``; the build host's directory of programs has a
    link to it.
    """
    from portage import process

    if path := own_bash():
        # No public setting names the shell.
        portage.const.BASH_BINARY = process.BASH_BINARY = path


@functools.cache
def bash_version() -> tuple[int, int]:
    """Return major and minor version of the bash that Portage runs, ``(0, 0)`` if unknown."""
    import portage

    command = [portage.const.BASH_BINARY, "--version"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError:
        return (0, 0)
    found = re.search(r"version (\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def is_readable(eapi: str) -> bool:
    """Return whether bash is new enough for an EAPI."""
    return eapi not in NEEDED_BASH or bash_version() >= NEEDED_BASH[eapi]


class _Readable(frozenset[str]):
    """The supported EAPIs without those that bash cannot read; it asks bash when needed."""

    def __contains__(self, eapi: object) -> bool:
        return super().__contains__(eapi) and is_readable(str(eapi))


def leave_out_unreadable(portage: Any) -> None:
    """Make Portage treat EAPIs that bash cannot read as unsupported.

    Portage would source such ebuilds and print ten lines for each. It masks ebuilds of an
    unsupported EAPI without sourcing them.
    """
    # No public setting excludes an EAPI.
    if not isinstance(portage._supported_eapis, _Readable):
        portage._supported_eapis = _Readable(portage._supported_eapis)
