# SPDX-License-Identifier: BSD-3-Clause
"""Portage's cache of ebuild metadata, warmed once for all prefixes, in parallel.

Without it every ebuild that a resolution looks at is sourced by a shell of its own.
The cache is the build host's (``PORTAGE_DEPCACHEDIR``), so what one prefix has made
serves all that use the same repositories.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from flatcar_prefix import portage_api
from flatcar_prefix.messages import Quiet
from flatcar_prefix.prefix import Prefix

SAMPLE = 40
"""How many packages are looked at to see whether the cache is cold."""


@dataclass(frozen=True)
class Outcome:
    """What a warming did."""

    ebuilds: int
    failed: tuple[str, ...]
    """Ebuilds that could not be sourced."""


def is_cold(prefix: Prefix) -> bool:
    """Return whether a resolution would have to source most of what it looks at."""
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
    metadata, _ebuild_hash = portdb._pull_valid_cache(cpv, path, location)
    return metadata is not None


def warm(prefix: Prefix, *, jobs: int, say: Quiet) -> Outcome:
    """Source every ebuild whose metadata are not cached, ``jobs`` at once.

    What ``emerge --regen`` does (``_emerge.MetadataRegen``), for all repositories of the
    prefix, with progress told to ``say``.
    """
    from _emerge.MetadataRegen import MetadataRegen

    portdb = prefix.staging.portdb
    total = sum(len(portdb.cp_list(cp)) for cp in portdb.cp_all())
    progress = _Progress(total, say)
    with portage_api.build_host(prefix.staging.environment().get("PORTAGE_OVERRIDE_EPREFIX")):
        regen = MetadataRegen(portdb, consumer=progress, max_jobs=jobs)
        with portage_api.silent():
            regen.start()
            regen.wait()
    portdb.close_caches()
    return Outcome(total, tuple(sorted(progress.failed)))


class _Progress:
    """Is told of each ebuild, as ``MetadataRegen`` tells its consumer."""

    def __init__(self, total: int, say: Quiet) -> None:
        self._total, self._say = total, say
        self._number = 0
        self.failed: set[str] = set()

    def __call__(self, cpv: str, _repository: str, metadata: object, *_details: object) -> None:
        self._number += 1
        if metadata is None:
            self.failed.add(str(cpv))
        if self._number % 20 == 0 or self._number == self._total:
            self._say.alive(f"metadata: {self._number} of {self._total}, {cpv}")
