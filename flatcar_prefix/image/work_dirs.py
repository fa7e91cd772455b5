# SPDX-License-Identifier: BSD-3-Clause
"""Directories to work in, which are gone afterwards, whatever becomes of the process."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def workplace(parent: Path, start: str) -> Iterator[Path]:
    """Within, a directory in ``parent`` whose name begins with ``start``.

    Its lock says that somebody is at work: what a killed process left behind is removed.
    """
    sweep(parent, start)
    work = Path(tempfile.mkdtemp(prefix=start, dir=parent))
    descriptor = os.open(work, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(descriptor)


def sweep(parent: Path, start: str) -> None:
    """Remove the workplaces in which nobody is at work any more."""
    for old in parent.glob(start.replace("[", "[[]") + "*"):
        _remove_abandoned(old)


def _remove_abandoned(work: Path) -> None:
    try:
        descriptor = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(work, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)
