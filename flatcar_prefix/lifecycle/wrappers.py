# SPDX-License-Identifier: BSD-3-Clause
"""Write the wrappers of a prefix again, for this installation of the program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from flatcar_prefix.lifecycle.configure import bring_over
from flatcar_prefix.prefix import markers, record, registry
from flatcar_prefix.prefix.locks import locked_prefix, using
from flatcar_prefix.prefix.model import KINDS, Prefix
from flatcar_prefix.prefix.registry import Named
from flatcar_prefix.system.files import filesystem_errors, usual_modes
from flatcar_prefix.system.progress import NO_PROGRESS, Progress, as_progress
from flatcar_prefix.wrappers import check, files


@dataclass(frozen=True)
class Written:
    """The result of :func:`write`."""

    prefix: Prefix
    changed: tuple[Path, ...]
    """The wrappers that were written or removed."""
    taken: tuple[Path, ...]
    """Short names that files of others have."""


@usual_modes()
def write(
    prefix: Named,
    *,
    wrapper_dir: Path | str | None = None,
    say: Progress | Callable[[str], object] = NO_PROGRESS,
) -> Written:
    """Write the wrappers of a prefix, and remove those without a declaration.

    Bring the prefix over to this installation of the program if another one, or another
    staging directory, is in its configuration. ``wrapper_dir`` moves the wrappers to another
    directory and records it. Raise :class:`PrefixError` if a file is in the way.
    """
    prefix, say = registry.load(prefix), as_progress(say)
    place = Path(wrapper_dir).absolute() if wrapper_dir else None
    moves = place is not None and place != prefix.wrapper_dir
    with _lock(prefix, alone=moves or not prefix.is_current) as now:
        with filesystem_errors(now.staging_dir):
            now = bring_over(now, say=say)
        place = place or now.wrapper_dir
        with filesystem_errors(place):
            new = replace(now, wrapper_dir=place)
            changed = files.generate(new)
            if new != now:
                # A killed call leaves both; the next one continues, because the record is last.
                changed += files.remove(now)
                for kind in KINDS:
                    markers.write(new, kind)
                record.write(new)
            return Written(new, tuple(changed), tuple(check.taken(new)))


@contextmanager
def _lock(prefix: Prefix, *, alone: bool) -> Iterator[Prefix]:
    if not alone:
        with using(prefix) as now:
            yield now
        return
    with locked_prefix(prefix) as now:
        yield now
