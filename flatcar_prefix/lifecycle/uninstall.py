# SPDX-License-Identifier: BSD-3-Clause
"""Removing a prefix: exactly what was created for it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from flatcar_prefix.boards import BOARDS, board as board_of
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.prefix import model as prefixes, registry
from flatcar_prefix.prefix.locks import locked_prefix
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system.files import GENERATED, filesystem_errors, is_same
from flatcar_prefix.system.messages import NO_PROGRESS, Progress
from flatcar_prefix.system.places import detect_sdk
from flatcar_prefix.wrappers import files


def uninstall(
    name: str | None = None,
    *,
    board: str | None = None,
    eprefix: str | None = None,
    staging_dir: Path | str | None = None,
    say: Progress = NO_PROGRESS,
) -> None:
    """Remove a prefix: its directories, its wrappers and every trace.

    It is found by its name, or by its staging directory. Only what has a record of this
    program's is removed; :class:`PrefixError` when the record says anything else than
    what was given.
    """
    where = os.path.realpath(staging_dir) if staging_dir else name or ""
    known = None if staging_dir else board
    _refuse_unrecorded(where, known)
    prefix = registry.load_from(where) if staging_dir else registry.load(where, board=known)
    _refuse_another(prefix, None if "/" in (name or "") else name, board, eprefix)
    with locked_prefix(prefix):
        remove(prefix, say=say)


def _refuse_another(
    prefix: Prefix, name: str | None, board: str | None, eprefix: str | None
) -> None:
    """Raise :class:`PrefixError` when the prefix that was found is not the one that was meant."""
    path = eprefix and (eprefix.rstrip("/") or "/")
    meant = {"name": name, "board": board, "path": path}
    found = {"name": prefix.name, "board": prefix.board.name, "path": prefix.eprefix}
    if name == prefix.id:
        meant["name"] = prefix.name
    for what, said in meant.items():
        if said is not None and said != found[what]:
            raise PrefixError(
                f"the {what} of the prefix in {prefix.staging_dir} is {found[what]}, not {said}",
                hint=f"Nothing was removed; the prefix there is {prefix.id} at {prefix.eprefix}.",
            )


def _refuse_unrecorded(name: str, board: str | None) -> None:
    """Raise :class:`PrefixError` for directories at a prefix's place that are no prefix."""
    sdk = detect_sdk()
    boards = [board_of(board)] if board else BOARDS.values()
    places = [Path(name)] if "/" in name else [sdk.staging_dir(known, name) for known in boards]
    for directory in places:
        if not _has_record(directory) and (words := whose(directory)):
            raise PrefixError(
                f"{directory} has no record of this program's{words}",
                hint="Remove it by what has made it, or yourself.",
            )


def _has_record(directory: Path) -> bool:
    return (directory / prefixes.RECORD_NAME).is_file()


def whose(directory: Path) -> str:
    """Return words that say whose directory this is, where that can be seen."""
    for make_conf in _make_confs(directory / "root"):
        if (staging := _staging_of(make_conf)) is None:
            return " (it looks like one that the shell version made)"
        if staging:
            return f" (it is the final root of the prefix in {staging})"
    return ""


def _staging_of(make_conf: Path) -> str | None:
    """Return whose make.conf it says it is: a staging directory, '' for none.

    ``None`` for one that this program did not write.
    """
    text = make_conf.read_text(encoding="utf-8", errors="replace")
    if GENERATED not in text:
        return None
    match = re.search(r'^FLATCAR_PREFIX_STAGING="(.*)"$', text, re.MULTILINE)
    return match[1] if match else ""


def _make_confs(root: Path, depth: int = 4) -> Iterator[Path]:
    """Yield the make.conf files of prefixes below a root; an EPREFIX is not deep."""
    for level in range(1, depth + 1):
        yield from sorted(root.glob("*/" * level + "etc/portage/make.conf"))


def remove(prefix: Prefix, *, say: Progress = NO_PROGRESS) -> None:
    """Remove what was created for ``prefix``, the record last."""
    sdk = detect_sdk()
    with filesystem_errors(prefix.staging_dir):
        if not (own := has_own_final(prefix)):
            say.warn(f"{prefix.final_dir} stays{whose(prefix.final_dir)}")
        directories = list(_removable(prefix, final=own))  # all, before the first goes
        for wrapper in files.remove(prefix):
            say(f"removed {wrapper}")
        for directory in directories:
            remove_tree(directory, last=prefixes.RECORD_NAME)
            say(f"removed {directory}")
        registry.forget(sdk, prefix)


def has_own_final(prefix: Prefix) -> bool:
    """Return whether the final root is this prefix's, by what its make.conf says.

    It is when there is none: that of a prefix that is half made, or half removed.
    Staging may have been moved; then its old place is no prefix any more.
    """
    make_conf = prefix.final.config_dir / "make.conf"
    if not make_conf.is_file():
        return True
    staging = _staging_of(make_conf)
    return staging is not None and (
        not _has_record(Path(staging)) or is_same(Path(staging), prefix.staging_dir)
    )


def _removable(prefix: Prefix, *, final: bool) -> Iterator[Path]:
    """Yield the directories to remove, staging with the record last."""
    for directory in (*([prefix.final_dir] if final else []), prefix.staging_dir):
        if directory.is_symlink():
            raise PrefixError(
                f"{directory} is a symbolic link, not the directory that was made",
                hint="Remove the link, or what it leads to, yourself.",
            )
        if directory.exists():
            _refuse_mounts(directory)
            yield directory


def _refuse_mounts(directory: Path) -> None:
    inside = os.fsencode(os.path.realpath(directory)) + b"/"
    for place in _mount_points(Path("/proc/self/mountinfo").read_bytes()):
        if (place + b"/").startswith(inside):
            raise _mounted(os.fsdecode(place))
    _refuse_other_file_systems(directory)


def _mount_points(mountinfo: bytes) -> Iterator[bytes]:
    """Yield where something is mounted; proc(5): white space and backslashes are octal there."""
    for line in mountinfo.rstrip(b"\n").split(b"\n"):
        yield re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), line.split(b" ")[4])


def _refuse_other_file_systems(directory: Path) -> None:
    """Look at every directory that is going to be removed, whatever is said of mounts.

    Directories only: on overlayfs a file may say that it is of the file system below.
    """
    device = directory.lstat().st_dev
    for where, _, _ in os.walk(directory):
        if os.lstat(where).st_dev != device:
            raise _mounted(where)


def _mounted(place: str) -> PrefixError:
    return PrefixError(
        f"{place} is mounted inside the prefix",
        hint=f"Unmount it first: umount {shlex.quote(place)}",
    )


def remove_tree(directory: Path, *, last: str) -> None:
    """Remove ``directory``, the entry ``last`` last; no symbolic link is followed."""
    for entry in sorted(directory.iterdir(), key=lambda path: path.name == last):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    directory.rmdir()
