# SPDX-License-Identifier: BSD-3-Clause
"""Find programs and the packages that contain them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.system import distribution

PACKAGES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "bwrap": ("bubblewrap", "sys-apps/bubblewrap"),
        "cp": ("coreutils", "sys-apps/coreutils"),
        "debootstrap": ("debootstrap", "dev-util/debootstrap"),
        "dump.erofs": ("erofs-utils", "sys-fs/erofs-utils"),
        "fakeroot": ("fakeroot", "sys-apps/fakeroot"),
        "gcc": ("gcc", "sys-devel/gcc"),
        "ld": ("binutils", "sys-devel/binutils"),
        "make": ("make", "dev-build/make"),
        "mke2fs": ("e2fsprogs", "sys-fs/e2fsprogs"),
        "mkfs.btrfs": ("btrfs-progs", "sys-fs/btrfs-progs"),
        "mkfs.erofs": ("erofs-utils", "sys-fs/erofs-utils"),
        "mksquashfs": ("squashfs-tools", "sys-fs/squashfs-tools"),
        "mount": ("mount", "sys-apps/util-linux"),
        "patch": ("patch", "sys-devel/patch"),
        "qemu-aarch64-static": ("qemu-user-static", "app-emulation/qemu"),
        "qemu-x86_64-static": ("qemu-user-static", "app-emulation/qemu"),
        "readelf": ("binutils", "sys-devel/binutils"),
        "setpriv": ("util-linux", "sys-apps/util-linux"),
        "sqfstar": ("squashfs-tools", "sys-fs/squashfs-tools"),
        "systemd-sysext": ("systemd", "sys-apps/systemd"),
        "tar": ("tar", "app-arch/tar"),
        "unshare": ("util-linux", "sys-apps/util-linux"),
        "unsquashfs": ("squashfs-tools", "sys-fs/squashfs-tools"),
    }
)
"""The Debian package and the Gentoo package that contain each program."""

SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Directories that an ordinary user's PATH leaves out and that hold mkfs programs."""


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


def install_command(program: str) -> str:
    """Return the command that installs a program here; empty for an unknown program."""
    names = PACKAGES.get(program)
    return distribution.install(*names) if names else ""
