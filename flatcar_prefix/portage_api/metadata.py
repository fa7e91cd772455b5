# SPDX-License-Identifier: BSD-3-Clause
"""Ebuild metadata: whether they are cached, and generating them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flatcar_prefix.portage_api.session import import_portage


@contextmanager
def silent() -> Iterator[None]:
    """Within, Portage says errors only."""
    util = import_portage().util
    before = util.noiselimit
    util.noiselimit = -1
    try:
        yield
    finally:
        util.noiselimit = before


def is_cached(portdb: Any, cpv: str, ebuild: str, location: str) -> bool:
    """Return whether the metadata of an ebuild are known without sourcing it.

    ``portdbapi`` has no public way to ask; by this one it asks itself, in every version
    from :data:`OLDEST` to :data:`NEWEST_KNOWN`. Of one that has no such method, everything
    is taken to be cached: it is sourced when it is needed.
    """
    pull = getattr(portdb, "_pull_valid_cache", None)
    return pull is None or pull(cpv, ebuild, location)[0] is not None


def regenerate(portdb: Any, told: Callable[[str, bool], None], *, jobs: int) -> None:
    """Source each ebuild that is not cached, ``jobs`` at once, as ``emerge --regen`` does.

    ``told`` is called with each one and whether its metadata are known then. What versions
    of Portage tell their consumer besides, and how often they try again, is left here.
    """
    from _emerge.MetadataRegen import MetadataRegen

    def consumer(cpv: str, _repository: str, metadata: object, *_details: object) -> None:
        told(str(cpv), metadata is not None)

    regen = MetadataRegen(portdb, consumer=consumer, max_jobs=jobs)
    with silent():
        regen.start()
        regen.wait()
