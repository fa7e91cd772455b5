# SPDX-License-Identifier: BSD-3-Clause
"""Portage configuration that a checkout's overlays apply to every prefix.

The shell version copies the prefix overlay's ``skel/etc/portage`` into each root.
``setup_board`` links the other overlays' ``coreos/config/portage`` into a board. This module
takes masks, keywords and similar files from both; other modules write repos.conf and the
profile. It also links the patches that the SDK and its boards apply, and reads from the base
profile which packages the checkout leaves out of its subset of Gentoo.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.prefix.repository import Repository
from flatcar_prefix.repositories.find import ROLES
from flatcar_prefix.system.files import write_atomic

SOURCES = (
    ("gentoo-subset", "coreos/config/portage", "gentoo-"),
    ("flatcar-overlay", "coreos/config/portage", "flatcar-"),
    ("prefix-overlay", "skel/etc/portage", "skel-"),
)
"""The repository, the directory and the file name prefix of each configuration. The SDK and
its boards use the first two, for settings that a profile cannot hold."""

PATCHES = "coreos/user-patches"
"""The directory of patches in the overlay of Flatcar's packages, see portage(5)."""

BASE_PROFILE = "profiles/coreos/base"
"""The base profile of all Flatcar systems, in the overlay of Flatcar's packages."""

ENVIRONMENTS = "env"
"""The files that package.env names; they keep their names."""

ORIGIN = "# From "
"""The first words of each file that comes from a checkout."""

NOT_OF_A_PREFIX = frozenset(
    {
        "app-doc/info-manual",
        "net-mail/mailbase",
        "sys-fs/udev-init-scripts",
        "virtual/mta",
    }
)
"""Packages in ``@system`` of Gentoo's profiles that a prefix does not use: documents, mail
delivery and system start-up."""

TAKEN = (
    "package.accept_keywords",
    "package.env",
    "package.license",
    "package.mask",
    "package.unmask",
    "package.use",
    "profile/package.use.force",
    "profile/package.use.mask",
    "profile/use.force",
    "profile/use.mask",
)


def files(prefix: Prefix) -> dict[str, str]:
    """Return the files to write below a root's ``etc/portage``, by path; often none."""
    names = current_names(prefix.repositories)
    return {
        name: _text(path, names)
        for role, place, prefixed in SOURCES
        if (overlay := _overlay(prefix.repositories, role)) is not None
        for name, path in _named(overlay.location / place, prefixed)
    }


def _named(place: Path, prefixed: str) -> Iterator[tuple[str, Path]]:
    for kind in TAKEN:
        for path in _files_of(place / kind):
            yield f"{kind}/{prefixed}{path.name}", path
    for path in sorted((place / ENVIRONMENTS).rglob("*")):
        if path.is_file():
            yield os.fspath(path.relative_to(place)), path


def write(config_dir: Path, prefix: Prefix) -> None:
    """Write the files and the link to the patches below a root's ``etc/portage``.

    A user's file of the same name stays.
    """
    for name, text in files(prefix).items():
        path = config_dir / name
        if not path.exists() or path.read_text(encoding="utf-8").startswith(ORIGIN):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, text)
    _link_patches(config_dir / "patches", patches(prefix.repositories))


def patches(repositories: Sequence[Repository]) -> Path | None:
    """Return the directory that ``setup_board`` links as a board's ``patches``, if it exists."""
    overlay = _overlay(repositories, "flatcar-overlay")
    place = overlay.location / PATCHES if overlay else None
    return place if place and place.is_dir() else None


def _link_patches(link: Path, place: Path | None) -> None:
    if link.is_symlink() and os.readlink(link).endswith(f"/{PATCHES}"):
        link.unlink()
    if place is not None and not os.path.lexists(link):
        link.symlink_to(place)


def _files_of(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    elif place.is_dir():
        yield from sorted(path for path in place.iterdir() if path.is_file())


def _text(path: Path, names: Mapping[str, str]) -> str:
    text = path.read_text(encoding="utf-8")
    return f"{ORIGIN}{os.fspath(path)}\n{renamed(text, names)}"


def current_names(repositories: Sequence[Repository]) -> dict[str, str]:
    """Return the current name of each repository, by each of its past and present names."""
    present = {r.name for r in repositories}
    return {
        name: next(n for n in names if n in present)
        for names in ROLES.values()
        if present & set(names)
        for name in names
    }


def renamed(text: str, names: Mapping[str, str]) -> str:
    """Return configuration with the current names in its ``::repository`` parts.

    A skeleton can contain old names of repositories. An atom with an old name would not
    match any package.
    """
    return re.sub(r"::([A-Za-z0-9_][A-Za-z0-9_-]*)", lambda m: f"::{names.get(m[1], m[1])}", text)


def left_out(repositories: Sequence[Repository]) -> tuple[str, ...]:
    """Return the packages, ``category/name-version``, that the checkout leaves out.

    Its base profile declares them as provided, and no repository contains them. Packages
    that depend on them could not be installed otherwise.
    """
    overlay = _overlay(repositories, "flatcar-overlay")
    if overlay is None:
        return ()
    provided = _lines(overlay.location / BASE_PROFILE / "package.provided")
    return tuple(cpv for cpv in provided if not _is_there(cpv, repositories))


def provided(repositories: Sequence[Repository]) -> tuple[str, ...]:
    """Return the packages of :func:`left_out` that a prefix leaves out, too.

    Applications may need the other packages. If a prefix provided them, Portage would
    install such applications into final without a dependency and without a warning.
    """
    return tuple(cpv for cpv in left_out(repositories) if _key(cpv) in NOT_OF_A_PREFIX)


def build_host_use(repositories: Sequence[Repository]) -> str:
    """Return the checkout's package.use for build hosts, or an empty string."""
    overlay = _overlay(repositories, "flatcar-overlay")
    path = overlay.location / BASE_PROFILE / "package.use" if overlay else None
    return _text(path, current_names(repositories)) if path and path.is_file() else ""


def _overlay(repositories: Sequence[Repository], role: str) -> Repository | None:
    return next((r for r in repositories if r.name in ROLES[role]), None)


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    lines = (line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return [line for line in lines if line]


def _is_there(cpv: str, repositories: Sequence[Repository]) -> bool:
    return any((repository.location / _key(cpv)).is_dir() for repository in repositories)


def _key(cpv: str) -> str:
    from portage.versions import cpv_getkey

    return cpv_getkey(cpv) or cpv
