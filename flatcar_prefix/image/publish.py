# SPDX-License-Identifier: BSD-3-Clause
"""Put a finished image in its place, atomically."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.image import sha256sums


def write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="surrogateescape")


def publish(work: Path, target: Path) -> None:
    """Put all files of the workplace in their places: written first, then only renamed."""
    directory = target.parent
    made = sorted(path for path in work.iterdir() if path != work / target.name)
    made.append(work / target.name)
    digests = {path.name: sha256sums.sha256(path) for path in made if path.is_file()}
    with locked_directory(directory):
        made.append(work / sha256sums.NAME)
        write_text(made[-1], sha256sums.merged(known_error(directory / sha256sums.NAME), digests))
        for path in made:
            refuse_directory(directory / path.name)
            _sync(path)
        for path in made:
            path.rename(directory / path.name)
        _sync(directory)


def known_error(path: Path) -> str:
    if not path.exists():
        return ""
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return file.read()


def refuse_directory(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        raise PrefixError(
            f"{path} is a directory, and is to be a file", hint="Remove it, or give another -o."
        )


def _sync(path: Path) -> None:
    """Have a file, or the names in a directory, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked_directory(directory: Path) -> Iterator[None]:
    """Within, no other call writes to the directory's SHA256SUMS."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
