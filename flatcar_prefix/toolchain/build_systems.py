# SPDX-License-Identifier: BSD-3-Clause
"""Files that make configure, CMake and Meson find the prefix's libraries, not the host's.

The files lie next to the prefix's tools; make.conf names them. They are for packages without
a mechanism of their own. Gentoo's cmake and meson eclasses write such files from CC,
PKG_CONFIG and similar variables, which name the prefix's tools unless the ebuild overrides
them. CMake prefers options on its command line. Meson does not have a variable for a cross
file, so an ebuild must name this one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from flatcar_prefix.prefix.model import Prefix

CONFIG_SITE = "config.site"
CMAKE_TOOLCHAIN = "toolchain.cmake"
MESON_CROSS = "meson-cross.ini"

KNOWN_OF_GLIBC: Mapping[str, str] = {
    "ac_cv_func_calloc_0_nonnull": "yes",
    "ac_cv_func_chown_works": "yes",
    "ac_cv_func_fork_works": "yes",
    "ac_cv_func_getgroups_works": "yes",
    "ac_cv_func_malloc_0_nonnull": "yes",
    "ac_cv_func_memcmp_working": "yes",
    "ac_cv_func_mmap_fixed_mapped": "yes",
    "ac_cv_func_realloc_0_nonnull": "yes",
    "ac_cv_func_strtod": "yes",
    "ac_cv_func_vfork_works": "yes",
    # In diffutils 3.12, this check has no result for a cross compiler.
    "gl_cv_func_strcasecmp_works": "yes",
    "ac_cv_file__dev_ptmx": "yes",
    "ac_cv_file__dev_ptc": "no",
}
"""Results that configure would get from running a program on Linux with glibc."""

SHELLS = {"ac_cv_path_shell": "/bin/sh"}
"""The shell of scripts that a package installs. gzip takes bash if the build machine has it, but
a target may have no bash."""


MACROS = "/usr/share/aclocal"
"""The machine's macros for aclocal."""


def directory(prefix: Prefix) -> Path:
    """Return the directory of these files."""
    return prefix.tools_dir.parent / "share"


def for_all_builds(prefix: Prefix) -> dict[str, str]:
    """Return the variables for packages of the prefix and of the build host."""
    # CMake 4 configures a project for CMake before 3.5 only with this variable; older versions do
    # not read it. A machine's CMake is often newer than the one that a checkout was made for.
    found = {"CMAKE_POLICY_VERSION_MINIMUM": "3.5"}
    if not prefix.native_host:
        # autotools.eclass gives aclocal the build host's directory in place of the machine's.
        found["FLATCAR_PREFIX_ACLOCAL"] = MACROS
    return found


def variables(prefix: Prefix) -> dict[str, str]:
    """Return the variables that point build systems at the files."""
    here = directory(prefix)
    return {
        "CONFIG_SITE": os.fspath(here / CONFIG_SITE),
        **for_all_builds(prefix),
        "CMAKE_TOOLCHAIN_FILE": os.fspath(here / CMAKE_TOOLCHAIN),
        # Not MYMESONARGS: it belongs to the user and follows the eclass's own cross file.
        "FLATCAR_PREFIX_MESON_CROSS": os.fspath(here / MESON_CROSS),
    }


def files(prefix: Prefix) -> dict[str, str]:
    """Return the text of each file by name."""
    return {
        CONFIG_SITE: config_site(prefix),
        CMAKE_TOOLCHAIN: cmake_toolchain(prefix),
        MESON_CROSS: meson_cross(prefix),
    }


def config_site(prefix: Prefix) -> str:
    """Return config.site, which Autoconf's configure sources (see its manual, Site Defaults).

    It sets values only if configure compiles for the prefix, and never overrides a value.
    """
    values = {**KNOWN_OF_GLIBC, **SHELLS}
    known = "".join(f'\t: "${{{name}={value}}}"\n' for name, value in values.items())
    return (
        "# Written by flatcar-prefix. configure cannot run programs that it compiles for this\n"
        "# prefix, so their results are listed here.\n"
        f"case ${{host_alias-}} in\n{prefix.board.chost})\n{known}\t;;\nesac\n"
    )


def cmake_toolchain(prefix: Prefix) -> str:
    """Return a toolchain file, see cmake-toolchains(7)."""
    chost = prefix.board.chost
    clang = prefix.toolchain.clang
    values = {
        "CMAKE_SYSTEM_NAME": "Linux",
        "CMAKE_SYSTEM_PROCESSOR": prefix.board.uname_machine,
        "CMAKE_C_COMPILER": f"{chost}-{'clang' if clang else 'gcc'}",
        "CMAKE_CXX_COMPILER": f"{chost}-{'clang++' if clang else 'g++'}",
        "PKG_CONFIG_EXECUTABLE": os.fspath(prefix.tools_dir / f"{chost}-pkg-config"),
        "CMAKE_FIND_ROOT_PATH": os.fspath(prefix.staging.eroot),
        "CMAKE_FIND_ROOT_PATH_MODE_PROGRAM": "NEVER",
        "CMAKE_FIND_ROOT_PATH_MODE_LIBRARY": "ONLY",
        "CMAKE_FIND_ROOT_PATH_MODE_INCLUDE": "ONLY",
        "CMAKE_FIND_ROOT_PATH_MODE_PACKAGE": "ONLY",
        "CMAKE_LIBRARY_ARCHITECTURE": "",
    }
    lines = "".join(f'set({name} "{value}")\n' for name, value in values.items())
    return (
        "# Written by flatcar-prefix.\n"
        f"{lines}set_property(GLOBAL PROPERTY FIND_LIBRARY_USE_LIB64_PATHS TRUE)\n"
    )


def meson_cross(prefix: Prefix) -> str:
    """Return a cross file, see Meson's manual, Cross compilation."""
    chost, board = prefix.board.chost, prefix.board
    clang = prefix.toolchain.clang
    binaries = {
        "c": f"{chost}-{'clang' if clang else 'gcc'}",
        "cpp": f"{chost}-{'clang++' if clang else 'g++'}",
        "ar": f"{chost}-ar",
        "nm": f"{chost}-nm",
        "strip": f"{chost}-strip",
        "objcopy": f"{chost}-objcopy",
        "pkg-config": os.fspath(prefix.tools_dir / f"{chost}-pkg-config"),
        "pkgconfig": os.fspath(prefix.tools_dir / f"{chost}-pkg-config"),
    }
    machine = {
        "system": "linux",
        "cpu_family": board.uname_machine,
        "cpu": board.uname_machine,
        "endian": "little",
    }
    properties = {"needs_exe_wrapper": "true", "sys_root": f"'{prefix.staging.path}'"}
    return (
        "# Written by flatcar-prefix.\n[binaries]\n"
        + "".join(f"{name} = '{value}'\n" for name, value in binaries.items())
        + "\n[host_machine]\n"
        + "".join(f"{name} = '{value}'\n" for name, value in machine.items())
        + "\n[properties]\n"
        + "".join(f"{name} = {value}\n" for name, value in properties.items())
    )
