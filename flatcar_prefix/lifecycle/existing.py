# SPDX-License-Identifier: BSD-3-Clause
"""What is there already when a prefix is set up: to go on with, to replace, or in the way."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.lifecycle import uninstall
from flatcar_prefix.lifecycle.request import Request
from flatcar_prefix.prefix import model as prefixes, record, registry
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.repositories import find as repos
from flatcar_prefix.repositories.profiles import choose_profile
from flatcar_prefix.system.files import is_same
from flatcar_prefix.toolchain import find as toolchains
from flatcar_prefix.wrappers import files


def unfinished(asked: Request) -> Prefix | None:
    """Return the unfinished prefix to go on with, or None when there is none at all.

    :class:`PrefixError` when what is there is something else.
    """
    if old := _at(asked.staging_dir):
        same = (old.name, old.eprefix, old.board, old.final_dir, old.bootstrap) == (
            asked.name, asked.eprefix, asked.board, asked.final_dir, asked.bootstrap,
        )  # fmt: skip
        if same and (not old.complete or files.missing(old)):
            return old
        raise _exists(old, asked)
    for old in _namesakes(asked):
        raise _exists(old, asked)
    for directory in (asked.staging_dir, asked.final_dir):
        if occupied(directory):
            raise PrefixError(
                f"{directory} exists already{uninstall.whose(directory)}",
                hint="Remove it, or name another by --staging_dir and --final_dir.",
            )
    _refuse_overlap(asked)
    return None


def replaceable(asked: Request) -> tuple[Prefix, ...]:
    """Return the prefixes of that name and board, wherever they are, for ``--force`` to remove.

    :class:`PrefixError` when anything else is at the places that are asked for.
    """
    here = _at(asked.staging_dir)
    if here and (here.name, here.board) != (asked.name, asked.board):
        raise _exists(here, asked)
    found = (*([here] if here else []), *_namesakes(asked))
    own = [place for p in found for place in (p.staging_dir, p.final_dir)]
    for directory in (asked.staging_dir, asked.final_dir):
        if occupied(directory) and not _is_among(directory, own):
            raise PrefixError(
                f"{directory} exists and is no prefix of this program's"
                f"{uninstall.whose(directory)}",
                hint="Remove it yourself, or name another directory.",
            )
    _refuse_overlap(asked, besides=found)
    return found


def _at(staging_dir: Path) -> Prefix | None:
    there = (staging_dir / prefixes.RECORD_NAME).is_file()
    return record.read(staging_dir) if there else None


def _namesakes(asked: Request) -> Iterator[Prefix]:
    """Yield the prefixes of that name and board at other places: they have its wrappers."""
    for other in registry.list_prefixes():
        same = (other.name, other.board) == (asked.name, asked.board)
        if same and not _is_among(asked.staging_dir, [other.staging_dir]):
            yield other


def _is_among(directory: Path, others: Iterable[Path]) -> bool:
    return any(directory == other or is_same(directory, other) for other in others)


def _exists(old: Prefix, asked: Request) -> PrefixError:
    if (old.name, old.board) == (asked.name, asked.board):
        hint = (
            f"To bring it up to date: flatcar-prefix update {old.id}; to recreate it: add --force."
        )
    else:
        hint = "Name another --staging_dir, or remove that prefix by --uninstall."
    return PrefixError(
        f"the prefix {old.id} exists already, at {old.eprefix} in {old.staging_dir}", hint=hint
    )


def occupied(directory: Path) -> bool:
    """Return whether something is there that is more than a record that was being written."""
    if directory.is_symlink() or not directory.is_dir():
        return os.path.lexists(directory)
    return any(path.name != f".{prefixes.RECORD_NAME}.new" for path in directory.iterdir())


def _refuse_overlap(asked: Request, besides: Iterable[Prefix] = ()) -> None:
    """Raise :class:`PrefixError` for a place inside another prefix, or around one.

    Removing one of them would remove the other.
    """
    gone = {old.staging_dir for old in besides}
    for other in registry.list_prefixes():
        if other.staging_dir in gone:
            continue
        for theirs in (other.staging_dir, other.final_dir):
            for mine in (asked.staging_dir, asked.final_dir):
                if mine.is_relative_to(theirs) or theirs.is_relative_to(mine):
                    raise PrefixError(
                        f"{mine} and {theirs}, which is of the prefix {other.id}, lie inside"
                        " each other",
                        hint="Name another by --staging_dir and --final_dir.",
                    )


def continued(old: Prefix, asked: Request) -> Prefix:
    """Return the prefix to go on with: ``old``, with what was asked for this time.

    :class:`PrefixError` for what shaped what is in there already.
    """
    _refuse_changed(old, asked)
    repositories = old.repositories
    if asked.overlays:
        own = [r for r in repositories if (r.priority or 0) <= repos.PREFIX_OVERLAY_PRIORITY]
        repositories = repos.add_overlays(own, old.main_repo, asked.overlays)
    profile = old.profile
    if asked.profile is not None:
        profile = choose_profile(repositories, old.main_repo, old.board, asked.profile)
    return replace(
        old,
        repositories=repositories,
        profile=profile,
        wrapper_dir=asked.wrapper_dir or old.wrapper_dir,
    )


def _refuse_changed(old: Prefix, asked: Request) -> None:
    was = toolchains.spelled(old.toolchain)
    changed = {
        "--scripts_dir": asked.scripts_dir is not None
        and os.path.realpath(asked.scripts_dir) != os.path.realpath(old.scripts_dir),
        "--toolchain": asked.toolchain is not None and not toolchains.is_as(was, asked.toolchain),
        "--with-gcc": asked.with_gcc and not old.with_gcc,
    }
    begun = {"--scripts_dir": old.scripts_dir, "--toolchain": was, "--with-gcc": "none"}
    for flag, differs in changed.items():
        if differs:
            raise PrefixError(
                f"the set-up of {old.id} was begun with another {flag}: {begun[flag]}",
                hint=f"Leave {flag} out to continue it, or recreate it with --force.",
            )
