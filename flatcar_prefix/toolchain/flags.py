# SPDX-License-Identifier: BSD-3-Clause
"""Compiler and linker flags of a prefix."""

from __future__ import annotations

import os

from flatcar_prefix.prefix.model import Prefix, Toolchain

HOST_PROGRAMS = ("usr/local/bin", "usr/bin", "usr/sbin", "bin", "sbin")
"""Where packages for the build host put their programs. No link leads from there to the
machine's directories, into which Portage would then install."""


def ldflags(prefix: Prefix) -> str:
    """Return LDFLAGS: the prefix's loader and, where it needs telling, its libraries.

    A loader built for the prefix looks into the prefix by itself. An imported one
    looks into the host's directories, so programs carry DT_RPATH, which (unlike
    DT_RUNPATH) also holds for the libraries of their libraries.
    """
    loader = f"{prefix.eprefix}/{prefix.board.loader}"
    flags = ["-Wl,-O1", "-Wl,--as-needed", f"-Wl,--dynamic-linker={loader}"]
    return " ".join(flags + rpath_flags(prefix))


def rpath_flags(prefix: Prefix) -> list[str]:
    """Return the linker flags by which programs find an imported C library."""
    if prefix.bootstrap != "import":
        return []
    libdir = prefix.board.libdir
    path = f"{prefix.eprefix}/{libdir}:{prefix.eprefix}/usr/{libdir}"
    return [f"-Wl,-rpath,{path}", "-Wl,--disable-new-dtags"]


def search_path(prefix: Prefix) -> str:
    """Return what builds have in PATH before the caller's: the prefix's tools, and what
    was built for the build host.
    """
    own = [prefix.host_dir / name for name in HOST_PROGRAMS]
    places = [prefix.tools_dir, *(() if prefix.native_host else own)]
    return os.pathsep.join(os.fspath(place) for place in places)


def raw_command(toolchain: Toolchain, compiler: str) -> list[str]:
    """Return how to call a compiler of the toolchain with the toolchain's own sysroot."""
    if compiler in (toolchain.clang_cc, toolchain.clang_cxx):
        target = f"--target={toolchain.clang_target}"
        return [compiler, target, *raw_command(toolchain, "")[1:]]
    return [compiler, *([f"--sysroot={toolchain.sysroot}"] if toolchain.sysroot else [])]


def driver_flags(prefix: Prefix) -> list[str]:
    """Return what a compiler is told so that it compiles for the prefix.

    ``-B`` names where start files and libraries are, since a distribution's gcc looks
    for them below other names than ``lib64``. Unlike ``-L`` it comes after the caller's
    own directories.
    """
    esysroot, libdir = os.fspath(prefix.staging.eroot), prefix.board.libdir
    return [
        f"--sysroot={esysroot}",
        f"-B{esysroot}/usr/{libdir}/",
        f"-B{esysroot}/{libdir}/",
        f"-Wl,--dynamic-linker={prefix.eprefix}/{prefix.board.loader}",
        f"-Wl,-rpath-link,{esysroot}/{libdir}:{esysroot}/usr/{libdir}",
        *rpath_flags(prefix),
    ]
