# SPDX-License-Identifier: BSD-3-Clause
"""The arguments of emerge that are paths: ebuilds, binary packages and installed files.

Portage takes an installed file only by its path below the EROOT of the root at hand. A user
knows it by its path on the target, or on this machine below either root.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from flatcar_prefix.portage_api import packages
from flatcar_prefix.prefix.model import Prefix, Root

BINARY_PACKAGES = (".tbz2", ".xpak", ".gpkg.tar")


def is_ebuild(word: str) -> bool:
    return word.endswith(".ebuild")


def resolved(words: Sequence[str], root: Root) -> list[str]:
    """Return emerge's arguments for ``root``: absolute paths, installed files below its EROOT."""
    return [_resolved(word, root) for word in words]


def _resolved(word: str, root: Root) -> str:
    if is_ebuild(word) or word.endswith(BINARY_PACKAGES):
        # Portage looks for a binary package in PKGDIR if there is none of the name here.
        return os.path.abspath(word) if Path(word).exists() else word
    if not word.startswith(("/", "./", "../")):
        return word
    return os.fspath(root.below(target)) if (target := _target(word, root.prefix)) else word


def _target(word: str, prefix: Prefix) -> str | None:
    """Return the path on the target of a file of the prefix; None for another file."""
    path = os.path.abspath(word)
    for root in (prefix.staging, prefix.final):
        for directory in (os.fspath(root.eroot), os.path.realpath(root.eroot)):
            if Path(path).is_relative_to(directory):
                return f"{prefix.eprefix}{path[len(directory) :]}"
    return path if Path(path).is_relative_to(prefix.eprefix) else None


def for_final(words: Sequence[str], staging: Root, vardb: Any) -> list[str]:
    """Return the arguments of ``staging`` as arguments for final, which has no ebuilds.

    An ebuild becomes the atom of its version, an installed file the slots of its owners in
    staging. Both roots then get the same packages.
    """
    found: list[str] = []
    for word in words:
        if is_ebuild(word):
            found.append(_version(word))
        elif word.startswith(f"{staging.eroot}/"):
            found += _owners(word[len(os.fspath(staging.path)) :], vardb) or [word]
        else:
            found.append(word)
    return found


def _version(ebuild: str) -> str:
    path = PurePosixPath(ebuild)
    category = path.parent.parent.name
    return f"={category}/{path.stem}" if category else ebuild


def _owners(path: str, vardb: Any) -> list[str]:
    slots = []
    for link, _ in packages.owners_database(vardb).iter_owners([path]):
        (slot,) = vardb.aux_get(link.mycpv, ["SLOT"])
        slots.append(f"{link.mycpv.cp}:{slot.partition('/')[0]}")
    return list(dict.fromkeys(slots))
