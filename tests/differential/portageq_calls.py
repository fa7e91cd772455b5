# SPDX-License-Identifier: BSD-3-Clause
"""Compare the portageq wrapper with Portage's own program in the view of the same root."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from comparing import Allowed, Comparison, answer, prefix_in
from machine import InUse

CALLS = r"""
match {root} app-misc/*
match {root} ''
match {root} greeting
match {root} 'app-misc/greeting[loud]'
match {root} 'app-misc/greeting[-loud]'
match {root} app-misc/greeting::tool-tests
match {root} '>>bad'
match {root}
best_version {root} app-misc/letter
best_version {root} app-misc/nothing
best_version {root} greeting
has_version {root} app-misc/greeting
has_version {root} app-misc/nothing
has_version {root} '>>bad'
has_version {root}
mass_best_version {root} app-misc/letter app-misc/greeting app-misc/nothing
best_visible {root} app-misc/letter
best_visible {root} ebuild app-misc/letter
best_visible {root} installed app-misc/letter
best_visible {root} binary app-misc/letter
best_visible {root} app-misc/masked
mass_best_visible {root} app-misc/letter app-misc/masked
all_best_visible {root}
metadata {root} installed app-misc/greeting-1.0 SLOT USE IUSE EAPI repository
metadata {root} ebuild app-misc/greeting-1.0 SLOT DESCRIPTION
metadata {root} binary app-misc/greeting-1.0 SLOT
metadata {root} nothing app-misc/greeting-1.0 SLOT
metadata {root} ebuild app-misc/nothing-1 SLOT
metadata {root} ebuild
contents {root} app-misc/greeting-1.0
contents {root} app-misc/nothing-1
owners {root} {root}/usr/bin/greet
owners {root} {root}/usr/bin/greet {root}/etc/greeting/conf /nothing
owners {root} greet
owners {root} {root}/usr
owners {root} /nothing
owners {root}
is_protected {root} {root}/etc/greeting/conf
is_protected {root} {root}/usr/bin/greet
is_protected {root}
list_preserved_libs {root}
config_protect
config_protect_mask
envvar CHOST ARCH ACCEPT_KEYWORDS
envvar -v CHOST EPREFIX EPREFIX
envvar NOTHING
envvar
envvar ROOT EROOT SYSROOT PORTAGE_CONFIGROOT
get_repos {root}
get_repo_path {root} tool-tests gentoo-subset
get_repo_path {root} nothing
get_repo_path {root}
repositories_configuration {root}
repos_config {root}
master_repositories {root} tool-tests
available_eclasses {root} tool-tests
eclass_path {root} tool-tests tool-tests
eclass_path {root} tool-tests nothing
license_path {root} tool-tests Tool-Tests
expand_virtual {root} virtual/libc
expand_virtual {root} app-misc/letter
vdb_path
gentoo_mirrors
portdir
portdir_overlay
pkgdir
distdir
colormap
nope
nope {root}

--help
match --help
--version
pquery app-misc/letter
pquery --repo=tool-tests --no-version
pquery --maintainer-email=x@example.org
pquery --nonsense
"""
"""Each call is made in both roots; ``{root}`` is the prefix's own directory."""

ALLOWED = (
    Allowed(r".* --help", "portageq lists two of its functions that are no sub-commands"),
    Allowed(r".* '>>bad'", "portageq ends in a traceback; the wrapper names the invalid atom"),
    Allowed(
        r".* owners \{root\} .*",
        "portageq prints a path below EROOT as one below ROOT, and then denies its owner",
    ),
    Allowed(
        r".* (owners|is_protected) \{root\}", "the root may be omitted: the word is then a file"
    ),
    Allowed(r".*envvar ROOT.*", "in the view the prefix is a native one, with ROOT=/"),
)


def _theirs(prefix: InUse, kind: str) -> list[str]:
    import portage

    enter = prefix.staging_dir / "view/enter"
    script = Path(portage.const.PORTAGE_BIN_PATH) / "portageq"
    return [
        "unshare", "--mount", "--propagation", "private", "--", "/bin/sh", str(enter), kind, "root",
        sys.executable, str(script),
    ]  # fmt: skip


def _normal(prefix: InUse, kind: str) -> Callable[[str], str]:
    """Return the function that writes paths in the root as paths in the prefix."""
    return lambda text: text.replace(str(prefix.eroot(kind)), prefix.eprefix)


def run(base: Path, *, only: str = "") -> int:
    """Compare all calls that contain ``only``; return the number of differences that are not allowed."""
    prefix = prefix_in(base)
    comparison = Comparison("portageq", ALLOWED)
    view = {"PORTAGE_OVERRIDE_EPREFIX": prefix.eprefix}
    for kind in ("staging", "final"):
        for line in CALLS.strip("\n").splitlines():
            if only not in line:
                continue
            args = shlex.split(line.replace("{root}", prefix.eprefix))
            normal = _normal(prefix, kind)
            theirs = prefix.machine.run(*_theirs(prefix, kind), *args, env=view)
            ours = prefix.machine.run(prefix.wrapper("portageq"), f"--{kind}", *args)
            comparison.add(f"{kind} {line}", answer(theirs, normal), answer(ours, normal))
    return comparison.end()
