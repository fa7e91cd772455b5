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
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flatcar_prefix.prefix.model import Prefix

PROFILE = Path("/etc/portage/make.profile")


def variables(prefix: Prefix, *, profile: Path = PROFILE) -> dict[str, str]:
    """Return what tells Portage the repositories, often nothing.

    Where the build host's ``profile`` is of another checkout than the prefix, the build host
    could not be loaded by the prefix's repositories, and keeps its own.
    """
    if not prefix.native_host or not _is_in_one_of(prefix, profile):
        return {}
    from flatcar_prefix.prefix.repository import repos_conf

    text = repos_conf(prefix.repositories, main_repo=prefix.main_repo)
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    # Behind a line end of its own, so that a script may indent the lines, all alike.
    return {"PORTAGE_REPOSITORIES": "".join(f"\n{line}" for line in lines)}


def _is_in_one_of(prefix: Prefix, profile: Path) -> bool:
    place = Path(os.path.realpath(profile))
    return any(Path(os.path.realpath(r.location)) in place.parents for r in prefix.repositories)
