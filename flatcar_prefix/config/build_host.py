# SPDX-License-Identifier: BSD-3-Clause
"""The configuration root of a build host that is not Gentoo.

Portage looks for BDEPEND, ``make.globals`` and programs in the build host's own prefix. On a
machine that is not Gentoo, each prefix has a directory for that, which
``PORTAGE_OVERRIDE_EPREFIX`` names. Its package.provided lists what the machine provides.
Portage installs other build dependencies into it. /etc and /usr of the machine do not change.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flatcar_prefix.boards import BOARDS, Board
from flatcar_prefix.config import make_conf
from flatcar_prefix.config.quoting import assignments
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.portage_api import session as portage_api
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.prefix.repository import repos_conf
from flatcar_prefix.repositories import checkout_config
from flatcar_prefix.repositories.profiles import profile_dir
from flatcar_prefix.system import process
from flatcar_prefix.system.files import replace_link, write_atomic
from flatcar_prefix.system.places import data_dir
from flatcar_prefix.toolchain.flags import HOST_PROGRAMS, search_path

PROVIDED: Mapping[str, tuple[str, ...]] = {
    "autoconf": ("dev-build/autoconf", "dev-build/autoconf-wrapper"),
    "automake": ("dev-build/automake", "dev-build/automake-wrapper"),
    "bash": ("app-shells/bash",),
    "bc": ("app-alternatives/bc",),
    "bison": ("sys-devel/bison",),
    "bzip2": ("app-arch/bzip2", "app-alternatives/bzip2"),
    "cmake": ("dev-build/cmake",),
    "curl": ("net-misc/curl",),
    "diff": ("sys-apps/diffutils",),
    "file": ("sys-apps/file",),
    "find": ("sys-apps/findutils",),
    "flex": ("sys-devel/flex", "app-alternatives/lex"),
    "gawk": ("sys-apps/gawk", "app-alternatives/awk"),
    # With what it compiles against: Portage looks behind virtual packages.
    "gcc": (
        *("sys-devel/gcc", "prefix/gcc-runtime", "sys-kernel/linux-headers", "sys-libs/glibc"),
        *("virtual/libc", "virtual/os-headers"),
    ),
    "gettext": ("sys-devel/gettext",),
    "git": ("dev-vcs/git",),
    "gperf": ("dev-util/gperf",),
    "grep": ("sys-apps/grep",),
    "gzip": ("app-arch/gzip", "app-alternatives/gzip"),
    "help2man": ("sys-apps/help2man",),
    "ld": ("sys-devel/binutils",),
    "libtoolize": ("dev-build/libtool",),
    "ls": ("sys-apps/coreutils",),
    "m4": ("sys-devel/m4",),
    "make": ("dev-build/make",),
    "makeinfo": ("sys-apps/texinfo",),
    "meson": ("dev-build/meson",),
    "ninja": ("dev-build/ninja", "app-alternatives/ninja"),
    "patch": ("sys-devel/patch",),
    "perl": ("dev-lang/perl",),
    "pkg-config": ("dev-util/pkgconf", "virtual/pkgconfig"),
    "python3": ("dev-lang/python",),
    "rsync": ("net-misc/rsync",),
    "sed": ("sys-apps/sed",),
    "tar": ("app-arch/tar", "app-alternatives/tar"),
    "tclsh": ("dev-lang/tcl",),
    "unzip": ("app-arch/unzip",),
    "wget": ("net-misc/wget",),
    "xz": ("app-arch/xz-utils",),
    "zstd": ("app-arch/zstd",),
}
"""The packages that each program provides, if the machine has the program."""

QA_CHECKS = "usr/lib/install-qa-check.d"
"""The directory of Portage's QA checks, below the build host's prefix."""


def is_gentoo(root: Path = Path("/")) -> bool:
    """Return whether this machine is Gentoo, with its own Portage and a profile.

    The Flatcar SDK is such a machine. Its own VDB lists the installed packages.
    """
    eprefix = str(portage_api.import_portage().const.EPREFIX)
    return not eprefix and (root / "etc/portage/make.profile").is_dir()


def host_board() -> Board:
    """Return the board whose architecture this machine has."""
    machine = platform.machine()
    for board in BOARDS.values():
        if board.uname_machine == machine:
            return board
    known = ", ".join(board.uname_machine for board in BOARDS.values())
    raise PrefixError(
        f"the architecture {machine} of this machine is not supported",
        hint=f"Use a machine with one of these architectures: {known}.",
    )


def provided() -> dict[str, str]:
    """Return the packages that this machine's programs provide, with their versions."""
    present = {name: path for name in PROVIDED if (path := shutil.which(name))}
    with ThreadPoolExecutor(max_workers=8) as pool:
        versions = dict(zip(present, pool.map(_version, present.values()), strict=True))
    packages = {package: versions[name] for name in present for package in PROVIDED[name]}
    # The version of a development tree is HEAD, or has a suffix.
    portage = re.match(r"\d+(\.\d+)*", portage_api.version())
    return {**packages, "sys-apps/portage": portage[0] if portage else portage_api.NEWEST_KNOWN}


def _version(program: str) -> str:
    """Return the version that a program prints, or ``0`` if it prints none."""
    result = process.run([program, "--version"], capture=True, check=False, input="")
    match = re.search(r"\b(\d+(?:\.\d+)+)", result.stdout + result.stderr)
    return match[1] if match else "0"


def package_provided(packages: Mapping[str, str], left_out: Iterable[str] = ()) -> str:
    """Return the text of package.provided, see portage(5)."""
    lines = [f"{package}-{version}\n" for package, version in sorted(packages.items())]
    more = "".join(f"{cpv}\n" for cpv in left_out)
    return (
        "# This machine's programs provide these packages.\n"
        + "".join(lines)
        + (f"# The checkout leaves these packages out.\n{more}" if more else "")
    )


def host_make_conf(prefix: Prefix, *, features: Iterable[str]) -> str:
    """Return the text of the build host's make.conf."""
    variables: dict[str, str | Sequence[str]] = {
        "CBUILD": prefix.toolchain.cbuild,
        "CHOST": prefix.toolchain.cbuild,
        "CC": "gcc",
        "CXX": "g++",
        "FLATCAR_PREFIX_TOOLS": search_path(prefix),
        "DISTDIR": os.fspath(prefix.distdir),
        "PKGDIR": os.fspath(prefix.host_dir / "var/cache/binpkgs"),
        "PORTAGE_TMPDIR": os.fspath(prefix.staging.tmpdir),
        "PORTAGE_USERNAME": prefix.username,
        "PORTAGE_GRPNAME": prefix.groupname,
        "FEATURES": " ".join(features),
        "USE": make_conf.USE,
    }
    return (
        "# Written by flatcar-prefix. The build host is this machine: see package.provided.\n"
        + assignments(variables)
    )


def write(prefix: Prefix, *, features: Iterable[str]) -> None:
    """Write the build host's configuration root, where the machine needs one."""
    if prefix.native_host:
        return
    host = prefix.host_dir
    config = host / "etc/portage"
    programs = [host / name for name in HOST_PROGRAMS]
    for directory in programs:
        # A link out of the prefix would redirect the files written below.
        if directory.is_symlink():
            directory.unlink()
    for directory in (config / "profile", host / "var/db/pkg", *programs):
        directory.mkdir(parents=True, exist_ok=True)
    write_text = write_atomic
    write_text(config / "make.conf", host_make_conf(prefix, features=features))
    repos = repos_conf(prefix.repositories, main_repo=prefix.main_repo)
    write_text(config / "repos.conf", repos)
    bashrc = (data_dir() / "eclass-helpers/bashrc").read_text(encoding="utf-8")
    write_text(config / "bashrc", bashrc)
    left_out = checkout_config.left_out(prefix.repositories)
    write_text(config / "profile/package.provided", package_provided(provided(), left_out))
    (config / "package.use").mkdir(exist_ok=True)
    write_text(
        config / "package.use/flatcar-prefix", checkout_config.build_host_use(prefix.repositories)
    )
    checkout_config.write(config, prefix)
    _link(config / "make.profile", _host_profile(prefix))
    if scanelf := shutil.which("scanelf"):
        _link(host / "usr/bin/scanelf", Path(scanelf))
    _link(host / QA_CHECKS, data_dir() / "eclass-helpers/install-qa-check.d")
    _write_globals(host)


def _host_profile(prefix: Prefix) -> Path:
    main = next(r for r in prefix.repositories if r.name == prefix.main_repo)
    board = host_board()
    for path in (*board.base_profiles, *board.profiles):
        if (directory := profile_dir(main, path)).is_dir():
            return directory
    raise PrefixError(
        f"{main.name} has no profile for this machine's architecture",
        hint=f"Add one of {', '.join(board.base_profiles)} to {main.location}/profiles.",
    )


def _write_globals(host: Path) -> None:
    """Link Portage's own make.globals and sets below the build host's prefix.

    A Portage that pip installed looks for them there. Portage's repos.conf is omitted,
    because its ``[gentoo]`` location does not exist.
    """
    portage = portage_api.import_portage()
    source = Path(portage.const.PORTAGE_BASE_PATH).parents[1] / portage_api.global_config_path()
    target = host / portage_api.global_config_path()
    target.mkdir(parents=True, exist_ok=True)
    for name in ("make.globals", "sets"):
        if (source / name).exists():
            _link(target / name, source / name)
    write_atomic(target / "repos.conf", "# Only the repositories of the prefix are used.\n")


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_link(path, target)
