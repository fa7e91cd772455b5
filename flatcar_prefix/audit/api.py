# SPDX-License-Identifier: BSD-3-Clause
"""The public interface of the audit, which checks that a prefix is self-contained.

:func:`verify` audits a root of a prefix. :func:`verify_directory` audits any directory
that holds a prefix. ``docs/verify.md`` lists the codes of the findings.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flatcar_prefix.audit.audit import Progress, audit
from flatcar_prefix.audit.checks.cpu_flags import check_flags
from flatcar_prefix.audit.checks.dependencies import check_provided
from flatcar_prefix.audit.checks.ownership import index_owners
from flatcar_prefix.audit.findings import CODES, Code, Finding, Report, Statistics
from flatcar_prefix.audit.tree import Tree
from flatcar_prefix.audit.waivers import Waiver, read_waivers
from flatcar_prefix.boards import Board
from flatcar_prefix.prefix import locks, registry
from flatcar_prefix.prefix.model import Root
from flatcar_prefix.relocate.package import MOVED_FROM

if TYPE_CHECKING:
    from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.prefix.registry import Named

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
    root: Root | Named,
    *,
    strict: bool = False,
    waivers: Iterable[Waiver] | None = None,
    jobs: int | None = None,
    shipped: Iterable[str] | None = None,
    progress: Progress = _quiet,
) -> Report:
    """Audit a root of a prefix and return the report; change nothing.

    A prefix, or its name, means its final root.

    ``strict`` turns warnings into errors. ``waivers`` replace the waivers of the root's
    configuration (for final, also of staging's). ``shipped`` limits the audit to these paths
    of the target, directories included; all other paths of the prefix count as missing.
    Raise :class:`PrefixError` if the root cannot be read.
    """
    if not isinstance(root, Root):
        root = registry.load(root).final
    with locks.at_rest(root):
        tree = tree_of(root)
        if waivers is None:
            waivers = waivers_of(root)
        vartree = root.trees["vartree"]
        owners, missing = index_owners(tree, vartree)
        before = [*missing, *check_flags(vartree.dbapi, tree.board)]
        before += check_provided(root, vartree.dbapi)
        return audit(
            replace(tree, owners=owners, shipped=None if shipped is None else frozenset(shipped)),
            strict=strict,
            waivers=waivers,
            found_before=before,
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
    """Audit the prefix in a directory and return the report; change nothing.

    ``directory`` holds EPREFIX, as ROOT does. The audit does not read the VDB, so it
    checks neither owners nor digests. ``forbidden_paths`` are directories of the build
    machine that no file may name; :func:`forbidden_paths` returns those of a root.
    ``libc`` is ``source`` for a C library built for the prefix, else ``import``.
    Raise :class:`PrefixError` if the directory cannot be read or does not hold EPREFIX.
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
    registry.refuse_unconfigured(root)
    return Tree(
        root=root.path,
        eprefix=prefix.eprefix,
        board=prefix.board,
        forbidden_paths=forbidden_paths(root),
        libc=libc_of(prefix),
        environment=True,
        config_protect=_config_protect(root),
    )


def libc_of(prefix: Prefix) -> str:
    """Return ``import`` if the C library comes from the toolchain, else ``source``."""
    return "import" if prefix.bootstrap == "import" else "source"


def forbidden_paths(root: Root) -> tuple[str, ...]:
    """Return the directories of the build machine that no file of a root may name."""
    prefix = root.prefix
    named = [
        os.fspath(prefix.staging_dir),
        os.fspath(prefix.final_dir),
        str(root.settings.get("PORTAGE_TMPDIR", "")),
        str(root.settings.get("DISTDIR", "")),
        prefix.scripts_dir,
        prefix.toolchain.sysroot,
    ]
    real = [os.path.realpath(path) for path in named if path]
    found = dict.fromkeys([*named, *real, *moved_from(root)])
    return tuple(path for path in found if path.count("/") > 1)


def moved_from(root: Root) -> tuple[str, ...]:
    """Return the EPREFIXes that moved packages of a root were built for."""
    vardb = root.vardb
    found = (vardb.aux_get(cpv, [MOVED_FROM])[0].strip() for cpv in vardb.cpv_all())
    return tuple(dict.fromkeys(path for path in found if path))


def _config_protect(root: Root) -> tuple[str, ...]:
    """Return the paths of CONFIG_PROTECT, with EPREFIX removed."""
    eprefix = root.prefix.eprefix
    paths = str(root.settings.get("CONFIG_PROTECT", "")).split()
    return tuple(p[len(eprefix) :] if p.startswith(eprefix + "/") else p for p in paths)


def waivers_of(root: Root) -> tuple[Waiver, ...]:
    """Return the waivers of a root's configuration; for final, staging's come first."""
    prefix = root.prefix
    kinds = (prefix.staging,) if root.kind == "staging" else (prefix.staging, root)
    return tuple(waiver for each in kinds for waiver in read_waivers(each.config_dir))
