# SPDX-License-Identifier: BSD-3-Clause
"""The record file, which describes a prefix.

A prefix outlives the installation of this program that made it: the record marks the repositories
that this program contains, and a reader finds them in its own installation.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from dataclasses import asdict, replace
from pathlib import Path

from flatcar_prefix.boards import Board, board
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.prefix import markers, program
from flatcar_prefix.prefix.model import KINDS, RECORD_NAME, Prefix
from flatcar_prefix.prefix.names import check_directory, check_eprefix, check_name
from flatcar_prefix.prefix.repository import Repository
from flatcar_prefix.system import schema
from flatcar_prefix.system.files import is_same, write_atomic
from flatcar_prefix.system.places import data_dir, detect_sdk, embedded_repositories

RECORD_FORMAT = 1

BOOTSTRAPS = ("source", "import", "none")
TOOLCHAINS = ("board", "sdk", "host")

_LIMIT = 1 << 20
"""A record has a few kilobytes."""


def to_record(prefix: Prefix) -> str:
    """Return the text of the record, JSON with sorted keys."""
    data = asdict(replace(prefix, board=prefix.board.name))  # type: ignore[arg-type]
    data["format"] = RECORD_FORMAT
    return json.dumps(data, indent=2, sort_keys=True, default=os.fspath) + "\n"


def from_record(text: str | bytes, staging_dir: Path | None = None) -> Prefix:
    """Return the prefix that a record describes; raise :class:`PrefixError` if it is broken.

    ``staging_dir`` is the directory of the record, which the hint names.
    """
    word = shlex.quote(os.fspath(staging_dir)) if staging_dir else "<staging directory>"
    remove = f"flatcar-prefix uninstall {word}"
    try:
        data = json.loads(text)
        if not isinstance(data, dict):
            raise schema.InvalidData("it is not an object")
        _check_format(data, remove)
        prefix = schema.parse(Prefix, data, converters={Board: board_named})
        _check(prefix)
        return prefix
    except (ValueError, RecursionError) as error:
        raise PrefixError(
            f"the record of the prefix is broken: {error or type(error).__name__}",
            hint=f"Remove the prefix: {remove}; or add --force to its setup_prefix command.",
        ) from error


def board_named(name: str) -> Board:
    """Return the board called ``name``; raise ``ValueError`` for an unknown name."""
    try:
        return board(name)
    except PrefixError as error:
        raise ValueError(str(error)) from None


def _check_format(data: dict[str, object], remove: str) -> None:
    number = data.get("format")
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise schema.InvalidData("format is not a positive integer")
    if number > RECORD_FORMAT:
        by = data.get("written_by")
        version = f", {by}" if isinstance(by, str) and by.isprintable() else ""
        raise PrefixError(
            f"the prefix was created by a newer version{version}",
            hint=f"Use that version; or remove the prefix: {remove}; or add --force to its"
            " setup_prefix command.",
        )


def _check(prefix: Prefix) -> None:
    """Raise ``ValueError`` for a value that no version of this program has written."""
    try:
        check_name(prefix.name)
        check_eprefix(prefix.eprefix)
        for directory in (prefix.staging_dir, prefix.final_dir):
            check_directory(directory)
    except PrefixError as error:
        raise schema.InvalidData(str(error)) from None
    one, other = prefix.staging_dir, prefix.final_dir
    if one == other or one in other.parents or other in one.parents:
        raise schema.InvalidData("staging_dir and final_dir overlap")
    if not prefix.wrapper_dir.is_absolute():
        raise schema.InvalidData("wrapper_dir is not an absolute path")
    for place, value, known in (
        ("bootstrap", prefix.bootstrap, BOOTSTRAPS),
        ("toolchain.kind", prefix.toolchain.kind, TOOLCHAINS),
        *(("kept", kind, KINDS) for kind in prefix.kept),
    ):
        if value not in known:
            raise schema.InvalidData(f"{place} is {value!r}, not one of {', '.join(known)}")
    if prefix.identity and not re.fullmatch(r"[0-9a-f]{32}", prefix.identity):
        raise schema.InvalidData("identity is not a number of 32 hexadecimal digits")


def read(staging_dir: Path) -> Prefix:
    """Return the prefix whose record is in ``staging_dir``.

    The returned prefix keeps the staging path of its creation, which its wrappers use, even
    if ``staging_dir`` reaches the directory by another path. A moved prefix has its new path.
    Raise ``FileNotFoundError`` without a record. Raise :class:`PrefixError` for a copy of a
    prefix, because its record names the original's final root and wrappers.
    """
    with (staging_dir / RECORD_NAME).open("rb") as file:
        prefix = from_record(file.read(_LIMIT), staging_dir)
    prefix = _here(prefix, staging_dir)
    if prefix.staging_dir == staging_dir or is_same(prefix.staging_dir, staging_dir):
        return prefix
    if prefix.record_file.exists():
        raise PrefixError(
            f"{staging_dir} is a copy of the prefix {prefix.id} in {prefix.staging_dir}",
            hint="Use the original; this copy is not registered and can be deleted.",
        )
    return _moved(prefix, staging_dir)


def _moved(prefix: Prefix, staging_dir: Path) -> Prefix:
    """Return the prefix at its new staging directory, with the repositories in it."""
    old = prefix.staging_dir
    repositories = tuple(
        replace(r, location=staging_dir / r.location.relative_to(old))
        if old in r.location.parents
        else r
        for r in prefix.repositories
    )
    return replace(prefix, staging_dir=staging_dir, repositories=repositories)


def _here(prefix: Prefix, staging_dir: Path) -> Prefix:
    """Return the prefix with its paths in this installation of the program."""
    makers = _maker_repositories(prefix, staging_dir)
    found = tuple(_resolved(repository, makers) for repository in prefix.repositories)
    if found != prefix.repositories:
        main = next((r for r in found if r.name == prefix.main_repo), None)
        scripts = os.fspath(data_dir()) if main and main.embedded else prefix.scripts_dir
        prefix = replace(prefix, repositories=found, scripts_dir=scripts)
    return replace(prefix, final_dir=_final_dir(prefix))


def _maker_repositories(prefix: Prefix, staging_dir: Path) -> tuple[Path, ...]:
    """Return the directories of repositories of the installation that made the prefix.

    Version 0.1.0 marked no repository as embedded; the prefix's make.conf names its program.
    """
    if any(repository.embedded for repository in prefix.repositories):
        return ()
    root = staging_dir / "root" / prefix.eprefix.lstrip("/")
    written = program.written_in(root / "etc/portage/make.conf")
    if written is None:
        return ()
    return written.package_dir.parent / "repos", written.package_dir / "_data/repos"


def _resolved(repository: Repository, makers: tuple[Path, ...]) -> Repository:
    if not (repository.embedded or repository.location.parent in makers):
        return repository
    location = embedded_repositories() / repository.location.name
    return replace(repository, location=location, embedded=True)


def _final_dir(prefix: Prefix) -> Path:
    """Return the final directory, which moves together with the checkout that contains it."""
    if prefix.final_dir.exists() or not prefix.identity:
        return prefix.final_dir
    moved = detect_sdk().final_dir(prefix.board, prefix.name)
    marker = markers.read(moved)
    return moved if marker and marker.identity == prefix.identity else prefix.final_dir


def write(prefix: Prefix) -> Prefix:
    """Write the record, atomically, and return the prefix."""
    write_atomic(prefix.record_file, to_record(prefix), durable=True)
    return prefix
