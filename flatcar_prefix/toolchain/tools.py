# SPDX-License-Identifier: BSD-3-Clause
"""The tools of a prefix: the compiler and binutils under the board's names."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flatcar_prefix.prefix.model import Prefix, Toolchain
from flatcar_prefix.system import process
from flatcar_prefix.system.files import write_atomic
from flatcar_prefix.toolchain import build_systems, launchers, ldconfig
from flatcar_prefix.toolchain.flags import driver_flags, raw_command

BINUTILS = (
    "addr2line ar as gprof ld ld.bfd ld.gold nm objcopy objdump ranlib readelf size strings strip"
).split()

HOST_TOOLS = {"gtar": "tar", "gmake": "make", "gsed": "sed", "gfind": "find", "gxargs": "xargs"}
"""Names that Portage and ebuilds use for GNU tools, and their names on other systems."""


@dataclass(frozen=True)
class Layout:
    """The directories of gcc's own files and of its C++ headers."""

    directory: Path
    """e.g. ``/usr/lib/gcc/x86_64-linux-gnu/12``."""
    cxx_headers: tuple[str, ...]


def layout(toolchain: Toolchain) -> Layout:
    """Return the directories of the compiler's own files, as the compiler reports them."""
    dirs = process.run([toolchain.cc, "-print-search-dirs"], capture=True).stdout
    install = next(line[9:] for line in dirs.splitlines() if line.startswith("install: "))
    argv = [*raw_command(toolchain, toolchain.cxx), "-E", "-v", "-xc++", os.devnull]
    said = process.run(argv, capture=True).stderr
    listed = re.search(r"#include <...> search starts here:\n(.*?)End of search", said, re.DOTALL)
    headers = [line.strip() for line in listed[1].splitlines()] if listed else []
    cxx = tuple(os.path.realpath(h) for h in headers if "c++" in h or "g++-v" in h)
    return Layout(Path(os.path.realpath(install)), cxx)


def script(
    argv: Iterable[str],
    *,
    env: Mapping[str, str] | None = None,
    before: str = "",
    launcher: str = "",
    more: str = "",
) -> str:
    """Return a script that calls ``argv`` with its own arguments, after ``before``.

    ``launcher`` is shell text before the command, and ``more`` before the script's own arguments.
    """
    settings = "".join(f"{k}={shlex.quote(v)}\nexport {k}\n" for k, v in (env or {}).items())
    return f'#!/bin/sh\n{before}{settings}exec {launcher}{shlex.join(argv)} {more}"$@"\n'


WITHOUT_BUILD_DIRECTORY = '${PORTAGE_BUILDDIR:+"-ffile-prefix-map=${PORTAGE_BUILDDIR}/work=."} '
"""The argument that keeps the build directory out of ``__FILE__`` and debugging information."""


def compiler_script(
    prefix: Prefix, argv: Iterable[str], raw: Iterable[str], *, env: Mapping[str, str] | None = None
) -> str:
    """Return the script of a compiler, which a launcher may start.

    The script runs the command ``raw`` until the prefix has a C library.
    """
    more = WITHOUT_BUILD_DIRECTORY
    before = until_libc(prefix, raw, launcher=launchers.CALL, more=more)
    return script(argv, env=env, before=before, launcher=launchers.CALL, more=more)


def until_libc(prefix: Prefix, raw: Iterable[str], *, launcher: str = "", more: str = "") -> str:
    """Return the script lines that run ``raw`` until the prefix has a C library.

    The C library and all packages before it are thus compiled with the toolchain's own
    sysroot, without a separate step in between.
    """
    libc = prefix.staging.eroot / "usr" / prefix.board.libdir / "libc.so"
    return (
        "# Use the toolchain's own C library until the prefix has one.\n"
        f'[ -e {shlex.quote(os.fspath(libc))} ] || exec {launcher}{shlex.join(raw)} {more}"$@"\n'
    )


def write_tools(prefix: Prefix) -> None:
    """Write the prefix's tools, the mirror of gcc's directory and the build system files."""
    tools = prefix.tools_dir
    tools.mkdir(parents=True, exist_ok=True)
    gcc = layout(prefix.toolchain)
    mirror = tools.parent / "gcc"
    exec_prefix = _mirror(gcc.directory, mirror, prefix.toolchain)
    for name, text in tool_scripts(prefix, gcc, exec_prefix).items():
        write_atomic(tools / name, text, mode=0o755)
    share = build_systems.directory(prefix)
    share.mkdir(exist_ok=True)
    for name, text in build_systems.files(prefix).items():
        write_atomic(share / name, text)


def tool_scripts(prefix: Prefix, gcc: Layout, exec_prefix: str) -> dict[str, str]:
    """Return the text of each tool of the prefix, by name."""
    toolchain, chost = prefix.toolchain, prefix.board.chost
    env = {"GCC_EXEC_PREFIX": exec_prefix}
    flags = driver_flags(prefix)
    cxx = [word for header in gcc.cxx_headers for word in ("-isystem", header)]
    raw_cc, raw_cxx = (raw_command(toolchain, c) for c in (toolchain.cc, toolchain.cxx))
    c = compiler_script(prefix, [toolchain.cc, *flags], raw_cc, env=env)
    cplusplus = compiler_script(prefix, [toolchain.cxx, *flags, *cxx], raw_cxx, env=env)
    raw_cpp = until_libc(prefix, [*raw_cc, "-E"])
    scripts = {
        f"{chost}-gcc": c,
        f"{chost}-cc": c,
        f"{chost}-g++": cplusplus,
        f"{chost}-c++": cplusplus,
        f"{chost}-cpp": script([toolchain.cc, "-E", *flags], env=env, before=raw_cpp),
        f"{chost}-pkg-config": pkg_config_script(prefix),
        f"{chost}-ldconfig": ldconfig.text(prefix),
    }
    if toolchain.clang:
        scripts |= _clang_scripts(prefix, flags, cxx, exec_prefix)
    for name in BINUTILS:
        if tool := shutil.which(f"{toolchain.binutils_prefix}{name}"):
            scripts[f"{chost}-{name}"] = script([tool])
    for name in ("gcc-ar", "gcc-nm", "gcc-ranlib"):
        if tool := shutil.which(f"{toolchain.binutils_prefix}{name}"):
            scripts[f"{chost}-{name}"] = script([tool])
    for name, real in HOST_TOOLS.items():
        if not shutil.which(name) and (tool := shutil.which(real)):
            scripts[name] = script([tool])
    return scripts


def _clang_scripts(
    prefix: Prefix, flags: list[str], cxx: list[str], exec_prefix: str
) -> dict[str, str]:
    """Return clang's scripts; clang uses the mirror of gcc's directory only."""
    toolchain, chost = prefix.toolchain, prefix.board.chost
    mirror = os.fspath(Path(exec_prefix).parents[1])
    common = [
        f"--target={toolchain.clang_target}",
        f"--gcc-toolchain={mirror}",
        "-Wno-unused-command-line-argument",
        *flags,
    ]
    cc, cpp = toolchain.clang_cc, toolchain.clang_cxx
    raw = {c: raw_command(toolchain, c) for c in (cc, cpp)}
    return {
        f"{chost}-clang": compiler_script(prefix, [cc, *common], raw[cc]),
        f"{chost}-clang++": compiler_script(prefix, [cpp, *common, *cxx], raw[cpp]),
        f"{chost}-cpp": script([cc, "-E", *common], before=until_libc(prefix, [*raw[cc], "-E"])),
    }


def pkg_config_script(prefix: Prefix) -> str:
    """Return ``<chost>-pkg-config``, which finds the prefix's libraries only."""
    usr = f"{prefix.staging.eroot}/usr"
    env = {
        "PKG_CONFIG_SYSROOT_DIR": os.fspath(prefix.staging.path),
        "PKG_CONFIG_LIBDIR": f"{usr}/{prefix.board.libdir}/pkgconfig:{usr}/share/pkgconfig",
        "PKG_CONFIG_SYSTEM_INCLUDE_PATH": f"{prefix.eprefix}/usr/include",
        "PKG_CONFIG_SYSTEM_LIBRARY_PATH": f"{prefix.eprefix}/usr/{prefix.board.libdir}"
        f":{prefix.eprefix}/{prefix.board.libdir}",
    }
    return "#!/bin/sh\nunset PKG_CONFIG_PATH\n" + script(["pkg-config"], env=env)[10:]


def _mirror(directory: Path, mirror: Path, toolchain: Toolchain) -> str:
    """Create the mirror of gcc's ``directory``; return the value of GCC_EXEC_PREFIX.

    GCC_EXEC_PREFIX names the directory two above, where gcc looks for
    ``<machine>/<version>/``.
    """
    exec_prefix = mirror / "lib" / directory.parent.parent.name
    here = exec_prefix / directory.parent.name / directory.name
    shutil.rmtree(mirror, ignore_errors=True)
    here.mkdir(parents=True)
    for path in sorted(directory.iterdir()):
        (here / path.name).symlink_to(os.path.realpath(path))
    # gcc takes as and ld from its own directory or from PATH, which may have the wrong ones.
    for name in ("as", "ld"):
        if (tool := shutil.which(f"{toolchain.binutils_prefix}{name}")) and not (
            here / name
        ).exists():
            (here / name).symlink_to(os.path.realpath(tool))
    return f"{exec_prefix}/"
