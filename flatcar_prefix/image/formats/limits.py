# SPDX-License-Identifier: BSD-3-Clause
"""Refuse files that a format cannot hold, and name them, because the tool does not."""

from __future__ import annotations

import os
from collections.abc import Iterator

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.image.selection import Entry, Selection

LAST_TIME = (1 << 32) - 1
"""2106-02-07: the last time in seconds that squashfs can hold."""

LONGEST_NAME = {"erofs": 254}
"""Bytes of a name; mkfs.erofs fails for 255, which Linux and the other formats allow."""

LONGEST_LINK = {"btrfs": 3948}
"""Bytes of a symlink's target; mkfs.btrfs aborts if it does not fit into a leaf of 4 KiB."""

_TIMELESS = ("tar", "directory")
_SHOWN = 5


def check(form: str, selection: Selection, epoch: int) -> None:
    """Raise :class:`PrefixError` if an image of this format cannot hold the selection.

    ``epoch`` is the time of the image in seconds.
    """
    faults = [fault for entry in selection.entries for fault in _faults(form, entry)]
    if faults:
        more = f", and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise PrefixError(
            f"a {form} image cannot hold {'; '.join(faults[:_SHOWN])}{more}",
            hint="Choose another --format, leave the file out with --exclude, or, for a time, set"
            " SOURCE_DATE_EPOCH.",
        )
    if form not in _TIMELESS and epoch > LAST_TIME:
        raise PrefixError(
            f"a {form} image cannot hold the time {epoch}, which is after 2106-02-07",
            hint="Set SOURCE_DATE_EPOCH to an earlier time.",
        )


def _faults(form: str, entry: Entry) -> Iterator[str]:
    name = os.fsencode(os.path.basename(entry.path))
    if len(name) > LONGEST_NAME.get(form, 255):
        yield f"the name of /{entry.path} ({len(name)} bytes)"
    target = os.fsencode(entry.target)
    if len(target) > LONGEST_LINK.get(form, 4095):
        yield f"the target of the symlink /{entry.path} ({len(target)} bytes)"
    if form not in _TIMELESS and entry.source and entry.mtime > LAST_TIME:
        yield f"the time of /{entry.path}, which is after 2106-02-07"
