# SPDX-License-Identifier: BSD-3-Clause
"""Choose the profile of a board and find its directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flatcar_prefix.boards import PREFIX_FEATURES, Board
from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.prefix.repository import Repository

COMPOSED = "composed"


def choose_profile(
    repositories: Sequence[Repository], main_repo: str, board: Board, wanted: str | None
) -> str:
    """Return the profile to use, as ``repo:path``.

    It is ``wanted`` (``[repo:]path``), the board's first existing profile that is not
    deprecated, the board's first existing profile, or :data:`COMPOSED`, which combines the
    board's profile with the prefix features. Raise :class:`PrefixError` if none exists.
    """
    if wanted is not None:
        return _wanted_profile(repositories, main_repo, wanted)
    main = _by_name(repositories, main_repo)
    existing = [p for p in board.profiles if profile_dir(main, p).is_dir()]
    current = [p for p in existing if not (profile_dir(main, p) / "deprecated").exists()]
    for path in current or existing:
        return f"{main_repo}:{path}"
    if composed_parents(main, board):
        return COMPOSED
    raise PrefixError(
        f"{main_repo} has no profile for {board.name}",
        hint=f"Choose one with --profile; setup looked below {main.location}/profiles for "
        f"{board.profiles[0]} and others.",
    )


def _wanted_profile(repositories: Sequence[Repository], main_repo: str, wanted: str) -> str:
    name, colon, path = wanted.rpartition(":")
    repository = _by_name(repositories, name if colon else main_repo)
    directory = profile_dir(repository, path)
    if not path or ".." in Path(path).parts or not directory.is_dir():
        raise PrefixError(
            f"there is no profile {path!r} in {repository.name}",
            hint=f"Choose a directory below {repository.location}/profiles.",
        )
    return f"{repository.name}:{path}"


def _by_name(repositories: Sequence[Repository], name: str) -> Repository:
    for repository in repositories:
        if name in (repository.name, *repository.aliases):
            return repository
    known = ", ".join(r.name for r in repositories)
    raise UsageError(f"there is no repository {name!r}", hint=f"Choose one of: {known}.")


def profile_dir(repository: Repository, path: str) -> Path:
    """Return the directory of a profile of that repository."""
    return repository.location / "profiles" / path


def profile_location(repositories: Sequence[Repository], profile: str) -> Path:
    """Return the directory of a ``repo:path`` profile."""
    name, _, path = profile.partition(":")
    return profile_dir(_by_name(repositories, name), path)


def composed_parents(main: Repository, board: Board) -> tuple[str, ...]:
    """Return the parents, ``repo:path``, of a composed profile for a board.

    The result is empty if the repository lacks either parent.
    """
    base = [p for p in board.base_profiles if profile_dir(main, p).is_dir()]
    features = [p for p in PREFIX_FEATURES if profile_dir(main, p).is_dir()]
    if not base or not features:
        return ()
    return (f"{main.name}:{base[0]}", f"{main.name}:{features[0]}")
