# SPDX-License-Identifier: BSD-3-Clause
"""Remove a prefix, and only the files that were created for it.

Markers identify the directories of the prefix, see :mod:`flatcar_prefix.prefix.markers`.
The record states that the removal has begun before the first file is removed. So the remains of
an interrupted removal are never used as a prefix.
"""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from flatcar_prefix.boards import BOARDS, Board, board as board_of
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.lifecycle import lost
from flatcar_prefix.prefix import markers, record, registry
from flatcar_prefix.prefix.locks import PATIENCE, flocked, locked
from flatcar_prefix.prefix.model import RECORD_NAME, Prefix
from flatcar_prefix.prefix.registry import Named
from flatcar_prefix.system import trees
from flatcar_prefix.system.files import filesystem_errors, sweep_temporaries
from flatcar_prefix.system.places import detect_sdk
from flatcar_prefix.system.progress import NO_PROGRESS, Progress, as_progress
from flatcar_prefix.system.trees import Opened
from flatcar_prefix.wrappers import files

_LAST = (RECORD_NAME, markers.MARKER_NAME)
"""The files that are removed last, because they identify the owner of the other files."""


@dataclass(frozen=True)
class Directory:
    """A directory of a removed prefix."""

    path: Path
    kept: bool
    """Whether the directory existed before set-up, and is still there, empty."""
    files: int
    """The number of removed files."""
    bytes: int
    """The size of the removed files."""


@dataclass(frozen=True)
class Removal:
    """What :func:`uninstall` removed."""

    prefix: str
    """The identity of the prefix, ``<name>-<board>``."""
    wrappers: tuple[Path, ...]
    directories: tuple[Directory, ...]


def uninstall(
    name: Named | None = None,
    *,
    board: str | None = None,
    eprefix: str | None = None,
    staging_dir: Path | str | None = None,
    say: Progress | Callable[[str], object] = NO_PROGRESS,
) -> Removal:
    """Remove a prefix: its directories, its wrappers and its registration; return what it removed.

    The name or the staging directory identifies it. Markers identify a prefix whose
    record is broken or whose staging directory is deleted. Remove only directories with a marker
    of the prefix, and those that version 0.1.0 certainly made. Raise
    :class:`PrefixError` if the record contradicts the arguments.
    """
    if isinstance(name, Prefix):
        staging_dir, board, name = name.staging_dir, name.board.name, name.name
    name = None if name is None else os.fspath(name)
    say = as_progress(say)
    where = os.path.realpath(staging_dir) if staging_dir else name or ""
    prefix = _found(where, None if staging_dir else board)
    _refuse_another(prefix, None if "/" in (name or "") else name, board, eprefix)
    places = (prefix.staging_dir, prefix.final_dir)
    with (
        locked(detect_sdk(), prefix.name, prefix.board, *places),
        flocked(prefix.staging_dir, prefix.id, alone=True, patience=PATIENCE),
    ):
        return remove(prefix, say=say)


def _found(where: str, board: str | None) -> Prefix:
    """Return the prefix to remove, from its record or otherwise from its remains."""
    try:
        return registry.load(where, board=board)
    except PrefixError:
        meant = list(_meant(where, board))
        for place in meant:
            if left := lost.at(place) if isinstance(place, Path) else lost.named(*place):
                return left
        _refuse_unrecorded(meant)
        raise


def _meant(where: str, board: str | None) -> Iterator[Path | tuple[str, Board]]:
    """Yield the staging directory, or the names and boards, that the argument can mean."""
    if "/" in where:
        yield Path(os.path.realpath(where))
        for broken in registry.survey().broken:
            left = markers.read(broken.directory)
            if left and left.eprefix == os.path.abspath(where):
                yield broken.directory
        return
    for known in [board_of(board)] if board else BOARDS.values():
        yield where, known
        if board is None and where.endswith(ending := f"-{known.name}"):
            yield where.removesuffix(ending), known


def _refuse_another(
    prefix: Prefix, name: str | None, board: str | None, eprefix: str | None
) -> None:
    """Raise :class:`PrefixError` if the arguments contradict the found prefix."""
    path = eprefix and (eprefix.rstrip("/") or "/")
    meant = {"name": name, "board": board, "path": path if prefix.eprefix else None}
    found = {"name": prefix.name, "board": prefix.board.name, "path": prefix.eprefix}
    if name == prefix.id:
        meant["name"] = prefix.name
    for what, said in meant.items():
        if said is not None and said != found[what]:
            raise PrefixError(
                f"the {what} of the prefix in {prefix.staging_dir} is {found[what]}, not {said}",
                hint="Nothing was removed; to remove this prefix, run instead: flatcar-prefix"
                f" uninstall {shlex.quote(os.fspath(prefix.staging_dir))}",
            )


def _refuse_unrecorded(meant: Collection[Path | tuple[str, Board]]) -> None:
    """Raise :class:`PrefixError` for a directory at a prefix's path without a record."""
    sdk = detect_sdk()
    for place in meant:
        directory = place if isinstance(place, Path) else sdk.staging_dir(place[1], place[0])
        if not (directory / RECORD_NAME).is_file() and (words := whose(directory)):
            raise PrefixError(
                f"{directory} has no prefix record{words}",
                hint="Remove it with the program that created it, or by hand.",
            )


def whose(directory: Path) -> str:
    """Return words that name the owner of a directory, if a marker or make.conf shows it."""
    if marker := markers.read(directory):
        return f" (it is the {marker.kind} directory of the prefix {marker.id})"
    for make_conf in markers.make_confs(directory / "root"):
        if (staging := markers.staging_in(make_conf)) is None:
            return " (it looks like a prefix of the shell version)"
        if staging:
            return f" (it is the final root of the prefix in {staging})"
    return ""


def remove(prefix: Prefix, *, say: Progress = NO_PROGRESS) -> Removal:
    """Remove the files of ``prefix``, its record and marker last; return what was removed."""
    with filesystem_errors(prefix.staging_dir), ExitStack() as stack:
        trees_of = {}
        for kind in ("final", "staging"):  # check all before removing any
            if tree := _own(stack, prefix, kind, say):
                _refuse_foreign(tree)
                trees_of[kind] = tree
        if staging := trees_of.get("staging"):
            _record_removal(prefix, staging)
        wrappers = _remove_wrappers(prefix, say)
        directories = [
            _remove_directory(tree, kept=kind in prefix.kept, say=say)
            for kind, tree in trees_of.items()
        ]
        registry.forget(detect_sdk(), prefix)
    return Removal(prefix.id, tuple(wrappers), tuple(directories))


def _own(stack: ExitStack, prefix: Prefix, kind: str, say: Progress) -> Opened | None:
    """Return a directory of the prefix, opened; ``None`` if it does not belong to the prefix."""
    directory = prefix.root(kind).directory
    if directory.is_symlink():
        raise PrefixError(
            f"{directory} is a symbolic link, not the original directory",
            hint="Remove the link or its target by hand.",
        )
    try:
        tree = stack.enter_context(trees.opened(directory))
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        say.warn(f"{directory} is kept: it is not a directory")
        return None
    if markers.owns(prefix, kind, tree) or not tree.names():
        return tree
    if kind == "staging" and RECORD_NAME in tree.names():
        raise PrefixError(
            f"nothing proves that {directory} belongs to the prefix {prefix.id}{whose(directory)}",
            hint="Remove the directory by hand.",
        )
    say.warn(f"{directory} is kept: it has no marker of {prefix.id}{whose(directory)}")
    return None


def _record_removal(prefix: Prefix, staging: Opened) -> None:
    """Write to the record that the removal has begun.

    Do nothing without a usable record, because no command uses such a prefix. Ignore a full disk,
    which must not prevent the removal.
    """
    if prefix.removing or RECORD_NAME not in staging.names() or not staging.is_at_its_path():
        return
    try:
        record.write(replace(prefix, removing=True, complete=False))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def _remove_wrappers(prefix: Prefix, say: Progress) -> list[Path]:
    removed = []
    for wrapper in files.remove(prefix):
        say.detail(f"removed {wrapper}")
        removed.append(wrapper)
    for ending in (f"-prefix-{prefix.id}", f"-prefix-{prefix.name}"):
        sweep_temporaries(prefix.wrapper_dir, ending=ending)
    if removed:
        say(f"removed {len(removed)} wrappers in {prefix.wrapper_dir}")
    return removed


def _remove_directory(tree: Opened, *, kept: bool, say: Progress) -> Directory:
    try:
        removed = trees.remove_contents(tree, last=_LAST)
    except trees.OtherFileSystem as error:
        raise _mounted(os.path.join(tree.path, str(error))) from error
    if not kept:
        trees.remove_itself(tree)
    how_much = f"{removed.files} files, {removed.bytes / 2**20:.1f} MiB"
    emptied = "; the directory existed before set-up and is kept" if kept else ""
    say(f"{'emptied' if kept else 'removed'} {tree.path}{emptied}: {how_much}")
    return Directory(tree.path, kept, removed.files, removed.bytes)


def _refuse_foreign(tree: Opened) -> None:
    """Raise :class:`PrefixError` for a mount or another prefix inside a directory.

    The mount table and the device of every directory are checked.
    """
    inside = os.fsencode(os.path.realpath(tree.path)) + b"/"
    for place in _mount_points(Path("/proc/self/mountinfo").read_bytes()):
        if (place + b"/").startswith(inside):
            raise _mounted(os.fsdecode(place))

    def look(where: str, names: Collection[str]) -> None:
        directory = tree.path / where
        if where != "." and (markers.MARKER_NAME in names or RECORD_NAME in names):
            _refuse_prefix(directory, tree.path)

    try:
        trees.check_devices(tree, look)
    except trees.OtherFileSystem as error:
        raise _mounted(os.path.join(tree.path, str(error))) from error


def _refuse_prefix(directory: Path, outer: Path) -> None:
    """Raise :class:`PrefixError` if a directory inside the prefix belongs to another prefix."""
    marker = markers.read(directory)
    try:
        inner = marker.id if marker else record.read(directory).id
    except (OSError, PrefixError):
        return
    # Its name does not lead to a staging directory that was moved.
    moved = marker is None or marker.kind == "staging"
    word = shlex.quote(os.fspath(directory)) if moved else inner
    raise PrefixError(
        f"{outer} contains {directory}, which belongs to the prefix {inner}",
        hint=f"Remove that prefix first: flatcar-prefix uninstall {word}",
    )


def _mount_points(mountinfo: bytes) -> Iterator[bytes]:
    """Yield the mount points."""
    return (point for _, _, point in trees.mounts(mountinfo))


def _mounted(place: str) -> PrefixError:
    return PrefixError(
        f"{place} is mounted inside the prefix",
        hint=f"Unmount it first: umount {shlex.quote(place)}",
    )
