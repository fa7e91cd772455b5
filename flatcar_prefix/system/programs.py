# SPDX-License-Identifier: BSD-3-Clause
"""Find programs and the packages that contain them."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.system import distribution


class BuildProgram(NamedTuple):
    """A program that builds need."""

    name: str
    debian: str
    gentoo: str
    bootstraps: tuple[str, ...]
    """``all``; the bootstraps that need it; or ``run``: only some packages or verbs need it."""

    def needed_for(self, bootstrap: str) -> bool:
        """Return whether a bootstrap cannot succeed without the program."""
        return "all" in self.bootstraps or bootstrap in self.bootstraps


def _read() -> tuple[BuildProgram, ...]:
    text = Path(__file__).with_name("build-programs").read_text(encoding="utf-8")
    rows = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return tuple(
        BuildProgram(name, deb, gen, tuple(who.split(","))) for name, deb, gen, who in rows
    )


BUILD_PROGRAMS = _read()
"""The content of the file ``build-programs``, which ``.ci/prepare.sh`` reads, too."""


PACKAGES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {program.name: (program.debian, program.gentoo) for program in BUILD_PROGRAMS}
    | {
        "cp": ("coreutils", "sys-apps/coreutils"),
        "debootstrap": ("debootstrap", "dev-util/debootstrap"),
        "dump.erofs": ("erofs-utils", "sys-fs/erofs-utils"),
        "fakeroot": ("fakeroot", "sys-apps/fakeroot"),
        "gpg": ("gpg", "app-crypt/gnupg"),
        "mke2fs": ("e2fsprogs", "sys-fs/e2fsprogs"),
        "mkfs.btrfs": ("btrfs-progs", "sys-fs/btrfs-progs"),
        "mkfs.erofs": ("erofs-utils", "sys-fs/erofs-utils"),
        "mount": ("mount", "sys-apps/util-linux"),
        "openssl": ("openssl", "dev-libs/openssl"),
        "qemu-aarch64-static": ("qemu-user-static", "app-emulation/qemu"),
        "qemu-x86_64-static": ("qemu-user-static", "app-emulation/qemu"),
        "readelf": ("binutils", "sys-devel/binutils"),
        "sfdisk": ("fdisk", "sys-apps/util-linux"),
        "sqfstar": ("squashfs-tools", "sys-fs/squashfs-tools"),
        "systemd-sysext": ("systemd", "sys-apps/systemd"),
        "tar": ("tar", "app-arch/tar"),
        "unshare": ("util-linux", "sys-apps/util-linux"),
        "unsquashfs": ("squashfs-tools", "sys-fs/squashfs-tools"),
        "veritysetup": ("cryptsetup-bin", "sys-fs/cryptsetup"),
    }
)
"""The Debian package and the Gentoo package that contain each program."""

SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Directories that an ordinary user's PATH leaves out and that hold mkfs programs."""

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The directories of a system's programs: PATH for root if nothing else is left."""


def path_for_root(path: str) -> str:
    """Return the directories of ``path`` that belong to root and that only root can write.

    Wrappers do the same, see ``wrappers/cross.sh.in``.
    """
    kept = [place for place in path.split(os.pathsep) if _is_roots(place)]
    return os.pathsep.join(kept) or SYSTEM_PATH


def _is_roots(place: str) -> bool:
    try:
        state = Path(place).stat()
    except OSError:
        return False
    open_to_others = state.st_mode & (stat.S_IWOTH | stat.S_ISVTX)
    return place.startswith("/") and state.st_uid == 0 and not open_to_others


def which(program: str, *, package: str | None = None, path: str | None = None) -> Path:
    """Return the path of ``program``, from ``path`` (default: PATH) or a system directory.

    If it is missing, raise :class:`PrefixError`, which names the package to install.
    ``package`` is the Debian package of a program that only Debian has.
    """
    found = shutil.which(program, path=path) or shutil.which(program, path=os.pathsep.join(SBIN))
    if found:
        return Path(found)
    how = install_command(program) or (f"apt-get install {package}" if package else "")
    hint = (
        f"Install it: {how}."
        if how
        else "Install the package that contains it, or add its directory to PATH."
    )
    raise PrefixError(f"the program {program} is not installed", hint=hint)


def missing(bootstrap: str, *, path: str | None = None) -> tuple[BuildProgram, ...]:
    """Return the programs that a bootstrap needs and that this machine lacks."""
    needed = (program for program in BUILD_PROGRAMS if program.needed_for(bootstrap))
    return tuple(program for program in needed if not _is_there(program.name, path))


def _is_there(program: str, path: str | None) -> bool:
    return bool(shutil.which(program, path=path) or shutil.which(program, path=":".join(SBIN)))


def install_command(program: str) -> str:
    """Return the command that installs a program here; empty for an unknown program."""
    names = PACKAGES.get(program)
    return distribution.install(*names) if names else ""
