# SPDX-License-Identifier: BSD-3-Clause
"""Write the configuration roots of a prefix and check them through Portage."""

from __future__ import annotations

import os
from contextlib import suppress

from flatcar_prefix.config import build_host, too_old
from flatcar_prefix.config.check import check_config
from flatcar_prefix.config.root import missing_features, write_config
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.portage_api import session as portage_api
from flatcar_prefix.prefix import markers, record, registry
from flatcar_prefix.prefix.leftovers import sweep
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system.progress import NO_PROGRESS, Progress
from flatcar_prefix.system.python import PACKAGE_DIR, launch
from flatcar_prefix.toolchain.tools import write_tools


def jobs() -> int:
    """Return how many processes this machine runs at once."""
    return len(os.sched_getaffinity(0))


def configure(prefix: Prefix, *, say: Progress = NO_PROGRESS) -> None:
    """Write the configuration roots and the tools of a prefix, and check them through Portage.

    This does not change the user's own files in them.
    """
    if portage_api.newer_than_known(version := portage_api.version()):
        say.warn(f"Portage {version} is newer than {portage_api.NEWEST_KNOWN}, the newest known")
    say("writing the configuration roots")
    features = missing_features(prefix)
    launcher = launch()
    write_tools(prefix)
    build_host.write(prefix, features=features, launcher=launcher, say=say)
    if not prefix.native_host:
        for one in too_old.all_of(prefix.repositories):
            say.warn(f"{one}. {one.hint}")
    for root in (prefix.staging, prefix.final):
        write_config(root, jobs=jobs(), launcher=launcher, features=features, say=say)
        check_config(root)


def bring_over(prefix: Prefix, *, say: Progress = NO_PROGRESS) -> Prefix:
    """Write the configuration of a prefix for this installation of the program.

    Return the prefix. Do nothing if this installation wrote it, for the same directories. The
    caller holds the lock of the prefix alone.
    """
    if prefix.is_current:
        return prefix
    say(f"bringing the prefix {prefix.id} over to {PACKAGE_DIR}")
    sweep(prefix)
    # The record first: for version 0.1.0, only the old configuration tells its repositories.
    prefix = record.write(markers.claim(prefix))
    registry.remember(prefix)
    configure(prefix, say=say)
    return prefix


def reconfigure(old: Prefix, prefix: Prefix, *, say: Progress = NO_PROGRESS) -> Prefix:
    """Write the configuration of ``prefix`` in place of ``old``'s, and then its record.

    If that fails, restore the old configuration.
    """
    try:
        configure(prefix, say=say)
    except BaseException:
        with suppress(PrefixError):
            configure(old, say=say)
        raise
    return record.write(prefix)
