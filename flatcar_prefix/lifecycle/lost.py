# SPDX-License-Identifier: BSD-3-Clause
"""Find the remains of a prefix without a usable record, through its markers or wrappers.

A record can be broken or newer than this program, and a staging directory can be deleted.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from flatcar_prefix.boards import Board
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.prefix import markers, record, registry
from flatcar_prefix.prefix.markers import Marker
from flatcar_prefix.prefix.model import RECORD_NAME, Prefix
from flatcar_prefix.system.files import is_same
from flatcar_prefix.system.places import detect_sdk
from flatcar_prefix.wrappers import marks


def named(name: str, board: Board) -> Prefix | None:
    """Return the remains of the prefix with this name and board, or ``None``.

    The caller has found no usable record.
    """
    sdk = detect_sdk()
    staging = registry.linked(sdk, name, board) or sdk.staging_dir(board, name)
    final = (
        registry.linked_final(sdk, name, board)
        or _final_in_wrappers(name, board, staging)
        or sdk.final_dir(board, name)
    )
    for directory in (staging, final):
        marker = markers.read(directory)
        if marker and (marker.name, marker.board) == (name, board.name):
            return at(directory)
    return _of_0_1_0(name, board, staging, final)


def at(directory: Path) -> Prefix | None:
    """Return the prefix that the marker in a staging or final directory describes, or ``None``.

    A prefix with a usable record in another directory is not lost.
    """
    marker = markers.read(directory)
    if marker is None:
        return _staging_of_0_1_0(directory)
    if marker.kind == "staging":
        return None if _is_copy(marker, directory) else _found(marker, directory)
    return None if _is_usable(marker.staging_dir) else _found(marker, marker.staging_dir)


def _found(marker: Marker, staging: Path) -> Prefix:
    return markers.as_prefix(replace(marker, staging_dir=staging))


def _is_copy(marker: Marker, directory: Path) -> bool:
    original = markers.read(marker.staging_dir)
    return (
        original is not None
        and original.identity == marker.identity
        and not is_same(marker.staging_dir, directory)
    )


def _is_usable(staging: Path) -> bool:
    try:
        record.read(staging)
    except (OSError, PrefixError):
        return False
    return True


def _staging_of_0_1_0(directory: Path) -> Prefix | None:
    """Return the prefix of version 0.1.0 in a staging directory with a broken record."""
    known = next((p for p in registry.survey().broken if is_same(p.directory, directory)), None)
    if known is None:
        return None
    final = (
        registry.linked_final(detect_sdk(), known.name, known.board)
        or _final_in_wrappers(known.name, known.board, directory)
        or detect_sdk().final_dir(known.board, known.name)
    )
    return _of_0_1_0(known.name, known.board, directory, final)


def _final_in_wrappers(name: str, board: Board, staging: Path) -> Path | None:
    """Return the final directory that a wrapper of the prefix names, or ``None``."""
    wrapper = detect_sdk().wrapper_dir / f"portageq-prefix-{name}-{board.name}"
    mark = marks.read_mark(wrapper)
    if mark is None or mark.staging_dir != staging:
        return None
    for found in re.finditer(r"\bROOT=(/[^\s'\"]+)/root(?=/?\s)", mark.content):
        if found[1] != str(staging):
            return Path(found[1])
    return None


def _of_0_1_0(name: str, board: Board, staging: Path, final: Path) -> Prefix | None:
    """Return the remains of a prefix without markers, or ``None`` without evidence.

    Evidence is a generated make.conf or a wrapper that names the staging directory.
    """
    confs = [*markers.make_confs(staging / "root"), *markers.make_confs(final / "root")]
    proved = any(markers.staging_in(conf) == str(staging) for conf in confs)
    prefix = markers.as_prefix(
        Marker(
            identity="",
            kind="staging",
            name=name,
            board=board.name,
            eprefix="",
            staging_dir=staging,
            final_dir=final,
            wrapper_dir=detect_sdk().wrapper_dir.absolute(),
        )
    )
    gone = not (staging / RECORD_NAME).exists()
    wrappers = gone and any(
        (mark := marks.read_mark(path)) and mark.staging_dir == staging
        for path in marks.own_files(prefix)
    )
    return prefix if proved or wrappers else None
