# SPDX-License-Identifier: BSD-3-Clause
"""Check the free space for a build: Portage can hang when PORTAGE_TMPDIR is full."""

from __future__ import annotations

import os
from typing import Any

from flatcar_prefix.errors import PrefixError

BYTES = 32 << 20
FILES = 500
"""Less than any build needs: Portage's own log, pipes and environment."""


def check(settings: Any) -> None:
    """Raise :class:`PrefixError` if PORTAGE_TMPDIR has no room for any build."""
    directory = settings["PORTAGE_TMPDIR"]
    try:
        room = os.statvfs(directory)
    except OSError:
        return  # Portage reports a missing directory.
    free = (room.f_bfree if os.geteuid() == 0 else room.f_bavail) * room.f_frsize
    files = room.f_ffree if os.geteuid() == 0 else room.f_favail
    if free < BYTES:
        left = f"{free >> 20} MiB"
    elif room.f_files and files < FILES:  # Some file systems have no fixed number of inodes.
        left = f"{files} inodes"
    else:
        return
    raise PrefixError(
        f"{directory} has {left} left, too little for a build",
        hint="Free space on its file system, or set PORTAGE_TMPDIR in make.conf.user.",
    )
