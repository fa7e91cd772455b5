# SPDX-License-Identifier: BSD-3-Clause
"""The user that Portage drops privileges to, and the caller's own."""

from __future__ import annotations

import grp
import os
import pwd


def portage_user() -> tuple[str, str]:
    """Return the user and group that Portage drops privileges to.

    It is the SDK's user or ``portage``, if the machine has one of them. Otherwise it is
    the caller, and Portage keeps its privileges.
    """
    for user in ("sdk", "portage"):
        if _exists(user, "portage"):
            return user, "portage"
    return _own_names()


def is_own_user(user: str) -> bool:
    """Return whether ``user`` is the caller."""
    return _own_names()[0] == user


def _own_names() -> tuple[str, str]:
    """Return the caller's user and group; root's, which Portage accepts, if they have no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    except KeyError:
        return "root", "root"


def _exists(user: str, group: str) -> bool:
    try:
        pwd.getpwnam(user)
        grp.getgrnam(group)
    except KeyError:
        return False
    return True
