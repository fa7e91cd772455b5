# SPDX-License-Identifier: BSD-3-Clause
"""Portage configuration that a checkout's overlays apply to every prefix.

The shell version copies the prefix overlay's ``skel/etc/portage`` into each root.
``setup_board`` links the other overlays' ``coreos/config/portage`` into a board. This module
takes masks, keywords and similar files from both, and from Flatcar's profiles; other modules
write repos.conf and the profile. It also links the patches that the SDK and its boards apply.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.prefix.repository import Repository
from flatcar_prefix.repositories import flatcar_profiles
from flatcar_prefix.repositories.checkout_files import (
    current_names,
    files_of,
    overlay_of,
    text_of,
)
from flatcar_prefix.repositories.flatcar_profiles import OF_BASE_PROFILE, masks_without
from flatcar_prefix.system.own_files import FROM, FROM_CHECKOUT, OwnFiles

SOURCES = (
    ("gentoo-subset", "coreos/config/portage", "01-gentoo-"),
    ("flatcar-overlay", "coreos/config/portage", "02-flatcar-"),
    ("prefix-overlay", "skel/etc/portage", "03-skel-"),
)
"""The repository, the directory and the file name prefix of each configuration. The SDK and
its boards use the first two, for settings that a profile cannot hold. The names sort before
those of the user's files. Version 0.1.0 wrote them without the number."""

PATCHES = "coreos/user-patches"
"""The directory of patches in the overlay of Flatcar's packages, see portage(5)."""

HOOKS = "coreos/config/env"
"""The directory of files, ``category/name``, that the base profile's bashrc sources."""

ENVIRONMENTS = "env"
"""The files that package.env names; they keep their names."""

TAKEN = (
    "package.accept_keywords",
    "package.env",
    "package.license",
    "package.mask",
    "package.unmask",
    "package.use",
    *(f"profile/{name}" for name in OF_BASE_PROFILE),
    "profile/use.force",
)


def files(prefix: Prefix) -> dict[str, str]:
    """Return the files to write below a root's ``etc/portage``, by path; often none."""
    names = current_names(prefix.repositories)
    found = {
        name: text_of(path, names)
        for role, place, prefixed in SOURCES
        if (overlay := overlay_of(prefix.repositories, role)) is not None
        for name, path in _named(overlay.location / place, prefixed)
    }
    return found | flatcar_profiles.files(prefix.repositories)


def _named(place: Path, prefixed: str) -> Iterator[tuple[str, Path]]:
    for kind in TAKEN:
        for path in files_of(place / kind):
            yield f"{kind}/{prefixed}{path.name}", path
    for path in sorted((place / ENVIRONMENTS).rglob("*")):
        if path.is_file():
            yield os.fspath(path.relative_to(place)), path


def write(own: OwnFiles, prefix: Prefix, *, unmasked: Container[str] = ()) -> None:
    """Write the files and the link to the patches below a root's ``etc/portage``.

    A user's file of the same name does not change. Masks of the packages ``unmasked`` are omitted.
    """
    for name, text in files(prefix).items():
        if os.path.basename(os.path.dirname(name)) == "package.mask":
            text = masks_without(text, unmasked)
        if not _is_users(own.config / name):
            former = _former_name(name)
            is_ours = former != name and not _is_users(own.config / former)
            own.write(
                name,
                text,
                kind=FROM_CHECKOUT,
                former=former if is_ours else "",
                user=f"{name}.user" if name.startswith(f"{ENVIRONMENTS}/") else "",
            )
    _link_patches(own.config / "patches", patches(prefix.repositories))


def _is_users(path: Path) -> bool:
    """Return whether a file exists and did not come from a checkout."""
    if not path.is_file():
        return os.path.lexists(path)
    return not path.read_text(encoding="utf-8", errors="replace").startswith(FROM)


def _former_name(name: str) -> str:
    """Return the name that version 0.1.0 gave to a file; the name itself if it was the same."""
    directory, base = os.path.split(name)
    number = next((p[:3] for _, _, p in SOURCES if base.startswith(p)), "")
    return os.path.join(directory, base.removeprefix(number))


def patches(repositories: Sequence[Repository]) -> Path | None:
    """Return the directory that ``setup_board`` links as a board's ``patches``, if it exists."""
    overlay = overlay_of(repositories, "flatcar-overlay")
    place = overlay.location / PATCHES if overlay else None
    return place if place and place.is_dir() else None


def hooks(repositories: Sequence[Repository]) -> Path | None:
    """Return the directory of the files that a board's bashrc sources, if it exists."""
    overlay = overlay_of(repositories, "flatcar-overlay")
    place = overlay.location / HOOKS if overlay else None
    return place if place and place.is_dir() else None


def _link_patches(link: Path, place: Path | None) -> None:
    if link.is_symlink() and os.readlink(link).endswith(f"/{PATCHES}"):
        link.unlink()
    if place is not None and not os.path.lexists(link):
        link.symlink_to(place)
