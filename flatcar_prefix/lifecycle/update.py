# SPDX-License-Identifier: BSD-3-Clause
"""Update an existing prefix, stage by stage."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flatcar_prefix.lifecycle import stages as bootstrapping
from flatcar_prefix.lifecycle.configure import configure
from flatcar_prefix.lifecycle.create import finish
from flatcar_prefix.prefix import markers, record, registry
from flatcar_prefix.prefix.leftovers import sweep
from flatcar_prefix.prefix.locks import locked_prefix
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.prefix.registry import Named
from flatcar_prefix.repositories import find as repos
from flatcar_prefix.system.files import filesystem_errors, usual_modes
from flatcar_prefix.system.places import detect_sdk
from flatcar_prefix.system.progress import NO_PROGRESS, Progress, as_progress


def _found_again(prefix: Prefix) -> Prefix:
    """Return the prefix with the current repositories of its checkout."""
    sdk = detect_sdk(scripts_dir=Path(prefix.scripts_dir) if prefix.scripts_dir else None)
    found, main = repos.find(sdk.scripts_dir)
    custom = filter(repos.is_custom, prefix.repositories)
    found = repos.add_overlays(found, main, [overlay.location for overlay in custom])
    return replace(
        prefix, repositories=found, main_repo=main, scripts_dir=os.fspath(sdk.scripts_dir)
    )


@usual_modes()
def update(
    prefix: Named,
    *,
    first: str | None = None,
    until: str | None = None,
    say: Progress | Callable[[str], object] = NO_PROGRESS,
) -> Prefix:
    """Update an existing prefix: its configuration, then stage by stage.

    Return the updated prefix. Raise :class:`BuildError` if a stage fails.
    """
    bootstrapping.check_names(first, until)
    prefix, say = registry.load(prefix), as_progress(say)
    with locked_prefix(prefix) as now, filesystem_errors(prefix.staging_dir):
        start = first or bootstrapping.STAGES[0].name
        bootstrapping.check_first(now, start)
        sweep(now)
        prefix = record.write(markers.claim(_found_again(now)))
        registry.remember(prefix)
        configure(prefix, say=say)
        prefix = bootstrapping.bootstrap(prefix, say=say, first=start, until=until, update=True)
        return finish(prefix) if bootstrapping.is_complete(prefix) else prefix
