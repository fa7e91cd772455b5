# SPDX-License-Identifier: BSD-3-Clause
"""Checks against the VDB: files without an owner, missing files and changed files."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from flatcar_prefix.audit.findings import Finding
from flatcar_prefix.audit.tree import GENERATED, MISSING, UNREADABLE, Entry, Resolver, Tree
from flatcar_prefix.audit.vdb_owners import Installed, Owners, index, installed_files
from flatcar_prefix.errors import PrefixError


def index_owners(tree: Tree, vartree: Any) -> tuple[Owners, list[Finding]]:
    """Return the index of all owned files, and a finding for each missing one.

    Raise :class:`PrefixError` if the VDB cannot be read.
    """
    _check_database(Path(tree.local(f"{tree.eprefix}/var/db/pkg")))
    resolver = Resolver(tree)
    findings: list[Finding] = []

    def canonical(path: str) -> str | None:
        directory, _, name = path.rpartition("/")
        parent = resolver.resolve(directory) if tree.inside(directory) else None
        whole = path if parent is None else f"{parent.path}/{name}"
        if parent is not None and parent.failure == MISSING:
            return None
        status = resolver.lstat(whole)
        if status is None:
            return whole if resolver.resolve(whole).failure == UNREADABLE else None
        return None if stat.S_ISDIR(status.st_mode) else whole

    def missing(file: Installed) -> None:
        code, what = "vdb-missing", "does not exist"
        if Path(tree.local(file.path)).is_dir():
            code, what = "vdb-changed", "is a directory now"
        message = f"belongs to {file.package} and {what}"
        findings.append(Finding(code, file.path, message, package=file.package))

    files = installed_files(vartree)
    return index(files, canonical=canonical, missing=missing), findings


def _check_database(vdb: Path) -> None:
    """Raise :class:`PrefixError` for an unreadable VDB, which Portage treats as empty."""
    try:
        for category in _below(vdb):
            for package in _below(category):
                with suppress(FileNotFoundError, NotADirectoryError):
                    (package / "CONTENTS").open("rb").close()
    except PermissionError as error:
        raise PrefixError(
            f"the VDB cannot be read: {error.filename}",
            hint="Run the audit as a user who can read it.",
        ) from None


def _below(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def check_owner(tree: Tree, entry: Entry) -> Iterator[Finding]:
    """Yield a finding for a file that no package owns and Portage does not generate."""
    if tree.owners is None or tree.relative(entry.path) in GENERATED:
        return
    if tree.owners.get(entry.path) is None:
        yield Finding("unowned", entry.path, "does not belong to any package")


def check_digest(tree: Tree, path: str, expected: bytes, actual: bytes) -> Iterator[Finding]:
    """Yield a finding for a file whose MD5 differs from the MD5 in the VDB."""
    if expected and actual != expected:
        code = "vdb-config-changed" if tree.is_config(path) else "vdb-changed"
        yield Finding(code, path, "differs from the file that its package installed")
