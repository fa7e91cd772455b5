# SPDX-License-Identifier: BSD-3-Clause
"""Find the Gentoo packages that correspond to the programs of this machine.

A machine that is not Gentoo has the programs, but no VDB. Versions are from dpkg if it
installed the program, otherwise from the program's own ``--version``.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.portage_api import session as portage_api
from flatcar_prefix.system import process

REVISION = "r100"
"""The revision of all packages of the machine. Distributions correct the same faults that
Gentoo corrects in revisions, so ``>=autoconf-2.71-r6`` is satisfied."""


@dataclass(frozen=True)
class Kind:
    """A package that corresponds to a program."""

    name: str
    """``category/name``."""
    slot: str = "0"
    """SLOT; ``{1}`` is the first component of the version, ``{2}`` are the first two."""
    use: str = ""
    """USE flags; those with a leading minus are known, and off."""
    version: str = ""
    """A fixed version, independent of the program's version."""

    def slot_of(self, version: str) -> str:
        """Return SLOT for a version."""
        parts = version.split(".")
        return self.slot.format("", parts[0], ".".join(parts[:2]))


def _same(*names: str) -> tuple[Kind, ...]:
    return tuple(Kind(name) for name in names)


PROVIDED: Mapping[str, tuple[Kind, ...]] = {
    "autoconf": (
        Kind("dev-build/autoconf", "{2}"),
        Kind("dev-build/autoconf-wrapper", version="20991231"),
    ),
    "automake": (
        Kind("dev-build/automake", "{2}"),
        Kind("dev-build/automake-wrapper", version="20991231"),
    ),
    "bash": (Kind("app-shells/bash", use="readline net"),),
    "bc": (Kind("app-alternatives/bc", use="gnu", version="0"),),
    "bison": (
        Kind("sys-devel/bison"),
        Kind("app-alternatives/yacc", use="bison", version="1"),
    ),
    "bzip2": (
        Kind("app-arch/bzip2", "0/1"),
        Kind("app-alternatives/bzip2", use="reference", version="1"),
    ),
    "cmake": (Kind("dev-build/cmake", use="ncurses"),),
    "cpio": (
        Kind("app-arch/cpio"),
        Kind("app-alternatives/cpio", use="gnu", version="0"),
    ),
    "curl": (Kind("net-misc/curl", use="ssl ftp http2 idn ipv6"),),
    "diff": _same("sys-apps/diffutils"),
    "doxygen": (Kind("app-text/doxygen", use="-dot"),),
    "file": (Kind("sys-apps/file", use="bzip2 lzma seccomp zlib"),),
    "find": _same("sys-apps/findutils"),
    "flex": (Kind("sys-devel/flex"), Kind("app-alternatives/lex", use="flex", version="0")),
    "gawk": (
        Kind("sys-apps/gawk", use="mpfr readline"),
        Kind("app-alternatives/awk", use="gawk", version="4"),
    ),
    "gcc": (Kind("sys-devel/gcc", "{1}", "cxx nptl openmp pie ssp -debug"),),
    "gettext": (Kind("sys-devel/gettext", use="cxx openmp nls"),),
    "git": (Kind("dev-vcs/git", use="curl gpg iconv pcre perl webdav"),),
    "gperf": _same("dev-util/gperf"),
    "grep": (Kind("sys-apps/grep", use="pcre"),),
    "gzip": (
        Kind("app-arch/gzip"),
        Kind("app-alternatives/gzip", use="reference", version="1"),
    ),
    "help2man": (Kind("sys-apps/help2man", use="nls"),),
    "ld": (Kind("sys-devel/binutils", "{2}", "cxx gold plugins -multitarget"),),
    "libtoolize": (Kind("dev-build/libtool", "2"),),
    "ls": (Kind("sys-apps/coreutils", use="acl xattr"),),
    "m4": _same("sys-devel/m4"),
    "make": _same("dev-build/make"),
    "makeinfo": _same("sys-apps/texinfo"),
    "meson": _same("dev-build/meson"),
    "nasm": _same("dev-lang/nasm"),
    "ninja": (
        Kind("dev-build/ninja"),
        Kind("app-alternatives/ninja", use="reference", version="1"),
    ),
    "patch": (Kind("sys-devel/patch", use="xattr"),),
    "perl": (Kind("dev-lang/perl", "0/{2}", "berkdb gdbm ithreads -minimal"),),
    "pkg-config": (Kind("dev-util/pkgconf", "0/5"), Kind("virtual/pkgconfig", version="3")),
    "python3": (
        Kind("dev-lang/python", "{2}", "ensurepip gdbm ncurses readline sqlite ssl xml -build -tk"),
    ),
    "rsync": (Kind("net-misc/rsync", use="acl iconv ssl xattr"),),
    "sed": (Kind("sys-apps/sed", use="acl"),),
    "tar": (
        Kind("app-arch/tar", use="acl xattr"),
        Kind("app-alternatives/tar", use="gnu", version="0"),
    ),
    "tclsh": (Kind("dev-lang/tcl", "0/{2}", "threads"),),
    "unzip": (Kind("app-arch/unzip", use="bzip2 unicode"),),
    "wget": (Kind("net-misc/wget", use="ssl"),),
    "xsltproc": (Kind("dev-libs/libxslt", use="crypt -python"),),
    "xz": (Kind("app-arch/xz-utils", use="extra-filters"),),
    "zip": _same("app-arch/zip"),
    "zstd": (Kind("app-arch/zstd", "0/1", "lz4 lzma zlib"),),
}
"""The packages that correspond to each program, if the machine has the program."""

C_LIBRARY = (
    Kind("sys-libs/glibc", "2.2", "ssp -crypt -multilib"),
    Kind("virtual/libc", version="1"),
    Kind("virtual/os-headers", version="0"),
    Kind("prefix/gcc-runtime", version="1"),
)
"""The packages that gcc compiles against. Portage looks behind virtual packages."""

SLOTTED = frozenset({"dev-build/autoconf", "dev-build/automake", "dev-lang/python"})
"""Packages of which a build may need one particular slot. They are not in package.provided,
which has no slots."""

AUTOTOOLS_SCRIPTS = (
    "/usr/share/misc",
    "/usr/share/automake-1.*",
    "/usr/share/autoconf/build-aux",
)
"""The directories in which distributions install config.guess and config.sub, best first."""


@dataclass(frozen=True)
class Package:
    """A package that this machine has."""

    name: str
    version: str
    slot: str
    use: str = ""

    @property
    def cpv(self) -> str:
        """``category/name-version``, with the revision of all packages of the machine."""
        return f"{self.name}-{self.version}-{REVISION}"


def present() -> tuple[Package, ...]:
    """Return the packages that correspond to this machine's programs."""
    programs = {name: path for name in PROVIDED if (path := find_program(name))}
    known = versions(programs.values())
    found = {
        kind.name: _package(kind, known[path])
        for name, path in programs.items()
        for kind in PROVIDED[name]
    }
    if "gcc" in programs:
        libc = libc_version()
        found |= {kind.name: _package(kind, libc) for kind in C_LIBRARY}
        headers = _dpkg_versions(["linux-libc-dev"]).get("linux-libc-dev", "0")
        found["sys-kernel/linux-headers"] = _package(Kind("sys-kernel/linux-headers"), headers)
    found |= {kind.name: _package(kind, kind.version) for kind in helpers()}
    # The version of a development tree is HEAD, or has a suffix.
    portage = re.match(r"\d+(\.\d+)*", portage_api.version())
    version = portage[0] if portage else portage_api.NEWEST_KNOWN
    found["sys-apps/portage"] = _package(Kind("sys-apps/portage"), version)
    return tuple(found[name] for name in sorted(found))


def helpers() -> tuple[Kind, ...]:
    """Return the packages that this program's own helpers replace; see build_host."""
    config_scripts = (
        (Kind("sys-devel/gnuconfig", version="20991231"),) if gnuconfig_dir() is not None else ()
    )
    return (
        Kind("app-portage/elt-patches", version="20991231"),
        Kind("dev-lang/python-exec", "2", version="2.4.10"),
        Kind("dev-lang/python-exec-conf", "2", version="2.4.6"),
        Kind("sys-apps/gentoo-functions", version="1.99"),
        *config_scripts,
    )


def gnuconfig_dir() -> Path | None:
    """Return the directory of the machine's config.guess and config.sub, if it has them."""
    for pattern in AUTOTOOLS_SCRIPTS:
        for directory in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True):
            if (directory / "config.guess").is_file() and (directory / "config.sub").is_file():
                return directory
    return None


def python_path() -> str | None:
    """Return the machine's ``python3``, never that of a virtual environment."""
    return shutil.which("python3", path="/usr/bin:/bin:/usr/local/bin")


def python_version() -> str:
    """Return the version, ``3.N``, of the machine's Python; this process's if it has none."""
    if path := python_path():
        if found := re.search(r"python(3\.\d+)$", os.path.realpath(path)):
            return found[1]
        text = process.run([path, "--version"], capture=True, check=False).stdout
        if found := re.search(r"\b(3\.\d+)", text):
            return found[1]
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


OWN_TOOLS = ("bash", "cmake", "meson", "ninja")
"""Programs that this program's environment can have in a newer version than the distribution."""


def find_program(name: str) -> str | None:
    """Return the program's path: for :data:`OWN_TOOLS`, this program's own environment first."""
    if name == "python3":
        return python_path()
    if name in OWN_TOOLS and (own := shutil.which(name, path=os.path.dirname(sys.executable))):
        return own
    return shutil.which(name)


def versions(paths: Iterable[str]) -> dict[str, str]:
    """Return the version of each program, ``0`` if the program does not print it."""
    wanted = list(dict.fromkeys(paths))
    owners = _dpkg_owners(wanted)
    known = _dpkg_versions(sorted(set(owners.values())))
    found = {path: known[owner] for path, owner in owners.items() if owner in known}
    rest = [path for path in wanted if path not in found]
    with ThreadPoolExecutor(max_workers=8) as pool:
        return found | dict(zip(rest, pool.map(_told_version, rest), strict=True))


def libc_version() -> str:
    """Return the version of the C library that this process runs with, ``0`` if unknown."""
    try:
        text = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return "0"
    return text.rpartition(" ")[2] or "0"


def upstream_version(debian: str) -> str:
    """Return the upstream version of a Debian version as a Gentoo version, ``0`` if none.

    See deb-version(7); suffixes after the numbers (``+dfsg``, ``~rc1``) are removed.
    """
    without_epoch = debian.partition(":")[2] or debian
    found = re.match(r"\d+(\.\d+)*[a-z]?(?![a-zA-Z])", without_epoch.rpartition("-")[0] or debian)
    return found[0] if found else "0"


def _package(kind: Kind, version: str) -> Package:
    version = kind.version or version
    return Package(kind.name, version, kind.slot_of(version), kind.use)


def _dpkg_owners(paths: Sequence[str]) -> dict[str, str]:
    """Return the Debian package of each program that dpkg installed."""
    if not paths or not shutil.which("dpkg-query"):
        return {}
    spellings: dict[str, str] = {}
    for path in paths:
        real = os.path.realpath(path)
        spellings[real] = path
        spellings[real.removeprefix("/usr")] = path  # a merged /usr
    result = process.run(["dpkg-query", "-S", *spellings], capture=True, check=False, input="")
    found = {}
    for line in result.stdout.splitlines():
        packages, _, file = line.partition(": ")
        if file in spellings and not packages.startswith("diversion "):
            found[spellings[file]] = packages.split(",")[0].partition(":")[0]
    return found


def _dpkg_versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the upstream version of each installed Debian package."""
    if not packages or not shutil.which("dpkg-query"):
        return {}
    query = ["dpkg-query", "-W", "-f", "${Package} ${Version}\\n", *packages]
    lines = process.run(query, capture=True, check=False, input="").stdout.splitlines()
    pairs = (line.split() for line in lines)
    found = {pair[0]: upstream_version(pair[1]) for pair in pairs if len(pair) == 2}
    return {name: version for name, version in found.items() if version != "0"}


def _told_version(program: str) -> str:
    """Return the version that a program prints, or ``0`` if it prints none."""
    try:
        result = process.run([program, "--version"], capture=True, check=False, input="")
    except PrefixError:
        return "0"
    match = re.search(r"\b(\d+(?:\.\d+)+)", result.stdout + result.stderr)
    return match[1] if match else "0"
