# SPDX-License-Identifier: BSD-3-Clause
"""The repositories that a Gentoo build host, such as the SDK, reads by itself.

Portage's own repos.conf has a ``[gentoo]`` section whose location does not exist in the SDK.
Portage reads it for the build host and for every other root. No later section can remove it,
and each command warns about it. ``PORTAGE_REPOSITORIES``, see portage(5), replaces all
repos.conf files of all roots. It carries the prefix's own repos.conf text, so the prefix and
the build host use the same repositories, as on a machine that is not Gentoo.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from flatcar_prefix.prefix.repository import Repository, repos_conf

PROFILE = Path("/etc/portage/make.profile")


def repository_variables(
    repositories: Sequence[Repository], main_repo: str, *, profile: Path = PROFILE
) -> dict[str, str]:
    """Return the variables that pass the prefix's repositories to a Gentoo build host.

    The result is empty if the build host's ``profile`` is in another checkout. Portage
    cannot load such a build host with the prefix's repositories, so it keeps its own.
    """
    if not _is_in_one_of(repositories, profile):
        return {}
    text = repos_conf(repositories, main_repo=main_repo)
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    # Each line starts with a line end, so that a script can indent all lines alike.
    return {"PORTAGE_REPOSITORIES": "".join(f"\n{line}" for line in lines)}


def _is_in_one_of(repositories: Sequence[Repository], profile: Path) -> bool:
    place = Path(os.path.realpath(profile))
    return any(Path(os.path.realpath(r.location)) in place.parents for r in repositories)
