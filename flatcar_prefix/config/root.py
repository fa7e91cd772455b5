# SPDX-License-Identifier: BSD-3-Clause
"""Write the ``etc/portage`` of one root."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from flatcar_prefix.binhost import where
from flatcar_prefix.config import helpers, make_conf
from flatcar_prefix.prefix.model import Prefix, Root
from flatcar_prefix.prefix.repository import repos_conf
from flatcar_prefix.relocate.eprefix import (
    FIXED_PROPERTY,
    LENGTH,
    POOL_PROPERTY,
    is_pool_eprefix,
)
from flatcar_prefix.repositories import checkout_config, flatcar_profiles
from flatcar_prefix.repositories.find import TOOLCHAIN_ROLE
from flatcar_prefix.repositories.profiles import (
    COMPOSED,
    composed_parents,
    profile_dir,
    profile_location,
)
from flatcar_prefix.system import own_files
from flatcar_prefix.system.files import replace_link, write_atomic
from flatcar_prefix.system.own_files import FORMER_OWN_FILE, OWN_FILE, USER_FILE, Kind, OwnFiles
from flatcar_prefix.system.progress import NO_PROGRESS, Progress
from flatcar_prefix.system.users import UNPRIVILEGED, is_own_user

SHARED_LISTS = (*checkout_config.TAKEN, "package.accept_restrict", "package.properties")
"""Lists in staging that apply to both roots; the user can add to them in final.
Portage reads directories of these names recursively."""

SHARED_WHOLE = ("env", "patches", "sets")
"""Directories whose files Portage looks up by name. They are the same in both roots, because
Portage rejects a binary package that was built with other patches."""

REPOS_CONF = f"repos.conf/{OWN_FILE}"
BINREPOS_CONF = f"binrepos.conf/{OWN_FILE}"
PROVIDED = f"profile/package.provided/{OWN_FILE}"
MAKE_DEFAULTS = "profile/make.defaults"
ALTERNATIVES_ENV = f"env/{OWN_FILE}"
ALTERNATIVES = [("Links of other packages that they replace.", "app-alternatives/*", OWN_FILE)]
"""The entry of package.env."""
PACKAGES = "profile/packages"
"""Portage does not read a directory of this name, so the file ends with the user's lines."""

FORMATS: Mapping[str, tuple[Kind, str]] = {
    "make.conf": (own_files.MAKE_CONF, "make.conf.user"),
    MAKE_DEFAULTS: (own_files.MAKE_CONF, "make.conf.user"),
    REPOS_CONF: (own_files.REPOS_CONF, f"repos.conf/{USER_FILE}"),
    BINREPOS_CONF: (own_files.REPOS_CONF, f"binrepos.conf/{USER_FILE}"),
    PROVIDED: (own_files.PROVIDED, f"profile/package.provided/{USER_FILE}"),
    PACKAGES: (own_files.PROVIDED, f"{PACKAGES}.user"),
    ALTERNATIVES_ENV: (own_files.MAKE_CONF, "make.conf.user"),
    "bashrc": (own_files.SCRIPT, "bashrc.user"),
    "qa-check": (own_files.SCRIPT, "qa-check.user"),
}
"""The format of each file that is not a package.* list, and the file for the user's lines."""

EDITED_BY_TOOLS = (
    *(f"package.{name}" for name in ("accept_keywords", "license", "mask", "unmask", "use")),
    "profile/package.provided",
    "repos.conf",
)
"""Directories in which emerge, etc-update and people append to the last file."""

COMPILER = "sys-devel/gcc"

LIBC = "sys-libs/glibc"

IMPORTED_LIBC = "prefix/imported-libc"
"""The package of the toolchain's own C library."""

RUNTIME = ("prefix/prefix-final", "prefix/gcc-runtime", "prefix/nss-modules")
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
    defaults = make_conf.make_defaults(prefix.repositories)
    found = {
        "make.conf": make_conf.make_conf(
            root, jobs=jobs, launcher=launcher, extra_features=features
        ),
        REPOS_CONF: repos_conf(prefix.repositories, main_repo=prefix.main_repo),
        "bashrc": helpers.bashrc(),
        f"package.accept_keywords/{OWN_FILE}": make_conf.atoms_file(_keywords(prefix)),
        f"package.env/{OWN_FILE}": make_conf.atoms_file(ALTERNATIVES),
        ALTERNATIVES_ENV: make_conf.alternatives_env(),
        f"package.mask/{OWN_FILE}": make_conf.atoms_file(_masks(prefix)),
        f"package.use/{OWN_FILE}": make_conf.atoms_file(_use(prefix)),
        f"package.properties/{OWN_FILE}": make_conf.atoms_file(_properties(prefix)),
        PROVIDED: _provided(prefix),
        PACKAGES: _packages(root),
        **({BINREPOS_CONF: where.binrepos_conf(prefix)} if root.kind == "staging" else {}),
        **({MAKE_DEFAULTS: defaults} if defaults else {}),
        **({"qa-check": helpers.qa_check()} if prefix.native_host else {}),
    }
    linked = (*SHARED_LISTS, *SHARED_WHOLE) if shared(root) else ()
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


def _keywords(prefix: Prefix) -> list[tuple[str, str, str]]:
    return [
        (
            "This program's own packages are as stable as this program.",
            "prefix/prefix-final",
            f"{prefix.board.arch} ~{prefix.board.arch}",
        )
    ]


def _masks(prefix: Prefix) -> list[tuple[str, str, str]]:
    others = [r.name for r in prefix.repositories if r.name != TOOLCHAIN_ROLE]
    if prefix.bootstrap == "import":
        imported = "The C library is the toolchain's own (--bootstrap=import)"
        return [
            (f"{imported}; see profile/package.provided.", LIBC, ""),
            *(
                (f"{imported}, and so are its dependencies.", f"{package}::{name}", "")
                for package in FROM_TOOLCHAIN
                for name in others
            ),
        ]
    built = f"The C library is built from source (--bootstrap={prefix.bootstrap})"
    if prefix.own_libc:
        own = f"{built}: this program's own, because files of the checkout's cannot be fetched"
        return [
            (f"{built}.", IMPORTED_LIBC, ""),
            *(
                (f"{own}.", f"{package}::{name}", "")
                for package in (LIBC, *FROM_TOOLCHAIN)
                for name in others
            ),
        ]
    return [
        (f"{built}.", IMPORTED_LIBC, ""),
        *(
            (f"{built}, as the checkout has it.", f"{package}::{TOOLCHAIN_ROLE}", "")
            for package in (LIBC, *FROM_TOOLCHAIN)
            if has_in_checkout(prefix, package)
        ),
    ]


def has_in_checkout(prefix: Prefix, package: str) -> bool:
    """Return whether a repository of the checkout has the package."""
    others = (r for r in prefix.repositories if r.name != TOOLCHAIN_ROLE)
    return any(next((r.location / package).glob("*.ebuild"), None) for r in others)


def _use(prefix: Prefix) -> list[tuple[str, str, str]]:
    own_libc = [("This program's glibc is built without CET.", COMPILER, "-cet")]
    return [
        (
            "A prefix has no logins: no PAM, no setuid programs and no daemons.",
            "*/*",
            "-pam -suid -systemd -selinux -audit -debuginfod",
        ),
        (
            "Gentoo's baselayout also creates the directories, not only the files.",
            "sys-apps/baselayout",
            "build",
        ),
        (
            "A prefix has no udev daemon, so libusb finds the readers of smart cards.",
            "sys-apps/pcsc-lite",
            "libusb",
        ),
        *(own_libc if prefix.own_libc else ()),
    ]


def _properties(prefix: Prefix) -> list[tuple[str, str, str]]:
    """Return the kinds of binary packages that a plan must not use."""
    if is_pool_eprefix(prefix.eprefix):
        return []
    fixed = ("A package of a pool that works at the pool's path only.", "*/*", f"-{FIXED_PROPERTY}")
    if len(os.fsencode(prefix.eprefix)) <= LENGTH:
        return [fixed]
    why = f"The path of this prefix is longer than that of a pool, {LENGTH} bytes."
    return [fixed, (why, "*/*", f"-{POOL_PROPERTY}")]


def _provided(prefix: Prefix) -> str:
    lines = []
    if not prefix.with_gcc:
        lines += [
            "# The compiler stays on the build host; the prefix has its runtime libraries only.",
            f"{COMPILER}-{_version_of(prefix.toolchain.version)}",
        ]
    if prefix.bootstrap == "import":
        lines += [
            f"# {IMPORTED_LIBC} replaces the C library.",
            f"{LIBC}-{_version_of(prefix.toolchain.libc_version)}",
        ]
    if provided := flatcar_profiles.left_out(prefix.repositories):
        lines += ["# The profiles of the checkout leave these packages out.", *provided]
    return "".join(f"{line}\n" for line in lines)


def _packages(root: Root) -> str:
    """Return the root's changes to the profile's @system."""
    kept = "".join(f"*{key}\n" for key in system_packages(root))
    if root.kind == "final":
        return f"# Only what programs need to run; staging has the build tools.\n-*\n{kept}"
    return f"# Provided, see package.provided.\n{_taken_out(root.prefix)}# Bootstrapped.\n{kept}"


def system_packages(root: Root) -> tuple[str, ...]:
    """Return the packages of the bootstrap, which --depclean must keep."""
    compiler = (COMPILER,) if root.kind == "staging" and root.prefix.with_gcc else ()
    return (*runtime(root.prefix), *compiler)


def runtime(prefix: Prefix) -> tuple[str, ...]:
    """Return the packages that programs need to run."""
    # package.provided satisfies dependencies on the C library, so nothing else requires it.
    return (*RUNTIME, IMPORTED_LIBC) if prefix.bootstrap == "import" else RUNTIME


def _taken_out(prefix: Prefix) -> str:
    """Return the lines that remove provided packages from @system; Portage warns about them."""
    from portage.versions import cpv_getkey

    keys = [] if prefix.with_gcc else [COMPILER]
    keys += [cpv_getkey(cpv) for cpv in flatcar_profiles.left_out(prefix.repositories)]
    return "".join(f"-*{key}\n" for key in keys)


def _version_of(text: str) -> str:
    """Return the last version in a text, ``0`` if it has none."""
    words = text.replace(")", " ").split()
    numbers = [w for w in words if w[0].isdigit() and set(w) <= set("0123456789.")]
    return numbers[-1] if numbers else "0"


def write_config(
    root: Root,
    *,
    jobs: int,
    launcher: Sequence[str],
    features: tuple[str, ...] = (),
    say: Progress = NO_PROGRESS,
) -> None:
    """Write the configuration of ``root`` and create its directories.

    This keeps files that the user added. Lines that the user wrote into a file of this program
    move to the user's file, and ``say`` reports them.
    """
    config = root.config_dir
    # emaint fails on a root without a VDB.
    vdb = root.eroot / "var/db/pkg"
    for directory in (config, vdb, root.logdir, root.tmpdir, root.pkgdir, root.prefix.distdir):
        directory.mkdir(parents=True, exist_ok=True)
    root.prefix.depcachedir.mkdir(parents=True, exist_ok=True)
    own = OwnFiles(config, say)
    user = config / "make.conf.user"
    if not user.exists():
        write_atomic(user, make_conf.make_conf_user(root))
    for name, text in config_files(root, jobs=jobs, launcher=launcher, features=features).items():
        write_own(own, name, text)
    for name in EDITED_BY_TOOLS:
        own.user_file(f"{name}/{USER_FILE}")
    if root.kind == "staging":  # final links to it
        checkout_config.write(own, root.prefix)
    for link, target in shared(root).items():
        _share(own, link, target)
    _write_profile(root)


def write_own(own: OwnFiles, name: str, text: str) -> None:
    """Write one of the files that :func:`config_files` returns."""
    kind, user = FORMATS.get(name, (own_files.LIST, ""))
    directory, base = os.path.split(name)
    former = os.path.join(directory, FORMER_OWN_FILE) if base == OWN_FILE else ""
    if name == PACKAGES:
        own.write(name, text, kind=kind, user=user)  # moves the user's lines
        text += _users_lines(own.config / user)
    own.write(name, text, kind=kind, user=user, former=former)


def users_packages(root: Root) -> list[str]:
    """Return the lines that the user adds to ``profile/packages``."""
    return own_files.lines(_users_lines(root.config_dir / FORMATS[PACKAGES][1]))


def _users_lines(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="backslashreplace") if path.is_file() else ""


def _share(own: OwnFiles, link: str, target: Path) -> None:
    path = own.config / link
    own.make_directory(os.path.dirname(link))
    if link in SHARED_WHOLE:
        if not os.path.lexists(target) and link != "patches":  # a checkout may add it later
            target.mkdir(parents=True)
        if os.path.lexists(path):
            return
    replace_link(path, target)
    former = path.with_name(FORMER_OWN_FILE)
    if former.is_symlink() and link not in SHARED_WHOLE:
        former.unlink()


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
    """Return the FEATURES that this machine needs: off without their programs, and userpriv."""
    missing = [] if shutil.which("sandbox") else ["-sandbox", "-usersandbox"]
    if prefix.username not in ("portage", "sdk") and not prefix.native_host:
        # Builds need no rights of root. The caches belong to root.
        kept = prefix.username == UNPRIVILEGED and not is_own_user(UNPRIVILEGED)
        missing += (
            ["userpriv", "-userfetch", "-usersync"]
            if kept
            else ["-userpriv", "-userfetch", "-usersync"]
        )
    return tuple(missing)
