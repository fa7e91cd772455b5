# SPDX-License-Identifier: BSD-3-Clause
"""Files: atomic writes, identity, and clear errors of the file system."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flatcar_prefix.errors import PrefixError, hint_for

GENERATED = "# Written by flatcar-prefix; `flatcar-prefix setup` writes it again.\n"


def write_atomic(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write ``text`` to ``path`` atomically.

    The directory must exist. If this process is killed, it leaves a temporary file. Unlike
    with ``portage.util.write_atomic``, Portage does not read a file of that name, and the
    next call uses the name again. Two processes must not write the same file at once.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.chmod(mode)
    temporary.replace(path)


def replace_link(path: Path, target: str | Path) -> None:
    """Make ``path`` a symbolic link to ``target``, in place of any file or link there.

    The directory must exist.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(path)


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
        hint = hint_for(number, f"on the file system of {place}")
        where = getattr(error, "filename", None) or place
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise PrefixError(f"cannot write {where}: {reason}", hint=hint) from error


def is_same(one: Path, other: Path) -> bool:
    """Return whether both paths exist and are the same directory."""
    try:
        return one.samefile(other)
    except OSError:
        return False
