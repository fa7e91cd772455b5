# SPDX-License-Identifier: BSD-3-Clause
"""Bring an existing prefix up to date, stage after stage."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from flatcar_prefix.lifecycle import stages as bootstrapping
from flatcar_prefix.lifecycle.configure import configure
from flatcar_prefix.lifecycle.create import finish
from flatcar_prefix.prefix import record
from flatcar_prefix.prefix.locks import locked_prefix
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.repositories import find as repos
from flatcar_prefix.system.files import filesystem_errors
from flatcar_prefix.system.messages import NO_PROGRESS, Progress
from flatcar_prefix.system.places import detect_sdk


def _found_again(prefix: Prefix) -> Prefix:
    """Return the prefix with the current repositories of its checkout."""
    sdk = detect_sdk(scripts_dir=Path(prefix.scripts_dir) if prefix.scripts_dir else None)
    found, main = repos.find(sdk.scripts_dir)
    top = repos.PREFIX_OVERLAY_PRIORITY
    custom = [r.location for r in prefix.repositories if (r.priority or 0) > top]
    found = repos.add_overlays(found, main, custom)
    return replace(
        prefix, repositories=found, main_repo=main, scripts_dir=os.fspath(sdk.scripts_dir)
    )


def update(
    prefix: Prefix,
    *,
    first: str | None = None,
    until: str | None = None,
    say: Progress = NO_PROGRESS,
) -> Prefix:
    """Bring an existing prefix up to date: its configuration, then stage after stage.

    Return the updated prefix. Raise :class:`BuildError` if a stage fails.
    """
    bootstrapping.check_names(first, until)
    with locked_prefix(prefix), filesystem_errors(prefix.staging_dir):
        start = first or bootstrapping.STAGES[0].name
        bootstrapping.check_first(prefix, start)
        prefix = record.write(_found_again(prefix))
        configure(prefix, say=say)
        prefix = bootstrapping.bootstrap(prefix, say=say, first=start, until=until, update=True)
        return finish(prefix) if bootstrapping.is_complete(prefix) else prefix
