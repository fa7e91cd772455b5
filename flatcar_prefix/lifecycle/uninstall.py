# SPDX-License-Identifier: BSD-3-Clause
"""Remove a prefix, and only the files that were created for it."""

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

    The name or the staging directory identifies it. Remove only directories with a prefix
    record. Raise :class:`PrefixError` if the record contradicts the arguments.
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
    """Raise :class:`PrefixError` if the arguments contradict the found prefix."""
    path = eprefix and (eprefix.rstrip("/") or "/")
    meant = {"name": name, "board": board, "path": path}
    found = {"name": prefix.name, "board": prefix.board.name, "path": prefix.eprefix}
    if name == prefix.id:
        meant["name"] = prefix.name
    for what, said in meant.items():
        if said is not None and said != found[what]:
            raise PrefixError(
                f"the {what} of the prefix in {prefix.staging_dir} is {found[what]}, not {said}",
                hint=f"Name {prefix.id} at {prefix.eprefix} to remove it; nothing was removed.",
            )


def _refuse_unrecorded(name: str, board: str | None) -> None:
    """Raise :class:`PrefixError` for a directory at a prefix's path without a record."""
    sdk = detect_sdk()
    boards = [board_of(board)] if board else BOARDS.values()
    places = [Path(name)] if "/" in name else [sdk.staging_dir(known, name) for known in boards]
    for directory in places:
        if not _has_record(directory) and (words := whose(directory)):
            raise PrefixError(
                f"{directory} has no prefix record{words}",
                hint="Remove it with the program that created it, or by hand.",
            )


def _has_record(directory: Path) -> bool:
    return (directory / prefixes.RECORD_NAME).is_file()


def whose(directory: Path) -> str:
    """Return words that name the owner of a directory, if its make.conf shows it."""
    for make_conf in _make_confs(directory / "root"):
        if (staging := _staging_of(make_conf)) is None:
            return " (it looks like a prefix of the shell version)"
        if staging:
            return f" (it is the final root of the prefix in {staging})"
    return ""


def _staging_of(make_conf: Path) -> str | None:
    """Return the staging directory that a make.conf names, or an empty string.

    Return ``None`` if this program did not write the file.
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
    """Remove the files of ``prefix``, the record last."""
    sdk = detect_sdk()
    with filesystem_errors(prefix.staging_dir):
        if not (own := has_own_final(prefix)):
            say.warn(f"{prefix.final_dir} stays{whose(prefix.final_dir)}")
        directories = list(_removable(prefix, final=own))  # check all before removing any
        for wrapper in files.remove(prefix):
            say(f"removed {wrapper}")
        for directory in directories:
            remove_tree(directory, last=prefixes.RECORD_NAME)
            say(f"removed {directory}")
        registry.forget(sdk, prefix)


def has_own_final(prefix: Prefix) -> bool:
    """Return whether the final root belongs to this prefix, according to its make.conf.

    It does if there is no make.conf, because a partial prefix may lack it. It also does if
    staging was moved and its old path does not have a record.
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
                f"{directory} is a symbolic link, not the original directory",
                hint="Remove the link or its target by hand.",
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
    """Yield the mount points; white space and backslashes are octal in them, see proc(5)."""
    for line in mountinfo.rstrip(b"\n").split(b"\n"):
        yield re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), line.split(b" ")[4])


def _refuse_other_file_systems(directory: Path) -> None:
    """Check the device of every directory to remove, in addition to the mount table.

    Check directories only: on overlayfs a file may have the device of the lower layer.
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
