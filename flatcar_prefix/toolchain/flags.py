# SPDX-License-Identifier: BSD-3-Clause
"""Compiler and linker flags of a prefix."""

from __future__ import annotations

import os

from flatcar_prefix.prefix.model import Prefix, Toolchain

HOST_PROGRAMS = ("usr/local/bin", "usr/bin", "usr/sbin", "bin", "sbin")
"""The directories of programs of packages for the build host. None of them is a link to a
directory of the machine, because Portage would then install into it."""


def ldflags(prefix: Prefix) -> str:
    """Return LDFLAGS: the prefix's loader and the search path of libraries.

    Programs have DT_RPATH, because it precedes the caller's LD_LIBRARY_PATH, which names libraries
    of the host. Unlike DT_RUNPATH, it also applies to indirect dependencies. An imported loader
    searches no directory of the prefix without it.
    """
    loader = f"{prefix.eprefix}/{prefix.board.loader}"
    flags = ["-Wl,-O1", "-Wl,--as-needed", f"-Wl,--dynamic-linker={loader}"]
    return " ".join(flags + rpath_flags(prefix))


def rpath_flags(prefix: Prefix) -> list[str]:
    """Return the linker flags that let programs find the libraries of the prefix."""
    libdir = prefix.board.libdir
    path = f"{prefix.eprefix}/{libdir}:{prefix.eprefix}/usr/{libdir}"
    return [f"-Wl,-rpath,{path}", "-Wl,--disable-new-dtags"]


def search_path(prefix: Prefix) -> str:
    """Return the directories before the caller's PATH in builds.

    They are the prefix's tools and the programs that were built for the build host.
    """
    own = [prefix.host_dir / name for name in HOST_PROGRAMS]
    places = [prefix.tools_dir, *(() if prefix.native_host else own)]
    return os.pathsep.join(os.fspath(place) for place in places)


def raw_command(toolchain: Toolchain, compiler: str) -> list[str]:
    """Return the command of a compiler with the toolchain's own sysroot."""
    if compiler in (toolchain.clang_cc, toolchain.clang_cxx):
        target = f"--target={toolchain.clang_target}"
        return [compiler, target, *raw_command(toolchain, "")[1:]]
    return [compiler, *([f"--sysroot={toolchain.sysroot}"] if toolchain.sysroot else [])]


def driver_flags(prefix: Prefix) -> list[str]:
    """Return the flags that make a compiler compile for the prefix.

    ``-B`` names the directories of start files and libraries, because a distribution's gcc
    does not look in ``lib64``. Unlike ``-L``, it comes after the caller's own directories.
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
