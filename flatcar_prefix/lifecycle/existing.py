# SPDX-License-Identifier: BSD-3-Clause
"""Existing prefixes and directories at set-up: continue, replace or refuse them."""

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
    """Return the unfinished prefix to continue, or ``None`` without one.

    Raise :class:`PrefixError` if something else occupies the directories.
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
                hint="Remove it, or choose another with --staging_dir and --final_dir.",
            )
    _refuse_overlap(asked)
    return None


def replaceable(asked: Request) -> tuple[Prefix, ...]:
    """Return all prefixes of that name and board, for ``--force`` to remove.

    Raise :class:`PrefixError` if anything else occupies the requested directories.
    """
    here = _at(asked.staging_dir)
    if here and (here.name, here.board) != (asked.name, asked.board):
        raise _exists(here, asked)
    found = (*([here] if here else []), *_namesakes(asked))
    own = [place for p in found for place in (p.staging_dir, p.final_dir)]
    for directory in (asked.staging_dir, asked.final_dir):
        if occupied(directory) and not _is_among(directory, own):
            raise PrefixError(
                f"{directory} exists but is not a prefix of flatcar-prefix"
                f"{uninstall.whose(directory)}",
                hint="Remove it by hand, or choose another directory.",
            )
    _refuse_overlap(asked, besides=found)
    return found


def _at(staging_dir: Path) -> Prefix | None:
    there = (staging_dir / prefixes.RECORD_NAME).is_file()
    return record.read(staging_dir) if there else None


def _namesakes(asked: Request) -> Iterator[Prefix]:
    """Yield the prefixes of that name and board in other directories; they own its wrappers."""
    for other in registry.list_prefixes():
        same = (other.name, other.board) == (asked.name, asked.board)
        if same and not _is_among(asked.staging_dir, [other.staging_dir]):
            yield other


def _is_among(directory: Path, others: Iterable[Path]) -> bool:
    return any(directory == other or is_same(directory, other) for other in others)


def _exists(old: Prefix, asked: Request) -> PrefixError:
    if (old.name, old.board) == (asked.name, asked.board):
        hint = f"Run `flatcar-prefix update {old.id}` to update it, or add --force to recreate it."
    else:
        hint = "Choose another --staging_dir, or remove that prefix with --uninstall."
    return PrefixError(
        f"the prefix {old.id} exists already, at {old.eprefix} in {old.staging_dir}", hint=hint
    )


def occupied(directory: Path) -> bool:
    """Return whether the path exists and holds more than a partially written record."""
    if directory.is_symlink() or not directory.is_dir():
        return os.path.lexists(directory)
    return any(path.name != f".{prefixes.RECORD_NAME}.new" for path in directory.iterdir())


def _refuse_overlap(asked: Request, besides: Iterable[Prefix] = ()) -> None:
    """Raise :class:`PrefixError` for a directory that overlaps with another prefix.

    Removing one prefix would remove the other.
    """
    gone = {old.staging_dir for old in besides}
    for other in registry.list_prefixes():
        if other.staging_dir in gone:
            continue
        for theirs in (other.staging_dir, other.final_dir):
            for mine in (asked.staging_dir, asked.final_dir):
                if mine.is_relative_to(theirs) or theirs.is_relative_to(mine):
                    raise PrefixError(
                        f"{mine} and {theirs} overlap; {theirs} belongs to the prefix {other.id}",
                        hint="Choose another with --staging_dir and --final_dir.",
                    )


def continued(old: Prefix, asked: Request) -> Prefix:
    """Return the prefix to continue: ``old`` with the options of this request.

    Raise :class:`PrefixError` for an option that cannot change after the start.
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
                hint=f"Omit {flag} to continue it, or recreate the prefix with --force.",
            )
