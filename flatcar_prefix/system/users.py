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


UNPRIVILEGED = "nobody"
"""The user of root's builds if the machine has no user for builds."""


def build_user(*, reaches_builds: bool) -> tuple[str, str]:
    """Return the user and group that builds of a new prefix run as.

    It is :func:`portage_user` or, for root on a machine without such a user, ``nobody``.
    ``reaches_builds`` is whether other users can search the directories of builds.
    """
    found = portage_user()
    if os.geteuid() != 0 or found != _own_names() or not reaches_builds:
        return found
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
        group = grp.getgrgid(entry.pw_gid).gr_name
    except KeyError:
        return found
    # Portage drops privileges to a user and a group that are both not root's.
    return (UNPRIVILEGED, group) if entry.pw_uid and entry.pw_gid else found


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
