# SPDX-License-Identifier: BSD-3-Clause
"""Locks around the steps that use or change a prefix.

There are two kinds. :func:`locked` locks a name and directories, which need not exist, for a
verb that creates, changes or removes a prefix. :func:`using` locks an existing prefix by its
staging directory, see flock(2): emerge shares the lock with others, and verbs that change or
remove the prefix hold it exclusively. The kernel releases it when the process ends.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from flatcar_prefix import environ
from flatcar_prefix.boards import Board
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.prefix import record
from flatcar_prefix.prefix.model import RECORD_NAME, Prefix, Root
from flatcar_prefix.system import messages
from flatcar_prefix.system.files import filesystem_errors
from flatcar_prefix.system.places import Sdk, detect_sdk

INHERITED = "FLATCAR_PREFIX_LOCK"
"""The variable that names the descriptor of a lock to a child process."""

PATIENCE = 10.0
"""Seconds to wait for short work of another process."""

_NOTICE = 1.0

_NO_LOCKS = (errno.ENOLCK, errno.EBADF, errno.EOPNOTSUPP, errno.ENOSYS)
"""Errors of a file system without locks, such as an old NFS."""

_Inode = tuple[int, int]

_held: dict[_Inode, int] = {}
"""The descriptors of the directories that this process has locked."""


@contextmanager
def locked(sdk: Sdk, name: str, board: Board, *directories: Path) -> Iterator[None]:
    """Keep other processes from setting up, changing or removing this prefix.

    The locks also cover its ``directories``, because a prefix with another name may use
    them too. Raise :class:`PrefixError` at once if another process holds one.
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
    """Lock a file that exists only while it is locked, see flock(2).

    Portage's own lock files first try out the kernel's locks in a temporary file, which a
    killed process leaves.
    """
    with filesystem_errors(path):
        descriptor = _locked_file(path)
    if descriptor is None:
        raise _busy(what, "is locked by another program")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _locked_file(path: Path) -> int | None:
    """Return the descriptor of a locked file, or ``None`` if another process has locked it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        if _try(descriptor, fcntl.LOCK_EX) is False:
            os.close(descriptor)
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)  # The process that had locked it has removed it.


def _busy(what: str, how: str) -> PrefixError:
    return PrefixError(
        f"{what} {how}",
        hint="Wait for that program to end or stop it, then run the same command again.",
    )


@contextmanager
def locked_prefix(prefix: Prefix) -> Iterator[Prefix]:
    """Lock an existing prefix with :func:`locked` and :func:`using`; yield its current data."""
    places = (prefix.staging_dir, prefix.final_dir)
    with (
        locked(detect_sdk(), prefix.name, prefix.board, *places),
        using(prefix, alone=True) as now,
    ):
        yield now


@contextmanager
def using(
    prefix: Prefix,
    *,
    alone: bool = False,
    sweep: Callable[[], None] | None = None,
    leave: Callable[[], None] | None = None,
) -> Iterator[Prefix]:
    """Keep the prefix from being removed or changed in the meantime; yield its current data.

    ``alone`` excludes every other process that uses it. ``sweep`` is called first if no other
    process uses the prefix at the moment, and ``leave`` last. Wait a short time for a process that
    holds the lock; then raise :class:`PrefixError`. Raise it also for a prefix whose removal has
    begun.
    """
    with flocked(
        prefix.staging_dir, prefix.id, alone=alone, patience=PATIENCE, sweep=sweep, leave=leave
    ):
        yield _usable(prefix)


def _usable(prefix: Prefix) -> Prefix:
    try:
        now = record.read(prefix.staging_dir)
    except OSError as error:
        raise PrefixError(
            f"the prefix in {prefix.staging_dir} no longer exists: {error.strerror}",
            hint="Run `flatcar-prefix list` to see the prefixes of this machine.",
        ) from error
    if now.removing:
        raise PrefixError(
            f"the removal of the prefix {now.id} was interrupted",
            hint=f"Complete it: flatcar-prefix uninstall {now.id}",
        )
    return now


@contextmanager
def at_rest(root: Root) -> Iterator[None]:
    """Keep a root from changing: wait for emerge to end its work in final.

    Readers of staging do not wait for builds.
    """
    with ExitStack() as stack:
        if (root.prefix.staging_dir / RECORD_NAME).exists():
            stack.enter_context(using(root.prefix))
        if root.kind == "final":
            what = f"{root.prefix.id}'s final root"
            stack.enter_context(flocked(root.directory, what, alone=True))
        yield


@contextmanager
def installing(root: Root) -> Iterator[None]:
    """Exclude :func:`at_rest` and wait for it; other installing processes are not excluded."""
    with flocked(root.directory, f"{root.prefix.id}'s {root.kind} root", alone=False):
        yield


@contextmanager
def flocked(
    directory: Path,
    what: str,
    *,
    alone: bool,
    patience: float | None = None,
    sweep: Callable[[], None] | None = None,
    leave: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Lock a directory, see flock(2): shared, or ``alone``.

    Call ``sweep`` first and ``leave`` last, each only if no other process has locked it then.
    Wait ``patience`` seconds, by default without limit. A lock that this process or its parent
    holds already covers this call. Do nothing without read permission or without locks.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield  # The caller reports a missing directory.
        return
    inode = _inode(descriptor)
    if inode in _held or _is_inherited(inode):
        os.close(descriptor)
        yield
        return
    try:
        if sweep is not None and not alone and _try(descriptor, fcntl.LOCK_EX):
            sweep()
        _acquire(descriptor, what, fcntl.LOCK_EX if alone else fcntl.LOCK_SH, patience)
        if sweep is not None and alone:
            sweep()
        _held[inode] = descriptor
        yield
    finally:
        locked_here = _held.pop(inode, None) is not None
        try:
            if leave is not None and locked_here and _try(descriptor, fcntl.LOCK_EX):
                leave()
        finally:
            os.close(descriptor)


def _acquire(descriptor: int, what: str, mode: int, patience: float | None) -> None:
    begun, noticed = time.monotonic(), False
    while _try(descriptor, mode) is False:
        waited = time.monotonic() - begun
        if patience is not None and waited >= patience:
            raise _busy(what, "is in use by another program")
        if waited >= _NOTICE and not noticed:
            messages.warning(f"waiting for another program that uses {what}")
            noticed = True
        time.sleep(0.05)


def _try(descriptor: int, mode: int) -> bool | None:
    """Lock a file or directory if no other process has locked it; return whether it is locked.

    Return ``None`` if its file system has no locks.
    """
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return False
    return True


def _inode(descriptor: int) -> _Inode:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


_inherited: set[_Inode] = set()


def _is_inherited(inode: _Inode) -> bool:
    """Return whether the parent process has passed on its lock of a directory."""
    number = environ.take(INHERITED)
    if number.isdigit():
        try:
            os.set_inheritable(int(number), False)
            _inherited.add(_inode(int(number)))
        except OSError:
            return False
    return inode in _inherited


def passed_on(prefix: Prefix) -> tuple[dict[str, str], tuple[int, ...]]:
    """Return the variables and descriptors that let a child share this process's lock."""
    try:
        status = prefix.staging_dir.stat()
    except OSError:
        return {}, ()
    descriptor = _held.get((status.st_dev, status.st_ino))
    return ({}, ()) if descriptor is None else ({INHERITED: str(descriptor)}, (descriptor,))
