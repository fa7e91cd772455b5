# SPDX-License-Identifier: BSD-3-Clause
"""Find the ebuild repositories of a checkout."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.portage_api import session as portage_api
from flatcar_prefix.prefix.repository import Repository, check_location
from flatcar_prefix.system.places import data_dir, is_embedded

ROLES = {
    "gentoo-subset": ("gentoo-subset", "portage-stable"),
    "flatcar-overlay": ("flatcar-overlay", "coreos-overlay", "coreos"),
    "prefix-overlay": ("prefix-overlay", "prefix"),
}
"""The role of each repository, and its past and present names (profiles/repo_name)."""

TOOLCHAIN_ROLE = "prefix-toolchain"
"""The repository that always comes with this program. It has the packages between a toolchain
and a prefix, such as an imported C library and gcc's runtime."""

PLACES = ("repos", "sdk_container/src/third_party")
"""The repository directories of a scripts checkout, the preferred layout first."""

PREFIX_TOOLCHAIN_PRIORITY = 900

PREFIX_OVERLAY_PRIORITY = 1000
"""Higher than all other repositories of the checkout; custom overlays have higher priorities."""


def read_repository(location: Path) -> Repository:
    """Return the repository at ``location`` as Portage reads it (layout.conf, repo_name).

    Raise :class:`PrefixError` if it is not a repository, has no name, or has a path that
    repos.conf cannot hold.
    """
    portage_api.import_portage()
    from portage.repository.config import RepoConfig

    if not location.is_dir():
        raise PrefixError(
            f"{location} is not an ebuild repository",
            hint="Choose the directory of an ebuild repository.",
        )
    _refuse_unspellable(location)
    config = RepoConfig(None, {"location": os.fspath(location)})
    if config.missing_repo_name or not config.name:
        raise PrefixError(
            f"the repository at {location} has no name",
            hint=f"Write its name into {location}/profiles/repo_name.",
        )
    return Repository(
        name=config.name,
        location=location,
        masters=tuple(config.masters or ()),
        aliases=tuple(config.aliases or ()),
        embedded=is_embedded(location),
    )


def _refuse_unspellable(location: Path) -> None:
    try:
        check_location(location)
    except ValueError as error:
        raise UsageError(
            str(error), hint="Choose a directory without percent sign, line end, ' #' and ' ;'."
        ) from error


def find(scripts_dir: Path) -> tuple[tuple[Repository, ...], str]:
    """Return the repositories of a checkout, in ascending priority, and the main one's name.

    ``profiles/repo_name`` identifies them, not the directory's name. If a checkout has a
    repository in both layouts, use the one in the preferred layout. Raise
    :class:`PrefixError` if one is missing or two have the same name.
    """
    places = [list(_read_all(scripts_dir / place)) for place in PLACES]
    by_role = {role: _pick(places, role, names, scripts_dir) for role, names in ROLES.items()}
    main = by_role["gentoo-subset"].name
    overlay = replace(by_role["prefix-overlay"], priority=PREFIX_OVERLAY_PRIORITY)
    toolchain = _toolchain_repository(scripts_dir)
    found = (by_role["gentoo-subset"], by_role["flatcar-overlay"], toolchain, overlay)
    return tuple(_with_masters(found, main)), main


def _toolchain_repository(scripts_dir: Path) -> Repository:
    """Return the checkout's copy of the repository, or the copy that this program contains."""
    own = [base / "repos" / TOOLCHAIN_ROLE for base in (scripts_dir, data_dir())]
    location = next((path for path in own if path.is_dir()), own[-1])
    return replace(read_repository(location), priority=PREFIX_TOOLCHAIN_PRIORITY)


def _read_all(directory: Path) -> Iterator[Repository]:
    names = {name for names in ROLES.values() for name in names}
    if not directory.is_dir():
        return
    for path in sorted(directory.iterdir()):
        has_profiles = (path / "profiles").is_dir() or (path / "metadata").is_dir()
        if _repo_name(path) in names or (path.name in names and has_profiles):
            yield read_repository(path)


def _repo_name(path: Path) -> str | None:
    try:
        return (path / "profiles" / "repo_name").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _pick(
    places: Sequence[Sequence[Repository]], role: str, names: Sequence[str], scripts_dir: Path
) -> Repository:
    fitting = next((some for p in places if (some := [r for r in p if r.name in names])), [])
    if not fitting:
        raise PrefixError(
            f"{scripts_dir} has no repository named {' or '.join(names)}",
            hint=f"Use a --scripts-dir that has {role} below {' or '.join(PLACES)}.",
        )
    if len(fitting) > 1:
        where = " and ".join(os.fspath(r.location) for r in fitting)
        raise PrefixError(
            f"two repositories can be {role}: {where}", hint="Remove or rename one of them."
        )
    return fitting[0]


def _with_masters(repositories: Iterable[Repository], main: str) -> Iterator[Repository]:
    """Yield the repositories with masters; an overlay without one gets the main repository.

    This program's own repository has no master, so it works with any main repository.
    """
    for repository in repositories:
        if repository.name in (main, TOOLCHAIN_ROLE) or repository.masters:
            yield repository
        else:
            _refuse_silent(repository, main)
            yield replace(repository, masters=(main,))


def _refuse_silent(repository: Repository, main: str) -> None:
    """Raise :class:`PrefixError` for an overlay whose layout.conf does not set masters.

    Portage then uses the main repository and warns on every command. No setting turns
    this warning off.
    """
    from portage.repository.config import parse_layout_conf

    layout, _ = parse_layout_conf(os.fspath(repository.location))
    if layout["masters"] is None:
        raise PrefixError(
            f"the repository {repository.name} at {repository.location} does not name its masters",
            hint=f"Add this line to {repository.location}/metadata/layout.conf: masters = {main}",
        )


def is_custom(repository: Repository) -> bool:
    """Return whether a repository is an overlay that the user added, not one of the checkout."""
    return (repository.priority or 0) > PREFIX_OVERLAY_PRIORITY


def add_overlays(
    repositories: Sequence[Repository], main: str, overlays: Sequence[Path]
) -> tuple[Repository, ...]:
    """Return the repositories with further overlays above them, the last one highest.

    Raise :class:`PrefixError` for an overlay without a name, with a name in use, with a
    missing master, or without a masters setting.
    """
    result = list(repositories)
    top = max((r.priority or 0 for r in repositories), default=PREFIX_OVERLAY_PRIORITY)
    for offset, location in enumerate(overlays, start=1):
        overlay = replace(read_repository(location), priority=top + offset)
        _refuse_clash(overlay, result)
        result.append(overlay)
    result = list(_with_masters(result, main))
    check_masters(result)
    return tuple(result)


def _refuse_clash(overlay: Repository, others: Sequence[Repository]) -> None:
    for other in others:
        if other.name == overlay.name:
            raise PrefixError(
                f"two repositories are named {overlay.name}: {other.location}"
                f" and {overlay.location}",
                hint=f"Change {overlay.location}/profiles/repo_name, or leave one out.",
            )


def check_masters(repositories: Sequence[Repository]) -> None:
    """Raise :class:`PrefixError` if a repository names a missing master."""
    names = {name for r in repositories for name in (r.name, *r.aliases)}
    for repository in repositories:
        for master in repository.masters:
            if master not in names:
                raise PrefixError(
                    f"the repository {repository.name} needs its master {master}, which is missing",
                    hint="Add that repository with --custom-ebuild-overlays, or correct "
                    f"{repository.location}/metadata/layout.conf.",
                )
