# SPDX-License-Identifier: BSD-3-Clause
"""Add custom overlays to an existing prefix, or remove them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.lifecycle.configure import reconfigure
from flatcar_prefix.prefix import locks, registry
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.prefix.repository import Repository
from flatcar_prefix.repositories import find as repos
from flatcar_prefix.system.messages import NO_PROGRESS, Progress
from flatcar_prefix.wrappers import files


def custom(prefix: Prefix) -> tuple[Repository, ...]:
    """Return the custom overlays, without those of the checkout, the highest last."""
    top = repos.PREFIX_OVERLAY_PRIORITY
    return tuple(r for r in prefix.repositories if (r.priority or 0) > top)


def add(prefix: Prefix, locations: Sequence[Path | str], *, say: Progress = NO_PROGRESS) -> Prefix:
    """Add overlays above the existing ones; return the changed prefix.

    Raise :class:`PrefixError` if :func:`flatcar_prefix.repositories.find.add_overlays`
    refuses one; the prefix does not change then.
    """
    paths = [Path(location).absolute() for location in locations]
    return _change(prefix, lambda p: repos.add_overlays(p.repositories, p.main_repo, paths), say)


def remove(prefix: Prefix, names: Sequence[str], *, say: Progress = NO_PROGRESS) -> Prefix:
    """Remove overlays, given by name or directory; return the changed prefix."""
    return _change(prefix, lambda now: _without(now, names), say)


def _without(prefix: Prefix, names: Sequence[str]) -> tuple[Repository, ...]:
    known = {word: r for r in custom(prefix) for word in (r.name, str(r.location))}
    gone = []
    for name in names:
        overlay = known.get(name) or known.get(str(Path(name).absolute()))
        if overlay is None:
            there = ", ".join(r.name for r in custom(prefix)) or "none"
            raise PrefixError(
                f"{prefix.id} has no custom overlay {name!r}",
                hint=f"Choose one of its custom overlays: {there}.",
            )
        gone.append(overlay)
    left = tuple(r for r in prefix.repositories if r not in gone)
    repos.check_masters(left)
    return left


def _change(
    prefix: Prefix, wanted: Callable[[Prefix], tuple[Repository, ...]], say: Progress
) -> Prefix:
    """Write the configuration for other repositories; restore the old one if that fails.

    ``wanted`` gets the prefix as it is after this process holds its lock.
    """
    with locks.locked_prefix(prefix):
        now = registry.load(os.fspath(prefix.staging_dir))
        changed = reconfigure(now, replace(now, repositories=wanted(now)), say=say)
        if changed.complete and changed.native_host:
            # Wrappers name the repositories, see prefix/environment.py.
            files.generate(changed)
        return changed
