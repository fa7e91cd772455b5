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
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from flatcar_prefix.boards import BOARDS, Board
from flatcar_prefix.config import helpers, host_files, host_vdb, machine_packages, make_conf
from flatcar_prefix.config.machine_packages import SLOTTED, Package
from flatcar_prefix.config.quoting import assignments, quote
from flatcar_prefix.config.root import (
    EDITED_BY_TOOLS,
    MAKE_DEFAULTS,
    PROVIDED as PROVIDED_FILE,
    REPOS_CONF,
    write_own,
)
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.portage_api import session as portage_api
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.prefix.repository import repos_conf
from flatcar_prefix.repositories import checkout_config, flatcar_profiles
from flatcar_prefix.repositories.profiles import profile_dir
from flatcar_prefix.system.files import replace_link, write_atomic
from flatcar_prefix.system.own_files import (
    FORMER_OWN_FILE,
    FROM_CHECKOUT,
    OWN_FILE,
    USER_FILE,
    OwnFiles,
)
from flatcar_prefix.system.places import data_dir
from flatcar_prefix.system.progress import NO_PROGRESS, Progress
from flatcar_prefix.toolchain import build_systems
from flatcar_prefix.toolchain.flags import HOST_PROGRAMS, search_path

QA_CHECKS = "usr/lib/install-qa-check.d"
"""The directory of Portage's QA checks, below the build host's prefix."""


def is_gentoo(root: Path = Path("/")) -> bool:
    """Return whether this machine is Gentoo, with its own Portage and a profile.

    The Flatcar SDK is such a machine. Its own VDB lists the installed packages.
    """
    eprefix = str(portage_api.import_portage().const.EPREFIX)
    return not eprefix and (root / "etc/portage/make.profile").is_dir()


def host_board() -> Board:
    """Return the board of this machine's architecture."""
    machine = platform.machine()
    for board in BOARDS.values():
        if board.uname_machine == machine:
            return board
    known = ", ".join(board.uname_machine for board in BOARDS.values())
    raise PrefixError(
        f"the architecture {machine} of this machine is not supported",
        hint=f"Use a machine with one of these architectures: {known}.",
    )


def package_provided(packages: Iterable[Package], left_out: Iterable[str] = ()) -> str:
    """Return the text of package.provided, see portage(5)."""
    cpvs = sorted(p.cpv for p in packages if p.name not in SLOTTED)
    more = "".join(f"{cpv}\n" for cpv in left_out)
    return (
        "# This machine's programs provide these packages. Your own lines belong in another\n"
        "# file of this directory.\n"
        + "".join(f"{cpv}\n" for cpv in cpvs)
        + (f"# The checkout leaves these packages out.\n{more}" if more else "")
    )


def host_make_conf(
    prefix: Prefix, *, features: Iterable[str], python: str, launcher: Sequence[str]
) -> str:
    """Return the text of the build host's make.conf; ``python`` is its Python, ``3.N``."""
    target = f"python{python.replace('.', '_')}"
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
        **build_systems.for_all_builds(prefix),
        **flatcar_profiles.python_targets(prefix.repositories, target),
        **make_conf.fetch_variables(prefix, launcher),
    }
    return (
        "# Written by flatcar-prefix. The build host is this machine: see package.provided.\n"
        + assignments(variables)
        + "\n# Your own settings, which override those above.\n"
        + f"source {quote(os.fspath(prefix.host_dir / 'etc/portage/make.conf.user'))}\n"
        + make_conf.mirrors_last()
    )


def write(
    prefix: Prefix,
    *,
    features: Iterable[str],
    launcher: Sequence[str],
    say: Progress = NO_PROGRESS,
) -> None:
    """Write the build host's configuration root, if the machine needs one."""
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
    own = OwnFiles(config, say)
    own.user_file("make.conf.user")
    left_out = flatcar_profiles.left_out(prefix.repositories)
    defaults = make_conf.make_defaults(prefix.repositories)
    packages = machine_packages.present()
    python = machine_packages.python_version()
    for name, text in {
        "make.conf": host_make_conf(prefix, features=features, python=python, launcher=launcher),
        REPOS_CONF: repos_conf(prefix.repositories, main_repo=prefix.main_repo),
        "bashrc": helpers.bashrc(),
        PROVIDED_FILE: package_provided(packages, left_out),
        **({MAKE_DEFAULTS: defaults} if defaults else {}),
    }.items():
        write_own(own, name, text)
    own.write(
        f"package.use/{OWN_FILE}",
        HOST_USE,
        kind=FROM_CHECKOUT,
        former=f"package.use/{FORMER_OWN_FILE}",
    )
    for name in EDITED_BY_TOOLS:
        own.user_file(f"{name}/{USER_FILE}")
    checkout_config.write(own, prefix, unmasked={package.name for package in packages})
    host_vdb.write(host, packages)
    host_files.write(host, python)
    _link(config / "make.profile", _host_profile(prefix))
    if scanelf := shutil.which("scanelf"):
        _link(host / "usr/bin/scanelf", Path(scanelf))
    _link(host / QA_CHECKS, data_dir() / "eclass-helpers/install-qa-check.d")
    _write_globals(host)


HOST_USE = """\
# The build host has no logins.
*/* -pam -selinux -systemd -audit
"""


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
