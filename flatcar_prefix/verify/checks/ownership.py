# SPDX-License-Identifier: BSD-3-Clause
"""What Portage knows of the files: nothing without an owner, nothing missing or changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flatcar_prefix.verify.findings import Finding
from flatcar_prefix.verify.owners import Installed, Owners, index, installed_files
from flatcar_prefix.verify.tree import GENERATED, MISSING, Entry, Resolver, Tree


def index_owners(tree: Tree, vartree: Any) -> tuple[Owners, list[Finding]]:
    """Return the index of all files that packages own, and a finding for each missing one."""
    resolver = Resolver(tree)
    findings: list[Finding] = []

    def canonical(path: str) -> str | None:
        directory, _, name = path.rpartition("/")
        parent = resolver.resolve(directory) if tree.inside(directory) else None
        whole = path if parent is None else f"{parent.path}/{name}"
        if parent is not None and parent.failure == MISSING:
            return None
        return whole if resolver.local(whole) else None

    def missing(file: Installed) -> None:
        message = f"was installed by {file.package}, and is not there"
        findings.append(Finding("vdb-missing", file.path, message, package=file.package))

    files = installed_files(vartree)
    return index(files, canonical=canonical, missing=missing), findings


def check_owner(tree: Tree, entry: Entry) -> Iterator[Finding]:
    """Yield a finding for a file that no package owns."""
    if tree.owners is None or tree.relative(entry.path) in GENERATED:
        return
    if tree.owners.get(entry.path) is None:
        yield Finding("unowned", entry.path, "belongs to no package")


def check_digest(tree: Tree, path: str, expected: bytes, actual: bytes) -> Iterator[Finding]:
    """Yield a finding for a file whose MD5 is not the one that Portage recorded."""
    if expected and actual != expected:
        code = "vdb-config-changed" if tree.is_config(path) else "vdb-changed"
        yield Finding(code, path, "is not what its package installed")
