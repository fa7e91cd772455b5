# SPDX-License-Identifier: BSD-3-Clause
"""Writing one root's ``etc/portage``, loading it back through Portage, and comparing."""

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
"""What this program's file is called in package.* directories, beside the user's own."""


SHARED_LISTS = (*checkout_config.TAKEN, "package.accept_restrict", "package.properties")
"""What stands in staging and holds in both roots, where the user may add to it in final.
Portage reads a directory of any of these names, and the directories therein."""


SHARED_WHOLE = ("env", "patches", "sets")
"""What is looked up there by name, and so is the same in both roots. Portage takes no binary
package that was built with other patches than it finds."""


COMPILER = "sys-devel/gcc"


RUNTIME = ("prefix/prefix-final", "prefix/gcc-runtime")
"""What programs need to run: where final begins, and what stays in both roots."""


FROM_TOOLCHAIN = ("sys-apps/baselayout", "sys-kernel/linux-headers")
"""What an imported C library stands on comes from the same place as it."""


def config_files(
    root: Root, *, jobs: int, launcher: Sequence[str], features: tuple[str, ...] = ()
) -> dict[str, str]:
    """Return the text of every file below ``etc/portage``, by its path from there.

    What the checkout adds to it is :mod:`flatcar_prefix.repositories.checkout_config`'s.
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
    """Return what final has by links to staging: where each leads to, by its path.

    Were the user's keywords and masks one root's alone, what is built would not be what is
    installed. A list has the link among the user's own files for final, which come behind
    it if their names do.
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
            (f"{imported}, and so is what it stands on.", f"{package}::{name}", "")
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
            "Gentoo's makes the directories themselves, not only what lies in them.",
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
        lines += ["# What the checkout does without, by its own base profile.", *provided]
    return "".join(f"{line}\n" for line in lines)


def _packages(root: Root) -> str:
    """Return what the root's @system has beside, or in place of, the profile's."""
    kept = "".join(f"*{key}\n" for key in system_packages(root))
    if root.kind == "final":
        return f"# What is built with is staging's; this is what programs need to run.\n-*\n{kept}"
    return f"# Provided, see package.provided.\n{_taken_out(root.prefix)}# Bootstrapped.\n{kept}"


def system_packages(root: Root) -> tuple[str, ...]:
    """Return the packages of the bootstrap, which --depclean must keep."""
    compiler = root.kind == "staging" and root.prefix.with_gcc
    return (*RUNTIME, COMPILER) if compiler else RUNTIME


def _taken_out(prefix: Prefix) -> str:
    """Return what is taken out of @system: Portage warns of a provided package there."""
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
    """Write the configuration of ``root``; what the user has added to it stays.

    The directories of the root are made, too.
    """
    config = root.config_dir
    # emaint lists what is installed, and does not expect a root where nothing ever was.
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
    if root.kind == "staging":  # final has it by its links there
        checkout_config.write(config, root.prefix)
    for link, target in shared(root).items():
        _share(config, link, target)
    _write_profile(root)


def _share(config: Path, link: str, target: Path) -> None:
    path = config / link
    if path.parent.is_file():
        raise PrefixError(
            f"{path.parent} is a file, and cannot hold what is staging's, too",
            hint="Make it a directory with that file inside.",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    if link in SHARED_WHOLE:
        if not os.path.lexists(target) and link != "patches":  # which a checkout may bring yet
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
