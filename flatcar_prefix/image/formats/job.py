# SPDX-License-Identifier: BSD-3-Clause
"""The input of the image formats: selection, options and identifiers."""

from __future__ import annotations

import hashlib
import os
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from flatcar_prefix.image.selection import CAPABILITY, Entry, Selection
from flatcar_prefix.system import process

_NAMESPACE = uuid.UUID("1d7a3a5c-6f0e-4f6e-9f43-2f1a35b6a6f1")


@dataclass(frozen=True)
class Job:
    """One image to make."""

    selection: Selection
    epoch: int
    output: Path
    scratch: Path
    """A directory on the output's file system, which the caller removes."""
    link_dir: Path | None = None
    """A directory on the prefix's file system, for trees of hard links."""
    level: int | None = None
    """The compression level, for formats with compression; None for the default."""
    labels: Path | None = None
    """A file_contexts(5) file for SELinux labels, for formats that can have them."""

    @property
    def uuid(self) -> str:
        """The file system's UUID, derived from the metadata and generated content."""
        digest = hashlib.sha256()
        for e in self.selection.entries:
            digest.update(
                f"{e.path}\0{e.mode}\0{e.size}\0{e.mtime}\0{e.target}\0".encode(
                    "utf-8", "surrogateescape"
                )
            )
            digest.update(e.content + e.capability)
        if self.labels:
            digest.update(self.labels.read_bytes())
        return str(uuid.uuid5(_NAMESPACE, digest.hexdigest()))

    @cached_property
    def with_xattrs(self) -> bool:
        """Whether the image needs extended attributes: labels, or the capabilities of a file."""
        return self.labels is not None or any(entry.capability for entry in self.selection.entries)

    def as_it_is(self, entry: Entry) -> bool:
        """Return whether a tool can read the prefix's file directly, not a copy of it.

        A tool ships all extended attributes of a file or none.
        """
        return not self.with_xattrs or not foreign_xattrs(entry.source)

    def environment(self) -> dict[str, str]:
        """Return the environment for the format's tool, without the caller's settings."""
        return process.environment(
            {
                # For e2fsprogs, 0 means the current time. debugfs sets the files' times later.
                "E2FSPROGS_FAKE_TIME": str(max(self.epoch, 1)),
                "MKE2FS_CONFIG": os.devnull,
                "MKE2FS_SYNC": "0",
            }
        )


def foreign_xattrs(path: Path | None) -> list[str]:
    """Return the names of a file's extended attributes that the image must not have."""
    if path is None:
        return []
    try:
        return [name for name in os.listxattr(path, follow_symlinks=False) if name != CAPABILITY]
    except OSError:
        return []
