# SPDX-License-Identifier: BSD-3-Clause
"""Checks of ELF files, of the libraries that they load, and of the loader."""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from flatcar_prefix.audit.checks.build_paths import Forbidden
from flatcar_prefix.audit.elf import E_MACHINE, PF_X, Elf
from flatcar_prefix.audit.findings import NOTE, WARNING, Finding
from flatcar_prefix.audit.loader import Fault, Loaded, Loader, fits, other_abi
from flatcar_prefix.audit.symbols import Unresolved
from flatcar_prefix.audit.tree import IN_PATH, OUTSIDE
from flatcar_prefix.boards import Board

_EM_BPF = E_MACHINE["EM_BPF"]
_TEST_DATA = re.compile(
    r"/(?:tests?|testing|test[-_]?data|fixtures)/|/usr/share/(?:doc|.*/examples)/"
)
_MAX_PRELOAD = 1 << 20


def check_object(loader: Loader, forbidden: Forbidden, path: str, elf: Elf) -> Iterator[Finding]:
    """Yield findings about the header, interpreter, search paths, relocations and stack."""
    if elf.interpreter is not None:
        yield from _interpreter(loader, path, elf.interpreter, program=elf.is_program)
    yield from _search_paths(loader, forbidden, path, elf)
    yield from _aside(loader, path, elf)
    if elf.truncated:
        yield Finding("elf-broken", path, f"is broken: {elf.truncated}")
    elif reason := other_abi(elf):
        yield Finding("elf-abi", path, f"cannot be loaded: {reason}")
    if elf.textrel:
        yield Finding("elf-textrel", path, "has text relocations")
    if elf.stack_flags is None:
        # Without PT_GNU_STACK, glibc makes the stack executable, even for a library.
        if elf.dynamic or elf.interpreter:
            yield Finding("elf-execstack", path, "has an executable stack: it has no PT_GNU_STACK")
    elif elf.stack_flags & PF_X:
        yield Finding("elf-execstack", path, "requests an executable stack")


def check_machine(board: Board, path: str, elf: Elf) -> Iterator[Finding]:
    """Yield a finding if the file is for another machine than the board's.

    Such a file is usually data in a directory of tests or examples, and only a note there.
    """
    if fits(elf, board) or elf.machine == _EM_BPF:
        return
    names = {number: name for name, number in E_MACHINE.items()}
    machine = names.get(elf.machine, f"machine {elf.machine}")
    data = _TEST_DATA.search(path)
    order = "little" if elf.little else "big"
    yield Finding(
        "elf-machine",
        path,
        f"is {elf.bits}-bit {order}-endian {machine}; {board.name} is {board.elf_machine}",
        NOTE if data else "",
    )


def _interpreter(
    loader: Loader, path: str, interpreter: str, *, program: bool
) -> Iterator[Finding]:
    if not loader.tree.inside(interpreter):
        code = "elf-interpreter" if program else "elf-interpreter-library"
        yield Finding(code, path, f"requests the loader {interpreter}, not {loader.path}")
        return
    resolved = loader.resolver.resolve(interpreter)
    if not resolved.ok:
        message = f"requests the loader {interpreter}, which does not exist"
        yield Finding("elf-interpreter-missing", path, message)
    elif resolved.path != loader.file:
        message = f"requests the loader {interpreter}, not {loader.path}"
        yield Finding("elf-interpreter-other", path, message)


def _search_paths(loader: Loader, forbidden: Forbidden, path: str, elf: Elf) -> Iterator[Finding]:
    for name, elements in (("RUNPATH", elf.runpath), ("RPATH", elf.rpath)):
        for element in elements or ():
            directory = loader.expand(element, path)
            said = f"has the {name} {element!r}"
            if forbidden.names(directory):
                yield Finding("elf-rpath-build", path, said, subject=element)
            elif not directory.startswith("/"):
                message = f"{said}, relative to the current directory"
                yield Finding("elf-rpath", path, message, subject=element)
            elif not loader.tree.inside(posixpath.normpath(directory)):
                yield Finding("elf-rpath", path, f"{said}, outside the prefix", subject=element)
            elif (end := loader.resolver.resolve(directory)).failure == OUTSIDE:
                message = f"{said}, which leads to {end.path}, outside the prefix"
                yield Finding("elf-rpath", path, message, subject=element)


def _aside(loader: Loader, path: str, elf: Elf) -> Iterator[Finding]:
    """Yield findings about filter and audit libraries that are named by a path."""
    for kind, names in (("DT_AUXILIARY", elf.auxiliary), ("DT_AUDIT", elf.audit)):
        for name in names:
            if "/" not in name:
                continue
            library = loader.expand(name, path)
            if not library.startswith("/"):
                message = f"names {name} in {kind}, relative to the current directory"
            elif leaves(loader, library):
                message = f"names {name} in {kind}, outside the prefix"
            else:
                continue
            yield Finding("elf-outside", path, message, subject=name)


def leaves(loader: Loader, path: str) -> bool:
    """Return whether an absolute path leads out of the prefix, with or without its links."""
    if not loader.tree.inside(posixpath.normpath(path)):
        return True
    return loader.resolver.resolve(path).failure == OUTSIDE


def check_executable(path: str, mode: int, elf: Elf) -> Iterator[Finding]:
    """Yield a finding for a program without its executable bit."""
    name = posixpath.basename(path)
    if elf.is_program and not mode & 0o111 and ".so" not in name:
        message = f"is a program without its executable bit (mode {stat.S_IMODE(mode):04o})"
        in_path = posixpath.basename(posixpath.dirname(path)) in IN_PATH
        yield Finding("not-executable", path, message, "" if in_path else WARNING)


def check_loaded(
    loader: Loader, path: str, elf: Elf, *, program: bool
) -> tuple[list[Loaded], list[Finding]]:
    """Return the objects loaded for the object at ``path``, and a finding for each fault.

    ``program`` is false for a library that no program of the prefix is linked against. The
    model then loads it on its own, as ``dlopen`` does.
    """
    objects, faults = loader.load(path, elf, program=program)
    return objects, [_fault(fault) for fault in faults]


def _fault(fault: Fault) -> Finding:
    if fault.kind == "version":
        message = f"needs version {fault.detail} of {fault.needed}, which has no such version"
        subject = f"{fault.needed} {fault.detail}"
        return Finding("elf-version", fault.file, message, subject=subject)
    if fault.kind == "unversioned":
        message = f"needs version {fault.detail} of {fault.needed}, which has no versions"
        return Finding("elf-version-none", fault.file, message, subject=fault.needed)
    if fault.kind == "refused":
        message = f"needs {fault.needed}, but the loader cannot load {fault.detail}"
        return Finding("elf-needed", fault.file, message, subject=fault.needed)
    if fault.kind == "endless":
        message = f"needs more than {fault.detail} searches to load its libraries"
        return Finding("elf-broken", fault.file, message)
    if not fault.detail:
        message = f"needs {fault.needed}, which the loader does not find"
        return Finding("elf-needed", fault.file, message, subject=fault.needed)
    message = f"needs {fault.needed}; the loader does not search the directory of {fault.detail}"
    return Finding("elf-needed", fault.file, message, subject=fault.needed)


def check_loader(loader: Loader) -> Iterator[Finding]:
    """Yield findings about the tree's loader and its cache; none without a loader."""
    tree = loader.tree
    if loader.file is None or not Path(tree.local(loader.file)).exists():
        return
    mode = Path(tree.local(loader.file)).stat().st_mode
    if not mode & 0o111:
        message = f"is the loader, without its executable bit (mode {stat.S_IMODE(mode):04o})"
        yield Finding("not-executable", loader.file, message)
    yield from _preloaded(loader)
    known = loader.built_in
    outside = [d for d in known.directories if not tree.inside(d)]
    if known.cache and not tree.inside(known.cache):
        outside.append(known.cache)
    if outside:
        imported = tree.libc == "import"
        reason = " (expected of an imported C library)" if imported else ""
        message = f"searches {', '.join(outside)}{reason}"
        level = WARNING if imported else ""
        yield Finding("loader-directories", loader.file, message, level)
    elif known.preload and not tree.inside(known.preload):
        yield Finding("loader-preload", loader.file, f"reads {known.preload}")
    if loader.cache_error:
        yield Finding("loader-cache", known.cache or "", loader.cache_error)
    strange = sorted(path for path in loader.cache.values() if not tree.inside(path))
    if strange:
        message = f"names {strange[0]}" + (f" and {len(strange) - 1} more" if strange[1:] else "")
        yield Finding("loader-cache", known.cache or "", message)


def exposed(elf: Elf) -> bool:
    """Return whether LD_LIBRARY_PATH precedes the search path of a program or library.

    A program's DT_RPATH precedes it, and applies to its libraries that have no DT_RUNPATH.
    """
    return bool(elf.needed) and (elf.runpath is not None or (elf.is_program and elf.rpath is None))


def check_environment(loader: Loader, paths: list[str]) -> Iterator[Finding]:
    """Yield one finding for all files that a caller's LD_LIBRARY_PATH can break."""
    if paths and loader.file is not None and not loader.built_in.own_variables:
        files = "1 file" if len(paths) == 1 else f"{len(paths)} files"
        message = f"reads LD_LIBRARY_PATH before the search path of {files}, such as {min(paths)}"
        yield Finding("loader-library-path", loader.file, message)


def _preloaded(loader: Loader) -> Iterator[Finding]:
    """Yield findings about the list of libraries that the loader puts into each program."""
    tree = loader.tree
    path = loader.built_in.preload or f"{tree.eprefix}/etc/ld.so.preload"
    data = loader.read(path, _MAX_PRELOAD) if tree.inside(path) else None
    for line in (data or b"").splitlines():
        for name in re.split(rb"[ \t:]+", line.split(b"#", 1)[0].strip()):
            library = loader.expand(os.fsdecode(name), path)
            if not library:
                continue
            if "/" in library and (not library.startswith("/") or leaves(loader, library)):
                message = f"names {library}, outside the prefix"
            elif not loader.finds(library):
                message = f"names {library}, which the loader does not load"
            else:
                continue
            yield Finding("loader-preload-list", path, message, subject=library)


def symbol_finding(unresolved: Unresolved, level: str = "") -> Finding:
    """Return the finding about the symbols of a file that nothing defines."""
    names = sorted(os.fsdecode(symbol) for symbol in unresolved.symbols)
    more = f" and {len(names) - 3} more" if names[3:] else ""
    what = "symbols" if names[1:] else "symbol"
    message = f"needs the {what} {', '.join(names[:3])}{more}, which no loaded library defines"
    return Finding("elf-symbol", unresolved.file, message, level)
