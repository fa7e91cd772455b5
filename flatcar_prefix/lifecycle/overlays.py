# SPDX-License-Identifier: BSD-3-Clause
"""Add custom overlays to an existing prefix, or remove them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.lifecycle.configure import reconfigure
from flatcar_prefix.prefix import leftovers, locks, markers, registry
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.prefix.registry import Named
from flatcar_prefix.prefix.repository import Repository
from flatcar_prefix.repositories import find as repos
from flatcar_prefix.system.files import usual_modes
from flatcar_prefix.system.progress import NO_PROGRESS, Progress, as_progress
from flatcar_prefix.wrappers import files


def custom(prefix: Prefix) -> tuple[Repository, ...]:
    """Return the custom overlays, without those of the checkout, the highest last."""
    return tuple(filter(repos.is_custom, prefix.repositories))


@usual_modes()
def add(
    prefix: Named,
    locations: Sequence[Path | str],
    *,
    say: Progress | Callable[[str], object] = NO_PROGRESS,
) -> Prefix:
    """Add overlays above the existing ones; return the changed prefix.

    Raise :class:`PrefixError` if :func:`flatcar_prefix.repositories.find.add_overlays`
    refuses one; the prefix does not change then.
    """
    paths = [Path(location).absolute() for location in _list(locations)]
    return _change(prefix, lambda p: repos.add_overlays(p.repositories, p.main_repo, paths), say)


@usual_modes()
def remove(
    prefix: Named,
    names: Sequence[Path | str],
    *,
    say: Progress | Callable[[str], object] = NO_PROGRESS,
) -> Prefix:
    """Remove overlays, given by name or directory; return the changed prefix."""
    words = [os.fspath(name) for name in _list(names)]
    return _change(prefix, lambda now: _without(now, words), say)


def _list(overlays: Sequence[Path | str]) -> Sequence[Path | str]:
    """Return the overlays; refuse a single one, because a string is a sequence, too."""
    if isinstance(overlays, (str, Path)):
        raise UsageError(
            f"the overlays are one path, {os.fspath(overlays)!r}, not a list",
            hint="Give a list of directories.",
        )
    return overlays


def _without(prefix: Prefix, names: Sequence[str]) -> tuple[Repository, ...]:
    known = {word: r for r in custom(prefix) for word in (r.name, str(r.location))}
    gone = []
    for name in names:
        overlay = known.get(name) or known.get(str(Path(name).absolute()))
        if overlay is None:
            there = ", ".join(r.name for r in custom(prefix))
            raise PrefixError(
                f"{prefix.id} has no custom overlay {name!r}",
                hint=f"Choose one of: {there}."
                if there
                else f"It has none; run `flatcar-prefix overlays {prefix.id}` instead to see this.",
            )
        gone.append(overlay)
    left = tuple(r for r in prefix.repositories if r not in gone)
    repos.check_masters(left)
    return left


def _change(
    prefix: Named,
    wanted: Callable[[Prefix], tuple[Repository, ...]],
    say: Progress | Callable[[str], object],
) -> Prefix:
    """Write the configuration for other repositories; restore the old one if that fails.

    ``wanted`` gets the prefix as it is after this process holds its lock.
    """
    say = as_progress(say)
    with locks.locked_prefix(registry.load(prefix)) as now:
        leftovers.sweep(now)
        changed = markers.claim(replace(now, repositories=wanted(now)))
        changed = reconfigure(now, changed, say=say)
        if changed.complete and changed.native_host:
            # Wrappers name the repositories, see prefix/environment.py.
            files.generate(changed)
        return changed
