# SPDX-License-Identifier: BSD-3-Clause
"""What stands around the steps that change a prefix: one at a time, and clear errors."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flatcar_prefix import portage_api, sdk as sdks
from flatcar_prefix.boards import Board
from flatcar_prefix.errors import PrefixError


@contextmanager
def filesystem_errors(place: Path) -> Iterator[None]:
    """Within, what the file system refuses becomes a :class:`PrefixError`."""
    from portage.exception import PortageException

    try:
        yield
    except (OSError, PortageException) as error:
        number = getattr(error, "errno", None)
        if number == errno.ENOSPC or "No space" in str(error):
            hint = f"Make room on the file system of {place}, and run the same command again."
        elif number in (errno.EACCES, errno.EPERM, errno.EROFS):
            hint = "Run it as root, or name directories that you can write to."
        else:
            hint = "Run the same command again when that is put right."
        where = getattr(error, "filename", None) or place
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise PrefixError(f"cannot write {where}: {reason}", hint=hint) from error


@contextmanager
def locked(sdk: sdks.Sdk, name: str, board: Board) -> Iterator[None]:
    """Within, no other process sets up, changes or removes this prefix.

    Portage's locks; :class:`PrefixError` at once when somebody else is at it.
    """
    portage_api.import_portage()
    from portage.exception import TryAgain
    from portage.locks import lockfile, unlockfile

    directory = sdk.state_dir / "locks"
    with filesystem_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
        try:
            lock = lockfile(
                os.fspath(directory / f"{name}-{board.name}"),
                wantnewlockfile=1,
                flags=os.O_NONBLOCK,
            )
        except TryAgain:
            raise PrefixError(
                f"another program is at work on {name}-{board.name}",
                hint="Wait for it to end, or end it; then run the same command again.",
            ) from None
    try:
        yield
    finally:
        unlockfile(lock)
