# SPDX-License-Identifier: BSD-3-Clause
"""A place to run programs in: which root, which binds, where a program is."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.prefix.model import Prefix, Root
from flatcar_prefix.system import programs


class NoProgramError(PrefixError):
    """The program is not in the prefix; the exit code is the shell's for that."""

    exit_code = 127


class NotExecutableError(PrefixError):
    """The program is there, and cannot be run; the exit code is the shell's for that."""

    exit_code = 126


@dataclass(frozen=True)
class Bind:
    """A directory or file of the caller's that the program sees."""

    source: Path
    target: str
    writable: bool = True

    def words(self) -> list[str]:
        return ["--bind" if self.writable else "--ro-bind", os.fspath(self.source), self.target]


@dataclass(frozen=True)
class Place:
    """What a program sees: a root of a prefix, and what else the caller asked for."""

    root: Root
    binds: tuple[Bind, ...] = ()
    network: bool = False
    emulator: Path | None = None
    """QEMU's, when the board is of another architecture than this machine."""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def eprefix(self) -> str:
        return self.root.prefix.eprefix

    @property
    def path(self) -> list[str]:
        """PATH, as directories of the target."""
        return [f"{self.eprefix}/{d}" for d in ("usr/bin", "bin", "usr/sbin", "sbin")]

    def on_host(self, target: str) -> Path | None:
        """Return where a path of the place lies outside of it; ``None`` for nowhere."""
        for inside, outside in self._mounts():
            if target == inside or target.startswith(inside + "/"):
                return Path(os.fspath(outside) + target[len(inside) :])
        return None

    def _mounts(self) -> Iterator[tuple[str, Path]]:
        for bind in reversed(self.binds):
            yield bind.target.rstrip("/"), bind.source
        yield self.eprefix, self.root.eroot

    def resolve(self, target: str, *, links: int = 40) -> Path | None:
        """Return the file on this machine that a path of the place leads to.

        Symlinks are followed as they will be in there, absolute ones into the place.
        """
        done = "/"
        parts = [part for part in target.split("/") if part]
        while parts:
            part = parts.pop(0)
            if part in (".", ".."):
                done = os.path.normpath(os.path.join(done, part))
                continue
            done = os.path.join(done, part)
            host = self.on_host(done)
            if host is not None and host.is_symlink():
                links -= 1
                if not links:
                    return None
                leads = os.readlink(host)
                parts = [word for word in leads.split("/") if word] + parts
                done = "/" if leads.startswith("/") else os.path.dirname(done)
        return host if (host := self.on_host(done)) and host.exists() else None


def parse_bind(text: str | Path) -> Bind:
    """Return the bind that ``SOURCE[:TARGET][:ro]`` asks for; SOURCE is its own TARGET."""
    words = os.fspath(text).split(":")
    writable = words[-1] != "ro"
    if not writable:
        words.pop()
    if len(words) not in (1, 2) or not all(words):
        raise UsageError(f"{text!s} is not a bind", hint="Write it as SOURCE[:TARGET][:ro].")
    source = Path(os.path.abspath(words[0]))
    target = words[1] if len(words) == 2 else os.fspath(source)
    if not target.startswith("/") or os.path.normpath(target) in ("/", "/proc", "/dev"):
        raise UsageError(
            f"nothing can be bound at {target}", hint="Give an absolute TARGET of its own."
        )
    if not source.exists():
        raise PrefixError(f"there is no {source} to bind", hint="Give --bind what exists.")
    return Bind(source, os.path.normpath(target), writable)


def find_program(place: Place, program: str, *, cwd: str = "/") -> str:
    """Return the path in ``place`` of a program that is named as to a shell."""
    if "/" in program:
        candidates = [os.path.normpath(os.path.join(cwd, program))]
    else:
        candidates = [f"{directory}/{program}" for directory in place.path]
    found = None
    for candidate in candidates:
        host = place.resolve(candidate)
        if host is None or host.is_dir():
            continue
        if os.access(host, os.X_OK):
            return candidate
        found = found or candidate
    if found:
        raise NotExecutableError(f"{found} is not executable", hint="See its mode in the package.")
    raise NoProgramError(
        f"the prefix {place.root.prefix.name} has no program {program}",
        hint="Give a program of the prefix by name, or by its path on the target"
        f" ({place.eprefix}/...).",
    )


def emulator(prefix: Prefix, *, machine: str | None = None) -> Path | None:
    """Return QEMU for the board's programs; ``None`` where this machine runs them itself."""
    if prefix.board.uname_machine == (machine or platform.machine()):
        return None
    return programs.which(prefix.board.qemu, package="qemu-user-static").resolve()


def environment(prefix: Prefix, path: Sequence[str], more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program: none of the caller's but what is in ``more``."""
    return {
        "PATH": os.pathsep.join(path),
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        "EPREFIX": prefix.eprefix,
        **more,
    }
