# SPDX-License-Identifier: BSD-3-Clause
"""ELF files one by one, and what each loads."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path

from flatcar_prefix.audit.checks.build_paths import Forbidden
from flatcar_prefix.audit.elf import E_MACHINE, PF_X, Elf
from flatcar_prefix.audit.findings import WARNING, Finding
from flatcar_prefix.audit.loader import Fault, Loaded, Loader, fits
from flatcar_prefix.boards import Board

_EM_BPF = E_MACHINE["EM_BPF"]


def check_object(loader: Loader, forbidden: Forbidden, path: str, elf: Elf) -> Iterator[Finding]:
    """Yield what is wrong with a file that has a dynamic segment or an interpreter."""
    if elf.interpreter is not None:
        yield from _interpreter(loader, path, elf.interpreter, program=elf.is_program)
    yield from _search_paths(loader, forbidden, path, elf)
    if elf.textrel:
        yield Finding("elf-textrel", path, "has text relocations")
    if elf.stack_flags is None:
        # A library that needs none is enough: glibc makes the stack executable to load it.
        if elf.dynamic or elf.interpreter:
            yield Finding("elf-execstack", path, "does not say that its stack is not executable")
    elif elf.stack_flags & PF_X:
        yield Finding("elf-execstack", path, "asks for an executable stack")


def check_machine(board: Board, path: str, elf: Elf) -> Iterator[Finding]:
    """Yield a finding when the file is for another machine than the board."""
    if fits(elf, board) or elf.machine == _EM_BPF:
        return
    names = {number: name for name, number in E_MACHINE.items()}
    machine = names.get(elf.machine, f"machine {elf.machine}")
    order = "little" if elf.little else "big"
    yield Finding(
        "elf-machine",
        path,
        f"is {elf.bits}-bit {order}-endian {machine}; {board.name} is {board.elf_machine}",
    )


def _interpreter(
    loader: Loader, path: str, interpreter: str, *, program: bool
) -> Iterator[Finding]:
    if not loader.tree.inside(interpreter):
        code = "elf-interpreter" if program else "elf-interpreter-library"
        yield Finding(code, path, f"asks for the loader {interpreter}, not {loader.path}")
        return
    resolved = loader.resolver.resolve(interpreter)
    if not resolved.ok:
        yield Finding("elf-interpreter-missing", path, f"asks for the loader {interpreter}")
    elif resolved.path != loader.file:
        message = f"asks for the loader {interpreter}, not {loader.path}"
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


def check_loaded(
    loader: Loader, path: str, elf: Elf, *, program: bool
) -> tuple[list[Loaded], list[Finding]]:
    """Return what is loaded with the object at ``path``, and a finding for each fault.

    ``program`` is false for a library that nothing in the prefix is linked against: it
    is loaded on its own, by ``dlopen``.
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
    if fault.kind == "endless":
        message = f"takes more than {fault.detail} searches for libraries to be loaded"
        return Finding("elf-broken", fault.file, message)
    if not fault.detail:
        message = f"needs {fault.needed}, which is nowhere that the loader looks"
        return Finding("elf-needed", fault.file, message, subject=fault.needed)
    message = f"needs {fault.needed}; there is {fault.detail}, where the loader does not look"
    return Finding("elf-needed", fault.file, message, subject=fault.needed)


def check_loader(loader: Loader) -> Iterator[Finding]:
    """Yield what is wrong with the loader of the tree itself, if it has one."""
    tree = loader.tree
    if loader.file is None or not Path(tree.local(loader.file)).exists():
        return
    known = loader.built_in
    outside = [d for d in known.directories if not tree.inside(d)]
    if known.cache and not tree.inside(known.cache):
        outside.append(known.cache)
    if outside:
        imported = tree.libc == "import"
        reason = " (an imported C library does)" if imported else ""
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
