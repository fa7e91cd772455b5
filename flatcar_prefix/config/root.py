# SPDX-License-Identifier: BSD-3-Clause
"""Write the ``etc/portage`` of one root."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from flatcar_prefix.config import make_conf
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.prefix.model import Prefix, Root
from flatcar_prefix.prefix.repository import repos_conf
from flatcar_prefix.repositories import checkout_config
from flatcar_prefix.repositories.find import TOOLCHAIN_ROLE
from flatcar_prefix.repositories.profiles import (
    COMPOSED,
    composed_parents,
    profile_dir,
    profile_location,
)
from flatcar_prefix.system.files import replace_link, write_atomic
from flatcar_prefix.system.places import data_dir

OWN_FILE = "flatcar-prefix"
"""The name of this program's file in package.* directories, next to the user's files."""

SHARED_LISTS = (*checkout_config.TAKEN, "package.accept_restrict", "package.properties")
"""Lists in staging that apply to both roots; the user can add to them in final.
Portage reads directories of these names recursively."""

SHARED_WHOLE = ("env", "patches", "sets")
"""Directories whose files Portage looks up by name. They are the same in both roots, because
Portage rejects a binary package that was built with other patches."""

COMPILER = "sys-devel/gcc"

RUNTIME = ("prefix/prefix-final", "prefix/gcc-runtime")
"""The packages that programs need to run; both roots keep them."""

FROM_TOOLCHAIN = ("sys-apps/baselayout", "sys-kernel/linux-headers")
"""The dependencies that come from the toolchain's repository, like an imported C library."""


def config_files(
    root: Root, *, jobs: int, launcher: Sequence[str], features: tuple[str, ...] = ()
) -> dict[str, str]:
    """Return the text of every file below ``etc/portage``, by its path from there.

    :mod:`flatcar_prefix.repositories.checkout_config` adds the checkout's files.
    """
    prefix = root.prefix
    found = {
        "make.conf": make_conf.make_conf(
            root, jobs=jobs, launcher=launcher, extra_features=features
        ),
        "repos.conf": repos_conf(prefix.repositories, main_repo=prefix.main_repo),
        "bashrc": _helper("bashrc"),
        f"package.accept_keywords/{OWN_FILE}": make_conf.atoms_file(_keywords(prefix)),
        f"package.mask/{OWN_FILE}": make_conf.atoms_file(_masks(prefix)),
        f"package.use/{OWN_FILE}": make_conf.atoms_file(_use(prefix)),
        "profile/package.provided": _provided(prefix),
        "profile/packages": _packages(root),
        **(
            {"qa-check": _helper("install-qa-check.d/60flatcar-prefix")}
            if prefix.native_host
            else {}
        ),
    }
    linked = SHARED_LISTS if shared(root) else ()
    return {name: text for name, text in found.items() if os.path.dirname(name) not in linked}


def shared(root: Root) -> dict[str, Path]:
    """Return final's links to staging: the target of each link, by its path.

    Both roots need the user's keywords and masks, so that final installs the packages that
    staging builds. In a list, the link is next to the user's own files for final; Portage
    reads them in the order of their names.
    """
    if root.kind == "staging":
        return {}
    there = root.prefix.staging.config_dir
    lists = {f"{name}/{OWN_FILE}": there / name for name in SHARED_LISTS}
    return lists | {name: there / name for name in SHARED_WHOLE}


def _helper(name: str) -> str:
    return (data_dir() / "eclass-helpers" / name).read_text(encoding="utf-8")


def _keywords(prefix: Prefix) -> list[tuple[str, str, str]]:
    return [
        (
            "This program's own packages are as stable as this program.",
            "prefix/prefix-final",
            f"{prefix.board.arch} ~{prefix.board.arch}",
        )
    ]


def _masks(prefix: Prefix) -> list[tuple[str, str, str]]:
    if prefix.bootstrap != "import":
        return [
            ("The C library is built from source (--bootstrap=source).", "prefix/imported-libc", "")
        ]
    imported = "The C library is the toolchain's own (--bootstrap=import)"
    others = [r.name for r in prefix.repositories if r.name != TOOLCHAIN_ROLE]
    return [
        (f"{imported}.", "sys-libs/glibc", ""),
        *(
            (f"{imported}, and so are its dependencies.", f"{package}::{name}", "")
            for package in FROM_TOOLCHAIN
            for name in others
        ),
    ]


def _use(prefix: Prefix) -> list[tuple[str, str, str]]:
    return [
        (
            "Nobody logs in to a prefix: no PAM, no setuid programs, no daemons of its own.",
            "*/*",
            "-pam -suid -systemd -selinux -audit -debuginfod",
        ),
        (
            "Gentoo's baselayout also creates the directories, not only the files.",
            "sys-apps/baselayout",
            "build",
        ),
    ]


def _provided(prefix: Prefix) -> str:
    lines = []
    if not prefix.with_gcc:
        lines += [
            "# The compiler stays on the build host; the prefix has its runtime libraries only.",
            f"{COMPILER}-{_version_of(prefix.toolchain.version)}",
        ]
    if provided := checkout_config.provided(prefix.repositories):
        lines += ["# The base profile of the checkout leaves these packages out.", *provided]
    return "".join(f"{line}\n" for line in lines)


def _packages(root: Root) -> str:
    """Return the root's changes to the profile's @system."""
    kept = "".join(f"*{key}\n" for key in system_packages(root))
    if root.kind == "final":
        return f"# Only what programs need to run; staging has the build tools.\n-*\n{kept}"
    return f"# Provided, see package.provided.\n{_taken_out(root.prefix)}# Bootstrapped.\n{kept}"


def system_packages(root: Root) -> tuple[str, ...]:
    """Return the packages of the bootstrap, which --depclean must keep."""
    compiler = root.kind == "staging" and root.prefix.with_gcc
    return (*RUNTIME, COMPILER) if compiler else RUNTIME


def _taken_out(prefix: Prefix) -> str:
    """Return the lines that remove provided packages from @system; Portage warns about them."""
    from portage.versions import cpv_getkey

    keys = [] if prefix.with_gcc else [COMPILER]
    keys += [cpv_getkey(cpv) for cpv in checkout_config.provided(prefix.repositories)]
    return "".join(f"-*{key}\n" for key in keys)


def _version_of(text: str) -> str:
    words = text.replace(")", " ").split()
    numbers = [w for w in words if w[0].isdigit() and set(w) <= set("0123456789.")]
    return numbers[-1] if numbers else "0"


def write_config(
    root: Root, *, jobs: int, launcher: Sequence[str], features: tuple[str, ...] = ()
) -> None:
    """Write the configuration of ``root`` and create its directories.

    Files that the user added stay.
    """
    config = root.config_dir
    # emaint fails on a root without a VDB.
    vdb = root.eroot / "var/db/pkg"
    for directory in (config, vdb, root.logdir, root.tmpdir, root.pkgdir, root.prefix.distdir):
        directory.mkdir(parents=True, exist_ok=True)
    root.prefix.depcachedir.mkdir(parents=True, exist_ok=True)
    for name, text in config_files(root, jobs=jobs, launcher=launcher, features=features).items():
        (config / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(config / name, text)
    user = config / "make.conf.user"
    if not user.exists():
        write_atomic(user, make_conf.make_conf_user(root))
    if root.kind == "staging":  # final links to it
        checkout_config.write(config, root.prefix)
    for link, target in shared(root).items():
        _share(config, link, target)
    _write_profile(root)


def _share(config: Path, link: str, target: Path) -> None:
    path = config / link
    if path.parent.is_file():
        raise PrefixError(
            f"{path.parent} is a file, so it cannot hold the link to staging",
            hint="Replace it with a directory that contains this file.",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    if link in SHARED_WHOLE:
        if not os.path.lexists(target) and link != "patches":  # a checkout may add it later
            target.mkdir(parents=True)
        if os.path.lexists(path):
            return
    replace_link(path, target)


def _write_profile(root: Root) -> None:
    prefix = root.prefix
    link = root.config_dir / "make.profile"
    if prefix.profile == COMPOSED:
        directory = root.config_dir / "composed-profile"
        directory.mkdir(exist_ok=True)
        write_atomic(directory / "eapi", "8\n")
        parents = "".join(f"{path}\n" for path in composed_directories(prefix))
        write_atomic(directory / "parent", parents)
        replace_link(link, directory.name)
    else:
        replace_link(link, profile_location(prefix.repositories, prefix.profile))


def composed_directories(prefix: Prefix) -> list[Path]:
    main = next(r for r in prefix.repositories if r.name == prefix.main_repo)
    parents = composed_parents(main, prefix.board)
    return [profile_dir(main, parent.partition(":")[2]) for parent in parents]


def missing_features(prefix: Prefix) -> tuple[str, ...]:
    """Return the FEATURES to turn off because this machine lacks their programs."""
    missing = [] if shutil.which("sandbox") else ["-sandbox", "-usersandbox"]
    if prefix.username not in ("portage", "sdk") and not prefix.native_host:
        missing += ["-userpriv", "-userfetch", "-usersync"]
    return tuple(missing)
