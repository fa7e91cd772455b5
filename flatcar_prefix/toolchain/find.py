# SPDX-License-Identifier: BSD-3-Clause
"""Find the compiler of a board.

Ebuilds call ``<chost>-gcc``, ``<chost>-ar`` and so on. Each prefix has tools of these names,
small scripts in one directory. They call the real tools with the prefix as sysroot and with
the prefix's loader.

gcc looks for libraries next to itself (``<gcc's directory>/../../..``), whatever its sysroot.
It would link a library of the build host if the prefix has none. Therefore the tools set
``GCC_EXEC_PREFIX`` to a mirror of gcc's directory: real directories with links to gcc's
files, and no libraries next to them.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from flatcar_prefix import environ
from flatcar_prefix.boards import Board
from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.portage_api import session as portage_api
from flatcar_prefix.prefix.model import Toolchain
from flatcar_prefix.system import distribution, process
from flatcar_prefix.system.work_dirs import temporary
from flatcar_prefix.toolchain.flags import raw_command

KINDS = ("board", "sdk", "host")
"""Best first."""

_PROBE = '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n'

_PROBE_CXX = "#include <iostream>\nint main() { std::cout << std::endl; }\n"


def cbuild() -> str:
    """Return CBUILD, which never equals a board's CHOST."""
    machine = os.uname().machine
    return f"{machine}-pc-linux-gnu" if machine == "x86_64" else f"{machine}-unknown-linux-gnu"


def find(board: Board, wanted: str | None, *, root: Path = Path("/")) -> Toolchain:
    """Return the toolchain of the wanted kind, or the best existing one.

    ``wanted`` is ``board``, ``sdk`` or ``host``; the suffix ``:clang`` selects clang in place
    of gcc. ``root`` is the root of the machine's file system. Test that the toolchain
    compiles and links a program for the board. If not, raise :class:`PrefixError`, which
    names the missing part and its package.
    """
    kind, colon, compiler = (wanted or "").partition(":")
    if (kind and kind not in KINDS) or (colon and compiler not in ("gcc", "clang")):
        raise UsageError(
            f"there is no toolchain {wanted!r}",
            hint=f"Choose one of: {', '.join(KINDS)}; append :clang to use clang.",
        )
    gcc = _find_gcc(board, kind or None, root)
    return _clang(gcc, board) if compiler == "clang" else gcc


def spelled(toolchain: Toolchain) -> str:
    """Return the name of this toolchain for :func:`find`."""
    return f"{toolchain.kind}{':clang' if toolchain.clang else ''}"


def is_as(name: str, wanted: str) -> bool:
    """Return whether the toolchain called ``name`` matches ``wanted``, see :func:`find`."""
    kind, _, compiler = wanted.partition(":")
    has, _, clang = name.partition(":")
    return kind in ("", has) and compiler in (clang or "gcc", clang)


def _find_gcc(board: Board, kind: str | None, root: Path) -> Toolchain:
    for candidate in _candidates(board, (kind,) if kind else KINDS, root):
        return probe(candidate, board)
    raise _missing(board, kind, root)


def _missing(board: Board, kind: str | None, root: Path) -> PrefixError:
    """Return the error for a missing toolchain, and how to install it."""
    if kind in ("board", "sdk"):
        sysroot, cc = _sysroot(board, kind, root), f"{board.chost}-gcc"
        if shutil.which(cc) is None:
            what = f"no {kind} compiler for {board.name} is installed"
            how = f"Run ./update_chroot --toolchain_boards={board.name} to install {cc}"
        elif kind == "board":
            what = f"there is no board root with headers in {sysroot}"
            how = f"Run ./setup_board --board={board.name}"
        else:
            what = f"there is no sysroot of {cc} with headers in {sysroot}"
            how = f"Run ./update_chroot --toolchain_boards={board.name}"
        return PrefixError(what, hint=f"{how} in the SDK, or choose another --toolchain.")
    return PrefixError(
        f"no {kind + ' ' if kind else ''}compiler for {board.name} is installed",
        hint=_how_to_get(board),
    )


def _clang(gcc: Toolchain, board: Board) -> Toolchain:
    """Return the toolchain with clang, which uses gcc's start files and libraries."""
    cc, cxx = shutil.which("clang"), shutil.which("clang++")
    if not cc or not cxx:
        how = distribution.install("clang", "llvm-core/clang")
        raise PrefixError("clang is not installed", hint=f"Install it: {how}.")
    target = process.run([gcc.cc, "-dumpmachine"], capture=True).stdout.strip()
    clang = replace(gcc, clang=True, clang_cc=cc, clang_cxx=cxx, clang_target=target)
    version = process.run([cc, "--version"], capture=True).stdout.splitlines()[0]
    _link(replace(clang, version=version), board)
    return replace(clang, version=version)


def _how_to_get(board: Board) -> str:
    triplet = board.host_triplets[0]
    native = board.is_native
    package = "gcc g++" if native else f"gcc-{triplet} g++-{triplet}"
    if distribution.on_gentoo():
        return f"Set the board up: ./setup_board --board={board.name} (looked for {triplet}-gcc)."
    return f"Install one: apt-get install {package} (looked for {triplet}-gcc)."


def _candidates(board: Board, kinds: Iterable[str], root: Path) -> Iterator[Toolchain]:
    for kind in kinds:
        if kind == "host":
            yield from _host_candidates(board)
            continue
        cc = shutil.which(f"{board.chost}-gcc")
        sysroot = _sysroot(board, kind, root)
        if cc and (sysroot / "usr/include").is_dir():
            yield _named(kind, cc, board.chost, os.fspath(sysroot))


def _sysroot(board: Board, kind: str, root: Path) -> Path:
    return root / (f"build/{board.name}" if kind == "board" else f"usr/{board.chost}")


def _host_candidates(board: Board) -> Iterator[Toolchain]:
    for triplet in board.host_triplets:
        if cc := shutil.which(f"{triplet}-gcc"):
            yield _named("host", cc, triplet, "")
    if board.is_native and (cc := shutil.which("gcc")):
        yield _named("host", cc, "", "")


def _named(kind: str, cc: str, triplet: str, sysroot: str) -> Toolchain:
    dash = f"{triplet}-" if triplet else ""
    directory = os.path.dirname(cc)
    return Toolchain(
        kind=kind,
        cc=cc,
        cxx=os.path.join(directory, f"{dash}g++"),
        binutils_prefix=os.path.join(directory, dash),
        sysroot=sysroot,
        version="",
        cbuild=cbuild(),
    )


def probe(toolchain: Toolchain, board: Board) -> Toolchain:
    """Test the toolchain and return it with its version and its other properties.

    It compiles and links small programs in C and in C++, whose loader must be the board's.
    """
    for compiler, package in ((toolchain.cc, "gcc"), (toolchain.cxx, "g++")):
        if not os.access(compiler, os.X_OK):
            raise PrefixError(
                f"the compiler {compiler} is missing",
                hint=f"Install it: {_install(board, package)}.",
            )
    version = process.run([toolchain.cc, "--version"], capture=True).stdout.splitlines()[0]
    return replace(
        toolchain,
        version=version,
        libc_version=_link(toolchain, board),
        multilib=_multilib(toolchain, board),
        cflags=_cflags(toolchain, board),
    )


def _multilib(toolchain: Toolchain, board: Board) -> str:
    """Return the name of the directory in which the compiler looks for libraries.

    Distributions' compilers use ``lib`` where the board has ``lib64``; the prefix's tools
    correct that. The directory of another ABI, such as ``libx32``, is an error.
    """
    raw = [*raw_command(toolchain, toolchain.cc), "-print-multi-os-directory"]
    name = os.path.basename(process.run(raw, capture=True).stdout.strip())
    if name not in ("", ".", "lib", board.libdir):
        raise PrefixError(
            f"{toolchain.cc} compiles for the libraries of {name}, but {board.name} has those of"
            f" {board.libdir}",
            hint=f"Install a compiler whose default is {board.uname_machine}'s usual ABI.",
        )
    return name if name.startswith("lib") else "lib"


def _cflags(toolchain: Toolchain, board: Board) -> str:
    """Return the CFLAGS: the board's own, if it has a configuration, else the defaults."""
    config = Path(toolchain.sysroot) / "etc/portage"
    if toolchain.kind != "board" or not (config / "make.profile").exists():
        return toolchain.cflags
    return portage_api.setting(Path(toolchain.sysroot), "CFLAGS") or toolchain.cflags


def _install(board: Board, package: str) -> str:
    """Return the command that installs ``gcc`` or ``g++`` for the board."""
    if board.is_native:
        return distribution.install(package, "sys-devel/gcc")
    triplet = board.host_triplets[0]
    if distribution.on_gentoo():
        return f"crossdev --target {triplet}"
    return f"apt-get install {package}-{triplet}"


def _install_libc(toolchain: Toolchain, board: Board) -> str:
    if toolchain.kind == "board":
        return f"./setup_board --board={board.name}"
    if toolchain.kind == "sdk":
        return f"./update_chroot --toolchain_boards={board.name}"
    cross = "" if board.is_native else f"-{board.arch}-cross"
    return distribution.install(f"libc6-dev{cross}", "sys-libs/glibc")


def _link(toolchain: Toolchain, board: Board) -> str:
    """Compile and link programs; return the version of the C library they were linked with."""
    cc, cxx = toolchain.clang_cc or toolchain.cc, toolchain.clang_cxx or toolchain.cxx
    _link_one(toolchain, board, cc, ("c", _PROBE), _install_libc(toolchain, board))
    _link_one(toolchain, board, cxx, ("c++", _PROBE_CXX), _install(board, "g++"))
    source = "#include <features.h>\nLIBC=__GLIBC__.__GLIBC_MINOR__\n"
    raw = [*raw_command(toolchain, cc), "-E", "-P", "-xc", "-"]
    text = process.run(raw, input=source, capture=True).stdout
    match = re.search(r"LIBC=\s*(\d+)\s*\.\s*(\d+)", text)
    return f"{match[1]}.{match[2]}" if match else ""


def _link_one(
    toolchain: Toolchain, board: Board, compiler: str, program: tuple[str, str], install: str
) -> None:
    """Link a program, given as language and source; ``install`` is the command in the hint."""
    language, source = program
    with temporary() as directory:
        made = os.path.join(directory, "probe")
        argv = [*raw_command(toolchain, compiler), f"-x{language}", "-", "-o", made]
        # The compiler's temporary files go with the directory if it is killed.
        env = {**environ.variables(), "TMPDIR": os.fspath(directory)}
        built = process.run(argv, input=source, capture=True, check=False, env=env)
        if built.returncode:
            raise PrefixError(
                f"{compiler} cannot link a program: {_last_line(built.stderr)}",
                hint=f"Install its libraries: {install}.",
            )
        loader = _interpreter(toolchain, made)
    if os.path.basename(loader) != os.path.basename(board.loader):
        raise PrefixError(
            f"{compiler} does not compile for {board.name}: its programs' loader is"
            f" {loader or 'missing'}",
            hint=f"Install a compiler for {board.uname_machine}, or choose another board.",
        )


def _interpreter(toolchain: Toolchain, program: str) -> str:
    """Return the loader that a program asks for, its PT_INTERP."""
    argv = [f"{toolchain.binutils_prefix}readelf", "--program-headers", "--wide", program]
    said = process.run(argv, env=process.environment(), capture=True).stdout
    found = re.search(r"\[Requesting program interpreter: (.*)\]", said)
    return found[1] if found else ""


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no error output"
