# SPDX-License-Identifier: BSD-3-Clause
"""Files: atomic writes, identity, and clear errors of the file system."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flatcar_prefix.errors import PrefixError, hint_for

GENERATED = "# Written by flatcar-prefix; `flatcar-prefix setup` writes it again.\n"

_TEMPORARY = re.compile(
    r"\.(?P<name>.+)\.(?P<pid>\d+)-(?P<started>\d+)-(?P<namespace>\d+)-[0-9a-f]{8}\.new"
)
_LONGEST_NAME = 150
_A_DAY = 86400


def write_atomic(path: Path, text: str, *, mode: int = 0o644, durable: bool = False) -> None:
    """Write ``text`` to ``path`` atomically; the directory must exist.

    The temporary name is unique, so several processes can write the same file. Unlike with
    ``portage.util.write_atomic``, Portage does not read a file of that name. ``durable``
    flushes the file to the disk before the rename, see fsync(2).
    """

    def create(temporary: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fchmod(descriptor, mode)
            if durable:
                os.fsync(descriptor)

    _replace(path, create)


def replace_link(path: Path, target: str | Path) -> None:
    """Make ``path`` a symbolic link to ``target``, in place of any file or link there.

    The directory must exist.
    """
    _replace(path, lambda temporary: temporary.symlink_to(target))


def _replace(path: Path, create: Callable[[Path], None]) -> None:
    """Create a temporary file beside ``path`` and rename it to ``path``."""
    temporary = temporary_beside(path)
    try:
        create(temporary)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        # Name the final file in errors; the temporary file does not exist after a failed write.
        if error.filename in (None, os.fspath(temporary)):
            error.filename = os.fspath(path)
        raise
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def temporary_beside(path: Path) -> Path:
    """Return a unique path beside ``path`` whose name contains the owning process."""
    pid = os.getpid()
    owner = f"{pid}-{_started(pid)}-{_pid_namespace()}-{os.urandom(4).hex()}"
    return path.with_name(f".{path.name[:_LONGEST_NAME]}.{owner}.new")


def _started(pid: int) -> int:
    """Return the start time of a process in clock ticks, see proc(5); 0 if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(text.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def _pid_namespace() -> int:
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0


def is_temporary(name: str) -> bool:
    """Return whether :func:`write_atomic` or :func:`replace_link` makes such names."""
    return _TEMPORARY.fullmatch(name) is not None


def sweep_temporaries(directory: Path, *, ending: str = "") -> None:
    """Remove the temporary files in ``directory`` whose process is dead.

    ``ending`` is the end of the files' final names. A file of a process in another PID
    namespace, such as another container, is removed after a day.
    """
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        found = _TEMPORARY.fullmatch(name)
        if found and found["name"].endswith(ending) and is_abandoned(directory / name):
            with suppress(OSError):
                (directory / name).unlink()


def is_abandoned(path: Path) -> bool:
    """Return whether a path is from :func:`temporary_beside` and its process is dead."""
    found = _TEMPORARY.fullmatch(path.name)
    if found is None:
        return False
    if int(found["namespace"]) == _pid_namespace():
        return _started(int(found["pid"])) != int(found["started"])
    try:
        return time.time() - path.lstat().st_mtime > _A_DAY
    except OSError:
        return False


USUAL_UMASK = 0o022


@contextmanager
def usual_modes() -> Iterator[None]:
    """Within, files and directories get the modes that this program requests.

    A prefix that is made with umask 077 is closed to other users, and one that is made with
    umask 000 is open to all. The umask belongs to the process, and its children get it, too.
    """
    before = os.umask(USUAL_UMASK)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def filesystem_errors(place: Path) -> Iterator[None]:
    """Turn errors of the file system into :class:`PrefixError`."""
    from portage.exception import PortageException

    try:
        yield
    except (OSError, PortageException) as error:
        number = getattr(error, "errno", None)
        if "No space" in str(error):  # Portage's exceptions may carry no number.
            number = errno.ENOSPC
        where = getattr(error, "filename", None) or place
        hint = hint_for(number, os.fspath(where))
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise PrefixError(f"cannot write {where}: {reason}", hint=hint) from error


def is_same(one: Path, other: Path) -> bool:
    """Return whether both paths exist and are the same directory."""
    try:
        return one.samefile(other)
    except (OSError, ValueError):
        return False


def only_root_writes(path: Path) -> bool:
    """Return whether only root can change what ``path`` leads to: the file and its parents.

    Others may write to a parent with the sticky bit, such as /tmp.
    """
    real = Path(os.path.realpath(path))
    return all(_is_roots(place) for place in (real, *real.parents))


def _is_roots(place: Path) -> bool:
    try:
        state = place.stat()
    except OSError:
        return False
    writable = state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    sticky = stat.S_ISDIR(state.st_mode) and state.st_mode & stat.S_ISVTX
    return state.st_uid == 0 and (not writable or bool(sticky))
