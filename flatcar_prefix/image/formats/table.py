# SPDX-License-Identifier: BSD-3-Clause
"""The table of formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from flatcar_prefix.image.formats.btrfs import make_btrfs
from flatcar_prefix.image.formats.directory import make_directory
from flatcar_prefix.image.formats.erofs import make_erofs
from flatcar_prefix.image.formats.ext4 import make_ext4
from flatcar_prefix.image.formats.job import Job
from flatcar_prefix.image.formats.squashfs import make_squashfs
from flatcar_prefix.image.formats.tar import make_tar


@dataclass(frozen=True)
class Format:
    """An image format."""

    name: str
    suffix: str
    make: Callable[[Job], None]
    kernel: str
    """The oldest kernel that mounts the image; empty for formats that are not mounted."""
    levels: range = range(0)
    """The compression levels; empty for formats without them."""


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        each.name: each
        for each in (
            Format("squashfs", ".raw", make_squashfs, "4.14", range(1, 23)),
            Format("erofs", ".raw", make_erofs, "5.17", range(1, 13)),
            Format("ext4", ".raw", make_ext4, "3.18"),
            Format("btrfs", ".raw", make_btrfs, "5.4"),
            Format("tar", ".tar", make_tar, ""),
            Format("directory", "", make_directory, ""),
        )
    }
)
