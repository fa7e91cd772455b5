# SPDX-License-Identifier: BSD-3-Clause
"""Markers: the files that say which directories belong to a prefix.

Staging and final each hold a file with the identity of the prefix, a random number that is also in
its record. Set-up writes this file first, and removal deletes it last. A directory without the
file, or with another identity, is never removed.

Version 0.1.0 wrote no markers. The make.conf in its final root names the staging directory;
:func:`adopt` marks such a prefix.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from flatcar_prefix.boards import BOARDS, board as board_of
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.prefix.model import KINDS, RECORD_NAME, Prefix, Toolchain
from flatcar_prefix.prefix.names import check_directory, check_eprefix, check_name
from flatcar_prefix.system import schema
from flatcar_prefix.system.files import (
    GENERATED,
    is_abandoned,
    is_same,
    is_temporary,
    write_atomic,
)
from flatcar_prefix.system.trees import Opened, opened

MARKER_NAME = ".flatcar-prefix"

_FORMAT = 1
_LIMIT = 1 << 20
_IDENTITY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Marker:
    """The content of a marker. It is sufficient to remove a prefix without a record."""

    identity: str
    kind: str
    """``staging`` or ``final``."""
    name: str
    board: str
    eprefix: str
    staging_dir: Path
    final_dir: Path
    wrapper_dir: Path
    kept: tuple[str, ...] = ()
    """The directories that existed before set-up and stay after removal."""
    format: int = _FORMAT

    @property
    def id(self) -> str:
        """The name in wrappers and messages, ``<name>-<board>``."""
        return f"{self.name}-{self.board}"


def new_identity() -> str:
    """Return a random identity."""
    return os.urandom(16).hex()  # The module secrets takes 10 ms to import.


def from_text(text: bytes) -> Marker | None:
    """Return the marker with this content, or ``None`` if it is not valid."""
    try:
        marker = schema.parse(Marker, json.loads(text))
        check_name(marker.name)
        check_eprefix(marker.eprefix)
        for directory in (marker.staging_dir, marker.final_dir):
            check_directory(directory)
    except (ValueError, RecursionError, PrefixError):
        return None
    known = marker.board in BOARDS and marker.kind in KINDS and marker.wrapper_dir.is_absolute()
    return marker if known and _IDENTITY.fullmatch(marker.identity) else None


def read(directory: Path) -> Marker | None:
    """Return the marker in ``directory``; ``None`` without a valid one."""
    try:
        with opened(directory) as tree:
            return of(tree)
    except OSError:
        return None


def of(tree: Opened) -> Marker | None:
    """Return the marker in an open directory; ``None`` without a valid one."""
    text = tree.read(MARKER_NAME, limit=_LIMIT)
    return None if text is None else from_text(text)


def marker(prefix: Prefix, kind: str) -> Marker:
    """Return the marker that a directory of ``prefix`` has."""
    return Marker(
        identity=prefix.identity,
        kind=kind,
        name=prefix.name,
        board=prefix.board.name,
        eprefix=prefix.eprefix,
        staging_dir=prefix.staging_dir,
        final_dir=prefix.final_dir,
        wrapper_dir=prefix.wrapper_dir,
        kept=prefix.kept,
    )


def write(prefix: Prefix, kind: str) -> None:
    """Create a directory of ``prefix`` if it does not exist, and mark it.

    Do nothing if it has the prefix's marker with the same paths.
    """
    directory = prefix.root(kind).directory
    directory.mkdir(parents=True, exist_ok=True)
    if read(directory) != (wanted := marker(prefix, kind)):
        text = json.dumps(asdict(wanted), indent=2, sort_keys=True, default=os.fspath)
        write_atomic(directory / MARKER_NAME, text + "\n", durable=True)


def as_prefix(known: Marker, *, staging_dir: Path | None = None) -> Prefix:
    """Return the data of a prefix without a record that are needed to remove it."""
    return Prefix(
        name=known.name,
        eprefix=known.eprefix,
        board=board_of(known.board),
        staging_dir=staging_dir or known.staging_dir,
        final_dir=known.final_dir,
        repositories=(),
        main_repo="",
        distdir=Path("/var/empty"),
        depcachedir=Path("/var/empty"),
        toolchain=Toolchain("host", "", "", "", "", ""),
        profile="",
        bootstrap="none",
        wrapper_dir=known.wrapper_dir,
        identity=known.identity,
        kept=known.kept,
        removing=True,
    )


def is_free(directory: Path) -> bool:
    """Return whether a directory holds only the first files of a killed set-up."""
    names = [name for name in os.listdir(directory) if not is_temporary(name)]
    first = {MARKER_NAME, f".{RECORD_NAME}.new"}  # the latter is 0.1.0's temporary name
    return set(names) <= first


def existing(*directories: tuple[str, Path]) -> tuple[str, ...]:
    """Return the kinds of the directories that stay after removal, because they exist now."""
    kept = []
    for kind, directory in directories:
        left = read(directory) or _unfinished(directory)
        if kind in left.kept if left else directory.is_dir():
            kept.append(kind)
    return tuple(kept)


def _unfinished(directory: Path) -> Marker | None:
    """Return the marker that a killed set-up was about to rename to its final name."""
    with suppress(OSError), opened(directory) as tree:
        for name in tree.names():
            if is_abandoned(directory / name) and MARKER_NAME in name:
                text = tree.read(name, limit=_LIMIT)
                return None if text is None else from_text(text)
    return None


def owns(prefix: Prefix, kind: str, tree: Opened) -> bool:
    """Return whether an open directory is the ``kind`` directory of ``prefix``.

    The marker identifies it. Without a marker, the record identifies staging, and the make.conf of
    the final root identifies a prefix of version 0.1.0.
    """
    if MARKER_NAME in tree.names():
        found = of(tree)
        if found is None or found.kind != kind:
            return False
        if prefix.identity:
            return found.identity == prefix.identity
        return is_same(found.staging_dir, prefix.staging_dir)  # its adoption was interrupted
    if kind == "staging":
        return prefix.record_file.name in tree.names() and (
            not prefix.removing or _is_staging_of_0_1_0(tree)
        )
    return not prefix.identity and _is_final_of_0_1_0(prefix, tree)


def belongs(prefix: Prefix, kind: str) -> bool:
    """Return whether the ``kind`` directory of ``prefix`` exists and :func:`owns` proves it."""
    try:
        with opened(prefix.root(kind).directory) as tree:
            return owns(prefix, kind, tree)
    except OSError:
        return False


def _is_final_of_0_1_0(prefix: Prefix, tree: Opened) -> bool:
    named = _named_staging(tree)
    if named is None:
        return False
    moved = not (named / RECORD_NAME).is_file()
    return named == prefix.staging_dir or is_same(named, prefix.staging_dir) or moved


def _is_staging_of_0_1_0(tree: Opened) -> bool:
    """Return whether a make.conf in a staging directory names this directory."""
    named = _named_staging(tree)
    return named is not None and is_same(named, tree.path)


def _named_staging(tree: Opened) -> Path | None:
    """Return the staging directory that a generated make.conf in a root names, or ``None``."""
    if not tree.is_at_its_path():
        return None
    for make_conf in make_confs(tree.path / "root"):
        if named := staging_in(make_conf):
            return Path(named)
    return None


def staging_in(make_conf: Path) -> str | None:
    """Return the staging directory that a make.conf names, or an empty string.

    Return ``None`` if this program did not write the file.
    """
    try:
        text = make_conf.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    if GENERATED not in text:
        return None
    match = re.search(r'^FLATCAR_PREFIX_STAGING="(.*)"$', text, re.MULTILINE)
    return match[1] if match else ""


def make_confs(root: Path, depth: int = 4) -> Iterator[Path]:
    """Yield the make.conf files of prefixes below a root; an EPREFIX is not deep."""
    for level in range(1, depth + 1):
        yield from sorted(root.glob("*/" * level + "etc/portage/make.conf"))


def claim(prefix: Prefix) -> Prefix:
    """Return the prefix with an identity, and mark its directories if they lack the marker.

    Raise :class:`PrefixError` if one of them contains files that are not the prefix's.
    """
    prefix = adopt(prefix)
    for kind in KINDS:
        directory = prefix.root(kind).directory
        free = is_free(directory) if directory.is_dir() else not os.path.lexists(directory)
        if not free and not belongs(prefix, kind):
            raise PrefixError(
                f"{directory} does not belong to the prefix {prefix.id}: it has no marker of it",
                hint="Move it away, then run the same command again.",
            )
    for kind in KINDS:
        write(prefix, kind)
    return prefix


def adopt(prefix: Prefix) -> Prefix:
    """Mark the directories of a prefix that version 0.1.0 made; return it with its identity.

    Mark only directories that certainly belong to the prefix. The caller writes the record.
    Return a prefix with an identity unchanged.
    """
    if prefix.identity:
        return prefix
    found = next((known for kind in KINDS if (known := _interrupted(prefix, kind))), None)
    adopted = replace(prefix, identity=found.identity if found else new_identity())
    for kind in ("final", "staging"):
        directory = prefix.root(kind).directory
        with suppress(FileNotFoundError, NotADirectoryError):
            with opened(directory) as tree:
                own = owns(prefix, kind, tree)
            if own:
                write(adopted, kind)
    return adopted


def _interrupted(prefix: Prefix, kind: str) -> Marker | None:
    """Return the marker of an adoption that ended before it wrote the record."""
    found = read(prefix.root(kind).directory)
    return found if found and is_same(found.staging_dir, prefix.staging_dir) else None
