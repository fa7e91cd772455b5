# SPDX-License-Identifier: BSD-3-Clause
"""Run a prefix's programs in a sandbox that contains only the prefix.

bubblewrap creates the sandbox. This module supervises it, so that exit code, signals and
terminal behave as if the caller ran the program directly.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path, PurePosixPath

from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.prefix import registry
from flatcar_prefix.prefix.registry import Named
from flatcar_prefix.sandbox import ld_debug, seccomp
from flatcar_prefix.sandbox.emulation import EMULATOR, binfmt, interpreted
from flatcar_prefix.sandbox.place import (
    Bind,
    Place,
    emulator,
    environment,
    find_program,
    parse_bind,
)
from flatcar_prefix.sandbox.supervise import supervise
from flatcar_prefix.system import programs

TRACES = "/run/flatcar-prefix/traces"

OF_THE_MACHINE = tuple(
    f"/proc/{name}" for name in ("sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi", "mtrr")
)
"""The files of the machine, not of the PID namespace, that root can write in a new procfs."""

NETWORK_FILES = ("resolv.conf", "hosts", "nsswitch.conf")


def bwrap_words(place: Place, *, cwd: str) -> list[str]:
    """Return bubblewrap's options for ``place``."""
    words = [
        *("--unshare-all", "--cap-drop", "ALL"),
        *(("--share-net",) if place.network else ()),
        *("--clearenv", "--hostname", place.root.prefix.name[:64]),
        *("--ro-bind", os.fspath(place.root.eroot), place.eprefix),
        *("--proc", "/proc", *_closed_proc(), "--dev", "/dev", "--tmpfs", "/tmp"),
    ]
    if place.emulator:
        words += ["--ro-bind", os.fspath(place.emulator), EMULATOR]
    if place.network:
        words += _network_words(place)
    for bind in place.binds:
        words += bind.words()
    for key, value in place.environment.items():
        words += ["--setenv", key, value]
    return [*words, "--remount-ro", "/", "--chdir", cwd]


def _closed_proc() -> list[str]:
    """Return the options that make the machine's own files in /proc read-only.

    root owns them, so root can write to them without a capability. bubblewrap does not protect
    them, because the directories are not writable.
    """
    there = (place for place in OF_THE_MACHINE if Path(place).exists())
    return [word for place in there for word in ("--ro-bind", place, place)]


def _network_words(place: Place) -> list[str]:
    """Return the options for name resolution, for the prefix's C library too."""
    words: list[str] = []
    for name in NETWORK_FILES:
        host = Path("/etc") / name
        if host.exists():
            words += ["--ro-bind", os.fspath(host.resolve()), f"/etc/{name}"]
        if host.exists() and (place.root.eroot / "etc" / name).is_file():
            words += ["--ro-bind", os.fspath(host.resolve()), f"{place.eprefix}/etc/{name}"]
    return words


def run(
    prefix: Named,
    argv: Sequence[str],
    *,
    bind: Sequence[str | Path] = (),
    network: bool = False,
    trace_libs: bool = False,
    root_kind: str = "final",
    env: Mapping[str, str] | None = None,
) -> int:
    """Run a program of the prefix in a sandbox and return its exit code.

    The program sees the prefix at EPREFIX, read-only, /proc, /dev, an empty /tmp, and each
    of ``bind`` (``SOURCE[:TARGET][:ro]``). It inherits this process's streams. If a signal
    ends it, the exit code is 128 plus the signal number. ``trace_libs`` prints the loaded
    libraries to stderr and raises :class:`PrefixError` for one from outside the prefix.
    """
    prefix = registry.load(prefix)
    if isinstance(argv, str):
        raise UsageError("the command is one text", hint="Give a list: the program, its arguments.")
    if not argv:
        raise UsageError("no program was given", hint="Give a program after --.")
    place = Place(prefix.root(root_kind), tuple(map(parse_bind, bind)), network, emulator(prefix))
    registry.refuse_unconfigured(place.root)
    with ExitStack() as stack:
        more = dict(env or {})
        if trace_libs:
            traces = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trace-")))
            place = replace(place, binds=(*place.binds, Bind(traces, TRACES)))
            more |= {"LD_DEBUG": "libs,files", "LD_DEBUG_OUTPUT": f"{TRACES}/ld"}
        place = replace(place, environment=environment(prefix, place.path, more))
        code = supervise(*_command(place, argv), seccomp=seccomp.program())
        if trace_libs:
            report(place, ld_debug.read(traces))
    return code


def _command(place: Place, argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return bubblewrap's command, and the command that must precede it, if any."""
    cwd = os.getcwd()
    inside = any(PurePosixPath(cwd).is_relative_to(bind.target) for bind in place.binds)
    cwd = cwd if inside else "/"
    program = find_program(place, argv[0], cwd=cwd)
    command = [program, *argv[1:]]
    before: list[str] = []
    if place.emulator:
        before = binfmt(place.root.prefix, place.emulator)
        if not before:
            command = [EMULATOR, *interpreted(place, command)]
    bwrap = programs.which("bwrap", package="bubblewrap")
    return [os.fspath(bwrap), *bwrap_words(place, cwd=cwd), "--", *command], before


def report(place: Place, libraries: Sequence[ld_debug.Library]) -> None:
    """Print the loaded libraries; raise :class:`PrefixError` for one from outside the prefix."""
    inside = [lib for lib in libraries if lib.inside(place.eprefix)]
    outside = [lib for lib in libraries if not lib.inside(place.eprefix)]
    for library in libraries:
        mark = "" if library in inside else "  (outside the prefix)"
        print(f"{library.name} => {library.path}{mark}", file=sys.stderr)
    if outside:
        raise PrefixError(
            f"{len(outside)} libraries came from outside the prefix: "
            + ", ".join(library.path for library in outside),
            hint="Rebuild the package that needs them against the prefix, then run"
            " flatcar-prefix verify.",
        )
    if not libraries:
        print(
            " * No library was traced: the program is static or not an ELF file.", file=sys.stderr
        )
