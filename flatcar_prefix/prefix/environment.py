# SPDX-License-Identifier: BSD-3-Clause
"""The repositories that a Gentoo build host, such as the SDK, reads by itself.

Portage's own repos.conf has a ``[gentoo]`` at a place where the SDK has nothing. It is read
for the build host and for every other root, no later section takes it away again, and each
command complains of it. ``PORTAGE_REPOSITORIES``, see portage(5), stands in for all
repos.conf of all roots: there the prefix's own text is given, so that prefix and build host
know the same repositories, as they do on a machine that is not Gentoo.
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
    """Return the variables that tell a Gentoo build host the repositories of a prefix.

    The result is empty where the build host's ``profile`` lies in another checkout: the
    build host cannot be loaded with the repositories of the prefix and keeps its own.
    """
    if not _is_in_one_of(repositories, profile):
        return {}
    text = repos_conf(repositories, main_repo=main_repo)
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    # Behind a line end of its own, so that a script may indent the lines, all alike.
    return {"PORTAGE_REPOSITORIES": "".join(f"\n{line}" for line in lines)}


def _is_in_one_of(repositories: Sequence[Repository], profile: Path) -> bool:
    place = Path(os.path.realpath(profile))
    return any(Path(os.path.realpath(r.location)) in place.parents for r in repositories)
