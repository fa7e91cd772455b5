# SPDX-License-Identifier: BSD-3-Clause
"""Warm Portage's cache of ebuild metadata for prefixes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.lifecycle.configure import jobs as all_jobs
from flatcar_prefix.prefix import registry
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.prefix.registry import Named
from flatcar_prefix.repositories import metadata_cache
from flatcar_prefix.sandbox.confinement import confined
from flatcar_prefix.system.progress import NO_PROGRESS, Progress, as_progress


def regen(
    *prefixes: Named,
    jobs: int | None = None,
    say: Progress | Callable[[str], object] = NO_PROGRESS,
) -> metadata_cache.Outcome:
    """Source each ebuild whose metadata are not cached; return how many, and those that fail.

    The default is all prefixes of this machine. ``jobs`` is the number of parallel jobs
    (default: this machine's cores). Raise :class:`PrefixError` without a prefix.
    """
    known: Sequence[Prefix] = [registry.load(one) for one in prefixes]
    known = known or registry.list_prefixes()
    if not known:
        raise PrefixError("there is no prefix", hint="Create one: setup_prefix <name> <path>.")
    for prefix in known:
        prefix.refuse_orphaned()
    with confined(*known):
        return metadata_cache.warm_all(known, jobs=jobs or all_jobs(), say=as_progress(say))
