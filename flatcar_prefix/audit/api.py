# SPDX-License-Identifier: BSD-3-Clause
"""Is a prefix self-contained? Findings, checks and reporters.

:func:`verify` looks at a root of a prefix, :func:`verify_directory` at any directory
that has one in it. ``docs/verify.md`` lists the codes of the findings.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flatcar_prefix.audit.audit import Progress, audit
from flatcar_prefix.audit.checks.ownership import index_owners
from flatcar_prefix.audit.findings import CODES, Code, Finding, Report, Statistics
from flatcar_prefix.audit.tree import Tree
from flatcar_prefix.audit.waivers import Waiver, read_waivers
from flatcar_prefix.boards import Board
from flatcar_prefix.errors import PrefixError

if TYPE_CHECKING:
    from flatcar_prefix.prefix.model import Prefix, Root

__all__ = [
    "CODES",
    "Code",
    "Finding",
    "Report",
    "Statistics",
    "Tree",
    "Waiver",
    "audit",
    "verify",
    "verify_directory",
]


def _quiet(_: Statistics) -> None:
    pass


def verify(
    root: Root,
    *,
    strict: bool = False,
    waivers: Iterable[Waiver] | None = None,
    jobs: int | None = None,
    shipped: Iterable[str] | None = None,
    progress: Progress = _quiet,
) -> Report:
    """Return what keeps a root of a prefix from being self-contained.

    ``strict`` makes errors of warnings. ``waivers`` are those of the root's own
    configuration and, for final, of staging's, unless given. ``shipped`` are the paths of the
    target, directories included, that are looked at and found by what is looked at; all,
    unless given. Nothing is changed.
    :class:`PrefixError` when the root cannot be read at all.
    """
    tree = tree_of(root)
    if waivers is None:
        waivers = waivers_of(root)
    vartree = root.trees["vartree"]
    owners, missing = index_owners(tree, vartree)
    return audit(
        replace(tree, owners=owners, shipped=None if shipped is None else frozenset(shipped)),
        strict=strict,
        waivers=waivers,
        found_before=missing,
        installed=vartree.dbapi,
        jobs=jobs,
        progress=progress,
    )


def verify_directory(
    directory: Path,
    eprefix: str,
    board: Board,
    *,
    forbidden_paths: Iterable[str] = (),
    libc: str = "source",
    strict: bool = False,
    jobs: int | None = None,
    progress: Progress = _quiet,
) -> Report:
    """Return what keeps the prefix in a directory from being self-contained.

    ``directory`` holds EPREFIX, as ROOT does. Nothing is asked of Portage, so that
    owners and digests are not checked. ``forbidden_paths`` are directories of the build
    machine that nothing may name, :func:`forbidden_paths` those that a root knows of;
    ``libc`` is ``source`` for a C library built for the prefix, ``import`` for another.
    """
    tree = directory_tree(directory, eprefix, board, forbidden_paths=forbidden_paths, libc=libc)
    return audit(tree, strict=strict, jobs=jobs, progress=progress)


def directory_tree(
    directory: Path,
    eprefix: str,
    board: Board,
    *,
    forbidden_paths: Iterable[str] = (),
    libc: str = "source",
) -> Tree:
    """Return the tree of a directory that holds EPREFIX."""
    return Tree(
        root=directory,
        eprefix=eprefix.rstrip("/"),
        board=board,
        forbidden_paths=tuple(forbidden_paths),
        libc=libc,
    )


def tree_of(root: Root) -> Tree:
    """Return the tree of a root, without owners."""
    prefix = root.prefix
    if not root.eroot.is_dir():
        raise PrefixError(
            f"there is nothing in {root.kind} of {prefix.name}: no {root.eroot}",
            hint="Install a package first.",
        )
    return Tree(
        root=root.path,
        eprefix=prefix.eprefix,
        board=prefix.board,
        forbidden_paths=forbidden_paths(root),
        libc=libc_of(prefix),
        config_protect=_config_protect(root),
    )


def libc_of(prefix: Prefix) -> str:
    """Return ``import`` where the C library is the toolchain's own, else ``source``."""
    return "import" if prefix.bootstrap == "import" else "source"


def forbidden_paths(root: Root) -> tuple[str, ...]:
    """Return the directories of the build machine that nothing of a root may name."""
    prefix = root.prefix
    named = [
        os.fspath(prefix.staging_dir),
        os.fspath(prefix.final_dir),
        str(root.settings.get("PORTAGE_TMPDIR", "")),
        prefix.toolchain.sysroot,
    ]
    real = [os.path.realpath(path) for path in named if path]
    return tuple(p for p in dict.fromkeys([*named, *real]) if p.count("/") > 1)


def _config_protect(root: Root) -> tuple[str, ...]:
    """Return CONFIG_PROTECT, relative to EPREFIX as Portage has it."""
    eprefix = root.prefix.eprefix
    paths = str(root.settings.get("CONFIG_PROTECT", "")).split()
    return tuple(p[len(eprefix) :] if p.startswith(eprefix + "/") else p for p in paths)


def waivers_of(root: Root) -> tuple[Waiver, ...]:
    """Return the waivers that are written in a root's configuration, staging's for final too."""
    prefix = root.prefix
    kinds = (prefix.staging,) if root.kind == "staging" else (prefix.staging, root)
    return tuple(waiver for each in kinds for waiver in read_waivers(each.config_dir))
