# SPDX-License-Identifier: BSD-3-Clause
"""Generate the metadata of ebuilds, and check whether they are cached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flatcar_prefix.portage_api.session import import_portage


@contextmanager
def silent() -> Iterator[None]:
    """Within, Portage prints errors only."""
    util = import_portage().util
    before = util.noiselimit
    util.noiselimit = -1
    try:
        yield
    finally:
        util.noiselimit = before


def is_cached(portdb: Any, cpv: str, ebuild: str, location: str) -> bool:
    """Return whether the metadata of an ebuild are cached, so that Portage need not source it.

    ``portdbapi`` has no public method for this; it calls this private one itself in Portage
    3.0.63 to 3.0.83. If a version lacks the method, return True: Portage then sources the
    ebuild when it needs the metadata.
    """
    pull = getattr(portdb, "_pull_valid_cache", None)
    return pull is None or pull(cpv, ebuild, location)[0] is not None


def regenerate(portdb: Any, told: Callable[[str, bool], None], *, jobs: int) -> None:
    """Source each ebuild that is not cached, ``jobs`` at once, as ``emerge --regen`` does.

    It calls ``told`` with each ebuild and whether its metadata are valid. The consumer's
    other arguments differ between versions of Portage, and are ignored here.
    """
    from _emerge.MetadataRegen import MetadataRegen

    def consumer(cpv: str, _repository: str, metadata: object, *_details: object) -> None:
        told(str(cpv), metadata is not None)

    regen = MetadataRegen(portdb, consumer=consumer, max_jobs=jobs)
    with silent():
        regen.start()
        regen.wait()
