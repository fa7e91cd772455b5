# SPDX-License-Identifier: BSD-3-Clause
"""What both formats of a bill of materials share."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from flatcar_prefix.image.components import Component
from flatcar_prefix.image.selection import Entry

_NAMESPACE = uuid.UUID("0a5a8d4e-4f0b-4a43-8f3c-5ad7c6c1c4b2")


@dataclass(frozen=True)
class Bill:
    """The content of a bill of materials."""

    image: Mapping[str, Any]
    """The manifest's entry about the image."""
    components: Sequence[Component]
    unowned: Sequence[Entry] = ()
    """The regular files of the image that no component has."""
    epoch: int = 0
    """The creation time in seconds since 1970."""
    repositories: Sequence[Path] = ()
    """Directories of ebuild repositories, which have texts of licences."""

    @property
    def identity(self) -> uuid.UUID:
        """The same for the same image."""
        image = self.image
        return uuid.uuid5(_NAMESPACE, f"{image['file']} {image.get('sha256', image['content'])}")

    @property
    def created(self) -> str:
        return datetime.fromtimestamp(self.epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def digests(entry: Entry, names: Iterable[str]) -> dict[str, str]:
    """Return the hexadecimal digests of a file; ``names`` are names of :mod:`hashlib`."""
    content = entry.read()
    return {name: hashlib.new(name, content).hexdigest() for name in names}


def printed(path: str) -> str:
    """Return a path as UTF-8 that all readers accept, with escapes for other bytes."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
