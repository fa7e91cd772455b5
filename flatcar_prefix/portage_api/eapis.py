# SPDX-License-Identifier: BSD-3-Clause
"""EAPIs that this machine cannot read, because its bash is too old for them."""

from __future__ import annotations

import functools
import re
import subprocess
from typing import Any

NEEDED_BASH = {"9": (5, 3)}
"""The bash version of each EAPI of which a supported distribution may have an older bash, see
"Bash version" in PMS."""


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
