# SPDX-License-Identifier: BSD-3-Clause
"""Start other programs. The rest of this program uses only these functions for that."""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from flatcar_prefix import environ
from flatcar_prefix.errors import BuildError, PrefixError
from flatcar_prefix.system.programs import SBIN, which

_STDERR_LINES = 20


def run(
    argv: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    check: bool = True,
    capture: bool = False,
    input: str | None = None,
    package: str | None = None,
    stdin: int | IO[Any] | None = None,
    stdout: int | IO[Any] | None = None,
    stderr: int | IO[Any] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return the finished process.

    ``argv`` never goes through a shell. ``env`` is the whole environment (default: the
    caller's). ``capture`` returns stdout and stderr as separate texts. If ``check`` is set
    and the program fails, raise :class:`BuildError` with its exit code and, if captured, its
    last lines. For a program that a signal ended, the exit code is 128 plus the signal
    number. ``package`` is the Debian package that :func:`which` names.
    """
    command = [os.fspath(word) for word in argv]
    if "/" not in command[0]:
        command[0] = os.fspath(which(command[0], package=package, path=(env or {}).get("PATH")))
    streams: dict[str, Any] = {"stdout": stdout, "stderr": stderr}
    if capture:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if input is None:
        streams["stdin"] = stdin
    try:
        result = subprocess.run(
            command,
            env=env,
            cwd=cwd,
            input=input,
            text=True,
            errors="surrogateescape",
            pass_fds=pass_fds,
            check=False,
            **streams,
        )
    except OSError as error:
        raise PrefixError(
            f"{command[0]} cannot be run: {error.strerror}",
            hint="Check that it exists, is executable and is built for this machine.",
        ) from error
    if check and result.returncode:
        raise failure(argv, result)
    return result


def environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which a tool behaves the same for every caller.

    It contains the caller's PATH, the directories of mkfs programs and ``settings`` only.
    """
    path = os.pathsep.join([environ.search_path(), *SBIN])
    return {"PATH": path, "LC_ALL": "C", "TZ": "UTC", **(settings or {})}


def exit_code(returncode: int) -> int:
    """Return the shell's exit code for ``returncode``: 128 plus the signal number."""
    return 128 - returncode if returncode < 0 else returncode


def failure(
    argv: Sequence[str | os.PathLike[str]],
    result: subprocess.CompletedProcess[str],
    *,
    name: str = "",
) -> BuildError:
    """Return the error for a failed program; ``name`` is its name in the message."""
    name = name or Path(argv[0]).name
    if result.returncode < 0:
        how = f"was ended by {signal.Signals(-result.returncode).name}"
    else:
        how = f"failed with exit code {result.returncode}"
    lines = (result.stderr or "").strip().splitlines()[-_STDERR_LINES:]
    said = ": " + " | ".join(line.strip() for line in lines if line.strip()) if lines else ""
    return BuildError(
        f"{name} {how}{said}",
        hint=f"The command was: {shlex.join(os.fspath(word) for word in argv)}",
        exit_code=exit_code(result.returncode),
    )


def start(
    argv: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str],
    output: IO[Any],
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program that reads nothing and writes everything to ``output``.

    The kernel ends the program when this process dies. Otherwise the program would
    continue unobserved while another process works on the same files.
    """
    command = [os.fspath(word) for word in argv]
    command[0] = os.fspath(which(command[0]))
    return subprocess.Popen(
        command, env=dict(env), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        preexec_fn=_ending_with(os.getpid()), pass_fds=pass_fds,
    )  # fmt: skip


PR_SET_PDEATHSIG = 1
"""See prctl(2) and linux/prctl.h."""


def _ending_with(parent: int) -> Callable[[], None]:
    """Return a function that makes its process end when ``parent`` ends."""
    libc = ctypes.CDLL(None)
    return lambda: _end_with(libc, parent, signal.SIGTERM)


def end_with(parent: int) -> None:
    """Let the kernel kill this process, a forked one, when its ``parent`` ends."""
    _end_with(ctypes.CDLL(None), parent, signal.SIGKILL)


def _end_with(libc: ctypes.CDLL, parent: int, number: signal.Signals) -> None:
    libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    # The parent ended before prctl. It is 0 in the first process of a PID namespace.
    if os.getppid() not in (parent, 0):
        os.kill(os.getpid(), number)


class _Forks:
    """Lets forked processes end with their parents."""

    active = False
    parent = 0
    libc: ctypes.CDLL | None = None

    @classmethod
    def before(cls) -> None:
        cls.parent = os.getpid()

    @classmethod
    def in_child(cls) -> None:
        if cls.active and cls.libc is not None:
            _end_with(cls.libc, cls.parent, signal.SIGKILL)


@contextmanager
def ending_children() -> Iterator[None]:
    """Within, the kernel kills a process that this process or a child forks, when its parent ends.

    A forked process that changes its user has to call :func:`end_with` afterwards.
    """
    if _Forks.libc is None:
        _Forks.libc = ctypes.CDLL(None)
        os.register_at_fork(before=_Forks.before, after_in_child=_Forks.in_child)
    active, _Forks.active = _Forks.active, True
    try:
        yield
    finally:
        _Forks.active = active


def wait(child: subprocess.Popen[bytes], *, seconds: float) -> int | None:
    """Return the exit code of ``child``, or ``None`` if it still runs after ``seconds``.

    If this process is interrupted, it also ends the child and waits for it.
    """
    try:
        return exit_code(child.wait(timeout=seconds))
    except subprocess.TimeoutExpired:
        return None
    except BaseException:
        child.terminate()
        child.wait()
        raise
