# SPDX-License-Identifier: BSD-3-Clause
"""Portage's cache of ebuild metadata, warmed once for all prefixes, in parallel.

Without the cache, Portage sources each ebuild of a resolution in a separate shell.
The cache belongs to the build host (``PORTAGE_DEPCACHEDIR``), so all prefixes with the
same repositories share it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flatcar_prefix.portage_api import metadata, session as portage_api
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system.files import usual_modes
from flatcar_prefix.system.progress import Progress

SAMPLE = 40
"""The number of packages in the sample for a cold cache."""


@dataclass(frozen=True)
class Outcome:
    """The result of warming the cache."""

    ebuilds: int
    failed: tuple[str, ...]
    """Ebuilds that could not be sourced."""


def is_cold(prefix: Prefix) -> bool:
    """Return whether a resolution would have to source most ebuilds."""
    portdb = prefix.staging.portdb
    sample = [cpv for cp in _spread(portdb.cp_all(), SAMPLE) for cpv in portdb.cp_list(cp)[:1]]
    missing = sum(not _cached(portdb, cpv) for cpv in sample)
    return bool(sample) and missing * 2 > len(sample)


def _spread(names: list[str], count: int) -> list[str]:
    step = max(1, len(names) // count)
    return list(itertools.islice(names, 0, None, step))


def _cached(portdb: Any, cpv: str) -> bool:
    path, location = portdb.findname2(cpv, myrepo=getattr(cpv, "repo", None))
    if path is None:
        return True
    return metadata.is_cached(portdb, cpv, path, location)


@usual_modes()
def warm(prefix: Prefix, *, jobs: int, say: Progress) -> Outcome:
    """Source every ebuild whose metadata are not cached, ``jobs`` at once.

    Do the work of ``emerge --regen`` for all repositories of the prefix, and report the
    progress to ``say``.
    """
    return warm_all([prefix], jobs=jobs, say=say)


@usual_modes()
def warm_all(prefixes: Iterable[Prefix], *, jobs: int, say: Progress) -> Outcome:
    """Do :func:`warm` once for each repository of the prefixes."""
    done: set[tuple[Path, str]] = set()
    outcomes = []
    for prefix in prefixes:
        there = {(prefix.depcachedir, location) for location in prefix.staging.portdb.porttrees}
        if left := there - done:
            outcomes.append(_warm(prefix, {location for _, location in left}, jobs, say))
        done |= there
    failed = {cpv for outcome in outcomes for cpv in outcome.failed}
    return Outcome(sum(o.ebuilds for o in outcomes), tuple(sorted(failed)))


def _warm(prefix: Prefix, locations: set[str], jobs: int, say: Progress) -> Outcome:
    portdb = prefix.staging.portdb
    everything = portdb.porttrees
    # egencache selects its repositories in the same way.
    portdb.porttrees = [location for location in everything if location in locations]
    try:
        return _regenerate(prefix, portdb, jobs, say)
    finally:
        portdb.porttrees = everything
        portdb.close_caches()


def _regenerate(prefix: Prefix, portdb: Any, jobs: int, say: Progress) -> Outcome:
    total = sum(len(portdb.cp_list(cp)) for cp in portdb.cp_all())
    progress = _Progress(total, say)
    with portage_api.build_host(prefix.staging.environment().get("PORTAGE_OVERRIDE_EPREFIX")):
        metadata.regenerate(portdb, progress, jobs=jobs)
    return Outcome(total, tuple(sorted(progress.failed)))


class _Progress:
    """Report each ebuild, and collect the ebuilds without metadata."""

    def __init__(self, total: int, say: Progress) -> None:
        self._total, self._say = total, say
        self._number = 0
        self.failed: set[str] = set()

    def __call__(self, cpv: str, known: bool) -> None:
        self._number += 1
        if not known:
            self.failed.add(cpv)
        if self._number % 20 == 0 or self._number == self._total:
            self._say.alive(f"metadata: {self._number} of {self._total}, {cpv}")
