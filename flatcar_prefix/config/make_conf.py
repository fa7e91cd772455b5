# SPDX-License-Identifier: BSD-3-Clause
"""The text of make.conf and of package.* files, for each kind of root. Pure functions."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from flatcar_prefix.config.quoting import Section, assignments, quote
from flatcar_prefix.fetch.variables import MIRRORS
from flatcar_prefix.prefix.model import Prefix, Root
from flatcar_prefix.prefix.repository import Repository
from flatcar_prefix.relocate.eprefix import is_pool_eprefix
from flatcar_prefix.repositories import checkout_config, flatcar_profiles
from flatcar_prefix.sandbox.confinement import SWITCH
from flatcar_prefix.system.files import GENERATED
from flatcar_prefix.toolchain import build_systems
from flatcar_prefix.toolchain.flags import ldflags, search_path

USE = ("-desktop", "-installkernel", "-llvm", "-nls", "-openmp", "-udev", "-wayland", "-X")

FROM_BINHOSTS = "--binpkg-respect-use=y --binpkg-changed-deps=y"
"""The options of staging with binhosts: a package is taken only if a build would be the same."""

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
        _signatures(root.prefix),
        _fetching(root.prefix, launcher=launcher),
        _own_variables(root, launcher=launcher),
    ]
    body = "\n".join(f"# {s.comment}\n{assignments(s.variables)}" for s in sections)
    sources = "".join(f"source {quote(os.fspath(path))}\n" for path in user_files(root))
    return (
        f"{GENERATED}# Your own settings belong in make.conf.user, which is never rewritten.\n\n"
        f"{body}\n# Your own settings, which override those above.{_whose(root)}\n{sources}"
        f"{'' if root.prefix.native_host else mirrors_last()}"
        f"\n# {OPTIONS_LAST[root.kind]}\n"
        f'EMERGE_DEFAULT_OPTS="${{EMERGE_DEFAULT_OPTS}} {last_options(root)}"\n'
    )


def mirrors_last() -> str:
    """Return the lines after the user's own that give the mirrors to the fetch command."""
    return (
        "\n# The fetch command tries these mirrors first. Portage itself would fetch a file"
        " layout.conf\n# from each of them for each distfile.\n"
        f'{MIRRORS}="${{GENTOO_MIRRORS}}"\nGENTOO_MIRRORS=""\n'
    )


def last_options(root: Root) -> str:
    """Return the options of emerge that make.conf appends to the user's own."""
    more = f" {FROM_BINHOSTS}" if root.kind == "staging" and root.prefix.binhosts else ""
    return EMERGE_DEFAULT_OPTS[root.kind] + more


def user_files(root: Root) -> tuple[Path, ...]:
    """Return the user's files that make.conf sources last: staging's, then final's own."""
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
        "EMERGE_DEFAULT_OPTS": f"--jobs={jobs} --load-average={jobs}",
        **_chosen_versions(root.prefix),
        "USE": USE,
    }
    if features := [*extra_features, *_binary_features(root)]:
        variables["FEATURES"] = " ".join(features)
    return Section("Defaults of emerge.", variables)


def _binary_features(root: Root) -> Iterator[str]:
    """Yield the FEATURES of binary packages: how they are made, fetched, verified and signed."""
    prefix = root.prefix
    if is_pool_eprefix(prefix.eprefix):
        # No EPREFIX can be replaced in a compressed manual page. Prefixes compress it themselves.
        yield "-binpkg-docompress"
    if root.kind == "staging" and prefix.binhosts:
        yield "getbinpkg"
    if prefix.binhosts and not prefix.verify_binhosts:
        yield "binpkg-ignore-signature"
    if root.kind == "staging" and prefix.signing_key:
        yield "binpkg-signing"


def _signatures(prefix: Prefix) -> Section:
    """Return the settings of GnuPG; see make.conf(5) and docs/pools.md."""
    # Portage runs GnuPG as another user, who must reach the keyring; builds have the same user.
    drops = os.geteuid() == 0 and prefix.username != "root"
    variables = {
        "BINPKG_GPG_VERIFY_GPG_HOME": os.fspath(prefix.keyring_dir),
        "GPG_VERIFY_USER_DROP": prefix.username if drops else "",
        "GPG_VERIFY_GROUP_DROP": prefix.groupname if drops else "",
        "PORTAGE_TRUST_HELPER": "",
    }
    if prefix.signing_key:
        home = prefix.signing_home or os.fspath(prefix.own_signing_home)
        variables |= {
            # As Portage's default, with a lock that a confined build can write.
            "BINPKG_GPG_SIGNING_BASE_COMMAND": f"flock {shlex.quote(f'{home}/portage.lock')} gpg"
            " --sign --armor [PORTAGE_CONFIG]",
            "BINPKG_GPG_SIGNING_GPG_HOME": home,
            "BINPKG_GPG_SIGNING_KEY": prefix.signing_key,
        }
    return Section("Signatures of binary packages: this prefix's own keyring.", variables)


def fetch_command(prefix: Prefix, launcher: Sequence[str]) -> str:
    """Return FETCHCOMMAND, which runs this program because it knows further mirrors."""
    command = shlex.join([*launcher, "fetch", f"--cache={prefix.depcachedir.parent / 'apt'}"])
    return f'{command} "${{URI}}" "${{DISTDIR}}/${{FILE}}"'


def _fetching(prefix: Prefix, *, launcher: Sequence[str]) -> Section:
    if prefix.native_host:
        return Section("The build host's configuration sets the fetch command.", {})
    return Section(
        "Fetch from the checkout's mirrors, then from upstream, then from the distribution's"
        " source packages.",
        fetch_variables(prefix, launcher),
    )


def _chosen_versions(prefix: Prefix) -> dict[str, str]:
    """Return the chosen versions; in make.defaults they would add to those of the profile."""
    variables = flatcar_profiles.variables(prefix.repositories)
    return {name: variables[name] for name in flatcar_profiles.CHOSEN_VERSIONS if name in variables}


def make_defaults(repositories: Sequence[Repository]) -> str:
    """Return the text of the user's profile's make.defaults; empty if nothing applies.

    The settings of package.use in the base profile override these, as they do there.
    """
    variables = flatcar_profiles.variables(repositories)
    variables = {"USE": variables["USE"]} if "USE" in variables else {}
    heading = "# From the base profile of Flatcar's overlay. Use make.conf.user to override it.\n"
    return f"{GENERATED}{heading}{assignments(variables)}" if variables else ""


def fetch_variables(prefix: Prefix, launcher: Sequence[str]) -> dict[str, str]:
    """Return the variables of fetching, the same for both roots and the build host."""
    command = fetch_command(prefix, launcher)
    mirrors = flatcar_profiles.mirrors(prefix.repositories)
    return {"FETCHCOMMAND": command, "RESUMECOMMAND": command, "GENTOO_MIRRORS": mirrors}


def _own_variables(root: Root, *, launcher: Sequence[str]) -> Section:
    prefix = root.prefix
    hooks = checkout_config.hooks(prefix.repositories)
    return Section(
        "Variables for this program's own ebuilds and hooks.",
        {
            "FLATCAR_PREFIX_NAME": prefix.name,
            "FLATCAR_PREFIX_LIBC": {"source": "built", "import": "imported"}.get(
                prefix.bootstrap, ""
            ),
            "FLATCAR_PREFIX_PROFILE": prefix.profile,
            **({"FLATCAR_PREFIX_LOCALES": " ".join(prefix.locales)} if prefix.locales else {}),
            "FLATCAR_PREFIX_LOADER": f"/{prefix.board.loader}",
            "FLATCAR_PREFIX_TOOLCHAIN_CC": prefix.toolchain.cc,
            "FLATCAR_PREFIX_TOOLCHAIN_CXX": prefix.toolchain.cxx,
            "FLATCAR_PREFIX_TOOLCHAIN_SYSROOT": prefix.toolchain.sysroot,
            "FLATCAR_PREFIX_TOOLCHAIN_VERSION": prefix.toolchain.version,
            "FLATCAR_PREFIX_TOOLCHAIN_LIBC": prefix.toolchain.libc_version,
            "FLATCAR_PREFIX_TOOLCHAIN_LIBDIR": prefix.toolchain.multilib,
            "FLATCAR_PREFIX_RUN": shlex.join(launcher),
            "FLATCAR_PREFIX_STAGING": os.fspath(prefix.staging_dir),
            "FLATCAR_PREFIX_VERIFY": "yes" if prefix.binhosts and prefix.verify_binhosts else "no",
            SWITCH: "yes" if prefix.confined else "no",
            # A trial prefix may lack parts of a self-contained one, such as a shell.
            "FLATCAR_PREFIX_QA": "warn" if prefix.bootstrap == "import" else "error",
            **({"FLATCAR_PREFIX_QA_CHECK": qa_check(root)} if prefix.native_host else {}),
            **({"FLATCAR_PREFIX_BOARD_HOOKS": os.fspath(hooks)} if hooks else {}),
        },
    )


def qa_check(root: Root) -> str:
    """Return the path of the build-time audit on a Gentoo build host."""
    return os.fspath(root.config_dir / "qa-check")


def make_conf_user(root: Root) -> str:
    """Return the initial text of make.conf.user of ``root``."""
    if root.kind == "staging":
        where, example = "make.conf of both roots sources it.", 'USE="${USE} static-libs"'
    else:
        where = "make.conf of final sources it after staging's."
        example = 'INSTALL_MASK="/usr/share/doc"'
    return (
        "# Your own settings. flatcar-prefix never rewrites this file.\n"
        f"# {where} Examples:\n# {example}\n"
        '# EMERGE_DEFAULT_OPTS="--verbose"\n'
        f"# make.conf appends {EMERGE_DEFAULT_OPTS[root.kind]} to these options.\n"
    )


def alternatives_env() -> str:
    """Return the text of the file in ``env`` for packages of app-alternatives."""
    return (
        f"{GENERATED}# Packages such as app-arch/gzip create links that no package owns. Their\n"
        "# app-alternatives package replaces them, and Portage would print a page about each.\n"
        'COLLISION_IGNORE="*/bin/* */man/*"\n'
    )


def atoms_file(entries: Iterable[tuple[str, str, str]]) -> str:
    """Return a package.* file of (reason, atom, values) entries."""
    lines = [f"# {why}\n{atom}{' ' + values if values else ''}\n" for why, atom, values in entries]
    return GENERATED + "".join(f"\n{line}" for line in lines)
