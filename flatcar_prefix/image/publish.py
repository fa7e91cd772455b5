# SPDX-License-Identifier: BSD-3-Clause
"""Move a finished image and its accompanying files to the output directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.image import gpg, sha256sums


def write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="surrogateescape")


def publish(work: Path, target: Path, *, own: Collection[str] = (), gpg_key: str = "") -> None:
    """Sync all files of ``work``, then rename them into the directory of ``target``.

    ``own`` are names of files that describe the image: those that are not made now describe an
    older image, so remove them. Add the digests to SHA256SUMS, and sign it with ``gpg_key``.
    Raise :class:`PrefixError` if a directory has the name of one of the files.
    """
    directory = target.parent
    made = sorted(path for path in work.iterdir() if path != work / target.name)
    made.append(work / target.name)
    gone = set(own) - {path.name for path in made}
    digests = {path.name: sha256sums.sha256(path) for path in made if path.is_file()}
    with locked_directory(directory):
        made.append(work / sha256sums.NAME)
        old = known_error(directory / sha256sums.NAME)
        write_text(made[-1], sha256sums.merged(old, digests, gone=gone))
        if gpg_key:
            made.append(gpg.sign(made[-1], gpg_key))
        else:
            gone.add(gpg.NAME)
        for path in made:
            refuse_directory(directory / path.name)
            _sync(path)
        for path in made:
            path.rename(directory / path.name)
        for name in gone:
            (directory / name).unlink(missing_ok=True)
        _sync(directory)


def known_error(path: Path) -> str:
    if not path.exists():
        return ""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return file.read()


def refuse_directory(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        raise PrefixError(
            f"{path} is a directory, so no file can have this name",
            hint="Remove it, or choose another file with -o.",
        )


def _sync(path: Path) -> None:
    """Call fsync(2) on a file or directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked_directory(directory: Path) -> Iterator[None]:
    """Lock the directory for the context, so that only one call updates its SHA256SUMS."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
