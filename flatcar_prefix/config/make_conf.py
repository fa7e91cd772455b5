# SPDX-License-Identifier: BSD-3-Clause
"""The text of make.conf and of repos.conf, for each kind of root. Pure functions."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from flatcar_prefix.config.quoting import Section, assignments, quote
from flatcar_prefix.prefix.model import Prefix, Root
from flatcar_prefix.system.files import GENERATED
from flatcar_prefix.toolchain import build_systems
from flatcar_prefix.toolchain.flags import ldflags, search_path

USE = ("-desktop", "-installkernel", "-llvm", "-nls", "-openmp", "-udev", "-wayland", "-X")

EMERGE_DEFAULT_OPTS: Mapping[str, str] = {
    "staging": "--buildpkg",
    "final": "--usepkgonly --root-deps=rdeps --rebuilt-binaries",
}
"""The options of each root. In final, ``--rebuilt-binaries`` installs rebuilt packages again."""

OPTIONS_LAST: Mapping[str, str] = {
    "staging": "Appended last, so staging always builds binary packages.",
    "final": "Appended last, so final never builds and only installs staging's binary packages.",
}
"""The reason why these options follow the user's own."""

BINUTILS = ("AR", "AS", "LD", "NM", "RANLIB", "STRIP", "OBJCOPY", "OBJDUMP", "READELF")


def make_conf(
    root: Root, *, jobs: int, launcher: Sequence[str], extra_features: Sequence[str] = ()
) -> str:
    """Return the text of make.conf for ``root``.

    ``jobs`` is the number of parallel jobs. ``launcher`` is the command that runs a module
    of this program; the fetch command and the QA hook use it. ``extra_features`` go to
    FEATURES.
    """
    sections = [
        _places(root),
        _identity(root.prefix),
        _toolchain(root.prefix),
        _building(root, jobs=jobs, extra_features=extra_features),
        _fetching(root.prefix, launcher=launcher),
        _own_variables(root, launcher=launcher),
    ]
    body = "\n".join(f"# {s.comment}\n{assignments(s.variables)}" for s in sections)
    sources = "".join(f"source {quote(os.fspath(path))}\n" for path in user_files(root))
    return (
        f"{GENERATED}# Your own settings belong in make.conf.user, which is never rewritten.\n\n"
        f"{body}\n# Your own settings, which override those above.{_whose(root)}\n{sources}"
        f"\n# {OPTIONS_LAST[root.kind]}\n"
        f'EMERGE_DEFAULT_OPTS="${{EMERGE_DEFAULT_OPTS}} {EMERGE_DEFAULT_OPTS[root.kind]}"\n'
    )


def user_files(root: Root) -> tuple[Path, ...]:
    """Return the user's files that make.conf ends with: staging's, then final's own."""
    mine = root.config_dir / "make.conf.user"
    return (mine,) if root.kind == "staging" else (user_files(root.prefix.staging)[0], mine)


def _whose(root: Root) -> str:
    return "" if root.kind == "staging" else " Staging's apply to both roots."


def _places(root: Root) -> Section:
    prefix = root.prefix
    return Section(
        "Directories. Both roots share staging's PKGDIR: final installs staging's binary packages."
        " Each root has its own log, which regenworld and qlop read.",
        {
            "DISTDIR": os.fspath(prefix.distdir),
            "PKGDIR": os.fspath(root.pkgdir),
            "PORT_LOGDIR": os.fspath(root.logdir),
            "EMERGE_LOG_DIR": os.fspath(root.logdir),
            "PORTAGE_TMPDIR": os.fspath(root.tmpdir),
            "PORTAGE_DEPCACHEDIR": os.fspath(prefix.depcachedir),
            "PORTAGE_BINHOST": "",
        },
    )


def _identity(prefix: Prefix) -> Section:
    return Section(
        "The board. CBUILD differs from CHOST, so that configure never runs compiled programs.",
        {
            "CBUILD": prefix.toolchain.cbuild,
            "CHOST": prefix.board.chost,
            "ACCEPT_KEYWORDS": " ".join(prefix.board.keywords),
            "PORTAGE_USERNAME": prefix.username,
            "PORTAGE_GRPNAME": prefix.groupname,
        },
    )


def _toolchain(prefix: Prefix) -> Section:
    chost, toolchain = prefix.board.chost, prefix.toolchain
    tools = {name: f"{chost}-{name.lower()}" for name in BINUTILS}
    compiler = "clang" if toolchain.clang else "gcc"
    return Section(
        f"The {toolchain.kind} toolchain. Each tool of the prefix uses the prefix's sysroot.",
        {
            "CC": f"{chost}-{compiler}",
            "CXX": f"{chost}-{'clang++' if toolchain.clang else 'g++'}",
            "CPP": f"{chost}-cpp",
            **tools,
            "PKG_CONFIG": f"{chost}-pkg-config",
            "BUILD_CC": "gcc",
            "BUILD_CXX": "g++",
            "CFLAGS": toolchain.cflags,
            "CXXFLAGS": toolchain.cflags,
            "FCFLAGS": toolchain.cflags,
            "FFLAGS": toolchain.cflags,
            "LDFLAGS": ldflags(prefix),
            "FLATCAR_PREFIX_TOOLS": search_path(prefix),
            **build_systems.variables(prefix),
        },
    )


def _building(root: Root, *, jobs: int, extra_features: Sequence[str]) -> Section:
    variables: dict[str, str | Sequence[str]] = {
        "MAKEOPTS": f"-j{jobs}",
        "USE": USE,
    }
    if extra_features:
        variables["FEATURES"] = " ".join(extra_features)
    return Section("Defaults of emerge.", variables)


def fetch_command(prefix: Prefix, launcher: Sequence[str]) -> str:
    """Return FETCHCOMMAND, which runs this program because it knows further mirrors."""
    command = shlex.join([*launcher, "fetch", f"--cache={prefix.depcachedir.parent / 'apt'}"])
    return f'{command} "${{URI}}" "${{DISTDIR}}/${{FILE}}"'


def _fetching(prefix: Prefix, *, launcher: Sequence[str]) -> Section:
    if prefix.native_host:
        return Section("The build host's configuration sets the fetch command.", {})
    command = fetch_command(prefix, launcher)
    return Section(
        "Fetch from upstream first, then from the distribution's source packages.",
        {"FETCHCOMMAND": command, "RESUMECOMMAND": command, "GENTOO_MIRRORS": ""},
    )


def _own_variables(root: Root, *, launcher: Sequence[str]) -> Section:
    prefix = root.prefix
    return Section(
        "Variables for this program's own ebuilds and hooks.",
        {
            "FLATCAR_PREFIX_NAME": prefix.name,
            "FLATCAR_PREFIX_LIBC": {"source": "built", "import": "imported"}.get(
                prefix.bootstrap, ""
            ),
            "FLATCAR_PREFIX_LOADER": f"/{prefix.board.loader}",
            "FLATCAR_PREFIX_TOOLCHAIN_CC": prefix.toolchain.cc,
            "FLATCAR_PREFIX_TOOLCHAIN_CXX": prefix.toolchain.cxx,
            "FLATCAR_PREFIX_TOOLCHAIN_SYSROOT": prefix.toolchain.sysroot,
            "FLATCAR_PREFIX_TOOLCHAIN_VERSION": prefix.toolchain.version,
            "FLATCAR_PREFIX_TOOLCHAIN_LIBC": prefix.toolchain.libc_version,
            "FLATCAR_PREFIX_TOOLCHAIN_LIBDIR": prefix.toolchain.multilib,
            "FLATCAR_PREFIX_RUN": shlex.join(launcher),
            "FLATCAR_PREFIX_STAGING": os.fspath(prefix.staging_dir),
            # A trial prefix may lack parts of a self-contained one, such as a shell.
            "FLATCAR_PREFIX_QA": "warn" if prefix.bootstrap == "import" else "error",
            **({"FLATCAR_PREFIX_QA_CHECK": qa_check(root)} if prefix.native_host else {}),
        },
    )


def qa_check(root: Root) -> str:
    """Return the path of the build-time audit on a Gentoo build host."""
    return os.fspath(root.config_dir / "qa-check")


def make_conf_user(root: Root) -> str:
    """Return the initial text of make.conf.user of ``root``."""
    if root.kind == "staging":
        where, example = "make.conf of both roots sources it, e.g.", 'USE="${USE} static-libs"'
    else:
        where = "make.conf sources it\n# behind staging's, for what is to differ in final, e.g."
        example = 'INSTALL_MASK="/usr/share/doc"'
    return (
        f"# Yours: flatcar-prefix never rewrites this file; {where}\n# {example}\n"
        '# EMERGE_DEFAULT_OPTS="--verbose"\n'
        f"# To those, make.conf adds {EMERGE_DEFAULT_OPTS[root.kind]}.\n"
    )


def atoms_file(entries: Iterable[tuple[str, str, str]]) -> str:
    """Return a package.* file of (reason, atom, values) entries."""
    lines = [f"# {why}\n{atom}{' ' + values if values else ''}\n" for why, atom, values in entries]
    return GENERATED + "".join(f"\n{line}" for line in lines)
