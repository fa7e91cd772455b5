# SPDX-License-Identifier: BSD-3-Clause
"""Existing prefixes and directories at set-up: replace or refuse them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.lifecycle import lost, uninstall
from flatcar_prefix.lifecycle.continuing import changing, is_as_asked, is_same
from flatcar_prefix.lifecycle.request import Checked
from flatcar_prefix.prefix import markers, record, registry
from flatcar_prefix.prefix.model import KINDS, RECORD_NAME, Prefix
from flatcar_prefix.system import files
from flatcar_prefix.system.trees import overlap
from flatcar_prefix.wrappers import check


def wanted(asked: Checked) -> Prefix | None:
    """Return the prefix to continue, or ``None`` without one.

    Return a finished prefix only if it matches the request.

    Raise :class:`PrefixError` if something else occupies the directories.
    """
    _refuse_ambiguous(asked)
    if old := _at(asked.staging_dir):
        if old.removing:
            raise PrefixError(
                f"the removal of the prefix {old.id} was interrupted",
                hint=f"Complete it: flatcar-prefix uninstall {old.id}; or recreate the prefix"
                " with --force.",
            )
        if is_same(old, asked) and (not is_finished(old) or is_as_asked(old, asked)):
            return old
        raise _exists(old, asked)
    for old in _namesakes(asked):
        raise _exists(old, asked)
    for directory in (asked.staging_dir, asked.final_dir):
        if occupied(directory):
            left = lost.at(directory)
            first = f"Run `flatcar-prefix uninstall {left.id}`" if left else "Remove it"
            raise PrefixError(
                f"{directory} exists already{uninstall.whose(directory)}",
                hint=f"{first}, or choose another with --staging-dir and --final-dir.",
            )
    _refuse_overlap(asked)
    return None


def is_finished(prefix: Prefix) -> bool:
    """Return whether the set-up of ``prefix`` is done, with all of its wrappers."""
    return prefix.complete and not check.missing(prefix)


def replaceable(asked: Checked) -> tuple[Prefix, ...]:
    """Return all prefixes of that name and board, for ``--force`` to remove.

    Raise :class:`PrefixError` if anything else occupies the requested directories.
    """
    _refuse_ambiguous(asked)
    here = _replaceable_at(asked)
    if here and (here.name, here.board) != (asked.name, asked.board):
        raise _exists(here, asked)
    found = (*([here] if here else []), *_namesakes(asked))
    own = [p.root(kind).directory for p in found for kind in KINDS if markers.belongs(p, kind)]
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
    there = (staging_dir / RECORD_NAME).is_file()
    return record.read(staging_dir) if there else None


def _replaceable_at(asked: Checked) -> Prefix | None:
    """Return the prefix in the staging directory, even without a usable record."""
    try:
        if here := _at(asked.staging_dir):
            return here
    except (OSError, PrefixError) as error:
        if left := lost.at(asked.staging_dir):
            return left
        if isinstance(error, PrefixError):
            raise
    left = lost.at(asked.final_dir)
    same = left and (left.name, left.board) == (asked.name, asked.board)
    return left if same else None


def _refuse_ambiguous(asked: Checked) -> None:
    """Raise :class:`PrefixError` if one name would mean two prefixes: ``a`` and ``a-amd64-usr``."""
    for other in registry.list_prefixes():
        if other.id == asked.name or other.name == f"{asked.name}-{asked.board.name}":
            raise PrefixError(
                f"the name {asked.name} is ambiguous: the prefix {other.id} exists",
                hint="Choose a name that does not end with the name of a board.",
            )


def _namesakes(asked: Checked) -> Iterator[Prefix]:
    """Yield the prefixes of that name and board in other directories; they own its wrappers."""
    for other in registry.list_prefixes():
        same = (other.name, other.board) == (asked.name, asked.board)
        if same and not _is_among(asked.staging_dir, [other.staging_dir]):
            yield other


def _is_among(directory: Path, others: Iterable[Path]) -> bool:
    return any(directory == other or files.is_same(directory, other) for other in others)


def _exists(old: Prefix, asked: Checked) -> PrefixError:
    return PrefixError(
        f"the prefix {old.id} exists already, at {old.eprefix} in {old.staging_dir}",
        hint=_what_to_do(old, asked),
    )


def _what_to_do(old: Prefix, asked: Checked) -> str:
    """Return the hint for a request that the existing prefix ``old`` does not match."""
    if (old.name, old.board) != (asked.name, asked.board):
        return (
            "Choose another --staging-dir, or remove that prefix:"
            f" flatcar-prefix uninstall {old.id}"
        )
    here = _is_among(asked.staging_dir, [old.staging_dir])
    if here and is_same(old, asked) and (change := changing(old, asked)):
        return f"Run {change}, or add --force to recreate it."
    if here and is_same(old, asked, bootstrap=old.bootstrap):
        return f"Add --bootstrap={old.bootstrap} to keep it, or --force to recreate it."
    return "Choose another name, or add --force to recreate it."


def occupied(directory: Path) -> bool:
    """Return whether the path exists and holds more than a partially written record."""
    if directory.is_symlink() or not directory.is_dir():
        return os.path.lexists(directory)
    return not markers.is_free(directory)


def _refuse_overlap(asked: Checked, besides: Iterable[Prefix] = ()) -> None:
    """Raise :class:`PrefixError` for a directory that overlaps with another prefix.

    Removing one prefix would remove the other. Links and bind mounts are resolved.
    """
    gone = {place for old in besides for place in (old.staging_dir, old.final_dir)}
    for theirs, its_id in _taken():
        if theirs in gone:
            continue
        for mine in (asked.staging_dir, asked.final_dir):
            if overlap(mine, theirs):
                raise PrefixError(
                    f"{mine} and {theirs} overlap; {theirs} belongs to the prefix {its_id}",
                    hint="Choose another with --staging-dir and --final-dir.",
                )


def _taken() -> Iterator[tuple[Path, str]]:
    """Yield the directories of all prefixes, each with the prefix's name."""
    known = registry.survey()
    for prefix in known.prefixes:
        yield prefix.staging_dir, prefix.id
        yield prefix.final_dir, prefix.id
    for broken in known.broken:
        yield broken.directory, broken.id
        if marker := markers.read(broken.directory):
            yield marker.final_dir, broken.id
