# SPDX-License-Identifier: BSD-3-Clause
"""The sandbox of a program: its root, its binds, and program lookup."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.links import follow
from flatcar_prefix.prefix.model import Prefix, Root
from flatcar_prefix.sandbox.interpreter import interpreter
from flatcar_prefix.system import programs


class NoProgramError(PrefixError):
    """The program is not in the prefix; the exit code is the shell's code for this error."""

    exit_code = 127


class NotExecutableError(PrefixError):
    """The program is not executable; the exit code is the shell's code for this error."""

    exit_code = 126


@dataclass(frozen=True)
class Bind:
    """A file or directory of the caller that is mounted in the sandbox."""

    source: Path
    target: str
    writable: bool = True

    def words(self) -> list[str]:
        return ["--bind" if self.writable else "--ro-bind", os.fspath(self.source), self.target]


@dataclass(frozen=True)
class Place:
    """The sandbox of a program: a root of a prefix, and the caller's options."""

    root: Root
    binds: tuple[Bind, ...] = ()
    network: bool = False
    emulator: Path | None = None
    """The path of QEMU if the board and this machine have different architectures."""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def eprefix(self) -> str:
        return self.root.prefix.eprefix

    @property
    def path(self) -> list[str]:
        """PATH, as directories of the target."""
        return [f"{self.eprefix}/{d}" for d in ("usr/bin", "bin", "usr/sbin", "sbin")]

    def on_host(self, target: str) -> Path | None:
        """Return the host path of a path in the sandbox, or ``None``."""
        for inside, outside in self._mounts():
            if target == inside or target.startswith(inside + "/"):
                return Path(os.fspath(outside) + target[len(inside) :])
        return None

    def _mounts(self) -> Iterator[tuple[str, Path]]:
        for bind in reversed(self.binds):
            yield bind.target.rstrip("/"), bind.source
        yield self.eprefix, self.root.eroot

    def resolve(self, target: str) -> Path | None:
        """Return the host file that a path in the sandbox resolves to.

        Symlinks resolve as in the sandbox; absolute links stay inside it.
        """
        end = follow(target, self._link)
        host = None if end.failure else self.on_host(end.path)
        return host if host and host.exists() else None

    def _link(self, target: str) -> str | None:
        host = self.on_host(target)
        return os.readlink(host) if host and host.is_symlink() else None


def parse_bind(text: str | Path) -> Bind:
    """Return the bind of ``SOURCE[:TARGET][:ro]``; TARGET defaults to SOURCE."""
    words = os.fspath(text).split(":")
    writable = words[-1] != "ro"
    if not writable:
        words.pop()
    if len(words) not in (1, 2) or not all(words):
        raise UsageError(
            f"the bind {text!s} is not valid", hint="Write it as SOURCE[:TARGET][:ro]."
        )
    source = Path(os.path.abspath(words[0]))
    target = words[1] if len(words) == 2 else os.fspath(source)
    if not target.startswith("/") or os.path.normpath(target) in ("/", "/proc", "/dev"):
        raise UsageError(
            f"cannot bind at {target}", hint="Give an absolute TARGET other than /, /proc and /dev."
        )
    if not source.exists():
        raise PrefixError(
            f"cannot bind {source}: it does not exist", hint="Give --bind an existing path."
        )
    return Bind(source, os.path.normpath(target), writable)


def find_program(place: Place, program: str, *, cwd: str = "/") -> str:
    """Return the path in ``place`` of a program; look names up in PATH, as a shell does."""
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
            _check_interpreter(place, candidate, host)
            return candidate
        found = found or candidate
    if found:
        raise NotExecutableError(
            f"{found} is not executable", hint="Correct its mode in the package."
        )
    raise NoProgramError(
        f"the prefix {place.root.prefix.name} has no program {program}",
        hint="Give a program of the prefix by name, or by its path on the target"
        f" ({place.eprefix}/...).",
    )


def _check_interpreter(place: Place, program: str, host: Path) -> None:
    """Raise :class:`NotExecutableError` if the program's interpreter or loader is missing.

    The kernel would only report that the program, which exists, does not.
    """
    needed = interpreter(host)
    if not needed.startswith("/") or place.resolve(needed):
        return
    if needed.startswith(f"{place.eprefix}/"):
        hint = "Install the package that contains it into the prefix."
    else:
        hint = f"Correct the package: use a path below {place.eprefix}, or --bind {needed}."
    raise NotExecutableError(f"{program} needs {needed}, which does not exist there", hint=hint)


def emulator(prefix: Prefix, *, machine: str | None = None) -> Path | None:
    """Return QEMU for the board's programs, or ``None`` if this machine runs them natively."""
    if prefix.board.uname_machine == (machine or platform.machine()):
        return None
    return programs.which(prefix.board.qemu, package="qemu-user-static").resolve()


def environment(prefix: Prefix, path: Sequence[str], more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program; ``more`` is all that it takes from the caller."""
    return {
        "PATH": os.pathsep.join(path),
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        "EPREFIX": prefix.eprefix,
        **more,
    }
