# SPDX-License-Identifier: BSD-3-Clause
"""Temporary directories that are removed even if the process is killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_START = "flatcar-prefix.work-"


@contextmanager
def temporary() -> Iterator[Path]:
    """Within, a :func:`workplace` in the system's directory for temporary files."""
    with workplace(Path(tempfile.gettempdir()), _START) as work:
        yield work


@contextmanager
def workplace(parent: Path, start: str) -> Iterator[Path]:
    """Within, a directory in ``parent`` whose name begins with ``start``.

    A process holds a lock on its directory while it runs. Directories without a lock belong to
    killed processes and are removed.
    """
    sweep(parent, start)
    work, descriptor = _locked(parent, start)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(descriptor)


def _locked(parent: Path, start: str) -> tuple[Path, int]:
    """Make a directory and lock it; another process may sweep it before it is locked."""
    while True:
        work = Path(tempfile.mkdtemp(prefix=start, dir=parent))
        try:
            descriptor = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.lstat(work)):
                return work, descriptor
        os.close(descriptor)


def sweep(parent: Path, start: str) -> None:
    """Remove the temporary directories of this user that no process has locked."""
    for old in parent.glob(start.replace("[", "[[]") + "*"):
        _remove_abandoned(old)


def _remove_abandoned(work: Path) -> None:
    try:
        descriptor = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(work, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)
