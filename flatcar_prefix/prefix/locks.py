# SPDX-License-Identifier: BSD-3-Clause
"""Locks around the steps that change a prefix."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from flatcar_prefix.boards import Board
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.portage_api import session as portage_api
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system.files import filesystem_errors
from flatcar_prefix.system.places import Sdk, detect_sdk


@contextmanager
def locked(sdk: Sdk, name: str, board: Board, *directories: Path) -> Iterator[None]:
    """Keep other processes from setting up, changing or removing this prefix.

    The locks also cover its ``directories``, because a prefix with another name may use
    them too. They are Portage's locks. Raise :class:`PrefixError` at once if another
    process holds one.
    """
    places = {_lock_name(directory): os.fspath(directory) for directory in directories}
    held = sdk.state_dir / "locks"
    with filesystem_errors(held):
        held.mkdir(parents=True, exist_ok=True)
    with ExitStack() as locks:
        for lock, what in {f"{name}-{board.name}": f"{name}-{board.name}", **places}.items():
            locks.enter_context(_lock(held / lock, what))
        yield


def _lock_name(directory: Path) -> str:
    """Return the lock name of a directory, the same for every path to it."""
    return "dir-" + hashlib.sha256(os.fsencode(os.path.realpath(directory))).hexdigest()[:32]


@contextmanager
def _lock(path: Path, what: str) -> Iterator[None]:
    portage_api.import_portage()
    from portage.exception import TryAgain
    from portage.locks import lockfile, unlockfile

    with filesystem_errors(path):
        try:
            lock = lockfile(os.fspath(path), wantnewlockfile=1, flags=os.O_NONBLOCK)
        except TryAgain:
            raise PrefixError(
                f"{what} is locked by another program",
                hint="Wait for that program to end or stop it, then run the same command again.",
            ) from None
    try:
        yield
    finally:
        unlockfile(lock)


def locked_prefix(prefix: Prefix) -> AbstractContextManager[None]:
    """Return :func:`locked` for an existing prefix."""
    return locked(detect_sdk(), prefix.name, prefix.board, prefix.staging_dir, prefix.final_dir)
